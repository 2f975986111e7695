/*
 * blk_call.c - the row of system calls of each disk operation. Zeros come from the file system
 * (FALLOC_FL_ZERO_RANGE) or from a hole; where it has neither, they are written.
 * No state beside the request: both engines' threads call, each for requests of its own.
 */
#include "blk_call.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define TRIES_MAX 64u /* calls in a row that came to nothing (EINTR, EAGAIN) */

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define RANGE (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)

enum step { STEP_DATA, STEP_SYNC, STEP_PUNCH, STEP_RANGE, STEP_ZEROS };

/* Never written to, so all of it is the kernel's one page of zeros. */
#define ZEROS_LEN (64 * KIB)
#define ZEROS_N   16u
static uint8_t zeros[ZEROS_LEN];
#define Z                                                                                          \
	{                                                                                          \
		zeros, ZEROS_LEN                                                                   \
	}
static const struct iovec zeros_iov[] = {Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z};
_Static_assert(ARRAY_SIZE(zeros_iov) == ZEROS_N, "the most of one write");

void blk_iov_cut(struct iovec **iov, unsigned *iovs, uint64_t n)
{
	for (; *iovs && n >= (*iov)->iov_len; (*iov)++, (*iovs)--)
		n -= (*iov)->iov_len;
	if (*iovs) {
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + n;
		(*iov)->iov_len -= n;
	}
}

void blk_call_begin(struct blk_req *r)
{
	static const uint8_t first[] = {
		[BLK_OP_READ] = STEP_DATA,  [BLK_OP_WRITE] = STEP_DATA,
		[BLK_OP_FLUSH] = STEP_SYNC, [BLK_OP_DISCARD] = STEP_PUNCH,
		[BLK_OP_ZERO] = STEP_RANGE, [BLK_OP_UNMAP] = STEP_PUNCH,
	};

	r->step = first[r->op];
	r->progress = 0;
	r->tries = 0;
}

static void data_next(const struct blk_req *r, struct blk_call *c)
{
	c->kind = r->op == BLK_OP_READ ? BLK_CALL_READ : BLK_CALL_WRITE;
	c->iov = r->iov;
	c->iovs = r->iovs;
	c->flags = r->op == BLK_OP_WRITE && r->stable ? RWF_DSYNC : 0;
}

static void zeros_next(struct blk_call *c)
{
	c->kind = BLK_CALL_WRITE;
	c->iov = zeros_iov;
	c->iovs = (unsigned)MIN(c->len / ZEROS_LEN, ZEROS_N);
	if (c->iovs == 0) {
		c->one = (struct iovec){zeros, c->len};
		c->iov = &c->one;
		c->iovs = 1;
	}
	c->len = c->iovs * c->iov->iov_len;
}

void blk_call_next(const struct blk_req *r, struct blk_call *c)
{
	c->fd = r->fd;
	c->off = r->off + r->progress;
	c->len = r->len - r->progress;
	c->flags = 0;
	switch ((enum step)r->step) {
	case STEP_DATA: data_next(r, c); break;
	case STEP_ZEROS: zeros_next(c); break;
	case STEP_SYNC: c->kind = BLK_CALL_SYNC; break;
	case STEP_PUNCH:
	case STEP_RANGE:
		c->kind = BLK_CALL_ALLOCATE;
		c->flags = r->step == STEP_PUNCH ? PUNCH : RANGE;
		break;
	}
}

/* The file, its file system or its device has no such thing, or not for this range. */
static bool lacking(int64_t got)
{
	return got == -EOPNOTSUPP || got == -EINVAL || got == -ENOSYS;
}

/* true: the request ended. */
static bool data_ended(struct blk_req *r, int64_t got)
{
	if (got > 0) {
		got = (int64_t)MIN((uint64_t)got, r->len - r->progress);
		if (r->step == STEP_DATA)
			blk_iov_cut(&r->iov, &r->iovs, (uint64_t)got);
		r->progress += (uint64_t)got;
		r->tries = 0;
		if (r->progress < r->len)
			return false;
	} else if (got == 0 && r->op != BLK_OP_READ) {
		got = -EIO; /* no progress, and no reason: it would never end */
	}
	if (got < 0)
		r->result = got;
	else
		r->result = r->step == STEP_DATA ? (int64_t)r->progress : 0;
	return true;
}

static bool punch_ended(struct blk_req *r, int64_t got)
{
	bool lacks = lacking(got);

	r->result = lacks ? 0 : got;
	if (lacks && r->op == BLK_OP_UNMAP)
		r->step = STEP_RANGE;
	return r->step == STEP_PUNCH;
}

static bool range_ended(struct blk_req *r, int64_t got)
{
	r->result = got;
	if (lacking(got))
		r->step = STEP_ZEROS;
	return r->step == STEP_RANGE;
}

static bool step_ended(struct blk_req *r, int64_t got)
{
	bool ended = true;

	if ((got == -EINTR || got == -EAGAIN) && ++r->tries < TRIES_MAX)
		return false;
	switch ((enum step)r->step) {
	case STEP_DATA:
	case STEP_ZEROS: ended = data_ended(r, got); break;
	case STEP_PUNCH: ended = punch_ended(r, got); break;
	case STEP_RANGE: ended = range_ended(r, got); break;
	case STEP_SYNC: r->result = got; break;
	}
	/* A write that is stable was so by its own call; its result is not 0. */
	if (ended && r->stable && r->result == 0 && r->step != STEP_SYNC) {
		r->step = STEP_SYNC;
		return false;
	}
	return ended;
}

bool blk_call_ended(struct blk_req *r, int64_t got)
{
	if (step_ended(r, got))
		return true;
	if (!r->user->leaving)
		return false;
	r->result = -ECANCELED;
	return true;
}

int64_t blk_call_run(const struct blk_call *c)
{
	int64_t got = -1;

	switch (c->kind) {
	case BLK_CALL_READ: got = preadv(c->fd, c->iov, (int)c->iovs, (off_t)c->off); break;
	case BLK_CALL_WRITE:
		got = pwritev2(c->fd, c->iov, (int)c->iovs, (off_t)c->off, c->flags);
		break;
	case BLK_CALL_SYNC: got = fdatasync(c->fd); break;
	case BLK_CALL_ALLOCATE:
		got = fallocate(c->fd, c->flags, (off_t)c->off, (off_t)c->len);
		break;
	}
	return got < 0 ? -errno : got;
}
