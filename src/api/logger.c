/*
 * logger.c - Firecracker's log lines [vmm/src/logger/logging.rs]. A line is put together on the
 * caller's stack and leaves with one write that does not wait: what is not taken at once is lost
 * and counted. No lock: the settings change before there are other threads.
 *
 * The local time is the zone's at the start. A switch to summer time is not followed: the zone's
 * file is out of reach after lock-down.
 */
#include "logger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "os_error.h"

#define LINE_MAX_BYTES 1536 /* a sentence, which log.c cuts at 1 KiB, and what goes before it */

static struct logger {
	const char *id;
	int fd;
	bool own;    /* fd is ours to replace: not stdout */
	bool socket; /* is stdout, that is */
	enum log_level level;
	bool show_level, show_origin;
	char module[LOGGER_MODULE_MAX]; /* "": all */
	int64_t utc_offset;             /* seconds east */
	uint64_t missed;
} logger = {.id = "anonymous-instance", .fd = STDOUT_FILENO, .level = LEVEL_INFO};

/* "../src/api/server.c" and the like is in module "api::server"; compares without writing it out.
 */
static bool in_module(const char *file, const char *module)
{
	const char *src = strstr(file, "src/");

	if (src)
		file = src + strlen("src/");
	while (*module) {
		if (*module == ':' && module[1] == ':' && *file == '/') {
			module += 2;
			file++;
		} else if (*module++ != *file++) {
			return false;
		}
	}
	return true;
}

/* The date of a day since 1970-01-01; years begin in March, so that leap days come last. */
static void date_of(int64_t days, int *year, int *month, int *day)
{
	int64_t era, of_era, year_of_era, of_year, m;

	days += 719468; /* from 0000-03-01 */
	era = days / 146097;
	of_era = days % 146097; /* days of 400 years */
	year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	m = (5 * of_year + 2) / 153;
	*day = (int)(of_year - (153 * m + 2) / 5 + 1);
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*year = (int)(year_of_era + era * 400 + (*month <= 2));
}

static int put_time(char *buf, size_t size)
{
	int year, month, day, second;
	struct timespec now;
	int64_t local;

	clock_gettime(CLOCK_REALTIME, &now);
	local = MAX((int64_t)now.tv_sec + logger.utc_offset, 0);
	date_of(local / 86400, &year, &month, &day);
	second = (int)(local % 86400);
	return snprintf(buf, size, "%d-%02d-%02dT%02d:%02d:%02d.%09ld", year, month, day,
			second / 3600, second / 60 % 60, second % 60, now.tv_nsec);
}

/* Does not wait. */
static ssize_t put(const char *line, size_t n)
{
	if (logger.socket && !logger.own)
		return send(STDOUT_FILENO, line, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	return write(logger.fd, line, n);
}

static void logger_line(enum log_level level, const char *file, unsigned line, const char *msg)
{
	static const char *const name[] = {"", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"};
	char buf[LINE_MAX_BYTES], origin[160] = "";
	size_t n;

	if (level > logger.level || (*logger.module && file && !in_module(file, logger.module)))
		return;
	if (logger.show_origin && file)
		snprintf(origin, sizeof(origin), ":%s:%u", file, line);
	else if (logger.show_origin)
		strcpy(origin, ":?:?");
	n = (size_t)put_time(buf, sizeof(buf));
	n += (size_t)snprintf(buf + n, sizeof(buf) - n, " [%s:%s%s%s%s] %s", logger.id,
			      log_thread_name(), logger.show_level ? ":" : "",
			      logger.show_level ? name[level] : "", origin, msg);
	n = MIN(n, sizeof(buf) - 1);
	buf[n++] = '\n';
	if (put(buf, n) != (ssize_t)n)
		__atomic_fetch_add(&logger.missed, 1, __ATOMIC_RELAXED);
}

/*
 * stdout that does not block, where it can be had: a FIFO or terminal is opened anew, so that
 * O_NONBLOCK does not reach other processes through the shared description. In a jail without
 * /proc, or when the FIFO is another user's, it does: a reader that stops would stop the machine.
 * Not of a terminal, whose shell would stumble over it.
 */
static int open_stdout(void)
{
	struct stat st;
	int fd = -1, flags;

	if (fstat(STDOUT_FILENO, &st))
		return STDOUT_FILENO;
	logger.socket = S_ISSOCK(st.st_mode);
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
		fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 && S_ISFIFO(st.st_mode)) {
		flags = fcntl(STDOUT_FILENO, F_GETFL);
		fcntl(STDOUT_FILENO, F_SETFL, flags | O_NONBLOCK);
	}
	return fd < 0 ? STDOUT_FILENO : fd;
}

void logger_init(const char *id)
{
	time_t now = time(NULL);
	struct tm local;

	logger.id = id;
	logger.utc_offset = localtime_r(&now, &local) ? local.tm_gmtoff : 0;
	if (!logger.own)
		logger.fd = open_stdout();
	logger.own = logger.fd != STDOUT_FILENO;
	log_sink(logger_line);
}

/* Read as well, so that a FIFO can be opened, and written to, before anybody reads it. */
static int open_path(const char *path)
{
	return open(path, O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
}

int logger_update(const struct logger_conf *c, char *why, size_t len)
{
	if (c->path) {
		int fd = open_path(c->path), err = errno;

		if (fd < 0) {
			snprintf(why, len, "Failed to open target file: %s", os_error(err));
			return -err;
		}
		if (logger.own) /* in one step: the number stays good for who is just writing */
			dup3(fd, logger.fd, O_CLOEXEC);
		if (logger.own)
			close(fd);
		else
			logger.fd = fd;
		logger.own = true;
	}
	logger.level = c->level;
	if (c->show_level >= 0)
		logger.show_level = c->show_level;
	if (c->show_origin >= 0)
		logger.show_origin = c->show_origin;
	if (c->module)
		snprintf(logger.module, sizeof(logger.module), "%s", c->module);
	return 0;
}

uint64_t logger_missed(void)
{
	return __atomic_load_n(&logger.missed, __ATOMIC_RELAXED);
}
