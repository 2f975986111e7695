/*
 * blk.c - virtio block device [virtio 1.2, 5.2]: its queues, what is in flight, its file.
 * Modelled: see blk_cmd.c; several queues; a file replaced while the guest runs.
 * Not modelled: geometry, topology, cache mode chosen by the driver (CONFIG_WCE).
 *
 * Reads and writes are tried at once, as far as the page cache takes them without waiting;
 * everything else goes to the engine, and its answer comes back in another turn. Until then a slot
 * holds what is needed: no chain. Device lock held, in the loop's thread, but for the functions in
 * blk.h.
 */
#include "blk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../clock.h"
#include "../log.h"
#include "blk_call.h"
#include "blk_cmd.h"
#include "blk_slot.h"

#define BLK_SEG_MAX       (QUEUE_SIZE_MAX - 2u) /* beside header and status */
#define BLK_DISCARD_ALIGN 8u                    /* sectors: a block of most file systems */

/* What a turn copies out of the page cache or into it, and so what one request at most does. */
#define BLK_TURN_BYTES (1 * MIB)
/* The longest that a queue waits behind a write before it is looked at all the same. */
#define BLK_HUSH_NS    (NSEC / 1000)
#define BLK_BUSY       16u /* rows of writes */
/* When the kernel has no memory to start requests. */
#define BLK_RETRY_NS   (NSEC / 100)

/* Device configuration [5.2.4], little-endian. */
struct blk_config {
	uint64_t capacity;
	uint32_t size_max, seg_max, geometry, blk_size;
	uint8_t topology[8], wce, unused;
	uint16_t num_queues;
	uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
	uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap, unused1[3];
} __attribute__((packed));
_Static_assert(sizeof(struct blk_config) == 60, "as far as WRITE_ZEROES");
_Static_assert(sizeof(struct blk_config) <= VIRTIO_CONFIG_MAX, "fits");

static struct blk *blk_of(struct virtio_dev *d)
{
	return (struct blk *)((char *)d - offsetof(struct blk, dev));
}

const char *blk_id(const struct blk *b)
{
	return b->id[0] ? b->id : b->file[b->current].id;
}

static void config_capacity(struct blk *b)
{
	uint64_t sectors = b->file[b->current].sectors;

	memcpy(b->dev.config + offsetof(struct blk_config, capacity), &sectors, sizeof(sectors));
}

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

static void count(struct blk_counters *count, const struct blk_cmd *cmd)
{
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

static void carry_out(struct blk *b, unsigned n, struct chain *c, struct blk_cmd *cmd)
{
	uint32_t done = 0;

	count(&b->count, cmd);
	switch (cmd->type) {
	case VIRTIO_BLK_T_GET_ID: done = (uint32_t)chain_write(c, 0, blk_id(b), BLK_ID_LEN); break;
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		done = try_cache(b, cmd);
		b->count.cached += done == cmd->len;
		if (done == cmd->len)
			break;
		start(b, n, c->head, cmd, done);
		return;
	default: start(b, n, c->head, cmd, 0); return;
	}
	answer(b, n, c->head, cmd->status, VIRTIO_BLK_S_OK,
	       cmd->type == VIRTIO_BLK_T_OUT ? 0 : done);
}

/* Is there room, in flight and in this turn? */
static bool has_room(struct blk *b, const struct blk_cmd *cmd)
{
	bool data = cmd->type == VIRTIO_BLK_T_IN || cmd->type == VIRTIO_BLK_T_OUT;

	if (!blk_slot_free(b, data ? cmd->iovs : 0)) {
		b->starved = true;
		return false;
	}
	if (data && cmd->len > b->budget && cmd->len <= BLK_TURN_BYTES) {
		b->dev.again = true;
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
	if (cmd->type == VIRTIO_BLK_T_IN || cmd->type == VIRTIO_BLK_T_OUT)
		bytes = cmd->len;
	for (unsigned i = 0; i < cmd->ranges && cmd->type == VIRTIO_BLK_T_WRITE_ZEROES; i++)
		bytes += (uint64_t)cmd->range[i].sectors * BLK_SECTOR;
	until = limiter_take(&b->limit, bytes, clock_now());
	if (until)
		virtio_wake_at(d, until);
	return until != 0;
}

/* false: it has to wait. */
static bool take(struct virtio_dev *d, unsigned n, struct chain *c) REQUIRES(d->lock)
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
	if (!has_room(b, &cmd) || throttled(d, &cmd))
		return false;
	carry_out(b, n, c, &cmd);
	return true;
}

/* --- queues --- */

/*
 * While writes are under way that may wait, the driver of a busy disk need not notify: who ends the
 * last of them looks at the queues. So many requests cost one notification. Busy is who had several
 * such writes under way lately.
 */
static bool busy(struct blk *b)
{
	if (b->writing > 1)
		b->busy = BLK_BUSY;
	return b->writing && b->busy;
}

static void hush(struct virtio_dev *d) REQUIRES(d->lock)
{
	blk_of(d)->hushed = true;
	virtio_wake_at(d, clock_now() + BLK_HUSH_NS);
}

_Static_assert(BLK_QUEUES_MAX <= 8, "a bit each in `stuck`");

/* The driver of a live device is to notify again. true: requests came meanwhile. */
static bool listen_all(struct virtio_dev *d) REQUIRES(d->lock)
{
	bool more = false;

	for (unsigned i = 0; i < d->queues; i++)
		more |= !(blk_of(d)->stuck & BIT(i)) && queue_listen(&d->queue[i]);
	return more;
}

/* true: requests came meanwhile. */
static bool unhush(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct blk *b = blk_of(d);

	if (!b->hushed || b->writing || !virtio_live(d))
		return false;
	b->hushed = false;
	b->busy--;
	return listen_all(d);
}

/* Takes what is there, a queue's size at most. */
static void serve(struct virtio_dev *d, unsigned n) REQUIRES(d->lock)
{
	struct blk *b = blk_of(d);
	struct queue *q = &d->queue[n];
	struct chain c;

	queue_quiet(q);
	b->stuck |= (uint8_t)BIT(n);
	for (unsigned taken = 0; taken < q->size; taken++) {
		if (!virtio_pop(d, n, &c)) {
			CLEAR(b->stuck, BIT(n));
			return;
		}
		if (!take(d, n, &c)) {
			queue_unpop(q); /* whoever makes room or time goes on here */
			return;
		}
	}
	d->again = true;
}

/* All queues, in turn the first. */
static void serve_all(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct blk *b = blk_of(d);
	unsigned n = b->next;

	for (unsigned i = 0; i < d->queues; i++) {
		serve(d, n);
		n = n + 1 == d->queues ? 0 : n + 1;
	}
	b->next = n + 1 == d->queues ? 0 : n + 1;
}

static void flush_queues(struct virtio_dev *d) REQUIRES(d->lock)
{
	for (unsigned i = 0; i < d->queues; i++)
		virtio_flush(d, i);
	blk_pace_shown(&blk_of(d)->pace);
}

/* Are the answers that are there to wait for more? Then the loop looks again in time. */
static bool hold(struct virtio_dev *d, uint64_t chains_before) REQUIRES(d->lock)
{
	unsigned held = 0;
	uint64_t until;

	for (unsigned i = 0; i < d->queues; i++)
		held += (uint16_t)(d->queue[i].used_idx - d->queue[i].signalled);
	until = blk_pace(&blk_of(d)->pace, (unsigned)(d->chains - chains_before), held,
			 clock_now());
	if (until)
		virtio_wake_at(d, until);
	return until != 0;
}

static void submit(struct virtio_dev *d) REQUIRES(d->lock)
{
	if (!blk_io_submit(blk_of(d)->io))
		virtio_wake_at(d, clock_now() + BLK_RETRY_NS);
}

static void blk_turn(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct blk *b = blk_of(d);
	uint64_t before = d->chains;

	b->starved = b->hushed = false;
	b->stuck = 0;
	b->budget = BLK_TURN_BYTES;
	serve_all(d);
	submit(d);
	if (virtio_live(d)) {
		if (busy(b))
			hush(d);
		else if (hold(d, before))
			return;
		else
			d->again |= listen_all(d);
	}
	flush_queues(d);
}

static void blk_tick(struct virtio_dev *d, uint64_t now) REQUIRES(d->lock)
{
	blk_turn(d);
}

static bool blk_stop(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct blk *b = blk_of(d);
	struct blk_req *r, *list = blk_io_cancel(b->io, &b->user);

	b->pace = (struct blk_pace){0};
	while ((r = list)) {
		list = r->next;
		blk_slot_put(b, blk_slot_of(r));
	}
	return b->in_flight == 0;
}

static struct blk *blk_of_user(struct blk_user *u)
{
	return (struct blk *)((char *)u - offsetof(struct blk, user));
}

static void all_ended(struct blk *b, struct blk_req *list)
{
	struct blk_req *r;

	while ((r = list)) {
		list = r->next;
		slot_ended(b, blk_slot_of(r));
	}
}

static void blk_done(struct blk_user *u, struct blk_req *list)
{
	struct blk *b = blk_of_user(u);
	struct virtio_dev *d = &b->dev;

	virtio_lock(d);
	all_ended(b, list);
	if ((b->starved || b->hushed || b->pace.held_at) && virtio_live(d)) {
		blk_turn(d);
	} else {
		submit(d);
		flush_queues(d);
	}
	if (d->stopping && b->in_flight == 0)
		virtio_stopped(d);
	virtio_unlock(d);
}

/* The worker's thread: it answers, and leaves to the loop what would start something. */
static void blk_wrote(struct blk_user *u, struct blk_req *list)
{
	struct blk *b = blk_of_user(u);
	struct virtio_dev *d = &b->dev;

	virtio_lock(d);
	all_ended(b, list);
	flush_queues(d);
	if (b->starved || unhush(d))
		d->host->kick(d->host->ctx, d);
	if (d->stopping && b->in_flight == 0)
		virtio_stopped(d);
	virtio_unlock(d);
}

static const struct virtio_ops blk_ops = {
	.name = "blk",
	.id = VIRTIO_ID_BLK,
	.notify = blk_turn,
	.stop = blk_stop,
	.tick = blk_tick,
};

/* --- making, changing --- */

static void config_init(struct blk *b)
{
	struct blk_config cfg = {
		.seg_max = BLK_SEG_MAX,
		.blk_size = BLK_SECTOR,
		.num_queues = (uint16_t)b->dev.queues,
		.max_discard_sectors = BLK_RANGE_SECTORS,
		.max_discard_seg = BLK_RANGES_MAX,
		.discard_sector_alignment = BLK_DISCARD_ALIGN,
		.max_write_zeroes_sectors = BLK_RANGE_SECTORS,
		.max_write_zeroes_seg = BLK_RANGES_MAX,
		.write_zeroes_may_unmap = 1,
	};

	memcpy(b->dev.config, &cfg, sizeof(cfg));
	b->dev.config_len = sizeof(cfg);
	config_capacity(b);
}

int blk_init(struct blk *b, const struct blk_conf *c, const struct virtio_host *host,
	     const struct ram *ram, struct blk_io *io)
{
	uint64_t features = VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_BLK_SIZE;
	int err;

	*b = (struct blk){
		.io = io, .readonly = c->readonly, .user.done = blk_done, .user.wrote = blk_wrote};
	for (unsigned i = 0; i < BLK_FILES_MAX; i++)
		b->file[i].fd = -1;
	snprintf(b->id, sizeof(b->id), "%s", c->id);
	err = blk_file_take(&b->file[0], c->path, c->readonly, c->fd);
	if (!err)
		err = blk_slots_init(b, c->path);
	if (err) {
		blk_finish(b);
		return err;
	}
	if (c->readonly)
		features |= VIRTIO_BLK_F_RO;
	else
		features |= VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES;
	if (c->cache == BLK_CACHE_WRITEBACK)
		features |= VIRTIO_BLK_F_FLUSH;
	if (c->queues > 1)
		features |= VIRTIO_BLK_F_MQ;
	virtio_init(&b->dev, &blk_ops, host, ram, features, MIN(c->queues, BLK_QUEUES_MAX),
		    QUEUE_SIZE_MAX);
	config_init(b);
	limiter_set(&b->limit, &c->bytes, &c->ops, clock_now());
	return 0;
}

void blk_finish(struct blk *b)
{
	for (unsigned i = 0; i < BLK_FILES_MAX; i++)
		if (b->file[i].fd >= 0)
			close(b->file[i].fd);
	blk_slots_finish(b);
}

int blk_replace(struct blk *b, const char *path)
{
	unsigned old = b->current, free = 0;
	int err;

	while (free < BLK_FILES_MAX && b->file[free].fd >= 0)
		free++;
	if (free == BLK_FILES_MAX)
		return log_fail(EBUSY,
				"disk %s cannot become %s: %u files that it was before are "
				"still in use",
				blk_id(b), path, BLK_FILES_MAX - 1);
	err = blk_file_open(&b->file[free], path, b->readonly);
	if (err)
		return err;
	virtio_lock(&b->dev);
	b->current = free;
	blk_file_put(b, old);
	config_capacity(b);
	virtio_config_changed(&b->dev);
	virtio_unlock(&b->dev);
	return 0;
}

void blk_set_limits(struct blk *b, const struct limit_conf *bytes, const struct limit_conf *ops)
{
	struct virtio_dev *d = &b->dev;

	virtio_lock(d);
	limiter_set(&b->limit, bytes, ops, clock_now());
	if (virtio_live(d)) /* a request may wait by the old ones */
		virtio_wake_at(d, clock_now());
	virtio_unlock(d);
}
