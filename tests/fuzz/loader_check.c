/*
 * loader_check.c - reads a loaded guest as its kernel would: from the entry registers through the
 * boot information to kernel, initrd and command line. Knows the formats by itself.
 */
#include <asm/bootparam.h>
#include <elf.h>
#include <string.h>

#include "../../src/boot/e820.h"
#include "fuzz.h"
#include "loader.h"

#define HDRS      0x53726448u
#define MB_MAGIC  0x1badb002u
#define MB_EAX    0x2badb002u
#define MB_SEARCH 8192u
#define PVH_MAGIC 0x336ec578u
#define ZEROS     4096u /* as many are looked at at either end */

static uint64_t peek(const struct loader_case *c, uint64_t gpa, unsigned size)
{
	const void *p = ram_at(c->ram, gpa, size);
	uint64_t v = 0;

	CHECK(p);
	memcpy(&v, p, size);
	return v;
}

/* `size` bytes at `off` of the file; 0 where it has ended. */
static uint64_t file_get(const struct loader_case *c, uint64_t off, unsigned size)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size && off + i < c->len; i++)
		v |= (uint64_t)c->file[off + i] << (8 * i);
	return v;
}

static void check_zeros(const struct loader_case *c, uint64_t gpa, uint64_t n)
{
	static const uint8_t zeros[ZEROS];
	const uint8_t *p = ram_at(c->ram, gpa, n);
	uint64_t some = MIN(n, ZEROS);

	CHECK(p);
	CHECK(!memcmp(p, zeros, some) && !memcmp(p + n - some, zeros, some));
}

/* RAM holds `n` bytes from `off` of a file that has `len` bytes and then zeros. */
static void check_bytes(const struct loader_case *c, uint64_t gpa, const uint8_t *file,
			uint64_t len, uint64_t off, uint64_t n)
{
	uint64_t there = off < len ? MIN(n, len - off) : 0;
	const uint8_t *p = ram_at(c->ram, gpa, n);

	CHECK(p);
	CHECK(!there || !memcmp(p, file + off, there));
	if (n > there)
		check_zeros(c, gpa + there, n - there);
}

static void check_initrd(const struct loader_case *c, uint64_t gpa, uint64_t size, uint64_t limit)
{
	CHECK(size == c->initrd_size);
	if (!size)
		return;
	CHECK(gpa % 4096 == 0 && gpa >= GPA_HIMEM && gpa + size <= limit);
	check_bytes(c, gpa, c->initrd, c->initrd_len, 0, size);
}

static void check_cmdline(const struct loader_case *c, uint64_t gpa)
{
	size_t len = strlen(c->conf->cmdline) + 1;
	const char *p = ram_at(c->ram, gpa, len);

	CHECK(p && !memcmp(p, c->conf->cmdline, len));
}

/* In address order, none empty, none overlapping; all RAM is listed, and nothing else as RAM. */
static void check_map(const struct loader_case *c, const uint8_t *p, unsigned n, unsigned stride)
{
	uint64_t end = 0;
	struct e820_entry e;

	CHECK(n > 0 && n <= E820_MAX);
	for (unsigned i = 0; i < n; i++) {
		memcpy(&e, p + i * stride, sizeof(e));
		CHECK(e.addr >= end && e.size > 0 && e.addr + e.size > e.addr);
		CHECK(e.type == E820_RAM || e.type == E820_RESERVED);
		CHECK(e.type != E820_RAM || ram_at(c->ram, e.addr, e.size));
		end = e.addr + e.size;
	}
	CHECK(!c->ram->high || end == GPA_4G + c->ram->high);
}

struct segment {
	uint64_t type, off, paddr, filesz, memsz;
};

static struct segment segment(const struct loader_case *c, bool is64, uint64_t at)
{
	if (is64)
		return (struct segment){file_get(c, at, 4), file_get(c, at + 8, 8),
					file_get(c, at + 24, 8), file_get(c, at + 32, 8),
					file_get(c, at + 40, 8)};
	return (struct segment){file_get(c, at, 4), file_get(c, at + 4, 4), file_get(c, at + 12, 4),
				file_get(c, at + 16, 4), file_get(c, at + 20, 4)};
}

/* Every segment is in RAM, .bss is zero, and the entry point is among the bytes of one. */
static void check_elf(const struct loader_case *c)
{
	bool is64 = file_get(c, EI_CLASS, 1) == ELFCLASS64, inside = false;
	uint64_t at = is64 ? file_get(c, 32, 8) : file_get(c, 28, 4);
	uint64_t n = file_get(c, is64 ? 56 : 44, 2);

	for (uint64_t i = 0; i < n; i++) {
		struct segment s = segment(c, is64, at + i * (is64 ? 56 : 32));

		if (s.type != PT_LOAD || !s.memsz)
			continue;
		CHECK(s.off <= c->size && s.filesz <= c->size - s.off);
		CHECK(ram_at(c->ram, s.paddr, s.memsz));
		check_bytes(c, s.paddr, c->file, c->len, s.off, s.filesz);
		check_zeros(c, s.paddr + s.filesz, s.memsz - s.filesz);
		inside |= c->entry->rip - s.paddr < s.filesz;
	}
	CHECK(inside);
}

static void check_bzimage(const struct loader_case *c, const struct boot_params *bp)
{
	uint64_t sects = file_get(c, 0x1f1, 1), size = file_get(c, 0x1f4, 4) * 16;
	uint64_t load = c->entry->rip - 0x200, room = file_get(c, 0x260, 4);

	CHECK(load >= GPA_HIMEM && load >= file_get(c, 0x258, 8) && size <= room);
	if (bp->hdr.relocatable_kernel)
		CHECK(load % bp->hdr.kernel_alignment == 0);
	CHECK(ram_at(c->ram, load, room));
	check_bytes(c, load, c->file, c->len, ((sects ? sects : 4) + 1) * 512, size);
	check_zeros(c, load + size, room - size);
	CHECK(!memcmp((const uint8_t *)bp + 0x230, c->file + 0x230, 0x250 - 0x230));
	CHECK(!memcmp((const uint8_t *)bp + 0x258, c->file + 0x258, 0x268 - 0x258));
	CHECK(strlen(c->conf->cmdline) <= bp->hdr.cmdline_size);
}

static void check_linux(const struct loader_case *c)
{
	const struct boot_params *bp = ram_at(c->ram, GPA_ZERO_PAGE, sizeof(*bp));
	const struct setup_header *h = &bp->hdr;

	CHECK(c->entry->rsi == GPA_ZERO_PAGE && bp && h->header == HDRS);
	CHECK(h->type_of_loader == 0xff && h->boot_flag == 0xaa55);
	CHECK(h->setup_data == GPA_SETUP_DATA && peek(c, h->setup_data, 8) == 0);
	CHECK(peek(c, GPA_PML4, 8) >> 12 == GPA_PDPT >> 12 && peek(c, GPA_GDT, 8) == 0);
	check_cmdline(c, h->cmd_line_ptr);
	check_map(c, (const uint8_t *)bp->e820_table, bp->e820_entries, sizeof(bp->e820_table[0]));
	check_initrd(c, h->ramdisk_image, h->ramdisk_size, h->initrd_addr_max + 1ull);
	if (file_get(c, 0x202, 4) == HDRS)
		check_bzimage(c, bp);
	else
		check_elf(c);
}

static void check_pvh(const struct loader_case *c)
{
	uint64_t start = c->entry->rbx, modules = peek(c, start + 12, 4);
	uint64_t list = peek(c, start + 16, 8), map = peek(c, start + 40, 8);
	uint64_t entries = peek(c, start + 48, 4);

	CHECK(peek(c, start, 4) == PVH_MAGIC && modules == (c->initrd_size != 0));
	if (modules)
		check_initrd(c, peek(c, list, 8), peek(c, list + 8, 8), 2 * GIB);
	check_cmdline(c, peek(c, start + 24, 8));
	CHECK(ram_at(c->ram, map, entries * 24));
	check_map(c, ram_at(c->ram, map, entries * 24), (unsigned)entries, 24);
	check_elf(c);
}

/* Offset of the multiboot header that counts. */
static uint64_t multiboot_header(const struct loader_case *c)
{
	for (uint64_t at = 0; at + 12 <= MIN(c->size, MB_SEARCH); at += 4)
		if (file_get(c, at, 4) == MB_MAGIC &&
		    (uint32_t)(MB_MAGIC + file_get(c, at + 4, 4) + file_get(c, at + 8, 4)) == 0)
			return at;
	abort(); /* it was loaded by what? */
}

static void check_multiboot(const struct loader_case *c)
{
	uint64_t info = c->entry->rbx, at = multiboot_header(c), list, size;
	uint64_t load = file_get(c, at + 16, 4), end = file_get(c, at + 20, 4);
	const char *path;

	CHECK(peek(c, info + 4, 4) == 639 && peek(c, info + 20, 4) == (c->initrd_size != 0));
	path = ram_at(c->ram, peek(c, info + 16, 4), strlen(c->conf->kernel) + 1);
	CHECK(path && !memcmp(path, c->conf->kernel, strlen(c->conf->kernel)));
	check_cmdline(c, peek(c, info + 16, 4) + strlen(c->conf->kernel) + 1);
	list = peek(c, info + 24, 4);
	if (c->initrd_size)
		check_initrd(c, peek(c, list, 4), peek(c, list + 4, 4) - peek(c, list, 4), GPA_4G);
	size = peek(c, info + 44, 4);
	list = peek(c, info + 48, 4);
	CHECK(ram_at(c->ram, list, size) && size % 24 == 0 && peek(c, list, 4) == 20);
	check_map(c, (const uint8_t *)ram_at(c->ram, list, size) + 4, (unsigned)size / 24, 24);
	if (!(file_get(c, at + 4, 4) & BIT(16))) {
		check_elf(c);
		return;
	}
	at -= file_get(c, at + 12, 4) - load;
	size = end ? end - load : c->size - at;
	check_bytes(c, load, c->file, c->len, at, size);
	CHECK(c->entry->rip - load < size);
}

/* What a firmware would leave, whatever the protocol. */
static void check_tables(const struct loader_case *c)
{
	CHECK(peek(c, GPA_ACPI, 8) == 0x2052545020445352); /* "RSD PTR " */
	CHECK(peek(c, GPA_EBDA, 4) == 0x5f504d5f);         /* "_MP_" */
	if (c->conf->bios)
		CHECK(peek(c, GPA_IVT, 4) >> 16 == GPA_BIOS_STUBS >> 4);
}

void loader_check(const struct loader_case *c)
{
	const struct boot_entry *e = c->entry;

	CHECK(e->rip < c->ram->low);
	check_tables(c);
	if (e->mode == BOOT_MODE_LONG64)
		check_linux(c);
	else if (e->rax == MB_EAX)
		check_multiboot(c);
	else
		check_pvh(c);
	if (c->ram->high)
		check_zeros(c, GPA_4G, c->ram->high);
}
