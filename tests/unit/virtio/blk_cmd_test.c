/*
 * blk_cmd_test.c - behaviours of the block device on single requests: their layouts, what is wrong
 * with them, what they do. Each with both engines.
 */
#include "blk_rig.h"

/* --- reading and writing --- */

static void sectors_are_read(void **state)
{
	start_plain(state);
	assert_int_equal(run(VIRTIO_BLK_T_IN, 5, 1024), OK);
	assert_int_equal(used_len, 1025);
	assert_int_equal(*byte(DATA), 5);
	assert_int_equal(*byte(DATA + 511), 5);
	assert_int_equal(*byte(DATA + 512), 6);
	assert_int_equal(*byte(DATA + 1024), 0);
	assert_int_equal(host.irqs[0], 1);
	assert_int_equal(blk.count.reads, 1);
	assert_int_equal(blk.count.read_bytes, 1024);
}

static void sectors_are_written(void **state)
{
	start_plain(state);
	memset(driver_at(&drv[0], DATA, 1024), 0xab, 1024);
	assert_int_equal(run(VIRTIO_BLK_T_OUT, SECTORS - 2, 1024), OK);
	assert_int_equal(used_len, 1);
	assert_sectors(SECTORS - 2, 2, 0xab);
	assert_sectors(0, SECTORS - 2, -1);
	assert_int_equal(host.irqs[0], 1);
	assert_int_equal(blk.count.writes, 1);
	assert_int_equal(blk.count.write_bytes, 1024);
}

static void nothing_is_read_and_written_at_the_end(void **state)
{
	start_plain(state);
	assert_int_equal(run(VIRTIO_BLK_T_IN, SECTORS, 0), OK);
	assert_int_equal(run(VIRTIO_BLK_T_OUT, SECTORS, 0), OK);
	assert_int_equal(run(VIRTIO_BLK_T_IN, SECTORS + 1, 0), IOERR);
	assert_int_equal(io.submits, 0);
}

/* The readable and the writable part of a request, divided as given: lengths, 0 ends. */
static void run_divided(uint32_t type, const uint32_t *out, const uint32_t *in)
{
	const uint64_t sector = type == VIRTIO_BLK_T_IN ? 17 : 40;
	struct driver_buf buf[32];
	uint64_t at = DATA + 8 * KIB, status = 0;
	unsigned n = 0;

	memset(driver_at(&drv[0], at, 8 * KIB), 0x61, 8 * KIB);
	*(struct hdr *)driver_at(&drv[0], at, 16) = (struct hdr){type, 0, sector};
	for (; *out; at += *out++)
		buf[n++] = (struct driver_buf){at, *out, false};
	for (; *in; at += *in++)
		buf[n++] = (struct driver_buf){at, *in, true};
	status = at - 1;
	*byte(status) = 0xee;
	assert_true(driver_add(&drv[0], buf, n) >= 0);
	driver_kick(&drv[0], &blk.dev);
	used_len = await(0);
	assert_int_equal(*byte(status), OK);
	if (type == VIRTIO_BLK_T_IN) {
		assert_int_equal(used_len, 1025);
		for (unsigned i = 0; i < 1024; i++)
			assert_int_equal(*byte(status - 1024 + i), 17 + i / 512);
	} else {
		assert_int_equal(used_len, 1);
		assert_sectors(sector, 2, 0x61);
	}
	assert_int_equal(*byte(at), 0x61);
}

static void parts_may_be_divided_in_any_way(void **state)
{
	// clang-format off
	static const uint32_t in[][8] = {
		{1024, 1}, {1025}, {1, 1024}, {512, 513}, {1, 1, 1, 1, 1020, 1}, {1023, 2},
	};
	static const uint32_t hdr[][8] = {
		{16}, {8, 8}, {1, 14, 1}, {4, 4, 4, 4},
	};
	static const uint32_t out[][8] = {
		{16, 1024}, {1040}, {15, 1025}, {8, 1032}, {1, 15, 512, 512}, {17, 1, 1022}, {1, 1039},
	};
	// clang-format on
	static const uint32_t status[] = {1, 0};

	start_plain(state);
	for (unsigned indirect = 0; indirect < 2; indirect++) {
		drv[0].indirect = indirect;
		for (unsigned i = 0; i < ARRAY_SIZE(in); i++)
			for (unsigned j = 0; j < ARRAY_SIZE(hdr); j++)
				run_divided(VIRTIO_BLK_T_IN, hdr[j], in[i]);
		for (unsigned i = 0; i < ARRAY_SIZE(out); i++)
			run_divided(VIRTIO_BLK_T_OUT, out[i], status);
	}
}

static void divided_requests_take_the_engine_too(void **state)
{
	cached_err = EAGAIN;
	parts_may_be_divided_in_any_way(state);
	assert_true(io.submits > 0);
}

/* More buffers than a slot holds, and more such requests than there are tables. */
static void many_buffers_in_many_requests(void **state)
{
	struct driver_buf buf[34];
	uint64_t status[24];
	uint64_t h;

	start_plain(state);
	for (unsigned i = 0; i < 24; i++) {
		h = header(&drv[0], VIRTIO_BLK_T_OUT, i * 32);
		status[i] = driver_alloc(&drv[0], 1);
		buf[0] = (struct driver_buf){h, 16, false};
		for (unsigned j = 0; j < 32; j++) {
			buf[j + 1] = (struct driver_buf){DATA + j * 1024, 512, false};
			memset(driver_at(&drv[0], DATA + j * 1024, 512), (int)j, 512);
		}
		buf[33] = (struct driver_buf){status[i], 1, true};
		assert_true(driver_add(&drv[0], buf, 34) >= 0);
	}
	driver_kick(&drv[0], &blk.dev);
	assert_int_equal(blk.in_flight, 16);
	for (unsigned i = 0; i < 24; i++)
		await(0);
	assert_none_back(0);
	for (unsigned i = 0; i < 24; i++)
		assert_int_equal(*byte(status[i]), OK);
	for (unsigned i = 0; i < 24 * 32; i++)
		assert_sectors(i, 1, i % 32);
	assert_int_equal(blk.tables_used, BLK_TABLES);
}

static void longest_request_is_one(void **state)
{
	struct driver_buf buf[256];
	const struct blk_conf c = conf();

	assert_int_equal(make(state, &c), 0);
	bring_up(1, 256, TAKEN & ~VIRTIO_F_INDIRECT_DESC);
	cached_err = EAGAIN;
	buf[0] = (struct driver_buf){header(&drv[0], VIRTIO_BLK_T_IN, 0), 16, false};
	for (unsigned i = 0; i < 254; i++)
		buf[i + 1] = (struct driver_buf){DATA + i * 1024, 512, true};
	buf[255] = (struct driver_buf){DATA - 1, 1, true};
	assert_true(driver_add(&drv[0], buf, 256) >= 0);
	driver_kick(&drv[0], &blk.dev);
	assert_int_equal(await(0), 254 * 512 + 1);
	assert_int_equal(*byte(DATA - 1), OK);
	for (unsigned i = 0; i < 254; i++)
		assert_int_equal(*byte(DATA + i * 1024 + 511), i % 251);
}

/* --- what is wrong with a request --- */

static void places_beyond_the_disk_are_errors(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
	} t[] = {
		{SECTORS,              512 },
                {SECTORS - 1,          1024},
		{SECTORS - 7,          4096},
                {1ull << 63,           512 },
		{1ull << 55,           512 }, /* times 512 is 0 mod 2^64 */
		{UINT64_MAX,           512 },
                {UINT64_MAX - 6,       4096},
		{(1ull << 55) + 1,     512 },
                {UINT64_MAX / 512 + 1, 512 },
		{1ull << 32,           512 },
	};

	start_plain(state);
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		memset(driver_at(&drv[0], DATA, 4096), 0xdd, 4096);
		assert_int_equal(run(VIRTIO_BLK_T_OUT, t[i].sector, t[i].len), IOERR);
		assert_int_equal(used_len, 1);
		assert_int_equal(run(VIRTIO_BLK_T_IN, t[i].sector, t[i].len), IOERR);
		assert_int_equal(used_len, 1);
		assert_int_equal(*byte(DATA), 0xdd);
	}
	assert_untouched();
	assert_int_equal(io.submits, 0);
	assert_int_equal(blk.dev.errors, 2 * ARRAY_SIZE(t));
	assert_int_equal(blk.count.refused, 2 * ARRAY_SIZE(t));
	assert_int_equal(said_lines, 0);
}

static void lengths_that_are_no_sectors_are_errors(void **state)
{
	static const uint32_t len[] = {1, 511, 513, 4095, 1023};

	start_plain(state);
	for (unsigned i = 0; i < ARRAY_SIZE(len); i++) {
		assert_int_equal(run(VIRTIO_BLK_T_OUT, 0, len[i]), IOERR);
		assert_int_equal(run(VIRTIO_BLK_T_IN, 0, len[i]), IOERR);
	}
	assert_untouched();
}

static void unknown_requests_are_unsupported(void **state)
{
	static const uint32_t type[] = {2,  3,  5,  6,          7,          9,         10,
					12, 14, 15, 0x80000000, 0x80000001, UINT32_MAX};

	start_plain(state);
	for (unsigned i = 0; i < ARRAY_SIZE(type); i++) {
		assert_int_equal(run(type[i], 0, 512), UNSUPP);
		assert_int_equal(used_len, 1);
		assert_int_equal(run(type[i], 0, 0), UNSUPP);
	}
	assert_untouched();
}

static void short_header_is_an_error(void **state)
{
	uint64_t status, h;

	start_plain(state);
	h = header(&drv[0], VIRTIO_BLK_T_IN, 0);
	status = driver_alloc(&drv[0], 1);
	for (uint32_t len = 0; len < 16; len++) {
		*byte(status) = 0xee;
		if (len)
			driver_add(&drv[0],
				   (struct driver_buf[]){
					   {h,      len, false},
                                           {DATA,   512, true },
                                           {status, 1,   true }
                        },
				   3);
		else
			driver_add(&drv[0],
				   (struct driver_buf[]){
					   {DATA,   512, true},
                                           {status, 1,   true}
                        },
				   2);
		driver_kick(&drv[0], &blk.dev);
		assert_int_equal(await(0), 1);
		assert_int_equal(*byte(status), IOERR);
	}
	assert_int_equal(*byte(DATA), 0);
}

static void request_without_a_status_byte_comes_back(void **state)
{
	start_plain(state);
	driver_add(&drv[0],
		   (struct driver_buf[]){
			   {header(&drv[0], VIRTIO_BLK_T_OUT, 0), 16, false},
                           {DATA,         512,                         false                       }
        },
		   2);
	driver_kick(&drv[0], &blk.dev);
	assert_int_equal(await(0), 0);
	assert_untouched();
	assert_int_equal(blk.dev.errors, 1);
	assert_false(driver_status(&blk.dev) & VIRTIO_S_NEEDS_RESET);
}

/* Data in the wrong direction is no data. */
static void buffers_of_the_wrong_direction_do_not_count(void **state)
{
	uint64_t status;

	start_plain(state);
	status = driver_alloc(&drv[0], 1);
	driver_add(&drv[0],
		   (struct driver_buf[]){
			   {header(&drv[0], VIRTIO_BLK_T_IN, 0),    16, false},
			   {DATA,         512,                        false                         },
			   {status,         1, true}
        },
		   3);
	driver_add(&drv[0],
		   (struct driver_buf[]){
			   {header(&drv[0], VIRTIO_BLK_T_OUT, 0),   16, false},
			   {DATA,         512,                         true                         },
			   {status,          1,  true}
        },
		   3);
	driver_kick(&drv[0], &blk.dev);
	assert_int_equal(await(0), 1);
	assert_int_equal(await(0), 1);
	assert_int_equal(*byte(status), OK);
	assert_int_equal(*byte(DATA), 0);
	assert_untouched();
}

static void read_only_disk_takes_no_change(void **state)
{
	static const uint64_t with[] = {TAKEN | VIRTIO_BLK_F_RO, TAKEN};
	const struct blk_range r = {0, 8, 0};
	struct blk_conf c = conf();

	c.readonly = true;
	assert_int_equal(make(state, &c), 0);
	assert_int_equal(fcntl(blk.file[0].fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	for (unsigned i = 0; i < ARRAY_SIZE(with); i++) {
		bring_up(1, SIZE, with[i] & blk.dev.offered);
		assert_int_equal(run(VIRTIO_BLK_T_OUT, 0, 512), IOERR);
		assert_int_equal(run(VIRTIO_BLK_T_OUT, 0, 0), IOERR);
		assert_int_equal(run_ranges(VIRTIO_BLK_T_DISCARD, &r, 1), IOERR);
		assert_int_equal(run_ranges(VIRTIO_BLK_T_WRITE_ZEROES, &r, 1), IOERR);
		assert_int_equal(run(VIRTIO_BLK_T_IN, 3, 512), OK);
		assert_int_equal(*byte(DATA), 3);
	}
	assert_int_equal(io.submits, 0);
	assert_untouched();
}

/* --- flush, identity --- */

static void flush_is_carried_out(void **state)
{
	start_plain(state);
	assert_int_equal(run(VIRTIO_BLK_T_FLUSH, 0, 0), OK);
	assert_int_equal(run(VIRTIO_BLK_T_FLUSH, 12345678, 512), OK); /* neither is looked at */
	assert_int_equal(io.submits, 2);
	assert_int_equal(blk.count.flushes, 2);
}

static void disk_without_flush_supports_none(void **state)
{
	struct blk_conf c = conf();

	c.cache = BLK_CACHE_UNSAFE;
	start(state, &c, TAKEN & ~VIRTIO_BLK_F_FLUSH);
	assert_int_equal(run(VIRTIO_BLK_T_FLUSH, 0, 0), UNSUPP);
	assert_int_equal(run(VIRTIO_BLK_T_OUT, 0, 512), OK);
	assert_int_equal(io.submits, 1);
	assert_int_equal(stable_writes, 0);
}

static void driver_that_will_not_flush_gets_stable_writes(void **state)
{
	const struct blk_conf c = conf();

	start(state, &c, TAKEN & ~VIRTIO_BLK_F_FLUSH);
	assert_int_equal(run(VIRTIO_BLK_T_OUT, 0, 512), OK);
	assert_int_equal(run_ranges(VIRTIO_BLK_T_DISCARD, &(struct blk_range){8, 8, 0}, 1), OK);
	assert_int_equal(stable_writes, io.ringed ? 0 : 1);
	if (io.ringed)
		assert_int_equal(io.ring.sq.sqes[0].rw_flags, RWF_DSYNC);
	assert_int_equal(run(VIRTIO_BLK_T_FLUSH, 0, 0), OK);
	bring_up(1, SIZE, TAKEN);
	stable_writes = 0;
	assert_int_equal(run(VIRTIO_BLK_T_OUT, 0, 512), OK);
	assert_int_equal(stable_writes, 0);
}

static void identity_is_the_users(void **state)
{
	struct blk_conf c = conf();

	strcpy(c.id, "root");
	memset(c.id + 5, 'x', sizeof(c.id) - 5); /* behind the end */
	start(state, &c, TAKEN);
	memset(driver_at(&drv[0], DATA, 64), 0xdd, 64);
	assert_int_equal(run(VIRTIO_BLK_T_GET_ID, 0, 20), OK);
	assert_int_equal(used_len, 21);
	assert_memory_equal(byte(DATA), "root\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	assert_int_equal(*byte(DATA + 20), 0xdd);
	assert_int_equal(io.submits, 0);
}

static void identity_may_fill_its_field(void **state)
{
	struct blk_conf c = conf();

	memcpy(c.id, "twenty characters...", 21);
	start(state, &c, TAKEN);
	assert_int_equal(run(VIRTIO_BLK_T_GET_ID, 0, 20), OK);
	assert_memory_equal(byte(DATA), "twenty characters...", 20);
}

static void identity_is_device_and_inode_otherwise(void **state)
{
	char want[64];
	struct stat st;

	start_plain(state);
	assert_int_equal(syscall(SYS_fstat, fd, &st), 0);
	memset(want, 0, sizeof(want));
	snprintf(want, sizeof(want), "%llu%llu%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_rdev, (unsigned long long)st.st_ino);
	assert_int_equal(run(VIRTIO_BLK_T_GET_ID, 0, 20), OK);
	assert_memory_equal(byte(DATA), want, 20);
}

static void identity_is_cut_and_never_longer(void **state)
{
	struct blk_conf c = conf();

	strcpy(c.id, "abcdefgh");
	start(state, &c, TAKEN);
	memset(driver_at(&drv[0], DATA, 64), 0xdd, 64);
	assert_int_equal(run(VIRTIO_BLK_T_GET_ID, 0, 4), OK);
	assert_int_equal(used_len, 5);
	assert_memory_equal(byte(DATA), "abcd", 4);
	assert_int_equal(*byte(DATA + 4), 0xdd);
	assert_int_equal(run(VIRTIO_BLK_T_GET_ID, 0, 64), OK);
	assert_int_equal(used_len, 21);
	assert_int_equal(*byte(DATA + 20), 0xdd);
	assert_int_equal(run(VIRTIO_BLK_T_GET_ID, 0, 0), OK);
}

/* --- discard, write zeroes --- */

static void ranges_are_zeroed(void **state)
{
	static const struct blk_range r[] = {
		{16,          8,   0},
                {100,         1,   1},
                {200,         0,   0},
                {256,         256, 1},
                {SECTORS - 1, 1,   0}
        };

	start_plain(state);
	assert_int_equal(run_ranges(VIRTIO_BLK_T_WRITE_ZEROES, r, ARRAY_SIZE(r)), OK);
	assert_int_equal(used_len, 1);
	assert_sectors(0, 16, -1);
	assert_sectors(16, 8, 0);
	assert_sectors(24, 76, -1);
	assert_sectors(100, 1, 0);
	assert_sectors(101, 155, -1);
	assert_sectors(256, 256, 0);
	assert_sectors(512, SECTORS - 513, -1);
	assert_sectors(SECTORS - 1, 1, 0);
	assert_int_equal(blk.count.zeroes, 1);
}

static void ranges_are_discarded(void **state)
{
	static const struct blk_range r[] = {
		{16,  8,   0},
                {256, 256, 0}
        };
	struct stat before, after;

	start_plain(state);
	syscall(SYS_fstat, fd, &before);
	assert_int_equal(run_ranges(VIRTIO_BLK_T_DISCARD, r, ARRAY_SIZE(r)), OK);
	syscall(SYS_fstat, fd, &after);
	assert_int_equal(after.st_size, before.st_size);
	assert_sectors(16, 8, 0);
	assert_sectors(256, 256, 0);
	assert_sectors(512, SECTORS - 512, -1);
	assert_int_equal(blk.count.discards, 1);
}

static void empty_ranges_are_done_at_once(void **state)
{
	static const struct blk_range r[] = {
		{16,      0, 0},
                {SECTORS, 0, 0}
        };

	start_plain(state);
	assert_int_equal(run_ranges(VIRTIO_BLK_T_WRITE_ZEROES, r, 2), OK);
	assert_int_equal(io.submits, 0);
	assert_int_equal(blk.in_flight, 0);
	assert_untouched();
}

/* The first range is good each time, and must not be carried out. */
static void one_bad_range_stops_them_all(void **state)
{
	// clang-format off
	static const struct {
		struct blk_range r;
		uint8_t discard, zeroes;
	} t[] = {
		{{SECTORS, 1, 0},              IOERR,  IOERR},
		{{SECTORS - 1, 2, 0},          IOERR,  IOERR},
		{{UINT64_MAX, 1, 0},           IOERR,  IOERR},
		{{UINT64_MAX, 8, 0},           IOERR,  IOERR},
		{{1ull << 55, 8, 0},           IOERR,  IOERR},
		{{0, UINT32_MAX, 0},           IOERR,  IOERR},
		{{0, SECTORS + 1, 0},          IOERR,  IOERR},
		{{8, 8, 2},                    UNSUPP, UNSUPP},
		{{8, 8, 0x80000000},           UNSUPP, UNSUPP},
		{{SECTORS, 1, UINT32_MAX - 1}, UNSUPP, UNSUPP},
	};
	// clang-format on

	start_plain(state);
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		const struct blk_range r[] = {
			{16, 8, 0},
                        t[i].r
                };

		assert_int_equal(run_ranges(VIRTIO_BLK_T_DISCARD, r, 2), t[i].discard);
		assert_int_equal(run_ranges(VIRTIO_BLK_T_WRITE_ZEROES, r, 2), t[i].zeroes);
	}
	assert_untouched();
	assert_int_equal(io.submits, 0);
}

static void discard_knows_no_unmap_flag(void **state)
{
	static const struct blk_range r = {16, 8, 1};

	start_plain(state);
	assert_int_equal(run_ranges(VIRTIO_BLK_T_DISCARD, &r, 1), UNSUPP);
	assert_untouched();
}

static void ranges_have_a_number_and_a_size(void **state)
{
	static const uint32_t bad[] = {
		0, 1, 15, 17, 31, 16 * BLK_RANGES_MAX + 16, 16 * BLK_RANGES_MAX + 1, 4096};
	const struct blk_conf c = conf();

	start(state, &c, TAKEN);
	memset(driver_at(&drv[0], DATA, 4096), 0, 4096);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(run(VIRTIO_BLK_T_DISCARD, 0, bad[i]), IOERR);
		assert_int_equal(run(VIRTIO_BLK_T_WRITE_ZEROES, 0, bad[i]), IOERR);
	}
	assert_int_equal(run(VIRTIO_BLK_T_DISCARD, 0, 16 * BLK_RANGES_MAX), OK);
}

static void range_has_a_longest_length(void **state)
{
	struct blk_range r = {0, BLK_RANGE_SECTORS + 1, 0};

	assert_int_equal(ftruncate(fd, 4ll * GIB), 0);
	start_plain(state);
	assert_int_equal(run_ranges(VIRTIO_BLK_T_DISCARD, &r, 1), IOERR);
	r.sectors--;
	assert_int_equal(run_ranges(VIRTIO_BLK_T_DISCARD, &r, 1), OK);
	assert_sectors(0, 1, 0);
}

static void what_was_not_negotiated_is_unsupported(void **state)
{
	static const struct blk_range r = {16, 8, 0};
	const struct blk_conf c = conf();

	start(state, &c, TAKEN & ~(VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES));
	assert_int_equal(run_ranges(VIRTIO_BLK_T_DISCARD, &r, 1), UNSUPP);
	assert_int_equal(run_ranges(VIRTIO_BLK_T_WRITE_ZEROES, &r, 1), UNSUPP);
	assert_untouched();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(sectors_are_read),
		T(sectors_are_written),
		T(nothing_is_read_and_written_at_the_end),
		T(parts_may_be_divided_in_any_way),
		T(divided_requests_take_the_engine_too),
		T(many_buffers_in_many_requests),
		T(longest_request_is_one),
		T(places_beyond_the_disk_are_errors),
		T(lengths_that_are_no_sectors_are_errors),
		T(unknown_requests_are_unsupported),
		T(short_header_is_an_error),
		T(request_without_a_status_byte_comes_back),
		T(buffers_of_the_wrong_direction_do_not_count),
		T(read_only_disk_takes_no_change),
		T(flush_is_carried_out),
		T(disk_without_flush_supports_none),
		T(driver_that_will_not_flush_gets_stable_writes),
		T(identity_is_the_users),
		T(identity_may_fill_its_field),
		T(identity_is_device_and_inode_otherwise),
		T(identity_is_cut_and_never_longer),
		T(ranges_are_zeroed),
		T(ranges_are_discarded),
		T(empty_ranges_are_done_at_once),
		T(one_bad_range_stops_them_all),
		T(discard_knows_no_unmap_flag),
		T(ranges_have_a_number_and_a_size),
		T(range_has_a_longest_length),
		T(what_was_not_negotiated_is_unsupported),
	};

	if (!uring_watch())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
