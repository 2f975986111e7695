/*
 * blk_slot.c - slots of requests in flight. What was given back last is taken first, so that the
 * pages that are touched are as few as requests were in flight at once. Device lock held.
 */
#include "blk_slot.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../log.h"

struct blk_table {
	union {
		struct iovec iov[QUEUE_SIZE_MAX];
		struct blk_table *next; /* free */
	};
};

#define SLOTS_LEN  (align_up(BLK_SLOTS * sizeof(struct blk_slot), sizeof(struct blk_table)))
#define TABLES_LEN (BLK_TABLES * sizeof(struct blk_table))

/* Address space only: a page becomes memory with the first request that needs it. */
int blk_slots_init(struct blk *b, const char *path)
{
	void *p = mmap(NULL, SLOTS_LEN + TABLES_LEN, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return log_fail(errno, "disk %s: no memory for its requests: %s", path,
				strerror(errno));
	/* Several disks' side by side could become a large page. Without such pages it fails. */
	madvise(p, SLOTS_LEN + TABLES_LEN, MADV_NOHUGEPAGE);
	b->slot = p;
	return 0;
}

void blk_slots_finish(struct blk *b)
{
	if (b->slot)
		munmap(b->slot, SLOTS_LEN + TABLES_LEN);
	b->slot = NULL;
}

void blk_file_put(struct blk *b, unsigned i)
{
	struct blk_file *f = &b->file[i];

	if (f->in_flight || i == b->current)
		return;
	close(f->fd);
	f->fd = -1;
}

bool blk_slot_free(const struct blk *b, unsigned iovs)
{
	bool slot = b->free_slot || b->slots_used < BLK_SLOTS;
	bool table = b->free_table || b->tables_used < BLK_TABLES;

	return slot && (iovs <= BLK_IOV_FEW || table);
}

static struct blk_table *table_get(struct blk *b)
{
	struct blk_table *t = b->free_table;

	if (!t)
		return (struct blk_table *)((char *)b->slot + SLOTS_LEN) + b->tables_used++;
	b->free_table = t->next;
	return t;
}

struct blk_slot *blk_slot_get(struct blk *b)
{
	struct blk_slot *s = b->free_slot;

	if (s)
		b->free_slot = s->next;
	else
		s = &b->slot[b->slots_used++];
	s->file = (uint8_t)b->current;
	s->table = NULL;
	s->req.blocking = false;
	s->written = 0;
	s->ranges = s->range = 0;
	b->file[s->file].in_flight++;
	b->in_flight++;
	return s;
}

void blk_slot_put(struct blk *b, struct blk_slot *s)
{
	if (s->table) {
		s->table->next = b->free_table;
		b->free_table = s->table;
	}
	s->next = b->free_slot;
	b->free_slot = s;
	b->in_flight--;
	b->writing -= s->req.blocking;
	b->file[s->file].in_flight--;
	blk_file_put(b, s->file);
}

bool blk_stable(const struct blk *b)
{
	return (b->dev.offered & VIRTIO_BLK_F_FLUSH) && !virtio_has(&b->dev, VIRTIO_BLK_F_FLUSH);
}

void blk_slot_buffers(struct blk *b, struct blk_slot *s, const struct iovec *iov, unsigned iovs)
{
	if (iovs > BLK_IOV_FEW)
		s->table = table_get(b);
	s->req.iov = s->table ? s->table->iov : s->iov;
	s->req.iovs = iovs;
	memcpy(s->req.iov, iov, iovs * sizeof(iov[0]));
}

void blk_slot_start(struct blk *b, struct blk_slot *s, enum blk_op op, uint64_t off, uint64_t len)
{
	struct blk_req *r = &s->req;

	r->op = op;
	r->fd = b->file[s->file].fd;
	r->off = off;
	r->len = len;
	r->user = &b->user;
	r->stable = op != BLK_OP_READ && blk_stable(b);
	r->blocking = op == BLK_OP_WRITE && !r->stable && !b->file[s->file].writes_nowait;
	b->writing += r->blocking;
	if (b->by_worker)
		blk_io_add_to(&b->row, r);
	else
		blk_io_add(b->io, r);
}

bool blk_slot_start_range(struct blk *b, struct blk_slot *s)
{
	while (s->range < s->ranges) {
		const struct blk_range *r = &s->todo[s->range++];
		enum blk_op op =
			r->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP ? BLK_OP_UNMAP : BLK_OP_ZERO;

		if (r->sectors == 0)
			continue;
		blk_slot_start(b, s, s->discard ? BLK_OP_DISCARD : op, r->sector * BLK_SECTOR,
			       (uint64_t)r->sectors * BLK_SECTOR);
		return true;
	}
	return false;
}
