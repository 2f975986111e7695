/*
 * virtio_work.c - a well-behaved driver of every virtio device that is there: a disk written and
 * read back with 32 requests in flight, entropy, an ARP exchange over the tap, a connection over
 * vsock that is echoed, a balloon inflated to its target. Once by plain descriptors, once with
 * indirect ones and event indices. Completions come by interrupt: MSI-X, or the window's pin.
 *
 * echo=PORT: the host listens there; peer=A.B.C.D as one number: who answers on the tap.
 */
#include "lib/virtio.h"

#define VECTOR      0x50 /* and the device's number */
#define TICK_VECTOR 0x41
#define TICK_NS     500000000 /* KVM's LAPIC counts at 1 GHz */
#define DEPTH       32
#define BLOCK       4096
#define BLOCKS      256
#define SECTOR      512
#define BLK_IN      0
#define BLK_OUT     1
#define BLK_FLUSH   4
#define BLK_ID      8
#define BLK_OK      0
#define BLK_F_RO    (1ull << 5)
#define BLK_F_FLUSH (1ull << 9)
#define PROBES      16 /* words looked at in a block */

static struct vdev dev[DEVICES_MAX];
static unsigned devices;
static volatile unsigned interrupts[DEVICES_MAX];

/* --- interrupts --- */

static void interrupt(const struct frame *f)
{
	unsigned n = f->vector - VECTOR;

	interrupts[n]++;
	if (dev[n].mmio)
		vdev_isr(&dev[n]);
	lapic_write(LAPIC_EOI, 0);
}

/* So that who sleeps looks at the clock. */
static void tick(const struct frame *f)
{
	lapic_write(LAPIC_EOI, 0);
}

/* The pins of the windows, in their order. */
static const uint8_t pins[] = {5, 6, 7, 12, 14, 15, 16, 17};

static void interrupts_on(unsigned n)
{
	struct vdev *v = &dev[n];

	on_vector(VECTOR + n, interrupt);
	if (v->mmio) {
		unsigned pin = pins[(v->regs - 0xc0001000) / 0x1000];

		ioapic_write(IOAPIC_RTE(pin) + 1, 0);
		ioapic_write(IOAPIC_RTE(pin), VECTOR + n);
		return;
	}
	msix_set(v, 0, 0, (uint8_t)(VECTOR + n));
	msix_enable(v, true);
}

/* DRIVER_OK with the first `queues` queues, their interrupts connected. */
static void open_some(struct vdev *v, uint64_t features, unsigned queues)
{
	if (!vdev_begin(v, features))
		fail("FEATURES_OK is refused");
	if (!v->mmio && msix_assign(v, -1, 0) != 0)
		fail("the configuration has no vector");
	for (unsigned i = 0; i < queues; i++) {
		vq_select(v, i);
		vq_setup(&v->q[i], vq_max(v) < RING_MAX ? vq_max(v) : RING_MAX);
		if (!v->mmio && msix_assign(v, (int)i, 0) != 0)
			fail("a queue has no vector");
	}
	vdev_set_status(v, S_READY | S_DRIVER_OK);
}

static void open(struct vdev *v, uint64_t features)
{
	open_some(v, features, v->queues);
}

/* Sleeps until a chain comes back; the interrupt for it must come, too. */
static void sleep_for(struct vq *q, uint32_t *head, uint32_t *len)
{
	struct stopwatch s;

	stopwatch_start(&s);
	irq_off();
	for (;;) {
		if (q->dev->features & F_EVENT_IDX)
			*q->used_event = q->seen;
		barrier();
		if (vq_used(q, head, len))
			break;
		if (stopwatch_us(&s) > PATIENCE_US)
			fail("no interrupt");
		irq_wait();
	}
	irq_on();
}

/* --- disk --- */

struct blk_head {
	uint32_t type, reserved;
	uint64_t sector;
};

static struct blk_head *heads;
static uint8_t *blocks, *states;
static struct desc *tables;

/* Where a word of a block is looked at, and what is there. */
static volatile uint32_t *probe(uint8_t *block, unsigned i)
{
	return (volatile uint32_t *)(block + i * (BLOCK / PROBES) + i * 4);
}

static uint32_t stamp(unsigned block, unsigned i, unsigned round)
{
	return block * 0x9e3779b1u + i * 0x85ebca6bu + round;
}

/* Slot `s` of DEPTH; its descriptors are 4s to 4s + 2, or one table. */
static void blk_submit(struct vq *q, unsigned s, uint32_t type, unsigned block)
{
	const struct buf b[] = {
		{&heads[s],          sizeof(*heads), false         },
		{blocks + s * BLOCK, BLOCK,          type == BLK_IN},
		{&states[s],         1,              true          },
	};
	struct desc *t = &tables[4 * s];

	heads[s] = (struct blk_head){type, 0, block * (uint64_t)(BLOCK / SECTOR)};
	states[s] = 0xff;
	if (!(q->dev->features & F_INDIRECT)) {
		vq_put(q, 4 * s, b, 3);
		return;
	}
	for (unsigned i = 0; i < 3; i++)
		t[i] = (struct desc){
			(uint32_t)b[i].at, b[i].len,
			(uint16_t)((i < 2 ? DESC_NEXT : 0) | (b[i].write ? DESC_WRITE : 0)),
			(uint16_t)(i + 1)};
	q->desc[4 * s].addr = (uint32_t)t;
	q->desc[4 * s].len = 3 * sizeof(*t);
	q->desc[4 * s].flags = DESC_INDIRECT;
	vq_avail(q, 4 * s);
}

/* All blocks, in an order of its own, DEPTH at a time. */
static void blk_pass(struct vq *q, uint32_t type, unsigned round)
{
	unsigned owner[DEPTH], sent = 0, done = 0;
	uint32_t head, len;

	while (done < BLOCKS) {
		uint16_t old = q->avail->idx;

		for (; sent < BLOCKS && sent - done < DEPTH; sent++) {
			unsigned s = sent < DEPTH ? sent : head / 4, block = sent * 37 % BLOCKS;

			owner[s] = block;
			for (unsigned i = 0; i < PROBES; i++)
				*probe(blocks + s * BLOCK, i) =
					type == BLK_OUT ? stamp(block, i, round) : 0;
			blk_submit(q, s, type, block);
		}
		vq_kick(q, old);
		sleep_for(q, &head, &len);
		done++;
		if (head % 4 || head / 4 >= DEPTH || states[head / 4] != BLK_OK)
			fail("a disk request failed");
		if (len != (type == BLK_IN ? BLOCK + 1 : 1))
			fail("a disk request has another length");
		for (unsigned i = 0; type == BLK_IN && i < PROBES; i++)
			if (*probe(blocks + head / 4 * BLOCK, i) !=
			    stamp(owner[head / 4], i, round))
				fail("the disk gives back something else");
	}
}

static void blk_simple(struct vq *q, uint32_t type, uint8_t *data, uint32_t size, bool read)
{
	const struct buf b[] = {
		{&heads[0], sizeof(*heads), false},
		{data,      size,           read },
	};
	struct buf c[3] = {b[0]};
	unsigned n = 1;
	uint16_t old = q->avail->idx;
	uint32_t head, len;

	if (size)
		c[n++] = b[1];
	c[n++] = (struct buf){&states[0], 1, true};
	heads[0] = (struct blk_head){type, 0, 0};
	states[0] = 0xff;
	vq_put(q, 0, c, n);
	vq_kick(q, old);
	sleep_for(q, &head, &len);
}

static void blk(struct vdev *v, unsigned round)
{
	struct vq *q = &v->q[0];
	uint64_t offers = vdev_offers(v);
	uint64_t ring = round ? F_INDIRECT | F_EVENT_IDX : 0;

	if (!heads) {
		heads = take(DEPTH * sizeof(*heads), 16);
		blocks = take(DEPTH * BLOCK, BLOCK);
		states = take(DEPTH, 1);
		tables = take(DEPTH * 4 * sizeof(*tables), 16);
	}
	open(v, ring | (offers & (BLK_F_RO | BLK_F_FLUSH)));
	if (*mmio32(v->config) < BLOCKS * (BLOCK / SECTOR))
		fail("the disk is smaller than a MiB");
	blk_simple(q, BLK_ID, blocks, 20, true);
	if (states[0] != BLK_OK)
		fail("the disk has no ID");
	if (offers & BLK_F_RO) {
		blk_simple(q, BLK_OUT, blocks, SECTOR, false);
		if (states[0] == BLK_OK)
			fail("a read-only disk is written");
		say("blk: read-only\n");
		return;
	}
	blk_pass(q, BLK_OUT, round);
	if (offers & BLK_F_FLUSH) {
		blk_simple(q, BLK_FLUSH, blocks, 0, false);
		if (states[0] != BLK_OK)
			fail("a flush failed");
	}
	blk_pass(q, BLK_IN, round);
	say("blk: %u blocks written and read\n", BLOCKS);
}

/* --- entropy --- */

static void rng(struct vdev *v, unsigned round)
{
	struct vq *q = &v->q[0];
	uint32_t *at = take(4 * BLOCK, BLOCK), head, len, differ = 0;

	open(v, round ? F_INDIRECT | F_EVENT_IDX : 0);
	for (unsigned i = 0; i < 4; i++) {
		uint16_t old = q->avail->idx;

		vq_put(q, i, &(struct buf){at + i * BLOCK / 4, BLOCK, true}, 1);
		vq_kick(q, old);
		sleep_for(q, &head, &len);
		if (head != i || len != BLOCK)
			fail("entropy came short");
	}
	for (unsigned i = 0; i < BLOCK / 4; i += 64)
		differ += at[i] != at[i + BLOCK / 4] && at[i] != at[i + 1];
	if (differ < 8)
		fail("entropy repeats itself");
	say("rng: 4 pages\n");
}

/* --- network: who has `peer`? --- */

#define NET_HEADER 12
#define FRAME      60
#define NET_BUFFER 2048
#define NET_F_MAC  (1ull << 5)

static void put16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, (uint16_t)(v >> 16));
	put16(at + 2, (uint16_t)v);
}

static void arp_request(uint8_t *f, const uint8_t *mac, uint32_t peer)
{
	memset(f, 0xff, 6);
	memcpy(f + 6, mac, 6);
	put16(f + 12, 0x0806);
	put16(f + 14, 1);      /* Ethernet */
	put16(f + 16, 0x0800); /* IPv4 */
	put16(f + 18, 0x0604);
	put16(f + 20, 1); /* request */
	memcpy(f + 22, mac, 6);
	put32(f + 28, peer + 1);
	put32(f + 38, peer);
}

static bool arp_reply(const uint8_t *f, uint32_t peer)
{
	return f[12] == 0x08 && f[13] == 0x06 && f[21] == 2 && f[28] == (uint8_t)(peer >> 24) &&
	       f[31] == (uint8_t)peer;
}

static void net(struct vdev *v, unsigned round)
{
	uint8_t *rx = take(8 * NET_BUFFER, BLOCK), *tx = take(NET_HEADER + FRAME, 16), mac[6];
	uint32_t peer = option("peer", 0), head, len;
	struct stopwatch s;

	open(v, NET_F_MAC | (round ? F_INDIRECT | F_EVENT_IDX : 0));
	for (unsigned i = 0; i < 6; i++)
		mac[i] = *mmio8(v->config + i);
	for (unsigned i = 0; i < 8; i++)
		vq_put(&v->q[0], i, &(struct buf){rx + i * NET_BUFFER, NET_BUFFER, true}, 1);
	vq_notify(&v->q[0]);
	arp_request(tx + NET_HEADER, mac, peer);
	if (vq_request(&v->q[1], &(struct buf){tx, NET_HEADER + FRAME, false}, 1) != 0)
		fail("a sent frame was written to");
	stopwatch_start(&s);
	for (unsigned seen = 0; peer;) {
		sleep_for(&v->q[0], &head, &len);
		if (len < NET_HEADER + 42 || head >= 8)
			fail("a received frame is too short");
		if (arp_reply(rx + head * NET_BUFFER + NET_HEADER, peer))
			break;
		if (++seen == 8 || stopwatch_us(&s) > PATIENCE_US)
			fail("no ARP reply");
	}
	say("net: %s\n", peer ? "an answer" : "sent");
}

/* --- vsock: connect to echo=PORT, send, and read it back; ask call=PORT to be called back --- */

#define VSOCK_HOST    2
#define VSOCK_OP_REQ  1
#define VSOCK_OP_RESP 2
#define VSOCK_OP_RST  3
#define VSOCK_OP_SHUT 4
#define VSOCK_OP_RW   5
#define VSOCK_OP_UPD  6
#define VSOCK_OP_ASK  7
#define VSOCK_BUFFERS 16
#define VSOCK_BUFFER  4096
#define VSOCK_SEND    1024
#define VSOCK_TOTAL   (16 * VSOCK_SEND)

struct vsock_head {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
} __attribute__((packed));

static uint8_t *vs_rx;
static uint32_t vs_received;
static uint32_t vs_port, vs_peer; /* of the connection */

static void vsock_send(struct vdev *v, uint16_t op, const void *data, uint32_t len)
{
	static struct vsock_head h;
	const struct buf b[] = {
		{&h,   sizeof(h), false},
		{data, len,       false},
	};

	h = (struct vsock_head){
		*mmio32(v->config), VSOCK_HOST, vs_port, vs_peer, len, 1, op, 0, 65536,
		vs_received};
	if (op == VSOCK_OP_SHUT)
		h.flags = 3;
	vq_request(&v->q[1], b, len ? 2 : 1);
}

/* The next packet for us, copied; its data stay in *data until the next call. */
static struct vsock_head vsock_receive(struct vdev *v, uint8_t **data)
{
	static uint32_t held = VSOCK_BUFFERS;
	struct vsock_head h;
	uint32_t len;

	if (held < VSOCK_BUFFERS) {
		vq_avail(&v->q[0], held);
		vq_notify(&v->q[0]);
	}
	sleep_for(&v->q[0], &held, &len);
	memcpy(&h, vs_rx + held * VSOCK_BUFFER, sizeof(h));
	*data = vs_rx + held * VSOCK_BUFFER + sizeof(h);
	if (len != sizeof(h) + h.len)
		fail("a packet has another length than it says");
	return h;
}

static void vsock_echo(struct vdev *v)
{
	uint8_t *out = take(VSOCK_SEND, 16), *data;
	uint32_t sent = 0;

	while (vs_received < VSOCK_TOTAL) {
		struct vsock_head h;

		if (sent < VSOCK_TOTAL && sent - vs_received < 4 * VSOCK_SEND) {
			for (unsigned i = 0; i < VSOCK_SEND; i += 64)
				*(volatile uint32_t *)(out + i) = sent + i;
			vsock_send(v, VSOCK_OP_RW, out, VSOCK_SEND);
			sent += VSOCK_SEND;
			continue;
		}
		h = vsock_receive(v, &data);
		if (h.op == VSOCK_OP_ASK)
			vsock_send(v, VSOCK_OP_UPD, NULL, 0);
		else if (h.op != VSOCK_OP_RW && h.op != VSOCK_OP_UPD)
			fail("the connection ended early");
		for (unsigned i = 0; h.op == VSOCK_OP_RW && i < h.len; i++)
			if ((vs_received + i) % 64 == 0 && i + 4 <= h.len &&
			    *(volatile uint32_t *)(data + i) != vs_received + i)
				fail("the echo is another");
		if (h.op == VSOCK_OP_RW)
			vs_received += h.len;
	}
	if (vs_received != VSOCK_TOTAL)
		fail("the echo is longer");
}

static void vsock_connect(struct vdev *v, uint32_t port, uint32_t peer)
{
	vs_port = port;
	vs_peer = peer;
	vs_received = 0;
	vsock_send(v, VSOCK_OP_REQ, NULL, 0);
}

/* Lets in the host, which sends a word once it has been told of that. */
static void vsock_called(struct vdev *v, uint32_t port)
{
	static const char word[] = "called back";
	struct vsock_head h;
	uint8_t *data;

	vsock_connect(v, 1235, port);
	do
		h = vsock_receive(v, &data);
	while (h.op != VSOCK_OP_REQ);
	vs_port = h.dst_port;
	vs_peer = h.src_port;
	vsock_send(v, VSOCK_OP_RESP, NULL, 0);
	do
		h = vsock_receive(v, &data);
	while (h.src_port != vs_peer || h.op != VSOCK_OP_RW);
	for (unsigned i = 0; i < sizeof(word) - 1; i++)
		if (h.len != sizeof(word) - 1 || data[i] != (uint8_t)word[i])
			fail("the host sends another word");
	vsock_send(v, VSOCK_OP_SHUT, NULL, 0);
	say("vsock: called back\n");
}

static void vsock(struct vdev *v, unsigned round)
{
	uint8_t *data;

	if (round) /* the port of the first connection may linger */
		return;
	vs_rx = take(VSOCK_BUFFERS * VSOCK_BUFFER, BLOCK);
	open(v, F_EVENT_IDX);
	for (unsigned i = 0; i < VSOCK_BUFFERS; i++)
		vq_put(&v->q[0], i, &(struct buf){vs_rx + i * VSOCK_BUFFER, VSOCK_BUFFER, true}, 1);
	vq_notify(&v->q[0]);
	vsock_connect(v, 1234, option("echo", 0));
	if (vsock_receive(v, &data).op != (option("echo", 0) ? VSOCK_OP_RESP : VSOCK_OP_RST))
		fail("no answer to a connection");
	if (option("echo", 0)) {
		vsock_echo(v);
		vsock_send(v, VSOCK_OP_SHUT, NULL, 0);
		while (vsock_receive(v, &data).op != VSOCK_OP_RST)
			;
		say("vsock: %u bytes echoed\n", VSOCK_TOTAL);
		vsock_called(v, option("call", 0));
	} else {
		say("vsock: refused\n");
	}
}

/* --- balloon --- */

#define BALLOON_F_STATS  (1ull << 1)
#define BALLOON_F_REPORT (1ull << 5)
#define BALLOON_PAGES    64
#define BALLOON_REPORT   4 /* the queue, by the specification's numbers */

static uint8_t *balloon_page;

/* Sends a chain of one buffer, and waits for it. */
static void balloon_send(struct vq *q, const void *at, uint32_t len, bool write)
{
	uint16_t old = q->avail->idx;
	uint32_t head, got;

	vq_put(q, 0, &(struct buf){at, len, write}, 1);
	vq_kick(q, old);
	sleep_for(q, &head, &got);
}

static void balloon_fill(void)
{
	for (unsigned i = 0; i < BALLOON_PAGES; i++)
		*(volatile uint8_t *)(balloon_page + i * BLOCK) = 1;
}

static bool balloon_gone(void)
{
	for (unsigned i = 0; i < BALLOON_PAGES; i++)
		if (*(volatile uint8_t *)(balloon_page + i * BLOCK))
			return false;
	return true;
}

/* The report queue has one of two numbers: which, tells the number of queues that are enabled. */
static void balloon(struct vdev *v, unsigned round)
{
	uint64_t f = vdev_offers(v) & (BALLOON_F_STATS | BALLOON_F_REPORT);
	unsigned report = round ? 2 + !!(f & BALLOON_F_STATS) : BALLOON_REPORT;
	uint32_t *pfn = take(BLOCK, BLOCK);
	static const uint8_t stats[10] = {4, 0, 1};

	balloon_page = take(BALLOON_PAGES * BLOCK, BLOCK);
	open_some(v, f | (round ? F_INDIRECT | F_EVENT_IDX : 0),
		  f & BALLOON_F_REPORT ? report + 1 : 2 + !!f);
	balloon_fill();
	for (unsigned i = 0; i < BALLOON_PAGES; i++)
		pfn[i] = (uint32_t)(balloon_page + i * BLOCK) / BLOCK;
	balloon_send(&v->q[0], pfn, BALLOON_PAGES * 4, false);
	if (!balloon_gone())
		fail("an inflated page is still there");
	*mmio32(v->config + 4) = BALLOON_PAGES;
	if (*mmio32(v->config + 4) != BALLOON_PAGES)
		fail("the balloon forgets its size");
	balloon_send(&v->q[1], pfn, BALLOON_PAGES * 4, false);
	*mmio32(v->config + 4) = 0;
	if (f & BALLOON_F_STATS) /* comes back when the host wants new ones */
		balloon_send(&v->q[2], stats, sizeof(stats), false);
	balloon_fill();
	if (f & BALLOON_F_REPORT)
		balloon_send(&v->q[report], balloon_page, BALLOON_PAGES * BLOCK, true);
	if ((f & BALLOON_F_REPORT) && !balloon_gone())
		fail("a reported page is still there");
	say("balloon: %u pages, target %u%s%s\n", BALLOON_PAGES, *mmio32(v->config),
	    f & BALLOON_F_STATS ? ", asked" : "", f & BALLOON_F_REPORT ? ", reported" : "");
}

void main(void)
{
	static void (*const work[])(struct vdev *, unsigned) = {
		[ID_NET] = net,         [ID_BLK] = blk,     [ID_RNG] = rng,
		[ID_BALLOON] = balloon, [ID_VSOCK] = vsock,
	};

	devices = virtio_find(dev, DEVICES_MAX);
	pic_init(0);
	lapic_init(false);
	on_vector(TICK_VECTOR, tick);
	lapic_write(LAPIC_TIMER_DIV, 0xb); /* by 1 */
	lapic_write(LAPIC_LVT_TIMER, TICK_VECTOR | LVT_PERIODIC);
	lapic_write(LAPIC_TIMER_INIT, TICK_NS);
	for (unsigned i = 0; i < devices; i++)
		interrupts_on(i);
	irq_on();
	for (unsigned i = 0; i < devices; i++)
		for (unsigned round = 0; round < 2; round++) {
			work[dev[i].id](&dev[i], round);
			if (!interrupts[i])
				fail("no interrupt came");
		}
}
