/*
 * invariants.c - what holds between any two calls of the board, computed anew from the chips' state
 * by other ways than theirs.
 */
#include "invariants.h"

#include "fuzz.h"
#include "world.h"

#define RTE_VECTOR MASK(7, 0)
#define RTE_DELMOD MASK(10, 8)
#define RTE_LOGIC  BIT(11)
#define RTE_RIRR   BIT(14)
#define RTE_LEVEL  BIT(15)
#define RTE_MASKED BIT(16)
#define RTE_DEST   MASK(63, 56)

#define RTC_REG_B 0xbu
#define RTC_REG_C 0xcu
#define RTC_FLAGS MASK(6, 4)
#define RTC_IRQF  BIT(7)

static bool wire(const struct board *b, const struct irq_line *l)
{
	return b->gsi.level[l->n / GSI_SOURCES] >> (l->n % GSI_SOURCES) & 1;
}

/*
 * No chip is late, and the timer is set for whatever comes first of what somebody listens to. Only
 * output may be due at once: that of half a ring.
 */
static void check_timer(const struct world *w)
{
	const struct board *b = &w->board;
	uint64_t pit = pit_deadline(&b->pit), rtc = rtc_deadline(&b->rtc);
	uint64_t pm = pm_deadline(&b->pm), ioapic = ioapic_deadline(&b->ioapic);

	CHECK(b->now <= w->now);
	CHECK(pit > b->now && rtc > b->now && pm > b->now && ioapic > b->now);
	CHECK(uart_deadline(&b->com1) >= b->now);
	if (!gsi_listens(&b->gsi, 0))
		pit = NEVER;
	if (!gsi_listens(&b->gsi, 8))
		rtc = NEVER;
	CHECK(b->armed <= MIN(MIN(pit, rtc), MIN(pm, ioapic)));
	CHECK(b->armed <= uart_deadline(&b->com1));
	CHECK(w->armed == b->armed);
}

/* Both controllers see each GSI as the OR of its sources, and each chip drives what its registers
 * say. */
static void check_wires(const struct board *b)
{
	uint8_t c = b->rtc.cmos[RTC_REG_C];

	for (unsigned g = 0; g < GSI_N; g++) {
		bool level = b->gsi.level[g] != 0;

		if (g == 2)
			level |= b->gsi.level[0] != 0;
		if (g != 0)
			CHECK((b->ioapic.line >> g & 1) == level);
		if (g < 16 && g != 2)
			CHECK((b->pic.chip[g / 8].line >> g % 8 & 1) == (b->gsi.level[g] != 0));
	}
	CHECK(wire(b, &b->com1.irq) == b->com1.intr);
	CHECK(wire(b, &b->rtc.irq8) == !!(c & RTC_IRQF));
	CHECK(!!(c & RTC_IRQF) == !!(c & b->rtc.cmos[RTC_REG_B] & RTC_FLAGS));
	CHECK(wire(b, &b->pm.sci) == ((b->pm.pm1_cnt & 1) && ((b->pm.pm1_sts & b->pm.pm1_en) ||
							      (b->pm.gpe_sts & b->pm.gpe_en))));
	for (unsigned n = 0; n < ARRAY_SIZE(b->pci.gsi); n++)
		if (b->pci.gsi[n].set)
			CHECK(wire(b, &b->pci.gsi[n]) == (b->pci.irqs >> n & 1));
}

/* By priority from the top: a request, before any level in service that stops it. */
static bool pic_int(const struct pic *p, unsigned n)
{
	const struct pic_chip *c = &p->chip[n];

	for (unsigned i = 0; i < 8; i++) {
		unsigned ir = (c->lowest + 1 + i) % 8, bit = 1u << ir;
		bool masked = c->imr & bit, busy = (c->isr & bit) && !(c->smm && masked);
		bool asks = (c->irr & bit) && !masked;

		if (c->icw)
			return false;
		if (busy)
			return asks && n == 0 && ir == 2 && (c->icw4 & BIT(4)); /* SFNM */
		if (asks)
			return true;
	}
	return false;
}

static void check_pic(const struct world *w)
{
	const struct pic *p = &w->board.pic;

	for (unsigned n = 0; n < ARRAY_SIZE(p->chip); n++) {
		const struct pic_chip *c = &p->chip[n];

		CHECK(c->lowest < 8 && c->base % 8 == 0 && c->icw <= 4 && c->icw != 1);
		CHECK(!(c->elcr & (n ? 0x21 : 0x07)));
		CHECK((c->irr & c->elcr) == (c->line & c->elcr));
	}
	CHECK(!!(p->chip[0].irr & BIT(2)) == pic_int(p, 1));
	CHECK(p->out == pic_int(p, 0));
	CHECK(w->intr == p->out);
}

static bool rte_level(uint64_t e)
{
	return (e & RTE_LEVEL) && GET(RTE_DELMOD, e) <= 1;
}

/* Does GSI `g` report EOIs of message `e`? */
static bool routed(const struct world *w, unsigned g, uint64_t e)
{
	uint64_t addr = 0xfee00000 | (uint64_t)GET(RTE_DEST, e) << 12 | (e & RTE_LOGIC ? 4 : 0);
	uint64_t data = e & (RTE_VECTOR | RTE_DELMOD | RTE_LEVEL);

	return w->route[g].used && w->route[g].addr == addr && w->route[g].data == data;
}

static void check_pin(const struct world *w, unsigned pin)
{
	const struct ioapic *s = &w->board.ioapic;
	uint64_t e = s->rte[pin];
	bool sends = GET(RTE_VECTOR, e) >= 16;
	unsigned twin = pin + IOAPIC_PINS;

	if (e & RTE_RIRR) {
		CHECK(rte_level(e));
		CHECK(routed(w, pin, s->sent[pin]) || routed(w, twin, s->sent[pin]));
	}
	CHECK(w->route[pin].used == !!s->routed[pin] && w->route[twin].used == !!s->routed[twin]);
	if (s->held >> pin & 1)
		CHECK(s->line >> pin & 1);
	if (!rte_level(e) || (e & RTE_MASKED) || !sends)
		return;
	CHECK(routed(w, pin, e));
	/* An asserted level is with a CPU, unless a message was refused or it is held back. */
	if ((s->line >> pin & 1) && !(s->held >> pin & 1) && !w->msi_lost)
		CHECK(e & RTE_RIRR);
}

static void check_uart(const struct world *w)
{
	const struct board *b = &w->board;
	const struct uart *u = &b->com1;
	uint32_t waiting = u->tx_head - u->tx_tail;

	CHECK(waiting <= UART_TX_RING && waiting == w->sent_head - w->sent_tail);
	CHECK(u->rx_head < UART_FIFO && u->rx_len <= (u->fcr & 1 ? UART_FIFO : 1));
	CHECK(!u->thri || (u->ier & BIT(1)));
	CHECK(!u->thri_owed || u->thri);
	/* Output that waits will be asked for; a full ring does not wait for ever. */
	if (waiting)
		CHECK(u->flush_due || u->flush_ns != NEVER);
	if (UART_TX_RING - waiting < UART_FIFO)
		CHECK(u->dropping || u->stall_ns != NEVER);
	/* Input that did not fit is fetched once there is room. */
	if (w->typed && b->armed)
		CHECK(b->rx_hungry);
	CHECK(!b->rx_hungry || u->rx_len || !uart_rx_room(u));
}

static void check_kbd(const struct kbd *k)
{
	CHECK(k->queue_len <= KBD_QUEUE && k->queue_head < KBD_QUEUE);
}

static void check_pit(const struct board *b)
{
	for (unsigned i = 0; i < ARRAY_SIZE(b->pit.ch); i++) {
		const struct pit_ch *c = &b->pit.ch[i];

		CHECK(c->count <= 65536 && c->next <= 65536);
		CHECK(c->gate || i == 2);
	}
}

void invariants_check(const struct world *w)
{
	check_timer(w);
	check_wires(&w->board);
	check_pic(w);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		check_pin(w, pin);
	check_uart(w);
	check_kbd(&w->board.kbd);
	check_pit(&w->board);
}
