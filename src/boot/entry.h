/*
 * entry.h - what a vCPU entered in 64-bit mode needs in memory: page tables and the GDT that its
 * segment registers were loaded from. kvm/vcpu.c sets the registers from the same descriptors.
 */
#pragma once
#include "../mem/ram.h"

/* Selectors: Linux relies on 10h for code and 18h for data [x86/boot.rst, 64-bit protocol]. */
#define ENTRY_CS 0x10u
#define ENTRY_DS 0x18u
#define ENTRY_TR 0x20u

/* Descriptors [SDM 3A 3.4.5]: flat, present, ring 0, accessed; TR's is busy, as VM entry demands.
 */
#define ENTRY_DESC_CODE64 0x00af9b000000ffffull /* execute, read; L */
#define ENTRY_DESC_DATA   0x00cf93000000ffffull /* read, write; 4 GiB */
#define ENTRY_DESC_CODE32                                                                          \
	0x00cf9b000000ffffull                /* for 32-bit entries, which have no GDT in memory */
#define ENTRY_DESC_TSS 0x00008b0000000067ull /* 64-bit TSS at 0; its high half is 0 */
#define ENTRY_GDT_SIZE 0x30u                 /* two null, code, data, TSS of 16 bytes */

/*
 * Writes the tables: an identity map of 4 GiB in 2 MiB pages at GPA_PML4 (the second and third GiB
 * only where there is RAM) and the GDT at GPA_GDT. 0, or -E2BIG (logged) when they do not lie in
 * RAM.
 */
int entry_long64(const struct ram *ram);
