/* said.h - a log that keeps the last sentence, for tests. Included by one file of a program. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/log.h"

static char said[1024];
static unsigned said_lines;
static enum log_level said_level;

__attribute__((format(printf, 2, 0))) static void said_now(enum log_level level, const char *fmt,
							   va_list ap)
{
	vsnprintf(said, sizeof(said), fmt, ap);
	said_lines++;
	said_level = level;
}

void log_err(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	said_now(LEVEL_ERROR, fmt, ap);
	va_end(ap);
}

int log_fail(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	said_now(LEVEL_ERROR, fmt, ap);
	va_end(ap);
	return -err;
}

void log_guest(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	said_now(LEVEL_WARN, fmt, ap);
	va_end(ap);
}

void log_at(enum log_level level, const char *file, unsigned line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	said_now(level, fmt, ap);
	va_end(ap);
}

const char *log_last(void)
{
	return said;
}

/* `got` is -err, said in one sentence that contains `part`. */
static inline void assert_fails(int got, int err, const char *part)
{
	assert_int_equal(got, -err);
	assert_int_equal(said_lines, 1);
	said_lines = 0;
	if (!strstr(said, part))
		fail_msg("\"%s\" does not say \"%s\"", said, part);
}
