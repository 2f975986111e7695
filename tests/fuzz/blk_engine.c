/* blk_engine.c - stands in for blk_io.c: see blk_engine.h. */
#include "blk_engine.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../../src/virtio/blk_call.h"
#include "../../src/virtio/blk_slot.h"
#include "fuzz.h"

struct engine engine;

void engine_reset(const struct ram *ram)
{
	engine = (struct engine){.ram = ram};
}

static struct blk *disk_of(const struct blk_req *r)
{
	return (struct blk *)((char *)r->user - offsetof(struct blk, user));
}

static void check_buffers(const struct blk_req *r)
{
	const struct ram *ram = engine.ram;
	uint64_t sum = 0;

	CHECK(r->iovs <= QUEUE_SIZE_MAX);
	for (unsigned i = 0; i < r->iovs; i++) {
		uint64_t off = (uint64_t)((uint8_t *)r->iov[i].iov_base - ram->host);

		CHECK(r->iov[i].iov_len && off < ram->low + ram->high);
		CHECK(r->iov[i].iov_len <= ram->low + ram->high - off);
		CHECK(off >= ram->low || off + r->iov[i].iov_len <= ram->low);
		sum += r->iov[i].iov_len;
	}
	CHECK(sum == r->len);
}

/* What must hold of any request, whatever the driver wrote. */
static void check_request(struct blk_req *r)
{
	const struct blk *b = disk_of(r);
	const struct blk_slot *s = blk_slot_of(r);
	const struct blk_file *f = &b->file[s->file];
	bool flush = b->dev.offered & VIRTIO_BLK_F_FLUSH;

	CHECK(s >= b->slot && s < b->slot + BLK_SLOTS && s->queue < b->dev.queues);
	CHECK(b->dev.started && !b->dev.broken);
	CHECK(s->file < BLK_FILES_MAX && f->fd >= 0 && r->fd == f->fd && f->in_flight);
	CHECK(r->op == BLK_OP_READ || r->op == BLK_OP_FLUSH || !b->readonly);
	CHECK(r->stable == (r->op != BLK_OP_READ && flush && !(b->dev.acked & VIRTIO_BLK_F_FLUSH)));
	if (r->op == BLK_OP_FLUSH) {
		CHECK(flush);
		return;
	}
	CHECK(r->off % BLK_SECTOR == 0 || r->op == BLK_OP_READ);
	CHECK(r->len && r->len <= f->sectors * BLK_SECTOR);
	CHECK(r->off <= f->sectors * BLK_SECTOR - r->len);
	CHECK(r->iovs <= (s->table ? QUEUE_SIZE_MAX : BLK_IOV_FEW) || r->op > BLK_OP_WRITE);
	if (r->op <= BLK_OP_WRITE)
		check_buffers(r);
}

void blk_io_add(struct blk_io *io, struct blk_req *r)
{
	CHECK(io == &engine.io && engine.n < BLK_SLOTS);
	for (unsigned i = 0; i < engine.n; i++)
		CHECK(engine.pending[i] != r);
	check_request(r);
	r->user->leaving = false;
	engine.pending[engine.n++] = r;
}

void blk_io_add_to(struct blk_list *row, struct blk_req *r)
{
	CHECK(engine.lent == r->user && r->blocking && engine.rows < BLK_SLOTS);
	check_request(r);
	r->user->leaving = false;
	r->next = NULL;
	blk_list_add(row, r);
}

bool blk_io_can_lend(const struct blk_io *io)
{
	return !engine.lent;
}

bool blk_io_busy(struct blk_io *io)
{
	return engine.rows || engine.n;
}

void blk_io_lend(struct blk_io *io, struct blk_user *u, int bell)
{
	CHECK(!engine.lent && bell == ENGINE_BELL);
	engine.lent = engine.worker_of = u;
}

void blk_io_take_back(struct blk_io *io)
{
	CHECK(engine.lent);
	engine.lent = NULL;
}

bool blk_io_submit(struct blk_io *io)
{
	if (engine.refuses)
		return engine.started || !engine.n;
	engine.started = engine.n;
	return true;
}

struct blk_req *blk_io_cancel(struct blk_io *io, struct blk_user *u)
{
	struct blk_req *list = NULL;

	u->leaving = true;
	while (engine.n > engine.started) {
		engine.n--;
		engine.pending[engine.n]->next = list;
		list = engine.pending[engine.n];
	}
	return list;
}

static int64_t moody(const struct blk_call *c, unsigned tries)
{
	struct blk_call part = *c;

	switch (engine.mood) {
	case MOOD_SHORT:
		if (c->kind > BLK_CALL_WRITE || c->iov->iov_len < 2)
			break;
		part.one = (struct iovec){c->iov->iov_base, c->iov->iov_len / 2};
		part.iov = &part.one;
		part.iovs = 1;
		break;
	case MOOD_AGAIN:
		if (tries % 3)
			return tries % 2 ? -EINTR : -EAGAIN;
		break;
	case MOOD_EIO: return -EIO;
	case MOOD_FULL:
		if (c->kind == BLK_CALL_WRITE || c->kind == BLK_CALL_ALLOCATE)
			return -ENOSPC;
		break;
	case MOOD_LACKS:
		if (c->kind == BLK_CALL_ALLOCATE)
			return -EOPNOTSUPP;
		break;
	default: break;
	}
	if (part.iov == &c->one)
		part.iov = &part.one;
	return blk_call_run(&part);
}

/* Every call stays inside the request. */
static void carry_out(struct blk_req *r)
{
	struct blk_call c;
	unsigned tries = 1;
	int64_t got;

	blk_call_begin(r);
	do {
		blk_call_next(r, &c);
		if (c.kind != BLK_CALL_SYNC)
			CHECK(c.off >= r->off && c.len && c.off + c.len <= r->off + r->len);
		CHECK(c.kind != BLK_CALL_READ || r->op == BLK_OP_READ);
		CHECK(c.kind == BLK_CALL_READ || c.kind == BLK_CALL_SYNC || r->op != BLK_OP_READ);
		got = moody(&c, tries);
		CHECK(++tries < 4000);
	} while (!blk_call_ended(r, got));
	engine.carried_out++;
}

void engine_end(unsigned first, unsigned n)
{
	struct blk_req *list = NULL, **at = &list;
	struct blk_user *u = NULL;

	for (; n && engine.started; n--) {
		unsigned i = first % engine.started;

		*at = engine.pending[i];
		engine.n--;
		engine.started--;
		memmove(&engine.pending[i], &engine.pending[i + 1],
			(engine.n - i) * sizeof(engine.pending[0]));
		carry_out(*at);
		u = (*at)->user;
		at = &(*at)->next;
	}
	*at = NULL;
	if (u)
		u->done(u, list);
}

static void next_row(struct blk_req *r)
{
	for (; r; r = r->next) {
		CHECK(engine.rows < BLK_SLOTS);
		engine.row[engine.rows++] = r;
	}
}

void engine_ring(void)
{
	if (engine.worker_of && !engine.rows)
		next_row(engine.worker_of->wrote(engine.worker_of, NULL));
}

void engine_write(unsigned n)
{
	struct blk_req *list = NULL, **at = &list;
	unsigned i;

	for (i = 0; i < n && i < engine.rows; i++) {
		*at = engine.row[i];
		carry_out(*at);
		at = &(*at)->next;
	}
	*at = NULL;
	engine.rows -= i;
	memmove(engine.row, engine.row + i, engine.rows * sizeof(engine.row[0]));
	if (list)
		next_row(engine.worker_of->wrote(engine.worker_of, list));
}
