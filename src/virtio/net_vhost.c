/*
 * net_vhost.c - the network device whose packets the kernel's vhost-net moves: this end only has
 * it start and stop. The driver's notifications reach it straight, but for such as come before the
 * bells are there; its interrupts go straight to the guest where the transport can have that, and
 * are passed back by us where not. Device lock held by the caller, but for net_vhost_init() and the
 * descriptors' events, which take it.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../log.h"
#include "net_io.h"

/* What concerns rings and their buffers; offloads are the tap's. */
#define VHOST_FEATURES                                                                             \
	(VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC | VIRTIO_NET_F_MRG_RXBUF)

/* true: the eventfd was signalled since it was asked last. */
static bool take(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

/*
 * Is a signal ours to pass on? What the transport connects it sends itself, with what was signalled
 * before. So a signal is taken before it is passed on, or it would be sent again with the next
 * connection.
 */
static bool call_ours(struct virtio_dev *d, unsigned queue, int fd) REQUIRES(d->lock)
{
	return !d->irq.wire || (!d->irq.wired(d->irq.ctx, queue) && take(fd));
}

/*
 * The kernel has given chains back, and the driver wants to know: also in a pause, in which
 * nothing tells it again.
 */
static void on_call(struct net_vhost *v, unsigned i)
{
	struct virtio_dev *d = &v->net->dev;
	unsigned queue = NET_RX_QUEUE(v->pair) + i;

	virtio_lock(d);
	if (d->started && !d->stopping && !d->broken && call_ours(d, queue, v->vhost.call[i])) {
		d->irqs++;
		d->irq.queue(d->irq.ctx, queue);
	}
	virtio_unlock(d);
}

static void on_rx_call(struct watch *w, uint32_t events)
{
	on_call(w->owner, VHOST_RX);
}

static void on_tx_call(struct watch *w, uint32_t events)
{
	on_call(w->owner, VHOST_TX);
}

static void on_error(struct watch *w, uint32_t events)
{
	struct net_vhost *v = w->owner;
	struct virtio_dev *d = &v->net->dev;

	virtio_lock(d);
	if (take(v->vhost.error) && d->started && !d->stopping) {
		virtio_break(d, "the driver broke a ring's rules");
		net_vhost_stop(d);
	}
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

/* The pair's signals become interrupts without us, as far as the transport can. */
static void wire(struct virtio_dev *d, const struct net_vhost *v) REQUIRES(d->lock)
{
	for (unsigned i = 0; i < VHOST_QUEUES && d->irq.wire; i++)
		d->irq.wire(d->irq.ctx, NET_RX_QUEUE(v->pair) + i,
			    v->vhost.on[i] ? v->vhost.call[i] : -1);
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
	if (err) {
		virtio_break(d, "the kernel's vhost-net does not take its rings");
		net_vhost_stop(d);
	}
	for (unsigned i = 0; i < pairs && !err; i++)
		wire(d, &n->vhost[i]);
	net_vhost_kick(d);
}

void net_vhost_stop(struct virtio_dev *d)
{
	struct net *n = net_of(d);

	for (unsigned i = 0; i < n->vhosts; i++) {
		struct vhost *v = &n->vhost[i].vhost;

		vhost_stop(v);
		wire(d, &n->vhost[i]);
		/* What was signalled is not the next driver's. */
		take(v->error);
		for (unsigned k = 0; k < VHOST_QUEUES; k++)
			take(v->call[k]);
	}
}

int net_vhost_bell(struct virtio_dev *d, unsigned queue)
{
	const struct net *n = net_of(d);

	if (queue / VHOST_QUEUES >= n->vhosts || (n->ctrl && queue == n->ctrl))
		return -1;
	return n->vhost[queue / VHOST_QUEUES].vhost.kick[queue % VHOST_QUEUES];
}

void net_vhost_kick(struct virtio_dev *d)
{
	struct net *n = net_of(d);

	for (unsigned i = 0; i < n->vhosts; i++)
		vhost_kick(&n->vhost[i].vhost);
}
