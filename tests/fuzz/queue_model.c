/* queue_model.c - written to be read, not to be fast; see queue_model.h. */
#include "queue_model.h"

#include <string.h>

#include "fuzz.h"

#define NEXT     1u
#define WRITE    2u
#define INDIRECT 4u

bool model_inside(const struct ram *ram, uint64_t gpa, uint64_t len)
{
	unsigned __int128 end = (unsigned __int128)gpa + len;

	return len && (end <= ram->low || (gpa >= 4 * GIB && end <= 4 * GIB + ram->high));
}

static const void *at(const struct ram *ram, uint64_t gpa, uint64_t len)
{
	CHECK(model_inside(ram, gpa, len));
	return ram->host + (gpa < ram->low ? gpa : gpa - 4 * GIB + ram->low);
}

uint16_t model_word(const struct model *m, uint64_t gpa)
{
	uint16_t v;

	memcpy(&v, at(m->ram, gpa, 2), 2);
	return v;
}

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return MAX(a, b) < MIN(a + a_len, b + b_len);
}

bool model_start(struct model *m, const struct ram *ram, const struct queue *q, bool event_idx,
		 bool indirect)
{
	uint64_t d_len = 16ull * q->size, a_len = 6 + 2ull * q->size, u_len = 6 + 8ull * q->size;

	*m = (struct model){
		.ram = ram,
		.desc = q->desc,
		.avail = q->avail,
		.used = q->used,
		.size = q->size,
		.event_idx = event_idx,
		.indirect = indirect,
	};
	if (__builtin_popcount(q->size) != 1 || q->size > q->max || q->size > QUEUE_SIZE_MAX)
		return false;
	if (q->desc & 15 || q->avail & 1 || q->used & 3)
		return false;
	return model_inside(ram, q->desc, d_len) && model_inside(ram, q->avail, a_len) &&
	       model_inside(ram, q->used, u_len) && !overlap(q->desc, d_len, q->avail, a_len) &&
	       !overlap(q->desc, d_len, q->used, u_len) &&
	       !overlap(q->avail, a_len, q->used, u_len);
}

static bool add(struct model *m, struct model_chain *c, uint64_t addr, uint32_t len, bool write)
{
	if (c->n == QUEUE_SIZE_MAX || !model_inside(m->ram, addr, len))
		return false;
	if (!write && c->n > c->readable)
		return false;
	c->addr[c->n] = addr;
	c->len[c->n++] = len;
	c->readable += !write;
	*(write ? &c->write_bytes : &c->read_bytes) += len;
	return c->read_bytes + c->write_bytes <= UINT32_MAX;
}

static bool follow(struct model *m, struct model_chain *c, uint64_t table, uint64_t entries,
		   uint64_t i, bool nested)
{
	for (;;) {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;

		if (i >= entries)
			return false;
		memcpy(&addr, at(m->ram, table + 16 * i, 8), 8);
		memcpy(&len, at(m->ram, table + 16 * i + 8, 4), 4);
		memcpy(&flags, at(m->ram, table + 16 * i + 12, 2), 2);
		memcpy(&next, at(m->ram, table + 16 * i + 14, 2), 2);
		if (flags & INDIRECT)
			return m->indirect && !nested && !(flags & NEXT) && len % 16 == 0 &&
			       len / 16 <= 65535 && model_inside(m->ram, addr, len) &&
			       follow(m, c, addr, len / 16, 0, true);
		if (!add(m, c, addr, len, flags & WRITE))
			return false;
		if (!(flags & NEXT))
			return true;
		i = next;
	}
}

int model_pop(struct model *m, struct model_chain *c)
{
	uint16_t idx = model_word(m, m->avail + 2);

	if (m->taken == m->seen) {
		if (idx == m->taken)
			return 0;
		/* As many as there are descriptors, with those that are out. */
		if ((uint16_t)(idx - m->taken) + (uint16_t)(m->taken - m->back) > (int)m->size)
			return -1;
		m->seen = idx;
	}
	memset(c, 0, sizeof(*c));
	c->head = model_word(m, m->avail + 4 + 2 * (m->taken % m->size));
	if (!follow(m, c, m->desc, m->size, c->head, false))
		return -1;
	m->taken++;
	return 1;
}

bool model_pending(const struct model *m)
{
	return model_word(m, m->avail + 2) != m->taken;
}

bool model_interrupts(struct model *m)
{
	uint16_t event = model_word(m, m->avail + 4 + 2 * m->size);
	bool any = m->shown != m->back, passed = false;

	for (; m->shown != m->back; m->shown++)
		passed = passed || m->shown == event;
	return m->event_idx ? passed : any && !(model_word(m, m->avail) & 1);
}
