/*
 * blk_io.h - reads, writes, flushes and hole punching for all disks, off the loop: by one io_uring,
 * restricted to those operations before lock-down, or by one worker thread where io_uring is
 * refused. Requests are submitted in batches and complete in the loop's thread.
 */
#pragma once
#include <sys/uio.h>

#include "../watch.h"

enum blk_op { BLK_OP_READ, BLK_OP_WRITE, BLK_OP_FLUSH, BLK_OP_DISCARD, BLK_OP_ZERO };

/* One operation in flight; the owner keeps it until `done` was called. */
struct blk_req {
	enum blk_op op;
	int fd;
	const struct iovec *iov; /* READ, WRITE */
	unsigned iovs;
	uint64_t off, len; /* bytes; DISCARD and ZERO use len */
	/* Bytes, 0 or -errno. Loop's thread, no lock held. */
	void (*done)(struct blk_req *r, int64_t result);
	struct blk_req *next; /* the engine's */
};

struct blk_io;
/* The engine in use: "io_uring" or "worker". */
const char *blk_io_name(const struct blk_io *io);
/*
 * Makes the ring, or the worker thread when the kernel refuses one (or `worker` asks for it). 0 or
 * -errno, logged. Before lock-down. `confine` (may be NULL) is called first in the worker's thread.
 */
int blk_io_init(struct blk_io *io, const struct watcher *watcher, bool worker,
		int (*confine)(void));
/* Takes a request; it starts at the next blk_io_submit() at the latest. Never fails. */
void blk_io_add(struct blk_io *io, struct blk_req *r);
/* Starts what was added: one system call for all. */
void blk_io_submit(struct blk_io *io);
