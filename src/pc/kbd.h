/*
 * kbd.h - 8042 keyboard controller at 60h and 64h with a keyboard and no mouse, IRQ 1. Every
 * command is answered at once. Board lock held by the caller.
 */
#pragma once
#include "../irq/line.h"

#define KBD_QUEUE 16u

struct kbd { /* guest-visible state, then the wires */
	uint8_t config;       /* command byte: bit 0 IRQ 1, bit 4 clock off, bit 6 translation */
	uint8_t outport;      /* bit 0: low resets; bit 1: A20, always open */
	uint8_t status;       /* without OBF, which is queue_len != 0 */
	uint8_t command;      /* controller command waiting for its data byte; 0 = none */
	uint8_t kbd_command;  /* keyboard command waiting for its data byte; 0 = none */
	bool scanning;
	uint8_t queue[KBD_QUEUE];
	uint8_t queue_head, queue_len;
	struct irq_line irq1;
	struct power_line power;
};

void kbd_init(struct kbd *k, struct irq_line irq1, struct power_line power);
/* `off` is from 60h: 0 data, 4 status and command; others read all-ones. */
uint32_t kbd_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void kbd_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
/* Presses and releases Ctrl-Alt-Del. false: the guest does not take keys now. */
bool kbd_ctrl_alt_del(struct kbd *k);
