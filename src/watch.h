/*
 * watch.h - what a part gives to the event loop: a descriptor, and whom to call when it is ready.
 * The loop's thread calls; the owner keeps the struct and its descriptor.
 */
#pragma once
#include "util.h"

/* As epoll's: readable, writable, error, hang-up. */
#define WATCH_IN  0x001u
#define WATCH_OUT 0x004u
#define WATCH_ERR 0x008u
#define WATCH_HUP 0x010u

struct watch {
	int fd; /* -1: nothing is watched */
	/*
	 * Edge-triggered: called when the descriptor becomes readable or writable, not while it is,
	 * so the owner goes on until EAGAIN, or remembers that it did not. May be called once more
	 * after del(), also when the struct watches something new by then: the descriptor must not
	 * block, and "nothing there" is no error.
	 */
	void (*ready)(struct watch *w, uint32_t events);
	void *owner;
};

/* The loop, seen from below. */
struct watcher {
	void *ctx;
	/* Watches w->fd. 0; -EPERM: always ready, epoll refuses it; or another -errno. */
	int (*add)(void *ctx, struct watch *w);
	/* Before close(); sets w->fd to -1, and leaves closing to the owner. */
	void (*del)(void *ctx, struct watch *w);
	/* No calls for a watched w->fd, or again; then there is one at once if it is ready. */
	void (*mute)(void *ctx, struct watch *w, bool mute);
};
