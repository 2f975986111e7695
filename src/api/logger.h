/*
 * logger.h - Firecracker's log: lines of one format on stdout or in a file or FIFO. It is the sink
 * of log.h: who has something to say calls log_err(), log_info() and so on.
 *
 *   2026-11-23T16:00:00.123456789 [id:thread(:LEVEL)(:file:line)] message
 */
#pragma once
#include "../log.h"

#define LOGGER_MODULE_MAX 128

struct logger_conf {
	const char *path;            /* NULL: where lines went before */
	enum log_level level;        /* the highest that is written */
	int show_level, show_origin; /* 1, 0; -1: as before */
	/*
	 * Lines of this module alone: the place in our tree, "api::server" for src/api/server.c, or
	 * what it begins with. NULL: as before. Lines whose place is not known pass.
	 */
	const char *module;
};

/* From now on sentences are lines on stdout. `id` must stay. Reads the time zone, and so may open
 * files: before lock-down. */
void logger_init(const char *id);
/* Before the machine runs, as Firecracker has it. 0, or -errno with the sentence in `why`. */
int logger_update(const struct logger_conf *c, char *why, size_t len);
/* off, trace, debug, info, warn, warning, error, in any case; false: none of them. */
bool logger_level(const char *s, enum log_level *level);
/* Lines that could not be written, since nobody reads the FIFO say. */
uint64_t logger_missed(void);
