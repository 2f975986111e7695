/* blk_call_test.c - the row of system calls of each request, whatever they return. */
#include "../../../src/virtio/blk_call.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "../../lib/disk.h"

#define PUNCH_KEEP 0x03
#define ZERO_KEEP  0x11

static uint8_t buf[3][4096];
static struct iovec iov[3];
static struct blk_req req;
static struct blk_call call;
static struct blk_user user;

/* A request of `len` bytes from 4096 on, over three buffers. */
static void begin(enum blk_op op, uint64_t len)
{
	for (unsigned i = 0; i < 3; i++)
		iov[i] = (struct iovec){buf[i], sizeof(buf[i])};
	memset(&req, 0xa5, sizeof(req)); /* begin owes nothing to what was there */
	req.op = op;
	req.stable = false;
	req.fd = 7;
	req.iov = iov;
	req.iovs = 3;
	req.off = 4096;
	req.len = len;
	req.user = &user;
	user.leaving = false;
	blk_call_begin(&req);
}

/* The next call is of that kind, at that place. */
static void expect(enum blk_call_kind kind, uint64_t off, uint64_t len, int flags)
{
	uint64_t bytes = 0;

	memset(&call, 0xa5, sizeof(call));
	blk_call_next(&req, &call);
	assert_int_equal(call.kind, kind);
	assert_int_equal(call.fd, 7);
	assert_int_equal(call.flags, flags);
	if (kind == BLK_CALL_SYNC)
		return;
	assert_int_equal(call.off, off);
	assert_int_equal(call.len, len);
	for (unsigned i = 0; kind <= BLK_CALL_WRITE && i < call.iovs; i++)
		bytes += call.iov[i].iov_len;
	if (kind <= BLK_CALL_WRITE)
		assert_int_equal(bytes, len);
}

static void goes_on_after(int64_t got)
{
	assert_false(blk_call_ended(&req, got));
}

static void ends_after(int64_t got, int64_t result)
{
	assert_true(blk_call_ended(&req, got));
	assert_int_equal(req.result, result);
}

static void read_and_write_are_one_call_each(void **state)
{
	begin(BLK_OP_READ, 12288);
	expect(BLK_CALL_READ, 4096, 12288, 0);
	assert_ptr_equal(call.iov, iov);
	ends_after(12288, 12288);

	begin(BLK_OP_WRITE, 12288);
	expect(BLK_CALL_WRITE, 4096, 12288, 0);
	ends_after(12288, 12288);
}

static void short_read_goes_on_where_it_stopped(void **state)
{
	begin(BLK_OP_READ, 12288);
	goes_on_after(5000);
	expect(BLK_CALL_READ, 9096, 7288, 0);
	assert_int_equal(call.iovs, 2);
	assert_ptr_equal(call.iov[0].iov_base, buf[1] + 904);
	goes_on_after(3192);
	expect(BLK_CALL_READ, 12288, 4096, 0);
	assert_ptr_equal(call.iov[0].iov_base, buf[2]);
	ends_after(4096, 12288);
}

static void short_write_goes_on_where_it_stopped(void **state)
{
	begin(BLK_OP_WRITE, 12288);
	goes_on_after(1);
	expect(BLK_CALL_WRITE, 4097, 12287, 0);
	assert_int_equal(call.iovs, 3);
	ends_after(12287, 12288);
}

static void end_of_file_ends_a_read(void **state)
{
	begin(BLK_OP_READ, 12288);
	goes_on_after(512);
	ends_after(0, 512);
}

static void write_without_progress_is_eio(void **state)
{
	begin(BLK_OP_WRITE, 12288);
	goes_on_after(512);
	ends_after(0, -EIO);
}

static void more_than_asked_for_is_not_believed(void **state)
{
	begin(BLK_OP_READ, 12288);
	ends_after(1 << 30, 12288);
}

static void failure_ends_it_whatever_was_done_before(void **state)
{
	begin(BLK_OP_WRITE, 12288);
	goes_on_after(8192);
	ends_after(-ENOSPC, -ENOSPC);
	begin(BLK_OP_READ, 12288);
	ends_after(-EIO, -EIO);
}

static void interrupted_calls_are_made_again(void **state)
{
	begin(BLK_OP_READ, 12288);
	goes_on_after(-EINTR);
	goes_on_after(-EAGAIN);
	expect(BLK_CALL_READ, 4096, 12288, 0);
	goes_on_after(4096);
	goes_on_after(-EINTR);
	expect(BLK_CALL_READ, 8192, 8192, 0);
	ends_after(8192, 12288);

	begin(BLK_OP_FLUSH, 0);
	goes_on_after(-EINTR);
	expect(BLK_CALL_SYNC, 0, 0, 0);
	ends_after(0, 0);
}

static void calls_that_never_get_anywhere_end(void **state)
{
	unsigned n = 0;

	begin(BLK_OP_READ, 12288);
	while (n < 1000 && !blk_call_ended(&req, -EAGAIN))
		n++;
	assert_in_range(n, 8, 255);
	assert_int_equal(req.result, -EAGAIN);
}

static void only_calls_in_a_row_count_as_getting_nowhere(void **state)
{
	begin(BLK_OP_READ, 12288);
	for (unsigned i = 0; i < 12287; i++) {
		goes_on_after(-EINTR);
		goes_on_after(1);
	}
	ends_after(1, 12288);
}

static void flush_is_fdatasync(void **state)
{
	begin(BLK_OP_FLUSH, 0);
	expect(BLK_CALL_SYNC, 0, 0, 0);
	ends_after(0, 0);
	begin(BLK_OP_FLUSH, 0);
	ends_after(-EIO, -EIO);
}

static void discard_makes_a_hole(void **state)
{
	begin(BLK_OP_DISCARD, 65536);
	expect(BLK_CALL_ALLOCATE, 4096, 65536, PUNCH_KEEP);
	ends_after(0, 0);
	begin(BLK_OP_DISCARD, 65536);
	ends_after(-ENOSPC, -ENOSPC);
}

static void discard_where_no_holes_are_is_done(void **state)
{
	static const int lacks[] = {EOPNOTSUPP, EINVAL, ENOSYS};

	for (unsigned i = 0; i < ARRAY_SIZE(lacks); i++) {
		begin(BLK_OP_DISCARD, 65536);
		ends_after(-lacks[i], 0);
	}
}

static void zeros_come_from_the_file_system(void **state)
{
	begin(BLK_OP_ZERO, 65536);
	expect(BLK_CALL_ALLOCATE, 4096, 65536, ZERO_KEEP);
	ends_after(0, 0);
	begin(BLK_OP_ZERO, 65536);
	ends_after(-EIO, -EIO);
}

static void unmapped_zeros_are_a_hole(void **state)
{
	begin(BLK_OP_UNMAP, 65536);
	expect(BLK_CALL_ALLOCATE, 4096, 65536, PUNCH_KEEP);
	ends_after(0, 0);
}

static void unmapped_zeros_without_holes_are_zeros(void **state)
{
	begin(BLK_OP_UNMAP, 65536);
	goes_on_after(-EOPNOTSUPP);
	expect(BLK_CALL_ALLOCATE, 4096, 65536, ZERO_KEEP);
	ends_after(0, 0);
}

static void zeros_are_written_where_nothing_else_is_to_be_had(void **state)
{
	begin(BLK_OP_ZERO, 65536 + 512);
	goes_on_after(-EOPNOTSUPP);
	expect(BLK_CALL_WRITE, 4096, 65536, 0);
	goes_on_after(60000);
	expect(BLK_CALL_WRITE, 64096, 6048, 0);
	for (unsigned i = 0; i < call.len; i++)
		assert_int_equal(((const uint8_t *)call.iov->iov_base)[i], 0);
	ends_after(6048, 0);
}

static void zeros_are_written_in_bounded_pieces(void **state)
{
	uint64_t off = 4096, len = 5 * MIB + 512;
	unsigned calls = 0;

	begin(BLK_OP_UNMAP, len);
	goes_on_after(-EOPNOTSUPP);
	goes_on_after(-EOPNOTSUPP);
	while (len) {
		expect(BLK_CALL_WRITE, off, MIN(len, 1 * MIB), 0);
		off += call.len;
		len -= call.len;
		calls++;
		assert_int_equal(blk_call_ended(&req, (int64_t)call.len), len == 0);
	}
	assert_int_equal(req.result, 0);
	assert_int_equal(calls, 6);
}

static void zeros_that_cannot_be_written_fail(void **state)
{
	begin(BLK_OP_ZERO, 65536);
	goes_on_after(-EOPNOTSUPP);
	ends_after(-ENOSPC, -ENOSPC);
	begin(BLK_OP_ZERO, 65536);
	goes_on_after(-EOPNOTSUPP);
	ends_after(0, -EIO);
}

static void stable_write_is_one_call(void **state)
{
	begin(BLK_OP_WRITE, 12288);
	req.stable = true;
	expect(BLK_CALL_WRITE, 4096, 12288, RWF_DSYNC);
	ends_after(12288, 12288);
	begin(BLK_OP_READ, 12288);
	req.stable = true;
	expect(BLK_CALL_READ, 4096, 12288, 0);
	ends_after(12288, 12288);
}

static void stable_zeros_and_holes_are_flushed(void **state)
{
	static const enum blk_op op[] = {BLK_OP_DISCARD, BLK_OP_ZERO, BLK_OP_UNMAP};

	for (unsigned i = 0; i < ARRAY_SIZE(op); i++) {
		begin(op[i], 65536);
		req.stable = true;
		goes_on_after(0);
		expect(BLK_CALL_SYNC, 0, 0, 0);
		ends_after(-EIO, -EIO);
	}
	begin(BLK_OP_ZERO, 65536);
	req.stable = true;
	goes_on_after(-EOPNOTSUPP);
	goes_on_after(65536);
	expect(BLK_CALL_SYNC, 0, 0, 0);
	ends_after(0, 0);
	begin(BLK_OP_ZERO, 65536);
	req.stable = true;
	ends_after(-EIO, -EIO); /* there is nothing to flush */
}

static void cut_takes_bytes_and_empty_buffers(void **state)
{
	struct iovec *v = iov;
	unsigned n = 3;

	begin(BLK_OP_READ, 12288);
	blk_iov_cut(&v, &n, 0);
	assert_int_equal(n, 3);
	blk_iov_cut(&v, &n, 4095);
	assert_int_equal(n, 3);
	assert_int_equal(v->iov_len, 1);
	blk_iov_cut(&v, &n, 4097);
	assert_int_equal(n, 1);
	assert_ptr_equal(v->iov_base, buf[2]);
	blk_iov_cut(&v, &n, 5000);
	assert_int_equal(n, 0);
}

static void leaving_user_gets_no_further_call(void **state)
{
	begin(BLK_OP_WRITE, 12288);
	goes_on_after(512);
	user.leaving = true;
	ends_after(512, -ECANCELED);
	begin(BLK_OP_UNMAP, 65536);
	user.leaving = true;
	ends_after(-EOPNOTSUPP, -ECANCELED);
	begin(BLK_OP_READ, 12288);
	user.leaving = true;
	ends_after(12288, 12288); /* it was the last one */
}

/* --- the calls themselves --- */

static void calls_do_what_they_say(void **state)
{
	int fd = disk_file(true, 12288);

	memset(buf, 0x5a, sizeof(buf));
	begin(BLK_OP_WRITE, 8192);
	req.fd = fd;
	req.iovs = 2;
	blk_call_next(&req, &call);
	assert_int_equal(blk_call_run(&call), 8192);

	memset(buf, 0, sizeof(buf));
	begin(BLK_OP_READ, 12288);
	req.fd = fd;
	req.off = 0;
	blk_call_next(&req, &call);
	assert_int_equal(blk_call_run(&call), 12288);
	assert_int_equal(buf[0][4095], 0);
	assert_int_equal(buf[1][0], 0x5a);

	begin(BLK_OP_UNMAP, 4096);
	req.fd = fd;
	blk_call_next(&req, &call);
	assert_int_equal(blk_call_run(&call), 0);
	assert_int_equal(pread(fd, buf[0], 4096, 4096), 4096);
	assert_int_equal(buf[0][0], 0);

	begin(BLK_OP_FLUSH, 0);
	req.fd = fd;
	blk_call_next(&req, &call);
	assert_int_equal(blk_call_run(&call), 0);
	close(fd);
	assert_int_equal(blk_call_run(&call), -EBADF);
}

int main(void)
{
#define T(f) cmocka_unit_test(f)
	const struct CMUnitTest tests[] = {
		T(read_and_write_are_one_call_each),
		T(short_read_goes_on_where_it_stopped),
		T(short_write_goes_on_where_it_stopped),
		T(end_of_file_ends_a_read),
		T(write_without_progress_is_eio),
		T(more_than_asked_for_is_not_believed),
		T(failure_ends_it_whatever_was_done_before),
		T(interrupted_calls_are_made_again),
		T(calls_that_never_get_anywhere_end),
		T(only_calls_in_a_row_count_as_getting_nowhere),
		T(flush_is_fdatasync),
		T(discard_makes_a_hole),
		T(discard_where_no_holes_are_is_done),
		T(zeros_come_from_the_file_system),
		T(unmapped_zeros_are_a_hole),
		T(unmapped_zeros_without_holes_are_zeros),
		T(zeros_are_written_where_nothing_else_is_to_be_had),
		T(zeros_are_written_in_bounded_pieces),
		T(zeros_that_cannot_be_written_fail),
		T(stable_write_is_one_call),
		T(stable_zeros_and_holes_are_flushed),
		T(leaving_user_gets_no_further_call),
		T(cut_takes_bytes_and_empty_buffers),
		T(calls_do_what_they_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
