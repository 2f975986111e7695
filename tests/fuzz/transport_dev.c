/* transport_dev.c - the devices behind the transports, and the monitor around them. */
#include "transport.h"

#include <string.h>

#include "fuzz.h"

#define TURN  4u  /* chains of a queue a turn: less than there may be */
#define TURNS 64u /* more than all chains need */

static struct plug *plug_of(struct virtio_dev *d)
{
	return (struct plug *)((char *)d - offsetof(struct plug, dev));
}

static struct plugs *plugs_of(struct virtio_dev *d)
{
	return d->host->ctx;
}

static void dev_start(struct virtio_dev *d) REQUIRES(d->lock)
{
	struct plug *g = plug_of(d);

	CHECK(!g->began && !g->draining && virtio_live(d));
	g->began = true;
}

static void check_chain(const struct plugs *p, const struct chain *c)
{
	uint64_t bytes = 0;

	CHECK(c->readable + c->writable <= QUEUE_SIZE_MAX && c->head < PLUG_SIZE);
	for (unsigned i = 0; i < c->readable + c->writable; i++) {
		size_t at = (size_t)((uint8_t *)c->iov[i].iov_base - p->mem);

		CHECK(c->iov[i].iov_len && at < PLUG_RAM && c->iov[i].iov_len <= PLUG_RAM - at);
		bytes += c->iov[i].iov_len;
	}
	CHECK(bytes == (uint64_t)c->read_bytes + c->write_bytes);
}

static void echo(struct virtio_dev *d, unsigned n) REQUIRES(d->lock)
{
	struct plugs *p = plugs_of(d);
	struct chain *c = &p->chain;
	uint8_t text[64];
	unsigned done = 0;

	queue_quiet(&d->queue[n]);
	while (done < TURN && virtio_pop(d, n, c)) {
		size_t len = chain_read(c, 0, text, sizeof(text));

		check_chain(p, c);
		CHECK(len <= c->read_bytes);
		len = chain_write(c, 0, text, len);
		CHECK(len <= c->write_bytes);
		queue_push(&d->queue[n], c->head, (uint32_t)len);
		done++;
		p->chains++;
	}
	if (done == TURN || queue_listen(&d->queue[n]))
		d->again = true;
	virtio_flush(d, n);
}

static void dev_notify(struct virtio_dev *d) REQUIRES(d->lock)
{
	CHECK(plug_of(d)->began);
	for (unsigned n = 0; n < d->queues; n++)
		if (d->queue[n].started)
			echo(d, n);
}

static bool dev_stop(struct virtio_dev *d)
{
	struct plug *g = plug_of(d);

	CHECK(g->began);
	g->began = false;
	g->draining = g->stops_late;
	return !g->draining;
}

static void dev_config_write(struct virtio_dev *d, unsigned off, unsigned size, uint32_t val)
	REQUIRES(d->lock)
{
	CHECK(off < PLUG_CONFIG && size <= PLUG_CONFIG - off);
	memcpy(d->config + off, &val, size);
	if (val & 1)
		virtio_config_changed(d);
}

static const struct virtio_ops ops[DEVICES] = {
	{"blk",   2,  dev_start, dev_notify, dev_stop, NULL, NULL, dev_config_write, NULL},
	{"net",   1,  dev_start, dev_notify, dev_stop, NULL, NULL, NULL,             NULL},
	{"rng",   4,  dev_start, dev_notify, dev_stop, NULL, NULL, dev_config_write, NULL},
	{"vsock", 19, dev_start, dev_notify, dev_stop, NULL, NULL, dev_config_write, NULL},
};

static void on_kick(void *ctx, struct virtio_dev *d)
{
	plug_of(d)->kicked = true;
}

static void on_wake_at(void *ctx, uint64_t deadline)
{
	CHECK(false); /* no device here keeps time */
}

static void on_bell(void *ctx, struct virtio_dev *d, uint64_t old, uint64_t gpa) REQUIRES(d->lock)
{
	struct plug *g = plug_of(d);

	CHECK(old == g->bell && gpa != old);
	CHECK(!gpa || virtio_live(d));
	g->bell = gpa;
}

static bool is_free(pthread_mutex_t *m)
{
	if (pthread_mutex_trylock(m))
		return false;
	pthread_mutex_unlock(m);
	return true;
}

/* The CPU sleeps; another goes on, and then the loop comes. */
static void on_await_reset(void *ctx, struct virtio_dev *d)
{
	struct plugs *p = ctx;
	uint32_t before = d->resets;

	CHECK(is_free(&d->lock.mutex) && is_free(&p->w.board.lock.mutex));
	CHECK(d->stopping);
	p->meanwhile(p->ctx);
	if (d->resets != before)
		return;
	virtio_service(d);
	if (d->resets == before)
		plug_drained(p, (unsigned)(plug_of(d) - p->plug));
	CHECK(d->resets != before);
}

/* A guest's table may say anything; what leaves is a double word's address. */
static int on_msi(void *ctx, uint64_t addr, uint32_t data)
{
	struct plugs *p = ctx;

	CHECK(addr % 4 == 0);
	p->msis++;
	return p->w.msi_result;
}

static void add(struct plugs *p, unsigned n)
{
	struct virtio_dev *d = &p->plug[n].dev;

	virtio_init(d, &ops[n], &p->host, &p->ram, BIT(3) | BIT(40), PLUG_QUEUES, PLUG_SIZE);
	d->config_len = PLUG_CONFIG;
	if (n < MMIO_A) {
		board_add_pci(&p->w.board, PLUG_SLOT + n, &p->vpci[n], d);
		memcpy(p->plug[n].initial, p->vpci[n].fn.cfg, PCI_CFG);
	} else {
		board_add_mmio(&p->w.board, n == MMIO_A ? 0 : PLUG_SHARED, &p->vmmio[n - MMIO_A],
			       d);
	}
}

void plugs_init(struct plugs *p, unsigned cpus)
{
	world_init(&p->w, false, cpus, 1);
	memset(p->plug, 0, sizeof(p->plug));
	memset(p->mem, 0, sizeof(p->mem));
	p->msis = p->pulses = p->chains = 0;
	p->ram = (struct ram){.host = p->mem, .low = PLUG_RAM};
	p->sink = (struct irq_sink){.ctx = p, .msi = on_msi};
	p->w.board.transport.sink = &p->sink;
	p->host = (struct virtio_host){.ctx = p,
				       .kick = on_kick,
				       .wake_at = on_wake_at,
				       .bell = on_bell,
				       .await_reset = on_await_reset};
	for (unsigned n = 0; n < DEVICES; n++)
		add(p, n);
	plugs_check(p, true);
}

void plug_serve(struct plugs *p, unsigned d)
{
	p->plug[d].kicked = false;
	virtio_service(&p->plug[d].dev);
	plugs_check(p, false);
}

void plug_drained(struct plugs *p, unsigned d)
{
	struct plug *g = &p->plug[d];

	if (!g->draining)
		return;
	g->draining = false;
	virtio_lock(&g->dev);
	virtio_stopped(&g->dev);
	virtio_unlock(&g->dev);
	plugs_check(p, false);
}

/*
 * A turn takes chains, and there is an end to them, but for rings that lie in each other: these the
 * loop serves for ever, a turn at a time.
 */
void plugs_settle(struct plugs *p)
{
	bool quiet = true;

	for (unsigned d = 0; d < DEVICES; d++) {
		struct plug *g = &p->plug[d];

		for (unsigned turns = 0; turns < TURNS && (g->kicked || g->dev.again); turns++)
			plug_serve(p, d);
		quiet = quiet && !g->kicked && !g->dev.again;
	}
	plugs_check(p, quiet);
}
