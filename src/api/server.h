/*
 * server.h - Firecracker's API socket: HTTP over a Unix socket, in the loop's thread, for ten
 * connections at a time.
 */
#pragma once
#include "../watch.h"
#include "http.h"

#define API_CONNS 10u

struct api_server_conf {
	const char *path; /* of the socket; stays */
	size_t body_max;  /* bytes in a request's body; HTTP_BODY_MAX unless the user says more */
	bool remove;      /* its file goes at the end; Firecracker leaves it behind */
	const struct watcher *watcher;
	/*
	 * Answers one request, which is gone after it. `reply` comes as all zero. Must not close
	 * the server.
	 */
	void (*handle)(void *ctx, const struct http_request *q, struct http_reply *reply);
	void *ctx;
};

struct api_conn; /* from the heap, while there is a client */

struct api_slot {
	struct watch watch;
	struct api_conn *conn; /* NULL: the slot is free */
	uint32_t events;       /* since the last turn */
	bool more;             /* it is not waiting for any */
};

struct api_server {
	struct api_server_conf conf;
	struct watch listener;
	struct api_slot slot[API_CONNS];
	bool again;         /* there is something to do */
	bool knock;         /* perhaps somebody waits to be accepted */
	bool starved;       /* but there was no descriptor, or no memory, for one */
	uint64_t accept_at; /* tried again then; NEVER */
	uint64_t file[2];   /* device and inode of the socket's file */
};

/*
 * Binds the path, which must not exist, and listens. 0 or -errno, logged. The server must not move
 * until it is closed.
 */
int api_server_open(struct api_server *s, const struct api_server_conf *conf);
/* All connections end, with what was not sent. */
void api_server_close(struct api_server *s);

/*
 * The server's share of a turn of the loop, after all watches were called: everything happens here.
 * One request of each client. true: there is more to do, turn again without waiting.
 */
bool api_server_turn(struct api_server *s, uint64_t now);
/* When it wants a turn although no watch was called; NEVER. */
uint64_t api_server_deadline(const struct api_server *s);
