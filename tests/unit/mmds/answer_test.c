/*
 * answer_test.c - answers to whole requests, byte for byte as Firecracker's. What jansson allocates
 * while one is made fails the test, and the buffer ends where it is said to.
 */
#include "../../../src/mmds/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../../src/log.h"
#include "../../../src/mmds/mmds.h"

#define NOW   (50 * NSEC)
#define LIMIT 1000u

int log_fail(int err, const char *fmt, ...)
{
	return -err;
}

static struct mmds m;
static char *buf;
static struct slice got;
static uint64_t now;
static bool answering;

static void *alloc(size_t n)
{
	assert_false(answering);
	return malloc(n);
}

static void put(const char *text)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);

	assert_non_null(v);
	assert_int_equal(store_put(&m.store, v), MMDS_OK);
	json_decref(v);
}

static int setup(void **state)
{
	json_set_alloc_funcs(alloc, free);
	m = (struct mmds){.version = MMDS_V1};
	store_init(&m.store, LIMIT);
	tokens_init(&m.tokens);
	buf = malloc(LIMIT + ANSWER_ROOM);
	now = NOW;
	put("{\"name\":{\"first\":\"John\",\"second\":\"Doe\"},\"age\":43,\"phones\":{\"home\":"
	    "{\"RO\":\"+401234567\",\"UK\":\"+441234567\"},\"mobile\":\"+442345678\"}}");
	return 0;
}

static int teardown(void **state)
{
	store_finish(&m.store);
	free(buf);
	return 0;
}

static void ask(const char *request)
{
	answering = true;
	got = mmds_answer(&m, request, strlen(request), buf, LIMIT + ANSWER_ROOM, now);
	answering = false;
	assert_true(got.p >= buf && got.p + got.len <= buf + LIMIT + ANSWER_ROOM);
}

static void answered(const char *want)
{
	assert_int_equal(got.len, strlen(want));
	assert_memory_equal(got.p, want, got.len);
}

/* The usual headers. */
static void answers(const char *request, unsigned status, const char *type, const char *body)
{
	char want[4096];

	ask(request);
	snprintf(want, sizeof(want),
		 "HTTP/1.%c %u \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
		 "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
		 strstr(request, "HTTP/1.0") ? '0' : '1', status, type, strlen(body), body);
	answered(want);
}

#define TEXT "text/plain"
#define JSON "application/json"

static const char *body_of(void)
{
	static char body[LIMIT + ANSWER_ROOM];
	const char *at = memmem(got.p, got.len, "\r\n\r\n", 4);
	size_t len;

	assert_non_null(at);
	len = got.len - (size_t)(at + 4 - got.p);
	memcpy(body, at + 4, len);
	body[len] = '\0';
	return body;
}

static const char *token(unsigned ttl)
{
	static char text[256];

	snprintf(text, sizeof(text),
		 "PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds: %u\r\n\r\n", ttl);
	ask(text);
	assert_memory_equal(got.p, "HTTP/1.1 200 ", 13);
	assert_int_equal(strlen(body_of()), TOKEN_LEN);
	memcpy(text, body_of(), TOKEN_LEN + 1);
	return text;
}

static const char *with_token(const char *method_path, const char *name, const char *value)
{
	static char text[512];

	snprintf(text, sizeof(text), "%s HTTP/1.1\r\n%s: %s\r\nAccept: application/json\r\n\r\n",
		 method_path, name, value);
	return text;
}

static void version_1_answers_everyone(void **state)
{
	answers("GET / HTTP/1.0\r\n\r\n", 200, TEXT, "age\nname/\nphones/");
	answers("GET http://169.254.169.254/phones/home/RO HTTP/1.1\r\n\r\n", 200, TEXT,
		"+401234567");
	answers("GET / HTTP/1.1\r\nAccept: application/json\r\n\r\n", 200, JSON,
		"{\"age\":43,\"name\":{\"first\":\"John\",\"second\":\"Doe\"},\"phones\":{\"home\":"
		"{\"RO\":\"+401234567\",\"UK\":\"+441234567\"},\"mobile\":\"+442345678\"}}");
	answers("GET //name///first/ HTTP/1.1\r\nAccept: application/json\r\n\r\n", 200, JSON,
		"\"John\"");
	answers("GET /age HTTP/1.1\r\nAccept: application/json\r\n\r\n", 200, JSON, "43");
	assert_int_equal(m.counters.rx_no_token, 5);
	answers(with_token("GET /age", "X-metadata-token", "nonsense"), 200, JSON, "43");
	assert_int_equal(m.counters.rx_invalid_token, 1);
	answers(with_token("GET /age", "X-metadata-token", token(5)), 200, JSON, "43");
	assert_int_equal(m.counters.rx_invalid_token, 1);
	assert_int_equal(m.counters.rx_no_token, 5);
}

static void lists_are_of_objects_and_strings(void **state)
{
	answers("GET /age HTTP/1.1\r\n\r\n", 501, TEXT,
		"Cannot retrieve value. The value has an unsupported type.");
}

static void ec2_never_gives_json(void **state)
{
	m.imds_compat = true;
	answers("GET /name HTTP/1.1\r\nAccept: application/json\r\n\r\n", 200, JSON,
		"first\nsecond");
	answers("GET /age HTTP/1.1\r\nAccept: application/json\r\n\r\n", 501, TEXT,
		"Cannot retrieve value. The value has an unsupported type.");
}

static void what_is_not_there_is_not_found(void **state)
{
	answers("GET //no//such HTTP/1.1\r\n\r\n", 404, TEXT, "Resource not found: //no//such.");
	answers("PUT /name HTTP/1.1\r\n\r\n", 404, TEXT, "Resource not found: /name.");
	answers("PUT /latest/api/tokens HTTP/1.1\r\n\r\n", 404, TEXT,
		"Resource not found: /latest/api/tokens.");
	answers("PUT /latest/api/token/ HTTP/1.1\r\n\r\n", 404, TEXT,
		"Resource not found: /latest/api/token/.");
	answers("PUT /latest/api HTTP/1.1\r\n\r\n", 404, TEXT, "Resource not found: /latest/api.");
	store_finish(&m.store);
	answers("GET /a HTTP/1.1\r\n\r\n", 404, TEXT, "Resource not found: /a.");
	answers("GET / HTTP/1.1\r\nAccept: application/json\r\n\r\n", 200, JSON, "null");
}

static void other_methods_are_not_allowed(void **state)
{
	ask("PATCH / HTTP/1.1\r\n\r\n");
	answered("HTTP/1.1 405 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
		 "Allow: GET, PUT\r\nContent-Type: text/plain\r\nContent-Length: 24\r\n\r\n"
		 "Not allowed HTTP method.");
	ask("DELETE / HTTP/1.0\r\n\r\n");
	assert_memory_equal(got.p, "HTTP/1.0 405 \r\n", 15);
	answers("DELETE nowhere HTTP/1.1\r\n\r\n", 400, TEXT, "Invalid URI.");
	answers("GET http://host HTTP/1.1\r\n\r\n", 400, TEXT, "Invalid URI.");
}

static void a_token_names_its_header(void **state)
{
	char want[512];

	ask("PUT http://169.254.169.254//latest/api//token HTTP/1.0\r\n"
	    "x-AWS-ec2-metadata-token-TTL-seconds: +060\r\n\r\n");
	snprintf(want, sizeof(want),
		 "HTTP/1.0 200 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
		 "x-AWS-ec2-metadata-token-TTL-seconds: 60\r\nContent-Type: text/plain\r\n"
		 "Content-Length: 64\r\n\r\n%.64s",
		 body_of());
	answered(want);
}

static void version_2_wants_a_token(void **state)
{
	char t[TOKEN_LEN + 1];

	m.version = MMDS_V2;
	answers("GET / HTTP/1.1\r\n\r\n", 401, TEXT,
		"No MMDS token provided. Use `X-metadata-token` or `X-aws-ec2-metadata-token` "
		"header to specify the session token.");
	assert_int_equal(m.counters.rx_no_token, 1);
	answers(with_token("GET /age", "X-metadata-token", "nonsense"), 401, TEXT,
		"MMDS token not valid.");
	answers(with_token("GET /nowhere", "X-metadata-token", ""), 401, TEXT,
		"MMDS token not valid.");
	assert_int_equal(m.counters.rx_invalid_token, 2);
	memcpy(t, token(10), sizeof(t));
	answers(with_token("GET /age", "X-metadata-token", t), 200, JSON, "43");
	answers(with_token("GET /age", "x-aws-EC2-metadata-token", t), 200, JSON, "43");
	answers(with_token("GET /no", "X-metadata-token", t), 404, TEXT,
		"Resource not found: /no.");
	now += 10 * NSEC - 1;
	answers(with_token("GET /age", "X-metadata-token", t), 200, JSON, "43");
	now++;
	answers(with_token("GET /age", "X-metadata-token", t), 401, TEXT, "MMDS token not valid.");
	assert_int_equal(m.counters.rx_no_token, 1);
	assert_int_equal(m.counters.rx_invalid_token, 3);
}

static const char *put_with(const char *header)
{
	static char text[512];

	snprintf(text, sizeof(text), "PUT /latest/api/token HTTP/1.1\r\n%s\r\n\r\n", header);
	return text;
}

static void a_token_lives_for_a_second_to_six_hours(void **state)
{
	answers(put_with("A: b"), 400, TEXT,
		"Token time to live value not found. Use `X-metadata-token-ttl-seconds` or "
		"`X-aws-ec2-metadata-token-ttl-seconds` header to specify the token's lifetime.");
	answers(put_with("X-metadata-token-ttl-seconds: 0"), 400, TEXT,
		"Invalid time to live value provided for token: 0. Please provide a value between "
		"1 and 21600.");
	answers(put_with("X-metadata-token-ttl-seconds: 21601"), 400, TEXT,
		"Invalid time to live value provided for token: 21601. Please provide a value "
		"between 1 and 21600.");
	answers(put_with("X-metadata-token-ttl-seconds: application/json"), 400, TEXT,
		"Invalid header. Reason: Invalid value. Key:X-metadata-token-ttl-seconds; "
		"Value:application/json");
	token(1);
	token(21600);
}

static void a_proxy_gets_no_token(void **state)
{
	answers(put_with("X-metadata-token-ttl-seconds: 60\r\nx-forwarded-FOR: 203.0.113.195"), 400,
		TEXT, "Invalid header. Reason: Unsupported header name. Key: x-forwarded-FOR");
	answers("PUT /elsewhere HTTP/1.1\r\nX-Forwarded-For: a\r\n\r\n", 400, TEXT,
		"Invalid header. Reason: Unsupported header name. Key: X-Forwarded-For");
	answers("GET /age HTTP/1.1\r\nX-Forwarded-For: a\r\nAccept: application/json\r\n\r\n", 200,
		JSON, "43");
}

static void errors_of_the_reader_say_they_are_json(void **state)
{
	answers("\n\n", 400, JSON, "Invalid request.");
	answers("POST / HTTP/1.1\r\n\r\n", 501, JSON, "Unsupported HTTP method.");
	answers("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400, JSON,
		"Invalid value. Key:Content-Length; Value: x");
	answers("GET / HTTP/1.1\r\nbad\r\n\r\n", 400, JSON,
		"Header is incorrectly formatted. Key: bad");
}

/* As long as a request can be; also a path, which comes back. */
static void long_requests_have_answers_too(void **state)
{
	static char text[2501];
	static const char head[] = "GET /", tail[] = " HTTP/1.1\r\n\r\n";

	memset(text, 'a', 2500);
	memcpy(text, head, strlen(head));
	memcpy(text + 2500 - strlen(tail), tail, strlen(tail));
	ask(text);
	assert_memory_equal(got.p, "HTTP/1.1 404 ", 13);
	assert_int_equal(strlen(body_of()),
			 strlen("Resource not found: /.") + 2500 - strlen(head) - strlen(tail));
	memcpy(text, "PUT", 3);
	ask(text);
	assert_memory_equal(got.p, "HTTP/1.1 404 ", 13);
	memset(text + 20, 'a', 2480);
	memcpy(text, "GET / HTTP/1.1\r\nx", 17);
	memcpy(text + 2496, "\r\n\r\n", 4);
	ask(text);
	assert_memory_equal(got.p, "HTTP/1.1 400 ", 13);
}

static void all_that_the_store_holds_fits(void **state)
{
	static char text[LIMIT + 1];

	memset(text, '\\', LIMIT);
	text[0] = text[LIMIT - 1] = '"';
	put(text); /* in which every second one escapes the next */
	ask("GET / HTTP/1.1\r\nAccept: application/json\r\n\r\n");
	assert_string_equal(body_of(), text);
	answering = true;
	got = mmds_answer(&m, "GET / HTTP/1.1\r\nAccept: application/json\r\n\r\n", 44, buf, 1200,
			  now);
	answering = false;
	assert_memory_equal(got.p, "HTTP/1.1 413 ", 13);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(version_1_answers_everyone),     T(lists_are_of_objects_and_strings),
		T(ec2_never_gives_json),           T(what_is_not_there_is_not_found),
		T(other_methods_are_not_allowed),  T(a_token_names_its_header),
		T(version_2_wants_a_token),        T(a_token_lives_for_a_second_to_six_hours),
		T(a_proxy_gets_no_token),          T(errors_of_the_reader_say_they_are_json),
		T(long_requests_have_answers_too), T(all_that_the_store_holds_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
