/*
 * http.c - requests out of bytes, responses into bytes, as Firecracker has them.
 * A body needs a Content-Length; chunks are not decoded. A mistake is answered with 400 and words
 * that are not JSON, by which Firecracker's clients know it; the connection stays, and the reader
 * begins anew with what comes next. Firecracker goes on where the mistake was, so that the next
 * request's lines would count as headers of the wrong one; here they are a request. Of a body that
 * is too large what was announced is passed over, unless the client waits to be asked for it.
 * The path is copied, a body that is in the buffer as a whole is not.
 */
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the reader --- */

void http_reader_init(struct http_reader *r, size_t body_max)
{
	r->state = HTTP_REQUEST_LINE;
	r->head = (struct http_head){.method = HTTP_GET};
	r->body_max = body_max;
	r->skip = 0;
	r->body = NULL;
	r->got = 0;
	r->start = r->end = 0;
}

void http_reader_finish(struct http_reader *r)
{
	free(r->body);
	r->body = NULL;
}

static unsigned waiting(const struct http_reader *r)
{
	return r->end - r->start;
}

/* What is being passed over. */
static void skip(struct http_reader *r)
{
	uint32_t n = MIN(r->skip, waiting(r));

	r->skip -= n;
	r->start += n;
}

size_t http_reader_room(struct http_reader *r, char **at)
{
	if (r->body) {
		*at = r->body + r->got;
		return r->head.body_len - r->got;
	}
	if (r->start) {
		memmove(r->buf, r->buf + r->start, waiting(r));
		r->end = waiting(r);
		r->start = 0;
	}
	*at = r->buf + r->end;
	return sizeof(r->buf) - r->end;
}

/* A line at `at`, without its CRLF: its length; -1: its end is not there; -2: nor will it come. */
static int line_len(const struct http_reader *r, unsigned at)
{
	const unsigned n = MIN(r->end - at, HTTP_LINE);
	const char *crlf = memmem(r->buf + at, n, "\r\n", 2);

	if (crlf)
		return (int)(crlf - (r->buf + at));
	return n == HTTP_LINE ? -2 : -1;
}

/*
 * Looks ahead, over complete requests, for a line that is wrong: then the reader starts with the
 * request that it is in.
 */
static void look_ahead(struct http_reader *r)
{
	struct http_head h = r->head;
	enum http_state state = r->state;
	unsigned at = r->start, begin = r->start;
	const char *path;
	size_t path_len;
	int len = 0;
	bool ok = true;

	while (ok && (len = line_len(r, at)) >= 0) {
		const char *line = r->buf + at;

		at += (unsigned)len + 2;
		if (state == HTTP_REQUEST_LINE) {
			h = (struct http_head){.body_len = 0};
			ok = http_request_line(&h, line, (size_t)len, &path, &path_len, NULL);
			state = HTTP_HEADERS;
		} else if (len) {
			ok = http_header_line(&h, line, (size_t)len, NULL);
		} else if (h.body_len > r->body_max) {
			ok = false;
		} else if (h.body_len > r->end - at) {
			return; /* the body goes on */
		} else {
			at += h.body_len;
			begin = at;
			state = HTTP_REQUEST_LINE;
		}
	}
	if (begin == r->start || len == -1)
		return;
	r->start = begin;
	r->state = HTTP_REQUEST_LINE;
}

void http_reader_fed(struct http_reader *r, size_t n)
{
	if (r->body) {
		r->got += n;
		return;
	}
	r->end += (unsigned)n;
	skip(r);
	look_ahead(r);
}

static enum http_next refuse(struct http_reader *r, const struct http_why *why,
			     struct http_reply *reply)
{
	static const char front[] = "{ \"error\": \"";
	static const char back[] = "\nAll previous unanswered requests will be dropped.\" }";
	char *p = malloc(sizeof(front) + why->len + sizeof(back));

	*reply = (struct http_reply){.status = 400, .body = p};
	if (p) {
		memcpy(p, front, sizeof(front) - 1);
		p += sizeof(front) - 1;
		memcpy(p, why->text, why->len);
		p += why->len;
		memcpy(p, back, sizeof(back) - 1);
		p += sizeof(back) - 1;
		reply->body_len = (size_t)(p - reply->body);
	}
	r->state = HTTP_REQUEST_LINE;
	if (!r->skip)
		r->start = r->end;
	skip(r);
	return HTTP_BAD;
}

/* The body will not be taken; a client that asked first does not send it. */
static enum http_next refuse_body(struct http_reader *r, const struct http_why *why,
				  struct http_reply *reply)
{
	if (!r->head.expect)
		r->skip = r->head.body_len;
	return refuse(r, why, reply);
}

/* The head is complete: the body goes where it has room. */
static enum http_next expect_body(struct http_reader *r, struct http_reply *reply)
{
	const size_t len = r->head.body_len;
	struct http_why why;
	unsigned n = waiting(r);

	why.len = 0;
	if (len > r->body_max) {
		http_why_add(&why,
			     "Request payload with size %zu is larger than the limit of %zu "
			     "allowed by server.",
			     len, r->body_max);
		return refuse_body(r, &why, reply);
	}
	r->state = HTTP_BODY;
	if (len > n) {
		r->body = malloc(len);
		if (!r->body) {
			http_why_add(&why, "There is no memory for a request payload of %zu.", len);
			return refuse_body(r, &why, reply);
		}
		memcpy(r->body, r->buf + r->start, n);
		r->got = n;
		r->start = r->end = 0;
	}
	return len && r->head.expect ? HTTP_CONTINUE : HTTP_READY;
}

static enum http_next refuse_line(struct http_reader *r, struct http_reply *reply)
{
	struct http_why why;

	why.len = 0;
	if (r->state == HTTP_REQUEST_LINE)
		http_why_add(&why, "Invalid request.");
	else
		http_header_too_long(r->buf + r->start, HTTP_LINE, &why);
	return refuse(r, &why, reply);
}

static enum http_next request_line(struct http_reader *r, const char *line, size_t len,
				   struct http_reply *reply)
{
	struct http_why why;
	const char *path;
	size_t n;

	why.len = 0;
	r->head = (struct http_head){.body_len = 0};
	if (!http_request_line(&r->head, line, len, &path, &n, &why))
		return refuse(r, &why, reply);
	memcpy(r->path, path, n);
	r->path[n] = '\0';
	r->state = HTTP_HEADERS;
	return HTTP_READY;
}

static enum http_next header_line(struct http_reader *r, const char *line, size_t len,
				  struct http_reply *reply)
{
	struct http_why why;

	why.len = 0;
	if (!len)
		return expect_body(r, reply);
	if (!http_header_line(&r->head, line, len, &why))
		return refuse(r, &why, reply);
	return HTTP_READY;
}

enum http_next http_reader_next(struct http_reader *r, struct http_request *q,
				struct http_reply *reply)
{
	enum http_next next;

	while (r->state != HTTP_BODY) {
		const char *line = r->buf + r->start;
		int len = line_len(r, r->start);

		if (len == -1)
			return HTTP_MORE;
		if (len == -2)
			return refuse_line(r, reply);
		r->start += (unsigned)len + 2;
		next = r->state == HTTP_REQUEST_LINE ? request_line(r, line, (size_t)len, reply)
						     : header_line(r, line, (size_t)len, reply);
		if (next != HTTP_READY)
			return next;
	}
	if (r->body && r->got < r->head.body_len)
		return HTTP_MORE;
	*q = (struct http_request){
		.method = r->head.method,
		.path = r->path,
		.body = r->body            ? r->body
			: r->head.body_len ? r->buf + r->start
					   : NULL,
		.body_len = r->head.body_len,
	};
	return HTTP_READY;
}

bool http_reader_release(struct http_reader *r)
{
	if (r->state == HTTP_BODY) {
		if (!r->body)
			r->start += r->head.body_len;
		free(r->body);
		r->body = NULL;
		r->state = HTTP_REQUEST_LINE;
	}
	return waiting(r) > 0;
}

/* --- the writer --- */

#define OUT_FIRST "HTTP/1.%u %u \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"

void http_out_reply(struct http_out *o, struct http_reply *reply)
{
	const bool empty = reply->status == 204;
	int n = snprintf(o->head, sizeof(o->head), OUT_FIRST, 1u, reply->status);

	if (reply->deprecated)
		n += snprintf(o->head + n, sizeof(o->head) - (size_t)n, "Deprecation: true\r\n");
	if (empty) {
		free(reply->body);
		reply->body = NULL;
		reply->body_len = 0;
	} else {
		n += snprintf(o->head + n, sizeof(o->head) - (size_t)n,
			      "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			      reply->body_len);
	}
	n += snprintf(o->head + n, sizeof(o->head) - (size_t)n, "\r\n");
	o->head_len = (size_t)n;
	o->body = reply->body;
	o->body_len = reply->body_len;
	o->done = 0;
	reply->body = NULL;
}

void http_out_continue(struct http_out *o, unsigned minor)
{
	int n = snprintf(o->head, sizeof(o->head), OUT_FIRST, minor, 100u);

	n += snprintf(o->head + n, sizeof(o->head) - (size_t)n, "\r\n");
	o->head_len = (size_t)n;
	o->body = NULL;
	o->body_len = o->done = 0;
}

unsigned http_out_rest(struct http_out *o, struct iovec iov[2])
{
	size_t at = o->done > o->head_len ? o->done - o->head_len : 0; /* in the body */
	unsigned n = 0;

	if (o->done < o->head_len)
		iov[n++] = (struct iovec){o->head + o->done, o->head_len - o->done};
	if (at < o->body_len)
		iov[n++] = (struct iovec){o->body + at, o->body_len - at};
	return n;
}

void http_out_sent(struct http_out *o, size_t n)
{
	o->done += n;
	if (o->done >= o->head_len + o->body_len)
		http_out_drop(o);
}

void http_out_drop(struct http_out *o)
{
	free(o->body);
	o->body = NULL;
	o->head_len = o->body_len = o->done = 0;
}
