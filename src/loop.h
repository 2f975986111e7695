/*
 * loop.h - the monitor's one event loop: epoll over the console, one absolute timer, one eventfd to
 * wake it, and signals. Runs in the main thread.
 */
#pragma once
#include "console.h"
#include "pc/board.h"

struct loop {
	int epoll, timer, wake, signals;
	struct board *board;
	struct console *console;
	uint64_t wakeups; /* returns of epoll_wait */
	int patience_ms;  /* -1, or call on_silence() once when nothing happens for so long */
	void (*on_silence)(void *ctx);
	_Atomic bool stop;
	/* Told of SIGTERM and kin (its number), or of Ctrl-A x (0). */
	void (*ask_end)(void *ctx, int signal);
	void *ctx;
};

/*
 * Creates the descriptors and blocks the signals that the loop takes, so that threads made later
 * leave them to it. 0 or -errno, logged.
 */
int loop_init(struct loop *l, struct board *b, struct console *c,
              void (*ask_end)(void *ctx, int signal), void *ctx);
/* Runs until loop_stop(). */
void loop_run(struct loop *l);
/* From any thread, also under the board lock. */
void loop_stop(struct loop *l);
void loop_wake(struct loop *l);
/* The timer fires at `deadline`; NEVER disarms. From any thread, under the board lock. */
void loop_arm(struct loop *l, uint64_t deadline);
/* Writes out what the guest sent before it ended; gives up on a reader that stopped. */
void loop_flush(struct loop *l);
