/*
 * request.c - reads a guest's request, which may be anything. The order of the checks is
 * micro-http's, since it decides which error a guest sees; so is what is ignored: unknown headers,
 * bodies (a request that announces one is refused) and "Expect".
 */
#include "request.h"

#include <string.h>
#include <strings.h>

#define LINE_MIN 14u /* "GET / HTTP/1.0" */

static const char crlf[] = "\r\n", crlf_crlf[] = "\r\n\r\n";

#define REST(s, at) ((struct slice){(s).p + (at), (s).len - (at)})

static bool is(struct slice s, const char *text)
{
	return s.len == strlen(text) && !memcmp(s.p, text, s.len);
}

static bool is_name(struct slice s, const char *text)
{
	return s.len == strlen(text) && !strncasecmp(s.p, text, s.len);
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct slice trim(struct slice s)
{
	for (; s.len && is_space(s.p[0]); s.p++)
		s.len--;
	while (s.len && is_space(s.p[s.len - 1]))
		s.len--;
	return s;
}

/* Where `text` starts in `s`; its length: nowhere. */
static size_t find(struct slice s, const char *text)
{
	const char *at = memmem(s.p, s.len, text, strlen(text));

	return at ? (size_t)(at - s.p) : s.len;
}

/* Bytes of the UTF-8 character that `s` begins with; 0: it is none [RFC 3629, 4]. */
static size_t utf8_char(struct slice s)
{
	uint8_t first = (uint8_t)s.p[0];
	size_t n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	if ((first >= 0x80 && first < 0xc2) || first > 0xf4 || s.len < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		uint8_t c = (uint8_t)s.p[i], low = 0x80, high = 0xbf;

		if (i == 1 && first == 0xe0)
			low = 0xa0; /* longer than it has to be */
		if (i == 1 && first == 0xed)
			high = 0x9f; /* surrogates */
		if (i == 1 && first == 0xf0)
			low = 0x90;
		if (i == 1 && first == 0xf4)
			high = 0x8f; /* beyond 10ffff */
		if (c < low || c > high)
			return 0;
	}
	return n;
}

static bool is_utf8(struct slice s)
{
	while (s.len) {
		size_t n = utf8_char(s);

		if (!n)
			return false;
		s = REST(s, n);
	}
	return true;
}

size_t request_end(const char *p, size_t len)
{
	for (size_t i = 0; i + 1 < len; i++) {
		if (p[i] != '\n')
			continue;
		if (p[i + 1] == '\n')
			return i + 2;
		if (i + 2 < len && p[i + 1] == '\r' && p[i + 2] == '\n')
			return i + 3;
	}
	return 0;
}

bool request_u32(struct slice s, uint32_t *value)
{
	uint64_t v = 0;

	if (s.len && s.p[0] == '+')
		s = REST(s, 1);
	if (!s.len)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(s.p[i] - '0');
		if (v > UINT32_MAX)
			return false;
	}
	*value = (uint32_t)v;
	return true;
}

/* --- the first line --- */

static bool fail(struct request_error *e, unsigned status, const char *text)
{
	*e = (struct request_error){.status = status, .text = text};
	return false;
}

static bool invalid(struct request_error *e)
{
	return fail(e, 400, "Invalid request.");
}

/* The absolute path of a URI, which may have a scheme and a host before it. */
static struct slice path_of(struct slice uri)
{
	static const char scheme[] = "http://";

	if (uri.len >= strlen(scheme) && !memcmp(uri.p, scheme, strlen(scheme))) {
		uri = REST(uri, strlen(scheme));
		return REST(uri, find(uri, "/"));
	}
	return uri.p[0] == '/' ? uri : (struct slice){uri.p, 0};
}

static bool parse_line(struct request *r, struct slice line, bool *may_have_body,
		       struct request_error *e)
{
	struct slice method = {line.p, find(line, " ")}, uri, version;

	if (line.len < LINE_MIN || method.len == line.len)
		return invalid(e);
	line = REST(line, method.len + 1);
	uri = (struct slice){line.p, find(line, " ")};
	if (uri.len == line.len)
		return invalid(e);
	version = REST(line, uri.len + 1);
	r->method = is(method, "GET")   ? REQUEST_GET
		    : is(method, "PUT") ? REQUEST_PUT
					: REQUEST_OTHER;
	*may_have_body = r->method == REQUEST_PUT || is(method, "PATCH");
	if (r->method == REQUEST_OTHER && !is(method, "PATCH") && !is(method, "DELETE"))
		return fail(e, 501, "Unsupported HTTP method.");
	if (!uri.len)
		return fail(e, 400, "Empty URI not allowed.");
	if (!is_utf8(uri))
		return fail(e, 400, "Cannot parse URI as UTF-8.");
	r->http10 = is(version, "HTTP/1.0");
	if (!r->http10 && !is(version, "HTTP/1.1"))
		return fail(e, 501, "Unsupported HTTP version.");
	r->uri = path_of(uri);
	return true;
}

/* --- headers --- */

static bool bad_value(struct request_error *e, struct slice name, struct slice value)
{
	*e = (struct request_error){400, "Invalid value. Key:", name, value};
	return false;
}

/* Does the client refuse what is sent as it is? */
static bool parse_encodings(struct slice value, struct request_error *e)
{
	static const struct slice name = {"Accept-Encoding", 15};
	struct slice all = value;
	bool identity = find(all, "identity") < all.len;

	if (!value.len)
		return invalid(e);
	for (;;) {
		struct slice one = {value.p, find(value, ",")};

		if (is(trim(one), "identity;q=0") || (is(trim(one), "*;q=0") && !identity))
			return bad_value(e, name, one);
		if (one.len == value.len)
			return true;
		value = REST(value, one.len + 1);
	}
}

static void parse_other(struct request *r, struct slice name, struct slice value)
{
	if (is_name(name, "X-metadata-token") || is_name(name, "X-aws-ec2-metadata-token")) {
		r->token = value;
	} else if (is_name(name, "X-metadata-token-ttl-seconds") ||
		   is_name(name, "X-aws-ec2-metadata-token-ttl-seconds")) {
		r->ttl_name = name;
		r->ttl = value;
	} else if (is_name(name, "X-Forwarded-For")) {
		r->forwarded = name;
	}
}

static bool parse_header(struct request *r, struct slice line, uint32_t *body,
			 struct request_error *e)
{
	struct slice name = {line.p, find(line, ":")}, value;

	if (name.len == line.len) {
		*e = (struct request_error){
			.status = 400,
			.text = "Header is incorrectly formatted. Key: ",
			.name = name,
		};
		return false;
	}
	value = REST(line, name.len + 1);
	if (is_name(trim(name), "Content-Length"))
		return request_u32(trim(value), body) || bad_value(e, name, value);
	if (is_name(trim(name), "Accept-Encoding"))
		return parse_encodings(trim(value), e);
	if (!is_name(trim(name), "Accept"))
		parse_other(r, trim(name), trim(value));
	else if (is(trim(value), "application/json"))
		r->json = true;
	else if (is(trim(value), "text/plain"))
		r->json = false;
	return true;
}

bool request_parse(struct request *r, const char *p, size_t len, struct request_error *e)
{
	struct slice all = {p, len}, line = {p, find(all, crlf)};
	bool may_have_body;
	uint32_t body = 0;

	*r = (struct request){0};
	if (line.len == all.len)
		return invalid(e);
	if (!parse_line(r, line, &may_have_body, e))
		return false;
	all = REST(all, line.len);
	all.len = find(all, crlf_crlf);
	if (all.p + all.len == p + len) /* no empty line as it should be */
		return invalid(e);
	if (!is_utf8(all))
		return invalid(e);
	while (all.len) {
		all = REST(all, strlen(crlf));
		line = (struct slice){all.p, find(all, crlf)};
		all = REST(all, line.len);
		if (!parse_header(r, line, &body, e))
			return false;
	}
	return body == 0 || invalid(e); /* its body is not here yet, or there should be none */
}
