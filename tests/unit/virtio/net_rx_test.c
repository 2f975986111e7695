/* net_rx_test.c - from the tap to the guest. */
#include "net_fixture.h"

#define RX  NET_RX_QUEUE(0)
#define MRG VIRTIO_NET_F_MRG_RXBUF
#define TSO (MRG | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4)

static uint64_t buf_at[QUEUE_SIZE_MAX]; /* of the chain with this head */
static uint32_t buf_len[QUEUE_SIZE_MAX];

#define BUF_AT(head) (0x800000 + 0x2000ull * (head)) /* each head has its memory */

/* A buffer of `len` bytes in `pieces`; the device sees it after driver_publish(). */
static int post_pieces(uint32_t len, unsigned pieces)
{
	struct driver_buf b[QUEUE_SIZE_MAX];
	uint64_t at = BUF_AT(v[RX].first_free);
	uint32_t each = len / pieces;
	int head;

	for (unsigned i = 0; i < pieces; i++)
		b[i] = (struct driver_buf){at + i * (uint64_t)each, each, true};
	b[pieces - 1].len = len - (pieces - 1) * each;
	head = driver_add(&v[RX], b, pieces);
	if (head < 0)
		return head;
	memset(driver_at(&v[RX], at, len), 0xee, len);
	buf_at[head] = at;
	buf_len[head] = len;
	return head;
}

static void post(uint32_t len, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_true(post_pieces(len, 1) >= 0);
	driver_publish(&v[RX]);
}

/*
 * The next packet that the driver gets, gathered in got[]: its length, header included; 0: there is
 * none. All buffers but the last are full, and the header tells how many.
 */
static uint32_t take(unsigned *bufs)
{
	struct driver_done done;
	uint32_t len = 0;
	unsigned left;

	*bufs = 0;
	if (!driver_used(&v[RX], &done))
		return 0;
	left = hdr_in(driver_at(&v[RX], buf_at[done.head], TAP_HDR_LEN))->num_buffers;
	for (;;) {
		assert_in_range(done.len, 1, buf_len[done.head]);
		memcpy(got + len, driver_at(&v[RX], buf_at[done.head], done.len), done.len);
		len += done.len;
		++*bufs;
		if (--left == 0)
			return len;
		assert_int_equal(done.len, buf_len[done.head]);
		assert_true(driver_used(&v[RX], &done));
	}
}

/* The next packet is packet[] with a frame of `len` bytes, in `bufs` buffers. */
static void assert_got(uint32_t len, unsigned bufs)
{
	unsigned n_bufs;

	assert_int_equal(take(&n_bufs), TAP_HDR_LEN + len);
	assert_int_equal(n_bufs, bufs);
	assert_memory_equal(got + TAP_HDR_LEN, packet + TAP_HDR_LEN, len);
}

static void assert_nothing(void)
{
	struct driver_done done;

	assert_false(driver_used(&v[RX], &done));
}

static void a_frame_fills_a_buffer_with_one_call(void **state)
{
	up(0);
	post(1526, 4);
	driver_serve(&n.dev);
	tun.reads = 0;
	host_send(0, 60);
	ready(0);
	assert_got(60, 1);
	assert_int_equal(hdr_in(got)->num_buffers, 1);
	assert_int_equal(hdr_in(got)->flags, 0);
	assert_int_equal(tun.reads, 2); /* the packet, and that there is no more */
	assert_int_equal(h.irqs[RX], 1);
	assert_int_equal(n.in.packets, 1);
	assert_int_equal(n.in.bytes, 60);
}

static void what_waited_before_the_driver_came_is_given(void **state)
{
	make();
	host_send(0, 60);
	ready(0); /* nobody is there */
	assert_int_equal(tun.reads, 0);
	drive(BASIC, QSIZE);
	post(1526, 1);
	driver_serve(&n.dev);
	assert_got(60, 1);
}

static void a_ready_tap_before_the_start_is_not_read(void **state)
{
	make();
	for (unsigned i = 0; i < n.dev.queues; i++)
		driver_init(&v[i], &ram, 0x100000 + i * 0x80000ull, QSIZE, BASIC);
	n.dev.started = n.dev.fresh = true; /* DRIVER_OK, and the loop was not there yet */
	host_send(0, 60);
	ready(0);
	assert_int_equal(tun.reads, 0);
	n.dev.started = n.dev.fresh = false;
}

static void events_that_say_nothing_of_packets_are_ignored(void **state)
{
	up(0);
	post(1526, 1);
	driver_serve(&n.dev);
	tun.reads = 0;
	watched[0]->ready(watched[0], WATCH_OUT);
	assert_int_equal(tun.reads, 0);
	tun.read_err = EBADFD; /* the tap was deleted */
	watched[0]->ready(watched[0], WATCH_ERR | WATCH_HUP);
	assert_int_equal(tun.reads, 1);
	driver_serve(&n.dev);
	assert_int_equal(tun.reads, 1);
}

static void a_burst_is_one_interrupt(void **state)
{
	up(MRG);
	post(1526, 32);
	driver_serve(&n.dev);
	for (unsigned i = 0; i < 20; i++)
		host_send(0, 1000);
	tun.reads = 0;
	ready(0);
	for (unsigned i = 0; i < 20; i++)
		assert_got(1000, 1);
	assert_int_equal(h.irqs[RX], 1);
	assert_int_equal(tun.reads, 21);
}

static void without_merging_a_frame_beyond_its_buffer_is_dropped(void **state)
{
	up(0);
	post(100, 2);
	driver_serve(&n.dev);
	host_send(0, 89);
	host_send(0, 88);
	host_send(0, 3000);
	ready(0);
	assert_got(88, 1); /* in the buffer that the first one did not get */
	assert_nothing();
	assert_int_equal(n.in.dropped, 2);
	assert_int_equal(n.dev.errors, 2);
	assert_int_equal(n.dev.chains, 2);
}

static void a_frame_is_merged_over_buffers(void **state)
{
	up(MRG);
	post(500, 8);
	driver_serve(&n.dev);
	host_send(0, 1400);
	host_send(0, 488); /* to the last byte of one */
	host_send(0, 489);
	ready(0);
	assert_got(1400, 3);
	assert_got(488, 1);
	assert_got(489, 2);
	assert_nothing();
}

static void buffers_that_are_left_over_serve_the_next_frame(void **state)
{
	up(MRG | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO6);
	post(4096, 64);
	driver_serve(&n.dev);
	host_send(0, 100);
	ready(0);
	assert_int_equal(n.dev.chains, 18); /* 17 for 65562 bytes, and one for that which went */
	assert_int_equal(tun.read_iovs, 18);
	host_send(0, 100);
	ready(0);
	assert_int_equal(n.dev.chains, 19);
	assert_got(100, 1);
	assert_got(100, 1);
}

/* Room for the largest frame that is to be expected, and no more, is asked of the driver. */
static void the_room_follows_what_was_negotiated(void **state)
{
	static const struct {
		uint64_t features;
		uint16_t mtu;
		unsigned chains; /* of 100 bytes */
	} row[] = {
		{0,			     1400, 1  },
		{MRG,			   1400, 16 }, /* 1530 */
		{MRG | VIRTIO_NET_F_MTU,        1400, 15 },
		{MRG | VIRTIO_NET_F_MTU,        9000, 91 },
		{MRG | VIRTIO_NET_F_GUEST_CSUM, 0,    16 },
		{MRG | VIRTIO_NET_F_GUEST_TSO4, 0,    16 },
		{TSO,			   0,    256},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		tun_reset();
		watches = 0;
		conf.mtu = row[i].mtu;
		up(row[i].features);
		post(100, QSIZE);
		driver_serve(&n.dev);
		assert_int_equal(n.dev.chains, row[i].chains);
		net_close(&n);
	}
}

static void buffers_may_be_in_any_pieces(void **state)
{
	static const unsigned pieces[] = {1, 2, 7, 25, 50};

	for (unsigned merge = 0; merge < 2; merge++) {
		tun_reset();
		watches = 0;
		up(merge ? MRG : 0);
		for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++) {
			assert_true(post_pieces(100, pieces[i]) >= 0);
			driver_publish(&v[RX]);
			host_send(0, 88);
			driver_serve(&n.dev);
			ready(0);
			assert_got(88, 1);
		}
		net_close(&n);
	}
}

static void buffers_that_cannot_hold_a_header_go_back_empty(void **state)
{
	struct driver_done done;
	struct driver_buf b[2];

	up(MRG);
	b[0] = (struct driver_buf){v[RX].heap, 64, false};
	b[1] = (struct driver_buf){v[RX].heap, 2000, true};
	driver_add(&v[RX], b, 2);
	driver_add(&v[RX], b, 1);
	post_pieces(11, 1);
	driver_publish(&v[RX]);
	driver_serve(&n.dev);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(driver_used(&v[RX], &done));
		assert_int_equal(done.len, 0);
	}
	assert_int_equal(n.dev.errors, 3);
	post(12, 1);
	post(100, 1);
	host_send(0, 60);
	ready(0);
	assert_got(60, 2); /* a header alone is a buffer */
}

static void without_buffers_a_frame_stays_in_the_tap(void **state)
{
	up(0);
	driver_serve(&n.dev);
	host_send(0, 60);
	ready(0);
	ready(0);
	assert_int_equal(tun.reads, 0);
	assert_false(n.dev.again);
	assert_int_equal(post_pieces(1526, 1), 0);
	driver_kick(&v[RX], &n.dev); /* the driver was asked to tell */
	assert_got(60, 1);
	assert_int_equal(n.in.dropped, 0);
}

static void buffers_are_not_told_of_while_there_are_some(void **state)
{
	for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
		tun_reset();
		watches = 0;
		make();
		drive(event_idx ? BASIC : VIRTIO_F_VERSION_1, QSIZE);
		post(1526, 2);
		driver_serve(&n.dev);
		host_send(0, 60);
		ready(0);
		assert_true(post_pieces(1526, 1) >= 0);
		assert_false(driver_publish(&v[RX]));
		for (unsigned i = 0; i < 3; i++)
			host_send(0, 60);
		ready(0); /* three frames, two buffers */
		assert_true(post_pieces(1526, 1) >= 0);
		assert_true(driver_publish(&v[RX]));
		net_close(&n);
	}
}

static void a_frame_beyond_the_buffers_at_hand_waits_for_more(void **state)
{
	up(TSO);
	post(4096, 3);
	driver_serve(&n.dev);
	host_send(0, 65000);
	packet[TAP_HDR_LEN] ^= 1;
	host_send(0, 60);
	ready(0);
	assert_nothing();
	assert_false(n.dev.again);
	post(4096, 4); /* still too few */
	driver_serve(&n.dev);
	ready(0);
	assert_nothing();
	post(4096, 10);
	driver_serve(&n.dev);
	packet[TAP_HDR_LEN] ^= 1;
	assert_got(65000, 16);
	packet[TAP_HDR_LEN] ^= 1;
	assert_got(60, 1);
	assert_int_equal(n.in.dropped, 0);
	assert_true(n.in.starved > 0);
}

static void a_frame_that_the_whole_ring_cannot_hold_is_dropped(void **state)
{
	make();
	drive(BASIC | TSO, 8);
	post(1000, 8);
	driver_serve(&n.dev);
	host_send(0, 7989);
	host_send(0, 7988);
	ready(0);
	assert_got(7988, 8);
	assert_int_equal(n.in.dropped, 1);
}

/* More descriptors than one readv() takes: six chains of 256 do not fit. */
static void buffers_of_crumbs_are_kept_up_to_the_limit_of_a_call(void **state)
{
	up(TSO | VIRTIO_F_INDIRECT_DESC);
	for (unsigned i = 0; i < 32; i++)
		assert_true(post_pieces(64, 64) >= 0);
	driver_publish(&v[RX]);
	driver_serve(&n.dev);
	assert_int_equal(tun.read_iovs, 15 * 64 + 1);
	host_send(0, 15 * 64 - TAP_HDR_LEN + 1);
	host_send(0, 15 * 64 - TAP_HDR_LEN);
	ready(0);
	assert_got(15 * 64 - TAP_HDR_LEN, 15);
	assert_int_equal(n.in.dropped, 1);
	assert_int_equal(tun.read_iovs, 15 * 64 + 1);
}

static void runts_and_giants_are_dropped(void **state)
{
	up(MRG);
	post(1526, 4);
	driver_serve(&n.dev);
	assert_int_equal(send(tun.queue[0].peer, packet, 5, 0), 5);
	host_send(0, 0);
	host_send(0, 13);
	host_send(0, NET_RX_SPILL + 2 * 1526 - TAP_HDR_LEN);
	host_send(0, 14);
	ready(0);
	assert_got(14, 1);
	assert_nothing();
	assert_int_equal(n.in.dropped, 4);
}

static void only_negotiated_offloads_reach_the_driver(void **state)
{
	const uint64_t csum = VIRTIO_NET_F_GUEST_CSUM;
	const uint64_t uso = VIRTIO_NET_F_GUEST_USO4 | VIRTIO_NET_F_GUEST_USO6;
	const struct {
		uint64_t features;
		uint8_t flags, gso_type;
		bool good;
		uint8_t flags_seen;
	} row[] = {
		{0,				    0, 0,    true,  0},
		{0,				    1, 0,    false, 0},
		{0,				    2, 0,    true,  0}, /* DATA_VALID [5.1.6.4.1] */
		{csum,				 1, 0,    true,  1},
		{csum,				 2, 0,    true,  2},
		{csum,				 1, 1,    false, 0},
		{csum | VIRTIO_NET_F_GUEST_TSO4,       1, 1,    true,  1},
		{csum | VIRTIO_NET_F_GUEST_TSO4,       1, 4,    false, 0},
		{csum | VIRTIO_NET_F_GUEST_TSO4,       1, 0x81, false, 0},
		{VIRTIO_NET_F_GUEST_TSO4,              0, 1,    false, 0},
		{csum | VIRTIO_NET_F_GUEST_TSO6,       1, 4,    true,  1},
		{csum | uso,                           1, 5,    true,  1},
		{csum | VIRTIO_NET_F_GUEST_USO4,       1, 5,    false, 0},
		{csum | uso | VIRTIO_NET_F_GUEST_TSO4, 1, 3,    false, 0},
		{csum | uso,                           1, 0xff, false, 0},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		unsigned bufs;

		tun_reset();
		watches = 0;
		up(MRG | row[i].features);
		post(4096, 20);
		driver_serve(&n.dev);
		hdr_in(packet)->flags = row[i].flags;
		hdr_in(packet)->gso_type = row[i].gso_type;
		host_send(0, 100);
		ready(0);
		if ((take(&bufs) != 0) != row[i].good)
			fail_msg("row %u: %s", i, row[i].good ? "dropped" : "given");
		if (row[i].good)
			assert_int_equal(hdr_in(got)->flags, row[i].flags_seen);
		assert_int_equal(n.in.dropped, !row[i].good);
		net_close(&n);
	}
}

static void the_rest_of_the_header_passes(void **state)
{
	up(TSO);
	post(4096, 20);
	driver_serve(&n.dev);
	*hdr_in(packet) = (struct net_hdr){1, 1, 54, 1448, 34, 16, 0x7777};
	host_send(0, 30000);
	ready(0);
	assert_got(30000, 8);
	hdr_in(packet)->num_buffers = 8;
	assert_memory_equal(got, packet, TAP_HDR_LEN);
}

static void a_turn_takes_one_queue_size_of_frames(void **state)
{
	make();
	drive(BASIC, 16);
	driver_serve(&n.dev);
	post(1526, 16);
	for (unsigned i = 0; i < 20; i++)
		host_send(0, 60);
	tun.reads = 0;
	ready(0);
	assert_int_equal(tun.reads, 16);
	assert_true(n.dev.again);
	for (unsigned i = 0; i < 16; i++)
		assert_got(60, 1);
	post(1526, 4);
	driver_serve(&n.dev);
	for (unsigned i = 0; i < 4; i++)
		assert_got(60, 1);
	assert_false(n.dev.again);
}

/* Buffers that are of no use are bounded as well, though the driver adds them all the time. */
static void turns_end_with_a_driver_that_adds_bad_buffers(void **state)
{
	struct driver_done done;

	make();
	drive(BASIC, 16);
	for (unsigned i = 0; i < 5; i++) {
		for (unsigned k = 0; k < 16; k++)
			post_pieces(11, 1);
		driver_publish(&v[RX]);
		virtio_service(&n.dev);
		assert_int_equal(n.dev.errors, 16 * (i + 1));
		assert_true(n.dev.again); /* a queue's size of them is a turn */
		while (driver_used(&v[RX], &done))
			;
	}
	driver_serve(&n.dev);
	assert_int_equal(tun.reads, 0);
}

/* The driver gives a buffer when the device has seen that there is none, and not yet asked. */
static void give_one(void)
{
	post(1526, 1);
}

static void a_buffer_of_the_last_moment_is_seen(void **state)
{
	up(0);
	host_send(0, 60);
	trap_store(v[RX].used, give_one);
	virtio_service(&n.dev);
	assert_trapped();
	assert_got(60, 1);
	assert_false(n.dev.again);
}

static void a_turn_ends_after_half_a_megabyte(void **state)
{
	up(TSO);
	for (unsigned i = 0; i < QSIZE; i++)
		assert_true(post_pieces(8192, 1) >= 0);
	driver_publish(&v[RX]);
	driver_serve(&n.dev);
	for (unsigned i = 0; i < 12; i++)
		host_send(0, 65000);
	ready(0);
	assert_int_equal(n.in.packets, 9);
	assert_true(n.dev.again);
	driver_serve(&n.dev);
	assert_int_equal(n.in.packets, 12);
}

/* What was done is shown in the middle of a long turn: the guest works on it meanwhile. */
static unsigned seen_in_turn;

static void look(void)
{
	unsigned bufs;

	if (n.in.packets == 70)
		while (take(&bufs))
			seen_in_turn++;
}

static void packets_are_shown_during_a_long_turn(void **state)
{
	up(0);
	post(1526, 200);
	driver_serve(&n.dev);
	driver_interrupts(&v[RX], false);
	for (unsigned i = 0; i < 100; i++)
		host_send(0, 60);
	tun.on_read = look;
	ready(0);
	assert_int_equal(n.in.packets, 100);
	assert_in_range(seen_in_turn, 60, 69);
	assert_int_equal(h.irqs[RX], 0);
}

static void the_limiter_holds_frames_back_and_drops_none(void **state)
{
	conf.rx_ops = (struct limit_conf){.size = 3, .refill_ms = 1000};
	up(MRG);
	post(1526, 32);
	driver_serve(&n.dev);
	for (unsigned i = 0; i < 8; i++) {
		packet[TAP_HDR_LEN] = (uint8_t)i;
		host_send(0, 60);
	}
	tun.reads = 0;
	ready(0);
	assert_int_equal(n.in.packets, 3);
	assert_int_equal(tun.reads, 4); /* one is read and waits here, the others in the tap */
	ready(0);
	driver_serve(&n.dev);
	assert_int_equal(tun.reads, 4);
	assert_false(n.dev.again);
	for (unsigned i = 0; n.in.packets < 8; i++) {
		assert_true(i < 20);
		wake();
	}
	for (unsigned i = 0; i < 8; i++) {
		packet[TAP_HDR_LEN] = (uint8_t)i;
		assert_got(60, 1);
	}
	assert_in_range(fake_now - 100 * NSEC, NSEC, 2 * NSEC);
	assert_int_equal(n.in.dropped, 0);
}

static void bytes_are_limited_too(void **state)
{
	conf.rx_bytes = (struct limit_conf){.size = 2000, .refill_ms = 1000};
	up(MRG);
	post(1526, 32);
	driver_serve(&n.dev);
	for (unsigned i = 0; i < 3; i++)
		host_send(0, 1000);
	ready(0);
	assert_int_equal(n.in.packets, 2);
	wake();
	assert_int_equal(n.in.packets, 3);
	assert_in_range(fake_now - 100 * NSEC, NSEC / 4, NSEC);
}

static void a_frame_that_waits_is_freed_by_other_limits(void **state)
{
	const struct limit_conf none = {0};

	conf.rx_ops = (struct limit_conf){.size = 1, .refill_ms = 1000000};
	up(MRG);
	post(1526, 32);
	driver_serve(&n.dev);
	host_send(0, 60);
	host_send(0, 61);
	ready(0);
	assert_int_equal(n.in.packets, 1);
	net_set_limits(&n, true, NULL, &none);
	wake();
	assert_got(60, 1);
	assert_got(61, 1);
}

static void a_reset_forgets_buffers_and_the_frame_at_hand(void **state)
{
	up(TSO);
	post(4096, 3);
	driver_serve(&n.dev);
	host_send(0, 30000);
	ready(0);
	assert_true(driver_reset(&n.dev));
	ready(0); /* nobody is there: guest memory is left alone */
	memset(ram.host, 0xaa, ram.low);
	host_send(0, 60);
	ready(0);
	for (uint64_t i = 0; i < ram.low; i++)
		if (ram.host[i] != 0xaa)
			fail_msg("guest memory changed at %#llx", (unsigned long long)i);
	drive(BASIC | TSO, QSIZE);
	post(4096, 2);
	driver_serve(&n.dev);
	assert_got(60, 1);
	assert_nothing();
}

static void a_pause_keeps_all_as_it_is(void **state)
{
	up(MRG);
	post(1526, 4);
	driver_serve(&n.dev);
	n.dev.paused = true;
	host_send(0, 60);
	ready(0);
	driver_serve(&n.dev);
	assert_nothing();
	n.dev.paused = false;
	driver_serve(&n.dev);
	assert_got(60, 1);
}

static void a_broken_ring_stops_the_device_until_the_reset(void **state)
{
	up(TSO);
	post(4096, 1);
	driver_serve(&n.dev);
	driver_put_avail(&v[RX], 999);
	host_send(0, 9000);
	tun.reads = 0;
	ready(0);
	driver_serve(&n.dev);
	assert_true(driver_status(&n.dev) & VIRTIO_S_NEEDS_RESET);
	assert_nothing();
	assert_int_equal(tun.reads, 0);
	assert_true(driver_reset(&n.dev));
	drive(BASIC | TSO, QSIZE);
	post(4096, 20);
	driver_serve(&n.dev);
	assert_got(9000, 3);
}

/* Sizes of all kinds over many rounds of the ring: every byte, in order. */
static void a_long_run_keeps_every_frame(void **state)
{
	uint64_t seed = 1, sent = 0;
	uint32_t len[4000];

	up(TSO);
	for (unsigned i = 0; i < ARRAY_SIZE(len); i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		len[i] = 14 + (uint32_t)(seed >> 33) % ((seed >> 60) ? 3000 : 65000);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(len); i++) {
		unsigned bufs, pieces = 1 + i % 3;
		uint32_t room = 700 + i * 37 % 1500;

		while (post_pieces(room, pieces) >= 0)
			;
		driver_publish(&v[RX]);
		driver_serve(&n.dev);
		host_send(0, len[i]);
		ready(0);
		assert_int_equal(take(&bufs), TAP_HDR_LEN + len[i]);
		assert_memory_equal(got + TAP_HDR_LEN, packet + TAP_HDR_LEN, len[i]);
		sent += len[i];
	}
	assert_int_equal(n.in.packets, ARRAY_SIZE(len));
	assert_int_equal(n.in.bytes, sent);
	assert_int_equal(n.in.dropped, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_frame_fills_a_buffer_with_one_call),
		T(what_waited_before_the_driver_came_is_given),
		T(a_ready_tap_before_the_start_is_not_read),
		T(events_that_say_nothing_of_packets_are_ignored),
		T(a_burst_is_one_interrupt),
		T(without_merging_a_frame_beyond_its_buffer_is_dropped),
		T(a_frame_is_merged_over_buffers),
		T(buffers_that_are_left_over_serve_the_next_frame),
		T(the_room_follows_what_was_negotiated),
		T(buffers_may_be_in_any_pieces),
		T(buffers_that_cannot_hold_a_header_go_back_empty),
		T(without_buffers_a_frame_stays_in_the_tap),
		T(buffers_are_not_told_of_while_there_are_some),
		T(a_frame_beyond_the_buffers_at_hand_waits_for_more),
		T(a_frame_that_the_whole_ring_cannot_hold_is_dropped),
		T(buffers_of_crumbs_are_kept_up_to_the_limit_of_a_call),
		T(runts_and_giants_are_dropped),
		T(only_negotiated_offloads_reach_the_driver),
		T(the_rest_of_the_header_passes),
		T(a_turn_takes_one_queue_size_of_frames),
		T(a_turn_ends_after_half_a_megabyte),
		T(packets_are_shown_during_a_long_turn),
		T(turns_end_with_a_driver_that_adds_bad_buffers),
		T(a_buffer_of_the_last_moment_is_seen),
		T(the_limiter_holds_frames_back_and_drops_none),
		T(bytes_are_limited_too),
		T(a_frame_that_waits_is_freed_by_other_limits),
		T(a_reset_forgets_buffers_and_the_frame_at_hand),
		T(a_pause_keeps_all_as_it_is),
		T(a_broken_ring_stops_the_device_until_the_reset),
		T(a_long_run_keeps_every_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
