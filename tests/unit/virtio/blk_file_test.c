/*
 * blk_file_test.c - behaviours of what is behind a disk: what is refused, sizes, files that are
 * replaced while the guest runs, files that fail.
 */
#include "blk_rig.h"

/* --- files --- */

static void refused(void **state, const char *file, int err, const char *part)
{
	struct blk_conf c = conf();

	c.path = file;
	assert_fails(make(state, &c), err, part);
	assert_non_null(strstr(said, file));
}

static void what_is_no_disk_is_refused(void **state)
{
	char fifo[] = "minnow-fifo-XXXXXX";

	assert_true(mkstemp(fifo) >= 0);
	unlink(fifo);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	refused(state, fifo, EINVAL, "is a FIFO");
	unlink(fifo);
	refused(state, ".", EISDIR, "is a directory");
	refused(state, "/dev/null", EINVAL, "is a character device");
	refused(state, "minnow-no-such-image", ENOENT, "No such file");
	refused(state, "/proc/self/exe", ETXTBSY, "for writing");
}

static void what_is_no_disk_to_read_is_refused(void **state)
{
	struct blk_conf c = conf();

	c.readonly = true;
	c.path = ".";
	assert_fails(make(state, &c), EINVAL, "is a directory");
	c.path = "minnow-no-such-image";
	assert_fails(make(state, &c), ENOENT, "cannot be opened: No such");
	c.path = "/proc/self/exe";
	assert_int_equal(make(state, &c), 0);
}

static void block_device_has_the_size_it_tells(void **state)
{
	const struct blk_conf c = conf();

	block_device = 3 * GIB;
	assert_int_equal(make(state, &c), 0);
	assert_int_equal(config(0, 4), 3 * GIB / 512);
}

static void block_device_that_does_not_tell_is_refused(void **state)
{
	const struct blk_conf c = conf();

	block_device = 3 * GIB;
	silent_device = true;
	assert_fails(make(state, &c), EIO, "does not tell its size");
}

static void file_that_cannot_be_asked_is_refused(void **state)
{
	stranger = true;
	refused(state, path, EINVAL, "is no file");
	fstat_err = EIO;
	refused(state, path, EIO, "fstat");
	fstat_err = 0;
	stranger = false;
	fcntl_err = EINVAL;
	refused(state, path, EINVAL, "fcntl");
}

static void descriptor_is_not_inherited_and_waits(void **state)
{
	const struct blk_conf c = conf();

	assert_int_equal(make(state, &c), 0);
	assert_true(fcntl(blk.file[0].fd, F_GETFD) & FD_CLOEXEC);
	assert_false(fcntl(blk.file[0].fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fcntl(blk.file[0].fd, F_GETFL) & O_ACCMODE, O_RDWR);
}

static void empty_file_is_a_disk_of_no_sectors(void **state)
{
	assert_int_equal(ftruncate(fd, 0), 0);
	start_plain(state);
	assert_int_equal(config(0, 4), 0);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 0, 512), IOERR);
	assert_int_equal(run(VIRTIO_BLK_T_OUT, 0, 512), IOERR);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 0, 0), OK);
	assert_int_equal(run(VIRTIO_BLK_T_FLUSH, 0, 0), OK);
}

static void tail_that_is_no_sector_is_hidden(void **state)
{
	uint8_t tail[100];

	memset(tail, 0xcc, sizeof(tail));
	assert_int_equal(pwrite(fd, tail, sizeof(tail), SECTORS * 512), sizeof(tail));
	start_plain(state);
	assert_int_equal(said_lines, 1);
	assert_int_equal(said_level, LEVEL_WARN);
	assert_non_null(strstr(said, "its last 100"));
	assert_int_equal(config(0, 4), SECTORS);
	assert_int_equal(run(VIRTIO_BLK_T_OUT, SECTORS, 512), IOERR);
	assert_int_equal(run(VIRTIO_BLK_T_OUT, SECTORS - 1, 512), OK);
	assert_int_equal(pread(fd, tail, sizeof(tail), SECTORS * 512), sizeof(tail));
	assert_int_equal(tail[0] & tail[99], 0xcc);
}

/* --- another file --- */

static void disk_becomes_another_file(void **state)
{
	char id[BLK_ID_LEN];

	start_plain(state);
	memcpy(id, blk_id(&blk), sizeof(id));
	close(image(other, 1 * MIB));
	host.config_irqs = 0;
	assert_int_equal(blk_replace(&blk, other), 0);
	assert_int_equal(host.config_irqs, 1);
	assert_int_equal(blk.dev.generation, 1);
	assert_int_equal(config(0, 4), 2048);
	assert_memory_not_equal(blk_id(&blk), id, sizeof(id));
	assert_int_equal(fcntl(blk.file[0].fd, F_GETFD), -1); /* closed */
	assert_int_equal(run(VIRTIO_BLK_T_IN, 2047, 512), OK);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 2048, 512), IOERR);
	assert_int_equal(run(VIRTIO_BLK_T_OUT, 0, 512), OK);
	assert_untouched();
}

/* What clients with placeholders do: attach an empty file, and the real one when it is known. */
static void placeholder_becomes_a_disk(void **state)
{
	struct blk_conf c = conf();

	close(image(other, 0));
	c.path = other;
	strcpy(c.id, "kept");
	start(state, &c, TAKEN);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 0, 512), IOERR);
	assert_int_equal(blk_replace(&blk, path), 0);
	assert_int_equal(run(VIRTIO_BLK_T_IN, SECTORS - 1, 512), OK);
	assert_string_equal(blk_id(&blk), "kept");
}

static void requests_in_flight_end_on_the_old_file(void **state)
{
	int old, f;
	uint8_t s[512];

	start_plain(state);
	f = image(other, 1 * MIB);
	old = blk.file[0].fd;
	memset(driver_at(&drv[0], DATA, 512), 0xab, 512);
	add(VIRTIO_BLK_T_OUT, 7, DATA, 512);
	driver_kick(&drv[0], &blk.dev);
	assert_int_equal(blk_replace(&blk, other), 0);
	assert_true(fcntl(old, F_GETFD) >= 0);
	await(0);
	assert_int_equal(fcntl(old, F_GETFD), -1);
	assert_sectors(7, 1, 0xab);
	assert_int_equal(pread(f, s, 512, 7 * 512), 512);
	assert_int_equal(s[0], 7);
	close(f);
}

static void file_that_is_no_disk_changes_nothing(void **state)
{
	start_plain(state);
	assert_fails(blk_replace(&blk, "minnow-no-such-image"), ENOENT, "No such file");
	assert_fails(blk_replace(&blk, "/dev/null"), EINVAL, "character device");
	assert_int_equal(config(0, 4), SECTORS);
	assert_int_equal(host.config_irqs, 0);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 2, 512), OK);
}

static void too_many_files_in_use_are_refused(void **state)
{
	start_plain(state);
	close(image(other, 1 * MIB));
	for (unsigned i = 0; i < BLK_FILES_MAX - 1; i++) {
		add(VIRTIO_BLK_T_OUT, 7, DATA, 512);
		driver_kick(&drv[0], &blk.dev);
		assert_int_equal(blk_replace(&blk, other), 0);
	}
	assert_fails(blk_replace(&blk, path), EBUSY, "still in use");
	while (blk.in_flight)
		disk_turn(&io);
	assert_int_equal(blk_replace(&blk, path), 0);
	for (unsigned i = 0; i < BLK_FILES_MAX - 1; i++)
		await(0);
	assert_int_equal(config(0, 4), SECTORS);
}

static void read_only_disk_stays_read_only(void **state)
{
	struct blk_conf c = conf();

	c.readonly = true;
	start(state, &c, TAKEN & ~(VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES));
	close(image(other, 1 * MIB));
	assert_int_equal(blk_replace(&blk, other), 0);
	assert_int_equal(fcntl(blk.file[blk.current].fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(run(VIRTIO_BLK_T_OUT, 0, 512), IOERR);
}

/* --- faults of the host --- */

static void truncated_file_is_an_error(void **state)
{
	start_plain(state);
	assert_int_equal(ftruncate(fd, 8 * 512 + 100), 0);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 7, 512), OK);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 8, 512), IOERR);
	assert_non_null(strstr(said, "the file is shorter"));
	assert_int_equal(run(VIRTIO_BLK_T_IN, 0, 8192), IOERR);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 100, 512), IOERR);
	assert_int_equal(used_len, 1);
	assert_int_equal(blk.dev.errors, 3);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 0, 512), OK);
}

static void become(const char *what, int flags)
{
	int f = open(what, flags | O_CLOEXEC);

	assert_true(f >= 0);
	dup2(f, blk.file[0].fd);
	close(f);
}

static void full_file_system_is_an_error(void **state)
{
	start_plain(state);
	become("/dev/full", O_RDWR);
	assert_int_equal(run(VIRTIO_BLK_T_OUT, 0, 4096), IOERR);
	assert_non_null(strstr(said, "writing 4096 bytes at 0 failed: No space left"));
	assert_int_equal(blk.dev.errors, 1);
	assert_false(driver_status(&blk.dev) & VIRTIO_S_NEEDS_RESET);
}

static void failing_medium_is_an_error(void **state)
{
	start_plain(state);
	become("/proc/self/mem", O_RDWR);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 0, 4096), IOERR);
	assert_int_equal(run(VIRTIO_BLK_T_OUT, 0, 4096), IOERR);
	assert_int_equal(run(VIRTIO_BLK_T_FLUSH, 0, 0), IOERR);
	assert_int_equal(run_ranges(VIRTIO_BLK_T_WRITE_ZEROES, &(struct blk_range){0, 8, 0}, 1),
			 IOERR);
	assert_int_equal(blk.dev.errors, 4);
	assert_int_equal(blk.in_flight, 0);
}

static void failure_stops_the_other_ranges(void **state)
{
	static const struct blk_range r[] = {
		{0,  8, 0},
                {16, 8, 0}
        };

	start_plain(state);
	become("/proc/self/mem", O_RDWR);
	assert_int_equal(run_ranges(VIRTIO_BLK_T_WRITE_ZEROES, r, 2), IOERR);
	assert_int_equal(said_lines, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_no_disk_is_refused),
		T(what_is_no_disk_to_read_is_refused),
		T(block_device_has_the_size_it_tells),
		T(block_device_that_does_not_tell_is_refused),
		T(file_that_cannot_be_asked_is_refused),
		T(descriptor_is_not_inherited_and_waits),
		T(empty_file_is_a_disk_of_no_sectors),
		T(tail_that_is_no_sector_is_hidden),
		T(disk_becomes_another_file),
		T(placeholder_becomes_a_disk),
		T(requests_in_flight_end_on_the_old_file),
		T(file_that_is_no_disk_changes_nothing),
		T(too_many_files_in_use_are_refused),
		T(read_only_disk_stays_read_only),
		T(truncated_file_is_an_error),
		T(full_file_system_is_an_error),
		T(failing_medium_is_an_error),
		T(failure_stops_the_other_ranges),
	};

	if (!uring_watch())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
