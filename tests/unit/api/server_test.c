/*
 * server_test.c - the API's socket with real clients: how many system calls a request takes, who is
 * served when, who is turned away, and what is left of those who go.
 */
#include "../../../src/api/server.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../lib/watches.h"
#include "../said.h"

#define NO_CONTENT "HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n"
#define BAD_HEAD                                                                                   \
	"HTTP/1.1 400 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"                   \
	"Content-Type: application/json\r\n"
#define FULL                                                                                       \
	"HTTP/1.1 503\r\nServer: Firecracker API\r\nConnection: close\r\nContent-Length: 40\r\n"   \
	"\r\n{ \"error\": \"Too many open connections\" }"
#define TURNS 1000u

static struct api_server s;
static struct watches w;
static char dir[64], path[128];
static unsigned handled, recvs, sends, accepts;
static int accept_errno;   /* not 0: what accept4() fails with */
static int send_errno;     /* likewise sendmsg() */
static size_t recv_most;   /* not 0: what recv() gives at most */
static size_t answer_size; /* of the handler's answers; 0: 204 */
static char seen[4096];    /* the paths that were asked for, each behind a blank */
static uint64_t now;

/* --- the kernel, counted --- */

ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	recvs++;
	return syscall(SYS_recvfrom, fd, buf, recv_most ? MIN(n, recv_most) : n, flags, NULL, NULL);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	sends++;
	assert_int_equal(flags, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (send_errno) {
		errno = send_errno;
		return -1;
	}
	return syscall(SYS_sendmsg, fd, m, flags);
}

int accept4(int fd, struct sockaddr *a, socklen_t *len, int flags)
{
	accepts++;
	if (accept_errno) {
		errno = accept_errno;
		return -1;
	}
	return (int)syscall(SYS_accept4, fd, a, len, flags);
}

/* --- the server --- */

static void handle(void *ctx, const struct http_request *q, struct http_reply *reply)
{
	assert_ptr_equal(ctx, &s);
	assert_int_equal(reply->status, 0);
	assert_null(reply->body);
	handled++;
	strncat(seen, " ", sizeof(seen) - strlen(seen) - 1);
	strncat(seen, q->path, sizeof(seen) - strlen(seen) - 1);
	reply->status = 204;
	if (q->body) { /* is given back */
		reply->status = 200;
		reply->body = malloc(q->body_len);
		memcpy(reply->body, q->body, q->body_len);
		reply->body_len = q->body_len;
	} else if (answer_size) {
		reply->status = 200;
		reply->body = malloc(answer_size);
		memset(reply->body, 'j', answer_size);
		reply->body_len = answer_size;
	}
}

static struct api_server_conf conf(const char *at)
{
	return (struct api_server_conf){
		.path = at,
		.body_max = HTTP_BODY_MAX,
		.watcher = &w.watcher,
		.handle = handle,
		.ctx = &s,
	};
}

static int setup(void **state)
{
	struct api_server_conf c = conf(path);

	said_lines = 0;
	handled = recvs = sends = accepts = 0;
	accept_errno = send_errno = 0;
	recv_most = answer_size = 0;
	seen[0] = '\0';
	now = NSEC;
	strcpy(dir, "/tmp/server_test.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/api", dir);
	watches_init(&w);
	return api_server_open(&s, &c);
}

static int teardown(void **state)
{
	api_server_close(&s);
	assert_int_equal(w.watched, 0);
	watches_finish(&w);
	unlink(path);
	return rmdir(dir);
}

/* The loop, until nothing is left to do. */
static unsigned turn(void)
{
	unsigned turns = 0;

	while (watches_turn(&w) | api_server_turn(&s, now))
		assert_true(++turns < TURNS);
	return turns;
}

static unsigned open_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static unsigned conns(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < API_CONNS; i++)
		n += s.slot[i].conn != NULL;
	assert_int_equal(w.watched, n + 1);
	return n;
}

/* --- clients --- */

static int client(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	memcpy(a.sun_path, path, strlen(path));
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static int served(void)
{
	int fd = client();

	turn();
	return fd;
}

static void says(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* All that is there. */
static size_t reads(int fd, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, buf + len, size - len)) > 0)
		len += (size_t)n;
	return len;
}

static void hears(int fd, const char *text)
{
	static char buf[65536];

	buf[reads(fd, buf, sizeof(buf) - 1)] = '\0';
	assert_string_equal(buf, text);
}

static void is_closed(int fd)
{
	char c;
	ssize_t n = read(fd, &c, 1);

	assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
}

static void is_open(int fd)
{
	char c;

	assert_int_equal(read(fd, &c, 1), -1);
	assert_int_equal(errno, EAGAIN);
}

/* --- the file --- */

static void refuses(const char *at, int err, const char *part)
{
	static struct api_server second;
	struct api_server_conf c = conf(at);
	unsigned fds = open_fds(), watched = w.watched;

	assert_fails(api_server_open(&second, &c), err, part);
	assert_int_equal(open_fds(), fds);
	assert_int_equal(w.watched, watched);
}

static const char *in_dir(const char *name)
{
	static char at[256];

	snprintf(at, sizeof(at), "%s/%s", dir, name);
	return at;
}

static void path_that_is_taken_is_refused(void **state)
{
	struct stat st;

	refuses(path, EADDRINUSE, path);
	assert_non_null(strstr(said, "remove it"));
	assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
	refuses(in_dir("fifo"), EADDRINUSE,
		"Check that it is not already used. A file of this name exists already");
	unlink(in_dir("fifo"));
	assert_int_equal(symlink("nowhere", in_dir("link")), 0);
	refuses(in_dir("link"), EADDRINUSE, "exists already");
	assert_int_equal(lstat(in_dir("nowhere"), &st), -1);
	unlink(in_dir("link"));
	refuses(dir, EADDRINUSE, "exists already");
}

static void path_that_cannot_be_is_refused(void **state)
{
	char at[200];

	memset(at, 'x', sizeof(at));
	memcpy(at, dir, strlen(dir));
	at[strlen(dir)] = '/';
	at[108] = '\0';
	refuses(at, ENAMETOOLONG, "1 to 107 bytes, this one has 108");
	refuses("", EINVAL, "1 to 107 bytes");
	refuses(in_dir("no/api"), ENOENT, "its folder must exist");
}

static void loop_that_refuses_leaves_nothing(void **state)
{
	struct stat st;

	w.refuse = ENOSPC;
	refuses(in_dir("second"), ENOSPC, "cannot be listened on: No space left");
	w.refuse = 0;
	assert_int_equal(lstat(in_dir("second"), &st), -1);
}

static void file_stays_at_the_end(void **state)
{
	struct api_server_conf c = conf(path);
	struct stat st;

	api_server_close(&s);
	assert_int_equal(lstat(path, &st), 0);
	refuses(path, EADDRINUSE, "remove it");
	unlink(path);
	assert_int_equal(api_server_open(&s, &c), 0);
}

static void file_goes_at_the_end_if_told_so_and_if_it_is_ours(void **state)
{
	struct api_server_conf c = conf(in_dir("second"));
	static struct api_server second;
	char at[128];
	struct stat st;

	strcpy(at, c.path);
	c.path = at;
	c.remove = true;
	assert_int_equal(api_server_open(&second, &c), 0);
	api_server_close(&second);
	assert_int_equal(lstat(at, &st), -1);
	assert_int_equal(api_server_open(&second, &c), 0);
	unlink(at);
	assert_int_equal(symlink("nowhere", at), 0);
	api_server_close(&second);
	assert_int_equal(unlink(at), 0);
}

/* --- requests --- */

static void ordinary_request_takes_one_recv_and_one_send(void **state)
{
	int fd = served();

	assert_int_equal(accepts, 2); /* it, and nobody */
	for (unsigned i = 1; i < 4; i++) {
		says(fd, "PUT /actions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}");
		turn();
		hears(fd, "HTTP/1.1 200 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
			  "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
		turn(); /* its taking the answer is no reason to read */
		assert_int_equal(recvs, i);
		assert_int_equal(sends, i);
	}
	assert_int_equal(accepts, 2);
	close(fd);
}

static void idle_server_makes_no_calls_and_asks_for_no_turns(void **state)
{
	turn();
	recvs = sends = accepts = 0;
	for (unsigned i = 0; i < 10; i++)
		assert_false(api_server_turn(&s, now += NSEC));
	assert_int_equal(recvs + sends + accepts, 0);
	assert_int_equal(api_server_deadline(&s), NEVER);
}

static void request_may_come_byte_by_byte(void **state)
{
	static const char bytes[] = "PUT /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
	int fd = served();

	for (unsigned i = 0; i < sizeof(bytes) - 1; i++) {
		assert_int_equal(handled, 0);
		assert_int_equal(write(fd, bytes + i, 1), 1);
		turn();
	}
	assert_int_equal(handled, 1);
	close(fd);
}

static void large_body_goes_both_ways(void **state)
{
	static char bytes[60000], got[60000];
	int fd = served();
	int n = snprintf(bytes, sizeof(bytes), "PUT /a HTTP/1.1\r\nContent-Length: %u\r\n\r\n",
			 HTTP_BODY_MAX);
	size_t len;

	for (unsigned i = 0; i < HTTP_BODY_MAX; i++)
		bytes[(unsigned)n + i] = (char)(i * 7 ^ i >> 8);
	assert_int_equal(write(fd, bytes, (size_t)n + HTTP_BODY_MAX), (size_t)n + HTTP_BODY_MAX);
	turn();
	len = reads(fd, got, sizeof(got));
	assert_true(len > HTTP_BODY_MAX);
	assert_memory_equal(got + len - HTTP_BODY_MAX, bytes + n, HTTP_BODY_MAX);
	assert_in_range(recvs, 2, 3);
	close(fd);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	int fd = served();

	says(fd, "GET /a HTTP/1.1\r\n\r\nPUT /b HTTP/1.1\r\nContent-Length: 1\r\n\r\nxGET /c "
		 "HTTP/1.1\r\n\r\n");
	turn();
	assert_string_equal(seen, " /a /b /c");
	hears(fd,
	      NO_CONTENT "HTTP/1.1 200 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
			 "Content-Type: application/json\r\nContent-Length: 1\r\n\r\nx" NO_CONTENT);
	assert_int_equal(recvs, 1);
	close(fd);
}

static void turn_is_one_request_of_each_client(void **state)
{
	int one = served(), two = served();

	says(one, "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n");
	says(two, "GET /x HTTP/1.1\r\n\r\nGET /y HTTP/1.1\r\n\r\n");
	watches_turn(&w);
	assert_true(api_server_turn(&s, now));
	assert_string_equal(seen, " /a /x");
	turn();
	assert_string_equal(seen, " /a /x /b /y /c");
	close(one);
	close(two);
}

static void client_that_asks_first_is_told_to_send_its_body(void **state)
{
	int fd = served();

	says(fd, "PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
	turn();
	hears(fd, "HTTP/1.1 100 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n");
	says(fd, "x");
	turn();
	assert_int_equal(handled, 1);
	close(fd);
}

static void mistake_is_answered_and_the_connection_stays(void **state)
{
	int fd = served();

	says(fd, "GET /a HTTP/1.1\r\n\r\nHEAD /b HTTP/1.1\r\n\r\n");
	turn();
	hears(fd, BAD_HEAD "Content-Length: 110\r\n\r\n{ \"error\": \"Invalid HTTP Method: "
			   "Unsupported HTTP method.\nAll previous unanswered requests will be "
			   "dropped.\" }");
	assert_int_equal(handled, 0);
	says(fd, "GET /c HTTP/1.1\r\n\r\n");
	turn();
	hears(fd, NO_CONTENT);
	assert_string_equal(seen, " /c");
	close(fd);
}

static void line_without_an_end_is_answered(void **state)
{
	char bytes[5000];
	int fd = served();

	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	turn();
	assert_true(reads(fd, bytes, sizeof(bytes)) > 0);
	assert_memory_equal(bytes, "HTTP/1.1 400 \r\n", 15);
	assert_int_equal(handled, 0);
	close(fd);
}

static void descriptors_that_are_sent_are_closed(void **state)
{
	char control[CMSG_SPACE(sizeof(int))] = {0}, c;
	struct iovec iov = {(char *)"GET /a HTTP/1.1\r\n\r\n", 19};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&m);
	int fd = served(), pipes[2];

	assert_int_equal(pipe2(pipes, O_NONBLOCK), 0);
	*cmsg = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
				 .cmsg_type = SCM_RIGHTS,
				 .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(cmsg), &pipes[1], sizeof(int));
	assert_int_equal(syscall(SYS_sendmsg, fd, &m, 0), 19);
	says(fd, "GET /b HTTP/1.1\r\n\r\n"); /* a read ends with the descriptor's bytes */
	close(pipes[1]);
	turn();
	hears(fd, NO_CONTENT);
	turn();
	hears(fd, NO_CONTENT);
	assert_int_equal(read(pipes[0], &c, 1), 0); /* nobody has the other end */
	assert_string_equal(seen, " /a /b");
	close(pipes[0]);
	close(fd);
}

/* --- those who are too many --- */

static void eleventh_client_is_turned_away(void **state)
{
	int fd[API_CONNS], last;

	for (unsigned i = 0; i < API_CONNS; i++)
		fd[i] = served();
	last = served();
	hears(last, FULL);
	is_closed(last);
	close(last);
	close(client()); /* does not wait for the answer */
	turn();
	assert_int_equal(conns(), API_CONNS);
	for (unsigned i = 0; i < API_CONNS; i++) {
		says(fd[i], "GET /a HTTP/1.1\r\n\r\n");
		turn();
		hears(fd[i], NO_CONTENT);
	}
	close(fd[3]);
	turn();
	fd[3] = served();
	says(fd[3], "GET /a HTTP/1.1\r\n\r\n");
	turn();
	hears(fd[3], NO_CONTENT);
	for (unsigned i = 0; i < API_CONNS; i++)
		close(fd[i]);
	turn();
	assert_int_equal(conns(), 0);
}

static void crowd_is_accepted_over_several_turns(void **state)
{
	int fd[40];

	for (unsigned i = 0; i < ARRAY_SIZE(fd); i++)
		fd[i] = client();
	watches_turn(&w);
	assert_true(api_server_turn(&s, now));
	assert_int_equal(accepts, 16);
	turn();
	assert_int_equal(accepts, 41);
	assert_int_equal(conns(), API_CONNS);
	for (unsigned i = 0; i < ARRAY_SIZE(fd); i++) {
		if (i < API_CONNS)
			is_open(fd[i]);
		else
			hears(fd[i], FULL);
		close(fd[i]);
	}
}

static void client_that_the_loop_refuses_is_turned_away(void **state)
{
	int fd;

	w.refuse = ENOSPC;
	fd = served();
	hears(fd, FULL);
	is_closed(fd);
	close(fd);
	w.refuse = 0;
	assert_int_equal(conns(), 0);
}

static void without_descriptors_clients_wait(void **state)
{
	const char error[] = "a client has to wait: Too many open files";
	int one = served(), two = client();

	accepts = 0;
	accept_errno = EMFILE;
	turn();
	assert_int_equal(accepts, 1); /* no spinning */
	assert_int_equal(said_lines, 1);
	assert_non_null(strstr(said, error));
	assert_int_equal(api_server_deadline(&s), now + NSEC / 10);
	for (unsigned i = 0; i < 5; i++) {
		now = api_server_deadline(&s) - 1;
		turn();
		assert_int_equal(accepts, 1 + i);
		now++;
		turn();
		assert_int_equal(accepts, 2 + i);
	}
	assert_int_equal(said_lines, 1);
	says(one, "GET /a HTTP/1.1\r\n\r\n"); /* others are served meanwhile */
	turn();
	hears(one, NO_CONTENT);
	accept_errno = 0;
	now = api_server_deadline(&s);
	turn();
	assert_int_equal(conns(), 2);
	assert_int_equal(api_server_deadline(&s), NEVER);
	says(two, "GET /b HTTP/1.1\r\n\r\n");
	turn();
	hears(two, NO_CONTENT);
	close(one);
	close(two);
}

static void descriptor_of_one_who_goes_is_given_to_one_who_waits(void **state)
{
	struct rlimit old, tight;
	int one = served(), two = client(), top = dup(0);

	close(top);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = (struct rlimit){(rlim_t)top, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	turn();
	assert_int_equal(said_lines, 1);
	assert_int_equal(conns(), 1);
	shutdown(one, SHUT_RDWR);
	turn(); /* no time has passed */
	is_closed(one);
	assert_int_equal(conns(), 1);
	says(two, "GET /b HTTP/1.1\r\n\r\n");
	turn();
	hears(two, NO_CONTENT);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	close(one);
	close(two);
}

/* --- those who are slow, and those who go --- */

static void client_that_takes_no_answers_is_not_read_from(void **state)
{
	static const char get[] = "GET /a HTTP/1.1\r\n\r\n";
	static char sink[MIB];
	int slow = served(), other = served();
	unsigned asked = 0, before;

	answer_size = 100000;
	while (write(slow, get, strlen(get)) == (ssize_t)strlen(get) && asked < 2000) {
		asked++;
		turn();
	}
	assert_in_range(asked, 50, 1999);
	before = handled;
	assert_in_range(before, 1, 10); /* what a socket's buffer takes, and one more */
	answer_size = 0;
	sends = recvs = 0;
	says(other, get);
	turn();
	hears(other, NO_CONTENT);
	assert_int_equal(handled, before + 1);
	assert_int_equal(sends + recvs, 2); /* none of them for the slow one */
	for (unsigned i = 0; i < 10000 && handled < asked + 1; i++) {
		while (read(slow, sink, sizeof(sink)) > 0)
			;
		turn();
	}
	assert_int_equal(handled, asked + 1);
	close(slow);
	close(other);
}

static void long_answer_arrives_as_it_is_taken(void **state)
{
	static char buf[4 * MIB];
	int fd = served();
	size_t len = 0, n;

	answer_size = 3 * MIB;
	says(fd, "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n");
	do {
		answer_size = handled ? 0 : answer_size;
		turn();
		n = reads(fd, buf + len, sizeof(buf) - len);
		len += n;
	} while (n);
	assert_true(len > 3 * MIB + strlen(NO_CONTENT));
	len -= strlen(NO_CONTENT);
	assert_memory_equal(buf + len, NO_CONTENT, strlen(NO_CONTENT));
	for (n = len - 3 * MIB; n < len; n++)
		assert_int_equal(buf[n], 'j');
	close(fd);
}

static void client_that_goes_while_it_is_answered_harms_nobody(void **state)
{
	int fd = served();

	answer_size = MIB;
	says(fd, "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n");
	turn();
	assert_int_equal(handled, 1);
	close(fd); /* with bytes unread */
	turn();
	assert_int_equal(conns(), 0);
	assert_int_equal(handled, 1);
}

static void requests_of_one_who_is_gone_are_not_executed(void **state)
{
	int fd = served();

	says(fd, "GET /a HTTP/1.1\r\n\r\n");
	close(fd);
	turn();
	assert_int_equal(handled, 0);
	assert_int_equal(conns(), 0);
}

static void client_that_goes_between_event_and_answer_harms_nobody(void **state)
{
	int fd = served();

	says(fd, "GET /a HTTP/1.1\r\n\r\n");
	watches_turn(&w);
	close(fd);
	turn();
	assert_int_equal(conns(), 0);
}

static void client_that_takes_no_100_is_waited_for(void **state)
{
	int fd = served();

	send_errno = EAGAIN;
	says(fd, "PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx");
	turn();
	assert_int_equal(handled, 0);
	send_errno = 0;
	s.slot[0].watch.ready(&s.slot[0].watch, WATCH_OUT);
	turn();
	assert_int_equal(handled, 1);
	close(fd);
}

static void client_that_cannot_be_answered_is_dropped(void **state)
{
	static const int error[] = {EPIPE, ECONNRESET, ENOBUFS};

	for (unsigned i = 0; i < ARRAY_SIZE(error); i++) {
		int fd = served();

		send_errno = error[i];
		says(fd, "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n");
		turn();
		assert_int_equal(conns(), 0);
		assert_int_equal(handled, i + 1);
		is_closed(fd);
		close(fd);
		send_errno = 0;
	}
}

static void client_of_many_small_pieces_leaves_turns_to_others(void **state)
{
	int one = served(), two = served();

	recv_most = 1;
	says(one, "GET /aaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n\r\n");
	says(two, "GET /b HTTP/1.1\r\n\r\n");
	watches_turn(&w);
	assert_true(api_server_turn(&s, now));
	assert_int_equal(recvs, 32); /* 16 each */
	turn();
	assert_string_equal(seen, " /b /aaaaaaaaaaaaaaaaaaaaaaaaa");
	close(one);
	close(two);
}

static void half_closed_client_gets_its_answers_and_then_the_end(void **state)
{
	int fd = served();

	says(fd, "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n");
	shutdown(fd, SHUT_WR);
	turn();
	hears(fd, NO_CONTENT NO_CONTENT);
	turn();
	is_closed(fd);
	assert_int_equal(conns(), 0);
	close(fd);
}

static void half_closed_client_without_a_whole_request_gets_the_end(void **state)
{
	int idle = served(), half = served();

	shutdown(idle, SHUT_WR);
	says(half, "GET /a HTTP/1.1\r\n");
	shutdown(half, SHUT_WR);
	turn();
	is_closed(idle);
	is_closed(half);
	assert_int_equal(handled, 0);
	assert_int_equal(conns(), 0);
	close(idle);
	close(half);
}

static void late_event_of_one_who_is_gone_is_nothing(void **state)
{
	int fd = served();
	struct watch *late = &s.slot[0].watch;

	close(fd);
	turn();
	assert_int_equal(late->fd, -1);
	late->ready(late, WATCH_IN | WATCH_HUP);
	turn();
	fd = served();
	says(fd, "GET /a HTTP/1.1\r\n\r\n");
	turn();
	hears(fd, NO_CONTENT);
	close(fd);
}

static void server_that_ends_leaves_no_descriptor(void **state)
{
	struct api_server_conf c = conf(path);
	unsigned fds = open_fds();
	int one = served(), two = served();

	answer_size = MIB;
	says(one, "GET /a HTTP/1.1\r\n\r\n");
	says(two, "PUT /a HTTP/1.1\r\nContent-Length: 40000\r\n\r\nxyz");
	turn();
	api_server_close(&s);
	assert_int_equal(w.watched, 0);
	is_closed(two);
	close(one);
	close(two);
	assert_int_equal(open_fds(), fds - 1);
	unlink(path);
	assert_int_equal(api_server_open(&s, &c), 0);
}

static void idle_server_is_small(void **state)
{
	assert_in_range(sizeof(struct api_server), 1, 1024);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(path_that_is_taken_is_refused),
		T(path_that_cannot_be_is_refused),
		T(loop_that_refuses_leaves_nothing),
		T(file_stays_at_the_end),
		T(file_goes_at_the_end_if_told_so_and_if_it_is_ours),
		T(ordinary_request_takes_one_recv_and_one_send),
		T(idle_server_makes_no_calls_and_asks_for_no_turns),
		T(request_may_come_byte_by_byte),
		T(large_body_goes_both_ways),
		T(pipelined_requests_are_answered_in_order),
		T(turn_is_one_request_of_each_client),
		T(client_that_asks_first_is_told_to_send_its_body),
		T(mistake_is_answered_and_the_connection_stays),
		T(line_without_an_end_is_answered),
		T(descriptors_that_are_sent_are_closed),
		T(eleventh_client_is_turned_away),
		T(crowd_is_accepted_over_several_turns),
		T(client_that_the_loop_refuses_is_turned_away),
		T(without_descriptors_clients_wait),
		T(descriptor_of_one_who_goes_is_given_to_one_who_waits),
		T(client_that_takes_no_answers_is_not_read_from),
		T(long_answer_arrives_as_it_is_taken),
		T(client_that_goes_while_it_is_answered_harms_nobody),
		T(requests_of_one_who_is_gone_are_not_executed),
		T(client_that_goes_between_event_and_answer_harms_nobody),
		T(client_that_takes_no_100_is_waited_for),
		T(client_that_cannot_be_answered_is_dropped),
		T(client_of_many_small_pieces_leaves_turns_to_others),
		T(half_closed_client_gets_its_answers_and_then_the_end),
		T(half_closed_client_without_a_whole_request_gets_the_end),
		T(late_event_of_one_who_is_gone_is_nothing),
		T(server_that_ends_leaves_no_descriptor),
		T(idle_server_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
