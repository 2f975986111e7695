/*
 * conn.c - one TCP connection [RFC 9293].
 * Modelled: the passive handshake, MSS, retransmission by a timer that doubles and after three
 * duplicate acknowledgements, from the oldest byte on; zero windows and their probes; the client's
 * FIN, then ours; RST. Not modelled: everything that a link without routers does not need:
 * congestion control, window scale, SACK, timestamps, urgent data, TIME-WAIT, closing first.
 * Segments out of order are dropped, since a link inside the machine keeps order.
 */
#include "conn.h"

#include <string.h>

#include "frame.h"

#define RTO         (300 * NSEC / 1000)
#define RTO_DOUBLES 5u
#define TRIES_SYN   5u
#define TRIES       10u
#define DUPS        3u

/* a - b, of sequence numbers that are near each other. */
static int32_t seq_diff(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

static uint16_t conn_window(const struct conn *c)
{
	return (uint16_t)(sizeof(c->rx) - c->rx_len);
}

void conn_open(struct conn *c, const struct segment *s, uint32_t iss, uint64_t now)
{
	c->state = CONN_SYN;
	c->mss = MAX(MIN(s->mss ? s->mss : CONN_MSS_OLD, CONN_MSS), CONN_MSS_MIN);
	c->irs = s->seq;
	c->rcv_nxt = s->seq + 1;
	c->iss = c->snd_una = c->snd_nxt = c->snd_max = iss;
	c->data_end = iss + 1;
	c->snd_edge = iss + 1 + s->window;
	c->timer = NEVER;
	c->moved = now;
}

/* --- sending --- */

/* Bytes of the answer that may go now. */
static uint32_t conn_sendable(const struct conn *c)
{
	int32_t left = seq_diff(c->data_end, c->snd_nxt);
	int32_t window = seq_diff(c->snd_edge, c->snd_nxt);

	if (c->state == CONN_SYN || left <= 0)
		return 0;
	if (window <= 0)
		return c->probe;
	return (uint32_t)MIN(MIN(left, window), (int32_t)c->mss);
}

static bool conn_fin_due(const struct conn *c)
{
	return c->state == CONN_CLOSING && c->snd_nxt == c->data_end;
}

/* The timer runs while something was sent or cannot be; `anew`: from now on. */
static void conn_arm(struct conn *c, uint64_t now, bool anew)
{
	bool waits = c->snd_max != c->snd_una || seq_diff(c->data_end, c->snd_nxt) > 0;

	if (c->state == CONN_SYN && c->snd_max == c->iss)
		waits = false; /* the first SYN is due at once */
	if (!waits)
		c->timer = NEVER;
	else if (anew || c->timer == NEVER)
		c->timer = now + (RTO << MIN(c->tries, RTO_DOUBLES));
}

bool conn_due(const struct conn *c, uint64_t now)
{
	if (c->state == CONN_FREE)
		return false;
	if (c->state == CONN_SYN)
		return c->snd_nxt == c->iss || now >= c->timer;
	return c->ack_due || conn_sendable(c) || conn_fin_due(c) || now >= c->timer;
}

enum conn_end conn_out(struct conn *c, struct segment *s, uint64_t now)
{
	bool late = now >= c->timer, fin;

	if (late && ++c->tries > (c->state == CONN_SYN ? TRIES_SYN : TRIES))
		return CONN_RESET;
	if (late) {
		c->snd_nxt = c->snd_una;
		c->probe = true;
	}
	*s = (struct segment){.ack = c->rcv_nxt, .flags = TCP_ACK, .window = conn_window(c)};
	if (c->state == CONN_SYN) {
		s->seq = c->iss;
		s->flags |= TCP_SYN;
		s->mss = CONN_MSS;
		c->snd_nxt = c->iss + 1;
	} else {
		s->seq = c->snd_nxt;
		s->len = conn_sendable(c);
		if (s->len)
			s->data = (const uint8_t *)c->answer.p + c->answer.len -
				  (c->data_end - c->snd_nxt);
		c->snd_nxt += (uint32_t)s->len;
		fin = conn_fin_due(c);
		if (s->len && c->snd_nxt == c->data_end)
			s->flags |= TCP_PSH;
		if (fin)
			s->flags |= TCP_FIN;
		c->snd_nxt += fin;
	}
	if (seq_diff(c->snd_nxt, c->snd_max) > 0)
		c->snd_max = c->snd_nxt;
	c->ack_due = c->probe = false;
	conn_arm(c, now, late);
	return CONN_GOES_ON;
}

/* --- receiving --- */

/* The part of a segment that acknowledges. true: the rest is looked at as well. */
static bool conn_acked(struct conn *c, const struct segment *s, uint64_t now, bool *odd)
{
	uint32_t edge = s->ack + s->window;
	bool news = seq_diff(s->ack, c->snd_una) > 0;

	if (seq_diff(s->ack, c->snd_max) > 0) { /* what was never sent [3.10.7.4] */
		c->ack_due = *odd = true;
		return false;
	}
	if (seq_diff(s->ack, c->snd_una) < 0)
		return true; /* an old one */
	c->tries = 0;
	if (news) {
		c->snd_una = s->ack;
		if (seq_diff(c->snd_nxt, s->ack) < 0)
			c->snd_nxt = s->ack;
		c->moved = now;
		c->dups = 0;
	} else if (c->snd_max != c->snd_una && s->len == 0 && edge == c->snd_edge &&
		   ++c->dups == DUPS) {
		c->snd_nxt = c->snd_una;
		*odd = true;
	} else if (seq_diff(c->snd_edge, c->snd_una) <= 0 && seq_diff(edge, c->snd_una) > 0) {
		c->snd_nxt = c->snd_una; /* it opens: what probed it was not taken */
	}
	c->snd_edge = edge;
	conn_arm(c, now, news);
	return true;
}

/* The part that carries bytes, or the end of them. */
static void conn_data(struct conn *c, const struct segment *s, uint64_t now, bool *odd)
{
	bool fin = s->flags & TCP_FIN;
	int32_t ahead = seq_diff(s->seq, c->rcv_nxt);
	size_t old = (size_t) - (int64_t)MIN(ahead, 0), n;

	if (s->len == 0 && !fin) {
		c->ack_due |= ahead != 0; /* one who asks whether we are alive */
		return;
	}
	c->ack_due = true;
	if (ahead > 0 || (c->fin_in && old < s->len + fin)) { /* out of order, or after the end */
		*odd = true;
		return;
	}
	if (c->fin_in || old > s->len)
		return; /* seen before */
	n = MIN(s->len - old, sizeof(c->rx) - c->rx_len);
	if (n) {
		memcpy(c->rx + c->rx_len, s->data + old, n);
		c->moved = now;
	}
	c->rx_len += n;
	c->rcv_nxt += (uint32_t)n;
	if (old + n < s->len) {
		*odd = true; /* beyond the window */
	} else if (fin) {
		c->fin_in = true;
		c->rcv_nxt++;
	}
}

/* Has the next request answered, once the last answer was received. */
static enum conn_end conn_serve(struct conn *c, const struct conn_user *user, uint64_t now)
{
	size_t end;

	if (c->answer.len && seq_diff(c->snd_una, c->data_end) < 0)
		return CONN_GOES_ON;
	c->answer = (struct slice){0};
	end = request_end(c->rx, c->rx_len);
	if (end) {
		c->answer = user->answer(user->ctx, c->rx, end, c->buf, c->size, now);
		c->data_end += (uint32_t)c->answer.len;
		c->rx_len -= end;
		memmove(c->rx, c->rx + end, c->rx_len);
		c->ack_due = true; /* of the window that opens */
		conn_arm(c, now, false);
	} else if (c->rx_len == sizeof(c->rx)) {
		return CONN_RESET; /* too long */
	} else if (c->fin_in) {
		c->state = CONN_CLOSING;
	}
	return CONN_GOES_ON;
}

enum conn_end conn_in(struct conn *c, const struct segment *s, const struct conn_user *user,
		      uint64_t now)
{
	bool odd = false;
	enum conn_end end = CONN_GOES_ON;

	if (s->flags & TCP_RST)
		return s->seq - c->rcv_nxt <= conn_window(c) ? CONN_GONE : CONN_ODD;
	if (s->flags & TCP_SYN) { /* the first one again; the stack opens anew for another */
		if (s->seq != c->irs || (s->flags & TCP_ACK))
			return CONN_ODD;
		c->snd_nxt = c->state == CONN_SYN ? c->iss : c->snd_nxt;
		c->ack_due = true;
		return CONN_GOES_ON;
	}
	if (!(s->flags & TCP_ACK))
		return CONN_ODD;
	if (c->state == CONN_SYN) {
		if (s->ack != c->iss + 1 || c->snd_max == c->iss)
			return CONN_RESET;
		c->state = CONN_OPEN;
	}
	if (conn_acked(c, s, now, &odd)) {
		if (c->state == CONN_CLOSING && c->snd_una == c->data_end + 1)
			return CONN_GONE;
		conn_data(c, s, now, &odd);
		if (c->state == CONN_OPEN)
			end = conn_serve(c, user, now);
	}
	return end == CONN_GOES_ON && odd ? CONN_ODD : end;
}

bool conn_idle(const struct conn *c, uint64_t now)
{
	return now - c->moved >= (c->state == CONN_OPEN ? CONN_IDLE : CONN_HALF);
}
