/*
 * vpci_test.c - virtio over PCI: identity, capabilities, the structures of the BAR, interrupts, the
 * window in the configuration space. The device behind it is on the real virtio.c.
 */
#include "../../../src/pc/vpci.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/driver.h"
#include "../../lib/steps.h"

/* Addresses of steps: registers of the configuration space below 100h, the BAR from there on. */
#define SLOT   2u
#define BAR    0xc1008000u
#define COMMON BAR
#define ISR    (BAR + 0x40)
#define DEVICE (BAR + 0x80)
#define NOTIFY (BAR + 0x1000)
#define TABLE  (BAR + 0x2000)
#define PBA    (BAR + 0x3000)

#define OFFERED_SEL (COMMON + 0x00)
#define OFFERED     (COMMON + 0x04)
#define ACKED_SEL   (COMMON + 0x08)
#define ACKED       (COMMON + 0x0c)
#define CONFIG_VEC  (COMMON + 0x10)
#define NUM_QUEUES  (COMMON + 0x12)
#define STATUS      (COMMON + 0x14)
#define GENERATION  (COMMON + 0x15)
#define QUEUE_SEL   (COMMON + 0x16)
#define QUEUE_SIZE  (COMMON + 0x18)
#define QUEUE_VEC   (COMMON + 0x1a)
#define ENABLE      (COMMON + 0x1c)
#define NOTIFY_OFF  (COMMON + 0x1e)
#define DESC        (COMMON + 0x20)
#define AVAIL       (COMMON + 0x28)
#define USED        (COMMON + 0x30)

/* Capabilities as they are laid out; `capabilities_come_in_order` finds them by the list. */
#define MSIX_CTL 0x42
#define CFG_BAR  0x94
#define CFG_OFF  0x98
#define CFG_LEN  0x9c
#define CFG_DATA 0xa0

/* Chip-specific steps. */
#define IRQ    X0 /* the device interrupts for queue addr; 100h: its configuration changed */
#define SERVE  X1 /* the loop serves the device */
#define KICKS  X2 /* expect val kicks since last asked */
#define BELL   X3 /* expect the bell at val */
#define SETTLE X4 /* as the board does after a BAR moved */
#define WINDOW X5 /* expect val: bar offset << 8 | size for register addr, NEVER: none */

#define QUEUES  2
#define FEATURE BIT(3)

static struct ram ram;
static struct driver drv[QUEUES];
static struct driver_host host;
static struct virtio_dev dev;
static struct vpci vpci;
static struct pci pci;
static struct vpci_board board;
static struct rig rig;
static bool hidden; /* something else answers where the BAR is */
static unsigned held;
static unsigned config_writes, notifies, stops;
static bool stops_late;

static void dev_notify(struct virtio_dev *d)
{
	notifies++;
}

static bool dev_stop(struct virtio_dev *d)
{
	stops++;
	return !stops_late;
}

static void dev_config_write(struct virtio_dev *d, unsigned off, unsigned size, uint32_t val)
{
	config_writes++;
	memcpy(d->config + off, &val, size);
}

static const struct virtio_ops ops = {.name = "test",
				      .id = 42,
				      .notify = dev_notify,
				      .stop = dev_stop,
				      .config_write = dev_config_write};

/* The board lock is taken last and once. */
static void on_lock(void *ctx)
{
	assert_int_equal(held++, 0);
}

static void on_unlock(void *ctx)
{
	assert_int_equal(held--, 1);
}

static bool on_reaches(void *ctx, const struct vpci *v, uint64_t gpa)
{
	assert_int_equal(held, 1);
	assert_ptr_equal(v, &vpci);
	return !hidden;
}

static uint32_t bus_read(void *ctx, uint32_t addr, unsigned size, uint64_t now)
{
	uint32_t val;

	if (addr >= BAR)
		return vpci_read(&vpci, addr - BAR, size);
	on_lock(NULL);
	pci_addr_write(&pci, 0, 4, 0x80000000 | SLOT << 11 | (addr & 0xfc), 0);
	val = pci_data_read(&pci, addr & 3, size, 0);
	on_unlock(NULL);
	return val;
}

static void bus_write(void *ctx, uint32_t addr, unsigned size, uint32_t val, uint64_t now)
{
	if (addr >= BAR) {
		vpci_write(&vpci, addr - BAR, size, val);
		return;
	}
	on_lock(NULL);
	pci_addr_write(&pci, 0, 4, 0x80000000 | SLOT << 11 | (addr & 0xfc), 0);
	pci_data_write(&pci, addr & 3, size, val, 0);
	on_unlock(NULL);
}

static void interrupt(unsigned queue)
{
	virtio_lock(&dev);
	if (queue < QUEUES)
		dev.irq.queue(dev.irq.ctx, queue);
	else
		virtio_config_changed(&dev);
	virtio_unlock(&dev);
}

static uint64_t op(struct rig *r, const struct step *s)
{
	uint64_t got = s->val;
	unsigned size = 0;
	uint32_t off = 0;

	switch (s->op) {
	case IRQ: interrupt((unsigned)s->addr); break;
	case SERVE: virtio_service(&dev); break;
	case KICKS:
		got = host.kicks;
		host.kicks = 0;
		break;
	case BELL: return dev.bell;
	case SETTLE: vpci_settle(&vpci); break;
	default:
		return vpci_window(&vpci, (unsigned)s->addr, &off, &size) ? off << 8 | size : NEVER;
	}
	return got;
}

static void start(const struct virtio_ops *o, unsigned queues)
{
	struct irq_line line[16];

	rig = (struct rig){.read = bus_read, .write = bus_write, .op = op};
	for (unsigned i = 0; i < ARRAY_SIZE(line); i++)
		line[i] = rig_line(&rig, i);
	pci_init(&pci, line);
	board = (struct vpci_board){.sink = rig_sink(&rig),
				    .lock = on_lock,
				    .unlock = on_unlock,
				    .reaches = on_reaches,
				    .pci = &pci};
	driver_host_init(&host);
	hidden = stops_late = false;
	held = config_writes = notifies = stops = 0;
	virtio_init(&dev, o, &host.host, &ram, FEATURE, queues, 64);
	dev.config_len = 12;
	for (unsigned i = 0; i < VIRTIO_CONFIG_MAX; i++)
		dev.config[i] = (uint8_t)(0x10 + i);
	memset(&vpci, 0xa5, sizeof(vpci));
	vpci_init(&vpci, &dev, &board, SLOT, BAR);
	pci_add(&pci, SLOT, &vpci.fn);
	vpci_settle(&vpci);
}

static int setup(void **state)
{
	ram = driver_ram(2 * MIB, 0);
	for (unsigned i = 0; i < QUEUES; i++)
		driver_init(&drv[i], &ram, 0x1000 + 0x10000 * i, 16, VIRTIO_F_VERSION_1);
	start(&ops, QUEUES);
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(held, 0);
	driver_ram_free(&ram);
	return 0;
}

// clang-format off
#define ACK_ALL                                                                                    \
	{WR, STATUS, 3}, {WR4, ACKED_SEL, 1}, {WR4, ACKED, 1}, {WR, STATUS, 11}, {RD, STATUS, 11}
/* Rings as driver_init() lays them out from 1000h + 10000h * n on. */
#define RINGS(n)                                                                                   \
	{WR2, QUEUE_SEL, n}, {WR2, QUEUE_SIZE, 16}, {WR4, DESC, 0x1000 + 0x10000 * (n)},           \
	{WR4, AVAIL, 0x1100 + 0x10000 * (n)}, {WR4, USED, 0x1130 + 0x10000 * (n)}
#define DRIVER_OK {WR, STATUS, 15}, {RD, STATUS, 15}
#define LIVE ACK_ALL, RINGS(0), {WR2, ENABLE, 1}, RINGS(1), {WR2, ENABLE, 1}, DRIVER_OK, {SERVE, 0, 0}, \
	{KICKS, 0, 1}
#define ENTRY(n, data) {WR4, TABLE + 16 * (n), 0xfee00000}, {WR4, TABLE + 16 * (n) + 8, data},     \
	{WR4, TABLE + 16 * (n) + 12, 0}
#define MSIX_ON {WR2, MSIX_CTL, 0x8000}
/* Vector 0 for changes, 1 and 2 for the queues. */
#define VECTORS                                                                                    \
	{WR2, CONFIG_VEC, 0}, {WR2, QUEUE_SEL, 0}, {WR2, QUEUE_VEC, 1}, {WR2, QUEUE_SEL, 1},       \
	{WR2, QUEUE_VEC, 2}, ENTRY(0, 0x40), ENTRY(1, 0x41), ENTRY(2, 0x42)
#define INTX(level) {LINE, 10, level} /* slot 2: PIRQB */

/* --- identity --- */

static void is_a_modern_device(void **state)
{
	static const struct step t[] = {
		{RD2, 0x00, 0x1af4}, {RD2, 0x02, 0x1040 + 42}, {RD, 0x08, 1}, {RD, 0x0e, 0},
		{RD2, 0x2c, 0x1af4}, {RD2, 0x2e, 0x1100}, /* not below 40h */
		{RD2, 0x3c, 0x010a}, /* INTA, on the IRQ of slot 2 */
	};
	RUN(&rig, t);
}

static void class_tells_what_it_is(void **state)
{
	static const struct {
		uint16_t id;
		uint32_t class;
	} want[] = {{1, 0x020000}, {2, 0x010000}, {4, 0x00ff00}, {5, 0x00ff00}, {19, 0x078000}};

	for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
		struct virtio_ops o = ops;

		o.id = want[i].id;
		start(&o, 1);
		assert_int_equal(bus_read(NULL, 8, 4, 0), want[i].class << 8 | 1);
		assert_int_equal(bus_read(NULL, 2, 2, 0), 0x1040 + want[i].id);
	}
}

/* Walks the list as a driver does [virtio 1.2, 4.1.4]. */
static void capabilities_come_in_order(void **state)
{
	static const struct {
		uint8_t id, len, type;
		uint32_t off, length; /* at least so long */
	} want[] = {
		{0x11, 0, 0, 0, 0}, {0x09, 16, 1, 0x0000, 0x40}, {0x09, 16, 3, 0x0040, 1},
		{0x09, 16, 4, 0x0080, 12}, {0x09, 20, 2, 0x1000, 2}, {0x09, 20, 5, 0, 0},
	};
	uint32_t at = bus_read(NULL, 0x34, 1, 0);

	assert_true(bus_read(NULL, 0x06, 2, 0) & 0x10);
	for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
		assert_int_equal(at % 4, 0);
		assert_in_range(at, 0x40, 0xff);
		assert_int_equal(bus_read(NULL, at, 1, 0), want[i].id);
		if (i) {
			uint32_t off = bus_read(NULL, at + 8, 4, 0);
			uint32_t length = bus_read(NULL, at + 12, 4, 0);

			assert_int_equal(bus_read(NULL, at + 2, 2, 0),
					 want[i].len | want[i].type << 8);
			assert_int_equal(bus_read(NULL, at + 4, 4, 0), 0); /* BAR 0 */
			assert_int_equal(off, want[i].off);
			assert_true(length >= want[i].length && length <= 0x1000);
			assert_true(off + length <= VPCI_BAR_SIZE);
		}
		at = bus_read(NULL, at + 1, 1, 0);
	}
	assert_int_equal(at, 0);
}

static void msix_capability_has_a_vector_a_queue_and_one_more(void **state)
{
	static const struct step t[] = {
		{RD2, 0x40, 0x4c11}, {RD2, 0x42, QUEUES}, {RD4, 0x44, 0x2000}, {RD4, 0x48, 0x3000},
		{WR4, 0x40, 0xffffffff}, {RD2, 0x42, 0xc000 | QUEUES}, {WR4, 0x44, 0xffffffff},
		{RD4, 0x44, 0x2000}, {WR4, 0x48, 0}, {RD4, 0x48, 0x3000},
	};
	RUN(&rig, t);
}

static void capabilities_are_read_only_but_for_the_window(void **state)
{
	static const struct step t[] = {
		{WR4, 0x4c, 0}, {RD4, 0x4c, 0x01105c09}, {WR4, 0x54, ~0u}, {RD4, 0x54, 0},
		{WR4, 0x58, 0}, {RD4, 0x58, 0x40}, {WR4, 0x8c, ~0u}, {RD4, 0x8c, 0}, /* multiplier */
		{WR4, 0x90, 0}, {RD4, 0x90, 0x05140009},
		{WR4, 0x94, ~0u}, {RD4, 0x94, 0xff}, {WR4, 0x98, ~0u}, {RD4, 0x98, ~0u},
		{WR4, 0x9c, ~0u}, {RD4, 0x9c, ~0u}, {WR4, 0xa4, ~0u}, {RD4, 0xa4, 0},
	};
	RUN(&rig, t);
}

static void command_and_status(void **state)
{
	static const struct step t[] = {
		{RD4, 0x04, 0x00100006}, /* decoding and a bus master, as firmware leaves it */
		{WR4, 0x04, 0xffffffff}, {RD4, 0x04, 0x00100546}, {WR4, 0x04, 0}, {RD4, 0x04, 0x00100000},
	};
	RUN(&rig, t);
}

static void bar_is_sized_and_placed(void **state)
{
	static const struct step t[] = {
		{RD4, 0x10, BAR}, {WR4, 0x10, 0xffffffff}, {RD4, 0x10, 0xffffc000},
		{WR4, 0x10, 0xe0004000}, {RD4, 0x10, 0xe0004000}, {WR4, 0x14, ~0u}, {RD4, 0x14, 0},
		{WR4, 0x30, ~0u}, {RD4, 0x30, 0}, /* no ROM */
	};
	RUN(&rig, t);
	assert_int_equal(vpci.bar, 0xe0004000);
}

static void bell_follows_the_bar(void **state)
{
	static const struct step t[] = {
		{BELL, 0, NOTIFY},
		{WR4, 0x10, 0xe0004000}, {SETTLE, 0, 0}, {BELL, 0, 0xe0005000},
		{WR2, 0x04, 0x0004}, {SETTLE, 0, 0}, {BELL, 0, 0}, /* decoding is off */
		{WR2, 0x04, 0x0006}, {SETTLE, 0, 0}, {BELL, 0, 0xe0005000},
		{WR4, 0x10, 0}, {SETTLE, 0, 0}, {BELL, 0, 0}, /* so it is at 0 */
		{WR4, 0x10, 0xffffffff}, {SETTLE, 0, 0}, {BELL, 0, 0xffffd000},
		{KICKS, 0, 0}, /* nobody rings before DRIVER_OK */
	};
	RUN(&rig, t);
}

static void bell_of_a_live_device_is_told(void **state)
{
	static const struct step t[] = {
		LIVE, {SETTLE, 0, 0}, {KICKS, 0, 0},
		{WR4, 0x10, 0xe0004000}, {SETTLE, 0, 0}, {KICKS, 0, 1}, {SERVE, 0, 0},
		{WR2, 0x04, 0}, {SETTLE, 0, 0}, {KICKS, 0, 1}, {SERVE, 0, 0}, {BELL, 0, 0},
	};
	RUN(&rig, t);
	assert_int_equal(host.bell, 0);
}

/* The device is stopping, and its bell was not taken down yet. */
static void bell_of_a_dying_device_is_told(void **state)
{
	static const struct step t[] = {
		LIVE, {WR, STATUS, 0}, {KICKS, 0, 1}, {WR4, 0x10, 0xe0004000}, {SETTLE, 0, 0}, {KICKS, 0, 1},
	};
	RUN(&rig, t);
}

static void hidden_bar_has_no_bell(void **state)
{
	static const struct step t[] = {{SETTLE, 0, 0}, {BELL, 0, 0}};

	hidden = true;
	RUN(&rig, t);
}

/* --- common configuration --- */

static void common_configuration_after_reset(void **state)
{
	static const struct step t[] = {
		{RD4, OFFERED_SEL, 0}, {RD4, OFFERED, 0x30000008}, {RD4, ACKED_SEL, 0}, {RD4, ACKED, 0},
		{RD2, CONFIG_VEC, 0xffff}, {RD2, NUM_QUEUES, QUEUES}, {RD, STATUS, 0}, {RD, GENERATION, 0},
		{RD2, QUEUE_SEL, 0}, {RD2, QUEUE_SIZE, 64}, {RD2, QUEUE_VEC, 0xffff}, {RD2, ENABLE, 0},
		{RD2, NOTIFY_OFF, 0}, {RD4, DESC, 0}, {RD4, DESC + 4, 0}, {RD4, AVAIL, 0},
		{RD4, AVAIL + 4, 0}, {RD4, USED, 0}, {RD4, USED + 4, 0},
		{RD2, COMMON + 0x38, 0}, {RD2, COMMON + 0x3a, 0}, /* notify_data, queue_reset */
		{RD2, COMMON + 0x3c, 0},
	};
	RUN(&rig, t);
}

static void features_are_selected_by_halves(void **state)
{
	static const struct step t[] = {
		{WR4, OFFERED_SEL, 1}, {RD4, OFFERED_SEL, 1}, {RD4, OFFERED, 1}, /* VERSION_1 */
		{WR4, OFFERED_SEL, 2}, {RD4, OFFERED, 0}, {WR4, OFFERED_SEL, ~0u}, {RD4, OFFERED, 0},
		{WR4, ACKED, 8}, {RD4, ACKED, 8}, {WR4, ACKED_SEL, 1}, {RD4, ACKED_SEL, 1},
		{RD4, ACKED, 0}, {WR4, ACKED, 1}, {RD4, ACKED, 1}, {WR4, ACKED_SEL, 2}, {WR4, ACKED, ~0u},
		{RD4, ACKED, 0}, {WR4, ACKED_SEL, 0}, {RD4, ACKED, 8}, {WR4, OFFERED, ~0u},
		{WR4, OFFERED_SEL, 0}, {RD4, OFFERED, 0x30000008},
	};
	RUN(&rig, t);
	assert_true(dev.acked == (FEATURE | VIRTIO_F_VERSION_1));
}

/* SeaBIOS writes 3, 0bh, 0fh; one bit a step is Linux's way. */
static void status_takes_several_bits_at_once(void **state)
{
	static const struct step t[] = {
		ACK_ALL, {WR, STATUS, 15}, {RD, STATUS, 15},
		{WR, STATUS, 0}, {SERVE, 0, 0}, {RD, STATUS, 0},
		{WR, STATUS, 1}, {RD, STATUS, 1}, {WR, STATUS, 3}, {RD, STATUS, 3},
		{WR4, ACKED_SEL, 1}, {WR4, ACKED, 1}, {WR, STATUS, 11}, {RD, STATUS, 11},
		{WR, STATUS, 15}, {RD, STATUS, 15},
	};
	RUN(&rig, t);
}

static void status_bits_are_not_taken_back(void **state)
{
	static const struct step t[] = {
		ACK_ALL, {WR, STATUS, 1}, {RD, STATUS, 11}, {WR, STATUS, 0x80}, {RD, STATUS, 0x8b},
	};
	RUN(&rig, t);
}

static void features_ok_is_refused(void **state)
{
	static const struct step t[] = {
		{WR, STATUS, 3}, {WR, STATUS, 11}, {RD, STATUS, 3}, /* without VERSION_1 */
		{WR4, ACKED_SEL, 1}, {WR4, ACKED, 1}, {WR4, ACKED_SEL, 0}, {WR4, ACKED, 1},
		{WR, STATUS, 11}, {RD, STATUS, 3},                  /* with what was not offered */
		{WR4, ACKED, 8}, {WR, STATUS, 11}, {RD, STATUS, 11},
	};
	RUN(&rig, t);
}

static void features_are_frozen_by_features_ok(void **state)
{
	static const struct step t[] = {
		ACK_ALL, {WR4, ACKED, 0}, {RD4, ACKED, 1}, {WR4, ACKED_SEL, 0}, {WR4, ACKED, 8},
		{RD4, ACKED, 0},
	};
	RUN(&rig, t);
}

static void queues_have_settings_of_their_own(void **state)
{
	static const struct step t[] = {
		{WR2, QUEUE_SEL, 1}, {WR2, QUEUE_SIZE, 32}, {WR4, DESC, 0x11111110}, {WR4, DESC + 4, 1},
		{WR4, AVAIL, 0x22222220}, {WR4, AVAIL + 4, 2}, {WR4, USED, 0x33333330}, {WR4, USED + 4, 3},
		{WR2, QUEUE_VEC, 2}, {WR2, ENABLE, 1},
		{WR2, QUEUE_SEL, 0}, {RD2, QUEUE_SIZE, 64}, {RD4, DESC, 0}, {RD4, USED + 4, 0},
		{RD2, QUEUE_VEC, 0xffff}, {RD2, ENABLE, 0},
		{WR2, QUEUE_SEL, 1}, {RD2, QUEUE_SEL, 1}, {RD2, QUEUE_SIZE, 32}, {RD4, DESC, 0x11111110},
		{RD4, DESC + 4, 1}, {RD4, AVAIL, 0x22222220}, {RD4, AVAIL + 4, 2}, {RD4, USED, 0x33333330},
		{RD4, USED + 4, 3}, {RD2, QUEUE_VEC, 2}, {RD2, ENABLE, 1}, {RD2, NOTIFY_OFF, 0},
	};
	RUN(&rig, t);
}

static void queue_size_has_to_be_a_power_of_two_within_bounds(void **state)
{
	static const struct step t[] = {
		{WR2, QUEUE_SIZE, 0}, {RD2, QUEUE_SIZE, 64}, {WR2, QUEUE_SIZE, 3}, {RD2, QUEUE_SIZE, 64},
		{WR2, QUEUE_SIZE, 128}, {RD2, QUEUE_SIZE, 64}, {WR2, QUEUE_SIZE, 0x8000},
		{RD2, QUEUE_SIZE, 64}, {WR2, QUEUE_SIZE, 0xffff}, {RD2, QUEUE_SIZE, 64},
		{WR2, QUEUE_SIZE, 1}, {RD2, QUEUE_SIZE, 1}, {WR2, QUEUE_SIZE, 64}, {RD2, QUEUE_SIZE, 64},
	};
	RUN(&rig, t);
}

static void only_1_enables_and_nothing_disables(void **state)
{
	static const struct step t[] = {
		{WR2, ENABLE, 0}, {RD2, ENABLE, 0}, {WR2, ENABLE, 2}, {RD2, ENABLE, 0}, {WR2, ENABLE, 0xffff},
		{RD2, ENABLE, 0}, {WR2, ENABLE, 1}, {RD2, ENABLE, 1}, {WR2, ENABLE, 0}, {RD2, ENABLE, 1},
	};
	RUN(&rig, t);
}

static void selected_queue_that_is_not_there(void **state)
{
	static const uint16_t select[] = {QUEUES, 17, 0x7fff, 0x8000, 0xffff};
	static const struct step t[] = {
		{RD2, QUEUE_SIZE, 0}, {RD2, QUEUE_VEC, 0xffff}, {RD2, ENABLE, 0}, {RD2, NOTIFY_OFF, 0},
		{RD4, DESC, 0}, {RD4, DESC + 4, 0}, {RD4, AVAIL, 0}, {RD4, AVAIL + 4, 0}, {RD4, USED, 0},
		{RD4, USED + 4, 0},
		{WR2, QUEUE_SIZE, 16}, {WR2, QUEUE_VEC, 1}, {WR2, ENABLE, 1}, {WR4, DESC, ~0u},
		{WR4, DESC + 4, ~0u}, {WR4, AVAIL, ~0u}, {WR4, AVAIL + 4, ~0u}, {WR4, USED, ~0u},
		{WR4, USED + 4, ~0u},
		{RD2, QUEUE_SIZE, 0}, {RD2, QUEUE_VEC, 0xffff}, {RD2, ENABLE, 0}, {RD4, DESC, 0},
	};
	struct virtio_dev before = dev;

	for (unsigned i = 0; i < ARRAY_SIZE(select); i++) {
		bus_write(NULL, QUEUE_SEL, 2, select[i], 0);
		assert_int_equal(bus_read(NULL, QUEUE_SEL, 2, 0), select[i]);
		RUN(&rig, t);
	}
	assert_memory_equal(before.queue, dev.queue, sizeof(dev.queue));
}

static void vector_that_the_table_has_not_reads_back_as_none(void **state)
{
	static const struct step t[] = {
		{WR2, CONFIG_VEC, 2}, {RD2, CONFIG_VEC, 2}, {WR2, CONFIG_VEC, 3}, {RD2, CONFIG_VEC, 0xffff},
		{WR2, CONFIG_VEC, 0}, {WR2, CONFIG_VEC, 0xfffe}, {RD2, CONFIG_VEC, 0xffff},
		{WR2, QUEUE_VEC, 0}, {RD2, QUEUE_VEC, 0}, {WR2, QUEUE_VEC, 3}, {RD2, QUEUE_VEC, 0xffff},
		{WR2, QUEUE_VEC, 1}, {WR2, QUEUE_VEC, 0xfffe}, {RD2, QUEUE_VEC, 0xffff},
		{WR2, QUEUE_VEC, 2}, {WR2, QUEUE_VEC, 0xffff}, {RD2, QUEUE_VEC, 0xffff},
	};
	RUN(&rig, t);
}

static void queues_are_frozen_by_driver_ok(void **state)
{
	static const struct step live[] = {LIVE}, poke[] = {
		{WR2, QUEUE_SIZE, 32}, {WR2, QUEUE_VEC, 1}, {WR2, ENABLE, 0}, {WR4, DESC, 0x5000},
		{WR4, DESC + 4, 1}, {WR4, AVAIL, 0x5000}, {WR4, AVAIL + 4, 1}, {WR4, USED, 0x5000},
		{WR4, USED + 4, 1},
	}, check[] = {
		{RD2, QUEUE_SIZE, 16}, {RD2, QUEUE_VEC, 0xffff}, {RD2, ENABLE, 1}, {RD4, DESC, 0x11000},
		{RD4, DESC + 4, 0}, {RD4, AVAIL, 0x11100}, {RD4, AVAIL + 4, 0}, {RD4, USED, 0x11130},
		{RD4, USED + 4, 0},
	};
	struct queue before;

	RUN(&rig, live);
	before = dev.queue[1];
	RUN(&rig, poke);
	RUN(&rig, check);
	assert_memory_equal(&before, &dev.queue[1], sizeof(before));
}

static void rings_that_cannot_be_need_a_reset(void **state)
{
	static const struct step t[] = {
		ACK_ALL, RINGS(0), {WR4, DESC, 0x1008}, {WR2, ENABLE, 1}, {WR, STATUS, 15},
		{RD, STATUS, 0x4f}, {RD, ISR, 2}, {WR, STATUS, 0}, {RD, STATUS, 0},
		LIVE,
	};
	RUN(&rig, t);
}
// clang-format on

/* Fields of the common configuration; 64-bit ones count as two. */
static unsigned width_at(unsigned off)
{
	static const uint8_t width[0x40] = {
		[0x00] = 4, [0x04] = 4, [0x08] = 4, [0x0c] = 4, [0x10] = 2, [0x12] = 2, [0x14] = 1,
		[0x15] = 1, [0x16] = 2, [0x18] = 2, [0x1a] = 2, [0x1c] = 2, [0x1e] = 2, [0x20] = 4,
		[0x24] = 4, [0x28] = 4, [0x2c] = 4, [0x30] = 4, [0x34] = 4, [0x38] = 2, [0x3a] = 2};

	return width[off];
}

/* With every register set to something, accesses of other widths read 0 and change nothing. */
static void other_widths_read_0_and_are_dropped(void **state)
{
	// clang-format off
	static const struct step fill[] = {
		{WR, STATUS, 3}, {WR4, OFFERED_SEL, 0}, {WR4, ACKED_SEL, 1}, {WR4, ACKED, ~0u},
		{WR2, CONFIG_VEC, 2}, {WR2, QUEUE_SEL, 1}, {WR2, QUEUE_VEC, 1}, {WR2, ENABLE, 1},
		{WR4, DESC, ~0u}, {WR4, DESC + 4, ~0u}, {WR4, AVAIL, ~0u}, {WR4, AVAIL + 4, ~0u},
		{WR4, USED, ~0u}, {WR4, USED + 4, ~0u}, {IRQ, 0, 0},
	};
	// clang-format on
	struct virtio_dev before;
	struct vpci at;

	RUN(&rig, fill);
	before = dev;
	at = vpci;
	for (unsigned off = 0; off < 0x80; off++) {
		for (unsigned size = 1; size <= 4; size *= 2) {
			if (off < 0x40 && width_at(off) == size)
				continue;
			if (off == 0x40 && size == 1)
				continue; /* the ISR */
			assert_int_equal(vpci_read(&vpci, off, size), 0);
			vpci_write(&vpci, off, size, 0x01010101 & all_ones(size));
		}
	}
	assert_memory_equal(&before.queue, &dev.queue, sizeof(dev.queue));
	assert_true(before.acked == dev.acked && before.status == dev.status);
	assert_memory_equal(&at, &vpci, sizeof(vpci));
}

static void whole_bar_is_survived_in_every_width(void **state)
{
	static const struct step t[] = {
		{WR4, 0x10,   BAR},
                {RD,  STATUS, 0  }
        };

	for (unsigned round = 0; round < 2; round++) {
		for (uint32_t off = 0; off < VPCI_BAR_SIZE; off++) {
			for (unsigned size = 1; size <= 4 && off + size <= VPCI_BAR_SIZE;
			     size *= 2) {
				uint32_t val = off * 0x9e3779b9u >> round;

				vpci_write(&vpci, off, size, val & all_ones(size));
				assert_true(vpci_read(&vpci, off, size) <= all_ones(size));
				if (off % 64 == 0)
					virtio_service(&dev);
			}
		}
	}
	vpci_write(&vpci, STATUS - BAR, 1, 0);
	virtio_service(&dev);
	RUN(&rig, t);
}

/* --- device configuration --- */

// clang-format off
static void device_configuration_in_every_width(void **state)
{
	static const struct step t[] = {
		{RD, DEVICE, 0x10}, {RD2, DEVICE + 2, 0x1312}, {RD4, DEVICE + 4, 0x17161514},
		{RD4, DEVICE + 1, 0x14131211},
		{RD4, DEVICE + 10, 0x1b1a}, {RD, DEVICE + 12, 0}, {RD4, DEVICE + 0xf7c, 0}, /* beyond */
		{WR2, DEVICE + 4, 0xbeef}, {RD4, DEVICE + 4, 0x1716beef}, {WR4, DEVICE + 10, 0},
		{RD2, DEVICE + 10, 0x1b1a}, {WR, DEVICE + 12, 1},
	};
	RUN(&rig, t);
	assert_int_equal(config_writes, 1);
}

static void generation_counts_changes(void **state)
{
	static const struct step t[] = {
		{RD, GENERATION, 0}, {IRQ, 0x100, 0}, {RD, GENERATION, 1}, {WR, GENERATION, 9},
		{RD, GENERATION, 1},
	};
	RUN(&rig, t);
}

/* --- notifications --- */

static void notification_of_any_queue_kicks(void **state)
{
	static const struct step t[] = {
		LIVE, {WR2, NOTIFY, 0}, {KICKS, 0, 1}, {WR2, NOTIFY, 1}, {KICKS, 0, 1}, {RD2, NOTIFY, 0},
	};
	RUN(&rig, t);
	assert_int_equal(dev.slow_kicks, 2);
}

static void bogus_notification_is_ignored(void **state)
{
	static const struct step t[] = {
		LIVE, {WR2, NOTIFY, QUEUES}, {WR2, NOTIFY, 0x8000}, {WR2, NOTIFY, 0xffff},
		{WR, NOTIFY, 0}, {WR4, NOTIFY, 0}, {WR2, NOTIFY + 2, 0}, {WR2, NOTIFY + 0xffe, 0},
		{KICKS, 0, 0},
	};
	RUN(&rig, t);
}

static void notification_before_driver_ok_is_not_lost(void **state)
{
	static const struct step t[] = {
		ACK_ALL, RINGS(0), {WR2, ENABLE, 1}, {WR2, NOTIFY, 0}, {KICKS, 0, 0}, DRIVER_OK,
		{KICKS, 0, 1}, {SERVE, 0, 0},
	};
	RUN(&rig, t);
	assert_int_equal(notifies, 1);
}

/* --- INTx and ISR --- */

static void interrupt_raises_the_pin_until_isr_is_read(void **state)
{
	static const struct step t[] = {
		LIVE, INTX(0), {RD2, 0x06, 0x10}, {IRQ, 1, 0}, INTX(1), {RD2, 0x06, 0x18},
		{RD, ISR, 1}, INTX(0), {RD2, 0x06, 0x10}, {RD, ISR, 0},
		{IRQ, 0x100, 0}, INTX(1), {IRQ, 0, 0}, {RD, ISR, 3}, INTX(0), {RD, ISR, 0},
		{EDGES, 10, 2}, {NOMSI, 0, 0},
	};
	RUN(&rig, t);
}

static void isr_is_one_byte_that_cannot_be_written(void **state)
{
	static const struct step t[] = {
		LIVE, {IRQ, 0, 0}, {RD2, ISR, 0}, {RD4, ISR, 0}, {RD, ISR + 1, 0}, INTX(1), {WR, ISR, 0},
		INTX(1), {WR, ISR, 2}, {RD, ISR, 1},
	};
	RUN(&rig, t);
}

static void interrupt_disable_cuts_the_wire_alone(void **state)
{
	static const struct step t[] = {
		LIVE, {WR2, 0x04, 0x0406}, {IRQ, 0, 0}, INTX(0), {RD2, 0x06, 0x18},
		{WR2, 0x04, 0x0006}, INTX(1), {WR2, 0x04, 0x0406}, INTX(0),
		{RD, ISR, 1}, {RD2, 0x06, 0x10}, {WR2, 0x04, 0x0006}, INTX(0),
	};
	RUN(&rig, t);
}

static void vectors_do_not_matter_to_intx(void **state)
{
	static const struct step t[] = {
		{WR2, QUEUE_VEC, 1}, LIVE, ENTRY(1, 0x41), {IRQ, 0, 0}, INTX(1), {NOMSI, 0, 0}, {RD, ISR, 1},
	};
	RUN(&rig, t);
}

static void msix_takes_the_pin_and_leaves_isr_alone(void **state)
{
	static const struct step t[] = {
		VECTORS, LIVE, {IRQ, 0, 0}, INTX(1), MSIX_ON, INTX(0), {RD2, 0x06, 0x10},
		{WR2, MSIX_CTL, 0}, INTX(1), {RD, ISR, 1}, MSIX_ON,
		{IRQ, 0, 0}, {MSI, 0xfee00000, 0x41}, INTX(0), {RD, ISR, 0},
		{IRQ, 0x100, 0}, {MSI, 0xfee00000, 0x40}, INTX(0), {RD, ISR, 0},
	};
	RUN(&rig, t);
}

/* --- MSI-X --- */

static void every_source_has_its_vector(void **state)
{
	static const struct step t[] = {
		VECTORS, LIVE, MSIX_ON, {NOMSI, 0, 0},
		{IRQ, 0, 0}, {MSI, 0xfee00000, 0x41}, {IRQ, 1, 0}, {MSI, 0xfee00000, 0x42},
		{IRQ, 0x100, 0}, {MSI, 0xfee00000, 0x40}, {NOMSI, 0, 0},
	};
	RUN(&rig, t);
}

static void no_vector_is_no_interrupt_at_all(void **state)
{
	static const struct step t[] = {
		ENTRY(0, 0x40), LIVE, MSIX_ON, {IRQ, 0, 0}, {IRQ, 0x100, 0}, {NOMSI, 0, 0}, INTX(0),
		{RD, ISR, 0}, {RD4, PBA, 0},
	};
	RUN(&rig, t);
}

static void masks_hold_and_unmasking_delivers(void **state)
{
	static const struct step t[] = {
		VECTORS, LIVE, {WR2, MSIX_CTL, 0xc000}, {IRQ, 0, 0}, {IRQ, 1, 0}, {NOMSI, 0, 0},
		{RD4, PBA, 6}, {WR4, PBA, 0}, {RD4, PBA, 6}, {RD4, PBA + 4, 0},
		{WR4, TABLE + 44, 1}, MSIX_ON, {MSI, 0xfee00000, 0x41}, {NOMSI, 0, 0}, {RD4, PBA, 4},
		{WR4, TABLE + 44, 0}, {MSI, 0xfee00000, 0x42}, {RD4, PBA, 0},
	};
	RUN(&rig, t);
}

static int wired_fd; /* -1: none is connected */
static uint32_t wired_data;

static bool on_wire(void *ctx, int fd, uint64_t addr, uint32_t data)
{
	assert_int_equal(held, 1);
	assert_true(addr == 0xfee00000);
	wired_fd = fd;
	wired_data = data;
	return true;
}

static void on_unwire(void *ctx, int fd)
{
	assert_int_equal(held, 1);
	assert_int_equal(fd, wired_fd);
	wired_fd = -1;
}

static bool wired(unsigned queue)
{
	bool on;

	virtio_lock(&dev);
	on = dev.irq.wired(dev.irq.ctx, queue);
	virtio_unlock(&dev);
	return on;
}

static void wire(unsigned queue, int fd)
{
	virtio_lock(&dev);
	dev.irq.wire(dev.irq.ctx, queue, fd);
	virtio_unlock(&dev);
}

static void eventfd_takes_the_vector_of_its_queue_but_no_pin(void **state)
{
	static const struct step intx[] = {VECTORS, LIVE};
	static const struct step msix[] = {MSIX_ON};
	static const struct step masked[] = {
		{WR4, TABLE + 44, 1}, {IRQ, 1, 0}, {NOMSI, 0, 0}, {RD4, PBA, 4}, /* passed on by us */
	};
	static const struct step open[] = {{WR4, TABLE + 44, 0}, {MSI, 0xfee00000, 0x42}, {RD4, PBA, 0}};

	rig.sink.wire = on_wire;
	rig.sink.unwire = on_unwire;
	wired_fd = -1;
	RUN(&rig, intx);
	wire(1, 77);
	assert_true(wired_fd == -1 && !wired(1));
	RUN(&rig, msix);
	assert_true(wired_fd == 77 && wired_data == 0x42 && wired(1) && !wired(0));
	RUN(&rig, masked);
	assert_true(wired_fd == -1 && !wired(1));
	RUN(&rig, open);
	assert_true(wired_fd == 77 && wired(1));
	wire(1, -1);
	assert_true(wired_fd == -1 && !wired(1));
	wire(MSIX_WIRES, 77); /* a control queue: that one is ours */
	assert_true(wired_fd == -1 && !wired(MSIX_WIRES));
}

static void table_and_pending_bits_take_double_words(void **state)
{
	static const struct step t[] = {
		{RD4, TABLE + 12, 1}, {WR, TABLE + 12, 0}, {WR2, TABLE + 12, 0}, {RD4, TABLE + 12, 1},
		{RD, TABLE + 12, 0}, {RD2, TABLE + 12, 0},
		{WR4, TABLE + 44, 0}, {RD4, TABLE + 44, 0}, {WR4, TABLE + 48, ~0u}, {RD4, TABLE + 48, 0},
		{RD4, TABLE + 0xffc, 0}, {RD4, PBA + 0xffc, 0},
	};
	RUN(&rig, t);
}

/* --- reset --- */

static void reset_puts_the_registers_back(void **state)
{
	static const struct step t[] = {
		VECTORS, {WR4, OFFERED_SEL, 1}, LIVE, {WR, STATUS, 0}, {RD, STATUS, 15}, /* not yet */
		{KICKS, 0, 1}, {SERVE, 0, 0}, {RD, STATUS, 0},
		{RD4, OFFERED_SEL, 0}, {RD4, ACKED_SEL, 0}, {RD4, ACKED, 0}, {RD2, CONFIG_VEC, 0xffff},
		{RD2, QUEUE_SEL, 0}, {RD2, QUEUE_SIZE, 64}, {RD2, QUEUE_VEC, 0xffff}, {RD2, ENABLE, 0},
		{RD4, DESC, 0}, {RD4, AVAIL, 0}, {RD4, USED, 0},
		{WR4, ACKED_SEL, 1}, {RD4, ACKED, 0},
		{WR2, QUEUE_SEL, 1}, {RD2, QUEUE_VEC, 0xffff}, {RD2, ENABLE, 0},
		{RD4, TABLE + 24, 0x41}, {RD4, TABLE + 28, 0}, /* the function's, not the device's */
	};
	RUN(&rig, t);
}

static void reset_lowers_the_pin(void **state)
{
	static const struct step t[] = {
		LIVE, {IRQ, 0, 0}, INTX(1), {WR, STATUS, 0}, {SERVE, 0, 0}, INTX(0), {RD2, 0x06, 0x10},
		{RD, ISR, 0},
	};
	RUN(&rig, t);
}

static void reset_forgets_pending_vectors(void **state)
{
	static const struct step t[] = {
		VECTORS, {WR4, TABLE + 28, 1}, LIVE, MSIX_ON, {IRQ, 0, 0}, {RD4, PBA, 2}, {WR, STATUS, 0},
		{SERVE, 0, 0}, {RD4, PBA, 0}, {WR4, TABLE + 28, 0}, {NOMSI, 0, 0},
	};
	RUN(&rig, t);
}

static void reset_under_way_takes_no_settings(void **state)
{
	static const struct step t[] = {
		LIVE, {WR, STATUS, 0}, {SERVE, 0, 0}, {RD, STATUS, 15}, {WR, STATUS, 1}, {WR2, QUEUE_SEL, 0},
		{WR2, QUEUE_VEC, 1}, {RD2, QUEUE_VEC, 0xffff}, {WR2, CONFIG_VEC, 1}, {WR2, NOTIFY, 0},
		{KICKS, 0, 1}, {RD, STATUS, 15},
	}, after[] = {{RD, STATUS, 0}, {RD2, CONFIG_VEC, 0xffff}};

	stops_late = true;
	RUN(&rig, t);
	virtio_lock(&dev);
	virtio_stopped(&dev);
	virtio_unlock(&dev);
	RUN(&rig, after);
	assert_int_equal(stops, 1);
}

static void reset_of_an_idle_device_is_done_at_once(void **state)
{
	static const struct step t[] = {
		ACK_ALL, {WR2, CONFIG_VEC, 1}, {WR, STATUS, 0}, {RD, STATUS, 0}, {RD2, CONFIG_VEC, 0xffff},
		{KICKS, 0, 0},
	};
	RUN(&rig, t);
}

/* --- the PCI_CFG window --- */

static void window_names_a_place_in_the_bar(void **state)
{
	static const struct step t[] = {
		{WINDOW, CFG_DATA, NEVER}, /* no length yet */
		{WR, CFG_BAR, 0}, {WR4, CFG_OFF, 0x14}, {WR4, CFG_LEN, 1}, {WINDOW, CFG_DATA, 0x1401},
		{WINDOW, CFG_BAR, NEVER}, {WINDOW, CFG_DATA + 4, NEVER}, {WINDOW, 0, NEVER},
		{WR4, CFG_LEN, 2}, {WINDOW, CFG_DATA, 0x1402}, {WR4, CFG_LEN, 4}, {WINDOW, CFG_DATA, 0x1404},
		{WR4, CFG_OFF, 0x3ffc}, {WINDOW, CFG_DATA, 0x3ffc04},
	};
	RUN(&rig, t);
}

static void window_out_of_place_is_plain_storage(void **state)
{
	static const struct step t[] = {
		{WR4, CFG_LEN, 4}, {WR, CFG_BAR, 1}, {WINDOW, CFG_DATA, NEVER}, {WR, CFG_BAR, 6},
		{WINDOW, CFG_DATA, NEVER}, {WR, CFG_BAR, 0xff}, {WINDOW, CFG_DATA, NEVER}, {WR, CFG_BAR, 0},
		{WR4, CFG_OFF, 0x4000}, {WINDOW, CFG_DATA, NEVER}, {WR4, CFG_OFF, 0xfffffffc},
		{WINDOW, CFG_DATA, NEVER}, {WR4, CFG_OFF, 0x3ffe}, {WINDOW, CFG_DATA, NEVER},
		{WR4, CFG_OFF, 1}, {WINDOW, CFG_DATA, NEVER}, {WR4, CFG_OFF, 0},
		{WR4, CFG_LEN, 0}, {WINDOW, CFG_DATA, NEVER}, {WR4, CFG_LEN, 3}, {WINDOW, CFG_DATA, NEVER},
		{WR4, CFG_LEN, 8}, {WINDOW, CFG_DATA, NEVER}, {WR4, CFG_LEN, ~0u}, {WINDOW, CFG_DATA, NEVER},
		{WR4, CFG_LEN, 4}, {WINDOW, CFG_DATA, 4},
		{WR4, CFG_DATA, 0x12345678}, {RD4, CFG_DATA, 0x12345678},
	};
	RUN(&rig, t);
}
// clang-format on

static void window_register_holds_what_was_read(void **state)
{
	vpci_window_put(&vpci, 4, 0x44332211);
	assert_int_equal(bus_read(NULL, CFG_DATA, 4, 0), 0x44332211);
	vpci_window_put(&vpci, 2, 0xbeef);
	assert_int_equal(bus_read(NULL, CFG_DATA, 4, 0), 0x4433beef);
	assert_int_equal(vpci_window_get(&vpci, 1), 0xef);
	assert_int_equal(vpci_window_get(&vpci, 2), 0xbeef);
	assert_int_equal(vpci_window_get(&vpci, 4), 0x4433beef);
}

static void as_many_queues_as_there_can_be(void **state)
{
	start(&ops, VIRTIO_QUEUES);
	assert_int_equal(bus_read(NULL, NUM_QUEUES, 2, 0), VIRTIO_QUEUES);
	assert_int_equal(bus_read(NULL, MSIX_CTL, 2, 0), VIRTIO_QUEUES);
	bus_write(NULL, QUEUE_SEL, 2, VIRTIO_QUEUES - 1, 0);
	bus_write(NULL, QUEUE_VEC, 2, VIRTIO_QUEUES, 0);
	assert_int_equal(bus_read(NULL, QUEUE_VEC, 2, 0), VIRTIO_QUEUES);
	bus_write(NULL, TABLE + 16 * VIRTIO_QUEUES + 8, 4, 0x99, 0);
	assert_int_equal(bus_read(NULL, TABLE + 16 * VIRTIO_QUEUES + 8, 4, 0), 0x99);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(is_a_modern_device),
		T(class_tells_what_it_is),
		T(capabilities_come_in_order),
		T(msix_capability_has_a_vector_a_queue_and_one_more),
		T(capabilities_are_read_only_but_for_the_window),
		T(command_and_status),
		T(bar_is_sized_and_placed),
		T(bell_follows_the_bar),
		T(bell_of_a_live_device_is_told),
		T(bell_of_a_dying_device_is_told),
		T(hidden_bar_has_no_bell),
		T(common_configuration_after_reset),
		T(features_are_selected_by_halves),
		T(status_takes_several_bits_at_once),
		T(status_bits_are_not_taken_back),
		T(features_ok_is_refused),
		T(features_are_frozen_by_features_ok),
		T(queues_have_settings_of_their_own),
		T(queue_size_has_to_be_a_power_of_two_within_bounds),
		T(only_1_enables_and_nothing_disables),
		T(selected_queue_that_is_not_there),
		T(vector_that_the_table_has_not_reads_back_as_none),
		T(queues_are_frozen_by_driver_ok),
		T(rings_that_cannot_be_need_a_reset),
		T(other_widths_read_0_and_are_dropped),
		T(whole_bar_is_survived_in_every_width),
		T(device_configuration_in_every_width),
		T(generation_counts_changes),
		T(notification_of_any_queue_kicks),
		T(bogus_notification_is_ignored),
		T(notification_before_driver_ok_is_not_lost),
		T(interrupt_raises_the_pin_until_isr_is_read),
		T(isr_is_one_byte_that_cannot_be_written),
		T(interrupt_disable_cuts_the_wire_alone),
		T(vectors_do_not_matter_to_intx),
		T(msix_takes_the_pin_and_leaves_isr_alone),
		T(eventfd_takes_the_vector_of_its_queue_but_no_pin),
		T(every_source_has_its_vector),
		T(no_vector_is_no_interrupt_at_all),
		T(masks_hold_and_unmasking_delivers),
		T(table_and_pending_bits_take_double_words),
		T(reset_puts_the_registers_back),
		T(reset_lowers_the_pin),
		T(reset_forgets_pending_vectors),
		T(reset_under_way_takes_no_settings),
		T(reset_of_an_idle_device_is_done_at_once),
		T(window_names_a_place_in_the_bar),
		T(window_out_of_place_is_plain_storage),
		T(window_register_holds_what_was_read),
		T(as_many_queues_as_there_can_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
