/*
 * board.c - the machine in one place: the port map, the memory map of the devices, the wiring. The
 * only file that includes every chip.
 */
#include "board.h"

#include "board_lock.h"
#include "firmware.h"

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

#define PORT_PCI_DATA 0xcfcu /* CONFDATA */

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
	{PORT_PCI_DATA, 4, 1|2|4, false, DEV(pci), pci_data_read,  pci_data_write,     "pci"   },
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

/*
 * Accesses to virtio devices: they have locks of their own, which come before this one, and a write
 * may wait for the end of a reset. So the board lock is dropped meanwhile.
 */
static uint32_t device_read(struct board *b, const struct vbus_hit *hit, unsigned size)
	REQUIRES(b->lock)
{
	uint32_t val;

	vbus_count(hit);
	board_settle(b);
	board_unlock(b);
	val = vbus_read(hit, size);
	board_lock(b);
	return val;
}

static void device_write(struct board *b, const struct vbus_hit *hit, unsigned size, uint32_t val)
	REQUIRES(b->lock)
{
	vbus_count(hit);
	board_settle(b);
	board_unlock(b);
	vbus_write(hit, size, val);
	board_lock(b);
}

/* The virtio device at `gpa`. RAM and the chips' places hide it. */
static bool device_find(const struct board *b, uint64_t gpa, struct vbus_hit *hit) REQUIRES(b->lock)
{
	return gpa >= b->low_ram && !range_find(b, board_mmio, ARRAY_SIZE(board_mmio), gpa, 1) &&
	       vbus_find(&b->vbus, gpa, hit);
}

/* Does an access to `port` touch CONFDATA? */
static bool is_confdata(uint16_t port, unsigned size)
{
	return port < PORT_PCI_DATA + 4 && port + size > PORT_PCI_DATA;
}

/* The function whose PCI_CFG window CONFADD names. */
static struct vpci *window_find(struct board *b, struct vbus_hit *hit, unsigned *size)
	REQUIRES(b->lock)
{
	unsigned reg;
	const struct pci_fn *fn = pci_selected(&b->pci, &reg);

	return fn ? vbus_window(&b->vbus, fn, reg, hit, size) : NULL;
}

/* Before CONFDATA is read: a window's register gets what it looks at. */
static void confdata_refresh(struct board *b) REQUIRES(b->lock)
{
	struct vbus_hit hit;
	unsigned size;
	struct vpci *v = window_find(b, &hit, &size);

	if (v)
		vpci_window_put(v, size, device_read(b, &hit, size));
}

/* After CONFDATA was written: what a window's register holds goes out; BARs may have moved. */
static void confdata_written(struct board *b) REQUIRES(b->lock)
{
	struct vbus_hit hit;
	unsigned size;
	const struct vpci *v = window_find(b, &hit, &size);

	if (v)
		device_write(b, &hit, size, vpci_window_get(v, size));
	if (!vbus_moved(&b->vbus))
		return;
	board_unlock(b);
	vbus_settle(&b->vbus);
	board_lock(b);
}

uint32_t board_pio_read(struct board *b, uint16_t port, unsigned size, uint64_t now)
{
	uint32_t val;

	board_lock(b);
	board_sync(b, now);
	if (is_confdata(port, size))
		confdata_refresh(b);
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
	if (is_confdata(port, size))
		confdata_written(b);
	board_settle(b);
	board_unlock(b);
}

#define MMIO_MAX 8u /* bytes an access: as many as a value holds */

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
	struct vbus_hit hit;
	uint64_t val = 0;

	size = MIN(size, MMIO_MAX);
	board_lock(b);
	board_sync(b, now);
	for (unsigned i = 0, n; i < size; i += n) {
		uint32_t piece;

		n = mmio_piece(gpa + i, size - i);
		if (device_find(b, gpa + i, &hit))
			piece = device_read(b, &hit, n);
		else
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
	struct vbus_hit hit;

	size = MIN(size, MMIO_MAX);
	board_lock(b);
	board_sync(b, now);
	for (unsigned i = 0, n; i < size; i += n) {
		uint32_t piece;

		n = mmio_piece(gpa + i, size - i);
		piece = (uint32_t)(val >> (8 * i)) & all_ones(n);
		board_trace(b, "WR", gpa + i, n, piece);
		if (device_find(b, gpa + i, &hit))
			device_write(b, &hit, n, piece);
		else
			space_write(b, MMIO(b), gpa + i, n, piece);
	}
	board_settle(b);
	board_unlock(b);
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
		return vbus_row(&b->vbus, row - (unsigned)ARRAY_SIZE(board_mmio), count);
	*count = b->mmio_count[row];
	return board_mmio[row].name;
}

/* --- what the virtio transports need of the board --- */

static void transport_lock(void *ctx) UNCHECKED
{
	board_lock(ctx);
}

static void transport_unlock(void *ctx) UNCHECKED
{
	board_settle(ctx);
	board_unlock(ctx);
}

static bool transport_reaches(void *ctx, const struct vpci *v, uint64_t gpa) UNCHECKED
{
	struct vbus_hit hit;

	return device_find(ctx, gpa, &hit) && hit.pci == v;
}

void board_pulse(struct board *b, unsigned gsi)
{
	board_lock(b);
	irq_set(&b->pulse[gsi], true);
	irq_set(&b->pulse[gsi], false);
	board_settle(b);
	board_unlock(b);
}

static void transport_pulse(void *ctx, unsigned gsi)
{
	board_pulse(ctx, gsi);
}

void board_add_pci(struct board *b, unsigned slot, struct vpci *v, struct virtio_dev *dev)
{
	vpci_init(v, dev, &b->transport, slot, GPA_PCI_WINDOW + slot * (uint64_t)VPCI_BAR_SIZE);
	board_lock(b);
	pci_add(&b->pci, slot, &v->fn);
	vbus_add_pci(&b->vbus, v);
	board_unlock(b);
	vpci_settle(v);
}

void board_add_mmio(struct board *b, unsigned n, struct vmmio *m, struct virtio_dev *dev)
{
	unsigned gsi = vbus_gsi(n);

	vmmio_init(m, dev, vbus_gpa(n), gsi, transport_pulse, b);
	board_lock(b);
	vbus_add_mmio(&b->vbus, n, m);
	if (!b->pulse[gsi].set) /* a pulse is over at once, so windows share the wire */
		b->pulse[gsi] = gsi_line(&b->gsi, gsi);
	board_unlock(b);
}

static void intr_set(void *ctx, unsigned n, bool level)
{
	const struct irq_sink *s = ctx;

	s->intr(s->ctx, level);
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
	b->low_ram = c->low_ram;
	b->transport = (struct vpci_board){.ctx = b,
					   .sink = &host->sink,
					   .lock = transport_lock,
					   .unlock = transport_unlock,
					   .reaches = transport_reaches,
					   .pci = &b->pci};

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
	firmware_cmos(&b->rtc, c);
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
		firmware_leftovers(b, now);
	}
}
