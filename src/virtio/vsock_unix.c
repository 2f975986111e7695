/*
 * vsock_unix.c - the host's end of a vsock.
 * All sockets are non-blocking and watched edge-triggered from the first on: what the last event
 * said is remembered until a call says otherwise. Bytes go straight between sockets and guest
 * memory; what a socket does not take of a packet is held, and the guest's credit counts it. Calls
 * that never wait are never interrupted, so there is no EINTR.
 * Device lock held by the caller of everything but watches, which take it.
 */
#include "vsock_unix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../clock.h"
#include "../log.h"

#define SEND_FLAGS     (MSG_NOSIGNAL | MSG_DONTWAIT)
#define VSOCK_WAIT_NS  (2 * NSEC) /* for an answer to our request or shutdown */
#define ACCEPTS        64u        /* a turn */
#define ACCEPT_WAIT_NS (NSEC / 10)

/* --- the listener --- */

static void listener_ready(struct watch *w, uint32_t events)
{
	struct vsock *v = w->owner;

	virtio_lock(&v->dev);
	v->knock = v->dev.again = true;
	virtio_unlock(&v->dev);
}

static int bind_fail(const char *path, int err)
{
	if (err == EADDRINUSE)
		return log_fail(err,
				"vsock %s: a file of this name exists already; remove it if no "
				"other program serves it, or give another path",
				path);
	return log_fail(err,
			"vsock %s: the socket cannot be made: %s; its folder must exist and be "
			"writable",
			path, strerror(err));
}

int vsock_check_path(const char *path)
{
	size_t len = strlen(path);

	if (len > 0 && len <= VSOCK_PATH_MAX)
		return 0;
	return log_fail(len ? ENAMETOOLONG : EINVAL,
			"vsock %s: a socket's path has 1 to %u bytes, this one %zu; give another",
			path, VSOCK_PATH_MAX, len);
}

int vsock_bind(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd, err = vsock_check_path(path);

	if (err)
		return err;
	memcpy(a.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return log_fail(errno, "vsock %s: socket: %s", path, strerror(errno));
	/* Makes the file, and refuses any that is there, were it a link to nowhere. */
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		err = bind_fail(path, errno);
		close(fd);
		return err;
	}
	if (listen(fd, SOMAXCONN) < 0) {
		err = log_fail(errno, "vsock %s: it cannot be listened on: %s", path,
			       strerror(errno));
		unlink(path);
		close(fd);
		return err;
	}
	return fd;
}

int vsock_listen(struct vsock *v, int fd)
{
	struct stat st;

	v->keep = fd > 0;
	v->fd = v->keep ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : vsock_bind(v->path);
	if (v->fd < 0)
		return v->keep ? log_fail(errno, "vsock %s: dup: %s", v->path, strerror(errno))
			       : v->fd;
	if (lstat(v->path, &st) == 0) {
		v->file_dev = st.st_dev;
		v->file_ino = st.st_ino;
	}
	return 0;
}

void vsock_unlisten(struct vsock *v)
{
	struct stat st;

	close(v->fd);
	if (!v->keep && lstat(v->path, &st) == 0 && st.st_dev == v->file_dev &&
	    st.st_ino == v->file_ino)
		unlink(v->path);
}

void vsock_open(struct vsock *v)
{
	int err;

	v->listener = (struct watch){.fd = v->fd, .ready = listener_ready, .owner = v};
	err = v->watcher->add(v->watcher->ctx, &v->listener);
	if (!err)
		return;
	v->listener.fd = -1;
	log_guest(
		"vsock %s: the loop cannot watch it: %s; clients wait until the driver starts anew",
		v->path, strerror(-err));
}

/* --- the end of a connection --- */

static void hang_up(struct vsock *v, struct vsock_conn *c) REQUIRES(v->dev.lock)
{
	int fd = c->watch.fd;

	if (fd < 0)
		return;
	v->watcher->del(v->watcher->ctx, &c->watch);
	close(fd);
	if (v->accept_at == NEVER)
		return;
	v->accept_at = NEVER; /* here is the descriptor that it waits for */
	v->knock = v->dev.again = true;
}

void vsock_drop(struct vsock *v, struct vsock_conn *c)
{
	hang_up(v, c);
	vsock_conn_free(v->pool, c);
}

void vsock_kill(struct vsock *v, struct vsock_conn *c)
{
	bool asked = c->state == VSOCK_ASKED && !(c->wants & BIT(VIRTIO_VSOCK_OP_REQUEST));

	if (c->state != VSOCK_OPEN && !asked) {
		vsock_drop(v, c);
		return;
	}
	hang_up(v, c);
	v->killed++;
	vsock_unhold(v->pool, c, c->held);
	vsock_list_del(v->pool, VSOCK_TIMED, c);
	c->state = VSOCK_DEAD;
	vsock_poke(v, c);
}

void vsock_close(struct vsock *v)
{
	if (v->listener.fd >= 0)
		v->watcher->del(v->watcher->ctx, &v->listener);
	for (unsigned i = 1; i <= v->pool->fresh; i++)
		if (v->pool->conn[i].state != VSOCK_FREE)
			vsock_drop(v, &v->pool->conn[i]);
	vsock_pool_reset(v->pool);
	v->knock = false;
	v->accept_at = NEVER;
}

/* All waits are as long, so the list is in the order of its deadlines. */
static void set_deadline(struct vsock *v, struct vsock_conn *c) REQUIRES(v->dev.lock)
{
	struct vsock_pool *p = v->pool;

	if (c->link[VSOCK_TIMED].next != c - p->conn)
		return;
	c->deadline = clock_now() + VSOCK_WAIT_NS;
	vsock_list_add(p, VSOCK_TIMED, c);
	virtio_wake_at(&v->dev, c->deadline);
}

void vsock_expire(struct vsock *v, uint64_t now)
{
	struct vsock_conn *c;

	while ((c = vsock_list_first(v->pool, VSOCK_TIMED)) && c->deadline <= now)
		vsock_kill(v, c);
	if (v->accept_at <= now) {
		v->accept_at = NEVER;
		v->knock = true;
	}
	virtio_wake_at(&v->dev, MIN(c ? c->deadline : NEVER, v->accept_at));
}

void vsock_poke(struct vsock *v, struct vsock_conn *c)
{
	if (vsock_says(c))
		vsock_list_add(v->pool, VSOCK_RUN, c);
}

void vsock_settle(struct vsock *v, struct vsock_conn *c)
{
	bool no_more_to_host = (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_F_SEND) && !c->held;
	bool no_more_to_guest = (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_F_RECEIVE) ||
				(c->told_shut & VIRTIO_VSOCK_SHUTDOWN_F_SEND);
	unsigned cut = c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_F_RECEIVE;

	if (c->state != VSOCK_OPEN)
		return;
	/* Neither end receives: what the host might send is of no use, and its end is not seen. */
	if (cut & c->host_shut)
		c->host_shut = VSOCK_SHUTDOWN_BOTH;
	if (no_more_to_host && no_more_to_guest) {
		vsock_kill(v, c);
		return;
	}
	if (no_more_to_host)
		cut |= VIRTIO_VSOCK_SHUTDOWN_F_SEND;
	if (cut & ~c->cut & VIRTIO_VSOCK_SHUTDOWN_F_SEND)
		shutdown(c->watch.fd, SHUT_WR);
	if (cut & ~c->cut & VIRTIO_VSOCK_SHUTDOWN_F_RECEIVE)
		shutdown(c->watch.fd, SHUT_RD);
	c->cut = (uint8_t)cut;
	if (c->guest_shut == VSOCK_SHUTDOWN_BOTH || c->told_shut == VSOCK_SHUTDOWN_BOTH)
		set_deadline(v, c);
}

/* --- bytes --- */

/* The host takes no more: what the guest sent, and sends, counts as taken. */
static void deaf(struct vsock *v, struct vsock_conn *c) REQUIRES(v->dev.lock)
{
	c->host_shut |= VIRTIO_VSOCK_SHUTDOWN_F_RECEIVE;
	vsock_unhold(v->pool, c, c->held);
}

/* Sending nothing tells, too, whether the other end takes anything. */
static void probe(struct vsock *v, struct vsock_conn *c) REQUIRES(v->dev.lock)
{
	if (send(c->watch.fd, "", 0, SEND_FLAGS) < 0 && errno != EAGAIN)
		deaf(v, c);
}

/* Bytes that the host's socket took; none if it is full or nobody is there. May end `c`. */
static uint32_t send_some(struct vsock *v, struct vsock_conn *c, struct iovec *iov, unsigned n)
	REQUIRES(v->dev.lock)
{
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};
	ssize_t took = sendmsg(c->watch.fd, &m, SEND_FLAGS);

	if (took >= 0)
		return (uint32_t)took;
	if (errno == EPIPE || errno == ECONNRESET)
		deaf(v, c);
	else if (errno != EAGAIN) /* such as ENOBUFS: the stream would have a hole */
		vsock_kill(v, c);
	return 0;
}

void vsock_send(struct vsock *v, struct vsock_conn *c, const struct chain *chain, uint32_t len)
{
	struct iovec iov[QUEUE_SIZE_MAX];
	uint32_t done = 0;
	unsigned n;

	if (len > MIN(vsock_room(c), VSOCK_PAYLOAD_MAX)) {
		vsock_kill(v, c);
		return;
	}
	if (!c->held && !(c->host_shut & VIRTIO_VSOCK_SHUTDOWN_F_RECEIVE)) {
		n = chain_slice(chain, false, VSOCK_HDR_LEN, len, iov, ARRAY_SIZE(iov));
		done = send_some(v, c, iov, n);
		if (c->state != VSOCK_OPEN)
			return;
	}
	if (c->host_shut & VIRTIO_VSOCK_SHUTDOWN_F_RECEIVE)
		done = len;
	c->fwd_cnt += done;
	if (done < len)
		vsock_hold(v->pool, c, chain, VSOCK_HDR_LEN + done, len - done);
	if (vsock_owes_credit(c))
		c->wants |= BIT(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
}

/* What is held, as far as the socket takes it: less than all only when it is full again. */
static void drain(struct vsock *v, struct vsock_conn *c) REQUIRES(v->dev.lock)
{
	struct iovec iov[2];
	unsigned n;

	if (!c->held)
		return;
	n = vsock_held(v->pool, c, iov);
	vsock_unhold(v->pool, c, send_some(v, c, iov, n));
	if (vsock_owes_credit(c))
		c->wants |= BIT(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
}

size_t vsock_recv(struct vsock *v, struct vsock_conn *c, const struct iovec *iov, unsigned n,
		  size_t size)
{
	ssize_t got = readv(c->watch.fd, iov, (int)n);

	if (got > 0) {
		/* Not the last of it, even if that was less: an end gives no event of its own. */
		c->bulk = (size_t)got == size;
		c->sent += (uint32_t)got;
		return (size_t)got;
	}
	c->readable = c->bulk = false;
	if (got == 0) {
		c->host_shut |= VIRTIO_VSOCK_SHUTDOWN_F_SEND;
		probe(v, c); /* a half-close, or the end? */
	} else if (errno != EAGAIN) {
		vsock_kill(v, c);
	}
	return 0;
}

void vsock_answered(struct vsock *v, struct vsock_conn *c)
{
	char ok[32];
	int len = snprintf(ok, sizeof(ok), "OK %u\n", c->local);
	ssize_t n = send(c->watch.fd, ok, (size_t)len, SEND_FLAGS);

	c->state = VSOCK_OPEN;
	vsock_list_del(v->pool, VSOCK_TIMED, c);
	if (n < 0 && errno != EAGAIN)
		deaf(v, c); /* what it sent with its command may still matter */
	else if (n != len)
		vsock_kill(v, c);
}

/* --- clients of the host --- */

static const char *skip_blanks(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || (*at >= '\t' && *at <= '\r')))
		at++;
	return at;
}

/*
 * "CONNECT <port>": as Firecracker reads it, in either case, with any blanks, and words behind it
 * that mean nothing.
 */
static bool hello_parse(const char *at, const char *end, uint32_t *port)
{
	static const char word[] = "connect";
	uint64_t val = 0;
	const char *from;

	at = skip_blanks(at, end);
	if (end - at < (ptrdiff_t)strlen(word) || strncasecmp(at, word, strlen(word)) != 0)
		return false;
	from = at + strlen(word);
	at = skip_blanks(from, end);
	if (at == from)
		return false;
	for (from = at; at < end && *at >= '0' && *at <= '9' && val <= UINT32_MAX; at++)
		val = val * 10 + (unsigned)(*at - '0');
	*port = (uint32_t)val;
	return at > from && val <= UINT32_MAX && skip_blanks(at, end) > at;
}

/*
 * Reads the command, and no byte behind its newline: that is the guest's. 1: it is there; 0: not
 * yet; -1: it will not come.
 */
static int hello_read(struct vsock_conn *c)
{
	int fd = c->watch.fd;

	while (c->line_len < VSOCK_LINE) {
		char *at = c->line + c->line_len, *newline;
		ssize_t n = recv(fd, at, VSOCK_LINE - c->line_len, MSG_PEEK | MSG_DONTWAIT);

		if (n <= 0)
			return n < 0 && errno == EAGAIN ? 0 : -1;
		newline = memchr(at, '\n', (size_t)n);
		n = recv(fd, at, newline ? (size_t)(newline - at + 1) : (size_t)n, MSG_DONTWAIT);
		if (n <= 0)
			return -1;
		c->line_len += (uint8_t)n;
		if (newline)
			return 1;
	}
	return -1;
}

static void hello(struct vsock *v, struct vsock_conn *c) REQUIRES(v->dev.lock)
{
	int got = hello_read(c);
	uint32_t port;

	if (got == 0)
		return;
	if (got < 0 || !hello_parse(c->line, c->line + c->line_len, &port)) {
		vsock_drop(v, c);
		return;
	}
	vsock_conn_bind(v->pool, c, vsock_port(v->pool, port), port);
	c->state = VSOCK_ASKED;
	c->wants = BIT(VIRTIO_VSOCK_OP_REQUEST);
	set_deadline(v, c);
}

static void conn_event(struct vsock *v, struct vsock_conn *c, uint32_t events) REQUIRES(v->dev.lock)
{
	const unsigned over = c->host_shut & VIRTIO_VSOCK_SHUTDOWN_F_SEND;

	/* Also behind a command: more bytes, or the end, come without another event. */
	if (events & (WATCH_IN | WATCH_ERR | WATCH_HUP))
		c->readable = !over;
	if (c->state == VSOCK_HELLO)
		hello(v, c);
	if (c->state == VSOCK_OPEN) {
		if (events & WATCH_OUT)
			drain(v, c);
		/* Nobody reads any more who would find the end. */
		if ((events & WATCH_HUP) &&
		    (over || (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_F_RECEIVE)))
			probe(v, c);
		vsock_settle(v, c);
	}
	vsock_poke(v, c);
	if (vsock_says(c))
		v->dev.again = true;
}

static void conn_ready(struct watch *w, uint32_t events)
{
	struct vsock_conn *c =
		(struct vsock_conn *)((char *)w - offsetof(struct vsock_conn, watch));
	struct vsock *v = w->owner;

	virtio_lock(&v->dev);
	if (w->fd >= 0)
		conn_event(v, c, events);
	virtio_unlock(&v->dev);
}

/* From now on `c` has the socket, whose first event comes by itself. */
static bool conn_watch(struct vsock *v, struct vsock_conn *c, int fd) REQUIRES(v->dev.lock)
{
	c->watch = (struct watch){.fd = fd, .ready = conn_ready, .owner = v};
	if (v->watcher->add(v->watcher->ctx, &c->watch) == 0)
		return true;
	c->watch.fd = -1;
	close(fd);
	return false;
}

static void accept_one(struct vsock *v) REQUIRES(v->dev.lock)
{
	int fd = accept4(v->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct vsock_conn *c;

	if (fd < 0) {
		v->knock = false;
		if (errno == EAGAIN)
			return;
		/* No descriptor, or no memory for one. */
		v->starved++;
		v->accept_at = clock_now() + ACCEPT_WAIT_NS;
		virtio_wake_at(&v->dev, v->accept_at);
		return;
	}
	v->accepted++;
	c = vsock_conn_new(v->pool, VSOCK_HELLO);
	if (!c) {
		v->refused++;
		close(fd);
	} else if (!conn_watch(v, c, fd)) {
		vsock_conn_free(v->pool, c);
	}
}

void vsock_accept(struct vsock *v)
{
	for (unsigned i = 0; v->knock && i < ACCEPTS; i++)
		accept_one(v);
	if (v->knock)
		v->dev.again = true;
}

bool vsock_dial(struct vsock *v, struct vsock_conn *c)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd, len = snprintf(a.sun_path, sizeof(a.sun_path), "%s_%u", v->path, c->local);

	if (len >= (int)sizeof(a.sun_path))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd); /* nobody listens, or EAGAIN: its backlog is full */
		return false;
	}
	return conn_watch(v, c, fd);
}
