/*
 * loader.h - one case of loader_fuzz: the bytes that choose how to boot, then those of the kernel.
 */
#pragma once
#include "../../src/boot/boot.h"

/* The first bytes of an input. */
struct loader_scene {
	uint8_t entry;   /* enum boot_entry_choice, modulo 3; bit 7: vectors of a BIOS */
	uint8_t ram;     /* size of RAM: index, modulo what there is */
	uint8_t initrd;  /* the same for the initrd */
	uint8_t cmdline; /* and for the command line */
	uint8_t cpus;    /* 1 less, modulo MAX_CPUS */
	uint8_t hole;    /* the file goes on with so many KiB of zeros, times 8 */
	uint8_t reserved[2];
};

struct loader_case {
	const struct boot_conf *conf;
	const struct ram *ram;
	const struct boot_entry *entry;
	const uint8_t *file;
	uint64_t len;  /* bytes at `file` */
	uint64_t size; /* of the file: zeros follow */
	const uint8_t *initrd;
	uint64_t initrd_len, initrd_size; /* the same */
};

/* After boot_load() gave 0: everything is where the guest is told, with the bytes of the file. */
void loader_check(const struct loader_case *c);
