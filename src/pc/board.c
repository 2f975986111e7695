/*
 * board.c - the machine in one place: the port map, the memory map of the devices, the wiring, and
 * the state that a PC's firmware would have left. The only file that includes every chip.
 */
#include "board.h"

#include <string.h>

/* A stretch of one address space and who answers there. */
struct io_range {
	uint64_t base;
	uint32_t len;
	uint8_t sizes; /* widths taken whole, ORed: 1, 2, 4; other accesses are split into bytes */
	bool test;     /* only with --test-device */
	uint32_t dev;  /* offset of the chip in struct board */
	uint32_t (*read)(void *dev, uint32_t off, unsigned size, uint64_t now);
	void (*write)(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
	const char *name;
};

static uint32_t mark_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	return all_ones(size);
}

static void mark_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	const struct board *b = dev;

	if (off == 0)
		b->host->mark(b->host->ctx, (uint8_t)val, now);
}

#define DEV(m) offsetof(struct board, m)

// clang-format off
static const struct io_range board_pio[] = {
	/* port   len sizes  test   chip         read              write               name */
	{0x3f8,   8,  1,     false, DEV(com1),   uart_read,        uart_write,         "uart"  }, /* 16550A, IRQ 4 */
	{0x020,   2,  1,     false, DEV(pic),    pic_master_read,  pic_master_write,   "pic"   }, /* 8259A, INTR to vCPU 0 */
	{0x0a0,   2,  1,     false, DEV(pic),    pic_slave_read,   pic_slave_write,    "pic"   },
	{0x040,   4,  1,     false, DEV(pit),    pit_read,         pit_write,          "pit"   }, /* 8254, OUT0 on IRQ 0 */
	{0x061,   1,  1,     false, DEV(sysctl), sysctl_61_read,   sysctl_61_write,    "port61"}, /* counter 2 gate and output */
	{0x060,   5,  1,     false, DEV(kbd),    kbd_read,         kbd_write,          "kbd"   }, /* 8042 at 60h and 64h, IRQ 1 */
	{0x070,   2,  1,     false, DEV(rtc),    rtc_read,         rtc_write,          "rtc"   }, /* MC146818, IRQ 8 */
	{0x092,   1,  1,     false, DEV(sysctl), sysctl_92_read,   sysctl_92_write,    "port92"}, /* fast A20 and reset */
	{0x4d0,   2,  1,     false, DEV(pic),    pic_elcr_read,    pic_elcr_write,     "elcr"  },
	{0xcfc,   4,  1|2|4, false, DEV(pci),    pci_data_read,    pci_data_write,     "pci"   },
	{PORT_RESET, 1, 1,   false, DEV(sysctl), sysctl_rcr_read,  sysctl_rcr_write,   "reset" }, /* a byte; hides in CONFADD */
	{0xcf8,   4,  1|2|4, false, DEV(pci),    pci_addr_read,    pci_addr_write,     "pci"   }, /* CONFADD, dwords alone count */
	{PORT_PM, PM_LEN, 1|2|4, false, DEV(pm), pm_read,          pm_write,           "pm"    }, /* ACPI, SCI on IRQ 9 */
	{0x0f4,   4,  1|2|4, true,  DEV(test),   testdev_exit_read, testdev_exit_write, "test" },
	{0x0e0,   4,  1|2|4, true,  DEV(test),   testdev_latch_read, testdev_latch_write, "test"},
	{0x0e4,   4,  1|2|4, true,  DEV(test),   testdev_flush_read, testdev_flush_write, "test"},
	{0x0e8,   4,  1,     true,  DEV(test),   testdev_latch_read, testdev_latch_write, "test"},
	{0x2000,  24, 1,     true,  DEV(test),   testdev_line_read, testdev_line_write, "test"  },
	{0x510,   2,  1|2,   true,  DEV(test),   testdev_fwcfg_read, testdev_fwcfg_write, "test"},
};

static const struct io_range board_mmio[] = {
	{GPA_IOAPIC,     IOAPIC_SIZE,     1|2|4, false, DEV(ioapic), ioapic_read, ioapic_write, "ioapic"},
	{GPA_BOOT_TIMER, BOOT_TIMER_SIZE, 1|2|4, false, 0,           mark_read,   mark_write,   "mark"  },
	{GPA_TEST_MMIO,  TEST_MMIO_SIZE,  1|2|4, true,  DEV(test),   testdev_mmio_read, testdev_mmio_write, "test"},
};
// clang-format on

_Static_assert(ARRAY_SIZE(board_pio) <= BOARD_ROWS, "a count for every row");
_Static_assert(ARRAY_SIZE(board_mmio) <= BOARD_ROWS, "a count for every row");

static void board_lock(struct board *b) ACQUIRE(b->lock) UNCHECKED
{
	pthread_mutex_lock(&b->lock.mutex);
}

static void board_unlock(struct board *b) RELEASE(b->lock) UNCHECKED
{
	pthread_mutex_unlock(&b->lock.mutex);
}

/* Chips whose deadline has passed are ticked: at every access, so that masked edges fold in. */
static void board_sync(struct board *b, uint64_t now) REQUIRES(b->lock)
{
	if (now > b->now)
		b->now = now;
	if (pit_deadline(&b->pit) <= b->now)
		pit_tick(&b->pit, b->now);
	if (rtc_deadline(&b->rtc) <= b->now)
		rtc_tick(&b->rtc, b->now);
	if (pm_deadline(&b->pm) <= b->now)
		pm_tick(&b->pm, b->now);
	if (ioapic_deadline(&b->ioapic) <= b->now)
		ioapic_tick(&b->ioapic, b->now);
	if (uart_deadline(&b->com1) <= b->now)
		uart_tick(&b->com1, b->now);
}

/*
 * When the loop has to come: the nearest deadline whose edge could be delivered now. A timer that
 * nobody listens to, such as a PIT that Linux left running behind a mask, costs no wake-up.
 */
static uint64_t board_next(const struct board *b) REQUIRES(b->lock)
{
	uint64_t next = MIN(uart_deadline(&b->com1), ioapic_deadline(&b->ioapic));

	if (gsi_listens(&b->gsi, 0))
		next = MIN(next, pit_deadline(&b->pit));
	if (gsi_listens(&b->gsi, 8))
		next = MIN(next, rtc_deadline(&b->rtc));
	return MIN(next, pm_deadline(&b->pm)); /* the SCI is a level: it always counts */
}

static void board_arm(struct board *b, uint64_t deadline) REQUIRES(b->lock)
{
	if (deadline >= b->armed)
		return;
	b->armed = deadline;
	b->host->arm(b->host->ctx, deadline);
}

/* After any change: arms the timer if something is due earlier, or now if input has room again. */
static void board_settle(struct board *b) REQUIRES(b->lock)
{
	board_arm(b, board_next(b));
	if (b->rx_hungry && !b->com1.rx_len && uart_rx_room(&b->com1)) {
		b->rx_hungry = false;
		board_arm(b, 0);
	}
}

/* The row that takes [addr, addr + size) whole; NULL if there is none. */
static const struct io_range *range_find(const struct board *b, const struct io_range *t, size_t n,
					 uint64_t addr, unsigned size)
{
	for (const struct io_range *r = t; r < t + n; r++)
		if (addr - r->base < r->len && size <= r->len - (addr - r->base) &&
		    (r->sizes & size) && (!r->test || b->test_device))
			return r;
	return NULL;
}

static void *range_dev(struct board *b, const struct io_range *r)
{
	return (char *)b + r->dev;
}

struct space {
	const struct io_range *table;
	size_t n;
	uint64_t *count, *missed;
};

#define PIO(b) (&(struct space){board_pio, ARRAY_SIZE(board_pio), (b)->pio_count, &(b)->pio_missed})
#define MMIO(b)                                                                                    \
	(&(struct space){board_mmio, ARRAY_SIZE(board_mmio), (b)->mmio_count, &(b)->mmio_missed})

static uint32_t space_read(struct board *b, const struct space *s, uint64_t addr, unsigned size)
	REQUIRES(b->lock)
{
	const struct io_range *r = range_find(b, s->table, s->n, addr, size);
	uint32_t val = 0;

	if (r) {
		s->count[r - s->table]++;
		return r->read(range_dev(b, r), (uint32_t)(addr - r->base), size, b->now);
	}
	if (size == 1) {
		(*s->missed)++;
		return all_ones(1);
	}
	for (unsigned i = 0; i < size; i++)
		val |= space_read(b, s, addr + i, 1) << (8 * i);
	return val;
}

static void space_write(struct board *b, const struct space *s, uint64_t addr, unsigned size,
			uint32_t val) REQUIRES(b->lock)
{
	const struct io_range *r = range_find(b, s->table, s->n, addr, size);

	if (r) {
		s->count[r - s->table]++;
		r->write(range_dev(b, r), (uint32_t)(addr - r->base), size, val, b->now);
		return;
	}
	if (size == 1) {
		(*s->missed)++;
		return;
	}
	for (unsigned i = 0; i < size; i++)
		space_write(b, s, addr + i, 1, (val >> (8 * i)) & 0xff);
}

static void board_trace(struct board *b, const char *op, uint64_t addr, unsigned size, uint64_t val)
	REQUIRES(b->lock)
{
	if (__builtin_expect(b->host->trace != NULL, 0))
		b->host->trace(b->host->ctx, op, addr, size, val, b->now);
}

uint32_t board_pio_read(struct board *b, uint16_t port, unsigned size, uint64_t now)
{
	uint32_t val;

	board_lock(b);
	board_sync(b, now);
	val = space_read(b, PIO(b), port, size);
	board_trace(b, "RD", port, size, val);
	board_settle(b);
	board_unlock(b);
	return val;
}

void board_pio_write(struct board *b, uint16_t port, unsigned size, uint32_t val, uint64_t now)
{
	board_lock(b);
	board_sync(b, now);
	board_trace(b, "WR", port, size, val);
	space_write(b, PIO(b), port, size, val);
	board_settle(b);
	board_unlock(b);
}

/* The widest piece of an access that is a power of two, aligned and at most 4 bytes. */
static unsigned mmio_piece(uint64_t gpa, unsigned left)
{
	unsigned n = left >= 4 ? 4 : left >= 2 ? 2 : 1;

	while (gpa & (n - 1))
		n /= 2;
	return n;
}

uint64_t board_mmio_read(struct board *b, uint64_t gpa, unsigned size, uint64_t now)
{
	uint64_t val = 0;

	board_lock(b);
	board_sync(b, now);
	for (unsigned i = 0, n; i < size; i += n) {
		uint32_t piece;

		n = mmio_piece(gpa + i, size - i);
		piece = space_read(b, MMIO(b), gpa + i, n);
		board_trace(b, "RD", gpa + i, n, piece);
		val |= (uint64_t)piece << (8 * i);
	}
	board_settle(b);
	board_unlock(b);
	return val;
}

void board_mmio_write(struct board *b, uint64_t gpa, unsigned size, uint64_t val, uint64_t now)
{
	board_lock(b);
	board_sync(b, now);
	for (unsigned i = 0, n; i < size; i += n) {
		uint32_t piece;

		n = mmio_piece(gpa + i, size - i);
		piece = (uint32_t)(val >> (8 * i)) & all_ones(n);
		board_trace(b, "WR", gpa + i, n, piece);
		space_write(b, MMIO(b), gpa + i, n, piece);
	}
	board_settle(b);
	board_unlock(b);
}

void board_eoi(struct board *b, uint8_t vector, uint64_t now)
{
	board_lock(b);
	board_sync(b, now);
	ioapic_eoi(&b->ioapic, vector, b->now);
	board_settle(b);
	board_unlock(b);
}

bool board_inta(struct board *b, uint8_t *vector, uint64_t now)
{
	bool raised;

	board_lock(b);
	board_sync(b, now);
	raised = pic_intr(&b->pic);
	if (raised)
		*vector = pic_inta(&b->pic);
	board_settle(b);
	board_unlock(b);
	return raised;
}

void board_tick(struct board *b, uint64_t now)
{
	board_lock(b);
	board_sync(b, now);
	if (b->armed <= b->now)
		b->armed = NEVER; /* it was one shot */
	board_settle(b);
	board_unlock(b);
}

void board_wake(struct board *b)
{
	board_lock(b);
	board_arm(b, 0);
	board_unlock(b);
}

size_t board_rx(struct board *b, const uint8_t *buf, size_t len, uint64_t now)
{
	size_t n;

	board_lock(b);
	board_sync(b, now);
	n = uart_rx(&b->com1, buf, len, b->now);
	b->rx_hungry = n < len;
	board_settle(b);
	board_unlock(b);
	return n;
}

size_t board_tx_peek(struct board *b, const uint8_t **p, bool all, uint64_t now)
{
	size_t n = 0;

	board_lock(b);
	board_sync(b, now);
	if (all || uart_tx_due(&b->com1, b->now))
		n = uart_tx_peek(&b->com1, p);
	board_unlock(b);
	return n;
}

void board_tx_done(struct board *b, size_t n, uint64_t now)
{
	board_lock(b);
	board_sync(b, now);
	uart_tx_done(&b->com1, n, b->now);
	board_settle(b);
	board_unlock(b);
}

bool board_ctrl_alt_del(struct board *b, uint64_t now)
{
	bool taken;

	board_lock(b);
	board_sync(b, now);
	taken = kbd_ctrl_alt_del(&b->kbd);
	board_settle(b);
	board_unlock(b);
	return taken;
}

const char *board_pio_row(const struct board *b, unsigned row, uint64_t *count)
{
	if (row >= ARRAY_SIZE(board_pio))
		return NULL;
	*count = b->pio_count[row];
	return board_pio[row].name;
}

const char *board_mmio_row(const struct board *b, unsigned row, uint64_t *count)
{
	if (row >= ARRAY_SIZE(board_mmio))
		return NULL;
	*count = b->mmio_count[row];
	return board_mmio[row].name;
}

static void intr_set(void *ctx, unsigned n, bool level)
{
	const struct irq_sink *s = ctx;

	s->intr(s->ctx, level);
}

/* Where firmware keeps the memory sizes [SeaBIOS and QEMU use these CMOS bytes]. */
static void cmos_memory(struct rtc *r, const struct board_conf *c)
{
	uint64_t ext_kib = MIN(c->low_ram / KIB - 1024, 0xffff); /* from 1 MiB, 64 MiB at most */
	uint64_t high_64k = c->low_ram > 16 * MIB ? (c->low_ram - 16 * MIB) / (64 * KIB) : 0;
	uint64_t above4g_64k = c->high_ram / (64 * KIB);
	// clang-format off
	const struct {
		uint8_t index;
		uint64_t val;
	} byte[] = {
		{0x15, 640 & 0xff},       {0x16, 640 >> 8},         {0x17, ext_kib},
		{0x18, ext_kib >> 8},     {0x30, ext_kib},          {0x31, ext_kib >> 8},
		{0x34, high_64k},         {0x35, high_64k >> 8},    {0x5b, above4g_64k},
		{0x5c, above4g_64k >> 8}, {0x5d, above4g_64k >> 16}, {0x5f, c->cpus - 1},
	};
	// clang-format on

	for (unsigned i = 0; i < ARRAY_SIZE(byte); i++)
		rtc_set_cmos(r, byte[i].index, (uint8_t)byte[i].val);
}

/*
 * What kvm-unit-tests' real-mode guests expect a BIOS to have left: the 8259s initialised with only
 * IRQ 0 and the cascade unmasked, and counter 0 running at 18.2 Hz.
 */
static void bios_leftovers(struct board *b, uint64_t now)
{
	// clang-format off
	static const struct {
		uint16_t port;
		uint8_t val;
	} out[] = {
		{0x20, 0x11}, {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01}, {0x21, 0xb8}, /* ICW1-4, IMR */
		{0xa0, 0x11}, {0xa1, 0x70}, {0xa1, 0x02}, {0xa1, 0x01}, {0xa1, 0x8f},
		{0x43, 0x34}, {0x40, 0x00}, {0x40, 0x00},                             /* 18.2 Hz */
	};
	// clang-format on

	for (unsigned i = 0; i < ARRAY_SIZE(out); i++)
		board_pio_write(b, out[i].port, 1, out[i].val, now);
}

void board_init(struct board *b, const struct board_conf *c, const struct board_host *host,
		uint64_t now)
{
	const struct power_line power = {.event = host->power, .ctx = host->ctx};
	struct irq_line line[16];

	pthread_mutex_init(&b->lock.mutex, NULL);
	b->host = host;
	b->now = now;
	b->armed = NEVER;
	b->test_device = c->test_device;

	pic_init(&b->pic, (struct irq_line){.set = intr_set, .ctx = (void *)&host->sink});
	ioapic_init(&b->ioapic, (uint8_t)IOAPIC_ID(c->cpus), &host->sink);
	gsi_init(&b->gsi, &b->pic, &b->ioapic); /* GSI n: 8259 n and pin n; GSI 0: pin 2 */
	for (unsigned i = 0; i < ARRAY_SIZE(line); i++)
		line[i] = gsi_line(&b->gsi, i);

	pit_init(&b->pit, gsi_line(&b->gsi, 0));
	kbd_init(&b->kbd, gsi_line(&b->gsi, 1), power);
	uart_init(&b->com1, gsi_line(&b->gsi, 4));
	rtc_init(&b->rtc, gsi_line(&b->gsi, 8), c->utc_ns, now);
	pm_init(&b->pm, gsi_line(&b->gsi, ACPI_SCI_IRQ), power);
	pci_init(&b->pci, line); /* PIRQ A, B to 10 and C, D to 11 */
	sysctl_init(&b->sysctl, &b->pit, power);

	pic_elcr_write(&b->pic, 1, 1, BIT(10 - 8) | BIT(11 - 8), now); /* PCI lines are levels */
	cmos_memory(&b->rtc, c);
	if (c->test_device) {
		struct testdev_config t = {.ram_bytes = c->low_ram + c->high_ram,
					   .cpus = (uint16_t)c->cpus,
					   .store = c->test_mmio,
					   .ctx = host->ctx,
					   .exit = host->quit,
					   .flush_page = host->flush_page};

		for (unsigned i = 0; i < GSI_N; i++)
			t.line[i] = gsi_line(&b->gsi, i);
		testdev_init(&b->test, &t);
		bios_leftovers(b, now);
	}
}
