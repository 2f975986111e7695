/*
 * blk_worker.h - one thread, fc_io, that carries out disk requests by system calls that may wait.
 * Loop's thread calls.
 */
#pragma once
#include <pthread.h>

#include "blk_req.h"

struct blk_worker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t news; /* `todo` or `quit` */
	struct blk_list todo, ended;
	bool told; /* of `ended`, since the loop looked */
	struct blk_list
		own;        /* ended, for wrote() of one user; the thread's alone, as is the next */
	uint64_t untold_ns; /* since when something has ended and nobody knows; 0: nothing has */
	_Atomic uint64_t since;  /* when it began the request that it is at; 0: it is at none */
	int event;               /* eventfd, written to when something ended; it need not be read */
	struct blk_user *lender; /* whose bell it waits for while there is nothing to do, */
	int bell;                /* this one; -1: for `news` */
	bool started, quit;
	int (*confine)(void);
};

/* 0 or -errno, logged. */
int blk_worker_init(struct blk_worker *w);
/*
 * Makes the thread; `confine` (may be NULL) is called first in it. If that fails it ends, and no
 * request ever will. 0 or -errno, logged.
 */
int blk_worker_start(struct blk_worker *w, int (*confine)(void));
/* Ends the thread, after the request that it is at. */
void blk_worker_finish(struct blk_worker *w);
/* Adds a list, by `next`. */
void blk_worker_put(struct blk_worker *w, struct blk_req *list);
/*
 * From now on it waits for `bell`, an eventfd that blocks, as well, and reads it; it is signalled
 * once, for what came before. -1: no more. In between may be a call of u->wrote() for the last one.
 */
void blk_worker_lend(struct blk_worker *w, struct blk_user *u, int bell);
/* Is it at a request, or has it one to begin? */
bool blk_worker_busy(struct blk_worker *w);
/* Has it been at one request for so long that others had better not wait behind it? */
bool blk_worker_stuck(const struct blk_worker *w);
/* Takes what ended since, in order. */
struct blk_req *blk_worker_take(struct blk_worker *w);
/* Moves what was not begun of `u` to the front of *list. */
void blk_worker_cancel(struct blk_worker *w, const struct blk_user *u, struct blk_req **list);
