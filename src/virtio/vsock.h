/*
 * vsock.h - virtio socket device [virtio 1.2, 5.10] whose host side is Unix sockets, by
 * Firecracker's protocol: a client of `path` says "CONNECT <port>\n" and reads "OK <port>\n"; a
 * guest that connects to port P of CID 2 reaches the listener at `<path>_<P>`.
 */
#pragma once
#include "../watch.h"
#include "virtio.h"

#define VSOCK_PATH_MAX 107u /* bytes, without the NUL: what a Unix socket's address holds */
#define VSOCK_RSTS     256u

struct vsock_conf {
	const char *path;
	int fd; /* if above 0: vsock_bind() made it, and the file stays when the device goes */
	uint32_t cid; /* the guest's */
};

struct vsock_pool;

/* An RST to a connection that is not there: its ports and type. */
struct vsock_rst {
	uint32_t local, peer;
	uint16_t type;
};

struct vsock {
	struct virtio_dev dev;
	const struct watcher *watcher;
	uint32_t cid;
	struct vsock_pool *pool;

	/* The host's end, vsock_unix.c. */
	char path[VSOCK_PATH_MAX + 1];
	uint64_t file_dev, file_ino; /* the socket's file, as it was made */
	int fd;                      /* listens */
	bool keep;                   /* the file is not ours to remove */
	struct watch listener;       /* fd -1 while no driver is there */
	bool knock;                  /* clients may be waiting to be accepted */
	uint64_t accept_at;          /* descriptors ran out: tried again then; NEVER */

	/* RSTs to send, round, from rst_at on. Full: the TX queue waits. */
	struct vsock_rst rst[VSOCK_RSTS];
	unsigned rst_at, rsts;
	bool tx_held; /* ... and does */

	/* Counters. Packets that were dropped are in dev.errors. */
	uint64_t accepted, refused; /* clients of the host; refused: too many connections */
	uint64_t dialed, undialed;  /* the guest's requests, and those that reached nobody */
	uint64_t starved;           /* accepts that found no descriptor */
	uint64_t killed;            /* connections that ended by our RST */
};

/* A listener at `path`: its descriptor, or -errno, logged; then nothing is left behind. */
int vsock_bind(const char *path);
/*
 * Binds the socket and makes the device. 0 or -errno, logged; then nothing is left behind. Before
 * lock-down; must not move.
 */
int vsock_init(struct vsock *v, const struct vsock_conf *c, const struct virtio_host *host,
	       const struct ram *ram, const struct watcher *watcher);
/*
 * The end of a run: closes the connections and removes the socket file that vsock_init() made, but
 * no other that took its place.
 */
void vsock_finish(struct vsock *v);
/*
 * After a snapshot was loaded: tells the driver that all connections are gone [5.10.6.7]. false: it
 * gave no buffer for events. Loop's thread.
 */
bool vsock_transport_reset(struct vsock *v);
