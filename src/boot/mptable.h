/*
 * mptable.h - Intel MultiProcessor Specification 1.4 table at GPA_MPTABLE, its floating pointer in
 * the EBDA: what a kernel without ACPI finds its CPUs and interrupt pins by.
 */
#pragma once
#include "../mem/ram.h"

/* Writes the table for `cpus` (1..MAX_CPUS) CPUs. 0, or -ENOSPC. */
int mptable_build(const struct ram *ram, unsigned cpus);
