/*
 * console_test.c - stdin and stdout of every kind. Each test puts its own files on descriptors 0
 * and 1 and gives the old ones back.
 */
#include "../../src/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "said.h"

#define CTRL_A "\x01"

static struct console c;
static int saved[2];
static int far[2]; /* the test's ends of what is on 0 and 1 */
static bool reopen_fails;

/* The one call that tests put a fault in: /proc may be absent, or the file another user's. */
int open(const char *path, int flags, ...)
{
	if (reopen_fails) {
		errno = EACCES;
		return -1;
	}
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
}

static int setup(void **state)
{
	memset(&c, 0, sizeof(c));
	said_lines = 0;
	reopen_fails = false;
	fflush(stdout);
	for (int i = 0; i < 2; i++) {
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 50);
		far[i] = -1;
	}
	return 0;
}

static int teardown(void **state)
{
	for (int i = 0; i < 2; i++) {
		int mine = i ? c.out : c.in;

		if (mine > 2)
			close(mine);
		dup2(saved[i], i);
		close(saved[i]);
		if (far[i] >= 0)
			close(far[i]);
	}
	return 0;
}

static void put_on(int std, int fd)
{
	dup2(fd, std);
	close(fd);
}

static void pipes(void)
{
	int in[2], out[2];

	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	put_on(0, in[0]);
	put_on(1, out[1]);
	far[0] = in[1];
	far[1] = out[0];
}

static void terminal(void)
{
	int slave;

	assert_int_equal(openpty(&far[0], &slave, NULL, NULL, NULL), 0);
	far[1] = dup(far[0]);
	dup2(slave, 1);
	put_on(0, slave);
}

static void opened(void)
{
	assert_int_equal(console_open(&c), 0);
}

static void type(const char *s)
{
	assert_int_equal(write(far[0], s, strlen(s)), (ssize_t)strlen(s));
	c.in_ready = true; /* the loop's event */
}

/* What waits in the buffer. */
static void assert_waits(const char *s)
{
	assert_int_equal(c.len, strlen(s));
	assert_memory_equal(c.buf + c.off, s, c.len);
}

static void take(size_t n)
{
	c.off += n;
	c.len -= n;
}

static size_t say(const char *s)
{
	return console_write(&c, (const uint8_t *)s, strlen(s));
}

static void input_of_a_pipe_comes_until_its_end(void **state)
{
	pipes();
	opened();
	assert_true(c.in_watch);
	assert_int_equal(console_fill(&c), CONSOLE_NONE); /* nothing yet: does not block */
	assert_false(c.in_ready);
	assert_false(c.in_eof);
	type("abc");
	assert_int_equal(console_fill(&c), CONSOLE_NONE);
	assert_waits("abc");
	take(3);
	close(far[0]);
	far[0] = -1;
	c.in_ready = true;
	console_fill(&c);
	assert_true(c.in_eof);
	assert_int_equal(c.len, 0);
}

static void a_pipe_is_read_only_when_the_buffer_is_empty(void **state)
{
	pipes();
	opened();
	type("abc");
	console_fill(&c);
	take(1);
	type("def");
	console_fill(&c);
	assert_waits("bc"); /* the rest stays in the pipe: its writer waits, nothing is lost */
	take(2);
	console_fill(&c);
	assert_waits("def");
}

static void ctrl_a_means_nothing_in_a_pipe(void **state)
{
	pipes();
	opened();
	type(CTRL_A "x" CTRL_A "a");
	assert_int_equal(console_fill(&c), CONSOLE_NONE);
	assert_waits(CTRL_A "x" CTRL_A "a");
}

static void other_holders_of_a_pipe_still_block(void **state)
{
	pipes();
	opened();
	assert_false(fcntl(0, F_GETFL) & O_NONBLOCK);
	assert_false(fcntl(1, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(c.in, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(c.out, F_GETFL) & O_NONBLOCK);
}

static size_t fill_output(void)
{
	static uint8_t block[4096];
	size_t all = 0, n;

	while ((n = console_write(&c, block, sizeof(block))) > 0 && all < 64 * MIB)
		all += n;
	assert_true(all < 64 * MIB);
	return all;
}

static void drain_output(size_t n)
{
	uint8_t block[4096];

	for (ssize_t got; n; n -= (size_t)got) {
		got = read(far[1], block, MIN(n, sizeof(block)));
		assert_true(got > 0);
	}
}

static void a_full_pipe_does_not_block(void **state)
{
	size_t n;

	pipes();
	opened();
	n = fill_output();
	assert_int_equal(n, 65536);
	assert_false(c.out_ready);
	assert_false(c.out_gone);
	assert_int_equal(say("more"), 0);
	assert_false(console_wait_out(&c, 10));
	drain_output(n);
	assert_true(console_wait_out(&c, 1000));
	assert_int_equal(say("more"), 4);
}

static void output_without_reader_is_done_with(void **state)
{
	pipes();
	opened();
	signal(SIGPIPE, SIG_IGN); /* the loop blocks it */
	assert_int_equal(say("a"), 1);
	close(far[1]);
	far[1] = -1;
	assert_int_equal(say("bcd"), 3);
	assert_true(c.out_gone);
	assert_int_equal(say("efg"), 3);
	assert_false(console_wait_out(&c, 10000)); /* and nobody waits for it */
	signal(SIGPIPE, SIG_DFL);
}

static void a_full_device_is_done_with(void **state)
{
	pipes();
	put_on(1, open("/dev/full", O_WRONLY));
	opened();
	assert_int_equal(say("abc"), 3);
	assert_true(c.out_gone);
}

static void a_file_keeps_offset_and_append_mode(void **state)
{
	char text[16] = "";
	int fd = memfd_create("out", 0);

	pipes();
	assert_int_equal(write(fd, "old\n", 4), 4);
	assert_int_equal(fcntl(fd, F_SETFL, O_APPEND), 0);
	lseek(fd, 0, SEEK_SET);
	dup2(fd, 1);
	opened();
	assert_int_equal(c.out, 1); /* not opened anew */
	assert_false(c.out_watch);
	assert_int_equal(say("new"), 3);
	assert_int_equal(pread(fd, text, sizeof(text) - 1, 0), 7);
	assert_string_equal(text, "old\nnew");
	close(fd);
}

static void a_file_as_input_starts_at_its_offset(void **state)
{
	int fd = memfd_create("in", 0);

	pipes();
	assert_int_equal(write(fd, "skipped,read", 12), 12);
	lseek(fd, 8, SEEK_SET);
	put_on(0, fd);
	opened();
	assert_false(c.in_watch);
	console_fill(&c);
	assert_waits("read");
	take(4);
	console_fill(&c);
	assert_true(c.in_eof);
}

static void dev_null_is_an_end_and_a_sink(void **state)
{
	pipes();
	put_on(0, open("/dev/null", O_RDONLY));
	put_on(1, open("/dev/null", O_WRONLY));
	opened();
	console_fill(&c);
	assert_true(c.in_eof);
	assert_int_equal(say("abc"), 3);
	assert_false(c.out_gone);
}

static void closed_descriptors_are_an_end_and_a_sink(void **state)
{
	pipes();
	close(0);
	close(1);
	opened();
	assert_true(c.in_eof);
	assert_int_equal(console_fill(&c), CONSOLE_NONE);
	assert_int_equal(say("abc"), 3);
}

static void a_socket_does_not_block_and_raises_no_signal(void **state)
{
	int s[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	dup2(s[0], 1);
	put_on(0, s[0]);
	far[0] = s[1];
	opened();
	assert_true(c.in_watch && c.out_watch);
	console_fill(&c); /* nothing there */
	assert_false(c.in_ready);
	type("in");
	console_fill(&c);
	assert_waits("in");
	fill_output();
	assert_false(c.out_ready);
	assert_false(fcntl(1, F_GETFL) & O_NONBLOCK);
	close(far[0]);
	far[0] = -1;
	c.out_ready = true;
	assert_int_equal(say("abc"), 3); /* EPIPE, without SIGPIPE */
	assert_true(c.out_gone);
}

static void pipes_that_cannot_be_opened_anew_do_not_block(void **state)
{
	size_t n;

	pipes();
	reopen_fails = true;
	opened();
	assert_int_equal(c.in, 0);
	assert_int_equal(c.out, 1);
	console_fill(&c);
	assert_false(c.in_ready);
	type("abc");
	console_fill(&c);
	assert_waits("abc");
	n = fill_output();
	assert_true(n >= 4096);
	assert_false(c.out_ready);
	drain_output(n);
	assert_true(console_wait_out(&c, 1000));
	assert_int_equal(say("on"), 2);
}

static void a_terminal_that_cannot_be_opened_anew_does_not_block(void **state)
{
	terminal();
	reopen_fails = true;
	opened();
	assert_int_equal(c.out, 1);
	assert_true(fill_output() > 0);
	assert_false(c.out_ready);
	assert_int_equal(say("more"), 0);
}

static void a_terminal_is_raw_until_restored(void **state)
{
	struct termios before = {0}, now = {0}; /* with padding */

	terminal();
	tcgetattr(0, &before);
	assert_true(before.c_lflag & ECHO);
	opened();
	assert_true(c.raw);
	tcgetattr(0, &now);
	assert_false(now.c_lflag & (ECHO | ICANON | ISIG | IEXTEN));
	assert_false(now.c_iflag & (ICRNL | IXON));
	assert_false(now.c_oflag & OPOST);
	console_restore(&c);
	tcgetattr(0, &now);
	assert_memory_equal(&now, &before, sizeof(now));
	assert_false(c.raw);
}

static void a_second_restore_changes_nothing(void **state)
{
	struct termios mine, now;

	terminal();
	opened();
	console_restore(&c);
	tcgetattr(0, &mine);
	mine.c_cc[VINTR] = 7; /* somebody else's setting since */
	tcsetattr(0, TCSANOW, &mine);
	console_restore(&c);
	tcgetattr(0, &now);
	assert_int_equal(now.c_cc[VINTR], 7);
}

static void a_restore_before_open_is_harmless(void **state)
{
	console_restore(&c);
	assert_false(c.raw);
}

static void a_terminal_on_stdout_alone_stays_as_it_is(void **state)
{
	struct termios now;

	terminal();
	put_on(0, open("/dev/null", O_RDONLY));
	opened();
	assert_false(c.raw);
	tcgetattr(1, &now);
	assert_true(now.c_lflag & ECHO);
}

static void ctrl_a_sequences(void **state)
{
	static const struct {
		const char *typed, *waits;
		enum console_key key;
	} row[] = {
		{"plain",           "plain",        CONSOLE_NONE},
		{CTRL_A "a",        CTRL_A,         CONSOLE_NONE},
		{CTRL_A CTRL_A,     CTRL_A,         CONSOLE_NONE},
		{"b" CTRL_A "ac",   "b" CTRL_A "c", CONSOLE_NONE},
		{CTRL_A "q",        "q",            CONSOLE_NONE}, /* no command: the character alone */
		{"x",               "x",            CONSOLE_NONE},
		{CTRL_A CTRL_A "x", CTRL_A "x",     CONSOLE_NONE}, /* the second is a character */
		{CTRL_A "X",        "X",            CONSOLE_NONE},
	};

	terminal();
	opened();
	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		type(row[i].typed);
		assert_int_equal(console_fill(&c), row[i].key);
		assert_waits(row[i].waits);
		take(c.len);
	}
	type("ab" CTRL_A "x");
	assert_int_equal(console_fill(&c), CONSOLE_QUIT);
}

static void a_sequence_may_come_in_two_reads(void **state)
{
	terminal();
	opened();
	type("a" CTRL_A);
	assert_int_equal(console_fill(&c), CONSOLE_NONE);
	assert_waits("a");
	take(1);
	type("x");
	assert_int_equal(console_fill(&c), CONSOLE_QUIT);
}

static void ctrl_a_x_works_while_the_guest_takes_nothing(void **state)
{
	terminal();
	opened();
	type("ls -l\r");
	console_fill(&c);
	take(2); /* what fits a FIFO */
	type("hello?");
	assert_int_equal(console_fill(&c), CONSOLE_NONE);
	assert_waits(" -l\rhello?"); /* in order */
	type(CTRL_A "x");
	assert_int_equal(console_fill(&c), CONSOLE_QUIT);
}

static void typing_ahead_is_bounded_and_loses_nothing(void **state)
{
	static char some[3000];

	terminal();
	opened();
	for (unsigned i = 0; i < sizeof(some); i++)
		some[i] = (char)('a' + i % 26);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(write(far[0], some, sizeof(some)), (ssize_t)sizeof(some));
		c.in_ready = true;
		while (c.in_ready && c.len < CONSOLE_CHUNK)
			console_fill(&c);
	}
	assert_int_equal(c.len, CONSOLE_CHUNK);
	console_fill(&c);
	assert_int_equal(c.len, CONSOLE_CHUNK); /* full: the terminal waits */
	for (unsigned i = 0; i < 2 * sizeof(some); i++) {
		if (!c.len)
			console_fill(&c);
		assert_true(c.len > 0);
		assert_int_equal(c.buf[c.off], 'a' + i % sizeof(some) % 26);
		take(1);
	}
}

static void a_terminal_that_hangs_up_is_an_end(void **state)
{
	terminal();
	opened();
	close(far[0]);
	close(far[1]);
	far[0] = far[1] = -1;
	c.in_ready = true;
	console_fill(&c);
	assert_true(c.in_eof);
	assert_int_equal(say("abc"), 3);
	assert_true(c.out_gone);
	console_restore(&c); /* fails inside, quietly */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(input_of_a_pipe_comes_until_its_end),
		TEST(a_pipe_is_read_only_when_the_buffer_is_empty),
		TEST(ctrl_a_means_nothing_in_a_pipe),
		TEST(other_holders_of_a_pipe_still_block),
		TEST(a_full_pipe_does_not_block),
		TEST(output_without_reader_is_done_with),
		TEST(a_full_device_is_done_with),
		TEST(a_file_keeps_offset_and_append_mode),
		TEST(a_file_as_input_starts_at_its_offset),
		TEST(dev_null_is_an_end_and_a_sink),
		TEST(closed_descriptors_are_an_end_and_a_sink),
		TEST(a_socket_does_not_block_and_raises_no_signal),
		TEST(pipes_that_cannot_be_opened_anew_do_not_block),
		TEST(a_terminal_that_cannot_be_opened_anew_does_not_block),
		TEST(a_terminal_is_raw_until_restored),
		TEST(a_second_restore_changes_nothing),
		TEST(a_restore_before_open_is_harmless),
		TEST(a_terminal_on_stdout_alone_stays_as_it_is),
		TEST(ctrl_a_sequences),
		TEST(a_sequence_may_come_in_two_reads),
		TEST(ctrl_a_x_works_while_the_guest_takes_nothing),
		TEST(typing_ahead_is_bounded_and_loses_nothing),
		TEST(a_terminal_that_hangs_up_is_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
