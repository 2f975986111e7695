/*
 * queue.c - split virtqueue, the device's side [virtio 1.2, 2.7].
 * Modelled: chains in the ring's own table, in an indirect one, or begun in the first and ended in
 * the second; notification suppression by flags and by event index; completion in any order.
 * Not modelled: packed rings, IN_ORDER, queue reset.
 *
 * The guest may write to all of it at any time. An index or a descriptor is loaded once, whole, and
 * only what was loaded is checked and used. Guest and host are little-endian, so that loads are
 * plain. Device lock held by the caller.
 */
#include "queue.h"

#include <string.h>

#define VIRTQ_DESC_F_NEXT          BIT(0) /* [2.7.5] */
#define VIRTQ_DESC_F_WRITE         BIT(1)
#define VIRTQ_DESC_F_INDIRECT      BIT(2)
#define VIRTQ_AVAIL_F_NO_INTERRUPT BIT(0)
#define VIRTQ_USED_F_NO_NOTIFY     BIT(0)
#define VIRTQ_DESC_ALIGN           16u /* [2.7] */
#define VIRTQ_AVAIL_ALIGN          2u
#define VIRTQ_USED_ALIGN           4u

/* Both rings begin with flags and idx; one more word, the event index, follows the entries. */
#define RING_FLAGS   0u
#define RING_IDX     2u
#define RING_ENTRIES 4u
#define RING_EVENT   2u /* bytes */
#define AVAIL_ENTRY  2u
#define USED_ENTRY   8u
#define DESC_SIZE    16u
#define INDIRECT_MAX 65535u /* entries: `next` reaches no further */

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

/* What the driver stored before it, later loads of ours see; it costs no more than a plain load. */
static uint16_t load16(const uint8_t *at)
{
	return __atomic_load_n((const uint16_t *)at, __ATOMIC_SEQ_CST);
}

/*
 * A store that the driver sees before any later load of ours is done (an xchg): each side stores,
 * then looks at what the other stored, and one of the two has to see it.
 */
static void publish16(uint8_t *at, uint16_t v)
{
	__atomic_store_n((uint16_t *)at, v, __ATOMIC_SEQ_CST);
}

static void store32(uint8_t *at, uint32_t v)
{
	__atomic_store_n((uint32_t *)at, v, __ATOMIC_RELAXED);
}

/* An indirect table need not be aligned: volatile, because atomic loads have to be. */
struct word {
	uint64_t v;
} __attribute__((packed));

static struct desc desc_load(const uint8_t *at)
{
	const volatile struct word *w = (const volatile struct word *)at;
	uint64_t addr = w[0].v, rest = w[1].v;

	return (struct desc){
		.addr = addr,
		.len = (uint32_t)rest,
		.flags = (uint16_t)(rest >> 32),
		.next = (uint16_t)(rest >> 48),
	};
}

static uint8_t *avail_event(const struct queue *q)
{
	return q->used_at + RING_ENTRIES + USED_ENTRY * (q->mask + 1u);
}

static const uint8_t *used_event(const struct queue *q)
{
	return q->avail_at + RING_ENTRIES + AVAIL_ENTRY * (q->mask + 1u);
}

void queue_reset(struct queue *q, uint16_t max)
{
	*q = (struct queue){.size = max, .max = max, .vector = QUEUE_NO_VECTOR};
}

static bool apart(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a + a_len <= b || b + b_len <= a;
}

bool queue_start(struct queue *q, const struct ram *ram, bool event_idx, bool indirect)
{
	uint64_t n = q->size, desc_len = DESC_SIZE * n;
	uint64_t avail_len = RING_ENTRIES + AVAIL_ENTRY * n + RING_EVENT;
	uint64_t used_len = RING_ENTRIES + USED_ENTRY * n + RING_EVENT;

	q->started = false;
	q->last_avail = q->used_idx = q->signalled = q->avail_seen = 0;
	if (!q->enabled)
		return true;
	if (n == 0 || (n & (n - 1)) || n > q->max || n > QUEUE_SIZE_MAX)
		return false;
	if (q->desc % VIRTQ_DESC_ALIGN || q->avail % VIRTQ_AVAIL_ALIGN ||
	    q->used % VIRTQ_USED_ALIGN)
		return false;
	q->desc_at = ram_at(ram, q->desc, desc_len);
	q->avail_at = ram_at(ram, q->avail, avail_len);
	q->used_at = ram_at(ram, q->used, used_len);
	if (!q->desc_at || !q->avail_at || !q->used_at)
		return false;
	if (!apart(q->desc, desc_len, q->avail, avail_len) ||
	    !apart(q->desc, desc_len, q->used, used_len) ||
	    !apart(q->avail, avail_len, q->used, used_len))
		return false;
	q->ram = ram;
	q->mask = (uint16_t)(n - 1);
	q->event_idx = event_idx;
	q->indirect = indirect;
	q->started = true;
	return true;
}

static uint16_t avail_idx(const struct queue *q)
{
	return load16(q->avail_at + RING_IDX);
}

/*
 * Chains that came in; -1: more than the driver can have, who owns no descriptor of a chain that
 * was not given back. So what is in flight is bounded, too.
 */
static int queue_look(struct queue *q)
{
	unsigned in_flight = (uint16_t)(q->last_avail - q->used_idx), n;
	uint16_t idx;

	if (!q->started)
		return 0;
	idx = avail_idx(q);
	n = (uint16_t)(idx - q->last_avail);
	if (n + in_flight > q->mask + 1u)
		return -1;
	q->avail_seen = idx;
	return (int)n;
}

static bool chain_add(struct chain *c, const struct ram *ram, const struct desc *d)
{
	unsigned n = c->readable + c->writable;
	void *at = ram_at(ram, d->addr, d->len);

	if (!at || d->len == 0 || n == QUEUE_SIZE_MAX ||
	    d->len > UINT32_MAX - c->read_bytes - c->write_bytes)
		return false;
	c->iov[n] = (struct iovec){.iov_base = at, .iov_len = d->len};
	if (d->flags & VIRTQ_DESC_F_WRITE) {
		c->writable++;
		c->write_bytes += d->len;
		return true;
	}
	c->readable++;
	c->read_bytes += d->len;
	return c->writable == 0;
}

/*
 * Follows a chain through one table, from entry `i`; *d is where it ends: its last descriptor, or
 * one that refers to an indirect table. A loop ends where no more fits into a chain.
 */
static bool chain_walk(struct chain *c, const struct ram *ram, const uint8_t *table,
		       unsigned entries, unsigned i, struct desc *d)
{
	while (i < entries) {
		*d = desc_load(table + DESC_SIZE * (size_t)i);
		if (d->flags & VIRTQ_DESC_F_INDIRECT)
			return true;
		if (!chain_add(c, ram, d))
			return false;
		if (!(d->flags & VIRTQ_DESC_F_NEXT))
			return true;
		i = d->next;
	}
	return false;
}

/* A table that *d refers to, WRITE or not [2.7.5.3.2]; it ends the chain and nothing nests in it.
 */
static bool chain_indirect(struct chain *c, const struct queue *q, const struct desc *d)
{
	unsigned entries = d->len / DESC_SIZE;
	const uint8_t *table = ram_at(q->ram, d->addr, d->len);
	struct desc last;

	if (!q->indirect || (d->flags & VIRTQ_DESC_F_NEXT) || !table || d->len % DESC_SIZE ||
	    entries > INDIRECT_MAX)
		return false;
	return chain_walk(c, q->ram, table, entries, 0, &last) &&
	       !(last.flags & VIRTQ_DESC_F_INDIRECT);
}

int queue_pop(struct queue *q, struct chain *c)
{
	struct desc d;
	int n;

	if (q->last_avail == q->avail_seen) {
		n = queue_look(q);
		if (n <= 0)
			return n;
	}
	c->head = load16(q->avail_at + RING_ENTRIES + AVAIL_ENTRY * (q->last_avail & q->mask));
	c->readable = c->writable = 0;
	c->read_bytes = c->write_bytes = 0;
	if (!chain_walk(c, q->ram, q->desc_at, q->mask + 1u, c->head, &d))
		return -1;
	if ((d.flags & VIRTQ_DESC_F_INDIRECT) && !chain_indirect(c, q, &d))
		return -1;
	q->last_avail++;
	return 1;
}

void queue_unpop(struct queue *q)
{
	q->last_avail--;
}

bool queue_pending(struct queue *q)
{
	return q->started && avail_idx(q) != q->last_avail;
}

void queue_push(struct queue *q, uint16_t head, uint32_t len)
{
	uint8_t *at = q->used_at + RING_ENTRIES + USED_ENTRY * (size_t)(q->used_idx & q->mask);

	store32(at, head);
	store32(at + sizeof(uint32_t), len);
	q->used_idx++;
}

bool queue_flush(struct queue *q)
{
	uint16_t old = q->signalled, new = q->used_idx;

	if (old == new)
		return false;
	publish16(q->used_at + RING_IDX, new);
	q->signalled = new;
	if (!q->event_idx)
		return !(load16(q->avail_at + RING_FLAGS) & VIRTQ_AVAIL_F_NO_INTERRUPT);
	/* Did idx pass the event index [2.7.10]? */
	return (uint16_t)(new - load16(used_event(q)) - 1) < (uint16_t)(new - old);
}

/* With event indices there is nothing to do: the one that is set has been passed. */
void queue_quiet(struct queue *q)
{
	if (q->started && !q->event_idx)
		__atomic_store_n((uint16_t *)(q->used_at + RING_FLAGS),
				 (uint16_t)VIRTQ_USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
}

bool queue_listen(struct queue *q)
{
	if (!q->started)
		return false;
	if (q->event_idx)
		publish16(avail_event(q), q->last_avail);
	else
		publish16(q->used_at + RING_FLAGS, 0);
	return avail_idx(q) != q->last_avail;
}

/* One of a chain's two parts. */
static const struct iovec *chain_part(const struct chain *c, bool writable, unsigned *n)
{
	*n = writable ? c->writable : c->readable;
	return writable ? c->iov + c->readable : c->iov;
}

unsigned chain_slice(const struct chain *c, bool writable, size_t off, size_t len,
		     struct iovec *iov, unsigned max)
{
	unsigned n, used = 0;
	const struct iovec *v = chain_part(c, writable, &n);

	for (; n && off >= v->iov_len; v++, n--)
		off -= v->iov_len;
	for (; n && len && used < max; v++, n--) {
		size_t take = MIN(v->iov_len - off, len);

		iov[used++] = (struct iovec){(uint8_t *)v->iov_base + off, take};
		len -= take;
		off = 0;
	}
	return used;
}

/* Where a part's byte `off` is, and how many follow in the same buffer; NULL beyond its end. */
static uint8_t *part_at(const struct iovec **v, unsigned *n, size_t *off, size_t *room)
{
	for (; *n && *off >= (*v)->iov_len; (*v)++, (*n)--)
		*off -= (*v)->iov_len;
	if (*n == 0)
		return NULL;
	*room = (*v)->iov_len - *off;
	return (uint8_t *)(*v)->iov_base + *off;
}

size_t chain_read(const struct chain *c, size_t off, void *to, size_t len)
{
	size_t done = 0, room;
	unsigned n;
	const struct iovec *v = chain_part(c, false, &n);
	const uint8_t *at;

	while (done < len && (at = part_at(&v, &n, &off, &room))) {
		room = MIN(room, len - done);
		memcpy((uint8_t *)to + done, at, room);
		done += room;
		off += room;
	}
	return done;
}

size_t chain_write(const struct chain *c, size_t off, const void *from, size_t len)
{
	size_t done = 0, room;
	unsigned n;
	const struct iovec *v = chain_part(c, true, &n);
	uint8_t *at;

	while (done < len && (at = part_at(&v, &n, &off, &room))) {
		room = MIN(room, len - done);
		memcpy(at, (const uint8_t *)from + done, room);
		done += room;
		off += room;
	}
	return done;
}
