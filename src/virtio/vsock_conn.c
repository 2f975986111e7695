/*
 * vsock_conn.c - connections of a vsock: a pool of slots, a table of ports, lists, credit.
 * Slots and buffers are reused last in, first out, so that few pages are ever touched. A buffer
 * belongs to a connection only while it holds something, which is the exception: mostly the host's
 * socket takes what the guest sends.
 */
#include "vsock_conn.h"

#include <string.h>
#include <sys/mman.h>

struct vsock_pool *vsock_pool_map(void)
{
	struct vsock_pool *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* One byte of it must not cost 2 MiB. Kernels without large pages refuse. */
	madvise(p, sizeof(*p), MADV_NOHUGEPAGE);
	p->last_port = VSOCK_PORT_FIRST + VSOCK_PORTS - 1;
	return p;
}

void vsock_pool_unmap(struct vsock_pool *p)
{
	munmap(p, sizeof(*p));
}

void vsock_pool_reset(struct vsock_pool *p)
{
	if (!p->fresh_bufs)
		return;
	madvise(p->buf[1], p->fresh_bufs * sizeof(p->buf[1]), MADV_DONTNEED);
	p->given_back++;
	p->fresh_bufs = p->warms = p->colds = 0;
}

static uint16_t number(const struct vsock_pool *p, const struct vsock_conn *c)
{
	return (uint16_t)(c - p->conn);
}

/* --- slots --- */

struct vsock_conn *vsock_conn_new(struct vsock_pool *p, enum vsock_state state)
{
	struct vsock_conn *c;
	uint16_t n = p->free;

	if (n)
		p->free = p->conn[n].next;
	else if (p->fresh < VSOCK_CONNS)
		n = ++p->fresh;
	else
		return NULL;
	c = &p->conn[n];
	*c = (struct vsock_conn){.watch.fd = -1, .deadline = NEVER, .state = (uint8_t)state};
	for (unsigned i = 0; i < VSOCK_LISTS; i++)
		c->link[i].next = c->link[i].prev = n;
	p->conns++;
	return c;
}

/* The local port is ours or the guest's choice; a chain has VSOCK_CONNS links at the most. */
static uint16_t *bucket(struct vsock_pool *p, uint32_t local, uint32_t peer)
{
	uint64_t key = ((uint64_t)local << 32 | peer) * 0x9e3779b97f4a7c15ull;

	_Static_assert(VSOCK_BUCKETS == 1u << (64 - 54), "the key's upper bits count them");
	return &p->bucket[key >> 54];
}

void vsock_conn_bind(struct vsock_pool *p, struct vsock_conn *c, uint32_t local, uint32_t peer)
{
	uint16_t *at = bucket(p, local, peer);

	c->local = local;
	c->peer = peer;
	c->next = *at;
	*at = number(p, c);
}

struct vsock_conn *vsock_conn_find(struct vsock_pool *p, uint32_t local, uint32_t peer)
{
	for (uint16_t n = *bucket(p, local, peer); n; n = p->conn[n].next)
		if (p->conn[n].local == local && p->conn[n].peer == peer)
			return &p->conn[n];
	return NULL;
}

/* No connection is in its way for long: there are far more ports than connections. */
uint32_t vsock_port(struct vsock_pool *p, uint32_t peer)
{
	do
		p->last_port = (uint32_t)(VSOCK_PORT_FIRST + (p->last_port + 1) % VSOCK_PORTS);
	while (vsock_conn_find(p, p->last_port, peer));
	return p->last_port;
}

/* --- lists --- */

void vsock_list_add(struct vsock_pool *p, enum vsock_list list, struct vsock_conn *c)
{
	uint16_t n = number(p, c), last = p->conn[0].link[list].prev;

	if (c->link[list].next != n)
		return;
	c->link[list].prev = last;
	c->link[list].next = 0;
	p->conn[last].link[list].next = n;
	p->conn[0].link[list].prev = n;
}

void vsock_list_del(struct vsock_pool *p, enum vsock_list list, struct vsock_conn *c)
{
	uint16_t n = number(p, c), next = c->link[list].next, prev = c->link[list].prev;

	p->conn[prev].link[list].next = next;
	p->conn[next].link[list].prev = prev;
	c->link[list].next = c->link[list].prev = n;
}

struct vsock_conn *vsock_list_first(struct vsock_pool *p, enum vsock_list list)
{
	uint16_t n = p->conn[0].link[list].next;

	return n ? &p->conn[n] : NULL;
}

/* --- buffers --- */

static uint16_t buf_get(struct vsock_pool *p)
{
	if (p->warms)
		return p->warm[--p->warms];
	if (p->colds)
		return p->cold[--p->colds];
	return ++p->fresh_bufs;
}

static void buf_put(struct vsock_pool *p, uint16_t n)
{
	if (p->warms < VSOCK_WARM) {
		p->warm[p->warms++] = n;
		return;
	}
	madvise(p->buf[n], sizeof(p->buf[n]), MADV_DONTNEED);
	p->given_back++;
	p->cold[p->colds++] = n;
}

void vsock_hold(struct vsock_pool *p, struct vsock_conn *c, const struct chain *chain, size_t off,
		uint32_t len)
{
	uint32_t end = (c->held_at + c->held) % VSOCK_BUF, first = MIN(len, VSOCK_BUF - end);

	if (!c->buf)
		c->buf = buf_get(p);
	chain_read(chain, off, p->buf[c->buf] + end, first);
	chain_read(chain, off + first, p->buf[c->buf], len - first);
	c->held += len;
}

unsigned vsock_held(struct vsock_pool *p, const struct vsock_conn *c, struct iovec iov[2])
{
	uint32_t first = MIN(c->held, VSOCK_BUF - c->held_at);

	iov[0] = (struct iovec){p->buf[c->buf] + c->held_at, first};
	iov[1] = (struct iovec){p->buf[c->buf], c->held - first};
	return (c->held > 0) + (c->held > first);
}

void vsock_unhold(struct vsock_pool *p, struct vsock_conn *c, uint32_t n)
{
	c->fwd_cnt += n;
	c->held -= n;
	c->held_at = (c->held_at + n) % VSOCK_BUF;
	if (c->held || !c->buf)
		return;
	buf_put(p, c->buf);
	c->buf = 0;
	c->held_at = 0;
}

void vsock_conn_free(struct vsock_pool *p, struct vsock_conn *c)
{
	uint16_t n = number(p, c), *at = bucket(p, c->local, c->peer);

	for (unsigned i = 0; i < VSOCK_LISTS; i++)
		vsock_list_del(p, (enum vsock_list)i, c);
	while (*at && *at != n) /* not there before it has ports */
		at = &p->conn[*at].next;
	if (*at)
		*at = c->next;
	vsock_unhold(p, c, c->held);
	c->state = VSOCK_FREE;
	c->wants = 0;
	c->next = p->free;
	p->free = n;
	p->conns--;
}

/* --- credit --- */

/*
 * The guest's numbers are what it likes. More in flight than its buffer holds, or less than none
 * (which wraps): nothing may be sent.
 */
uint32_t vsock_credit(const struct vsock_conn *c)
{
	uint32_t in_flight = c->sent - c->peer_fwd_cnt;

	return in_flight < c->peer_buf_alloc ? c->peer_buf_alloc - in_flight : 0;
}

/*
 * What the guest counts as in flight is what we got since the count that it knows. An update is
 * worth a packet when it gives half of the credit back, so that a stream never stops for it, or
 * more than a few bytes to a guest that is about to stop.
 */
bool vsock_owes_credit(const struct vsock_conn *c)
{
	uint32_t news = c->fwd_cnt - c->told_cnt, in_flight = news + c->held;

	return news >= VSOCK_BUF / 2 ||
	       (in_flight > VSOCK_BUF - VSOCK_CREDIT_LOW && news >= VSOCK_CREDIT_LOW);
}

/* An end is only known once all bytes before it were read, so it does not overtake them. */
unsigned vsock_says(const struct vsock_conn *c)
{
	bool reads = c->readable && !(c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_F_RECEIVE);

	if (c->state == VSOCK_DEAD)
		return VIRTIO_VSOCK_OP_RST;
	if (c->wants & BIT(VIRTIO_VSOCK_OP_REQUEST))
		return VIRTIO_VSOCK_OP_REQUEST;
	if (c->wants & BIT(VIRTIO_VSOCK_OP_RESPONSE))
		return VIRTIO_VSOCK_OP_RESPONSE;
	if (c->state != VSOCK_OPEN)
		return 0;
	if (c->host_shut != c->told_shut)
		return VIRTIO_VSOCK_OP_SHUTDOWN;
	if (reads && vsock_credit(c))
		return VIRTIO_VSOCK_OP_RW;
	if (reads && !c->credit_asked)
		return VIRTIO_VSOCK_OP_CREDIT_REQUEST;
	return c->wants & BIT(VIRTIO_VSOCK_OP_CREDIT_UPDATE) ? VIRTIO_VSOCK_OP_CREDIT_UPDATE : 0;
}
