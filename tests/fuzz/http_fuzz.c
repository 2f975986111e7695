/*
 * http_fuzz.c - requests of the API's clients. The first bytes say how the rest is cut into pieces.
 * Requests do not depend on that: byte by byte they must be the same, up to the first mistake.
 */
#include <string.h>

#include "../../src/api/http.h"
#include "fuzz.h"

#define BODY_MAX 3000u
#define CUTS     8u

/* What a stream of bytes came to. */
struct run {
	uint64_t hash;       /* of all requests */
	uint64_t before[64]; /* of the first ones */
	unsigned requests, continues;
	bool bad;
};

static void mix(struct run *run, const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		run->hash = (run->hash ^ ((const uint8_t *)p)[i]) * 0x100000001b3u;
}

static void count(struct run *run, const struct http_request *q)
{
	const uint8_t method = (uint8_t)q->method;

	CHECK(q->method <= HTTP_DELETE && q->body_len <= BODY_MAX && !q->body == !q->body_len);
	CHECK(!*q->path || *q->path == '/');
	CHECK(strlen(q->path) < HTTP_LINE);
	mix(run, &method, 1);
	mix(run, q->path, strlen(q->path) + 1);
	mix(run, q->body, q->body_len);
	run->requests++;
	if (run->requests < ARRAY_SIZE(run->before))
		run->before[run->requests] = run->hash;
}

static void check_reply(struct http_reply *reply, struct http_out *out)
{
	struct iovec iov[2];
	unsigned n;

	CHECK(reply->status == 400 && reply->body && reply->body_len > 20);
	CHECK(!memcmp(reply->body, "{ \"error\": \"", 12));
	CHECK(!memcmp(reply->body + reply->body_len - 3, "\" }", 3));
	http_out_reply(out, reply);
	while ((n = http_out_rest(out, iov)))
		http_out_sent(out, iov[n - 1].iov_len > 1 && n == 2 ? iov[0].iov_len + 1
								    : iov[0].iov_len);
}

/* All that there is to do. false: there was a mistake. */
static bool drain(struct http_reader *r, struct run *run)
{
	struct http_out out = {.body = NULL};
	struct http_request q;
	struct http_reply reply;

	for (;;) {
		switch (http_reader_next(r, &q, &reply)) {
		case HTTP_MORE: return true;
		case HTTP_CONTINUE: run->continues++; break;
		case HTTP_READY:
			count(run, &q);
			http_reader_release(r);
			break;
		case HTTP_BAD: check_reply(&reply, &out); return false;
		}
	}
}

/* `cut`: sizes of the pieces in turn; what the reader has room for, at most. */
static void stream(struct run *run, const uint8_t *p, size_t n, const uint8_t *cut, bool stop)
{
	static struct http_reader r;
	unsigned i = 0;

	*run = (struct run){.hash = 1};
	run->before[0] = 1;
	http_reader_init(&r, BODY_MAX);
	while (n && !(stop && run->bad)) {
		char *at;
		size_t room = http_reader_room(&r, &at), piece = (size_t)cut[i++ % CUTS] * 9 + 1;

		CHECK(room > 0 && room <= MAX(HTTP_BUF, BODY_MAX));
		piece = MIN(MIN(piece, room), n);
		memcpy(at, p, piece);
		http_reader_fed(&r, piece);
		while (!drain(&r, run) && !(stop && run->bad))
			run->bad = true;
		p += piece;
		n -= piece;
	}
	http_reader_finish(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t bytewise[CUTS];
	static struct run cut, single, on;

	if (size < CUTS)
		return 0;
	stream(&cut, data + CUTS, size - CUTS, data, true);
	stream(&single, data + CUTS, size - CUTS, bytewise, true);
	stream(&on, data + CUTS, size - CUTS, data, false); /* nothing breaks behind a mistake */
	CHECK(cut.bad == single.bad && on.bad == cut.bad);
	CHECK(cut.requests <= single.requests && cut.requests <= on.requests);
	if (cut.requests < ARRAY_SIZE(single.before)) /* a mistake drops some in front of it */
		CHECK(single.before[cut.requests] == cut.hash);
	if (!cut.bad)
		CHECK(cut.hash == single.hash && cut.continues == single.continues);
	return 0;
}
