/*
 * loop.h - the monitor's one event loop: epoll over the console, signals, the devices' descriptors,
 * and one absolute timer that also wakes it. Runs in the main thread.
 */
#pragma once
#include "console.h"
#include "pc/board.h"
#include "watch.h"

struct loop {
	int epoll, timer, signals;
	struct board *board; /* NULL: no machine is there yet */
	struct console *console;
	uint64_t wakeups; /* returns of epoll_wait */
	int patience_ms;  /* 0, or call on_silence() once when nothing happens for so long */
	void (*on_silence)(void *silence_ctx);
	void *silence_ctx;
	bool (*ended)(void *ctx); /* asked at each turn */
	/*
	 * Told of SIGTERM and kin (its number), or of Ctrl-A x (0). Of SIGPIPE and SIGXFSZ as well,
	 * which need not end anything: write() has given EPIPE or EFBIG.
	 */
	void (*ask_end)(void *ctx, int signal);
	/*
	 * The devices' share of a turn, after the chips'. true: there is more to do, and the loop
	 * is to turn again without waiting. NULL: there are no devices.
	 */
	bool (*turn)(void *ctx, uint64_t now);
	void *ctx; /* of the three functions */
};

/*
 * Blocks the signals that the loop takes, so that threads made later leave them to it: before a
 * terminal is made raw, or one that comes in between would leave it so. 0 or -errno, logged.
 */
int loop_take_signals(struct loop *l);
/*
 * Creates the other descriptors; the caller has set the functions. 0 or -errno, logged.
 */
int loop_init(struct loop *l);
/* From now on the console's input is taken; console_open() comes before. */
void loop_take_console(struct loop *l, struct console *c);
/* No more, if it was; before console_close(). */
void loop_drop_console(struct loop *l);
/* How devices reach the loop's epoll. After loop_init(), in the loop's thread or before it runs. */
void loop_watcher(struct loop *l, struct watcher *w);
/* Runs until `ended` says so; board_wake() makes it look. */
void loop_run(struct loop *l);
/* The timer fires at `deadline`, or at once if that has passed. Under the board lock. */
void loop_arm(struct loop *l, uint64_t deadline);
/*
 * Writes out what the guest sent before it ended; gives up on a reader that takes longer than `ms`
 * milliseconds.
 */
void loop_flush(struct loop *l, int ms);
