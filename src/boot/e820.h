/*
 * e820.h - the memory map that the guest is told, one source for Linux's, PVH's and multiboot's.
 */
#pragma once
#include "../mem/ram.h"

enum e820_type { E820_RAM = 1, E820_RESERVED = 2 };

struct e820_entry {
	uint64_t addr, size;
	uint32_t type; /* enum e820_type; PVH and multiboot use the same numbers */
} __attribute__((packed));

#define E820_MAX 16

/* Fills `e` for `ram`; returns the number of entries (<= E820_MAX), in address order, disjoint. */
unsigned e820_build(const struct ram *ram, struct e820_entry e[E820_MAX]);
