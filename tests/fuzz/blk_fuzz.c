/*
 * blk_fuzz.c - the block device, its files and the calls it makes on them, against a driver that
 * may do anything: requests nearly right and not at all, rings as they come, ends in any order,
 * faults, limits, other files, resets. What lies outside a disk never changes, a read-only one not
 * at all, and every chain that was taken comes back once, or is dropped by a reset.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../../src/virtio/blk_slot.h"
#include "../lib/driver.h"
#include "blk_engine.h"
#include "fuzz.h"

#define LOW       (512 * KIB)
#define HIGH      (64 * KIB)
#define RING_AT   0x2000ull  /* of queue n, times n: descriptors, +1000 available, +1800 used */
#define TABLE     0x10000ull /* indirect ones */
#define DATA      0x20000ull
#define QUEUES    3u
#define FILES     3u
#define TAIL      300u /* bytes behind the last sector */
#define STEPS_MAX 400u
#define TURNS_MAX 4000u
#define TURN_READ (1 * MIB)

static const uint64_t sectors[FILES] = {97, 4000, 0};

static struct ram ram;
static struct driver_host h;
static struct blk b;
static uint64_t now;
static uint16_t cursor;   /* where the next chain's descriptors go */
static int image[FILES];  /* open all the time */
static bool cut[FILES];   /* shortened under the disk: it may grow again */
static unsigned nowait;   /* how reads answer that do not wait */
static uint64_t copied;   /* by those, in this turn */
static bool away;         /* the bell, at the worker's */
static uint64_t contents; /* hash of a read-only disk */

int clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, id, ts);
	*ts = (struct timespec){.tv_sec = (time_t)(now / NSEC), .tv_nsec = (long)(now % NSEC)};
	return 0;
}

ssize_t preadv2(int fd, const struct iovec *iov, int iovs, off_t off, int flags)
{
	static const int err[] = {0, 0, EAGAIN, EOPNOTSUPP, EIO, EINTR};
	uint64_t sum = 0, end = b.file[b.current].sectors * BLK_SECTOR;
	ssize_t got;

	CHECK(flags == RWF_NOWAIT && fd == b.file[b.current].fd && iovs > 0);
	for (int i = 0; i < iovs; i++) {
		uint64_t at = (uint64_t)((uint8_t *)iov[i].iov_base - ram.host);

		CHECK(at < LOW + HIGH && iov[i].iov_len <= LOW + HIGH - at);
		sum += iov[i].iov_len;
	}
	CHECK(sum && sum % BLK_SECTOR == 0 && sum <= end && (uint64_t)off <= end - sum);
	errno = err[nowait % ARRAY_SIZE(err)];
	if (errno)
		return -1;
	got = preadv(fd, iov, nowait == 1 ? (iovs + 1) / 2 : iovs, off);
	copied += (uint64_t)MAX(got, 0);
	return got;
}

/* --- what always holds --- */

static void check_all(void)
{
	const struct virtio_dev *d = &b.dev;
	unsigned of_queue[QUEUES] = {0}, of_file[BLK_FILES_MAX] = {0};

	CHECK(b.in_flight == engine.n + engine.rows && b.in_flight <= BLK_SLOTS);
	CHECK(b.lent == away && b.lent == (engine.lent == &b.user) && !b.by_worker);
	CHECK(!b.row.first);
	for (unsigned i = 0; i < engine.n + engine.rows; i++) {
		const struct blk_slot *s =
			blk_slot_of(i < engine.n ? engine.pending[i] : engine.row[i - engine.n]);

		of_queue[s->queue]++;
		of_file[s->file]++;
	}
	for (unsigned i = 0; i < BLK_FILES_MAX; i++) {
		CHECK(b.file[i].in_flight == of_file[i] || b.file[i].fd < 0);
		CHECK((b.file[i].fd >= 0) == (of_file[i] || i == b.current));
	}
	for (unsigned i = 0; i < d->queues; i++) {
		const struct queue *q = &d->queue[i];
		uint16_t out = (uint16_t)(q->last_avail - q->used_idx);

		if (!d->started || d->broken || d->stopping)
			continue;
		CHECK(out == of_queue[i] || !q->started); /* each comes back once */
		CHECK(out <= q->mask + 1u || !q->started);
		/* All is shown, or held for a moment. */
		CHECK(q->signalled == q->used_idx ||
		      (b.pace.held_at &&
		       (b.lent ? engine.rows || b.user.look_at : d->deadline <= b.pace.look_at)));
	}
	CHECK(d->started || b.in_flight == 0);
}

static void check_files(void)
{
	uint8_t tail[TAIL + 1];

	for (unsigned i = 0; i < FILES; i++) {
		if (cut[i])
			continue;
		CHECK(pread(image[i], tail, sizeof(tail), (off_t)(sectors[i] * BLK_SECTOR)) ==
		      TAIL);
		for (unsigned j = 0; j < TAIL; j++)
			CHECK(tail[j] == 0x77);
	}
}

static uint64_t hash(void)
{
	static uint8_t all[4000 * BLK_SECTOR];
	uint64_t v = 0;
	ssize_t n = pread(image[0], all, sectors[0] * BLK_SECTOR, 0);

	for (ssize_t i = 0; i < n; i++)
		v = v * 1099511628211u + all[i];
	return v;
}

static void turn(void)
{
	copied = 0;
	virtio_service(&b.dev);
	CHECK(copied <= TURN_READ);
}

/* Turns until nothing is left: time stands still, so that it has to end. */
static void serve(void)
{
	unsigned turns = 0;

	do {
		turn();
		CHECK(++turns < TURNS_MAX);
	} while (b.dev.again);
}

/* --- the driver --- */

static void put(uint64_t gpa, uint64_t v, unsigned size)
{
	uint8_t *at = ram_at(&ram, gpa, size);

	if (at)
		memcpy(at, &v, size);
}

static unsigned mask_of(unsigned q)
{
	return b.dev.queue[q].size - 1u;
}

static void drain(void)
{
	engine.refuses = false;
	blk_io_submit(&engine.io);
	while (engine.started || engine.rows) {
		engine_end(0, BLK_SLOTS);
		engine_write(BLK_SLOTS);
	}
}

static int on_lend(void *ctx, struct virtio_dev *d, bool lent)
{
	CHECK(lent != away);
	away = lent;
	return ENGINE_BELL;
}

static void worker(unsigned how)
{
	if (how < 2)
		engine_ring();
	else if (how < 7)
		engine_write(how < 5 ? how - 1 : BLK_SLOTS);
	else
		b.steady = BLK_STEADY; /* after so many writes */
}

static void bring_up(struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1);
	uint64_t features = input_take(in, 2);
	struct driver v[QUEUES] = {0};

	driver_reset(&b.dev);
	drain();
	CHECK(driver_status(&b.dev) == 0 && b.in_flight == 0);
	memset(ram.host, 0, QUEUES * RING_AT);
	cursor = 0;
	features = (~features & b.dev.offered) | VIRTIO_F_VERSION_1 |
		   (b.dev.offered & VIRTIO_F_INDIRECT_DESC);
	for (unsigned i = 0; i < b.dev.queues; i++) {
		v[i] = (struct driver){.ram = &ram, .size = (uint16_t)(1u << (how & 15) % 9)};
		v[i].desc = i * RING_AT;
		v[i].avail = i * RING_AT + 0x1000;
		v[i].used = i * RING_AT + 0x1300;
		if ((how >> 5 & 7) == i + 1)
			v[i].size = 0;
	}
	CHECK(driver_bring_up(&h, &b.dev, v, b.dev.queues, features));
}

/* An address: mostly memory that is there, sometimes one that is not quite. */
static uint64_t take_gpa(struct input *in)
{
	uint16_t v = (uint16_t)input_take(in, 2);

	switch (v >> 12) {
	case 15: return LOW - (v & 0xfff);
	case 14: return GPA_4G + HIGH - (v & 0xfff);
	case 13: return GPA_4G + (v & 0xfff);
	case 12: return (uint64_t)v << 20;
	case 11: return v & 0xfff; /* rings */
	default: return DATA + (v & 0xfff) * 0x40ull;
	}
}

static uint32_t take_len(struct input *in)
{
	static const uint32_t len[] = {512, 4096, 16, 1, 0x10000, 0x60000, 511, UINT32_MAX};
	uint8_t how = (uint8_t)input_take(in, 1);

	return len[how & 7] + (how >> 3) % 4 * 512;
}

static void put_desc(uint64_t at, uint64_t gpa, uint32_t len, uint16_t flags, unsigned next)
{
	put(at, gpa, 8);
	put(at + 8, len, 4);
	put(at + 12, flags, 2);
	put(at + 14, next, 2);
}

static void publish(unsigned q, unsigned head)
{
	uint64_t avail = q * RING_AT + 0x1000;
	uint16_t idx;

	memcpy(&idx, ram_at(&ram, avail + 2, 2), 2);
	put(avail + 4 + 2ull * (idx & mask_of(q)), head, 2);
	put(avail + 2, (uint16_t)(idx + 1), 2);
}

static uint32_t take_type(struct input *in)
{
	static const uint32_t type[] = {0, 1, 0, 1, 4, 8, 11, 13};
	uint8_t v = (uint8_t)input_take(in, 1);

	return v < 0xf0 ? type[v % 8] : v & 15;
}

static uint64_t take_sector(struct input *in)
{
	uint64_t end = b.file[b.current].sectors;
	uint8_t v = (uint8_t)input_take(in, 1);

	switch (v >> 4) {
	case 15: return UINT64_MAX - (v & 15);
	case 14: return 1ull << (48 + (v & 15));
	case 13: return end - (v & 15);
	case 12: return end + (v & 15);
	default: return v;
	}
}

/* What DISCARD and WRITE_ZEROES do; the length, mostly a good one. */
static uint32_t put_ranges(uint64_t gpa, struct input *in)
{
	uint8_t shape = (uint8_t)input_take(in, 1);
	unsigned n = shape % 8 ? shape % 8 : shape / 8u;

	for (unsigned i = 0; i < n; i++) {
		uint8_t how = (uint8_t)input_take(in, 1);

		put(gpa + 16 * i, take_sector(in), 8);
		put(gpa + 16 * i + 8, how & 0x3f, 4);
		put(gpa + 16 * i + 12, how == 0xff ? UINT32_MAX : how >> 6 == 2, 4);
	}
	return 16 * n + (shape == 0xff);
}

/* Descriptors of a request, one after the other in a ring's table or an indirect one. */
struct row {
	uint64_t at;
	unsigned i, mask;
	bool table;
};

static void row_add(struct row *r, uint64_t gpa, uint32_t len, bool write, bool last)
{
	unsigned next = r->table ? r->i + 1 : (r->i + 1) & r->mask;

	put_desc(r->at + 16ull * r->i, gpa, len, (uint16_t)((write ? 2 : 0) | (last ? 0 : 1)),
		 next);
	r->i = next;
}

/* A request in some layout, with some data, nearly always well formed. */
static void request(unsigned q, struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1);
	uint32_t type = take_type(in), len;
	uint64_t hdr = DATA + 0x8000 + (cursor & 63) * 0x20, gpa, status = hdr + 0x18;
	unsigned head = cursor & mask_of(q), bufs = (how & 7) ? 1 : how >> 4;
	bool in_ = type == 0 || type == 8, indirect = how & 8 && bufs < 14;
	struct row r = {q * RING_AT, head, mask_of(q), false};

	put(hdr, type, 8);
	put(hdr + 8, take_sector(in), 8);
	if (indirect) {
		r = (struct row){TABLE + 0x100ull * head, 0, 0, true};
		put_desc(q * RING_AT + 16ull * head, r.at, 16 * (bufs + 2), 4, 0);
	}
	row_add(&r, hdr, 16, false, false);
	for (unsigned i = 0; i < bufs; i++) {
		gpa = take_gpa(in);
		len = type == 11 || type == 13 ? put_ranges(gpa, in) : take_len(in);
		row_add(&r, gpa, len, in_, false);
	}
	row_add(&r, status, 1, true, true);
	cursor += indirect ? 1 : bufs + 2;
	publish(q, head);
}

/* Many small ones at once, so that something becomes scarce. */
static void flood(unsigned q, struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1);
	uint32_t len = take_len(in) & ~511u;
	unsigned n = (unsigned)input_take(in, 1) % (mask_of(q) + 1) + 1, bufs = how & 0x3f;

	put(DATA, how >> 6 == 3 ? 4 : how >> 6, 8);
	put(DATA + 8, 0, 8);
	for (unsigned i = 0; i < bufs; i++)
		put_desc(TABLE + 16 * (1 + i), DATA + 0x1000 + 0x200 * i, len, how & 0x40 ? 1 : 3,
			 i + 2);
	put_desc(TABLE, DATA, 16, 1, 1);
	put_desc(TABLE + 16 * (1 + bufs), DATA + 0x10, 1, 2, 0);
	for (unsigned i = 0; i < n; i++, cursor++) {
		put_desc(q * RING_AT + 16ull * (cursor & mask_of(q)), TABLE, 16 * (bufs + 2), 4, 0);
		publish(q, cursor & mask_of(q));
	}
}

static void raw_desc(unsigned q, struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1);

	put_desc(q * RING_AT + 16ull * (cursor++ & mask_of(q)), take_gpa(in), take_len(in), how & 7,
		 how >> 3);
}

/* --- the host --- */

static void limits(struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1);
	struct limit_conf bytes = {.size = input_take(in, 2) * 16, .burst = how & 4 ? 5000 : 0};
	struct limit_conf ops = {.size = input_take(in, 1), .refill_ms = 1000};

	bytes.refill_ms = how & 8 ? 0 : 1 + input_take(in, 1);
	blk_set_limits(&b, how & 1 ? NULL : &bytes, how & 2 ? NULL : &ops);
}

static const char *name(unsigned i)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", image[i % FILES]);
	return path;
}

static void files(struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1);
	unsigned i = how % FILES;
	int err;

	if (how & 0x80) {
		cut[i] = true;
		CHECK(ftruncate(image[i], (how & 0x7c) * 300) == 0);
		return;
	}
	err = blk_replace(&b, how & 0x40 ? "/dev/null" : name(i));
	CHECK(!err || (how & 0x40 && err == -EINVAL) || (err == -EBUSY && b.in_flight));
}

/* Time goes on; whoever asked for it is called. */
static void tick(struct input *in)
{
	now += input_take(in, 2) * 100000;
	copied = 0;
	virtio_tick(&b.dev, now);
	CHECK(copied <= TURN_READ);
	if (b.dev.again)
		serve();
}

static void end(uint8_t op, struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1);

	engine.mood = (op >> 4) % MOODS;
	copied = 0;
	engine_end(how >> 3, (how & 7) == 7 ? BLK_SLOTS : (how & 7u) + 1);
	CHECK(copied <= TURN_READ);
	if (b.dev.again)
		serve();
}

static void step(uint8_t op, struct input *in)
{
	unsigned q = (op >> 4) % b.dev.queues;

	switch (op & 15) {
	case 0: bring_up(in); break;
	case 1 ... 3: request(q, in); break;
	case 4: flood(q, in); break;
	case 5: raw_desc(q, in); break;
	case 6: publish(q, (unsigned)input_take(in, 1)); break;
	case 7 ... 8: end(op, in); break;
	case 9: tick(in); break;
	case 10: limits(in); break;
	case 11: files(in); break;
	case 12: nowait = op >> 4; break;
	case 13:
		if (op & 0x80)
			driver_reset(&b.dev);
		else if (op & 0x40)
			engine.refuses = op & 0x10;
		else
			b.dev.paused = op & 0x10;
		break;
	case 14: put(input_take(in, 2), input_take(in, 4), 4); break; /* rings, too */
	default:
		if (op & 0x80)
			worker(op >> 4 & 7);
		else
			serve();
	}
}

static void restore(void)
{
	uint8_t tail[TAIL];

	memset(tail, 0x77, sizeof(tail));
	for (unsigned i = 0; i < FILES; i++) {
		cut[i] = false;
		CHECK(ftruncate(image[i], (off_t)(sectors[i] * BLK_SECTOR + TAIL)) == 0);
		CHECK(pwrite(image[i], tail, TAIL, (off_t)(sectors[i] * BLK_SECTOR)) == TAIL);
	}
}

static void make(struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1);
	struct blk_conf conf = {.readonly = how & 4,
				.cache = how & 8 ? BLK_CACHE_UNSAFE : BLK_CACHE_WRITEBACK,
				.queues = 1 + (how & 3) % QUEUES};

	conf.path = name(0);
	if (!ram.host) {
		ram = driver_ram(LOW, HIGH);
		for (unsigned i = 0; i < FILES; i++)
			image[i] = memfd_create("disk", MFD_CLOEXEC);
		conf.path = name(0);
	}
	restore();
	memset(ram.host, 0, LOW + HIGH);
	driver_host_init(&h);
	h.host.lend = on_lend;
	away = false;
	engine_reset(&ram);
	now = NSEC;
	nowait = 0;
	CHECK(blk_init(&b, &conf, &h.host, &ram, &engine.io) == 0);
	contents = conf.readonly ? hash() : 0;
}

/* A driver that means well is served, whatever was before: a sector there and back. */
static void check_recovery(void)
{
	static const uint8_t plain[] = {0x04, 0, 0}; /* 16 entries, all features */
	const struct limit_conf none = {0};
	struct input in = {plain, sizeof(plain)};

	b.dev.paused = false;
	engine.mood = MOOD_WELL;
	nowait = 0;
	blk_set_limits(&b, &none, &none);
	bring_up(&in);
	restore(); /* now that nothing is in flight to a file that was longer */
	CHECK(blk_replace(&b, name(0)) == 0);
	for (unsigned write = 0; write < 2; write++) {
		put(DATA, !write, 8);
		put(DATA + 8, 5, 8);
		put(DATA + 0x10, 0xee, 1);
		memset(ram_at(&ram, DATA + 0x200, 512), write ? 0 : 0x5a, 512);
		put_desc(0x00 + write * 48, DATA, 16, 1, write * 3 + 1);
		put_desc(0x10 + write * 48, DATA + 0x200, 512, write ? 3 : 1, write * 3 + 2);
		put_desc(0x20 + write * 48, DATA + 0x10, 1, 2, 0);
		publish(0, write * 3);
		serve();
		drain();
		CHECK(*(uint8_t *)ram_at(&ram, DATA + 0x10, 1) == (!write && b.readonly));
	}
	CHECK(b.readonly || *(uint8_t *)ram_at(&ram, DATA + 0x3ff, 1) == 0x5a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	make(&in);
	bring_up(&in);
	for (unsigned i = 0; in.n && i < STEPS_MAX; i++) {
		step((uint8_t)input_take(&in, 1), &in);
		check_all();
	}
	check_files();
	CHECK(cut[0] || !b.readonly || hash() == contents);
	check_recovery();
	check_files();
	driver_reset(&b.dev);
	drain();
	CHECK(driver_status(&b.dev) == 0);
	blk_finish(&b);
	return 0;
}
