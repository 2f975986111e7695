/*
 * vsock.h - virtio socket device [virtio 1.2, 5.10] whose host side is Unix sockets, by
 * Firecracker's protocol: a client of `path` says "CONNECT <port>\n" and reads "OK <port>\n"; a
 * guest that connects to port P of CID 2 reaches the listener at `<path>_<P>`.
 */
#pragma once
#include "../watch.h"
#include "virtio.h"

struct vsock_conf {
	const char *path;
	uint32_t cid; /* the guest's */
};

struct vsock {
	struct virtio_dev dev;
};

/* Binds the socket and makes the device. 0 or -errno, logged. Before lock-down; must not move. */
int vsock_init(struct vsock *v, const struct vsock_conf *c, const struct virtio_host *host,
	       const struct ram *ram, const struct watcher *watcher);
/* The end of a run: closes the connections and removes the socket file that vsock_init() made. */
void vsock_finish(struct vsock *v);
