/*
 * queue_model.h - a split virtqueue once more, as plainly as the specification has it [virtio 1.2,
 * 2.7]: what queue.c must make of the rings as they are now.
 */
#pragma once
#include "../../src/virtio/queue.h"

struct model {
	const struct ram *ram;
	uint64_t desc, avail, used;
	unsigned size;
	bool event_idx, indirect;
	uint16_t taken, seen, back, shown; /* chains popped, offered, given back, published */
};

struct model_chain {
	uint16_t head;
	unsigned n, readable;
	uint64_t addr[QUEUE_SIZE_MAX];
	uint32_t len[QUEUE_SIZE_MAX];
	uint64_t read_bytes, write_bytes;
};

/* Can a queue be started with these settings? */
bool model_start(struct model *m, const struct ram *ram, const struct queue *q, bool event_idx,
		 bool indirect);
int model_pop(struct model *m, struct model_chain *c);
/* Does the driver want an interrupt for what was given back since the last time? */
bool model_interrupts(struct model *m);
bool model_pending(const struct model *m);
/* Is [gpa, gpa + len) in one region of RAM, and len not 0? */
bool model_inside(const struct ram *ram, uint64_t gpa, uint64_t len);
uint16_t model_word(const struct model *m, uint64_t gpa);
