/*
 * multiboot.c - Multiboot 0.6.96 [Multiboot 3]: ELF images and those that give their addresses in
 * the header; memory map, command line, one module, loader name. No video modes, drives, APM table
 * or symbols. The information is put into the lowest gap from GPA_BOOT_INFO on that the image
 * leaves, the module into the lowest from 1 MiB on: kvm-unit-tests rely on neither being in page 0,
 * where they put their APs' start-up code.
 */
#include "multiboot.h"

#include <errno.h>
#include <string.h>

#include "../log.h"
#include "e820.h"
#include "elf.h"

#define MB_MAGIC      0x1badb002u
#define MB_EAX        0x2badb002u
#define MB_MUST       MASK(15, 0) /* flags that a loader must know or refuse */
#define MB_PAGE_ALIGN BIT(0)      /* modules on page boundaries: always so */
#define MB_MEMORY     BIT(1)      /* wants mem_* and the map: always there */
#define MB_ADDRESSES  BIT(16)     /* the addresses in the header count, not the ELF's */

#define MBI_MEM      BIT(0)
#define MBI_BOOTDEV  BIT(1)
#define MBI_CMDLINE  BIT(2)
#define MBI_MODS     BIT(3)
#define MBI_MMAP     BIT(6)
#define MBI_NAME     BIT(9)
#define MBI_FLAGS    (MBI_MEM | MBI_BOOTDEV | MBI_CMDLINE | MBI_MODS | MBI_MMAP | MBI_NAME)
#define MBI_BOOT_DEV 0x8000ffffu /* first hard disk, no partition */
#define MBI_LOADER   "minnow"

struct mb_header {
	uint32_t magic, flags, checksum;
	uint32_t header_addr, load_addr, load_end, bss_end, entry; /* with MB_ADDRESSES */
};

struct mb_mmap {
	uint32_t size; /* of what follows */
	struct e820_entry e;
} __attribute__((packed));

struct mb_module {
	uint32_t start, end, string, reserved;
};

struct mb_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
	uint32_t syms[4], mmap_length, mmap_addr, drives[2], config_table, loader_name, apm_table;
	uint32_t vbe[4];
};

/* All that the guest gets, in one piece; command line and name of the module follow. */
struct mb_blob {
	struct mb_info info;
	struct mb_module module;
	struct mb_mmap map[E820_MAX];
	char loader[sizeof(MBI_LOADER)];
	char strings[];
};

#define HEADER_WORDS 3 /* magic, flags, checksum */

/* Offset of the first header in the head from `from` on whose magic is right; head_len if none. */
static uint64_t mb_find(const struct image *img, uint64_t from)
{
	uint64_t end = MIN(img->head_len, MULTIBOOT_SEARCH);
	uint32_t word;

	for (uint64_t at = from; at + HEADER_WORDS * sizeof(word) <= end; at += sizeof(word)) {
		memcpy(&word, img->head + at, sizeof(word));
		if (word == MB_MAGIC)
			return at;
	}
	return img->head_len;
}

bool multiboot_match(const struct image *img)
{
	return mb_find(img, 0) < img->head_len;
}

static int mb_bad(const struct load *l, const char *why)
{
	return log_fail(ENOEXEC, "kernel %s: %s", l->kernel.path, why);
}

/* The header whose checksum is right: three words that add up to 0. */
static int mb_header(const struct load *l, struct mb_header *h, uint64_t *off)
{
	const struct image *img = &l->kernel;
	uint64_t len;

	for (uint64_t at = mb_find(img, 0); at < img->head_len; at = mb_find(img, at + 4)) {
		memset(h, 0, sizeof(*h));
		len = MIN(sizeof(*h), img->head_len - at);
		memcpy(h, img->head + at, len);
		if ((uint32_t)(h->magic + h->flags + h->checksum) != 0)
			continue;
		if (h->flags & MB_MUST & ~(MB_PAGE_ALIGN | MB_MEMORY))
			return log_fail(ENOEXEC,
					"kernel %s: its multiboot header demands features %#x, and "
					"only page-aligned modules and the memory map are offered",
					img->path, (unsigned)(h->flags & MB_MUST));
		if ((h->flags & MB_ADDRESSES) && len < sizeof(*h))
			return mb_bad(l, "truncated: its multiboot header lacks addresses");
		*off = at;
		return 0;
	}
	return mb_bad(l, "its multiboot header has a wrong checksum; build or fetch it again");
}

/* [Multiboot 3.1.3]: the addresses tell where in the file the image starts and ends. */
static int mb_load_addresses(struct load *l, const struct mb_header *h, uint64_t header_off)
{
	uint64_t lead = h->header_addr - h->load_addr, off = header_off - lead, size, total;
	int err;

	if (h->load_addr > h->header_addr || lead > header_off)
		return mb_bad(l, "corrupt: its multiboot load address lies behind its header or "
				 "before the file");
	size = h->load_end ? h->load_end - (uint64_t)h->load_addr : l->kernel.size - off;
	if ((h->load_end && h->load_end <= h->load_addr) ||
	    (h->bss_end && h->bss_end < h->load_addr + size))
		return mb_bad(l, "corrupt: its multiboot end addresses lie before the start");
	total = h->bss_end ? h->bss_end - (uint64_t)h->load_addr : size;
	if ((uint64_t)h->entry - h->load_addr >= size)
		return mb_bad(l, "its multiboot entry point is outside of what is loaded");
	err = load_take(l, h->load_addr, total, "the multiboot image");
	return err ? err : load_read(l, &l->kernel, off, h->load_addr, size);
}

static int mb_load_elf(struct load *l, uint64_t *entry)
{
	struct elf elf;
	int err;

	if (!elf_match(&l->kernel))
		return mb_bad(l, "a multiboot image must be an ELF file or give its addresses");
	err = elf_parse(&l->kernel, &elf);
	if (!err)
		err = elf_load(&elf, l);
	return err ? err : elf_locate(&elf, l, elf.entry, entry);
}

/* The command line starts with the name of the image, as GRUB does it. */
static void mb_fill(const struct load *l, struct mb_blob *b, uint32_t gpa)
{
	struct e820_entry map[E820_MAX];
	unsigned n = e820_build(l->ram, map);
	char *end;

	b->info = (struct mb_info){
		.flags = MBI_FLAGS,
		.mem_lower = (uint32_t)(GPA_LOW_END / KIB),
		.mem_upper = (uint32_t)((l->ram->low - GPA_HIMEM) / KIB),
		.boot_device = MBI_BOOT_DEV,
		.cmdline = gpa + (uint32_t)offsetof(struct mb_blob, strings),
		.mods_count = l->initrd_size != 0,
		.mods_addr = gpa + (uint32_t)offsetof(struct mb_blob, module),
		.mmap_length = n * (uint32_t)sizeof(struct mb_mmap),
		.mmap_addr = gpa + (uint32_t)offsetof(struct mb_blob, map),
		.loader_name = gpa + (uint32_t)offsetof(struct mb_blob, loader),
	};
	for (unsigned i = 0; i < n; i++)
		b->map[i] = (struct mb_mmap){.size = sizeof(map[i]), .e = map[i]};
	memcpy(b->loader, MBI_LOADER, sizeof(b->loader));
	end = stpcpy(b->strings, l->kernel.path);
	*end++ = ' ';
	end = stpcpy(end, l->conf->cmdline) + 1;
	if (!l->initrd_size)
		return;
	b->module = (struct mb_module){
		.start = (uint32_t)l->initrd,
		.end = (uint32_t)(l->initrd + l->initrd_size),
		.string = gpa + (uint32_t)(end - (char *)b),
	};
	strcpy(end, l->conf->initrd);
}

int multiboot_load(struct load *l, struct boot_entry *entry)
{
	uint64_t len = strlen(l->kernel.path) + 1 + strlen(l->conf->cmdline);
	uint64_t size = sizeof(struct mb_blob) + len + 1, info = 0, rip = 0, off = 0;
	struct mb_header h;
	int err;

	if (l->conf->initrd)
		size += strlen(l->conf->initrd) + 1;
	err = load_cmdline_fits(l, len, CMDLINE_MAX - 1);
	if (!err)
		err = mb_header(l, &h, &off);
	if (err)
		return err;
	rip = h.entry;
	err = h.flags & MB_ADDRESSES ? mb_load_addresses(l, &h, off) : mb_load_elf(l, &rip);
	if (!err)
		err = load_info(l, size, &info);
	if (!err)
		err = load_initrd(l, 0);
	if (err)
		return err;
	mb_fill(l, ram_at(l->ram, info, size), (uint32_t)info);
	*entry = (struct boot_entry){
		.mode = BOOT_MODE_PROT32, .rip = rip, .rax = MB_EAX, .rbx = info};
	return 0;
}
