/*
 * virtio_rings.c - a driver that breaks every rule of a ring, on every device that is there: the
 * device asks for a reset, stands still, and works again after it; the others never notice.
 */
#include "lib/victim.h"

#define PAGE  4096
#define HOLE  0xc0000000u
#define LAPIC 0xfee00000u

static uint8_t *page;               /* a good buffer */
static volatile struct desc *table; /* an indirect one */

static void put_desc(volatile struct desc *d, uint64_t addr, uint32_t len, uint16_t flags,
		     uint16_t next)
{
	d->addr = addr;
	d->len = len;
	d->flags = flags;
	d->next = next;
}

/* A single descriptor, offered. */
static void only(struct vq *q, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	put_desc(&q->desc[0], addr, len, flags, next);
	vq_avail(q, 0);
}

/* An indirect table of two good entries but for the flags of the second. */
static void indirect(struct vq *q, uint32_t len, uint16_t flags, uint16_t second)
{
	put_desc(&table[0], (uint32_t)page, 16, DESC_NEXT, 1);
	put_desc(&table[1], (uint32_t)page, 16, second, 0);
	only(q, (uint32_t)table, len, flags, 0);
}

/* --- the available ring [case 1] --- */

static void jump_forward(struct vq *q)
{
	q->avail->idx = (uint16_t)(q->avail->idx + q->size + 1);
}

static void jump_back(struct vq *q)
{
	q->avail->idx = (uint16_t)(q->avail->idx - 1);
}

static void head_beyond(struct vq *q)
{
	vq_avail(q, q->size);
}

static void head_far_beyond(struct vq *q)
{
	vq_avail(q, 0xffff);
}

/* --- chains [2] --- */

static void next_is_itself(struct vq *q)
{
	only(q, (uint32_t)page, 16, DESC_NEXT, 0);
}

static void loop_of_two(struct vq *q)
{
	put_desc(&q->desc[1], (uint32_t)page, 16, DESC_NEXT, 0);
	only(q, (uint32_t)page, 16, DESC_NEXT, 1);
}

static void next_beyond(struct vq *q)
{
	only(q, (uint32_t)page, 16, DESC_NEXT, q->size);
}

static void readable_after_writable(struct vq *q)
{
	put_desc(&q->desc[1], (uint32_t)page, 16, 0, 0);
	only(q, (uint32_t)page, 16, DESC_NEXT | DESC_WRITE, 1);
}

static void beyond_4_gib_in_all(struct vq *q)
{
	for (unsigned i = 0; i < 64; i++)
		put_desc(&q->desc[i], 0, ram_end(), DESC_WRITE | (i < 63 ? DESC_NEXT : 0),
			 (uint16_t)(i + 1));
	vq_avail(q, 0);
}

/* --- indirect tables [3] --- */

static void nested_table(struct vq *q)
{
	indirect(q, 32, DESC_INDIRECT, DESC_INDIRECT);
}

static void table_and_next(struct vq *q)
{
	indirect(q, 32, DESC_INDIRECT | DESC_NEXT, DESC_WRITE);
}

static void table_of_no_length(struct vq *q)
{
	indirect(q, 0, DESC_INDIRECT, DESC_WRITE);
}

static void table_of_half_an_entry(struct vq *q)
{
	indirect(q, 24, DESC_INDIRECT, DESC_WRITE);
}

static void table_of_4_gib(struct vq *q)
{
	indirect(q, 0xfffffff0, DESC_INDIRECT, DESC_WRITE);
}

static void table_next_beyond(struct vq *q)
{
	indirect(q, 16, DESC_INDIRECT, DESC_WRITE);
}

static void table_loop(struct vq *q)
{
	indirect(q, 32, DESC_INDIRECT, DESC_NEXT);
}

static void table_outside_ram(struct vq *q)
{
	only(q, HOLE, 32, DESC_INDIRECT, 0);
}

static void table_across_the_end(struct vq *q)
{
	only(q, ram_end() - 16, 32, DESC_INDIRECT, 0);
}

/* --- buffers [4] --- */

static void buffer_of_no_length(struct vq *q)
{
	only(q, (uint32_t)page, 0, 0, 0);
}

static void buffer_across_the_end(struct vq *q)
{
	only(q, ram_end() - 8, 16, 0, 0);
}

static void buffer_wraps(struct vq *q)
{
	only(q, ~0ull - 7, 16, DESC_WRITE, 0);
}

static void buffer_wraps_from_zero(struct vq *q)
{
	only(q, 0, 0xffffffff, DESC_WRITE, 0);
}

static void buffer_in_the_hole(struct vq *q)
{
	only(q, HOLE, 16, DESC_WRITE, 0);
}

static void buffer_in_the_lapic(struct vq *q)
{
	only(q, LAPIC, 16, DESC_WRITE, 0);
}

static void buffer_in_the_device(struct vq *q)
{
	only(q, q->dev->mmio ? q->dev->regs : q->dev->bar, 16, DESC_WRITE, 0);
}

static void buffer_far_away(struct vq *q)
{
	only(q, 1ull << 52, 16, DESC_WRITE, 0);
}

/* --- where rings are [5] --- */

static uint64_t d, a, u; /* desc, avail, used: good ones */

static const struct {
	const char *name;
	uint64_t desc, avail, used; /* added to the good ones */
} places[] = {
	{"unaligned descriptors",     8,          0,          0                 },
	{"unaligned available ring",  0,          1,          0                 },
	{"unaligned used ring",       0,          0,          2                 },
	{"descriptors beyond 4 GiB",  1ull << 40, 0,          0                 },
	{"available ring at the end", 0,          1ull << 63, 0                 },
	{"used ring far away",        0,          0,          0xffffffff00000000},
};

static void place(struct vdev *v, const char *name, uint64_t desc, uint64_t avail, uint64_t used)
{
	struct vq *q = victim_queue(v);

	if (!vdev_begin(v, 0))
		victim_fail(v, name, "FEATURES_OK is refused");
	vdev_isr(v);
	vq_select(v, q->n);
	vq_setup(q, vq_max(v));
	vq_set_rings(v, desc, avail, used);
	vdev_set_status(v, S_READY | S_DRIVER_OK);
	victim_recovers(v, name);
	say("%s: %s\n", v->name, name);
}

static void places_of_rings(struct vdev *v)
{
	struct vq *q = victim_queue(v);

	d = (uint32_t)q->desc;
	a = (uint32_t)q->avail;
	u = (uint32_t)q->used;
	for (unsigned i = 0; i < sizeof(places) / sizeof(*places); i++)
		place(v, places[i].name, d + places[i].desc, a + places[i].avail,
		      u + places[i].used);
	place(v, "descriptors in the hole", HOLE, a, u);
	place(v, "descriptors across the end", ram_end() - 64, a, u);
	place(v, "used ring in the LAPIC", d, a, LAPIC);
	place(v, "used ring in the descriptors", d, a, d + 16);
	place(v, "available ring in the used ring", d, u + 64, u);
	place(v, "all rings at one place", d, d, d);
}

static const struct {
	const char *name;
	void (*attack)(struct vq *q);
	uint64_t features;
} attacks[] = {
	{"index jumps forward",           jump_forward,            0         },
	{"index jumps back",              jump_back,               0         },
	{"head beyond the table",         head_beyond,             0         },
	{"head 65535",                    head_far_beyond,         0         },
	{"descriptor is its own next",    next_is_itself,          0         },
	{"loop of two",                   loop_of_two,             0         },
	{"next beyond the table",         next_beyond,             0         },
	{"readable after writable",       readable_after_writable, 0         },
	{"more than 4 GiB in all",        beyond_4_gib_in_all,     0         },
	{"table in a table",              nested_table,            F_INDIRECT},
	{"table and next",                table_and_next,          F_INDIRECT},
	{"empty table",                   table_of_no_length,      F_INDIRECT},
	{"table of one and a half",       table_of_half_an_entry,  F_INDIRECT},
	{"table of 4 GiB",                table_of_4_gib,          F_INDIRECT},
	{"next beyond an indirect table", table_next_beyond,       F_INDIRECT},
	{"loop in a table",               table_loop,              F_INDIRECT},
	{"table in the hole",             table_outside_ram,       F_INDIRECT},
	{"table across the end of RAM",   table_across_the_end,    F_INDIRECT},
	{"table that was not negotiated", table_and_next,          0         },
	{"empty buffer",                  buffer_of_no_length,     0         },
	{"buffer across the end of RAM",  buffer_across_the_end,   0         },
	{"buffer that wraps",             buffer_wraps,            0         },
	{"buffer of 4 GiB",               buffer_wraps_from_zero,  0         },
	{"buffer in the hole",            buffer_in_the_hole,      0         },
	{"buffer in the LAPIC",           buffer_in_the_lapic,     0         },
	{"buffer in the device",          buffer_in_the_device,    0         },
	{"buffer far away",               buffer_far_away,         0         },
};

static void rings(struct vdev *v)
{
	for (unsigned i = 0; i < sizeof(attacks) / sizeof(*attacks); i++) {
		struct vq *q = victim_queue(v);

		vdev_open(v, attacks[i].features);
		vdev_isr(v);
		attacks[i].attack(q);
		vq_notify(q);
		victim_recovers(v, attacks[i].name);
		say("%s: %s\n", v->name, attacks[i].name);
	}
}

void main(void)
{
	page = take(PAGE, PAGE);
	table = take(PAGE, PAGE);
	victims_find();
	for (unsigned i = 0; i < victim_count; i++) {
		rings(&victims[i]);
		places_of_rings(&victims[i]);
	}
}
