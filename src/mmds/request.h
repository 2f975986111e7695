/*
 * request.h - reads a guest's request. As strict and as lenient as micro-http, Firecracker's
 * reader, whose errors a guest gets; nothing is copied.
 */
#pragma once
#include "../util.h"

struct slice {
	const char *p; /* not NUL-terminated; NULL: it is not there */
	size_t len;
};

enum request_method { REQUEST_GET, REQUEST_PUT, REQUEST_OTHER };

struct request {
	enum request_method method;
	bool http10;           /* ... or 1.1 */
	struct slice uri;      /* absolute path with its query; empty: there is none */
	bool json;             /* is what the client wants */
	struct slice token;    /* X-metadata-token, or EC2's name */
	struct slice ttl_name; /* X-metadata-token-ttl-seconds or EC2's, as the client wrote it */
	struct slice ttl;
	struct slice forwarded; /* the name of X-Forwarded-For, as the client wrote it */
};

/* Its body is text, name and, if there is one, "; Value:" and the value. */
struct request_error {
	unsigned status;
	const char *text;
	struct slice name, value;
};

/* The length of the request that `p` begins with, up to its empty line; 0: there is no end yet. */
size_t request_end(const char *p, size_t len);
/* Reads one that request_end() found; it points into `p`. false: *e says why. */
bool request_parse(struct request *r, const char *p, size_t len, struct request_error *e);
/* Decimal, as Rust reads it: digits, perhaps after a plus. */
bool request_u32(struct slice s, uint32_t *value);
