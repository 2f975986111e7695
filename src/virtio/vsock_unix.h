/*
 * vsock_unix.h - the host's end of a vsock: the listener, commands of its clients, bytes to and
 * from Unix sockets, the end of connections. Below vsock.c, which moves packets. Loop's thread.
 */
#pragma once
#include "vsock.h"
#include "vsock_conn.h"

/* Is it one that a Unix socket can have? 0 or -errno, logged. */
int vsock_check_path(const char *path);
/* Takes `fd` as vsock_conf says, or binds v->path. 0 or -errno, logged. */
int vsock_listen(struct vsock *v, int fd);
/* Closes the listener and removes its file, if vsock_listen() made it. */
void vsock_unlisten(struct vsock *v);

/* The driver is there: clients are accepted; gone: they wait, and all connections are closed. */
void vsock_open(struct vsock *v) REQUIRES(v->dev.lock);
void vsock_close(struct vsock *v) REQUIRES(v->dev.lock);

/* Accepts who waits, a bounded number of them. */
void vsock_accept(struct vsock *v) REQUIRES(v->dev.lock);
/* Connects `c`, which has ports, to the listener of its local port. false: there is none. */
bool vsock_dial(struct vsock *v, struct vsock_conn *c) REQUIRES(v->dev.lock);
/* The guest answered the host's request: the client is told. May end it. */
void vsock_answered(struct vsock *v, struct vsock_conn *c) REQUIRES(v->dev.lock);

/*
 * To the host: `len` bytes of a packet, after its header. They leave at once, or are held. May end
 * the connection, as when the guest sends more than it has credit for.
 */
void vsock_send(struct vsock *v, struct vsock_conn *c, const struct chain *chain, uint32_t len)
	REQUIRES(v->dev.lock);
/*
 * From the host, into guest memory: bytes read; 0: none for now, or none ever again, which
 * c->host_shut says; may end the connection.
 */
size_t vsock_recv(struct vsock *v, struct vsock_conn *c, const struct iovec *iov, unsigned n,
		  size_t size) REQUIRES(v->dev.lock);

/*
 * What either side of an open connection shut is told to the other; it ends when nothing can come
 * any more.
 */
void vsock_settle(struct vsock *v, struct vsock_conn *c) REQUIRES(v->dev.lock);
/* Into the list of those to look at, if it has something to say. */
void vsock_poke(struct vsock *v, struct vsock_conn *c) REQUIRES(v->dev.lock);
/* Ends it: the host's socket is closed; the guest is told by RST, if it knows of the connection. */
void vsock_kill(struct vsock *v, struct vsock_conn *c) REQUIRES(v->dev.lock);
/* Ends it without a word. */
void vsock_drop(struct vsock *v, struct vsock_conn *c) REQUIRES(v->dev.lock);
/* Ends those whose time is over, accepts if that had to wait; asks for the next tick. */
void vsock_expire(struct vsock *v, uint64_t now) REQUIRES(v->dev.lock);
