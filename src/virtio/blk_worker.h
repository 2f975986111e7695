/*
 * blk_worker.h - one thread, fc_io, that carries out disk requests where io_uring is refused.
 * Loop's thread calls.
 */
#pragma once
#include <pthread.h>

#include "../util.h"

struct blk_req;
struct blk_user;

struct blk_worker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t news; /* `todo` or `quit`, for the thread; `ready`, for who starts it */
	struct blk_req *todo, **todo_at;
	struct blk_req *ended, **ended_at;
	int event; /* eventfd, written to when something ended; it need not be read */
	bool ready, quit;
	int err; /* of `confine` */
	int (*confine)(void);
};

/* 0 or -errno, logged. `confine` (may be NULL) is called first in the thread. */
int blk_worker_init(struct blk_worker *w, int (*confine)(void));
/* Ends the thread, after the request that it is at. */
void blk_worker_finish(struct blk_worker *w);
/* Adds a list, by `next`. */
void blk_worker_put(struct blk_worker *w, struct blk_req *list);
/* Takes what ended since, in order. */
struct blk_req *blk_worker_take(struct blk_worker *w);
/* Moves what was not begun of `u` to the front of *list. */
void blk_worker_cancel(struct blk_worker *w, const struct blk_user *u, struct blk_req **list);
