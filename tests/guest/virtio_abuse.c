/*
 * virtio_abuse.c - rings that keep the rules and requests that do not, for each kind of device:
 * what is wrong is refused or skipped, nothing that was not asked for is touched, and the others go
 * on. echo=PORT: the host listens there for vsock.
 */
#include "lib/victim.h"

#define PAGE        4096
#define SECTOR      512
#define GUARD       0x5a5a5a5au
#define GUARD_WORDS 16

static uint8_t *page; /* scratch */

static void need(struct vdev *v, const char *what, bool holds, const char *why)
{
	if (!holds)
		victim_fail(v, what, why);
}

static void done(struct vdev *v, const char *what)
{
	need(v, what, !(vdev_status(v) & S_NEEDS_RESET), "it asks for a reset");
	victim_others(v, what);
	say("%s: %s\n", v->name, what);
}

/* --- disk [13] --- */

#define BLK_IN      0
#define BLK_OUT     1
#define BLK_SCSI    2
#define BLK_FLUSH   4
#define BLK_ID      8
#define BLK_DISCARD 11
#define BLK_ZERO    13
#define BLK_OK      0
#define BLK_IOERR   1
#define BLK_UNSUPP  2
#define BLK_F_RO    (1ull << 5)
#define BLK_F_ALL   ((1ull << 5) | (1ull << 9) | (1ull << 13) | (1ull << 14))

static struct {
	uint32_t type, reserved;
	uint64_t sector;
} * blk_head;
static volatile uint8_t *blk_state;

/* One request with `len` bytes of data at `page`; its status, 0xff when none was written. */
static uint8_t blk_ask(struct vdev *v, uint32_t type, uint64_t sector, uint32_t len)
{
	const struct buf b[] = {
		{blk_head,                16,  false                           },
		{(const void *)blk_state, 1,   true                            },
		{page,                    len, type == BLK_IN || type == BLK_ID},
	};
	const struct buf c[] = {b[0], b[2], b[1]};

	blk_head->type = type;
	blk_head->sector = sector;
	*blk_state = 0xff;
	vq_request(&v->q[0], len ? c : b, len ? 3 : 2);
	return *blk_state;
}

static void blk_fill(uint32_t first)
{
	for (unsigned i = 0; i < SECTOR / 4; i++)
		((volatile uint32_t *)page)[i] = first + i;
}

static bool blk_holds(uint32_t first)
{
	for (unsigned i = 0; i < SECTOR / 4; i += 8)
		if (((volatile uint32_t *)page)[i] != first + i)
			return false;
	return true;
}

static void blk_sectors(struct vdev *v, uint64_t sectors)
{
	const char *what = "sectors beyond the end";
	const uint64_t bad[] = {sectors, sectors + 1, 1ull << 55, 1ull << 63, ~0ull, ~0ull - 7};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		blk_fill(0x77);
		need(v, what, blk_ask(v, BLK_IN, bad[i], SECTOR) == BLK_IOERR, "read");
		need(v, what, blk_holds(0x77), "the buffer was filled");
		need(v, what, blk_ask(v, BLK_OUT, bad[i], SECTOR) == BLK_IOERR, "written");
	}
	need(v, what, blk_ask(v, BLK_IN, sectors - 1, 2 * SECTOR) == BLK_IOERR,
	     "read across the end");
	done(v, what);
}

static void blk_shapes(struct vdev *v)
{
	const char *what = "lengths, types and shapes";
	static const uint32_t types[] = {BLK_SCSI, 3, 5, 7, 12, 0x80000000, 0xffffffff};
	struct buf b[20];

	need(v, what, blk_ask(v, BLK_IN, 0, 511) == BLK_IOERR, "511 bytes are read");
	need(v, what, blk_ask(v, BLK_IN, 0, 513) == BLK_IOERR, "513 bytes are read");
	need(v, what, blk_ask(v, BLK_OUT, 0, 1) == BLK_IOERR, "a byte is written");
	for (unsigned i = 0; i < sizeof(types) / sizeof(*types); i++)
		need(v, what, blk_ask(v, types[i], 0, SECTOR) == BLK_UNSUPP, "an unknown type");
	blk_ask(v, BLK_ID, 0, 5);
	need(v, what, blk_ask(v, BLK_ID, 0, PAGE) == BLK_OK, "no ID in a large buffer");
	/* Without room for a status, and without a whole header. */
	vq_request(&v->q[0], &(struct buf){blk_head, 16, false}, 1);
	vq_request(&v->q[0], &(struct buf){blk_head, 3, false}, 1);
	vq_request(&v->q[0], &(struct buf){page, 1, true}, 1);
	b[0] = (struct buf){blk_head, 15, false};
	b[1] = (struct buf){page, SECTOR + 1, true};
	vq_request(&v->q[0], b, 2);
	/* A header in sixteen pieces; data and status in one [2.7.4.3]. */
	for (unsigned i = 0; i < 16; i++)
		b[i] = (struct buf){(const uint8_t *)blk_head + i, 1, false};
	b[16] = (struct buf){page, SECTOR + 1, true};
	blk_head->type = BLK_IN;
	blk_head->sector = 0;
	page[SECTOR] = 0xff;
	need(v, what, vq_request(&v->q[0], b, 17) == SECTOR + 1, "a split request comes short");
	need(v, what, *(volatile uint8_t *)(page + SECTOR) == BLK_OK, "a split request fails");
	done(v, what);
}

static void blk_segments(struct vdev *v, uint64_t sectors)
{
	const char *what = "segments to discard and to zero";
	volatile struct {
		uint64_t sector;
		uint32_t sectors, flags;
	} *s = (void *)page;
	static const uint32_t types[] = {BLK_DISCARD, BLK_ZERO};

	for (unsigned i = 0; i < 2; i++) {
		s[0].sector = sectors;
		s[0].sectors = 1;
		s[0].flags = 0;
		need(v, what, blk_ask(v, types[i], 0, 16) != BLK_OK, "the first beyond the end");
		s[0].sector = ~0ull;
		need(v, what, blk_ask(v, types[i], 0, 16) != BLK_OK, "the last of all");
		s[0].sector = 0;
		s[0].sectors = 0xffffffff;
		need(v, what, blk_ask(v, types[i], 0, 16) != BLK_OK, "more than there are");
		s[0].sectors = 1;
		s[0].flags = 0xfffffffe;
		need(v, what, blk_ask(v, types[i], 0, 16) != BLK_OK, "unknown flags");
		need(v, what, blk_ask(v, types[i], 0, 15) != BLK_OK, "a short segment");
		need(v, what, blk_ask(v, types[i], 0, 0) != BLK_OK, "no segment");
		s[0].flags = 0;
		for (unsigned j = 1; j < PAGE / 16; j++)
			s[j].sector = ~0ull;
		need(v, what, blk_ask(v, types[i], 0, PAGE) != BLK_OK, "256 segments");
	}
	done(v, what);
}

static void blk(struct vdev *v)
{
	bool ro = vdev_offers(v) & BLK_F_RO;
	uint64_t sectors;

	vdev_open(v, BLK_F_ALL);
	sectors = *mmio32(v->config) | (uint64_t)*mmio32(v->config + 4) << 32;
	blk_fill(0xabc);
	need(v, "write", blk_ask(v, BLK_OUT, 0, SECTOR) == (ro ? BLK_IOERR : BLK_OK),
	     ro ? "a read-only disk is written" : "it fails");
	blk_sectors(v, sectors);
	blk_shapes(v);
	blk_segments(v, sectors);
	if (ro) /* also for a driver that does not know the feature */
		vdev_open(v, 0);
	if (ro)
		need(v, "write", blk_ask(v, BLK_OUT, 0, SECTOR) == BLK_IOERR,
		     "it is written without F_RO");
	memset(page, 0, SECTOR);
	need(v, "read", blk_ask(v, BLK_IN, 0, SECTOR) == BLK_OK, "it fails");
	need(v, "read", ro || blk_holds(0xabc), "the first sector changed");
	done(v, ro ? "untouched, read-only" : "untouched");
}

/* --- network [15] --- */

#define NET_HEADER  12
#define NET_HEADERS 256

static uint32_t seed = 1;

static uint32_t chance(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

static void net(struct vdev *v)
{
	const char *what = "headers of nonsense";
	struct vq *q = &v->q[1];
	struct buf b[128];

	vdev_open(v, ~0ull & ~(F_INDIRECT | F_EVENT_IDX | 1ull << 17 | 1ull << 22));
	for (unsigned i = 0; i < 64; i++)
		page[NET_HEADER + i] = (uint8_t)(i < 6 ? 0xff : i);
	for (unsigned i = 0; i < NET_HEADERS; i++) {
		for (unsigned j = 0; j < NET_HEADER; j++)
			page[j] = (uint8_t)(chance() % 3 ? chance() : 0xff);
		b[0] = (struct buf){page, NET_HEADER + chance() % 200, false};
		need(v, what, vq_request(q, b, 1) == 0, "it is written to");
	}
	done(v, what);
	what = "frames of no length and of too much";
	memset(page, 0, NET_HEADER);
	for (unsigned len = 1; len < NET_HEADER + 14; len++)
		vq_request(q, &(struct buf){page, len, false}, 1);
	vq_request(q, &(struct buf){page, PAGE, true}, 1);
	for (unsigned i = 0; i < 128; i++)
		b[i] = (struct buf){page, i ? PAGE : NET_HEADER, false};
	vq_request(q, b, 17);
	vq_request(q, b, 18);
	vq_request(q, b, 128);
	vq_request(q, &(struct buf){(void *)0x100000, 16 << 20, false}, 1);
	done(v, what);
	what = "receive buffers too small for anything";
	for (unsigned i = 0; i < 64; i++)
		vq_put(&v->q[0], i, &(struct buf){page + i * 16, i % 16 + 1, true}, 1);
	vq_notify(&v->q[0]);
	for (unsigned i = 0; i < 16; i++)
		vq_request(q, b, 2);
	done(v, what);
	victim_works(v, what);
}

/* --- vsock [16] --- */

#define VSOCK_HOST    2
#define VSOCK_REQUEST 1
#define VSOCK_RST     3
#define VSOCK_RW      5
#define VSOCK_CREDIT  6
#define VSOCK_BUFFER  512
#define VSOCK_BUFFERS 64
#define VSOCK_FLOOD   600
#define STUCK_US      50000

struct vsock_head {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
} __attribute__((packed));

static struct vsock_head *vs;
static uint8_t *vs_rx;

static void vsock_send(struct vdev *v, uint32_t data)
{
	const struct buf b[] = {
		{vs,   sizeof(*vs), false},
		{page, data,        false},
	};

	vq_request(&v->q[1], b, data ? 2 : 1);
}

static void vsock_packet(struct vdev *v, uint16_t op, uint32_t src_port, uint32_t dst_port)
{
	*vs = (struct vsock_head){
		*mmio32(v->config), VSOCK_HOST, src_port, dst_port, 0, 1, op, 0, 65536, 0};
}

/* Takes what has come, and gives the buffers back: how many packets, and how many resets. */
static unsigned vsock_drain(struct vdev *v, unsigned *resets)
{
	unsigned n = 0;
	uint32_t head, len;

	while (vq_used(&v->q[0], &head, &len)) {
		n++;
		*resets += ((struct vsock_head *)(vs_rx + head * VSOCK_BUFFER))->op == VSOCK_RST;
		vq_avail(&v->q[0], head);
	}
	if (n)
		vq_notify(&v->q[0]);
	return n;
}

static void vsock_headers(struct vdev *v)
{
	const char *what = "packets of nonsense";
	unsigned resets = 0;

	for (unsigned i = 0; i < 200; i++) {
		for (unsigned j = 0; j < sizeof(*vs); j++)
			((uint8_t *)vs)[j] = (uint8_t)(chance() % 3 ? chance() : 0);
		if (i % 2) {
			vs->src_cid = *mmio32(v->config);
			vs->dst_cid = VSOCK_HOST;
		}
		vs->op = (uint16_t)(i % 10 == VSOCK_REQUEST ? 0 : i % 10);
		vsock_send(v, chance() % 64);
		vsock_drain(v, &resets);
	}
	for (unsigned len = 1; len < sizeof(*vs); len += 3)
		vq_request(&v->q[1], &(struct buf){vs, len, false}, 1);
	vq_request(&v->q[1], &(struct buf){page, 64, true}, 1);
	done(v, what);
	what = "length beyond the buffers";
	for (unsigned i = 0; i < 4; i++) {
		vsock_packet(v, VSOCK_RW, 9, 9);
		vs->len = i == 0 ? 65 : i == 1 ? 0x10000 : i == 2 ? 0xffffffff : 0x7fffffff;
		vsock_send(v, 64);
	}
	done(v, what);
	what = "another's address";
	vsock_packet(v, VSOCK_REQUEST, 9, 9);
	vs->src_cid = 77;
	vsock_send(v, 0);
	vsock_packet(v, VSOCK_REQUEST, 9, 9);
	vs->dst_cid = 1;
	vsock_send(v, 0);
	done(v, what);
}

static void vsock_buffers(struct vdev *v)
{
	for (unsigned i = 0; i < VSOCK_BUFFERS; i++)
		vq_put(&v->q[0], i, &(struct buf){vs_rx + i * VSOCK_BUFFER, VSOCK_BUFFER, true}, 1);
	vq_notify(&v->q[0]);
}

/* Connections to ports where nobody listens: each is refused. */
static void vsock_flood(struct vdev *v)
{
	const char *what = "flood of connections";
	unsigned resets = 0;
	struct stopwatch s;

	for (unsigned i = 0; i < VSOCK_FLOOD; i++) {
		vsock_packet(v, VSOCK_REQUEST, 1000 + i, 60000);
		vsock_send(v, 0);
		vsock_drain(v, &resets);
	}
	stopwatch_start(&s);
	while (resets < VSOCK_FLOOD && stopwatch_us(&s) < PATIENCE_US)
		vsock_drain(v, &resets);
	need(v, what, resets == VSOCK_FLOOD, "a connection is not refused");
	done(v, what);
}

/* No buffer for the answers: the device may leave packets where they are, until there is one. */
static void vsock_deaf(struct vdev *v)
{
	const char *what = "flood that does not listen";
	struct vq *q = &v->q[1];
	unsigned resets = 0, sent = 0;
	uint32_t head, len;
	struct stopwatch s;

	for (bool stuck = false; sent < VSOCK_FLOOD && !stuck; sent++) {
		vsock_packet(v, VSOCK_REQUEST, 1000 + sent, 60000);
		vq_put(q, 0, &(struct buf){vs, sizeof(*vs), false}, 1);
		vq_notify(q);
		stopwatch_start(&s);
		while (!vq_used(q, &head, &len) && !stuck)
			stuck = stopwatch_us(&s) > STUCK_US;
	}
	victim_others(v, what);
	vsock_buffers(v);
	stopwatch_start(&s);
	while (resets < sent && stopwatch_us(&s) < PATIENCE_US)
		vsock_drain(v, &resets);
	need(v, what, resets == sent, "an answer was lost");
	done(v, what);
}

static bool vsock_answer(struct vdev *v, uint16_t op)
{
	uint32_t head, len;

	while (vq_wait(&v->q[0], &head, &len)) {
		struct vsock_head *h = (void *)(vs_rx + head * VSOCK_BUFFER);
		uint16_t got = h->op;

		vq_avail(&v->q[0], head);
		vq_notify(&v->q[0]);
		if (got == op)
			return true;
		if (got == VSOCK_RST)
			return false;
	}
	return false;
}

/* A connection whose credit goes backwards, and that sends more than it may. */
static void vsock_credit(struct vdev *v, uint32_t port)
{
	const char *what = "credit that makes no sense";

	vsock_packet(v, VSOCK_REQUEST, 700, port);
	vsock_send(v, 0);
	need(v, what, vsock_answer(v, 2), "no connection");
	for (unsigned i = 0; i < 64; i++) {
		vsock_packet(v, i % 4 ? VSOCK_RW : VSOCK_CREDIT, 700, port);
		vs->buf_alloc = i % 3 ? 0 : chance();
		vs->fwd_cnt = i % 5 ? chance() << 8 : 0;
		vs->len = vs->op == VSOCK_RW ? 4096 : 0;
		vsock_send(v, vs->len);
	}
	vsock_packet(v, VSOCK_RST, 700, port);
	vsock_send(v, 0);
	done(v, what);
}

static void vsock(struct vdev *v)
{
	vs = take(sizeof(*vs), 64);
	vs_rx = take(VSOCK_BUFFERS * VSOCK_BUFFER, PAGE);
	vdev_open(v, 0);
	vsock_buffers(v);
	vsock_headers(v);
	vdev_open(v, 0);
	vsock_buffers(v);
	vsock_flood(v);
	vdev_open(v, 0);
	vsock_deaf(v);
	vdev_open(v, 0);
	vsock_buffers(v);
	if (option("echo", 0))
		vsock_credit(v, option("echo", 0));
	victim_works(v, "vsock");
}

/* --- entropy [17] --- */

static void guard_set(uint8_t *at)
{
	for (unsigned i = 0; i < GUARD_WORDS; i++)
		((volatile uint32_t *)at)[i] = GUARD;
}

static bool guard_holds(uint8_t *at)
{
	for (unsigned i = 0; i < GUARD_WORDS; i++)
		if (((volatile uint32_t *)at)[i] != GUARD)
			return false;
	return true;
}

static void rng(struct vdev *v)
{
	const char *what = "requests of nearly 4 GiB";
	uint8_t *at = take(128 << 10, PAGE);
	uint32_t size = ram_end() - (uint32_t)at;
	struct buf b[120];
	unsigned n = 0xf0000000u / size;

	vdev_open(v, 0);
	if (n > 120)
		n = 120;
	for (unsigned i = 0; i < n; i++)
		b[i] = (struct buf){at, size, true};
	for (unsigned i = 0; i < 8; i++) {
		guard_set(at + (64 << 10));
		need(v, what, vq_request(&v->q[0], b, n) <= 64 << 10, "more than 64 KiB");
		need(v, what, guard_holds(at + (64 << 10)), "memory behind 64 KiB changed");
	}
	done(v, what);
	what = "buffers to read only";
	guard_set(at);
	need(v, what, vq_request(&v->q[0], &(struct buf){at, 64, false}, 1) == 0, "filled");
	need(v, what, guard_holds(at), "written to");
	done(v, what);
	what = "its own used ring as the buffer";
	vq_put(&v->q[0], 0, &(struct buf){(const void *)v->q[0].used, 2048, true}, 1);
	vq_notify(&v->q[0]);
	wait_us(20000);
	victim_others(v, what);
	victim_works(v, what);
	say("%s: %s\n", v->name, what);
}

/* --- balloon [18] --- */

#define LIST (64 << 10) /* numbers of a long chain */

static void balloon(struct vdev *v)
{
	const char *what = "pages that are not RAM";
	uint32_t *list = take(LIST * 4, PAGE);
	uint8_t *victim = take(4 * PAGE, PAGE);
	uint32_t pfn = (uint32_t)victim / PAGE;
	struct buf b[100];

	vdev_open(v, 0);
	guard_set(victim);
	guard_set(victim + PAGE);
	guard_set(victim + 2 * PAGE);
	list[0] = ram_end() / PAGE;
	list[1] = 0xc0000;
	list[2] = 0xfee00;
	list[3] = 0xfffff;
	list[4] = 0xffffffff;
	list[5] = 0x80000000;
	vq_request(&v->q[0], &(struct buf){list, 24, false}, 1);
	need(v, what, guard_holds(victim), "a page is gone that was not named");
	done(v, what);
	what = "pages named twice, and odd lengths";
	list[0] = list[1] = list[2] = pfn + 1;
	vq_request(&v->q[0], &(struct buf){list, 13, false}, 1);
	need(v, what, guard_holds(victim) && guard_holds(victim + 2 * PAGE), "a neighbour is gone");
	need(v, what, *(volatile uint32_t *)(victim + PAGE) == 0, "the page is still there");
	for (unsigned len = 1; len < 4; len++)
		vq_request(&v->q[0], &(struct buf){list, len, false}, 1);
	vq_request(&v->q[0], &(struct buf){victim, PAGE, true}, 1);
	need(v, what, guard_holds(victim), "a buffer to write was written");
	done(v, what);
	what = "a list of millions";
	for (unsigned i = 0; i < 1024; i++)
		list[i] = i % 2 ? pfn + 3 : 0xc0000 + i;
	for (unsigned i = 0; i < 100; i++)
		b[i] = (struct buf){list, LIST * 4, false};
	vq_put(&v->q[0], 0, b, 100);
	vq_notify(&v->q[0]);
	victim_others(v, what); /* they are answered in between */
	vdev_reset(v);          /* and nobody waits for its end */
	victim_works(v, what);
	need(v, what, guard_holds(victim), "a page is gone that was not named");
	done(v, what);
	what = "its own ring";
	list[0] = (uint32_t)v->q[0].avail / PAGE;
	list[1] = (uint32_t)v->q[0].desc / PAGE;
	vq_put(&v->q[0], 0, &(struct buf){list, 8, false}, 1);
	vq_notify(&v->q[0]);
	wait_us(20000);
	victim_others(v, what);
	victim_works(v, what);
	say("%s: %s\n", v->name, what);
}

void main(void)
{
	static void (*const abuse[])(struct vdev *) = {
		[ID_NET] = net,         [ID_BLK] = blk,     [ID_RNG] = rng,
		[ID_BALLOON] = balloon, [ID_VSOCK] = vsock,
	};

	page = take(1 << 20, PAGE);
	blk_head = take(16, 16);
	blk_state = take(1, 1);
	victims_find();
	for (unsigned i = 0; i < victim_count; i++)
		abuse[victims[i].id](&victims[i]);
}
