/* uart_test.c - the 16550A as its data sheet and the drivers of Linux and FreeBSD expect it. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../../src/pc/uart.h"
#include "../../lib/steps.h"

enum { RBR = 0x3f8, IER, IIR, LCR, MCR, LSR, MSR, SCR };
enum { THR = RBR, FCR = IIR, DLL = RBR, DLM = IER };
enum { DR = 0x01, OE = 0x02, EMPTY = 0x60 }; /* LSR; EMPTY is THRE and TEMT */
#define RX    X0 /* the host sends byte addr; val is how many were taken */
#define DRAIN X1 /* the reader takes addr bytes; val is how many are left */
#define SEND  X2 /* the guest writes addr bytes to THR; val is how many were dropped so far */
#define DUE   X3 /* is output due */
#define ROOM  X4 /* room of the receiver */
#define OUT   X5 /* the reader takes one byte; NONE if there is none */
#define NONE  0x100

#define CHARS4 347222 /* ns of 4 characters of 10 bits at 115200 baud */
#define FLUSH  1000000
#define STALL  10000000000

static uint64_t uart_op(struct rig *r, const struct step *s)
{
	struct uart *u = r->dev;
	const uint8_t *p;
	uint8_t byte = (uint8_t)s->addr;

	switch (s->op) {
	case RX: return uart_rx(u, &byte, 1, r->now);
	case DRAIN: uart_tx_done(u, s->addr, r->now); return u->tx_head - u->tx_tail;
	case SEND:
		for (uint64_t i = 0; i < s->addr; i++)
			uart_write(u, 0, 1, (uint32_t)('a' + i % 26), r->now);
		return u->dropped;
	case DUE: return uart_tx_due(u, r->now);
	case ROOM: return uart_rx_room(u);
	default:
		if (!uart_tx_peek(u, &p))
			return NONE;
		byte = *p;
		uart_tx_done(u, 1, r->now);
		return byte;
	}
}

static struct uart uart;

static struct rig *rig(void)
{
	static struct rig r;

	r = (struct rig){.dev = &uart,
			 .base = 0x3f8,
			 .read = uart_read,
			 .write = uart_write,
			 .deadline = uart_deadline,
			 .tick = uart_tick,
			 .op = uart_op};
	memset(&uart, 0xa5, sizeof uart);
	uart_init(&uart, rig_line(&r, 0));
	uart.mcr = 0x02; /* RTS, as an open port has it */
	return &r;
}

#define TEST(name, ...)                                                                            \
	static void name(void **state)                                                             \
	{                                                                                          \
		static const struct step name[] = {__VA_ARGS__};                                   \
		(void)state;                                                                       \
		RUN(rig(), name);                                                                  \
	}

// clang-format off

/* Registers */

TEST(starts_as_firmware_leaves_it,
	{RD, IER, 0x00}, {RD, IIR, 0x01}, {RD, LCR, 0x03}, {RD, LSR, EMPTY},
	{RD, MSR, 0xb0}, {RD, RBR, 0x00}, {LINE, 0, 0}, {ARMED, 0, NEVER}, {DUE, 0, 0},
	{OUT, 0, NONE},
	{WR, LCR, 0x83}, {RD, DLL, 0x01}, {RD, DLM, 0x00})

TEST(scratch_register_keeps_any_value,
	{WR, SCR, 0x55}, {RD, SCR, 0x55}, {WR, SCR, 0xaa}, {RD, SCR, 0xaa})

TEST(ier_has_four_bits, /* Linux autoconfig; bit 6 sticks on an XScale UART */
	{WR, IER, 0x00}, {RD, IER, 0x00}, {WR, IER, 0x0f}, {RD, IER, 0x0f},
	{WR, IER, 0xf0}, {RD, IER, 0x00}, {WR, IER, 0x40}, {RD, IER, 0x00})

TEST(mcr_has_five_bits, {WR, MCR, 0xff}, {RD, MCR, 0x1f}, {WR, MCR, 0xe0}, {RD, MCR, 0x00})

TEST(loopback_shows_rts_and_out2_in_msr, /* Linux: (MSR & 0xf0) == 0x90; DSR fell on the way */
	{WR, MCR, 0x1a}, {RD, MSR, 0x92}, {RD, MSR, 0x90})

TEST(iir_shows_that_fifos_are_on,
	{WR, FCR, 0x01}, {RD, IIR, 0xc1}, {WR, FCR, 0x00}, {RD, IIR, 0x01})

TEST(iir_bit_5_stays_clear, /* no 64-byte FIFO of a 16750, with DLAB or without */
	{WR, FCR, 0x21}, {RD, IIR, 0xc1}, {WR, LCR, 0x83}, {WR, FCR, 0x21}, {RD, IIR, 0xc1})

TEST(fcr_bits_need_the_enable_bit,
	{RX, 'x', 1}, {WR, FCR, 0xc2}, {RD, LSR, DR | EMPTY}, {RD, IIR, 0x01}, {RD, RBR, 'x'})

TEST(dlab_shows_the_divisor,
	{WR, LCR, 0x83}, {WR, DLL, 0x34}, {WR, DLM, 0x12}, {RD, DLL, 0x34}, {RD, DLM, 0x12},
	{WR, LCR, 0x03}, {RD, IER, 0x00}, {OUT, 0, NONE}, {RD, RBR, 0x00},
	{WR, LCR, 0x83}, {RD, DLL, 0x34}, {RD, DLM, 0x12})

TEST(lcr_values_of_other_chips_are_plain, /* EFR of a 16650, bank select of a NatSemi */
	{WR, LCR, 0xbf}, {RD, LCR, 0xbf}, {RD, IIR, 0x01}, {WR, LCR, 0xe0}, {RD, LCR, 0xe0},
	{RD, MCR, 0x02}, {WR, LCR, 0x03}, {RD, LCR, 0x03}, {RD, IER, 0x00}, {RD, LSR, EMPTY})

TEST(status_registers_ignore_writes,
	{WR, LSR, 0xff}, {RD, LSR, EMPTY}, {WR, MSR, 0x00}, {RD, MSR, 0xb0})

TEST(offsets_beyond_the_chip_read_all_ones,
	{WR, 0x400, 0x00}, {RD, 0x400, 0xff}, {RD2, 0x400, 0xffff}, {RD4, 0x7fff, 0xffffffff})

/* Transmitter interrupt */

TEST(enabling_thri_raises_it_twice_in_a_row, /* Linux: UART_BUG_THRE and UART_BUG_TXEN */
	{WR, IER, 0x02}, {LINE, 0, 1}, {RD, IIR, 0x02}, {WR, IER, 0x00}, {LINE, 0, 0},
	{WR, IER, 0x02}, {LINE, 0, 1}, {RD, IIR, 0x02}, {WR, IER, 0x00}, {EDGES, 0, 2},
	{WR, IER, 0x02}, {RD, LSR, EMPTY}, {RD, IIR, 0x02})

TEST(reading_iir_clears_the_reported_thri,
	{WR, IER, 0x02}, {RD, IIR, 0x02}, {LINE, 0, 0}, {RD, IIR, 0x01})

TEST(reading_iir_keeps_thri_behind_another_source,
	{WR, IER, 0x03}, {RX, 'x', 1}, {RD, IIR, 0x04}, {RD, IIR, 0x04}, {RD, RBR, 'x'},
	{LINE, 0, 1}, {RD, IIR, 0x02}, {RD, IIR, 0x01}, {LINE, 0, 0})

TEST(writing_enabled_thri_again_raises_nothing,
	{WR, IER, 0x02}, {RD, IIR, 0x02}, {WR, IER, 0x02}, {RD, IIR, 0x01}, {WR, IER, 0x03},
	{RD, IIR, 0x01})

TEST(disabling_thri_withdraws_it,
	{WR, IER, 0x02}, {WR, IER, 0x00}, {LINE, 0, 0}, {RD, IIR, 0x01})

TEST(each_byte_interrupts_without_fifo,
	{WR, IER, 0x02}, {EDGES, 0, 1}, {WR, THR, 'a'}, {EDGES, 0, 1}, {WR, THR, 'b'},
	{EDGES, 0, 1},
	{RD, IIR, 0x02}, {WR, THR, 'c'}, {EDGES, 0, 1}, {RD, IIR, 0x02}, {RD, IIR, 0x01})

TEST(fifo_burst_interrupts_once,
	{WR, FCR, 0x01}, {WR, IER, 0x02}, {RD, IIR, 0xc2}, {EDGES, 0, 1},
	{SEND, 16, 0}, {LINE, 0, 1}, {EDGES, 0, 1}, {RD, IIR, 0xc2}, {LINE, 0, 0},
	{TICK, 0, FLUSH}, {EDGES, 0, 0})

TEST(driver_that_never_reads_iir_gets_an_edge_at_the_flush,
	{WR, FCR, 0x01}, {WR, IER, 0x02}, {EDGES, 0, 1}, {SEND, 2, 0}, {EDGES, 0, 0},
	{TICK, 0, FLUSH}, {EDGES, 0, 1}, {LINE, 0, 1},
	{SEND, 2, 0}, {EDGES, 0, 2}, /* no other flush comes before the reader moves */
	{DRAIN, 4, 0}, {EDGES, 0, 0}, {SEND, 1, 0}, {EDGES, 0, 0}, {DRAIN, 1, 0}, {EDGES, 0, 1})

TEST(polled_output_does_not_interrupt,
	{WR, IER, 0x05}, {SEND, 3, 0}, {LINE, 0, 0}, {EDGES, 0, 0}, {RD, IIR, 0x01})

TEST(out2_does_not_gate_the_interrupt,
	{WR, MCR, 0x08}, {WR, IER, 0x02}, {LINE, 0, 1}, {WR, MCR, 0x00}, {LINE, 0, 1})

/* Receiver */

TEST(received_byte_interrupts_until_read,
	{WR, IER, 0x01}, {RX, 'x', 1}, {LINE, 0, 1}, {RD, IIR, 0x04}, {RD, LSR, DR | EMPTY},
	{RD, RBR, 'x'}, {LINE, 0, 0}, {RD, LSR, EMPTY}, {RD, IIR, 0x01})

TEST(input_waits_outside_while_the_fifo_is_full,
	{ROOM, 0, 1}, {RX, 'x', 1}, {ROOM, 0, 0}, {RX, 'y', 0}, {RD, RBR, 'x'}, {ROOM, 0, 1},
	{WR, FCR, 0x01}, {ROOM, 0, 16}, {RX, 0, 1}, {RX, 1, 1}, {RX, 2, 1}, {RX, 3, 1}, {RX, 4, 1},
	{RX, 5, 1}, {RX, 6, 1}, {RX, 7, 1}, {RX, 8, 1}, {RX, 9, 1}, {RX, 10, 1}, {RX, 11, 1},
	{RX, 12, 1}, {RX, 13, 1}, {RX, 14, 1}, {RX, 15, 1}, {RX, 16, 0}, {ROOM, 0, 0},
	{RD, LSR, DR | EMPTY}, {RD, RBR, 0}, {RX, 16, 1}, {RD, RBR, 1}, {RD, RBR, 2})

TEST(time_out_fires_four_characters_after_the_last_byte,
	{WR, FCR, 0x41}, {WR, IER, 0x01}, {RX, 'x', 1}, {LINE, 0, 0}, {ARMED, 0, CHARS4},
	{AT, 0, CHARS4 - 1}, {LINE, 0, 0}, {RD, IIR, 0xc1}, {AT, 0, CHARS4}, {LINE, 0, 1},
	{RD, IIR, 0xcc}, {RD, IIR, 0xcc}, {ARMED, 0, NEVER}, {RD, RBR, 'x'}, {LINE, 0, 0},
	{RD, IIR, 0xc1})

TEST(each_received_byte_restarts_the_time_out,
	{WR, FCR, 0x41}, {WR, IER, 0x01}, {RX, 'x', 1}, {AT, 0, 300000}, {RX, 'y', 1},
	{ARMED, 0, 300000 + CHARS4})

TEST(each_read_byte_restarts_the_time_out,
	{WR, FCR, 0x41}, {WR, IER, 0x01}, {RX, 'x', 1}, {RX, 'y', 1}, {AT, 0, CHARS4}, {LINE, 0, 1},
	{RD, RBR, 'x'}, {LINE, 0, 0}, {ARMED, 0, 2 * CHARS4}, {AT, 0, 2 * CHARS4}, {RD, IIR, 0xcc},
	{RD, RBR, 'y'}, {ARMED, 0, NEVER})

TEST(trigger_level_needs_no_time_out,
	{WR, FCR, 0x41}, {WR, IER, 0x01}, {RX, 1, 1}, {RX, 2, 1}, {RX, 3, 1}, {RX, 4, 1},
	{LINE, 0, 1}, {RD, IIR, 0xc4}, {ARMED, 0, NEVER}, {RD, RBR, 1}, {LINE, 0, 0},
	{ARMED, 0, CHARS4}, {AT, 0, CHARS4}, {RD, IIR, 0xcc})

TEST(time_out_without_rdi_costs_no_timer_and_is_seen_later,
	{WR, FCR, 0x41}, {RX, 'x', 1}, {ARMED, 0, NEVER}, {AT, 0, 1000000}, {RD, IIR, 0xc1},
	{WR, IER, 0x01}, {LINE, 0, 1}, {RD, IIR, 0xcc})

TEST(no_time_out_without_fifo,
	{WR, IER, 0x01}, {RX, 'x', 1}, {ARMED, 0, NEVER}, {RD, RBR, 'x'}, {ARMED, 0, NEVER})

TEST(polled_iir_sees_a_time_out_before_the_loop_does,
	{WR, FCR, 0x41}, {WR, IER, 0x00}, {RX, 'x', 1}, {AT, 0, CHARS4}, {WR, IER, 0x01},
	{LINE, 0, 1}, {RD, IIR, 0xcc})

TEST(lower_trigger_level_interrupts_at_once,
	{WR, FCR, 0xc1}, {WR, IER, 0x01}, {RX, 'x', 1}, {LINE, 0, 0}, {WR, FCR, 0x01}, {LINE, 0, 1},
	{RD, IIR, 0xc4}, {ARMED, 0, NEVER})

TEST(switching_fifos_flushes_the_receiver,
	{RX, 'x', 1}, {WR, FCR, 0x01}, {RD, LSR, EMPTY}, {RX, 'y', 1}, {WR, FCR, 0x00},
	{RD, LSR, EMPTY}, {RD, RBR, 0x00})

TEST(receiver_reset_flushes_and_clears_itself,
	{WR, FCR, 0x41}, {WR, IER, 0x01}, {RX, 'x', 1}, {WR, FCR, 0x43}, {RD, LSR, EMPTY},
	{ARMED, 0, NEVER}, {RX, 'y', 1}, {RD, RBR, 'y'})

TEST(rewriting_fcr_keeps_received_bytes,
	{WR, FCR, 0x01}, {RX, 'x', 1}, {WR, FCR, 0x81}, {WR, FCR, 0x85}, {RD, RBR, 'x'})

TEST(transmitter_reset_does_not_take_output_back,
	{WR, FCR, 0x01}, {WR, THR, 'a'}, {WR, FCR, 0x05}, {RD, LSR, EMPTY}, {OUT, 0, 'a'})

/* Loopback */

TEST(loopback_receives_what_is_sent_and_nothing_else,
	{WR, MCR, 0x10}, {WR, THR, 'a'}, {OUT, 0, NONE}, {ARMED, 0, NEVER}, {ROOM, 0, 0},
	{RX, 'z', 0},
	{RD, LSR, DR | EMPTY}, {RD, RBR, 'a'}, {RD, LSR, EMPTY}, {WR, MCR, 0x02}, {ROOM, 0, 1},
	{WR, THR, 'b'}, {OUT, 0, 'b'})

TEST(loopback_interrupts_like_the_wire,
	{WR, MCR, 0x10}, {WR, IER, 0x03}, {RD, IIR, 0x02}, {WR, THR, 'a'}, {LINE, 0, 1},
	{RD, IIR, 0x04}, {RD, RBR, 'a'}, {RD, IIR, 0x02}, {RD, IIR, 0x01}, {LINE, 0, 0})

TEST(loopback_times_out_like_the_wire,
	{WR, FCR, 0x41}, {WR, IER, 0x01}, {WR, MCR, 0x10}, {WR, THR, 'a'}, {LINE, 0, 0},
	{ARMED, 0, CHARS4}, {AT, 0, CHARS4}, {LINE, 0, 1}, {RD, IIR, 0xcc}, {RD, RBR, 'a'})

TEST(overrun_keeps_the_fifo,
	{WR, FCR, 0x01}, {WR, MCR, 0x10}, {SEND, 16, 0}, {RD, LSR, DR | EMPTY}, {WR, THR, '!'},
	{RD, LSR, DR | OE | EMPTY}, {RD, LSR, DR | EMPTY}, {RD, RBR, 'a'}, {RD, RBR, 'b'},
	{WR, THR, '?'}, {RD, LSR, DR | EMPTY})

TEST(overrun_without_fifo_loses_the_older_byte,
	{WR, MCR, 0x10}, {WR, THR, 'a'}, {WR, THR, 'b'}, {RD, LSR, DR | OE | EMPTY}, {RD, RBR, 'b'},
	{RD, LSR, EMPTY})

TEST(sources_are_reported_by_priority,
	{WR, FCR, 0x01}, {WR, IER, 0x0f}, {WR, MCR, 0x10}, {SEND, 17, 0},
	{RD, IIR, 0xc6}, {RD, IIR, 0xc6}, {RD, LSR, DR | OE | EMPTY}, {RD, IIR, 0xc4},
	{WR, FCR, 0x03},
	{RD, IIR, 0xc2}, {RD, IIR, 0xc0}, {LINE, 0, 1}, {RD, MSR, 0x0b}, {RD, IIR, 0xc1},
	{LINE, 0, 0})

TEST(overrun_without_rlsi_does_not_interrupt,
	{WR, IER, 0x00}, {WR, MCR, 0x10}, {SEND, 2, 0}, {RD, IIR, 0x01}, {LINE, 0, 0},
	{WR, IER, 0x04}, {LINE, 0, 1}, {RD, IIR, 0x06}, {RD, LSR, DR | OE | EMPTY}, {LINE, 0, 0})

TEST(loopback_connects_each_modem_line,
	{WR, MCR, 0x10}, {RD, MSR, 0x0b}, {WR, MCR, 0x11}, {RD, MSR, 0x22}, {WR, MCR, 0x12},
	{RD, MSR, 0x13}, {WR, MCR, 0x18}, {RD, MSR, 0x89}, {WR, MCR, 0x10}, {RD, MSR, 0x08},
	{RD, MSR, 0x00})

TEST(ring_indicator_counts_its_trailing_edge_alone,
	{WR, MCR, 0x10}, {RD, MSR, 0x0b}, {WR, MCR, 0x14}, {RD, MSR, 0x40}, {WR, MCR, 0x10},
	{RD, MSR, 0x04}, {RD, MSR, 0x00})

TEST(modem_delta_interrupts_until_msr_is_read,
	{WR, IER, 0x08}, {LINE, 0, 0}, {WR, MCR, 0x10}, {LINE, 0, 1}, {RD, IIR, 0x00},
	{RD, IIR, 0x00},
	{RD, MSR, 0x0b}, {LINE, 0, 0}, {WR, MCR, 0x00}, {RD, MSR, 0xbb}, {RD, MSR, 0xb0})

/* Output ring */

TEST(output_arrives_in_order,
	{WR, THR, 'h'}, {WR, THR, 'i'}, {OUT, 0, 'h'}, {OUT, 0, 'i'}, {OUT, 0, NONE})

TEST(output_waits_once_for_company,
	{WR, THR, 'a'}, {ARMED, 0, FLUSH}, {DUE, 0, 0}, {AT, 0, FLUSH / 2}, {WR, THR, 'b'},
	{ARMED, 0, FLUSH}, {DUE, 0, 0}, {AT, 0, FLUSH}, {DUE, 0, 1}, {ARMED, 0, NEVER},
	{WR, THR, 'c'}, {ARMED, 0, NEVER}, {DUE, 0, 1},
	{DRAIN, 3, 0}, {DUE, 0, 0}, {ARMED, 0, NEVER}, {WR, THR, 'd'}, {ARMED, 0, 2 * FLUSH})

TEST(output_drained_early_needs_no_flush,
	{SEND, 5, 0}, {DRAIN, 5, 0}, {ARMED, 0, NEVER}, {DUE, 0, 0})

TEST(stopped_reader_causes_no_timer,
	{SEND, 3, 0}, {AT, 0, FLUSH}, {DUE, 0, 1}, {ARMED, 0, NEVER}, {DRAIN, 0, 3}, {DUE, 0, 1},
	{ARMED, 0, NEVER}, {SEND, 3, 0}, {ARMED, 0, NEVER},
	{DRAIN, 1, 5}, {DUE, 0, 0}, {ARMED, 0, 2 * FLUSH}, /* it moved: once more */
	{AT, 0, 2 * FLUSH}, {DUE, 0, 1}, {ARMED, 0, NEVER}, {DRAIN, 9, 0}, {DUE, 0, 0})

TEST(half_full_ring_is_due_at_once,
	{AT, 0, 500}, {SEND, 8191, 0}, {DUE, 0, 0}, {ARMED, 0, 500 + FLUSH}, {SEND, 1, 0},
	{DUE, 0, 1},
	{ARMED, 0, 500}, {AT, 0, 500}, {ARMED, 0, NEVER}, {DUE, 0, 1}, {SEND, 1, 0},
	{ARMED, 0, NEVER})

TEST(transmitter_is_busy_while_a_burst_does_not_fit,
	{WR, FCR, 0x01}, {SEND, 16368, 0}, {RD, LSR, EMPTY}, {SEND, 1, 0}, {RD, LSR, 0},
	{SEND, 15, 0}, {RD, LSR, 0}, /* the burst that saw THRE arrives whole */
	{SEND, 1, 1}, {RD, LSR, 0}, {DRAIN, 15, 16369}, {RD, LSR, 0}, {DRAIN, 1, 16368},
	{RD, LSR, EMPTY})

TEST(room_raises_thri,
	{SEND, 16384, 0}, {WR, IER, 0x02}, {LINE, 0, 0}, {RD, IIR, 0x01}, {DRAIN, 15, 16369},
	{LINE, 0, 0}, {DRAIN, 1, 16368}, {LINE, 0, 1}, {EDGES, 0, 1}, {RD, IIR, 0x02},
	{RD, IIR, 0x01},
	{DRAIN, 100, 16268}, {RD, IIR, 0x01})

TEST(filling_the_ring_withdraws_thri,
	{SEND, 16368, 0}, {WR, IER, 0x02}, {LINE, 0, 1}, {WR, THR, 'a'}, {LINE, 0, 0},
	{RD, IIR, 0x01})

TEST(full_ring_drops_after_ten_seconds,
	{SEND, 16384, 0}, {WR, IER, 0x02}, {AT, 0, STALL - 1}, {ARMED, 0, STALL}, {RD, LSR, 0},
	{SEND, 1, 1}, {LINE, 0, 0}, {AT, 0, STALL}, {ARMED, 0, NEVER}, {RD, LSR, EMPTY},
	{LINE, 0, 1},
	{RD, IIR, 0x02}, {WR, THR, 'x'}, {RD, LSR, EMPTY}, {RD, IIR, 0x02}, {SEND, 100, 102},
	{ARMED, 0, NEVER})

TEST(dropping_ends_when_the_reader_moves,
	{SEND, 16384, 0}, {WR, IER, 0x02}, {AT, 0, STALL}, {LINE, 0, 1}, {DRAIN, 1, 16383},
	{RD, LSR, 0},
	{LINE, 0, 0}, {RD, IIR, 0x01}, {DRAIN, 15, 16368}, {RD, LSR, EMPTY}, {LINE, 0, 1})

TEST(slow_reader_is_not_a_stopped_one,
	{SEND, 16384, 0}, {AT, 0, STALL - 1}, {DRAIN, 1, 16383}, {RD, LSR, 0},
	{AT, 0, 2 * STALL - 2}, {RD, LSR, 0}, {AT, 0, 2 * STALL - 1}, {RD, LSR, EMPTY})

TEST(room_ends_the_wait_for_the_reader,
	{SEND, 16384, 0}, {AT, 0, FLUSH}, {DRAIN, 16, 16368}, {AT, 0, 2 * STALL}, {ARMED, 0, NEVER},
	{SEND, 17, 1}, {RD, LSR, 0})

TEST(loopback_is_ready_while_the_ring_is_full,
	{SEND, 16384, 0}, {WR, IER, 0x02}, {LINE, 0, 0}, {WR, MCR, 0x10}, {LINE, 0, 1},
	{RD, LSR, EMPTY}, {WR, THR, 'x'}, {RD, RBR, 'x'}, {WR, MCR, 0x00}, {LINE, 0, 0},
	{RD, LSR, 0})

// clang-format on

static void guest_that_polls_sees_the_end_of_patience(void **state)
{
	(void)state;
	rig();
	for (unsigned i = 0; i < UART_TX_RING; i++)
		uart_write(&uart, 0, 1, 'x', 0);
	assert_int_equal(uart_read(&uart, 5, 1, STALL - 1), 0);
	assert_int_equal(uart_read(&uart, 5, 1, STALL), EMPTY); /* no tick has come */
}

static void output_is_due_before_the_tick(void **state)
{
	(void)state;
	rig();
	uart_write(&uart, 0, 1, 'x', 0);
	assert_false(uart_tx_due(&uart, FLUSH - 1));
	assert_true(uart_tx_due(&uart, FLUSH));
	assert_true(uart_read(&uart, 5, 1, FLUSH) == EMPTY);
	assert_int_equal(uart_deadline(&uart),
			 FLUSH); /* an access does not take it from the loop */
}

/* With trigger level `fcr` of `n` bytes, RDI comes with byte n and goes below it. */
static void check_trigger(unsigned fcr, unsigned n)
{
	struct rig *r = rig();
	uint8_t byte = 'x';

	uart_write(&uart, 2, 1, fcr, 0);
	uart_write(&uart, 1, 1, 0x01, 0);
	for (unsigned i = 1; i <= 16; i++) {
		assert_int_equal(uart_rx(&uart, &byte, 1, 0), 1);
		assert_int_equal(r->line[0].level, i >= n);
	}
	for (unsigned i = 15; i; i--) {
		uart_read(&uart, 0, 1, 0);
		assert_int_equal(r->line[0].level, i >= n);
	}
}

static void trigger_levels_are_1_4_8_14(void **state)
{
	(void)state;
	check_trigger(0x01, 1);
	check_trigger(0x41, 4);
	check_trigger(0x81, 8);
	check_trigger(0xc1, 14);
}

static void check_time_out(unsigned lcr, unsigned div, uint64_t ns)
{
	struct rig *r = rig();
	uint8_t byte = 'x';

	uart_write(&uart, 3, 1, 0x80, 0);
	uart_write(&uart, 0, 1, div & 0xff, 0);
	uart_write(&uart, 1, 1, div >> 8, 0);
	uart_write(&uart, 3, 1, lcr, 0);
	uart_write(&uart, 2, 1, 0xc1, 0);
	uart_write(&uart, 1, 1, 0x01, 0);
	assert_int_equal(uart_rx(&uart, &byte, 1, 0), 1);
	assert_int_equal(uart_deadline(&uart), ns);
	assert_int_equal(r->line[0].level, 0);
}

static void time_out_follows_divisor_and_frame_within_reason(void **state)
{
	(void)state;
	check_time_out(0x03, 1, 347222);     /* 40 bits at 115200 */
	check_time_out(0x03, 12, 4166666);   /* 40 bits at 9600 */
	check_time_out(0x00, 1, 243055);     /* 5N1: 28 bits */
	check_time_out(0x0f, 1, 416666);     /* 8O2: 48 bits */
	check_time_out(0x03, 384, 40000000); /* 300 baud: 133 ms */
	check_time_out(0x03, 65535, 40000000);
	check_time_out(0x03, 0, 200000);
}

static void freebsd_finds_a_fifo_of_16(void **state)
{
	unsigned count = 0, lsr;

	(void)state;
	rig();
	uart_write(&uart, 4, 1, 0x10, 0);
	uart_write(&uart, 2, 1, 0x01, 0);
	uart_write(&uart, 2, 1, 0x07, 0);
	do {
		uart_write(&uart, 0, 1, 0, 0);
		count++;
		lsr = uart_read(&uart, 5, 1, 0);
		assert_int_equal(lsr & EMPTY, EMPTY);
	} while (!(lsr & OE) && count < 130);
	assert_int_equal(count - 1, 16);
}

static void linux_finds_a_fifo_of_16(void **state)
{
	unsigned count;

	(void)state;
	rig();
	uart_write(&uart, 2, 1, 0x07, 0);
	uart_write(&uart, 4, 1, 0x10, 0);
	for (unsigned i = 0; i < 256; i++)
		uart_write(&uart, 0, 1, i, 0);
	for (count = 0; (uart_read(&uart, 5, 1, 0) & DR) && count < 256; count++)
		assert_int_equal(uart_read(&uart, 0, 1, 0), count);
	assert_int_equal(count, 16);
}

/* Sends and drains in uneven steps: nothing is lost or reordered across the end of the ring. */
static void output_wraps_around_the_ring(void **state)
{
	unsigned sent = 0, got = 0;
	const uint8_t *p;

	(void)state;
	rig();
	while (got < 100000) {
		size_t n;

		for (unsigned i = 0; i < 1000; i++)
			uart_write(&uart, 0, 1, (sent++ * 7) & 0xff, got);
		n = uart_tx_peek(&uart, &p);
		assert_true(n > 0 && p >= uart.tx && p + n <= uart.tx + UART_TX_RING);
		n = n > 999 ? 999 : n;
		for (size_t i = 0; i < n; i++)
			assert_int_equal(p[i], (got++ * 7) & 0xff);
		uart_tx_done(&uart, n, got);
	}
	assert_int_equal(uart.dropped, 0);
}

static void peeked_output_stays_while_the_guest_writes(void **state)
{
	const uint8_t *p, *q;

	(void)state;
	rig();
	uart_write(&uart, 0, 1, 'a', 0);
	assert_int_equal(uart_tx_peek(&uart, &p), 1);
	for (unsigned i = 0; i < 2 * UART_TX_RING; i++)
		uart_write(&uart, 0, 1, 'b', 0);
	assert_int_equal(p[0], 'a');
	uart_tx_done(&uart, 1, 0);
	assert_int_equal(uart_tx_peek(&uart, &q), UART_TX_RING - 1);
	assert_int_equal(q[0], 'b');
}

static void little_output_stays_at_the_start_of_the_ring(void **state)
{
	const uint8_t *p;

	(void)state;
	rig();
	for (unsigned i = 0; i < 10000; i++) {
		uart_write(&uart, 0, 1, 'a', i);
		assert_int_equal(uart_tx_peek(&uart, &p), 1);
		assert_ptr_equal(p, uart.tx);
		uart_tx_done(&uart, 1, i);
	}
	assert_int_equal(uart.tx[1], 0xa5); /* not even by uart_init() */
}

static void done_takes_no_more_than_there_is(void **state)
{
	(void)state;
	rig();
	uart_tx_done(&uart, 5, 0);
	uart_write(&uart, 0, 1, 'a', 0);
	uart_tx_done(&uart, SIZE_MAX, 0);
	assert_int_equal(uart.tx_head, uart.tx_tail);
	assert_int_equal(uart_read(&uart, 5, 1, 0), EMPTY);
}

static void input_waits_for_rts(void **state)
{
	static const uint8_t buf[] = "x";

	(void)state;
	uart_init(&uart, rig_line(rig(), 0));
	assert_int_equal(uart_read(&uart, 4, 1, 0), 0);
	uart_write(&uart, 4, 1, 0x09, 0); /* DTR and OUT2 alone */
	assert_int_equal(uart_rx_room(&uart), 0);
	assert_int_equal(uart_rx(&uart, buf, 1, 0), 0);
	uart_write(&uart, 4, 1, 0x0b, 0);
	assert_int_equal(uart_rx(&uart, buf, 1, 0), 1);
	assert_int_equal(uart_read(&uart, 0, 1, 0), 'x');
}

static void input_is_taken_up_to_the_room(void **state)
{
	static const uint8_t buf[40] = "0123456789abcdefghij";

	(void)state;
	rig();
	uart_write(&uart, 2, 1, 0x01, 0);
	assert_int_equal(uart_rx(&uart, buf, sizeof buf, 0), 16);
	assert_int_equal(uart_rx(&uart, buf, sizeof buf, 0), 0);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(uart_read(&uart, 0, 1, 0), buf[i]);
	assert_int_equal(uart_rx(&uart, buf, 0, 0), 0);
}

static void flood_without_reader_is_bounded_and_counted(void **state)
{
	(void)state;
	rig();
	for (uint64_t i = 0; i < 1000000; i++)
		uart_write(&uart, 0, 1, 'x', i * 100000);
	assert_int_equal(uart.tx_head - uart.tx_tail, UART_TX_RING);
	assert_int_equal(uart.dropped, 1000000 - UART_TX_RING);
	assert_int_equal(uart_read(&uart, 5, 1, 100000000000), EMPTY);
}

static void snapshot_with_output_in_flight_raises_thri_later(void **state)
{
	static struct uart copy;
	struct rig *r = rig();

	(void)state;
	for (unsigned i = 0; i < UART_TX_RING; i++)
		uart_write(&uart, 0, 1, 'x', 0);
	uart_write(&uart, 1, 1, 0x02, 0);
	copy = uart;
	uart_tx_done(&copy, 16, 0);
	assert_int_equal(r->line[0].level, 1);
	assert_int_equal(uart_read(&copy, 2, 1, 0), 0x02);
}

/* Every register with every value, before and after every other value of LCR, MCR and FCR. */
static void no_write_hurts(void **state)
{
	struct rig *r = rig();
	uint8_t byte = 'x';
	uint32_t seed = 1;

	(void)state;
	for (unsigned round = 0; round < 300000; round++) {
		seed = seed * 1664525 + 1013904223;
		uart_write(&uart, seed >> 29, 1, seed >> 8, r->now);
		assert_true(uart_read(&uart, (seed >> 5) & 15, 1, r->now) <= 0xff);
		assert_true(uart_read(&uart, 5, 1, r->now) != 0xff);
		assert_int_equal(uart_read(&uart, 2, 1, r->now) & 0x30, 0);
		assert_true(uart_rx_room(&uart) <= 16);
		uart_rx(&uart, &byte, 1, r->now);
		if (seed & 0x1000)
			r->now += 50000;
		if (uart_deadline(&uart) <= r->now) {
			uart_tick(&uart, r->now);
			assert_true(uart_deadline(&uart) > r->now);
		}
		if ((seed & 0xfff) == 0)
			uart_tx_done(&uart, seed >> 16, r->now);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test(f)
	const struct CMUnitTest tests[] = {
		T(starts_as_firmware_leaves_it),
		T(scratch_register_keeps_any_value),
		T(ier_has_four_bits),
		T(mcr_has_five_bits),
		T(loopback_shows_rts_and_out2_in_msr),
		T(iir_shows_that_fifos_are_on),
		T(iir_bit_5_stays_clear),
		T(fcr_bits_need_the_enable_bit),
		T(dlab_shows_the_divisor),
		T(lcr_values_of_other_chips_are_plain),
		T(status_registers_ignore_writes),
		T(offsets_beyond_the_chip_read_all_ones),
		T(enabling_thri_raises_it_twice_in_a_row),
		T(reading_iir_clears_the_reported_thri),
		T(reading_iir_keeps_thri_behind_another_source),
		T(writing_enabled_thri_again_raises_nothing),
		T(disabling_thri_withdraws_it),
		T(each_byte_interrupts_without_fifo),
		T(fifo_burst_interrupts_once),
		T(driver_that_never_reads_iir_gets_an_edge_at_the_flush),
		T(polled_output_does_not_interrupt),
		T(out2_does_not_gate_the_interrupt),
		T(received_byte_interrupts_until_read),
		T(input_waits_outside_while_the_fifo_is_full),
		T(time_out_fires_four_characters_after_the_last_byte),
		T(each_received_byte_restarts_the_time_out),
		T(each_read_byte_restarts_the_time_out),
		T(trigger_level_needs_no_time_out),
		T(time_out_without_rdi_costs_no_timer_and_is_seen_later),
		T(no_time_out_without_fifo),
		T(polled_iir_sees_a_time_out_before_the_loop_does),
		T(lower_trigger_level_interrupts_at_once),
		T(switching_fifos_flushes_the_receiver),
		T(receiver_reset_flushes_and_clears_itself),
		T(rewriting_fcr_keeps_received_bytes),
		T(transmitter_reset_does_not_take_output_back),
		T(loopback_receives_what_is_sent_and_nothing_else),
		T(loopback_interrupts_like_the_wire),
		T(loopback_times_out_like_the_wire),
		T(overrun_keeps_the_fifo),
		T(overrun_without_fifo_loses_the_older_byte),
		T(sources_are_reported_by_priority),
		T(overrun_without_rlsi_does_not_interrupt),
		T(loopback_connects_each_modem_line),
		T(ring_indicator_counts_its_trailing_edge_alone),
		T(modem_delta_interrupts_until_msr_is_read),
		T(output_arrives_in_order),
		T(output_waits_once_for_company),
		T(output_drained_early_needs_no_flush),
		T(stopped_reader_causes_no_timer),
		T(half_full_ring_is_due_at_once),
		T(transmitter_is_busy_while_a_burst_does_not_fit),
		T(room_raises_thri),
		T(filling_the_ring_withdraws_thri),
		T(full_ring_drops_after_ten_seconds),
		T(dropping_ends_when_the_reader_moves),
		T(slow_reader_is_not_a_stopped_one),
		T(room_ends_the_wait_for_the_reader),
		T(loopback_is_ready_while_the_ring_is_full),
		T(guest_that_polls_sees_the_end_of_patience),
		T(output_is_due_before_the_tick),
		T(trigger_levels_are_1_4_8_14),
		T(time_out_follows_divisor_and_frame_within_reason),
		T(freebsd_finds_a_fifo_of_16),
		T(linux_finds_a_fifo_of_16),
		T(output_wraps_around_the_ring),
		T(peeked_output_stays_while_the_guest_writes),
		T(little_output_stays_at_the_start_of_the_ring),
		T(done_takes_no_more_than_there_is),
		T(input_waits_for_rts),
		T(input_is_taken_up_to_the_room),
		T(flood_without_reader_is_bounded_and_counted),
		T(snapshot_with_output_in_flight_raises_thri_later),
		T(no_write_hurts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
