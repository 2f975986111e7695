/*
 * blk_req.h - one operation on a disk's file, whom it belongs to, and lists of them. Engines
 * (blk_io.h) take it and give it back.
 */
#pragma once
#include <sys/uio.h>

#include "../util.h"

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
	 * call of blk_io.h. NULL: none did, but the kernel refused those that wait: the user calls
	 * blk_io_submit() once more, later.
	 */
	void (*done)(struct blk_user *u, struct blk_req *list);
	/*
	 * Blocking requests that the worker ended, a list by `next`; an empty one: the bell rang
	 * that was lent to it. In its thread, no lock held; nothing may be added from there, but
	 * what is returned, a list by blk_io_add_to(), is begun. NULL: they come by done(), too,
	 * and nothing is lent.
	 */
	struct blk_req *(*wrote)(struct blk_user *u, struct blk_req *list);
	uint64_t look_at; /* wrote() left it: when it is to be called without a list again; 0: never
			   */
	/*
	 * Another user needs the worker: call blk_io_take_back() soon, but not from here. Loop's
	 * thread.
	 */
	void (*recall)(struct blk_user *u);

	struct blk_req *first, **last; /* the engine's: ended, not told yet */
	struct blk_user *next;
	_Atomic bool leaving; /* cancelled: what has more calls to make ends before them */
};

/* The owner keeps it, and what it points to, until it came back. */
struct blk_req {
	enum blk_op op;
	bool stable;   /* WRITE and the three after FLUSH: on the medium when it ends */
	bool blocking; /* WRITE: likely into the page cache, which cannot say that it would wait */
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

/* First in, first out. It must not move. */
struct blk_list {
	struct blk_req *first, **end;
};

static inline void blk_list_clear(struct blk_list *l)
{
	l->first = NULL;
	l->end = &l->first;
}

/* Adds a request, or several by `next`. */
static inline void blk_list_add(struct blk_list *l, struct blk_req *r)
{
	for (*l->end = r; r; r = r->next)
		l->end = &r->next;
}

/* The first one is taken out; there is one. */
static inline struct blk_req *blk_list_pop(struct blk_list *l)
{
	struct blk_req *r = l->first;

	l->first = r->next;
	if (!l->first)
		l->end = &l->first;
	return r;
}

/* All are taken out: by `next`. */
static inline struct blk_req *blk_list_take(struct blk_list *l)
{
	struct blk_req *r = l->first;

	blk_list_clear(l);
	return r;
}

/* Moves those of `u` to the front of *list. */
static inline void blk_list_leave(struct blk_list *l, const struct blk_user *u,
				  struct blk_req **list)
{
	struct blk_req *r, **at;

	for (at = &l->first; (r = *at);) {
		if (r->user != u) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		r->next = *list;
		*list = r;
	}
	l->end = at;
}
