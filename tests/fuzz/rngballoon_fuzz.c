/*
 * rngballoon_fuzz.c - the entropy device and the balloon against a driver that may do anything:
 * registers in any order, rings and descriptors as they come, time, and a host that fails. Nothing
 * outside guest RAM may be filled or dropped, and each turn has its bounds.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "../../src/virtio/balloon.h"
#include "../../src/virtio/rng.h"
#include "fuzz.h"

#define LOW       (4 * MIB)
#define HIGH      (2 * MIB)
#define RINGS     0x1000u /* desc, avail and used of a queue: a page each, three a queue */
#define QUEUE_GPA 0x4000u
#define DATA      0x30000u
#define DATA_LEN  0x4000u
#define STEPS_MAX 600
#define TURNS_MAX 4

/* What a turn may cost at most: the budgets, and what one piece may go beyond them. */
#define CALLS_TURN (2 * (512u + 512u) + 16u)
#define BYTES_TURN (256u * KIB + 64u * KIB)
#define DROP_TURN  (32u * MIB + 2u * (4096u + 512u) * 4096u)

static struct ram ram;
static struct rng rng;
static struct balloon balloon;
static uint64_t now;
static unsigned drop_mood, fill_mood; /* how the kernel answers, 0: well */

static unsigned calls; /* of this turn */
static uint64_t filled, dropped;

int madvise(void *addr, size_t len, int advice)
{
	uint64_t off = (uint64_t)((uint8_t *)addr - ram.host);

	CHECK(advice == MADV_DONTNEED && len && len % 4096 == 0 && off % 4096 == 0);
	CHECK(off < LOW + HIGH && len <= LOW + HIGH - off);
	calls++;
	dropped += len;
	errno = drop_mood == 2 ? ENOMEM : EINVAL;
	if (drop_mood == 3 && off % (2 * MIB) == 0 && len % (2 * MIB) == 0)
		return 0;
	return drop_mood ? -1 : 0;
}

ssize_t getrandom(void *to, size_t len, unsigned flags)
{
	uint64_t off = (uint64_t)((uint8_t *)to - ram.host);

	CHECK(flags == GRND_NONBLOCK && len && len <= RNG_REQUEST_MAX);
	CHECK(off < LOW + HIGH && len <= LOW + HIGH - off);
	calls++;
	filled += len;
	errno = fill_mood == 1 ? EAGAIN : EFAULT;
	if (fill_mood == 1 || fill_mood == 2)
		return -1;
	if (fill_mood == 3)
		len = (len + 1) / 2;
	memset(to, 0xa5, len);
	return (ssize_t)len;
}

static void on_device(void *ctx, struct virtio_dev *d)
{
}

static void on_wake_at(void *ctx, uint64_t deadline)
{
	CHECK(deadline != NEVER);
}

static void on_bell(void *ctx, struct virtio_dev *d, uint64_t old, uint64_t gpa)
{
}

static void on_queue(void *ctx, unsigned queue)
{
	struct virtio_dev *d = ctx;

	CHECK(queue < d->queues && d->queue[queue].started);
}

static void on_irq(void *ctx)
{
}

static const struct virtio_host host = {
	.kick = on_device, .wake_at = on_wake_at, .bell = on_bell, .await_reset = on_device};

static uint64_t ring_at(unsigned n, unsigned part)
{
	return QUEUE_GPA + (3 * n + part) * RINGS;
}

/* The loop, for some turns. */
static void turn(struct virtio_dev *d)
{
	for (unsigned i = 0; i < TURNS_MAX; i++) {
		calls = 0;
		filled = dropped = 0;
		virtio_service(d);
		CHECK(calls <= CALLS_TURN && filled <= BYTES_TURN && dropped <= DROP_TURN);
		if (!d->again)
			break;
	}
}

static void status(struct virtio_dev *d, uint8_t v)
{
	virtio_lock(d);
	virtio_set_status(d, v);
	virtio_unlock(d);
}

static void put(uint64_t gpa, uint64_t v, unsigned size)
{
	uint8_t *at = ram_at(&ram, gpa, size);

	if (at)
		memcpy(at, &v, size);
}

/* A driver that begins well: rings of a size, features, DRIVER_OK. */
static void bring_up(struct virtio_dev *d, struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1);

	memset(ram.host + QUEUE_GPA, 0, 3 * BALLOON_QUEUES * RINGS);
	status(d, 0);
	virtio_service(d);
	virtio_lock(d);
	virtio_set_status(d, 3);
	virtio_ack(d, 0, (uint32_t)d->offered & ~(how & 1 ? 0 : 1u << 29) & ~(how & 0x26u));
	virtio_ack(d, 1, 1);
	virtio_set_status(d, 11);
	for (unsigned n = 0; n < d->queues; n++) {
		struct queue *q = virtio_queue_rw(d, n);

		virtio_queue_size(d, n, (uint16_t)(1u << (how >> 4 & 7)));
		q->desc = ring_at(n, 0);
		q->avail = ring_at(n, 1);
		q->used = ring_at(n, 2);
		q->enabled = n < 2 || !(how & 0x80);
	}
	virtio_set_status(d, 15);
	virtio_unlock(d);
	turn(d);
}

/* Addresses: data, the rings themselves, edges of RAM, holes. */
static uint64_t pick_addr(struct input *in)
{
	static const uint64_t base[] = {
		DATA,       DATA,     LOW - 4096, QUEUE_GPA, GPA_4G,
		LOW - 4097, 0x100000, GPA_LAPIC,  ~0ull,     GPA_4G + HIGH - 8192};
	uint8_t how = (uint8_t)input_take(in, 1);

	return base[how % ARRAY_SIZE(base)] + (input_take(in, 1) << (how >> 5));
}

static uint32_t pick_len(struct input *in)
{
	static const uint32_t len[] = {16, 4096, 8, 1, 65536, 0, 0x200000, 0xfffffff0};
	uint8_t how = (uint8_t)input_take(in, 1);

	return len[how % 8] + how / 8u;
}

static void descriptor(struct virtio_dev *d, struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1), i = (uint8_t)input_take(in, 1) % 16;
	uint64_t table = how & 0x80 ? DATA + 0x1000 : ring_at(how % d->queues, 0);

	put(table + 16u * i, pick_addr(in), 8);
	put(table + 16u * i + 8, pick_len(in), 4);
	put(table + 16u * i + 12, how >> 4 & 7, 2);
	put(table + 16u * i + 14, input_take(in, 1) % 18, 2);
}

/* The next entries of an available ring; rarely an index out of nowhere. */
static void offer(struct virtio_dev *d, struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1), heads = (uint8_t)input_take(in, 1);
	unsigned n = how % d->queues;
	struct queue *q = &d->queue[n];
	uint16_t idx = 0;

	memcpy(&idx, ram.host + ring_at(n, 1) + 2, 2);
	for (unsigned i = 0; i <= how >> 5; i++)
		put(ring_at(n, 1) + 4 + 2ull * ((idx + i) & (q->size - 1u)),
		    (heads + i) % (q->size + (heads == 0xff)), 2);
	idx = (uint16_t)(idx + (how >> 5) + 1);
	if (how == 0xf7)
		idx = (uint16_t)input_take(in, 2);
	put(ring_at(n, 1) + 2, idx, 2);
	put(ring_at(n, 1) + 4 + 2ull * q->size, input_take(in, 1), 2);
	virtio_lock(d);
	virtio_notify(d);
	virtio_unlock(d);
	turn(d);
}

/* Page numbers in a row, or statistics. */
static void data(struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1), count = (uint8_t)input_take(in, 1);
	uint32_t first = (uint32_t)input_take(in, how & 1 ? 4 : 2);
	uint64_t at = DATA + (how >> 2) * 64u;

	for (unsigned i = 0; i < count; i++) {
		if (how & 2)
			put(at + 10 * i, first + i, 10 - 8);
		else
			put(at + 4 * i, first + i * (how & 4 ? 2u : 1u), 4);
	}
}

static void registers(struct virtio_dev *d, struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1);
	unsigned n = how >> 4, size = 1u << (how & 3) % 3;
	uint64_t v = input_take(in, 4);
	struct queue *q;

	virtio_lock(d);
	q = virtio_queue_rw(d, n);
	switch (how >> 2 & 3) {
	case 0: virtio_queue_size(d, n, (uint16_t)v); break;
	case 1:
		if (q)
			*(how & 1 ? &q->desc : how & 2 ? &q->avail : &q->used) = v << (v >> 29);
		if (q)
			q->enabled = true;
		break;
	case 2: virtio_config_write(d, n, size, (uint32_t)v); break;
	default: virtio_config_read(d, n, size); break;
	}
	virtio_unlock(d);
}

static void world(struct virtio_dev *d, struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1);
	struct limit_conf limit = {input_take(in, 2), input_take(in, 1), input_take(in, 1)};
	struct balloon_stats s;

	switch (how % 8) {
	case 0: drop_mood = limit.size % 4; break;
	case 1: fill_mood = limit.size % 4; break;
	case 2: balloon_set_target(&balloon, (uint32_t)limit.size << (how >> 3)); break;
	case 3: balloon_set_stats_interval(&balloon, (uint32_t)limit.size + 1); break;
	case 4: balloon_stats(&balloon, &s); break;
	case 5: rng_set_limits(&rng, &limit, how & 8 ? &limit : NULL); break;
	case 6: status(d, (uint8_t)limit.size); break;
	default:
		virtio_lock(d);
		d->paused = !d->paused;
		virtio_unlock(d);
	}
	turn(d);
}

static void one(struct input *in)
{
	uint8_t what = (uint8_t)input_take(in, 1);
	struct virtio_dev *d = what & 0x80 ? &rng.dev : &balloon.dev;

	switch (what % 16) {
	case 0: bring_up(d, in); break;
	case 1 ... 5: descriptor(d, in); break;
	case 6 ... 9: offer(d, in); break;
	case 10 ... 11: data(in); break;
	case 12: registers(d, in); break;
	case 13: world(d, in); break;
	case 14: put(pick_addr(in), input_take(in, 2), 2); break;
	default:
		now += input_take(in, 4) << 8;
		virtio_tick(d, now);
		break;
	}
}

static void irqs(struct virtio_dev *d)
{
	d->irq =
		(struct virtio_irq){.ctx = d, .queue = on_queue, .config = on_irq, .reset = on_irq};
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	ram = (struct ram){.low = LOW, .high = HIGH};
	CHECK(posix_memalign((void **)&ram.host, 2 * MIB, LOW + HIGH) == 0);
	memset(ram.host, 0, LOW + HIGH);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input in = {bytes, size};
	uint8_t scene = (uint8_t)input_take(&in, 1);
	const struct rng_conf rng_conf = {
		.bytes = {.size = scene & 1 ? 3000 : 0, .burst = 1000, .refill_ms = 50}
        };
	const struct balloon_conf conf = {.target_mib = scene,
					  .deflate_on_oom = scene & 2,
					  .stats_interval_s = scene >> 2 & 1,
					  .reporting = scene & 8};

	memset(ram.host, 0, DATA + DATA_LEN);
	drop_mood = fill_mood = 0;
	now = 1ull << 60;
	rng_init(&rng, &rng_conf, &host, &ram);
	balloon_init(&balloon, &conf, &host, &ram);
	irqs(&rng.dev);
	irqs(&balloon.dev);
	for (unsigned i = 0; in.n && i < STEPS_MAX; i++)
		one(&in);
	return 0;
}
