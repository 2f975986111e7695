/* driver.c - the driver's side of a split virtqueue [virtio 1.2, 2.7]. */
#include "driver.h"

#include <stdlib.h>
#include <string.h>

#include "../../src/mem/layout.h"

#define F_NEXT       1u
#define F_WRITE      2u
#define F_INDIRECT   4u
#define NO_INTERRUPT 1u
#define NO_NOTIFY    1u

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

/* What ends a test wherever it is: there is nothing to go on with. */
static void need(bool holds)
{
	if (!holds)
		abort();
}

/* One block of the heap: the regions are next to each other, as ram_map() has them. */
struct ram driver_ram(uint64_t low, uint64_t high)
{
	struct ram r = {.low = low, .high = high};

	need(posix_memalign((void **)&r.host, 4096, low + high) == 0);
	memset(r.host, 0, low + high);
	return r;
}

void driver_ram_free(struct ram *r)
{
	free(r->host);
	*r = (struct ram){0};
}

void *driver_at(const struct driver *v, uint64_t gpa, uint64_t len)
{
	void *at = ram_at(v->ram, gpa, len);

	need(at);
	return at;
}

uint64_t driver_alloc(struct driver *v, uint64_t len)
{
	uint64_t gpa = v->heap;

	driver_at(v, gpa, len);
	v->heap = align_up(gpa + len, 16);
	return gpa;
}

void driver_init(struct driver *v, const struct ram *ram, uint64_t gpa, uint16_t size,
		 uint64_t features)
{
	*v = (struct driver){.ram = ram, .size = size, .heap = gpa};
	v->event_idx = features & VIRTIO_F_EVENT_IDX;
	v->indirect = features & VIRTIO_F_INDIRECT_DESC;
	v->desc = driver_alloc(v, 16ull * size);
	v->avail = driver_alloc(v, 6 + 2ull * size);
	v->used = driver_alloc(v, 6 + 8ull * size);
	v->table = driver_alloc(v, v->indirect ? 16ull * size * DRIVER_TABLE : 0);
	memset(driver_at(v, gpa, v->heap - gpa), 0, v->heap - gpa);
	v->free = size;
	for (uint16_t i = 0; i < size; i++)
		v->next_free[i] = i + 1;
}

void driver_settings(const struct driver *v, struct queue *q)
{
	q->size = v->size;
	q->desc = v->desc;
	q->avail = v->avail;
	q->used = v->used;
	q->enabled = true;
}

static uint16_t *word(const struct driver *v, uint64_t gpa)
{
	return driver_at(v, gpa, 2);
}

static uint16_t *used_event(const struct driver *v)
{
	return word(v, v->avail + 4 + 2ull * v->size);
}

static uint16_t *avail_event(const struct driver *v)
{
	return word(v, v->used + 4 + 8ull * v->size);
}

void driver_put_desc_at(const struct ram *ram, uint64_t table, unsigned i, uint64_t addr,
			uint32_t len, uint16_t flags, uint16_t next)
{
	struct desc d = {.addr = addr, .len = len, .flags = flags, .next = next};
	void *at = ram_at(ram, table + 16ull * i, sizeof(d));

	need(at);
	memcpy(at, &d, sizeof(d));
}

void driver_put_desc(struct driver *v, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
		     uint16_t next)
{
	driver_put_desc_at(v->ram, v->desc, i, addr, len, flags, next);
}

static void put_indirect(struct driver *v, uint16_t head, const struct driver_buf *buf, unsigned n)
{
	uint64_t table = v->table + 16ull * DRIVER_TABLE * head;

	for (unsigned i = 0; i < n; i++)
		driver_put_desc_at(v->ram, table, i, buf[i].gpa, buf[i].len,
				   (buf[i].write ? F_WRITE : 0) | (i + 1 < n ? F_NEXT : 0),
				   (uint16_t)(i + 1));
	driver_put_desc(v, head, table, 16 * n, F_INDIRECT, 0);
}

static void put_direct(struct driver *v, uint16_t head, const struct driver_buf *buf, unsigned n)
{
	uint16_t i = head;

	for (; n; n--, buf++) {
		driver_put_desc(v, i, buf->gpa, buf->len,
				(buf->write ? F_WRITE : 0) | (n > 1 ? F_NEXT : 0), v->next_free[i]);
		i = v->next_free[i];
	}
}

int driver_add(struct driver *v, const struct driver_buf *buf, unsigned n)
{
	bool indirect = v->indirect && n > 1 && n <= DRIVER_TABLE;
	uint16_t head = v->first_free, last = head, takes = indirect ? 1 : (uint16_t)n;

	need(n);
	if (v->free < takes)
		return -1;
	if (indirect)
		put_indirect(v, head, buf, n);
	else
		put_direct(v, head, buf, n);
	for (unsigned i = 1; i < takes; i++)
		last = v->next_free[last];
	v->first_free = v->next_free[last];
	v->free -= takes;
	v->length[head] = takes;
	*word(v, v->avail + 4 + 2ull * (v->avail_idx % v->size)) = head;
	v->avail_idx++;
	return head;
}

bool driver_publish(struct driver *v)
{
	uint16_t old = v->published, new = v->avail_idx;

	if (old == new)
		return false;
	__atomic_store_n(word(v, v->avail + 2), new, __ATOMIC_SEQ_CST);
	v->published = new;
	if (!v->event_idx)
		return !(__atomic_load_n(word(v, v->used), __ATOMIC_SEQ_CST) & NO_NOTIFY);
	return (uint16_t)(new - __atomic_load_n(avail_event(v), __ATOMIC_SEQ_CST) - 1) <
	       (uint16_t)(new - old);
}

bool driver_used(struct driver *v, struct driver_done *done)
{
	uint16_t last, idx = __atomic_load_n(word(v, v->used + 2), __ATOMIC_SEQ_CST);
	uint32_t e[2];

	if (idx == v->last_used)
		return false;
	memcpy(e, driver_at(v, v->used + 4 + 8ull * (v->last_used % v->size), 8), 8);
	need(e[0] < v->size && v->length[e[0]]);
	*done = (struct driver_done){.head = last = (uint16_t)e[0], .len = e[1]};
	for (unsigned i = 1; i < v->length[e[0]]; i++)
		last = v->next_free[last];
	v->next_free[last] = v->first_free;
	v->first_free = done->head;
	v->free += v->length[e[0]];
	v->length[e[0]] = 0;
	v->last_used++;
	return true;
}

/* With event indices "none" is one that the device reaches half the numbers later. */
bool driver_interrupts(struct driver *v, bool on)
{
	if (v->event_idx)
		__atomic_store_n(used_event(v), on ? v->last_used : v->last_used - 0x8000,
				 __ATOMIC_SEQ_CST);
	else
		__atomic_store_n(word(v, v->avail), on ? 0 : NO_INTERRUPT, __ATOMIC_SEQ_CST);
	return __atomic_load_n(word(v, v->used + 2), __ATOMIC_SEQ_CST) != v->last_used;
}

void driver_put_avail(struct driver *v, uint16_t head)
{
	*word(v, v->avail + 4 + 2ull * (v->avail_idx % v->size)) = head;
	v->avail_idx++;
	driver_put_avail_idx(v, v->avail_idx);
}

void driver_put_avail_idx(struct driver *v, uint16_t idx)
{
	v->published = v->avail_idx = idx;
	__atomic_store_n(word(v, v->avail + 2), idx, __ATOMIC_SEQ_CST);
}
