/*
 * blk_io.h - reads, writes, flushes and hole punching for all disks, off the loop: by one io_uring,
 * restricted to those operations before lock-down, by one worker thread where io_uring is refused,
 * or by both: then the thread takes the writes that the ring could only hand to a thread of the
 * kernel's. Requests are submitted in batches and come back in batches, in the loop's thread.
 */
#pragma once
#include <liburing.h>

#include "../watch.h"
#include "blk_req.h"
#include "blk_worker.h"

enum blk_engine {
	BLK_ENGINE_RING, /* the worker stands in where io_uring is refused */
	BLK_ENGINE_WORKER,
	BLK_ENGINE_BOTH, /* likewise */
};

struct blk_io {
	const struct watcher *watcher; /* NULL: blk_io_init() failed */
	bool ringed, helped;           /* there is a ring; there is a worker */
	struct blk_list waiting;       /* added, not started: for the ring */
	struct blk_list handed;        /* ... for the worker */
	struct io_uring ring;
	struct watch ring_watch;
	unsigned in_flight;    /* in the ring */
	struct blk_user *lent; /* whose bell the worker hears; NULL: nobody's */
	uint64_t shared_at;    /* when another user needed it meanwhile; 0: none has */
	struct blk_worker worker;
	struct watch worker_watch; /* its eventfd */
	uint64_t submits;          /* system calls that started requests */
};

/* What takes reads: "io_uring" or "worker". */
const char *blk_io_name(const struct blk_io *io);
/*
 * Makes what `engine` says, or the worker thread alone when the kernel refuses a ring. 0 or -errno,
 * logged. Before lock-down, in the loop's thread: the ring takes requests from no other.
 */
int blk_io_init(struct blk_io *io, const struct watcher *watcher, enum blk_engine engine);
/* Starts the worker, if there is to be one: see blk_worker_start(). Before any request. */
int blk_io_start(struct blk_io *io, int (*confine)(void));
/* Nothing may be in flight. */
void blk_io_finish(struct blk_io *io);
/* Takes a request; it starts at the next blk_io_submit() at the latest. Never fails. */
void blk_io_add(struct blk_io *io, struct blk_req *r);
/* The worker's thread, inside wrote(): adds a request to what that returns. */
void blk_io_add_to(struct blk_list *row, struct blk_req *r);
/*
 * May a user's bell go to the worker now: is there one, with a ring beside it, is it neither lent
 * nor stuck, and has no other user needed it lately?
 */
bool blk_io_can_lend(const struct blk_io *io);
/* Has the worker anything to do? */
bool blk_io_busy(struct blk_io *io);
/*
 * Until blk_io_take_back() the worker waits for the eventfd `bell`, which blocks, and calls
 * u->wrote() when it was signalled. Once more may follow after that: somebody else's turn.
 */
void blk_io_lend(struct blk_io *io, struct blk_user *u, int bell);
void blk_io_take_back(struct blk_io *io);
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
