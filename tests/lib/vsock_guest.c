/* vsock_guest.c - see vsock_guest.h. What goes wrong here ends the test: there is no going on. */
#include "vsock_guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../src/clock.h"

#define RAM_SIZE  (40 * MIB)
#define RINGS     0x10000ull
#define RING_STEP (2 * MIB)
#define TX_SLOTS  (2 * GUEST_QUEUE)
#define TURNS_MAX 10000u

static void need(bool holds)
{
	if (!holds)
		abort();
}

void guest_make(struct guest *g)
{
	struct vsock_conf c = {.cid = GUEST_CID};

	memset(g, 0, sizeof(*g));
	g->ram = driver_ram(RAM_SIZE, 0);
	watches_init(&g->watches);
	driver_host_init(&g->host);
	snprintf(g->dir, sizeof(g->dir), "/tmp/vsock_test.XXXXXX");
	need(mkdtemp(g->dir));
	snprintf(g->path, sizeof(g->path), "%s/v", g->dir);
	c.path = g->path;
	need(vsock_init(&g->v, &c, &g->host.host, &g->ram, &g->watches.watcher) == 0);
}

void guest_start(struct guest *g, uint64_t features)
{
	for (unsigned i = 0; i < ARRAY_SIZE(g->q); i++)
		driver_init(&g->q[i], &g->ram, RINGS + i * RING_STEP, GUEST_QUEUE, features);
	g->tx_hdr = driver_alloc(&g->q[VSOCK_TX], TX_SLOTS * 64ull);
	g->tx_data = driver_alloc(&g->q[VSOCK_TX], VSOCK_PAYLOAD_MAX);
	/* RX buffers may be as large as all the rest of RAM. */
	g->q[VSOCK_RX].heap = RINGS + 4 * RING_STEP;
	need(driver_bring_up(&g->host, &g->v.dev, g->q, ARRAY_SIZE(g->q), features));
}

void guest_init(struct guest *g, uint64_t features)
{
	guest_make(g);
	guest_start(g, features);
}

void guest_finish(struct guest *g)
{
	char cmd[64];

	vsock_finish(&g->v);
	need(g->watches.watched == 0);
	watches_finish(&g->watches);
	driver_ram_free(&g->ram);
	snprintf(cmd, sizeof(cmd), "rm -r %s", g->dir);
	need(system(cmd) == 0);
}

unsigned guest_turn(struct guest *g)
{
	unsigned turns = 0;

	while (watches_turn(&g->watches) || g->v.dev.again) {
		if (g->v.dev.again)
			virtio_service(&g->v.dev);
		need(++turns < TURNS_MAX); /* it never comes to rest */
	}
	return turns;
}

void guest_later(struct guest *g, uint64_t ns)
{
	virtio_tick(&g->v.dev, clock_now() + ns);
	guest_turn(g);
}

static void rx_add(struct guest *g, uint64_t gpa, uint32_t payload)
{
	struct driver_buf buf = {.gpa = gpa, .len = VSOCK_HDR_LEN + payload, .write = true};
	int head = driver_add(&g->q[VSOCK_RX], &buf, 1);

	need(head >= 0);
	g->rx_gpa[head] = gpa;
	g->rx_size[head] = payload;
}

void guest_give(struct guest *g, unsigned n, uint32_t payload)
{
	for (; n; n--)
		rx_add(g, driver_alloc(&g->q[VSOCK_RX], VSOCK_HDR_LEN + payload), payload);
	driver_kick(&g->q[VSOCK_RX], &g->v.dev);
}

static void tx_take_back(struct guest *g)
{
	struct driver_done done;

	while (driver_used(&g->q[VSOCK_TX], &done))
		need(done.len == 0); /* nothing in it was for the device to write */
}

/* Data is copied to one place: it is gone when the loop has turned, unless the queue is held. */
void guest_put(struct guest *g, const struct vsock_hdr *h, const void *data)
{
	uint64_t at = g->tx_hdr + 64ull * (g->tx_n++ % TX_SLOTS);
	struct driver_buf buf[] = {
		{at,         VSOCK_HDR_LEN, false},
                {g->tx_data, h->len,        false}
        };

	tx_take_back(g);
	memcpy(driver_at(&g->q[VSOCK_TX], at, VSOCK_HDR_LEN), h, VSOCK_HDR_LEN);
	if (data)
		memcpy(driver_at(&g->q[VSOCK_TX], g->tx_data, h->len), data, h->len);
	need(driver_add(&g->q[VSOCK_TX], buf, data && h->len ? 2 : 1) >= 0);
	driver_kick(&g->q[VSOCK_TX], &g->v.dev);
	tx_take_back(g);
}

static struct vsock_hdr header(unsigned op, uint32_t from, uint32_t to)
{
	return (struct vsock_hdr){
		.src_cid = GUEST_CID,
		.dst_cid = VSOCK_CID_HOST,
		.src_port = from,
		.dst_port = to,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = (uint16_t)op,
		.buf_alloc = GUEST_BUF,
	};
}

void guest_say(struct guest *g, unsigned op, uint32_t from, uint32_t to, uint32_t flags)
{
	struct vsock_hdr h = header(op, from, to);

	h.flags = flags;
	guest_put(g, &h, NULL);
	guest_turn(g);
}

void guest_send(struct guest *g, uint32_t from, uint32_t to, const void *data, uint32_t len)
{
	struct vsock_hdr h = header(VIRTIO_VSOCK_OP_RW, from, to);

	h.len = len;
	guest_put(g, &h, data);
	guest_turn(g);
}

void guest_reply(struct guest *g, const struct packet *p, unsigned op)
{
	guest_say(g, op, p->h.dst_port, p->h.src_port, 0);
}

bool guest_hear(struct guest *g, struct packet *p)
{
	struct driver_done done;
	uint64_t gpa;

	guest_turn(g);
	if (!driver_used(&g->q[VSOCK_RX], &done))
		return false;
	gpa = g->rx_gpa[done.head];
	p->used = done.len;
	memcpy(&p->h, driver_at(&g->q[VSOCK_RX], gpa, VSOCK_HDR_LEN), VSOCK_HDR_LEN);
	need(done.len == 0 || done.len == VSOCK_HDR_LEN + p->h.len);
	need(p->h.len <= g->rx_size[done.head]);
	memcpy(p->data, driver_at(&g->q[VSOCK_RX], gpa + VSOCK_HDR_LEN, p->h.len), p->h.len);
	if (g->stingy)
		return true;
	rx_add(g, gpa, g->rx_size[done.head]);
	driver_kick(&g->q[VSOCK_RX], &g->v.dev);
	return true;
}

/* --- the host --- */

static int unix_socket(const char *path, struct sockaddr_un *a)
{
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	need(strlen(path) < sizeof(a->sun_path));
	memcpy(a->sun_path, path, strlen(path) + 1);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

int host_connect(struct guest *g)
{
	struct sockaddr_un a;
	int fd = unix_socket(g->path, &a);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

int host_listen(struct guest *g, uint32_t port)
{
	struct sockaddr_un a;
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s_%u", g->path, port);
	unlink(path); /* of an earlier one */
	fd = unix_socket(path, &a);
	need(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
	     listen(fd, SOMAXCONN) == 0);
	return fd;
}

void host_say(int fd, const char *text)
{
	need(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

bool host_hears(int fd, const char *text)
{
	char buf[256];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0)
		return !*text && errno == EAGAIN;
	return n > 0 && (size_t)n == strlen(text) && !memcmp(buf, text, (size_t)n);
}

bool host_ended(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}
