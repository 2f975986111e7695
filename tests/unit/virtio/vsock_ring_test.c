/* vsock_ring_test.c - a vsock's rings: shapes of chains, bursts, order, turns, storms. */
#include "vsock_talk.h"

/* --- rings --- */

/* `n` chains to receive in, of the pieces `len`; the memory of all is one. */
static uint64_t gives(const uint32_t *len, unsigned pieces)
{
	struct driver_buf buf[64];
	uint64_t gpa = 0x900000, at = gpa;

	for (unsigned i = 0; i < pieces; i++) {
		buf[i] = (struct driver_buf){at, len[i], true};
		at += len[i];
	}
	assert_true(driver_add(&g.q[VSOCK_RX], buf, pieces) >= 0);
	return gpa;
}

static void rx_chains_of_any_shape_are_filled(void **state)
{
	uint32_t one[53], tail[] = {40, 4, 9}, early[] = {50, 3};
	const struct {
		const uint32_t *len;
		unsigned pieces;
	} t[] = {
		{one,   53},
                {tail,  3 },
                {early, 2 }
        };
	struct driver_done done;
	struct vsock_hdr h;
	int fd = dialed();

	for (unsigned i = 0; i < ARRAY_SIZE(one); i++)
		one[i] = 1;
	takes_all_back();
	host_say(fd, "012345678");
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		uint64_t gpa = gives(t[i].len, t[i].pieces);

		driver_kick(&g.q[VSOCK_RX], &g.v.dev);
		guest_turn(&g);
		assert_true(driver_used(&g.q[VSOCK_RX], &done));
		assert_int_equal(done.len, VSOCK_HDR_LEN + 9);
		memcpy(&h, driver_at(&g.q[VSOCK_RX], gpa, sizeof(h)), sizeof(h));
		assert_int_equal(h.op, RW);
		assert_int_equal(h.len, 9);
		assert_int_equal(h.src_port, PORT);
		assert_memory_equal(driver_at(&g.q[VSOCK_RX], gpa + VSOCK_HDR_LEN, 9), "012345678",
				    9);
		host_say(fd, "012345678");
	}
	close(fd);
}

static void rx_chains_that_are_too_small_go_back_empty(void **state)
{
	const uint32_t small = 43, header = 44, enough = 45;
	struct driver_done done;
	int fd = dialed();

	takes_all_back();
	host_say(fd, "xyz");
	gives(&small, 1);
	gives(&header, 1); /* it holds no byte of a stream */
	gives(&enough, 1);
	gives(&small, 1);
	gives(&header, 1);
	driver_kick(&g.q[VSOCK_RX], &g.v.dev);
	guest_turn(&g);
	assert_true(driver_used(&g.q[VSOCK_RX], &done) && done.len == 0);
	assert_true(driver_used(&g.q[VSOCK_RX], &done) && done.len == 0);
	assert_true(driver_used(&g.q[VSOCK_RX], &done));
	assert_int_equal(done.len, 45);
	assert_true(driver_used(&g.q[VSOCK_RX], &done) && done.len == 0);
	assert_true(driver_used(&g.q[VSOCK_RX], &done) && done.len == 0);
	assert_int_equal(g.v.dev.errors, 4);
	puts_odd(odd(RST));
	gives(&header, 1); /* enough for other packets */
	driver_kick(&g.q[VSOCK_RX], &g.v.dev);
	guest_say(&g, RW, 1, 1, 0);
	assert_true(driver_used(&g.q[VSOCK_RX], &done));
	assert_int_equal(done.len, 44);
	close(fd);
}

static void burst_fills_chains_in_order(void **state)
{
	static uint8_t got[sizeof(big)];
	int fd = dialed();
	size_t sum = 0;

	assert_int_equal(send(fd, big, 60000, MSG_DONTWAIT), 60000);
	while (guest_hear(&g, &p)) {
		assert_int_equal(p.h.op, RW);
		memcpy(got + sum, p.data, p.h.len);
		sum += p.h.len;
	}
	assert_int_equal(sum, 60000);
	assert_memory_equal(got, big, sum);
	close(fd);
}

static void burst_stops_at_a_chain_without_room(void **state)
{
	const uint32_t piece = 44 + 1000, header = 44;
	struct driver_done done;
	unsigned empty = 0, sum = 0, pattern = 0;
	int fd = dialed();

	takes_all_back();
	conn()->bulk = true;
	assert_int_equal(send(fd, big, 4500, MSG_DONTWAIT), 4500);
	for (unsigned i = 0; i < 8; i++)
		gives(i == 3 ? &header : &piece, 1);
	driver_kick(&g.q[VSOCK_RX], &g.v.dev);
	guest_turn(&g);
	for (unsigned i = 0; driver_used(&g.q[VSOCK_RX], &done); i++) {
		empty += done.len == 0;
		pattern |= (done.len == 0) << i;
		sum += done.len ? done.len - 44 : 0;
	}
	assert_int_equal(sum, 4500);
	assert_int_equal(empty, 1);
	assert_int_equal(pattern, BIT(3)); /* in its place */
	close(fd);
}

static void rx_buffers_come_back_in_the_order_they_came(void **state)
{
	const uint32_t small = 20;
	struct driver_done done;
	int fd = dialed();
	uint64_t last = 0;
	unsigned n = 0;

	takes_all_back();
	guest_give(&g, 16, 100);
	gives(&small, 1);
	guest_give(&g, 16, 100);
	conn()->bulk = true; /* the device takes more than it needs, and puts back */
	for (unsigned i = 0; i < 20; i++) {
		host_say(fd, i % 3 ? "ab" : "abcdefgh");
		guest_say(&g, i % 2 ? RW : CREDIT_REQUEST, i % 2 ? 1 : GPORT, PORT, 0);
	}
	for (; driver_used(&g.q[VSOCK_RX], &done); n++) {
		if (n == 16) {
			assert_int_equal(done.len, 0);
			continue;
		}
		assert_true(g.rx_gpa[done.head] > last); /* as they were made */
		last = g.rx_gpa[done.head];
	}
	assert_in_range(n, 30, 33);
	close(fd);
}

static void notifications_are_asked_for_when_buffers_run_out(void **state)
{
	int fd = dialed();

	takes_all_back();
	host_say(fd, "x");
	guest_turn(&g);
	g.host.kicks = 0;
	guest_give(&g, 1, 100);
	assert_int_equal(g.host.kicks, 1);
	hears_data(PORT, GPORT, "x");
	close(fd);
}

static void storm_of_resets_holds_the_tx_queue_until_buffers_come(void **state)
{
	struct driver *tx = &g.q[VSOCK_TX];
	struct driver_done done;
	unsigned taken = 0, told = 0;

	takes_all_back();
	for (unsigned round = 0; round < 2; round++) { /* 512 packets to nobody */
		for (unsigned i = 0; i < 256; i++) {
			struct vsock_hdr h = odd(RW);

			h.src_port = 256 * round + i;
			h.src_cid = GUEST_CID;
			memcpy(driver_at(tx, g.tx_hdr + 64 * i, sizeof(h)), &h, sizeof(h));
			if (driver_add(tx, &(struct driver_buf){g.tx_hdr + 64 * i, 44, false}, 1) <
			    0)
				break;
		}
		driver_kick(tx, &g.v.dev);
		guest_turn(&g);
		while (driver_used(tx, &done))
			taken++;
	}
	assert_int_equal(taken, 256);
	assert_true(g.v.tx_held);
	guest_give(&g, 200, 0);
	while (driver_used(tx, &done)) /* as many more, in the same go */
		taken++;
	assert_int_equal(taken, 456);
	g.stingy = false;
	while (guest_hear(&g, &p)) {
		assert_int_equal(p.h.op, RST);
		assert_int_equal(p.h.dst_port, told++);
	}
	while (driver_used(tx, &done))
		taken++;
	assert_int_equal(told, 512);
	assert_int_equal(taken, 512);
	assert_false(g.v.tx_held);
	assert_int_equal(g.v.rsts, 0);
}

static void tx_queue_that_was_full_is_listened_to_again(void **state)
{
	struct driver *tx = &g.q[VSOCK_TX];
	struct vsock_hdr h = odd(RST);

	memcpy(driver_at(tx, g.tx_hdr, sizeof(h)), &h, sizeof(h));
	for (unsigned i = 0; i < 256; i++)
		driver_add(tx, &(struct driver_buf){g.tx_hdr, 44, false}, 1);
	driver_publish(tx);
	virtio_service(&g.v.dev);
	assert_true(g.v.dev.again);
	guest_turn(&g);
	for (struct driver_done done; driver_used(tx, &done);)
		;
	driver_add(tx, &(struct driver_buf){g.tx_hdr, 44, false}, 1);
	assert_true(driver_publish(tx)); /* it wants to be told */
}

static void connections_take_turns(void **state)
{
	int listener = host_listen(&g, PORT), fd[3];
	unsigned n[3] = {0}, longest = 0, run = 0, last = 9;

	for (unsigned i = 0; i < 3; i++) {
		guest_say(&g, REQUEST, GPORT + i, PORT, 0);
		hears(RESPONSE, PORT, GPORT + i);
		fd[i] = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	}
	takes_all_back();
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(send(fd[i], big, 60000, MSG_DONTWAIT), 60000);
	guest_turn(&g);
	guest_give(&g, 96, 1000);
	for (unsigned i = 0; i < 96; i++) {
		assert_true(guest_hear(&g, &p));
		n[p.h.dst_port - GPORT]++;
		run = p.h.dst_port == last ? run + 1 : 1;
		last = p.h.dst_port;
		longest = MAX(longest, run);
	}
	for (unsigned i = 0; i < 3; i++) {
		assert_in_range(n[i], 32 - 17, 32 + 17);
		close(fd[i]);
	}
	assert_true(longest <= 16);
	close(listener);
}

static void turn_is_bounded_by_the_queue(void **state)
{
	int fd = dialed();

	takes_all_back();
	assert_int_equal(send(fd, big, 60000, MSG_DONTWAIT), 60000);
	guest_turn(&g);
	for (unsigned i = 0; i < 256; i++)
		gives((const uint32_t[]){46}, 1); /* two bytes each */
	driver_publish(&g.q[VSOCK_RX]);
	virtio_service(&g.v.dev);
	assert_true(g.v.dev.again); /* it went once round */
	guest_turn(&g);
	assert_false(g.v.dev.again);
	close(fd);
}

static void one_interrupt_a_queue_and_turn(void **state)
{
	int fd = dialed();
	unsigned before;

	takes_all_back();
	assert_int_equal(send(fd, big, 30000, MSG_DONTWAIT), 30000);
	guest_turn(&g);
	driver_interrupts(&g.q[VSOCK_RX], true);
	before = g.host.irqs[VSOCK_RX];
	guest_give(&g, 64, 1000);
	assert_int_equal(g.host.irqs[VSOCK_RX], before + 1);
	close(fd);
}

static void broken_ring_waits_for_a_reset(void **state)
{
	int fd = dialed();

	driver_put_avail(&g.q[VSOCK_TX], 0xffff);
	virtio_service(&g.v.dev);
	assert_true(driver_status(&g.v.dev) & VIRTIO_S_NEEDS_RESET);
	guest_turn(&g);
	assert_true(driver_reset(&g.v.dev));
	assert_true(host_ended(fd));
	close(fd);
	guest_start(&g, GUEST_FEATURES);
	guest_give(&g, 4, 4096);
	fd = host_connect(&g);
	host_say(fd, "CONNECT 1\n");
	hears(REQUEST, OURS, 1);
	close(fd);
}

static void broken_rx_ring_waits_for_a_reset(void **state)
{
	int fd = dialed();

	takes_all_back();
	host_say(fd, "x");
	driver_put_avail(&g.q[VSOCK_RX], 0xffff);
	virtio_service(&g.v.dev);
	guest_turn(&g);
	assert_true(driver_status(&g.v.dev) & VIRTIO_S_NEEDS_RESET);
	assert_true(driver_reset(&g.v.dev));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(rx_chains_of_any_shape_are_filled),
		T(rx_chains_that_are_too_small_go_back_empty),
		T(burst_fills_chains_in_order),
		T(burst_stops_at_a_chain_without_room),
		T(rx_buffers_come_back_in_the_order_they_came),
		T(notifications_are_asked_for_when_buffers_run_out),
		T(storm_of_resets_holds_the_tx_queue_until_buffers_come),
		T(tx_queue_that_was_full_is_listened_to_again),
		T(connections_take_turns),
		T(turn_is_bounded_by_the_queue),
		T(one_interrupt_a_queue_and_turn),
		T(broken_ring_waits_for_a_reset),
		T(broken_rx_ring_waits_for_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
