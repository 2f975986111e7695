/*
 * blk_rig.h - a block device under a driver, with either engine, over an image that can be checked;
 * and the device's system calls, told what to return. Included by one file of a program.
 */
#pragma once
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "../../../src/clock.h"
#include "../../../src/virtio/blk.h"
#include "../../../src/virtio/blk_cmd.h"
#include "../../lib/disk.h"
#include "../../lib/driver.h"
#include "../../lib/uring.h"
#include "../said.h"

#define LOW     (16 * MIB)
#define SECTORS 8192u /* of the disk: 4 MiB */
#define SIZE    64    /* of queues, in most tests */
#define TAKEN                                                                                      \
	(VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC | VIRTIO_BLK_F_SEG_MAX | \
	 VIRTIO_BLK_F_BLK_SIZE | VIRTIO_BLK_F_FLUSH | VIRTIO_BLK_F_DISCARD |                       \
	 VIRTIO_BLK_F_WRITE_ZEROES)
#define DATA 0x800000u /* where requests of run() have their data */

#define OK     VIRTIO_BLK_S_OK
#define IOERR  VIRTIO_BLK_S_IOERR
#define UNSUPP VIRTIO_BLK_S_UNSUPP

static struct ram ram;
static struct driver drv[BLK_QUEUES_MAX];
static struct driver_host host;
static struct blk_io io;
static struct blk blk;
static bool blk_made;
static int fd; /* the image */
static char path[64], other[64];

/* --- calls of the device, told what to return, and counted --- */

static unsigned cached_reads;  /* preadv2() calls */
static size_t cached_bytes;    /* ... gave so many */
static int cached_err;         /* fails so */
static unsigned cached_writes; /* pwritev2() calls that are not to wait */
static int cached_write_err;   /* fails so; 0: they are made */
static bool writes_held;       /* the worker's do not return */
static size_t cached_most;     /* unless 0: gives no more than that at a time */
static unsigned stable_writes; /* with RWF_DSYNC; the worker's alone can be seen */
static uint64_t block_device;  /* unless 0: files are block devices of that size */
static bool silent_device;     /* ... that do not tell it */
static bool stranger;          /* files are of another kind */
static int fstat_err, fcntl_err;

ssize_t preadv2(int f, const struct iovec *v, int n, off_t off, int flags)
{
	ssize_t got;

	assert_int_equal(flags, RWF_NOWAIT);
	cached_reads++;
	if (cached_err) {
		errno = cached_err;
		return -1;
	}
	if (cached_most)
		return syscall(SYS_pread64, f, v->iov_base, MIN(cached_most, v->iov_len), off);
	got = syscall(SYS_preadv, f, v, n, off, 0);
	cached_bytes += (size_t)MAX(got, 0);
	return got;
}

ssize_t pwritev2(int f, const struct iovec *v, int n, off_t off, int flags)
{
	stable_writes += (flags & RWF_DSYNC) != 0;
	if (flags & RWF_NOWAIT) {
		assert_int_equal(flags, RWF_NOWAIT);
		cached_writes++;
		errno = cached_write_err;
		if (cached_write_err)
			return -1;
		if (cached_most)
			return syscall(SYS_pwrite64, f, v->iov_base, MIN(cached_most, v->iov_len),
				       off);
	}
	while (__atomic_load_n(&writes_held, __ATOMIC_SEQ_CST))
		usleep(100);
	return syscall(SYS_pwritev2, f, v, n, off, 0, flags & ~RWF_NOWAIT);
}

int fstat(int f, struct stat *st)
{
	int got = (int)syscall(SYS_fstat, f, st);

	if (block_device)
		st->st_mode = S_IFBLK;
	if (stranger)
		st->st_mode = S_IFSOCK;
	errno = fstat_err;
	return fstat_err ? -1 : got;
}

int fcntl(int f, int cmd, ...)
{
	va_list ap;
	long arg;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	errno = fcntl_err;
	return fcntl_err ? -1 : (int)syscall(SYS_fcntl, f, cmd, arg);
}

int ioctl(int f, unsigned long cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (cmd != BLKGETSIZE64)
		return (int)syscall(SYS_ioctl, f, cmd, arg);
	if (silent_device) {
		errno = EIO;
		return -1;
	}
	*(uint64_t *)arg = block_device;
	return 0;
}

/* --- set up --- */

static const enum blk_engine by_ring = BLK_ENGINE_RING, by_worker = BLK_ENGINE_WORKER,
			     by_both = BLK_ENGINE_BOTH;

/* A named image of `size` bytes, each sector filled with its number mod 251. */
static inline int image(char *name, uint64_t size)
{
	static uint8_t contents[SECTORS * 512];
	int f;

	for (uint64_t i = 0; i < sizeof(contents); i++)
		contents[i] = (uint8_t)(i / 512 % 251);
	strcpy(name, "minnow-image-XXXXXX");
	f = mkstemp(name);
	assert_true(f >= 0);
	assert_int_equal(write(f, contents, size), size);
	return f;
}

static inline int setup(void **state)
{
	ram = driver_ram(LOW, 0);
	driver_host_init(&host);
	cached_reads = cached_writes = stable_writes = said_lines = 0;
	cached_err = 0;
	cached_write_err = EAGAIN;
	writes_held = false;
	cached_most = cached_bytes = 0;
	block_device = 0;
	silent_device = stranger = blk_made = false;
	fstat_err = fcntl_err = 0;
	other[0] = '\0';
	fd = image(path, SECTORS * 512);
	return 0;
}

static inline int teardown(void **state)
{
	/* What a failed test left in flight. */
	while (blk_made && blk.in_flight)
		disk_turn_within(&io, 1); /* the worker may answer without it */
	if (blk_made) {
		blk_finish(&blk);
		blk_io_finish(&io);
	}
	close(fd);
	unlink(path);
	if (other[0])
		unlink(other);
	driver_ram_free(&ram);
	return 0;
}

static inline struct blk_conf conf(void)
{
	return (struct blk_conf){.path = path, .queues = 1};
}

static inline int make(void **state, const struct blk_conf *c)
{
	int err;

	uring_reset();
	assert_int_equal(blk_io_init(&io, &disk_watcher, *(const enum blk_engine *)*state), 0);
	assert_int_equal(blk_io_start(&io, NULL), 0);
	if (!io.ringed && *state != &by_worker)
		print_message("no io_uring here: the worker in its place\n");
	err = blk_init(&blk, c, &host.host, &ram, &io);
	blk_made = !err;
	if (err)
		blk_io_finish(&io);
	return err;
}

/* Driver and queues; those of more than one are 1 MiB apart. */
static inline void bring_up(unsigned queues, uint16_t size, uint64_t features)
{
	for (unsigned i = 0; i < queues; i++)
		driver_init(&drv[i], &ram, 0x1000 + i * MIB / 2, size, features);
	assert_true(driver_bring_up(&host, &blk.dev, drv, queues, features));
	for (unsigned i = 0; i < queues; i++)
		host.irqs[i] = 0;
}

static inline void start(void **state, const struct blk_conf *c, uint64_t features)
{
	assert_int_equal(make(state, c), 0);
	bring_up(1, SIZE, features);
}

static inline void start_plain(void **state)
{
	const struct blk_conf c = conf();

	start(state, &c, TAKEN);
}

/* --- requests --- */

struct hdr {
	uint32_t type, ioprio;
	uint64_t sector;
};

static inline uint64_t header(struct driver *v, uint32_t type, uint64_t sector)
{
	uint64_t gpa = driver_alloc(v, sizeof(struct hdr));

	*(struct hdr *)driver_at(v, gpa, sizeof(struct hdr)) = (struct hdr){type, 0, sector};
	return gpa;
}

static inline uint8_t *byte(uint64_t gpa)
{
	return driver_at(&drv[0], gpa, 1);
}

/* A request of queue `n` with its data in one buffer; where its status comes. */
static inline uint64_t add_to(unsigned n, uint32_t type, uint64_t sector, uint64_t gpa,
			      uint32_t len)
{
	uint64_t h = header(&drv[n], type, sector), status = driver_alloc(&drv[n], 1);
	bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	const struct driver_buf buf[] = {
		{h,      16,  false},
                {gpa,    len, in   },
                {status, 1,   true },
                {status, 1,   true }
        };

	*byte(status) = 0xee;
	if (len)
		assert_true(driver_add(&drv[n], buf, 3) >= 0);
	else
		assert_true(driver_add(&drv[n], (struct driver_buf[]){buf[0], buf[2]}, 2) >= 0);
	return status;
}

static inline uint64_t add(uint32_t type, uint64_t sector, uint64_t gpa, uint32_t len)
{
	return add_to(0, type, sector, gpa, len);
}

/* Turns the loop until a request of queue `n` is back; its used length. */
static inline uint32_t await(unsigned n)
{
	struct driver_done back;

	while (!driver_used(&drv[n], &back)) {
		if (blk.dev.again)
			driver_serve(&blk.dev);
		else if (blk.pace.held_at)
			virtio_tick(&blk.dev, blk.dev.deadline);
		else
			disk_turn(&io);
	}
	return back.len;
}

/* The loop's timer, where answers wait for it. */
static inline void tick_held(void)
{
	uint64_t until;

	virtio_lock(&blk.dev);
	until = blk.pace.held_at && !blk.lent ? blk.dev.deadline : NEVER;
	virtio_unlock(&blk.dev);
	if (until != NEVER)
		virtio_tick(&blk.dev, until);
}

/* Waits for the worker, which answers without the loop. */
static inline void await_worker(unsigned n)
{
	struct driver_done back;
	unsigned ms = 0, left = n;

	while (left) {
		assert_true(ms++ < DISK_PATIENCE_MS);
		disk_turn_within(&io, 1);
		virtio_lock(&blk.dev);
		while (left && driver_used(&drv[0], &back))
			left--;
		virtio_unlock(&blk.dev);
		tick_held();
	}
}

static inline void release_writes(void)
{
	__atomic_store_n(&writes_held, false, __ATOMIC_SEQ_CST);
}

static inline void assert_none_back(unsigned n)
{
	struct driver_done back;

	assert_false(driver_used(&drv[n], &back));
}

static uint32_t used_len; /* of the last run() */

static inline uint8_t run(uint32_t type, uint64_t sector, uint32_t len)
{
	uint64_t status = add(type, sector, DATA, len);

	driver_kick(&drv[0], &blk.dev);
	used_len = await(0);
	return *byte(status);
}

/* DISCARD or WRITE_ZEROES of `n` ranges. */
static inline uint8_t run_ranges(uint32_t type, const struct blk_range *r, unsigned n)
{
	memcpy(driver_at(&drv[0], DATA, n * sizeof(*r)), r, n * sizeof(*r));
	return run(type, 0, n * (uint32_t)sizeof(*r));
}

static inline void assert_sectors(uint64_t sector, unsigned n, int what)
{
	uint8_t s[512];

	for (; n; n--, sector++) {
		assert_int_equal(pread(fd, s, 512, (off_t)(sector * 512)), 512);
		for (unsigned i = 0; i < 512; i++)
			assert_int_equal(s[i], what < 0 ? sector % 251 : (uint64_t)what);
	}
}

static inline void assert_untouched(void)
{
	struct stat st;

	assert_int_equal(syscall(SYS_fstat, fd, &st), 0);
	assert_int_equal(st.st_size, SECTORS * 512);
	assert_sectors(0, SECTORS, -1);
}

static inline uint32_t config(unsigned off, unsigned size)
{
	uint32_t v;

	virtio_lock(&blk.dev);
	v = virtio_config_read(&blk.dev, off, size);
	virtio_unlock(&blk.dev);
	return v;
}

/* Each test with each: V() names what it runs with. */
// clang-format off
#define V(f, engine, by) {#f ", " engine, f, setup, teardown, (void *)&by}
#define T(f) V(f, "io_uring", by_ring), V(f, "worker", by_worker), V(f, "both", by_both)
// clang-format on
