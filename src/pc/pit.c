/*
 * pit.c - 8254 programmable interval timer [8254, Intel 231164].
 * Modelled: modes 0 to 5, binary and BCD, LSB, MSB and word access, counter latch, read-back,
 * null count, gate of counter 2. A count is loaded by the CLK pulse after its write, so a one-shot
 * of N never ends before N whole ticks.
 * Not modelled: GATE0 and GATE1 (tied high), the low phases of OUT0 on its wire. Counters do not
 * tick: count and output are derived from the tick at which the count was loaded.
 * Board lock held by the caller.
 */
#include "pit.h"

#define PIT_CONTROL 3u /* offset of the control register */

#define PIT_CW_SC   MASK(7, 6) /* counter; 3 = read-back [8254 Control Word Format] */
#define PIT_CW_RW   MASK(5, 4) /* 0 latch, 1 LSB, 2 MSB, 3 LSB then MSB */
#define PIT_CW_MODE MASK(3, 1) /* 6 and 7 are 2 and 3 */
#define PIT_CW_BCD  BIT(0)
#define PIT_CW_KEPT MASK(5, 0)

#define PIT_RB_COUNT_N  BIT(5) /* active low [8254 Read-Back Command] */
#define PIT_RB_STATUS_N BIT(4)
#define PIT_RB_CNT(i)   BIT(1 + (i))

#define PIT_STATUS_OUT  BIT(7) /* [8254 Status Byte] */
#define PIT_STATUS_NULL BIT(6)

#define PIT_MIN_TICKS 239u /* 200.3 us: Linux's KVM does not tick faster for a guest either */

enum { PIT_RW_LATCH, PIT_RW_LSB, PIT_RW_MSB, PIT_RW_WORD };
enum { PIT_TERMINAL, PIT_ONE_SHOT, PIT_RATE, PIT_SQUARE, PIT_SW_STROBE, PIT_HW_STROBE };

/* Pulses of CLK up to `ns`. */
static uint64_t ns_to_ticks(uint64_t ns)
{
	return mul_div(ns, PIT_HZ, NSEC);
}

/* The first nanosecond of tick `t`; NEVER if the clock does not reach it. */
static uint64_t ticks_to_ns(uint64_t t)
{
	uint64_t ns;

	if (t > ns_to_ticks(NEVER - 1))
		return NEVER;
	ns = mul_div(t, NSEC, PIT_HZ);
	return ns_to_ticks(ns) < t ? ns + 1 : ns;
}

static unsigned ch_mode(const struct pit_ch *c)
{
	unsigned mode = GET(PIT_CW_MODE, c->ctrl);

	return mode > PIT_HW_STROBE ? mode & 3 : mode;
}

static bool ch_periodic(const struct pit_ch *c)
{
	return ch_mode(c) == PIT_RATE || ch_mode(c) == PIT_SQUARE;
}

/* Modes that count from a rise of the gate and do not care for its level. */
static bool ch_triggered(const struct pit_ch *c)
{
	return ch_mode(c) == PIT_ONE_SHOT || ch_mode(c) == PIT_HW_STROBE;
}

/* Ticks for which a square wave of `n` is high: odd counts give the high half one more. */
static uint32_t square_high(uint32_t n)
{
	return (n + 1) / 2;
}

/* Ticks since the load. `start` may be a tick ahead, or before tick 0 and so wrapped. */
static uint64_t ch_elapsed(const struct pit_ch *c, uint64_t t)
{
	if (c->paused)
		return c->held;
	return (int64_t)(t - c->start) > 0 ? t - c->start : 0;
}

static uint32_t ch_modulus(const struct pit_ch *c)
{
	return c->ctrl & PIT_CW_BCD ? 10000 : 65536;
}

/* The count that a written value means. A BCD digit above 9 counts what its bits say. */
static uint32_t ch_decode(const struct pit_ch *c, uint16_t v)
{
	uint32_t n = v;

	if (c->ctrl & PIT_CW_BCD)
		n = (v >> 12) * 1000u + (v >> 8 & 15) * 100u + (v >> 4 & 15) * 10u + (v & 15);
	return n ? n : ch_modulus(c);
}

static uint16_t ch_encode(const struct pit_ch *c, uint64_t n)
{
	n %= ch_modulus(c);
	if (c->ctrl & PIT_CW_BCD)
		n = n / 1000 << 12 | n / 100 % 10 << 8 | n / 10 % 10 << 4 | n % 10;
	return (uint16_t)n;
}

/* CE: the one place that turns elapsed time into a count. */
static uint16_t ch_value(const struct pit_ch *c, uint64_t t)
{
	uint64_t e = ch_elapsed(c, t);
	uint32_t n = c->count;

	if (!n) /* undefined until the first load: as if that had happened */
		return ch_encode(c, c->next);
	switch (ch_mode(c)) {
	case PIT_RATE: return ch_encode(c, n - e % n);
	case PIT_SQUARE: /* even part of the count, by twos, in either half [8254 Mode 3] */
		e %= n;
		e -= e < square_high(n) ? 0 : square_high(n);
		return ch_encode(c, n - n % 2 - 2 * e);
	default: /* goes on through zero */
		return ch_encode(c, (uint64_t)n + ch_modulus(c) - e % ch_modulus(c));
	}
}

static bool ch_out(const struct pit_ch *c, uint64_t t)
{
	uint64_t e = ch_elapsed(c, t);
	uint32_t n = c->count;

	if (!n)
		return ch_mode(c) != PIT_TERMINAL;
	switch (ch_mode(c)) {
	case PIT_TERMINAL: return e >= n && !c->next && !c->wr_msb;
	case PIT_ONE_SHOT: return e >= n;
	case PIT_RATE: return c->paused || e % n != n - 1;
	case PIT_SQUARE: return c->paused || e % n < square_high(n);
	default: return c->paused || e != n; /* low for one tick */
	}
}

/* The start that `next` will have: where it is loaded in mid-wave, its high half is behind it. */
static uint64_t ch_next_start(const struct pit_ch *c)
{
	return c->load - (c->load_low ? square_high(c->next) : 0);
}

/* Loads `next` if its tick has come. Comes before every other look at the counter. */
static void ch_sync(struct pit_ch *c, uint64_t t)
{
	if (!c->next || c->load > t)
		return;
	c->start = ch_next_start(c);
	c->count = c->next;
	c->next = 0;
	c->load = NEVER;
	c->load_low = false;
	c->held = 0;
	c->paused = !c->gate && !ch_triggered(c);
}

static void ch_pause(struct pit_ch *c, uint64_t t)
{
	c->held = ch_elapsed(c, t);
	c->paused = true;
}

/* A full count is written. Says when it goes to the counter [8254 Mode Definitions]. */
static void ch_set_count(struct pit_ch *c, uint32_t n, uint64_t t)
{
	uint64_t period, phase;

	c->next = n;
	c->load = t + 1;
	c->load_low = false;
	if (ch_triggered(c) || (ch_periodic(c) && c->count && c->paused)) {
		c->load = NEVER;
	} else if (ch_periodic(c) && c->count) { /* at the end of the period, or half of it */
		phase = ch_elapsed(c, t) % c->count;
		period = c->start + (ch_elapsed(c, t) - phase);
		c->load_low = ch_mode(c) == PIT_SQUARE && phase < square_high(c->count);
		c->load = period + (c->load_low ? square_high(c->count) : c->count);
	}
}

static void ch_write(struct pit_ch *c, uint8_t v, uint64_t t)
{
	switch (GET(PIT_CW_RW, c->ctrl)) {
	case PIT_RW_LSB: ch_set_count(c, ch_decode(c, v), t); return;
	case PIT_RW_MSB: ch_set_count(c, ch_decode(c, (uint16_t)(v << 8)), t); return;
	default: break;
	}
	if (c->wr_msb) {
		c->wr_msb = false;
		ch_set_count(c, ch_decode(c, (uint16_t)(v << 8 | c->wr_lo)), t);
		return;
	}
	c->wr_msb = true;
	c->wr_lo = v;
	if (ch_mode(c) == PIT_TERMINAL) { /* half a count stops it [8254 Mode 0] */
		ch_pause(c, t);
		c->next = 0;
	}
}

/* A latch drops half a read count: what follows is the whole latched value, low byte first. */
static void ch_latch(struct pit_ch *c, uint64_t t)
{
	if (c->latched)
		return; /* the first one holds [8254 Counter Latch Command] */
	c->latch = ch_value(c, t);
	c->latched = true;
	c->rd_msb = false;
}

static void ch_latch_status(struct pit_ch *c, uint64_t t)
{
	if (c->status_latched)
		return;
	c->status = c->ctrl;
	if (ch_out(c, t))
		c->status |= PIT_STATUS_OUT;
	if (c->next || !c->count)
		c->status |= PIT_STATUS_NULL;
	c->status_latched = true;
}

static uint8_t ch_read(struct pit_ch *c, uint64_t t)
{
	unsigned rw = GET(PIT_CW_RW, c->ctrl);
	bool high = rw == PIT_RW_MSB || (rw == PIT_RW_WORD && c->rd_msb);
	uint16_t v = c->latched ? c->latch : ch_value(c, t);

	if (c->status_latched) { /* before a latched count [8254 Read-Back Command] */
		c->status_latched = false;
		return c->status;
	}
	c->rd_msb = rw == PIT_RW_WORD && !c->rd_msb;
	if (!c->rd_msb)
		c->latched = false;
	return (uint8_t)(high ? v >> 8 : v);
}

static void ch_gate(struct pit_ch *c, bool gate, uint64_t t)
{
	if (gate == c->gate)
		return;
	c->gate = gate;
	if (!gate) {
		if (ch_triggered(c))
			return;
		if (!c->paused)
			ch_pause(c, t);
		if (ch_periodic(c) && c->count)
			c->load = NEVER; /* the period that it waits for does not end now */
	} else if (ch_periodic(c) || ch_triggered(c)) {
		c->load = t + 1;
		c->load_low = false;
		if (!c->next) { /* the old count again */
			c->start = t + 1;
			c->paused = false;
		}
	} else if (c->paused && !c->wr_msb) {
		c->start = t - c->held;
		c->paused = false;
	}
}

/* First rise of OUT after tick `t` if the gate stays high; NEVER if none. */
static uint64_t ch_next_rise(const struct pit_ch *c, uint64_t t)
{
	uint64_t first = c->next ? ch_next_start(c) : c->start, least;
	uint32_t n = c->next ? c->next : c->count;

	if (!n || ch_triggered(c) || (ch_mode(c) == PIT_TERMINAL && c->wr_msb))
		return NEVER;
	if (!ch_periodic(c)) {
		first += n + (ch_mode(c) == PIT_SW_STROBE ? 1 : 0); /* the strobe's end */
		return first > t ? first : NEVER;
	}
	/* A load at the end of a period is at a rise itself. */
	first += c->next && c->count && !c->load_low ? 0 : n;
	least = t + (n < PIT_MIN_TICKS ? PIT_MIN_TICKS : 1);
	return first >= least ? first : first + (least - first + n - 1) / n * n;
}

void pit_init(struct pit *p, struct irq_line out0)
{
	*p = (struct pit){.edge_ns = NEVER, .out0 = out0};
	for (unsigned i = 0; i < ARRAY_SIZE(p->ch); i++) {
		p->ch[i].ctrl = PUT(PIT_CW_RW, PIT_RW_WORD);
		p->ch[i].load = NEVER;
		p->ch[i].gate = i != 2;
	}
}

static void pit_control(struct pit *p, uint8_t v, uint64_t t)
{
	unsigned sc = GET(PIT_CW_SC, v);

	if (sc == ARRAY_SIZE(p->ch)) { /* read-back */
		for (unsigned i = 0; i < ARRAY_SIZE(p->ch); i++) {
			ch_sync(&p->ch[i], t);
			if ((v & PIT_RB_CNT(i)) && !(v & PIT_RB_COUNT_N))
				ch_latch(&p->ch[i], t);
			if ((v & PIT_RB_CNT(i)) && !(v & PIT_RB_STATUS_N))
				ch_latch_status(&p->ch[i], t);
		}
	} else if (GET(PIT_CW_RW, v) == PIT_RW_LATCH) {
		ch_sync(&p->ch[sc], t);
		ch_latch(&p->ch[sc], t);
	} else {
		p->ch[sc] = (struct pit_ch){
			.ctrl = v & PIT_CW_KEPT, .gate = p->ch[sc].gate, .load = NEVER};
		if (sc == 0) {
			p->edge_ns = NEVER;
			irq_set(&p->out0, ch_mode(&p->ch[0]) != PIT_TERMINAL);
		}
	}
}

uint32_t pit_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	struct pit *p = dev;
	uint64_t t = ns_to_ticks(now);

	if (off >= PIT_CONTROL)
		return all_ones(size);
	ch_sync(&p->ch[off], t);
	return ch_read(&p->ch[off], t);
}

void pit_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	struct pit *p = dev;
	uint64_t t = ns_to_ticks(now);

	pit_tick(p, now);
	if (off == PIT_CONTROL)
		pit_control(p, (uint8_t)val, t);
	if (off >= PIT_CONTROL)
		return;
	ch_sync(&p->ch[off], t);
	ch_write(&p->ch[off], (uint8_t)val, t);
	if (off != 0)
		return;
	if (ch_mode(&p->ch[0]) == PIT_TERMINAL)
		irq_set(&p->out0, false);
	p->edge_ns = ticks_to_ns(ch_next_rise(&p->ch[0], t));
}

uint64_t pit_deadline(const void *dev)
{
	return ((const struct pit *)dev)->edge_ns;
}

void pit_tick(void *dev, uint64_t now)
{
	struct pit *p = dev;
	uint64_t t;

	if (now < p->edge_ns)
		return;
	t = ns_to_ticks(now);
	ch_sync(&p->ch[0], t);
	irq_set(&p->out0, false);
	irq_set(&p->out0, true);
	p->edge_ns = ticks_to_ns(ch_next_rise(&p->ch[0], t));
}

void pit_gate2(struct pit *p, bool gate, uint64_t now)
{
	uint64_t t = ns_to_ticks(now);

	ch_sync(&p->ch[2], t);
	ch_gate(&p->ch[2], gate, t);
}

bool pit_out2(const struct pit *p, uint64_t now)
{
	struct pit_ch c = p->ch[2];

	ch_sync(&c, ns_to_ticks(now));
	return ch_out(&c, ns_to_ticks(now));
}
