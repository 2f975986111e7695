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

void json_put_string(struct json_out *o, const char *s)
{
	size_t plain;

	if (!s) {
		json_put(o, "null");
		return;
	}
	json_put(o, "\"");
	for (; *s; s++) {
		for (plain = 0;
		     (unsigned char)s[plain] >= 0x20 && s[plain] != '"' && s[plain] != '\\';)
			plain++;
		json_put(o, "%.*s", (int)plain, s);
		s += plain;
		if (!*s)
			break;
		put_escaped(o, (unsigned char)*s);
	}
	json_put(o, "\"");
}
