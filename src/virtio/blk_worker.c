/*
 * blk_worker.c - the thread fc_io: takes one request after the other from a list and makes its
 * system calls. Two lists under one lock; the guest's memory is touched by those calls alone. Who
 * signals has let go of the lock: otherwise the other wakes up to wait for it.
 */
#include "blk_worker.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../log.h"
#include "blk_call.h"

#define WORKER_STACK (256 * KIB)

static void list_clear(struct blk_req **list, struct blk_req ***end)
{
	*list = NULL;
	*end = list;
}

/* The next request, or NULL when the thread is to end. */
static struct blk_req *worker_next(struct blk_worker *w)
{
	struct blk_req *r = NULL;

	pthread_mutex_lock(&w->lock);
	while (!w->todo && !w->quit)
		pthread_cond_wait(&w->news, &w->lock);
	if (!w->quit) {
		r = w->todo;
		w->todo = r->next;
		if (!w->todo)
			w->todo_at = &w->todo;
	}
	pthread_mutex_unlock(&w->lock);
	return r;
}

/* One write tells of all that ended until the loop looks. */
static void worker_tell(struct blk_worker *w, struct blk_req *r)
{
	const uint64_t one = 1;
	bool first;

	r->next = NULL;
	pthread_mutex_lock(&w->lock);
	first = !w->ended;
	*w->ended_at = r;
	w->ended_at = &r->next;
	pthread_mutex_unlock(&w->lock);
	if (first && write(w->event, &one, sizeof(one)) < 0)
		return; /* cannot be: the counter never fills */
}

static bool worker_enter(struct blk_worker *w)
{
	int err = w->confine ? w->confine() : 0;

	pthread_mutex_lock(&w->lock);
	w->err = err;
	w->ready = true;
	pthread_mutex_unlock(&w->lock);
	pthread_cond_signal(&w->news);
	return !err;
}

static void *worker_main(void *arg)
{
	struct blk_worker *w = arg;
	struct blk_req *r;
	struct blk_call c;

	prctl(PR_SET_NAME, "fc_io", 0, 0, 0);
	if (!worker_enter(w))
		return NULL;
	while ((r = worker_next(w))) {
		do
			blk_call_next(r, &c);
		while (!blk_call_ended(r, blk_call_run(&c)));
		worker_tell(w, r);
	}
	return NULL;
}

/* The thread says itself when it is confined, or could not be. */
static int worker_start(struct blk_worker *w)
{
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, WORKER_STACK);
	err = pthread_create(&w->thread, &attr, worker_main, w);
	pthread_attr_destroy(&attr);
	if (err)
		return log_fail(err, "the thread for disk requests cannot be made: %s",
				strerror(err));
	pthread_mutex_lock(&w->lock);
	while (!w->ready)
		pthread_cond_wait(&w->news, &w->lock);
	pthread_mutex_unlock(&w->lock);
	if (w->err)
		pthread_join(w->thread, NULL);
	return w->err;
}

int blk_worker_init(struct blk_worker *w, int (*confine)(void))
{
	int err;

	*w = (struct blk_worker){.confine = confine};
	list_clear(&w->todo, &w->todo_at);
	list_clear(&w->ended, &w->ended_at);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->news, NULL);
	w->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->event < 0)
		return log_fail(errno, "eventfd: %s", strerror(errno));
	err = worker_start(w);
	if (err)
		close(w->event);
	return err;
}

void blk_worker_finish(struct blk_worker *w)
{
	pthread_mutex_lock(&w->lock);
	w->quit = true;
	pthread_mutex_unlock(&w->lock);
	pthread_cond_signal(&w->news);
	pthread_join(w->thread, NULL);
	close(w->event);
}

void blk_worker_put(struct blk_worker *w, struct blk_req *list)
{
	pthread_mutex_lock(&w->lock);
	*w->todo_at = list;
	for (; list; list = list->next)
		w->todo_at = &list->next;
	pthread_mutex_unlock(&w->lock);
	pthread_cond_signal(&w->news);
}

struct blk_req *blk_worker_take(struct blk_worker *w)
{
	struct blk_req *list;

	pthread_mutex_lock(&w->lock);
	list = w->ended;
	list_clear(&w->ended, &w->ended_at);
	pthread_mutex_unlock(&w->lock);
	return list;
}

void blk_worker_cancel(struct blk_worker *w, const struct blk_user *u, struct blk_req **list)
{
	struct blk_req *r, **at;

	pthread_mutex_lock(&w->lock);
	for (at = &w->todo; (r = *at);) {
		if (r->user != u) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		r->next = *list;
		*list = r;
	}
	w->todo_at = at;
	pthread_mutex_unlock(&w->lock);
}
