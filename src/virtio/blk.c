/*
 * blk.c - virtio block device [virtio 1.2, 5.2]: its queues, what is in flight, its file.
 * Modelled: see blk_cmd.c; several queues; a file replaced while the guest runs.
 * Not modelled: geometry, topology, cache mode chosen by the driver (CONFIG_WCE).
 *
 * Who only writes, where a write may wait in the page cache (ext4), and reads what that holds,
 * needs the loop for nothing: then the disk's bell is lent to the worker, which takes requests from
 * the queues, makes the calls and answers, and no second thread has to wake up. At anything else,
 * or held up, it calls the loop, or is called for, and any turn of the loop takes the bell back.
 *
 * Device lock held, in the loop's thread, but for what is the worker's and the functions in blk.h.
 */
#include "blk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../clock.h"
#include "../log.h"
#include "blk_slot.h"
#include "blk_take.h"

#define BLK_SEG_MAX       (QUEUE_SIZE_MAX - 2u) /* beside header and status */
#define BLK_DISCARD_ALIGN 8u                    /* sectors: a block of most file systems */

/* The longest that a queue waits behind a write before it is looked at all the same. */
#define BLK_HUSH_NS  (NSEC / 1000)
/* The longest that the worker may be at what it took: meanwhile nobody hears the bell. */
#define BLK_ROW_NS   (10 * NSEC / 1000)
#define BLK_BUSY     16u /* rows of writes */
/* When the kernel has no memory to start requests. */
#define BLK_RETRY_NS (NSEC / 100)

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

const char *blk_id(const struct blk *b)
{
	return b->id[0] ? b->id : b->file[b->current].id;
}

static void config_capacity(struct blk *b)
{
	uint64_t sectors = b->file[b->current].sectors;

	memcpy(b->dev.config + offsetof(struct blk_config, capacity), &sectors, sizeof(sectors));
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
		if (!blk_take(d, n, &c)) {
			queue_unpop(q); /* whoever makes room or time goes on here */
			return;
		}
	}
	if (!b->by_worker) /* who calls the loop, since the queue is still `stuck` */
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

/* Answers that the driver has not seen. */
static unsigned held_now(const struct virtio_dev *d) REQUIRES(d->lock)
{
	unsigned held = 0;

	for (unsigned i = 0; i < d->queues; i++)
		held += (uint16_t)(d->queue[i].used_idx - d->queue[i].signalled);
	return held;
}

/* When to look again if the answers that are there are to wait for more; 0: they are not. */
static uint64_t hold(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct blk *b = blk_of(d);
	unsigned held = held_now(d), came = (unsigned)(d->chains - b->chains_seen);

	if (!held)
		return 0;
	b->chains_seen = d->chains;
	return blk_pace(&b->pace, came, held, clock_now());
}

/* The loop looks whether the worker has got through with what it is at. */
static void watch_row(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct blk *b = blk_of(d);

	b->row_at = clock_now();
	virtio_wake_at(d, b->row_at + BLK_ROW_NS);
}

static bool lend(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct blk *b = blk_of(d);

	if (b->steady < BLK_STEADY || d->again || !d->host->lend || limiter_limits(&b->limit) ||
	    !blk_io_can_lend(b->io))
		return false;
	b->lent = true;
	b->hushed = b->asked = false;
	blk_io_lend(b->io, &b->user, d->host->lend(d->host->ctx, d, true));
	watch_row(d);
	return true;
}

static void take_back(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct blk *b = blk_of(d);

	if (!b->lent)
		return;
	b->lent = false;
	b->steady = 0;
	blk_io_take_back(b->io);
	d->host->lend(d->host->ctx, d, false);
}

static void submit(struct virtio_dev *d) REQUIRES(d->lock)
{
	if (!blk_io_submit(blk_of(d)->io))
		virtio_wake_at(d, clock_now() + BLK_RETRY_NS);
}

static void blk_turn(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct blk *b = blk_of(d);
	bool was_lent = b->lent; /* who called it back is not to find it lent again */
	uint64_t until;

	take_back(d);
	b->starved = b->hushed = false;
	b->stuck = 0;
	b->budget = BLK_TURN_BYTES;
	serve_all(d);
	submit(d);
	if (virtio_live(d)) {
		if (!was_lent && lend(d))
			;
		else if (busy(b))
			hush(d);
		else if ((until = hold(d)))
			return virtio_wake_at(d, until);
		else
			d->again |= listen_all(d);
	}
	flush_queues(d);
}

/*
 * While the bell is lent, hush and hold are the worker's, as long as it gets on: held up, by a
 * store that hangs say, it hears no bell. An idle disk has no ticks. What the kernel refused to
 * start is to be tried again.
 */
static void blk_tick(struct virtio_dev *d, uint64_t now) REQUIRES(d->lock)
{
	struct blk *b = blk_of(d);
	bool busy = b->lent && blk_io_busy(b->io);

	if (!b->lent || (busy && now >= b->row_at + BLK_ROW_NS))
		return blk_turn(d);
	if (busy)
		virtio_wake_at(d, b->row_at + BLK_ROW_NS);
	submit(d);
}

static void blk_broke(struct virtio_dev *d) REQUIRES(d->lock)
{
	take_back(d);
}

static bool blk_stop(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct blk *b = blk_of(d);
	struct blk_req *r, *list;

	take_back(d);
	list = blk_io_cancel(b->io, &b->user);
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

static void blk_done(struct blk_user *u, struct blk_req *list)
{
	struct blk *b = blk_of_user(u);
	struct virtio_dev *d = &b->dev;

	virtio_lock(d);
	blk_ended(b, list);
	if ((b->starved || b->hushed || b->lent || b->pace.held_at) && virtio_live(d)) {
		blk_turn(d);
	} else {
		submit(d);
		flush_queues(d);
	}
	if (d->stopping && b->in_flight == 0)
		virtio_stopped(d);
	virtio_unlock(d);
}

/* --- the worker's thread --- */

/* Takes what is there. false: something among it is the loop's, who goes on. */
static bool take_row(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct blk *b = blk_of(d);

	b->by_worker = true;
	b->stuck = 0;
	b->budget = BLK_TURN_BYTES;
	serve_all(d);
	b->by_worker = false;
	if (b->writing)
		watch_row(d);
	return virtio_live(d) && !b->stuck;
}

/*
 * The bell rang, or writes ended, or it is time to look again: what a turn of the loop does, as far
 * as nothing has to wait but writes. false: the loop has to go on.
 */
static bool worker_turn(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct blk *b = blk_of(d);

	for (unsigned i = 0; i < 2; i++) {
		if (!virtio_live(d) || (!b->writing && !take_row(d)))
			return false;
		if (b->writing && blk_pace_goes_on(&b->pace, held_now(d), clock_now()))
			return true;
		b->user.look_at = b->writing ? 0 : hold(d);
		if (!b->user.look_at)
			flush_queues(d);
		if (b->writing || b->user.look_at || !listen_all(d))
			return true;
	}
	return false; /* so that it does not keep the lock from the loop all the time */
}

/* Without the bell it answers, and that is all; likewise once it has called the loop. */
static struct blk_req *blk_wrote(struct blk_user *u, struct blk_req *list)
{
	struct blk *b = blk_of_user(u);
	struct virtio_dev *d = &b->dev;
	bool rang = !list && !u->look_at, loops; /* is it the loop's turn? */
	struct blk_req *row;

	virtio_lock(d);
	blk_ended(b, list);
	u->look_at = 0;
	d->kicks += b->lent && rang;
	if (!b->lent)
		loops = !list || b->starved || unhush(d);
	else
		loops = b->asked = b->asked || !worker_turn(d);
	if (loops || !b->lent)
		flush_queues(d);
	if (loops)
		d->host->kick(d->host->ctx, d);
	row = blk_list_take(&b->row);
	if (d->stopping && b->in_flight == 0)
		virtio_stopped(d);
	virtio_unlock(d);
	return row;
}

/* Another disk has work for the worker. Its lock may be held: not this one's. */
static void blk_recall(struct blk_user *u)
{
	struct virtio_dev *d = &blk_of_user(u)->dev;

	d->host->kick(d->host->ctx, d);
}

/* --- what it is --- */

static const struct virtio_ops blk_ops = {
	.name = "blk",
	.id = VIRTIO_ID_BLK,
	.notify = blk_turn,
	.stop = blk_stop,
	.tick = blk_tick,
	.broke = blk_broke,
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
		.io = io,
		.readonly = c->readonly,
		.user.done = blk_done,
		.user.wrote = blk_wrote,
		.user.recall = blk_recall,
	};
	blk_list_clear(&b->row);
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
	take_back(d);
	if (virtio_live(d)) /* a request may wait by the old ones */
		virtio_wake_at(d, clock_now());
	virtio_unlock(d);
}
