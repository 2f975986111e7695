/*
 * board.h - the machine: every chip by value, the two address spaces, and the one lock around them.
 *
 * Lock rule: board_*() functions take `lock` themselves and never block under it. What may happen
 * under it: memory, the KVM interrupt ioctls of the sink, arming the timer, waking the loop.
 * Accesses to virtio devices take those devices' locks, with the board lock dropped: no caller
 * holds one. `now` is CLOCK_MONOTONIC in ns; a value older than one already seen is taken as that
 * one.
 */
#pragma once
#include <pthread.h>

#include "../irq/gsi.h"
#include "../mem/ram.h"
#include "kbd.h"
#include "pci.h"
#include "pit.h"
#include "pm.h"
#include "rtc.h"
#include "sysctl.h"
#include "testdev.h"
#include "uart.h"
#include "vbus.h"

struct CAPABILITY("board lock") board_lock {
	pthread_mutex_t mutex;
};

/* What the board needs of the world. Called with the lock held; none may block or take it. */
struct board_host {
	void *ctx;
	struct irq_sink sink;
	/* One-shot: board_tick() is to be called at `deadline` ns, which may have passed. */
	void (*arm)(void *ctx, uint64_t deadline);
	void (*power)(void *ctx, enum power_event ev);
	/* The guest wrote `val` to the boot-timer page. */
	void (*mark)(void *ctx, uint8_t val, uint64_t now);
	/* The guest asked the test device to end with this status. */
	void (*quit)(void *ctx, uint8_t status);
	/* The test device is to force a second-level fault on the page at `gpa`. */
	void (*flush_page)(void *ctx, uint64_t gpa);
	/* NULL, or told of every access after it happened. */
	void (*trace)(void *ctx, const char *op, uint64_t addr, unsigned size, uint64_t val,
		      uint64_t now);
};

struct board_conf {
	uint64_t low_ram, high_ram; /* bytes, for the CMOS */
	unsigned cpus;
	int64_t utc_ns; /* wall clock at `now` */
	bool test_device;
	uint8_t *test_mmio; /* TEST_MMIO_SIZE bytes, or NULL */
};

#define BOARD_ROWS 32 /* at least as many as either table has */

struct board {
	struct board_lock lock;
	uint64_t now;   /* the latest time seen */
	uint64_t armed; /* when the loop's timer fires; NEVER if it does not; 0: it has to, at once
			 */
	bool rx_hungry; /* the loop has input that did not fit */

	struct pic pic;
	struct ioapic ioapic;
	struct gsi gsi;
	struct pit pit;
	struct rtc rtc;
	struct kbd kbd;
	struct pm pm;
	struct pci pci;
	struct sysctl sysctl;
	struct testdev test;
	struct vbus vbus;
	struct vpci_board transport;
	struct irq_line pulse[GSI_N]; /* of the virtio-mmio windows; unset where none is */
	uint64_t low_ram;
	struct uart com1;
	bool test_device;

	uint64_t pio_count[BOARD_ROWS], mmio_count[BOARD_ROWS]; /* accesses, by table row */
	uint64_t pio_missed, mmio_missed;                       /* accesses that no row took */
	const struct board_host *host;
};

/* Wires the machine and leaves it as firmware would. */
void board_init(struct board *b, const struct board_conf *c, const struct board_host *host,
		uint64_t now);

/*
 * Before the guest runs: `dev`, which virtio_init() has made, as function 00:`slot`.0 (2..31, one
 * each) or in virtio-mmio window `n` (0..VBUS_WINDOWS - 1). Initialises the transport; neither may
 * move afterwards.
 */
void board_add_pci(struct board *b, unsigned slot, struct vpci *v, struct virtio_dev *dev);
void board_add_mmio(struct board *b, unsigned n, struct vmmio *m, struct virtio_dev *dev);
/* Address and GSI of window `n`, for the tables that tell the guest. */
static inline uint64_t board_window_gpa(unsigned n)
{
	return vbus_gpa(n);
}

static inline unsigned board_window_gsi(unsigned n)
{
	return vbus_gsi(n);
}

/* An edge on `gsi`, which has to be that of a window in use. */
void board_pulse(struct board *b, unsigned gsi);

/* One port access of 1, 2 or 4 bytes. Reads of nothing give all-ones; writes to nothing vanish. */
uint32_t board_pio_read(struct board *b, uint16_t port, unsigned size, uint64_t now);
void board_pio_write(struct board *b, uint16_t port, unsigned size, uint32_t val, uint64_t now);
/* One memory access of 1..8 bytes outside RAM; pieces of an odd access are taken one by one. */
uint64_t board_mmio_read(struct board *b, uint64_t gpa, unsigned size, uint64_t now);
void board_mmio_write(struct board *b, uint64_t gpa, unsigned size, uint64_t val, uint64_t now);

/* KVM_EXIT_IOAPIC_EOI. */
void board_eoi(struct board *b, uint8_t vector, uint64_t now);
/* The 8259's INTA cycle; false if INTR fell meanwhile and nothing was acknowledged. */
bool board_inta(struct board *b, uint8_t *vector, uint64_t now);

/* Brings every chip up to `now` and re-arms the timer: from the loop, at each of its turns. */
void board_tick(struct board *b, uint64_t now);
/* The loop turns at `deadline` at the latest; asked for once, since board_tick() forgets it. */
void board_wake_at(struct board *b, uint64_t deadline);
/* Makes the loop turn at once. The timer does it: armed for the past, and left alone until then. */
void board_wake(struct board *b);
/* Console input: bytes taken; when fewer than `len`, the loop is woken once there is room. */
size_t board_rx(struct board *b, const uint8_t *buf, size_t len, uint64_t now);
/* Console output that is due (or all of it): contiguous bytes that stay valid until board_tx_done.
 */
size_t board_tx_peek(struct board *b, const uint8_t **p, bool all, uint64_t now);
void board_tx_done(struct board *b, size_t n, uint64_t now);
/* false: the guest does not take keys now. */
bool board_ctrl_alt_del(struct board *b, uint64_t now);

/* Names and counts of the table rows, for the timeline: NULL past the end. */
const char *board_pio_row(const struct board *b, unsigned row, uint64_t *count);
const char *board_mmio_row(const struct board *b, unsigned row, uint64_t *count);
