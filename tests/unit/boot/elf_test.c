/* elf_test.c - ELF files, good ones and others [System V gABI 4.1]. */
#include "fixture.h"

#include "../../../src/boot/elf.h"

static struct ram ram;
static struct boot_conf conf;
static struct load l;
static struct elf elf;
static struct blob k;
static struct file kernel;
static uint8_t head[8192];

#define EHDR64 ((Elf64_Ehdr *)(void *)k.b)
#define EHDR32 ((Elf32_Ehdr *)(void *)k.b)
#define PHDR64 ((Elf64_Phdr *)(void *)(k.b + sizeof(Elf64_Ehdr)))

static int setup(void **state)
{
	ram = ram_new(16 * MIB);
	conf = (struct boot_conf){.kernel = "K", .cmdline = ""};
	return 0;
}

static int teardown(void **state)
{
	ram_free(&ram);
	return 0;
}

static void open_kernel(void)
{
	kernel = file_new(k.b, k.len);
	l = (struct load){.conf = &conf, .ram = &ram};
	assert_int_equal(image_open(&l.kernel, "kernel", kernel.path), 0);
	assert_int_equal(image_head(&l.kernel, head, sizeof(head)), 0);
}

static void close_kernel(void)
{
	image_close(&l.kernel);
	file_free(&kernel);
}

static int parse(void)
{
	int err;

	open_kernel();
	err = elf_parse(&l.kernel, &elf);
	close_kernel();
	return err;
}

static int load(void)
{
	int err;

	open_kernel();
	err = elf_parse(&l.kernel, &elf);
	if (!err)
		err = elf_load(&elf, &l);
	close_kernel();
	return err;
}

/* Two segments, the second with .bss. */
static void two_segments(bool is64)
{
	blob_elf(&k, is64, 0x200000);
	blob_load(&k, 0x1000, 0x200000, 0x800, 0x800, 0x11);
	blob_load(&k, 0x1800, 0x300000, 0x100, 0x5000, 0x22);
}

static void the_magic_number_tells(void **state)
{
	two_segments(true);
	open_kernel();
	assert_true(elf_match(&l.kernel));
	close_kernel();
	k.b[0] = 'E';
	open_kernel();
	assert_false(elf_match(&l.kernel));
	close_kernel();
	k.b[0] = 0x7f;
	k.len = 3;
	open_kernel();
	assert_false(elf_match(&l.kernel));
	close_kernel();
}

static void segments_are_loaded_by_physical_address(void **state)
{
	for (unsigned is64 = 0; is64 < 2; is64++) {
		two_segments(is64);
		assert_int_equal(load(), 0);
		assert_int_equal(elf.is64, is64);
		assert_int_equal(elf.n, 2);
		assert_memory_equal(ram_at(&ram, 0x200000, 0x800), k.b + 0x1000, 0x800);
		assert_memory_equal(ram_at(&ram, 0x300000, 0x100), k.b + 0x1800, 0x100);
		assert_true(is_zero(&ram, 0x200800, 0xff800));
		assert_true(is_zero(&ram, 0x300100, 0x10000));
		teardown(NULL);
		setup(NULL);
	}
}

static void bss_is_claimed_with_its_segment(void **state)
{
	two_segments(true);
	assert_int_equal(load(), 0);
	assert_int_equal(l.taken[1].start, 0x300000);
	assert_int_equal(l.taken[1].end, 0x305000);
}

static void a_segment_of_bss_alone_is_read_from_nowhere(void **state)
{
	blob_elf(&k, true, 0x200000);
	blob_load(&k, 0x1000, 0x200000, 1, 1, 0x11);
	blob_load(&k, 0, 0x400000, 0, 0x1000, 0);
	assert_int_equal(load(), 0);
	assert_true(is_zero(&ram, 0x400000, 0x1000));
}

static void a_segment_without_memory_is_none(void **state)
{
	blob_elf(&k, true, 0x200000);
	blob_load(&k, 0x1000, 0x200000, 1, 1, 0x11);
	blob_load(&k, 0x1000, UINT64_MAX, 0, 0, 0);
	assert_int_equal(load(), 0);
	assert_int_equal(elf.n, 1);
}

static void other_program_headers_do_not_matter(void **state)
{
	two_segments(true);
	blob_phdr(&k, (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_memsz = UINT64_MAX, .p_filesz = 5});
	blob_phdr(&k, (Elf64_Phdr){.p_type = PT_TLS, .p_offset = UINT64_MAX, .p_filesz = 9});
	assert_int_equal(load(), 0);
}

static void a_segment_may_fill_ram_to_its_last_byte(void **state)
{
	blob_elf(&k, true, 0xfff000);
	blob_load(&k, 0x1000, 0xfff000, 0x1000, 0x1000, 0x33);
	assert_int_equal(load(), 0);
	assert_int_equal(peek(&ram, 0xffffff, 1), 0x33);
}

static void a_segment_out_of_ram_is_refused(void **state)
{
	static const struct {
		uint64_t paddr, filesz, memsz;
	} bad[] = {
		{0xfff000,    0x1000, 0x1001    },
                {0xfff001,    0x1000, 0x1000    },
                {0x1000000,   1,      1         },
		{0xfffff000,  1,      1         },
                {0x100000000, 1,      1         },
                {1ull << 63,  1,      1         },
		{0x200000,    1,      1ull << 62},
                {0x200000,    1,      0xe00001  },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		blob_elf(&k, true, bad[i].paddr);
		blob_load(&k, 0x1000, bad[i].paddr, bad[i].filesz, bad[i].memsz, 0x33);
		assert_fails(load(), E2BIG, "give the guest more memory");
	}
}

static void a_segment_that_wraps_is_refused(void **state)
{
	blob_elf(&k, true, 0x200000);
	blob_load(&k, 0x1000, 0x200000, 1, UINT64_MAX, 0x33);
	assert_fails(load(), ENOEXEC, "wraps around");
	blob_elf(&k, true, 0x200000);
	blob_load(&k, 0x1000, UINT64_MAX - 1, 1, 4, 0x33);
	assert_fails(load(), ENOEXEC, "wraps around");
	blob_elf(&k, true, 0x200000);
	blob_load(&k, 0x1000, 0x200000, 1, 0x1001, 0x33);
	PHDR64->p_vaddr = 0xfffffffffffff000;
	assert_fails(load(), ENOEXEC, "wraps around");
}

static void segments_that_overlap_are_refused_before_anything_is_read(void **state)
{
	two_segments(true);
	blob_load(&k, 0x2000, 0x304fff, 1, 1, 0x33);
	assert_fails(load(), ENOEXEC, "overlaps 0x300000 to 0x305000");
	assert_true(is_zero(&ram, 0x200000, 0x800));
}

static void a_segment_over_what_is_claimed_is_refused(void **state)
{
	two_segments(true);
	open_kernel();
	load_reserve(&l, 0x300fff, 1);
	assert_int_equal(elf_parse(&l.kernel, &elf), 0);
	assert_fails(elf_load(&elf, &l), ENOEXEC, "the monitor's tables");
	close_kernel();
}

static void a_segment_longer_in_the_file_than_in_memory_is_corrupt(void **state)
{
	blob_elf(&k, true, 0x200000);
	blob_load(&k, 0x1000, 0x200000, 0x10, 0xf, 0x33);
	assert_fails(load(), ENOEXEC, "longer in the file");
}

static void a_file_cut_anywhere_is_refused(void **state)
{
	for (unsigned is64 = 0; is64 < 2; is64++) {
		two_segments(is64);
		for (size_t len = 4; len < 0x1900; len += len < 0x100 ? 1 : 0x7f) {
			k.len = len;
			assert_fails(load(), ENOEXEC, "truncated");
		}
	}
}

static void offsets_that_lie_outside_the_file_are_refused(void **state)
{
	static const uint64_t bad[] = {0x1901, 1ull << 63, UINT64_MAX, UINT64_MAX - 0xff};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		two_segments(true);
		PHDR64[1].p_offset = bad[i];
		assert_fails(load(), ENOEXEC, "truncated");
		two_segments(true);
		EHDR64->e_phoff = bad[i];
		assert_fails(load(), ENOEXEC, "truncated");
	}
}

static void a_file_that_is_cut_while_it_is_read_is_refused(void **state)
{
	two_segments(true);
	open_kernel();
	l.kernel.head_len = 0;
	assert_int_equal(elf_parse(&l.kernel, &elf), 0);
	assert_int_equal(ftruncate(kernel.fd, 0x1801), 0);
	assert_fails(elf_load(&elf, &l), ENOEXEC, "truncated while");
	close_kernel();
}

static void headers_of_other_things_are_refused(void **state)
{
	two_segments(true);
	k.b[EI_CLASS] = 3;
	assert_fails(parse(), ENOEXEC, "neither 32 nor 64");
	two_segments(true);
	k.b[EI_DATA] = ELFDATA2MSB;
	assert_fails(parse(), ENOEXEC, "not for x86");
	two_segments(true);
	EHDR64->e_machine = EM_AARCH64;
	assert_fails(parse(), ENOEXEC, "not for x86");
	two_segments(false);
	EHDR32->e_machine = EM_X86_64; /* x32 */
	assert_fails(parse(), ENOEXEC, "not for x86");
	two_segments(true);
	EHDR64->e_type = ET_REL;
	assert_fails(parse(), ENOEXEC, "no executable");
	two_segments(true);
	EHDR64->e_phnum = 0;
	assert_fails(parse(), ENOEXEC, "no program headers");
	two_segments(true);
	EHDR64->e_phnum = 65;
	assert_fails(parse(), ENOEXEC, "more than 64");
	two_segments(true);
	EHDR64->e_phnum = 0xffff;
	assert_fails(parse(), ENOEXEC, "more than 64");
	two_segments(true);
	EHDR64->e_phentsize = 55;
	assert_fails(parse(), ENOEXEC, "size of its program headers");
	two_segments(false);
	EHDR32->e_phentsize = 56;
	assert_fails(parse(), ENOEXEC, "size of its program headers");
}

static void a_position_independent_executable_is_taken(void **state)
{
	two_segments(true);
	EHDR64->e_type = ET_DYN;
	assert_int_equal(parse(), 0);
}

static void nothing_to_load_is_refused(void **state)
{
	blob_elf(&k, true, 0);
	blob_phdr(&k, (Elf64_Phdr){.p_type = PT_GNU_STACK});
	assert_fails(parse(), ENOEXEC, "no segment to load");
}

static void sixty_four_segments_are_taken(void **state)
{
	blob_elf(&k, true, 0x200000);
	for (unsigned i = 0; i < 64; i++)
		blob_load(&k, 0x2000 + i * 0x10, 0x200000 + i * 0x1000, 0x10, 0x1000, (uint8_t)i);
	assert_int_equal(load(), 0);
	assert_int_equal(elf.n, 64);
	assert_int_equal(peek(&ram, 0x23f00f, 1), 63);
}

static void program_headers_may_lie_behind_the_segments(void **state)
{
	two_segments(true);
	memcpy(k.b + 0x3008, PHDR64, 2 * sizeof(Elf64_Phdr));
	memset(PHDR64, 0xff, 2 * sizeof(Elf64_Phdr));
	k.len = 0x3008 + 2 * sizeof(Elf64_Phdr);
	EHDR64->e_phoff = 0x3008;
	assert_int_equal(load(), 0);
	assert_int_equal(peek(&ram, 0x200000, 1), 0x11);
}

/* Entry points */

static int locate(uint64_t entry, uint64_t *gpa)
{
	int err;

	open_kernel();
	assert_int_equal(elf_parse(&l.kernel, &elf), 0);
	err = elf_locate(&elf, &l, entry, gpa);
	close_kernel();
	return err;
}

static void a_physical_entry_stays(void **state)
{
	uint64_t gpa;

	two_segments(true);
	assert_int_equal(locate(0x200000, &gpa), 0);
	assert_int_equal(gpa, 0x200000);
	assert_int_equal(locate(0x3000ff, &gpa), 0);
	assert_int_equal(gpa, 0x3000ff);
}

static void a_virtual_entry_is_translated_by_its_segment(void **state)
{
	uint64_t gpa;

	two_segments(true);
	PHDR64[0].p_vaddr = 0xffffffff81000000;
	assert_int_equal(locate(0xffffffff81000123, &gpa), 0);
	assert_int_equal(gpa, 0x200123);
}

static void a_physical_entry_wins_over_a_virtual_one(void **state)
{
	uint64_t gpa;

	two_segments(true);
	PHDR64[1].p_vaddr = 0x1fff80; /* covers 200000h too */
	assert_int_equal(locate(0x200000, &gpa), 0);
	assert_int_equal(gpa, 0x200000);
}

static void an_entry_outside_of_loaded_bytes_is_refused(void **state)
{
	static const uint64_t bad[] = {0,        0x1fffff,   0x200800,   0x300100,
				       0x304fff, UINT64_MAX, 0x100200000};
	uint64_t gpa;

	two_segments(true);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_fails(locate(bad[i], &gpa), ENOEXEC, "is outside of what was loaded");
}

/* Notes */

static void the_pvh_note_is_found(void **state)
{
	for (unsigned is64 = 0; is64 < 2; is64++) {
		two_segments(is64);
		blob_note(&k, 0x1900, 18, 0x200040, is64 ? 8 : 4);
		assert_int_equal(parse(), 0);
		assert_true(elf.pvh);
		assert_int_equal(elf.pvh_entry, 0x200040);
	}
}

static void without_note_there_is_no_pvh(void **state)
{
	two_segments(true);
	elf.pvh = true;
	assert_int_equal(parse(), 0);
	assert_false(elf.pvh);
}

static void a_note_of_another_kind_is_not_pvh(void **state)
{
	two_segments(true);
	blob_note(&k, 0x1900, 17, 0x200040, 8);
	assert_int_equal(parse(), 0);
	assert_false(elf.pvh);
	two_segments(true);
	blob_note(&k, 0x1900, 18, 0x200040, 8);
	memcpy(k.b + 0x190c, "GNU", 4);
	assert_int_equal(parse(), 0);
	assert_false(elf.pvh);
}

static void a_pvh_note_of_a_strange_size_is_ignored(void **state)
{
	static const uint32_t size[] = {0, 1, 2, 3, 5, 6, 7, 9, 12, 16};

	for (unsigned i = 0; i < ARRAY_SIZE(size); i++) {
		two_segments(true);
		blob_note(&k, 0x1900, 18, 0x200040, size[i]);
		assert_int_equal(parse(), 0);
		assert_false(elf.pvh);
	}
}

static void notes_before_it_are_skipped(void **state)
{
	static const struct {
		uint32_t namesz, descsz, type;
		char name[8];
		uint8_t desc[8];
		uint32_t namesz2, descsz2, type2;
		char name2[4];
		uint64_t entry;
	} __attribute__((packed)) n = {.namesz = 6,
				       .descsz = 5,
				       .name = "Linux",
				       .namesz2 = 4,
				       .descsz2 = 8,
				       .type2 = 18,
				       .name2 = "Xen",
				       .entry = 0x200080};

	two_segments(true);
	blob_put(&k, 0x1900, &n, sizeof(n));
	blob_phdr(&k, (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = 0x1900, .p_filesz = sizeof(n)});
	assert_int_equal(parse(), 0);
	assert_true(elf.pvh);
	assert_int_equal(elf.pvh_entry, 0x200080);
}

static void notes_aligned_to_8_are_walked_so(void **state)
{
	/* 12 + 4 = 16, value of 4 padded to 8: the next note is at 24. */
	static const uint32_t n[] = {4, 4, 5, 0x554e47, 1, 0, 4, 4, 18, 0x6e6558, 0x200010, 0};

	two_segments(true);
	blob_put(&k, 0x1900, n, sizeof(n));
	blob_phdr(&k, (Elf64_Phdr){.p_type = PT_NOTE,
				   .p_offset = 0x1900,
				   .p_filesz = sizeof(n),
				   .p_align = 8});
	assert_int_equal(parse(), 0);
	assert_true(elf.pvh);
	assert_int_equal(elf.pvh_entry, 0x200010);
}

static void a_note_cut_anywhere_is_no_note(void **state)
{
	for (unsigned len = 0; len < 24; len++) {
		two_segments(true);
		blob_note(&k, 0x1900, 18, 0x200040, 8);
		PHDR64[2].p_filesz = len;
		assert_int_equal(parse(), 0);
		assert_false(elf.pvh);
	}
}

static void note_sizes_may_lie(void **state)
{
	static const uint32_t size[] = {0,          1,          5,          0xff,
					0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff};

	for (unsigned i = 0; i < ARRAY_SIZE(size); i++)
		for (unsigned j = 0; j < ARRAY_SIZE(size); j++) {
			two_segments(true);
			blob_note(&k, 0x1900, 18, 0x200040, 8);
			blob_put32(&k, 0x1900, size[i]);
			blob_put32(&k, 0x1904, size[j]);
			assert_int_equal(parse(), 0);
			assert_false(elf.pvh);
		}
}

static void a_note_outside_the_file_is_truncation(void **state)
{
	two_segments(true);
	blob_note(&k, 0x1900, 18, 0x200040, 8);
	PHDR64[2].p_offset = UINT64_MAX;
	assert_fails(parse(), ENOEXEC, "truncated");
}

static void notes_are_looked_at_for_4_kib(void **state)
{
	two_segments(true);
	blob_note(&k, 0x1900, 18, 0x200040, 8);
	PHDR64[2].p_filesz = 0x8000;
	k.len = 0x9900;
	assert_int_equal(parse(), 0);
	assert_true(elf.pvh);
}

static void any_header_byte_may_lie(void **state)
{
	static const uint8_t val[] = {0, 1, 0x20, 0x7f, 0x80, 0xff};

	for (unsigned is64 = 0; is64 < 2; is64++) {
		unsigned end = is64 ? sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr)
				    : sizeof(Elf32_Ehdr) + 3 * sizeof(Elf32_Phdr);

		for (unsigned at = 4; at < end; at++)
			for (unsigned i = 0; i < ARRAY_SIZE(val); i++) {
				two_segments(is64);
				blob_note(&k, 0x1900, 18, 0x200040, 4);
				k.b[at] = val[i];
				said_lines = 0;
				if (load())
					assert_int_equal(said_lines, 1);
			}
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_magic_number_tells),
		T(segments_are_loaded_by_physical_address),
		T(bss_is_claimed_with_its_segment),
		T(a_segment_of_bss_alone_is_read_from_nowhere),
		T(a_segment_without_memory_is_none),
		T(other_program_headers_do_not_matter),
		T(a_segment_may_fill_ram_to_its_last_byte),
		T(a_segment_out_of_ram_is_refused),
		T(a_segment_that_wraps_is_refused),
		T(segments_that_overlap_are_refused_before_anything_is_read),
		T(a_segment_over_what_is_claimed_is_refused),
		T(a_segment_longer_in_the_file_than_in_memory_is_corrupt),
		T(a_file_cut_anywhere_is_refused),
		T(offsets_that_lie_outside_the_file_are_refused),
		T(a_file_that_is_cut_while_it_is_read_is_refused),
		T(headers_of_other_things_are_refused),
		T(a_position_independent_executable_is_taken),
		T(nothing_to_load_is_refused),
		T(sixty_four_segments_are_taken),
		T(program_headers_may_lie_behind_the_segments),
		T(a_physical_entry_stays),
		T(a_virtual_entry_is_translated_by_its_segment),
		T(a_physical_entry_wins_over_a_virtual_one),
		T(an_entry_outside_of_loaded_bytes_is_refused),
		T(the_pvh_note_is_found),
		T(without_note_there_is_no_pvh),
		T(a_note_of_another_kind_is_not_pvh),
		T(a_pvh_note_of_a_strange_size_is_ignored),
		T(notes_before_it_are_skipped),
		T(notes_aligned_to_8_are_walked_so),
		T(a_note_cut_anywhere_is_no_note),
		T(note_sizes_may_lie),
		T(a_note_outside_the_file_is_truncation),
		T(notes_are_looked_at_for_4_kib),
		T(any_header_byte_may_lie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
