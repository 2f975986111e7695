/*
 * pvh.h - the PVH boot protocol [Xen, docs/misc/pvh.pandoc]: an ELF entered in 32-bit mode at the
 * address in its note, EBX pointing to a start info with memory map, module, command line and RSDP.
 */
#pragma once
#include "elf.h"
#include "load.h"

/* Loads the ELF, of which elf->pvh is true, and fills `entry`. 0, or -errno with the cause logged.
 */
int pvh_load(struct load *l, const struct elf *elf, struct boot_entry *entry);
