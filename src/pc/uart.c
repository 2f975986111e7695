/*
 * uart.c - 16550A universal asynchronous receiver/transmitter [16550D].
 * Modelled: all registers, both FIFOs' view of the guest, receive trigger and time-out, interrupt
 * priorities, loopback with overrun, modem lines (CTS, DSR and DCD are on outside of loopback).
 * Not modelled: the bit rate of output (a byte is sent at once), word length, parity, break (it
 * acts on SOUT alone), DMA modes, and OUT2 as the gate of the interrupt: PCs have it, but images
 * raised on other monitors never set it, and guests that do set it do not miss the gate.
 * Board lock held by the caller.
 */
#include "uart.h"

#include <string.h>

enum { UART_RBR, UART_IER, UART_IIR, UART_LCR, UART_MCR, UART_LSR, UART_MSR, UART_SCR };
#define UART_THR UART_RBR /* write */
#define UART_FCR UART_IIR /* write */
#define UART_DLL UART_RBR /* LCR.DLAB */
#define UART_DLM UART_IER /* LCR.DLAB */

/* Interrupt enable [16550D 8.7]. */
#define UART_IER_RDI  BIT(0) /* received data */
#define UART_IER_THRI BIT(1) /* transmitter holding register empty */
#define UART_IER_RLSI BIT(2) /* receiver line status */
#define UART_IER_MSI  BIT(3) /* modem status */
#define UART_IER_RW   MASK(3, 0)

/* Interrupt identification, highest priority first [16550D Table IV]. */
#define UART_IIR_RLSI 0x06u
#define UART_IIR_RDI  0x04u
#define UART_IIR_CTI  0x0cu /* character time-out: as RDI, below the trigger level */
#define UART_IIR_THRI 0x02u
#define UART_IIR_MSI  0x00u
#define UART_IIR_NONE 0x01u
#define UART_IIR_FIFO MASK(7, 6) /* FIFOs are on */

/* FIFO control [16550D 8.5]. */
#define UART_FCR_ENABLE  BIT(0)
#define UART_FCR_CLEAR_R BIT(1) /* self-clearing */
#define UART_FCR_TRIGGER MASK(7, 6)
#define UART_FCR_RW      (UART_FCR_TRIGGER | UART_FCR_ENABLE)

/* Line control [16550D 8.1]. */
#define UART_LCR_WLS  MASK(1, 0) /* word length - 5 */
#define UART_LCR_STB  BIT(2)     /* two stop bits */
#define UART_LCR_PEN  BIT(3)     /* parity */
#define UART_LCR_DLAB BIT(7)     /* divisor latch access */
#define UART_LCR_8N1  0x03u

/* Modem control [16550D 8.8]. */
#define UART_MCR_DTR  BIT(0)
#define UART_MCR_RTS  BIT(1)
#define UART_MCR_OUT1 BIT(2)
#define UART_MCR_OUT2 BIT(3)
#define UART_MCR_LOOP BIT(4)
#define UART_MCR_RW   MASK(4, 0)

/* Line status [16550D 8.4]. */
#define UART_LSR_DR   BIT(0) /* data ready */
#define UART_LSR_OE   BIT(1) /* overrun; cleared by reading LSR */
#define UART_LSR_THRE BIT(5) /* transmitter holding register empty */
#define UART_LSR_TEMT BIT(6) /* transmitter empty */

/* Modem status: lines in the upper half, each with its delta four below [16550D 8.9]. */
#define UART_MSR_CTS   BIT(4)
#define UART_MSR_DSR   BIT(5)
#define UART_MSR_RI    BIT(6) /* its delta, TERI, marks the trailing edge alone */
#define UART_MSR_DCD   BIT(7)
#define UART_MSR_LINES MASK(7, 4)
#define UART_MSR_DELTA MASK(3, 0) /* cleared by reading MSR */
#define UART_MSR_SHIFT 4

#define UART_BAUD_BASE  115200u   /* 1.8432 MHz / 16 */
#define UART_CTI_CHARS  4u        /* [16550D 8.5, FIFO interrupt mode] */
#define UART_CTI_MIN_NS 200000u   /* no guest makes a faster timer */
#define UART_CTI_MAX_NS 40000000u /* nor typing at an odd rate feel dead */
#define UART_TX_HALF    (UART_TX_RING / 2)

static bool fifo_on(const struct uart *u)
{
	return u->fcr & UART_FCR_ENABLE;
}

static bool loop_on(const struct uart *u)
{
	return u->mcr & UART_MCR_LOOP;
}

/* Bytes at which received data interrupts. */
static unsigned rx_trigger(const struct uart *u)
{
	static const uint8_t level[] = {1, 4, 8, 14};

	return fifo_on(u) ? level[GET(UART_FCR_TRIGGER, u->fcr)] : 1;
}

static unsigned rx_depth(const struct uart *u)
{
	return fifo_on(u) ? UART_FIFO : 1;
}

static uint32_t tx_len(const struct uart *u)
{
	return u->tx_head - u->tx_tail;
}

/*
 * Holding register and transmitter are empty. A guest that sees THRE sends a FIFO full without
 * looking again, so there must be room for all of it; what comes while THRE is 0 is still taken
 * as long as it fits.
 */
static bool tx_ready(const struct uart *u)
{
	return loop_on(u) || u->dropping || UART_TX_RING - tx_len(u) >= UART_FIFO;
}

static unsigned intr_id(const struct uart *u)
{
	if ((u->ier & UART_IER_RLSI) && u->lsr)
		return UART_IIR_RLSI;
	if ((u->ier & UART_IER_RDI) && u->rx_len >= rx_trigger(u))
		return UART_IIR_RDI;
	if ((u->ier & UART_IER_RDI) && u->cti)
		return UART_IIR_CTI;
	if (u->thri)
		return UART_IIR_THRI;
	if ((u->ier & UART_IER_MSI) && (u->msr & UART_MSR_DELTA))
		return UART_IIR_MSI;
	return UART_IIR_NONE;
}

static void uart_update(struct uart *u)
{
	bool intr = intr_id(u) != UART_IIR_NONE;

	if (intr == u->intr)
		return;
	u->intr = intr;
	irq_set(&u->irq, intr);
}

static void thri_clear(struct uart *u)
{
	u->thri = false;
	u->thri_owed = false;
}

/*
 * A pending interrupt ends and comes anew with the caller's uart_update(): an edge, unless another
 * cause holds the line.
 */
static void thri_raise(struct uart *u)
{
	thri_clear(u);
	uart_update(u);
	u->thri = true;
}

/* After what may have changed THRE, which was `was`. */
static void thre_moved(struct uart *u, bool was)
{
	bool ready = tx_ready(u);

	if (!ready)
		thri_clear(u);
	else if (!was && (u->ier & UART_IER_THRI))
		u->thri = true;
}

/*
 * THR was written and, output being instant, is empty again: the interrupt ends and comes anew.
 * A driver with a FIFO writes up to 16 bytes before it looks at IIR; sparing it 15 of the edges
 * saves as many messages to its LAPIC. One that never reads IIR gets its edge at the flush.
 */
static void thr_sent(struct uart *u)
{
	if (!(u->ier & UART_IER_THRI))
		return;
	if (u->thri && fifo_on(u) && u->flush_ns != NEVER)
		u->thri_owed = true;
	else
		thri_raise(u);
}

static void thri_settle(struct uart *u)
{
	if (u->thri_owed)
		thri_raise(u);
}

/* UART_CTI_CHARS characters of start, data, parity and stop bits, within reason. */
static uint64_t cti_time(const struct uart *u)
{
	uint64_t bits = 1 + 5 + GET(UART_LCR_WLS, u->lcr) + GET(UART_LCR_PEN, u->lcr) + 1 +
			GET(UART_LCR_STB, u->lcr);
	uint64_t div = (uint64_t)u->dlm << 8 | u->dll;
	uint64_t ns = mul_div(UART_CTI_CHARS * bits * div, NSEC, UART_BAUD_BASE);

	return MIN(MAX(ns, UART_CTI_MIN_NS), UART_CTI_MAX_NS);
}

/* Each received or read byte restarts the time-out; at the trigger level RDI makes it needless. */
static void rx_timer(struct uart *u, uint64_t now)
{
	bool wait = fifo_on(u) && u->rx_len && u->rx_len < rx_trigger(u);

	u->cti = false;
	u->cti_ns = wait ? now + cti_time(u) : NEVER;
}

static void rx_push(struct uart *u, uint8_t byte)
{
	if (u->rx_len < rx_depth(u)) {
		u->rx[(u->rx_head + u->rx_len++) % UART_FIFO] = byte;
		return;
	}
	/* The FIFO keeps what it has; the single register of the 16450 does not. [16550D 8.4] */
	if (!fifo_on(u))
		u->rx[u->rx_head] = byte;
	u->lsr |= (uint8_t)UART_LSR_OE;
}

static uint8_t rx_pop(struct uart *u, uint64_t now)
{
	uint8_t byte = 0;

	if (u->rx_len) {
		byte = u->rx[u->rx_head];
		u->rx_head = (uint8_t)((u->rx_head + 1) % UART_FIFO);
		u->rx_len--;
		rx_timer(u, now);
	}
	return byte;
}

static bool tx_push(struct uart *u, uint8_t byte, uint64_t now)
{
	uint32_t len = tx_len(u) + 1;

	if (len > UART_TX_RING)
		return false;
	u->tx[u->tx_head++ % UART_TX_RING] = byte;
	if (len == 1)
		u->flush_ns = now + UART_FLUSH_NS;
	else if (len == UART_TX_HALF && !u->flush_due)
		u->flush_ns = MIN(u->flush_ns, now);
	if (!tx_ready(u) && u->stall_ns == NEVER)
		u->stall_ns = now + UART_STALL_NS;
	return true;
}

static void thr_write(struct uart *u, uint8_t val, uint64_t now)
{
	bool ready = tx_ready(u);

	if (loop_on(u)) {
		rx_push(u, val);
		rx_timer(u, now);
	} else if (!tx_push(u, val, now)) {
		u->dropped++;
	}
	thre_moved(u, ready);
	if (tx_ready(u))
		thr_sent(u);
}

static void ier_write(struct uart *u, uint8_t val)
{
	bool was = u->ier & UART_IER_THRI;

	u->ier = val & UART_IER_RW;
	if (!(u->ier & UART_IER_THRI))
		thri_clear(u);
	else if (!was && tx_ready(u))
		u->thri = true; /* at once and each time: Linux tests it twice in a row */
}

/* The transmit FIFO has always left for the ring, which a guest cannot take back. */
static void fcr_write(struct uart *u, uint8_t val, uint64_t now)
{
	bool toggled = (val ^ u->fcr) & UART_FCR_ENABLE;

	if (toggled || ((val & UART_FCR_ENABLE) && (val & UART_FCR_CLEAR_R)))
		u->rx_len = 0;
	u->fcr = val & UART_FCR_ENABLE ? val & UART_FCR_RW : 0;
	rx_timer(u, now);
}

/* Loopback connects the outputs of MCR to the inputs of MSR [16550D 8.8]. */
static uint8_t msr_lines(const struct uart *u)
{
	if (!loop_on(u))
		return UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD;
	return (uint8_t)(PUT(UART_MSR_CTS, GET(UART_MCR_RTS, u->mcr)) |
			 PUT(UART_MSR_DSR, GET(UART_MCR_DTR, u->mcr)) |
			 PUT(UART_MSR_RI, GET(UART_MCR_OUT1, u->mcr)) |
			 PUT(UART_MSR_DCD, GET(UART_MCR_OUT2, u->mcr)));
}

static void mcr_write(struct uart *u, uint8_t val)
{
	bool ready = tx_ready(u);
	unsigned lines, changed;

	u->mcr = val & UART_MCR_RW;
	lines = msr_lines(u);
	changed = (lines ^ u->msr) & UART_MSR_LINES;
	if (lines & UART_MSR_RI)
		CLEAR(changed, UART_MSR_RI);
	u->msr = (uint8_t)(lines | (u->msr & UART_MSR_DELTA) | changed >> UART_MSR_SHIFT);
	thre_moved(u, ready);
}

static uint8_t iir_read(struct uart *u)
{
	unsigned id = intr_id(u);

	if (id == UART_IIR_THRI)
		thri_clear(u); /* by this report alone [16550D Table IV] */
	return (uint8_t)(id | (fifo_on(u) ? UART_IIR_FIFO : 0));
}

static uint8_t lsr_read(struct uart *u)
{
	unsigned v = u->lsr;

	u->lsr = 0;
	if (u->rx_len)
		v |= UART_LSR_DR;
	if (tx_ready(u))
		v |= UART_LSR_THRE | UART_LSR_TEMT;
	return (uint8_t)v;
}

static uint8_t msr_read(struct uart *u)
{
	uint8_t v = u->msr;

	CLEAR(u->msr, UART_MSR_DELTA);
	return v;
}

/* Time-outs that an access may see; the flush is left to the loop, which it is to wake. */
static void uart_expire(struct uart *u, uint64_t now)
{
	bool ready = tx_ready(u);

	if (now >= u->cti_ns) {
		u->cti = true;
		u->cti_ns = NEVER;
	}
	if (now >= u->stall_ns) {
		u->dropping = true;
		u->stall_ns = NEVER;
		thre_moved(u, ready);
	}
}

void uart_init(struct uart *u, struct irq_line irq)
{
	/* The ring is left alone: each of its pages costs memory once it is touched. */
	memset(u, 0, offsetof(struct uart, tx));
	u->irq = irq;
	u->lcr = UART_LCR_8N1;
	u->dll = 1;
	u->msr = msr_lines(u);
	u->cti_ns = u->flush_ns = u->stall_ns = NEVER;
}

uint32_t uart_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	struct uart *u = dev;
	bool dlab = u->lcr & UART_LCR_DLAB;
	uint32_t v = all_ones(size);

	uart_expire(u, now);
	switch (off) {
	case UART_RBR: v = dlab ? u->dll : rx_pop(u, now); break;
	case UART_IER: v = dlab ? u->dlm : u->ier; break;
	case UART_IIR: v = iir_read(u); break;
	case UART_LCR: v = u->lcr; break;
	case UART_MCR: v = u->mcr; break;
	case UART_LSR: v = lsr_read(u); break;
	case UART_MSR: v = msr_read(u); break;
	case UART_SCR: v = u->scr; break;
	default: break;
	}
	uart_update(u);
	return v;
}

void uart_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	struct uart *u = dev;
	bool dlab = u->lcr & UART_LCR_DLAB;
	uint8_t v = (uint8_t)val;

	uart_expire(u, now);
	switch (off) {
	case UART_THR:
		if (dlab)
			u->dll = v;
		else
			thr_write(u, v, now);
		break;
	case UART_IER:
		if (dlab)
			u->dlm = v;
		else
			ier_write(u, v);
		break;
	case UART_FCR: fcr_write(u, v, now); break;
	case UART_LCR: u->lcr = v; break;
	case UART_MCR: mcr_write(u, v); break;
	case UART_SCR: u->scr = v; break;
	default: break; /* LSR and MSR are read-only; writing them is a factory test */
	}
	uart_update(u);
}

size_t uart_rx_room(const struct uart *u)
{
	if (loop_on(u) || !(u->mcr & UART_MCR_RTS))
		return 0;
	return rx_depth(u) - u->rx_len;
}

size_t uart_rx(struct uart *u, const uint8_t *buf, size_t len, uint64_t now)
{
	size_t n = MIN(len, uart_rx_room(u));

	for (size_t i = 0; i < n; i++)
		rx_push(u, buf[i]);
	if (n) {
		rx_timer(u, now);
		uart_update(u);
	}
	return n;
}

size_t uart_tx_peek(const struct uart *u, const uint8_t **p)
{
	uint32_t at = u->tx_tail % UART_TX_RING;

	*p = u->tx + at;
	return MIN(tx_len(u), UART_TX_RING - at);
}

void uart_tx_done(struct uart *u, size_t n, uint64_t now)
{
	bool ready = tx_ready(u);

	n = MIN(n, tx_len(u));
	if (!n)
		return;
	u->tx_tail += (uint32_t)n;
	u->dropping = false;
	u->flush_due = false;
	u->flush_ns = now + UART_FLUSH_NS;
	if (!tx_len(u)) {
		u->tx_head = u->tx_tail = 0; /* little output touches few pages of the ring */
		u->flush_ns = NEVER;
	}
	u->stall_ns = UART_TX_RING - tx_len(u) >= UART_FIFO ? NEVER : now + UART_STALL_NS;
	thre_moved(u, ready);
	thri_settle(u);
	uart_update(u);
}

bool uart_tx_due(const struct uart *u, uint64_t now)
{
	return u->flush_due || now >= u->flush_ns || tx_len(u) >= UART_TX_HALF;
}

uint64_t uart_deadline(const void *dev)
{
	const struct uart *u = dev;
	uint64_t cti_ns = u->ier & UART_IER_RDI ? u->cti_ns : NEVER;

	return MIN(cti_ns, MIN(u->flush_ns, u->stall_ns));
}

void uart_tick(void *dev, uint64_t now)
{
	struct uart *u = dev;

	uart_expire(u, now);
	if (now >= u->flush_ns) {
		u->flush_ns = NEVER;
		u->flush_due = true;
		thri_settle(u);
	}
	uart_update(u);
}
