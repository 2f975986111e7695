/* world.c - the board's surroundings for fuzzing: fakes for what a host does, and the steps. */
#include "world.h"

#include <inttypes.h>
#include <string.h>

#include "fuzz.h"
#include "invariants.h"

#define FIRES_MAX 64u     /* of the timer in one step; then the loop is held up */
#define FIRE_NS   100000u /* no chip makes edges closer than 200 us */
#define FIRES_ODD 12u     /* single ones: a first edge, a flush, a time-out, ... */
#define WORK_MAX  30000u
#define TX_PORT   0x3f8u
#define LINE_PORT 0x2000u /* test device */

#define MSI_ADDR         0xfee00000u /* [SDM 3A, Message Address Register Format] */
#define MSI_ADDR_USED    (MASK(19, 12) | BIT(2))
#define MSI_DATA_VECTOR  MASK(7, 0)
#define MSI_DATA_DELMOD  MASK(10, 8)
#define MSI_DATA_TRIGGER BIT(15)
#define MSI_DATA_USED    (MSI_DATA_VECTOR | MSI_DATA_DELMOD | MSI_DATA_TRIGGER)

static void fake_arm(void *ctx, uint64_t deadline)
{
	((struct world *)ctx)->armed = deadline;
}

static void fake_power(void *ctx, enum power_event ev)
{
	CHECK(ev == POWER_OFF || ev == POWER_RESET);
	((struct world *)ctx)->powers++;
}

static void fake_mark(void *ctx, uint8_t val, uint64_t now)
{
	CHECK(now <= ((struct world *)ctx)->now);
}

static void fake_quit(void *ctx, uint8_t status)
{
	CHECK(status & 1);
}

static void fake_flush_page(void *ctx, uint64_t gpa)
{
	CHECK(gpa % 4096 == 0);
}

/* A message that a local APIC understands; what will be ended by EOI has a route that reports it.
 */
static int fake_msi(void *ctx, uint64_t addr, uint32_t data)
{
	struct world *w = ctx;
	unsigned mode = GET(MSI_DATA_DELMOD, data), vector = GET(MSI_DATA_VECTOR, data);
	bool routed = false;

	CHECK((addr & ~MSI_ADDR_USED) == MSI_ADDR && !(data & ~MSI_DATA_USED));
	CHECK(mode != 3 && mode != 6 && mode != 7);
	CHECK(mode > 1 || vector >= 16);
	for (unsigned g = 0; g < IOAPIC_GSIS; g++)
		routed |= w->route[g].used && w->route[g].addr == addr && w->route[g].data == data;
	if ((data & MSI_DATA_TRIGGER) && mode <= 1) {
		CHECK(routed);
		w->last_level = (uint8_t)vector;
	}
	w->msis++;
	w->msi_lost |= w->msi_result <= 0;
	return w->msi_result;
}

static void fake_route(void *ctx, unsigned gsi, uint64_t addr, uint32_t data)
{
	struct world *w = ctx;

	CHECK(gsi < IOAPIC_GSIS);
	CHECK(GET(MSI_DATA_VECTOR, data) >= 16 && (data & MSI_DATA_TRIGGER));
	CHECK(!w->route[gsi].used || w->route[gsi].addr != addr || w->route[gsi].data != data);
	w->route[gsi].used = true;
	w->route[gsi].addr = addr;
	w->route[gsi].data = data;
}

static void fake_unroute(void *ctx, unsigned gsi)
{
	struct world *w = ctx;

	CHECK(gsi < IOAPIC_GSIS && w->route[gsi].used);
	w->route[gsi].used = false;
}

static void fake_intr(void *ctx, bool level)
{
	struct world *w = ctx;

	CHECK(level != w->intr);
	w->intr = level;
}

void world_init(struct world *w, bool test_device, unsigned cpus, uint64_t now)
{
	const struct board_conf conf = {.low_ram = 256 * MIB,
					.cpus = cpus,
					.utc_ns = 951782399ll * (int64_t)NSEC + 900000000,
					.test_device = test_device,
					.test_mmio = w->test_mmio};

	/* Zero as in the monitor, but for the ring's contents, which nothing may depend on. */
	memset(w, 0, offsetof(struct world, board.com1.tx));
	memset((char *)w + offsetof(struct world, board.test_device), 0,
	       offsetof(struct world, sent) - offsetof(struct world, board.test_device));
	w->sent_head = w->sent_tail = w->work = 0;
	if (test_device)
		memset(w->test_mmio, 0, sizeof(w->test_mmio));
	w->now = now;
	w->armed = NEVER;
	w->reader = true;
	w->msi_result = 1;
	w->host = (struct board_host){
		.ctx = w,
		.arm = fake_arm,
		.power = fake_power,
		.mark = fake_mark,
		.quit = fake_quit,
		.flush_page = fake_flush_page,
		.sink = {.ctx = w,
			 .msi = fake_msi,
			 .route = fake_route,
			 .unroute = fake_unroute,
			 .intr = fake_intr}
        };
	board_init(&w->board, &conf, &w->host, now);
	invariants_check(w);
}

/* One byte to THR: it comes out, or is counted as dropped, or was no output at all. */
static void thr_write(struct world *w, uint32_t val, uint64_t now)
{
	const struct uart *u = &w->board.com1;
	bool output = !(u->lcr & BIT(7)) && !(u->mcr & BIT(4));
	uint64_t dropped = u->dropped;

	board_pio_write(&w->board, TX_PORT, 1, val, now);
	if (output && u->dropped == dropped)
		w->sent[w->sent_head++ % UART_TX_RING] = (uint8_t)val;
	CHECK(u->tx_head - u->tx_tail == w->sent_head - w->sent_tail);
}

static uint64_t drain(struct world *w, bool all, uint64_t max)
{
	const uint8_t *p = NULL;
	uint64_t n = board_tx_peek(&w->board, &p, all, w->now);

	CHECK(n <= w->sent_head - w->sent_tail);
	n = MIN(n, max);
	for (uint64_t i = 0; i < n; i++)
		CHECK(p[i] == w->sent[w->sent_tail++ % UART_TX_RING]);
	board_tx_done(&w->board, n, w->now);
	return n;
}

static void input(struct world *w)
{
	static const uint8_t text[256] = "input";
	size_t n, len = MIN(w->typed, sizeof(text));

	if (!len)
		return;
	n = board_rx(&w->board, text, len, w->now);
	CHECK(n <= len && n <= UART_FIFO);
	w->typed -= n;
}

/* One turn of the loop. */
static void loop_turn(struct world *w)
{
	bool all = false;

	board_tick(&w->board, w->now);
	CHECK(w->board.armed > w->board.now);
	if (w->reader)
		while (drain(w, all, UINT64_MAX))
			all = true; /* what came meanwhile goes along */
	input(w);
	invariants_check(w);
}

/* Time passes, and the loop is there when its timer fires: never as often as to be busy. */
static void advance(struct world *w, uint64_t ns)
{
	uint64_t start = w->now, until = start + ns;

	for (unsigned fires = 0; fires < FIRES_MAX && w->armed <= until; fires++) {
		w->now = MAX(w->now, w->armed);
		w->armed = NEVER;
		loop_turn(w);
		CHECK(fires <= FIRES_ODD + (w->now - start) / FIRE_NS);
	}
	w->now = until;
	if (w->armed <= until)
		w->armed = NEVER;
	loop_turn(w);
}

static void set(struct world *w, uint64_t wire, uint64_t val)
{
	static const int results[] = {1, 0, -1};

	if (wire < GSI_N)
		board_pio_write(&w->board, (uint16_t)(LINE_PORT + wire), 1, val != 0, w->now);
	else if (wire == WIRE_READER)
		w->reader = val;
	else if (wire == WIRE_SKEW)
		w->skew = val;
	else if (wire == WIRE_MSI)
		w->msi_result = results[val % ARRAY_SIZE(results)];
	else if (wire >= WIRE_INTX && wire < WIRE_INTX + PCI_SLOTS) {
		pci_intx(&w->board.pci, (unsigned)(wire - WIRE_INTX), val != 0);
		board_pio_read(&w->board, UINT16_MAX, 1, w->now); /* re-arms, as an access would */
	}
}

static uint64_t inta(struct world *w)
{
	const struct pic *p = &w->board.pic;
	bool raised = w->intr;
	uint8_t vector = 0;

	/* Time may raise INTR between, but nothing may withdraw it. */
	if (!board_inta(&w->board, &vector, w->now)) {
		CHECK(!raised);
		return NEVER;
	}
	CHECK((vector & ~7u) == p->chip[0].base || (vector & ~7u) == p->chip[1].base);
	return vector;
}

static uint64_t access_memory(struct world *w, uint64_t addr, uint64_t val, uint64_t now)
{
	uint64_t gpa = addr & MASK(47, 0);
	unsigned size = GET(X5_SIZE, addr) % 8 + 1;

	if (addr & X5_WRITE) {
		board_mmio_write(&w->board, gpa, size, val, now);
		return val;
	}
	val = board_mmio_read(&w->board, gpa, size, now);
	CHECK(!(val & ~MASK(8 * size - 1, 0)));
	return val;
}

static uint64_t access_wide(struct world *w, const struct step *s, uint64_t now)
{
	bool write = s->op <= WR4;
	unsigned size = 1u << (write ? s->op - WR : s->op - RD);
	uint64_t val = s->val;

	if (s->addr > UINT16_MAX)
		return access_memory(w, s->addr | PUT(X5_SIZE, size - 1) | (write ? X5_WRITE : 0),
				     val, now);
	if (write && s->addr == TX_PORT && size == 1) {
		thr_write(w, (uint8_t)val, now);
	} else if (write && s->addr <= TX_PORT && s->addr + size > TX_PORT) {
		/* byte by byte, as the board does where no row takes all of it */
		for (unsigned i = 0; i < size; i++)
			access_wide(w, &(struct step){WR, s->addr + i, val >> (8 * i) & 0xff}, now);
	} else if (write) {
		board_pio_write(&w->board, (uint16_t)s->addr, size, (uint32_t)val, now);
	} else {
		val = board_pio_read(&w->board, (uint16_t)s->addr, size, now);
		CHECK(!(val & ~(uint64_t)all_ones(size)));
	}
	return val;
}

static bool work(struct world *w)
{
	return w->work++ < WORK_MAX;
}

static uint64_t do_step(struct world *w, const struct step *s)
{
	uint64_t now = w->now - MIN(w->skew, w->now), seen = w->board.now, got = s->val;

	switch (s->op) {
	case WR:
	case WR2:
	case WR4:
	case RD:
	case RD2:
	case RD4: got = access_wide(w, s, now); break;
	case TICK:
		if (s->addr)
			w->now += s->val;
		else
			advance(w, s->val);
		break;
	case SET: set(w, s->addr, s->val); break;
	case X0:
		for (uint64_t i = 0; i <= s->addr && work(w); i++)
			board_eoi(&w->board, (uint8_t)s->val, now);
		break;
	case X1: got = inta(w); break;
	case X2:
		w->typed = MIN(w->typed + s->val, 4096u);
		input(w);
		break;
	case X3: got = drain(w, s->addr, s->val); break;
	case X4:
		if (s->addr)
			board_wake(&w->board);
		else
			got = board_ctrl_alt_del(&w->board, now);
		break;
	case X5: got = access_memory(w, s->addr, s->val, now); break;
	case OFF:
		for (uint64_t i = 0; i < s->val && work(w); i++)
			thr_write(w, (uint8_t)i, now);
		break;
	default: break;
	}
	CHECK(w->board.now >= seen); /* whatever an access says, time does not go back */
	invariants_check(w);
	return got;
}

bool world_print;

static void print_step(const struct step *s)
{
	static const char *const name[] = {
		[WR] = "WR",   [WR2] = "WR2",   [WR4] = "WR4", [RD] = "RD",   [RD2] = "RD2",
		[RD4] = "RD4", [TICK] = "TICK", [SET] = "SET", [OFF] = "OFF", [X0] = "X0",
		[X1] = "X1",   [X2] = "X2",     [X3] = "X3",   [X4] = "X4",   [X5] = "X5",
	};

	printf("\t{%s, %#" PRIx64 ", %#" PRIx64 "},\n", name[s->op], s->addr, s->val);
}

uint64_t world_step(struct world *w, const struct step *s)
{
	uint64_t got;

	if (world_print) { /* before, in case that it does not come back */
		print_step(s);
		fflush(stdout);
	}
	got = do_step(w, s);
	if (world_print && got != s->val)
		printf("\t/* gave %#" PRIx64 " */\n", got);
	return got;
}
