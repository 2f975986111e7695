/*
 * sysctl.h - system control: port 61h (counter 2 gate and output, refresh toggle), port 92h (fast
 * A20 and reset), CF9h (PIIX3 reset control). Board lock held by the caller.
 */
#pragma once
#include "pit.h"

struct sysctl {
	uint8_t port61; /* bits 3:0 as written */
	uint8_t port92; /* bit 1: A20, which is always open; bit 0 resets on its rise */
	uint8_t rcr;    /* CF9h: bit 1 kind of reset, bit 2 resets on its rise and reads 0 */
	struct pit *pit;
	struct power_line power;
};

/* `pit`: its counter 2 is behind port 61h; gate 2 is low, as pit_init() leaves it. */
void sysctl_init(struct sysctl *s, struct pit *pit, struct power_line power);
/* Each range is one port: `off` is 0 and of no interest. */
uint32_t sysctl_61_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void sysctl_61_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
uint32_t sysctl_92_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void sysctl_92_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
uint32_t sysctl_rcr_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void sysctl_rcr_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
