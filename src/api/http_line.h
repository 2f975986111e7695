/*
 * http_line.h - the lines in a request's head, read as Firecracker's HTTP crate reads them, with
 * its words for what is wrong.
 */
#pragma once
#include "../util.h"

#define HTTP_LINE 1024u /* of the request and of each header, with its CRLF */

enum http_method { HTTP_GET, HTTP_PUT, HTTP_PATCH, HTTP_DELETE };

/* What matters of a head. All else that a client says is ignored. */
struct http_head {
	enum http_method method;
	unsigned minor; /* of HTTP/1.x */
	uint32_t body_len;
	bool expect; /* Expect: 100-continue */
};

/* A sentence for the client; bytes of its own may be in it. */
struct http_why {
	size_t len;
	char text[3 * HTTP_LINE + 256]; /* a broken byte becomes three */
};

/*
 * The line without its CRLF. false: it is wrong, and `why` (NULL: nobody asks) says how. The path
 * points into the line; it is empty where a URI has none.
 */
bool http_request_line(struct http_head *h, const char *line, size_t len, const char **path,
		       size_t *path_len, struct http_why *why);
bool http_header_line(struct http_head *h, const char *line, size_t len, struct http_why *why);
/* A header line without an end. */
void http_header_too_long(const char *line, size_t len, struct http_why *why);

void http_why_add(struct http_why *why, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
