/*
 * log.h - messages to the operator on stderr, each one sentence, written with one write().
 */
#pragma once
#include "util.h"

/* Prints "minnow: " and the sentence, cut at 1 KiB; adds the newline. Safe from any thread. */
void log_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* log_err(), then -err: `return log_fail(EINVAL, "kernel %s: ...", path);` */
int log_fail(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The last sentence that log_err() or log_fail() wrote in this thread, without prefix; "": none. */
const char *log_last(void);

/*
 * For what a guest can provoke: as log_err(), but at most LOG_GUEST_MAX lines in the life of the
 * process; the last one says that the rest are only counted.
 */
#define LOG_GUEST_MAX 16
void log_guest(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
