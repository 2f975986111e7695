/*
 * vsock_unix_test.c - behaviours of a vsock's host end: the socket's file, commands of clients,
 * limits, descriptors that run out, listeners that die.
 */
#include "../../../src/virtio/vsock_unix.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../lib/vsock_guest.h"
#include "../said.h"

#define OURS   1073741824u
#define PORT   52u
#define GPORT  9000u
#define SECOND NSEC

static struct guest g;
static struct packet p;

static int setup(void **state)
{
	said_lines = 0;
	guest_init(&g, GUEST_FEATURES);
	guest_give(&g, 64, 4096);
	return 0;
}

static int teardown(void **state)
{
	guest_finish(&g);
	return 0;
}

static void hears(unsigned op)
{
	assert_true(guest_hear(&g, &p));
	assert_int_equal(p.h.op, op);
}

/* A second device at `path`, which is not to be. */
static void refuses(const char *path, int err, const char *part)
{
	static struct vsock v;
	const struct vsock_conf c = {.path = path, .cid = 3};
	unsigned fds = 0, now = 0;

	for (int fd = 0; fd < 64; fd++)
		fds += fcntl(fd, F_GETFD) >= 0;
	assert_fails(vsock_init(&v, &c, &g.host.host, &g.ram, &g.watches.watcher), err, part);
	for (int fd = 0; fd < 64; fd++)
		now += fcntl(fd, F_GETFD) >= 0;
	assert_int_equal(now, fds);
}

static const char *in_dir(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", g.dir, name);
	return path;
}

/* --- the file --- */

static void path_that_is_taken_is_refused(void **state)
{
	struct stat st;
	int fd;

	refuses(g.path, EADDRINUSE, g.path);
	assert_non_null(strstr(said, "remove it"));
	assert_int_equal(mkdir(in_dir("folder"), 0700), 0);
	refuses(in_dir("folder"), EADDRINUSE, "exists already");
	fd = open(in_dir("file"), O_CREAT | O_WRONLY, 0600);
	close(fd);
	refuses(in_dir("file"), EADDRINUSE, "exists already");
	assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
	refuses(in_dir("fifo"), EADDRINUSE, "exists already");
	assert_int_equal(symlink("nowhere", in_dir("link")), 0);
	refuses(in_dir("link"), EADDRINUSE, "exists already");
	assert_int_equal(lstat(in_dir("nowhere"), &st), -1);
	assert_int_equal(lstat(in_dir("file"), &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void path_that_nobody_serves_any_more_is_refused(void **state)
{
	int fd = host_listen(&g, 1);

	close(fd);
	refuses(in_dir("v_1"), EADDRINUSE, "remove it");
}

static void path_of_more_than_107_bytes_is_refused(void **state)
{
	char path[200];
	static struct vsock v;
	struct vsock_conf c = {.path = path};
	size_t n = strlen(g.dir);

	memset(path, 'x', sizeof(path));
	memcpy(path, g.dir, n);
	path[n] = '/';
	path[108] = '\0';
	refuses(path, ENAMETOOLONG, "1 to 107 bytes, this one 108");
	refuses("", EINVAL, "1 to 107 bytes");
	path[107] = '\0';
	assert_int_equal(vsock_init(&v, &c, &g.host.host, &g.ram, &g.watches.watcher), 0);
	vsock_finish(&v);
	assert_int_equal(access(path, F_OK), -1);
}

static void folder_that_is_missing_is_named(void **state)
{
	refuses(in_dir("no/v"), ENOENT,
		"no/v: the socket cannot be made: No such file or directory");
	refuses("/proc/v", ENOENT, "/proc/v");
}

static void descriptors_that_are_missing_are_named(void **state)
{
	static struct vsock v;
	const struct vsock_conf c = {.path = in_dir("w")};
	struct rlimit old, none;

	getrlimit(RLIMIT_NOFILE, &old);
	none = (struct rlimit){3, old.rlim_max};
	setrlimit(RLIMIT_NOFILE, &none);
	assert_fails(vsock_init(&v, &c, &g.host.host, &g.ram, &g.watches.watcher), EMFILE,
		     "socket:");
	setrlimit(RLIMIT_NOFILE, &old);
}

static void file_has_the_mode_that_umask_leaves(void **state)
{
	static struct vsock v;
	const struct vsock_conf c = {.path = in_dir("m")};
	mode_t old = umask(027);
	struct stat st;

	assert_int_equal(vsock_init(&v, &c, &g.host.host, &g.ram, &g.watches.watcher), 0);
	umask(old);
	assert_int_equal(lstat(c.path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0750);
	vsock_finish(&v);
	assert_int_equal(lstat(c.path, &st), -1);
}

static void file_that_took_the_place_of_ours_stays(void **state)
{
	static struct vsock v;
	char path[256];
	const struct vsock_conf c = {.path = path};
	struct stat st;

	snprintf(path, sizeof(path), "%s", in_dir("o"));
	assert_int_equal(vsock_init(&v, &c, &g.host.host, &g.ram, &g.watches.watcher), 0);
	assert_int_equal(rename(path, in_dir("elsewhere")), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	vsock_finish(&v);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(vsock_init(&v, &c, &g.host.host, &g.ram, &g.watches.watcher), -EADDRINUSE);
	unlink(path);
	assert_int_equal(vsock_init(&v, &c, &g.host.host, &g.ram, &g.watches.watcher), 0);
	unlink(path);
	vsock_finish(&v); /* it is gone already */
}

/* --- commands --- */

static void commands_that_are_taken(void **state)
{
	static const struct {
		const char *text;
		uint32_t port;
	} t[] = {
		{"CONNECT 0\n",                       0          },
		{"connect 52\n",                      52         },
		{"CoNnEcT 4294967295\n",              4294967295u},
		{" \tCONNECT\t\v 0052  \r\n",         52         },
		{"CONNECT 52\r\n",                    52         },
		{"CONNECT 52 and so on\n",            52         },
		{"CONNECT                    1024\n", 1024       }, /* 32 bytes */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		int fd = host_connect(&g);

		host_say(fd, t[i].text);
		hears(VIRTIO_VSOCK_OP_REQUEST);
		assert_int_equal(p.h.dst_port, t[i].port);
		assert_int_equal(p.h.src_port, OURS + i);
		guest_reply(&g, &p, VIRTIO_VSOCK_OP_RST);
		assert_true(host_ended(fd));
		close(fd);
	}
}

static void commands_that_are_refused(void **state)
{
	static const char *const t[] = {
		"\n",
		"CONNECT\n",
		"CONNECT \n",
		"CONNECT52\n",
		"CONNECT -1\n",
		"CONNECT x\n",
		"CONNECT 52x\n",
		"CONNECT 4294967296\n",
		"CONNECT 18446744073709551668\n", /* 52 mod 2^64 */
		"CONNECT 0x34\n",
		"CONNEC 52\n",
		"XCONNECT 52\n",
		"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"CONNECT                     1024\n", /* 33 bytes */
		"CONNECT 52                      ",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		int fd = host_connect(&g);
		char c;

		host_say(fd, t[i]);
		guest_turn(&g);
		errno = 0;
		/* The end, or a reset if we left bytes unread; never a byte. */
		assert_true(recv(fd, &c, 1, MSG_DONTWAIT) <= 0 && errno != EAGAIN);
		assert_int_equal(g.v.pool->conns, 0);
		close(fd);
	}
	assert_false(guest_hear(&g, &p));
}

static void command_with_a_nul_in_its_port_is_refused(void **state)
{
	int fd = host_connect(&g);

	assert_int_equal(send(fd, "CONNECT 5\0002\n", 12, 0), 12);
	assert_false(guest_hear(&g, &p));
	assert_true(host_ended(fd));
	close(fd);
}

static void command_may_come_byte_by_byte(void **state)
{
	static const char text[] = "CONNECT 52\n";
	int fd = host_connect(&g);

	for (const char *c = text; *c; c++) {
		assert_false(guest_hear(&g, &p));
		assert_int_equal(send(fd, c, 1, 0), 1);
	}
	hears(VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(p.h.dst_port, 52);
	close(fd);
}

static void client_that_leaves_within_its_command_is_forgotten(void **state)
{
	int fd = host_connect(&g), half = host_connect(&g), mute = host_connect(&g);

	host_say(fd, "CONN");
	host_say(half, "CONN");
	guest_turn(&g);
	assert_int_equal(g.v.pool->conns, 3);
	close(fd);
	close(mute);
	shutdown(half, SHUT_WR);
	guest_turn(&g);
	assert_int_equal(g.v.pool->conns, 0);
	close(half);
}

static void bytes_behind_the_command_are_the_guests(void **state)
{
	int fd = host_connect(&g);

	host_say(fd, "CONNECT 52\nCONNECT 53\n");
	shutdown(fd, SHUT_WR);
	hears(VIRTIO_VSOCK_OP_REQUEST);
	assert_false(guest_hear(&g, &p));
	guest_reply(&g, &p, VIRTIO_VSOCK_OP_RESPONSE);
	assert_true(host_hears(fd, "OK 1073741824\n"));
	hears(VIRTIO_VSOCK_OP_RW);
	assert_int_equal(p.h.len, 11);
	assert_memory_equal(p.data, "CONNECT 53\n", 11);
	hears(VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(p.h.flags, VIRTIO_VSOCK_SHUTDOWN_F_SEND);
	close(fd);
}

static void client_that_is_gone_before_the_answer_had_its_say(void **state)
{
	int fd = host_connect(&g);

	host_say(fd, "CONNECT 52\nfire and forget");
	close(fd);
	hears(VIRTIO_VSOCK_OP_REQUEST);
	assert_false(guest_hear(&g, &p));
	guest_reply(&g, &p, VIRTIO_VSOCK_OP_RESPONSE);
	hears(VIRTIO_VSOCK_OP_SHUTDOWN); /* it receives nothing */
	assert_int_equal(p.h.flags, VIRTIO_VSOCK_SHUTDOWN_F_RECEIVE);
	hears(VIRTIO_VSOCK_OP_RW);
	assert_int_equal(p.h.len, 15);
	hears(VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(p.h.flags, VSOCK_SHUTDOWN_BOTH);
}

static void client_that_takes_no_answer_is_reset(void **state)
{
	int fd = host_connect(&g), one = 1;
	struct vsock_conn *c;

	host_say(fd, "CONNECT 52\n");
	hears(VIRTIO_VSOCK_OP_REQUEST);
	c = vsock_conn_find(g.v.pool, OURS, 52);
	/* Its queue is full before the answer: it filled our end of it by magic. */
	setsockopt(c->watch.fd, SOL_SOCKET, SO_SNDBUF, &one, sizeof(one));
	while (send(c->watch.fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
		;
	guest_reply(&g, &p, VIRTIO_VSOCK_OP_RESPONSE);
	hears(VIRTIO_VSOCK_OP_RST);
	assert_int_equal(g.v.pool->conns, 0);
	close(fd);
}

/* --- limits --- */

static void raise_files(rlim_t n)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = MIN(n, r.rlim_max);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
	assert_true(r.rlim_cur == n);
}

static void client_beyond_1023_connections_is_closed(void **state)
{
	static int fd[VSOCK_CONNS + 1];
	int listener = host_listen(&g, PORT);

	raise_files(4096);
	for (unsigned i = 0; i < VSOCK_CONNS; i++) {
		fd[i] = host_connect(&g);
		assert_true(fd[i] >= 0);
		guest_turn(&g);
	}
	assert_int_equal(g.v.pool->conns, 1023);
	fd[VSOCK_CONNS] = host_connect(&g);
	guest_turn(&g);
	assert_true(host_ended(fd[VSOCK_CONNS]));
	assert_int_equal(g.v.refused, 1);
	guest_say(&g, VIRTIO_VSOCK_OP_REQUEST, GPORT, PORT, 0);
	hears(VIRTIO_VSOCK_OP_RST); /* the guest's, too */
	close(fd[7]);
	guest_turn(&g);
	assert_int_equal(g.v.pool->conns, 1022);
	guest_say(&g, VIRTIO_VSOCK_OP_REQUEST, GPORT, PORT, 0);
	hears(VIRTIO_VSOCK_OP_RESPONSE);
	for (unsigned i = 0; i <= VSOCK_CONNS; i++)
		if (i != 7)
			close(fd[i]);
	guest_turn(&g);
	assert_int_equal(g.v.pool->conns, 1);
	close(listener);
}

/* Leaves `left` descriptors to be had. Returns the limit that was. */
static struct rlimit starve(unsigned left)
{
	struct rlimit old, now;
	int next = fcntl(0, F_DUPFD, 0);

	close(next);
	getrlimit(RLIMIT_NOFILE, &old);
	now = (struct rlimit){(rlim_t)next + left, old.rlim_max};
	setrlimit(RLIMIT_NOFILE, &now);
	return old;
}

static void accepting_waits_for_descriptors_without_spinning(void **state)
{
	int a = host_connect(&g), b = host_connect(&g);
	struct rlimit old = starve(1);

	guest_turn(&g);
	assert_int_equal(g.v.accepted, 1);
	assert_int_equal(g.v.starved, 1);
	assert_int_equal(guest_turn(&g), 0);
	assert_true(g.host.wake_at != NEVER);
	guest_later(&g, SECOND / 20); /* too early */
	assert_int_equal(g.v.starved, 1);
	guest_later(&g, SECOND / 5);
	assert_int_equal(g.v.starved, 2);
	assert_int_equal(guest_turn(&g), 0);
	setrlimit(RLIMIT_NOFILE, &old);
	guest_later(&g, SECOND / 5);
	assert_int_equal(g.v.accepted, 2);
	close(a);
	close(b);
}

static void reset_forgets_that_descriptors_were_short(void **state)
{
	int a = host_connect(&g), b = host_connect(&g);
	struct rlimit old = starve(1);

	guest_turn(&g);
	assert_true(g.v.accept_at != NEVER);
	assert_true(driver_reset(&g.v.dev));
	assert_true(g.v.accept_at == NEVER);
	assert_false(g.v.knock);
	setrlimit(RLIMIT_NOFILE, &old);
	guest_start(&g, GUEST_FEATURES);
	guest_turn(&g);
	assert_int_equal(g.v.accepted, 2);
	close(a);
	close(b);
}

static void crowd_is_accepted_in_several_turns(void **state)
{
	int fd[200];

	for (unsigned i = 0; i < 200; i++)
		fd[i] = host_connect(&g);
	assert_true(guest_turn(&g) >= 4);
	assert_int_equal(g.v.accepted, 200);
	for (unsigned i = 0; i < 200; i++)
		close(fd[i]);
}

static void accepting_goes_on_when_one_of_ours_is_free(void **state)
{
	int a = host_connect(&g), b = host_connect(&g);
	struct rlimit old = starve(1);

	guest_turn(&g);
	assert_int_equal(g.v.starved, 1);
	host_say(a, "\n");
	guest_turn(&g);
	assert_true(host_ended(a));
	assert_int_equal(g.v.accepted, 2);
	setrlimit(RLIMIT_NOFILE, &old);
	guest_later(&g, SECOND);
	assert_in_range(g.v.starved, 1, 2); /* "nobody is there" takes a descriptor, too */
	assert_int_equal(g.v.accept_at, NEVER);
	close(a);
	close(b);
}

static void guest_is_refused_without_descriptors(void **state)
{
	int listener = host_listen(&g, PORT);
	struct rlimit old = starve(0);

	guest_say(&g, VIRTIO_VSOCK_OP_REQUEST, GPORT, PORT, 0);
	setrlimit(RLIMIT_NOFILE, &old);
	hears(VIRTIO_VSOCK_OP_RST);
	assert_int_equal(g.v.pool->conns, 0);
	close(listener);
}

static void connection_that_cannot_be_watched_is_none(void **state)
{
	int listener = host_listen(&g, PORT), fd = host_connect(&g);

	g.watches.refuse = ENOSPC;
	guest_turn(&g);
	assert_true(host_ended(fd));
	assert_int_equal(g.v.pool->conn[1].watch.fd, -1);
	guest_say(&g, VIRTIO_VSOCK_OP_REQUEST, GPORT, PORT, 0);
	hears(VIRTIO_VSOCK_OP_RST);
	assert_int_equal(g.v.pool->conns, 0);
	g.watches.refuse = 0;
	close(fd);
	close(listener);
}

static void listener_that_cannot_be_watched_is_told_of(void **state)
{
	int fd;

	assert_true(driver_reset(&g.v.dev));
	g.watches.refuse = ENOSPC;
	guest_start(&g, GUEST_FEATURES);
	assert_int_equal(said_lines, 1);
	assert_non_null(strstr(said, "No space left"));
	assert_true(driver_reset(&g.v.dev));
	g.watches.refuse = 0;
	guest_start(&g, GUEST_FEATURES);
	fd = host_connect(&g);
	guest_turn(&g);
	assert_int_equal(g.v.accepted, 1);
	close(fd);
}

static void event_of_a_connection_that_was_closed_means_nothing(void **state)
{
	struct vsock_conn *c;
	int fd = host_connect(&g);

	guest_turn(&g);
	c = &g.v.pool->conn[1];
	assert_int_equal(c->state, VSOCK_HELLO);
	close(fd);
	guest_turn(&g);
	assert_int_equal(c->state, VSOCK_FREE);
	c->readable = false;
	c->watch.ready(&c->watch, WATCH_IN | WATCH_OUT | WATCH_HUP | WATCH_ERR);
	assert_false(c->readable);
	fd = host_connect(&g); /* the next in its slot */
	guest_turn(&g);
	assert_int_equal(c->state, VSOCK_HELLO);
	c->watch.ready(&c->watch, WATCH_IN | WATCH_OUT | WATCH_HUP | WATCH_ERR);
	assert_int_equal(c->state, VSOCK_HELLO);
	host_say(fd, "CONNECT 52\n");
	hears(VIRTIO_VSOCK_OP_REQUEST);
	guest_reply(&g, &p, VIRTIO_VSOCK_OP_RESPONSE);
	c->watch.ready(&c->watch, WATCH_IN | WATCH_OUT | WATCH_HUP | WATCH_ERR);
	assert_false(guest_hear(&g, &p));
	assert_true(host_hears(fd, "OK 1073741824\n"));
	shutdown(fd, SHUT_WR);
	hears(VIRTIO_VSOCK_OP_SHUTDOWN);
	c->watch.ready(&c->watch, WATCH_IN | WATCH_OUT | WATCH_HUP | WATCH_ERR);
	assert_false(guest_hear(&g, &p));
	assert_int_equal(c->state, VSOCK_OPEN);
	close(fd);
}

/* --- listeners --- */

static void listener_whose_backlog_is_full_refuses(void **state)
{
	int listener = host_listen(&g, PORT);

	assert_int_equal(listen(listener, 0), 0);
	guest_say(&g, VIRTIO_VSOCK_OP_REQUEST, GPORT, PORT, 0);
	hears(VIRTIO_VSOCK_OP_RESPONSE);
	guest_say(&g, VIRTIO_VSOCK_OP_REQUEST, GPORT + 1, PORT, 0);
	hears(VIRTIO_VSOCK_OP_RST); /* and nobody waits */
	close(listener);
}

static void listener_that_dies_with_a_connection_unaccepted_ends_it(void **state)
{
	int listener = host_listen(&g, PORT);

	guest_say(&g, VIRTIO_VSOCK_OP_REQUEST, GPORT, PORT, 0);
	hears(VIRTIO_VSOCK_OP_RESPONSE);
	close(listener);
	hears(VIRTIO_VSOCK_OP_RST);
}

static void port_whose_path_is_too_long_is_refused(void **state)
{
	static struct vsock v;
	char path[108];
	const struct vsock_conf c = {.path = path, .cid = 3};
	struct vsock_conn *conn;
	size_t n = strlen(g.dir);

	memset(path, 'x', sizeof(path));
	memcpy(path, g.dir, n);
	path[n] = '/';
	path[105] = '\0';
	assert_int_equal(vsock_init(&v, &c, &g.host.host, &g.ram, &g.watches.watcher), 0);
	virtio_lock(&v.dev);
	conn = vsock_conn_new(v.pool, VSOCK_OPEN);
	vsock_conn_bind(v.pool, conn, 10, 10);
	errno = 0;
	assert_false(vsock_dial(&v, conn));
	assert_int_equal(errno, 0); /* not even tried */
	vsock_conn_free(v.pool, conn);
	virtio_unlock(&v.dev);
	vsock_finish(&v);
}

static void guests_port_is_used_again_after_an_end(void **state)
{
	int listener = host_listen(&g, PORT);

	for (unsigned i = 0; i < 3000; i++) {
		int fd;

		guest_say(&g, VIRTIO_VSOCK_OP_REQUEST, GPORT, PORT, 0);
		hears(VIRTIO_VSOCK_OP_RESPONSE);
		fd = accept(listener, NULL, NULL);
		assert_true(fd >= 0);
		guest_say(&g, VIRTIO_VSOCK_OP_SHUTDOWN, GPORT, PORT, VSOCK_SHUTDOWN_BOTH);
		hears(VIRTIO_VSOCK_OP_RST);
		assert_true(host_ended(fd));
		close(fd);
	}
	assert_int_equal(g.v.pool->fresh, 1); /* all in one slot */
	assert_int_equal(g.v.pool->fresh_bufs, 0);
	close(listener);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(path_that_is_taken_is_refused),
		T(path_that_nobody_serves_any_more_is_refused),
		T(path_of_more_than_107_bytes_is_refused),
		T(folder_that_is_missing_is_named),
		T(descriptors_that_are_missing_are_named),
		T(file_has_the_mode_that_umask_leaves),
		T(file_that_took_the_place_of_ours_stays),
		T(commands_that_are_taken),
		T(commands_that_are_refused),
		T(command_with_a_nul_in_its_port_is_refused),
		T(command_may_come_byte_by_byte),
		T(client_that_leaves_within_its_command_is_forgotten),
		T(bytes_behind_the_command_are_the_guests),
		T(client_that_is_gone_before_the_answer_had_its_say),
		T(client_that_takes_no_answer_is_reset),
		T(client_beyond_1023_connections_is_closed),
		T(accepting_waits_for_descriptors_without_spinning),
		T(reset_forgets_that_descriptors_were_short),
		T(crowd_is_accepted_in_several_turns),
		T(accepting_goes_on_when_one_of_ours_is_free),
		T(guest_is_refused_without_descriptors),
		T(connection_that_cannot_be_watched_is_none),
		T(listener_that_cannot_be_watched_is_told_of),
		T(event_of_a_connection_that_was_closed_means_nothing),
		T(listener_whose_backlog_is_full_refuses),
		T(listener_that_dies_with_a_connection_unaccepted_ends_it),
		T(port_whose_path_is_too_long_is_refused),
		T(guests_port_is_used_again_after_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
