/*
 * boot.c - the order of a boot: find out what the kernel file is, let its protocol load it, then
 * leave the tables that a firmware would have left.
 */
#include "boot.h"

#include <errno.h>

#include "../log.h"
#include "acpi.h"
#include "bios.h"
#include "elf.h"
#include "linux.h"
#include "load.h"
#include "mptable.h"
#include "multiboot.h"
#include "pvh.h"

/* One read that tells what the file is; small images are in it as a whole. */
#define HEAD_BYTES MULTIBOOT_SEARCH

static int boot_bad(const struct load *l, int err, const char *why)
{
	return log_fail(err, "kernel %s: %s", l->kernel.path, why);
}

static int boot_elf(struct load *l, struct boot_entry *entry)
{
	enum boot_entry_choice choice = l->conf->entry;
	struct elf elf;
	int err = elf_parse(&l->kernel, &elf);

	if (err)
		return err;
	if (elf.pvh && choice != BOOT_LINUX64)
		return pvh_load(l, &elf, entry);
	if (choice == BOOT_PVH)
		return boot_bad(l, EINVAL,
				"has no note with a PVH entry; leave the choice of entry "
				"to the monitor or take a kernel with CONFIG_PVH");
	if (!elf.is64)
		return boot_bad(l, choice == BOOT_LINUX64 ? EINVAL : ENOEXEC,
				"a 32-bit ELF without PVH note or multiboot header has no entry "
				"that the monitor knows");
	return linux_load_elf(l, &elf, entry);
}

/* A multiboot ELF may have the other doors too, where they are asked for. */
static int boot_kernel(struct load *l, struct boot_entry *entry)
{
	const struct image *img = &l->kernel;
	enum boot_entry_choice choice = l->conf->entry;

	if (linux_match(img)) {
		if (choice == BOOT_PVH)
			return boot_bad(l, EINVAL,
					"a bzImage has no PVH entry; leave the choice to "
					"the monitor or take the vmlinux inside");
		return linux_load_bzimage(l, entry);
	}
	if (multiboot_match(img) && (choice == BOOT_AUTO || !elf_match(img))) {
		if (choice != BOOT_AUTO)
			return boot_bad(l, EINVAL,
					"a multiboot image has one entry only; leave the "
					"choice of entry to the monitor");
		return multiboot_load(l, entry);
	}
	if (elf_match(img))
		return boot_elf(l, entry);
	return boot_bad(l, ENOEXEC, "not a bzImage, ELF or multiboot image");
}

static int boot_tables(const struct boot_conf *c, const struct ram *ram)
{
	if (acpi_build(ram, c->cpus) < 0)
		return log_fail(ENOSPC, "ACPI tables for %u CPUs do not fit", c->cpus);
	if (mptable_build(ram, c->cpus) < 0)
		return log_fail(ENOSPC, "MP table for %u CPUs does not fit", c->cpus);
	return 0;
}

int boot_load(const struct boot_conf *c, const struct ram *ram, struct boot_entry *entry)
{
	struct load l = {.conf = c, .ram = ram, .rsdp = acpi_rsdp()};
	uint8_t head[HEAD_BYTES];
	int err = image_take(&l.kernel, "kernel", c->kernel, c->kernel_fd);

	if (err)
		return err;
	/* EBDA, video memory and ROM area, whether an image or a table wants to be there. */
	load_reserve(&l, GPA_EBDA, GPA_HIMEM - GPA_EBDA);
	if (c->bios)
		load_reserve(&l, GPA_IVT, IVT_SIZE);
	err = image_head(&l.kernel, head, sizeof(head));
	if (!err)
		err = boot_kernel(&l, entry);
	if (!err)
		err = boot_tables(c, ram);
	if (!err && c->bios)
		err = bios_build(ram);
	image_close(&l.kernel);
	return err;
}
