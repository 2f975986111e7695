/*
 * load.h - one boot in the making: which guest-physical ranges are spoken for, and the ways to put
 * a file or a few bytes into the rest. Private to boot/.
 */
#pragma once
#include "../mem/ram.h"
#include "boot.h"
#include "image.h"

struct load_range {
	uint64_t start, end; /* [start, end) */
};

#define LOAD_RANGES_MAX 80 /* an ELF's segments and a handful more */

struct load {
	const struct boot_conf *conf;
	const struct ram *ram; /* all zero but for what was loaded: nothing here clears memory */
	struct image kernel;
	uint64_t rsdp;                /* guest-physical */
	uint64_t initrd, initrd_size; /* after load_initrd(); size 0: none */
	unsigned n;
	struct load_range taken[LOAD_RANGES_MAX];
};

/*
 * Claims [start, start + size) of low RAM for `what`, a part of the kernel file. 0, or -errno with
 * the cause logged: -E2BIG outside RAM, -ENOEXEC where something else lies. size > 0.
 */
int load_take(struct load *l, uint64_t start, uint64_t size, const char *what);

/* Claims what is known not to overlap: the monitor's own tables, in room found before. */
void load_reserve(struct load *l, uint64_t start, uint64_t size);

/*
 * Finds room of `size` (> 0) bytes in low RAM, aligned to `align`, a power of two: the lowest at or
 * above `from`, or the highest from 1 MiB on that ends at or below `limit`. Claims nothing; 0 when
 * there is none.
 */
uint64_t load_find_low(const struct load *l, uint64_t from, uint64_t size, uint64_t align);
uint64_t load_find_high(const struct load *l, uint64_t limit, uint64_t size, uint64_t align);

/* Finds and claims room for `size` bytes of boot information, low in RAM. 0 or -E2BIG, logged. */
int load_info(struct load *l, uint64_t size, uint64_t *gpa);

/*
 * Says that every byte of the range will be used soon: whole blocks of 2 MiB inside become huge
 * pages where the host has them on request. That more than halves the time to load a large kernel,
 * and costs no memory that would not be used.
 */
void load_dense(const struct load *l, uint64_t gpa, uint64_t size);

/* load_dense() and image_read() to guest memory; -E2BIG with the cause logged when the range is not
 * RAM. */
int load_read(const struct load *l, const struct image *img, uint64_t off, uint64_t gpa,
	      uint64_t len);

/*
 * Loads conf->initrd, if any, page-aligned: as high as possible below `limit`, or with limit 0 as
 * low as possible from 1 MiB on. To be called when all else is claimed. 0 or -errno, logged.
 */
int load_initrd(struct load *l, uint64_t limit);

/*
 * Copies the command line with its NUL to GPA_CMDLINE. `max` is its length limit without the NUL,
 * on the kernel's side. 0, or -E2BIG with the cause logged.
 */
int load_cmdline(const struct load *l, uint64_t max);
/* The check alone, for a line of `len` bytes. */
int load_cmdline_fits(const struct load *l, uint64_t len, uint64_t max);
