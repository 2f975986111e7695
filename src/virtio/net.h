/*
 * net.h - virtio network device over a tap [virtio 1.2, 5.1]: vnet headers pass through, so that
 * checksum and segmentation offloads are the host kernel's.
 */
#pragma once
#include "../watch.h"
#include "limiter.h"
#include "virtio.h"

#define NET_PAIRS_MAX 8u

struct net_conf {
	const char *tap; /* name; NULL: fd is given */
	int fd;          /* an open tap with vnet header, passed by the caller; -1: none */
	bool has_mac;
	uint8_t mac[6]; /* without one: a locally administered one, from the tap's name */
	uint16_t mtu;   /* 0: not told */
	unsigned pairs; /* queue pairs, 1..NET_PAIRS_MAX */
	bool vhost;     /* the kernel's vhost-net moves the packets; never with a limit */
	bool offload;   /* offers checksum and segmentation offloads; true by default */
	struct limit_conf rx_bytes, rx_ops, tx_bytes, tx_ops;
};

struct net {
	struct virtio_dev dev;
};

/* Opens the tap and makes the device. 0 or -errno, logged. Before lock-down; must not move. */
int net_init(struct net *n, const struct net_conf *c, const struct virtio_host *host,
	     const struct ram *ram, const struct watcher *watcher);
void net_set_limits(struct net *n, bool rx, const struct limit_conf *bytes,
		    const struct limit_conf *ops);
