/*
 * queue.h - split virtqueue, the device's side [virtio 1.2, 2.7]. All of it is in guest RAM and
 * hostile: each descriptor is read once, into a struct chain that is checked and then trusted; the
 * rings themselves are found by the addresses that queue_start() latched. Device lock held by the
 * caller of everything here.
 */
#pragma once
#include <sys/uio.h>

#include "../mem/ram.h"

#define QUEUE_SIZE_MAX  256u /* entries; also the longest chain, indirect or not */
#define QUEUE_NO_VECTOR 0xffffu

struct queue {
	/* The driver's settings: writable until DRIVER_OK, read back from here. */
	uint16_t size; /* a power of two, 1..max */
	uint16_t max;
	uint16_t vector; /* MSI-X, QUEUE_NO_VECTOR = none */
	bool enabled;
	uint64_t desc, avail, used; /* guest-physical */

	/* Latched by queue_start(). */
	bool started, event_idx, indirect;
	const struct ram *ram;
	uint16_t mask; /* size - 1 */
	uint8_t *desc_at;
	uint8_t *avail_at;
	uint8_t *used_at;

	uint16_t last_avail; /* chains taken, mod 2^16 */
	uint16_t used_idx;   /* chains given back, mod 2^16; published by queue_flush() */
	uint16_t signalled;  /* used_idx at the last interrupt decision */
	uint16_t avail_seen; /* the driver's index, as last read */
};

/* One request: what the driver gives to read, then what it gives to write. */
struct chain {
	uint16_t head;
	uint16_t readable, writable;      /* iov entries; the readable ones come first */
	uint32_t read_bytes, write_bytes; /* sums; a chain beyond 2^32 - 1 is broken */
	struct iovec iov[QUEUE_SIZE_MAX]; /* into guest RAM; none is empty */
};

/* The settings after reset: not enabled, `max` entries. */
void queue_reset(struct queue *q, uint16_t max);
/*
 * DRIVER_OK: checks the rings (alignment, inside one RAM region each, no overlap) and latches them.
 * `event_idx` and `indirect` are the negotiated features. false: they are not usable, and the
 * device needs a reset. A queue that is not enabled stays unstarted, which is fine.
 */
bool queue_start(struct queue *q, const struct ram *ram, bool event_idx, bool indirect);

/*
 * Takes the next chain. 1: *c is filled; 0: there is none; -1: the ring is broken (contracts: avail
 * jumped by more than size, head or next out of range, loop, bad indirect table, readable after
 * writable, empty or wrapping buffer, buffer outside RAM) and the device needs a reset.
 */
int queue_pop(struct queue *q, struct chain *c);
/* Puts the last popped chain back: the next queue_pop() gives it again. */
void queue_unpop(struct queue *q);
/* Are there chains to pop? Reads the driver's index. */
bool queue_pending(struct queue *q);
/*
 * Gives chain `head` back with `len` bytes written to its writable part. The driver sees it after
 * queue_flush().
 */
void queue_push(struct queue *q, uint16_t head, uint32_t len);
/* Publishes what was pushed. true: the driver wants an interrupt for it. */
bool queue_flush(struct queue *q);
/* The driver need not notify: the queue is being looked at. */
void queue_quiet(struct queue *q);
/* The driver has to notify again. true: chains came in meanwhile; look once more. */
bool queue_listen(struct queue *q);

/*
 * Copies between a chain and memory of ours, `off` bytes into the readable (writable) part; stops
 * at its end. Bytes copied.
 */
size_t chain_read(const struct chain *c, size_t off, void *to, size_t len);
size_t chain_write(const struct chain *c, size_t off, const void *from, size_t len);
/*
 * The readable (or writable) part from `off` on, at most `len` bytes, as an iovec of its own of at
 * most `max` entries in `iov`. Entries used; the bytes they cover are less than asked when the part
 * or `max` ends before.
 */
unsigned chain_slice(const struct chain *c, bool writable, size_t off, size_t len,
		     struct iovec *iov, unsigned max);
