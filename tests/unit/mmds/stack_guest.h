/*
 * stack_guest.h - the guest's side of a stack, for tests: frames put together and taken apart, of
 * which each that comes is checked. Included by one file of a program.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../../src/mmds/frame.h"
#include "../../../src/mmds/stack.h"

#define MS       (NSEC / 1000)
#define IN_MAX   4096u
#define BUF_SIZE 60000u

static const uint8_t guest_mac[6] = {2, 0, 0, 0, 0, 9}, mmds_mac[6] = {6, 1, 0x23, 0x45, 0x67, 1};
static const uint8_t guest_ip[4] = {169, 254, 3, 4}, mmds_ip[4] = {169, 254, 169, 254};

static struct stack *stack;
static char *bufs;
static struct mmds_counters count;
static uint64_t now;

/* What the user answers, and what was asked. */
static char answer[BUF_SIZE], asked[CONN_RX + 1];
static size_t answer_len;
static unsigned answers;

/* A frame that came, taken apart. */
static struct {
	size_t len;
	struct eth eth;
	struct arp arp;
	struct ip ip;
	struct tcp tcp;
	uint32_t seq, ack;
	uint16_t from, port, window, mss;
	uint8_t flags;
	const uint8_t *data;
	size_t data_len;
	uint8_t bytes[STACK_FRAME_MAX];
} in;

static struct slice answer_it(void *ctx, const char *request, size_t len, char *buf, size_t size,
			      uint64_t at)
{
	assert_ptr_equal(ctx, &count);
	assert_int_equal(at, now);
	assert_int_equal(size, BUF_SIZE);
	memcpy(asked, request, len);
	asked[len] = '\0';
	memcpy(buf, answer, answer_len);
	answers++;
	return (struct slice){buf, answer_len};
}

static inline int stack_setup(void **state)
{
	stack = calloc(1, sizeof(*stack));
	bufs = calloc(STACK_CONNS, BUF_SIZE);
	count = (struct mmds_counters){0};
	memcpy(stack->mac, mmds_mac, 6);
	memcpy(stack->ip, mmds_ip, 4);
	stack->user = (struct conn_user){&count, answer_it};
	stack->counters = &count;
	stack_init(stack, bufs, BUF_SIZE);
	now = 1000 * NSEC;
	answers = 0;
	answer_len = 5;
	for (size_t i = 0; i < sizeof(answer); i++)
		answer[i] = (char)('a' + i % 23);
	return 0;
}

static inline int stack_teardown(void **state)
{
	free(stack);
	free(bufs);
	return 0;
}

/* --- what the guest sends --- */

/* On the heap, of its length alone: a sanitizer sees what is read beyond. */
static inline bool send_frame(const void *p, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	bool taken;

	memcpy(copy, p, len);
	taken = stack_in(stack, copy, len, now);
	free(copy);
	return taken;
}

struct out {
	struct eth eth;
	union {
		struct arp arp;
		struct {
			struct ip ip;
			struct tcp tcp;
			uint8_t rest[IN_MAX];
		} __attribute__((packed));
	} __attribute__((packed));
} __attribute__((packed));

static inline struct out arp_request(void)
{
	struct out o = {.eth = {.type = htons(ETH_ARP)}};

	memset(o.eth.to, 0xff, 6);
	memcpy(o.eth.from, guest_mac, 6);
	o.arp = (struct arp){htons(1), htons(ETH_IP), 6, 4, htons(ARP_REQUEST), {0}, {0}, {0}, {0}};
	memcpy(o.arp.from_mac, guest_mac, 6);
	memcpy(o.arp.from_ip, guest_ip, 4);
	memcpy(o.arp.to_ip, mmds_ip, 4);
	return o;
}

#define ARP_LEN (sizeof(struct eth) + sizeof(struct arp))

/* A segment with `options` bytes of options before its data; checksums are missing. */
static inline struct out segment(uint16_t port, const struct segment *s, const void *options,
				 size_t options_len, size_t *len)
{
	struct out o = {.eth = {.type = htons(ETH_IP)}};

	assert_true(options_len + s->len <= IN_MAX);
	memcpy(o.eth.to, mmds_mac, 6);
	memcpy(o.eth.from, guest_mac, 6);
	*len = FRAME_TCP + sizeof(struct tcp) + options_len + s->len;
	o.ip = (struct ip){.version = IP4_VERSION,
			   .len = htons((uint16_t)(*len - sizeof(struct eth))),
			   .ttl = 64,
			   .proto = IP4_TCP};
	memcpy(o.ip.from, guest_ip, 4);
	memcpy(o.ip.to, mmds_ip, 4);
	o.tcp = (struct tcp){.from = htons(port),
			     .to = htons(STACK_PORT),
			     .seq = htonl(s->seq),
			     .ack = htonl(s->ack),
			     .words = (uint8_t)((sizeof(struct tcp) + options_len) / 4 << 4),
			     .flags = s->flags,
			     .window = htons(s->window)};
	if (options_len)
		memcpy(o.rest, options, options_len);
	if (s->len)
		memcpy(o.rest + options_len, s->data, s->len);
	return o;
}

static inline void send_segment(uint16_t port, const struct segment *s)
{
	static const uint8_t mss[] = {TCP_OPT_MSS, 4, 1000 >> 8, 1000 & 255};
	bool syn = s->flags & TCP_SYN;
	size_t len;
	struct out o = segment(port, s, mss, syn ? sizeof(mss) : 0, &len);

	assert_true(send_frame(&o, len));
}

/* --- what comes back --- */

static inline uint16_t sum_of(uint32_t sum, const void *p, size_t len)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? b[i] : (uint32_t)b[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static inline void take_ip(void)
{
	const uint8_t *p = in.bytes + sizeof(in.eth);
	size_t len = in.len - sizeof(in.eth), head;

	memcpy(&in.ip, p, sizeof(in.ip));
	assert_int_equal(in.ip.version, 0x45);
	assert_int_equal(ntohs(in.ip.len), len);
	assert_int_equal(sum_of(0, &in.ip, sizeof(in.ip)), 0xffff);
	assert_memory_equal(in.ip.from, stack->ip, 4);
	assert_int_equal(in.ip.ttl, 1);
	p += sizeof(in.ip);
	len -= sizeof(in.ip);
	memcpy(&in.tcp, p, sizeof(in.tcp));
	assert_int_equal(sum_of(6 + (uint32_t)len + sum_of(0, &in.ip.from, 8), p, len), 0xffff);
	in.from = ntohs(in.tcp.from);
	in.port = ntohs(in.tcp.to);
	in.seq = ntohl(in.tcp.seq);
	in.ack = ntohl(in.tcp.ack);
	in.flags = in.tcp.flags;
	in.window = ntohs(in.tcp.window);
	head = (in.tcp.words >> 4) * 4u;
	in.mss = 0;
	if (head == sizeof(in.tcp) + 4) {
		assert_int_equal(p[20] << 8 | p[21], 0x0204);
		in.mss = (uint16_t)(p[22] << 8 | p[23]);
	} else {
		assert_int_equal(head, sizeof(in.tcp));
	}
	in.data = p + head;
	in.data_len = len - head;
}

/* The next frame for the guest; false: there is none. */
static inline bool recv_frame(void)
{
	size_t before = count.tx_frames, bytes = count.tx_bytes;

	in.len = stack_out(stack, in.bytes, sizeof(in.bytes), now);
	assert_int_equal(count.tx_frames, before + (in.len > 0));
	assert_int_equal(count.tx_bytes, bytes + in.len);
	if (!in.len)
		return false;
	memcpy(&in.eth, in.bytes, sizeof(in.eth));
	assert_memory_equal(in.eth.from, stack->mac, 6);
	if (ntohs(in.eth.type) == ETH_ARP) {
		assert_int_equal(in.len, ARP_LEN);
		memcpy(&in.arp, in.bytes + sizeof(in.eth), sizeof(in.arp));
		in.flags = 0;
	} else {
		assert_int_equal(ntohs(in.eth.type), ETH_IP);
		take_ip();
	}
	return true;
}

/* The next frame is a segment with these flags and no data. */
static inline void comes(uint16_t port, uint8_t flags, uint32_t seq, uint32_t ack)
{
	assert_true(recv_frame());
	assert_int_equal(in.from, STACK_PORT);
	assert_int_equal(in.port, port);
	assert_int_equal(in.flags, flags);
	assert_int_equal(in.seq, seq);
	assert_int_equal(in.ack, ack);
	assert_int_equal(in.data_len, 0);
}

static inline void nothing_comes(void)
{
	assert_false(recv_frame());
}

/* --- a client --- */

struct client {
	uint16_t port, window;
	uint32_t seq, ack; /* next to send, next to receive */
};

static inline void client_send(const struct client *c, uint8_t flags, const void *p, size_t len)
{
	send_segment(c->port, &(struct segment){.seq = c->seq,
						.ack = c->ack,
						.flags = flags,
						.window = c->window,
						.data = p,
						.len = len});
}

static inline void client_ack(const struct client *c)
{
	client_send(c, TCP_ACK, NULL, 0);
}

/* Sends text, which is counted as sent. */
static inline void client_say(struct client *c, const char *text)
{
	client_send(c, TCP_ACK | TCP_PSH, text, strlen(text));
	c->seq += (uint32_t)strlen(text);
}

/* The handshake. */
static inline struct client connected(uint16_t port)
{
	struct client c = {.port = port, .window = 60000, .seq = port * 1000u};

	client_send(&c, TCP_SYN, NULL, 0);
	c.seq++;
	assert_true(recv_frame());
	assert_int_equal(in.port, port);
	assert_int_equal(in.flags, TCP_SYN | TCP_ACK);
	assert_int_equal(in.ack, c.seq);
	assert_int_equal(in.mss, CONN_MSS);
	assert_int_equal(in.window, CONN_RX);
	c.ack = in.seq + 1;
	client_ack(&c);
	nothing_comes();
	return c;
}

/* The next frame brings `len` bytes, the next of the answer. */
static inline void brings(struct client *c, const char *p, size_t len)
{
	assert_true(recv_frame());
	assert_int_equal(in.from, STACK_PORT);
	assert_int_equal(in.port, c->port);
	assert_int_equal(in.seq, c->ack);
	assert_int_equal(in.data_len, len);
	assert_memory_equal(in.data, p, len);
	assert_true(in.flags & TCP_ACK);
	assert_false(in.flags & (TCP_SYN | TCP_RST));
	c->ack += (uint32_t)len;
}

#define T(f) cmocka_unit_test_setup_teardown(f, stack_setup, stack_teardown)
