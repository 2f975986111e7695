/*
 * multiboot_test.c - Multiboot 0.6.96; offsets as in [Multiboot 3.1.1, 3.3]. What is tested of the
 * information is what kvm-unit-tests read.
 */
#include "fixture.h"

#include "../../../src/boot/multiboot.h"

#define MAGIC 0x1badb002u

static struct ram ram;
static struct boot_conf conf;
static struct load l;
static struct boot_entry entry;
static struct blob k;
static struct file kernel, initrd;
static uint8_t head[8192];

static void header_at(size_t at, uint32_t flags)
{
	blob_put32(&k, at, MAGIC);
	blob_put32(&k, at + 4, flags);
	blob_put32(&k, at + 8, 0 - MAGIC - flags);
}

/* As kvm-unit-tests are: ELF32 at 4 MiB with .bss. */
static void flat_elf(uint32_t paddr)
{
	blob_elf(&k, false, paddr + 0xc);
	blob_load(&k, 0x1000, paddr, 0x2000, 0x10000, 0x90);
	header_at(0x1000, 0);
}

/* An image without ELF: header at 10h of the file, loaded at 2 MiB. */
static void plain(uint32_t load_addr, uint32_t load_end, uint32_t bss_end, uint32_t entry_addr)
{
	memset(&k, 0, sizeof(k));
	memset(k.b, 0x77, 0x3000);
	k.len = 0x3000;
	header_at(0x10, BIT(16));
	blob_put32(&k, 0x1c, 0x200010);
	blob_put32(&k, 0x20, load_addr);
	blob_put32(&k, 0x24, load_end);
	blob_put32(&k, 0x28, bss_end);
	blob_put32(&k, 0x2c, entry_addr);
}

static int setup(void **state)
{
	ram = ram_new(64 * MIB);
	conf = (struct boot_conf){.kernel = "K", .cmdline = "-a 5"};
	initrd = file_new("NR_CPUS=2\n", 10);
	flat_elf(0x400000);
	return 0;
}

static int teardown(void **state)
{
	file_free(&initrd);
	ram_free(&ram);
	return 0;
}

static bool matches;

static int load(void)
{
	int err;

	kernel = file_new(k.b, k.len);
	l = (struct load){.conf = &conf, .ram = &ram, .rsdp = 0xe0000};
	load_reserve(&l, GPA_EBDA, GPA_HIMEM - GPA_EBDA);
	assert_int_equal(image_open(&l.kernel, "kernel", kernel.path), 0);
	assert_int_equal(image_head(&l.kernel, head, sizeof(head)), 0);
	matches = multiboot_match(&l.kernel);
	err = multiboot_load(&l, &entry);
	image_close(&l.kernel);
	file_free(&kernel);
	return err;
}

static uint32_t mbi(unsigned off)
{
	return (uint32_t)peek(&ram, entry.rbx + off, 4);
}

static void it_is_entered_in_32_bit_mode_with_the_magic_number(void **state)
{
	assert_int_equal(load(), 0);
	assert_true(matches);
	assert_int_equal(entry.mode, BOOT_MODE_PROT32);
	assert_int_equal(entry.rax, 0x2badb002);
	assert_int_equal(entry.rip, 0x40000c);
	assert_int_equal(peek(&ram, 0x401fff, 1), 0x90);
}

static void the_flags_tell_what_is_there(void **state)
{
	assert_int_equal(load(), 0);
	assert_int_equal(mbi(0), 0x24f);
}

static void memory_sizes_are_in_kib(void **state)
{
	assert_int_equal(load(), 0);
	assert_int_equal(mbi(4), 639);
	assert_int_equal(mbi(8), 63 * 1024);
}

static void upper_memory_ends_at_the_first_hole(void **state)
{
	ram_free(&ram);
	ram = ram_new(5 * GIB);
	assert_int_equal(load(), 0);
	assert_int_equal(mbi(8), 3 * 1024 * 1024 - 1024);
	assert_int_equal(mbi(44), 7 * 24);
}

static void the_command_line_starts_with_the_file(void **state)
{
	char expected[64];

	assert_int_equal(load(), 0);
	snprintf(expected, sizeof(expected), "%s -a 5", kernel.path);
	assert_string_equal(peek_str(&ram, mbi(16)), expected);
}

static void without_arguments_there_is_still_the_file(void **state)
{
	char expected[64];

	conf.cmdline = "";
	assert_int_equal(load(), 0);
	snprintf(expected, sizeof(expected), "%s ", kernel.path);
	assert_string_equal(peek_str(&ram, mbi(16)), expected);
}

static void without_initrd_there_is_no_module(void **state)
{
	assert_int_equal(load(), 0);
	assert_int_equal(mbi(20), 0);
}

static void the_initrd_is_the_one_module_page_aligned_from_1_mib_on(void **state)
{
	conf.initrd = initrd.path;
	assert_int_equal(load(), 0);
	assert_int_equal(mbi(20), 1);
	assert_int_equal(peek(&ram, mbi(24), 4), 0x100000);
	assert_int_equal(peek(&ram, mbi(24) + 4, 4), 0x10000a);
	assert_string_equal(peek_str(&ram, peek(&ram, mbi(24) + 8, 4)), initrd.path);
	assert_int_equal(peek(&ram, mbi(24) + 12, 4), 0);
	assert_memory_equal(ram_at(&ram, 0x100000, 10), "NR_CPUS=2\n", 10);
}

static void the_module_lies_behind_an_image_at_1_mib(void **state)
{
	conf.initrd = initrd.path;
	flat_elf(0x100000);
	assert_int_equal(load(), 0);
	assert_int_equal(peek(&ram, mbi(24), 4), 0x110000);
}

static void the_memory_map_has_entries_of_24_bytes(void **state)
{
	uint32_t map;

	assert_int_equal(load(), 0);
	assert_int_equal(mbi(44), 6 * 24);
	map = mbi(48);
	assert_int_equal(peek(&ram, map, 4), 20);
	assert_int_equal(peek(&ram, map + 4, 8), 0);
	assert_int_equal(peek(&ram, map + 12, 8), 0x9fc00);
	assert_int_equal(peek(&ram, map + 20, 4), 1);
	assert_int_equal(peek(&ram, map + 3 * 24, 4), 20);
	assert_int_equal(peek(&ram, map + 3 * 24 + 4, 8), 0x100000);
	assert_int_equal(peek(&ram, map + 3 * 24 + 12, 8), 63 * MIB);
}

static void the_loader_has_a_name(void **state)
{
	assert_int_equal(load(), 0);
	assert_string_equal(peek_str(&ram, mbi(64)), "minnow");
}

static void all_information_is_below_4_mib_and_not_in_page_0(void **state)
{
	conf.initrd = initrd.path;
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rbx, GPA_BOOT_INFO);
	assert_true(is_zero(&ram, 0, 0x6000));
	assert_true(is_zero(&ram, 0x7000, 0x100000 - 0x7000));
}

static void the_information_avoids_an_image_that_loads_low(void **state)
{
	flat_elf(0x8000);
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rip, 0x800c);
	assert_int_equal(entry.rbx, 0x6000);
	flat_elf(0x6000);
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rbx, 0x16000);
	blob_elf(&k, false, 0x2000);
	blob_load(&k, 0x1000, 0x2000, 0x2000, 0x9fc00 - 0x2000, 0x90); /* all of low memory */
	header_at(0x1000, 0);
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rbx, 0x100000);
	assert_int_equal(mbi(0), 0x24f);
}

static void a_long_command_line_moves_the_information_too(void **state)
{
	static char line[0x9000];

	memset(line, 'a', sizeof(line) - 1);
	conf.cmdline = line;
	flat_elf(0x8000);
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rbx, 0x18000);
	assert_int_equal(strlen(peek_str(&ram, mbi(16))), strlen(kernel.path) + 1 + 0x8fff);
}

static void an_image_over_the_firmware_tables_is_refused(void **state)
{
	flat_elf(0x90000);
	assert_fails(load(), ENOEXEC, "overlaps 0x9fc00 to 0x100000");
}

static void an_elf64_may_have_a_32_bit_entry(void **state)
{
	blob_elf(&k, true, 0x200010);
	blob_load(&k, 0x1000, 0x200000, 0x100, 0x100, 0x90);
	header_at(0x1000, 3);
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rip, 0x200010);
	assert_int_equal(entry.mode, BOOT_MODE_PROT32);
}

static void the_header_is_found_in_the_first_8_kib_only(void **state)
{
	blob_elf(&k, false, 0x400000);
	blob_load(&k, 0x1000, 0x400000, 0x4000, 0x4000, 0x90);
	header_at(0x1ff4, 0);
	assert_int_equal(load(), 0);
	blob_put32(&k, 0x1ff4, 0);
	header_at(0x1ff8, 0);
	load();
	assert_false(matches);
}

static void a_header_out_of_alignment_is_none(void **state)
{
	blob_elf(&k, false, 0x400000);
	blob_load(&k, 0x1000, 0x400000, 0x4000, 0x4000, 0x90);
	header_at(0x1002, 0);
	load();
	assert_false(matches);
}

static void a_bad_checksum_is_refused(void **state)
{
	blob_put32(&k, 0x1008, 5);
	assert_fails(load(), ENOEXEC, "wrong checksum");
	assert_true(matches);
}

static void the_magic_number_alone_is_passed_over(void **state)
{
	blob_put32(&k, 0x1008, 5);
	header_at(0x1100, 0);
	assert_int_equal(load(), 0);
}

static void demands_that_are_not_met_are_refused(void **state)
{
	static const uint32_t bad[] = {4, 7, 8, 0x8000, 0xffff};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		header_at(0x1000, bad[i]);
		assert_fails(load(), ENOEXEC, "demands features");
	}
	header_at(0x1000, 0xfffe0003); /* wishes may be passed over */
	assert_int_equal(load(), 0);
}

static void an_image_that_is_no_elf_must_give_addresses(void **state)
{
	k.b[0] = 0;
	assert_fails(load(), ENOEXEC, "must be an ELF file or give its addresses");
}

static void addresses_in_the_header_place_the_image(void **state)
{
	plain(0x200000, 0x202000, 0x204000, 0x200100);
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rip, 0x200100);
	assert_memory_equal(ram_at(&ram, 0x200000, 0x2000), k.b, 0x2000);
	assert_true(is_zero(&ram, 0x202000, 0x4000));
	assert_int_equal(l.taken[1].end, 0x204000);
}

static void the_image_may_start_inside_the_file(void **state)
{
	plain(0x200008, 0x200100, 0, 0x200008);
	assert_int_equal(load(), 0);
	assert_memory_equal(ram_at(&ram, 0x200008, 0xf8), k.b + 8, 0xf8);
	assert_int_equal(l.taken[1].end, 0x200100);
}

static void without_end_the_whole_file_is_loaded(void **state)
{
	plain(0x200000, 0, 0, 0x202fff);
	assert_int_equal(load(), 0);
	assert_memory_equal(ram_at(&ram, 0x200000, 0x3000), k.b, 0x3000);
}

static void addresses_that_contradict_are_refused(void **state)
{
	static const struct {
		uint32_t load, load_end, bss_end, entry;
		int err;
		const char *says;
	} bad[] = {
		{0x200011, 0,          0,          0x200100, ENOEXEC, "load address"  }, /* behind the header */
		{0x1ffff0, 0,          0,          0x200100, ENOEXEC, "load address"  }, /* before the file */
		{0,        0,          0,          0x200100, ENOEXEC, "load address"  },
		{0x200000, 0x200000,   0,          0x200100, ENOEXEC, "end addresses" }, /* empty */
		{0x200000, 0x1fffff,   0,          0x200100, ENOEXEC, "end addresses" },
		{0x200000, 0x201000,   0x200fff,   0x200100, ENOEXEC, "end addresses" },
		{0x200000, 0x201000,   1,          0x200100, ENOEXEC, "end addresses" },
		{0x200000, 0x201000,   0,          0x201000, ENOEXEC, "entry point"   },
		{0x200000, 0x201000,   0x202000,   0x201000, ENOEXEC, "entry point"   }, /* in .bss */
		{0x200000, 0x201000,   0,          0x1fffff, ENOEXEC, "entry point"   },
		{0x200000, 0x203001,   0,          0x200100, ENOEXEC, "truncated"     },
		{0x200000, 0x201000,   0x4000001,  0x200100, E2BIG,   "guest RAM ends"},
		{0x200000, 0x201000,   0xffffffff, 0x200100, E2BIG,   "guest RAM ends"},
		{0x200000, 0xffffffff, 0,          0x200100, E2BIG,   "guest RAM ends"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		plain(bad[i].load, bad[i].load_end, bad[i].bss_end, bad[i].entry);
		assert_fails(load(), bad[i].err, bad[i].says);
	}
}

static void a_header_cut_before_its_addresses_is_refused(void **state)
{
	plain(0x200000, 0x202000, 0x204000, 0x200100);
	for (k.len = 0x1c; k.len < 0x30; k.len++)
		assert_fails(load(), ENOEXEC, "truncated");
}

static void a_command_line_over_64_kib_is_refused(void **state)
{
	static char line[0x10000];

	memset(line, 'a', sizeof(line) - 1);
	conf.cmdline = line;
	assert_fails(load(), E2BIG, "takes 65535");
}

static void failures_of_the_parts_are_passed_on(void **state)
{
	conf.initrd = "/nowhere/i";
	assert_fails(load(), ENOENT, "initrd");
	conf.initrd = NULL;
	k.len = 0x2000;
	assert_fails(load(), ENOEXEC, "truncated");
	blob_elf(&k, false, 0x600000);
	blob_load(&k, 0x1000, 0x400000, 0x2000, 0x10000, 0x90);
	header_at(0x1000, 0);
	assert_fails(load(), ENOEXEC, "entry point 0x600000");
	blob_elf(&k, false, 0x400000);
	blob_load(&k, 0x1000, 0x400000, 0x2000, 60 * MIB, 0x90);
	header_at(0x1000, 0);
	blob_load(&k, 0x3000, 0, 1, 0x9fc00, 0x90);
	blob_load(&k, 0x3000, 0x100000, 1, 3 * MIB, 0x90);
	assert_fails(load(), E2BIG, "no room");
}

static void any_header_byte_may_lie(void **state)
{
	static const uint8_t val[] = {0, 1, 0x20, 0x7f, 0x80, 0xff};

	for (unsigned at = 0x18; at < 0x30; at++)
		for (unsigned i = 0; i < ARRAY_SIZE(val); i++) {
			plain(0x200000, 0x202000, 0x204000, 0x200100);
			k.b[at] = val[i];
			said_lines = 0;
			if (load())
				assert_int_equal(said_lines, 1);
			else
				assert_non_null(ram_at(&ram, entry.rip, 1));
		}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_is_entered_in_32_bit_mode_with_the_magic_number),
		T(the_flags_tell_what_is_there),
		T(memory_sizes_are_in_kib),
		T(upper_memory_ends_at_the_first_hole),
		T(the_command_line_starts_with_the_file),
		T(without_arguments_there_is_still_the_file),
		T(without_initrd_there_is_no_module),
		T(the_initrd_is_the_one_module_page_aligned_from_1_mib_on),
		T(the_module_lies_behind_an_image_at_1_mib),
		T(the_memory_map_has_entries_of_24_bytes),
		T(the_loader_has_a_name),
		T(all_information_is_below_4_mib_and_not_in_page_0),
		T(the_information_avoids_an_image_that_loads_low),
		T(a_long_command_line_moves_the_information_too),
		T(an_image_over_the_firmware_tables_is_refused),
		T(an_elf64_may_have_a_32_bit_entry),
		T(the_header_is_found_in_the_first_8_kib_only),
		T(a_header_out_of_alignment_is_none),
		T(a_bad_checksum_is_refused),
		T(the_magic_number_alone_is_passed_over),
		T(demands_that_are_not_met_are_refused),
		T(an_image_that_is_no_elf_must_give_addresses),
		T(addresses_in_the_header_place_the_image),
		T(the_image_may_start_inside_the_file),
		T(without_end_the_whole_file_is_loaded),
		T(addresses_that_contradict_are_refused),
		T(a_header_cut_before_its_addresses_is_refused),
		T(a_command_line_over_64_kib_is_refused),
		T(failures_of_the_parts_are_passed_on),
		T(any_header_byte_may_lie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
