/*
 * blk_io_test.c - behaviours of the disks' engine, by io_uring, by the worker and by both, over a
 * file system and over memory: batches, order of ends, faults, and what the ring refuses.
 */
#include "../../../src/virtio/blk_io.h"

#include <dirent.h>
#include <fcntl.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../../lib/disk.h"
#include "../../lib/uring.h"
#include "../said.h"

#define FILE_LEN (16 * MIB)
#define PIECE    4096u
#define REQS     300u

struct variant {
	enum blk_engine engine;
	bool in_memory;
};

static const struct variant variants[] = {
	{BLK_ENGINE_RING,   false},
        {BLK_ENGINE_RING,   true },
        {BLK_ENGINE_WORKER, false},
	{BLK_ENGINE_WORKER, true },
        {BLK_ENGINE_BOTH,   false},
};

static const struct variant *on;
static struct blk_io io;
static bool io_made;
static int fd;
static struct blk_req req[REQS];
static struct iovec iov[REQS];
static uint8_t *mem; /* PIECE bytes for each request */

/* --- users: what came back --- */

struct user {
	struct blk_user u;
	unsigned calls, nothing; /* with a list, and without */
	unsigned ended;
	struct blk_req *order[REQS];
};
static struct user one, two;

static void done(struct blk_user *u, struct blk_req *list)
{
	struct user *user = (struct user *)u;

	if (list)
		user->calls++;
	else
		user->nothing++;
	for (; list; list = list->next) {
		assert_ptr_equal(list->user, u);
		assert_true(user->ended < REQS);
		user->order[user->ended++] = list;
	}
}

static void until_ended(struct user *user, unsigned n)
{
	while (user->ended < n)
		disk_turn(&io);
	assert_int_equal(user->ended, n);
	assert_int_equal(user->nothing, 0);
}

/* Nothing more comes back. */
static void assert_quiet(struct user *user)
{
	unsigned before = user->ended;

	while (disk_turn_within(&io, 20))
		;
	assert_int_equal(user->ended, before);
	assert_int_equal(io.in_flight, 0);
}

/* --- the worker's calls: held, or told what to return --- */

static bool held, write_held;
static sem_t begun, go;
static int64_t answers[8]; /* of reads, in order; INT64_MIN: the call is made */
static unsigned answered;

ssize_t preadv(int f, const struct iovec *v, int n, off_t off)
{
	if (__atomic_load_n(&held, __ATOMIC_SEQ_CST)) {
		sem_post(&begun);
		sem_wait(&go);
	}
	if (answered < ARRAY_SIZE(answers) && answers[answered] != INT64_MIN) {
		int64_t got = answers[answered++];

		if (got < 0)
			errno = (int)-got;
		if (got <= 0)
			return got ? -1 : 0;
		return syscall(SYS_pread64, f, v->iov_base, got, off);
	}
	return syscall(SYS_preadv, f, v, n, off, 0);
}

ssize_t pwritev2(int f, const struct iovec *v, int n, off_t off, int flags)
{
	if (__atomic_load_n(&write_held, __ATOMIC_SEQ_CST)) {
		sem_post(&begun);
		sem_wait(&go);
	}
	return syscall(SYS_pwritev2, f, v, n, off, 0, flags);
}

static void read_answers(const int64_t *a, unsigned n)
{
	answered = ARRAY_SIZE(answers) - n;
	memcpy(answers + answered, a, n * sizeof(*a));
}

/* --- set up --- */

static int setup(void **state)
{
	on = *state;
	one = two = (struct user){.u.done = done};
	io_made = held = write_held = false;
	answered = ARRAY_SIZE(answers);
	said_lines = 0;
	disk_watch_err = 0;
	memset(req, 0, sizeof(req));
	memset(mem, 0, REQS * PIECE);
	fd = disk_file(on && on->in_memory, FILE_LEN);
	return 0;
}

static int teardown(void **state)
{
	if (io_made)
		blk_io_finish(&io);
	close(fd);
	return 0;
}

/* The engine that the variant asks for. */
static void start(void)
{
	const unsigned flags = uring.setup_flags;

	uring_reset();
	uring.setup_flags = flags;
	assert_int_equal(blk_io_init(&io, &disk_watcher, on->engine), 0);
	assert_int_equal(blk_io_start(&io, NULL), 0);
	io_made = true;
	if (on->engine != BLK_ENGINE_WORKER && !io.ringed) {
		print_message("this kernel, or this container, has no io_uring\n");
		skip();
	}
}

static struct blk_req *prepare(unsigned i, enum blk_op op, uint64_t off, uint64_t len)
{
	iov[i] = (struct iovec){mem + i * PIECE, MIN(len, PIECE)};
	req[i] = (struct blk_req){.op = op, .fd = fd, .iov = &iov[i], .iovs = 1};
	req[i].off = off;
	req[i].len = len;
	req[i].user = &one.u;
	req[i].blocking = op == BLK_OP_WRITE;
	req[i].result = INT64_MIN;
	return &req[i];
}

static void add(unsigned i, enum blk_op op, uint64_t off, uint64_t len)
{
	blk_io_add(&io, prepare(i, op, off, len));
}

/* One request, alone: its result. */
static int64_t run(enum blk_op op, uint64_t off, uint64_t len)
{
	one.ended = 0;
	add(0, op, off, len);
	assert_true(blk_io_submit(&io));
	until_ended(&one, 1);
	return req[0].result;
}

static void fill(uint64_t off, size_t len, int byte)
{
	uint8_t block[PIECE];

	memset(block, byte, sizeof(block));
	for (size_t n; len; off += n, len -= n) {
		n = MIN(len, sizeof(block));
		assert_int_equal(pwrite(fd, block, n, (off_t)off), n);
	}
}

static void assert_holds(uint64_t off, size_t len, int byte)
{
	uint8_t block[PIECE];

	for (size_t n; len; off += n, len -= n) {
		n = MIN(len, sizeof(block));
		assert_int_equal(pread(fd, block, n, (off_t)off), n);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(block[i], byte);
	}
}

static uint64_t space(void)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* --- what it does --- */

static void it_says_which_it_is(void **state)
{
	start();
	assert_string_equal(blk_io_name(&io),
			    on->engine == BLK_ENGINE_WORKER ? "worker" : "io_uring");
	assert_int_equal(disk_watches, on->engine == BLK_ENGINE_BOTH ? 2 : 1);
	assert_int_equal(io.ringed, on->engine != BLK_ENGINE_WORKER);
	assert_int_equal(io.helped, on->engine != BLK_ENGINE_RING);
}

static void what_is_written_is_read(void **state)
{
	start();
	memset(mem, 0x5a, PIECE);
	assert_int_equal(run(BLK_OP_WRITE, 8192, PIECE), PIECE);
	assert_holds(8192, PIECE, 0x5a);
	assert_holds(8192 - 512, 512, 0);
	assert_holds(8192 + PIECE, 512, 0);
	memset(mem, 0, PIECE);
	assert_int_equal(run(BLK_OP_READ, 8192, PIECE), PIECE);
	assert_int_equal(mem[0], 0x5a);
	assert_int_equal(mem[PIECE - 1], 0x5a);
}

static void several_buffers_are_one_request(void **state)
{
	struct iovec v[3] = {
		{mem,             512 },
                {mem + PIECE,     1024},
                {mem + 3 * PIECE, 512 }
        };
	struct blk_req *r;

	start();
	fill(0, 2048, 0x77);
	r = prepare(0, BLK_OP_READ, 0, 2048);
	r->iov = v;
	r->iovs = 3;
	blk_io_add(&io, r);
	blk_io_submit(&io);
	until_ended(&one, 1);
	assert_int_equal(r->result, 2048);
	assert_int_equal(mem[511] & mem[PIECE + 1023] & mem[3 * PIECE + 511], 0x77);
	assert_int_equal(mem[512] | mem[PIECE + 1024] | mem[3 * PIECE + 512], 0);

	r = prepare(0, BLK_OP_WRITE, 4096, 2048);
	v[0] = (struct iovec){mem, 512};
	v[1] = (struct iovec){mem + PIECE, 1024};
	v[2] = (struct iovec){mem + 3 * PIECE, 512};
	r->iov = v;
	r->iovs = 3;
	blk_io_add(&io, r);
	blk_io_submit(&io);
	until_ended(&one, 2);
	assert_int_equal(r->result, 2048);
	assert_holds(4096, 2048, 0x77);
	assert_holds(4096 + 2048, 512, 0);
}

static void nothing_starts_before_submit(void **state)
{
	start();
	add(0, BLK_OP_READ, 0, PIECE);
	assert_false(disk_turn_within(&io, 20));
	assert_int_equal(io.submits, 0);
	blk_io_submit(&io);
	until_ended(&one, 1);
	assert_int_equal(io.submits, 1);
	assert_true(blk_io_submit(&io)); /* nothing to start: no call */
	assert_int_equal(io.submits, 1);
}

static void batch_starts_by_one_call(void **state)
{
	start();
	for (unsigned i = 0; i < 64; i++)
		add(i, BLK_OP_READ, i * PIECE, PIECE);
	assert_true(blk_io_submit(&io));
	assert_int_equal(io.submits, 1);
	if (io.ringed)
		assert_int_equal(uring.enters, 1);
	until_ended(&one, 64);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(req[i].result, PIECE);
}

static void batch_larger_than_the_ring_goes_in_pieces(void **state)
{
	bool seen[REQS] = {false};

	start();
	for (unsigned i = 0; i < REQS; i++) {
		memset(mem + i * PIECE, (int)i, PIECE);
		add(i, BLK_OP_WRITE, i * PIECE, PIECE);
	}
	assert_true(blk_io_submit(&io));
	assert_true(io.in_flight <= 128);
	until_ended(&one, REQS);
	assert_quiet(&one);
	for (unsigned i = 0; i < REQS; i++) {
		assert_int_equal(req[i].result, PIECE);
		assert_holds(i * PIECE, PIECE, (uint8_t)i);
		assert_false(seen[one.order[i] - req]); /* each once */
		seen[one.order[i] - req] = true;
	}
	if (on->engine == BLK_ENGINE_RING)
		assert_int_equal(uring.enters, io.submits);
}

static void users_get_their_own_in_one_list(void **state)
{
	start();
	for (unsigned i = 0; i < 8; i++) {
		struct blk_req *r = prepare(i, BLK_OP_READ, i * PIECE, PIECE);

		r->user = i % 2 ? &two.u : &one.u;
		blk_io_add(&io, r);
	}
	held = !io.ringed;
	blk_io_submit(&io);
	if (!io.ringed) { /* all end before the loop looks */
		sem_wait(&begun);
		__atomic_store_n(&held, false, __ATOMIC_SEQ_CST);
		sem_post(&go);
	}
	usleep(50000);
	until_ended(&one, 4);
	assert_int_equal(two.ended, 4);
	assert_int_equal(one.calls, 1);
	assert_int_equal(two.calls, 1);
}

static void next(struct blk_user *u, struct blk_req *list)
{
	done(u, list);
	if (one.ended >= 20)
		return;
	add(one.ended, BLK_OP_READ, 0, PIECE);
	assert_true(blk_io_submit(&io));
}

static void end_may_start_the_next(void **state)
{
	start();
	one.u.done = next;
	add(0, BLK_OP_READ, 0, PIECE);
	blk_io_submit(&io);
	until_ended(&one, 20);
	assert_int_equal(one.calls, 20);
	assert_quiet(&one);
}

/* --- ends of files, faults --- */

static void reading_past_the_end_is_short(void **state)
{
	start();
	assert_int_equal(ftruncate(fd, 8192 + 700), 0);
	assert_int_equal(run(BLK_OP_READ, 8192, PIECE), 700);
	assert_int_equal(run(BLK_OP_READ, 16384, PIECE), 0);
}

static void full_disk_is_enospc(void **state)
{
	int full = open("/dev/full", O_RDWR | O_CLOEXEC);

	start();
	assert_true(full >= 0);
	dup2(full, fd);
	close(full);
	assert_int_equal(run(BLK_OP_WRITE, 0, PIECE), -ENOSPC);
}

/* A write that begins below the limit is cut there; what goes on then fails. */
static void write_past_the_file_size_limit_is_efbig(void **state)
{
	struct rlimit old, lim;

	start();
	getrlimit(RLIMIT_FSIZE, &old);
	lim = old;
	lim.rlim_cur = FILE_LEN + 1024;
	signal(SIGXFSZ, SIG_IGN);
	memset(mem, 0x33, PIECE);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &lim), 0);
	assert_int_equal(run(BLK_OP_WRITE, FILE_LEN, PIECE), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_holds(FILE_LEN, 1024, 0x33);
}

static void unreadable_medium_is_eio(void **state)
{
	int bad = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);

	start();
	assert_true(bad >= 0);
	dup2(bad, fd);
	close(bad);
	assert_int_equal(run(BLK_OP_READ, 0, PIECE), -EIO); /* no memory is there */
}

static void vanished_file_is_an_error_each_time(void **state)
{
	static const enum blk_op op[] = {BLK_OP_READ,    BLK_OP_WRITE, BLK_OP_FLUSH,
					 BLK_OP_DISCARD, BLK_OP_ZERO,  BLK_OP_UNMAP};

	start();
	for (unsigned i = 0; i < ARRAY_SIZE(op); i++) {
		prepare(0, op[i], 0, PIECE)->fd = 1000000;
		one.ended = 0;
		blk_io_add(&io, &req[0]);
		blk_io_submit(&io);
		until_ended(&one, 1);
		assert_int_equal(req[0].result, -EBADF);
	}
}

static void memory_that_is_not_there_is_efault(void **state)
{
	start();
	prepare(0, BLK_OP_READ, 0, PIECE);
	iov[0].iov_base = NULL;
	blk_io_add(&io, &req[0]);
	blk_io_submit(&io);
	until_ended(&one, 1);
	assert_int_equal(req[0].result, -EFAULT);
}

static void failure_is_of_one_request_alone(void **state)
{
	start();
	for (unsigned i = 0; i < 9; i++) {
		prepare(i, BLK_OP_READ, 0, PIECE)->fd = i == 4 ? 1000000 : fd;
		blk_io_add(&io, &req[i]);
	}
	blk_io_submit(&io);
	until_ended(&one, 9);
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(req[i].result, i == 4 ? -EBADF : (int)PIECE);
}

/* --- flush, holes, zeros --- */

static void flush_succeeds(void **state)
{
	start();
	assert_int_equal(run(BLK_OP_WRITE, 0, PIECE), PIECE);
	assert_int_equal(run(BLK_OP_FLUSH, 0, 0), 0);
}

static void flush_of_what_has_none_fails(void **state)
{
	int p[2];

	start();
	assert_int_equal(pipe(p), 0);
	dup2(p[0], fd);
	assert_int_equal(run(BLK_OP_FLUSH, 0, 0), -EINVAL);
	close(p[0]);
	close(p[1]);
}

static void stable_write_ends_well(void **state)
{
	start();
	prepare(0, BLK_OP_WRITE, 0, PIECE)->stable = true;
	blk_io_add(&io, &req[0]);
	blk_io_submit(&io);
	until_ended(&one, 1);
	assert_int_equal(req[0].result, PIECE);
}

static void discard_gives_space_back(void **state)
{
	uint64_t before;

	start();
	fill(0, 2 * MIB, 0x11);
	before = space();
	assert_int_equal(run(BLK_OP_DISCARD, 4096, 1 * MIB), 0);
	assert_true(space() + 1 * MIB <= before);
	assert_holds(0, 4096, 0x11);
	assert_holds(4096, 1 * MIB, 0);
	assert_holds(4096 + 1 * MIB, 4096, 0x11);
}

static void zeros_leave_the_neighbours(void **state)
{
	static const struct {
		uint64_t off, len;
	} t[] = {
		{512,           512           },
		{8192,          4096          },
		{3 * MIB,       65536 + 512   },
		{8 * MIB - 512, 3 * MIB + 1024},
	};
	static const enum blk_op op[] = {BLK_OP_ZERO, BLK_OP_UNMAP};

	start();
	for (unsigned i = 0; i < 2; i++) {
		fill(0, FILE_LEN, 0x99);
		for (unsigned j = 0; j < ARRAY_SIZE(t); j++) {
			assert_int_equal(run(op[i], t[j].off, t[j].len), 0);
			assert_holds(t[j].off - 512, 512, 0x99);
			assert_holds(t[j].off, t[j].len, 0);
			assert_holds(t[j].off + t[j].len, 512, 0x99);
		}
	}
}

static void zeros_keep_their_space_and_holes_do_not(void **state)
{
	uint64_t before;

	start();
	fill(0, 2 * MIB, 0x11);
	fsync(fd);
	before = space();
	assert_int_equal(run(BLK_OP_ZERO, 0, 1 * MIB), 0);
	fsync(fd);
	assert_true(space() + 64 * KIB > before);
	assert_int_equal(run(BLK_OP_UNMAP, 0, 1 * MIB), 0);
	assert_true(space() + 1 * MIB <= before);
	assert_holds(0, 1 * MIB, 0);
}

static void file_size_never_changes(void **state)
{
	static const enum blk_op op[] = {BLK_OP_DISCARD, BLK_OP_ZERO, BLK_OP_UNMAP};
	struct stat st;

	start();
	for (unsigned i = 0; i < ARRAY_SIZE(op); i++) {
		assert_int_equal(run(op[i], FILE_LEN - 8192, 8192), 0);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_size, FILE_LEN);
	}
}

/* --- cancelling --- */

static void what_was_not_started_is_taken_back(void **state)
{
	struct blk_req *list;
	unsigned n = 0;

	start();
	for (unsigned i = 0; i < 10; i++) {
		prepare(i, BLK_OP_READ, 0, PIECE)->user = i % 2 ? &two.u : &one.u;
		blk_io_add(&io, &req[i]);
	}
	for (list = blk_io_cancel(&io, &one.u); list; list = list->next) {
		assert_ptr_equal(list->user, &one.u);
		n++;
	}
	assert_int_equal(n, 5);
	assert_null(blk_io_cancel(&io, &one.u));
	add(0, BLK_OP_READ, 0, PIECE); /* the list is whole */
	blk_io_submit(&io);
	until_ended(&two, 5);
	until_ended(&one, 1);
	assert_quiet(&two);
}

static void what_is_in_flight_comes_back_all_the_same(void **state)
{
	struct blk_req *list;
	unsigned n = 0;

	start();
	for (unsigned i = 0; i < REQS; i++)
		add(i, BLK_OP_READ, i * PIECE, PIECE);
	blk_io_submit(&io);
	for (list = blk_io_cancel(&io, &one.u); list; list = list->next)
		n++;
	if (io.ringed)
		assert_in_range(n, REQS - 128, REQS - 1);
	until_ended(&one, REQS - n);
	assert_quiet(&one);
}

/* Zeros of 8 MiB that have to be written, in several calls: not all of them once it leaves. */
static void long_request_ends_early_when_its_user_leaves(void **state)
{
	start();
	prepare(0, BLK_OP_ZERO, 0, 8 * MIB);
	blk_io_add(&io, &req[0]);
	blk_io_submit(&io);
	if (!blk_io_cancel(&io, &one.u)) { /* begun */
		until_ended(&one, 1);
		assert_true(req[0].result == -ECANCELED || req[0].result == 0);
	}
	assert_int_equal(run(BLK_OP_ZERO, 0, 8 * MIB), 0);
}

/* --- the ring --- */

/* 24 requests of 128 KiB in one batch: what may be copied in this thread is a megabyte. */
static void long_batches_are_copied_elsewhere(void **state)
{
	static uint8_t big[128 * KIB];
	unsigned async = 0;

	start();
	for (unsigned i = 0; i < 24; i++) {
		prepare(i, BLK_OP_READ, i * sizeof(big), sizeof(big));
		iov[i] = (struct iovec){big, sizeof(big)};
		blk_io_add(&io, &req[i]);
	}
	blk_io_submit(&io);
	for (unsigned i = 0; i < 24; i++)
		async += io.ring.sq.sqes[i].flags & IOSQE_ASYNC ? 1 : 0;
	until_ended(&one, 24);
	assert_int_equal(async, 16);
	for (unsigned i = 0; i < 24; i++)
		assert_int_equal(req[i].result, sizeof(big));
}

static void huge_request_is_copied_elsewhere(void **state)
{
	uint8_t *big =
		mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	start();
	assert_true(big != MAP_FAILED);
	fill(0, 8 * MIB, 0x44);
	prepare(0, BLK_OP_READ, 0, 8 * MIB);
	iov[0] = (struct iovec){big, 8 * MIB};
	blk_io_add(&io, &req[0]);
	blk_io_submit(&io);
	assert_true(io.ring.sq.sqes[0].flags & IOSQE_ASYNC);
	until_ended(&one, 1);
	assert_int_equal(req[0].result, 8 * MIB);
	assert_int_equal(big[8 * MIB - 1], 0x44);
	munmap(big, 8 * MIB);
}

/* What a taken loop could do with it: nothing that it could not do anyway. */
static void ring_opens_no_file(void **state)
{
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	static const uint8_t op[] = {IORING_OP_OPENAT, IORING_OP_CLOSE,   IORING_OP_CONNECT,
				     IORING_OP_SPLICE, IORING_OP_SENDMSG, IORING_OP_UNLINKAT,
				     IORING_OP_NOP,    IORING_OP_STATX,   IORING_OP_SOCKET};

	start();
	for (unsigned i = 0; i < ARRAY_SIZE(op); i++) {
		sqe = io_uring_get_sqe(&io.ring);
		if (!sqe)
			return fail();
		io_uring_prep_rw(op[i], sqe, -1, NULL, 0, 0);
		assert_int_equal(io_uring_submit(&io.ring), 1);
		assert_int_equal(io_uring_peek_cqe(&io.ring, &cqe), 0);
		assert_int_equal(cqe->res, -EACCES);
		io_uring_cqe_seen(&io.ring, cqe);
	}
}

static void ring_takes_no_registrations(void **state)
{
	int fds[1] = {fd};

	start();
	assert_int_equal(io_uring_register_files(&io.ring, fds, 1), -EACCES);
	assert_int_equal(io_uring_register_eventfd(&io.ring, fd), -EACCES);
}

static void kernel_that_takes_few_at_a_time_is_asked_again(void **state)
{
	start();
	uring.enter_takes = 3;
	for (unsigned i = 0; i < 10; i++)
		add(i, BLK_OP_READ, i * PIECE, PIECE);
	assert_true(blk_io_submit(&io));
	assert_int_equal(io.submits, 4);
	until_ended(&one, 10);
	assert_quiet(&one);
}

static void kernel_that_refuses_is_asked_when_something_ends(void **state)
{
	start();
	add(0, BLK_OP_READ, 0, PIECE);
	assert_true(blk_io_submit(&io));
	uring.enter_err = EAGAIN;
	uring.enter_errs = 1;
	add(1, BLK_OP_READ, 0, PIECE);
	add(2, BLK_OP_READ, 0, PIECE);
	assert_true(blk_io_submit(&io)); /* what is in flight will end */
	assert_int_equal(io.in_flight, 1);
	until_ended(&one, 3);
	assert_quiet(&one);
}

static void refused_with_nothing_in_flight_is_told(void **state)
{
	start();
	uring.enter_err = EAGAIN;
	uring.enter_errs = 2;
	add(0, BLK_OP_READ, 0, PIECE);
	add(1, BLK_OP_READ, 0, PIECE);
	assert_false(blk_io_submit(&io));
	assert_false(blk_io_submit(&io));
	assert_true(blk_io_submit(&io));
	until_ended(&one, 2);
	assert_int_equal(req[0].result, PIECE);
	assert_int_equal(req[1].result, PIECE);
	assert_quiet(&one);
}

/* The rest of a short read is refused, and nothing else would ever turn to it. */
static void refusal_in_the_midst_of_a_request_is_told(void **state)
{
	start();
	assert_int_equal(ftruncate(fd, 700), 0);
	add(0, BLK_OP_READ, 0, PIECE);
	blk_io_submit(&io);
	uring.enter_err = EAGAIN;
	uring.enter_errs = 1;
	disk_turn(&io);
	assert_int_equal(one.ended, 0);
	assert_int_equal(one.nothing, 1);
	one.nothing = 0;
	assert_true(blk_io_submit(&io));
	until_ended(&one, 1);
	assert_int_equal(req[0].result, 700);
}

static void refused_requests_can_be_taken_back(void **state)
{
	start();
	uring.enter_err = EAGAIN;
	uring.enter_errs = 1;
	add(0, BLK_OP_READ, 0, PIECE);
	assert_false(blk_io_submit(&io));
	assert_ptr_equal(blk_io_cancel(&io, &one.u), &req[0]);
	add(1, BLK_OP_READ, 0, PIECE);
	assert_true(blk_io_submit(&io));
	until_ended(&one, 1);
	assert_ptr_equal(one.order[0], &req[1]);
	assert_quiet(&one);
}

static void old_kernel_gets_a_plain_ring(void **state)
{
	uring.setup_flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER;
	start();
	uring.setup_flags = 0;
	assert_int_equal(uring.setups, 2);
	assert_int_equal(uring.flags, IORING_SETUP_R_DISABLED);
	assert_int_equal(run(BLK_OP_READ, 0, PIECE), PIECE);
}

/* --- the worker --- */

static unsigned open_fds(void)
{
	unsigned n = 0;

	for (int i = 0; i < 64; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

static void refused_ring_is_a_worker(void **state)
{
	static const int errs[] = {EPERM, ENOSYS, ENOMEM, EMFILE};

	uring_reset();
	for (unsigned i = 0; i < ARRAY_SIZE(errs); i++) {
		uring.setup_err = errs[i];
		assert_int_equal(blk_io_init(&io, &disk_watcher, BLK_ENGINE_RING), 0);
		assert_int_equal(blk_io_start(&io, NULL), 0);
		assert_string_equal(blk_io_name(&io), "worker");
		one.ended = 0;
		assert_int_equal(run(BLK_OP_READ, 0, PIECE), PIECE);
		blk_io_finish(&io);
	}
	assert_int_equal(said_lines, 0);
}

static void ring_that_cannot_be_restricted_is_not_used(void **state)
{
	unsigned before = open_fds();

	uring_reset();
	uring.register_err = EINVAL;
	assert_int_equal(blk_io_init(&io, &disk_watcher, BLK_ENGINE_RING), 0);
	assert_string_equal(blk_io_name(&io), "worker");
	assert_int_equal(open_fds(), before + 1);
	blk_io_finish(&io);
	assert_int_equal(open_fds(), before);
}

static void worker_is_called_fc_io(void **state)
{
	char path[64], name[17] = "";
	DIR *tasks = opendir("/proc/self/task");
	bool found = false;

	assert_non_null(tasks);
	start();
	assert_int_equal(run(BLK_OP_READ, 0, PIECE), PIECE);
	for (const struct dirent *t; !found && (t = readdir(tasks));) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%.16s/comm", t->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		found = fscanf(f, "%16s", name) == 1 && !strcmp(name, "fc_io");
		fclose(f);
	}
	closedir(tasks);
	assert_true(found);
}

static pthread_t confined;
static int confine_err;
static sem_t was_confined;

static int confine(void)
{
	confined = pthread_self();
	sem_post(&was_confined);
	return confine_err;
}

static void start_confined(void)
{
	uring_reset();
	confined = pthread_self();
	assert_int_equal(blk_io_init(&io, &disk_watcher, BLK_ENGINE_WORKER), 0);
	io_made = true;
	assert_int_equal(blk_io_start(&io, confine), 0);
	sem_wait(&was_confined);
}

static void worker_is_confined_in_its_own_thread(void **state)
{
	confine_err = 0;
	start_confined();
	assert_true(pthread_equal(confined, io.worker.thread));
	assert_int_equal(run(BLK_OP_READ, 0, PIECE), PIECE);
}

static void unconfined_worker_takes_no_request(void **state)
{
	confine_err = -EINVAL;
	start_confined();
	add(0, BLK_OP_READ, 0, PIECE);
	assert_true(blk_io_submit(&io));
	assert_quiet(&one);
	assert_ptr_equal(blk_io_cancel(&io, &one.u), &req[0]);
}

/* A machine whose start failed. */
static void worker_that_never_started_can_end(void **state)
{
	unsigned before = open_fds();

	uring_reset();
	assert_int_equal(blk_io_init(&io, &disk_watcher, BLK_ENGINE_BOTH), 0);
	blk_io_finish(&io);
	assert_int_equal(open_fds(), before);
}

static void worker_takes_calls_as_they_return(void **state)
{
	start();
	fill(0, PIECE, 0x21);
	read_answers((int64_t[]){-EINTR, 100, -EINTR, 1000}, 4);
	assert_int_equal(run(BLK_OP_READ, 0, PIECE), PIECE);
	for (unsigned i = 0; i < PIECE; i++)
		assert_int_equal(mem[i], 0x21);
	read_answers((int64_t[]){100, -EIO}, 2);
	assert_int_equal(run(BLK_OP_READ, 0, PIECE), -EIO);
	read_answers((int64_t[]){512, 0}, 2);
	assert_int_equal(run(BLK_OP_READ, 0, PIECE), 512);
}

static void worker_that_is_busy_leaves_the_rest_to_be_taken_back(void **state)
{
	struct blk_req *list;
	unsigned n = 0;

	start();
	held = true;
	add(0, BLK_OP_READ, 0, PIECE);
	blk_io_submit(&io);
	sem_wait(&begun);
	for (unsigned i = 1; i < 10; i++) {
		prepare(i, BLK_OP_READ, 0, PIECE)->user = i == 9 ? &two.u : &one.u;
		blk_io_add(&io, &req[i]);
		if (i == 6)
			blk_io_submit(&io);
	}
	for (list = blk_io_cancel(&io, &one.u); list; list = list->next)
		n++;
	assert_int_equal(n, 8);
	__atomic_store_n(&held, false, __ATOMIC_SEQ_CST);
	sem_post(&go);
	blk_io_submit(&io);
	until_ended(&two, 1);
	until_ended(&one, 1);
	assert_ptr_equal(one.order[0], &req[0]);
	assert_quiet(&one);
}

static void descriptor_that_cannot_be_watched_fails(void **state)
{
	unsigned before = open_fds();

	uring_reset();
	disk_watch_err = -ENOSPC;
	for (unsigned e = BLK_ENGINE_RING; e <= BLK_ENGINE_BOTH; e++) {
		assert_fails(blk_io_init(&io, &disk_watcher, e), ENOSPC, "watched");
		assert_null(io.watcher);
		assert_int_equal(open_fds(), before);
	}
}

/* --- both --- */

static bool worker_idle(void)
{
	return atomic_load(&io.worker.since) == 0;
}

static void worker_takes_what_would_wait_and_the_ring_all_else(void **state)
{
	static const struct {
		enum blk_op op;
		unsigned enters;
	} t[] = {
		{BLK_OP_WRITE,   0},
		{BLK_OP_READ,    1},
		{BLK_OP_FLUSH,   1},
		{BLK_OP_DISCARD, 1},
	};

	start();
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		uring.enters = 0;
		assert_true(run(t[i].op, 0, t[i].op == BLK_OP_FLUSH ? 0 : PIECE) >= 0);
		assert_int_equal(uring.enters, t[i].enters);
	}
	uring.enters = 0;
	one.ended = 0;
	prepare(0, BLK_OP_WRITE, 0, PIECE)->blocking = false;
	blk_io_add(&io, &req[0]);
	blk_io_submit(&io);
	until_ended(&one, 1);
	assert_int_equal(uring.enters, 1);
}

static void row_of_writes_is_told_of_once(void **state)
{
	start();
	write_held = true;
	for (unsigned i = 0; i < 20; i++)
		add(i, BLK_OP_WRITE, i * PIECE, PIECE);
	blk_io_submit(&io);
	sem_wait(&begun);
	__atomic_store_n(&write_held, false, __ATOMIC_SEQ_CST);
	io.worker.untold_ns = UINT64_MAX / 2; /* no row takes that long */
	sem_post(&go);
	until_ended(&one, 20);
	assert_int_equal(one.calls, 1);
}

/* What ended is not kept back for long. */
static void long_row_is_told_of_meanwhile(void **state)
{
	start();
	write_held = true;
	for (unsigned i = 0; i < 3; i++)
		add(i, BLK_OP_WRITE, i * PIECE, PIECE);
	blk_io_submit(&io);
	for (unsigned i = 0; i < 2; i++) {
		sem_wait(&begun);
		usleep(1000);
		sem_post(&go);
	}
	sem_wait(&begun);
	until_ended(&one, 2);
	assert_int_equal(one.calls, 1);
	sem_post(&go);
	until_ended(&one, 3);
}

static pthread_t wrote_in;
static sem_t wrote_once;

static struct blk_req *wrote(struct blk_user *u, struct blk_req *list)
{
	wrote_in = pthread_self();
	done(u, list);
	sem_post(&wrote_once);
	return NULL;
}

static void users_that_ask_for_it_hear_from_the_worker_itself(void **state)
{
	start();
	one.u.wrote = two.u.wrote = wrote;
	write_held = true;
	for (unsigned i = 0; i < 9; i++) {
		prepare(i, BLK_OP_WRITE, i * PIECE, PIECE)->user = i < 4 ? &one.u : &two.u;
		blk_io_add(&io, &req[i]);
	}
	blk_io_submit(&io);
	sem_wait(&begun);
	__atomic_store_n(&write_held, false, __ATOMIC_SEQ_CST);
	io.worker.untold_ns = UINT64_MAX / 2;
	sem_post(&go);
	sem_wait(&wrote_once);
	sem_wait(&wrote_once);
	assert_true(pthread_equal(wrote_in, io.worker.thread));
	assert_int_equal(one.ended, 4);
	assert_int_equal(one.calls, 1);
	assert_int_equal(two.ended, 5);
	assert_int_equal(two.calls, 1);
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(req[i].result, PIECE);
	assert_int_equal(run(BLK_OP_READ, 0, PIECE), PIECE); /* by the loop */
	assert_quiet(&one);
}

static void worker_that_is_held_up_is_passed_by(void **state)
{
	start();
	write_held = true;
	add(0, BLK_OP_WRITE, 0, PIECE);
	blk_io_submit(&io);
	sem_wait(&begun);
	usleep(5000);
	add(1, BLK_OP_WRITE, PIECE, PIECE);
	blk_io_submit(&io);
	until_ended(&one, 1);
	assert_ptr_equal(one.order[0], &req[1]);
	__atomic_store_n(&write_held, false, __ATOMIC_SEQ_CST);
	sem_post(&go);
	until_ended(&one, 2);
	while (!worker_idle())
		usleep(1000);
	uring.enters = 0;
	add(2, BLK_OP_WRITE, 0, PIECE); /* and it is the worker's turn again */
	blk_io_submit(&io);
	until_ended(&one, 3);
	assert_int_equal(uring.enters, 0);
}

int main(void)
{
// clang-format off
#define V(f, engine, n) {#f ", " engine, f, setup, teardown, (void *)&variants[n]}
#define ALL(f) V(f, "io_uring on files", 0), V(f, "io_uring on memory", 1), \
	V(f, "worker on files", 2), V(f, "worker on memory", 3), V(f, "both", 4)
#define RING(f) V(f, "io_uring", 0)
#define WORKER(f) V(f, "worker", 2)
#define BOTH(f) V(f, "both", 4)
	// clang-format on
	const struct CMUnitTest tests[] = {
		ALL(it_says_which_it_is),
		ALL(what_is_written_is_read),
		ALL(several_buffers_are_one_request),
		ALL(nothing_starts_before_submit),
		ALL(batch_starts_by_one_call),
		ALL(batch_larger_than_the_ring_goes_in_pieces),
		ALL(users_get_their_own_in_one_list),
		ALL(end_may_start_the_next),
		ALL(reading_past_the_end_is_short),
		ALL(full_disk_is_enospc),
		ALL(write_past_the_file_size_limit_is_efbig),
		ALL(unreadable_medium_is_eio),
		ALL(vanished_file_is_an_error_each_time),
		ALL(memory_that_is_not_there_is_efault),
		ALL(failure_is_of_one_request_alone),
		ALL(flush_succeeds),
		ALL(flush_of_what_has_none_fails),
		ALL(stable_write_ends_well),
		ALL(discard_gives_space_back),
		ALL(zeros_leave_the_neighbours),
		ALL(zeros_keep_their_space_and_holes_do_not),
		ALL(file_size_never_changes),
		ALL(what_was_not_started_is_taken_back),
		ALL(what_is_in_flight_comes_back_all_the_same),
		ALL(long_request_ends_early_when_its_user_leaves),
		RING(long_batches_are_copied_elsewhere),
		RING(huge_request_is_copied_elsewhere),
		RING(ring_opens_no_file),
		RING(ring_takes_no_registrations),
		RING(kernel_that_takes_few_at_a_time_is_asked_again),
		RING(kernel_that_refuses_is_asked_when_something_ends),
		RING(refused_with_nothing_in_flight_is_told),
		RING(refusal_in_the_midst_of_a_request_is_told),
		RING(refused_requests_can_be_taken_back),
		RING(old_kernel_gets_a_plain_ring),
		WORKER(refused_ring_is_a_worker),
		WORKER(ring_that_cannot_be_restricted_is_not_used),
		WORKER(worker_is_called_fc_io),
		WORKER(worker_is_confined_in_its_own_thread),
		WORKER(unconfined_worker_takes_no_request),
		WORKER(worker_that_never_started_can_end),
		WORKER(worker_takes_calls_as_they_return),
		WORKER(worker_that_is_busy_leaves_the_rest_to_be_taken_back),
		WORKER(descriptor_that_cannot_be_watched_fails),
		BOTH(worker_takes_what_would_wait_and_the_ring_all_else),
		BOTH(row_of_writes_is_told_of_once),
		BOTH(long_row_is_told_of_meanwhile),
		BOTH(users_that_ask_for_it_hear_from_the_worker_itself),
		BOTH(worker_that_is_held_up_is_passed_by),
	};

	if (!uring_watch())
		return 77;
	sem_init(&begun, 0, 0);
	sem_init(&go, 0, 0);
	sem_init(&wrote_once, 0, 0);
	sem_init(&was_confined, 0, 0);
	mem = malloc(REQS * PIECE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
