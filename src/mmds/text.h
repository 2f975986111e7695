/*
 * text.h - what is written for a guest: bytes into a buffer of the caller's, which never overflows.
 * What does not fit is counted and left out, so that a text without a buffer is a measure.
 */
#pragma once
#include <string.h>

#include "../util.h"

struct text {
	char *buf;
	size_t size;
	size_t len; /* more than size: it was cut */
};

static inline void text_put(struct text *t, const void *p, size_t n)
{
	if (p && n && t->len < t->size)
		memcpy(t->buf + t->len, p, MIN(n, t->size - t->len));
	t->len += n;
}

static inline void text_str(struct text *t, const char *s)
{
	text_put(t, s, strlen(s));
}

static inline void text_char(struct text *t, char c)
{
	text_put(t, &c, 1);
}

static inline void text_u64(struct text *t, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + v % 10);
	while (v /= 10);
	text_put(t, digits + at, sizeof(digits) - at);
}
