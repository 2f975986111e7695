/*
 * layout.h - every guest-physical address that the monitor knows, in address order. The port map
 * is the table in pc/board.c.
 */
#pragma once
#include "../util.h"

/* Below 640 KiB: what boot leaves for the guest. Free RAM once the kernel has taken over. */
#define GPA_IVT        0x0ull    /* real-mode vectors, --test-device only */
#define GPA_BOOT_INFO  0x6000ull /* PVH or multiboot info, or the first gap after */
#define GPA_ZERO_PAGE  0x7000ull /* struct boot_params of the Linux protocol */
#define GPA_STACK      0x8ff0ull /* grows down; the zero page's 4 KiB end at 0x8000 */
#define GPA_PML4       0x9000ull /* identity map: PML4, PDPT, four page directories */
#define GPA_PDPT       0xa000ull
#define GPA_PD         0xb000ull /* to 0xefff: 4 GiB in 2 MiB pages */
#define GPA_GDT        0xf000ull /* boot GDT, with a 64-bit TSS; its page holds all down to... */
#define GPA_IDT        0xf038ull /* empty: a fault this early is a triple fault */
#define GPA_SETUP_DATA 0xf040ull /* RNG seed for the Linux protocol */
#define GPA_CMDLINE    0xf100ull /* ...a short command line; up to 64 KiB with its NUL */
#define CMDLINE_MAX    0x10000ull
#define GPA_LOW_END    0x9fc00ull /* end of conventional memory; the 1 KiB EBDA follows */
#define GPA_EBDA       0x9fc00ull /* MPTable floating pointer */
#define EBDA_SIZE      0x400ull
#define GPA_ACPI       0xe0000ull /* RSDP, then the other tables */
#define ACPI_SIZE      0x10000ull
#define GPA_MPTABLE    0xf0000ull
#define MPTABLE_SIZE   0xf000ull
#define GPA_BIOS_STUBS 0xff000ull  /* --test-device only: what real-mode vectors point to */
#define GPA_HIMEM      0x100000ull /* kernels load from here on */

/* Below 4 GiB: the hole. */
#define GPA_LOW_RAM_MAX  0xc0000000ull /* RAM above 3 GiB continues at 4 GiB */
#define GPA_BOOT_TIMER   0xc0000000ull /* a byte written here is a guest mark in the timeline */
#define BOOT_TIMER_SIZE  0x1000ull
#define GPA_VIRTIO_MMIO  0xc0001000ull /* virtio-mmio windows, 4 KiB each */
#define VIRTIO_MMIO_END  0xc0100000ull
#define GPA_PCI_WINDOW   0xc1000000ull /* PCI memory, the host bridge's _CRS */
#define PCI_WINDOW_END   0xfec00000ull
#define GPA_IOAPIC       0xfec00000ull
#define IOAPIC_SIZE      0x1000ull
#define GPA_LAPIC        0xfee00000ull /* in KVM */
#define LAPIC_SIZE       0x1000ull
#define GPA_TEST_MMIO    0xff000000ull /* 64 KiB byte store, --test-device only */
#define TEST_MMIO_SIZE   0x10000ull
#define GPA_KVM_IDENTITY 0xfffbc000ull /* KVM's identity map page for real mode without UG */
#define GPA_KVM_TSS      0xfffbd000ull /* and its TSS, three pages */
#define GPA_4G           0x100000000ull

#define GPA_NO_RAM_END GPA_4G /* [GPA_LOW_RAM_MAX, GPA_NO_RAM_END) never holds RAM */

/* Ports that tables and chips name too. */
#define PORT_PM         0x600u /* PM1 event +0, control +4, timer +8, GPE0 +0xc */
#define PORT_RESET      0xcf9u
#define ACPI_SCI_IRQ    9u
#define MAX_CPUS        32u
/* The first ID that no CPU has; the register's four bits end at 15, and Linux does not mind. */
#define IOAPIC_ID(cpus) ((cpus) < 15u ? (cpus) : 15u)
