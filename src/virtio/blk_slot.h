/*
 * blk_slot.h - what a disk's request needs while it is in flight: of fixed number, and memory only
 * as far as ever so many were in flight at once. Device lock held.
 */
#pragma once
#include "blk.h"
#include "blk_cmd.h"

struct blk_table;

/* A request in flight. */
struct blk_slot {
	struct blk_req req;    /* first: who has it has the slot */
	struct blk_slot *next; /* free */
	struct blk_table *table;
	uint8_t *status;  /* in guest memory */
	uint32_t written; /* bytes, if it ends well; without the status */
	uint16_t head;
	uint8_t queue, file;
	uint8_t ranges, range; /* DISCARD, WRITE_ZEROES: how many, and the next one */
	bool discard;
	union {
		struct iovec iov[BLK_IOV_FEW];
		struct blk_range todo[BLK_RANGES_MAX];
	};
};

static inline struct blk_slot *blk_slot_of(struct blk_req *r)
{
	return (struct blk_slot *)((char *)r - offsetof(struct blk_slot, req));
}

/* 0 or -errno, logged; `path` is for that. */
int blk_slots_init(struct blk *b, const char *path);
void blk_slots_finish(struct blk *b);
/* Is there one, and what more than a few buffers need? */
bool blk_slot_free(const struct blk *b, unsigned iovs);
/* Takes one, which blk_slot_free() said to be there, for the current file. */
struct blk_slot *blk_slot_get(struct blk *b);
void blk_slot_put(struct blk *b, struct blk_slot *s);
/*
 * Is what is written to be on the medium when it ends? A driver that was offered flushes and took
 * none gets by without [5.2.6.2].
 */
bool blk_stable(const struct blk *b);
/* The buffers of a READ or WRITE. */
void blk_slot_buffers(struct blk *b, struct blk_slot *s, const struct iovec *iov, unsigned iovs);
/* Hands it to the engine. */
void blk_slot_start(struct blk *b, struct blk_slot *s, enum blk_op op, uint64_t off, uint64_t len);
/* Starts the next range that is not empty; false: there is none. */
bool blk_slot_start_range(struct blk *b, struct blk_slot *s);
/* Closes the file unless it is the disk's, or has requests in flight. */
void blk_file_put(struct blk *b, unsigned file);
