/* quiet.c - log.c for fuzzers: counts the sentences, formats them and prints nothing. */
#include "../../src/log.h"

#include <stdarg.h>

#include "fuzz.h"

unsigned quiet_lines;
static char last[256];

/* Formatted all the same: a wrong argument is to be found, too. */
__attribute__((format(printf, 1, 0))) static void quiet_line(const char *fmt, va_list ap)
{
	CHECK(vsnprintf(last, sizeof(last), fmt, ap) > 0);
	quiet_lines++;
}

const char *log_last(void)
{
	return last;
}

void log_err(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	quiet_line(fmt, ap);
	va_end(ap);
}

int log_fail(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	quiet_line(fmt, ap);
	va_end(ap);
	return -err;
}

void log_guest(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	quiet_line(fmt, ap);
	va_end(ap);
}

void log_at(enum log_level level, const char *file, unsigned line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	quiet_line(fmt, ap);
	va_end(ap);
}
