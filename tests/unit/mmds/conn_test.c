/* conn_test.c - one connection, seen from the wire: handshake, requests in any pieces, answers in
 * windows of any size, losses, ends. */
#include "stack_guest.h"

#define RTO (300 * MS)

static void requests_are_answered_one_by_one(void **state)
{
	struct client c = connected(1000);

	client_say(&c, "GET / HTTP/1.1\r\n\r\n");
	assert_string_equal(asked, "GET / HTTP/1.1\r\n\r\n");
	brings(&c, answer, 5);
	assert_int_equal(in.ack, c.seq);
	assert_int_equal(in.flags, TCP_ACK | TCP_PSH);
	nothing_comes();
	client_ack(&c);
	nothing_comes();
	client_say(&c, "B\n\n");
	assert_string_equal(asked, "B\n\n");
	brings(&c, answer, 5);
	assert_int_equal(answers, 2);
	assert_int_equal(count.rx_accepted_unusual, 0);
	assert_int_equal(count.rx_accepted_err, 0);
}

static void a_request_may_come_byte_by_byte(void **state)
{
	struct client c = connected(1000);
	const char *text = "GET / HTTP/1.1\r\n\r\n";

	for (size_t i = 0; text[i]; i++) {
		assert_int_equal(answers, 0);
		client_send(&c, TCP_ACK, text + i, 1);
		c.seq++;
		if (text[i + 1])
			comes(1000, TCP_ACK, c.ack, c.seq);
	}
	assert_string_equal(asked, text);
	brings(&c, answer, 5);
}

static void data_may_come_with_the_handshakes_end(void **state)
{
	struct client c = {.port = 1000, .window = 60000, .seq = 10};

	client_send(&c, TCP_SYN, NULL, 0);
	c.seq++;
	assert_true(recv_frame());
	c.ack = in.seq + 1;
	client_say(&c, "A\n\n");
	brings(&c, answer, 5);
}

static void requests_in_a_row_wait_for_their_answers(void **state)
{
	struct client c = connected(1000);

	client_say(&c, "A\n\nB\n\nC\n");
	assert_string_equal(asked, "A\n\n");
	brings(&c, answer, 5);
	assert_int_equal(in.window, CONN_RX - 5);
	nothing_comes();
	assert_int_equal(answers, 1);
	client_ack(&c);
	assert_string_equal(asked, "B\n\n");
	brings(&c, answer, 5);
	client_ack(&c);
	nothing_comes();
	client_say(&c, "\n");
	assert_string_equal(asked, "C\n\n");
}

static void a_long_answer_goes_in_segments(void **state)
{
	struct client c = connected(1000);

	answer_len = 3500;
	client_say(&c, "A\n\n");
	brings(&c, answer, 1000);
	assert_int_equal(in.flags, TCP_ACK);
	brings(&c, answer + 1000, 1000);
	brings(&c, answer + 2000, 1000);
	brings(&c, answer + 3000, 500);
	assert_int_equal(in.flags, TCP_ACK | TCP_PSH);
	nothing_comes();
	client_ack(&c);
	assert_int_equal(stack_deadline(stack), NEVER);
}

static void no_more_is_sent_than_the_window_takes(void **state)
{
	struct client c = connected(1000);

	answer_len = 3500;
	c.window = 1200;
	client_say(&c, "A\n\n");
	brings(&c, answer, 1000);
	brings(&c, answer + 1000, 200);
	nothing_comes();
	c.window = 0;
	client_ack(&c);
	nothing_comes();
	c.window = 300;
	client_ack(&c);
	brings(&c, answer + 1200, 300);
	c.window = 60000;
	client_ack(&c);
	brings(&c, answer + 1500, 1000);
	brings(&c, answer + 2500, 1000);
	nothing_comes();
}

static void a_closed_window_is_probed(void **state)
{
	struct client c = connected(1000);

	c.window = 0;
	client_say(&c, "A\n\n");
	comes(1000, TCP_ACK, c.ack, c.seq);
	nothing_comes();
	for (unsigned i = 0; i < 30; i++) { /* as long as someone answers */
		uint64_t wait = i ? 2 * RTO : RTO;

		assert_int_equal(stack_deadline(stack), now + wait);
		now += wait - 1;
		nothing_comes();
		now++;
		assert_true(recv_frame());
		assert_int_equal(in.seq, c.ack);
		assert_int_equal(in.data_len, 1);
		client_ack(&c);
		nothing_comes();
	}
	c.window = 100;
	client_ack(&c);
	brings(&c, answer, 5);
}

static void a_window_that_shrinks_is_kept(void **state)
{
	struct client c = connected(1000);

	answer_len = 3500;
	c.window = 3000;
	client_say(&c, "A\n\n");
	brings(&c, answer, 1000);
	c.window = 500;
	client_ack(&c);
	brings(&c, answer + 1000, 500);
	nothing_comes();
}

static void what_is_not_acknowledged_comes_again(void **state)
{
	struct client c = connected(1000);
	uint64_t wait = RTO;

	answer_len = 1500;
	client_say(&c, "A\n\n");
	brings(&c, answer, 1000);
	brings(&c, answer + 1000, 500);
	c.ack -= 1500;
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(stack_deadline(stack), now + wait);
		now += wait;
		wait = MIN(2 * wait, 32 * RTO);
		brings(&c, answer, 1000);
		brings(&c, answer + 1000, 500);
		nothing_comes();
		c.ack -= 1500;
	}
	now += wait;
	comes(1000, TCP_RST | TCP_ACK, c.ack + 1500, c.seq);
	nothing_comes();
	assert_int_equal(stack_deadline(stack), NEVER);
	assert_int_equal(count.connections_destroyed, 1);
}

static void an_acknowledgement_in_between_starts_anew(void **state)
{
	struct client c = connected(1000);

	answer_len = 3000;
	client_say(&c, "A\n\n");
	for (unsigned i = 0; i < 3; i++)
		brings(&c, answer + i * 1000, 1000);
	now += 200 * MS;
	c.ack -= 2000;
	client_ack(&c);
	assert_int_equal(stack_deadline(stack), now + RTO);
	now += RTO;
	brings(&c, answer + 1000, 1000);
	brings(&c, answer + 2000, 1000);
	nothing_comes();
	client_ack(&c);
	assert_int_equal(stack_deadline(stack), NEVER);
}

static void three_that_say_the_same_bring_it_again(void **state)
{
	struct client c = connected(1000);

	answer_len = 3000;
	client_say(&c, "A\n\n");
	for (unsigned i = 0; i < 3; i++)
		brings(&c, answer + i * 1000, 1000);
	c.ack -= 2000;
	client_ack(&c);
	for (unsigned i = 0; i < 2; i++) {
		client_ack(&c);
		nothing_comes();
	}
	client_ack(&c);
	brings(&c, answer + 1000, 1000);
	brings(&c, answer + 2000, 1000);
	nothing_comes();
	c.ack -= 2000;
	client_ack(&c); /* once */
	nothing_comes();
	c.ack += 2000; /* late, and of what was sent twice */
	client_ack(&c);
	assert_int_equal(stack_deadline(stack), NEVER);
}

static void after_a_step_back_later_acknowledgements_hold(void **state)
{
	struct client c = connected(1000);

	answer_len = 2000;
	client_say(&c, "A\n\n");
	brings(&c, answer, 1000);
	brings(&c, answer + 1000, 1000);
	now += RTO;
	c.ack -= 2000;
	brings(&c, answer, 1000);
	c.ack += 1000;
	client_ack(&c); /* of both: the second was there already */
	nothing_comes();
	assert_int_equal(stack_deadline(stack), NEVER);
	client_say(&c, "B\n\n");
	assert_int_equal(answers, 2);
}

static void the_handshake_is_repeated(void **state)
{
	struct client c = {.port = 1000, .window = 60000, .seq = 10};
	uint64_t wait = RTO;
	uint32_t isn;

	client_send(&c, TCP_SYN, NULL, 0);
	assert_true(recv_frame());
	isn = in.seq;
	client_send(&c, TCP_SYN, NULL, 0); /* again: ours was lost */
	comes(1000, TCP_SYN | TCP_ACK, isn, 11);
	nothing_comes();
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(stack_deadline(stack), now + wait);
		now += wait;
		wait *= 2;
		comes(1000, TCP_SYN | TCP_ACK, isn, 11);
	}
	now += wait;
	assert_true(recv_frame());
	assert_true(in.flags & TCP_RST);
	assert_int_equal(count.connections_created, 1);
	assert_int_equal(count.connections_destroyed, 1);
}

static void a_wrong_handshake_is_reset(void **state)
{
	struct client c = {.port = 1000, .window = 60000, .seq = 10};

	client_send(&c, TCP_SYN, NULL, 0);
	c.seq++;
	c.ack = 5;
	client_ack(&c); /* before ours is out */
	comes(1000, TCP_RST, 5, 0);
	nothing_comes();
	c.seq = 20;
	client_send(&c, TCP_SYN, NULL, 0);
	c.seq++;
	assert_true(recv_frame());
	c.ack = in.seq; /* of nothing */
	client_ack(&c);
	comes(1000, TCP_RST, c.ack, 0);
	assert_int_equal(count.connections_destroyed, 2);
	assert_int_equal(count.rx_accepted_unusual, 2);
}

static void a_syn_that_comes_late_is_acknowledged(void **state)
{
	struct client c = connected(1000);

	c.seq--;
	client_send(&c, TCP_SYN, NULL, 0);
	comes(1000, TCP_ACK, c.ack, c.seq + 1);
	client_send(&c, TCP_SYN | TCP_ACK, NULL, 0);
	nothing_comes();
	assert_int_equal(count.rx_accepted_unusual, 1);
	c.seq++;
	client_say(&c, "A\n\n");
	brings(&c, answer, 5);
}

static void what_comes_twice_counts_once(void **state)
{
	struct client c = connected(1000);

	client_say(&c, "abc");
	comes(1000, TCP_ACK, c.ack, c.seq);
	c.seq -= 3;
	client_say(&c, "abc");
	comes(1000, TCP_ACK, c.ack, c.seq);
	c.seq -= 2;
	client_say(&c, "bcd\n\n"); /* with more behind it */
	assert_string_equal(asked, "abcd\n\n");
	brings(&c, answer, 5);
	assert_int_equal(in.ack, c.seq);
}

static void what_comes_too_early_is_dropped(void **state)
{
	struct client c = connected(1000);

	c.seq += 2;
	client_say(&c, "\n\n");
	comes(1000, TCP_ACK, c.ack, c.seq - 4);
	assert_int_equal(count.rx_accepted_unusual, 1);
	c.seq -= 4;
	client_say(&c, "A\n\n");
	assert_string_equal(asked, "A\n\n");
}

static void one_who_asks_whether_we_live_hears_it(void **state)
{
	struct client c = connected(1000);

	c.seq--;
	client_ack(&c);
	comes(1000, TCP_ACK, c.ack, c.seq + 1);
	nothing_comes();
}

static void what_was_not_sent_cannot_be_acknowledged(void **state)
{
	struct client c = connected(1000);

	c.ack++;
	client_say(&c, "A\n\n");
	comes(1000, TCP_ACK, c.ack - 1, c.seq - 3);
	assert_int_equal(answers, 0);
	assert_int_equal(count.rx_accepted_unusual, 1);
	c.ack -= 50; /* an old one is fine */
	c.seq -= 3;
	client_say(&c, "A\n\n");
	assert_int_equal(answers, 1);
}

static void segments_without_ack_say_nothing(void **state)
{
	struct client c = connected(1000);

	client_send(&c, 0, "A\n\n", 3);
	client_send(&c, TCP_FIN, NULL, 0);
	nothing_comes();
	assert_int_equal(answers, 0);
	assert_int_equal(count.rx_accepted_unusual, 2);
}

static void a_request_that_is_too_long_is_reset(void **state)
{
	static char text[CONN_RX];
	struct client c = connected(1000);

	memset(text, 'a', sizeof(text));
	client_send(&c, TCP_ACK, text, sizeof(text) - 1);
	c.seq += sizeof(text) - 1;
	comes(1000, TCP_ACK, c.ack, c.seq);
	assert_int_equal(in.window, 1);
	client_send(&c, TCP_ACK, text, 1);
	comes(1000, TCP_RST | TCP_ACK, c.ack, c.seq + 1);
	assert_int_equal(in.window, 0);
	nothing_comes();
	assert_int_equal(count.connections_destroyed, 1);
}

static void the_longest_request_is_answered(void **state)
{
	static char text[CONN_RX];
	struct client c = connected(1000);

	memset(text, 'a', sizeof(text));
	memcpy(text + sizeof(text) - 2, "\n\n", 2);
	client_send(&c, TCP_ACK, text, sizeof(text)); /* in one: segmentation offload */
	c.seq += sizeof(text);
	assert_memory_equal(asked, text, sizeof(text));
	brings(&c, answer, 5);
	assert_int_equal(in.window, CONN_RX);
}

/* While an answer is on its way, requests fill the window and no more. */
static void more_than_the_window_is_cut(void **state)
{
	static char text[CONN_RX + 100];
	struct client c = connected(1000);

	client_say(&c, "A\n\n");
	brings(&c, answer, 5);
	c.ack -= 5;
	memset(text, 'b', sizeof(text));
	client_send(&c, TCP_ACK | TCP_FIN, text, sizeof(text));
	comes(1000, TCP_ACK, c.ack + 5, c.seq + CONN_RX);
	assert_int_equal(in.window, 0);
	assert_int_equal(count.rx_accepted_unusual, 1);
	c.seq += CONN_RX;
	client_send(&c, TCP_ACK, text, 1); /* against a closed window */
	comes(1000, TCP_ACK, c.ack + 5, c.seq);
	assert_int_equal(answers, 1);
}

static void a_window_that_opens_is_told(void **state)
{
	static char text[CONN_RX];
	struct client c = connected(1000);

	client_say(&c, "A\n\n");
	brings(&c, answer, 5);
	memset(text, 'b', sizeof(text));
	memcpy(text + 1000, "\n\n", 2);
	c.ack -= 5;
	client_send(&c, TCP_ACK, text, sizeof(text));
	c.seq += CONN_RX;
	comes(1000, TCP_ACK, c.ack + 5, c.seq);
	assert_int_equal(in.window, 0);
	c.ack += 5;
	client_ack(&c);
	brings(&c, answer, 5);
	assert_int_equal(in.window, 1002);
	assert_int_equal(answers, 2);
}

static void both_sides_close(void **state)
{
	struct client c = connected(1000);

	client_send(&c, TCP_FIN | TCP_ACK, NULL, 0);
	comes(1000, TCP_FIN | TCP_ACK, c.ack, c.seq + 1);
	c.seq++;
	c.ack++;
	assert_int_equal(count.connections_destroyed, 0);
	client_ack(&c);
	nothing_comes();
	assert_int_equal(count.connections_destroyed, 1);
	assert_int_equal(stack_deadline(stack), NEVER);
}

static void the_last_answer_comes_before_the_end(void **state)
{
	struct client c = connected(1000);

	answer_len = 1200;
	client_send(&c, TCP_FIN | TCP_ACK, "A\n\nB\n\nrest", 10);
	c.seq += 11;
	brings(&c, answer, 1000);
	assert_int_equal(in.ack, c.seq);
	brings(&c, answer + 1000, 200);
	client_ack(&c);
	brings(&c, answer, 1000);
	brings(&c, answer + 1000, 200);
	assert_false(in.flags & TCP_FIN);
	client_ack(&c);
	comes(1000, TCP_FIN | TCP_ACK, c.ack, c.seq);
	c.ack++;
	client_ack(&c);
	assert_int_equal(answers, 2);
	assert_int_equal(count.connections_destroyed, 1);
}

static void our_end_is_repeated(void **state)
{
	struct client c = connected(1000);

	client_send(&c, TCP_FIN | TCP_ACK, NULL, 0);
	c.seq++;
	comes(1000, TCP_FIN | TCP_ACK, c.ack, c.seq);
	now += RTO;
	comes(1000, TCP_FIN | TCP_ACK, c.ack, c.seq);
	c.seq--;
	client_send(&c, TCP_FIN | TCP_ACK, NULL, 0); /* theirs, too */
	comes(1000, TCP_ACK, c.ack + 1, c.seq + 1);
	c.seq++;
	c.ack++;
	client_ack(&c);
	assert_int_equal(count.connections_destroyed, 1);
}

static void after_the_end_nothing_counts(void **state)
{
	struct client c = connected(1000);

	answer_len = 10;
	client_send(&c, TCP_FIN | TCP_ACK, "A\n\n", 3);
	c.seq += 4;
	brings(&c, answer, 10);
	c.ack -= 10;
	client_say(&c, "B\n\n");
	comes(1000, TCP_ACK, c.ack + 10, c.seq - 3);
	assert_int_equal(answers, 1);
	assert_int_equal(count.rx_accepted_unusual, 1);
}

static void a_reset_inside_the_window_ends_it(void **state)
{
	struct client c = connected(1000);

	c.seq--;
	client_send(&c, TCP_RST, NULL, 0);
	c.seq += CONN_RX + 2;
	client_send(&c, TCP_RST, NULL, 0);
	assert_int_equal(count.connections_destroyed, 0);
	assert_int_equal(count.rx_accepted_unusual, 2);
	c.seq -= 10;
	client_send(&c, TCP_RST | TCP_ACK, NULL, 0);
	assert_int_equal(count.connections_destroyed, 1);
	nothing_comes();
	client_ack(&c);
	assert_true(recv_frame());
	assert_true(in.flags & TCP_RST);
}

/* Sequence numbers pass 2^32 in both directions. */
static void numbers_wrap(void **state)
{
	struct client c = {.port = 1000, .window = 60000, .seq = UINT32_MAX - 1};
	uint32_t isn;

	answer_len = 5000;
	client_send(&c, TCP_SYN, NULL, 0);
	c.seq++;
	isn = 0u - 2000u; /* ours */
	stack->conn[0].iss = stack->conn[0].snd_una = stack->conn[0].snd_nxt = isn;
	stack->conn[0].snd_max = isn;
	stack->conn[0].data_end = isn + 1;
	comes(1000, TCP_SYN | TCP_ACK, isn, UINT32_MAX);
	c.ack = isn + 1;
	client_say(&c, "A\n\n");
	for (unsigned i = 0; i < 5; i++)
		brings(&c, answer + i * 1000, 1000);
	client_ack(&c);
	assert_int_equal(stack_deadline(stack), NEVER);
	client_say(&c, "B\n\n");
	brings(&c, answer, 1000);
	assert_int_equal(answers, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(requests_are_answered_one_by_one),
		T(a_request_may_come_byte_by_byte),
		T(data_may_come_with_the_handshakes_end),
		T(requests_in_a_row_wait_for_their_answers),
		T(a_long_answer_goes_in_segments),
		T(no_more_is_sent_than_the_window_takes),
		T(a_closed_window_is_probed),
		T(a_window_that_shrinks_is_kept),
		T(what_is_not_acknowledged_comes_again),
		T(an_acknowledgement_in_between_starts_anew),
		T(three_that_say_the_same_bring_it_again),
		T(after_a_step_back_later_acknowledgements_hold),
		T(the_handshake_is_repeated),
		T(a_wrong_handshake_is_reset),
		T(a_syn_that_comes_late_is_acknowledged),
		T(what_comes_twice_counts_once),
		T(what_comes_too_early_is_dropped),
		T(one_who_asks_whether_we_live_hears_it),
		T(what_was_not_sent_cannot_be_acknowledged),
		T(segments_without_ack_say_nothing),
		T(a_request_that_is_too_long_is_reset),
		T(the_longest_request_is_answered),
		T(more_than_the_window_is_cut),
		T(a_window_that_opens_is_told),
		T(both_sides_close),
		T(the_last_answer_comes_before_the_end),
		T(our_end_is_repeated),
		T(after_the_end_nothing_counts),
		T(a_reset_inside_the_window_ends_it),
		T(numbers_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
