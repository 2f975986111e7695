/* boot_test.c - which protocol a file gets, and what surrounds it. */
#include "fixture.h"

#include <sys/syscall.h>

#include "../../../src/boot/acpi.h"
#include "../../../src/boot/mptable.h"

static unsigned acpi_cpus, mptable_cpus, preads;
static int acpi_err, mptable_err;

int acpi_build(const struct ram *r, unsigned cpus)
{
	acpi_cpus = cpus;
	return acpi_err;
}

uint64_t acpi_rsdp(void)
{
	return 0xe0010;
}

int mptable_build(const struct ram *r, unsigned cpus)
{
	mptable_cpus = cpus;
	return mptable_err;
}

ssize_t pread(int fd, void *buf, size_t len, off_t off)
{
	preads++;
	return syscall(SYS_pread64, fd, buf, len, off);
}

static struct ram ram;
static struct boot_conf conf;
static struct boot_entry entry;
static struct blob k;

static int setup(void **state)
{
	ram = ram_new(64 * MIB);
	conf = (struct boot_conf){.cmdline = "quiet", .cpus = 3};
	entry = (struct boot_entry){0};
	acpi_cpus = mptable_cpus = preads = 0;
	acpi_err = mptable_err = 0;
	return 0;
}

static int teardown(void **state)
{
	ram_free(&ram);
	return 0;
}

static int open_files(void)
{
	int n = 0;

	for (int fd = 0; fd < 64; fd++)
		n += syscall(SYS_fcntl, fd, 1 /* F_GETFD */) >= 0;
	return n;
}

/* Boots k; what it opened it has closed. */
static int load(void)
{
	struct file f = file_new(k.b, k.len);
	int files = open_files(), err;

	conf.kernel = f.path;
	err = boot_load(&conf, &ram, &entry);
	assert_int_equal(open_files(), files);
	file_free(&f);
	return err;
}

static void elf64(bool note)
{
	blob_elf(&k, true, 0x1000000);
	blob_load(&k, 0x1000, 0x1000000, 0x800, 0x800, 0x90);
	if (note)
		blob_note(&k, 0x1800, 18, 0x1000020, 8);
}

static void bzimage(void)
{
	uint64_t pref = 0x1000000;

	memset(&k, 0, sizeof(k));
	k.len = 0x400 + 0x2000;
	k.b[0x1f1] = 1;
	blob_put32(&k, 0x1f4, 0x200);
	blob_put(&k, 0x1fe, "\x55\xaa\xeb\x6aHdrS\x0f\x02", 10);
	k.b[0x211] = 1;
	blob_put32(&k, 0x22c, 0x7fffffff);
	blob_put32(&k, 0x230, 0x200000);
	k.b[0x234] = 1;
	k.b[0x236] = 1;
	blob_put32(&k, 0x238, 2047);
	blob_put(&k, 0x258, &pref, 8);
	blob_put32(&k, 0x260, 0x100000);
}

static void multiboot(bool is_elf)
{
	blob_elf(&k, true, 0x1000000);
	blob_load(&k, 0x1000, 0x1000000, 0x800, 0x800, 0x90);
	blob_note(&k, 0x1800, 18, 0x1000020, 8);
	blob_put32(&k, 0x1000, 0x1badb002);
	blob_put32(&k, 0x1004, 0);
	blob_put32(&k, 0x1008, 0 - 0x1badb002);
	if (!is_elf)
		k.b[0] = 0;
}

static void a_bzimage_is_entered_in_64_bit_mode(void **state)
{
	bzimage();
	assert_int_equal(load(), 0);
	assert_int_equal(entry.mode, BOOT_MODE_LONG64);
	assert_int_equal(entry.rip, 0x1000200);
	assert_int_equal(peek(&ram, GPA_ZERO_PAGE + 0x70, 8), 0xe0010);
	conf.entry = BOOT_LINUX64;
	assert_int_equal(load(), 0);
	assert_int_equal(entry.mode, BOOT_MODE_LONG64);
}

static void a_bzimage_has_no_pvh(void **state)
{
	bzimage();
	conf.entry = BOOT_PVH;
	assert_fails(load(), EINVAL, "a bzImage has no PVH entry");
}

static void an_elf_with_note_is_entered_by_it(void **state)
{
	elf64(true);
	assert_int_equal(load(), 0);
	assert_int_equal(entry.mode, BOOT_MODE_PROT32);
	assert_int_equal(entry.rip, 0x1000020);
	assert_int_equal(peek(&ram, entry.rbx + 32, 8), 0xe0010);
	conf.entry = BOOT_PVH;
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rip, 0x1000020);
}

static void an_elf_with_note_can_be_made_to_start_in_64_bit_mode(void **state)
{
	elf64(true);
	conf.entry = BOOT_LINUX64;
	assert_int_equal(load(), 0);
	assert_int_equal(entry.mode, BOOT_MODE_LONG64);
	assert_int_equal(entry.rip, 0x1000000);
}

static void an_elf_without_note_starts_in_64_bit_mode(void **state)
{
	elf64(false);
	assert_int_equal(load(), 0);
	assert_int_equal(entry.mode, BOOT_MODE_LONG64);
	assert_int_equal(entry.rsi, GPA_ZERO_PAGE);
}

static void an_elf_without_note_cannot_be_made_pvh(void **state)
{
	elf64(false);
	conf.entry = BOOT_PVH;
	assert_fails(load(), EINVAL, "has no note with a PVH entry");
}

static void a_32_bit_elf_needs_a_note(void **state)
{
	blob_elf(&k, false, 0x1000000);
	blob_load(&k, 0x1000, 0x1000000, 0x800, 0x800, 0x90);
	assert_fails(load(), ENOEXEC, "32-bit ELF without PVH note");
	conf.entry = BOOT_LINUX64;
	assert_fails(load(), EINVAL, "32-bit ELF without PVH note");
	conf.entry = BOOT_AUTO;
	blob_note(&k, 0x1800, 18, 0x1000020, 4);
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rip, 0x1000020);
}

static void a_multiboot_header_comes_before_elf_and_note(void **state)
{
	multiboot(true);
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rax, 0x2badb002);
	assert_int_equal(entry.rip, 0x1000000);
}

static void a_multiboot_elf_has_its_other_entries_on_demand(void **state)
{
	multiboot(true);
	conf.entry = BOOT_PVH;
	assert_int_equal(load(), 0);
	assert_int_equal(entry.rip, 0x1000020);
	conf.entry = BOOT_LINUX64;
	assert_int_equal(load(), 0);
	assert_int_equal(entry.mode, BOOT_MODE_LONG64);
}

static void a_multiboot_image_has_no_others(void **state)
{
	multiboot(false);
	conf.entry = BOOT_PVH;
	assert_fails(load(), EINVAL, "a multiboot image has one entry only");
	conf.entry = BOOT_LINUX64;
	assert_fails(load(), EINVAL, "a multiboot image has one entry only");
}

static void other_files_are_refused(void **state)
{
	memset(&k, 0, sizeof(k));
	blob_put(&k, 0, "#!/bin/sh\n", 10);
	assert_fails(load(), ENOEXEC, "not a bzImage, ELF or multiboot image");
	k.len = 1;
	assert_fails(load(), ENOEXEC, "not a bzImage, ELF or multiboot image");
	k.len = BLOB_SIZE;
	assert_fails(load(), ENOEXEC, "not a bzImage, ELF or multiboot image");
}

static void a_damaged_elf_is_said_to_be_that(void **state)
{
	elf64(false);
	k.len = 40;
	assert_fails(load(), ENOEXEC, "truncated");
}

static void a_kernel_over_the_firmware_area_is_refused(void **state)
{
	static const uint64_t bad[] = {0x9fc00, 0xa0000, 0xe0000, 0xfffff};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		blob_elf(&k, true, bad[i]);
		blob_load(&k, 0x1000, bad[i], 1, 1, 0x90);
		assert_fails(load(), ENOEXEC, "overlaps 0x9fc00 to 0x100000");
	}
}

static void a_missing_kernel_is_said(void **state)
{
	conf.kernel = "/nowhere/_NO_FILE_4Uhere_";
	assert_fails(boot_load(&conf, &ram, &entry), ENOENT,
		     "could not open kernel '/nowhere/_NO_FILE_4Uhere_'");
}

static void a_kernel_that_cannot_be_read_is_said(void **state)
{
	conf.kernel = "/proc/self/mem"; /* a regular file of size 0 */
	assert_fails(boot_load(&conf, &ram, &entry), EINVAL, "is empty");
}

static void the_firmwares_tables_are_built_for_every_kernel(void **state)
{
	bzimage();
	assert_int_equal(load(), 0);
	assert_int_equal(acpi_cpus, 3);
	assert_int_equal(mptable_cpus, 3);
	multiboot(true);
	acpi_cpus = mptable_cpus = 0;
	assert_int_equal(load(), 0);
	assert_int_equal(acpi_cpus, 3);
	assert_int_equal(mptable_cpus, 3);
}

static void tables_that_do_not_fit_are_said(void **state)
{
	elf64(false);
	acpi_err = -ENOSPC;
	assert_fails(load(), ENOSPC, "ACPI tables for 3 CPUs");
	acpi_err = 0;
	mptable_err = -ENOSPC;
	assert_fails(load(), ENOSPC, "MP table for 3 CPUs");
}

static void a_small_image_is_read_once(void **state)
{
	elf64(false);
	assert_int_equal(load(), 0);
	assert_int_equal(preads, 1);
	preads = 0;
	multiboot(true);
	assert_int_equal(load(), 0);
	assert_int_equal(preads, 1);
}

static void a_large_image_is_read_twice(void **state)
{
	bzimage();
	blob_put32(&k, 0x1f4, 0x2000);
	k.len = 0x400 + 0x20000;
	assert_int_equal(load(), 0);
	assert_int_equal(preads, 2);
}

static void a_seed_costs_nothing_where_it_is_off(void **state)
{
	bzimage();
	conf.rng_seed = false;
	assert_int_equal(load(), 0);
	assert_true(is_zero(&ram, GPA_SETUP_DATA, 48));
	conf.rng_seed = true;
	assert_int_equal(load(), 0);
	assert_false(is_zero(&ram, GPA_SETUP_DATA, 48));
}

static void a_bad_kernel_touches_no_ram(void **state)
{
	elf64(false);
	((Elf64_Ehdr *)(void *)k.b)->e_machine = 0;
	assert_fails(load(), ENOEXEC, "not for x86");
	assert_true(is_zero(&ram, 0, 64 * MIB));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_bzimage_is_entered_in_64_bit_mode),
		T(a_bzimage_has_no_pvh),
		T(an_elf_with_note_is_entered_by_it),
		T(an_elf_with_note_can_be_made_to_start_in_64_bit_mode),
		T(an_elf_without_note_starts_in_64_bit_mode),
		T(an_elf_without_note_cannot_be_made_pvh),
		T(a_32_bit_elf_needs_a_note),
		T(a_multiboot_header_comes_before_elf_and_note),
		T(a_multiboot_elf_has_its_other_entries_on_demand),
		T(a_multiboot_image_has_no_others),
		T(other_files_are_refused),
		T(a_damaged_elf_is_said_to_be_that),
		T(a_kernel_over_the_firmware_area_is_refused),
		T(a_missing_kernel_is_said),
		T(a_kernel_that_cannot_be_read_is_said),
		T(the_firmwares_tables_are_built_for_every_kernel),
		T(tables_that_do_not_fit_are_said),
		T(a_small_image_is_read_once),
		T(a_large_image_is_read_twice),
		T(a_seed_costs_nothing_where_it_is_off),
		T(a_bad_kernel_touches_no_ram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
