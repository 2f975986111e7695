/*
 * net_vhost.c - the network device whose packets the kernel's vhost-net moves: this end only has
 * it start and stop, and passes notifications on and interrupts back. Device lock held by the
 * caller, but for net_vhost_init() and the descriptors' events, which take it.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../log.h"
#include "net_io.h"

/* What concerns rings and their buffers; offloads are the tap's. */
#define VHOST_FEATURES                                                                             \
	(VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC | VIRTIO_NET_F_MRG_RXBUF)

/* The kernel has given chains back, and the driver wants to know. */
static void on_call(struct net_vhost *v, unsigned queue)
{
	struct virtio_dev *d = &v->net->dev;

	virtio_lock(d);
	if (virtio_live(d)) {
		d->irqs++;
		d->irq.queue(d->irq.ctx, queue);
	}
	virtio_unlock(d);
}

static void on_rx_call(struct watch *w, uint32_t events)
{
	struct net_vhost *v = w->owner;

	on_call(v, NET_RX_QUEUE(v->pair));
}

static void on_tx_call(struct watch *w, uint32_t events)
{
	struct net_vhost *v = w->owner;

	on_call(v, NET_TX_QUEUE(v->pair));
}

/* true: an error was told of since it was asked last. */
static bool take_error(const struct net_vhost *v)
{
	uint64_t count;

	return read(v->vhost.error, &count, sizeof(count)) == sizeof(count);
}

static void on_error(struct watch *w, uint32_t events)
{
	struct net_vhost *v = w->owner;
	struct virtio_dev *d = &v->net->dev;

	virtio_lock(d);
	if (take_error(v) && virtio_live(d))
		virtio_break(d, "the driver broke a ring's rules");
	virtio_unlock(d);
}

static int watch_one(struct net_vhost *v, struct watch *w, int fd,
		     void (*ready)(struct watch *, uint32_t), const struct watcher *watcher)
{
	*w = (struct watch){.fd = fd, .ready = ready, .owner = v};
	return watcher->add(watcher->ctx, w);
}

int net_vhost_init(struct net *n, const struct ram *ram, const struct watcher *watcher)
{
	int err = 0;

	for (unsigned i = 0; i < n->tap.pairs && !err; i++) {
		struct net_vhost *v = &n->vhost[i];

		err = vhost_open(&v->vhost, n->tap.name, ram, VHOST_FEATURES);
		if (err)
			return err;
		n->vhosts++;
		v->net = n;
		v->pair = i;
		err = watch_one(v, &v->rx_call, v->vhost.call[VHOST_RX], on_rx_call, watcher);
		if (!err)
			err = watch_one(v, &v->tx_call, v->vhost.call[VHOST_TX], on_tx_call,
					watcher);
		if (!err)
			err = watch_one(v, &v->error, v->vhost.error, on_error, watcher);
	}
	if (err)
		return log_fail(-err, "network %s: vhost-net cannot be watched: %s", n->tap.name,
				strerror(-err));
	return 0;
}

void net_vhost_start(struct virtio_dev *d)
{
	struct net *n = net_of(d);
	/* Without MQ the queues that follow the first pair are others [5.1.2]. */
	unsigned pairs = virtio_has(d, VIRTIO_NET_F_MQ) ? n->vhosts : 1;
	int err = 0;

	for (unsigned i = 0; i < pairs && !err; i++)
		err = vhost_start(&n->vhost[i].vhost, d->acked & VHOST_FEATURES,
				  &d->queue[NET_RX_QUEUE(i)], &d->queue[NET_TX_QUEUE(i)],
				  n->tap.fd[i]);
	if (err)
		virtio_break(d, "the kernel's vhost-net does not take its rings");
	net_vhost_kick(d);
}

void net_vhost_stop(struct virtio_dev *d)
{
	struct net *n = net_of(d);

	for (unsigned i = 0; i < n->vhosts; i++) {
		vhost_stop(&n->vhost[i].vhost);
		take_error(&n->vhost[i]); /* not the next driver's */
	}
}

void net_vhost_kick(struct virtio_dev *d)
{
	struct net *n = net_of(d);

	for (unsigned i = 0; i < n->vhosts; i++)
		vhost_kick(&n->vhost[i].vhost);
}
