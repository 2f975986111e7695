/*
 * http_line.c - request lines and headers. Names of headers are taken in either case, values as
 * they are written; of a header that comes twice the last one counts. Blanks are ASCII's alone.
 * Differs from Firecracker in one thing: a NUL in a URI is refused, since paths are C strings here.
 */
#include "http_line.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct text {
	const char *at;
	size_t len;
};

#define TEXT(s) ((struct text){s, sizeof(s) - 1})

/* --- what is wrong --- */

static void why_bytes(struct http_why *why, struct text t)
{
	size_t n = MIN(t.len, sizeof(why->text) - why->len);

	memcpy(why->text + why->len, t.at, n);
	why->len += n;
}

void http_why_add(struct http_why *why, const char *format, ...)
{
	char part[160];
	va_list ap;
	int n;

	if (!why)
		return;
	va_start(ap, format);
	n = vsnprintf(part, sizeof(part), format, ap);
	va_end(ap);
	why_bytes(why, (struct text){part, MIN((size_t)MAX(n, 0), sizeof(part) - 1)});
}

static bool bad_value(struct http_why *why, struct text key, struct text value)
{
	if (!why)
		return false;
	http_why_add(why, "Invalid header. Reason: Invalid value. Key:");
	why_bytes(why, key);
	http_why_add(why, "; Value:");
	why_bytes(why, value);
	return false;
}

static bool bad(struct http_why *why, const char *reason)
{
	http_why_add(why, "%s", reason);
	return false;
}

/* --- UTF-8 --- */

/*
 * The length of the character at the front; 0 if there is none, and then `broken` is the length of
 * what cannot be one, or 0: the text ends within a character.
 */
static unsigned utf8_char(const uint8_t *p, size_t n, unsigned *broken)
{
	const uint8_t c = p[0];
	const unsigned len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	uint8_t lo = 0x80, hi = 0xbf;

	*broken = 1;
	if ((c >= 0x80 && c < 0xc2) || c > 0xf4)
		return 0;
	if (c == 0xe0)
		lo = 0xa0; /* shorter forms exist */
	if (c == 0xed)
		hi = 0x9f; /* surrogates */
	if (c == 0xf0)
		lo = 0x90;
	if (c == 0xf4)
		hi = 0x8f; /* beyond Unicode */
	for (unsigned i = 1; i < len; i++, (*broken)++) {
		if (i == n) {
			*broken = 0;
			return 0;
		}
		if (p[i] < lo || p[i] > hi)
			return 0;
		lo = 0x80;
		hi = 0xbf;
	}
	return len;
}

/* How much of `t` is UTF-8, from its front. */
static size_t utf8_valid(struct text t, unsigned *broken)
{
	size_t at = 0;
	unsigned n;

	while (at < t.len) {
		n = utf8_char((const uint8_t *)t.at + at, t.len - at, broken);
		if (!n)
			break;
		at += n;
	}
	return at;
}

void http_header_too_long(const char *line, size_t len, struct http_why *why)
{
	struct text t = {line, len};

	if (!why)
		return;
	http_why_add(why, "Invalid header. Reason: Invalid content length. Header: ");
	while (t.len) {
		unsigned broken = 0;
		size_t n = utf8_valid(t, &broken);

		why_bytes(why, (struct text){t.at, n});
		t.at += n;
		t.len -= n;
		if (!t.len)
			return;
		why_bytes(why, TEXT("\xef\xbf\xbd")); /* U+FFFD */
		n = broken ? broken : t.len;
		t.at += n;
		t.len -= n;
	}
}

/* --- pieces --- */

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct text trim(struct text t)
{
	while (t.len && is_blank(t.at[0])) {
		t.at++;
		t.len--;
	}
	while (t.len && is_blank(t.at[t.len - 1]))
		t.len--;
	return t;
}

static bool is(struct text t, struct text word)
{
	return t.len == word.len && memcmp(t.at, word.at, word.len) == 0;
}

/* The front of `t` up to `end`, which is cut off with it. false: there is no such byte. */
static bool cut(struct text *t, char end, struct text *front)
{
	const char *at = t->len ? memchr(t->at, end, t->len) : NULL;

	if (!at)
		return false;
	*front = (struct text){t->at, (size_t)(at - t->at)};
	t->len -= front->len + 1;
	t->at = at + 1;
	return true;
}

/* --- the request line --- */

static bool method(struct http_head *h, struct text word)
{
	static const struct {
		struct text word;
		enum http_method method;
	} known[] = {
		{TEXT("GET"),    HTTP_GET   },
		{TEXT("PUT"),    HTTP_PUT   },
		{TEXT("PATCH"),  HTTP_PATCH },
		{TEXT("DELETE"), HTTP_DELETE},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		if (is(word, known[i].word)) {
			h->method = known[i].method;
			return true;
		}
	return false;
}

/* From "http://host/path" or "/path"; nothing of any other form. */
static struct text path_of(struct text uri)
{
	const struct text scheme = TEXT("http://");
	const char *slash;

	if (uri.len >= scheme.len && memcmp(uri.at, scheme.at, scheme.len) == 0) {
		uri.at += scheme.len;
		uri.len -= scheme.len;
		slash = uri.len ? memchr(uri.at, '/', uri.len) : NULL;
		if (slash)
			return (struct text){slash, (size_t)(uri.at + uri.len - slash)};
	} else if (uri.at[0] == '/') {
		return uri;
	}
	return TEXT("");
}

bool http_request_line(struct http_head *h, const char *line, size_t len, const char **path,
		       size_t *path_len, struct http_why *why)
{
	struct text rest = {line, len}, word, uri, abs;
	unsigned broken;

	if (!cut(&rest, ' ', &word) || !cut(&rest, ' ', &uri))
		return bad(why, "Invalid request.");
	if (!method(h, word))
		return bad(why, "Invalid HTTP Method: Unsupported HTTP method.");
	if (!uri.len)
		return bad(why, "Invalid URI: Empty URI not allowed.");
	if (utf8_valid(uri, &broken) < uri.len)
		return bad(why, "Invalid URI: Cannot parse URI as UTF-8.");
	if (memchr(uri.at, '\0', uri.len))
		return bad(why, "Invalid URI: It has a NUL in it.");
	if (is(rest, TEXT("HTTP/1.0")))
		h->minor = 0;
	else if (is(rest, TEXT("HTTP/1.1")))
		h->minor = 1;
	else
		return bad(why, "Invalid HTTP Version: Unsupported HTTP version.");
	abs = path_of(uri);
	*path = abs.at;
	*path_len = abs.len;
	return true;
}

/* --- headers --- */

/* As Rust's u32 does: digits, perhaps after a plus. */
static bool number(struct text t, uint32_t *v)
{
	uint64_t n = 0;

	if (t.len && t.at[0] == '+') {
		t.at++;
		t.len--;
	}
	if (!t.len)
		return false;
	for (; t.len; t.at++, t.len--) {
		if (*t.at < '0' || *t.at > '9')
			return false;
		n = n * 10 + (unsigned)(*t.at - '0');
		if (n > UINT32_MAX)
			return false;
	}
	*v = (uint32_t)n;
	return true;
}

/* A client may refuse to take what is not encoded, which is all there is. */
static bool encodings(struct text value, struct http_why *why)
{
	const struct text all = value = trim(value);
	struct text one;
	bool more;

	if (!value.len)
		return bad(why, "Invalid request.");
	do {
		more = cut(&value, ',', &one);
		if (!more)
			one = value;
		if (is(trim(one), TEXT("identity;q=0")) ||
		    (is(trim(one), TEXT("*;q=0")) && !memmem(all.at, all.len, "identity", 8)))
			return bad_value(why, TEXT("Accept-Encoding"), one);
	} while (more);
	return true;
}

static bool named(struct text key, struct text name)
{
	key = trim(key);
	return key.len == name.len && strncasecmp(key.at, name.at, name.len) == 0;
}

bool http_header_line(struct http_head *h, const char *line, size_t len, struct http_why *why)
{
	struct text value = {line, len}, key;
	unsigned broken = 0;
	size_t valid = utf8_valid(value, &broken);

	if (valid < len) {
		http_why_add(why,
			     "Invalid header. Reason: Header contains invalid characters. Key: ");
		if (broken)
			http_why_add(why, "invalid utf-8 sequence of %u bytes from index %zu",
				     broken, valid);
		else
			http_why_add(why, "incomplete utf-8 byte sequence from index %zu", valid);
		return false;
	}
	if (!cut(&value, ':', &key)) {
		http_why_add(why, "Invalid header. Reason: Header is incorrectly formatted. Key: ");
		if (why)
			why_bytes(why, value);
		return false;
	}
	if (named(key, TEXT("content-length")))
		return number(trim(value), &h->body_len) || bad_value(why, key, value);
	if (named(key, TEXT("accept-encoding")))
		return encodings(value, why);
	if (named(key, TEXT("expect")) && is(trim(value), TEXT("100-continue")))
		h->expect = true;
	return true;
}
