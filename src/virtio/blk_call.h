/*
 * blk_call.h - one disk request as a row of system calls, which the ring and the worker make alike:
 * short reads and writes go on, what a file system does not have is done another way.
 */
#pragma once
#include "blk_io.h"

enum blk_call_kind { BLK_CALL_READ, BLK_CALL_WRITE, BLK_CALL_SYNC, BLK_CALL_ALLOCATE };

struct blk_call {
	enum blk_call_kind kind;
	int fd;
	const struct iovec *iov; /* READ, WRITE; more than one entry: it holds until the end */
	unsigned iovs;
	uint64_t off, len;
	int flags;        /* RWF_*; ALLOCATE: the mode */
	struct iovec one; /* where iov may point */
};

void blk_call_begin(struct blk_req *r);
/* The call to make now. *c stays where it is until the call ended. */
void blk_call_next(const struct blk_req *r, struct blk_call *c);
/*
 * It returned `got` (-errno for failure). true: the request ended, r->result is set; early if its
 * user is leaving.
 */
bool blk_call_ended(struct blk_req *r, int64_t got);
/* Makes the call in this thread: what it returned, or -errno. */
int64_t blk_call_run(const struct blk_call *c);

/* Cuts `n` bytes, and the entries that become empty, off the front of an iovec. */
void blk_iov_cut(struct iovec **iov, unsigned *iovs, uint64_t n);
