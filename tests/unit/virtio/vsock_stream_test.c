/*
 * vsock_stream_test.c - many bytes and many connections through a vsock: every byte in its place,
 * in both directions at once, with little credit and odd buffers; and what it costs in system
 * calls.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "vsock_talk.h"

#define STREAMS 1000u

/* --- system calls, counted --- */

static unsigned reads, sends;
static int pieces;        /* of the last read that gave something... */
static int tried;         /* ...and of the last one */
static int send_error;    /* not 0: what is sent fails with it */
static unsigned withheld; /* reads while the guest had not been shown what came of those before */

ssize_t readv(int fd, const struct iovec *iov, int n)
{
	const struct queue *q = &g.v.dev.queue[VSOCK_RX];
	ssize_t got = syscall(SYS_readv, fd, iov, n);

	reads++;
	withheld += q->signalled != q->used_idx;
	pieces = got > 0 ? n : pieces;
	tried = n;
	return got;
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	sends++;
	errno = send_error;
	return send_error ? -1 : syscall(SYS_sendmsg, fd, m, flags);
}

/* --- a guest's sockets, as far as credit goes --- */

struct stream {
	uint32_t port, peer;          /* ours, the host's */
	int fd;                       /* the host's end */
	uint32_t sent, fwd_cnt;       /* to the host: bytes, and those that left the device */
	uint32_t got, told;           /* from the host: bytes, and those that it knows we took */
	uint32_t host_sent, host_got; /* by the host's end */
	bool answered, host_ended, ended; /* RESPONSE came; no more comes */
};

static struct stream stream[STREAMS];
static unsigned streams;
static uint32_t buf_alloc;
static uint32_t seed;

static uint32_t any(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)seed * below) >> 32);
}

/* What a stream carries at its byte `at`; the two directions differ. */
static uint8_t byte(const struct stream *s, bool up, uint32_t at)
{
	uint32_t v = (at + 1) * 2654435761u ^ s->port * 40503u ^ (up ? 0x5555 : 0);

	return (uint8_t)(v >> 13 ^ v);
}

static void fill_bytes(uint8_t *to, const struct stream *s, bool up, uint32_t at, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		to[i] = byte(s, up, at + i);
}

static void check_bytes(const uint8_t *from, const struct stream *s, bool up, uint32_t at,
			uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (from[i] != byte(s, up, at + i))
			fail_msg("byte %u of stream %u is wrong", at + i, s->port);
}

static void packet_put(struct stream *s, unsigned op, uint32_t flags, const void *data,
		       uint32_t len)
{
	struct vsock_hdr h = odd(op);

	h.src_port = s->port;
	h.dst_port = s->peer;
	h.flags = flags;
	h.len = len;
	h.buf_alloc = buf_alloc;
	h.fwd_cnt = s->told = s->got;
	guest_put(&g, &h, data);
}

static struct stream *stream_of(const struct vsock_hdr *h)
{
	for (unsigned i = 0; i < streams; i++)
		if (stream[i].port == h->dst_port && stream[i].peer == h->src_port)
			return &stream[i];
	fail_msg("a packet for port %u, which has no stream", h->dst_port);
	return NULL;
}

/* Takes all packets that are there; answers as a driver does. */
static void listen_to_device(void)
{
	while (guest_hear(&g, &p)) {
		struct stream *s;

		if (p.h.op == REQUEST) { /* the host's; its stream waits for the port */
			for (s = stream; s->peer || s->port != p.h.dst_port;)
				assert_true(++s < stream + streams);
			s->peer = p.h.src_port;
			packet_put(s, RESPONSE, 0, NULL, 0);
			continue;
		}
		s = stream_of(&p.h);
		s->fwd_cnt = p.h.fwd_cnt;
		assert_true((int32_t)(s->sent - s->fwd_cnt) >= 0);
		switch (p.h.op) {
		case RESPONSE: s->answered = true; break;
		case RW:
			check_bytes(p.data, s, false, s->got, p.h.len);
			s->got += p.h.len;
			assert_true(s->got - s->told <= buf_alloc);
			break;
		case CREDIT_REQUEST: packet_put(s, CREDIT_UPDATE, 0, NULL, 0); break;
		case SHUTDOWN: s->host_ended = true; break;
		case RST: s->ended = true; break;
		default: assert_int_equal(p.h.op, CREDIT_UPDATE);
		}
		/* As Linux: news before the host believes that there is no room. */
		if (buf_alloc - (s->got - s->told) < (buf_alloc + 3) / 4 && !s->ended)
			packet_put(s, CREDIT_UPDATE, 0, NULL, 0);
	}
}

/* A packet of what credit and `total` allow. */
static bool guest_sends(struct stream *s, uint32_t total, uint32_t most)
{
	uint32_t n = 1 + any(most);

	n = MIN(n, MIN(total - s->sent, 65536 - (s->sent - s->fwd_cnt)));
	if (!n)
		return false;
	fill_bytes(big, s, true, s->sent, n);
	s->sent += n;
	packet_put(s, RW, 0, big, n);
	return true;
}

static bool host_sends(struct stream *s, uint32_t total, uint32_t most)
{
	static uint8_t buf[sizeof(big)];
	uint32_t n = 1 + any(most);
	ssize_t took;

	n = MIN(n, total - s->host_sent);
	fill_bytes(buf, s, false, s->host_sent, n);
	took = n ? send(s->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
	s->host_sent += (uint32_t)MAX(took, 0);
	return took > 0;
}

static bool host_receives(struct stream *s, uint32_t most)
{
	static uint8_t buf[sizeof(big)];
	ssize_t n = recv(s->fd, buf, 1 + any(most), MSG_DONTWAIT);

	if (n <= 0)
		return false;
	check_bytes(buf, s, true, s->host_got, (uint32_t)n);
	s->host_got += (uint32_t)n;
	return true;
}

/* All streams move `total` bytes each way. */
static void stream_all(uint32_t total, uint32_t most)
{
	unsigned idle = 0;
	bool moved = true, done = false;

	for (; !done && idle < 3; idle = moved ? 0 : idle + 1) {
		moved = false;
		done = true;
		for (unsigned i = 0; i < streams; i++) {
			struct stream *s = &stream[i];

			moved |= guest_sends(s, total, most);
			moved |= host_sends(s, total, most);
			moved |= host_receives(s, most);
			done &= s->host_got == total && s->got == total;
			if (i % 16 == 0)
				listen_to_device();
		}
		listen_to_device();
	}
	for (unsigned i = 0; i < streams; i++) {
		assert_int_equal(stream[i].host_got, total);
		assert_int_equal(stream[i].got, total);
	}
}

static void dial(unsigned n)
{
	int listener = host_listen(&g, PORT);

	for (; n; n--) {
		struct stream *s = &stream[streams++];

		*s = (struct stream){.port = 20000 + streams, .peer = PORT};
		packet_put(s, REQUEST, 0, NULL, 0);
		listen_to_device();
		assert_true(s->answered);
		s->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		assert_true(s->fd >= 0);
	}
	close(listener);
}

static void be_dialed(unsigned n)
{
	char text[32];

	for (; n; n--) {
		struct stream *s = &stream[streams++];

		*s = (struct stream){.port = 20000 + streams, .fd = host_connect(&g)};
		assert_true(s->fd >= 0);
		snprintf(text, sizeof(text), "CONNECT %u\n", s->port);
		host_say(s->fd, text);
		listen_to_device();
		snprintf(text, sizeof(text), "OK %u\n", s->peer);
		assert_true(host_hears(s->fd, text));
	}
}

/* The ends come in all orders; what is sent last is not lost. */
static void end_all(void)
{
	static const char last[] = "the end";
	char buf[16];

	for (unsigned i = 0; i < streams; i++) {
		struct stream *s = &stream[i];

		switch (i % 4) {
		case 0: shutdown(s->fd, SHUT_WR); break;
		case 1: packet_put(s, SHUTDOWN, NO_SEND, NULL, 0); break;
		case 2:
			s->sent += sizeof(last);
			packet_put(s, RW, 0, last, sizeof(last));
			break;
		default: break;
		}
		listen_to_device();
	}
	for (unsigned i = 0; i < streams; i++) {
		struct stream *s = &stream[i];

		if (!s->ended)
			packet_put(s, SHUTDOWN, NO_SEND | (i % 4 == 3 ? NO_RECEIVE : 0), NULL, 0);
		listen_to_device();
		if (i % 4 == 2)
			assert_int_equal(recv(s->fd, buf, sizeof(buf), 0), sizeof(last));
		assert_true(host_ended(s->fd));
		close(s->fd);
		listen_to_device();
		assert_true(s->ended);
		assert_true(s->host_ended || i % 4 == 3);
	}
	is_gone();
}

static int setup_streams(void **state)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = MIN(4096u, r.rlim_max);
	setrlimit(RLIMIT_NOFILE, &r);
	guest_init(&g, GUEST_FEATURES);
	streams = 0;
	seed = 1;
	buf_alloc = GUEST_BUF;
	return 0;
}

static void bytes_keep_their_order_with_little_credit(void **state)
{
	guest_give(&g, 5, 37);
	guest_give(&g, 3, 1);
	guest_give(&g, 5, 100);
	buf_alloc = 150;
	dial(1);
	be_dialed(1);
	stream_all(300000, 1000);
	end_all();
}

static void bytes_keep_their_order_in_large_pieces(void **state)
{
	guest_give(&g, 40, 4096);
	dial(2);
	be_dialed(2);
	stream_all(4u << 20, 65536);
	end_all();
}

static void counters_of_a_long_stream_wrap(void **state)
{
	guest_give(&g, 40, 4096);
	buf_alloc = 65536;
	dial(1);
	/* It has carried almost 4 GiB already. */
	for (unsigned i = 1; i <= g.v.pool->fresh; i++) {
		struct vsock_conn *c = &g.v.pool->conn[i];

		c->fwd_cnt = c->told_cnt = c->sent = c->peer_fwd_cnt = 0u - 200000;
	}
	stream[0].sent = stream[0].fwd_cnt = stream[0].host_got = 0u - 200000;
	stream[0].got = stream[0].told = stream[0].host_sent = 0u - 200000;
	stream_all(300000, 20000);
	end_all();
}

static void thousand_connections_in_both_directions(void **state)
{
	guest_give(&g, 200, 1000);
	dial(STREAMS / 2);
	be_dialed(STREAMS / 2);
	assert_int_equal(g.v.pool->conns, STREAMS);
	stream_all(10000, 5000);
	end_all();
	assert_int_equal(g.v.pool->fresh_bufs, 0); /* all was taken at once */
	assert_int_equal(g.v.dev.errors, 0);
}

static void hosts_that_never_read_cost_their_buffers_and_no_more(void **state)
{
	unsigned n = 100;

	guest_give(&g, 200, 1000);
	dial(n);
	for (unsigned round = 0; round < 20; round++)
		for (unsigned i = 0; i < n; i++) {
			while (guest_sends(&stream[i], 1u << 20, 65535))
				;
			listen_to_device();
		}
	assert_int_equal(g.v.pool->fresh_bufs, n);
	for (unsigned i = 1; i <= n; i++)
		assert_in_range(g.v.pool->conn[i].held, 1, VSOCK_BUF);
	for (unsigned i = 0; i < n; i++) /* and now they do */
		while (host_receives(&stream[i], 65535))
			guest_turn(&g);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(stream[i].host_got, stream[i].sent);
	assert_int_equal(g.v.pool->warms, VSOCK_WARM);
	assert_int_equal(g.v.pool->colds, n - VSOCK_WARM);
	for (unsigned i = 0; i < n; i++)
		close(stream[i].fd);
	listen_to_device();
}

static void storm_of_connections_leaves_nothing(void **state)
{
	guest_give(&g, 100, 100);
	for (unsigned i = 0; i < 10000; i++) {
		int fd = host_connect(&g);

		assert_true(fd >= 0);
		if (i % 3)
			host_say(fd, i % 3 == 1 ? "CONNECT 9\n" : "CONNECT x\n");
		if (i % 5 == 0)
			guest_turn(&g);
		close(fd);
		while (guest_hear(&g, &p))
			if (p.h.op == REQUEST)
				guest_reply(&g, &p, RST);
	}
	assert_int_equal(g.v.accepted, 10000);
	assert_true(g.v.pool->fresh < 8);
	is_gone();
}

static void burst_costs_one_read_for_many_packets(void **state)
{
	uint32_t packets = 0, bytes = 0;
	int fd;

	guest_give(&g, 64, 4096);
	fd = dialed();
	reads = withheld = 0;
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(send(fd, big, 65536, MSG_DONTWAIT), 65536);
		guest_turn(&g);
		while (guest_hear(&g, &p)) {
			struct vsock_hdr h = odd(CREDIT_UPDATE);

			packets++;
			bytes += p.h.len;
			h.fwd_cnt = bytes;
			guest_put(&g, &h, NULL);
		}
	}
	assert_int_equal(bytes, 1u << 20);
	assert_int_equal(packets, 256);
	/* Of each 64 KiB: 4, 60, and that there are no more. */
	assert_in_range(reads, 32, 48);
	assert_int_equal(withheld, 0);
	close(fd);
}

static void small_message_costs_two_reads_or_one_send(void **state)
{
	int fd;

	guest_give(&g, 64, 4096);
	fd = dialed();
	reads = sends = 0;
	host_say(fd, "ping");
	hears_data(PORT, GPORT, "ping");
	assert_int_equal(reads, 2);
	assert_int_equal(tried, 1);
	guest_send(&g, GPORT, PORT, "pong", 4);
	assert_true(host_hears(fd, "pong"));
	assert_int_equal(sends, 1);
	guest_turn(&g);
	assert_int_equal(reads, 2);
	for (unsigned i = 0; i < 3; i++) { /* and takes one buffer */
		assert_int_equal(send(fd, big, i == 1 ? 50000 : 100, MSG_DONTWAIT),
				 i == 1 ? 50000 : 100);
		guest_turn(&g);
		assert_int_equal(pieces, i == 1 ? 16 : 1);
	}
	close(fd);
}

static void host_that_does_not_read_is_not_asked_at_each_packet(void **state)
{
	int fd;

	guest_give(&g, 64, 4096);
	fd = dialed();
	fill(4096);
	sends = 0;
	for (unsigned i = 0; i < 8; i++)
		guest_send(&g, GPORT, PORT, big, 4096);
	host_say(fd, "an event of another kind");
	guest_turn(&g);
	assert_int_equal(sends, 0);
	close(fd);
}

static void host_that_receives_no_more_is_not_asked_at_all(void **state)
{
	int fd;

	guest_give(&g, 64, 4096);
	fd = dialed();
	shutdown(fd, SHUT_RD);
	sends = 0;
	for (unsigned i = 0; i < 8; i++)
		guest_send(&g, GPORT, PORT, big, 4096);
	assert_int_equal(sends, 1);
	close(fd);
}

static void end_that_was_seen_is_not_looked_for_again(void **state)
{
	struct vsock_conn *c;
	int fd;

	guest_give(&g, 64, 4096);
	fd = dialed();
	c = conn();
	shutdown(fd, SHUT_WR);
	hears_shutdown(PORT, GPORT, NO_SEND);
	reads = 0;
	c->watch.ready(&c->watch, WATCH_IN | WATCH_OUT);
	guest_turn(&g);
	assert_int_equal(reads, 0);
	close(fd);
}

static void hole_in_a_stream_ends_it(void **state)
{
	int fd;

	guest_give(&g, 64, 4096);
	fd = dialed();
	send_error = ENOBUFS;
	guest_send(&g, GPORT, PORT, "lost", 4);
	hears(RST, PORT, GPORT);
	assert_true(host_ended(fd));
	assert_int_equal(g.v.pool->fresh_bufs, 0); /* nothing is kept for nobody */
	close(fd);
	send_error = 0;
	fd = dialed();
	fill(4096);
	guest_say(&g, SHUTDOWN, GPORT, PORT, NO_RECEIVE | NO_SEND);
	send_error = ENOBUFS;
	swallow(fd);
	while (guest_hear(&g, &p) && p.h.op == CREDIT_UPDATE)
		;
	assert_int_equal(p.h.op, RST);
	send_error = 0;
	is_gone();
	close(fd);
}

#define S(f) cmocka_unit_test_setup_teardown(f, setup_streams, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		S(bytes_keep_their_order_with_little_credit),
		S(bytes_keep_their_order_in_large_pieces),
		S(counters_of_a_long_stream_wrap),
		S(thousand_connections_in_both_directions),
		S(hosts_that_never_read_cost_their_buffers_and_no_more),
		S(storm_of_connections_leaves_nothing),
		S(burst_costs_one_read_for_many_packets),
		S(small_message_costs_two_reads_or_one_send),
		S(host_that_does_not_read_is_not_asked_at_each_packet),
		S(host_that_receives_no_more_is_not_asked_at_all),
		S(end_that_was_seen_is_not_looked_for_again),
		S(hole_in_a_stream_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
