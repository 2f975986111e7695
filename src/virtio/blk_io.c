/*
 * blk_io.c - the engine of all disks: a list of requests that wait, and the io_uring that takes
 * them; or the worker. The ring does six operations and nothing else, restricted before it is
 * enabled: who took over this thread could otherwise open files through it, past every filter.
 *
 * In flight are never more than the completion ring holds. The loop watches the ring's descriptor;
 * submitting is the only system call. Loop's thread.
 */
#include "blk_io.h"

#include <errno.h>
#include <string.h>

#include "../log.h"
#include "blk_call.h"

#define RING_ENTRIES   64u                /* a page of them; one system call starts as many */
#define RING_IN_FLIGHT (2 * RING_ENTRIES) /* the completion ring's entries */
/*
 * Bytes that a turn lets the kernel copy while requests are started, when the page cache has them;
 * what goes beyond is left to the kernel's own threads.
 */
#define RING_INLINE    (1 * MIB)

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
	*io->waiting_at = r;
	io->waiting_at = &r->next;
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
	struct blk_req *r = io->waiting;
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
			io->waiting = io->waiting->next;
		if (got != (int)n)
			ring_withdraw(&io->ring);
		if (got <= 0)
			break;
	}
	if (!io->waiting)
		io->waiting_at = &io->waiting;
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
	if (io->waiting && !io->in_flight)
		io->waiting->user->done(io->waiting->user, NULL);
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

/* --- either --- */

static void engine_finish(struct blk_io *io)
{
	if (io->ringed)
		io_uring_queue_exit(&io->ring);
	else
		blk_worker_finish(&io->worker);
}

int blk_io_init(struct blk_io *io, const struct watcher *watcher, bool worker, int (*confine)(void))
{
	int err;

	*io = (struct blk_io){.watcher = watcher};
	io->waiting_at = &io->waiting;
	io->ringed = !worker && ring_make(&io->ring) == 0;
	if (io->ringed) {
		io->watch =
			(struct watch){.fd = io->ring.ring_fd, .ready = ring_ready, .owner = io};
	} else {
		err = blk_worker_init(&io->worker, confine);
		if (err) {
			io->watcher = NULL;
			return err;
		}
		io->watch =
			(struct watch){.fd = io->worker.event, .ready = worker_ready, .owner = io};
	}
	err = watcher->add(watcher->ctx, &io->watch);
	if (!err)
		return 0;
	engine_finish(io);
	io->watcher = NULL;
	return log_fail(-err, "the disks' %s cannot be watched: %s", blk_io_name(io),
			strerror(-err));
}

void blk_io_finish(struct blk_io *io)
{
	io->watcher->del(io->watcher->ctx, &io->watch);
	engine_finish(io);
}

void blk_io_add(struct blk_io *io, struct blk_req *r)
{
	r->user->leaving = false;
	blk_call_begin(r);
	wait_again(io, r);
}

bool blk_io_submit(struct blk_io *io)
{
	if (!io->waiting)
		return true;
	if (io->ringed) {
		ring_submit(io);
		return !io->waiting || io->in_flight;
	}
	blk_worker_put(&io->worker, io->waiting);
	io->waiting = NULL;
	io->waiting_at = &io->waiting;
	io->submits++;
	return true;
}

struct blk_req *blk_io_cancel(struct blk_io *io, struct blk_user *u)
{
	struct blk_req *list = NULL, *r, **at;

	u->leaving = true;
	for (at = &io->waiting; (r = *at);) {
		if (r->user != u) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		r->next = list;
		list = r;
	}
	io->waiting_at = at;
	if (!io->ringed)
		blk_worker_cancel(&io->worker, u, &list);
	return list;
}
