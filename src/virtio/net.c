/*
 * net.c - virtio network device [virtio 1.2, 5.1]: features, configuration, control queue. Packets
 * are moved by net_rx.c and net_tx.c.
 * Modelled: checksum, TSO and USO offload as the tap has them, merged receive buffers, several
 * pairs of queues, rate limits. Not modelled: UFO, ECN, filters and MAC addresses set by the
 * driver (the tap gets and gives all frames), announcements, RSS, offloads that change at run time.
 *
 * All of it runs in the loop's thread with the device lock held, but for net_init() and
 * net_close(); net_set_limits() and the tap's events take the lock.
 */
#include "net.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../clock.h"
#include "../log.h"
#include "net_io.h"

/* Configuration space [5.1.4], little-endian; the driver only reads it. */
struct net_config {
	uint8_t mac[6];
	uint16_t status;
	uint16_t max_virtqueue_pairs;
	uint16_t mtu;
};

#define VIRTIO_NET_S_LINK_UP BIT(0)

/* The control queue [5.1.6.5]. */
#define VIRTIO_NET_OK                   0u
#define VIRTIO_NET_ERR                  1u
#define VIRTIO_NET_CTRL_MQ              4u
#define VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET 0u

struct net_ctrl {
	uint8_t class, command;
	uint16_t pairs;
};

#define NET_MTU_MIN 68u /* [5.1.4.1] */

#define ETH_HDR_VLAN 18u
#define ETH_DATA     1500u
#define MAC_GROUP    BIT(0)
#define MAC_LOCAL    BIT(1)

/*
 * Changes of the tap take the host's network lock, which all share. A driver can have them made
 * with every reset: so many a second, the others wait.
 */
#define NET_TUNE_PER_S 32u

#define GUEST_USO (VIRTIO_NET_F_GUEST_USO4 | VIRTIO_NET_F_GUEST_USO6)
#define TAP_USO   (TAP_F_USO4 | TAP_F_USO6)

// clang-format off
static const struct {
	uint64_t features; /* all of them */
	unsigned offloads;
	uint8_t gso_type;
} net_rx_offloads[] = {
	{VIRTIO_NET_F_GUEST_TSO4, TAP_F_TSO4, VIRTIO_NET_HDR_GSO_TCPV4},
	{VIRTIO_NET_F_GUEST_TSO6, TAP_F_TSO6, VIRTIO_NET_HDR_GSO_TCPV6},
	{GUEST_USO,               TAP_USO,    VIRTIO_NET_HDR_GSO_UDP_L4},
};
// clang-format on

static const struct {
	uint64_t feature;
	uint8_t gso_type;
} net_tx_offloads[] = {
	{VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_HDR_GSO_TCPV4 },
	{VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_HDR_GSO_TCPV6 },
	{VIRTIO_NET_F_HOST_USO,  VIRTIO_NET_HDR_GSO_UDP_L4},
};

/* --- the tap follows the driver --- */

/* What the driver takes of each; segments only with checksums [5.1.3.1]. */
static void net_negotiated(struct net *n)
{
	struct virtio_dev *d = &n->dev;

	n->rx_gso = n->tx_gso = BIT(VIRTIO_NET_HDR_GSO_NONE);
	n->offloads = 0;
	if (virtio_has(d, VIRTIO_NET_F_GUEST_CSUM)) {
		n->offloads = TAP_F_CSUM;
		for (unsigned i = 0; i < ARRAY_SIZE(net_rx_offloads); i++) {
			if (net_rx_offloads[i].features & ~d->acked)
				continue;
			n->offloads |= net_rx_offloads[i].offloads;
			n->rx_gso |= (uint8_t)BIT(net_rx_offloads[i].gso_type);
		}
	}
	if (virtio_has(d, VIRTIO_NET_F_CSUM))
		for (unsigned i = 0; i < ARRAY_SIZE(net_tx_offloads); i++)
			if (virtio_has(d, net_tx_offloads[i].feature))
				n->tx_gso |= (uint8_t)BIT(net_tx_offloads[i].gso_type);
}

/* The most that a packet takes, with its header: a larger one may come, but does not usually. */
static uint32_t net_rx_want(const struct net *n)
{
	const struct virtio_dev *d = &n->dev;
	uint32_t mtu = ETH_DATA;

	if (!virtio_has(d, VIRTIO_NET_F_MRG_RXBUF))
		return 1; /* one chain, whatever its size */
	if (n->rx_gso != BIT(VIRTIO_NET_HDR_GSO_NONE))
		return TAP_HDR_LEN + NET_FRAME_MAX;
	if (virtio_has(d, VIRTIO_NET_F_MTU))
		mtu = n->mtu;
	return TAP_HDR_LEN + ETH_HDR_VLAN + mtu;
}

/* Has the tap do what the driver wants, soon. */
static void net_tune(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct net *n = net_of(d);
	uint64_t until;

	if (n->tap.offloads == n->offloads && n->tap.on == n->pairs)
		return;
	until = limiter_take(&n->tune, 0, clock_now());
	if (until && virtio_live(d))
		virtio_wake_at(d, until);
	if (!until && (tap_offload(&n->tap, n->offloads) || tap_turn_on(&n->tap, n->pairs)))
		d->errors++; /* a frame that the driver cannot take is dropped */
}

static void net_start(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct net *n = net_of(d);

	net_negotiated(n);
	n->pairs = 1; /* until the driver asks for more [5.1.6.5.5] */
	n->ctrl = 0;
	n->detour_more = n->detour != NULL;
	if (virtio_has(d, VIRTIO_NET_F_CTRL_VQ))
		n->ctrl = 2 * (virtio_has(d, VIRTIO_NET_F_MQ) ? n->tap.pairs : 1);
	for (unsigned i = 0; i < n->tap.pairs && n->rx; i++) {
		n->rx[i].want = net_rx_want(n);
		n->rx[i].more = true; /* what came before was told to nobody */
	}
	net_tune(d);
	if (n->vhosts)
		net_vhost_start(d);
}

static bool net_stop(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct net *n = net_of(d);

	net_vhost_stop(d);
	for (unsigned i = 0; i < n->tap.pairs && n->rx; i++)
		net_rx_clear(&n->rx[i]);
	n->pairs = 1;
	n->offloads = 0;
	net_tune(d);
	return true;
}

/* --- the control queue --- */

/* Carries the command at hand out. 0: done, with its answer; or the time until which it waits. */
static uint64_t net_command(struct virtio_dev *d, uint8_t *ack) REQUIRES(d->lock)
{
	struct net *n = net_of(d);
	struct net_ctrl msg = {0};
	uint64_t until = 0;

	*ack = VIRTIO_NET_ERR;
	if (chain_read(&n->chain, 0, &msg, sizeof(msg)) != sizeof(msg) ||
	    msg.class != VIRTIO_NET_CTRL_MQ || msg.command != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET ||
	    !virtio_has(d, VIRTIO_NET_F_MQ) || msg.pairs == 0 || msg.pairs > n->tap.pairs)
		return 0;
	if (msg.pairs != n->tap.on)
		until = limiter_take(&n->tune, 0, clock_now());
	if (until)
		return until;
	if (tap_turn_on(&n->tap, msg.pairs))
		d->errors++;
	else
		*ack = VIRTIO_NET_OK;
	n->pairs = n->tap.on;
	return 0;
}

static void net_control(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct net *n = net_of(d);
	struct queue *q = &d->queue[n->ctrl];
	unsigned left = q->size;
	bool more = true;

	for (; more && left; left--) {
		uint64_t until;
		uint8_t ack;

		if (!virtio_pop(d, n->ctrl, &n->chain)) {
			more = virtio_live(d) && queue_listen(q);
			continue;
		}
		until = net_command(d, &ack);
		if (until) {
			queue_unpop(q);
			virtio_wake_at(d, until);
			more = false;
			continue;
		}
		queue_push(q, n->chain.head, (uint32_t)chain_write(&n->chain, 0, &ack, 1));
	}
	if (more)
		d->again = true;
	virtio_flush(d, n->ctrl);
}

/* --- the device --- */

static void net_notify(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct net *n = net_of(d);

	if (n->ctrl)
		net_control(d);
	if (n->vhosts)
		net_vhost_kick(d);
	for (unsigned i = 0; i < n->pairs && n->rx; i++) {
		net_tx_run(d, i);
		net_rx_run(d, i);
	}
}

static void net_tick(struct virtio_dev *d, uint64_t now) REQUIRES(d->lock)
{
	struct net *n = net_of(d);

	net_tune(d);
	n->detour_more = n->detour != NULL;
	net_notify(d);
}

/* The tap has packets, or is gone, which reading tells. */
static void net_ready(struct watch *w, uint32_t events)
{
	struct net_rx *rx = w->owner;
	struct virtio_dev *d = &rx->net->dev;

	if (!(events & (WATCH_IN | WATCH_ERR | WATCH_HUP)))
		return;
	virtio_lock(d);
	rx->more = true;
	if (virtio_live(d) && !d->fresh && rx->pair < rx->net->pairs)
		net_rx_run(d, rx->pair);
	virtio_unlock(d);
}

// clang-format off
#define NET_OPS                                                                                    \
	.name = "net", .id = VIRTIO_ID_NET,                                                        \
	.start = net_start, .notify = net_notify, .stop = net_stop, .tick = net_tick
// clang-format on

static const struct virtio_ops net_ops = {NET_OPS};
static const struct virtio_ops net_vhost_ops = {NET_OPS, .kernel_bell = net_vhost_bell};

/* --- making it --- */

static uint64_t net_features(const struct net *n, const struct net_conf *c)
{
	uint64_t f = VIRTIO_NET_F_MAC | VIRTIO_NET_F_STATUS | VIRTIO_NET_F_MRG_RXBUF;

	if (c->mtu)
		f |= VIRTIO_NET_F_MTU;
	if (n->tap.pairs > 1)
		f |= VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_MQ;
	if (c->offload)
		f |= VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_HOST_TSO4 |
		     VIRTIO_NET_F_HOST_TSO6 | VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6;
	if (c->offload && n->tap.uso)
		f |= VIRTIO_NET_F_HOST_USO | VIRTIO_NET_F_GUEST_USO4 | VIRTIO_NET_F_GUEST_USO6;
	return f;
}

/* The same at each run: FNV-1a of the tap's name. */
static void net_own_mac(const char *name, uint8_t mac[6])
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001b3ull;
	memcpy(mac, &h, 6);
	CLEAR(mac[0], MAC_GROUP);
	mac[0] |= MAC_LOCAL;
}

static int net_conf_good(const struct net_conf *c)
{
	const char *name = c->tap ? c->tap : "by descriptor";

	if (c->vhost && (c->rx_bytes.size || c->rx_ops.size || c->tx_bytes.size || c->tx_ops.size))
		return log_fail(EINVAL,
				"network %s: the kernel's vhost-net knows no limits; leave them or "
				"vhost away",
				name);
	if (c->vhost && c->detour)
		return log_fail(
			EINVAL,
			"network %s: the kernel's vhost-net passes the metadata service by; "
			"leave it or vhost away",
			name);
	if (c->mtu && c->mtu < NET_MTU_MIN)
		return log_fail(EINVAL, "network %s: an MTU of %u; it has to be %u at least", name,
				c->mtu, NET_MTU_MIN);
	return 0;
}

static void net_configure(struct net *n, const struct net_conf *c)
{
	struct net_config config = {
		.status = VIRTIO_NET_S_LINK_UP,
		.max_virtqueue_pairs = (uint16_t)n->tap.pairs,
		.mtu = c->mtu,
	};
	uint64_t now = clock_now();

	if (c->has_mac)
		memcpy(config.mac, c->mac, sizeof(config.mac));
	else
		net_own_mac(n->tap.name, config.mac);
	memcpy(n->dev.config, &config, sizeof(config));
	n->dev.config_len = sizeof(config);
	n->mtu = c->mtu;
	n->detour = c->detour;
	limiter_set(&n->rx_limit, &c->rx_bytes, &c->rx_ops, now);
	limiter_set(&n->tx_limit, &c->tx_bytes, &c->tx_ops, now);
	bucket_init(&n->tune.ops, NET_TUNE_PER_S, 0, NSEC, now);
}

/* Mapped, since most of it is never touched. */
static int net_rx_init(struct net *n, const struct watcher *watcher)
{
	void *at = mmap(NULL, n->tap.pairs * sizeof(*n->rx), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return log_fail(errno, "network %s: no memory: %s", n->tap.name, strerror(errno));
	n->rx = at;
	n->watcher = watcher;
	for (unsigned i = 0; i < n->tap.pairs; i++) {
		struct net_rx *rx = &n->rx[i];
		int err;

		rx->watch = (struct watch){.fd = n->tap.fd[i], .ready = net_ready, .owner = rx};
		err = watcher->add(watcher->ctx, &rx->watch);
		if (err)
			return log_fail(-err, "network %s: the tap cannot be watched: %s",
					n->tap.name, strerror(-err));
		rx->net = n;
		rx->pair = i;
	}
	return 0;
}

int net_init(struct net *n, const struct net_conf *c, const struct virtio_host *host,
	     const struct ram *ram, const struct watcher *watcher)
{
	int err = net_conf_good(c);

	*n = (struct net){.pairs = 1};
	if (!err)
		err = tap_open(&n->tap, c->tap, c->fd, c->pairs);
	if (err)
		return err;
	virtio_init(&n->dev, c->vhost ? &net_vhost_ops : &net_ops, host, ram, net_features(n, c),
		    2 * n->tap.pairs + (n->tap.pairs > 1), NET_QUEUE_SIZE);
	net_configure(n, c);
	err = c->vhost ? net_vhost_init(n, ram, watcher) : net_rx_init(n, watcher);
	if (err)
		net_close(n);
	return err;
}

void net_close(struct net *n)
{
	/* Closing is not enough: a descriptor's duplicate keeps it watched. */
	for (unsigned i = 0; n->rx && i < n->tap.pairs; i++)
		if (n->rx[i].net)
			n->watcher->del(n->watcher->ctx, &n->rx[i].watch);
	if (n->rx)
		munmap(n->rx, n->tap.pairs * sizeof(*n->rx));
	n->rx = NULL;
	for (; n->vhosts; n->vhosts--)
		vhost_close(&n->vhost[n->vhosts - 1].vhost);
	tap_close(&n->tap);
}

void net_set_limits(struct net *n, bool rx, const struct limit_conf *bytes,
		    const struct limit_conf *ops)
{
	struct virtio_dev *d = &n->dev;

	virtio_lock(d);
	limiter_set(rx ? &n->rx_limit : &n->tx_limit, bytes, ops, clock_now());
	if (virtio_live(d)) /* a packet may wait by the old ones */
		virtio_wake_at(d, clock_now());
	virtio_unlock(d);
}
