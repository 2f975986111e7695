/*
 * watches.h - the event loop as devices see it, for tests: real descriptors, edge-triggered as in
 * the monitor, dispatched when the test says so.
 */
#pragma once
#include "../../src/watch.h"

struct watches {
	int epoll;
	unsigned watched; /* descriptors */
	int refuse;       /* not 0: add() fails with it */
	struct watcher watcher;
};

/* Must not move. */
void watches_init(struct watches *w);
void watches_finish(struct watches *w);
/* Calls the owners of what is ready, without waiting. Events. */
unsigned watches_turn(struct watches *w);
