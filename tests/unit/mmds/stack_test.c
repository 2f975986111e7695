/* stack_test.c - frames of the service's address: whose they are, ARP, what is refused, and who
 * gets a place. Connections themselves are in conn_test.c. */
#include "stack_guest.h"

static void one_who_asks_learns_the_mac(void **state)
{
	struct out o = arp_request();

	assert_true(send_frame(&o, ARP_LEN));
	assert_true(recv_frame());
	assert_memory_equal(in.eth.to, guest_mac, 6);
	assert_int_equal(ntohs(in.arp.op), ARP_REPLY);
	assert_int_equal(ntohs(in.arp.hw), 1);
	assert_int_equal(ntohs(in.arp.proto), ETH_IP);
	assert_int_equal(in.arp.hw_len, 6);
	assert_int_equal(in.arp.proto_len, 4);
	assert_memory_equal(in.arp.from_mac, mmds_mac, 6);
	assert_memory_equal(in.arp.from_ip, mmds_ip, 4);
	assert_memory_equal(in.arp.to_mac, guest_mac, 6);
	assert_memory_equal(in.arp.to_ip, guest_ip, 4);
	nothing_comes();
	assert_int_equal(count.rx_accepted, 1);
	assert_int_equal(count.tx_count, 1);
	assert_true(send_frame(&o, ARP_LEN + 18)); /* as long as a wire wants it */
	assert_true(recv_frame());
}

static void what_is_no_request_gets_no_reply(void **state)
{
	struct out o;

	o = arp_request();
	o.arp.op = htons(ARP_REPLY);
	assert_true(send_frame(&o, ARP_LEN));
	o = arp_request();
	o.arp.hw = htons(6);
	assert_true(send_frame(&o, ARP_LEN));
	o = arp_request();
	o.arp.proto = htons(0x86dd);
	assert_true(send_frame(&o, ARP_LEN));
	o = arp_request();
	o.arp.hw_len = 8;
	assert_true(send_frame(&o, ARP_LEN));
	o = arp_request();
	o.arp.proto_len = 16;
	assert_true(send_frame(&o, ARP_LEN));
	nothing_comes();
}

static void other_frames_are_left_alone(void **state)
{
	const struct segment syn = {.flags = TCP_SYN};
	size_t len;
	struct out o = arp_request(), s = segment(1, &syn, NULL, 0, &len);

	assert_false(send_frame(&o, ARP_LEN - 1));
	o.arp.to_ip[3]--;
	assert_false(send_frame(&o, ARP_LEN));
	o = arp_request();
	o.eth.type = htons(0x8100);
	assert_false(send_frame(&o, ARP_LEN));
	assert_false(send_frame(&s, sizeof(struct eth) + sizeof(struct ip) - 1));
	s.ip.to[0]++;
	assert_false(send_frame(&s, len));
	assert_false(send_frame(&s, sizeof(struct eth)));
	assert_int_equal(count.rx_bad_eth, 0);
	assert_false(send_frame(&s, sizeof(struct eth) - 1));
	assert_int_equal(count.rx_bad_eth, 1);
	assert_int_equal(count.rx_accepted, 0);
}

static void broken_packets_are_eaten_and_counted(void **state)
{
	const struct segment syn = {.flags = TCP_SYN};
	size_t len;
	const struct out good = segment(1, &syn, NULL, 0, &len);
	struct out o;

	o = good, o.ip.version = 0x65;
	assert_true(send_frame(&o, len));
	o = good, o.ip.version = 0x44;
	assert_true(send_frame(&o, len));
	o = good, o.ip.len = htons(19);
	assert_true(send_frame(&o, len));
	o = good;
	assert_true(send_frame(&o, len - 1));
	o = good, o.ip.len = htons(39); /* no whole TCP header */
	assert_true(send_frame(&o, len));
	o = good, o.tcp.words = 4 << 4;
	assert_true(send_frame(&o, len));
	o = good, o.tcp.words = 6 << 4;
	assert_true(send_frame(&o, len));
	o = good, o.ip.version = 0x4f; /* options beyond its end */
	assert_true(send_frame(&o, len));
	assert_int_equal(count.rx_accepted_err, 8);
	o = good, o.ip.proto = 17;
	assert_true(send_frame(&o, len));
	o = good, o.ip.frag = htons(0x2000);
	assert_true(send_frame(&o, len));
	o = good, o.ip.frag = htons(1);
	assert_true(send_frame(&o, len));
	assert_int_equal(count.rx_accepted_unusual, 3);
	assert_int_equal(count.rx_count, 0);
	nothing_comes();
	o = good, o.ip.frag = htons(IP4_DF);
	assert_true(send_frame(&o, len));
	assert_true(recv_frame());
}

static void options_of_ip_are_passed_over(void **state)
{
	const struct segment syn = {.seq = 5, .flags = TCP_SYN};
	size_t len;
	struct out o = segment(9, &syn, NULL, 0, &len);
	uint8_t bytes[100];

	o.ip.version = 0x46;
	o.ip.len = htons(44);
	memcpy(bytes, &o, FRAME_TCP);
	memset(bytes + FRAME_TCP, 1, 4);
	memcpy(bytes + FRAME_TCP + 4, &o.tcp, sizeof(o.tcp));
	assert_true(send_frame(bytes, len + 4));
	assert_true(recv_frame());
	assert_int_equal(in.flags, TCP_SYN | TCP_ACK);
	assert_int_equal(in.ack, 6);
}

/* What comes behind the packet is padding. */
static void padding_is_no_data(void **state)
{
	const struct segment syn = {.seq = 5, .flags = TCP_SYN};
	size_t len;
	struct out o = segment(9, &syn, NULL, 0, &len);

	assert_true(send_frame(&o, len + 6));
	assert_true(recv_frame());
	assert_int_equal(in.flags, TCP_SYN | TCP_ACK);
}

static void segments_of_nobody_are_refused(void **state)
{
	send_segment(7, &(struct segment){.seq = 10, .ack = 99, .flags = TCP_ACK});
	comes(7, TCP_RST, 99, 0);
	send_segment(
		7, &(struct segment){
			   .seq = 10, .flags = TCP_FIN, .len = 3, .data = (const uint8_t *)"abc"});
	comes(7, TCP_RST | TCP_ACK, 0, 14);
	send_segment(7, &(struct segment){.seq = 10, .ack = 5, .flags = TCP_SYN | TCP_ACK});
	comes(7, TCP_RST, 5, 0);
	send_segment(7, &(struct segment){.seq = 10, .ack = 5, .flags = TCP_RST | TCP_ACK});
	nothing_comes();
	assert_int_equal(count.rx_count, 4);
	assert_int_equal(count.connections_created, 0);
}

static void data_with_the_first_segment_comes_again(void **state)
{
	send_segment(7, &(struct segment){.seq = 10,
					  .flags = TCP_SYN,
					  .len = 3,
					  .data = (const uint8_t *)"A\n\n"});
	assert_true(recv_frame());
	assert_int_equal(in.flags, TCP_SYN | TCP_ACK);
	assert_int_equal(in.ack, 11);
	assert_int_equal(answers, 0);
}

static void other_ports_are_refused(void **state)
{
	const struct segment syn = {.seq = 4, .flags = TCP_SYN};
	size_t len;
	struct out o = segment(7, &syn, NULL, 0, &len);

	o.tcp.to = htons(81);
	assert_true(send_frame(&o, len));
	assert_true(recv_frame());
	assert_int_equal(in.from, 81);
	assert_int_equal(in.port, 7);
	assert_int_equal(in.flags, TCP_RST | TCP_ACK);
	assert_int_equal(in.seq, 0);
	assert_int_equal(in.ack, 5);
	assert_int_equal(count.rx_accepted_err, 1);
}

static void refusals_beyond_a_bound_are_forgotten(void **state)
{
	for (uint16_t i = 0; i < 100; i++)
		send_segment(100 + i, &(struct segment){.ack = i, .flags = TCP_ACK});
	for (uint16_t i = 0; i < STACK_RESETS; i++)
		comes(100 + i, TCP_RST, i, 0);
	nothing_comes();
}

static void the_announced_mss_is_found(void **state)
{
	static const struct {
		uint8_t option[12];
		size_t len;
		uint16_t mss;
	} t[] = {
		{{0},		      0, CONN_MSS_OLD},
		{{2, 4, 4, 0},             4, 1024        },
		{{1, 1, 2, 4, 4, 0, 0, 0}, 8, 1024        },
		{{8, 4, 9, 9, 2, 4, 4, 0}, 8, 1024        },
		{{0, 0, 0, 0, 2, 4, 4, 0}, 8, CONN_MSS_OLD}, /* after the end */
		{{2, 4, 255, 255},         4, CONN_MSS    },
		{{2, 4, 0, 1},             4, CONN_MSS_MIN},
		{{2, 4, 0, 0},             4, CONN_MSS_OLD},
		{{2, 3, 4, 0},             4, CONN_MSS_OLD},
		{{2, 0, 4, 0},             4, CONN_MSS_OLD},
		{{1, 1, 1, 2},             4, CONN_MSS_OLD},
		{{1, 1, 2, 4},             4, CONN_MSS_OLD},
		{{1, 8, 255, 0},           4, CONN_MSS_OLD},
	};

	answer_len = 5000;
	for (uint16_t i = 0; i < ARRAY_SIZE(t); i++) {
		const struct segment syn = {.seq = 1, .flags = TCP_SYN};
		struct client c = {.port = 100 + i, .window = 60000, .seq = 2};
		size_t len;
		struct out o = segment(c.port, &syn, t[i].option, t[i].len, &len);

		assert_true(send_frame(&o, len));
		assert_true(recv_frame());
		c.ack = in.seq + 1;
		client_say(&c, "GET\n\n");
		assert_true(recv_frame());
		assert_int_equal(in.data_len, t[i].mss);
		client_send(&c, TCP_RST, NULL, 0);
	}
}

static void each_client_has_its_connection(void **state)
{
	struct client a = connected(1000), b = connected(1001);
	size_t len;
	struct out o;

	client_say(&a, "A\n\n");
	assert_string_equal(asked, "A\n\n");
	client_say(&b, "B\n\n");
	assert_string_equal(asked, "B\n\n");
	brings(&a, answer, 5);
	brings(&b, answer, 5);
	o = segment(1000, &(struct segment){.seq = a.seq, .ack = a.ack, .flags = TCP_ACK}, NULL, 0,
		    &len);
	o.ip.from[3]++; /* another machine behind the guest */
	assert_true(send_frame(&o, len));
	assert_true(recv_frame());
	assert_int_equal(in.flags, TCP_RST);
	assert_memory_equal(in.ip.to, o.ip.from, 4);
}

static void connections_are_served_in_turn(void **state)
{
	struct client a, b;

	answer_len = 10000;
	a = connected(1000);
	b = connected(1001);
	client_say(&a, "A\n\n");
	client_say(&b, "B\n\n");
	for (unsigned i = 0; i < 10; i++) {
		brings(&a, answer + i * 1000, 1000);
		brings(&b, answer + i * 1000, 1000);
	}
	nothing_comes();
}

static void the_next_beyond_thirty_is_refused(void **state)
{
	for (uint16_t i = 0; i < STACK_CONNS; i++)
		connected(1000 + i);
	assert_int_equal(count.connections_created, 30);
	send_segment(2000, &(struct segment){.seq = 8, .flags = TCP_SYN});
	comes(2000, TCP_RST | TCP_ACK, 0, 9);
	assert_int_equal(count.connections_created, 30);
	assert_int_equal(count.connections_destroyed, 0);
}

static void one_that_is_idle_makes_room(void **state)
{
	struct client c[STACK_CONNS];

	for (uint16_t i = 0; i < STACK_CONNS; i++) {
		c[i] = connected(1000 + i);
		now += MS;
	}
	now += CONN_IDLE - STACK_CONNS * MS - 1;
	send_segment(2000, &(struct segment){.seq = 8, .flags = TCP_SYN});
	comes(2000, TCP_RST | TCP_ACK, 0, 9);
	now++;
	client_say(&c[0], "a"); /* so it is not idle */
	comes(1000, TCP_ACK, c[0].ack, c[0].seq);
	now += MS;
	send_segment(2000, &(struct segment){.seq = 8, .flags = TCP_SYN});
	comes(1001, TCP_RST | TCP_ACK, c[1].ack, c[1].seq);
	assert_true(recv_frame());
	assert_int_equal(in.port, 2000);
	assert_int_equal(in.flags, TCP_SYN | TCP_ACK);
	assert_int_equal(count.connections_created, 31);
	assert_int_equal(count.connections_destroyed, 1);
}

/* Who only keeps it busy makes no progress. */
static void one_with_a_closed_window_makes_room_too(void **state)
{
	struct client c = connected(1000);

	client_say(&c, "A\n\n");
	brings(&c, answer, 5);
	c.window = 0;
	for (uint16_t i = 1; i < STACK_CONNS; i++)
		connected(1000 + i);
	client_ack(&c);
	answer_len = 100;
	client_say(&c, "B\n\n");
	for (unsigned i = 0; i < 40; i++) {
		now += 300 * MS;
		while (recv_frame())
			;
		client_ack(&c);
	}
	for (uint16_t i = 1; i < STACK_CONNS; i++)
		stack->conn[i].moved = now;
	send_segment(2000, &(struct segment){.seq = 8, .flags = TCP_SYN});
	assert_true(recv_frame());
	assert_int_equal(in.port, 1000);
	assert_true(in.flags & TCP_RST);
}

static void a_flood_of_half_connections_lasts_a_second(void **state)
{
	for (uint16_t i = 0; i < 200; i++)
		send_segment(1000 + i, &(struct segment){.seq = i, .flags = TCP_SYN});
	assert_int_equal(count.connections_created, 30);
	while (recv_frame())
		;
	now += CONN_HALF;
	send_segment(5000, &(struct segment){.seq = 8, .flags = TCP_SYN});
	assert_int_equal(count.connections_created, 31);
	assert_int_equal(count.connections_destroyed, 1);
	assert_true(recv_frame());
	assert_true(in.flags & TCP_RST);
	for (unsigned i = 1; i < STACK_CONNS; i++) { /* the others are repeated, it has its turn */
		assert_true(recv_frame());
		assert_int_equal(in.flags, TCP_SYN | TCP_ACK);
		if (in.port == 5000)
			return;
	}
	assert_true(recv_frame());
	assert_int_equal(in.port, 5000);
}

static void a_client_that_starts_anew_replaces_its_connection(void **state)
{
	struct client c = connected(1000);

	client_say(&c, "GET"); /* a machine that was reset in between */
	while (recv_frame())
		;
	send_segment(1000, &(struct segment){.seq = 77, .flags = TCP_SYN, .window = 500});
	assert_true(recv_frame());
	assert_int_equal(in.flags, TCP_SYN | TCP_ACK);
	assert_int_equal(in.ack, 78);
	assert_int_equal(count.connections_created, 2);
	assert_int_equal(count.connections_destroyed, 1);
	c = (struct client){1000, 500, 78, in.seq + 1};
	client_say(&c, "B\n\n");
	assert_string_equal(asked, "B\n\n");
}

static void first_numbers_differ(void **state)
{
	uint32_t a, b;

	send_segment(1000, &(struct segment){.seq = 1, .flags = TCP_SYN});
	assert_true(recv_frame());
	a = in.seq;
	send_segment(1001, &(struct segment){.seq = 1, .flags = TCP_SYN});
	assert_true(recv_frame());
	b = in.seq;
	assert_int_not_equal(a, b);
	now += MS;
	send_segment(1000, &(struct segment){.seq = 2, .flags = TCP_SYN});
	assert_true(recv_frame());
	assert_int_equal(in.seq, a + 250); /* one in four microseconds */
}

static void a_buffer_that_is_too_small_is_an_error(void **state)
{
	struct out o = arp_request();
	uint8_t small[STACK_FRAME_MAX - 1];

	assert_true(send_frame(&o, ARP_LEN));
	assert_int_equal(stack_out(stack, small, sizeof(small), now), 0);
	assert_int_equal(count.tx_errors, 1);
	assert_true(recv_frame());
}

static void an_empty_stack_has_no_deadline(void **state)
{
	assert_int_equal(stack_deadline(stack), NEVER);
	nothing_comes();
	connected(1000);
	assert_int_equal(stack_deadline(stack), NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_who_asks_learns_the_mac),
		T(what_is_no_request_gets_no_reply),
		T(other_frames_are_left_alone),
		T(broken_packets_are_eaten_and_counted),
		T(options_of_ip_are_passed_over),
		T(padding_is_no_data),
		T(segments_of_nobody_are_refused),
		T(data_with_the_first_segment_comes_again),
		T(other_ports_are_refused),
		T(refusals_beyond_a_bound_are_forgotten),
		T(the_announced_mss_is_found),
		T(each_client_has_its_connection),
		T(connections_are_served_in_turn),
		T(the_next_beyond_thirty_is_refused),
		T(one_that_is_idle_makes_room),
		T(one_with_a_closed_window_makes_room_too),
		T(a_flood_of_half_connections_lasts_a_second),
		T(a_client_that_starts_anew_replaces_its_connection),
		T(first_numbers_differ),
		T(a_buffer_that_is_too_small_is_an_error),
		T(an_empty_stack_has_no_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
