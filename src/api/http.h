/*
 * http.h - HTTP/1.1 as Firecracker's clients speak it over a Unix socket: a reader of requests that
 * are put together from any pieces, and the writer of responses. No descriptors here.
 */
#pragma once
#include "../util.h"

enum http_method { HTTP_GET, HTTP_PUT, HTTP_PATCH, HTTP_DELETE };

struct http_request {
	enum http_method method;
	const char *path; /* absolute path with its query, NUL-terminated, no host */
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
