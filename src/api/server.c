/*
 * server.c - clients of the API's socket.
 * Watches are edge-triggered and only take down what happened; all work is done in the turn, where
 * a slot that was freed may be taken again, since no event of the old client can come any more.
 * An answer leaves before anything else is read from its client: what a client does not take holds
 * up nobody but itself, and at most one answer of it is kept. An ordinary request takes one recv()
 * and one sendmsg(): a read that was not full and ended with a request is not followed by one that
 * finds nothing. If a client sent its end along with it, taking the answer gives an event that
 * shows it. A client that only stops sending gets its answers; one that is gone, its requests that
 * were not read are not executed.
 * There is no time limit, as in Firecracker: clients keep connections for as long as they live.
 * Descriptors that a client sends are closed by the kernel, since recv() has no place for them.
 *
 * System calls once the process is locked down (seccomp/api.policy):
 *   accept4                        a client
 *   recvfrom                       its requests
 *   sendmsg                        answers; never SIGPIPE, never blocks
 *   epoll_ctl                      in the watcher: a client came or went
 *   close                          its end
 *   brk, mmap, munmap              buffers, bodies
 *   newfstatat, unlink             the socket's file at the end, if it is to be removed
 */
#include "server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../log.h"

#define SEND_FLAGS     (MSG_NOSIGNAL | MSG_DONTWAIT)
#define ACCEPTS        16u /* a turn */
#define READS          16u /* of one client, a turn */
#define ACCEPT_WAIT_NS (NSEC / 10)

struct api_conn {
	bool readable; /* perhaps there are bytes, or the end */
	bool drained;  /* the last read took all there was */
	struct http_out out;
	struct http_reader in;
};

static const char full[] = "HTTP/1.1 503\r\n"
			   "Server: Firecracker API\r\n"
			   "Connection: close\r\n"
			   "Content-Length: 40\r\n"
			   "\r\n"
			   "{ \"error\": \"Too many open connections\" }";

/* --- the socket --- */

static int address(const struct api_server *s, struct sockaddr_un *a)
{
	const size_t len = strlen(s->conf.path);

	if (!len || len >= sizeof(a->sun_path))
		return log_fail(
			len ? ENAMETOOLONG : EINVAL,
			"API socket %s: its path must have 1 to %zu bytes, this one has %zu",
			s->conf.path, sizeof(a->sun_path) - 1, len);
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(a->sun_path, s->conf.path, len);
	return 0;
}

static int bind_fail(const struct api_server *s, int err)
{
	if (err == EADDRINUSE)
		return log_fail(
			err,
			"Failed to open the API socket at: %s. Check that it is not already used. "
			"A file of this name exists already; remove it if no other program serves "
			"it, or give another path with --api-sock",
			s->conf.path);
	return log_fail(err,
			"API socket %s: it cannot be made: %s; its folder must exist and be "
			"writable",
			s->conf.path, strerror(err));
}

/* Makes the file, and refuses any that is there, were it a link to nowhere. */
static int open_listener(struct api_server *s)
{
	struct sockaddr_un a;
	struct stat st;
	int err = address(s, &a), fd;

	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return log_fail(errno, "API socket %s: socket: %s", s->conf.path, strerror(errno));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		err = bind_fail(s, errno);
		close(fd);
		return err;
	}
	s->listener.fd = fd;
	err = listen(fd, SOMAXCONN) < 0 || lstat(s->conf.path, &st) < 0 ? -errno : 0;
	if (!err) {
		s->file[0] = st.st_dev;
		s->file[1] = st.st_ino;
		err = s->conf.watcher->add(s->conf.watcher->ctx, &s->listener);
	}
	if (!err)
		return 0;
	s->listener.fd = -1;
	unlink(s->conf.path);
	close(fd);
	return log_fail(-err, "API socket %s: it cannot be listened on: %s", s->conf.path,
			strerror(-err));
}

static void listener_ready(struct watch *w, uint32_t events)
{
	struct api_server *s = w->owner;

	s->knock = s->again = true;
}

static void slot_ready(struct watch *w, uint32_t events)
{
	struct api_slot *slot = (struct api_slot *)((char *)w - offsetof(struct api_slot, watch));
	struct api_server *s = w->owner;

	slot->events |= events;
	s->again = true;
}

int api_server_open(struct api_server *s, const struct api_server_conf *conf)
{
	*s = (struct api_server){.conf = *conf, .accept_at = NEVER};
	s->listener = (struct watch){.fd = -1, .ready = listener_ready, .owner = s};
	for (unsigned i = 0; i < API_CONNS; i++)
		s->slot[i].watch = (struct watch){.fd = -1, .ready = slot_ready, .owner = s};
	return open_listener(s);
}

/* --- a client --- */

static void hang_up(struct api_server *s, struct api_slot *slot)
{
	const int fd = slot->watch.fd;

	s->conf.watcher->del(s->conf.watcher->ctx, &slot->watch);
	close(fd);
	http_out_drop(&slot->conn->out);
	http_reader_finish(&slot->conn->in);
	free(slot->conn);
	slot->conn = NULL;
	slot->more = false;
	if (s->accept_at == NEVER)
		return;
	s->accept_at = NEVER; /* here is the descriptor that it waits for */
	s->knock = true;
}

static ssize_t send_some(int fd, struct iovec *iov, unsigned n)
{
	const struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};

	return sendmsg(fd, &m, SEND_FLAGS);
}

/* false: not all of it left. The client may be gone. */
static bool flush(struct api_server *s, struct api_slot *slot)
{
	struct http_out *o = &slot->conn->out;
	struct iovec iov[2];
	unsigned n = http_out_rest(o, iov);
	ssize_t sent;

	if (!n)
		return true;
	sent = send_some(slot->watch.fd, iov, n);
	if (sent < 0 && errno != EAGAIN) {
		hang_up(s, slot);
		return false;
	}
	http_out_sent(o, (size_t)MAX(sent, 0));
	return http_out_rest(o, iov) == 0; /* else there will be an event when there is room */
}

/* true: there are bytes. The client may be gone. */
static bool receive(struct api_server *s, struct api_slot *slot)
{
	struct api_conn *c = slot->conn;
	char *at;
	size_t room;
	ssize_t n;

	if (!c->readable)
		return false;
	room = http_reader_room(&c->in, &at);
	n = recv(slot->watch.fd, at, room, MSG_DONTWAIT);
	if (n > 0) {
		c->drained = (size_t)n < room;
		http_reader_fed(&c->in, (size_t)n);
		return true;
	}
	c->readable = false;
	if (n == 0 || errno != EAGAIN)
		hang_up(s, slot);
	return false;
}

/* true: there is, or may be, more behind the request. The client may be gone. */
static bool answer(struct api_server *s, struct api_slot *slot, const struct http_request *q)
{
	struct http_reply reply = {.status = 0};
	struct api_conn *c = slot->conn;
	bool more;

	s->conf.handle(s->conf.ctx, q, &reply);
	http_out_reply(&c->out, &reply);
	more = http_reader_release(&c->in);
	if (!more && c->drained)
		c->readable = false; /* a read that finds nothing is saved */
	more |= c->readable;
	return flush(s, slot) && more;
}

/* One request, or READS pieces of one. true: there may be more. The client may be gone. */
static bool serve(struct api_server *s, struct api_slot *slot)
{
	struct api_conn *c = slot->conn;
	struct http_request q;
	struct http_reply reply;

	for (unsigned reads = 0; reads < READS;) {
		switch (http_reader_next(&c->in, &q, &reply)) {
		case HTTP_MORE:
			if (!receive(s, slot))
				return false;
			reads++;
			break;
		case HTTP_CONTINUE:
			http_out_continue(&c->out, c->in.head.minor);
			if (!flush(s, slot))
				return false;
			break;
		case HTTP_READY: return answer(s, slot, &q);
		case HTTP_BAD: http_out_reply(&c->out, &reply); return flush(s, slot);
		}
	}
	return true;
}

static void slot_turn(struct api_server *s, struct api_slot *slot)
{
	const uint32_t events = slot->events;

	slot->events = 0;
	slot->more = false;
	if (events & (WATCH_ERR | WATCH_HUP)) {
		hang_up(s, slot);
		return;
	}
	if (events & WATCH_IN)
		slot->conn->readable = true;
	slot->more = flush(s, slot) && serve(s, slot);
}

/* --- those who come --- */

static struct api_slot *free_slot(struct api_server *s)
{
	for (unsigned i = 0; i < API_CONNS; i++)
		if (!s->slot[i].conn)
			return &s->slot[i];
	return NULL;
}

static void refuse(int fd)
{
	struct iovec iov = {(char *)full, sizeof(full) - 1};

	send_some(fd, &iov, 1);
	close(fd);
}

static void admit(struct api_server *s, int fd)
{
	struct api_slot *slot = free_slot(s);
	struct api_conn *c = slot ? malloc(sizeof(*c)) : NULL;

	if (!c) {
		refuse(fd);
		return;
	}
	slot->watch.fd = fd;
	slot->events = 0;
	if (s->conf.watcher->add(s->conf.watcher->ctx, &slot->watch)) {
		slot->watch.fd = -1;
		free(c);
		refuse(fd);
		return;
	}
	c->readable = c->drained = false; /* the first event comes by itself */
	c->out = (struct http_out){.body = NULL};
	http_reader_init(&c->in, s->conf.body_max);
	slot->conn = c;
}

/* No descriptor or no memory for a client: it stays where it is. */
static void starve(struct api_server *s, uint64_t now, int err)
{
	if (!s->starved)
		log_err("API socket %s: a client has to wait: %s", s->conf.path, strerror(err));
	s->starved = true;
	s->accept_at = now + ACCEPT_WAIT_NS;
}

static void accept_some(struct api_server *s, uint64_t now)
{
	for (unsigned i = 0; s->knock && i < ACCEPTS; i++) {
		int fd = accept4(s->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			s->starved = false;
			admit(s, fd);
			continue;
		}
		s->knock = false;
		if (errno != EAGAIN)
			starve(s, now, errno);
	}
}

/* --- the turn --- */

bool api_server_turn(struct api_server *s, uint64_t now)
{
	bool more = false;

	if (s->accept_at <= now) {
		s->accept_at = NEVER;
		s->knock = s->again = true;
	}
	if (!s->again)
		return false;
	s->again = false;
	for (unsigned i = 0; i < API_CONNS; i++) {
		struct api_slot *slot = &s->slot[i];

		if (slot->conn && (slot->events || slot->more))
			slot_turn(s, slot);
		more |= slot->more;
	}
	accept_some(s, now);
	s->again = more || s->knock;
	return s->again;
}

uint64_t api_server_deadline(const struct api_server *s)
{
	return s->accept_at;
}

void api_server_close(struct api_server *s)
{
	struct stat st;
	int fd = s->listener.fd;

	for (unsigned i = 0; i < API_CONNS; i++)
		if (s->slot[i].conn)
			hang_up(s, &s->slot[i]);
	s->conf.watcher->del(s->conf.watcher->ctx, &s->listener);
	close(fd);
	if (s->conf.remove && lstat(s->conf.path, &st) == 0 && st.st_dev == s->file[0] &&
	    st.st_ino == s->file[1])
		unlink(s->conf.path);
}
