/*
 * board_loop.c - the board's side that has no addresses: time, and what the loop and the CPUs'
 * interrupt cycles want of it.
 */
#include "board_lock.h"

void board_sync(struct board *b, uint64_t now)
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

void board_settle(struct board *b)
{
	board_arm(b, board_next(b));
	if (b->rx_hungry && !b->com1.rx_len && uart_rx_room(&b->com1)) {
		b->rx_hungry = false;
		board_arm(b, 0);
	}
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

void board_wake_at(struct board *b, uint64_t deadline)
{
	board_lock(b);
	board_arm(b, deadline);
	board_unlock(b);
}

void board_wake(struct board *b)
{
	board_wake_at(b, 0);
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
