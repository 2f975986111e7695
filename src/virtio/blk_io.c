/*
 * blk_io.c - the engine of all disks: a list of requests that wait, and the io_uring that takes
 * them; or the worker; or both. The ring does six operations and nothing else, restricted before it
 * is enabled: who took over this thread could otherwise open files through it, past every filter.
 *
 * Writes that wait are the worker's: the ring would give each to a thread of the kernel's, and tell
 * of each by itself. While the worker is held up they are the ring's again, so that a slow disk
 * holds up its own alone.
 *
 * In flight are never more than the completion ring holds. The loop watches the ring's descriptor;
 * submitting is the only system call. Loop's thread.
 */
#include "blk_io.h"

#include <errno.h>
#include <string.h>

#include "../clock.h"
#include "../log.h"
#include "blk_call.h"

#define RING_ENTRIES   64u                /* a page of them; one system call starts as many */
#define RING_IN_FLIGHT (2 * RING_ENTRIES) /* the completion ring's entries */
/*
 * Bytes that a turn lets the kernel copy while requests are started, when the page cache has them;
 * what goes beyond is left to the kernel's own threads.
 */
#define RING_INLINE    (1 * MIB)

/* Who has been called back for another disk's sake does not get the worker again for so long. */
#define SHARED_NS (NSEC / 10)

#ifndef IORING_SETUP_COOP_TASKRUN
#define IORING_SETUP_COOP_TASKRUN BIT(8)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER BIT(12)
#endif

const char *blk_io_name(const struct blk_io *io)
{
	return io->ringed ? "io_uring" : "worker";
}

/* --- requests that ended, by user --- */

static void ended(struct blk_user **users, struct blk_req *r)
{
	struct blk_user *u = r->user;

	if (!u->first) {
		u->last = &u->first;
		u->next = *users;
		*users = u;
	}
	r->next = NULL;
	*u->last = r;
	u->last = &r->next;
}

static void tell(struct blk_user *users)
{
	struct blk_user *u;
	struct blk_req *list;

	while ((u = users)) {
		users = u->next;
		list = u->first;
		u->first = NULL;
		u->done(u, list);
	}
}

/* --- the ring --- */

static void wait_again(struct blk_io *io, struct blk_req *r)
{
	r->next = NULL;
	blk_list_add(&io->waiting, r);
}

/* A single buffer needs no iovec, which the kernel would have to copy. */
static void sqe_data(struct io_uring_sqe *sqe, const struct blk_call *c)
{
	bool read = c->kind == BLK_CALL_READ;

	if (c->iovs == 1 && read)
		io_uring_prep_read(sqe, c->fd, c->iov->iov_base, (unsigned)c->iov->iov_len, c->off);
	else if (c->iovs == 1)
		io_uring_prep_write(sqe, c->fd, c->iov->iov_base, (unsigned)c->iov->iov_len,
				    c->off);
	else if (read)
		io_uring_prep_readv(sqe, c->fd, c->iov, c->iovs, c->off);
	else
		io_uring_prep_writev(sqe, c->fd, c->iov, c->iovs, c->off);
	sqe->rw_flags = c->flags;
}

static void sqe_fill(struct io_uring_sqe *sqe, struct blk_req *r, uint64_t *copied)
{
	struct blk_call c;

	blk_call_next(r, &c);
	switch (c.kind) {
	case BLK_CALL_READ:
	case BLK_CALL_WRITE: sqe_data(sqe, &c); break;
	case BLK_CALL_SYNC: io_uring_prep_fsync(sqe, c.fd, IORING_FSYNC_DATASYNC); break;
	case BLK_CALL_ALLOCATE:
		io_uring_prep_fallocate(sqe, c.fd, c.flags, (off_t)c.off, (off_t)c.len);
		break;
	}
	if (c.kind > BLK_CALL_WRITE) {
		/* The kernel hands these to threads of its own anyway. */
	} else if (c.len <= RING_INLINE - *copied) {
		*copied += c.len;
	} else {
		sqe->flags |= IOSQE_ASYNC;
	}
	io_uring_sqe_set_data(sqe, r);
}

/* Requests from the front of the list that there is room for; they stay in the list. */
static unsigned ring_fill(struct blk_io *io, uint64_t *copied)
{
	struct blk_req *r = io->waiting.first;
	unsigned n = 0;

	for (; r && io->in_flight + n < RING_IN_FLIGHT; r = r->next, n++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&io->ring);

		if (!sqe)
			break;
		sqe_fill(sqe, r, copied);
	}
	return n;
}

/* The kernel looks at the tail only during the system call: what it left is taken back. */
static void ring_withdraw(struct io_uring *ring)
{
	ring->sq.sqe_head = ring->sq.sqe_tail = *ring->sq.khead;
	*ring->sq.ktail = *ring->sq.khead;
}

static void ring_submit(struct blk_io *io)
{
	uint64_t copied = 0;
	unsigned n;
	int got;

	while ((n = ring_fill(io, &copied))) {
		got = io_uring_submit(&io->ring);
		io->submits++;
		io->in_flight += (unsigned)MAX(got, 0);
		for (int i = 0; i < got; i++)
			blk_list_pop(&io->waiting);
		if (got != (int)n)
			ring_withdraw(&io->ring);
		if (got <= 0)
			break;
	}
}

/* At most as many turns as requests are in flight: none is started here. */
static void ring_ready(struct watch *w, uint32_t events)
{
	struct blk_io *io = w->owner;
	struct blk_user *users = NULL;
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(&io->ring, head, cqe)
	{
		struct blk_req *r = io_uring_cqe_get_data(cqe);

		if (blk_call_ended(r, cqe->res))
			ended(&users, r);
		else
			wait_again(io, r);
		n++;
	}
	io_uring_cq_advance(&io->ring, n);
	io->in_flight -= n;
	ring_submit(io);
	tell(users);
	if (io->waiting.first && !io->in_flight)
		io->waiting.first->user->done(io->waiting.first->user, NULL);
}

static int ring_restrict(struct io_uring *ring)
{
	static const uint8_t ops[] = {IORING_OP_READ,   IORING_OP_WRITE, IORING_OP_READV,
				      IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE};
	struct io_uring_restriction r[ARRAY_SIZE(ops) + 1] = {0};
	unsigned n = 0;

	for (; n < ARRAY_SIZE(ops); n++) {
		r[n].opcode = IORING_RESTRICTION_SQE_OP;
		r[n].sqe_op = ops[n];
	}
	r[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	r[n++].sqe_flags = IOSQE_ASYNC;
	return io_uring_register_restrictions(ring, r, n);
}

/*
 * COOP_TASKRUN (5.19) spares interrupts to this thread, SINGLE_ISSUER (6.0) keeps others off the
 * ring. Not DEFER_TASKRUN: with it completions of reads do not wake epoll.
 */
static int ring_make(struct io_uring *ring)
{
	struct io_uring_params p = {.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN |
					     IORING_SETUP_SINGLE_ISSUER};
	int err = io_uring_queue_init_params(RING_ENTRIES, ring, &p);

	if (err == -EINVAL) {
		p = (struct io_uring_params){.flags = IORING_SETUP_R_DISABLED};
		err = io_uring_queue_init_params(RING_ENTRIES, ring, &p);
	}
	if (err)
		return err;
	err = ring_restrict(ring);
	if (!err)
		err = io_uring_enable_rings(ring);
	if (err)
		io_uring_queue_exit(ring);
	return err;
}

/* --- the worker --- */

static void worker_ready(struct watch *w, uint32_t events)
{
	struct blk_io *io = w->owner;
	struct blk_user *users = NULL;
	struct blk_req *r, *list = blk_worker_take(&io->worker);

	while ((r = list)) {
		list = r->next;
		ended(&users, r);
	}
	tell(users);
}

/* --- either, or both --- */

static int make_worker(struct blk_io *io)
{
	int err = blk_worker_init(&io->worker);

	io->helped = !err;
	return err;
}

static int watch(struct blk_io *io, struct watch *w, int fd,
		 void (*ready)(struct watch *w, uint32_t events))
{
	int err;

	*w = (struct watch){.fd = fd, .ready = ready, .owner = io};
	err = io->watcher->add(io->watcher->ctx, w);
	if (!err)
		return 0;
	w->fd = -1;
	return log_fail(-err, "the disks' %s cannot be watched: %s", blk_io_name(io),
			strerror(-err));
}

int blk_io_init(struct blk_io *io, const struct watcher *watcher, enum blk_engine engine)
{
	int err = 0;

	*io = (struct blk_io){.watcher = watcher, .ring_watch.fd = -1, .worker_watch.fd = -1};
	blk_list_clear(&io->waiting);
	blk_list_clear(&io->handed);
	io->ringed = engine != BLK_ENGINE_WORKER && ring_make(&io->ring) == 0;
	if (!io->ringed || engine == BLK_ENGINE_BOTH)
		err = make_worker(io);
	if (!err && io->ringed)
		err = watch(io, &io->ring_watch, io->ring.ring_fd, ring_ready);
	if (!err && io->helped)
		err = watch(io, &io->worker_watch, io->worker.event, worker_ready);
	if (err)
		blk_io_finish(io);
	return err;
}

int blk_io_start(struct blk_io *io, int (*confine)(void))
{
	return io->helped ? blk_worker_start(&io->worker, confine) : 0;
}

void blk_io_finish(struct blk_io *io)
{
	const struct watcher *w = io->watcher;

	if (io->ring_watch.fd >= 0)
		w->del(w->ctx, &io->ring_watch);
	if (io->worker_watch.fd >= 0)
		w->del(w->ctx, &io->worker_watch);
	if (io->ringed)
		io_uring_queue_exit(&io->ring);
	if (io->helped)
		blk_worker_finish(&io->worker);
	io->watcher = NULL;
}

/* Not while it waits for another's bell, which would wait for this request in turn. */
static bool for_worker(struct blk_io *io, const struct blk_req *r)
{
	if (!io->ringed)
		return true;
	if (!io->helped || !r->blocking)
		return false;
	if (io->lent && io->lent != r->user) {
		io->lent->recall(io->lent);
		io->shared_at = clock_now();
		return false;
	}
	return !blk_worker_stuck(&io->worker);
}

void blk_io_add(struct blk_io *io, struct blk_req *r)
{
	blk_io_add_to(for_worker(io, r) ? &io->handed : &io->waiting, r);
}

void blk_io_add_to(struct blk_list *row, struct blk_req *r)
{
	r->user->leaving = false;
	blk_call_begin(r);
	r->next = NULL;
	blk_list_add(row, r);
}

bool blk_io_can_lend(const struct blk_io *io)
{
	return io->ringed && io->helped && !io->lent && !blk_worker_stuck(&io->worker) &&
	       (!io->shared_at || clock_now() > io->shared_at + SHARED_NS);
}

bool blk_io_busy(struct blk_io *io)
{
	return io->helped && blk_worker_busy(&io->worker);
}

void blk_io_lend(struct blk_io *io, struct blk_user *u, int bell)
{
	io->lent = u;
	blk_worker_lend(&io->worker, u, bell);
}

void blk_io_take_back(struct blk_io *io)
{
	blk_worker_lend(&io->worker, NULL, -1);
	io->lent = NULL;
}

bool blk_io_submit(struct blk_io *io)
{
	if (io->handed.first) {
		blk_worker_put(&io->worker, blk_list_take(&io->handed));
		io->submits++;
	}
	if (!io->waiting.first)
		return true;
	ring_submit(io);
	return !io->waiting.first || io->in_flight;
}

struct blk_req *blk_io_cancel(struct blk_io *io, struct blk_user *u)
{
	struct blk_req *list = NULL;

	u->leaving = true;
	blk_list_leave(&io->waiting, u, &list);
	blk_list_leave(&io->handed, u, &list);
	if (io->helped)
		blk_worker_cancel(&io->worker, u, &list);
	return list;
}
