/* json_out.c - JSON that is written: a text that grows, and strings as serde escapes them. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

static bool out_room(struct json_out *o, size_t more)
{
	size_t cap = MAX(o->cap, 256u);
	char *p;

	while (cap < o->len + more + 1)
		cap *= 2;
	if (o->failed || cap == o->cap)
		return !o->failed;
	p = realloc(o->p, cap);
	if (!p) {
		free(o->p);
		*o = (struct json_out){.failed = true};
		return false;
	}
	o->p = p;
	o->cap = cap;
	return true;
}

void json_put(struct json_out *o, const char *fmt, ...)
{
	va_list ap, again;
	int len;

	va_start(ap, fmt);
	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, ap);
	if (len >= 0 && out_room(o, (size_t)len)) {
		vsnprintf(o->p + o->len, (size_t)len + 1, fmt, again);
		o->len += (size_t)len;
	}
	va_end(again);
	va_end(ap);
}

static void put_escaped(struct json_out *o, unsigned char c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *short_form = c ? strchr(from, c) : NULL;

	if (short_form)
		json_put(o, "\\%c", to[short_form - from]);
	else
		json_put(o, "\\u%04x", c);
}

/* Bytes of the character at `s`: 0 if it is none in UTF-8 [RFC 3629, 4]. */
static size_t utf8_len(const unsigned char *s)
{
	static const struct {
		unsigned char low, high, second_low, second_high, len;
	} kind[] = {
		{0x01, 0x7f, 0x00, 0xff, 1},
                {0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3},
                {0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3},
                {0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4},
                {0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(kind); i++) {
		size_t n = 2;

		if (*s < kind[i].low || *s > kind[i].high)
			continue;
		if (kind[i].len == 1)
			return 1;
		if (s[1] < kind[i].second_low || s[1] > kind[i].second_high)
			return 0;
		while (n < kind[i].len && (s[n] & 0xc0) == 0x80)
			n++;
		return n == kind[i].len ? n : 0;
	}
	return 0;
}

/* What is no UTF-8, as a sentence that was cut may not be, becomes U+FFFD. */
void json_put_string(struct json_out *o, const char *s)
{
	if (!s) {
		json_put(o, "null");
		return;
	}
	json_put(o, "\"");
	while (*s) {
		size_t plain = 0, n;

		while ((unsigned char)s[plain] >= 0x20 && s[plain] != '"' && s[plain] != '\\' &&
		       (n = utf8_len((const unsigned char *)s + plain)) > 0)
			plain += n;
		json_put(o, "%.*s", (int)plain, s);
		s += plain;
		if (*s && (unsigned char)*s < 0x80)
			put_escaped(o, (unsigned char)*s++);
		else if (*s) {
			json_put(o, "\xef\xbf\xbd");
			s++;
		}
	}
	json_put(o, "\"");
}
