/*
 * balloon.c - virtio traditional memory balloon [virtio 1.2, 5.5].
 * Modelled: inflate, deflate, deflate on OOM, statistics, free page reporting.
 * Not modelled: VIRTIO_BALLOON_F_MUST_TELL_HOST (a deflated page may be used before we know, since
 * the host gives a fresh one), free page hints, page poison (so a guest that poisons its free pages
 * does not report them).
 *
 * A page goes back to the host by MADV_DONTNEED, and the guest reads zeros from it until it writes.
 * Of RAM in 2 MiB pages only whole ones can go; inflation hardly names those, reporting does.
 * Device lock held by the caller of everything here but the functions in balloon.h.
 */
#include "balloon.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../clock.h"
#include "../log.h"

#define BALLOON_INFLATE 0u
#define BALLOON_DEFLATE 1u
#define BALLOON_STATS   2u
#define BALLOON_SIZE    256u

/* Features [5.5.3]. */
#define BALLOON_F_STATS_VQ       BIT(1)
#define BALLOON_F_DEFLATE_ON_OOM BIT(2)
#define BALLOON_F_REPORTING      BIT(5)

/* Device configuration [5.5.4], little-endian. */
#define BALLOON_CFG_NUM_PAGES 0u
#define BALLOON_CFG_ACTUAL    4u
#define BALLOON_CFG_LEN       8u

#define PAGE      4096u
#define PAGE_BITS 12u
#define PAGE_HUGE (2 * MIB)

/* What a turn of the loop may cost: some milliseconds at worst. */
#define TURN_PFNS  4096u
#define TURN_CALLS 512u
#define TURN_BYTES (32 * MIB) /* of reported memory: madvise() takes its time to free pages */
#define PIECE_PFNS 512u
#define PIECE_IOVS 16u

#define STATS_MAX 64u /* entries looked at, of a buffer */

struct balloon_stat {
	uint16_t tag;
	uint64_t val;
} __attribute__((packed));

/* One queue's turn: what it has cost, and host memory to drop: neighbours go by one call. */
struct turn {
	unsigned pfns, calls;
	uint64_t bytes;
	uint64_t *done; /* bytes done of the chain at hand, in earlier turns too */
	uint8_t *at;
	size_t len;
};

static struct balloon *balloon_of(struct virtio_dev *d)
{
	return (struct balloon *)((char *)d - offsetof(struct balloon, dev));
}

static uint32_t balloon_cfg(const struct virtio_dev *d, unsigned off)
{
	uint32_t v;

	memcpy(&v, d->config + off, sizeof(v));
	return v;
}

static void balloon_cfg_set(struct virtio_dev *d, unsigned off, uint32_t v)
{
	memcpy(d->config + off, &v, sizeof(v));
}

static bool turn_over(const struct turn *t)
{
	return t->pfns >= TURN_PFNS || t->calls >= TURN_CALLS || t->bytes >= TURN_BYTES;
}

/* --- giving memory back --- */

/* The whole pages of [at, end), of the size that the host has. false: EINVAL. */
static bool drop_pages(struct balloon *b, struct turn *t, uintptr_t at, uintptr_t end)
{
	uintptr_t page = b->huge ? PAGE_HUGE : PAGE;

	at = align_up(at, page);
	end &= ~(page - 1);
	if (at >= end)
		return true;
	t->calls++;
	b->advices++;
	if (madvise((void *)at, end - at, MADV_DONTNEED) == 0)
		b->dropped += (end - at) / PAGE;
	else if (errno == EINVAL)
		return false;
	else
		b->dev.errors++;
	return true;
}

/*
 * EINVAL says that the range is not of whole pages, since all of it is guest RAM, or that this RAM
 * cannot be dropped at all: remembered, so that it is not asked for each range.
 */
static void drop_flush(struct balloon *b, struct turn *t)
{
	uintptr_t at = (uintptr_t)t->at, end = at + t->len;

	t->len = 0;
	if (b->refuses || drop_pages(b, t, at, end))
		return;
	if (!b->huge) {
		b->huge = true;
		if (drop_pages(b, t, at, end))
			return;
	}
	b->refuses = true;
	log_err("balloon: this host does not take back memory of the guest (madvise: %s); the "
		"balloon has no effect",
		strerror(EINVAL));
}

static void drop_add(struct balloon *b, struct turn *t, uint8_t *at, size_t len)
{
	if (t->len && at == t->at + t->len) {
		t->len += len;
		return;
	}
	if (t->len)
		drop_flush(b, t);
	t->at = at;
	t->len = len;
}

/* --- inflate, deflate and report --- */

/* Shell's sort: in place, and of bounded time for any order; qsort(3) may allocate. */
static void pfn_sort(uint32_t *pfn, unsigned n)
{
	static const unsigned gap[] = {301, 132, 57, 23, 10, 4, 1};

	for (unsigned g = 0; g < ARRAY_SIZE(gap); g++) {
		for (unsigned i = gap[g]; i < n; i++) {
			uint32_t v = pfn[i];
			unsigned j = i;

			for (; j >= gap[g] && pfn[j - gap[g]] > v; j -= gap[g])
				pfn[j] = pfn[j - gap[g]];
			pfn[j] = v;
		}
	}
}

/* Drops the pages of `pfn`, which is sorted here. Pages that are not RAM, or there twice. */
static unsigned balloon_take(struct balloon *b, struct turn *t, uint32_t *pfn, unsigned n)
{
	unsigned bad = 0;

	pfn_sort(pfn, n);
	for (unsigned i = 0; i < n; i++) {
		uint8_t *at = ram_at(b->dev.ram, (uint64_t)pfn[i] << PAGE_BITS, PAGE);

		if (!at || (i && pfn[i] == pfn[i - 1]))
			bad++;
		else
			drop_add(b, t, at, PAGE);
	}
	if (t->len)
		drop_flush(b, t);
	return bad;
}

/*
 * The handlers of chains; each goes on where the last turn left off. A driver that changes a chain
 * meanwhile has that many bytes of the new one skipped. false: the turn is over before the chain.
 */
static bool inflate_chain(struct balloon *b, const struct chain *c, struct turn *t)
{
	uint32_t pfn[PIECE_PFNS];
	unsigned bad = 0, n = PIECE_PFNS;

	while (n == PIECE_PFNS && !turn_over(t)) {
		n = (unsigned)(chain_read(c, *t->done, pfn, sizeof(pfn)) / sizeof(*pfn));
		*t->done += sizeof(*pfn) * n;
		t->pfns += n;
		b->inflated += n;
		bad += balloon_take(b, t, pfn, n);
	}
	if (bad) {
		b->skipped += bad;
		log_guest("balloon: %u pages that the guest gave are not in its memory, or were "
			  "named twice: skipped",
			  bad);
	}
	return n < PIECE_PFNS;
}

static bool deflate_chain(struct balloon *b, const struct chain *c, struct turn *t)
{
	b->deflated += c->read_bytes / sizeof(uint32_t);
	return true;
}

/* The buffers themselves are the free pages [5.5.6.7]. */
static bool report_chain(struct balloon *b, const struct chain *c, struct turn *t)
{
	struct iovec iov[PIECE_IOVS];

	while (*t->done < c->write_bytes && !turn_over(t)) {
		unsigned n = chain_slice(c, true, *t->done, TURN_BYTES - t->bytes, iov, PIECE_IOVS);

		for (unsigned i = 0; i < n; i++) {
			drop_add(b, t, iov[i].iov_base, iov[i].iov_len);
			*t->done += iov[i].iov_len;
			t->bytes += iov[i].iov_len;
			b->reported += iov[i].iov_len / PAGE;
		}
	}
	if (t->len)
		drop_flush(b, t);
	return *t->done >= c->write_bytes;
}

static void balloon_serve(struct virtio_dev *d, unsigned n,
			  bool (*handle)(struct balloon *b, const struct chain *c, struct turn *t))
	REQUIRES(d->lock)
{
	struct balloon *b = balloon_of(d);
	struct queue *q = &d->queue[n];
	struct turn turn = {.done = &b->done[n]};
	bool more = true;
	struct chain c;

	if (!q->started)
		return;
	queue_quiet(q);
	for (unsigned i = 0; more && i < q->size; i++) {
		if (!virtio_pop(d, n, &c)) {
			more = virtio_live(d) && queue_listen(q);
		} else if (!handle(b, &c, &turn)) {
			queue_unpop(q);
			break;
		} else {
			queue_push(q, c.head, 0);
			b->done[n] = 0;
		}
	}
	d->again |= more;
	virtio_flush(d, n);
}

/* --- statistics --- */

static void stats_read(struct balloon *b, const struct chain *c)
{
	struct balloon_stat s[STATS_MAX];
	size_t n = chain_read(c, 0, s, sizeof(s)) / sizeof(*s);

	for (size_t i = 0; i < n; i++) {
		if (s[i].tag >= BALLOON_S_NR)
			continue;
		b->stat[s[i].tag] = s[i].val;
		b->stats_known |= (uint32_t)BIT(s[i].tag);
	}
	b->stats_updates++;
}

/* Reads the driver's buffer and keeps it until the next question; a second one stays queued. */
static void stats_take(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct balloon *b = balloon_of(d);
	struct queue *q = &d->queue[b->stats_queue];
	struct chain c;

	if (!b->stats_queue || b->stats_held)
		return;
	if (!virtio_pop(d, b->stats_queue, &c)) {
		d->again |= virtio_live(d) && queue_listen(q);
		return;
	}
	stats_read(b, &c);
	b->stats_held = true;
	b->stats_head = c.head;
	queue_listen(q); /* for the next one, which is looked at in any case */
	virtio_wake_at(d, clock_now() + b->stats_ns);
}

static void balloon_tick(struct virtio_dev *d, uint64_t now) REQUIRES(d->lock)
{
	struct balloon *b = balloon_of(d);

	if (!b->stats_held)
		return;
	b->stats_held = false;
	queue_push(&d->queue[b->stats_queue], b->stats_head, 0);
	virtio_flush(d, b->stats_queue);
	stats_take(d);
}

/* --- the device --- */

/*
 * Queues of features that were not negotiated are left out of the numbering by most drivers (Linux
 * but for a few versions), and by the specification they are not [5.5.2]: the report queue is the
 * fifth if that is enabled.
 */
static void balloon_start(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct balloon *b = balloon_of(d);
	bool stats = virtio_has(d, BALLOON_F_STATS_VQ);
	unsigned last = BALLOON_QUEUES - 1;

	b->stats_queue = stats ? BALLOON_STATS : 0;
	b->report_queue = 0;
	if (virtio_has(d, BALLOON_F_REPORTING))
		b->report_queue = d->queue[last].started ? last : BALLOON_STATS + stats;
	memset(b->done, 0, sizeof(b->done));
	b->stats_known = 0;
}

static bool balloon_stop(struct virtio_dev *d) REQUIRES(d->lock)
{
	balloon_of(d)->stats_held = false;
	balloon_cfg_set(d, BALLOON_CFG_ACTUAL, 0);
	return true;
}

static void balloon_notify(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct balloon *b = balloon_of(d);

	d->again = false;
	balloon_serve(d, BALLOON_INFLATE, inflate_chain);
	balloon_serve(d, BALLOON_DEFLATE, deflate_chain);
	if (b->report_queue)
		balloon_serve(d, b->report_queue, report_chain);
	stats_take(d);
}

/* `actual` alone; any value, since nothing here relies on it. */
static void balloon_config_write(struct virtio_dev *d, unsigned off, unsigned size, uint32_t val)
	REQUIRES(d->lock)
{
	if (off < BALLOON_CFG_ACTUAL || off > BALLOON_CFG_LEN - size)
		return;
	memcpy(d->config + off, &val, size);
}

static const struct virtio_ops balloon_ops = {
	.name = "balloon",
	.id = VIRTIO_ID_BALLOON,
	.start = balloon_start,
	.notify = balloon_notify,
	.stop = balloon_stop,
	.tick = balloon_tick,
	.config_write = balloon_config_write,
};

static uint32_t target_pages(const struct ram *ram, uint32_t mib)
{
	return (uint32_t)(MIN(mib * MIB, ram->low + ram->high) / PAGE);
}

void balloon_init(struct balloon *b, const struct balloon_conf *c, const struct virtio_host *host,
		  const struct ram *ram)
{
	uint64_t features = (c->deflate_on_oom ? BALLOON_F_DEFLATE_ON_OOM : 0) |
			    (c->stats_interval_s ? BALLOON_F_STATS_VQ : 0) |
			    (c->reporting ? BALLOON_F_REPORTING : 0);
	unsigned queues = c->reporting          ? BALLOON_QUEUES
			  : c->stats_interval_s ? BALLOON_STATS + 1
						: BALLOON_DEFLATE + 1;

	*b = (struct balloon){.stats_ns = c->stats_interval_s * NSEC};
	virtio_init(&b->dev, &balloon_ops, host, ram, features, queues, BALLOON_SIZE);
	b->dev.config_len = BALLOON_CFG_LEN;
	balloon_cfg_set(&b->dev, BALLOON_CFG_NUM_PAGES, target_pages(ram, c->target_mib));
}

void balloon_set_target(struct balloon *b, uint32_t mib)
{
	struct virtio_dev *d = &b->dev;

	virtio_lock(d);
	balloon_cfg_set(d, BALLOON_CFG_NUM_PAGES, target_pages(d->ram, mib));
	virtio_config_changed(d);
	virtio_unlock(d);
}

void balloon_set_stats_interval(struct balloon *b, uint32_t seconds)
{
	struct virtio_dev *d = &b->dev;

	virtio_lock(d);
	b->stats_ns = seconds * NSEC;
	/* A longer one holds after the question that is due; a shorter one at once. */
	if (b->stats_held)
		virtio_wake_at(d, clock_now() + b->stats_ns);
	virtio_unlock(d);
}

void balloon_stats(struct balloon *b, struct balloon_stats *s)
{
	struct virtio_dev *d = &b->dev;

	virtio_lock(d);
	s->target_pages = balloon_cfg(d, BALLOON_CFG_NUM_PAGES);
	s->actual_pages = balloon_cfg(d, BALLOON_CFG_ACTUAL);
	s->known = b->stats_known;
	memcpy(s->value, b->stat, sizeof(s->value));
	virtio_unlock(d);
}
