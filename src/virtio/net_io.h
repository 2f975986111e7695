/*
 * net_io.h - how the network device moves packets: net_rx.c towards the guest, net_tx.c away from
 * it, or net_vhost.c, which has the kernel do it. Loop's thread.
 */
#pragma once
#include "net.h"

#define NET_RX_QUEUE(pair) (2 * (pair)) /* [virtio 1.2, 5.1.2] */
#define NET_TX_QUEUE(pair) (2 * (pair) + 1)

#define NET_FRAME_MIN 14u    /* an Ethernet header */
#define NET_FRAME_MAX 65550u /* that, and what an IP header can count; [5.1.6.3.1] */

/* One turn of the loop: at most one queue's size of chains, and not for long (as vhost-net). */
#define NET_TURN_BYTES (512 * KIB)
#define NET_FLUSH      64u /* chains; so that the guest works on them meanwhile */

#define NET_DETOUR_HEAD 42u   /* bytes that show whom a frame is for: Ethernet and ARP */
#define NET_DETOUR_MAX  4096u /* of a frame that is taken */
#define NET_DETOUR_COST (NET_TURN_BYTES / 16) /* as so many bytes: each may ask for much work */

#define NET_RX_SPILL (66 * KIB) /* more than any packet */
#define NET_RX_IOV   1023u      /* IOV_MAX, but for the spill */
#define NET_RX_SLACK 256u       /* entries given back before the rest is moved to the front */

struct net_turn {
	unsigned chains; /* that are left */
	uint64_t bytes;
};

static inline bool net_turn_over(const struct net_turn *t)
{
	return t->chains == 0 || t->bytes >= NET_TURN_BYTES;
}

/* A chain that was popped to be read into, and is still empty. */
struct net_buf {
	uint16_t head, iovs;
	uint32_t bytes;
};

/*
 * Receive queue of one pair. Chains are popped once: those that a packet left over serve the next,
 * and their iovec entries lie side by side, as readv() wants them.
 */
struct net_rx {
	struct net *net;
	unsigned pair;
	struct watch watch; /* the tap's descriptor */
	bool more;          /* it may have packets */
	bool tight;         /* the last look for buffers ended because no more can be kept */
	uint32_t want;      /* room for the largest packet that is to be expected */

	uint32_t len;    /* of the packet that was read, with its header; 0: there is none */
	uint32_t placed; /* so much of it is in the buffers, the rest is spilled */
	struct net_hdr hdr;

	unsigned buf0, buf1; /* kept: buf[buf0..buf1), iov[iov0..iov1) */
	unsigned iov0, iov1;
	uint64_t room; /* their bytes */
	struct net_buf buf[QUEUE_SIZE_MAX + NET_RX_SLACK];
	struct iovec iov[NET_RX_IOV + NET_RX_SLACK + 1];
	uint8_t spill[NET_RX_SPILL];
};

/* May there be something to receive? */
static inline bool net_rx_more(const struct net_rx *rx)
{
	return rx->more || rx->len || (rx->pair == 0 && rx->net->detour_more);
}

/* Forgets what is kept, of a driver that is gone. */
void net_rx_clear(struct net_rx *rx);
/* Receives while there are packets, buffers and leave of the limiter. */
void net_rx_run(struct virtio_dev *d, unsigned pair) REQUIRES(d->lock);
void net_tx_run(struct virtio_dev *d, unsigned pair) REQUIRES(d->lock);

/* One /dev/vhost-net a pair. 0 or -errno, logged; what is open then is net_close()'s. */
int net_vhost_init(struct net *n, const struct ram *ram, const struct watcher *watcher);
void net_vhost_start(struct virtio_dev *d) REQUIRES(d->lock);
void net_vhost_stop(struct virtio_dev *d) REQUIRES(d->lock);
/* Passes a notification on that came to us. */
void net_vhost_kick(struct virtio_dev *d) REQUIRES(d->lock);
/* See struct virtio_ops. */
int net_vhost_bell(struct virtio_dev *d, unsigned queue) REQUIRES(d->lock);

static inline struct net *net_of(struct virtio_dev *d)
{
	return (struct net *)((char *)d - offsetof(struct net, dev));
}
