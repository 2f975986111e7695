/*
 * acpi.h - RSDP, RSDT, XSDT, FADT, FACS, MADT and the DSDT that iasl compiled, at GPA_ACPI.
 */
#pragma once
#include "../mem/ram.h"

/*
 * virtio-mmio windows that the DSDT can declare, at GPA_VIRTIO_MMIO + n * 4 KiB. Each has an edge
 * interrupt: window n's GSI is entry n % 14 of 5, 6, 7, 12, 14, 15, 16..23.
 */
#define ACPI_WINDOWS 32u

/*
 * Writes the tables for `cpus` (1..MAX_CPUS) CPUs; APIC ID = index. No window is present. 0, or
 * -ENOSPC: nothing is written then.
 */
int acpi_build(const struct ram *ram, unsigned cpus);
/*
 * After acpi_build() and before the guest runs: makes the windows of bitmap `present` visible, and
 * no others. 0, or -ENOSPC.
 */
int acpi_windows(const struct ram *ram, uint32_t present);
/* Guest-physical address of the RSDP, for PVH and the zero page. */
uint64_t acpi_rsdp(void);
