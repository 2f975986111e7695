/*
 * linux_test.c - the Linux boot protocol. Offsets in the setup header and the zero page are written
 * out as in x86/boot.rst and x86/zero-page.rst.
 */
#include "fixture.h"

#include <sys/random.h>
#include <sys/syscall.h>

#include "../../../src/boot/linux.h"

static int getrandom_err;

ssize_t getrandom(void *buf, size_t len, unsigned flags)
{
	if (getrandom_err) {
		errno = getrandom_err;
		return -1;
	}
	return syscall(SYS_getrandom, buf, len, flags);
}

/* A bzImage: one setup sector beside the boot sector, then 8 KiB of kernel. */
#define KERNEL_OFF  0x400
#define KERNEL_SIZE 0x2000
#define PREF        0x1000000
#define INIT_SIZE   0x800000

static struct ram ram;
static struct boot_conf conf;
static struct load l;
static struct boot_entry entry;
static struct blob k;
static struct file kernel, initrd;
static uint8_t head[8192];

static void put(size_t at, unsigned size, uint64_t v)
{
	blob_put(&k, at, &v, size);
}

static int setup(void **state)
{
	ram = ram_new(64 * MIB);
	conf = (struct boot_conf){.kernel = "K", .cmdline = "console=ttyS0", .cpus = 1};
	entry = (struct boot_entry){0};
	getrandom_err = 0;
	initrd = file_new("cpio", 4);
	memset(&k, 0, sizeof(k));
	memset(k.b + KERNEL_OFF, 0x90, KERNEL_SIZE);
	memset(k.b, 0xcc, 0x1f1); /* the boot sector's code: must not reach the zero page */
	k.len = KERNEL_OFF + KERNEL_SIZE;
	put(0x1f1, 1, 1);                /* setup_sects */
	put(0x1f4, 4, KERNEL_SIZE / 16); /* syssize */
	put(0x1fe, 2, 0xaa55);
	put(0x200, 2, 0x6aeb); /* jump over the header, to 26ch */
	put(0x202, 4, 0x53726448);
	put(0x206, 2, 0x20f);
	put(0x211, 1, 1);          /* LOADED_HIGH */
	put(0x22c, 4, 0x7fffffff); /* initrd_addr_max */
	put(0x230, 4, 0x200000);   /* kernel_alignment */
	put(0x234, 1, 1);          /* relocatable */
	put(0x236, 2, 0x3f);       /* xloadflags */
	put(0x238, 4, 2047);       /* cmdline_size */
	put(0x258, 8, PREF);
	put(0x260, 4, INIT_SIZE);
	put(0x268, 4, 0x12345678); /* kernel_info_offset, of 2.15 */
	put(0x26c, 4, 0xcccccccc); /* behind the header */
	return 0;
}

static int teardown(void **state)
{
	file_free(&initrd);
	ram_free(&ram);
	return 0;
}

static void open_kernel(void)
{
	kernel = file_new(k.b, k.len);
	l = (struct load){.conf = &conf, .ram = &ram, .rsdp = 0xe0000};
	assert_int_equal(image_open(&l.kernel, "kernel", kernel.path), 0);
	assert_int_equal(image_head(&l.kernel, head, sizeof(head)), 0);
}

static void close_kernel(void)
{
	image_close(&l.kernel);
	file_free(&kernel);
}

static int load(void)
{
	int err;

	open_kernel();
	err = linux_load_bzimage(&l, &entry);
	close_kernel();
	return err;
}

static uint64_t zp(unsigned off, unsigned size)
{
	return peek(&ram, GPA_ZERO_PAGE + off, size);
}

static void a_bzimage_is_known_by_its_header(void **state)
{
	open_kernel();
	assert_true(linux_match(&l.kernel));
	close_kernel();
	put(0x202, 1, 'X');
	open_kernel();
	assert_false(linux_match(&l.kernel));
	close_kernel();
	k.len = 0x205;
	put(0x202, 4, 0x53726448);
	k.len = 0x205;
	open_kernel();
	assert_false(linux_match(&l.kernel));
	close_kernel();
}

static void the_kernel_is_loaded_at_its_preferred_address(void **state)
{
	assert_int_equal(load(), 0);
	assert_memory_equal(ram_at(&ram, PREF, KERNEL_SIZE), k.b + KERNEL_OFF, KERNEL_SIZE);
	assert_true(is_zero(&ram, PREF + KERNEL_SIZE, 0x10000));
	assert_true(is_zero(&ram, GPA_HIMEM, PREF - GPA_HIMEM));
}

static void it_is_entered_200h_behind_its_start_in_long_mode(void **state)
{
	assert_int_equal(load(), 0);
	assert_int_equal(entry.mode, BOOT_MODE_LONG64);
	assert_int_equal(entry.rip, PREF + 0x200);
	assert_int_equal(entry.rsi, GPA_ZERO_PAGE);
	assert_int_equal(peek(&ram, GPA_PML4, 1) & 1, 1);
}

static void a_signature_behind_the_kernel_is_not_loaded(void **state)
{
	blob_put(&k, KERNEL_OFF + KERNEL_SIZE, "signature", 9);
	assert_int_equal(load(), 0);
	assert_true(is_zero(&ram, PREF + KERNEL_SIZE, 16));
}

static void no_setup_sectors_mean_four(void **state)
{
	put(0x1f1, 1, 0);
	memset(k.b + 0xa00, 0x42, KERNEL_SIZE);
	k.len = 0xa00 + KERNEL_SIZE;
	assert_int_equal(load(), 0);
	assert_int_equal(peek(&ram, PREF, 1), 0x42);
	assert_int_equal(peek(&ram, PREF + KERNEL_SIZE - 1, 1), 0x42);
}

static void the_header_is_copied_by_its_own_length(void **state)
{
	assert_int_equal(load(), 0);
	assert_int_equal(zp(0x202, 4), 0x53726448);
	assert_int_equal(zp(0x206, 2), 0x20f);
	assert_int_equal(zp(0x260, 4), INIT_SIZE);
	assert_int_equal(zp(0x268, 4), 0x12345678);
	assert_int_equal(zp(0x26c, 4), 0);
	assert_true(is_zero(&ram, GPA_ZERO_PAGE + 0x78, 0x1e8 - 0x78));
}

static void a_header_never_reaches_the_next_field(void **state)
{
	put(0x201, 1, 0xff);
	memset(k.b + 0x26c, 0xcc, 0x400 - 0x26c);
	assert_int_equal(load(), 0);
	assert_int_equal(zp(0x28c, 4), 0xcccccccc);
	assert_int_equal(zp(0x290, 8), 0);
}

static void the_sentinel_stays_zero(void **state)
{
	k.b[0x1ef] = 0xff;
	assert_int_equal(load(), 0);
	assert_int_equal(zp(0x1ef, 1), 0);
}

static void the_loader_says_what_it_is(void **state)
{
	assert_int_equal(load(), 0);
	assert_int_equal(zp(0x210, 1), 0xff);
	assert_int_equal(zp(0x211, 1), 0x81); /* LOADED_HIGH, CAN_USE_HEAP */
	assert_int_equal(zp(0x224, 2), 0xfe00);
}

static void the_zero_page_points_to_the_command_line(void **state)
{
	assert_int_equal(load(), 0);
	assert_int_equal(zp(0x228, 4), GPA_CMDLINE);
	assert_string_equal(peek_str(&ram, GPA_CMDLINE), "console=ttyS0");
}

static void the_zero_page_points_to_the_rsdp(void **state)
{
	assert_int_equal(load(), 0);
	assert_int_equal(zp(0x70, 8), 0xe0000);
}

static void the_zero_page_holds_the_memory_map(void **state)
{
	assert_int_equal(load(), 0);
	assert_int_equal(zp(0x1e8, 1), 6);
	assert_int_equal(zp(0x2d0, 8), 0);
	assert_int_equal(zp(0x2d8, 8), 0x9fc00);
	assert_int_equal(zp(0x2e0, 4), 1);
	assert_int_equal(zp(0x2e4, 8), 0x9fc00);
	assert_int_equal(zp(0x2d0 + 3 * 20 + 8, 8), 63 * MIB);
	assert_true(is_zero(&ram, GPA_ZERO_PAGE + 0x2d0 + 6 * 20, 20));
}

static void no_initrd_is_none(void **state)
{
	assert_int_equal(load(), 0);
	assert_int_equal(zp(0x218, 8), 0);
}

static void the_initrd_lies_at_the_top_of_ram(void **state)
{
	conf.initrd = initrd.path;
	assert_int_equal(load(), 0);
	assert_int_equal(zp(0x218, 4), 64 * MIB - 4096);
	assert_int_equal(zp(0x21c, 4), 4);
	assert_memory_equal(ram_at(&ram, 64 * MIB - 4096, 4), "cpio", 4);
}

static void the_initrd_ends_at_or_below_initrd_addr_max(void **state)
{
	conf.initrd = initrd.path;
	put(0x22c, 4, 0x37fffff); /* 56 MiB less one */
	assert_int_equal(load(), 0);
	assert_int_equal(zp(0x218, 4), 0x37ff000);
	put(0x22c, 4, 0x37ff003); /* the fourth byte is the last that may be used */
	assert_int_equal(load(), 0);
	assert_int_equal(zp(0x218, 4), 0x37ff000);
	put(0x22c, 4, 0x37ff002);
	assert_int_equal(load(), 0);
	assert_int_equal(zp(0x218, 4), 0x37fe000);
}

static void the_initrd_stays_out_of_where_the_kernel_unpacks(void **state)
{
	conf.initrd = initrd.path;
	put(0x260, 4, 48 * MIB - 0x1000); /* leaves the last page */
	assert_int_equal(load(), 0);
	assert_int_equal(zp(0x218, 4), 64 * MIB - 4096);
	put(0x260, 4, 48 * MIB - 0xfff); /* one byte less; below the kernel is room too */
	assert_int_equal(load(), 0);
	assert_int_equal(zp(0x218, 4), PREF - 4096);
}

static void an_initrd_too_large_for_what_is_left_is_refused(void **state)
{
	conf.initrd = initrd.path;
	assert_int_equal(ftruncate(initrd.fd, 60 * MIB), 0);
	assert_fails(load(), E2BIG, "initrd /proc/self/fd/");
}

static void with_seed_there_is_setup_data_of_32_bytes(void **state)
{
	uint64_t first;

	conf.rng_seed = true;
	assert_int_equal(load(), 0);
	assert_int_equal(zp(0x250, 8), GPA_SETUP_DATA);
	assert_int_equal(peek(&ram, GPA_SETUP_DATA, 8), 0);     /* next */
	assert_int_equal(peek(&ram, GPA_SETUP_DATA + 8, 4), 9); /* SETUP_RNG_SEED */
	assert_int_equal(peek(&ram, GPA_SETUP_DATA + 12, 4), 32);
	assert_false(is_zero(&ram, GPA_SETUP_DATA + 16, 16));
	assert_false(is_zero(&ram, GPA_SETUP_DATA + 32, 16));
	first = peek(&ram, GPA_SETUP_DATA + 16, 8);
	assert_int_equal(load(), 0);
	assert_true(peek(&ram, GPA_SETUP_DATA + 16, 8) != first);
	assert_true(GPA_SETUP_DATA + 48 <= GPA_CMDLINE);
}

static void without_seed_there_is_no_setup_data(void **state)
{
	put(0x250, 8, 0x1234); /* nor what the file claims */
	assert_int_equal(load(), 0);
	assert_int_equal(zp(0x250, 8), 0);
	assert_true(is_zero(&ram, GPA_SETUP_DATA, 48));
}

static void a_host_without_randomness_is_said(void **state)
{
	conf.rng_seed = true;
	getrandom_err = ENOSYS;
	assert_fails(load(), EIO, "getrandom failed: Function not implemented");
}

static void the_command_line_limit_is_the_kernels(void **state)
{
	put(0x238, 4, 13);
	assert_int_equal(load(), 0);
	put(0x238, 4, 12);
	assert_fails(load(), E2BIG, "has 13 bytes");
}

static void a_kernel_without_a_preferred_address_loads_at_1_mib_aligned(void **state)
{
	put(0x258, 8, 0);
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rip, 0x200200);
	put(0x234, 1, 0); /* not relocatable: exactly there */
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rip, 0x100200);
}

static void a_relocatable_kernel_is_aligned_as_it_wants(void **state)
{
	put(0x258, 8, 0x1100000);
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rip, 0x1200200);
}

static void too_little_ram_to_unpack_is_said(void **state)
{
	put(0x260, 4, 48 * MIB);
	assert_int_equal(load(), 0);
	put(0x260, 4, 48 * MIB + 1);
	assert_fails(load(), E2BIG, "give the guest more memory");
	put(0x258, 8, 64 * MIB);
	assert_fails(load(), E2BIG, "guest RAM ends at 0x4000000");
}

static void addresses_that_wrap_are_refused(void **state)
{
	static const uint64_t bad[] = {
		UINT64_MAX, UINT64_MAX - INIT_SIZE, 1ull << 63, 0x100000000, 0xffffffff, 3 * GIB};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		for (unsigned reloc = 0; reloc < 2; reloc++) {
			put(0x258, 8, bad[i]);
			put(0x234, 1, reloc);
			assert_fails(load(), E2BIG, "guest RAM ends");
		}
}

/* A change to the header, and what is said about it. */
static void damaged_headers_are_refused(void **state)
{
	static const struct {
		unsigned at, size;
		uint64_t val;
		const char *says;
	} bad[] = {
		{0x1fe, 2, 0x55aa,               "without boot flag"       },
		{0x206, 2, 0x20b,                "protocol 2.11 is too old"},
		{0x206, 2, 0,                    "protocol 0.0 is too old" },
		{0x201, 1, 0x65,                 "header is too short"     },
		{0x201, 1, 0,                    "header is too short"     },
		{0x236, 2, 0x3e,                 "no 64-bit entry"         },
		{0x211, 1, 0,                    "no 64-bit entry"         },
		{0x230, 4, 0,                    "no power of two"         },
		{0x230, 4, 0x300000,             "no power of two"         },
		{0x1f4, 4, 0,                    "contradict"              },
		{0x1f4, 4, 0x20,                 "contradict"              }, /* 200h bytes: the entry is not among them */
		{0x1f4, 4, 0xffffffff,           "contradict"              },
		{0x260, 4, 0,                    "contradict"              },
		{0x260, 4, KERNEL_SIZE - 1,      "contradict"              },
		{0x1f4, 4, KERNEL_SIZE / 16 + 1, "truncated"               },
		{0x1f1, 1, 64,                   "truncated"               },
		{0x1f1, 1, 255,                  "truncated"               },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		teardown(NULL);
		setup(NULL);
		put(bad[i].at, bad[i].size, bad[i].val);
		assert_fails(load(), ENOEXEC, bad[i].says);
	}
}

static void a_file_cut_anywhere_is_refused(void **state)
{
	for (size_t len = 0x206; len < KERNEL_OFF + KERNEL_SIZE; len += len < 0x420 ? 1 : 511) {
		k.len = len;
		assert_fails(load(), ENOEXEC, "truncated");
	}
}

static void any_header_byte_may_lie(void **state)
{
	static const uint8_t val[] = {0, 1, 0x7f, 0x80, 0xff};
	uint8_t good[0x270];

	conf.initrd = initrd.path;
	memcpy(good, k.b, sizeof(good));
	for (unsigned at = 0x1f1; at < sizeof(good); at++)
		for (unsigned i = 0; i < ARRAY_SIZE(val); i++) {
			memcpy(k.b, good, sizeof(good));
			k.b[at] = val[i];
			said_lines = 0;
			if (load() == 0)
				assert_non_null(ram_at(&ram, entry.rip, 1));
			else
				assert_int_equal(said_lines, 1);
		}
}

/* vmlinux */

static struct elf elf;

static int load_elf(void)
{
	int err;

	open_kernel();
	err = elf_parse(&l.kernel, &elf);
	if (!err)
		err = linux_load_elf(&l, &elf, &entry);
	close_kernel();
	return err;
}

static void a_vmlinux_is_entered_at_its_entry_point(void **state)
{
	blob_elf(&k, true, 0x1000010);
	blob_load(&k, 0x1000, 0x1000000, 0x100, 0x2000, 0x90);
	assert_int_equal(load_elf(), 0);
	assert_int_equal(entry.mode, BOOT_MODE_LONG64);
	assert_int_equal(entry.rip, 0x1000010);
	assert_int_equal(entry.rsi, GPA_ZERO_PAGE);
	assert_int_equal(peek(&ram, 0x1000000, 1), 0x90);
	assert_int_equal(peek(&ram, GPA_GDT + 0x10, 8), 0x00af9b000000ffff);
}

static void a_vmlinux_gets_a_zero_page_with_a_header(void **state)
{
	conf.initrd = initrd.path;
	blob_elf(&k, true, 0x1000000);
	blob_load(&k, 0x1000, 0x1000000, 0x100, 0x2000, 0x90);
	assert_int_equal(load_elf(), 0);
	assert_int_equal(zp(0x1fe, 2), 0xaa55);
	assert_int_equal(zp(0x202, 4), 0x53726448);
	assert_int_equal(zp(0x206, 2), 0x20f);
	assert_int_equal(zp(0x210, 1), 0xff);
	assert_int_equal(zp(0x218, 4), 64 * MIB - 4096);
	assert_int_equal(zp(0x21c, 4), 4);
	assert_int_equal(zp(0x228, 4), GPA_CMDLINE);
	assert_int_equal(zp(0x70, 8), 0xe0000);
	assert_int_equal(zp(0x1e8, 1), 6);
	assert_string_equal(peek_str(&ram, GPA_CMDLINE), "console=ttyS0");
}

static void a_vmlinux_takes_no_line_that_it_would_cut(void **state)
{
	static char line[2049];

	memset(line, 'a', 2048);
	conf.cmdline = line;
	blob_elf(&k, true, 0x1000000);
	blob_load(&k, 0x1000, 0x1000000, 0x100, 0x2000, 0x90);
	assert_fails(load_elf(), E2BIG, "has 2048 bytes");
	line[2047] = 0;
	assert_int_equal(load_elf(), 0);
}

static void a_vmlinux_over_the_boot_data_is_refused(void **state)
{
	static const uint64_t bad[] = {0x7000, 0x6fff, 0x8ff0, 0x9000,
				       0xefff, 0xf000, 0xf100, 0xf10d};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		blob_elf(&k, true, bad[i]);
		blob_load(&k, 0x1000, bad[i], 2, 2, 0x90);
		assert_fails(load_elf(), ENOEXEC, "overlaps 0x7000 to 0xf10e");
	}
	blob_elf(&k, true, 0xf10e);
	blob_load(&k, 0x1000, 0xf10e, 2, 2, 0x90);
	assert_int_equal(load_elf(), 0);
}

static void a_vmlinux_with_a_bad_entry_is_refused(void **state)
{
	blob_elf(&k, true, 0x1000100);
	blob_load(&k, 0x1000, 0x1000000, 0x100, 0x2000, 0x90);
	assert_fails(load_elf(), ENOEXEC, "entry point 0x1000100 is outside");
}

static void ram_without_room_for_the_tables_is_refused(void **state)
{
	ram.low = 0x9000;
	conf.cmdline = "";
	blob_elf(&k, true, 0x1000);
	blob_load(&k, 0x1000, 0x1000, 0x100, 0x100, 0x90);
	assert_fails(load_elf(), E2BIG, "too small");
	ram.low = 64 * MIB;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_bzimage_is_known_by_its_header),
		T(the_kernel_is_loaded_at_its_preferred_address),
		T(it_is_entered_200h_behind_its_start_in_long_mode),
		T(a_signature_behind_the_kernel_is_not_loaded),
		T(no_setup_sectors_mean_four),
		T(the_header_is_copied_by_its_own_length),
		T(a_header_never_reaches_the_next_field),
		T(the_sentinel_stays_zero),
		T(the_loader_says_what_it_is),
		T(the_zero_page_points_to_the_command_line),
		T(the_zero_page_points_to_the_rsdp),
		T(the_zero_page_holds_the_memory_map),
		T(no_initrd_is_none),
		T(the_initrd_lies_at_the_top_of_ram),
		T(the_initrd_ends_at_or_below_initrd_addr_max),
		T(the_initrd_stays_out_of_where_the_kernel_unpacks),
		T(an_initrd_too_large_for_what_is_left_is_refused),
		T(with_seed_there_is_setup_data_of_32_bytes),
		T(without_seed_there_is_no_setup_data),
		T(a_host_without_randomness_is_said),
		T(the_command_line_limit_is_the_kernels),
		T(a_kernel_without_a_preferred_address_loads_at_1_mib_aligned),
		T(a_relocatable_kernel_is_aligned_as_it_wants),
		T(too_little_ram_to_unpack_is_said),
		T(addresses_that_wrap_are_refused),
		T(damaged_headers_are_refused),
		T(a_file_cut_anywhere_is_refused),
		T(any_header_byte_may_lie),
		T(a_vmlinux_is_entered_at_its_entry_point),
		T(a_vmlinux_gets_a_zero_page_with_a_header),
		T(a_vmlinux_takes_no_line_that_it_would_cut),
		T(a_vmlinux_over_the_boot_data_is_refused),
		T(a_vmlinux_with_a_bad_entry_is_refused),
		T(ram_without_room_for_the_tables_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
