/*
 * net_fuzz.c - the network device, tap and all, between a driver that may do anything and a host
 * that sends anything: rings as they come, headers, control commands, time, other limits, a tap
 * that fails. What reaches the tap has to be well formed and negotiated, nothing outside guest RAM
 * may be touched, every turn is bounded and every packet accounted for.
 */
#include <time.h>

#include "../../src/virtio/net_io.h"
#include "../lib/driver.h"
#include "../lib/tun.h"
#include "fuzz.h"

#define LOW       (512 * KIB)
#define HIGH      (256 * KIB)
#define RING_AT   0x2000ull  /* of queue n, times n: descriptors, +400 available, +800 used */
#define TABLE     0x10000ull /* indirect ones */
#define DATA      0x20000ull
#define PAIRS     3u
#define STEPS_MAX 400u
#define TURNS_MAX 2000u

static struct ram ram;
static struct driver_host h;
static struct net n;
static struct watch *watched[PAIRS];
static unsigned watches;
static uint64_t now;
static uint16_t cursor;           /* where the next chain's descriptors go */
static uint64_t seen[TUN_QUEUES]; /* packets that came out of the device */
static uint8_t packet[NET_RX_SPILL + 4096];

int clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, id, ts);
	*ts = (struct timespec){.tv_sec = (time_t)(now / NSEC), .tv_nsec = (long)(now % NSEC)};
	return 0;
}

static int watch_add(void *ctx, struct watch *w)
{
	watched[watches++] = w;
	return 0;
}

static void watch_del(void *ctx, struct watch *w)
{
	w->fd = -1;
}

static const struct watcher watcher = {.add = watch_add, .del = watch_del};

/* --- a service inside the device --- */

static struct {
	unsigned waiting; /* frames */
	uint64_t deadline;
	uint32_t len;
} service;

static bool service_take(void *ctx, const uint8_t *frame, size_t len, uint64_t at)
{
	CHECK(len >= NET_DETOUR_HEAD && len <= NET_DETOUR_MAX && at == now);
	service.waiting += frame[0] % 5;
	return frame[1] != 1;
}

static size_t service_give(void *ctx, uint8_t *buf, size_t size, uint64_t at)
{
	CHECK(size >= 1514 && at == now);
	if (!service.waiting)
		return 0;
	service.waiting--;
	service.len = 14 + (service.len * 7 + 1) % 1501;
	memset(buf, 0xdd, service.len);
	return service.len;
}

static uint64_t service_deadline(void *ctx, uint64_t at)
{
	return service.deadline > at ? service.deadline : NEVER;
}

/* Its address is zero, as memory is at first. */
static const struct net_detour detour = {
	.take = service_take, .give = service_give, .deadline = service_deadline};

/* --- what always holds --- */

/* What the kernel gets: [virtio 1.2, 5.1.6.2], and nothing in it that was not negotiated. */
static void check_sent(const struct net_hdr *hdr, long frame)
{
	CHECK(frame >= (long)NET_FRAME_MIN && frame <= (long)NET_FRAME_MAX);
	CHECK(hdr->num_buffers == 0);
	CHECK(hdr->flags <= 1);
	CHECK(hdr->flags ? virtio_has(&n.dev, VIRTIO_NET_F_CSUM) : !hdr->csum_start);
	if (hdr->flags)
		CHECK(hdr->csum_start >= 14 && hdr->csum_start + hdr->csum_offset + 2 <= frame);
	switch (hdr->gso_type) {
	case 0: CHECK(!hdr->gso_size && !hdr->hdr_len); return;
	case 1: CHECK(virtio_has(&n.dev, VIRTIO_NET_F_HOST_TSO4)); break;
	case 4: CHECK(virtio_has(&n.dev, VIRTIO_NET_F_HOST_TSO6)); break;
	case 5: CHECK(virtio_has(&n.dev, VIRTIO_NET_F_HOST_USO)); break;
	default: CHECK(hdr->gso_type == 0); /* one that nobody knows */
	}
	CHECK(hdr->flags && hdr->gso_size && hdr->hdr_len <= frame);
}

static void check_host(void)
{
	for (unsigned i = 0; i < tun.queues; i++) {
		ssize_t len;

		while ((len = recv(tun.queue[i].peer, packet, sizeof(packet), 0)) >= 0) {
			check_sent((struct net_hdr *)packet, len - (long)TAP_HDR_LEN);
			seen[i]++;
		}
	}
}

static void check_rx(const struct net_rx *rx)
{
	unsigned iovs = 0;
	uint64_t room = 0;

	CHECK(rx->buf0 <= rx->buf1 && rx->buf1 <= ARRAY_SIZE(rx->buf));
	CHECK(rx->iov0 <= rx->iov1 && rx->iov1 < ARRAY_SIZE(rx->iov));
	CHECK(rx->buf1 - rx->buf0 <= QUEUE_SIZE_MAX && rx->iov1 - rx->iov0 <= NET_RX_IOV);
	for (unsigned i = rx->buf0; i < rx->buf1; i++) {
		CHECK(rx->buf[i].bytes >= TAP_HDR_LEN);
		iovs += rx->buf[i].iovs;
		room += rx->buf[i].bytes;
	}
	CHECK(iovs == rx->iov1 - rx->iov0 && room == rx->room);
	CHECK(!rx->len || (rx->placed <= rx->len && rx->placed <= rx->room));
	CHECK(n.dev.started || rx->buf0 == rx->buf1);
}

static void check_all(void)
{
	uint64_t out = 0;

	check_host();
	for (unsigned i = 0; i < n.tap.pairs; i++) {
		check_rx(&n.rx[i]);
		out += seen[i];
	}
	CHECK(out == n.out.packets);
	for (unsigned i = 0; i < n.dev.queues; i++) {
		const struct queue *q = &n.dev.queue[i];
		uint16_t in_flight = (uint16_t)(q->last_avail - q->used_idx);

		CHECK(!q->started || in_flight <= q->mask + 1u);
		CHECK(q->signalled == q->used_idx || n.dev.broken);  /* all is shown */
		CHECK(i % 2 == 0 || in_flight == 0 || n.dev.broken); /* sent is given back */
	}
	CHECK(n.pairs >= 1 && n.pairs <= n.tap.pairs);
	CHECK(tun.offload == n.tap.offloads);
	if (n.dev.started && !n.dev.fresh && tun.offload == n.offloads && tun.offload)
		CHECK(virtio_has(&n.dev, VIRTIO_NET_F_GUEST_CSUM));
}

/* Turns until nothing is left: time stands still, so that it has to end. */
static void serve(void)
{
	unsigned turns = 0;

	do {
		unsigned writes = tun.writes, reads = tun.reads;

		virtio_service(&n.dev);
		CHECK(tun.writes - writes <= PAIRS * QUEUE_SIZE_MAX);
		CHECK(tun.reads - reads <= PAIRS * (QUEUE_SIZE_MAX + 1));
		check_host(); /* so that its sockets do not fill up */
		CHECK(++turns < TURNS_MAX);
	} while (n.dev.again);
}

/* --- the driver --- */

static void put(uint64_t gpa, uint64_t v, unsigned size)
{
	uint8_t *at = ram_at(&ram, gpa, size);

	if (at)
		memcpy(at, &v, size);
}

static uint16_t size_of(unsigned q)
{
	return n.dev.queue[q].size;
}

static void bring_up(struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1);
	uint64_t features = input_take(in, 4) | input_take(in, 1) << 50;
	struct driver v[VIRTIO_QUEUES] = {0};

	memset(ram.host, 0, n.dev.queues * RING_AT);
	cursor = 0;
	if (how & 1) /* all but some */
		features = ~features;
	features = (features & n.dev.offered) | VIRTIO_F_VERSION_1;
	for (unsigned i = 0; i < n.dev.queues; i++) {
		v[i] = (struct driver){.ram = &ram, .size = (uint16_t)(1u << (how >> 1 & 7))};
		v[i].desc = i * RING_AT;
		v[i].avail = i * RING_AT + 0x1000;
		v[i].used = i * RING_AT + 0x1800;
		if ((how >> 4 & 7) == i + 1)
			v[i].size = 0;
	}
	CHECK(driver_bring_up(&h, &n.dev, v, n.dev.queues, features));
}

/* An address: mostly memory that is there, sometimes one that is not quite. */
static uint64_t take_gpa(struct input *in)
{
	uint16_t v = (uint16_t)input_take(in, 2);

	switch (v >> 12) {
	case 15: return LOW - (v & 0xff);
	case 14: return GPA_4G + HIGH - (v & 0xff);
	case 13: return GPA_4G + (v & 0xfff);
	case 12: return (uint64_t)v << 20;
	case 11: return TABLE + 16 * (v & 0xff);
	default: return DATA + (v & 0xfff) * 0x10ull;
	}
}

static void put_desc(uint64_t at, struct input *in, uint16_t flags, uint16_t next)
{
	uint32_t len = (uint32_t)input_take(in, 2);

	put(at, take_gpa(in), 8);
	put(at + 8, len == 0xffff ? UINT32_MAX : len & 0x8000 ? len * 8 : len, 4);
	put(at + 12, flags, 2);
	put(at + 14, next, 2);
}

/* The ring's next entry, shown. */
static void publish(unsigned q, uint16_t head)
{
	uint64_t avail = q * RING_AT + 0x1000;
	uint16_t idx;

	memcpy(&idx, ram_at(&ram, avail + 2, 2), 2);
	put(avail + 4 + 2ull * (idx % size_of(q)), head, 2);
	put(avail + 2, (uint16_t)(idx + 1), 2);
}

/* A chain of the direction that the queue has, now and then with a lie. */
static void add_chain(unsigned q, struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1);
	unsigned bufs = 1 + (how & 7), mask = size_of(q) - 1u;
	uint16_t head = cursor & (uint16_t)mask, write = q % 2 ? 0 : 2;

	if (how & 0x80)
		bufs *= 16;
	if (how & 8) { /* indirect */
		uint64_t table = TABLE + 16ull * input_take(in, 1);

		for (unsigned i = 0; i < bufs; i++)
			put_desc(table + 16 * i, in, write | (i + 1 < bufs), (uint16_t)(i + 1));
		put(q * RING_AT + 16ull * head, table, 8);
		put(q * RING_AT + 16ull * head + 8, 16 * bufs | 4ull << 32, 8);
		cursor++;
	} else {
		for (unsigned i = 0; i < bufs; i++, cursor++)
			put_desc(q * RING_AT + 16ull * (cursor & mask), in, write | (i + 1 < bufs),
				 (uint16_t)((cursor + 1) & mask));
	}
	if (how & 0x10)
		put(q * RING_AT + 16ull * head + 12, input_take(in, 1), 2);
	if (how & 0x20) /* the last buffer is of the other direction */
		put(q * RING_AT + 16ull * ((cursor - 1) & mask) + 12, write ^ 2, 2);
	publish(q, how & 0x40 ? (uint16_t)input_take(in, 1) : head);
}

/* A frame in one piece, whose header and length come from the input. */
static void send_frame(unsigned q, struct input *in)
{
	uint16_t head = cursor++ & (size_of(q) - 1u);
	uint32_t len = (uint32_t)input_take(in, 2);

	for (unsigned i = 0; i < 10; i++)
		put(DATA + i, input_take(in, 1), 1);
	if (n.detour) {
		put(DATA + TAP_HDR_LEN, len >> 8, 2);
		put(DATA + TAP_HDR_LEN + 12, len & 1 ? 0x08 : 0, 2); /* IPv4, or nothing */
		put(DATA + TAP_HDR_LEN + 30, 0, 4);
	}
	put(q * RING_AT + 16ull * head, DATA, 8);
	put(q * RING_AT + 16ull * head + 8, TAP_HDR_LEN + len, 8);
	publish(q, head);
}

/* One table for all of them: 64 descriptors of a few bytes. */
static void put_crumbs(uint32_t len)
{
	for (unsigned i = 0; i < 64; i++) {
		put(TABLE + 16 * i, DATA + 16 * i, 8);
		put(TABLE + 16 * i + 8,
		    (1 + len % 16) | (i < 63 ? 3ull : 2ull) << 32 | (i + 1ull) << 48, 8);
	}
}

static void give_buffers(unsigned q, struct input *in)
{
	uint32_t len = (uint32_t)input_take(in, 2);
	uint8_t how = (uint8_t)input_take(in, 1);
	bool crumbs = how & 0x80;

	if (crumbs)
		put_crumbs(len);
	for (unsigned i = 0; i < (how & 0x7f) % (size_of(q) + 1u); i++) {
		uint16_t head = cursor++ & (size_of(q) - 1u);

		put(q * RING_AT + 16ull * head, crumbs ? TABLE : DATA + i * 0x400, 8);
		put(q * RING_AT + 16ull * head + 8,
		    crumbs ? 1024 | 4ull << 32 : (len & 0xffff) | 2ull << 32, 8);
		publish(q, head);
	}
}

static void set_pairs(struct input *in)
{
	unsigned q = n.dev.queues - 1u;
	uint16_t head = cursor++ & (size_of(q) - 1u), ack = (head + 1) & (size_of(q) - 1u);
	uint8_t v = (uint8_t)input_take(in, 1);

	put(DATA, 4ull | (v & 0xc0u) << 2 | (v & 7u) << 16 | (v & 8u) << 21, 8);
	put(q * RING_AT + 16ull * head, DATA, 8);
	put(q * RING_AT + 16ull * head + 8, 4 | 1ull << 32 | (uint64_t)ack << 48, 8);
	put(q * RING_AT + 16ull * ack, DATA + 8, 8);
	put(q * RING_AT + 16ull * ack + 8, 1 | 2ull << 32, 8);
	publish(q, head);
}

/* --- the host --- */

static void host_send(unsigned pair, struct input *in)
{
	uint32_t len = (uint32_t)input_take(in, 2);
	unsigned count = 1 + ((unsigned)input_take(in, 1) & 31);

	if (len >= 0xff00)
		len += 3000;
	memset(packet, 0, TAP_HDR_LEN);
	for (unsigned i = 0; i < 10; i++)
		packet[i] = (uint8_t)input_take(in, 1);
	while (count-- && send(tun.queue[pair].peer, packet, len, 0) >= 0)
		;
}

static void limits(struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1);
	struct limit_conf bytes = {.size = input_take(in, 2), .burst = how & 4 ? 5000 : 0};
	struct limit_conf ops = {.size = input_take(in, 1), .refill_ms = 1000};

	bytes.refill_ms = how & 8 ? 0 : 1 + input_take(in, 1);
	net_set_limits(&n, how & 1, how & 0x10 ? NULL : &bytes, how & 0x20 ? NULL : &ops);
}

static void faults(struct input *in)
{
	static const int err[] = {0, 0, EAGAIN, EIO, EBADFD, ENOMEM, EFAULT, EINVAL};
	uint16_t v = (uint16_t)input_take(in, 2);

	tun.read_err = err[v & 7];
	tun.write_err = err[v >> 3 & 7];
	tun.offload_err = err[v >> 6 & 7];
	tun.queue_err = err[v >> 9 & 7];
}

static void tick(struct input *in)
{
	now += input_take(in, 2) * 100000;
	virtio_tick(&n.dev, now);
	if (n.dev.again)
		serve();
}

/* The service has something, now or later. */
static void answer(struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1);

	if (n.detour && how & 0x80)
		service.deadline = now + (how & 0x7f) * 1000000ull;
	else if (n.detour)
		service.waiting += how;
	n.detour_more = n.detour != NULL;
	serve();
}

static void step(uint8_t op, struct input *in)
{
	unsigned q = (op >> 4) % n.dev.queues, pair = (op >> 4) % n.tap.pairs;

	switch (op & 15) {
	case 0: bring_up(in); break;
	case 1: add_chain(q, in); break;
	case 2: send_frame(2 * pair + 1, in); break;
	case 3: give_buffers(2 * pair, in); break;
	case 4: host_send(pair, in); break;
	case 5: watched[pair]->ready(watched[pair], op & 0x80 ? WATCH_HUP : WATCH_IN); break;
	case 6: tick(in); break;
	case 7: limits(in); break;
	case 8: faults(in); break;
	case 9: set_pairs(in); break;
	case 10: put(input_take(in, 2), input_take(in, 4), 4); break; /* rings, too */
	case 11: n.dev.paused = op & 0x10; break;
	case 12: driver_reset(&n.dev); break;
	case 13: answer(in); break;
	default: serve();
	}
}

static bool make(struct input *in)
{
	uint8_t how = (uint8_t)input_take(in, 1);
	struct net_conf conf = {.tap = "tap0", .fd = -1, .pairs = 1 + (how & 3) % PAIRS};

	conf.offload = !(how & 4);
	conf.mtu = how & 8 ? 1400 : 0;
	conf.detour = how & 0x20 ? &detour : NULL;
	service.waiting = service.len = 0;
	service.deadline = NEVER;
	tun_reset();
	tun.no_uso = how & 0x10;
	if (!ram.host)
		ram = driver_ram(LOW, HIGH);
	memset(ram.host, 0, LOW + HIGH);
	driver_host_init(&h);
	watches = 0;
	now = NSEC;
	memset(seen, 0, sizeof(seen));
	return net_init(&n, &conf, &h.host, &ram, &watcher) == 0;
}

/* A driver that means well is served, whatever was before: one frame each way. */
static void check_recovery(void)
{
	const struct limit_conf none = {0};
	struct input in = {
		(const uint8_t[]){0x0b, 0, 0, 0, 0, 0},
                 6
        }; /* all features, 32 entries */
	uint64_t before;

	tun.read_err = tun.write_err = tun.offload_err = tun.queue_err = 0;
	n.dev.paused = false;
	service.waiting = 0;
	net_set_limits(&n, true, &none, &none);
	net_set_limits(&n, false, &none, &none);
	while (recv(tun.queue[0].fd, packet, sizeof(packet), 0) >= 0)
		;
	bring_up(&in);
	before = n.in.packets;
	in = (struct input){
		(const uint8_t[]){0, 8, 4},
                 3
        };
	give_buffers(0, &in);
	in = (struct input){
		(const uint8_t[]){72, 0},
                 2
        };
	host_send(0, &in);
	watched[0]->ready(watched[0], WATCH_IN);
	CHECK(n.in.packets == before + 1);
	before = n.out.packets;
	in = (struct input){
		(const uint8_t[]){60, 0},
                 2
        };
	send_frame(1, &in);
	serve();
	CHECK(n.out.packets == before + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	CHECK(make(&in));
	bring_up(&in);
	for (unsigned i = 0; in.n && i < STEPS_MAX; i++) {
		step((uint8_t)input_take(&in, 1), &in);
		check_all();
	}
	check_recovery();
	CHECK(driver_reset(&n.dev));
	check_all();
	net_close(&n);
	tun_reset();
	return 0;
}
