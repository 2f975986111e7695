/*
 * testdev.h - the ports and the memory store that kvm-unit-tests expects, there only with
 * --test-device: latches at E0h and E8h, page flush at E4h, interrupt lines at 2000h, process exit
 * at F4h, fw_cfg at 510h, a byte store at GPA_TEST_MMIO. Board lock held by the caller.
 */
#pragma once
#include "../irq/line.h"
#include "../mem/layout.h"

#define TESTDEV_LINES 24u

/* What the board connects. Functions may be NULL: then nothing happens. */
struct testdev_config {
	/* GSI n; one whose `set` is NULL is not connected. */
	struct irq_line line[TESTDEV_LINES];
	void *ctx; /* handed to the functions */
	/*
	 * Makes the next guest access to the 4 KiB page at `gpa` fault in the host. `gpa` is the
	 * guest's word, a multiple of 4 KiB: it may be no RAM at all.
	 */
	void (*flush_page)(void *ctx, uint64_t gpa);
	/* The process is to end with `status`, (value << 1 | 1) & FFh. */
	void (*exit)(void *ctx, uint8_t status);
	uint64_t ram_bytes; /* fw_cfg 3: RAM below and above 4 GiB together */
	uint16_t cpus;      /* fw_cfg 5 */
	uint8_t *store;     /* TEST_MMIO_SIZE bytes; NULL: the range reads all-ones */
};

struct testdev { /* guest-visible state, then the connections */
	uint32_t latch;
	uint16_t fwcfg_key;
	uint16_t fwcfg_pos; /* bytes read since the key was written */
	struct testdev_config config;
};

void testdev_init(struct testdev *t, const struct testdev_config *config);

/* One 32-bit latch at E0h-E3h and again at E8h-EBh: `off` 0..3, any size. */
uint32_t testdev_latch_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void testdev_latch_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
/* E4h: a dword written at `off` 0 flushes its page; reads all-ones. */
uint32_t testdev_flush_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void testdev_flush_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
/* 2000h-2017h: a byte written at `off` n drives line n to byte != 0; reads all-ones. */
uint32_t testdev_line_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void testdev_line_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
/* F4h (QEMU decodes to F7h): any write ends the process; reads 0. */
uint32_t testdev_exit_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void testdev_exit_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
/*
 * 510h: a word written at `off` 0 selects a key, bytes are read at `off` 1. The board allows sizes
 * 1 and 2; other accesses read all-ones and are dropped.
 */
uint32_t testdev_fwcfg_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void testdev_fwcfg_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
/* GPA_TEST_MMIO: `off` below TEST_MMIO_SIZE, any size; the board splits 8-byte accesses. */
uint32_t testdev_mmio_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void testdev_mmio_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
