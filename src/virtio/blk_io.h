/*
 * blk_io.h - reads, writes, flushes and hole punching for all disks, off the loop: by one io_uring,
 * restricted to those operations before lock-down, or by one worker thread where io_uring is
 * refused. Requests are submitted in batches and come back in batches, in the loop's thread.
 */
#pragma once
#include <liburing.h>
#include <sys/uio.h>

#include "../watch.h"
#include "blk_worker.h"

enum blk_op {
	BLK_OP_READ,
	BLK_OP_WRITE,
	BLK_OP_FLUSH,
	BLK_OP_DISCARD, /* the contents are not needed; a file that cannot forget keeps them */
	BLK_OP_ZERO,    /* zeros that keep their space on the medium */
	BLK_OP_UNMAP,   /* zeros that give it back, where that can be had */
};

struct blk_req;

/* Whom requests belong to: a disk. */
struct blk_user {
	/*
	 * Requests that ended, a list by `next`. Loop's thread, no lock held, never from inside a
	 * call of this header. NULL: none did, but the kernel refused those that wait: the user
	 * calls blk_io_submit() once more, later.
	 */
	void (*done)(struct blk_user *u, struct blk_req *list);

	struct blk_req *first, **last; /* the engine's: ended, not told yet */
	struct blk_user *next;
	_Atomic bool leaving; /* cancelled: what has more calls to make ends before them */
};

/* One operation; the owner keeps it, and what it points to, until it came back. */
struct blk_req {
	enum blk_op op;
	bool stable; /* WRITE and the three after FLUSH: on the medium when it ends */
	int fd;
	struct iovec *iov; /* READ, WRITE; consumed: what is done is cut off */
	unsigned iovs;
	uint64_t off, len; /* bytes, not 0 but for FLUSH; iov holds as many */
	struct blk_user *user;
	/* 0 or -errno; READ, WRITE: bytes, fewer than len only where a file ends before. */
	int64_t result;
	struct blk_req *next;

	uint64_t progress; /* the engine's: bytes */
	uint8_t step, tries;
};

struct blk_io {
	const struct watcher *watcher;         /* NULL: blk_io_init() failed */
	struct watch watch;                    /* the ring, or the worker's eventfd */
	struct blk_req *waiting, **waiting_at; /* added, not started */
	unsigned in_flight;                    /* in the ring */
	bool ringed;                           /* or by the worker */
	struct io_uring ring;
	struct blk_worker worker;
	uint64_t submits; /* system calls that started requests */
};

/* The engine in use: "io_uring" or "worker". */
const char *blk_io_name(const struct blk_io *io);
/*
 * Makes the ring, or the worker thread when the kernel refuses one (or `worker` asks for it). 0 or
 * -errno, logged. Before lock-down, in the loop's thread: the ring takes requests from no other.
 * `confine` (may be NULL) is called first in the worker's thread.
 */
int blk_io_init(struct blk_io *io, const struct watcher *watcher, bool worker,
		int (*confine)(void));
/* Nothing may be in flight. */
void blk_io_finish(struct blk_io *io);
/* Takes a request; it starts at the next blk_io_submit() at the latest. Never fails. */
void blk_io_add(struct blk_io *io, struct blk_req *r);
/*
 * Starts what was added: one system call for all, but for those that have to wait until others
 * ended. false: the kernel took none, and nothing is in flight that would end: call again, later.
 */
bool blk_io_submit(struct blk_io *io);
/*
 * Takes back what has not been started of `u`: a list by `next`. The rest will come back, each
 * after the system call that it is at, -ECANCELED if it was not the last one. Then `u` may add
 * again.
 */
struct blk_req *blk_io_cancel(struct blk_io *io, struct blk_user *u);
