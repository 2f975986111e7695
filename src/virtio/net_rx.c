/*
 * net_rx.c - from the tap to the guest [virtio 1.2, 5.1.6.4]: one readv() a packet, straight into
 * the driver's buffers.
 *
 * How long a packet is shows only when it was read. So the iovec ends in a spill of our own, and a
 * packet that the buffers at hand cannot hold waits there until the driver gives more, as one waits
 * that the limiter holds back. What the tap holds stays there: the kernel queues, and drops.
 *
 * A detour's frames come first and then in turn with the tap's. One starts in the spill, as if
 * there had been no room for it; those that come next stay in the detour. Device lock held by the
 * caller.
 */
#include <string.h>

#include "../clock.h"
#include "net_io.h"

void net_rx_clear(struct net_rx *rx)
{
	rx->buf0 = rx->buf1 = rx->iov0 = rx->iov1 = 0;
	rx->room = 0;
	rx->len = rx->placed = 0;
	rx->tight = false;
}

/* Copies to or from the kept buffers, `off` bytes into them; stops at their end. */
static void rx_copy(struct net_rx *rx, size_t off, void *buf, size_t len, bool to_guest)
{
	const struct iovec *v = rx->iov + rx->iov0, *end = rx->iov + rx->iov1;
	uint8_t *p = buf;

	for (; v < end && off >= v->iov_len; v++)
		off -= v->iov_len;
	for (; v < end && len; v++) {
		uint8_t *at = (uint8_t *)v->iov_base + off;
		size_t n = MIN(v->iov_len - off, len);

		if (to_guest)
			memcpy(at, p, n);
		else
			memcpy(p, at, n);
		p += n;
		len -= n;
		off = 0;
	}
}

static void rx_keep(struct net_rx *rx, const struct chain *c)
{
	memcpy(rx->iov + rx->iov1, c->iov, c->writable * sizeof(*c->iov));
	rx->buf[rx->buf1++] =
		(struct net_buf){.head = c->head, .iovs = c->writable, .bytes = c->write_bytes};
	rx->iov1 += c->writable;
	rx->room += c->write_bytes;
}

/* Back to the front of the arrays; rarely, so that it costs next to nothing a packet. */
static void rx_compact(struct net_rx *rx)
{
	if (rx->iov0 < NET_RX_SLACK)
		return;
	memmove(rx->buf, rx->buf + rx->buf0, (rx->buf1 - rx->buf0) * sizeof(*rx->buf));
	memmove(rx->iov, rx->iov + rx->iov0, (rx->iov1 - rx->iov0) * sizeof(*rx->iov));
	rx->buf1 -= rx->buf0;
	rx->iov1 -= rx->iov0;
	rx->buf0 = rx->iov0 = 0;
}

/*
 * Pops until there is room for `want` bytes. A chain that the device may not write, or that has no
 * room for a header [5.1.6.3.1], goes back empty.
 */
static bool rx_gather(struct virtio_dev *d, struct net_rx *rx, uint64_t want, struct net_turn *t)
	REQUIRES(d->lock)
{
	struct chain *c = &rx->net->chain;
	unsigned q = NET_RX_QUEUE(rx->pair);

	rx_compact(rx);
	rx->tight = false;
	while (rx->room < want && t->chains) {
		rx->tight = rx->buf1 - rx->buf0 > d->queue[q].mask;
		if (rx->tight || !virtio_pop(d, q, c))
			break;
		if (c->readable || c->write_bytes < sizeof(struct net_hdr)) {
			d->errors++;
			t->chains--;
			queue_push(&d->queue[q], c->head, 0);
			continue;
		}
		rx->tight = rx->iov1 - rx->iov0 + c->writable > NET_RX_IOV;
		if (rx->tight) {
			queue_unpop(&d->queue[q]);
			break;
		}
		rx_keep(rx, c);
	}
	return rx->room >= want;
}

/* There are too few buffers: the driver is to say when it gives more. true: it did already. */
static bool rx_starved(struct virtio_dev *d, struct net_rx *rx, struct net_turn *t)
	REQUIRES(d->lock)
{
	struct queue *q = &d->queue[NET_RX_QUEUE(rx->pair)];

	if (!virtio_live(d) || !t->chains)
		return false;
	rx->net->in.starved++;
	if (!queue_listen(q))
		return false;
	queue_quiet(q);
	t->chains--;
	return true;
}

static bool rx_drop(struct virtio_dev *d, struct net_rx *rx) REQUIRES(d->lock)
{
	rx->net->in.dropped++;
	d->errors++;
	rx->len = 0;
	return true;
}

/*
 * Is it what the driver negotiated? A packet that was in the tap before that may not be. Of a
 * checksum that was verified a driver hears only if it asked to.
 */
static bool rx_hdr_good(struct net *n, struct net_hdr *h)
{
	if (h->gso_type > VIRTIO_NET_HDR_GSO_UDP_L4 || !(n->rx_gso & BIT(h->gso_type)))
		return false;
	if (virtio_has(&n->dev, VIRTIO_NET_F_GUEST_CSUM))
		return true;
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return false;
	h->flags = 0;
	return true;
}

/* Takes the detour's next frame, whose checksums are there. false: it has none. */
static bool rx_detour(struct virtio_dev *d, struct net_rx *rx, struct net_turn *t) REQUIRES(d->lock)
{
	struct net *n = rx->net;
	const struct net_detour *detour = n->detour;
	uint64_t now = clock_now(), until;
	size_t len = detour->give(detour->ctx, rx->spill + sizeof(rx->hdr),
				  sizeof(rx->spill) - sizeof(rx->hdr), now);

	n->detour_last = len > 0;
	if (len == 0) {
		n->detour_more = false;
		until = detour->deadline(detour->ctx, now);
		if (until != NEVER)
			virtio_wake_at(d, until);
		return false;
	}
	rx->hdr = (struct net_hdr){0};
	memcpy(rx->spill, &rx->hdr, sizeof(rx->hdr));
	rx->len = (uint32_t)(len + sizeof(rx->hdr));
	rx->placed = 0;
	t->chains -= t->chains > 0;
	t->bytes += len;
	return true;
}

/* Reads the next packet. false: there is none, or no buffer. */
static bool rx_read(struct virtio_dev *d, struct net_rx *rx, struct net_turn *t) REQUIRES(d->lock)
{
	bool detour = rx->pair == 0 && rx->net->detour_more;
	ssize_t n;

	if (!rx_gather(d, rx, rx->want, t) && rx->buf0 == rx->buf1)
		return rx_starved(d, rx, t);
	if (!virtio_live(d))
		return false;
	if (detour && !(rx->more && rx->net->detour_last) && rx_detour(d, rx, t))
		return true;
	rx->net->detour_last = false;
	if (!rx->more)
		return net_rx_more(rx);
	rx->iov[rx->iov1] = (struct iovec){rx->spill, NET_RX_SPILL};
	n = readv(rx->watch.fd, rx->iov + rx->iov0, (int)(rx->iov1 - rx->iov0 + 1));
	if (n <= 0) { /* EAGAIN, or a tap that is gone */
		rx->more = false;
		return net_rx_more(rx);
	}
	t->chains -= t->chains > 0;
	t->bytes += (uint64_t)n;
	rx_copy(rx, 0, &rx->hdr, sizeof(rx->hdr), false);
	if ((size_t)n < sizeof(rx->hdr) + NET_FRAME_MIN || (size_t)n >= rx->room + NET_RX_SPILL ||
	    !rx_hdr_good(rx->net, &rx->hdr))
		return rx_drop(d, rx);
	rx->len = (uint32_t)n;
	rx->placed = (uint32_t)MIN((uint64_t)n, rx->room);
	return true;
}

/* The packet's buffers, in order; all but the last are full [5.1.6.4]. */
static void rx_push(struct virtio_dev *d, struct net_rx *rx) REQUIRES(d->lock)
{
	struct queue *q = &d->queue[NET_RX_QUEUE(rx->pair)];
	uint32_t left = rx->len;

	rx->hdr.num_buffers = 0;
	for (unsigned i = rx->buf0; left; i++, rx->hdr.num_buffers++)
		left -= MIN(left, rx->buf[i].bytes);
	rx_copy(rx, 0, &rx->hdr, sizeof(rx->hdr), true);
	for (left = rx->len; left; rx->buf0++) {
		const struct net_buf *b = &rx->buf[rx->buf0];
		uint32_t used = MIN(left, b->bytes);

		queue_push(q, b->head, used);
		left -= used;
		rx->iov0 += b->iovs;
		rx->room -= b->bytes;
	}
}

/* Gives the packet that was read to the driver. false: it has to wait. */
static bool rx_give(struct virtio_dev *d, struct net_rx *rx, struct net_turn *t) REQUIRES(d->lock)
{
	struct net *n = rx->net;
	uint32_t frame = rx->len - (uint32_t)sizeof(rx->hdr);
	uint64_t until = 0;

	if (rx->len > rx->room) {
		if (!virtio_has(d, VIRTIO_NET_F_MRG_RXBUF))
			return rx_drop(d, rx);
		if (!rx_gather(d, rx, rx->len, t))
			return rx->tight ? rx_drop(d, rx) : rx_starved(d, rx, t);
	}
	if (rx->placed < rx->len)
		rx_copy(rx, rx->placed, rx->spill, rx->len - rx->placed, true);
	rx->placed = rx->len;
	if (limiter_limits(&n->rx_limit))
		until = limiter_take(&n->rx_limit, frame, clock_now());
	if (until) {
		virtio_wake_at(d, until);
		return false;
	}
	rx_push(d, rx);
	rx->len = 0;
	n->in.packets++;
	n->in.bytes += frame;
	return true;
}

void net_rx_run(struct virtio_dev *d, unsigned pair)
{
	struct net_rx *rx = &net_of(d)->rx[pair];
	unsigned q = NET_RX_QUEUE(pair);
	struct net_turn t = {.chains = d->queue[q].size};

	if (!net_rx_more(rx))
		return;
	queue_quiet(&d->queue[q]);
	while (net_rx_more(rx) && !net_turn_over(&t)) {
		if (!rx->len && !rx_read(d, rx, &t))
			break;
		if (rx->len && !rx_give(d, rx, &t))
			break;
		if (t.chains % NET_FLUSH == 0)
			virtio_flush(d, q);
	}
	if (net_rx_more(rx) && net_turn_over(&t))
		d->again = true;
	virtio_flush(d, q);
}
