/* config_host_test.c - what is opened on a real host, and what is not. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../src/api/config.h"

#include <cmocka.h>

static char dir[64];

static const char *in_dir(const char *name)
{
	static char path[2][128];
	static unsigned turn;

	turn ^= 1;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

static void make(const char *name, size_t size)
{
	int fd = open(in_dir(name), O_CREAT | O_WRONLY | O_TRUNC, 0600);

	assert_true(fd >= 0);
	while (size--)
		assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
}

static int begin(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/config_host.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int end(void **state)
{
	static const char *const names[] = {"file", "fifo", "empty", "sock"};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		unlink(in_dir(names[i]));
	return rmdir(dir);
}

static void expect_mode(int fd, int mode)
{
	assert_true(fd > STDERR_FILENO);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, mode);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	config_host.close(NULL, fd);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void disks_are_files_that_may_be_empty(void **state)
{
	make("file", 700);
	make("empty", 0);
	expect_mode(config_host.disk(NULL, in_dir("file"), false), O_RDWR);
	expect_mode(config_host.disk(NULL, in_dir("file"), true), O_RDONLY);
	expect_mode(config_host.disk(NULL, in_dir("empty"), false), O_RDWR);
	assert_int_equal(config_host.disk(NULL, in_dir("nothing"), true), -ENOENT);
	assert_int_equal(config_host.disk(NULL, dir, true), -EINVAL);
	assert_int_equal(config_host.disk(NULL, "/dev/zero", true), -EINVAL);
}

/* O_NOFOLLOW is for what a jailer makes: here the operator names files as he likes. */
static void disks_and_images_may_be_links(void **state)
{
	char round[96];

	make("file", 700);
	assert_int_equal(symlink("file", in_dir("link")), 0);
	snprintf(round, sizeof(round), "%s/../%s/link", dir, strrchr(dir, '/') + 1);
	expect_mode(config_host.disk(NULL, round, false), O_RDWR);
	expect_mode(config_host.image(NULL, "kernel", round), O_RDONLY);
	unlink(in_dir("link"));
	assert_int_equal(symlink("nothing", in_dir("link")), 0);
	assert_int_equal(config_host.disk(NULL, round, false), -ENOENT);
	assert_int_equal(access(in_dir("nothing"), F_OK), -1);
	unlink(in_dir("link"));
}

static void a_fifo_does_not_make_it_wait(void **state)
{
	assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
	assert_int_equal(config_host.disk(NULL, in_dir("fifo"), true), -EINVAL);
	assert_int_equal(config_host.image(NULL, "kernel", in_dir("fifo")), -EINVAL);
}

static void images_have_something_in_them(void **state)
{
	make("file", 1);
	make("empty", 0);
	expect_mode(config_host.image(NULL, "kernel", in_dir("file")), O_RDONLY);
	assert_int_equal(config_host.image(NULL, "initrd", in_dir("empty")), -EINVAL);
	assert_int_equal(config_host.image(NULL, "kernel", in_dir("nothing")), -ENOENT);
}

static void a_socket_listens_at_once(void **state)
{
	int fd = config_host.vsock(NULL, in_dir("sock")), on = 0;
	socklen_t len = sizeof(on);

	assert_true(fd > 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len), 0);
	assert_int_equal(on, 1);
	assert_int_equal(config_host.vsock(NULL, in_dir("sock")), -EADDRINUSE);
	config_host.remove(NULL, in_dir("sock"));
	assert_int_equal(access(in_dir("sock"), F_OK), -1);
	config_host.close(NULL, fd);
}

static void a_tap_has_a_name_of_15_bytes(void **state)
{
	assert_true(config_host.tap(NULL, "a-name-that-is-too-long") < 0);
}

static void a_text_is_read_up_to_a_bound(void **state)
{
	size_t len = 0;
	char *text;

	make("file", 10);
	text = config_host.read(NULL, in_dir("file"), 10, &len);
	assert_non_null(text);
	assert_int_equal(len, 10);
	assert_string_equal(text, "xxxxxxxxxx");
	free(text);
	make("file", 11);
	assert_null(config_host.read(NULL, in_dir("file"), 10, &len));
	assert_int_equal(errno, EFBIG);
	make("empty", 0);
	text = config_host.read(NULL, in_dir("empty"), 10, &len);
	assert_string_equal(text, "");
	assert_int_equal(len, 0);
	free(text);
	assert_null(config_host.read(NULL, in_dir("nothing"), 10, &len));
	assert_int_equal(errno, ENOENT);
	assert_null(config_host.read(NULL, dir, 10, &len));
	assert_int_equal(errno, EISDIR);
	assert_null(config_host.read(NULL, "/dev/zero", 10, &len));
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(disks_are_files_that_may_be_empty), T(a_fifo_does_not_make_it_wait),
		T(disks_and_images_may_be_links),     T(images_have_something_in_them),
		T(a_socket_listens_at_once),          T(a_tap_has_a_name_of_15_bytes),
		T(a_text_is_read_up_to_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
