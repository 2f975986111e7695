/* pvh_test.c - the PVH start info; offsets as in Xen's public/arch-x86/hvm/start_info.h. */
#include "fixture.h"

#include "../../../src/boot/pvh.h"

static struct ram ram;
static struct boot_conf conf;
static struct load l;
static struct elf elf;
static struct boot_entry entry;
static struct blob k;
static struct file kernel, initrd;
static uint8_t head[8192];

static int setup(void **state)
{
	ram = ram_new(16 * MIB);
	conf = (struct boot_conf){.kernel = "K", .cmdline = "console=ttyS0 quiet"};
	initrd = file_new("cpio", 4);
	blob_elf(&k, true, 0);
	blob_load(&k, 0x1000, 0x200000, 0x100, 0x100, 0x90);
	blob_note(&k, 0x1100, 18, 0x200010, 8);
	return 0;
}

static int teardown(void **state)
{
	file_free(&initrd);
	ram_free(&ram);
	return 0;
}

static int load(void)
{
	int err;

	kernel = file_new(k.b, k.len);
	l = (struct load){.conf = &conf, .ram = &ram, .rsdp = 0xe0000};
	assert_int_equal(image_open(&l.kernel, "kernel", kernel.path), 0);
	assert_int_equal(image_head(&l.kernel, head, sizeof(head)), 0);
	err = elf_parse(&l.kernel, &elf);
	if (!err)
		err = pvh_load(&l, &elf, &entry);
	image_close(&l.kernel);
	file_free(&kernel);
	return err;
}

static uint64_t info(unsigned off, unsigned size)
{
	return peek(&ram, entry.rbx + off, size);
}

static void it_is_entered_at_the_notes_address_in_32_bit_mode(void **state)
{
	assert_int_equal(load(), 0);
	assert_int_equal(entry.mode, BOOT_MODE_PROT32);
	assert_int_equal(entry.rip, 0x200010);
	assert_int_equal(entry.rax, 0);
	assert_int_equal(peek(&ram, 0x2000ff, 1), 0x90);
}

static void ebx_points_to_a_start_info_of_version_1(void **state)
{
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rbx, GPA_BOOT_INFO);
	assert_int_equal(info(0, 4), 0x336ec578);
	assert_int_equal(info(4, 4), 1);
	assert_int_equal(info(8, 4), 0);
	assert_int_equal(info(52, 4), 0);
}

static void it_tells_the_rsdp(void **state)
{
	assert_int_equal(load(), 0);
	assert_int_equal(info(32, 8), 0xe0000);
}

static void it_tells_the_command_line(void **state)
{
	assert_int_equal(load(), 0);
	assert_string_equal(peek_str(&ram, info(24, 8)), "console=ttyS0 quiet");
}

static void an_empty_command_line_is_there_too(void **state)
{
	conf.cmdline = "";
	assert_int_equal(load(), 0);
	assert_string_equal(peek_str(&ram, info(24, 8)), "");
	assert_true(info(24, 8) != 0);
}

static void it_tells_the_memory_map(void **state)
{
	uint64_t map;

	assert_int_equal(load(), 0);
	map = info(40, 8);
	assert_int_equal(info(48, 4), 6);
	assert_int_equal(peek(&ram, map, 8), 0);
	assert_int_equal(peek(&ram, map + 8, 8), 0x9fc00);
	assert_int_equal(peek(&ram, map + 16, 4), 1);
	assert_int_equal(peek(&ram, map + 20, 4), 0);
	assert_int_equal(peek(&ram, map + 24, 8), 0x9fc00);
	assert_int_equal(peek(&ram, map + 24 + 16, 4), 2);
	assert_int_equal(peek(&ram, map + 3 * 24 + 8, 8), 15 * MIB);
}

static void without_initrd_there_is_no_module(void **state)
{
	assert_int_equal(load(), 0);
	assert_int_equal(info(12, 4), 0);
	assert_int_equal(info(16, 8), 0);
}

static void the_initrd_is_the_first_module(void **state)
{
	uint64_t mod;

	conf.initrd = initrd.path;
	assert_int_equal(load(), 0);
	assert_int_equal(info(12, 4), 1);
	mod = info(16, 8);
	assert_int_equal(peek(&ram, mod, 8), 0xfff000);
	assert_int_equal(peek(&ram, mod + 8, 8), 4);
	assert_int_equal(peek(&ram, mod + 16, 8), 0);
	assert_memory_equal(ram_at(&ram, 0xfff000, 4), "cpio", 4);
}

static void all_of_it_is_in_one_page_by_default(void **state)
{
	conf.initrd = initrd.path;
	assert_int_equal(load(), 0);
	assert_true(is_zero(&ram, 0, 0x6000));
	assert_true(is_zero(&ram, 0x7000, 0x100000 - 0x7000));
}

static void it_goes_where_the_image_leaves_room(void **state)
{
	blob_load(&k, 0x2000, 0x5000, 0x100, 0x3001, 0x90);
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rbx, 0x8010);
	assert_int_equal(info(0, 4), 0x336ec578);
}

static void a_32_bit_elf_can_be_entered_so(void **state)
{
	blob_elf(&k, false, 0);
	blob_load(&k, 0x1000, 0x200000, 0x100, 0x100, 0x90);
	blob_note(&k, 0x1100, 18, 0x200010, 4);
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rip, 0x200010);
}

static void a_note_that_points_elsewhere_is_refused(void **state)
{
	static const uint64_t bad[] = {0, 0x1fffff, 0x200100, 0x100200000, UINT64_MAX};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		memcpy(k.b + 0x1110, &bad[i], 8);
		assert_fails(load(), ENOEXEC, "is outside of what was loaded");
	}
}

static void a_command_line_over_64_kib_is_refused(void **state)
{
	static char line[0x10001];

	memset(line, 'a', 0x10000);
	conf.cmdline = line;
	assert_fails(load(), E2BIG, "takes 65535");
	line[0xffff] = 0;
	assert_int_equal(load(), 0);
	assert_int_equal(strlen(peek_str(&ram, info(24, 8))), 0xffff);
}

static void failures_of_the_parts_are_passed_on(void **state)
{
	conf.initrd = "/nowhere/i";
	assert_fails(load(), ENOENT, "initrd");
	conf.initrd = NULL;
	blob_load(&k, 0x1000, 0x2000ff, 1, 1, 0);
	assert_fails(load(), ENOEXEC, "overlaps");
	setup(NULL);
	blob_load(&k, 0x3000, 0x0, 1, 0x200000, 0);
	blob_load(&k, 0x3000, 0x200100, 1, 14 * MIB - 0x100, 0);
	assert_fails(load(), E2BIG, "no room for boot information");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_is_entered_at_the_notes_address_in_32_bit_mode),
		T(ebx_points_to_a_start_info_of_version_1),
		T(it_tells_the_rsdp),
		T(it_tells_the_command_line),
		T(an_empty_command_line_is_there_too),
		T(it_tells_the_memory_map),
		T(without_initrd_there_is_no_module),
		T(the_initrd_is_the_first_module),
		T(all_of_it_is_in_one_page_by_default),
		T(it_goes_where_the_image_leaves_room),
		T(a_32_bit_elf_can_be_entered_so),
		T(a_note_that_points_elsewhere_is_refused),
		T(a_command_line_over_64_kib_is_refused),
		T(failures_of_the_parts_are_passed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
