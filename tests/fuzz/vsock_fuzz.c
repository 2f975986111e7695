/*
 * vsock_fuzz.c - the socket device between a driver that may do anything and clients of the host
 * that may, too: packets, rings, buffers of any shape, resets and pauses on one side; commands,
 * bytes, half-closes, listeners that come and go, and a kernel out of descriptors on the other.
 * After each step the device's books have to balance, and it never sends more than the guest said
 * that it takes.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../src/clock.h"
#include "../../src/virtio/vsock.h"
#include "../../src/virtio/vsock_conn.h"
#include "../lib/driver.h"
#include "../lib/watches.h"
#include "fuzz.h"

#define RAM_SIZE  (2 * MIB)
#define QUEUE     16u
#define RINGS     0x1000u /* of the three queues, a step each; then packets, then buffers */
#define RING_STEP 0x8000u
#define TX_AT     0x40000u
#define RX_AT     0x80000u
#define RX_STEP   70000u
#define STEPS_MAX 300
#define TURNS_MAX 2000
#define CLIENTS   8u
#define LISTENERS 3u
#define KEYS      64u
#define FDS       128
#define CID       3u

static struct ram ram;
static struct driver queue[3];
static struct driver_host host;
static struct watches watches;
static struct vsock v;
static char path[32];
static uint8_t bytes[0x10000];

static int client[CLIENTS], listener[LISTENERS];
static bool wild[3];   /* the ring was written to at random: what comes back means nothing */
static uint64_t later; /* added to the time */
static unsigned mood;  /* of the kernel, 0: well */

/* RX buffers by head, each in a place of its own. */
static uint64_t rx_gpa[QUEUE];
static bool rx_busy[QUEUE];

/* What the guest knows of its connections. */
static struct key {
	uint32_t local, peer;
	uint32_t buf_alloc, fwd_cnt, got;
} key[KEYS];
static unsigned keys;
static bool unsure; /* packets wait in the TX ring: what the device knows is not what was said */

/* --- a kernel with moods --- */

static bool fails(unsigned what, int err)
{
	errno = err;
	return mood == what;
}

int accept4(int fd, struct sockaddr *a, socklen_t *n, int flags)
{
	if (fails(1, EMFILE) || fails(2, ECONNABORTED))
		return -1;
	return (int)syscall(SYS_accept4, fd, a, n, flags);
}

int socket(int family, int type, int protocol)
{
	return fails(1, EMFILE) ? -1 : (int)syscall(SYS_socket, family, type, protocol);
}

ssize_t readv(int fd, const struct iovec *iov, int n)
{
	size_t sum = 0;

	for (int i = 0; i < n; i++) {
		size_t off = (size_t)((uint8_t *)iov[i].iov_base - ram.host);

		CHECK(off < RAM_SIZE && iov[i].iov_len && iov[i].iov_len <= RAM_SIZE - off);
		sum += iov[i].iov_len;
	}
	CHECK(n > 0 && sum <= VSOCK_PAYLOAD_MAX);
	return fails(3, ECONNRESET) ? -1 : syscall(SYS_readv, fd, iov, n);
}

/* Always without waiting and without a signal. */
ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	CHECK(flags == (MSG_NOSIGNAL | MSG_DONTWAIT) && m->msg_iovlen <= QUEUE_SIZE_MAX);
	return fails(4, EPIPE) || fails(5, EAGAIN) || fails(6, ENOBUFS)
		       ? -1
		       : syscall(SYS_sendmsg, fd, m, flags);
}

/* --- books --- */

static bool in_list(const struct vsock_conn *c, enum vsock_list list)
{
	return c->link[list].next != c - v.pool->conn;
}

static void check_conn(const struct vsock_conn *c)
{
	const bool open =
		c->state == VSOCK_HELLO || c->state == VSOCK_ASKED || c->state == VSOCK_OPEN;

	CHECK(c->state <= VSOCK_DEAD && (c->watch.fd >= 0) == open);
	CHECK(c->held <= VSOCK_BUF && c->held_at < VSOCK_BUF && (c->held > 0) == (c->buf > 0));
	CHECK(!c->held || c->state == VSOCK_OPEN);
	CHECK(c->line_len <= VSOCK_LINE);
	CHECK(!(c->told_shut & ~c->host_shut) && !(c->cut & ~c->guest_shut));
	/* None that has something to say is forgotten, none that waits waits for ever. */
	CHECK(!vsock_says(c) || in_list(c, VSOCK_RUN));
	CHECK(c->state != VSOCK_ASKED || in_list(c, VSOCK_TIMED));
	CHECK(!in_list(c, VSOCK_TIMED) || c->state == VSOCK_ASKED || c->state == VSOCK_OPEN);
	CHECK(c->state != VSOCK_OPEN || in_list(c, VSOCK_TIMED) ||
	      (c->told_shut != VSOCK_SHUTDOWN_BOTH && c->guest_shut != VSOCK_SHUTDOWN_BOTH));
	if (c->state != VSOCK_HELLO)
		CHECK(vsock_conn_find(v.pool, c->local, c->peer) == c);
}

static void check_books(void) UNCHECKED
{
	unsigned conns = 0, fds = v.listener.fd >= 0, bufs = 0;

	for (unsigned i = 1; i <= v.pool->fresh; i++) {
		const struct vsock_conn *c = &v.pool->conn[i];

		if (c->state == VSOCK_FREE) {
			CHECK(!in_list(c, VSOCK_RUN) && !in_list(c, VSOCK_TIMED) && !c->buf);
			continue;
		}
		check_conn(c);
		conns++;
		fds += c->watch.fd >= 0;
		bufs += c->buf > 0;
	}
	CHECK(conns == v.pool->conns && fds == watches.watched);
	CHECK(bufs + v.pool->warms + v.pool->colds == v.pool->fresh_bufs);
	CHECK(v.rsts <= VSOCK_RSTS);
	CHECK(v.dev.deadline != NEVER || !vsock_list_first(v.pool, VSOCK_TIMED) ||
	      !virtio_live(&v.dev));
}

/* --- the guest --- */

static bool print; /* REPRO=1: what goes each way */

static void show(const char *way, const struct vsock_hdr *h)
{
	if (print)
		printf("%s op %u, %#x to %#x, len %u, flags %u, type %u, alloc %u, fwd %u\n", way,
		       h->op, h->src_port, h->dst_port, h->len, h->flags, h->type, h->buf_alloc,
		       h->fwd_cnt);
	fflush(stdout);
}

static struct key *key_of(uint32_t local, uint32_t peer)
{
	for (unsigned i = 0; i < keys; i++)
		if (key[i].local == local && key[i].peer == peer)
			return &key[i];
	if (keys == KEYS)
		return NULL;
	key[keys] = (struct key){.local = local, .peer = peer};
	return &key[keys++];
}

static void hear_packet(const struct vsock_hdr *h, uint32_t used)
{
	struct key *k = key_of(h->src_port, h->dst_port);

	show("   heard", h);
	CHECK(used == VSOCK_HDR_LEN + h->len && h->src_cid == VSOCK_CID_HOST && h->dst_cid == CID);
	CHECK(h->op >= VIRTIO_VSOCK_OP_REQUEST && h->op <= VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	CHECK(h->op == VIRTIO_VSOCK_OP_RW ? h->len > 0 : h->len == 0);
	CHECK(h->op == VIRTIO_VSOCK_OP_RST || h->type == VIRTIO_VSOCK_TYPE_STREAM);
	CHECK(h->op == VIRTIO_VSOCK_OP_SHUTDOWN ? h->flags && h->flags <= 3 : !h->flags);
	if (!k)
		return;
	if (h->op == VIRTIO_VSOCK_OP_REQUEST || h->op == VIRTIO_VSOCK_OP_RESPONSE)
		k->got = 0;
	k->got += h->len;
	CHECK(!h->len || unsure || k->got - k->fwd_cnt <= k->buf_alloc);
}

static void hear(void)
{
	struct driver_done done;
	struct vsock_hdr h;

	while (!wild[VSOCK_TX] && driver_used(&queue[VSOCK_TX], &done))
		CHECK(done.len == 0);
	while (!wild[VSOCK_RX] && driver_used(&queue[VSOCK_RX], &done)) {
		rx_busy[(rx_gpa[done.head] - RX_AT) / RX_STEP] = false;
		if (!done.len)
			continue;
		memcpy(&h, driver_at(&queue[VSOCK_RX], rx_gpa[done.head], sizeof(h)), sizeof(h));
		hear_packet(&h, done.len);
	}
	while (!wild[VSOCK_EVENT] && driver_used(&queue[VSOCK_EVENT], &done))
		CHECK(done.len <= 4);
}

static void turn(void)
{
	unsigned turns = 0;

	while (watches_turn(&watches) || v.dev.again) {
		if (v.dev.again)
			virtio_service(&v.dev);
		hear();
		CHECK(++turns < TURNS_MAX);
	}
	hear();
	check_books();
}

static void start(struct input *in)
{
	uint64_t features = VIRTIO_F_VERSION_1 | BIT(35);
	unsigned how = (unsigned)input_take(in, 1);

	features |= how & 1 ? VIRTIO_F_EVENT_IDX : 0;
	features |= how & 2 ? VIRTIO_F_INDIRECT_DESC : 0;
	CHECK(driver_reset(&v.dev));
	CHECK(v.pool->conns == 0 && watches.watched == 0 && v.rsts == 0);
	memset(ram.host, 0, TX_AT);
	memset(wild, 0, sizeof(wild));
	memset(rx_busy, 0, sizeof(rx_busy));
	keys = 0;
	unsure = false;
	for (unsigned i = 0; i < 3; i++)
		driver_init(&queue[i], &ram, RINGS + i * RING_STEP, QUEUE, features);
	CHECK(driver_bring_up(&host, &v.dev, queue, how & 4 ? 2 : 3, features));
}

static uint32_t pick(struct input *in, const uint32_t *from, unsigned n)
{
	unsigned i = (unsigned)input_take(in, 1);

	return i < 0xf0 ? from[i % n] : (uint32_t)input_take(in, 4);
}

/* Ports that both sides know. */
static uint32_t pick_port(struct input *in)
{
	static const uint32_t port[] = {1u << 30, (1u << 30) + 1, (1u << 30) + 2, 0, 1, 2, 5, 6};

	return pick(in, port, ARRAY_SIZE(port));
}

static uint32_t pick_len(struct input *in)
{
	static const uint32_t len[] = {0, 1, 5, 43, 44, 45, 100, 1000, 4096, 4140, 20000, 65536};

	return pick(in, len, ARRAY_SIZE(len)) % RX_STEP;
}

/* `len` bytes from `gpa` on, in pieces. */
static bool add(struct input *in, struct driver *q, uint64_t gpa, uint32_t len, bool write)
{
	struct driver_buf buf[8];
	unsigned n = 0, how = (unsigned)input_take(in, 1);
	int head;

	while (len && n < 8) {
		uint32_t piece = n < (how & 7) ? MIN(len, 1 + how * 3 / (n + 1)) : len;

		buf[n++] = (struct driver_buf){gpa, piece, write};
		gpa += piece;
		len -= piece;
	}
	if (!n)
		return false;
	gpa = buf[0].gpa;
	head = driver_add(q, buf, n);
	if (head >= 0 && q == &queue[VSOCK_RX])
		rx_gpa[head] = gpa;
	return head >= 0;
}

static void notify(struct driver *q)
{
	driver_publish(q);
	virtio_service(&v.dev);
	turn();
}

static void credit(struct input *in, struct vsock_hdr *h)
{
	static const uint32_t alloc[] = {65536, 0, 1, 100, 0xffffffff, 262144};
	struct key *k = key_of(h->dst_port, h->src_port);
	unsigned how = (unsigned)input_take(in, 1);

	h->buf_alloc = pick(in, alloc, ARRAY_SIZE(alloc));
	h->fwd_cnt = k ? k->got : 0;
	h->fwd_cnt -= how & 1 ? how / 2 : 0; /* not all of it yet, or more than there was */
	h->fwd_cnt += how & 0x80 ? 1000 : 0;
}

/* The credit holds from the packet that carries it on. */
static void heed(const struct vsock_hdr *h)
{
	struct key *k = key_of(h->dst_port, h->src_port);

	if (!k)
		return;
	k->buf_alloc = h->buf_alloc;
	k->fwd_cnt = h->fwd_cnt;
}

static void tx(struct input *in)
{
	struct driver *q = &queue[VSOCK_TX];
	struct vsock_hdr h = {.src_cid = CID, .dst_cid = VSOCK_CID_HOST, .type = 1};
	unsigned op = (unsigned)input_take(in, 1), odd = (unsigned)input_take(in, 1);
	uint32_t len;

	h.op = (uint16_t)(op % 9);
	h.src_port = pick_port(in);
	h.dst_port = pick_port(in);
	h.flags = odd & 3;
	h.len = len = h.op == VIRTIO_VSOCK_OP_RW ? pick_len(in) : 0;
	credit(in, &h);
	h.src_cid += odd == 0xfc;
	h.dst_cid += odd == 0xfd;
	h.type += odd == 0xfe;
	if ((odd & 0xf0) == 0x80)
		h.len = (uint32_t)input_take(in, 4);
	if ((odd & 0xf0) == 0x90)
		len = 0;
	len += VSOCK_HDR_LEN;
	if ((odd & 0xf0) == 0xa0)
		len = odd & 63;
	hear();
	show("said", &h);
	memcpy(driver_at(q, TX_AT, sizeof(h)), &h, sizeof(h));
	if (add(in, q, TX_AT, len, false) && len >= VSOCK_HDR_LEN && h.src_cid == CID &&
	    h.dst_cid == VSOCK_CID_HOST && h.type == VIRTIO_VSOCK_TYPE_STREAM)
		heed(&h);
	notify(q);
	unsure |= q->free != QUEUE;
}

static void give(struct input *in)
{
	struct driver *q = &queue[VSOCK_RX];
	unsigned n = (unsigned)input_take(in, 1) % QUEUE + 1;
	uint32_t len = pick_len(in);

	for (unsigned i = 0; i < QUEUE && n; i++)
		if (!rx_busy[i]) {
			rx_busy[i] = add(in, q, RX_AT + i * RX_STEP, len, true);
			n--;
		}
	notify(q);
}

static void give_events(struct input *in)
{
	add(in, &queue[VSOCK_EVENT], TX_AT, (uint32_t)input_take(in, 1) % 9, true);
	notify(&queue[VSOCK_EVENT]);
	vsock_transport_reset(&v);
}

/* From now on the guest understands nothing of this ring; the device has to cope. */
static void poke(struct input *in)
{
	unsigned which = (unsigned)input_take(in, 1) % 3, n = (unsigned)input_take(in, 1) % 16;
	uint64_t at = RINGS + which * RING_STEP + input_take(in, 2) % 0x400;

	wild[which] = unsure = true;
	while (n--)
		ram.host[at++] = (uint8_t)input_take(in, 1);
	virtio_service(&v.dev);
	turn();
}

/* --- the host --- */

static struct sockaddr_un address(int port)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof(a.sun_path), port < 0 ? "%s" : "%s_%d", path, port);
	return a;
}

static int host_socket(void)
{
	int fd = (int)syscall(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	CHECK(fd >= 0);
	return fd;
}

static void drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void connect_client(int *fd)
{
	struct sockaddr_un a = address(-1);

	drop(fd);
	*fd = host_socket();
	CHECK(connect(*fd, (struct sockaddr *)&a, sizeof(a)) == 0 || errno == EAGAIN);
}

static void toggle_listener(unsigned i)
{
	struct sockaddr_un a = address((int)i);

	if (listener[i] >= 0) {
		drop(&listener[i]);
		return;
	}
	unlink(a.sun_path);
	listener[i] = host_socket();
	CHECK(bind(listener[i], (struct sockaddr *)&a, sizeof(a)) == 0);
	CHECK(listen(listener[i], 2) == 0);
}

static void accept_client(int *fd, unsigned i)
{
	drop(fd);
	if (listener[i] >= 0)
		*fd = (int)syscall(SYS_accept4, listener[i], NULL, NULL, SOCK_NONBLOCK);
}

static void client_says(struct input *in, int fd)
{
	static const char *const text[] = {
		"CONNECT 5\n",    "connect 6\n",           "CONN", "ECT 5", "\n",
		"CONNECT 0\nabc", "CONNECT 99999999999\n", " "};
	unsigned what = (unsigned)input_take(in, 1);

	if (what < 0xc0)
		send(fd, text[what % 8], strlen(text[what % 8]), MSG_NOSIGNAL | MSG_DONTWAIT);
	else
		send(fd, bytes, pick_len(in) % sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void host_step(struct input *in, unsigned op)
{
	static const int how[] = {SHUT_RD, SHUT_WR, SHUT_RDWR};
	static uint8_t sink[sizeof(bytes)];
	unsigned arg = (unsigned)input_take(in, 1);
	int *fd = &client[arg % CLIENTS];

	switch (op) {
	case 0: connect_client(fd); break;
	case 1: accept_client(fd, arg / CLIENTS % LISTENERS); break;
	case 2: toggle_listener(arg % LISTENERS); break;
	case 3:
	case 4: client_says(in, *fd); break;
	case 5: recv(*fd, sink, pick_len(in) % sizeof(sink), MSG_DONTWAIT); break;
	case 6: shutdown(*fd, how[arg / CLIENTS % 3]); break;
	default: drop(fd); break;
	}
	turn();
}

/* --- all of it --- */

static void pass_time(unsigned arg)
{
	later += arg * (NSEC / 20);
	virtio_tick(&v.dev, clock_now() + later);
	turn();
}

static void set_paused(bool paused)
{
	virtio_lock(&v.dev);
	v.dev.paused = paused;
	virtio_unlock(&v.dev);
	virtio_service(&v.dev);
	turn();
}

/* An event that came too late, for whatever is in the slot now. */
static void stale_event(unsigned arg)
{
	struct vsock_conn *c = &v.pool->conn[1 + arg % 8];

	if (c->watch.ready)
		c->watch.ready(&c->watch, arg >> 3);
	turn();
}

static void step(struct input *in)
{
	unsigned op = (unsigned)input_take(in, 1);

	switch (op >> 4) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4: tx(in); break;
	case 5:
	case 6: give(in); break;
	case 7:
	case 8:
	case 9:
	case 10:
	case 11:
	case 12: host_step(in, op & 7); break;
	case 13: mood = op & 7; break;
	case 14: pass_time((unsigned)input_take(in, 1)); break;
	default:
		switch (op & 15) {
		case 0: start(in); break;
		case 1: poke(in); break;
		case 2: give_events(in); break;
		case 3: set_paused(false); break;
		case 4: set_paused(true); break;
		case 5: watches.refuse = 0; break;
		case 6: watches.refuse = ENOSPC; break;
		default: stale_event((unsigned)input_take(in, 1)); break;
		}
	}
}

static unsigned open_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < FDS; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void remove_folder(void)
{
	*strrchr(path, '/') = '\0';
	rmdir(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char dir[] = "/tmp/vsock_fuzz.XXXXXX";

	print = getenv("REPRO") != NULL;
	CHECK(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/v", dir);
	atexit(remove_folder);
	ram = driver_ram(RAM_SIZE, 0);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i ^ i >> 8);
	return 0;
}

static void clean_up(void)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		drop(&client[i]);
	for (unsigned i = 0; i < LISTENERS; i++) {
		struct sockaddr_un a = address((int)i);

		drop(&listener[i]);
		unlink(a.sun_path);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	const struct vsock_conf conf = {.path = path, .cid = CID};
	unsigned fds = open_fds();

	memset(client, 0xff, sizeof(client));
	memset(listener, 0xff, sizeof(listener));
	mood = 0;
	later = 0;
	watches_init(&watches);
	driver_host_init(&host);
	CHECK(vsock_init(&v, &conf, &host.host, &ram, &watches.watcher) == 0);
	start(&in);
	for (unsigned n = 0; in.n && n < STEPS_MAX; n++)
		step(&in);
	mood = 0;
	CHECK(driver_reset(&v.dev));
	CHECK(v.pool->conns == 0 && watches.watched == 0 && v.pool->fresh_bufs == 0);
	vsock_finish(&v);
	CHECK(access(path, F_OK) < 0);
	watches_finish(&watches);
	clean_up();
	CHECK(open_fds() == fds);
	return 0;
}
