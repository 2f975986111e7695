/* logger_test.c - Firecracker's log lines: their form, what is left out, and a reader that is gone.
 */
#include "../../../src/api/logger.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64], why[256];
static int reader = -1;

/* A fresh FIFO that the log goes to, with the settings of a new process. */
static int fifo(void **state)
{
	struct logger_conf c = {path, LEVEL_INFO, 0, 0, ""};

	if (reader >= 0)
		close(reader);
	unlink(path);
	if (mkfifo(path, 0600))
		return -1;
	reader = open(path, O_RDONLY | O_NONBLOCK);
	return logger_update(&c, why, sizeof(why));
}

static int begin(void **state)
{
	snprintf(path, sizeof(path), "/tmp/minnow-logger-XXXXXX");
	close(mkstemp(path));
	setenv("TZ", "XYZ-5:30", 1);
	logger_init("my-id");
	return 0;
}

static int end(void **state)
{
	log_sink(NULL);
	return unlink(path);
}

/* All lines that were written since. */
static const char *lines(void)
{
	static char buf[8192];
	ssize_t n = read(reader, buf, sizeof(buf) - 1);

	buf[MAX(n, 0)] = '\0';
	return buf;
}

static void set(struct logger_conf c)
{
	assert_int_equal(logger_update(&c, why, sizeof(why)), 0);
}

static void matches(const char *text, const char *pattern)
{
	regex_t re;

	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	if (regexec(&re, text, 0, NULL, 0))
		fail_msg("\"%s\" is not /%s/", text, pattern);
	regfree(&re);
}

#define TIME "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9} "

static void a_line_has_time_id_and_thread(void **state)
{
	log_err("disk %s", "full");
	matches(lines(), TIME "\\[my-id:main\\] disk full\n$");
	log_thread("fc_vcpu 0");
	log_info("hello");
	log_thread(NULL);
	matches(lines(), TIME "\\[my-id:fc_vcpu 0\\] hello\n$");
}

static void level_and_origin_are_shown_on_demand(void **state)
{
	set((struct logger_conf){NULL, LEVEL_DEBUG, 1, 1, NULL});
	log_debug("x");
	matches(lines(), "\\[my-id:main:DEBUG:[^:]+/logger_test.c:[0-9]+\\] x\n$");
	log_fail(EIO, "y");
	matches(lines(), "\\[my-id:main:ERROR:\\?:\\?\\] y\n$");
	set((struct logger_conf){NULL, LEVEL_DEBUG, -1, 0, NULL});
	log_warn("z");
	matches(lines(), "\\[my-id:main:WARN\\] z\n$");
}

static void lines_above_the_level_are_left_out(void **state)
{
	log_debug("no");
	assert_string_equal(lines(), "");
	set((struct logger_conf){NULL, LEVEL_ERROR, -1, -1, NULL});
	log_warn("no");
	assert_string_equal(lines(), "");
	log_err("yes");
	assert_string_not_equal(lines(), "");
	set((struct logger_conf){NULL, LEVEL_OFF, -1, -1, NULL});
	log_err("no");
	assert_string_equal(lines(), "");
	assert_int_equal(logger_missed(), 0);
}

static void a_module_is_a_place_in_the_tree(void **state)
{
	set((struct logger_conf){NULL, LEVEL_INFO, -1, -1, "api::ser"});
	log_at(LEVEL_INFO, "../src/api/server.c", 1, "in");
	matches(lines(), "in\n$");
	log_at(LEVEL_INFO, "src/api/routes.c", 1, "out");
	log_at(LEVEL_INFO, "src/api/s", 1, "out");
	log_at(LEVEL_INFO, "src/loop.c", 1, "out");
	assert_string_equal(lines(), "");
	log_err("nobody knows from where");
	assert_string_not_equal(lines(), "");
	set((struct logger_conf){NULL, LEVEL_INFO, -1, -1, NULL}); /* stays */
	log_at(LEVEL_INFO, "src/loop.c", 1, "out");
	assert_string_equal(lines(), "");
}

static void the_time_is_local(void **state)
{
	time_t before = time(NULL) + 5 * 3600 + 1800, after;
	struct tm tm = {0};
	const char *got;

	log_info("x");
	got = lines();
	after = time(NULL) + 5 * 3600 + 1800;
	assert_non_null(strptime(got, "%Y-%m-%dT%H:%M:%S", &tm));
	assert_in_range(timegm(&tm), before, after);
}

static void lines_that_nobody_reads_are_lost_and_counted(void **state)
{
	char text[900];
	uint64_t missed = logger_missed();
	unsigned n = 0;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	for (; logger_missed() == missed && n < 1000; n++)
		log_info("%s", text);
	assert_in_range(n, 10, 999); /* a pipe has 64 KiB */
	log_info("%s", text);
	assert_int_equal(logger_missed(), missed + 2);
	while (*lines())
		;
	log_info("again");
	matches(lines(), "again\n$");
}

static void a_file_is_appended_to(void **state)
{
	char other[80], buf[512] = "", first[] = "first\n";
	int fd;

	snprintf(other, sizeof(other), "%s.log", path);
	fd = open(other, O_CREAT | O_RDWR, 0600);
	assert_int_equal(write(fd, first, strlen(first)), strlen(first));
	set((struct logger_conf){other, LEVEL_INFO, -1, -1, NULL});
	log_info("second");
	assert_true(pread(fd, buf, sizeof(buf) - 1, 0) > 0);
	matches(buf, "^first\n[^\n]* second\n$");
	assert_string_equal(lines(), "");
	close(fd);
	unlink(other);
}

static void a_path_that_cannot_be_opened_changes_nothing(void **state)
{
	struct logger_conf c = {"/nowhere/at/all", LEVEL_OFF, 1, 1, "x"};

	assert_int_equal(logger_update(&c, why, sizeof(why)), -ENOENT);
	assert_string_equal(why, "Failed to open target file: No such file or directory "
				 "(os error 2)");
	c.path = "/tmp";
	assert_int_equal(logger_update(&c, why, sizeof(why)), -EISDIR);
	log_info("still");
	matches(lines(), "\\[my-id:main\\] still\n$");
}

static void a_longest_sentence_is_one_line(void **state)
{
	char text[3000];
	const char *got;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	set((struct logger_conf){NULL, LEVEL_INFO, 1, 1, NULL});
	log_info("%s", text);
	got = lines();
	assert_in_range(strlen(got), 1024, 1536);
	assert_ptr_equal(strchr(got, '\n'), got + strlen(got) - 1);
}

/* A process of its own, with a socket as stdout that nobody reads: how many lines were lost. */
static int speak_to_a_socket(void)
{
	int s[2], flags;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) || dup2(s[1], STDOUT_FILENO) < 0)
		return 100;
	flags = fcntl(STDOUT_FILENO, F_GETFL);
	alarm(10);
	logger_init("my-id");
	for (unsigned i = 0; i < 10000 && !logger_missed(); i++)
		log_err("line %u", i);
	log_err("one more");
	if (fcntl(STDOUT_FILENO, F_GETFL) != flags)
		return 101; /* which other processes would see */
	close(s[0]);
	log_err("nobody there");
	return (int)logger_missed();
}

static void a_socket_that_nobody_reads_keeps_nobody(void **state)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execl("/proc/self/exe", "logger_test", "socket", NULL);
		_exit(102);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 3);
}

#define T(f) cmocka_unit_test_setup(f, fifo)

int main(int argc, char **argv)
{
	if (argc > 1)
		return speak_to_a_socket();

	const struct CMUnitTest tests[] = {
		T(a_line_has_time_id_and_thread),
		T(level_and_origin_are_shown_on_demand),
		T(lines_above_the_level_are_left_out),
		T(a_module_is_a_place_in_the_tree),
		T(the_time_is_local),
		T(a_file_is_appended_to),
		T(a_path_that_cannot_be_opened_changes_nothing),
		T(a_longest_sentence_is_one_line),
		T(lines_that_nobody_reads_are_lost_and_counted),
		T(a_socket_that_nobody_reads_keeps_nobody),
	};

	if (argc > 1)
		return speak_to_a_socket();
	return cmocka_run_group_tests(tests, begin, end);
}
