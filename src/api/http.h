/*
 * http.h - HTTP/1.1 as Firecracker's clients speak it over a Unix socket: a reader of requests that
 * are put together from any pieces, and the writer of responses. No descriptors here.
 */
#pragma once
#include <sys/uio.h>

#include "http_line.h"

struct http_request {
	enum http_method method;
	const char *path; /* absolute path with its query, NUL-terminated, no host; may be "" */
	const char *body; /* NULL: none; not NUL-terminated */
	size_t body_len;
};

/* What a handler answers. */
struct http_reply {
	unsigned status; /* 200, 204, 400, 413 */
	bool deprecated; /* adds the header of that name */
	char *body;      /* from malloc(), freed by the server; NULL: none */
	size_t body_len;
};

#define HTTP_BODY_MAX 51200u /* Firecracker's --http-api-max-payload-size */
#define HTTP_BUF      (2 * HTTP_LINE)

/* --- requests --- */

enum http_state { HTTP_REQUEST_LINE, HTTP_HEADERS, HTTP_BODY };

struct http_reader {
	enum http_state state;
	struct http_head head; /* of the request that is being read */
	size_t body_max;
	uint32_t skip;        /* bytes of a refused body that are still to come */
	char *body;           /* one that is not in `buf` as a whole, */
	size_t got;           /* and how much of it is there */
	unsigned start, end;  /* what of `buf` is not read yet */
	char path[HTTP_LINE]; /* of the request */
	char buf[HTTP_BUF];
};

void http_reader_init(struct http_reader *r, size_t body_max);
void http_reader_finish(struct http_reader *r);

/* Where the next bytes go: at least one, at most what the reader has room for. Only after MORE. */
size_t http_reader_room(struct http_reader *r, char **at);
/*
 * `n` bytes are there. As in Firecracker, a mistake among them makes the complete requests in front
 * of it go unanswered, as the answer to it says.
 */
void http_reader_fed(struct http_reader *r, size_t n);

enum http_next {
	HTTP_MORE,     /* it goes on with more bytes */
	HTTP_CONTINUE, /* the client waits for a 100 before it sends the body; call again */
	HTTP_READY,    /* `q` is a request */
	HTTP_BAD,      /* `reply` says what is wrong; what was read with it is dropped */
};
/*
 * The next thing to do. What `q` points to stays until http_reader_release(), which must be called
 * before anything else. A reader goes on after HTTP_BAD, with the next request.
 */
enum http_next http_reader_next(struct http_reader *r, struct http_request *q,
				struct http_reply *reply);
/* The request is done with. true: there are bytes of another one. */
bool http_reader_release(struct http_reader *r);

/* --- responses --- */

#define HTTP_OUT_HEAD 224u

/* One response on its way out. All zero: none. */
struct http_out {
	char head[HTTP_OUT_HEAD];
	char *body;
	size_t head_len, body_len, done;
};

/* Takes the reply's body. A 204 has none. */
void http_out_reply(struct http_out *o, struct http_reply *reply);
void http_out_continue(struct http_out *o, unsigned minor);
/* What is still to be sent: the number of vectors, 0 if nothing is. */
unsigned http_out_rest(struct http_out *o, struct iovec iov[2]);
/* `n` bytes of it went. */
void http_out_sent(struct http_out *o, size_t n);
/* Frees what was not sent. */
void http_out_drop(struct http_out *o);
