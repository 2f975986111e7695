/*
 * loop.c - the event loop. The timer is edge-triggered and never read: a fresh expiry is a fresh
 * edge, which saves a system call at each turn. Waking the loop is arming the timer for the past.
 */
#include "loop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

/* In an event's data: one of these, or the address of a struct watch. */
enum ev { EV_TIMER, EV_SIGNAL, EV_IN, EV_OUT, EV_N };

#define EVENTS 32 /* a turn; what does not fit comes at the next */

_Static_assert(WATCH_IN == EPOLLIN && WATCH_OUT == EPOLLOUT && WATCH_ERR == EPOLLERR &&
		       WATCH_HUP == EPOLLHUP,
	       "watches name events as epoll does");

static int watch(const struct loop *l, int fd, enum ev ev, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.u64 = ev};

	return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

int loop_take_signals(struct loop *l)
{
	static const int taken[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGXFSZ};
	sigset_t set;

	sigemptyset(&set);
	for (unsigned i = 0; i < ARRAY_SIZE(taken); i++)
		sigaddset(&set, taken[i]);
	/* Not SIG_BLOCK: what the parent blocked, such as the vCPUs' kick, is open again. */
	sigprocmask(SIG_SETMASK, &set, NULL);
	l->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (l->signals < 0)
		return log_fail(errno, "signalfd: %s", strerror(errno));
	return 0;
}

int loop_init(struct loop *l)
{
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->epoll < 0 || l->timer < 0 || watch(l, l->timer, EV_TIMER, EPOLLIN | EPOLLET) ||
	    watch(l, l->signals, EV_SIGNAL, EPOLLIN))
		return log_fail(errno, "the event loop cannot be set up: %s", strerror(errno));
	return 0;
}

void loop_take_console(struct loop *l, struct console *c)
{
	l->console = c;
	/* What epoll refuses (EPERM) is always ready. */
	c->in_watch = c->in_watch && !watch(l, c->in, EV_IN, EPOLLIN | EPOLLET);
}

/* Also what stays open, stdin say, which could not be watched another time otherwise. */
void loop_drop_console(struct loop *l)
{
	if (!l->console)
		return;
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, l->console->in, NULL);
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, l->console->out, NULL);
	l->console = NULL;
}

static int watcher_add(void *ctx, struct watch *w)
{
	const struct loop *l = ctx;
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = w};

	return epoll_ctl(l->epoll, EPOLL_CTL_ADD, w->fd, &e) < 0 ? -errno : 0;
}

/* Unlike adding once more it needs no memory, and so cannot fail. */
static void watcher_mute(void *ctx, struct watch *w, bool mute)
{
	const struct loop *l = ctx;
	struct epoll_event e = {.data.ptr = w};

	e.events = mute ? EPOLLET : EPOLLIN | EPOLLOUT | EPOLLET;
	epoll_ctl(l->epoll, EPOLL_CTL_MOD, w->fd, &e);
}

static void watcher_del(void *ctx, struct watch *w)
{
	const struct loop *l = ctx;

	if (w->fd >= 0)
		epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	w->fd = -1;
}

void loop_watcher(struct loop *l, struct watcher *w)
{
	*w = (struct watcher){
		.ctx = l, .add = watcher_add, .del = watcher_del, .mute = watcher_mute};
}

void loop_arm(struct loop *l, uint64_t deadline)
{
	struct itimerspec t = {.it_interval = {0}};

	deadline = MAX(deadline, 1u); /* 0 would disarm */
	t.it_value.tv_sec = (time_t)(deadline / NSEC);
	t.it_value.tv_nsec = (long)(deadline % NSEC);
	timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &t, NULL);
}

/* How many bytes are done with: written, or dropped beyond the limit. */
static size_t output_some(struct console *c, const uint8_t *p, size_t n)
{
	size_t done;

	if (!limiter_limits(&c->limit))
		return console_write(c, p, n);
	if (limiter_take(&c->limit, n, clock_now())) {
		c->over_limit += n;
		return n;
	}
	done = console_write(c, p, n);
	if (done < n)
		limiter_give_back(&c->limit, n - done);
	return done;
}

/* Guest to stdout: what is due, until the reader would block. */
static void output(struct loop *l, bool all)
{
	struct console *c = l->console;
	const uint8_t *p;
	size_t n, done;

	while (c->out_ready && (n = board_tx_peek(l->board, &p, all, clock_now()))) {
		done = output_some(c, p, n);
		if (done)
			board_tx_done(l->board, done, clock_now());
		all = true; /* what came meanwhile goes along */
	}
	if (!c->out_ready && c->out_watch) /* watched from the first time that it would block */
		if (watch(l, c->out, EV_OUT, EPOLLOUT | EPOLLET) == -EPERM)
			c->out_ready = true;
}

/* stdin to guest: until the FIFO is full or nothing is left. */
static void input(struct loop *l)
{
	struct console *c = l->console;
	size_t n;

	for (;;) {
		if (console_fill(c) == CONSOLE_QUIT) {
			l->ask_end(l->ctx, 0);
			return;
		}
		if (!c->len)
			return;
		n = board_rx(l->board, c->buf + c->off, c->len, clock_now());
		c->off += n;
		c->len -= n;
		if (c->len)
			return; /* the board wakes the loop when there is room */
	}
}

/* A caller that ignores one of these means it (nohup, a script's background job). */
static bool is_meant(int sig)
{
	struct sigaction sa;

	return sigaction(sig, NULL, &sa) == 0 && sa.sa_handler != SIG_IGN;
}

static void signals(struct loop *l)
{
	struct signalfd_siginfo si;

	while (read(l->signals, &si, sizeof(si)) == sizeof(si))
		if (is_meant((int)si.ssi_signo))
			l->ask_end(l->ctx, (int)si.ssi_signo);
}

static void dispatch(struct loop *l, const struct epoll_event *e)
{
	struct watch *w = e->data.ptr;

	if (e->data.u64 >= EV_N) {
		w->ready(w, e->events);
		return;
	}
	switch ((enum ev)e->data.u64) {
	case EV_TIMER:
	case EV_N: break;
	case EV_SIGNAL: signals(l); break;
	case EV_IN: l->console->in_ready = true; break;
	case EV_OUT: l->console->out_ready = true; break;
	}
}

void loop_run(struct loop *l)
{
	struct epoll_event e[EVENTS];
	bool more = l->board != NULL; /* a file or /dev/null as input gives no event */

	while (!l->ended(l->ctx)) {
		int n = epoll_wait(l->epoll, e, EVENTS, more ? 0 : l->patience_ms ?: -1);

		l->wakeups++;
		if (n == 0 && !more) {
			l->patience_ms = 0;
			l->on_silence(l->silence_ctx);
		}
		for (int i = 0; i < n; i++)
			dispatch(l, &e[i]);
		if (l->board) {
			board_tick(l->board, clock_now());
			output(l, false);
			input(l);
		}
		more = l->turn && l->turn(l->ctx, clock_now());
	}
}

void loop_flush(struct loop *l, int ms)
{
	const uint64_t until = clock_now() + (uint64_t)ms * 1000000;
	struct console *c = l->console;
	const uint8_t *p;
	size_t n;

	while ((n = board_tx_peek(l->board, &p, true, clock_now()))) {
		size_t done = output_some(c, p, n);
		uint64_t now = clock_now();

		if (done)
			board_tx_done(l->board, done, now);
		else if (now >= until || !console_wait_out(c, (int)((until - now) / 1000000) + 1))
			return;
	}
}
