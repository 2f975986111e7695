/* watches.c - epoll around struct watch, as src/loop.c has it. */
#include "watches.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 32

static int watches_add(void *ctx, struct watch *watch)
{
	struct watches *w = ctx;
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = watch};

	if (w->refuse)
		return -w->refuse;
	if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, watch->fd, &e) < 0)
		return -errno;
	w->watched++;
	return 0;
}

static void watches_del(void *ctx, struct watch *watch)
{
	struct watches *w = ctx;

	if (watch->fd < 0 || epoll_ctl(w->epoll, EPOLL_CTL_DEL, watch->fd, NULL) < 0)
		abort(); /* it was not watched */
	w->watched--;
	watch->fd = -1;
}

void watches_init(struct watches *w)
{
	*w = (struct watches){.epoll = epoll_create1(EPOLL_CLOEXEC)};
	w->watcher = (struct watcher){.ctx = w, .add = watches_add, .del = watches_del};
	if (w->epoll < 0)
		abort();
}

void watches_finish(struct watches *w)
{
	close(w->epoll);
}

unsigned watches_turn(struct watches *w)
{
	struct epoll_event e[EVENTS];
	int n = epoll_wait(w->epoll, e, EVENTS, 0);

	for (int i = 0; i < n; i++) {
		struct watch *watch = e[i].data.ptr;

		watch->ready(watch, e[i].events);
	}
	return n > 0 ? (unsigned)n : 0;
}
