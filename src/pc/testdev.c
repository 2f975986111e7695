/*
 * testdev.c - test device of kvm-unit-tests: what QEMU calls pc-testdev, isa-debug-exit and the
 * port side of fw_cfg, as far as the tests use them.
 * Modelled: everything that testdev.h lists. Not modelled: fw_cfg's signature, files and DMA; keys
 * other than RAM size and CPU count read 0, which the tests take for "none".
 * Board lock held by the caller.
 */
#include "testdev.h"

#define TESTDEV_PAGE     MASK(63, 12)
#define TESTDEV_LATCH    4u /* bytes */
#define TESTDEV_KEY_RAM  3u /* 8 bytes */
#define TESTDEV_KEY_CPUS 5u /* 2 bytes */

void testdev_init(struct testdev *t, const struct testdev_config *config)
{
	*t = (struct testdev){.config = *config};
}

uint32_t testdev_latch_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	const struct testdev *t = dev;
	uint32_t val = all_ones(size);

	for (unsigned i = 0; i < size && off < TESTDEV_LATCH; i++, off++) {
		CLEAR(val, MASK(8 * i + 7, 8 * i));
		val |= (t->latch >> (8 * off) & UINT8_MAX) << (8 * i);
	}
	return val;
}

void testdev_latch_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	struct testdev *t = dev;

	for (; size && off < TESTDEV_LATCH; size--, off++, val >>= 8) {
		CLEAR(t->latch, MASK(8 * off + 7, 8 * off));
		t->latch |= (val & UINT8_MAX) << (8 * off);
	}
}

uint32_t testdev_flush_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	return all_ones(size);
}

void testdev_flush_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	const struct testdev_config *c = &((struct testdev *)dev)->config;

	if (off == 0 && size == 4 && c->flush_page)
		c->flush_page(c->ctx, val & TESTDEV_PAGE);
}

uint32_t testdev_line_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	return all_ones(size);
}

void testdev_line_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	const struct testdev_config *c = &((struct testdev *)dev)->config;

	for (; size && off < TESTDEV_LINES; size--, off++, val >>= 8)
		if (c->line[off].set)
			irq_set(&c->line[off], (val & UINT8_MAX) != 0);
}

uint32_t testdev_exit_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	return 0;
}

/* Always odd: a test cannot end with 0, the status of a guest that powered itself off. */
void testdev_exit_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	const struct testdev_config *c = &((struct testdev *)dev)->config;

	if (c->exit)
		c->exit(c->ctx, (uint8_t)(val << 1 | 1));
}

uint32_t testdev_fwcfg_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	struct testdev *t = dev;
	uint64_t item;

	if (off != 1 || size != 1)
		return all_ones(size);
	if (t->fwcfg_pos >= sizeof(item))
		return 0; /* and the position stays, so that it cannot wrap to the start */
	switch (t->fwcfg_key) {
	case TESTDEV_KEY_RAM: item = t->config.ram_bytes; break;
	case TESTDEV_KEY_CPUS: item = t->config.cpus; break;
	default: item = 0; break;
	}
	return item >> (8 * t->fwcfg_pos++) & UINT8_MAX;
}

void testdev_fwcfg_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	struct testdev *t = dev;

	if (off != 0 || size != 2)
		return;
	t->fwcfg_key = (uint16_t)val;
	t->fwcfg_pos = 0;
}

uint32_t testdev_mmio_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	const uint8_t *store = ((struct testdev *)dev)->config.store;
	uint32_t val = all_ones(size);

	for (unsigned i = 0; store && i < size && off < TEST_MMIO_SIZE; i++, off++) {
		CLEAR(val, MASK(8 * i + 7, 8 * i));
		val |= (uint32_t)store[off] << (8 * i);
	}
	return val;
}

void testdev_mmio_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	uint8_t *store = ((struct testdev *)dev)->config.store;

	for (; store && size && off < TEST_MMIO_SIZE; size--, off++, val >>= 8)
		store[off] = (uint8_t)val;
}
