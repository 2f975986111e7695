/*
 * linux.h - the Linux x86 boot protocol, 64-bit entry: bzImage, and vmlinux by the same zero page.
 */
#pragma once
#include "elf.h"
#include "load.h"

/* True if the head of l->kernel bears a Linux setup header. */
bool linux_match(const struct image *img);

/*
 * Loads the bzImage l->kernel with initrd and command line and fills `entry`. 0, or -errno with the
 * cause logged: -ENOEXEC for a file that is damaged, too old or not for 64-bit entry, -E2BIG for
 * what does not fit.
 */
int linux_load_bzimage(struct load *l, struct boot_entry *entry);

/* The same for an ELF that elf_parse() has accepted, entered at its entry point. */
int linux_load_elf(struct load *l, const struct elf *elf, struct boot_entry *entry);
