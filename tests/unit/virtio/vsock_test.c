/* vsock_test.c - behaviours of the virtio socket device: connections, wrong packets, its life. */
#include "vsock_talk.h"

/* --- the device --- */

static void driver_sees_its_cid_and_what_is_offered(void **state)
{
	struct virtio_dev *d = &g.v.dev;

	virtio_lock(d);
	assert_int_equal(virtio_config_read(d, 0, 4), GUEST_CID);
	assert_int_equal(virtio_config_read(d, 4, 4), 0);
	virtio_config_write(d, 0, 4, 7);
	assert_int_equal(virtio_config_read(d, 0, 4), GUEST_CID);
	assert_true(d->offered ==
		    (VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC | BIT(35)));
	assert_int_equal(d->queues, 3);
	assert_int_equal(d->queue[2].max, 256);
	virtio_unlock(d);
}

static void host_connects_to_a_guest_that_listens(void **state)
{
	int fd = host_connect(&g);

	assert_true(fd >= 0);
	host_say(fd, "CONNECT 52\n");
	hears(REQUEST, OURS, 52);
	assert_int_equal(p.h.buf_alloc, VSOCK_BUF);
	assert_int_equal(p.h.fwd_cnt, 0);
	assert_true(host_hears(fd, ""));
	guest_reply(&g, &p, RESPONSE);
	assert_true(host_hears(fd, "OK 1073741824\n"));
	host_say(fd, "ping");
	hears_data(OURS, 52, "ping");
	guest_send(&g, 52, OURS, "pong", 4);
	assert_true(host_hears(fd, "pong"));
	guest_later(&g, 3 * SECOND); /* the wait for an answer is over */
	hears_nothing();
	guest_send(&g, 52, OURS, "still", 5);
	assert_true(host_hears(fd, "still"));
	close(fd);
}

static void host_that_the_guest_refuses_hears_nothing(void **state)
{
	int fd = host_connect(&g);

	host_say(fd, "CONNECT 52\n");
	hears(REQUEST, OURS, 52);
	guest_reply(&g, &p, RST);
	assert_true(host_ended(fd));
	hears_nothing();
	is_gone();
	close(fd);
}

static void guest_connects_to_a_listener_of_the_host(void **state)
{
	int fd = dialed();

	assert_int_equal(p.h.buf_alloc, VSOCK_BUF);
	guest_send(&g, GPORT, PORT, "hello", 5);
	assert_true(host_hears(fd, "hello"));
	host_say(fd, "world");
	hears_data(PORT, GPORT, "world");
	assert_int_equal(p.h.fwd_cnt, 5);
	hears_nothing();
	close(fd);
}

static void guest_is_refused_where_nobody_listens(void **state)
{
	int listener = host_listen(&g, PORT);

	guest_say(&g, REQUEST, GPORT, 53, 0);
	hears(RST, 53, GPORT);
	close(listener); /* its file stays behind */
	guest_say(&g, REQUEST, GPORT, PORT, 0);
	hears(RST, PORT, GPORT);
	hears_nothing();
	is_gone();
	assert_int_equal(g.v.dialed, 2);
	assert_int_equal(g.v.undialed, 2);
}

static void works_without_ring_features(void **state)
{
	int fd;

	assert_true(driver_reset(&g.v.dev));
	guest_start(&g, VIRTIO_F_VERSION_1);
	guest_give(&g, 4, 4096);
	fd = host_connect(&g);
	host_say(fd, "connect 7\n");
	hears(REQUEST, OURS, 7);
	guest_reply(&g, &p, RESPONSE);
	host_say(fd, "x"); /* behind "OK ..." in the other direction */
	hears_data(OURS, 7, "x");
	close(fd);
}

/* --- packets that are wrong --- */

static void packets_to_other_cids_are_dropped(void **state)
{
	struct vsock_hdr h = odd(REQUEST);

	h.dst_cid = 3;
	puts_odd(h);
	h.dst_cid = 2 + BIT(32);
	puts_odd(h);
	h.type = 2;
	puts_odd(h);
	hears_nothing();
	assert_int_equal(g.v.dev.errors, 3);
}

static void packets_from_other_cids_are_dropped(void **state)
{
	struct vsock_hdr h = odd(REQUEST);
	int listener = host_listen(&g, PORT);

	h.src_cid = GUEST_CID + 1;
	puts_odd(h);
	h.src_cid = GUEST_CID + BIT(32);
	puts_odd(h);
	hears_nothing();
	assert_int_equal(g.v.dev.errors, 2);
	is_gone();
	close(listener);
}

static void other_types_are_reset_in_kind(void **state)
{
	struct vsock_hdr h = odd(REQUEST);
	int listener = host_listen(&g, PORT);

	h.type = 2; /* SEQPACKET */
	puts_odd(h);
	assert_true(guest_hear(&g, &p));
	assert_int_equal(p.h.op, RST);
	assert_int_equal(p.h.type, 2);
	assert_int_equal(p.h.dst_port, GPORT);
	h.op = RST;
	puts_odd(h);
	hears_nothing();
	is_gone();
	close(listener);
}

static void unknown_connections_are_reset_but_not_for_an_rst(void **state)
{
	static const unsigned op[] = {0, RESPONSE, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST,
				      8, 0xffff};

	for (unsigned i = 0; i < ARRAY_SIZE(op); i++) {
		puts_odd(odd(op[i]));
		hears(RST, PORT, GPORT);
		assert_int_equal(p.h.buf_alloc, 0);
	}
	puts_odd(odd(RST));
	hears_nothing();
}

static void header_that_is_cut_short_is_dropped(void **state)
{
	struct driver *tx = &g.q[VSOCK_TX];
	struct driver_buf buf = {g.tx_hdr, 43, false}, in = {g.tx_hdr, 64, true};
	struct driver_done done;
	struct vsock_hdr h = odd(RW);

	memcpy(driver_at(tx, g.tx_hdr, sizeof(h)), &h, sizeof(h));
	driver_add(tx, &buf, 1);
	driver_add(tx, &in, 1); /* nothing to read in it */
	driver_kick(tx, &g.v.dev);
	assert_true(driver_used(tx, &done) && done.len == 0);
	assert_true(driver_used(tx, &done) && done.len == 0);
	hears_nothing();
	assert_int_equal(g.v.dev.errors, 2);
}

static void header_in_many_pieces_is_read(void **state)
{
	struct driver *tx = &g.q[VSOCK_TX];
	struct vsock_hdr h = odd(RW);
	struct driver_buf buf[] = {
		{g.tx_hdr,      1,  false},
		{g.tx_hdr + 1,  42, false},
		{g.tx_hdr + 43, 3,  false},
		{g.tx_hdr + 46, 1,  false}
        };
	int fd = dialed();

	h.len = 3;
	memcpy(driver_at(tx, g.tx_hdr, 64), &h, sizeof(h));
	memcpy(driver_at(tx, g.tx_hdr + 44, 3), "abc", 3);
	driver_add(tx, buf, 4);
	driver_kick(tx, &g.v.dev);
	assert_true(host_hears(fd, "abc"));
	close(fd);
}

static void length_beyond_the_chain_resets(void **state)
{
	struct vsock_hdr h = odd(RW);
	int fd = dialed();

	h.len = 1; /* and no payload */
	guest_put(&g, &h, NULL);
	hears(RST, PORT, GPORT);
	assert_true(host_ended(fd));
	is_gone();
	close(fd);
}

static void length_of_4_gib_resets(void **state)
{
	struct vsock_hdr h = odd(RW);
	int fd = dialed();

	h.len = 0xffffffff;
	guest_put(&g, &h, NULL);
	hears(RST, PORT, GPORT);
	is_gone();
	close(fd);
}

static void packet_beyond_64_kib_resets(void **state)
{
	struct driver *tx = &g.q[VSOCK_TX];
	struct vsock_hdr h = odd(RW);
	struct driver_buf buf[] = {
		{g.tx_hdr, 44,    false},
                {0x800000, 65537, false}
        };
	int fd = dialed();

	h.len = 65537;
	memcpy(driver_at(tx, g.tx_hdr, sizeof(h)), &h, sizeof(h));
	driver_add(tx, buf, 2);
	driver_kick(tx, &g.v.dev);
	hears(RST, PORT, GPORT);
	assert_true(host_ended(fd));
	close(fd);
}

static void data_without_bytes_is_nothing(void **state)
{
	int fd = dialed();

	puts_odd(odd(RW));
	hears_nothing();
	assert_true(host_hears(fd, ""));
	close(fd);
}

static void length_of_other_packets_means_nothing(void **state)
{
	struct vsock_hdr h = odd(CREDIT_REQUEST);
	int fd = dialed();

	h.len = 0xffffffff;
	guest_put(&g, &h, NULL);
	hears(CREDIT_UPDATE, PORT, GPORT);
	close(fd);
}

static void operations_out_of_place_are_dropped(void **state)
{
	int fd = dialed();

	puts_odd(odd(REQUEST)); /* it is open already */
	puts_odd(odd(RESPONSE));
	puts_odd(odd(0));
	puts_odd(odd(8));
	puts_odd(odd(0xffff));
	hears_nothing();
	assert_int_equal(g.v.dev.errors, 5);
	guest_send(&g, GPORT, PORT, "on", 2);
	assert_true(host_hears(fd, "on"));
	close(fd);
}

static void data_before_the_answer_resets(void **state)
{
	int fd = host_connect(&g);

	host_say(fd, "CONNECT 52\n");
	hears(REQUEST, OURS, 52);
	guest_send(&g, 52, OURS, "x", 1);
	hears(RST, OURS, 52);
	assert_true(host_ended(fd));
	is_gone();
	close(fd);
}

static void shutdown_before_the_answer_resets(void **state)
{
	int fd = host_connect(&g);

	host_say(fd, "CONNECT 52\n");
	hears(REQUEST, OURS, 52);
	guest_say(&g, SHUTDOWN, 52, OURS, NO_RECEIVE | NO_SEND);
	hears(RST, OURS, 52);
	assert_true(host_ended(fd));
	is_gone();
	close(fd);
}

static void data_after_the_guest_ended_its_stream_resets(void **state)
{
	int fd = dialed();

	guest_say(&g, SHUTDOWN, GPORT, PORT, NO_SEND);
	guest_send(&g, GPORT, PORT, "x", 1);
	hears(RST, PORT, GPORT);
	is_gone();
	close(fd);
}

static void shutdown_of_nothing_does_nothing(void **state)
{
	int fd = dialed();

	guest_say(&g, SHUTDOWN, GPORT, PORT, 0xfffffffc);
	assert_true(host_hears(fd, ""));
	hears_nothing();
	close(fd);
}

/* --- the life of the device --- */

static void clients_wait_until_a_driver_is_there(void **state)
{
	int fd;

	assert_true(driver_reset(&g.v.dev));
	assert_int_equal(g.watches.watched, 0);
	fd = host_connect(&g);
	assert_true(fd >= 0);
	host_say(fd, "CONNECT 52\n");
	guest_turn(&g);
	assert_int_equal(g.v.accepted, 0);
	guest_start(&g, GUEST_FEATURES);
	guest_give(&g, 4, 4096);
	hears(REQUEST, OURS, 52);
	close(fd);
}

static void reset_closes_all_connections(void **state)
{
	int listener, quiet, asked, fd = dialed();

	listener = host_listen(&g, PORT + 1);
	quiet = host_connect(&g);
	asked = host_connect(&g);
	host_say(asked, "CONNECT 52\n");
	hears(REQUEST, OURS, 52);
	fill(4096);
	takes_all_back();
	g.stingy = false;
	guest_say(&g, RW, 1, 1, 0);
	assert_int_equal(g.v.rsts, 1);
	assert_int_equal(g.v.pool->conns, 3);
	assert_true(driver_reset(&g.v.dev));
	assert_int_equal(g.v.pool->conns, 0);
	assert_int_equal(g.watches.watched, 0);
	assert_int_equal(g.v.pool->fresh_bufs, 0);
	assert_true(host_ended(quiet));
	assert_true(host_ended(asked));
	swallow(fd);
	assert_true(host_ended(fd));
	guest_start(&g, GUEST_FEATURES);
	guest_give(&g, 4, 4096);
	hears_nothing(); /* of what was */
	guest_later(&g, 3 * SECOND);
	hears_nothing();
	guest_say(&g, REQUEST, GPORT, PORT + 1, 0);
	hears(RESPONSE, PORT + 1, GPORT);
	close(listener);
	close(quiet);
	close(asked);
	close(fd);
}

static void ports_go_on_after_a_reset(void **state)
{
	int fd = host_connect(&g), again;

	host_say(fd, "CONNECT 52\n");
	hears(REQUEST, OURS, 52);
	assert_true(driver_reset(&g.v.dev));
	guest_start(&g, GUEST_FEATURES);
	guest_give(&g, 4, 4096);
	again = host_connect(&g);
	host_say(again, "CONNECT 52\n");
	hears(REQUEST, OURS + 1, 52);
	close(fd);
	close(again);
}

static void nothing_moves_while_the_device_is_paused(void **state)
{
	int fd = dialed(), other;

	virtio_lock(&g.v.dev);
	g.v.dev.paused = true;
	virtio_unlock(&g.v.dev);
	host_say(fd, "later");
	other = host_connect(&g);
	host_say(other, "CONNECT 52\n");
	hears_nothing();
	assert_int_equal(g.v.accepted, 0);
	virtio_lock(&g.v.dev);
	g.v.dev.paused = false;
	virtio_unlock(&g.v.dev);
	virtio_service(&g.v.dev);
	hears_data(PORT, GPORT, "later");
	hears(REQUEST, OURS, 52);
	close(fd);
	close(other);
}

static void transport_reset_is_an_event(void **state)
{
	struct driver *ev = &g.q[VSOCK_EVENT];
	uint64_t at = driver_alloc(ev, 8);
	struct driver_done done;

	assert_false(vsock_transport_reset(&g.v));
	memset(driver_at(ev, at, 8), 0xff, 8);
	driver_add(ev, &(struct driver_buf){at, 8, true}, 1);
	driver_kick(ev, &g.v.dev);
	assert_false(driver_used(ev, &done));
	assert_true(vsock_transport_reset(&g.v));
	assert_true(driver_used(ev, &done));
	assert_int_equal(done.len, 4);
	assert_memory_equal(driver_at(ev, at, 8), "\0\0\0\0\xff\xff\xff\xff", 8);
	assert_int_equal(g.host.irqs[VSOCK_EVENT], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(driver_sees_its_cid_and_what_is_offered),
		T(host_connects_to_a_guest_that_listens),
		T(host_that_the_guest_refuses_hears_nothing),
		T(guest_connects_to_a_listener_of_the_host),
		T(guest_is_refused_where_nobody_listens),
		T(works_without_ring_features),
		T(packets_to_other_cids_are_dropped),
		T(packets_from_other_cids_are_dropped),
		T(other_types_are_reset_in_kind),
		T(unknown_connections_are_reset_but_not_for_an_rst),
		T(header_that_is_cut_short_is_dropped),
		T(header_in_many_pieces_is_read),
		T(length_beyond_the_chain_resets),
		T(length_of_4_gib_resets),
		T(packet_beyond_64_kib_resets),
		T(data_without_bytes_is_nothing),
		T(length_of_other_packets_means_nothing),
		T(operations_out_of_place_are_dropped),
		T(data_before_the_answer_resets),
		T(shutdown_before_the_answer_resets),
		T(data_after_the_guest_ended_its_stream_resets),
		T(shutdown_of_nothing_does_nothing),
		T(clients_wait_until_a_driver_is_there),
		T(reset_closes_all_connections),
		T(ports_go_on_after_a_reset),
		T(nothing_moves_while_the_device_is_paused),
		T(transport_reset_is_an_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
