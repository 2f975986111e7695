/*
 * blk_take.c - what a disk's request becomes: an answer at once, or a slot in the engine's hands
 * and the answer when that ended. See blk_take.h.
 *
 * Reads and writes are tried at once, as far as the page cache takes them without waiting;
 * everything else goes to the engine, and its answer comes back in another turn. Until then a slot
 * holds what is needed: no chain. The worker takes what the page cache answers, and writes that
 * have to wait for it.
 */
#include "blk_take.h"

#include <errno.h>
#include <string.h>

#include "../clock.h"
#include "../log.h"
#include "blk_call.h"
#include "blk_cmd.h"
#include "blk_slot.h"

/* --- answers --- */

static void answer(struct blk *b, unsigned n, uint16_t head, uint8_t *at, uint8_t status,
		   uint32_t written)
{
	if (status != VIRTIO_BLK_S_OK)
		b->dev.errors++;
	__atomic_store_n(at, status, __ATOMIC_RELEASE); /* after the data */
	queue_push(&b->dev.queue[n], head, status == VIRTIO_BLK_S_OK ? written + 1 : 1);
}

/* After a reset began, or the ring broke, nothing is given back. */
static bool may_answer(const struct virtio_dev *d)
{
	return d->started && !d->stopping && !d->broken;
}

static void slot_ended(struct blk *b, struct blk_slot *s)
{
	static const char *const name[] = {
		[BLK_OP_READ] = "reading",   [BLK_OP_WRITE] = "writing",
		[BLK_OP_FLUSH] = "flushing", [BLK_OP_DISCARD] = "discarding",
		[BLK_OP_ZERO] = "zeroing",   [BLK_OP_UNMAP] = "zeroing",
	};
	const struct blk_req *r = &s->req;
	bool data = r->op == BLK_OP_READ || r->op == BLK_OP_WRITE;
	bool good = r->result == (data ? (int64_t)r->len : 0), alive = may_answer(&b->dev);

	if (good && alive && blk_slot_start_range(b, s))
		return;
	if (!good && alive)
		log_guest("disk %s: %s %llu bytes at %llu failed: %s", blk_id(b), name[r->op],
			  (unsigned long long)r->len, (unsigned long long)r->off,
			  r->result < 0 ? strerror((int)-r->result) : "the file is shorter");
	if (alive)
		answer(b, s->queue, s->head, s->status, good ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR,
		       s->written);
	blk_slot_put(b, s);
}

void blk_ended(struct blk *b, struct blk_req *list)
{
	struct blk_req *r;

	while ((r = list)) {
		list = r->next;
		slot_ended(b, blk_slot_of(r));
	}
}

/* --- requests --- */

/* Bytes that the page cache gave or took at once; the rest of *cmd is left. */
static uint32_t try_cache(struct blk *b, struct blk_cmd *cmd)
{
	struct blk_file *f = &b->file[b->current];
	bool in = cmd->type == VIRTIO_BLK_T_IN, *nowait = in ? &f->reads_nowait : &f->writes_nowait;
	off_t at = (off_t)(cmd->sector * BLK_SECTOR);
	ssize_t got;

	if (!*nowait || cmd->len == 0 || cmd->len > BLK_TURN_BYTES || (!in && blk_stable(b)))
		return 0;
	got = in ? preadv2(f->fd, cmd->data, (int)cmd->iovs, at, RWF_NOWAIT)
		 : pwritev2(f->fd, cmd->data, (int)cmd->iovs, at, RWF_NOWAIT);
	if (got < 0) {
		*nowait = errno != EOPNOTSUPP;
		return 0; /* whatever it is, the engine meets it, too */
	}
	b->budget -= MIN((uint64_t)got, b->budget);
	blk_iov_cut(&cmd->data, &cmd->iovs, (uint64_t)got);
	return (uint32_t)got;
}

static void start_data(struct blk *b, struct blk_slot *s, const struct blk_cmd *cmd, uint32_t done)
{
	bool in = cmd->type == VIRTIO_BLK_T_IN;

	blk_slot_buffers(b, s, cmd->data, cmd->iovs);
	s->written = in ? cmd->len : 0;
	blk_slot_start(b, s, in ? BLK_OP_READ : BLK_OP_WRITE, cmd->sector * BLK_SECTOR + done,
		       cmd->len - done);
}

static void start_ranges(struct blk *b, struct blk_slot *s, const struct blk_cmd *cmd)
{
	s->discard = cmd->type == VIRTIO_BLK_T_DISCARD;
	s->ranges = (uint8_t)cmd->ranges;
	memcpy(s->todo, cmd->range, cmd->ranges * sizeof(cmd->range[0]));
	if (blk_slot_start_range(b, s))
		return;
	answer(b, s->queue, s->head, s->status, VIRTIO_BLK_S_OK, 0);
	blk_slot_put(b, s);
}

/* Hands it to the engine, from byte `done` on. */
static void start(struct blk *b, unsigned n, uint16_t head, const struct blk_cmd *cmd,
		  uint32_t done)
{
	struct blk_slot *s = blk_slot_get(b);

	s->queue = (uint8_t)n;
	s->head = head;
	s->status = cmd->status;
	switch (cmd->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT: start_data(b, s, cmd, done); break;
	case VIRTIO_BLK_T_FLUSH: blk_slot_start(b, s, BLK_OP_FLUSH, 0, 0); break;
	default: start_ranges(b, s, cmd); break;
	}
}

static void count(struct blk *b, const struct blk_cmd *cmd)
{
	struct blk_counters *count = &b->count;

	switch (cmd->type) {
	case VIRTIO_BLK_T_IN:
		count->reads++;
		count->read_bytes += cmd->len;
		break;
	case VIRTIO_BLK_T_OUT:
		count->writes++;
		count->write_bytes += cmd->len;
		break;
	case VIRTIO_BLK_T_FLUSH: count->flushes++; break;
	case VIRTIO_BLK_T_DISCARD: count->discards++; break;
	case VIRTIO_BLK_T_WRITE_ZEROES: count->zeroes++; break;
	}
}

static bool is_data(const struct blk_cmd *cmd)
{
	return cmd->type == VIRTIO_BLK_T_IN || cmd->type == VIRTIO_BLK_T_OUT;
}

/* A write that the page cache takes, only that it may be slow to. */
static bool plain_write(const struct blk *b, const struct blk_cmd *cmd)
{
	return cmd->type == VIRTIO_BLK_T_OUT && !blk_stable(b) &&
	       !b->file[b->current].writes_nowait;
}

/* false, in a turn of the worker: it is the loop's. */
static bool carry_out(struct blk *b, unsigned n, struct chain *c, struct blk_cmd *cmd)
{
	uint32_t done = is_data(cmd) ? try_cache(b, cmd) : 0;
	bool cached = is_data(cmd) && done == cmd->len, simple = cached || plain_write(b, cmd);

	if (b->by_worker && !simple)
		return false;
	b->steady = simple ? MIN(b->steady, BLK_STEADY) + 1 : 0;
	b->count.cached += cached;
	count(b, cmd);
	if (cmd->type == VIRTIO_BLK_T_GET_ID) {
		done = (uint32_t)chain_write(c, 0, blk_id(b), BLK_ID_LEN);
	} else if (!cached) {
		start(b, n, c->head, cmd, done);
		return true;
	}
	answer(b, n, c->head, cmd->status, VIRTIO_BLK_S_OK,
	       cmd->type == VIRTIO_BLK_T_OUT ? 0 : done);
	return true;
}

/* Is there room, in flight and in this turn? */
static bool has_room(struct blk *b, const struct blk_cmd *cmd)
{
	bool data = is_data(cmd);

	if (!blk_slot_free(b, data ? cmd->iovs : 0)) {
		b->starved = true;
		return false;
	}
	if (data && cmd->len > b->budget && cmd->len <= BLK_TURN_BYTES) {
		b->dev.again |= !b->by_worker; /* which calls the loop */
		return false;
	}
	return true;
}

static bool throttled(struct virtio_dev *d, const struct blk_cmd *cmd) REQUIRES(d->lock)
{
	struct blk *b = blk_of(d);
	uint64_t bytes = 0, until;

	if (!limiter_limits(&b->limit))
		return false;
	if (is_data(cmd))
		bytes = cmd->len;
	for (unsigned i = 0; i < cmd->ranges && cmd->type == VIRTIO_BLK_T_WRITE_ZEROES; i++)
		bytes += (uint64_t)cmd->range[i].sectors * BLK_SECTOR;
	until = limiter_take(&b->limit, bytes, clock_now());
	if (until)
		virtio_wake_at(d, until);
	return until != 0;
}

bool blk_take(struct virtio_dev *d, unsigned n, struct chain *c)
{
	struct blk *b = blk_of(d);
	const struct blk_rules rules = {
		.sectors = b->file[b->current].sectors, .offered = d->offered, .acked = d->acked};
	struct blk_cmd cmd;
	uint8_t status;

	if (!blk_cmd_read(&cmd, c)) {
		b->count.refused++;
		d->errors++;
		queue_push(&d->queue[n], c->head, 0);
		return true;
	}
	status = blk_cmd_check(&cmd, &rules);
	if (status != VIRTIO_BLK_S_OK) {
		b->count.refused++;
		answer(b, n, c->head, cmd.status, status, 0);
		return true;
	}
	return has_room(b, &cmd) && !throttled(d, &cmd) && carry_out(b, n, c, &cmd);
}
