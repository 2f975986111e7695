/*
 * vbus_test.c - virtio devices on the board: where they answer and what hides them, who holds which
 * lock, how their interrupts arrive. Two functions in slots 2 and 3, windows 0, 14 and 31.
 */
#include "../../../src/pc/vbus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../../src/boot/acpi.h"
#include "../../../src/pc/board.h"
#include "../../lib/driver.h"
#include "../../lib/steps.h"

#define RAM_SIZE (16 * MIB)

/* Devices of the table below, as steps name them. */
enum { PCI2, PCI3, MMIO0, MMIO14, MMIO31, DEVICES };

#define IRQ    X0 /* device addr interrupts for queue val */
#define BELL   X1 /* expect the bell of device addr at val */
#define SERVE  X2 /* the loop serves device addr */
#define KICKS  X3 /* expect val kicks of device addr since last asked */
#define EOI    X4 /* EOI of vector addr */
#define MISSED X5 /* expect val bytes of memory that nobody took since last asked */

static struct ram ram;
static struct board board;
static struct board_host board_host;
static struct driver_host host[DEVICES];
static struct virtio_dev dev[DEVICES];
static struct vpci vpci[2];
static struct vmmio vmmio[3];
static struct rig rig;
static uint8_t store[TEST_MMIO_SIZE];
static unsigned traces, config_writes, waits;
static uint64_t missed, traced;

static void dev_notify(struct virtio_dev *d)
{
}

static bool others; /* threads may hold the lock, so that its state tells nothing */

static bool board_is_free(void)
{
	if (others)
		return true;
	if (pthread_mutex_trylock(&board.lock.mutex))
		return false;
	pthread_mutex_unlock(&board.lock.mutex);
	return true;
}

/* A device may interrupt from here: the board lock is free. */
static void dev_config_write(struct virtio_dev *d, unsigned off, unsigned size, uint32_t val)
	REQUIRES(d->lock)
{
	assert_true(board_is_free());
	config_writes++;
	memcpy(d->config + off, &val, size);
	virtio_config_changed(d);
}

static const struct virtio_ops blk = {
	.name = "blk", .id = VIRTIO_ID_BLK, .notify = dev_notify, .config_write = dev_config_write};
static const struct virtio_ops net = {
	.name = "net", .id = VIRTIO_ID_NET, .notify = dev_notify, .config_write = dev_config_write};

static void on_arm(void *ctx, uint64_t deadline)
{
}

static void on_mark(void *ctx, uint8_t val, uint64_t now)
{
}

static void on_quit(void *ctx, uint8_t status)
{
}

static void on_flush(void *ctx, uint64_t gpa)
{
}

static void on_trace(void *ctx, const char *op, uint64_t addr, unsigned size, uint64_t val,
		     uint64_t now)
{
	traces++;
	traced = val;
}

/* While a CPU waits for its device the others have the board. */
static void on_await_reset(void *ctx, struct virtio_dev *d)
{
	assert_true(board_is_free());
	waits++;
	virtio_service(d);
}

static uint32_t bus_read(void *ctx, uint32_t addr, unsigned size, uint64_t now)
{
	if (addr <= UINT16_MAX)
		return board_pio_read(&board, (uint16_t)addr, size, now);
	return (uint32_t)board_mmio_read(&board, addr, size, now);
}

static void bus_write(void *ctx, uint32_t addr, unsigned size, uint32_t val, uint64_t now)
{
	if (addr <= UINT16_MAX)
		board_pio_write(&board, (uint16_t)addr, size, val, now);
	else
		board_mmio_write(&board, addr, size, val, now);
}

static uint64_t op(struct rig *r, const struct step *s)
{
	struct virtio_dev *d = &dev[s->addr % DEVICES];
	uint64_t got = s->val;

	switch (s->op) {
	case IRQ:
		virtio_lock(d);
		d->irq.queue(d->irq.ctx, (unsigned)s->val);
		virtio_unlock(d);
		break;
	case BELL: return d->bell;
	case SERVE: virtio_service(d); break;
	case KICKS:
		got = host[s->addr].kicks;
		host[s->addr].kicks = 0;
		break;
	case EOI: board_eoi(&board, (uint8_t)s->addr, r->now); break;
	default:
		got = board.mmio_missed - missed;
		missed = board.mmio_missed;
		break;
	}
	return got;
}

static void add_device(unsigned n, const struct virtio_ops *o)
{
	driver_host_init(&host[n]);
	host[n].host.await_reset = on_await_reset;
	virtio_init(&dev[n], o, &host[n].host, &ram, 0, 2, 64);
	dev[n].config_len = 16;
	memset(dev[n].config, (int)(0x10 * n + 1), 16);
}

static int setup(void **state)
{
	ram = driver_ram(RAM_SIZE, 0);
	memset(&board, 0, sizeof(board));
	memset(store, 0, sizeof(store));
	traces = config_writes = waits = 0;
	missed = traced = 0;
	rig = (struct rig){.read = bus_read, .write = bus_write, .op = op};
	board_host = (struct board_host){.ctx = &rig,
					 .sink = *rig_sink(&rig),
					 .arm = on_arm,
					 .power = rig_power(&rig).event,
					 .mark = on_mark,
					 .quit = on_quit,
					 .flush_page = on_flush};
	board_init(&board,
		   &(struct board_conf){
			   .low_ram = RAM_SIZE, .cpus = 1, .test_device = true, .test_mmio = store},
		   &board_host, 0);
	for (unsigned i = 0; i < DEVICES; i++)
		add_device(i, i == PCI3 ? &net : &blk);
	board_add_pci(&board, 2, &vpci[0], &dev[PCI2]);
	board_add_pci(&board, 3, &vpci[1], &dev[PCI3]);
	board_add_mmio(&board, 0, &vmmio[0], &dev[MMIO0]);
	board_add_mmio(&board, 14, &vmmio[1], &dev[MMIO14]);
	board_add_mmio(&board, 31, &vmmio[2], &dev[MMIO31]);
	return 0;
}

static int teardown(void **state)
{
	assert_true(board_is_free());
	driver_ram_free(&ram);
	return 0;
}

// clang-format off
#define BAR2   0xc1008000u
#define BAR3   0xc100c000u
#define STATUS 0x14u
#define ISR    0x40u
#define CONFIG 0x80u
#define TABLE  0x2000u
#define WINDOW(n) (0xc0001000u + 0x1000 * (n))
#define CFG(slot, reg)      {WR4, 0xcf8, 0x80000000u | (slot) << 11 | ((reg) & 0xfc)}
#define CFG_WR(slot, reg, v) CFG(slot, reg), {WR4, 0xcfc, v}
#define CFG_RD(slot, reg, v) CFG(slot, reg), {RD4, 0xcfc, v}
#define MOVE(slot, to)       CFG_WR(slot, 0x10, to)
#define COMMAND(slot, v)     CFG(slot, 4), {WR2, 0xcfc, v}
#define RTE(pin, low) {WR4, 0xfec00000, 0x10 + 2 * (pin)}, {WR4, 0xfec00010, low}
/* The registers of the PCI_CFG capability. */
#define POINT(slot, off, len) CFG_WR(slot, 0x94, 0), CFG_WR(slot, 0x98, off), CFG_WR(slot, 0x9c, len), \
	CFG(slot, 0xa0)

static void functions_are_on_the_bus(void **state)
{
	static const struct step t[] = {
		CFG_RD(2, 0, 0x10421af4), CFG_RD(3, 0, 0x10411af4), CFG_RD(4, 0, 0xffffffff),
		CFG_RD(2, 0x10, BAR2), CFG_RD(3, 0x10, BAR3), CFG_RD(2, 0x3c, 0x10a), CFG_RD(3, 0x3c, 0x10b),
	};
	RUN(&rig, t);
}

static void bars_answer_where_firmware_put_them(void **state)
{
	static const struct step t[] = {
		{RD4, BAR2 + CONFIG, 0x01010101}, {RD4, BAR3 + CONFIG, 0x11111111},
		{WR, BAR2 + STATUS, 1}, {RD, BAR2 + STATUS, 1}, {RD, BAR3 + STATUS, 0},
		{RD4, BAR2 + 0x3ffc, 0}, {RD4, BAR3 + 0x3ffc, 0}, {MISSED, 0, 0},
		{RD4, BAR2 - 4, ~0u}, {RD4, BAR3 + 0x4000, ~0u}, {WR4, BAR2 - 4, 0}, {MISSED, 0, 12},
		{BELL, PCI2, BAR2 + 0x1000}, {BELL, PCI3, BAR3 + 0x1000},
	};
	RUN(&rig, t);
}

static void windows_answer_where_the_dsdt_says(void **state)
{
	static const struct step t[] = {
		{RD4, WINDOW(0), 0x74726976}, {RD4, WINDOW(14) + 0x100, 0x31313131},
		{RD4, WINDOW(31) + 0x100, 0x41414141}, {RD4, WINDOW(31) + 0xffc, 0}, {MISSED, 0, 0},
		{RD4, WINDOW(1), ~0u}, {RD4, WINDOW(13) + 0xffc, ~0u}, {RD4, WINDOW(32), ~0u}, {MISSED, 0, 12},
		{BELL, MMIO0, WINDOW(0) + 0x50}, {BELL, MMIO31, WINDOW(31) + 0x50},
	};
	RUN(&rig, t);
}
// clang-format on

/* Each window's _CRS: fixed memory, then an edge interrupt; see boot/acpi_test.c. */
static void window_addresses_and_gsis_are_the_dsdts(void **state)
{
	uint64_t fadt = 0, dsdt;
	uint8_t *at;
	uint32_t len;

	_Static_assert(VBUS_WINDOWS == ACPI_WINDOWS, "the DSDT has as many");
	assert_int_equal(acpi_build(&ram, 1), 0);
	assert_int_equal(acpi_windows(&ram, UINT32_MAX), 0);
	at = ram_at(&ram, GPA_ACPI, ACPI_SIZE);
	for (unsigned i = 0; i < ACPI_SIZE && !fadt; i += 4)
		fadt = memcmp(at + i, "FACP", 4) ? 0 : i;
	dsdt = pci_get(at + fadt + 40, 4);
	at = ram_at(&ram, dsdt, 8);
	len = pci_get(at + 4, 4);
	for (unsigned n = 0; n < VBUS_WINDOWS; n++) {
		uint8_t want[] = {0x86, 9,    0, 1, 0,    0, 0,    0x00, 0, 0x10, 0,
				  0,    0x89, 6, 0, 0x0b, 1, 0x00, 0,    0, 0};

		pci_put(want + 4, 4, (uint32_t)board_window_gpa(n));
		want[17] = (uint8_t)board_window_gsi(n);
		assert_non_null(memmem(at, len, want, sizeof(want)));
	}
}

static void no_window_takes_the_gsi_of_a_chip(void **state)
{
	for (unsigned n = 0; n < VBUS_WINDOWS; n++) {
		unsigned gsi = board_window_gsi(n);

		assert_true(gsi < GSI_N);
		assert_true(gsi > 4 && gsi != 8 && gsi != 9 && gsi != 10 && gsi != 11 && gsi != 13);
	}
}

// clang-format off
static void bar_moves(void **state)
{
	static const struct step t[] = {
		MOVE(2, 0xe0000000), {RD4, 0xe0000000 + CONFIG, 0x01010101}, {RD4, BAR2 + CONFIG, ~0u},
		{MISSED, 0, 4}, {BELL, PCI2, 0xe0001000}, {BELL, PCI3, BAR3 + 0x1000},
		COMMAND(2, 4), {RD4, 0xe0000000 + CONFIG, ~0u}, {MISSED, 0, 4}, {BELL, PCI2, 0},
		COMMAND(2, 6), {RD4, 0xe0000000 + CONFIG, 0x01010101}, {BELL, PCI2, 0xe0001000},
		MOVE(2, 0xffffffff), CFG_RD(2, 0x10, 0xffffc000), {RD4, 0xffffc000 + CONFIG, 0x01010101},
		{RD4, 0xfffffffc, 0}, {MISSED, 0, 0},
		MOVE(2, 0), {RD4, 0xffffc000 + CONFIG, ~0u}, {BELL, PCI2, 0},
	};
	struct vbus_hit hit;

	RUN(&rig, t);
	assert_false(vbus_find(&board.vbus, CONFIG, &hit)); /* were there no RAM */
}

/* A byte of the BAR at a time, as a driver may. */
static void bar_moves_by_bytes(void **state)
{
	static const struct step t[] = {
		CFG(2, 0x10), {WR, 0xcff, 0xe0}, {RD4, 0xe0000000 + (BAR2 & 0xffffff) + CONFIG, 0x01010101},
		{WR2, 0xcfd, 0x5500}, /* not aligned: by bytes */
		CFG_RD(2, 0x10, 0xe0550000), {BELL, PCI2, 0xe0551000},
	};
	RUN(&rig, t);
}

static void chips_hide_a_bar(void **state)
{
	static const struct step t[] = {
		MOVE(2, 0xfec00000), {WR4, 0xfec00000, 1}, {RD4, 0xfec00010, 0x00170020}, /* I/O APIC */
		{RD4, 0xfec02000 + 12, 1}, {BELL, PCI2, 0xfec01000},                     /* MSI-X table */
		MOVE(2, 0xff000000), {WR4, 0xff000014, 0x12345678}, {RD4, 0xff000014, 0x12345678},
		{BELL, PCI2, 0}, /* the test device has all of it */
		MOVE(2, 0xfee00000), {MISSED, 0, 0}, {RD4, 0xfee00000 + CONFIG, ~0u}, {MISSED, 0, 4},
		{RD4, 0xfee02000 + 12, 1}, {BELL, PCI2, 0xfee01000},
	};
	RUN(&rig, t);
}

static void boot_timer_and_windows_hide_a_bar(void **state)
{
	static const struct step t[] = {
		MOVE(2, 0xc0000000), {RD4, 0xc0000000 + CONFIG, ~0u}, {MISSED, 0, 0}, /* boot timer */
		{RD4, WINDOW(0), 0x74726976}, {RD4, WINDOW(1) + 12, ~0u}, {MISSED, 0, 4},
		{BELL, PCI2, 0}, {BELL, MMIO0, WINDOW(0) + 0x50},
		MOVE(2, 0xc00fc000), {RD4, 0xc00fc000 + CONFIG, ~0u}, {BELL, PCI2, 0},
		MOVE(2, 0xc0100000), {RD4, 0xc0100000 + CONFIG, 0x01010101}, {BELL, PCI2, 0xc0101000},
	};
	RUN(&rig, t);
}

static void ram_hides_a_bar(void **state)
{
	static const struct step t[] = {
		MOVE(2, 0x100000), {BELL, PCI2, 0}, MOVE(2, RAM_SIZE - 0x4000), {BELL, PCI2, 0},
		MOVE(2, RAM_SIZE), {BELL, PCI2, RAM_SIZE + 0x1000}, {RD4, RAM_SIZE + CONFIG, 0x01010101},
	};
	RUN(&rig, t);
}

static void of_two_bars_at_a_place_the_first_answers(void **state)
{
	static const struct step t[] = {
		MOVE(2, BAR3), {RD4, BAR3 + CONFIG, 0x01010101}, {BELL, PCI2, BAR3 + 0x1000}, {BELL, PCI3, 0},
		MOVE(2, BAR2), {RD4, BAR3 + CONFIG, 0x11111111}, {BELL, PCI3, BAR3 + 0x1000},
		MOVE(3, BAR2), {RD4, BAR2 + CONFIG, 0x01010101}, {BELL, PCI3, 0},
		COMMAND(2, 0), {RD4, BAR2 + CONFIG, 0x11111111}, {BELL, PCI3, BAR2 + 0x1000}, {BELL, PCI2, 0},
	};
	RUN(&rig, t);
}
// clang-format on

static void wide_and_odd_accesses_are_taken_in_pieces(void **state)
{
	assert_true(board_mmio_read(&board, BAR2 + CONFIG, 8, 0) == 0x0101010101010101);
	assert_true(board_mmio_read(&board, BAR2 + CONFIG + 13, 8, 0) == 0x010101);
	board_mmio_write(&board, BAR2 + TABLE, 8, 0x00000012fee01000, 0);
	assert_true(board_mmio_read(&board, BAR2 + TABLE, 8, 0) == 0x00000012fee01000);
	board_mmio_write(&board, BAR2 + TABLE + 2, 8, UINT64_MAX, 0); /* a piece is whole */
	assert_true(board_mmio_read(&board, BAR2 + TABLE, 8, 0) == 0xfffffffffee01000);
	assert_int_equal(board_mmio_read(&board, BAR2 + STATUS, 2, 0), 0);
	assert_true(board_mmio_read(&board, WINDOW(0) + 0x100, 8, 0) == 0x2121212121212121);
	assert_true(board_mmio_read(&board, BAR2 - 4, 8, 0) == 0xffffffff);
	assert_int_equal(board.mmio_missed, 4);
	assert_true(board_mmio_read(&board, BAR2 + 0x3ffc, 8, 0) == 0); /* the other begins here */
	assert_true(board_mmio_read(&board, UINT64_MAX - 3, 8, 0) == UINT64_MAX);
}

// clang-format off
static void window_reaches_every_structure(void **state)
{
	static const struct step t[] = {
		POINT(2, STATUS, 1), {WR, 0xcfc, 3}, {RD, 0xcfc, 3}, {RD, BAR2 + STATUS, 3},
		POINT(2, CONFIG + 4, 4), {RD4, 0xcfc, 0x01010101}, {WR4, 0xcfc, 0xcafe}, {RD4, BAR2 + CONFIG + 4, 0xcafe},
		POINT(2, 0x16, 2), {WR2, 0xcfc, 1}, {RD2, BAR2 + 0x16, 1},
		POINT(2, TABLE + 8, 4), {WR4, 0xcfc, 0x42}, {RD4, BAR2 + TABLE + 8, 0x42},
		POINT(3, STATUS, 1), {RD, 0xcfc, 0},
		{MISSED, 0, 0},
	};
	RUN(&rig, t);
	assert_int_equal(config_writes, 1);
}

static void window_works_wherever_the_bar_is(void **state)
{
	static const struct step t[] = {
		COMMAND(2, 0), POINT(2, CONFIG, 4), {RD4, 0xcfc, 0x01010101}, COMMAND(2, 6), MOVE(2, 0),
		CFG(2, 0xa0), {RD4, 0xcfc, 0x01010101},
	};
	RUN(&rig, t);
}

static void window_is_used_once_by_an_access_of_any_width(void **state)
{
	static const struct step t[] = {
		POINT(2, CONFIG, 4), {WR, 0xcfd, 0x77}, {RD4, 0xcfc, 0x00007700}, /* with what was there */
		{WR2, 0xcfe, 0x8899}, {RD4, BAR2 + CONFIG, 0x88997700}, {RD2, 0xcfd, 0x9977},
		{WR4, 0xcfe, 0x12345566}, {RD4, BAR2 + CONFIG, 0x55667700}, /* not aligned */
		{RD4, 0xcfa, 0x7700ffff}, {WR4, 0xcfa, 0xbeef0000},         /* from CONFADD into it */
		{RD4, BAR2 + CONFIG, 0x5566beef},
		POINT(2, CONFIG, 2), {RD4, 0xcfc, 0x5566beef},
	};
	RUN(&rig, t);
	assert_int_equal(config_writes, 4);
}

static void window_that_is_not_set_up_reaches_nothing(void **state)
{
	static const struct step t[] = {
		POINT(2, CONFIG, 3), {WR4, 0xcfc, 0xcafe}, POINT(2, 0x4000, 4), {WR4, 0xcfc, 0xcafe},
		POINT(2, CONFIG, 4), CFG_WR(2, 0x94, 2), CFG_WR(2, 0xa0, 0xcafe), CFG_RD(2, 0xa0, 0xcafe),
		{WR4, 0xcf8, 0x000010a0}, {WR4, 0xcfc, 1}, {RD4, 0xcfc, ~0u}, /* not enabled */
		{WR4, 0xcf8, 0x800011a0}, {WR4, 0xcfc, 1}, {RD4, 0xcfc, ~0u}, /* function 1 */
		{RD4, BAR2 + CONFIG, 0x01010101},
	};
	RUN(&rig, t);
	assert_int_equal(config_writes, 0);
}

static void intx_arrives_as_a_level(void **state)
{
	static const struct step t[] = {
		RTE(10, 0x8030), RTE(11, 0x8031), {IRQ, PCI2, 0}, {MSI, 0xfee00000, 0x8030}, {NOMSI, 0, 0},
		{EOI, 0x30, 0}, {MSI, 0xfee00000, 0x8030}, {RD, BAR2 + ISR, 1}, {EOI, 0x30, 0}, {NOMSI, 0, 0},
		{IRQ, PCI3, 0}, {MSI, 0xfee00000, 0x8031}, {RD, BAR3 + ISR, 1}, {EOI, 0x31, 0}, {NOMSI, 0, 0},
	};
	RUN(&rig, t);
}

static void msix_goes_straight_to_the_sink(void **state)
{
	static const struct step t[] = {
		CFG_WR(2, 0x40, 0x80000000), {WR2, BAR2 + 0x1a, 2}, {WR4, BAR2 + TABLE + 32, 0xfee0c000},
		{WR4, BAR2 + TABLE + 40, 0x55}, {WR4, BAR2 + TABLE + 44, 0},
		{IRQ, PCI2, 0}, {MSI, 0xfee0c000, 0x55}, {NOMSI, 0, 0},
	};
	RUN(&rig, t);
}

static void pulse_of_a_window_is_an_edge(void **state)
{
	static const struct step t[] = {
		RTE(5, 0x35), {IRQ, MMIO0, 0}, {MSI, 0xfee00000, 0x35}, {NOMSI, 0, 0},
		{IRQ, MMIO0, 1}, {MSI, 0xfee00000, 0x35}, /* without an acknowledgement between */
		{IRQ, MMIO14, 0}, {MSI, 0xfee00000, 0x35}, {NOMSI, 0, 0}, /* window 14 shares GSI 5 */
		{IRQ, MMIO31, 0}, {NOMSI, 0, 0}, {RD4, WINDOW(31) + 0x60, 1}, /* masked, and so lost */
		RTE(12, 0x3c), {NOMSI, 0, 0}, {IRQ, MMIO31, 0}, {MSI, 0xfee00000, 0x3c}, {NOMSI, 0, 0},
	};
	RUN(&rig, t);
}

static void interrupt_from_inside_of_an_access(void **state)
{
	static const struct step t[] = {
		{WR, BAR2 + STATUS, 3}, {WR4, BAR2 + 8, 1}, {WR4, BAR2 + 12, 1}, {WR, BAR2 + STATUS, 15},
		RTE(10, 0x8030), {WR4, BAR2 + CONFIG, 5}, {MSI, 0xfee00000, 0x8030}, {RD, BAR2 + ISR, 2},
		{EOI, 0x30, 0},
		POINT(2, CONFIG, 1), {WR, 0xcfc, 6}, {MSI, 0xfee00000, 0x8030}, {RD, BAR2 + ISR, 2},
	};
	RUN(&rig, t);
	assert_int_equal(config_writes, 2);
}

static void reset_of_a_window_is_waited_for_without_the_board(void **state)
{
	static const struct step t[] = {
		{WR4, WINDOW(0) + 0x24, 1}, {WR4, WINDOW(0) + 0x20, 1}, {WR4, WINDOW(0) + 0x70, 15},
		{SERVE, MMIO0, 0}, {WR4, WINDOW(0) + 0x70, 0}, {RD4, WINDOW(0) + 0x70, 0},
	};
	RUN(&rig, t);
	assert_int_equal(waits, 1);
}
// clang-format on

static void devices_are_counted_by_name(void **state)
{
	static const char *const name[] = {"blk", "net", "blk", "blk", "blk"};
	static const unsigned want[] = {3, 1, 0, 0, 2};
	uint64_t count;
	unsigned first = 0;

	board_mmio_read(&board, BAR2, 8, 0);
	board_mmio_write(&board, BAR2, 4, 0, 0);
	board_mmio_read(&board, BAR3, 1, 0);
	board_mmio_read(&board, WINDOW(31), 8, 0);
	while (strcmp(board_mmio_row(&board, first, &count), "blk"))
		first++;
	for (unsigned i = 0; i < DEVICES; i++) {
		assert_string_equal(board_mmio_row(&board, first + i, &count), name[i]);
		assert_int_equal(count, want[i]);
	}
	assert_null(board_mmio_row(&board, first + DEVICES, &count));
}

static void trace_sees_devices(void **state)
{
	board_host.trace = on_trace;
	board_mmio_write(&board, BAR2 + STATUS, 1, 3, 0);
	assert_int_equal(traced, 3);
	board_mmio_read(&board, BAR2 + CONFIG, 8, 0);
	assert_int_equal(traced, 0x01010101);
	assert_int_equal(traces, 3);
}

static void every_slot_may_be_taken(void **state)
{
	static struct virtio_dev d[PCI_SLOTS];
	static struct vpci v[PCI_SLOTS];

	for (unsigned slot = 4; slot < PCI_SLOTS; slot++) {
		virtio_init(&d[slot], &blk, &host[0].host, &ram, 0, 1, 64);
		d[slot].config_len = 4;
		d[slot].config[0] = (uint8_t)slot;
		board_add_pci(&board, slot, &v[slot], &d[slot]);
	}
	for (unsigned slot = 4; slot < PCI_SLOTS; slot++) {
		uint64_t bar = GPA_PCI_WINDOW + slot * 0x4000ull;

		assert_int_equal(board_mmio_read(&board, bar + CONFIG, 4, 0), slot);
		assert_true(d[slot].bell == bar + 0x1000);
	}
	for (unsigned i = 0; i < 4; i++) /* more than there are slots: nobody sees them */
		vbus_add_pci(&board.vbus, &v[4]);
	assert_int_equal(board.vbus.bars, PCI_SLOTS);
}

static void wake_up_is_asked_for_once(void **state)
{
	board_tick(&board, 1000);
	board_wake_at(&board, 500000);
	assert_int_equal(board.armed, 500000);
	board_wake_at(&board, 600000);
	assert_int_equal(board.armed, 500000);
	board_tick(&board, 500000);
	assert_true(board.armed > 600000);
}

/* --- two CPUs --- */

#define ROUNDS 20000u

static void *mover(void *arg)
{
	for (uint32_t i = 0; i < ROUNDS; i++) {
		board_pio_write(&board, 0xcf8, 4, 0x80001000 | (i % 3 ? 0x10 : 4), 0);
		board_pio_write(&board, 0xcfc, i % 3 ? 4 : 2, i % 3 ? BAR2 + (i % 2) * 0x8000 : i,
				0);
	}
	return NULL;
}

static void *user(void *arg)
{
	uint32_t seed = 1;

	for (unsigned i = 0; i < ROUNDS; i++) {
		seed = seed * 1664525 + 1013904223;
		if (seed >> 31)
			board_mmio_write(&board, BAR2 + (seed >> 8) % 0xc000, 4, seed, 0);
		else
			board_mmio_read(&board, BAR2 + (seed >> 8) % 0xc000, 1u << (seed >> 4) % 4,
					0);
		if (i % 16 == 0)
			board_mmio_write(&board, BAR2 + STATUS, 1, seed >> 28, 0);
	}
	return NULL;
}

/* Nothing is wrong, and nobody waits for ever; this thread is the loop. */
static void bar_moves_while_it_is_used(void **state)
{
	static const struct step t[] = {
		MOVE(2, BAR2), COMMAND(2, 6), {RD2, BAR2 + 0x12, 2}
        };
	static void *(*const part[])(void *) = {mover, user, user};
	pthread_t thread[ARRAY_SIZE(part)];

	others = true;
	for (unsigned i = 0; i < ARRAY_SIZE(part); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, part[i], NULL), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		virtio_lock(&dev[PCI2]);
		dev[PCI2].irq.queue(dev[PCI2].irq.ctx, i % 2);
		virtio_unlock(&dev[PCI2]);
		virtio_service(&dev[PCI2]);
		virtio_service(&dev[PCI3]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(part); i++)
		pthread_join(thread[i], NULL);
	others = false;
	RUN(&rig, t);
	assert_true(dev[PCI2].bell == BAR2 + 0x1000);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(functions_are_on_the_bus),
		T(bars_answer_where_firmware_put_them),
		T(windows_answer_where_the_dsdt_says),
		T(window_addresses_and_gsis_are_the_dsdts),
		T(no_window_takes_the_gsi_of_a_chip),
		T(bar_moves),
		T(bar_moves_by_bytes),
		T(chips_hide_a_bar),
		T(boot_timer_and_windows_hide_a_bar),
		T(ram_hides_a_bar),
		T(of_two_bars_at_a_place_the_first_answers),
		T(wide_and_odd_accesses_are_taken_in_pieces),
		T(window_reaches_every_structure),
		T(window_works_wherever_the_bar_is),
		T(window_is_used_once_by_an_access_of_any_width),
		T(window_that_is_not_set_up_reaches_nothing),
		T(intx_arrives_as_a_level),
		T(msix_goes_straight_to_the_sink),
		T(pulse_of_a_window_is_an_edge),
		T(interrupt_from_inside_of_an_access),
		T(reset_of_a_window_is_waited_for_without_the_board),
		T(devices_are_counted_by_name),
		T(trace_sees_devices),
		T(every_slot_may_be_taken),
		T(wake_up_is_asked_for_once),
		T(bar_moves_while_it_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
