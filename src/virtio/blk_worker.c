/*
 * blk_worker.c - the thread fc_io: takes one request after the other from a list and makes its
 * system calls. Two lists under one lock; the guest's memory is touched by those calls alone. Who
 * signals has let go of the lock: otherwise the other wakes up to wait for it.
 *
 * Writes into the page cache take microseconds, and waking another thread takes as long. So a row
 * of them is told of once, unless that would make the first wait long; and straight to the disk.
 */
#include "blk_worker.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../clock.h"
#include "../log.h"
#include "blk_call.h"

#define WORKER_STACK (256 * KIB)
#define TELL_NS      (NSEC / 5000) /* the longest that what ended waits for what comes next */
#define STUCK_NS     (NSEC / 1000)

/* The next request, or NULL when the thread is to end. */
static struct blk_req *worker_next(struct blk_worker *w)
{
	struct blk_req *r = NULL;

	pthread_mutex_lock(&w->lock);
	while (!w->todo.first && !w->quit)
		pthread_cond_wait(&w->news, &w->lock);
	if (!w->quit) {
		r = blk_list_pop(&w->todo);
		atomic_store(&w->since, clock_now());
	}
	pthread_mutex_unlock(&w->lock);
	return r;
}

static void worker_give(struct blk_worker *w)
{
	struct blk_req *list = blk_list_take(&w->own);

	if (list)
		list->user->wrote(list->user, list);
}

/* May what has ended wait for the next to end? The lock is held. */
static bool worker_goes_on(struct blk_worker *w, uint64_t now)
{
	const struct blk_req *next = w->todo.first;

	if (!w->untold_ns)
		w->untold_ns = now;
	if (next && next->op == BLK_OP_WRITE && now < w->untold_ns + TELL_NS)
		return true;
	w->untold_ns = 0;
	return false;
}

/* One write tells of all that ended until the loop looks. */
static void worker_ended(struct blk_worker *w, struct blk_req *r)
{
	bool own = r->blocking && r->user->wrote, more, tell;
	const uint64_t one = 1, now = clock_now();

	if (own && w->own.first && w->own.first->user != r->user)
		worker_give(w);
	r->next = NULL;
	pthread_mutex_lock(&w->lock);
	blk_list_add(own ? &w->own : &w->ended, r);
	more = worker_goes_on(w, now);
	tell = !more && w->ended.first && !w->told;
	w->told |= tell;
	atomic_store(&w->since, 0);
	pthread_mutex_unlock(&w->lock);
	if (!more)
		worker_give(w);
	if (tell && write(w->event, &one, sizeof(one)) < 0)
		return; /* cannot be: the counter never fills */
}

static void *worker_main(void *arg)
{
	struct blk_worker *w = arg;
	struct blk_req *r;
	struct blk_call c;

	prctl(PR_SET_NAME, "fc_io", 0, 0, 0);
	if (w->confine && w->confine())
		return NULL;
	while ((r = worker_next(w))) {
		do
			blk_call_next(r, &c);
		while (!blk_call_ended(r, blk_call_run(&c)));
		worker_ended(w, r);
	}
	return NULL;
}

int blk_worker_init(struct blk_worker *w)
{
	*w = (struct blk_worker){.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	blk_list_clear(&w->todo);
	blk_list_clear(&w->ended);
	blk_list_clear(&w->own);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->news, NULL);
	return w->event < 0 ? log_fail(errno, "eventfd: %s", strerror(errno)) : 0;
}

int blk_worker_start(struct blk_worker *w, int (*confine)(void))
{
	pthread_attr_t attr;
	int err;

	w->confine = confine;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, WORKER_STACK);
	err = pthread_create(&w->thread, &attr, worker_main, w);
	pthread_attr_destroy(&attr);
	w->started = !err;
	if (!err)
		return 0;
	return log_fail(err, "the thread for disk requests cannot be made: %s", strerror(err));
}

void blk_worker_finish(struct blk_worker *w)
{
	pthread_mutex_lock(&w->lock);
	w->quit = true;
	pthread_mutex_unlock(&w->lock);
	pthread_cond_signal(&w->news);
	if (w->started)
		pthread_join(w->thread, NULL);
	close(w->event);
}

void blk_worker_put(struct blk_worker *w, struct blk_req *list)
{
	pthread_mutex_lock(&w->lock);
	blk_list_add(&w->todo, list);
	pthread_mutex_unlock(&w->lock);
	pthread_cond_signal(&w->news);
}

bool blk_worker_stuck(const struct blk_worker *w)
{
	uint64_t since = atomic_load(&w->since);

	return since && clock_now() > since + STUCK_NS;
}

struct blk_req *blk_worker_take(struct blk_worker *w)
{
	struct blk_req *list;

	pthread_mutex_lock(&w->lock);
	list = blk_list_take(&w->ended);
	w->told = false;
	pthread_mutex_unlock(&w->lock);
	return list;
}

void blk_worker_cancel(struct blk_worker *w, const struct blk_user *u, struct blk_req **list)
{
	pthread_mutex_lock(&w->lock);
	blk_list_leave(&w->todo, u, list);
	pthread_mutex_unlock(&w->lock);
}
