/*
 * answer.c - what the metadata service answers: statuses, bodies and headers of Firecracker's, from
 * whose tests the odd ones come. An error that the reader of requests found is said to be JSON,
 * others are plain text.
 */
#include "answer.h"

#include "format.h"
#include "mmds.h"

#define HEAD_MAX   512u /* of status line and headers; the longest has 250 bytes */
#define TOKEN_PATH "/latest/api/token"

struct reply {
	unsigned status;
	bool json, http10;
	bool allow;        /* says which methods there are */
	struct slice name; /* of a header of its own; empty: none */
	uint32_t ttl;      /* its value */
	struct text body;
};

static void text_slice(struct text *t, struct slice s)
{
	text_put(t, s.p, s.len);
}

static void reply_text(struct reply *a, unsigned status, const char *text)
{
	a->status = status;
	a->json = false;
	a->body.len = 0;
	text_str(&a->body, text);
}

/* Puts the head before the body, which starts HEAD_MAX into the buffer. */
static struct slice reply_finish(const struct reply *a)
{
	char head[HEAD_MAX];
	struct text t = {.buf = head, .size = sizeof(head)};
	char *at = a->body.buf;

	text_str(&t, a->http10 ? "HTTP/1.0 " : "HTTP/1.1 ");
	text_u64(&t, a->status);
	text_str(&t, " \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n");
	if (a->allow)
		text_str(&t, "Allow: GET, PUT\r\n");
	if (a->name.len) {
		text_slice(&t, a->name);
		text_str(&t, ": ");
		text_u64(&t, a->ttl);
		text_str(&t, "\r\n");
	}
	text_str(&t, "Content-Type: ");
	text_str(&t, a->json ? "application/json" : "text/plain");
	text_str(&t, "\r\nContent-Length: ");
	text_u64(&t, a->body.len);
	text_str(&t, "\r\n\r\n");
	at -= t.len;
	memcpy(at, head, t.len);
	return (struct slice){at, t.len + a->body.len};
}

static void reply_not_found(struct reply *a, struct slice uri)
{
	reply_text(a, 404, "Resource not found: ");
	text_slice(&a->body, uri);
	text_char(&a->body, '.');
}

/* Does the client have a token? In version 1 it is only counted. true: it may go on. */
static bool answer_token(struct mmds *m, const struct request *r, struct reply *a, uint64_t now)
{
	if (!r->token.p) {
		m->counters.rx_no_token++;
		reply_text(a, 401,
			   "No MMDS token provided. Use `X-metadata-token` or "
			   "`X-aws-ec2-metadata-token` header to specify the session token.");
	} else if (!token_valid(&m->tokens, r->token.p, r->token.len, now)) {
		m->counters.rx_invalid_token++;
		reply_text(a, 401, "MMDS token not valid.");
	} else {
		return true;
	}
	return m->version == MMDS_V1;
}

static void answer_get(struct mmds *m, const struct request *r, struct reply *a, uint64_t now)
{
	json_t *value;

	if (!answer_token(m, r, a, now))
		return;
	value = store_find(&m->store, r->uri.p, r->uri.len);
	if (!value) {
		reply_not_found(a, r->uri);
		return;
	}
	reply_text(a, 200, "");
	a->json = r->json; /* even of an IMDS list */
	if (r->json && !m->imds_compat)
		format_json(&a->body, value);
	else if (!format_imds(&a->body, value))
		reply_text(a, 501, "Cannot retrieve value. The value has an unsupported type.");
	if (a->body.len > a->body.size) /* not with a buffer as it is promised */
		reply_text(a, 413, "The MMDS patch request doesn't fit.");
}

/* Is it the path of tokens, but for doubled slashes? */
static bool is_token_path(struct slice uri)
{
	char path[sizeof(TOKEN_PATH) - 1];
	size_t n = 0;

	for (size_t i = 0; i < uri.len; i++) {
		if (i && uri.p[i] == '/' && uri.p[i - 1] == '/')
			continue;
		if (n == sizeof(path))
			return false;
		path[n++] = uri.p[i];
	}
	return n == sizeof(path) && !memcmp(path, TOKEN_PATH, n);
}

static void answer_put(struct mmds *m, const struct request *r, struct reply *a, uint64_t now)
{
	char token[TOKEN_LEN];
	uint32_t ttl;

	if (r->forwarded.p) {
		reply_text(a, 400, "Invalid header. Reason: Unsupported header name. Key: ");
		text_slice(&a->body, r->forwarded);
	} else if (!is_token_path(r->uri)) {
		reply_not_found(a, r->uri);
	} else if (!r->ttl.p) {
		reply_text(a, 400,
			   "Token time to live value not found. Use "
			   "`X-metadata-token-ttl-seconds` or "
			   "`X-aws-ec2-metadata-token-ttl-seconds` header to specify the token's "
			   "lifetime.");
	} else if (!request_u32(r->ttl, &ttl)) {
		reply_text(a, 400, "Invalid header. Reason: Invalid value. Key:");
		text_slice(&a->body, r->ttl_name);
		text_str(&a->body, "; Value:");
		text_slice(&a->body, r->ttl);
	} else if (ttl < TOKEN_TTL_MIN || ttl > TOKEN_TTL_MAX) {
		reply_text(a, 400, "Invalid time to live value provided for token: ");
		text_u64(&a->body, ttl);
		text_str(&a->body, ". Please provide a value between ");
		text_u64(&a->body, TOKEN_TTL_MIN);
		text_str(&a->body, " and ");
		text_u64(&a->body, TOKEN_TTL_MAX);
		text_char(&a->body, '.');
	} else {
		token_make(&m->tokens, ttl, now, token);
		reply_text(a, 200, "");
		text_put(&a->body, token, sizeof(token));
		a->name = r->ttl_name;
		a->ttl = ttl;
	}
}

struct slice mmds_answer(struct mmds *m, const char *request, size_t len, char *buf, size_t size,
			 uint64_t now)
{
	struct reply a = {
		.body = {.buf = buf + HEAD_MAX, .size = size - HEAD_MAX}
        };
	struct request_error e;
	struct request r;

	if (!request_parse(&r, request, len, &e)) {
		reply_text(&a, e.status, e.text);
		a.json = true;
		text_slice(&a.body, e.name);
		if (e.value.p)
			text_str(&a.body, "; Value:");
		text_slice(&a.body, e.value);
		return reply_finish(&a);
	}
	a.http10 = r.http10;
	if (!r.uri.len) {
		reply_text(&a, 400, "Invalid URI.");
	} else if (r.method == REQUEST_GET) {
		answer_get(m, &r, &a, now);
	} else if (r.method == REQUEST_PUT) {
		answer_put(m, &r, &a, now);
	} else {
		reply_text(&a, 405, "Not allowed HTTP method.");
		a.allow = true;
	}
	return reply_finish(&a);
}
