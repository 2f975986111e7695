/* request_test.c - reading what a guest sends: each check, and which comes first. */
#include "../../../src/mmds/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct request r;
static struct request_error e;
static char *copy; /* on the heap, of its length alone, so that a sanitizer sees what goes beyond */

static bool parse_bytes(const char *p, size_t len)
{
	free(copy);
	copy = malloc(len);
	memcpy(copy, p, len);
	memset(&e, 0, sizeof(e));
	return request_parse(&r, copy, len, &e);
}

static bool parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

static void is_slice(struct slice s, const char *want)
{
	assert_int_equal(s.len, strlen(want));
	assert_memory_equal(s.p, want, s.len);
}

static void fails(const char *text, unsigned status, const char *why)
{
	assert_false(parse(text));
	assert_int_equal(e.status, status);
	assert_string_equal(e.text, why);
}

static void fails_at(const char *text, const char *why, const char *name, const char *value)
{
	fails(text, 400, why);
	is_slice(e.name, name);
	if (value)
		is_slice(e.value, value);
	else
		assert_null(e.value.p);
}

#define INVALID "Invalid request."

static void an_end_is_an_empty_line(void **state)
{
	assert_int_equal(request_end("", 0), 0);
	assert_int_equal(request_end("\n", 1), 0);
	assert_int_equal(request_end("\n\n", 2), 2);
	assert_int_equal(request_end("a\r\n\r\nb", 6), 5);
	assert_int_equal(request_end("a\r\n\r\nb", 5), 5);
	assert_int_equal(request_end("a\r\n\r\nb", 4), 0);
	assert_int_equal(request_end("a\n\nb\n\n", 6), 3);
	assert_int_equal(request_end("a\n\r\r\n", 5), 0);
	assert_int_equal(request_end("\r\n \r\n", 5), 0);
}

static void the_first_line_has_three_parts(void **state)
{
	assert_true(parse("GET /a HTTP/1.0\r\n\r\n"));
	assert_int_equal(r.method, REQUEST_GET);
	assert_true(r.http10);
	is_slice(r.uri, "/a");
	assert_true(parse("PUT /latest/api/token HTTP/1.1\r\n\r\n"));
	assert_int_equal(r.method, REQUEST_PUT);
	assert_false(r.http10);
	assert_true(parse("PATCH / HTTP/1.1\r\n\r\n"));
	assert_int_equal(r.method, REQUEST_OTHER);
	assert_true(parse("DELETE / HTTP/1.1\r\n\r\n"));
	assert_int_equal(r.method, REQUEST_OTHER);
	fails("GET / HTTP/1.\r\n\r\n", 400, INVALID); /* too short */
	fails("GET/aaaaaaaaaaaaaaaaaaa\r\n\r\n", 400, INVALID);
	fails("GET /aaaaaaaaaaaaaaaaaa\r\n\r\n", 400, INVALID);
	fails("GET / HTTP/1.1\n\n", 400, INVALID);
	fails("\r\n\r\n", 400, INVALID);
	fails("get / HTTP/1.1\r\n\r\n", 501, "Unsupported HTTP method.");
	fails("HEAD / HTTP/1.1\r\n\r\n", 501, "Unsupported HTTP method.");
	fails(" / HTTP/1.1 xxxx\r\n\r\n", 501, "Unsupported HTTP method.");
	fails("GET  HTTP/1.1xxxxxxx\r\n\r\n", 400, "Empty URI not allowed.");
	fails("GET  / HTTP/1.1\r\n\r\n", 400, "Empty URI not allowed.");
	fails("GET /\xff HTTP/1.1\r\n\r\n", 400, "Cannot parse URI as UTF-8.");
	fails("GET / HTTP/2.0\r\n\r\n", 501, "Unsupported HTTP version.");
	fails("GET / http/1.1\r\n\r\n", 501, "Unsupported HTTP version.");
	fails("GET / HTTP/1.1 \r\n\r\n", 501, "Unsupported HTTP version.");
	fails("POST  xxxxxxxxx\r\n\r\n", 501, "Unsupported HTTP method."); /* comes first */
}

static void a_uri_is_reduced_to_its_path(void **state)
{
	assert_true(parse("GET http://169.254.169.254/a/b?c HTTP/1.1\r\n\r\n"));
	is_slice(r.uri, "/a/b?c");
	assert_true(parse("GET http://169.254.169.254:80/ HTTP/1.1\r\n\r\n"));
	is_slice(r.uri, "/");
	assert_true(parse("GET http://host HTTP/1.1\r\n\r\n"));
	is_slice(r.uri, "");
	assert_true(parse("GET http:// HTTP/1.1\r\n\r\n"));
	is_slice(r.uri, "");
	assert_true(parse("GET https://host/a HTTP/1.1\r\n\r\n"));
	is_slice(r.uri, "");
	assert_true(parse("GET a/b HTTP/1.1\r\n\r\n"));
	is_slice(r.uri, "");
	assert_true(parse("GET /\xc3\xa9 HTTP/1.1\r\n\r\n"));
	is_slice(r.uri, "/\xc3\xa9");
}

static void only_utf8_is_text(void **state)
{
	static const char *const good[] = {"\x7f",         "\xc2\x80",         "\xdf\xbf",
					   "\xe0\xa0\x80", "\xed\x9f\xbf",     "\xee\x80\x80",
					   "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
	static const char *const bad[] = {"\x80",
					  "\xc1\xbf",
					  "\xc2",
					  "\xc2\x41",
					  "\xe0\x9f\xbf",
					  "\xed\xa0\x80",
					  "\xe1\x80",
					  "\xe1\x80\xc0",
					  "\xf0\x8f\xbf\xbf",
					  "\xf4\x90\x80\x80",
					  "\xf5\x80\x80\x80",
					  "\xf1\x80\x80"};
	char text[64];

	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		snprintf(text, sizeof(text), "GET /%s HTTP/1.1\r\nA: %s\r\n\r\n", good[i], good[i]);
		assert_true(parse(text));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "GET /%s HTTP/1.1\r\n\r\n", bad[i]);
		fails(text, 400, "Cannot parse URI as UTF-8.");
		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nA: %s\r\n\r\n", bad[i]);
		fails(text, 400, INVALID);
	}
}

static void tokens_and_times_to_live_have_two_names(void **state)
{
	assert_true(parse("GET / HTTP/1.1\r\nX-metadata-token:  abc \r\n\r\n"));
	is_slice(r.token, "abc");
	assert_null(r.ttl.p);
	assert_null(r.forwarded.p);
	assert_true(parse("GET / HTTP/1.1\r\nHost: x\r\nx-AWS-ec2-Metadata-Token:\r\n\r\n"));
	assert_non_null(r.token.p);
	is_slice(r.token, "");
	assert_true(parse("PUT / HTTP/1.1\r\n X-METADATA-token-ttl-seconds : 60\r\n\r\n"));
	is_slice(r.ttl_name, "X-METADATA-token-ttl-seconds");
	is_slice(r.ttl, "60");
	assert_true(parse("PUT / HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds:1:2\r\n\r\n"));
	is_slice(r.ttl_name, "X-aws-ec2-metadata-token-ttl-seconds");
	is_slice(r.ttl, "1:2");
	assert_true(parse("PUT / HTTP/1.1\r\nx-fOrwarded-FOR: 1.2.3.4\r\n\r\n"));
	is_slice(r.forwarded, "x-fOrwarded-FOR");
	assert_true(parse("GET / HTTP/1.1\r\n\r\n"));
	assert_null(r.token.p);
}

static void json_is_asked_for_by_name(void **state)
{
	assert_true(parse("GET / HTTP/1.1\r\nAccept: application/json\r\n\r\n"));
	assert_true(r.json);
	assert_true(
		parse("GET / HTTP/1.1\r\naccept:application/json\r\nAccept: text/plain\r\n\r\n"));
	assert_false(r.json);
	assert_true(parse("GET / HTTP/1.1\r\nAccept: application/json\r\nAccept: */*\r\n\r\n"));
	assert_true(r.json); /* what is not understood says nothing */
	assert_true(parse("GET / HTTP/1.1\r\nAccept: Application/Json\r\n\r\n"));
	assert_false(r.json);
	assert_true(parse("GET / HTTP/1.1\r\nAccept:\r\n\r\n"));
	assert_false(r.json);
}

static void a_header_has_a_colon(void **state)
{
	fails_at("GET / HTTP/1.1\r\nA: b\r\nno colon\r\n\r\n",
		 "Header is incorrectly formatted. Key: ", "no colon", NULL);
	assert_true(parse("GET / HTTP/1.1\r\n:\r\n::\r\na:\r\n\r\n"));
	fails("GET / HTTP/1.1\r\nA: b\n\n", 400, INVALID);
	fails("GET / HTTP/1.1\r\nA: b\n\r\n", 400, INVALID);
}

static void a_body_is_refused(void **state)
{
	assert_true(parse("PUT / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"));
	assert_true(parse("PUT / HTTP/1.1\r\ncontent-length: +00\r\n\r\n"));
	fails("PUT / HTTP/1.1\r\nContent-Length: 1\r\n\r\n", 400, INVALID);
	fails("GET / HTTP/1.1\r\nContent-Length: 4294967295\r\n\r\n", 400, INVALID);
	assert_true(parse("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 0\r\n\r\n"));
	fails_at("GET / HTTP/1.1\r\ncontent-length : 4294967296\r\n\r\n",
		 "Invalid value. Key:", "content-length ", " 4294967296");
	fails_at("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		 "Invalid value. Key:", "Content-Length", " -1");
	fails_at("GET / HTTP/1.1\r\nContent-Length:\r\n\r\n",
		 "Invalid value. Key:", "Content-Length", "");
}

static void one_who_takes_no_plain_bytes_is_refused(void **state)
{
	assert_true(parse("GET / HTTP/1.1\r\nAccept-Encoding: gzip, deflate\r\n\r\n"));
	assert_true(parse("GET / HTTP/1.1\r\nAccept-Encoding: identity, *;q=0\r\n\r\n"));
	fails_at("GET / HTTP/1.1\r\nAccept-Encoding: gzip, identity;q=0 ,x\r\n\r\n",
		 "Invalid value. Key:", "Accept-Encoding", " identity;q=0 ");
	fails_at("GET / HTTP/1.1\r\nAccept-Encoding: *;q=0\r\n\r\n",
		 "Invalid value. Key:", "Accept-Encoding", "*;q=0");
	fails("GET / HTTP/1.1\r\nAccept-Encoding:  \r\n\r\n", 400, INVALID);
}

static void numbers_are_rusts(void **state)
{
	static const struct {
		const char *text;
		bool good;
		uint32_t value;
	} t[] = {
		{"0",			  true,  0         },
		{"60",			 true,  60        },
		{"+60",			true,  60        },
		{"00021600",                   true,  21600     },
		{"4294967295",                 true,  UINT32_MAX},
		{"4294967296",                 false, 0         },
		{"99999999999999999999999999", false, 0         },
		{"",			   false, 0         },
		{"+",			  false, 0         },
		{"-1",			 false, 0         },
		{"1 ",			 false, 0         },
		{"0x10",                       false, 0         },
		{"1.0",			false, 0         },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		uint32_t v = 77;

		assert_int_equal(request_u32((struct slice){t[i].text, strlen(t[i].text)}, &v),
				 t[i].good);
		assert_int_equal(v, t[i].good ? t[i].value : 77);
	}
}

/* Cut anywhere it is refused, and nothing beyond its end is read. */
static void a_part_of_a_request_is_no_request(void **state)
{
	static const char text[] = "GET http://h/a HTTP/1.1\r\nAccept: text/plain\r\n"
				   "X-metadata-token: t\r\nContent-Length: 0\r\n\r\n";

	for (size_t len = 1; len < strlen(text); len++)
		assert_false(parse_bytes(text, len));
	assert_true(parse(text));
}

static int finish(void **state)
{
	free(copy);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_is_an_empty_line),
		cmocka_unit_test(the_first_line_has_three_parts),
		cmocka_unit_test(a_uri_is_reduced_to_its_path),
		cmocka_unit_test(only_utf8_is_text),
		cmocka_unit_test(tokens_and_times_to_live_have_two_names),
		cmocka_unit_test(json_is_asked_for_by_name),
		cmocka_unit_test(a_header_has_a_colon),
		cmocka_unit_test(a_body_is_refused),
		cmocka_unit_test(one_who_takes_no_plain_bytes_is_refused),
		cmocka_unit_test(numbers_are_rusts),
		cmocka_unit_test(a_part_of_a_request_is_no_request),
	};

	return cmocka_run_group_tests(tests, NULL, finish);
}
