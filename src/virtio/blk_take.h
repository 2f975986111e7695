/*
 * blk_take.h - single requests of a disk, between its queues (blk.c) and its slots. Device lock
 * held, in the loop's thread or, where it says so, in the worker's.
 */
#pragma once
#include "blk.h"

/* What a turn copies out of the page cache or into it, and so what one request at most does. */
#define BLK_TURN_BYTES (1 * MIB)

static inline struct blk *blk_of(struct virtio_dev *d)
{
	return (struct blk *)((char *)d - offsetof(struct blk, dev));
}

/*
 * Carries out, starts or refuses what the chain of queue `n` asks for. false: it has to wait, for
 * room, for time, or, in a turn of the worker, for the loop.
 */
bool blk_take(struct virtio_dev *d, unsigned n, struct chain *c) REQUIRES(d->lock);
/* Requests came back from the engine: answers, or goes on with the next range. Either thread. */
void blk_ended(struct blk *b, struct blk_req *list);
