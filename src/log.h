/*
 * log.h - messages to the operator, each one sentence, written with one write(): on stderr, or
 * where a sink puts them.
 */
#pragma once
#include "util.h"

enum log_level { LEVEL_OFF, LEVEL_ERROR, LEVEL_WARN, LEVEL_INFO, LEVEL_DEBUG, LEVEL_TRACE };

/*
 * From now on every sentence goes to the sink instead of stderr, without prefix and newline: what
 * log_err() and log_fail() say as LEVEL_ERROR, log_guest() as LEVEL_WARN. `file` is NULL where the
 * place is not known. The sink is called from any thread and must not use errno. NULL: stderr.
 */
void log_sink(void (*sink)(enum log_level level, const char *file, unsigned line, const char *msg));

/* What works, but hardly as it was meant. */
#define log_warn(...) log_at(LEVEL_WARN, __FILE__, __LINE__, __VA_ARGS__)

/* What is told to a sink alone. Costs a load when there is none. */
#define log_info(...)  log_at(LEVEL_INFO, __FILE__, __LINE__, __VA_ARGS__)
#define log_debug(...) log_at(LEVEL_DEBUG, __FILE__, __LINE__, __VA_ARGS__)
void log_at(enum log_level level, const char *file, unsigned line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The calling thread's name in a sink's lines; must stay. NULL, as at first: "main". */
void log_thread(const char *name);
const char *log_thread_name(void);

/* Prints "minnow: " and the sentence, cut at 1 KiB; adds the newline. Safe from any thread. */
void log_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* log_err(), then -err: `return log_fail(EINVAL, "kernel %s: ...", path);` */
int log_fail(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The last sentence of log_err() or log_fail() in this thread, without prefix; "": none. */
const char *log_last(void);

/*
 * For what a guest can provoke: as log_err(), but at most LOG_GUEST_MAX lines in the life of the
 * process; the last one says that the rest are only counted. The counter is log_guest_dropped().
 */
#define LOG_GUEST_MAX 16
void log_guest(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
uint64_t log_guest_dropped(void);
