/*
 * transport_fuzz.c - bytes to register traffic at virtio devices over PCI and MMIO, and to rings in
 * memory. Each byte chooses one line of the table below. While a CPU waits for a reset, the lines
 * that follow are those of another.
 */
#include <inttypes.h>
#include <string.h>

#include "fuzz.h"
#include "transport.h"

#define STEPS_MAX 1500u
#define DEPTH_MAX 3u /* CPUs that wait at a time */
#define LINES_MAX 8u /* of the other, meanwhile */

#define PCI_ADDR 0xcf8u
#define PCI_DATA 0xcfcu
#define IOREGSEL GPA_IOAPIC
#define IOWIN    (GPA_IOAPIC + 0x10)
#define DATA     0x2000u /* where buffers are */

_Static_assert(RING_END <= DATA, "rings below the buffers");

static struct plugs plugs;
static struct input *source;
static unsigned steps, depth;

static uint64_t step(enum step_op op, uint64_t addr, uint64_t val)
{
	uint64_t got;

	steps++;
	got = world_step(&plugs.w, &(struct step){op, addr, val});
	plugs_check(&plugs, false);
	return got;
}

/* What is no access to the board is a comment in a reproduction. */
static void say(const char *what, uint64_t a, uint64_t b)
{
	steps++;
	if (world_print)
		printf("\t/* %s %#" PRIx64 " %#" PRIx64 " */\n", what, a, b);
}

static void cpu(enum step_op op, uint64_t addr, unsigned size, uint64_t val)
{
	unsigned log = size == 4 ? 2 : size - 1;

	step(op + log, addr, op == WR ? val & all_ones(size) : 0);
}

static void config_select(unsigned fn, unsigned reg)
{
	step(WR4, PCI_ADDR, BIT(31) | (PLUG_SLOT + fn) << 11 | (reg & 0xfc));
}

static void config_write(unsigned fn, unsigned reg, unsigned size, uint32_t val)
{
	config_select(fn, reg);
	cpu(WR, PCI_DATA + (reg & 3), size, val);
}

/* Where the device's registers are, for its CPU. */
static uint64_t base_of(unsigned d)
{
	if (d >= MMIO_A)
		return plugs.vmmio[d - MMIO_A].gpa;
	return plugs.vpci[d].bar ? plugs.vpci[d].bar : GPA_PCI_WINDOW + (PLUG_SLOT + d) * 0x4000;
}

struct reg {
	uint16_t off;
	uint8_t size;
};

static const struct reg pci_reg[] = {
	{0x00,   4},
        {0x04,   4},
        {0x08,   4},
        {0x0c,   4},
        {0x10,   2},
        {0x12,   2},
        {0x14,   1},
	{0x15,   1},
        {0x16,   2},
        {0x18,   2},
        {0x1a,   2},
        {0x1c,   2},
        {0x1e,   2},
        {0x20,   4},
	{0x24,   4},
        {0x28,   4},
        {0x2c,   4},
        {0x30,   4},
        {0x34,   4},
        {0x38,   2},
        {0x3a,   2},
	{0x40,   1},
        {0x80,   4},
        {0x90,   4},
        {0x92,   4},
        {0x1000, 2},
        {0x2000, 4},
        {0x2008, 4},
	{0x200c, 4},
        {0x201c, 4},
        {0x202c, 4},
        {0x203c, 4},
        {0x204c, 4},
        {0x3000, 4},
};

static const struct reg mmio_reg[] = {
	{0x00,  4},
        {0x04,  4},
        {0x08,  4},
        {0x10,  4},
        {0x14,  4},
        {0x20,  4},
        {0x24,  4},
	{0x30,  4},
        {0x34,  4},
        {0x38,  4},
        {0x44,  4},
        {0x50,  4},
        {0x60,  4},
        {0x64,  4},
	{0x70,  4},
        {0x80,  4},
        {0x84,  4},
        {0x90,  4},
        {0x94,  4},
        {0xa0,  4},
        {0xa4,  4},
	{0xb0,  4},
        {0xc0,  4},
        {0xfc,  4},
        {0x100, 4},
        {0x106, 2},
        {0x110, 4},
        {0x113, 1},
};

/* Values that mean something to some register, and those of the input. */
static uint32_t value(struct input *in)
{
	static const uint32_t val[] = {0,  1,  3,      11,     15,     0x4b,       2,        4,
				       16, 32, 0x8000, 0xffff, 0xfffe, 0xffffffff, 0x100000, 8};
	uint8_t how = (uint8_t)input_take(in, 1);

	if (how < 0x80)
		return val[how % ARRAY_SIZE(val)];
	return (uint32_t)input_take(in, how & 0x40 ? 4 : how & 0x20 ? 2 : 1);
}

static void registers(struct input *in, bool write)
{
	uint8_t what = (uint8_t)input_take(in, 1), which = (uint8_t)input_take(in, 1);
	unsigned d = what % DEVICES;
	const struct reg *r = d < MMIO_A ? &pci_reg[which % ARRAY_SIZE(pci_reg)]
					 : &mmio_reg[which % ARRAY_SIZE(mmio_reg)];

	cpu(write ? WR : RD, base_of(d) + r->off, r->size, write ? value(in) : 0);
}

/* Any offset, any width up to 8. */
static void anywhere(struct input *in)
{
	uint8_t what = (uint8_t)input_take(in, 1);
	uint64_t off = input_take(in, 2);
	unsigned d = what % DEVICES;

	step(X5,
	     (base_of(d) + off % (d < MMIO_A ? VPCI_BAR_SIZE : VMMIO_SIZE)) |
		     PUT(X5_SIZE, what >> 2) | (what & 0x40 ? X5_WRITE : 0),
	     what & 0x40 ? input_take(in, 8) : 0);
}

static void config_space(struct input *in)
{
	static const uint8_t reg[] = {0x04, 0x06, 0x10, 0x3c, 0x40, 0x42, 0x43, 0x94,
				      0x98, 0x9c, 0xa0, 0xa1, 0xa2, 0x14, 0x05, 0x0};
	uint8_t what = (uint8_t)input_take(in, 1), log = what >> 1 & 3;
	unsigned fn = what & 1, size = 1u << (log < 3 ? log : 2), at = reg[what >> 4];

	if (what & 8) {
		config_write(fn, at, size, value(in));
	} else {
		config_select(fn, at);
		cpu(RD, PCI_DATA + (at & 3), size, 0);
	}
}

static void bar(struct input *in)
{
	static const uint32_t to[] = {0xc1008000, 0xc100c000, 0xe0000000, 0,
				      0xffffffff, 0xfec00000, 0xfee00000, 0xc0000000,
				      0xc0010000, 0x00100000, 0xfebfc000, 0xc0100000};
	uint8_t what = (uint8_t)input_take(in, 1);

	config_write(what & 1, 0x10, 4, to[(what >> 1) % ARRAY_SIZE(to)]);
}

/* An entry of the MSI-X table, and then the function's switches. */
static void msix(struct input *in)
{
	uint8_t what = (uint8_t)input_take(in, 1);
	unsigned fn = what & 1;
	uint64_t entry = base_of(fn) + 0x2000 + 16 * (what >> 1 & 3);

	step(WR4, entry, 0xfee00000);
	step(WR4, entry + 8, 0x40u + (what & 7));
	step(WR4, entry + 12, what >> 3 & 1);
	if (what & 0x10)
		config_write(fn, 0x42, 2, (what & 0xe0) << 8);
}

/* The PCI_CFG window: set up, then used, most of the time as it is meant to be. */
static void window(struct input *in)
{
	uint8_t what = (uint8_t)input_take(in, 1), which = (uint8_t)input_take(in, 1);
	const struct reg *r = &pci_reg[which % ARRAY_SIZE(pci_reg)];
	unsigned fn = what & 1;

	if (what & 2)
		config_write(fn, 0x94, 1, (what & 0xe0) == 0xe0);
	config_write(fn, 0x98, 4, r->off);
	config_write(fn, 0x9c, 4, (what & 0x1c) == 0x1c ? (uint8_t)input_take(in, 1) : r->size);
	config_select(fn, 0xa0);
	cpu(what & 0x80 ? WR : RD, PCI_DATA, what & 0x40 ? 4 : r->size,
	    what & 0x80 ? value(in) : 0);
}

/* --- the driver's way --- */

static void set(unsigned d, unsigned pci, unsigned size, unsigned mmio, uint32_t val)
{
	cpu(WR, base_of(d) + (d < MMIO_A ? pci : mmio), d < MMIO_A ? size : 4, val);
}

static void bring_up(struct input *in)
{
	uint8_t what = (uint8_t)input_take(in, 1);
	unsigned d = what % DEVICES;

	set(d, 0x14, 1, 0x70, 0);
	if (plugs.plug[d].kicked && !(what & 128))
		plug_serve(&plugs, d);
	set(d, 0x14, 1, 0x70, what & 4 ? 1 : 3);
	set(d, 0x14, 1, 0x70, 3);
	set(d, 0x08, 4, 0x24, 1);
	set(d, 0x0c, 4, 0x20, 1);
	set(d, 0x08, 4, 0x24, 0);
	set(d, 0x0c, 4, 0x20, (what & 8 ? BIT(29) : 0) | (what & 16 ? BIT(28) : 0));
	set(d, 0x14, 1, 0x70, 11);
	for (unsigned q = 0; q < PLUG_QUEUES; q++) {
		if (what & 32 && q == 1)
			continue;
		set(d, 0x16, 2, 0x30, q);
		set(d, 0x18, 2, 0x38, q == 2 ? 4 : PLUG_SIZE);
		set(d, 0x20, 4, 0x80, RING(d, q));
		if (what >= 0xf8)
			set(d, 0x24, 4, 0x84, value(in));
		set(d, 0x28, 4, 0x90, RING(d, q) + RING_AVAIL);
		set(d, 0x30, 4, 0xa0, RING(d, q) + RING_USED);
		if (d < MMIO_A)
			set(d, 0x1a, 2, 0, q + 1);
		set(d, 0x1c, 2, 0x44, 1);
	}
	memset(plugs.mem + RING(d, 0), 0, RING(1, 0));
	set(d, 0x14, 1, 0x70, 15);
	if (what & 64)
		plug_serve(&plugs, d);
}

static uint16_t *word(uint32_t gpa)
{
	return (uint16_t *)(plugs.mem + gpa % PLUG_RAM);
}

/* A chain of one or two descriptors where the rings are by the settings, and what a driver does. */
static void chain(struct input *in)
{
	uint8_t what = (uint8_t)input_take(in, 1), how = (uint8_t)input_take(in, 1);
	unsigned d = what % DEVICES, q = what / DEVICES % PLUG_QUEUES,
		 head = how % (q == 2 ? 3 : 8u);
	uint16_t *idx = word(RING(d, q) + RING_AVAIL + 2);
	uint64_t desc[4] = {DATA + (how & 0x78u) * 8, 0, DATA + 0x800, 0};
	unsigned size = q == 2 ? 4 : PLUG_SIZE;

	/* address; length | flags << 32 | next << 48 */
	desc[1] = 16 | (how & 0x80 ? BIT(32) | (uint64_t)(head + 1) << 48 : BIT(33));
	desc[3] = 24 | BIT(33);
	if (what >= 0xe0)
		desc[how & 3] ^= input_take(in, 8);
	memcpy(plugs.mem + RING(d, q) + 16 * head, desc, sizeof(desc));
	*word(RING(d, q) + RING_AVAIL + 4 + 2 * (*idx % size)) = (uint16_t)head;
	(*idx)++;
	say("chain for", d, q);
	if (how & 1)
		set(d, 0x1000, 2, 0x50, q);
	else
		plugs.plug[d].kicked = true; /* by the bell */
}

/* Memory belongs to the guest. */
static void scribble(struct input *in)
{
	uint32_t gpa = (uint32_t)input_take(in, 2) & ~1u;

	gpa %= gpa & 0x8000 ? PLUG_RAM : RING_END;
	*word(gpa) = (uint16_t)input_take(in, 2);
	say("memory", gpa, *word(gpa));
}

/* --- the monitor's and the rest of the machine --- */

static void loop(struct input *in)
{
	uint8_t what = (uint8_t)input_take(in, 1);
	unsigned d = what % DEVICES;

	say("loop", what, 0);
	if (what & 0x80)
		plugs_settle(&plugs);
	else if (plugs.plug[d].kicked || plugs.plug[d].dev.again)
		plug_serve(&plugs, d);
}

static void device(struct input *in)
{
	uint8_t what = (uint8_t)input_take(in, 1);
	unsigned d = what % DEVICES;
	struct virtio_dev *v = &plugs.plug[d].dev;

	say("device", what, 0);
	switch (what / DEVICES % 4) {
	case 0: plugs.plug[d].stops_late = !plugs.plug[d].stops_late; break;
	case 1: plug_drained(&plugs, d); break;
	default:
		virtio_lock(v);
		virtio_config_changed(v);
		virtio_unlock(v);
		break;
	}
	plugs_check(&plugs, false);
}

static void controllers(struct input *in)
{
	static const uint8_t pin[] = {5, 5, 10, 11};
	uint8_t what = (uint8_t)input_take(in, 1);

	switch (what % 4) {
	case 0:
		step(WR, IOREGSEL, 0x10 + 2u * pin[what >> 2 & 3]);
		step(WR4, IOWIN,
		     0x30u + (what >> 2 & 3) + (what & 0x20 ? BIT(15) : 0) +
			     (what & 0x40 ? BIT(16) : 0));
		break;
	case 1: step(X0, what >> 5, plugs.w.last_level); break;
	case 2: step(TICK, 0, (uint64_t)(what >> 2) * 1000000); break;
	default: step(SET, WIRE_MSI, what >> 2); break;
	}
}

static void one(struct input *in)
{
	switch (input_take(in, 1) % 32) {
	case 0 ... 7: registers(in, true); break;
	case 8 ... 9: registers(in, false); break;
	case 10: msix(in); break;
	case 11: anywhere(in); break;
	case 12 ... 13: config_space(in); break;
	case 14: bar(in); break;
	case 15 ... 16: window(in); break;
	case 17 ... 19: bring_up(in); break;
	case 20 ... 23: chain(in); break;
	case 24: scribble(in); break;
	case 25 ... 27: loop(in); break;
	case 28 ... 29: device(in); break;
	default: controllers(in); break;
	}
}

/* A CPU waits, and this is the other. */
static void meanwhile(void *ctx)
{
	if (depth == DEPTH_MAX)
		return;
	depth++;
	say("another CPU", depth, 0);
	for (unsigned n = (unsigned)input_take(source, 1) % LINES_MAX;
	     n && source->n && steps < STEPS_MAX; n--)
		one(source);
	say("end of another CPU", depth, 0);
	depth--;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	world_print = getenv("REPRO") != NULL;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	steps = depth = 0;
	source = &in;
	plugs.meanwhile = meanwhile;
	plugs_init(&plugs, 2);
	while (in.n && steps < STEPS_MAX)
		one(&in);
	plugs_settle(&plugs);
	depth = DEPTH_MAX;                       /* the others are done */
	for (unsigned d = 0; d < DEVICES; d++) { /* and each device can be had back */
		plug_drained(&plugs, d);
		config_write(d % 2, 0x04, 2, 6);
		config_write(d % 2, 0x10, 4, 0xe0000000 + d % 2 * 0x4000);
		set(d, 0x14, 1, 0x70, 0);
		plugs_settle(&plugs);
		plug_drained(&plugs, d);
		CHECK(plugs.plug[d].dev.status == 0);
	}
	return 0;
}
