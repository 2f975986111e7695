/*
 * mmds_fuzz.c - the metadata service against a guest that may send anything: frames as they come,
 * and segments that belong to a connection, with requests in pieces of all lengths, windows, losses
 * and time; and an operator who puts and patches meanwhile. What comes out has to be a well-formed
 * frame to that guest, each answer has to be whole, and memory is only where it was given.
 */
#include <stddef.h>
#include <string.h>
#include <sys/random.h>

#include "../../src/mmds/frame.h"
#include "../../src/mmds/mmds.h"
#include "../../src/mmds/stack.h"
#include "fuzz.h"

#define STEPS_MAX 400u
#define OUTS_MAX  200u
#define PORTS     40u
#define FRAME     4096u

static struct mmds m;
static struct mmds_nic nic;
static uint64_t now;
static uint8_t frame[FRAME], reply[STACK_FRAME_MAX];

/* What the guest knows of its connections: enough to be understood. */
static struct {
	uint32_t seq, ack;
	uint16_t window;
} key[PORTS];

ssize_t getrandom(void *buf, size_t len, unsigned flags)
{
	memset(buf, 0x5a, len);
	return (ssize_t)len;
}

static const uint8_t guest_ip[4] = {169, 254, 3, 4}, mmds_ip[4] = {169, 254, 169, 254};

/* --- what comes out --- */

static uint16_t sum_of(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void check_segment(size_t len)
{
	const uint8_t *p = reply + sizeof(struct eth);
	struct ip ip;
	struct tcp tcp;
	size_t data;
	unsigned k;

	CHECK(len >= FRAME_TCP + sizeof(tcp));
	memcpy(&ip, p, sizeof(ip));
	memcpy(&tcp, p + sizeof(ip), sizeof(tcp));
	CHECK(ip.version == IP4_VERSION && ip.proto == IP4_TCP);
	CHECK(ntohs(ip.len) == len - sizeof(struct eth));
	CHECK(sum_of(0, p, sizeof(ip)) == 0xffff);
	CHECK(!memcmp(ip.from, mmds_ip, 4));
	len -= FRAME_TCP;
	p += sizeof(ip);
	CHECK(sum_of(6 + (uint32_t)len + sum_of(0, ip.from, 8), p, len) == 0xffff);
	CHECK((tcp.words >> 4) * 4u <= len);
	CHECK(ntohs(tcp.window) <= CONN_RX);
	data = len - (tcp.words >> 4) * 4u;
	CHECK(data <= CONN_MSS);
	k = ntohs(tcp.to) % PORTS;
	if (!(tcp.flags & TCP_RST)) {
		CHECK(tcp.flags & TCP_ACK);
		key[k].seq = ntohl(tcp.ack);
		key[k].ack = ntohl(tcp.seq) + (uint32_t)data + !!(tcp.flags & (TCP_SYN | TCP_FIN));
	}
}

static void check_out(unsigned most)
{
	size_t len;

	while (most-- && (len = mmds_frame_out(&nic, reply, sizeof(reply), now))) {
		struct eth eth;

		CHECK(len <= sizeof(reply));
		memcpy(&eth, reply, sizeof(eth));
		CHECK(ntohs(eth.type) == ETH_ARP || ntohs(eth.type) == ETH_IP);
		if (ntohs(eth.type) == ETH_ARP)
			CHECK(len == sizeof(eth) + sizeof(struct arp));
		else
			check_segment(len);
	}
}

/* --- what always holds --- */

static void check_conn(const struct conn *c)
{
	if (c->state == CONN_FREE)
		return;
	CHECK(c->rx_len <= CONN_RX);
	CHECK((int32_t)(c->snd_nxt - c->snd_una) >= 0);
	CHECK((int32_t)(c->snd_max - c->snd_nxt) >= 0);
	CHECK((int32_t)(c->snd_max - c->data_end) <= 1);
	CHECK(!c->answer.len || c->data_end - c->snd_una <= c->answer.len);
	CHECK(!c->answer.len || (c->answer.p >= c->buf && c->answer.len <= c->size &&
				 c->answer.p + c->answer.len <= c->buf + c->size));
	CHECK(!c->answer.len || !memcmp(c->answer.p, "HTTP/1.", 7));
	CHECK(c->mss >= CONN_MSS_MIN && c->mss <= CONN_MSS);
	CHECK(c->moved <= now);
	/* What was sent and not acknowledged is remembered. */
	CHECK(c->snd_max == c->snd_una || c->timer != NEVER);
}

static void check_all(void)
{
	unsigned live = 0;

	for (unsigned i = 0; i < STACK_CONNS; i++) {
		check_conn(&nic.stack->conn[i]);
		live += nic.stack->conn[i].state != CONN_FREE;
	}
	CHECK(m.counters.connections_created - m.counters.connections_destroyed == live);
	CHECK(nic.stack->resets <= STACK_RESETS);
	CHECK(m.counters.tx_errors == 0);
}

/* --- what goes in --- */

/* On the heap, of its length alone. */
static void frame_in(size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	CHECK(copy);
	memcpy(copy, frame, len);
	mmds_frame_in(&nic, copy, len, now);
	free(copy);
}

static size_t take_bytes(struct input *in, uint8_t *p, size_t max)
{
	size_t n = (size_t)input_take(in, 1);

	n = MIN(MIN(n, max), in->n);
	memcpy(p, in->p, n);
	in->p += n;
	in->n -= n;
	return n;
}

static void any_frame(struct input *in)
{
	memset(frame, 0, 64);
	frame[12] = 8;
	frame[13] = input_take(in, 1) & 1 ? 6 : 0;
	memcpy(frame + (frame[13] ? 38 : 30), mmds_ip, 4);
	frame_in(14 + take_bytes(in, frame + 14, 255));
}

static const char *const text[] = {
	"GET ",
	"PUT ",
	"/latest/api/token",
	"/a/0",
	" HTTP/1.1\r\n",
	" HTTP/1.0\r\n\r\n",
	"\r\n",
	"\r\n\r\n",
	"GET / HTTP/1.1\r\nAccept: application/json\r\n\r\n",
	"GET /a HTTP/1.1\r\n\r\n",
	"PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds: 60\r\n\r\n",
	"X-metadata-token: ",
	"Accept: ",
	"Accept-Encoding: ",
	"Content-Length: ",
	"GET /long/",
};

/* A segment of a connection that exists, but for what the input changes. */
static void a_segment(struct input *in)
{
	static const uint8_t mss[4] = {2, 4, 1000 >> 8, 1000 & 255};
	unsigned port = (unsigned)input_take(in, 1) % PORTS, what = (unsigned)input_take(in, 1);
	uint8_t flags = (uint8_t)input_take(in, 1), *p = frame + FRAME_TCP + sizeof(struct tcp);
	unsigned which = (unsigned)input_take(in, 1);
	struct eth eth = {.type = htons(ETH_IP)};
	struct ip ip = {.version = IP4_VERSION, .proto = IP4_TCP};
	struct tcp tcp = {.from = htons((uint16_t)(port + PORTS * 100)), .to = htons(80)};
	size_t len = 0;

	if (what & 1) {
		memcpy(p, mss, sizeof(mss));
		len = sizeof(mss);
	}
	tcp.words = (uint8_t)((sizeof(tcp) + len) / 4 << 4);
	if (what & 2)
		len += take_bytes(in, p + len, 255);
	if (what & 4) {
		const char *t = text[which % ARRAY_SIZE(text)];

		memcpy(p + len, t, strlen(t));
		len += strlen(t);
	}
	if (what & 8) {
		memset(p + len, 'a', which * 10);
		len += which * 10;
	}
	if (what & 16)
		key[port].window = (uint16_t)input_take(in, 2);
	if (what & 32)
		key[port].seq += (uint32_t)(int8_t)input_take(in, 1);
	if (what & 64)
		key[port].ack += (uint32_t)(int8_t)input_take(in, 1);
	tcp.flags = what & 128 ? flags : TCP_ACK;
	tcp.seq = htonl(key[port].seq);
	tcp.ack = htonl(key[port].ack);
	tcp.window = htons(key[port].window);
	memcpy(ip.from, guest_ip, 4);
	memcpy(ip.to, mmds_ip, 4);
	ip.len = htons((uint16_t)(sizeof(ip) + sizeof(tcp) + len));
	memcpy(frame, &eth, sizeof(eth));
	memcpy(frame + sizeof(eth), &ip, sizeof(ip));
	memcpy(frame + FRAME_TCP, &tcp, sizeof(tcp));
	frame_in(FRAME_TCP + sizeof(tcp) + len);
}

/* A connection, or the client's side of one, in one step. */
static void connect_to(struct input *in)
{
	unsigned port = (unsigned)input_take(in, 1) % PORTS;
	uint8_t syn[] = {0, (uint8_t)port, 1 | 16 | 128, TCP_SYN, 0, 0xff, 0xff};
	struct input i = {syn + 1, sizeof(syn) - 1};

	a_segment(&i);
	check_out(OUTS_MAX);
	syn[2] = 0; /* its acknowledgement */
	i = (struct input){syn + 1, sizeof(syn) - 1};
	a_segment(&i);
}

static void operate(struct input *in)
{
	static const char *const value[] = {
		"{\"a\":[1,2.5,{\"b\":\"c\\n\"}],\"long\":{\"x\":null}}",
		"{\"a\":\"text\"}",
		"[]",
		"{\"a\":null,\"d\":{\"e\":1e300}}",
	};
	uint8_t what = (uint8_t)input_take(in, 1);
	uint8_t bytes[255];
	size_t len = what & 64 ? take_bytes(in, bytes, sizeof(bytes)) : 0;
	json_t *v = len ? json_loadb((char *)bytes, len, JSON_DECODE_ANY, NULL)
			: json_loads(value[what % 4], 0, NULL);

	if (v && what & 128)
		mmds_patch(&m, v);
	else if (v)
		mmds_put(&m, v);
	json_decref(v);
	if (what & 32)
		mmds_configure(&m, what & 16 ? MMDS_V2 : MMDS_V1, NULL, what & 8);
	free(mmds_get(&m, &len));
}

static void step(struct input *in)
{
	static const uint32_t ms[] = {1, 299, 300, 1000, 10000, 0, 50, 40000};

	switch (input_take(in, 1) % 8) {
	case 0: any_frame(in); break;
	case 1:
	case 2:
	case 3: a_segment(in); break;
	case 4: connect_to(in); break;
	case 5: check_out((unsigned)input_take(in, 1)); break;
	case 6: now += ms[input_take(in, 1) % ARRAY_SIZE(ms)] * (NSEC / 1000); break;
	case 7: operate(in); break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	now = 1000 * NSEC;
	memset(key, 0, sizeof(key));
	CHECK(mmds_init(&m, 20000) == 0 && mmds_nic_open(&nic, &m) == 0);
	for (unsigned i = 0; in.n && i < STEPS_MAX; i++) {
		step(&in);
		check_all();
	}
	for (unsigned i = 0; i < 50; i++) { /* without a word of the guest's all comes to an end */
		uint64_t due = mmds_deadline(&nic, now);

		check_out(STACK_CONNS * 100);
		if (due != NEVER)
			now = MAX(now, due);
		check_all();
	}
	mmds_nic_close(&nic);
	mmds_finish(&m);
	return 0;
}
