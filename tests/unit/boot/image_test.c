/* image_test.c - opening and reading files that may be anything. */
#include "fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "../../../src/boot/image.h"

/* pread() with faults put in. */
static int pread_err; /* fails once */
static size_t pread_max = SIZE_MAX;
static unsigned pread_calls;

ssize_t pread(int fd, void *buf, size_t len, off_t off)
{
	pread_calls++;
	if (pread_err) {
		errno = pread_err;
		pread_err = 0;
		return -1;
	}
	return syscall(SYS_pread64, fd, buf, MIN(len, pread_max), off);
}

/* fstat() that fails, or takes files for block devices, which have their size elsewhere. */
static int fstat_err;
static bool all_block_devices;

int fstat(int fd, struct stat *st)
{
	long got = syscall(SYS_fstat, fd, st);

	if (fstat_err) {
		errno = fstat_err;
		return -1;
	}
	if (got == 0 && all_block_devices) {
		st->st_mode = S_IFBLK;
		st->st_size = 0;
	}
	return (int)got;
}

static char dir[] = "/tmp/image_test.XXXXXX";
static struct image img;

static int setup(void **state)
{
	said_lines = pread_calls = 0;
	pread_err = 0;
	pread_max = SIZE_MAX;
	fstat_err = 0;
	all_block_devices = false;
	return 0;
}

static const char *in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void a_file_is_opened_with_its_size(void **state)
{
	struct file f = file_new("12345", 5);

	assert_int_equal(image_open(&img, "kernel", f.path), 0);
	assert_int_equal(img.size, 5);
	assert_string_equal(img.path, f.path);
	assert_true(fcntl(img.fd, F_GETFD) & FD_CLOEXEC);
	image_close(&img);
	file_free(&f);
}

static void a_missing_file_is_said_with_name_and_reason(void **state)
{
	assert_fails(image_open(&img, "kernel", "/nowhere/k"), ENOENT,
		     "could not open kernel '/nowhere/k': No such file");
	assert_int_equal(img.fd, -1);
}

static void a_symbolic_link_to_itself_is_said(void **state)
{
	assert_int_equal(symlink(in_dir("loop"), in_dir("loop")), 0);
	assert_fails(image_open(&img, "initrd", in_dir("loop")), ELOOP, "could not open initrd");
}

static void a_directory_is_refused(void **state)
{
	assert_fails(image_open(&img, "kernel", dir), EINVAL, "is a directory");
	assert_int_equal(img.fd, -1);
}

static void a_fifo_is_refused_without_waiting_for_a_writer(void **state)
{
	assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
	assert_fails(image_open(&img, "kernel", in_dir("fifo")), EINVAL, "is a FIFO");
}

static void a_device_is_refused(void **state)
{
	assert_fails(image_open(&img, "kernel", "/dev/null"), EINVAL, "is a special file");
}

static void a_block_device_is_taken_with_the_size_of_its_medium(void **state)
{
	struct file f = file_new("12345", 5);

	all_block_devices = true;
	assert_int_equal(image_open(&img, "kernel", f.path), 0);
	assert_int_equal(img.size, 5);
	image_close(&img);
	file_free(&f);
}

static void a_file_that_cannot_be_examined_is_said(void **state)
{
	struct file f = file_new("12345", 5);

	fstat_err = EIO;
	assert_fails(image_open(&img, "kernel", f.path), EINVAL, "cannot be examined: Input");
	file_free(&f);
}

static void an_empty_file_is_refused(void **state)
{
	struct file f = file_new("", 0);

	assert_fails(image_open(&img, "initrd", f.path), EINVAL, "is empty");
	file_free(&f);
}

static void exactly_the_range_is_read(void **state)
{
	struct file f = file_new("0123456789", 10);
	char buf[5] = "....";

	assert_int_equal(image_open(&img, "kernel", f.path), 0);
	assert_int_equal(image_read(&img, 7, buf, 3), 0);
	assert_string_equal(buf, "789.");
	image_close(&img);
	file_free(&f);
}

static void a_range_past_the_end_is_truncation_and_reads_nothing(void **state)
{
	static const struct {
		uint64_t off, len;
	} bad[] = {
		{8,          3         },
                {10,         1         },
                {11,         0         },
                {0,          11        },
		{UINT64_MAX, 1         },
                {1,          UINT64_MAX},
                {5,          1ull << 63}
        };
	struct file f = file_new("0123456789", 10);
	char buf[16] = "";

	assert_int_equal(image_open(&img, "kernel", f.path), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_fails(image_read(&img, bad[i].off, buf, bad[i].len), ENOEXEC, "truncated");
		assert_int_equal(pread_calls, 0);
	}
	image_close(&img);
	file_free(&f);
}

static void reading_nothing_at_the_end_is_fine(void **state)
{
	struct file f = file_new("0123456789", 10);

	assert_int_equal(image_open(&img, "kernel", f.path), 0);
	assert_int_equal(image_read(&img, 10, NULL, 0), 0);
	image_close(&img);
	file_free(&f);
}

static void short_reads_are_continued(void **state)
{
	struct file f = file_new("0123456789", 10);
	char buf[11] = "";

	pread_max = 3;
	assert_int_equal(image_open(&img, "kernel", f.path), 0);
	assert_int_equal(image_read(&img, 0, buf, 10), 0);
	assert_string_equal(buf, "0123456789");
	assert_int_equal(pread_calls, 4);
	image_close(&img);
	file_free(&f);
}

static void an_interrupted_read_is_repeated(void **state)
{
	struct file f = file_new("0123456789", 10);
	char buf[11] = "";

	pread_err = EINTR;
	assert_int_equal(image_open(&img, "kernel", f.path), 0);
	assert_int_equal(image_read(&img, 0, buf, 10), 0);
	assert_string_equal(buf, "0123456789");
	image_close(&img);
	file_free(&f);
}

static void a_read_error_is_said_with_its_place(void **state)
{
	struct file f = file_new("0123456789", 10);
	char buf[10];

	pread_err = EIO;
	assert_int_equal(image_open(&img, "initrd", f.path), 0);
	assert_fails(image_read(&img, 4, buf, 2), EIO, "at byte 4 failed: Input/output");
	image_close(&img);
	file_free(&f);
}

static void a_file_that_shrinks_meanwhile_is_truncation(void **state)
{
	struct file f = file_new("0123456789", 10);
	char buf[10];

	assert_int_equal(image_open(&img, "kernel", f.path), 0);
	assert_int_equal(ftruncate(f.fd, 6), 0);
	assert_fails(image_read(&img, 0, buf, 10), ENOEXEC,
		     "truncated while it was read, at byte 6");
	image_close(&img);
	file_free(&f);
}

static void reads_inside_the_head_cost_no_call(void **state)
{
	struct file f = file_new("0123456789", 10);
	char head[8], buf[4] = "";

	assert_int_equal(image_open(&img, "kernel", f.path), 0);
	assert_int_equal(image_head(&img, head, sizeof(head)), 0);
	assert_int_equal(img.head_len, 8);
	assert_int_equal(image_read(&img, 5, buf, 3), 0);
	assert_string_equal(buf, "567");
	assert_int_equal(pread_calls, 1);
	assert_int_equal(image_read(&img, 6, buf, 3), 0); /* leaves it by a byte */
	assert_string_equal(buf, "678");
	assert_int_equal(pread_calls, 2);
	image_close(&img);
	file_free(&f);
}

static void the_head_of_a_short_file_is_all_of_it(void **state)
{
	struct file f = file_new("0123", 4);
	char head[8];

	assert_int_equal(image_open(&img, "kernel", f.path), 0);
	assert_int_equal(image_head(&img, head, sizeof(head)), 0);
	assert_int_equal(img.head_len, 4);
	image_close(&img);
	file_free(&f);
}

static void a_head_that_cannot_be_read_is_none(void **state)
{
	struct file f = file_new("0123", 4);
	char head[8];

	assert_int_equal(image_open(&img, "kernel", f.path), 0);
	pread_err = EIO;
	assert_fails(image_head(&img, head, sizeof(head)), EIO, "reading");
	assert_int_equal(img.head_len, 0);
	image_close(&img);
	file_free(&f);
}

static void closing_twice_is_harmless(void **state)
{
	struct file f = file_new("0123", 4);

	assert_int_equal(image_open(&img, "kernel", f.path), 0);
	image_close(&img);
	assert_int_equal(img.fd, -1);
	image_close(&img);
	file_free(&f);
}

static int make_dir(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	unlink(in_dir("fifo"));
	unlink(in_dir("loop"));
	return rmdir(dir);
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_file_is_opened_with_its_size),
		T(a_missing_file_is_said_with_name_and_reason),
		T(a_symbolic_link_to_itself_is_said),
		T(a_directory_is_refused),
		T(a_fifo_is_refused_without_waiting_for_a_writer),
		T(a_device_is_refused),
		T(a_block_device_is_taken_with_the_size_of_its_medium),
		T(a_file_that_cannot_be_examined_is_said),
		T(an_empty_file_is_refused),
		T(exactly_the_range_is_read),
		T(a_range_past_the_end_is_truncation_and_reads_nothing),
		T(reading_nothing_at_the_end_is_fine),
		T(short_reads_are_continued),
		T(an_interrupted_read_is_repeated),
		T(a_read_error_is_said_with_its_place),
		T(a_file_that_shrinks_meanwhile_is_truncation),
		T(reads_inside_the_head_cost_no_call),
		T(the_head_of_a_short_file_is_all_of_it),
		T(a_head_that_cannot_be_read_is_none),
		T(closing_twice_is_harmless),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
