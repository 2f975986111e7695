/*
 * blk_engine.h - an engine for disks that is driven by hand: requests end when it is told, in any
 * order, well or not. Each is checked when it comes, and carried out by the real row of calls.
 */
#pragma once
#include "../../src/virtio/blk.h"

enum mood { MOOD_WELL, MOOD_SHORT, MOOD_AGAIN, MOOD_EIO, MOOD_FULL, MOOD_LACKS, MOODS };

struct engine {
	const struct ram *ram;
	struct blk_io io; /* to point at, no more */
	struct blk_req *pending[BLK_SLOTS];
	unsigned n, started; /* the first ones have been started, the others may be cancelled */
	/* The worker: whose bell it hears, and the last such, whose row it is at. */
	struct blk_user *lent, *worker_of;
	struct blk_req *row[BLK_SLOTS];
	unsigned rows;
	enum mood mood;
	bool refuses; /* as a kernel without memory */
	uint64_t carried_out;
};
extern struct engine engine;

#define ENGINE_BELL 77 /* no descriptor */

/* Nothing but what the device says may be in the request. */
void engine_reset(const struct ram *ram);
/* Ends up to `n` of what was started, beginning with the `first`th. */
void engine_end(unsigned first, unsigned n);
/* The bell that was lent rings, or did a moment ago. */
void engine_ring(void);
/* The worker ends up to `n` of its row. */
void engine_write(unsigned n);
