/*
 * http_test.c - requests in any pieces, what is wrong with others, and the bytes of responses.
 * Texts are Firecracker's, from what its HTTP crate answers to the same bytes.
 */
#include "../../../src/api/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#define DROPPED "\nAll previous unanswered requests will be dropped.\" }"
#define S(s)    (s), sizeof(s) - 1

/* For the one test without memory. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static struct http_reader r;
static struct http_request q;
static struct http_reply reply;

static int setup(void **state)
{
	http_reader_init(&r, HTTP_BODY_MAX);
	reply = (struct http_reply){.status = 0};
	return 0;
}

static int teardown(void **state)
{
	free(reply.body);
	reply.body = NULL;
	http_reader_finish(&r);
	return 0;
}

static void feed(const char *bytes, size_t n)
{
	while (n) {
		char *at;
		size_t piece = http_reader_room(&r, &at);

		piece = MIN(piece, n);
		assert_true(piece > 0);
		memcpy(at, bytes, piece);
		http_reader_fed(&r, piece);
		bytes += piece;
		n -= piece;
		if (n)
			assert_int_equal(http_reader_next(&r, &q, &reply), HTTP_MORE);
	}
}

static enum http_next next(void)
{
	free(reply.body);
	reply.body = NULL;
	return http_reader_next(&r, &q, &reply);
}

/* The bytes are one whole request. */
static void request(const char *bytes, size_t n, enum http_method method, const char *path,
		    const char *body)
{
	feed(bytes, n);
	assert_int_equal(next(), HTTP_READY);
	assert_int_equal(q.method, method);
	assert_string_equal(q.path, path);
	if (body) {
		assert_int_equal(q.body_len, strlen(body));
		assert_memory_equal(q.body, body, strlen(body));
	} else {
		assert_null(q.body);
		assert_int_equal(q.body_len, 0);
	}
	assert_false(http_reader_release(&r));
}

static void says(const char *error)
{
	char want[4096];
	int n = snprintf(want, sizeof(want), "{ \"error\": \"%s" DROPPED, error);

	assert_int_equal(next(), HTTP_BAD);
	assert_int_equal(reply.status, 400);
	assert_false(reply.deprecated);
	if (reply.body_len != (size_t)n || memcmp(reply.body, want, (size_t)n))
		fail_msg("\"%.*s\" is not \"%s\"", (int)reply.body_len, reply.body, want);
}

/* The bytes are answered with `error`, and the reader goes on. */
static void refused(const char *bytes, size_t n, const char *error)
{
	feed(bytes, n);
	says(error);
	assert_int_equal(next(), HTTP_MORE);
	request(S("GET /next HTTP/1.1\r\n\r\n"), HTTP_GET, "/next", NULL);
}

/* A header is answered so. */
static void header_refused(const char *line, size_t n, const char *error)
{
	char bytes[2048];
	int len = snprintf(bytes, sizeof(bytes), "PUT /a HTTP/1.1\r\n");

	memcpy(bytes + len, line, n);
	memcpy(bytes + len + n, "\r\n\r\n{}", 6);
	refused(bytes, (size_t)len + n + 6, error);
}

/* --- what is a request --- */

static void methods_and_versions_of_firecracker_are_taken(void **state)
{
	request(S("GET / HTTP/1.1\r\n\r\n"), HTTP_GET, "/", NULL);
	request(S("GET /version HTTP/1.0\r\n\r\n"), HTTP_GET, "/version", NULL);
	request(S("PUT /a HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"), HTTP_PUT, "/a", "{}");
	request(S("PATCH /a HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]"), HTTP_PATCH, "/a", "[]");
	request(S("DELETE /drives/a HTTP/1.1\r\n\r\n"), HTTP_DELETE, "/drives/a", NULL);
	request(S("GET /a HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"), HTTP_GET, "/a", "{}");
}

static void other_methods_are_refused(void **state)
{
	static const char error[] = "Invalid HTTP Method: Unsupported HTTP method.";

	refused(S("HEAD / HTTP/1.1\r\n\r\n"), error);
	refused(S("POST /actions HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"), error);
	refused(S("get / HTTP/1.1\r\n\r\n"), error);
	refused(S(" / HTTP/1.1\r\n\r\n"), error);
	refused(S("GE\0 / HTTP/1.1\r\n\r\n"), error);
	refused(S("GET\r / HTTP/1.1\r\n\r\n"), error);
}

static void other_versions_are_refused(void **state)
{
	static const char error[] = "Invalid HTTP Version: Unsupported HTTP version.";

	refused(S("GET / HTTP/2.0\r\n\r\n"), error);
	refused(S("GET / http/1.1\r\n\r\n"), error);
	refused(S("GET / \r\n\r\n"), error);
	refused(S("GET / HTTP/1.1 \r\n\r\n"), error);
	refused(S("GET / x HTTP/1.1\r\n\r\n"), error);
	refused(S("GET / HTTP/1.1\n\r\n"), error);
}

static void request_line_has_two_spaces(void **state)
{
	refused(S("GET /\r\n\r\n"), "Invalid request.");
	refused(S("\r\n"), "Invalid request.");
	refused(S("GET\r\n\r\n"), "Invalid request.");
	refused(S("\0\0\0\r\n\r\n"), "Invalid request.");
}

static void host_of_a_uri_is_left_out(void **state)
{
	request(S("GET http://localhost/a/b?c=d HTTP/1.1\r\n\r\n"), HTTP_GET, "/a/b?c=d", NULL);
	request(S("GET http://localhost:8080/a HTTP/1.1\r\n\r\n"), HTTP_GET, "/a", NULL);
	request(S("GET http:///a HTTP/1.1\r\n\r\n"), HTTP_GET, "/a", NULL);
}

static void uri_without_an_absolute_path_has_an_empty_one(void **state)
{
	request(S("GET http://localhost HTTP/1.1\r\n\r\n"), HTTP_GET, "", NULL);
	request(S("GET http:// HTTP/1.1\r\n\r\n"), HTTP_GET, "", NULL);
	request(S("GET home HTTP/1.1\r\n\r\n"), HTTP_GET, "", NULL);
	request(S("GET https://localhost/a HTTP/1.1\r\n\r\n"), HTTP_GET, "", NULL);
	request(S("GET * HTTP/1.1\r\n\r\n"), HTTP_GET, "", NULL);
}

static void uri_is_utf8_without_nul(void **state)
{
	static const char error[] = "Invalid URI: Cannot parse URI as UTF-8.";

	refused(S("GET  HTTP/1.1\r\n\r\n"), "Invalid URI: Empty URI not allowed.");
	refused(S("GET /a\0b HTTP/1.1\r\n\r\n"), "Invalid URI: It has a NUL in it.");
	refused(S("GET /\xff HTTP/1.1\r\n\r\n"), error);
	refused(S("GET /\xc3 HTTP/1.1\r\n\r\n"), error);
	refused(S("GET /\xc0\x80 HTTP/1.1\r\n\r\n"), error);         /* too long a form */
	refused(S("GET /\xe0\x9f\xbf HTTP/1.1\r\n\r\n"), error);     /* likewise */
	refused(S("GET /\xf0\x8f\xbf\xbf HTTP/1.1\r\n\r\n"), error); /* likewise */
	refused(S("GET /\xed\xa0\x80 HTTP/1.1\r\n\r\n"), error);     /* a surrogate */
	refused(S("GET /\xf4\x90\x80\x80 HTTP/1.1\r\n\r\n"), error); /* beyond the last */
	refused(S("GET /\xf5\x80\x80\x80 HTTP/1.1\r\n\r\n"), error);
	request(S("GET /\xc3\xa9\xe2\x82\xac\xf0\x9f\x92\xa9\xed\x9f\xbf\xf4\x8f\xbf\xbf "
		  "HTTP/1.1\r\n\r\n"),
		HTTP_GET, "/\xc3\xa9\xe2\x82\xac\xf0\x9f\x92\xa9\xed\x9f\xbf\xf4\x8f\xbf\xbf",
		NULL);
}

static void what_is_wrong_first_is_said(void **state)
{
	refused(S("POST  HTTP/3\r\n\r\n"), "Invalid HTTP Method: Unsupported HTTP method.");
	refused(S("GET  HTTP/3\r\n\r\n"), "Invalid URI: Empty URI not allowed.");
}

/* --- headers --- */

static void headers_of_no_matter_are_ignored(void **state)
{
	request(S("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-y:\r\n: z\r\n"
		  "Content-Type: text/html\r\nAccept: image/png\r\nServer: me\r\n"
		  "Transfer-Encoding: gzip\r\nExpect: 103-checkpoint\r\na:b:c\r\n\r\n"),
		HTTP_GET, "/", NULL);
}

static void header_names_are_of_any_case_with_blanks_around_them(void **state)
{
	request(S("PUT / HTTP/1.1\r\ncONTENT-lENGTH:2\r\n\r\n{}"), HTTP_PUT, "/", "{}");
	request(S("PUT / HTTP/1.1\r\n \tContent-Length \v: \t2\f \r\n\r\n{}"), HTTP_PUT, "/", "{}");
}

static void content_length_is_a_decimal_number_of_32_bits(void **state)
{
	static const char error[] = "Invalid header. Reason: Invalid value. Key:%s; Value:%s";
	static const char *const value[] = {" alpha",
					    " -1",
					    " -0",
					    " ",
					    "",
					    " 1 2",
					    " 4294967296",
					    " 0x10",
					    " +",
					    " 1,1",
					    "99999999999999999999999999",
					    " ++1",
					    " 1.0"};
	char line[128], want[256];

	for (unsigned i = 0; i < ARRAY_SIZE(value); i++) {
		snprintf(line, sizeof(line), "content-Length:%s", value[i]);
		snprintf(want, sizeof(want), error, "content-Length", value[i]);
		header_refused(line, strlen(line), want);
	}
	request(S("PUT / HTTP/1.1\r\nContent-Length: +0002\r\n\r\n{}"), HTTP_PUT, "/", "{}");
	request(S("PUT / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"), HTTP_PUT, "/", NULL);
}

static void last_of_two_lengths_counts(void **state)
{
	request(S("PUT / HTTP/1.1\r\nContent-Length: 40\r\nContent-Length: 2\r\n\r\n{}"), HTTP_PUT,
		"/", "{}");
}

static void value_of_a_header_is_given_back_as_it_came(void **state)
{
	header_refused(
		S("Content-Length: \"\xc3\xa9"),
		"Invalid header. Reason: Invalid value. Key:Content-Length; Value: \"\xc3\xa9");
}

static void header_without_a_colon_is_refused(void **state)
{
	header_refused(S("Host localhost"), "Invalid header. Reason: Header is incorrectly "
					    "formatted. Key: Host localhost");
}

static void header_is_utf8(void **state)
{
#define INVALID "Invalid header. Reason: Header contains invalid characters. Key: "
	header_refused(S("Host: \xff"), INVALID "invalid utf-8 sequence of 1 bytes from index 6");
	header_refused(S("a: \xe2\x82z"), INVALID "invalid utf-8 sequence of 2 bytes from index 3");
	header_refused(S("a:\xf0\x9f\x92\xc0"),
		       INVALID "invalid utf-8 sequence of 3 bytes from index 2");
	header_refused(S("a:\xf0\x9f\x92"), INVALID "incomplete utf-8 byte sequence from index 2");
}

static void bare_returns_newlines_and_nuls_end_no_line(void **state)
{
	request(S("GET / HTTP/1.1\r\na: \r\r\nb: \n\0\n\r\n\r\n"), HTTP_GET, "/", NULL);
}

static void client_that_takes_only_encodings_is_refused(void **state)
{
#define ENCODING "Invalid header. Reason: Invalid value. Key:Accept-Encoding; Value:"
	header_refused(S("Accept-Encoding: identity;q=0"), ENCODING "identity;q=0");
	header_refused(S("accept-encoding: gzip, identity;q=0"), ENCODING " identity;q=0");
	header_refused(S("Accept-Encoding: gzip, *;q=0 "), ENCODING " *;q=0");
	header_refused(S("Accept-Encoding:"), "Invalid request.");
	request(S("GET / HTTP/1.1\r\nAccept-Encoding: deflate, identity, *;q=0\r\n\r\n"), HTTP_GET,
		"/", NULL);
	request(S("GET / HTTP/1.1\r\nAccept-Encoding: identity;q=0.1,br,,\r\n\r\n"), HTTP_GET, "/",
		NULL);
}

static void chunks_are_not_decoded(void **state)
{
	feed(S("PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"));
	/* The chunk's length is a mistake behind a complete request, which goes unanswered. */
	says("Invalid request.");
	request(S("PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}"),
		HTTP_PUT, "/a", "{}");
}

/* --- sizes --- */

/* "GET /xxx HTTP/1.1" of `len` bytes, then CRLF twice. */
static size_t long_request_line(char *p, size_t len)
{
	memset(p, 'x', len);
	memcpy(p, "GET /", 5);
	memcpy(p + len - 9, " HTTP/1.1\r\n\r\n", 13);
	return len + 4;
}

static void request_line_has_1024_bytes_with_its_end(void **state)
{
	char bytes[HTTP_BUF], path[HTTP_BUF];
	size_t n = long_request_line(bytes, HTTP_LINE - 2);

	snprintf(path, sizeof(path), "%.*s", (int)HTTP_LINE - 2 - 4 - 9, bytes + 4);
	request(bytes, n, HTTP_GET, path, NULL);
	n = long_request_line(bytes, HTTP_LINE - 1);
	refused(bytes, n, "Invalid request.");
	memset(bytes, 'x', HTTP_LINE);
	refused(bytes, HTTP_LINE, "Invalid request.");
}

static size_t long_header(char *p, size_t len)
{
	size_t n = 16;

	memcpy(p, "GET / HTTP/1.1\r\n", n);
	memset(p + n, 'y', len);
	p[n + 1] = ':';
	memcpy(p + n + len, "\r\n\r\n", 4);
	return n + len + 4;
}

static void header_has_1024_bytes_with_its_end(void **state)
{
	char bytes[HTTP_BUF], want[HTTP_BUF];
	size_t n = long_header(bytes, HTTP_LINE - 2);

	request(bytes, n, HTTP_GET, "/", NULL);
	n = long_header(bytes, HTTP_LINE - 1);
	snprintf(want, sizeof(want), "Invalid header. Reason: Invalid content length. Header: %.*s",
		 HTTP_LINE, bytes + 16);
	refused(bytes, n, want);
}

static void broken_characters_of_a_long_header_are_marked(void **state)
{
	char bytes[HTTP_BUF], want[HTTP_BUF];
	size_t n = long_header(bytes, HTTP_LINE);

	memcpy(bytes + 16, "a:\xff\xe2\x82z", 6);
	bytes[16 + HTTP_LINE - 1] = '\xe2'; /* cut within a character */
	snprintf(
		want, sizeof(want),
		"Invalid header. Reason: Invalid content length. Header: a:\xef\xbf\xbd\xef\xbf\xbd"
		"z%.*s\xef\xbf\xbd",
		HTTP_LINE - 7, bytes + 16 + 6);
	refused(bytes, n, want);
}

static void head_may_have_any_number_of_headers(void **state)
{
	char line[64];
	int n;

	feed(S("PUT /a HTTP/1.1\r\nContent-Length: 2\r\n"));
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(next(), HTTP_MORE);
		n = snprintf(line, sizeof(line), "Custom-Header-Testing: 1%u\r\n", i);
		feed(line, (size_t)n);
	}
	request(S("\r\n{}"), HTTP_PUT, "/a", "{}");
}

static void body_may_have_the_limit_and_no_byte_more(void **state)
{
	static char bytes[60000];
	int n = snprintf(bytes, sizeof(bytes), "PUT /a HTTP/1.1\r\nContent-Length: 51200\r\n\r\n");

	memset(bytes + n, 'j', 51200);
	feed(bytes, (size_t)n + 51200);
	assert_int_equal(next(), HTTP_READY);
	assert_int_equal(q.body_len, 51200);
	assert_memory_equal(q.body, bytes + n, 51200);
	assert_false(http_reader_release(&r));
	refused(S("PUT /a HTTP/1.1\r\nContent-Length: 51201\r\nExpect: 100-continue\r\n\r\n"),
		"Request payload with size 51201 is larger than the limit of 51200 allowed by "
		"server.");
	http_reader_init(&r, 4);
	refused(S("PUT /a HTTP/1.1\r\nContent-Length: 5\r\n\r\naaaaa"),
		"Request payload with size 5 is larger than the limit of 4 allowed by server.");
}

static void body_that_is_too_large_is_passed_over(void **state)
{
	static char bytes[60000];
	int n = snprintf(bytes, sizeof(bytes), "PUT /a HTTP/1.1\r\nContent-Length: 59000\r\n\r\n");
	size_t done = 1000;

	memcpy(bytes + n, "\r\nGET /evil HTTP/1.1\r\n\r\n", 24);
	feed(bytes, done);
	says("Request payload with size 59000 is larger than the limit of 51200 allowed by "
	     "server.");
	assert_int_equal(next(), HTTP_MORE);
	memcpy(bytes + n + 59000, "GET /b HTTP/1.1\r\n\r\n", 19);
	request(bytes + done, (size_t)n + 59000 + 19 - done, HTTP_GET, "/b", NULL);
}

/* From now on there is no room for much more. */
static struct rlimit no_memory(void)
{
	struct rlimit old, tight;
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	assert_true(f && fscanf(f, "%lu", &pages) == 1);
	fclose(f);
	assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
	tight = (struct rlimit){.rlim_cur = pages * 4096 + 64 * MIB, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
	return old;
}

static void body_without_memory_is_refused_and_passed_over(void **state)
{
	const struct rlimit old = no_memory();

	http_reader_init(&r, SIZE_MAX);
	feed(S("PUT /a HTTP/1.1\r\nContent-Length: 2000000000\r\n\r\nabc"));
	says("There is no memory for a request payload of 2000000000.");
	setrlimit(RLIMIT_AS, &old);
	assert_int_equal(r.skip, 2000000000 - 3);
	r.skip = 3;
	request(S("defGET /b HTTP/1.1\r\n\r\n"), HTTP_GET, "/b", NULL);
}

/* --- pieces --- */

static const char mixed[] =
	"PUT http://localhost/a HTTP/1.1\r\nContent-Length: 26\r\n"
	"Accept: application/json\r\n\r\nthis is not\n\r\na json \nbody"
	"GET /b HTTP/1.0\r\n\r\n"
	"PATCH /c HTTP/1.1\r\nContent-Length: 1\r\n\r\nxDELETE /d HTTP/1.1\r\n\r\n";

static void is_mixed(unsigned i)
{
	static const struct {
		enum http_method method;
		const char *path, *body;
	} want[] = {
		{HTTP_PUT,    "/a", "this is not\n\r\na json \nbody"},
		{HTTP_GET,    "/b", NULL                            },
		{HTTP_PATCH,  "/c", "x"                             },
		{HTTP_DELETE, "/d", NULL                            },
	};

	assert_int_equal(q.method, want[i].method);
	assert_string_equal(q.path, want[i].path);
	assert_int_equal(q.body_len, want[i].body ? strlen(want[i].body) : 0);
	if (want[i].body)
		assert_memory_equal(q.body, want[i].body, q.body_len);
}

static void requests_are_the_same_in_pieces_of_any_size(void **state)
{
	for (size_t piece = 1; piece < sizeof(mixed); piece++) {
		unsigned seen = 0;

		for (size_t at = 0, n; at < sizeof(mixed) - 1; at += n) {
			char *room;

			n = MIN(http_reader_room(&r, &room), MIN(piece, sizeof(mixed) - 1 - at));
			memcpy(room, mixed + at, n);
			http_reader_fed(&r, n);
			while (http_reader_next(&r, &q, &reply) == HTTP_READY) {
				is_mixed(seen++);
				http_reader_release(&r);
			}
		}
		assert_int_equal(seen, 4);
	}
}

static void release_tells_of_pipelined_bytes(void **state)
{
	feed(mixed, sizeof(mixed) - 1);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(next(), HTTP_READY);
		is_mixed(i);
		assert_int_equal(http_reader_release(&r), i < 3);
	}
	assert_int_equal(next(), HTTP_MORE);
}

static void complete_requests_before_a_mistake_are_dropped(void **state)
{
	refused(S("GET /a HTTP/1.1\r\n\r\nPUT /b HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"
		  "GET /c HTTP/1.1\r\nbad\r\n\r\nGET /d HTTP/1.1\r\n\r\n"),
		"Invalid header. Reason: Header is incorrectly formatted. Key: bad");
	feed(S("GET /a HTTP/1.1\r\n\r\nPUT /b HTTP/1.1\r\nContent-Length: 90000\r\n\r\nx"));
	says("Request payload with size 90000 is larger than the limit of 51200 allowed by "
	     "server.");
}

static void requests_that_came_before_are_not_dropped(void **state)
{
	feed(S("GET /a HTTP/1.1\r\n\r\nGET /b HTTP"));
	assert_int_equal(next(), HTTP_READY);
	assert_string_equal(q.path, "/a");
	assert_true(http_reader_release(&r));
	assert_int_equal(next(), HTTP_MORE);
	feed(S("/1.1\r\nbad\r\n"));
	says("Invalid header. Reason: Header is incorrectly formatted. Key: bad");
}

static void request_behind_a_mistake_is_a_request(void **state)
{
	/* Its headers and its body are not taken for those of the one before it. */
	refused(S("PUT /a HTTP/1.1\r\nContent-Length: x\r\n\r\n"),
		"Invalid header. Reason: Invalid value. Key:Content-Length; Value: x");
	request(S("PUT http://b/b HTTP/1.1\r\nContent-Length: 1\r\n\r\nb"), HTTP_PUT, "/b", "b");
}

/* --- 100 --- */

static void client_that_asks_is_told_to_go_on(void **state)
{
	feed(S("PUT /a HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 26\r\n\r\n"));
	assert_int_equal(next(), HTTP_CONTINUE);
	assert_int_equal(r.head.minor, 0);
	assert_int_equal(next(), HTTP_MORE);
	request(S("this is not\n\r\na json \nbody"), HTTP_PUT, "/a",
		"this is not\n\r\na json \nbody");
	feed(S("PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}"));
	assert_int_equal(next(), HTTP_CONTINUE);
	assert_int_equal(next(), HTTP_READY);
	assert_false(http_reader_release(&r));
	request(S("GET /a HTTP/1.1\r\nExpect: 100-continue\r\n\r\n"), HTTP_GET, "/a", NULL);
}

/* --- responses --- */

static struct http_out out;

static void writes(const char *want)
{
	char got[512];
	struct iovec iov[2];
	size_t len = 0;
	unsigned n;

	/* In pieces of seven. */
	while ((n = http_out_rest(&out, iov))) {
		size_t piece = MIN(iov[0].iov_len, 7u);

		assert_true(n <= 2 && len + piece < sizeof(got));
		memcpy(got + len, iov[0].iov_base, piece);
		len += piece;
		http_out_sent(&out, piece);
	}
	got[len] = '\0';
	assert_string_equal(got, want);
	assert_null(out.body);
}

static void answer(unsigned status, bool deprecated, const char *body)
{
	struct http_reply a = {.status = status, .deprecated = deprecated};

	if (body) {
		a.body = strdup(body);
		a.body_len = strlen(body);
	}
	http_out_reply(&out, &a);
	assert_null(a.body);
}

static void no_content_has_no_length(void **state)
{
	answer(204, false, NULL);
	writes("HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n");
	answer(204, true, "this does not go");
	writes("HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
	       "Deprecation: true\r\n\r\n");
}

static void content_has_type_and_length(void **state)
{
	answer(200, false, "{\"a\":1}");
	writes("HTTP/1.1 200 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
	       "Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}");
	answer(400, true, "{}");
	writes("HTTP/1.1 400 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
	       "Deprecation: true\r\nContent-Type: application/json\r\nContent-Length: "
	       "2\r\n\r\n{}");
	answer(413, false, NULL);
	writes("HTTP/1.1 413 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
	       "Content-Type: application/json\r\nContent-Length: 0\r\n\r\n");
}

static void continue_has_the_version_of_the_request(void **state)
{
	http_out_continue(&out, 1);
	writes("HTTP/1.1 100 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n");
	http_out_continue(&out, 0);
	writes("HTTP/1.0 100 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n");
}

static void response_goes_as_head_and_body(void **state)
{
	struct iovec iov[2];

	answer(200, false, "{}");
	assert_int_equal(http_out_rest(&out, iov), 2);
	http_out_sent(&out, iov[0].iov_len + 1);
	assert_int_equal(http_out_rest(&out, iov), 1);
	assert_int_equal(iov[0].iov_len, 1);
	assert_memory_equal(iov[0].iov_base, "}", 1);
	http_out_drop(&out);
	assert_int_equal(http_out_rest(&out, iov), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(methods_and_versions_of_firecracker_are_taken),
		T(other_methods_are_refused),
		T(other_versions_are_refused),
		T(request_line_has_two_spaces),
		T(host_of_a_uri_is_left_out),
		T(uri_without_an_absolute_path_has_an_empty_one),
		T(uri_is_utf8_without_nul),
		T(what_is_wrong_first_is_said),
		T(headers_of_no_matter_are_ignored),
		T(header_names_are_of_any_case_with_blanks_around_them),
		T(content_length_is_a_decimal_number_of_32_bits),
		T(last_of_two_lengths_counts),
		T(value_of_a_header_is_given_back_as_it_came),
		T(header_without_a_colon_is_refused),
		T(header_is_utf8),
		T(bare_returns_newlines_and_nuls_end_no_line),
		T(client_that_takes_only_encodings_is_refused),
		T(chunks_are_not_decoded),
		T(request_line_has_1024_bytes_with_its_end),
		T(header_has_1024_bytes_with_its_end),
		T(broken_characters_of_a_long_header_are_marked),
		T(head_may_have_any_number_of_headers),
		T(body_may_have_the_limit_and_no_byte_more),
		T(body_that_is_too_large_is_passed_over),
		T(body_without_memory_is_refused_and_passed_over),
		T(requests_are_the_same_in_pieces_of_any_size),
		T(release_tells_of_pipelined_bytes),
		T(complete_requests_before_a_mistake_are_dropped),
		T(requests_that_came_before_are_not_dropped),
		T(request_behind_a_mistake_is_a_request),
		T(client_that_asks_is_told_to_go_on),
		T(no_content_has_no_length),
		T(content_has_type_and_length),
		T(continue_has_the_version_of_the_request),
		T(response_goes_as_head_and_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
