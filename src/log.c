/*
 * log.c - messages to the operator. A line is put together on the stack and leaves with one write,
 * so that lines of several threads do not mix; nothing here allocates, locks or waits for stderr
 * longer than that write does.
 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOG_LINE   1024
#define LOG_PREFIX "minnow: "
#define DEL        0x7f

static unsigned guest_lines;
static _Thread_local char last[LOG_LINE]; /* untouched, and so no memory, until something fails */

/* `tail` is never cut; a control character, from a file's name say, becomes '?'. Keeps errno. */
__attribute__((format(printf, 1, 0))) static void log_line(const char *fmt, va_list ap,
							   const char *tail, char *keep)
{
	char line[LOG_LINE] = LOG_PREFIX;
	size_t end = strlen(tail) + 1, n = strlen(LOG_PREFIX), room = sizeof(line) - end - n;
	int saved = errno, got = vsnprintf(line + n, room + 1, fmt, ap);

	for (got = MIN(got, (int)room); got > 0; got--, n++)
		if ((unsigned char)line[n] < ' ' || line[n] == DEL)
			line[n] = '?';
	if (keep) {
		memcpy(keep, line + strlen(LOG_PREFIX), n - strlen(LOG_PREFIX));
		keep[n - strlen(LOG_PREFIX)] = '\0';
	}
	memcpy(line + n, tail, end - 1);
	n += end - 1;
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0) {
		/* Nobody reads: there is no other place to say it. */
	}
	errno = saved;
}

void log_err(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(fmt, ap, "", last);
	va_end(ap);
}

int log_fail(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(fmt, ap, "", last);
	va_end(ap);
	return -err;
}

const char *log_last(void)
{
	return last;
}

void log_guest(const char *fmt, ...)
{
	unsigned n = __atomic_load_n(&guest_lines, __ATOMIC_RELAXED);
	va_list ap;

	/* A load first: the counter must not wrap, however long the guest goes on. */
	if (n >= LOG_GUEST_MAX)
		return;
	n = __atomic_fetch_add(&guest_lines, 1, __ATOMIC_RELAXED);
	if (n >= LOG_GUEST_MAX)
		return;
	va_start(ap, fmt);
	log_line(fmt, ap, n + 1 == LOG_GUEST_MAX ? " (more of this kind is only counted)" : "",
		 NULL);
	va_end(ap);
}
