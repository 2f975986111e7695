/*
 * linux.c - the Linux x86 boot protocol, 2.12 and later, 64-bit entry [x86/boot.rst, x86/zero-page
 * .rst]. The setup code in the image's first sectors never runs: its header is copied into a zero
 * page that says what a BIOS would have answered it.
 */
#include "linux.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "../log.h"
#include "e820.h"
#include "entry.h"

#define HDR_MAGIC      0x53726448u /* "HdrS" */
#define HDR_BOOT_FLAG  0xaa55u
#define HDR_OFF        offsetof(struct boot_params, hdr)
#define HDR_JUMP       0x201u /* its length beyond 202h: the jump over it */
#define HDR_JUMP_BASE  0x202u
#define HDR_END        offsetof(struct boot_params, edd_mbr_sig_buffer)
#define HDR_NEEDED     0x268u  /* where the fields of 2.12 end */
#define HDR_VERSION    0x020cu /* 2.12 brought xloadflags */
#define HDR_ELF        0x020fu /* what a zero page without an image's header claims */
#define SETUP_SECTS    4u      /* what 0 means */
#define SECTOR         512u
#define PARAGRAPH      16ull /* unit of syssize */
#define ENTRY64        0x200u
#define LOADER_UNKNOWN 0xffu
#define HEAP_END       0xfe00u     /* unused by the 64-bit entry, as the protocol recommends */
#define INITRD_MAX     0x7fffffffu /* last byte, where a vmlinux cannot say */
#define CMDLINE_LINUX  2047u       /* what x86 kernels hold; they would cut the rest silently */
#define SEED_BYTES     32u

/* What of an image's header decides where things go. */
struct setup {
	struct setup_header hdr; /* first sizeof(hdr) bytes; the rest is only copied */
	uint64_t off, size;      /* the protected-mode kernel in the file */
	uint64_t load;
};

bool linux_match(const struct image *img)
{
	uint32_t magic;

	if (img->head_len < HDR_JUMP_BASE + sizeof(magic))
		return false;
	memcpy(&magic, img->head + HDR_JUMP_BASE, sizeof(magic));
	return magic == HDR_MAGIC;
}

static int linux_bad(const struct load *l, const char *why)
{
	return log_fail(ENOEXEC, "kernel %s: %s", l->kernel.path, why);
}

static int setup_check(const struct load *l, const struct setup_header *h)
{
	unsigned end = HDR_JUMP_BASE + l->kernel.head[HDR_JUMP];

	if (h->boot_flag != HDR_BOOT_FLAG)
		return linux_bad(l,
				 "corrupt: a Linux setup header without boot flag; fetch it again");
	if (h->version < HDR_VERSION)
		return log_fail(
			ENOEXEC,
			"kernel %s: boot protocol %u.%u is too old, 2.12 (Linux 3.8) is needed",
			l->kernel.path, h->version >> 8, h->version & 0xffu);
	if (end < HDR_NEEDED)
		return linux_bad(l, "corrupt: its setup header is too short; fetch it again");
	if (!(h->xloadflags & XLF_KERNEL_64) || !(h->loadflags & LOADED_HIGH))
		return linux_bad(l, "has no 64-bit entry; take an x86-64 kernel");
	if (h->kernel_alignment & (h->kernel_alignment - 1) || !h->kernel_alignment)
		return linux_bad(l, "corrupt: its alignment is no power of two; fetch it again");
	return 0;
}

/*
 * The kernel's place is its preferred address, which is never left for a lower one: Linux relies on
 * memory from there on even when it was loaded below, because it moves itself up before unpacking.
 */
static int setup_parse(const struct load *l, struct setup *s)
{
	const struct setup_header *h = &s->hdr;
	uint64_t sects;
	int err;

	if (l->kernel.head_len < HDR_END)
		return linux_bad(l, "truncated: it ends inside the setup header; fetch it again");
	memcpy(&s->hdr, l->kernel.head + HDR_OFF, sizeof(s->hdr));
	err = setup_check(l, h);
	if (err)
		return err;
	sects = h->setup_sects ? h->setup_sects : SETUP_SECTS;
	s->off = (sects + 1) * SECTOR;
	/* Without what follows the kernel in the file, such as a signature. */
	s->size = h->syssize * PARAGRAPH;
	if (s->size <= ENTRY64 || s->size > h->init_size)
		return linux_bad(l, "corrupt: the sizes in its setup header contradict each other; "
				    "fetch it again");
	s->load = MAX(h->pref_address, GPA_HIMEM);
	if (h->relocatable_kernel) /* ... may be rounded up; a huge one wraps to nowhere in RAM */
		s->load = MAX(align_up(s->load, h->kernel_alignment), s->load);
	return 0;
}

static int zero_page_seed(const struct load *l, struct boot_params *bp)
{
	struct setup_data *d = ram_at(l->ram, GPA_SETUP_DATA, sizeof(*d) + SEED_BYTES);

	bp->hdr.setup_data = 0;
	if (!l->conf->rng_seed)
		return 0;
	if (getrandom(d->data, SEED_BYTES, 0) != SEED_BYTES)
		return log_fail(EIO,
				"RNG seed: the host's getrandom failed: %s; boot without a seed",
				strerror(errno));
	d->type = SETUP_RNG_SEED;
	d->len = SEED_BYTES;
	bp->hdr.setup_data = GPA_SETUP_DATA;
	return 0;
}

/* Everything but what differs between bzImage and vmlinux; the initrd is already in place. */
static int zero_page_fill(const struct load *l, struct boot_params *bp)
{
	struct e820_entry map[E820_MAX];

	bp->hdr.type_of_loader = LOADER_UNKNOWN;
	bp->hdr.loadflags |= CAN_USE_HEAP;
	bp->hdr.heap_end_ptr = HEAP_END;
	bp->hdr.cmd_line_ptr = (uint32_t)GPA_CMDLINE;
	bp->hdr.ramdisk_image = (uint32_t)l->initrd;
	bp->hdr.ramdisk_size = (uint32_t)l->initrd_size;
	bp->acpi_rsdp_addr = l->rsdp;
	bp->e820_entries = (uint8_t)e820_build(l->ram, map);
	memcpy(bp->e820_table, map, bp->e820_entries * sizeof(map[0]));
	return zero_page_seed(l, bp);
}

/* Tables, zero page and registers. `hdr` of `len` bytes starts the page's setup header. */
static int linux_finish(const struct load *l, const void *hdr, size_t len, uint64_t rip,
			struct boot_entry *entry)
{
	struct boot_params *bp = ram_at(l->ram, GPA_ZERO_PAGE, sizeof(*bp));
	int err = entry_long64(l->ram); /* says so if there is too little RAM for any of this */

	if (err)
		return err;
	memcpy(&bp->hdr, hdr, len);
	err = zero_page_fill(l, bp);
	if (err)
		return err;
	*entry = (struct boot_entry){
		.mode = BOOT_MODE_LONG64, .rip = rip, .rsi = GPA_ZERO_PAGE, .kernel64 = true};
	return 0;
}

int linux_load_bzimage(struct load *l, struct boot_entry *entry)
{
	struct setup s = {0};
	size_t len;
	int err = setup_parse(l, &s);

	if (!err)
		err = load_cmdline(l, s.hdr.cmdline_size);
	if (!err)
		err = load_take(l, s.load, s.hdr.init_size, "unpacking");
	if (!err) {
		load_dense(l, s.load, s.hdr.init_size);
		err = load_read(l, &l->kernel, s.off, s.load, s.size);
	}
	if (!err)
		err = load_initrd(l, s.hdr.initrd_addr_max + 1ull);
	if (err)
		return err;
	len = MIN(HDR_JUMP_BASE + l->kernel.head[HDR_JUMP], HDR_END) - HDR_OFF;
	return linux_finish(l, l->kernel.head + HDR_OFF, len, s.load + ENTRY64, entry);
}

int linux_load_elf(struct load *l, const struct elf *elf, struct boot_entry *entry)
{
	static const struct setup_header hdr = {
		.boot_flag = HDR_BOOT_FLAG,
		.header = HDR_MAGIC,
		.version = HDR_ELF,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = INITRD_MAX,
		.kernel_alignment = 2 * MIB,
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = CMDLINE_LINUX,
	};
	uint64_t len = strlen(l->conf->cmdline) + 1, rip;
	int err;

	load_reserve(l, GPA_ZERO_PAGE, GPA_CMDLINE + MIN(len, CMDLINE_MAX) - GPA_ZERO_PAGE);
	err = elf_load(elf, l);
	if (!err)
		err = elf_locate(elf, l, elf->entry, &rip);
	if (!err)
		err = load_cmdline(l, CMDLINE_LINUX);
	if (!err)
		err = load_initrd(l, INITRD_MAX + 1ull);
	return err ? err : linux_finish(l, &hdr, sizeof(hdr), rip, entry);
}
