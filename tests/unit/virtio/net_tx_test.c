/* net_tx_test.c - from the guest to the tap. */
#include "net_fixture.h"

#define TX NET_TX_QUEUE(0)

/* A chain of `bufs` pieces of packet[], the last of which is the longest; -1 when there is no room.
 */
static int add(size_t len, unsigned bufs)
{
	struct driver_buf b[QUEUE_SIZE_MAX];
	uint64_t at = v[TX].heap;
	size_t each = len / bufs;

	memcpy(driver_at(&v[TX], at, len), packet, len);
	for (unsigned i = 0; i < bufs; i++)
		b[i] = (struct driver_buf){at + i * each, (uint32_t)each, false};
	b[bufs - 1].len = (uint32_t)(len - (bufs - 1) * each);
	return driver_add(&v[TX], b, bufs);
}

/* A frame of `len` bytes in one buffer with its header. */
static void send_one(size_t len)
{
	assert_true(add(TAP_HDR_LEN + len, 1) >= 0);
	driver_kick(&v[TX], &n.dev);
}

static unsigned given_back(void)
{
	struct driver_done done;
	unsigned count = 0;

	for (; driver_used(&v[TX], &done); count++)
		assert_int_equal(done.len, 0);
	return count;
}

/* One frame came to the host, and it is the one in packet[]. */
static void assert_sent(long len)
{
	assert_int_equal(host_recv(0), len);
	assert_memory_equal(got + TAP_HDR_LEN, packet + TAP_HDR_LEN, (size_t)len);
}

static void a_frame_reaches_the_tap_with_one_call_and_comes_back(void **state)
{
	static const uint8_t none[TAP_HDR_LEN];

	up(0);
	send_one(60);
	assert_sent(60);
	assert_memory_equal(got, none, TAP_HDR_LEN);
	assert_int_equal(host_recv(0), -1);
	assert_int_equal(tun.writes, 1);
	assert_int_equal(given_back(), 1);
	assert_int_equal(h.irqs[TX], 1);
	assert_int_equal(n.out.packets, 1);
	assert_int_equal(n.out.bytes, 60);
}

/* [virtio 1.2, 2.7.4.2]: the device makes no assumption about how descriptors are cut. */
static void a_frame_may_be_in_any_pieces(void **state)
{
	static const unsigned pieces[] = {2, 3, 5, 12, 13, 26, 72};

	for (unsigned indirect = 0; indirect < 2; indirect++) {
		tun_reset();
		watches = 0;
		up(indirect ? VIRTIO_F_INDIRECT_DESC : 0);
		for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++) {
			assert_true(add(72, pieces[i]) >= 0);
			driver_kick(&v[TX], &n.dev);
			assert_sent(60);
		}
		assert_int_equal(given_back(), ARRAY_SIZE(pieces));
		net_close(&n);
	}
}

static void the_longest_chain_is_one_call(void **state)
{
	up(0);
	assert_true(add(TAP_HDR_LEN + 1500, QSIZE) >= 0);
	driver_kick(&v[TX], &n.dev);
	assert_sent(1500);
	assert_int_equal(tun.writes, 1);
}

static void a_batch_is_one_interrupt(void **state)
{
	up(0);
	for (unsigned i = 0; i < 20; i++)
		add(72, 1);
	driver_kick(&v[TX], &n.dev);
	assert_int_equal(tun.writes, 20);
	assert_int_equal(given_back(), 20);
	assert_int_equal(h.irqs[TX], 1);
}

static void a_frame_is_14_to_65550_bytes(void **state)
{
	static const struct {
		size_t len;
		bool good;
	} row[] = {
		{0,     false},
                {13,    false},
                {14,    true },
                {65550, true },
                {65551, false}
        };

	up(0);
	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		send_one(row[i].len);
		if (row[i].good)
			assert_sent((long)row[i].len);
		else
			assert_int_equal(host_recv(0), -1);
		assert_int_equal(given_back(), 1);
	}
	assert_int_equal(n.out.dropped, 3);
	assert_int_equal(n.dev.errors, 3);
	add(5, 1); /* not even a header */
	driver_kick(&v[TX], &n.dev);
	assert_int_equal(n.out.dropped, 4);
	assert_int_equal(given_back(), 1);
	assert_int_equal(tun.writes, 2);
}

static void a_frame_that_the_device_may_write_is_dropped(void **state)
{
	struct driver_buf b[2];

	up(0);
	b[0] = (struct driver_buf){v[TX].heap, 72, false};
	b[1] = (struct driver_buf){v[TX].heap + 72, 20, true};
	driver_add(&v[TX], b, 2);
	driver_add(&v[TX], b + 1, 1);
	driver_kick(&v[TX], &n.dev);
	assert_int_equal(tun.writes, 0);
	assert_int_equal(n.out.dropped, 2);
	assert_int_equal(given_back(), 2);
}

struct hdr_row {
	struct net_hdr hdr;
	uint64_t features;
	bool good;
	struct net_hdr sent;
};

#define CSUM (VIRTIO_NET_F_CSUM)
#define TSO4 (CSUM | VIRTIO_NET_F_HOST_TSO4)
#define TSO6 (CSUM | VIRTIO_NET_F_HOST_TSO6)
#define USO  (CSUM | VIRTIO_NET_F_HOST_USO)

/* flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, num_buffers; a frame of 100 bytes */
// clang-format off
static const struct hdr_row hdr_rows[] = {
	/* nothing asked for: the rest says nothing, and does not reach the kernel */
	{{0, 0, 9, 9, 9, 9, 9}, 0, true, {0, 0, 0, 0, 0, 0, 0}},
	{{0, 0, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff}, TSO4, true, {0, 0, 0, 0, 0, 0, 0}},
	/* flags that are none of the driver's are ignored [5.1.6.2.2] */
	{{0xfe, 0, 0, 0, 0, 0, 0}, TSO4, true, {0, 0, 0, 0, 0, 0, 0}},
	{{0xff, 0, 0, 0, 34, 16, 0}, CSUM, true, {1, 0, 0, 0, 34, 16, 0}},
	/* a checksum needs the feature, and to be inside */
	{{1, 0, 0, 0, 34, 16, 1}, 0, false, {0}},
	{{1, 0, 0, 0, 34, 16, 1}, CSUM, true, {1, 0, 0, 0, 34, 16, 0}},
	{{1, 0, 0, 0, 13, 16, 1}, CSUM, false, {0}},
	{{1, 0, 0, 0, 14, 84, 1}, CSUM, true, {1, 0, 0, 0, 14, 84, 0}},
	{{1, 0, 0, 0, 14, 85, 1}, CSUM, false, {0}},
	{{1, 0, 0, 0, 98, 0, 1}, CSUM, true, {1, 0, 0, 0, 98, 0, 0}},
	{{1, 0, 0, 0, 99, 0, 1}, CSUM, false, {0}},
	{{1, 0, 0, 0, 0xffff, 0xffff, 1}, CSUM, false, {0}},
	{{1, 0, 0, 0, 34, 0xffde, 1}, CSUM, false, {0}}, /* a sum of 2^16 */
	/* segments need their feature, a checksum, and a size */
	{{1, 1, 54, 20, 34, 16, 7}, TSO4, true, {1, 1, 54, 20, 34, 16, 0}},
	{{1, 1, 54, 20, 34, 16, 0}, TSO6 | USO, false, {0}},
	{{1, 1, 54, 20, 34, 16, 0}, VIRTIO_NET_F_HOST_TSO4, false, {0}},
	{{0, 1, 54, 20, 34, 16, 0}, TSO4, false, {0}},
	{{1, 1, 54, 0, 34, 16, 0}, TSO4, false, {0}},
	{{1, 1, 100, 20, 34, 16, 0}, TSO4, true, {1, 1, 100, 20, 34, 16, 0}},
	{{1, 1, 101, 20, 34, 16, 0}, TSO4, false, {0}},
	{{1, 1, 0, 0xffff, 34, 16, 0}, TSO4, true, {1, 1, 0, 0xffff, 34, 16, 0}},
	{{1, 4, 74, 20, 54, 16, 0}, TSO6, true, {1, 4, 74, 20, 54, 16, 0}},
	{{1, 4, 74, 20, 54, 16, 0}, TSO4 | USO, false, {0}},
	{{1, 5, 42, 20, 34, 6, 0}, USO, true, {1, 5, 42, 20, 34, 6, 0}},
	{{1, 5, 42, 20, 34, 6, 0}, TSO4 | TSO6, false, {0}},
	/* kinds that are not offered: UFO, ECN, and none at all */
	{{1, 3, 42, 20, 34, 6, 0}, TSO4 | TSO6 | USO, false, {0}},
	{{1, 0x81, 54, 20, 34, 16, 0}, TSO4 | TSO6 | USO, false, {0}},
	{{1, 0x80, 54, 20, 34, 16, 0}, TSO4 | TSO6 | USO, false, {0}},
	{{1, 2, 54, 20, 34, 16, 0}, TSO4 | TSO6 | USO, false, {0}},
	{{1, 6, 54, 20, 34, 16, 0}, TSO4 | TSO6 | USO, false, {0}},
	{{1, 0xff, 54, 20, 34, 16, 0}, TSO4 | TSO6 | USO, false, {0}},
};
// clang-format on

static void headers_are_checked_against_the_frame_and_the_features(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(hdr_rows); i++) {
		const struct hdr_row *r = &hdr_rows[i];

		tun_reset();
		watches = 0;
		up(r->features);
		memcpy(packet, &r->hdr, sizeof(r->hdr));
		send_one(100);
		if ((host_recv(0) == 100) != r->good)
			fail_msg("row %u: the header is taken for %s", i, r->good ? "bad" : "good");
		if (r->good && memcmp(got, &r->sent, sizeof(r->sent)) != 0)
			fail_msg("row %u: another header reaches the tap", i);
		assert_int_equal(n.out.dropped, !r->good);
		assert_int_equal(given_back(), 1);
		net_close(&n);
	}
}

/* While the kernel reads the frame, the driver has changed the header to a bad one. */
static void spoil_header(void)
{
	memset(driver_at(&v[TX], v[TX].heap, TAP_HDR_LEN), 0xff, TAP_HDR_LEN);
}

static void the_header_that_was_checked_is_the_one_that_is_used(void **state)
{
	up(CSUM);
	tun.on_write = spoil_header;
	*hdr_in(packet) = (struct net_hdr){.flags = 1, .csum_start = 34, .csum_offset = 16};
	send_one(100);
	assert_int_equal(host_recv(0), 100);
	assert_memory_equal(got, packet, TAP_HDR_LEN);
}

static void what_the_tap_does_not_take_is_dropped_and_counted(void **state)
{
	static const int err[] = {EAGAIN, EIO, EBADFD, ENOMEM, EINVAL, ENOBUFS};

	up(0);
	for (unsigned i = 0; i < ARRAY_SIZE(err); i++) {
		tun.write_err = err[i];
		send_one(60);
		assert_int_equal(n.out.dropped, i + 1);
		assert_int_equal(given_back(), 1);
	}
	assert_int_equal(n.out.packets, 0);
	assert_int_equal(tun.writes, ARRAY_SIZE(err)); /* nothing is tried twice */
	tun.write_err = 0;
	send_one(60);
	assert_sent(60);
}

static void that_the_tap_is_down_is_said_once(void **state)
{
	up(0);
	tun.write_err = ENOMEM;
	send_one(60);
	assert_int_equal(said_lines, 0);
	tun.write_err = EIO;
	for (unsigned i = 0; i < 3; i++)
		send_one(60);
	assert_int_equal(said_lines, 1);
	assert_non_null(strstr(said, "ip link set tap0 up"));
}

/* Each packet that goes out brings another one: what a turn may take is bounded all the same. */
static void refill(void)
{
	add(72, 1);
	driver_publish(&v[TX]);
}

static unsigned turn(void)
{
	unsigned before = tun.writes;

	virtio_service(&n.dev);
	return tun.writes - before;
}

static void a_turn_takes_one_queue_size_of_chains(void **state)
{
	make();
	drive(BASIC, 16);
	tun.on_write = refill;
	for (unsigned i = 0; i < 3; i++) {
		refill();
		assert_int_equal(turn(), 16);
		assert_true(n.dev.again);
		assert_int_equal(given_back(), 16);
	}
	tun.on_write = NULL;
	assert_int_equal(turn(), 0);
	assert_false(n.dev.again);
}

static void a_turn_ends_after_half_a_megabyte(void **state)
{
	up(0);
	for (unsigned i = 0; i < 20; i++)
		add(TAP_HDR_LEN + 65536, 1);
	driver_publish(&v[TX]);
	tun.write_err = EAGAIN;
	assert_int_equal(turn(), 8);
	assert_true(n.dev.again);
	assert_int_equal(turn(), 8);
	assert_int_equal(turn(), 4);
	assert_false(n.dev.again);
}

/* What was done is shown in the middle of a long turn: the guest works on it meanwhile. */
static unsigned seen_in_turn;

static void look(void)
{
	if (tun.writes == 70)
		seen_in_turn = given_back();
}

static void completions_are_shown_during_a_long_turn(void **state)
{
	up(0);
	for (unsigned i = 0; i < 200; i++)
		add(72, 1);
	driver_interrupts(&v[TX], false);
	tun.on_write = look;
	driver_kick(&v[TX], &n.dev);
	assert_in_range(seen_in_turn, 60, 69);
	assert_int_equal(h.irqs[TX], 0);
}

static void a_busy_queue_takes_no_notifications(void **state)
{
	make();
	drive(VIRTIO_F_VERSION_1, QSIZE); /* by flags */
	assert_int_equal(*(uint16_t *)driver_at(&v[TX], v[TX].used, 2), 0);
	tun.on_write = refill;
	refill();
	virtio_service(&n.dev);
	assert_true(n.dev.again);
	assert_int_equal(*(uint16_t *)driver_at(&v[TX], v[TX].used, 2), VRING_USED_F_NO_NOTIFY);
	tun.on_write = NULL;
	driver_serve(&n.dev);
	assert_int_equal(*(uint16_t *)driver_at(&v[TX], v[TX].used, 2), 0);
}

/* The driver sends when the device has seen that there is nothing, and not yet asked. */
static void send_late(void)
{
	refill();
}

static void a_frame_of_the_last_moment_is_seen(void **state)
{
	up(0);
	trap_store(v[TX].used, send_late);
	virtio_service(&n.dev);
	assert_trapped();
	assert_int_equal(tun.writes, 1);
	assert_false(n.dev.again);
}

static void the_limiter_delays_and_drops_nothing(void **state)
{
	conf.tx_ops = (struct limit_conf){.size = 4, .refill_ms = 1000};
	up(0);
	for (unsigned i = 0; i < 10; i++) {
		packet[TAP_HDR_LEN] = (uint8_t)i;
		add(TAP_HDR_LEN + 60, 1);
		v[TX].heap += 128;
	}
	driver_kick(&v[TX], &n.dev);
	assert_int_equal(tun.writes, 4);
	assert_false(n.dev.again);
	assert_true(h.wake_at > fake_now);
	for (unsigned i = 0; tun.writes < 10; i++) {
		assert_true(i < 10);
		driver_serve(&n.dev); /* a kick meanwhile changes nothing */
		wake();
	}
	assert_in_range(fake_now - 100 * NSEC, NSEC, 2 * NSEC);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(host_recv(0), 60);
		assert_int_equal(got[TAP_HDR_LEN], i);
	}
	assert_int_equal(given_back(), 10);
	assert_int_equal(n.out.dropped, 0);
}

static void bytes_are_those_of_the_frame(void **state)
{
	conf.tx_bytes = (struct limit_conf){.size = 3000, .refill_ms = 1000};
	up(0);
	for (unsigned i = 0; i < 3; i++)
		add(TAP_HDR_LEN + 1500, 1);
	driver_kick(&v[TX], &n.dev);
	assert_int_equal(tun.writes, 2);
}

static void dropped_garbage_takes_no_tokens(void **state)
{
	conf.tx_ops = (struct limit_conf){.size = 1, .refill_ms = 1000};
	up(0);
	for (unsigned i = 0; i < 5; i++)
		send_one(3);
	send_one(60);
	assert_sent(60);
	assert_int_equal(n.out.dropped, 5);
}

static void other_limits_free_a_frame_that_waits(void **state)
{
	const struct limit_conf none = {0};

	conf.tx_ops = (struct limit_conf){.size = 1, .refill_ms = 1000000};
	up(0);
	send_one(60);
	send_one(60);
	assert_int_equal(tun.writes, 1);
	net_set_limits(&n, true, &none, &none); /* the other direction's */
	wake();
	assert_int_equal(tun.writes, 1);
	net_set_limits(&n, false, &none, &none);
	wake();
	assert_int_equal(tun.writes, 2);
	assert_in_range(fake_now - 100 * NSEC, 0, NSEC);
}

static void a_broken_ring_stops_the_device_alone(void **state)
{
	up(0);
	driver_put_avail_idx(&v[TX], QSIZE + 1);
	driver_serve(&n.dev);
	assert_true(driver_status(&n.dev) & VIRTIO_S_NEEDS_RESET);
	assert_int_equal(h.config_irqs, 1);
	assert_int_equal(tun.writes, 0);
	assert_true(driver_reset(&n.dev));
	drive(BASIC, QSIZE);
	send_one(60);
	assert_sent(60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_frame_reaches_the_tap_with_one_call_and_comes_back),
		T(a_frame_may_be_in_any_pieces),
		T(the_longest_chain_is_one_call),
		T(a_batch_is_one_interrupt),
		T(a_frame_is_14_to_65550_bytes),
		T(a_frame_that_the_device_may_write_is_dropped),
		T(headers_are_checked_against_the_frame_and_the_features),
		T(the_header_that_was_checked_is_the_one_that_is_used),
		T(what_the_tap_does_not_take_is_dropped_and_counted),
		T(that_the_tap_is_down_is_said_once),
		T(a_turn_takes_one_queue_size_of_chains),
		T(a_turn_ends_after_half_a_megabyte),
		T(completions_are_shown_during_a_long_turn),
		T(a_busy_queue_takes_no_notifications),
		T(a_frame_of_the_last_moment_is_seen),
		T(the_limiter_delays_and_drops_nothing),
		T(bytes_are_those_of_the_frame),
		T(dropped_garbage_takes_no_tokens),
		T(other_limits_free_a_frame_that_waits),
		T(a_broken_ring_stops_the_device_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
