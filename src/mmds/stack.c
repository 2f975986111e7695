/*
 * stack.c - frames of the metadata service's address.
 * Modelled: ARP replies; TCP to port 80 over IPv4, with options of either that are passed over.
 * Not modelled: ICMP, fragments, which are dropped. Checksums of what comes in are not looked at: a
 * guest with checksum offload leaves them unfinished, and the bytes came through memory. What goes
 * out has them all.
 *
 * Of many connections none starves: they are asked in turn. A new one that finds no place takes
 * that of one which made no progress for long, else it is refused, as Firecracker does.
 */
#include "stack.h"

#include <string.h>

#include "frame.h"
#include "siphash.h"

void stack_init(struct stack *s, char *bufs, size_t size)
{
	for (unsigned i = 0; i < STACK_CONNS; i++) {
		s->conn[i].buf = bufs + i * size;
		s->conn[i].size = size;
	}
}

/* --- in --- */

/* A connection's place, free again; its buffers stay. */
static void stack_close(struct stack *s, struct conn *c)
{
	char *buf = c->buf;
	size_t size = c->size;

	*c = (struct conn){.buf = buf, .size = size};
	s->counters->connections_destroyed++;
}

/* Remembers an RST for the client of `c`. */
static void stack_reset(struct stack *s, const struct conn *c, uint32_t seq, uint32_t ack,
			uint8_t flags)
{
	struct stack_reset *r = &s->reset[s->resets];

	if (s->resets == STACK_RESETS)
		return;
	s->resets++;
	*r = (struct stack_reset){
		.port = c->port,
		.from = c->to,
		.s = {.seq = seq, .ack = ack, .flags = flags | TCP_RST},
	};
	memcpy(r->mac, c->mac, sizeof(r->mac));
	memcpy(r->ip, c->ip, sizeof(r->ip));
}

/* The answer to a segment that no connection wants [RFC 9293, 3.5.2]. */
static void stack_refuse(struct stack *s, const struct conn *from, const struct segment *seg)
{
	uint32_t len = (uint32_t)seg->len + !!(seg->flags & TCP_SYN) + !!(seg->flags & TCP_FIN);

	if (seg->flags & TCP_RST)
		return;
	if (seg->flags & TCP_ACK)
		stack_reset(s, from, seg->ack, 0, 0);
	else
		stack_reset(s, from, 0, seg->seq + len, TCP_ACK);
}

static struct conn *stack_find(struct stack *s, const struct conn *from)
{
	for (unsigned i = 0; i < STACK_CONNS; i++) {
		struct conn *c = &s->conn[i];

		if (c->state != CONN_FREE && c->port == from->port &&
		    !memcmp(c->ip, from->ip, sizeof(c->ip)))
			return c;
	}
	return NULL;
}

/* A place for a new connection: a free one, or that of the idle one that has been so longest. */
static struct conn *stack_place(struct stack *s, uint64_t now)
{
	struct conn *idle = NULL;

	for (unsigned i = 0; i < STACK_CONNS; i++) {
		struct conn *c = &s->conn[i];

		if (c->state == CONN_FREE)
			return c;
		if (conn_idle(c, now) && (!idle || c->moved < idle->moved))
			idle = c;
	}
	if (idle) {
		stack_reset(s, idle, idle->snd_nxt, idle->rcv_nxt, TCP_ACK);
		stack_close(s, idle);
	}
	return idle;
}

/* A first sequence number that grows with time and is another for each client [RFC 6528]. */
static uint32_t stack_isn(const struct stack *s, const struct conn *from, uint64_t now)
{
	uint8_t who[6], hash[SIPHASH_LEN];
	uint32_t isn;

	memcpy(who, from->ip, 4);
	memcpy(who + 4, &from->port, 2);
	siphash(s->key, who, sizeof(who), hash);
	memcpy(&isn, hash, sizeof(isn));
	return isn + (uint32_t)(now / 4000);
}

static void stack_open(struct stack *s, const struct conn *from, const struct segment *seg,
		       uint64_t now)
{
	struct conn *c = stack_place(s, now);

	if (!c) {
		stack_refuse(s, from, seg);
		return;
	}
	memcpy(c->mac, from->mac, sizeof(c->mac));
	memcpy(c->ip, from->ip, sizeof(c->ip));
	c->port = from->port;
	c->to = from->to;
	conn_open(c, seg, stack_isn(s, from, now), now);
	s->counters->connections_created++;
}

/* A segment from `from`, of which only the addresses say something. */
static void stack_segment(struct stack *s, const struct conn *from, const struct segment *seg,
			  uint64_t now)
{
	struct conn *c = stack_find(s, from);
	bool syn = seg->flags == TCP_SYN; /* data with it comes again [RFC 9293, 3.10.7.2] */

	s->counters->rx_count++;
	if (c && syn && seg->seq != c->irs) { /* a client that was started anew */
		stack_close(s, c);
		c = NULL;
	}
	if (!c && syn) {
		stack_open(s, from, seg, now);
		return;
	}
	if (!c) {
		stack_refuse(s, from, seg);
		return;
	}
	switch (conn_in(c, seg, &s->user, now)) {
	case CONN_GOES_ON: return;
	case CONN_ODD: s->counters->rx_accepted_unusual++; return;
	case CONN_GONE: break;
	case CONN_RESET:
		s->counters->rx_accepted_unusual++;
		if (c->state == CONN_SYN)
			stack_refuse(s, from, seg);
		else
			stack_reset(s, c, c->snd_nxt, c->rcv_nxt, TCP_ACK);
	}
	stack_close(s, c);
}

/* The MSS that the options announce; 0: none. */
static uint16_t stack_mss(const uint8_t *p, size_t len)
{
	struct tcp_mss mss;

	while (len && *p != TCP_OPT_END) {
		size_t n = *p == TCP_OPT_NOP || len == 1 ? 1 : p[1];

		if (n == 0 || n > len)
			return 0;
		if (*p == TCP_OPT_MSS && n == sizeof(mss)) {
			memcpy(&mss, p, sizeof(mss));
			return ntohs(mss.mss);
		}
		p += n;
		len -= n;
	}
	return 0;
}

/* false: it is no TCP segment for the port. */
static bool stack_tcp(struct stack *s, struct conn *from, const uint8_t *p, size_t len,
		      uint64_t now)
{
	struct segment seg;
	struct tcp h;
	size_t head;

	if (len < sizeof(h))
		return false;
	memcpy(&h, p, sizeof(h));
	head = (h.words >> 4) * 4u;
	if (head < sizeof(h) || head > len)
		return false;
	from->port = h.from;
	from->to = h.to;
	seg = (struct segment){
		.seq = ntohl(h.seq),
		.ack = ntohl(h.ack),
		.flags = h.flags & TCP_FLAGS,
		.window = ntohs(h.window),
		.mss = stack_mss(p + sizeof(h), head - sizeof(h)),
		.data = p + head,
		.len = len - head,
	};
	if (ntohs(h.to) != STACK_PORT) {
		stack_refuse(s, from, &seg);
		return false;
	}
	stack_segment(s, from, &seg, now);
	return true;
}

static void stack_ip(struct stack *s, const uint8_t *frame, size_t len, uint64_t now)
{
	struct conn from = {0};
	struct eth eth;
	size_t head, all;
	struct ip h;

	memcpy(&eth, frame, sizeof(eth));
	memcpy(&h, frame + sizeof(eth), sizeof(h));
	frame += sizeof(eth);
	len -= sizeof(eth);
	head = (h.version & 15) * 4u;
	all = ntohs(h.len);
	if (h.version >> 4 != 4 || head < sizeof(h) || all < head || all > len) {
		s->counters->rx_accepted_err++;
		return;
	}
	if (h.proto != IP4_TCP || (ntohs(h.frag) & IP4_FRAGMENT)) {
		s->counters->rx_accepted_unusual++;
		return;
	}
	memcpy(from.mac, eth.from, sizeof(from.mac));
	memcpy(from.ip, h.from, sizeof(from.ip));
	if (!stack_tcp(s, &from, frame + head, all - head, now))
		s->counters->rx_accepted_err++;
}

static void stack_arp(struct stack *s, const uint8_t *frame)
{
	struct arp a;

	memcpy(&a, frame + sizeof(struct eth), sizeof(a));
	if (ntohs(a.hw) != ARP_ETHERNET || ntohs(a.proto) != ETH_IP || a.hw_len != 6 ||
	    a.proto_len != 4 || ntohs(a.op) != ARP_REQUEST)
		return;
	memcpy(s->arp_mac, a.from_mac, sizeof(s->arp_mac));
	memcpy(s->arp_ip, a.from_ip, sizeof(s->arp_ip));
	s->arp_due = true;
}

bool stack_in(struct stack *s, const uint8_t *frame, size_t len, uint64_t now)
{
	struct eth eth;
	bool arp, ip;

	if (len < sizeof(eth)) {
		s->counters->rx_bad_eth++;
		return false;
	}
	memcpy(&eth, frame, sizeof(eth));
	arp = ntohs(eth.type) == ETH_ARP && len >= sizeof(eth) + sizeof(struct arp) &&
	      !memcmp(frame + sizeof(eth) + offsetof(struct arp, to_ip), s->ip, 4);
	ip = ntohs(eth.type) == ETH_IP && len >= sizeof(eth) + sizeof(struct ip) &&
	     !memcmp(frame + sizeof(eth) + offsetof(struct ip, to), s->ip, 4);
	if (!arp && !ip)
		return false;
	s->counters->rx_accepted++;
	if (arp)
		stack_arp(s, frame);
	else
		stack_ip(s, frame, len, now);
	return true;
}

/* --- out --- */

/* The Internet checksum [RFC 1071] of bytes, added to `sum`; folded and inverted by the next. */
static uint32_t sum_add(uint32_t sum, const void *p, size_t len)
{
	const uint8_t *b = p;

	for (size_t i = 0; i + 1 < len; i += 2)
		/* The analyser does not see that a structure has bytes. */
		sum += (uint32_t)b[i] << 8 | b[i + 1]; // NOLINT(clang-analyzer-core.*)
	if (len % 2)
		sum += (uint32_t)b[len - 1] << 8;
	return sum;
}

static uint16_t sum_end(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void write_eth(const struct stack *s, uint8_t *buf, const uint8_t to[6], uint16_t type)
{
	struct eth eth = {.type = htons(type)};

	memcpy(eth.to, to, sizeof(eth.to));
	memcpy(eth.from, s->mac, sizeof(eth.from));
	memcpy(buf, &eth, sizeof(eth));
}

static size_t write_arp(const struct stack *s, uint8_t *buf)
{
	struct arp a = {
		.hw = htons(ARP_ETHERNET),
		.proto = htons(ETH_IP),
		.hw_len = 6,
		.proto_len = 4,
		.op = htons(ARP_REPLY),
	};

	memcpy(a.from_mac, s->mac, sizeof(a.from_mac));
	memcpy(a.from_ip, s->ip, sizeof(a.from_ip));
	memcpy(a.to_mac, s->arp_mac, sizeof(a.to_mac));
	memcpy(a.to_ip, s->arp_ip, sizeof(a.to_ip));
	write_eth(s, buf, s->arp_mac, ETH_ARP);
	memcpy(buf + sizeof(struct eth), &a, sizeof(a));
	return sizeof(struct eth) + sizeof(a);
}

/* The segment to `to`, in one packet. */
static size_t write_segment(const struct stack *s, uint8_t *buf, const struct segment *seg,
			    const uint8_t mac[6], const uint8_t ip_to[4], uint16_t from,
			    uint16_t to)
{
	struct tcp_mss mss = {TCP_OPT_MSS, sizeof(mss), htons(seg->mss)};
	size_t opt = seg->mss ? sizeof(mss) : 0, head = sizeof(struct tcp) + opt;
	size_t len = head + seg->len;
	struct ip ip = {
		.version = IP4_VERSION,
		.len = htons((uint16_t)(sizeof(ip) + len)),
		.frag = htons(IP4_DF),
		.ttl = IP4_TTL,
		.proto = IP4_TCP,
	};
	struct tcp tcp = {
		.from = from,
		.to = to,
		.seq = htonl(seg->seq),
		.ack = htonl(seg->ack),
		.words = (uint8_t)(head / 4 << 4),
		.flags = seg->flags,
		.window = htons(seg->window),
	};
	uint8_t *at = buf + FRAME_TCP;
	uint32_t sum = IP4_TCP + (uint32_t)len; /* of the pseudo header [RFC 9293, 3.1] */

	memcpy(ip.from, s->ip, sizeof(ip.from));
	memcpy(ip.to, ip_to, sizeof(ip.to));
	ip.sum = sum_end(sum_add(0, &ip, sizeof(ip)));
	write_eth(s, buf, mac, ETH_IP);
	memcpy(buf + sizeof(struct eth), &ip, sizeof(ip));
	memcpy(at, &tcp, sizeof(tcp));
	memcpy(at + sizeof(tcp), &mss, opt);
	if (seg->len)
		memcpy(at + head, seg->data, seg->len);
	sum = sum_add(sum_add(sum, s->ip, 4), ip_to, 4);
	tcp.sum = sum_end(sum_add(sum, at, len));
	memcpy(at, &tcp, sizeof(tcp));
	return FRAME_TCP + len;
}

static size_t out_reset(struct stack *s, uint8_t *buf)
{
	struct stack_reset r = s->reset[0];

	s->resets--;
	memmove(s->reset, s->reset + 1, s->resets * sizeof(r));
	return write_segment(s, buf, &r.s, r.mac, r.ip, r.from, r.port);
}

/* The next connection's segment; 0: none has one. */
static size_t out_conn(struct stack *s, uint8_t *buf, uint64_t now)
{
	struct segment seg;

	for (unsigned i = 0; i < STACK_CONNS; i++) {
		struct conn *c = &s->conn[(s->next + i) % STACK_CONNS];

		if (!conn_due(c, now))
			continue;
		s->next = (s->next + i + 1) % STACK_CONNS;
		if (conn_out(c, &seg, now) == CONN_GOES_ON)
			return write_segment(s, buf, &seg, c->mac, c->ip, c->to, c->port);
		stack_reset(s, c, c->snd_nxt, c->rcv_nxt, TCP_ACK);
		stack_close(s, c);
		return s->resets ? out_reset(s, buf) : 0;
	}
	return 0;
}

size_t stack_out(struct stack *s, uint8_t *buf, size_t size, uint64_t now)
{
	size_t len;

	if (size < STACK_FRAME_MAX) {
		s->counters->tx_errors++;
		return 0;
	}
	if (s->arp_due) {
		s->arp_due = false;
		len = write_arp(s, buf);
	} else if (s->resets) {
		len = out_reset(s, buf);
	} else {
		len = out_conn(s, buf, now);
	}
	if (len) {
		s->counters->tx_count++;
		s->counters->tx_frames++;
		s->counters->tx_bytes += len;
	}
	return len;
}

uint64_t stack_deadline(const struct stack *s)
{
	uint64_t first = NEVER;

	for (unsigned i = 0; i < STACK_CONNS; i++)
		if (s->conn[i].state != CONN_FREE)
			first = MIN(first, s->conn[i].timer);
	return first;
}
