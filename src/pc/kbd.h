/*
 * kbd.h - 8042 keyboard controller at 60h and 64h with a keyboard and no mouse, IRQ 1. Every
 * command is answered at once. Board lock held by the caller.
 */
#pragma once
#include "../irq/line.h"

#define KBD_QUEUE 16u

struct kbd {                 /* guest-visible state, then the wires */
	uint8_t config;      /* command byte: bit 0 IRQ 1, bit 4 clock off, bit 6 translation */
	uint8_t outport;     /* bit 0: low resets; bit 1: A20, always open */
	uint8_t status;      /* bit 3: the last write was a command; the rest is derived */
	uint8_t command;     /* controller command waiting for its data byte; 0 = none */
	uint8_t kbd_command; /* keyboard command waiting for its data byte; 0 = none */
	bool scanning;
	bool used;            /* the guest has touched the controller */
	uint8_t reply;        /* the controller's own answer, which goes before the queue */
	uint8_t reply_status; /* status bits that come with it; 0 = no answer waits */
	uint8_t last;         /* what 60h read last, and reads while nothing waits */
	uint8_t kbd_last;     /* what the keyboard sent last, for Resend */
	uint8_t queue[KBD_QUEUE];
	uint8_t queue_head, queue_len;
	struct irq_line irq1;
	struct power_line power;
};

/* Leaves the controller as firmware does: tested, interrupt and translation on, keyboard on. */
void kbd_init(struct kbd *k, struct irq_line irq1, struct power_line power);
/* `off` is from 60h: 0 data, 4 status and command; others read all-ones. */
uint32_t kbd_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void kbd_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
/*
 * Presses and releases Ctrl-Alt-Del. false: the guest does not take keys now, because it has never
 * touched the controller, has the keyboard or its interrupt off, or leaves earlier bytes unread.
 */
bool kbd_ctrl_alt_del(struct kbd *k);
