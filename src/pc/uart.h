/*
 * uart.h - 16550A at 3F8h, IRQ 4. What the guest sends goes to a ring that the loop drains; while
 * the ring is full the transmitter is busy, so a reader that pauses loses nothing. Board lock held
 * by the caller, but for the bytes that uart_tx_peek() returned.
 */
#pragma once
#include "../irq/line.h"

#define UART_FIFO     16u
#define UART_TX_RING  16384u      /* a power of two */
#define UART_FLUSH_NS 1000000u    /* output waits this long for company */
#define UART_STALL_NS (10 * NSEC) /* reader idle this long: drop and count instead of waiting */

struct uart {
	/* guest-visible state */
	uint8_t ier, lcr, mcr, msr, scr, dll, dlm, fcr;
	uint8_t lsr; /* latched errors only; what the FIFOs say is derived */
	uint8_t rx[UART_FIFO];
	uint8_t rx_head, rx_len;
	bool thri;       /* transmitter-empty interrupt pending; implies IER.THRI */
	bool thri_owed;  /* THR was written meanwhile: the line is to pulse at the flush */
	bool intr;       /* what the IRQ line is driven to */
	bool cti;        /* receive time-out interrupt pending */
	uint64_t cti_ns; /* when the receive time-out fires; NEVER if not running */
	/* output ring: [tail, head), free-running, both back to 0 when it empties */
	uint32_t tx_head, tx_tail;
	uint64_t flush_ns; /* when waiting output is due; NEVER if none waits or flush_due */
	bool flush_due;    /* flush_ns passed, the reader has not taken anything since */
	uint64_t stall_ns; /* when a full ring starts to drop; NEVER while it moves */
	bool dropping;
	uint64_t dropped; /* bytes lost to a stopped reader or to an impatient guest */
	struct irq_line irq;
	uint8_t tx[UART_TX_RING];
};

/* Leaves the chip as firmware does: interrupts off, FIFOs off, 115200 baud, 8N1. */
void uart_init(struct uart *u, struct irq_line irq);
/* `off` 0..7, one byte; others read all-ones and ignore writes. [16550D 8.0] */
uint32_t uart_read(void *dev, uint32_t off, unsigned size, uint64_t now);
void uart_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now);
/*
 * Bytes the receiver takes now: 0 while loopback is on, the FIFO is full, or the guest has not
 * raised RTS (drivers clear the FIFO first, so input that comes early is not lost in there). Grows
 * only through guest accesses: RBR read, FCR or MCR write.
 */
size_t uart_rx_room(const struct uart *u);
/* Receives up to `len` bytes; returns how many were taken (never more than the room). */
size_t uart_rx(struct uart *u, const uint8_t *buf, size_t len, uint64_t now);
/*
 * Oldest waiting output, contiguous; 0 if none. Stays valid without the lock until uart_tx_done.
 * Output that wraps takes two rounds of peek and done.
 */
size_t uart_tx_peek(const struct uart *u, const uint8_t **p);
/*
 * The first `n` bytes were written out. 0 changes nothing: the reader has not moved. With bytes
 * left, they are due once more after UART_FLUSH_NS.
 */
void uart_tx_done(struct uart *u, size_t n, uint64_t now);
/* Is output due to be drained at `now`: its wait is over, or the ring is half full. */
bool uart_tx_due(const struct uart *u, uint64_t now);
/*
 * Next of: output due, receive time-out, end of patience with a stopped reader. Output that fills
 * half of the ring is due at once, so the deadline tells the loop of that, too. Once due, output
 * causes no further deadline until uart_tx_done() takes some: a loop whose reader is stopped
 * watches for writability instead.
 */
uint64_t uart_deadline(const void *dev);
/* Does what is due at `now`; the loop asks uart_tx_due() afterwards. */
void uart_tick(void *dev, uint64_t now);
