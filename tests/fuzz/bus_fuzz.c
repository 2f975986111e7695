/*
 * bus_fuzz.c - bytes to steps on the whole board. Three bytes set the scene; then each byte chooses
 * one line of the table below, which takes what bytes it needs. Lines name real registers, so that
 * an arbitrary input is full of accesses that mean something.
 *
 * With REPRO in the environment the steps are printed as a table of tests/lib/steps.h.
 */
#include <inttypes.h>

#include "fuzz.h"
#include "world.h"

#define STEPS_MAX 2000u

#define PCI_ADDR  0xcf8u
#define PCI_DATA  0xcfcu
#define PCI_ON    BIT(31)
#define RTC_INDEX 0x70u
#define PIT_CW    0x43u
#define IOREGSEL  GPA_IOAPIC
#define IOWIN     (GPA_IOAPIC + 0x10)
#define EOIR      (GPA_IOAPIC + 0x40)
#define REDTBL    0x10u

static struct world world;
static unsigned steps;

static uint64_t step(enum step_op op, uint64_t addr, uint64_t val)
{
	steps++;
	return world_step(&world, &(struct step){op, addr, val});
}

static uint16_t pick_port(struct input *in)
{
	static const uint16_t port[] = {
		0x3f8, 0x3f8, 0x3f9, 0x3f9, 0x3fa, 0x3fa, 0x3fb,  0x3fc, 0x3fd,  0x3fe,
		0x3ff, 0x20,  0x20,  0x21,  0x21,  0xa0,  0xa0,   0xa1,  0xa1,   0x40,
		0x41,  0x42,  0x43,  0x43,  0x61,  0x61,  0x60,   0x60,  0x64,   0x64,
		0x62,  0x70,  0x71,  0x92,  0x4d0, 0x4d1, 0xcf8,  0xcf9, 0xcfb,  0xcfc,
		0xcfd, 0xcfe, 0xcff, 0x600, 0x601, 0x602, 0x603,  0x604, 0x605,  0x608,
		0x60c, 0x60e, 0x63f, 0xf4,  0xe0,  0xe1,  0xe4,   0xe8,  0x2000, 0x2017,
		0x510, 0x511, 0x3f7, 0xcf7, 0x1f,  0x5fe, 0xffff,
	};

	return port[input_take(in, 1) % ARRAY_SIZE(port)];
}

static void io(struct input *in, bool write, uint16_t port)
{
	unsigned log = (unsigned)input_take(in, 1) % 8;

	log = log < 3 ? log : 0; /* mostly bytes */
	step(write ? WR + log : RD + log, port, write ? input_take(in, 1u << log) : 0);
}

/* Configuration space: the functions that are there, a register, a width. */
static void pci(struct input *in, bool write)
{
	static const uint16_t devfn[] = {0x00, 0x08, 0x0b, 0x09, 0x10, 0xff, 0x1000};
	uint8_t what = (uint8_t)input_take(in, 1), reg = (uint8_t)input_take(in, 1);
	unsigned log = what % 3, byte = reg & 3 & (0u - (1u << log));

	step(WR4, PCI_ADDR, PCI_ON | (uint64_t)devfn[what / 3 % 7] << 8 | (reg & 0xfc));
	step(write ? WR + log : RD + log, PCI_DATA + byte, write ? input_take(in, 1u << log) : 0);
}

/* A whole redirection entry, low half first or last. */
static void rte(struct input *in)
{
	uint8_t pin = (uint8_t)input_take(in, 1), how = (uint8_t)input_take(in, 1);
	uint64_t low = input_take(in, 1) | PUT(MASK(10, 8), how & 6 ? how & 1 : how >> 5) |
		       (how & 8 ? BIT(15) : 0) | (how & 16 ? BIT(16) : 0);

	pin %= IOAPIC_PINS;
	if (how & 4) {
		step(WR, IOREGSEL, REDTBL + 2u * pin + 1);
		step(WR4, IOWIN, (uint64_t)how << 24);
	}
	step(WR, IOREGSEL, REDTBL + 2u * pin);
	step(WR4, IOWIN, low);
}

static void icw(struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1);
	uint16_t base = how & 0x80 ? 0xa0 : 0x20;

	step(WR, base, 0x10u | (how & 0xfu));
	step(WR, base + 1u, input_take(in, 1));
	if (!(how & BIT(1)))
		step(WR, base + 1u, how & 0x80 ? 2 : 4);
	if (how & BIT(0))
		step(WR, base + 1u, input_take(in, 1));
}

/* Command words of an 8259 that is set up: mostly EOIs, then special modes and rotation. */
static void ocw(struct input *in)
{
	static const uint8_t word[] = {0x20, 0x20, 0x20, 0x60, 0x64, 0x61, 0x68, 0x68,
				       0x48, 0x0a, 0x0b, 0x0c, 0xa0, 0xc3, 0x80, 0xe0};
	uint8_t how = (uint8_t)input_take(in, 1);

	step(WR, how & 0x80 ? 0xa0 : 0x20, word[how % ARRAY_SIZE(word)]);
	if (how & 0x40)
		step(WR, how & 0x80 ? 0xa1 : 0x21, input_take(in, 1));
}

static void pit(struct input *in)
{
	uint8_t cw = (uint8_t)input_take(in, 1);
	unsigned counter = cw >> 6;

	step(WR, PIT_CW, cw);
	if (counter == 3)
		return;
	step(WR, 0x40u + counter, input_take(in, 1));
	if ((cw & 0x30) == 0x30)
		step(WR, 0x40u + counter, input_take(in, 1));
}

static void rtc(struct input *in, bool write)
{
	uint8_t index = (uint8_t)input_take(in, 1);

	/* Mostly the clock's own. */
	step(WR, RTC_INDEX, index & 0x80 ? index & 0x7fu : index & 0x40 ? 0x32 : index % 14);
	step(write ? WR : RD, RTC_INDEX + 1, write ? input_take(in, 1) : 0);
}

static void memory(struct input *in)
{
	static const uint64_t base[] = {GPA_IOAPIC,       GPA_BOOT_TIMER, GPA_TEST_MMIO,
					GPA_VIRTIO_MMIO,  GPA_LAPIC,      GPA_4G,
					MASK(47, 0) - 15, GPA_IOAPIC - 4};
	uint8_t how = (uint8_t)input_take(in, 1);
	uint64_t off = input_take(in, how & 0x80 ? 2 : 1);

	step(X5,
	     ((base[how & 7] + off) & MASK(47, 0)) | PUT(X5_SIZE, how >> 3) |
		     (how & 0x40 ? X5_WRITE : 0),
	     how & 0x40 ? input_take(in, 8) : 0);
}

static void world_input(struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1);

	switch (how % 8) {
	case 0: step(SET, WIRE_READER, how >> 7); break;
	case 1: step(SET, WIRE_SKEW, how & 0x80 ? input_take(in, 4) : 0); break;
	case 2: step(SET, WIRE_MSI, how >> 3); break;
	case 3: step(OFF, 0, (input_take(in, 1) + 1) * 64); break;
	case 4: step(X0, how & 0x80 ? input_take(in, 1) : 10000, world.last_level); break;
	case 5: step(SET, WIRE_INTX + how / 8u, input_take(in, 1) & 1); break;
	case 6: step(TICK, 1, input_take(in, 5)); break;
	default: step(X4, how >> 7, 0); break;
	}
}

static void one(struct input *in)
{
	uint64_t v;

	switch (input_take(in, 1) % 32) {
	case 0 ... 4: io(in, true, pick_port(in)); break;
	case 5 ... 7: io(in, false, pick_port(in)); break;
	case 8: io(in, true, (uint16_t)input_take(in, 2)); break;
	case 9: io(in, false, (uint16_t)input_take(in, 2)); break;
	case 10: pci(in, true); break;
	case 11: pci(in, false); break;
	case 12 ... 13: rte(in); break;
	case 14:
		v = input_take(in, 1);
		step(WR, IOREGSEL, v % 0x40);
		step(v & 0x80 ? WR4 : RD4, IOWIN, v & 0x80 ? input_take(in, 4) : 0);
		break;
	case 15: step(WR4, EOIR, world.last_level); break;
	case 16: icw(in); break;
	case 17: pit(in); break;
	case 18: rtc(in, true); break;
	case 19: rtc(in, false); break;
	case 20: step(TICK, 0, input_take(in, 2) * 1000); break;
	case 21: step(TICK, 0, BIT(input_take(in, 1) % 48)); break;
	case 22: step(X0, 0, input_take(in, 1)); break;
	case 23: step(X0, 0, world.last_level); break;
	case 24: step(X1, 0, 0); break;
	case 25: step(X2, 0, input_take(in, 1)); break;
	case 26:
		v = input_take(in, 1);
		step(X3, v & 1, (v >> 1) * 40);
		break;
	case 27 ... 28:
		v = input_take(in, 1);
		step(SET, v % GSI_N, v >> 7);
		break;
	case 29: memory(in); break;
	case 30: world_input(in); break;
	default: ocw(in); break;
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	world_print = getenv("REPRO") != NULL;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A host that has just started, one after an hour, one after a century. */
	static const uint64_t start[] = {1, 3600 * NSEC + 1, 1ull << 61, 12345678};
	struct input in = {data, size};
	uint8_t scene = (uint8_t)input_take(&in, 1);
	unsigned cpus = (unsigned)input_take(&in, 1) % MAX_CPUS + 1;

	steps = 0;
	if (world_print)
		printf("/* test device %d, %u CPUs, at %" PRIu64 " ns */\n", !(scene & 1), cpus,
		       start[scene >> 1 & 3]);
	world_init(&world, !(scene & 1), cpus, start[scene >> 1 & 3]);
	while (in.n && steps < STEPS_MAX)
		one(&in);
	step(TICK, 0, 20 * NSEC); /* and nothing of it comes to haunt the loop */
	return 0;
}
