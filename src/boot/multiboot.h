/*
 * multiboot.h - Multiboot 0.6.96: a 32-bit image that says by a header in its first 8 KiB that it
 * wants EBX to point to a description of the machine.
 */
#pragma once
#include "load.h"

#define MULTIBOOT_SEARCH 8192u /* the header lies in these first bytes, aligned to 4 */

/* True if the head of l->kernel holds the header's magic number. */
bool multiboot_match(const struct image *img);

/*
 * Loads l->kernel, the initrd as its one module and the information, and fills `entry`. 0, or
 * -errno with the cause logged: -ENOEXEC for a damaged header or image, or features that are not
 * offered.
 */
int multiboot_load(struct load *l, struct boot_entry *entry);
