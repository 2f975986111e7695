/* log_test.c - what reaches stderr, and in how many writes. */
#include "../../src/log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int saved_stderr, out; /* a packet socket: one message is one write */

static int catch (void **state)
{
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fd) < 0)
		return -1;
	saved_stderr = dup(STDERR_FILENO);
	dup2(fd[1], STDERR_FILENO);
	close(fd[1]);
	out = fd[0];
	return 0;
}

static int release(void **state)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(out);
	return 0;
}

/* The next message, without its newline; "" when there is none. */
static const char *next(void)
{
	static char buf[4096];
	ssize_t n = recv(out, buf, sizeof(buf) - 1, 0);

	if (n <= 0)
		return "";
	assert_int_equal(buf[n - 1], '\n');
	buf[n - 1] = 0;
	return buf;
}

static void a_message_is_one_write_with_name_and_newline(void **state)
{
	log_err("disk %d is %s", 3, "full");
	assert_string_equal(next(), "minnow: disk 3 is full");
	assert_string_equal(next(), "");
}

static void what_failed_last_can_be_asked_for(void **state)
{
	log_fail(ENOENT, "disk %s:\tno such file", "a");
	assert_string_equal(log_last(), "disk a:?no such file");
	next();
}

static void control_characters_cannot_break_the_line(void **state)
{
	log_err("kernel %s: missing", "a\nminnow: b\r\x1b[2J\x7f");
	assert_string_equal(next(), "minnow: kernel a?minnow: b??[2J?: missing");
	log_err("%s", "caf\xc3\xa9 ~"); /* UTF-8 stays */
	assert_string_equal(next(), "minnow: caf\xc3\xa9 ~");
	assert_string_equal(next(), "");
}

static void fail_returns_the_negative_error(void **state)
{
	assert_int_equal(log_fail(ENOEXEC, "kernel %s: bad", "k"), -ENOEXEC);
	assert_string_equal(next(), "minnow: kernel k: bad");
}

static void a_long_message_is_cut_at_1_kib_with_newline(void **state)
{
	char text[3000];
	const char *got;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	log_err("%s", text);
	got = next();
	assert_int_equal(strlen(got) + 1, 1024);
	assert_memory_equal(got, "minnow: xxxx", 12);
}

static void a_message_that_just_fits_is_not_cut(void **state)
{
	char text[1024 - 8]; /* with its NUL in the newline's place */

	memset(text, 'y', sizeof(text));
	text[sizeof(text) - 1] = 0;
	log_err("%s", text);
	assert_int_equal(strlen(next()), 8 + sizeof(text) - 1);
}

static void errno_survives(void **state)
{
	errno = EDOM;
	log_err("hello");
	assert_int_equal(errno, EDOM);
	close(STDERR_FILENO); /* and where nobody can read; release() opens it again */
	errno = ERANGE;
	log_err("hello");
	assert_int_equal(errno, ERANGE);
}

static void a_guest_gets_16_lines_in_all_and_the_last_says_so(void **state)
{
	char text[3000];

	memset(text, 'z', sizeof(text));
	text[sizeof(text) - 1] = 0;
	for (unsigned i = 0; i < LOG_GUEST_MAX - 1; i++) {
		log_guest("port %#x", i);
		assert_null(strstr(next(), "counted"));
	}
	log_guest("%s", text); /* the remark is there even after a line that is cut */
	assert_non_null(strstr(next(), "counted"));
	for (unsigned i = 0; i < 100; i++)
		log_guest("port %#x", i);
	assert_string_equal(next(), "");
	assert_int_equal(log_guest_dropped(), 100);
	log_err("the operator's own lines go on");
	assert_string_not_equal(next(), "");
}

static struct {
	enum log_level level;
	char file[64], msg[2048];
	unsigned line, n;
} sunk;

static void sink(enum log_level level, const char *file, unsigned line, const char *msg)
{
	sunk.level = level;
	sunk.line = line;
	sunk.n++;
	snprintf(sunk.file, sizeof(sunk.file), "%s", file ? file : "");
	snprintf(sunk.msg, sizeof(sunk.msg), "%s", msg);
	errno = EBADF;
}

static void a_sink_gets_the_sentence_instead_of_stderr(void **state)
{
	log_sink(sink);
	errno = EDOM;
	assert_int_equal(log_fail(EIO, "disk %s: gone", "a\nb"), -EIO);
	assert_int_equal(errno, EDOM);
	log_sink(NULL);
	assert_int_equal(sunk.n, 1);
	assert_int_equal(sunk.level, LEVEL_ERROR);
	assert_string_equal(sunk.file, "");
	assert_string_equal(sunk.msg, "disk a?b: gone");
	assert_string_equal(log_last(), "disk a?b: gone");
	assert_string_equal(next(), "");
	log_err("on stderr again");
	assert_string_equal(next(), "minnow: on stderr again");
	assert_int_equal(sunk.n, 1);
}

static void what_is_told_to_a_sink_has_its_place(void **state)
{
	log_info("nobody listens");
	log_sink(sink);
	sunk.n = 0;
	log_info("%d", 5);
	log_sink(NULL);
	assert_int_equal(sunk.n, 1);
	assert_int_equal(sunk.level, LEVEL_INFO);
	assert_string_equal(sunk.msg, "5");
	assert_non_null(strstr(sunk.file, "log_test.c"));
	assert_true(sunk.line > 100);
	assert_string_equal(next(), "");
	assert_string_not_equal(log_last(), "5");
}

static void a_warning_is_no_failure(void **state)
{
	log_warn("disk %s is odd", "a");
	assert_string_equal(next(), "minnow: disk a is odd");
	assert_string_not_equal(log_last(), "disk a is odd");
	log_sink(sink);
	log_warn("b");
	log_sink(NULL);
	assert_int_equal(sunk.level, LEVEL_WARN);
	assert_string_equal(sunk.msg, "b");
	assert_string_equal(next(), "");
}

static void a_thread_may_have_a_name(void **state)
{
	assert_string_equal(log_thread_name(), "main");
	log_thread("fc_vcpu 3");
	assert_string_equal(log_thread_name(), "fc_vcpu 3");
	log_thread(NULL);
	assert_string_equal(log_thread_name(), "main");
}

#define T(f) cmocka_unit_test_setup_teardown(f, catch, release)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_message_is_one_write_with_name_and_newline),
		T(what_failed_last_can_be_asked_for),
		T(control_characters_cannot_break_the_line),
		T(fail_returns_the_negative_error),
		T(a_long_message_is_cut_at_1_kib_with_newline),
		T(a_message_that_just_fits_is_not_cut),
		T(errno_survives),
		T(a_sink_gets_the_sentence_instead_of_stderr),
		T(what_is_told_to_a_sink_has_its_place),
		T(a_warning_is_no_failure),
		T(a_thread_may_have_a_name),
		T(a_guest_gets_16_lines_in_all_and_the_last_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
