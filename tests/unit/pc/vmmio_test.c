/*
 * vmmio_test.c - virtio over MMIO, version 2: registers, configuration space, interrupts, the reset
 * that is waited for. The device behind it is on the real virtio.c.
 */
#include "../../../src/pc/vmmio.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/driver.h"
#include "../../lib/steps.h"

#define BASE 0xc0003000u
#define GSI  7u

#define MAGIC       (BASE + 0x000)
#define VERSION     (BASE + 0x004)
#define DEVICE_ID   (BASE + 0x008)
#define VENDOR      (BASE + 0x00c)
#define OFFERED     (BASE + 0x010)
#define OFFERED_SEL (BASE + 0x014)
#define ACKED       (BASE + 0x020)
#define ACKED_SEL   (BASE + 0x024)
#define QUEUE_SEL   (BASE + 0x030)
#define NUM_MAX     (BASE + 0x034)
#define NUM         (BASE + 0x038)
#define READY       (BASE + 0x044)
#define NOTIFY      (BASE + 0x050)
#define ISR         (BASE + 0x060)
#define ISR_ACK     (BASE + 0x064)
#define STATUS      (BASE + 0x070)
#define DESC        (BASE + 0x080)
#define AVAIL       (BASE + 0x090)
#define USED        (BASE + 0x0a0)
#define SHM_SEL     (BASE + 0x0ac)
#define SHM_LEN     (BASE + 0x0b0)
#define SHM_BASE    (BASE + 0x0b8)
#define GENERATION  (BASE + 0x0fc)
#define CONFIG      (BASE + 0x100)

/* Chip-specific steps. */
#define IRQ    X0 /* the device interrupts for queue addr; 100h: its configuration changed */
#define SERVE  X1 /* the loop serves the device */
#define KICKS  X2 /* expect val kicks since last asked */
#define PULSES X3 /* expect val pulses since last asked */
#define WAITS  X4 /* expect val waits for a reset since last asked */

#define QUEUES  2
#define FEATURE BIT(3)

static struct ram ram;
static struct driver drv[QUEUES];
static struct driver_host host;
static struct virtio_dev dev;
static struct vmmio vmmio;
static struct rig rig;
static unsigned pulses, waits, notifies, config_writes;
static void (*await)(void *ctx, struct virtio_dev *d); /* the miniature monitor's */

static void dev_notify(struct virtio_dev *d)
{
	notifies++;
}

static void dev_config_write(struct virtio_dev *d, unsigned off, unsigned size, uint32_t val)
{
	config_writes++;
	memcpy(d->config + off, &val, size);
}

static const struct virtio_ops ops = {
	.name = "test", .id = 42, .notify = dev_notify, .config_write = dev_config_write};

static void on_pulse(void *ctx, unsigned gsi)
{
	assert_ptr_equal(ctx, &rig);
	assert_int_equal(gsi, GSI);
	pulses++;
}

/* The lock is free: the loop needs it to finish. */
static void on_await_reset(void *ctx, struct virtio_dev *d)
{
	assert_int_equal(pthread_mutex_trylock(&d->lock.mutex), 0);
	pthread_mutex_unlock(&d->lock.mutex);
	waits++;
	await(ctx, d);
}

static uint32_t bus_read(void *ctx, uint32_t off, unsigned size, uint64_t now)
{
	return vmmio_read(&vmmio, off, size);
}

static void bus_write(void *ctx, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	vmmio_write(&vmmio, off, size, val);
}

static uint64_t take(unsigned *counter)
{
	uint64_t got = *counter;

	*counter = 0;
	return got;
}

static uint64_t op(struct rig *r, const struct step *s)
{
	switch (s->op) {
	case IRQ:
		virtio_lock(&dev);
		if (s->addr < QUEUES)
			dev.irq.queue(dev.irq.ctx, (unsigned)s->addr);
		else
			virtio_config_changed(&dev);
		virtio_unlock(&dev);
		return s->val;
	case SERVE: virtio_service(&dev); return s->val;
	case KICKS: return take(&host.kicks);
	case PULSES: return take(&pulses);
	default: return take(&waits);
	}
}

static int setup(void **state)
{
	ram = driver_ram(2 * MIB, 0);
	for (unsigned i = 0; i < QUEUES; i++)
		driver_init(&drv[i], &ram, 0x1000 + 0x10000 * i, 16, VIRTIO_F_VERSION_1);
	rig = (struct rig){.base = BASE, .read = bus_read, .write = bus_write, .op = op};
	driver_host_init(&host);
	await = host.host.await_reset;
	host.host.await_reset = on_await_reset;
	pulses = waits = notifies = config_writes = 0;
	virtio_init(&dev, &ops, &host.host, &ram, FEATURE, QUEUES, 64);
	dev.config_len = 12;
	for (unsigned i = 0; i < VIRTIO_CONFIG_MAX; i++)
		dev.config[i] = (uint8_t)(0x10 + i);
	memset(&vmmio, 0xa5, sizeof(vmmio));
	vmmio_init(&vmmio, &dev, BASE, GSI, on_pulse, &rig);
	return 0;
}

static int teardown(void **state)
{
	driver_ram_free(&ram);
	return 0;
}

// clang-format off
#define ACK_ALL                                                                                    \
	{WR4, STATUS, 1}, {WR4, STATUS, 3}, {WR4, ACKED_SEL, 1}, {WR4, ACKED, 1},                  \
	{WR4, STATUS, 11}, {RD4, STATUS, 11}
#define RINGS(n)                                                                                   \
	{WR4, QUEUE_SEL, n}, {WR4, NUM, 16}, {WR4, DESC, 0x1000 + 0x10000 * (n)},                  \
	{WR4, AVAIL, 0x1100 + 0x10000 * (n)}, {WR4, USED, 0x1130 + 0x10000 * (n)}, {WR4, READY, 1}
#define LIVE ACK_ALL, RINGS(0), RINGS(1), {WR4, STATUS, 15}, {RD4, STATUS, 15}, {SERVE, 0, 0},     \
	{KICKS, 0, 1}

static void identity(void **state)
{
	static const struct step t[] = {
		{RD4, MAGIC, 0x74726976}, {RD4, VERSION, 2}, {RD4, DEVICE_ID, 42}, {RD4, VENDOR, 0x4e4e494d},
		{WR4, MAGIC, 0}, {WR4, VERSION, 1}, {WR4, DEVICE_ID, 0}, {WR4, VENDOR, 0},
		{RD4, MAGIC, 0x74726976}, {RD4, VERSION, 2}, {RD4, DEVICE_ID, 42}, {RD4, VENDOR, 0x4e4e494d},
	};
	RUN(&rig, t);
	assert_int_equal(dev.bell, NOTIFY);
}

static void registers_after_reset(void **state)
{
	static const struct step t[] = {
		{RD4, OFFERED, 0x30000008}, {RD4, NUM_MAX, 64}, {RD4, READY, 0}, {RD4, ISR, 0}, {RD4, STATUS, 0},
		{RD4, GENERATION, 0}, {PULSES, 0, 0},
	};
	RUN(&rig, t);
}

static void what_is_written_alone_reads_0(void **state)
{
	static const struct step t[] = {
		LIVE, {RD4, OFFERED_SEL, 0}, {RD4, ACKED, 0}, {RD4, ACKED_SEL, 0}, {RD4, QUEUE_SEL, 0},
		{RD4, NUM, 0}, {RD4, NOTIFY, 0}, {RD4, ISR_ACK, 0}, {RD4, DESC, 0}, {RD4, DESC + 4, 0},
		{RD4, AVAIL, 0}, {RD4, AVAIL + 4, 0}, {RD4, USED, 0}, {RD4, USED + 4, 0},
	};
	RUN(&rig, t);
}

static void features_are_selected_by_halves(void **state)
{
	static const struct step t[] = {
		{WR4, OFFERED_SEL, 1}, {RD4, OFFERED, 1}, {WR4, OFFERED_SEL, 2}, {RD4, OFFERED, 0},
		{WR4, OFFERED_SEL, ~0u}, {RD4, OFFERED, 0}, {WR4, OFFERED_SEL, 0}, {WR4, OFFERED, 0},
		{RD4, OFFERED, 0x30000008},
		{WR4, ACKED, 8}, {WR4, ACKED_SEL, 1}, {WR4, ACKED, 1}, {WR4, ACKED_SEL, 2}, {WR4, ACKED, ~0u},
	};
	RUN(&rig, t);
	assert_true(dev.acked == (FEATURE | VIRTIO_F_VERSION_1));
}

static void features_ok_is_refused_without_version_1(void **state)
{
	static const struct step t[] = {{WR4, STATUS, 3}, {WR4, STATUS, 11}, {RD4, STATUS, 3}};

	RUN(&rig, t);
}

static void status_of_more_than_a_byte_is_dropped(void **state)
{
	static const struct step t[] = {
		ACK_ALL, {WR4, STATUS, 0x100}, {RD4, STATUS, 11}, {WR4, STATUS, 0xffffff80}, {RD4, STATUS, 11},
	};
	RUN(&rig, t);
}

static void queues_have_settings_of_their_own(void **state)
{
	static const struct step t[] = {
		{WR4, QUEUE_SEL, 1}, {WR4, NUM, 32}, {WR4, DESC, 0x11111110}, {WR4, DESC + 4, 1},
		{WR4, AVAIL + 4, 2}, {WR4, AVAIL, 0x22222220}, {WR4, USED, 0x33333330}, {WR4, USED + 4, 3},
		{WR4, READY, 1}, {RD4, READY, 1}, {RD4, NUM_MAX, 64}, {WR4, QUEUE_SEL, 0}, {RD4, READY, 0},
		{WR4, DESC + 4, 7}, {WR4, DESC, 0x10},
	};
	RUN(&rig, t);
	assert_int_equal(dev.queue[1].size, 32);
	assert_true(dev.queue[1].desc == 0x111111110 && dev.queue[1].avail == 0x222222220);
	assert_true(dev.queue[1].used == 0x333333330 && dev.queue[1].enabled);
	assert_int_equal(dev.queue[0].size, 64);
	assert_true(dev.queue[0].desc == 0x700000010 && dev.queue[0].avail == 0);
}

static void queue_size_has_to_be_a_power_of_two_within_bounds(void **state)
{
	static const uint32_t bad[] = {0, 3, 128, 0x8000, 0xffff, 0x10000, 0x10010, 0xffffffff};
	static const struct step good[] = {{WR4, NUM, 32}};

	RUN(&rig, good);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		bus_write(NULL, NUM - BASE, 4, bad[i], 0);
		assert_int_equal(dev.queue[0].size, 32);
	}
}

/* Linux does so when it could not set up all queues, and looks. */
static void queue_can_be_taken_down_before_driver_ok(void **state)
{
	static const struct step t[] = {
		{WR4, READY, 1}, {RD4, READY, 1}, {WR4, READY, 2}, {RD4, READY, 1}, {WR4, READY, 0},
		{RD4, READY, 0}, {WR4, READY, ~0u}, {RD4, READY, 0},
	};
	RUN(&rig, t);
}

static void selected_queue_that_is_not_there(void **state)
{
	static const uint32_t select[] = {QUEUES, 17, 0xffff, 0x10000, 0x80000000, 0xffffffff};
	static const struct step t[] = {
		{RD4, NUM_MAX, 0}, {RD4, READY, 0}, {WR4, NUM, 16}, {WR4, READY, 1}, {WR4, DESC, ~0u},
		{WR4, DESC + 4, ~0u}, {WR4, AVAIL, ~0u}, {WR4, AVAIL + 4, ~0u}, {WR4, USED, ~0u},
		{WR4, USED + 4, ~0u}, {RD4, NUM_MAX, 0}, {RD4, READY, 0},
	};
	struct virtio_dev before = dev;

	for (unsigned i = 0; i < ARRAY_SIZE(select); i++) {
		bus_write(NULL, QUEUE_SEL - BASE, 4, select[i], 0);
		RUN(&rig, t);
	}
	assert_memory_equal(before.queue, dev.queue, sizeof(dev.queue));
}

static void queues_are_frozen_by_driver_ok(void **state)
{
	static const struct step live[] = {LIVE}, poke[] = {
		{WR4, NUM, 32}, {WR4, READY, 0}, {RD4, READY, 1}, {WR4, DESC, 0x5000}, {WR4, DESC + 4, 1},
		{WR4, AVAIL, 0x5000}, {WR4, AVAIL + 4, 1}, {WR4, USED, 0x5000}, {WR4, USED + 4, 1},
	};
	struct queue before;

	RUN(&rig, live);
	before = dev.queue[1];
	RUN(&rig, poke);
	assert_memory_equal(&before, &dev.queue[1], sizeof(before));
}

static void there_is_no_shared_memory(void **state)
{
	static const struct step t[] = {
		{WR4, SHM_SEL, 0}, {RD4, SHM_LEN, ~0u}, {RD4, SHM_LEN + 4, ~0u}, {RD4, SHM_BASE, ~0u},
		{RD4, SHM_BASE + 4, ~0u}, {WR4, SHM_SEL, 255}, {RD4, SHM_LEN, ~0u}, {RD4, SHM_SEL, 0},
	};
	RUN(&rig, t);
}

static void queue_reset_is_not_there(void **state)
{
	static const struct step t[] = {LIVE, {WR4, BASE + 0xc0, 1}, {RD4, BASE + 0xc0, 0}, {RD4, READY, 1}};

	RUN(&rig, t);
}

static void interrupt_is_a_pulse_a_time(void **state)
{
	static const struct step t[] = {
		LIVE, {PULSES, 0, 0}, {IRQ, 1, 0}, {RD4, ISR, 1}, {PULSES, 0, 1}, {IRQ, 0, 0}, {PULSES, 0, 1},
		{IRQ, 0x100, 0}, {RD4, ISR, 3}, {PULSES, 0, 1}, {RD4, ISR, 3}, {WR4, ISR, 0}, {RD4, ISR, 3},
		{WR4, ISR_ACK, 1}, {RD4, ISR, 2}, {WR4, ISR_ACK, 0xfffffffc}, {RD4, ISR, 2}, {WR4, ISR_ACK, 3},
		{RD4, ISR, 0}, {PULSES, 0, 0},
	};
	RUN(&rig, t);
}

static void notification_of_any_queue_kicks(void **state)
{
	static const struct step t[] = {
		LIVE, {WR4, NOTIFY, 0}, {KICKS, 0, 1}, {WR4, NOTIFY, 1}, {KICKS, 0, 1},
		{WR4, NOTIFY, 2}, {WR4, NOTIFY, 0x10000}, {WR4, NOTIFY, 0xffffffff}, {WR2, NOTIFY, 0},
		{WR, NOTIFY, 0}, {KICKS, 0, 0},
	};
	RUN(&rig, t);
	assert_int_equal(dev.slow_kicks, 2);
}

static void notification_before_driver_ok_is_not_lost(void **state)
{
	static const struct step t[] = {
		ACK_ALL, RINGS(0), {WR4, NOTIFY, 0}, {KICKS, 0, 0}, {WR4, STATUS, 15}, {KICKS, 0, 1},
		{SERVE, 0, 0},
	};
	RUN(&rig, t);
	assert_int_equal(notifies, 1);
}

static void configuration_in_every_width(void **state)
{
	static const struct step t[] = {
		{RD, CONFIG, 0x10}, {RD2, CONFIG + 2, 0x1312}, {RD4, CONFIG + 4, 0x17161514},
		{RD, CONFIG + 11, 0x1b}, {RD4, CONFIG + 10, 0x1b1a}, {RD, CONFIG + 12, 0}, {RD4, BASE + 0xffc, 0},
		{WR, CONFIG + 1, 0xaa}, {RD4, CONFIG, 0x1312aa10}, {WR4, CONFIG + 10, 0}, {WR, CONFIG + 12, 0},
		{RD2, CONFIG + 10, 0x1b1a},
	};
	RUN(&rig, t);
	assert_int_equal(config_writes, 1);
}

static void generation_counts_changes(void **state)
{
	static const struct step t[] = {
		{IRQ, 0x100, 0}, {IRQ, 0x100, 0}, {RD4, GENERATION, 2}, {WR4, GENERATION, 0}, {RD4, GENERATION, 2},
	};
	RUN(&rig, t);
}

static void reset_is_over_when_the_write_is(void **state)
{
	static const struct step t[] = {
		{WR4, OFFERED_SEL, 1}, LIVE, {IRQ, 0, 0}, {IRQ, 0x100, 0}, {WAITS, 0, 0},
		{WR4, STATUS, 0}, {WAITS, 0, 1}, {RD4, STATUS, 0},
		{RD4, ISR, 0}, {RD4, OFFERED, 0x30000008}, {RD4, NUM_MAX, 64}, {RD4, READY, 0},
		{WR4, QUEUE_SEL, 1}, {RD4, READY, 0},
		{WR4, STATUS, 0}, {WAITS, 0, 0},
	};
	RUN(&rig, t);
	assert_true(dev.acked == 0 && vmmio.acked_sel == 0);
	assert_int_equal(dev.bell, NOTIFY); /* it stays where it is */
}

static void reset_of_an_idle_device_waits_for_nothing(void **state)
{
	static const struct step t[] = {
		ACK_ALL, {WR4, QUEUE_SEL, 1}, {WR4, STATUS, 0}, {WAITS, 0, 0}, {RD4, STATUS, 0},
	};
	RUN(&rig, t);
	assert_int_equal(vmmio.queue_sel, 0);
}
// clang-format on

static const uint16_t registers[] = {0x00, 0x04, 0x08, 0x0c, 0x10, 0x14, 0x20, 0x24, 0x30,
				     0x34, 0x38, 0x44, 0x50, 0x60, 0x64, 0x70, 0x80, 0x84,
				     0x90, 0x94, 0xa0, 0xa4, 0xac, 0xb0, 0xb4, 0xb8, 0xbc};

static bool is_register(unsigned off)
{
	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++)
		if (registers[i] == off)
			return true;
	return off == 0xfc;
}

/* Bytes, words, what is not aligned, and offsets that are none. */
static void other_accesses_read_0_and_are_dropped(void **state)
{
	static const struct step fill[] = {
		{WR4, STATUS,    3     },
                {WR4, QUEUE_SEL, 1     },
                {WR4, ACKED_SEL, 1     },
		{WR4, ACKED,     ~0u   },
                {WR4, NUM,       16    },
                {WR4, READY,     1     },
		{WR4, DESC,      0x5000},
                {IRQ, 0,         0     },
                {IRQ, 0x100,     0     },
	};
	struct virtio_dev before;
	struct vmmio at;

	RUN(&rig, fill);
	before = dev;
	at = vmmio;
	for (unsigned off = 0; off < 0x100; off++) {
		for (unsigned size = 1; size <= 4; size *= 2) {
			if (size == 4 && is_register(off))
				continue;
			assert_int_equal(vmmio_read(&vmmio, off, size), 0);
			vmmio_write(&vmmio, off, size, 0x01010101 & all_ones(size));
			vmmio_write(&vmmio, off, size, 0);
		}
	}
	assert_memory_equal(before.queue, dev.queue, sizeof(dev.queue));
	assert_true(before.acked == dev.acked && before.status == dev.status);
	assert_memory_equal(&at, &vmmio, sizeof(vmmio));
}

static void whole_window_is_survived_in_every_width(void **state)
{
	for (unsigned round = 0; round < 4; round++) {
		for (uint32_t off = 0; off < VMMIO_SIZE; off++) {
			for (unsigned size = 1; size <= 4 && off + size <= VMMIO_SIZE; size *= 2) {
				uint32_t val = (off + 1) * 0x9e3779b9u >> 8 * round;

				vmmio_write(&vmmio, off, size, val & all_ones(size));
				assert_true(vmmio_read(&vmmio, off, size) <= all_ones(size));
			}
		}
	}
	vmmio_write(&vmmio, STATUS - BASE, 4, 0);
	assert_int_equal(vmmio_read(&vmmio, STATUS - BASE, 4), 0);
	assert_int_equal(vmmio_read(&vmmio, MAGIC - BASE, 4), 0x74726976);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(identity),
		T(registers_after_reset),
		T(what_is_written_alone_reads_0),
		T(features_are_selected_by_halves),
		T(features_ok_is_refused_without_version_1),
		T(status_of_more_than_a_byte_is_dropped),
		T(queues_have_settings_of_their_own),
		T(queue_size_has_to_be_a_power_of_two_within_bounds),
		T(queue_can_be_taken_down_before_driver_ok),
		T(selected_queue_that_is_not_there),
		T(queues_are_frozen_by_driver_ok),
		T(there_is_no_shared_memory),
		T(queue_reset_is_not_there),
		T(interrupt_is_a_pulse_a_time),
		T(notification_of_any_queue_kicks),
		T(notification_before_driver_ok_is_not_lost),
		T(configuration_in_every_width),
		T(generation_counts_changes),
		T(reset_is_over_when_the_write_is),
		T(reset_of_an_idle_device_waits_for_nothing),
		T(other_accesses_read_0_and_are_dropped),
		T(whole_window_is_survived_in_every_width),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
