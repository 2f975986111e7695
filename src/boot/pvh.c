/*
 * pvh.c - PVH start info, version 1 [Xen, public/arch-x86/hvm/start_info.h]. With its lists and the
 * command line it is one piece of low memory where the image leaves room, mostly a single page.
 */
#include "pvh.h"

#include <errno.h>
#include <string.h>

#include "../log.h"
#include "e820.h"

#define PVH_MAGIC      0x336ec578u
#define PVH_VERSION    1u
/* Linux, the known user, takes an initrd up to here without copying it. */
#define PVH_INITRD_END (2 * GIB)

struct pvh_start {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp;
	uint64_t memmap; /* from here on since version 1 */
	uint32_t memmap_entries, reserved;
};

struct pvh_module {
	uint64_t paddr, size, cmdline, reserved;
};

struct pvh_memmap {
	uint64_t addr, size;
	uint32_t type, reserved;
};

struct pvh_info {
	struct pvh_start start;
	struct pvh_module module;
	struct pvh_memmap memmap[E820_MAX];
	char cmdline[];
};

static void pvh_fill(const struct load *l, struct pvh_info *p, uint64_t gpa)
{
	struct e820_entry map[E820_MAX];
	unsigned n = e820_build(l->ram, map);

	p->start = (struct pvh_start){
		.magic = PVH_MAGIC,
		.version = PVH_VERSION,
		.nr_modules = l->initrd_size != 0,
		.modlist = l->initrd_size ? gpa + offsetof(struct pvh_info, module) : 0,
		.cmdline = gpa + offsetof(struct pvh_info, cmdline),
		.rsdp = l->rsdp,
		.memmap = gpa + offsetof(struct pvh_info, memmap),
		.memmap_entries = n,
	};
	p->module = (struct pvh_module){.paddr = l->initrd, .size = l->initrd_size};
	for (unsigned i = 0; i < n; i++)
		p->memmap[i] = (struct pvh_memmap){map[i].addr, map[i].size, map[i].type, 0};
	strcpy(p->cmdline, l->conf->cmdline);
}

int pvh_load(struct load *l, const struct elf *elf, struct boot_entry *entry)
{
	uint64_t len = strlen(l->conf->cmdline), size = sizeof(struct pvh_info) + len + 1;
	uint64_t info = 0, rip;
	int err;

	err = load_cmdline_fits(l, len, CMDLINE_MAX - 1);
	if (!err)
		err = elf_load(elf, l);
	if (!err)
		err = elf_locate(elf, l, elf->pvh_entry, &rip);
	if (!err)
		err = load_info(l, size, &info);
	if (!err)
		err = load_initrd(l, PVH_INITRD_END);
	if (err)
		return err;
	pvh_fill(l, ram_at(l->ram, info, size), info);
	*entry = (struct boot_entry){
		.mode = BOOT_MODE_PROT32, .rip = rip, .rbx = info, .kernel64 = elf->is64};
	return 0;
}
