/*
 * acpi.h - RSDP, XSDT, FADT, FACS, MADT and the DSDT that iasl compiled, at GPA_ACPI.
 */
#pragma once
#include "../mem/ram.h"

/* Writes the tables for `cpus` (1..MAX_CPUS) CPUs; APIC ID = index. 0, or -ENOSPC. */
int acpi_build(const struct ram *ram, unsigned cpus);
/* Guest-physical address of the RSDP, for PVH and the zero page. */
uint64_t acpi_rsdp(void);
