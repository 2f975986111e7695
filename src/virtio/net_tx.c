/*
 * net_tx.c - from the guest to the tap [virtio 1.2, 5.1.6.2]: one writev() a packet, straight from
 * guest memory but for the header, of which the kernel gets a copy that was checked. Device lock
 * held by the caller.
 */
#include <errno.h>
#include <string.h>

#include "../clock.h"
#include "../log.h"
#include "net_io.h"

#define CSUM_LEN 2u

/* Where a frame says whom it is for. */
#define ETH_TYPE   12u
#define ETH_IP_TO  30u /* of an IPv4 packet */
#define ETH_ARP_TO 38u /* of an ARP packet: the address that is asked for */
static const uint8_t tx_type_ip[2] = {0x08, 0x00}, tx_type_arp[2] = {0x08, 0x06};

/*
 * Checks a header against the `frame` bytes that follow and what was negotiated, and clears what
 * then says nothing: only its checked fields reach the kernel [5.1.6.2.2].
 */
static bool tx_hdr_good(const struct net *n, struct net_hdr *h, uint32_t frame)
{
	bool csum = h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	struct net_hdr good = {0};

	if (h->gso_type > VIRTIO_NET_HDR_GSO_UDP_L4 || !(n->tx_gso & BIT(h->gso_type)))
		return false;
	if (csum) {
		if (!virtio_has(&n->dev, VIRTIO_NET_F_CSUM) || h->csum_start < NET_FRAME_MIN ||
		    (uint32_t)h->csum_start + h->csum_offset + CSUM_LEN > frame)
			return false;
		good.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		good.csum_start = h->csum_start;
		good.csum_offset = h->csum_offset;
	}
	if (h->gso_type != VIRTIO_NET_HDR_GSO_NONE) {
		if (!csum || h->gso_size == 0 || h->hdr_len > frame)
			return false;
		good.gso_type = h->gso_type;
		good.gso_size = h->gso_size;
		good.hdr_len = h->hdr_len;
	}
	*h = good;
	return true;
}

static void tx_drop(struct virtio_dev *d, int err) REQUIRES(d->lock)
{
	struct net *n = net_of(d);

	n->out.dropped++;
	d->errors++;
	if (err != EIO || n->told_down)
		return;
	n->told_down = true;
	log_guest("network %s: the tap is down, what the guest sends is dropped; bring it up with "
		  "\"ip link set %s up\"",
		  n->tap.name, n->tap.name);
}

/*
 * Is the chain at hand for the detour, and did that take it? Of other frames only the head is read.
 * A frame beyond what the detour understands is cut, checksums may be missing.
 */
static bool tx_detour(struct net *n, uint32_t frame)
{
	const struct net_detour *detour = n->detour;
	uint8_t buf[NET_DETOUR_MAX];
	size_t len;

	if (frame < NET_DETOUR_HEAD)
		return false;
	chain_read(&n->chain, TAP_HDR_LEN, buf, NET_DETOUR_HEAD);
	if ((memcmp(buf + ETH_TYPE, tx_type_ip, 2) || memcmp(buf + ETH_IP_TO, detour->ip, 4)) &&
	    (memcmp(buf + ETH_TYPE, tx_type_arp, 2) || memcmp(buf + ETH_ARP_TO, detour->ip, 4)))
		return false;
	len = NET_DETOUR_HEAD + chain_read(&n->chain, TAP_HDR_LEN + NET_DETOUR_HEAD,
					   buf + NET_DETOUR_HEAD,
					   MIN(frame, NET_DETOUR_MAX) - NET_DETOUR_HEAD);
	if (!detour->take(detour->ctx, buf, len, clock_now()))
		return false;
	n->detour_more = true;
	return true;
}

/* Sends the chain at hand. false: it has to wait. */
static bool tx_send(struct virtio_dev *d, unsigned pair, struct net_turn *t) REQUIRES(d->lock)
{
	struct net *n = net_of(d);
	const struct chain *c = &n->chain;
	struct iovec iov[1 + QUEUE_SIZE_MAX];
	uint32_t frame = c->read_bytes - TAP_HDR_LEN;
	struct net_hdr h;
	uint64_t until;

	if (c->writable || c->read_bytes < TAP_HDR_LEN + NET_FRAME_MIN || frame > NET_FRAME_MAX ||
	    chain_read(c, 0, &h, sizeof(h)) != sizeof(h) || !tx_hdr_good(n, &h, frame)) {
		tx_drop(d, EINVAL);
		return true;
	}
	if (n->detour && tx_detour(n, frame)) { /* neither limited nor counted */
		if (pair)
			d->again = true; /* the answers are the first pair's */
		t->bytes += NET_DETOUR_COST;
		return true;
	}
	if (limiter_limits(&n->tx_limit)) {
		until = limiter_take(&n->tx_limit, frame, clock_now());
		if (until) {
			virtio_wake_at(d, until);
			return false;
		}
	}
	iov[0] = (struct iovec){&h, sizeof(h)};
	t->bytes += frame;
	if (writev(n->tap.fd[pair], iov,
		   (int)chain_slice(c, false, sizeof(h), frame, iov + 1, QUEUE_SIZE_MAX) + 1) < 0) {
		tx_drop(d, errno);
		return true;
	}
	n->out.packets++;
	n->out.bytes += frame;
	return true;
}

void net_tx_run(struct virtio_dev *d, unsigned pair)
{
	unsigned n = NET_TX_QUEUE(pair);
	struct queue *q = &d->queue[n];
	struct net_turn t = {.chains = q->size};
	bool more = true;

	queue_quiet(q);
	while (more && !net_turn_over(&t)) {
		t.chains--;
		if (!virtio_pop(d, n, &net_of(d)->chain)) {
			more = virtio_live(d) && queue_listen(q);
			if (more)
				queue_quiet(q);
			continue;
		}
		if (!tx_send(d, pair, &t)) { /* the limiter's wake-up goes on, not the driver's */
			queue_unpop(q);
			more = false;
			continue;
		}
		queue_push(q, net_of(d)->chain.head, 0);
		if (t.chains % NET_FLUSH == 0)
			virtio_flush(d, n);
	}
	if (more)
		d->again = true;
	virtio_flush(d, n);
}
