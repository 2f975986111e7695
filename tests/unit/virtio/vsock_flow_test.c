/* vsock_flow_test.c - a vsock's credit, half-closes, ends, and what is late. */
#include "vsock_talk.h"

/* --- credit --- */

static void guest_that_overruns_its_credit_is_reset(void **state)
{
	int fd = dialed();
	uint32_t held = fill(4096);

	while (held + 4096 <= VSOCK_BUF) {
		guest_send(&g, GPORT, PORT, big, 4096);
		held += 4096;
		assert_int_equal(conn()->held, held);
	}
	while (guest_hear(&g, &p))
		assert_int_equal(p.h.op, CREDIT_UPDATE);
	guest_send(&g, GPORT, PORT, big, VSOCK_BUF - held + 1);
	hears(RST, PORT, GPORT);
	is_gone();
	assert_int_equal(g.v.pool->warms, 1);
	close(fd);
}

static void all_of_the_credit_may_be_used(void **state)
{
	int fd = dialed();
	uint32_t held = fill(4096);

	guest_send(&g, GPORT, PORT, big, VSOCK_BUF / 2);
	guest_send(&g, GPORT, PORT, big, VSOCK_BUF / 2 - held);
	assert_int_equal(conn()->held, VSOCK_BUF);
	assert_true(swallow(fd) > VSOCK_BUF);
	assert_int_equal(conn()->held, 0);
	close(fd);
}

static void credit_is_updated_before_the_guest_believes_there_is_none(void **state)
{
	static const struct {
		uint32_t len;
		bool update;
	} t[] = {
		{65535, false},
                {1,     true },
                {61440, false},
                {4096,  true }
        };
	int fd = dialed();
	uint32_t sum = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		guest_send(&g, GPORT, PORT, big, t[i].len);
		assert_int_equal(swallow(fd), t[i].len);
		sum += t[i].len;
		if (!t[i].update) {
			hears_nothing();
			continue;
		}
		hears(CREDIT_UPDATE, PORT, GPORT);
		assert_int_equal(p.h.fwd_cnt, sum);
		assert_int_equal(p.h.buf_alloc, VSOCK_BUF);
	}
	hears_nothing();
	close(fd);
}

static void any_packet_updates_credit(void **state)
{
	int fd = dialed();

	guest_send(&g, GPORT, PORT, big, 61440);
	swallow(fd);
	host_say(fd, "x");
	hears_data(PORT, GPORT, "x");
	assert_int_equal(p.h.fwd_cnt, 61440);
	guest_send(&g, GPORT, PORT, big, 61440);
	swallow(fd);
	hears_nothing();
	takes_all_back();
	host_say(fd, "y");
	guest_say(&g, CREDIT_REQUEST, GPORT, PORT, 0);
	guest_give(&g, 4, 100);
	hears_data(PORT, GPORT, "y"); /* that was the answer */
	hears_nothing();
	close(fd);
}

static void held_bytes_give_credit_as_they_leave(void **state)
{
	int fd = dialed();
	uint32_t sent;

	fill(4096);
	sent = conn()->fwd_cnt + conn()->held;
	guest_send(&g, GPORT, PORT, big, VSOCK_BUF / 2);
	guest_send(&g, GPORT, PORT, big, VSOCK_BUF - conn()->held);
	sent += VSOCK_BUF - (sent - conn()->fwd_cnt);
	while (guest_hear(&g, &p))
		assert_int_equal(p.h.op, CREDIT_UPDATE);
	assert_true(swallow(fd) == sent);
	hears(CREDIT_UPDATE, PORT, GPORT);
	while (guest_hear(&g, &p))
		assert_int_equal(p.h.op, CREDIT_UPDATE);
	assert_int_equal(p.h.fwd_cnt, sent);
	close(fd);
}

static void credit_request_is_answered(void **state)
{
	int fd = dialed();

	guest_send(&g, GPORT, PORT, "abc", 3);
	guest_say(&g, CREDIT_REQUEST, GPORT, PORT, 0);
	hears(CREDIT_UPDATE, PORT, GPORT);
	assert_int_equal(p.h.fwd_cnt, 3);
	assert_int_equal(p.h.buf_alloc, VSOCK_BUF);
	hears_nothing();
	close(fd);
}

static void host_sends_no_more_than_the_guest_has_room_for(void **state)
{
	struct vsock_hdr h = odd(CREDIT_UPDATE);
	int fd = dialed();

	h.buf_alloc = 5;
	puts_odd(h);
	host_say(fd, "0123456789abc");
	hears_data(PORT, GPORT, "01234");
	hears(CREDIT_REQUEST, PORT, GPORT);
	hears_nothing();
	puts_odd(h); /* no news: it is not asked again */
	hears_nothing();
	h.fwd_cnt = 3;
	puts_odd(h);
	hears_data(PORT, GPORT, "567");
	hears(CREDIT_REQUEST, PORT, GPORT);
	h.fwd_cnt = 8;
	h.buf_alloc = 100;
	puts_odd(h);
	hears_data(PORT, GPORT, "89abc");
	hears_nothing();
	close(fd);
}

static void buffer_of_the_guest_that_shrinks_stops_the_host(void **state)
{
	struct vsock_hdr h = odd(CREDIT_UPDATE);
	int fd = dialed();

	host_say(fd, "0123456789");
	hears_data(PORT, GPORT, "0123456789");
	h.buf_alloc = 9; /* ten are in flight: -1 is not 2^32 - 1 */
	puts_odd(h);
	host_say(fd, "x");
	hears(CREDIT_REQUEST, PORT, GPORT);
	hears_nothing();
	h.buf_alloc = 0;
	puts_odd(h);
	hears_nothing();
	h.buf_alloc = 11;
	puts_odd(h);
	hears_data(PORT, GPORT, "x");
	close(fd);
}

static void guest_that_forwarded_more_than_it_got_gets_nothing(void **state)
{
	struct vsock_hdr h = odd(CREDIT_UPDATE);
	int fd = dialed();

	h.fwd_cnt = 1;
	puts_odd(h);
	host_say(fd, "x");
	hears(CREDIT_REQUEST, PORT, GPORT);
	hears_nothing();
	h.fwd_cnt = 0;
	puts_odd(h);
	hears_data(PORT, GPORT, "x");
	close(fd);
}

static void counters_wrap_at_2_to_the_32(void **state)
{
	struct vsock_hdr h = odd(CREDIT_UPDATE);
	int fd = dialed();
	struct vsock_conn *c = conn();

	c->sent = 0xfffffffe;
	c->fwd_cnt = c->told_cnt = 0xffffff00;
	h.fwd_cnt = 0xfffffffe;
	h.buf_alloc = 4;
	puts_odd(h);
	host_say(fd, "abcdef");
	hears_data(PORT, GPORT, "abcd");
	assert_int_equal(c->sent, 2);
	hears(CREDIT_REQUEST, PORT, GPORT);
	h.fwd_cnt = 1; /* all but one of them */
	puts_odd(h);
	hears_data(PORT, GPORT, "ef");
	guest_send(&g, GPORT, PORT, big, 65535);
	swallow(fd);
	hears_nothing();
	guest_send(&g, GPORT, PORT, big, 1);
	hears(CREDIT_UPDATE, PORT, GPORT);
	assert_int_equal(p.h.fwd_cnt, 65536 - 256);
	close(fd);
}

/* --- ends --- */

static void guest_that_resets_closes_the_hosts_socket(void **state)
{
	int fd = dialed();

	puts_odd(odd(RST));
	assert_true(host_ended(fd));
	hears_nothing();
	is_gone();
	close(fd);
}

static void guest_that_shuts_both_ways_is_reset_at_once(void **state)
{
	int fd = dialed();

	guest_send(&g, GPORT, PORT, "bye", 3);
	guest_say(&g, SHUTDOWN, GPORT, PORT, NO_RECEIVE | NO_SEND);
	hears(RST, PORT, GPORT);
	is_gone();
	assert_true(host_hears(fd, "bye"));
	assert_true(host_ended(fd));
	close(fd);
}

static void guest_may_shut_one_way_after_the_other(void **state)
{
	int fd = dialed();

	guest_say(&g, SHUTDOWN, GPORT, PORT, NO_RECEIVE);
	hears_nothing();
	guest_say(&g, SHUTDOWN, GPORT, PORT, NO_SEND);
	hears(RST, PORT, GPORT);
	is_gone();
	close(fd);
}

static void guest_that_sends_no_more_still_receives(void **state)
{
	int fd = dialed();

	guest_send(&g, GPORT, PORT, "last", 4);
	guest_say(&g, SHUTDOWN, GPORT, PORT, NO_SEND);
	assert_true(host_hears(fd, "last"));
	assert_true(host_ended(fd));
	hears_nothing();
	host_say(fd, "answer");
	hears_data(PORT, GPORT, "answer");
	close(fd);
	hears_shutdown(PORT, GPORT, NO_RECEIVE | NO_SEND);
	hears(RST, PORT, GPORT); /* it said already that it sends no more */
	is_gone();
}

static void guest_that_receives_no_more_breaks_the_hosts_pipe(void **state)
{
	int fd = dialed();

	guest_say(&g, SHUTDOWN, GPORT, PORT, NO_RECEIVE);
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	guest_send(&g, GPORT, PORT, "more", 4);
	assert_true(host_hears(fd, "more"));
	close(fd);
	hears_shutdown(PORT, GPORT, NO_RECEIVE | NO_SEND);
	puts_odd(odd(RST));
	is_gone();
}

static void host_that_sends_no_more_still_receives(void **state)
{
	int fd = dialed();

	host_say(fd, "question");
	shutdown(fd, SHUT_WR);
	hears_data(PORT, GPORT, "question");
	hears_shutdown(PORT, GPORT, NO_SEND);
	guest_send(&g, GPORT, PORT, "answer", 6);
	assert_true(host_hears(fd, "answer"));
	guest_later(&g, 10 * SECOND); /* it may take its time */
	hears_nothing();
	guest_say(&g, SHUTDOWN, GPORT, PORT, NO_SEND);
	hears(RST, PORT, GPORT);
	assert_true(host_ended(fd));
	is_gone();
	close(fd);
}

static void host_that_half_closes_and_then_leaves_says_both(void **state)
{
	int fd = dialed();

	shutdown(fd, SHUT_WR);
	hears_shutdown(PORT, GPORT, NO_SEND);
	close(fd);
	hears_shutdown(PORT, GPORT, NO_RECEIVE | NO_SEND);
	hears_nothing();
	puts_odd(odd(RST));
	is_gone();
}

static void host_that_receives_no_more_still_sends(void **state)
{
	int fd = dialed();

	shutdown(fd, SHUT_RD);
	guest_send(&g, GPORT, PORT, "lost", 4);
	hears_shutdown(PORT, GPORT, NO_RECEIVE);
	assert_int_equal(p.h.fwd_cnt, 4);
	guest_send(&g, GPORT, PORT, big, 61440); /* it was on its way */
	hears_nothing();
	host_say(fd, "still here");
	hears_data(PORT, GPORT, "still here");
	assert_int_equal(p.h.fwd_cnt, 61444);
	close(fd);
	hears_shutdown(PORT, GPORT, NO_RECEIVE | NO_SEND);
}

static void end_of_the_host_comes_after_all_its_bytes(void **state)
{
	struct vsock_hdr h = odd(CREDIT_UPDATE);
	int fd = dialed();

	h.buf_alloc = 3;
	puts_odd(h);
	host_say(fd, "abcdef");
	close(fd);
	hears_data(PORT, GPORT, "abc");
	hears(CREDIT_REQUEST, PORT, GPORT);
	guest_later(&g, 10 * SECOND);
	hears_nothing();
	h.fwd_cnt = 3;
	puts_odd(h);
	hears_data(PORT, GPORT, "def");
	hears(CREDIT_REQUEST, PORT, GPORT);
	h.fwd_cnt = 6;
	puts_odd(h);
	hears_shutdown(PORT, GPORT, NO_RECEIVE | NO_SEND);
	puts_odd(odd(RST));
	hears_nothing();
	is_gone();
}

static void guest_that_does_not_answer_a_shutdown_is_reset(void **state)
{
	int fd = dialed();

	close(fd);
	hears_shutdown(PORT, GPORT, NO_RECEIVE | NO_SEND);
	guest_later(&g, SECOND);
	hears_nothing();
	guest_later(&g, 2 * SECOND);
	hears(RST, PORT, GPORT);
	hears_nothing();
	is_gone();
}

static void host_that_leaves_bytes_unread_resets(void **state)
{
	int fd = dialed();

	guest_send(&g, GPORT, PORT, "unread", 6);
	host_say(fd, "said");
	close(fd);
	hears_data(PORT, GPORT, "said");
	hears(RST, PORT, GPORT);
	is_gone();
}

static void bytes_held_at_the_end_still_arrive(void **state)
{
	int fd = dialed();
	uint32_t sent;

	fill(4096);
	sent = conn()->fwd_cnt + conn()->held;
	guest_say(&g, SHUTDOWN, GPORT, PORT, NO_RECEIVE | NO_SEND);
	while (guest_hear(&g, &p))
		assert_int_equal(p.h.op, CREDIT_UPDATE);
	assert_int_equal(g.v.pool->conns, 1);
	assert_true(swallow(fd) == sent);
	assert_true(host_ended(fd));
	while (guest_hear(&g, &p) && p.h.op != RST)
		assert_int_equal(p.h.op, CREDIT_UPDATE);
	assert_int_equal(p.h.op, RST);
	is_gone();
	close(fd);
}

static void bytes_held_at_a_half_close_still_arrive(void **state)
{
	int fd = dialed();
	uint32_t sent;

	fill(4096);
	sent = conn()->fwd_cnt + conn()->held;
	guest_say(&g, SHUTDOWN, GPORT, PORT, NO_SEND);
	guest_later(&g, 10 * SECOND);
	assert_true(swallow(fd) == sent);
	assert_true(host_ended(fd));
	host_say(fd, "got it");
	while (guest_hear(&g, &p) && p.h.op == CREDIT_UPDATE)
		;
	assert_int_equal(p.h.op, RW);
	close(fd);
}

static void host_that_never_reads_is_left_after_two_seconds(void **state)
{
	int fd = dialed();
	uint64_t until;

	fill(4096);
	guest_say(&g, SHUTDOWN, GPORT, PORT, NO_RECEIVE | NO_SEND);
	while (guest_hear(&g, &p))
		assert_int_equal(p.h.op, CREDIT_UPDATE);
	takes_all_back();
	until = conn()->deadline;
	guest_say(&g, SHUTDOWN, GPORT, PORT, NO_RECEIVE | NO_SEND); /* that gains no time */
	assert_true(conn()->deadline == until);
	guest_later(&g, SECOND);
	assert_int_equal(conn()->state, VSOCK_OPEN);
	guest_later(&g, 2 * SECOND);
	assert_int_equal(conn()->state, VSOCK_DEAD);
	assert_int_equal(g.v.pool->warms, 1); /* what it held is gone */
	guest_give(&g, 4, 100);
	hears(RST, PORT, GPORT);
	is_gone();
	close(fd);
}

static void guest_that_does_not_answer_a_request_is_reset(void **state)
{
	int fd = host_connect(&g);

	host_say(fd, "CONNECT 52\n");
	hears(REQUEST, OURS, 52);
	guest_later(&g, SECOND);
	hears_nothing();
	assert_true(host_hears(fd, ""));
	guest_later(&g, 2 * SECOND);
	hears(RST, OURS, 52);
	assert_true(host_ended(fd));
	guest_say(&g, RESPONSE, 52, OURS, 0); /* too late */
	hears(RST, OURS, 52);
	is_gone();
	close(fd);
}

static void guest_that_was_never_asked_is_not_reset(void **state)
{
	int fd;

	takes_all_back();
	fd = host_connect(&g);
	host_say(fd, "CONNECT 52\n");
	guest_turn(&g);
	assert_int_equal(g.v.pool->conns, 1);
	guest_later(&g, 2 * SECOND);
	assert_true(host_ended(fd));
	is_gone();
	guest_give(&g, 1, 4096);
	hears_nothing();
	close(fd);
}

static void packets_that_cross_our_rst_are_dropped(void **state)
{
	int fd = dialed();

	takes_all_back();
	guest_say(&g, SHUTDOWN, GPORT, PORT, NO_RECEIVE | NO_SEND);
	assert_true(host_ended(fd)); /* at once, though the guest does not know yet */
	guest_send(&g, GPORT, PORT, "x", 1);
	puts_odd(odd(REQUEST));
	assert_int_equal(g.v.pool->conns, 1);
	guest_give(&g, 4, 4096);
	hears(RST, PORT, GPORT);
	hears_nothing();
	is_gone();
	close(fd);
}

static void rst_that_crosses_ours_ends_it(void **state)
{
	int fd = dialed();

	takes_all_back();
	guest_say(&g, SHUTDOWN, GPORT, PORT, NO_RECEIVE | NO_SEND);
	puts_odd(odd(RST));
	is_gone();
	guest_give(&g, 4, 4096);
	hears_nothing();
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(guest_that_overruns_its_credit_is_reset),
		T(all_of_the_credit_may_be_used),
		T(credit_is_updated_before_the_guest_believes_there_is_none),
		T(any_packet_updates_credit),
		T(held_bytes_give_credit_as_they_leave),
		T(credit_request_is_answered),
		T(host_sends_no_more_than_the_guest_has_room_for),
		T(buffer_of_the_guest_that_shrinks_stops_the_host),
		T(guest_that_forwarded_more_than_it_got_gets_nothing),
		T(counters_wrap_at_2_to_the_32),
		T(guest_that_resets_closes_the_hosts_socket),
		T(guest_that_shuts_both_ways_is_reset_at_once),
		T(guest_may_shut_one_way_after_the_other),
		T(guest_that_sends_no_more_still_receives),
		T(guest_that_receives_no_more_breaks_the_hosts_pipe),
		T(host_that_sends_no_more_still_receives),
		T(host_that_half_closes_and_then_leaves_says_both),
		T(host_that_receives_no_more_still_sends),
		T(end_of_the_host_comes_after_all_its_bytes),
		T(guest_that_does_not_answer_a_shutdown_is_reset),
		T(host_that_leaves_bytes_unread_resets),
		T(bytes_held_at_the_end_still_arrive),
		T(bytes_held_at_a_half_close_still_arrive),
		T(host_that_never_reads_is_left_after_two_seconds),
		T(guest_that_does_not_answer_a_request_is_reset),
		T(guest_that_was_never_asked_is_not_reset),
		T(packets_that_cross_our_rst_are_dropped),
		T(rst_that_crosses_ours_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
