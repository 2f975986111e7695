/*
 * net.h - virtio network device over a tap [virtio 1.2, 5.1]: vnet headers pass through, so that
 * checksum and segmentation offloads are the host kernel's.
 */
#pragma once
#include "../watch.h"
#include "limiter.h"
#include "tap.h"
#include "vhost.h"
#include "virtio.h"

#define NET_PAIRS_MAX  TAP_PAIRS_MAX
#define NET_QUEUE_SIZE 256u

/* Features [5.1.3]. */
#define VIRTIO_NET_F_CSUM       BIT(0)
#define VIRTIO_NET_F_GUEST_CSUM BIT(1)
#define VIRTIO_NET_F_MTU        BIT(3)
#define VIRTIO_NET_F_MAC        BIT(5)
#define VIRTIO_NET_F_GUEST_TSO4 BIT(7)
#define VIRTIO_NET_F_GUEST_TSO6 BIT(8)
#define VIRTIO_NET_F_HOST_TSO4  BIT(11)
#define VIRTIO_NET_F_HOST_TSO6  BIT(12)
#define VIRTIO_NET_F_MRG_RXBUF  BIT(15)
#define VIRTIO_NET_F_STATUS     BIT(16)
#define VIRTIO_NET_F_CTRL_VQ    BIT(17)
#define VIRTIO_NET_F_MQ         BIT(22)
#define VIRTIO_NET_F_GUEST_USO4 BIT(54)
#define VIRTIO_NET_F_GUEST_USO6 BIT(55)
#define VIRTIO_NET_F_HOST_USO   BIT(56)

/* What stands before each frame [5.1.6], here and in the tap. */
#define VIRTIO_NET_HDR_F_NEEDS_CSUM BIT(0)
#define VIRTIO_NET_HDR_GSO_NONE     0u
#define VIRTIO_NET_HDR_GSO_TCPV4    1u
#define VIRTIO_NET_HDR_GSO_TCPV6    4u
#define VIRTIO_NET_HDR_GSO_UDP_L4   5u

struct net_hdr {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size;
	uint16_t csum_start, csum_offset;
	uint16_t num_buffers;
};
_Static_assert(sizeof(struct net_hdr) == TAP_HDR_LEN, "the header is 12 bytes");

/*
 * A service inside the device, which takes frames to its address out of the guest's traffic and
 * answers them: mmds.h. Called in the loop's thread with the device lock held.
 */
struct net_detour {
	void *ctx;
	uint8_t ip[4];
	/* A frame of the guest's for that address, by ARP or IPv4; cut off when it is longer than
	 * any that the service understands. false: it goes to the tap after all. */
	bool (*take)(void *ctx, const uint8_t *frame, size_t len, uint64_t now);
	/* The next frame for the guest; its bytes, 0: there is none at present. */
	size_t (*give)(void *ctx, uint8_t *buf, size_t size, uint64_t now);
	/* After give() had none: when to ask again unless a frame was taken; NEVER. */
	uint64_t (*deadline)(void *ctx, uint64_t now);
};

struct net_conf {
	const char *tap; /* name; NULL: fd is given */
	int fd;          /* an open tap with vnet header: the caller's own, or, beside a name and
			    above 0, one that is opened already and stays the caller's; -1: none */
	bool has_mac;
	uint8_t mac[6]; /* without one: a locally administered one, from the tap's name */
	uint16_t mtu;   /* 0: not told */
	unsigned pairs; /* queue pairs, 1..NET_PAIRS_MAX */
	bool vhost;     /* the kernel's vhost-net moves the packets; never with a limit */
	bool offload;   /* offers checksum and segmentation offloads; true by default */
	struct limit_conf rx_bytes, rx_ops, tx_bytes, tx_ops;
	const struct net_detour *detour; /* NULL: none; never with vhost. Must stay. */
};

/* Bytes are of frames, without their virtio headers. */
struct net_counters {
	uint64_t packets, bytes;
	uint64_t dropped; /* bad, or the other side does not take them */
	uint64_t starved; /* rx: times that a packet may have waited for buffers */
};

struct net_rx; /* a receive queue: see net_io.h */

/* A pair that the kernel serves. */
struct net_vhost {
	struct net *net;
	unsigned pair;
	struct vhost vhost;
	struct watch rx_call, tx_call, error;
};

struct net {
	struct virtio_dev dev;
	struct tap tap;
	unsigned vhosts; /* pairs that the kernel serves: all or none */
	struct net_vhost vhost[NET_PAIRS_MAX];
	struct net_rx *rx;               /* one a pair, but with vhost */
	const struct watcher *watcher;   /* of rx */
	const struct net_detour *detour; /* its frames come with the first pair's; NULL: none */
	bool detour_more;                /* it may have frames */
	bool detour_last;                /* the last frame was one of its: the tap is next */
	unsigned pairs;                  /* that the driver uses */
	unsigned ctrl;                   /* the control queue; 0: it has none */
	uint16_t mtu;
	unsigned offloads;      /* TAP_F_* that the driver asks for */
	uint8_t rx_gso, tx_gso; /* BIT(gso_type) that it negotiated, either way */
	struct limiter rx_limit, tx_limit;
	struct limiter tune;         /* what the driver can have changed in the host */
	bool told_down;              /* that the tap drops what is sent */
	struct chain chain;          /* the one at hand */
	struct net_counters in, out; /* as the guest sees it */
};

/* Opens the tap and makes the device. 0 or -errno, logged. Before lock-down; must not move. */
int net_init(struct net *n, const struct net_conf *c, const struct virtio_host *host,
	     const struct ram *ram, const struct watcher *watcher);
/* The end of a device that net_init() made, and that is served no more. */
void net_close(struct net *n);
/* Loop's thread, any time: other limits; NULL keeps a bucket as it is. */
void net_set_limits(struct net *n, bool rx, const struct limit_conf *bytes,
		    const struct limit_conf *ops);
