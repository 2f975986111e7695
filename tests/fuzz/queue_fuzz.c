/*
 * queue_fuzz.c - a split virtqueue against a driver that may do anything: rings anywhere, any
 * descriptor, any index, memory that changes at any time. Every chain lies in RAM, is bounded and
 * is the one that queue_model.c finds; nothing but the used ring is written.
 */
#include <string.h>

#include "fuzz.h"
#include "queue_model.h"

#define LOW       0x1800u
#define HIGH      0x800u
#define TABLE     0x1000u /* where indirect tables are, mostly */
#define TABLE_LEN 16u
#define DATA      0x1200u
#define RING_MAX  64u
#define STEPS_MAX 1000u
#define HELD_MAX  (QUEUE_SIZE_MAX + 1)

static struct ram ram;
static uint8_t before[LOW + HIGH];
static struct queue q;
static struct model model;
static struct chain chain;
static struct model_chain want;
static struct held {
	uint16_t head;
	uint32_t room;
} held[HELD_MAX];
static unsigned out;
static bool popped; /* the last step was a pop: it may be taken back */

static struct {
	const uint8_t *p;
	size_t n;
} in;

static uint64_t take(unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n && in.n; i++, in.n--)
		v |= (uint64_t)*in.p++ << 8 * i;
	return v;
}

/* An address: most of them are good ones, and those at the edges are there. */
static uint64_t place(void)
{
	uint8_t kind = (uint8_t)take(1);
	uint64_t v;

	switch (kind & 7) {
	case 0: return LOW - (kind >> 3);
	case 1: return 4 * GIB + (kind >> 3);
	case 2: return 4 * GIB + HIGH - (kind >> 3);
	case 3: return 4 * GIB + take(2) % HIGH;
	case 4: return take(2);
	case 5: return take(8);
	case 6: v = take(1); return 0 - v;
	default: return DATA + 16u * (kind >> 3);
	}
}

static uint32_t length(void)
{
	uint8_t kind = (uint8_t)take(1);

	switch (kind & 7) {
	case 0: return (uint32_t)take(4);
	case 1: return (uint32_t)take(2);
	case 2: return 0u - (kind >> 3);
	default: return kind >> 3;
	}
}

static void *host(uint64_t gpa, uint64_t len)
{
	return model_inside(&ram, gpa, len) ? ram_at(&ram, gpa, len) : NULL;
}

static void poke(uint64_t gpa, uint64_t v, unsigned size)
{
	void *to = host(gpa, size);

	if (to)
		memcpy(to, &v, size);
}

static void put_desc(uint64_t table, unsigned i, uint64_t addr, uint32_t len, unsigned flags,
		     unsigned next)
{
	poke(table + 16ull * i, addr, 8);
	poke(table + 16ull * i + 8, len | (uint64_t)flags << 32 | (uint64_t)next << 48, 8);
}

static void put_any_desc(uint64_t table, unsigned entries)
{
	unsigned i = (unsigned)take(1) % entries, how = (unsigned)take(1);
	unsigned next = how & 0x80 ? (unsigned)take(2) : (i + 1) % entries;
	uint64_t addr = place();

	put_desc(table, i, addr, length(), how & 7, next);
}

/* A descriptor of the table: of all of it, or of any length, WRITE or NEXT. */
static void put_table(unsigned i)
{
	unsigned how = (unsigned)take(1);

	put_desc(q.desc, i, TABLE + (how & 0x20),
		 how & 0x80 ? 64 + (how & 0x1f) : 16 * (how & 0x1f), 4 | (how >> 5 & 3), i + 1);
}

static void offer(unsigned head)
{
	uint16_t idx = model_word(&model, q.avail + 2);

	poke(q.avail + 4 + 2 * (idx % model.size), head, 2);
	poke(q.avail + 2, idx + 1u, 2);
}

/* --- what must hold --- */

static void keep(void)
{
	memcpy(before, ram.host, sizeof(before));
}

/* Nothing was written but [gpa, gpa + len). */
static void only(uint64_t gpa, uint64_t len)
{
	size_t from = 0;

	if (len) {
		from = (size_t)((uint8_t *)host(gpa, len) - ram.host);
		CHECK(!memcmp(before, ram.host, from));
	}
	CHECK(!memcmp(before + from + len, ram.host + from + len, sizeof(before) - from - len));
}

static void check_chain(void)
{
	uint64_t sum[2] = {0, 0};

	CHECK(chain.head == want.head && chain.head <= q.mask);
	CHECK(chain.readable == want.readable && chain.readable + chain.writable == (int)want.n);
	CHECK(want.n >= 1 && want.n <= QUEUE_SIZE_MAX);
	for (unsigned i = 0; i < want.n; i++) {
		CHECK(chain.iov[i].iov_len == want.len[i] && want.len[i]);
		CHECK(chain.iov[i].iov_base == host(want.addr[i], want.len[i]));
		sum[i >= want.readable] += want.len[i];
	}
	CHECK(chain.read_bytes == sum[0] && chain.write_bytes == sum[1]);
	CHECK(sum[0] + sum[1] <= UINT32_MAX);
}

static void check_copies(void)
{
	static uint8_t buf[0x2000];
	size_t off = take(2), len = take(2) % sizeof(buf);
	bool writable = take(1) & 1;
	uint32_t all = writable ? chain.write_bytes : chain.read_bytes;
	size_t get = off < all ? MIN(len, all - off) : 0, got = 0;
	struct iovec iov[8];
	unsigned n = chain_slice(&chain, writable, off, len, iov, ARRAY_SIZE(iov));

	for (unsigned i = 0; i < n; i++) {
		uint64_t at = (uint64_t)((uint8_t *)iov[i].iov_base - ram.host);

		CHECK(iov[i].iov_len && at < LOW + HIGH && iov[i].iov_len <= LOW + HIGH - at);
		got += iov[i].iov_len;
	}
	CHECK(got == get || (n == ARRAY_SIZE(iov) && got < get));
	if (writable)
		CHECK(chain_write(&chain, off, buf, len) == get);
	else
		CHECK(chain_read(&chain, off, buf, len) == get);
}

/* --- steps --- */

/* Chains that are fine, one a descriptor, and a table of four: a few steps make an exchange. */
static void put_good(void)
{
	for (unsigned i = 0; i < model.size; i++)
		put_desc(q.desc, i, DATA + 16 * (i % 32), 16, i & 1 ? 2 : 0, i);
	for (unsigned i = 0; i < TABLE_LEN; i++)
		put_desc(TABLE, i, DATA + 16 * i, i + 1, i % 4 < 3, i + 1);
}

/* A device that is started again has not forgotten its settings, but where it was. */
static void begin(void)
{
	unsigned how = (unsigned)take(1);
	bool event_idx = how & 8, indirect = how & 16, good;

	q.enabled = true;
	q.size = (uint16_t)(how & 0x80 ? take(1) : 1u << (how & 7));
	q.desc = 0;
	q.avail = how & 0x20 ? 4 * GIB : 0x800;
	q.used = 0xa00;
	if (how & 0x40) {
		q.desc = take(2) & ~7ull;
		q.avail = place();
		q.used = place();
	}
	good = model_start(&model, &ram, &q, event_idx, indirect);
	CHECK(queue_start(&q, &ram, event_idx, indirect) == good);
	CHECK(q.started == good);
	out = 0;
	if (good)
		put_good();
}

static void pop(void)
{
	uint16_t taken = q.last_avail;
	int expected;

	if (out == HELD_MAX)
		return;
	keep();
	expected = model_pop(&model, &want);
	CHECK(queue_pop(&q, &chain) == expected);
	only(0, 0);
	CHECK(q.last_avail == (uint16_t)(taken + (expected > 0)));
	if (expected <= 0)
		return;
	check_chain();
	held[out++] = (struct held){chain.head, chain.write_bytes};
	CHECK(out <= model.size); /* bounded by the ring, whatever the driver says */
	popped = true;
	if (take(1) & 1)
		check_copies();
}

static void unpop(bool was)
{
	if (!was || !out)
		return;
	queue_unpop(&q);
	model.taken--;
	out--;
}

static void push(void)
{
	uint64_t at = q.used + 4 + 8 * (model.back % model.size);
	uint32_t entry[2], len;
	struct held *h;

	if (!out)
		return;
	h = &held[take(1) % out];
	len = h->room ? (uint32_t)take(2) % h->room : 0;
	keep();
	queue_push(&q, h->head, len);
	only(at, 8);
	memcpy(entry, host(at, 8), 8);
	CHECK(entry[0] == h->head && entry[1] == len);
	model.back++;
	*h = held[--out];
}

static void flush(void)
{
	bool news = model.shown != model.back, interrupts;

	keep();
	interrupts = queue_flush(&q);
	only(q.used + 2, news ? 2 : 0);
	CHECK(!news || model_word(&model, q.used + 2) == model.back);
	CHECK(interrupts == model_interrupts(&model));
}

static void notifications(bool on)
{
	uint64_t event = q.used + 4 + 8ull * model.size;
	bool pending;

	keep();
	if (on) {
		pending = queue_listen(&q);
		CHECK(pending == model_pending(&model));
		CHECK(model_word(&model, model.event_idx ? event : q.used) ==
		      (model.event_idx ? model.taken : 0));
	} else {
		queue_quiet(&q);
		CHECK(model.event_idx || model_word(&model, q.used) == 1);
	}
	only(model.event_idx ? event : q.used, on || !model.event_idx ? 2 : 0);
	CHECK(queue_pending(&q) == model_pending(&model));
}

static void step(uint8_t op)
{
	bool was = popped;

	popped = false;
	switch (op % 16) {
	case 0:
	case 1: put_any_desc(q.desc, model.size); break;
	case 2: put_any_desc(TABLE, TABLE_LEN); break;
	case 3: put_table((op >> 4) % model.size); break;
	case 4: put_desc(q.desc, op >> 4, place(), length(), 4 | (take(1) & 3), 0); break;
	case 5:
	case 6: offer((op >> 4) % model.size); break;
	case 7: offer((unsigned)take(2)); break;
	case 8: poke(q.avail + 2, op & 0x10 ? take(2) : model.taken + take(1) - 64, 2); break;
	case 9: poke(q.avail, take(1), 1); break;
	case 10: poke(q.avail + 4 + 2 * model.size, model.back + (op >> 4) - 4u, 2); break;
	case 11: poke(place(), take(4), 1 + (op >> 4 & 3)); break;
	case 12: push(); break;
	case 13: op & 0x10 ? notifications(op & 0x20) : unpop(was); break;
	case 14: flush(); break;
	default: pop(); break;
	}
}

/* One that is not started does nothing, however often it is asked. */
static void idle(void)
{
	keep();
	CHECK(queue_pop(&q, &chain) == 0 && !queue_pending(&q) && !queue_flush(&q));
	queue_quiet(&q);
	CHECK(!queue_listen(&q));
	only(0, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!ram.host)
		ram = (struct ram){.host = malloc(LOW + HIGH), .low = LOW, .high = HIGH};
	CHECK(ram.host);
	memset(ram.host, 0, LOW + HIGH);
	in.p = data;
	in.n = size;
	popped = false;
	queue_reset(&q, RING_MAX);
	begin();
	for (unsigned i = 0; i < STEPS_MAX && in.n; i++) {
		uint8_t op = (uint8_t)take(1);

		if (op == 0xff)
			begin();
		else if (q.started)
			step(op);
		else
			idle();
	}
	return 0;
}
