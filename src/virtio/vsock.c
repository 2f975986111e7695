/*
 * vsock.c - virtio socket device [virtio 1.2, 5.10]: packets between the rings and connections,
 * whose other ends are Unix sockets (vsock_unix.c).
 * Modelled: streams, all operations, credit, half-closes, transport reset. Chains are given back in
 * the order in which they came, so IN_ORDER is offered. Not modelled: SEQPACKET, other CIDs than
 * the host's.
 *
 * Bytes for the guest are read straight into its buffers, of several chains in one call when much
 * is coming. Connections with something to say wait in a list, and each says one packet or one such
 * burst before the next has its turn. RSTs to connections that are not there wait in a ring; when
 * it is full, the TX queue waits, until the driver gives RX buffers [5.10.6.1.2]. Device lock held
 * by the caller of everything but init, finish and transport_reset.
 */
#include "vsock.h"

#include <errno.h>
#include <string.h>

#include "../log.h"
#include "vsock_unix.h"

#define VIRTIO_F_IN_ORDER BIT(35)
#define VSOCK_QUEUE_SIZE  256u
#define VSOCK_QUEUES      3u
#define BURST_CHAINS      16u
#define BURST_PIECES      64u

static struct vsock *vsock_of(struct virtio_dev *d)
{
	return (struct vsock *)((char *)d - offsetof(struct vsock, dev));
}

static struct vsock_hdr header(const struct vsock *v, uint32_t local, uint32_t peer, unsigned op)
{
	return (struct vsock_hdr){
		.src_cid = VSOCK_CID_HOST,
		.dst_cid = v->cid,
		.src_port = local,
		.dst_port = peer,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = (uint16_t)op,
	};
}

static struct vsock_hdr conn_header(const struct vsock *v, const struct vsock_conn *c, unsigned op)
{
	struct vsock_hdr h = header(v, c->local, c->peer, op);

	h.buf_alloc = VSOCK_BUF;
	h.fwd_cnt = c->fwd_cnt;
	if (op == VIRTIO_VSOCK_OP_SHUTDOWN)
		h.flags = c->host_shut;
	return h;
}

/* --- TX: from the guest --- */

/* There is no such connection, or there will be none. RSTs are not answered. */
static void tx_refuse(struct vsock *v, const struct vsock_hdr *h) REQUIRES(v->dev.lock)
{
	struct vsock_rst *r = &v->rst[(v->rst_at + v->rsts) % VSOCK_RSTS];

	if (h->op == VIRTIO_VSOCK_OP_RST)
		return;
	*r = (struct vsock_rst){.local = h->dst_port, .peer = h->src_port, .type = h->type};
	v->rsts++;
}

/* The guest connects to a listener of the host. */
static void tx_request(struct vsock *v, const struct vsock_hdr *h) REQUIRES(v->dev.lock)
{
	struct vsock_conn *c = vsock_conn_new(v->pool, VSOCK_OPEN);

	v->dialed++;
	if (c) {
		vsock_conn_bind(v->pool, c, h->dst_port, h->src_port);
		c->peer_buf_alloc = h->buf_alloc;
		c->peer_fwd_cnt = h->fwd_cnt;
	}
	if (!c || !vsock_dial(v, c)) {
		v->undialed++;
		if (c)
			vsock_conn_free(v->pool, c);
		tx_refuse(v, h);
		return;
	}
	c->wants = BIT(VIRTIO_VSOCK_OP_RESPONSE);
	vsock_poke(v, c);
}

static void tx_data(struct vsock *v, struct vsock_conn *c, const struct chain *chain,
		    const struct vsock_hdr *h) REQUIRES(v->dev.lock)
{
	bool good = c->state == VSOCK_OPEN && !(c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_F_SEND) &&
		    h->len <= chain->read_bytes - VSOCK_HDR_LEN;

	if (good) {
		if (h->len)
			vsock_send(v, c, chain, h->len);
		return;
	}
	/* A stream with a hole in it is none. */
	v->dev.errors++;
	vsock_kill(v, c);
}

static void tx_shutdown(struct vsock *v, struct vsock_conn *c, uint32_t flags) REQUIRES(v->dev.lock)
{
	if (c->state != VSOCK_OPEN) {
		vsock_kill(v, c);
		return;
	}
	c->guest_shut |= (uint8_t)(flags & VSOCK_SHUTDOWN_BOTH);
}

/* A packet of a connection that is there. */
static void tx_conn(struct vsock *v, struct vsock_conn *c, const struct chain *chain,
		    const struct vsock_hdr *h) REQUIRES(v->dev.lock)
{
	c->peer_buf_alloc = h->buf_alloc;
	c->peer_fwd_cnt = h->fwd_cnt;
	if (vsock_credit(c))
		c->credit_asked = false;
	switch (h->op) {
	case VIRTIO_VSOCK_OP_RESPONSE:
		if (c->state == VSOCK_ASKED)
			vsock_answered(v, c);
		else
			v->dev.errors++;
		break;
	case VIRTIO_VSOCK_OP_RW: tx_data(v, c, chain, h); break;
	case VIRTIO_VSOCK_OP_SHUTDOWN: tx_shutdown(v, c, h->flags); break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE: break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST: c->wants |= BIT(VIRTIO_VSOCK_OP_CREDIT_UPDATE); break;
	default: v->dev.errors++; break; /* none, or a second request */
	}
	vsock_settle(v, c);
	vsock_poke(v, c);
}

static void tx_packet(struct vsock *v, const struct chain *chain) REQUIRES(v->dev.lock)
{
	struct vsock_conn *c;
	struct vsock_hdr h;

	if (chain_read(chain, 0, &h, sizeof(h)) < sizeof(h) || h.src_cid != v->cid ||
	    h.dst_cid != VSOCK_CID_HOST) {
		v->dev.errors++;
		return;
	}
	c = vsock_conn_find(v->pool, h.dst_port, h.src_port);
	if (h.type != VIRTIO_VSOCK_TYPE_STREAM || (!c && h.op != VIRTIO_VSOCK_OP_REQUEST))
		tx_refuse(v, &h);
	else if (!c)
		tx_request(v, &h);
	else if (h.op == VIRTIO_VSOCK_OP_RST)
		vsock_drop(v, c);
	else if (c->state != VSOCK_DEAD)
		tx_conn(v, c, chain, &h);
}

static void tx(struct vsock *v) REQUIRES(v->dev.lock)
{
	struct virtio_dev *d = &v->dev;
	struct queue *q = &d->queue[VSOCK_TX];
	unsigned budget = q->size;
	bool more = true;
	struct chain c;

	queue_quiet(q);
	for (; more && budget && v->rsts < VSOCK_RSTS; budget--) {
		if (!virtio_pop(&v->dev, VSOCK_TX, &c)) {
			more = virtio_live(&v->dev) && queue_listen(q);
			continue;
		}
		tx_packet(v, &c);
		queue_push(q, c.head, 0);
	}
	v->tx_held = more && v->rsts == VSOCK_RSTS;
	d->again |= more && !v->tx_held;
	virtio_flush(&v->dev, VSOCK_TX);
}

/* --- RX: to the guest --- */

/*
 * The next chain that has `least` bytes; smaller ones go back. false: there is none, and the driver
 * will notify; or the budget is used up.
 */
static bool rx_chain(struct vsock *v, struct chain *c, uint32_t least, unsigned *budget)
	REQUIRES(v->dev.lock)
{
	struct virtio_dev *d = &v->dev;
	struct queue *q = &d->queue[VSOCK_RX];

	for (; *budget; (*budget)--) {
		if (!virtio_pop(&v->dev, VSOCK_RX, c)) {
			if (!virtio_live(&v->dev) || !queue_listen(q))
				return false;
			continue;
		}
		if (c->write_bytes >= least)
			return true;
		d->errors++;
		queue_push(q, c->head, 0);
	}
	d->again = true;
	return false;
}

static bool rx_put(struct vsock *v, const struct vsock_hdr *h, unsigned *budget)
	REQUIRES(v->dev.lock)
{
	struct chain chain;

	if (!rx_chain(v, &chain, VSOCK_HDR_LEN, budget))
		return false;
	(*budget)--;
	chain_write(&chain, 0, h, sizeof(*h));
	queue_push(&v->dev.queue[VSOCK_RX], chain.head, sizeof(*h));
	return true;
}

static bool rx_rst(struct vsock *v, unsigned *budget) REQUIRES(v->dev.lock)
{
	const struct vsock_rst *r = &v->rst[v->rst_at];
	struct vsock_hdr h = header(v, r->local, r->peer, VIRTIO_VSOCK_OP_RST);

	h.type = r->type;
	if (!rx_put(v, &h, budget))
		return false;
	v->rst_at = (v->rst_at + 1) % VSOCK_RSTS;
	v->rsts--;
	return true;
}

/* What a packet that was sent leaves behind. */
static void rx_said(struct vsock *v, struct vsock_conn *c, unsigned op) REQUIRES(v->dev.lock)
{
	c->wants &= (uint8_t) ~(BIT(op) | BIT(VIRTIO_VSOCK_OP_CREDIT_UPDATE));
	c->told_cnt = c->fwd_cnt;
	switch (op) {
	case VIRTIO_VSOCK_OP_RST: vsock_drop(v, c); break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		c->told_shut = c->host_shut;
		vsock_settle(v, c);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST: c->credit_asked = true; break;
	default: break;
	}
}

/* Chains that one read fills, a packet each. */
struct burst {
	unsigned n, pieces;
	size_t size; /* of the payloads */
	struct iovec iov[BURST_PIECES];
	struct {
		uint16_t head;
		uint32_t room;
		unsigned parts;
		struct iovec hdr[sizeof(struct vsock_hdr)]; /* in a byte each, at the worst */
	} pkt[BURST_CHAINS];
};

static void burst_add(struct burst *b, const struct chain *c, size_t want)
{
	struct iovec *iov = b->iov + b->pieces;
	unsigned n = chain_slice(c, true, VSOCK_HDR_LEN, want, iov, BURST_PIECES - b->pieces);
	size_t room = 0;

	for (unsigned i = 0; i < n; i++)
		room += iov[i].iov_len;
	b->pkt[b->n].head = c->head;
	b->pkt[b->n].room = (uint32_t)room;
	b->pkt[b->n].parts = chain_slice(c, true, 0, VSOCK_HDR_LEN, b->pkt[b->n].hdr,
					 ARRAY_SIZE(b->pkt[b->n].hdr));
	b->n++;
	b->pieces += n;
	b->size += room;
}

static void rx_unpop(struct vsock *v) REQUIRES(v->dev.lock)
{
	queue_unpop(&v->dev.queue[VSOCK_RX]);
	v->dev.chains--;
}

/* Chains with `want` bytes of room together, at most `most`, or as many as there are at once. */
static bool burst_gather(struct vsock *v, struct burst *b, size_t want, unsigned most,
			 unsigned *budget) REQUIRES(v->dev.lock)
{
	struct chain c;

	b->n = b->pieces = 0;
	b->size = 0;
	if (!rx_chain(v, &c, VSOCK_HDR_LEN + 1, budget))
		return false;
	burst_add(b, &c, want);
	most = MIN(most, *budget);
	while (b->n < most && b->size < want && b->pieces < BURST_PIECES &&
	       virtio_pop(&v->dev, VSOCK_RX, &c)) {
		if (c.write_bytes <= VSOCK_HDR_LEN) { /* goes back in its turn */
			rx_unpop(v);
			break;
		}
		burst_add(b, &c, want - b->size);
	}
	return true;
}

/* The packets that `got` bytes fill, and their headers. How many. */
static unsigned burst_push(struct vsock *v, const struct vsock_conn *c, struct burst *b, size_t got)
	REQUIRES(v->dev.lock)
{
	struct vsock_hdr h = conn_header(v, c, VIRTIO_VSOCK_OP_RW);
	unsigned i;

	for (i = 0; i < b->n && got; i++) {
		const uint8_t *from = (const uint8_t *)&h;

		h.len = (uint32_t)MIN(got, b->pkt[i].room);
		for (unsigned j = 0; j < b->pkt[i].parts; j++) {
			memcpy(b->pkt[i].hdr[j].iov_base, from, b->pkt[i].hdr[j].iov_len);
			from += b->pkt[i].hdr[j].iov_len;
		}
		queue_push(&v->dev.queue[VSOCK_RX], b->pkt[i].head, VSOCK_HDR_LEN + h.len);
		got -= h.len;
	}
	return i;
}

/* One read of the host's socket: one packet, or a burst of them if the last read was a full one. */
static bool rx_data(struct vsock *v, struct vsock_conn *c, unsigned *budget) REQUIRES(v->dev.lock)
{
	size_t want = MIN(vsock_credit(c), VSOCK_PAYLOAD_MAX), got;
	struct burst b;
	unsigned used;

	if (!burst_gather(v, &b, want, c->bulk ? BURST_CHAINS : 1, budget))
		return false;
	got = vsock_recv(v, c, b.iov, b.pieces, b.size);
	used = burst_push(v, c, &b, got);
	for (unsigned i = used; i < b.n; i++)
		rx_unpop(v);
	*budget -= used;
	if (used)
		rx_said(v, c, VIRTIO_VSOCK_OP_RW);
	return true;
}

/* false: there are no chains. */
static bool rx_conn(struct vsock *v, struct vsock_conn *c, unsigned *budget) REQUIRES(v->dev.lock)
{
	unsigned op = vsock_says(c);
	struct vsock_hdr h;

	if (op == VIRTIO_VSOCK_OP_RW) {
		if (!rx_data(v, c, budget))
			return false;
	} else if (op) {
		h = conn_header(v, c, op);
		if (!rx_put(v, &h, budget))
			return false;
		rx_said(v, c, op);
	}
	vsock_list_del(v->pool, VSOCK_RUN, c); /* others first, if it has more to say */
	vsock_poke(v, c);
	return true;
}

static void rx(struct vsock *v) REQUIRES(v->dev.lock)
{
	unsigned budget = v->dev.queue[VSOCK_RX].size;
	struct vsock_conn *c;
	bool more = true;

	queue_quiet(&v->dev.queue[VSOCK_RX]);
	while (more && v->rsts)
		more = rx_rst(v, &budget);
	/* A guest that is awake takes the first packets while the next are read. */
	for (; more && (c = vsock_list_first(v->pool, VSOCK_RUN)); virtio_flush(&v->dev, VSOCK_RX))
		more = rx_conn(v, c, &budget);
	virtio_flush(&v->dev, VSOCK_RX);
}

/* --- the device --- */

static void vsock_start(struct virtio_dev *d) UNCHECKED
{
	queue_quiet(&d->queue[VSOCK_EVENT]);
	vsock_open(vsock_of(d));
}

/* Nothing is in flight between turns. */
static bool vsock_stop(struct virtio_dev *d) UNCHECKED
{
	struct vsock *v = vsock_of(d);

	vsock_close(v);
	v->rsts = 0;
	return true;
}

static void vsock_notify(struct virtio_dev *d) UNCHECKED
{
	struct vsock *v = vsock_of(d);

	vsock_accept(v);
	tx(v);
	rx(v);
	d->again |= v->tx_held && v->rsts < VSOCK_RSTS;
}

static void vsock_tick(struct virtio_dev *d, uint64_t now) UNCHECKED
{
	vsock_expire(vsock_of(d), now);
	d->again = true;
}

static const struct virtio_ops vsock_ops = {
	.name = "vsock",
	.id = VIRTIO_ID_VSOCK,
	.start = vsock_start,
	.notify = vsock_notify,
	.stop = vsock_stop,
	.tick = vsock_tick,
};

int vsock_init(struct vsock *v, const struct vsock_conf *c, const struct virtio_host *host,
	       const struct ram *ram, const struct watcher *watcher)
{
	uint64_t cid = c->cid;
	int err = vsock_check_path(c->path);

	if (err)
		return err;
	*v = (struct vsock){
		.watcher = watcher, .cid = c->cid, .fd = -1, .listener.fd = -1, .accept_at = NEVER};
	memcpy(v->path, c->path, strlen(c->path) + 1);
	virtio_init(&v->dev, &vsock_ops, host, ram, VIRTIO_F_IN_ORDER, VSOCK_QUEUES,
		    VSOCK_QUEUE_SIZE);
	memcpy(v->dev.config, &cid, sizeof(cid)); /* guest_cid [5.10.4] */
	v->dev.config_len = sizeof(cid);
	v->pool = vsock_pool_map();
	if (!v->pool)
		return log_fail(errno, "vsock %s: no memory for connections: %s", c->path,
				strerror(errno));
	err = vsock_listen(v, c->fd);
	if (err)
		vsock_pool_unmap(v->pool);
	return err;
}

void vsock_finish(struct vsock *v)
{
	virtio_lock(&v->dev);
	vsock_close(v);
	virtio_unlock(&v->dev);
	vsock_unlisten(v);
	vsock_pool_unmap(v->pool);
}

bool vsock_transport_reset(struct vsock *v)
{
	const uint32_t id = VIRTIO_VSOCK_EVENT_TRANSPORT_RESET;
	struct chain c;
	bool told;

	virtio_lock(&v->dev);
	told = virtio_pop(&v->dev, VSOCK_EVENT, &c);
	if (told) {
		uint32_t len = (uint32_t)chain_write(&c, 0, &id, sizeof(id));

		queue_push(&v->dev.queue[VSOCK_EVENT], c.head, len);
		virtio_flush(&v->dev, VSOCK_EVENT);
	}
	virtio_unlock(&v->dev);
	return told;
}
