/*
 * blk_worker.c - the thread fc_io: takes one request after the other from a list and makes its
 * system calls. Two lists under one lock; the guest's memory is touched by those calls alone. Who
 * signals has let go of the lock: otherwise the other wakes up to wait for it.
 *
 * Writes into the page cache take microseconds, and waking another thread takes as long. So a row
 * of them is told of once, unless that would make the first wait long; and straight to the disk.
 * Where a disk has lent its bell, that wakes the thread, and whoever else has news rings it, too.
 */
#include "blk_worker.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "../clock.h"
#include "../log.h"
#include "blk_call.h"

#define WORKER_STACK (256 * KIB)
#define TELL_NS      (NSEC / 5000) /* the longest that what ended waits for what comes next */
#define STUCK_NS     (NSEC / 1000)

static void signal_event(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		return; /* cannot be: the counter never fills */
}

static void sleep_until(uint64_t t)
{
	const struct timespec ts = {.tv_sec = (time_t)(t / NSEC), .tv_nsec = (long)(t % NSEC)};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* Lets go of the lock while it waits. */
static void worker_wait(struct blk_worker *w)
{
	struct blk_user *u = w->lender;
	struct blk_req *row;
	uint64_t rings;
	int bell = w->bell;

	if (bell < 0) {
		pthread_cond_wait(&w->news, &w->lock);
		return;
	}
	pthread_mutex_unlock(&w->lock);
	if (u->look_at)
		sleep_until(u->look_at);
	else if (read(bell, &rings, sizeof(rings)) < 0)
		log_fail(errno, "a disk's bell cannot be read: %s", strerror(errno));
	row = u->wrote(u, NULL);
	pthread_mutex_lock(&w->lock);
	blk_list_add(&w->todo, row);
}

static void worker_give(struct blk_worker *w)
{
	struct blk_req *row, *list = blk_list_take(&w->own);

	row = list ? list->user->wrote(list->user, list) : NULL;
	if (!row)
		return;
	pthread_mutex_lock(&w->lock);
	blk_list_add(&w->todo, row);
	pthread_mutex_unlock(&w->lock);
}

/*
 * Gives what ended, of whichever kind; one signal tells of all until the loop looks. Lets go of the
 * lock.
 */
static void worker_tell(struct blk_worker *w)
{
	bool tell = w->ended.first && !w->told;

	w->told |= tell;
	w->untold_ns = 0;
	pthread_mutex_unlock(&w->lock);
	worker_give(w);
	if (tell)
		signal_event(w->event);
}

/* The next request, or NULL when the thread is to end. */
static struct blk_req *worker_next(struct blk_worker *w)
{
	struct blk_req *r = NULL;

	pthread_mutex_lock(&w->lock);
	while (!w->todo.first && !w->quit) {
		if (!w->untold_ns) {
			worker_wait(w);
			continue;
		}
		worker_tell(w); /* what it was to be told of with has been cancelled */
		pthread_mutex_lock(&w->lock);
	}
	if (!w->quit) {
		r = blk_list_pop(&w->todo);
		atomic_store(&w->since, clock_now());
	}
	pthread_mutex_unlock(&w->lock);
	return r;
}

/* May what has ended wait for the next to end? The lock is held. */
static bool worker_goes_on(struct blk_worker *w, uint64_t now)
{
	const struct blk_req *next = w->todo.first;

	if (!w->untold_ns)
		w->untold_ns = now;
	return next && next->op == BLK_OP_WRITE && now < w->untold_ns + TELL_NS;
}

static void worker_ended(struct blk_worker *w, struct blk_req *r)
{
	bool own = r->blocking && r->user->wrote;
	const uint64_t now = clock_now();

	if (own && w->own.first && w->own.first->user != r->user)
		worker_give(w);
	r->next = NULL;
	pthread_mutex_lock(&w->lock);
	blk_list_add(own ? &w->own : &w->ended, r);
	atomic_store(&w->since, 0);
	if (worker_goes_on(w, now))
		pthread_mutex_unlock(&w->lock);
	else
		worker_tell(w);
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
	*w = (struct blk_worker){.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .bell = -1};
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

/* Wakes it, wherever it waits; `bell` is what it had when there were news. */
static void worker_call(struct blk_worker *w, int bell)
{
	if (bell < 0)
		pthread_cond_signal(&w->news);
	else
		signal_event(bell);
}

void blk_worker_finish(struct blk_worker *w)
{
	pthread_mutex_lock(&w->lock);
	w->quit = true;
	pthread_mutex_unlock(&w->lock);
	worker_call(w, w->bell);
	if (w->started)
		pthread_join(w->thread, NULL);
	close(w->event);
}

void blk_worker_put(struct blk_worker *w, struct blk_req *list)
{
	pthread_mutex_lock(&w->lock);
	blk_list_add(&w->todo, list);
	pthread_mutex_unlock(&w->lock);
	worker_call(w, w->bell);
}

void blk_worker_lend(struct blk_worker *w, struct blk_user *u, int bell)
{
	int old = w->bell;

	pthread_mutex_lock(&w->lock);
	w->lender = u;
	w->bell = bell;
	pthread_mutex_unlock(&w->lock);
	worker_call(w, old);
	if (bell >= 0)
		signal_event(bell);
}

bool blk_worker_busy(struct blk_worker *w)
{
	bool busy;

	pthread_mutex_lock(&w->lock);
	busy = w->since || w->todo.first;
	pthread_mutex_unlock(&w->lock);
	return busy;
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
