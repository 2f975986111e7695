/*
 * log.c - messages to the operator. A line is put together on the stack and leaves with one write,
 * so that lines of several threads do not mix; nothing here allocates, locks or waits for stderr
 * longer than that write does. A sink may be set while other threads speak.
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

static uint64_t guest_lines;
static _Thread_local char last[LOG_LINE]; /* untouched, and so no memory, until something fails */
static _Thread_local const char *thread_name;
static void (*the_sink)(enum log_level level, const char *file, unsigned line, const char *msg);

void log_sink(void (*sink)(enum log_level level, const char *file, unsigned line, const char *msg))
{
	__atomic_store_n(&the_sink, sink, __ATOMIC_RELAXED);
}

void log_thread(const char *name)
{
	thread_name = name;
}

const char *log_thread_name(void)
{
	return thread_name ? thread_name : "main";
}

/* Where a sentence comes from, and what becomes of it. */
struct origin {
	enum log_level level;
	const char *file;
	unsigned line;
	const char *tail; /* is never cut */
	char *keep;       /* LOG_LINE bytes for the sentence without its tail, or NULL */
};

/* A control character, from a file's name say, becomes '?'. Keeps errno. */
__attribute__((format(printf, 2, 0))) static void log_line(const struct origin *o, const char *fmt,
							   va_list ap)
{
	void (*sink)(enum log_level, const char *, unsigned, const char *);
	char line[LOG_LINE] = LOG_PREFIX, *text = line + strlen(LOG_PREFIX);
	size_t end = strlen(o->tail) + 1, n = 0, room = sizeof(line) - end - strlen(LOG_PREFIX);
	int saved = errno, got = vsnprintf(text, room + 1, fmt, ap);

	for (got = MIN(got, (int)room); got > 0; got--, n++)
		if ((unsigned char)text[n] < ' ' || text[n] == DEL)
			text[n] = '?';
	if (o->keep) {
		memcpy(o->keep, text, n);
		o->keep[n] = '\0';
	}
	memcpy(text + n, o->tail, end);
	sink = __atomic_load_n(&the_sink, __ATOMIC_RELAXED);
	if (sink) {
		sink(o->level, o->file, o->line, text);
	} else {
		text[n + end - 1] = '\n';
		if (write(STDERR_FILENO, line, strlen(LOG_PREFIX) + n + end) < 0) {
			/* Nobody reads: there is no other place to say it. */
		}
	}
	errno = saved;
}

void log_err(const char *fmt, ...)
{
	const struct origin o = {LEVEL_ERROR, .tail = "", .keep = last};
	va_list ap;

	va_start(ap, fmt);
	log_line(&o, fmt, ap);
	va_end(ap);
}

int log_fail(int err, const char *fmt, ...)
{
	const struct origin o = {LEVEL_ERROR, .tail = "", .keep = last};
	va_list ap;

	va_start(ap, fmt);
	log_line(&o, fmt, ap);
	va_end(ap);
	return -err;
}

void log_at(enum log_level level, const char *file, unsigned line, const char *fmt, ...)
{
	const struct origin o = {level, file, line, "", NULL};
	va_list ap;

	if (level > LEVEL_WARN && !__atomic_load_n(&the_sink, __ATOMIC_RELAXED))
		return;
	va_start(ap, fmt);
	log_line(&o, fmt, ap);
	va_end(ap);
}

const char *log_last(void)
{
	return last;
}

void log_guest(const char *fmt, ...)
{
	uint64_t n = __atomic_fetch_add(&guest_lines, 1, __ATOMIC_RELAXED);
	struct origin o = {LEVEL_WARN, .tail = ""};
	va_list ap;

	if (n >= LOG_GUEST_MAX)
		return;
	if (n + 1 == LOG_GUEST_MAX)
		o.tail = " (more of this kind is only counted)";
	va_start(ap, fmt);
	log_line(&o, fmt, ap);
	va_end(ap);
}

uint64_t log_guest_dropped(void)
{
	uint64_t n = __atomic_load_n(&guest_lines, __ATOMIC_RELAXED);

	return n > LOG_GUEST_MAX ? n - LOG_GUEST_MAX : 0;
}
