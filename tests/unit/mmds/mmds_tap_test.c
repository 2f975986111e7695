/*
 * mmds_tap_test.c - the metadata service on a tap of the real kernel, in a network namespace of its
 * own: the host's TCP is the guest's, with checksum and segmentation offload as a guest has them.
 * Each test's client is a process of its own, while this one carries frames. Skipped where taps are
 * not to be had.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../../src/clock.h"
#include "../../../src/mmds/mmds.h"
#include "../said.h"

#define TAP       "mmds0"
#define CLIENT    "169.254.1.1"
#define SERVICE   "169.254.169.254"
#define HDR_10    10u
#define CLIENT_S  20u   /* until a client is given up */
#define FRAME_MAX 4096u /* as the network device cuts them */
#define BIG       50000u

static int tap;
static struct mmds m;
static struct mmds_nic nic;
static unsigned lose;            /* one frame in so many, either way; 0: none */
static unsigned frames, partial; /* with a checksum that is to be finished */

/* --- frames --- */

static bool lost(void)
{
	return lose && ++frames % lose == 0;
}

static void carry_in(void)
{
	uint8_t buf[HDR_10 + 66000];
	ssize_t n;

	while ((n = read(tap, buf, sizeof(buf))) > (ssize_t)HDR_10) {
		bool mine;

		if (lost())
			continue;
		mine = mmds_frame_in(&nic, buf + HDR_10, MIN((size_t)n - HDR_10, FRAME_MAX),
				     clock_now());
		partial += mine && (buf[0] & VIRTIO_NET_HDR_F_NEEDS_CSUM);
	}
}

static void carry_out(void)
{
	uint8_t buf[HDR_10 + 1514] = {0};
	size_t len;

	while ((len = mmds_frame_out(&nic, buf + HDR_10, 1514, clock_now())))
		if (!lost())
			assert_int_equal(write(tap, buf, HDR_10 + len), HDR_10 + len);
}

/* The client says it as its exit status: 0, or the line where something was wrong. */
static void run(void (*client)(void))
{
	uint64_t until = clock_now() + CLIENT_S * NSEC;
	pid_t child = fork();
	int status = 0;

	assert_true(child >= 0);
	if (child == 0) {
		client();
		_exit(0);
	}
	while (waitpid(child, &status, WNOHANG) == 0 && clock_now() < until) {
		struct pollfd p = {.fd = tap, .events = POLLIN};
		uint64_t now = clock_now(), due = mmds_deadline(&nic, now);

		poll(&p, 1, due == NEVER ? 10 : (int)MIN((MAX(due, now) - now) / 1000000 + 1, 10));
		carry_in();
		carry_out();
	}
	for (unsigned i = 0; i < 20; i++) { /* its last words */
		usleep(1000);
		carry_in();
		carry_out();
	}
	if (clock_now() >= until) {
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		fail_msg("the client is stuck");
	}
	if (status)
		fail_msg("the client failed");
}

/* --- the client --- */

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "# line %d: does not hold: %s (%s)\n", __LINE__, #cond,    \
				strerror(errno));                                                  \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static int dial(uint16_t port, int window)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct timeval limit = {.tv_sec = CLIENT_S};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	CHECK(fd >= 0);
	inet_pton(AF_INET, SERVICE, &at.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (window)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window));
	if (!connect(fd, (struct sockaddr *)&at, sizeof(at)))
		return fd;
	err = errno;
	close(fd);
	return -err;
}

static void say(int fd, const char *text)
{
	CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

/* A whole answer: its status; its body is in body[]. */
static char body[BIG + 4096];
static size_t body_len;

static int hear(int fd)
{
	static char head[1024];
	size_t n = 0;
	const char *p;
	int status;

	while (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4)) {
		CHECK(n < sizeof(head) - 1);
		CHECK(recv(fd, head + n, 1, 0) == 1);
		n++;
	}
	head[n] = '\0';
	CHECK(sscanf(head, "HTTP/1.1 %d ", &status) == 1);
	p = strstr(head, "Content-Length: ");
	CHECK(p && sscanf(p, "Content-Length: %zu", &body_len) == 1 && body_len < sizeof(body));
	for (n = 0; n < body_len;) {
		ssize_t got = recv(fd, body + n, body_len - n, 0);

		CHECK(got > 0);
		n += (size_t)got;
	}
	body[n] = '\0';
	return status;
}

static int get(int fd, const char *path, const char *token)
{
	char text[512];

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n%s%s%s\r\n", path,
		 token ? "X-metadata-token: " : "", token ? token : "", token ? "\r\n" : "");
	say(fd, text);
	return hear(fd);
}

static void hang_up(int fd)
{
	char c;

	CHECK(shutdown(fd, SHUT_WR) == 0);
	CHECK(recv(fd, &c, 1, 0) == 0); /* the service closes, too */
	close(fd);
}

/* --- tests --- */

static void put(const char *text)
{
	json_t *v = json_loads(text, 0, NULL);

	assert_non_null(v);
	assert_int_equal(mmds_put(&m, v), MMDS_OK);
	json_decref(v);
}

static int setup(void **state)
{
	lose = frames = partial = 0;
	assert_int_equal(mmds_init(&m, MMDS_LIMIT), 0);
	assert_int_equal(mmds_nic_open(&nic, &m), 0);
	put("{\"latest\":{\"meta-data\":{\"ami-id\":\"ami-1\",\"n\":[1.5,2]}}}");
	return 0;
}

static int teardown(void **state)
{
	mmds_nic_close(&nic);
	mmds_finish(&m);
	return 0;
}

static void put_big(void)
{
	char *text = malloc(BIG + 32);
	size_t n = (size_t)sprintf(text, "{\"big\":\"");

	for (unsigned i = 0; i < BIG; i++)
		text[n++] = (char)('a' + i % 26);
	strcpy(text + n, "\"}");
	put(text);
	free(text);
}

static void check_big(void)
{
	CHECK(body_len == BIG);
	for (unsigned i = 0; i < BIG; i++)
		CHECK(body[i] == 'a' + (char)(i % 26));
}

static void client_many(void)
{
	int fd = dial(80, 0);

	CHECK(fd >= 0);
	for (unsigned i = 0; i < 50; i++) {
		CHECK(get(fd, "/latest/meta-data", NULL) == 200);
		CHECK(!strcmp(body, "ami-id\nn"));
		CHECK(get(fd, "/latest/meta-data/ami-id", NULL) == 200);
		CHECK(!strcmp(body, "ami-1"));
		CHECK(get(fd, "/nothing", NULL) == 404);
	}
	hang_up(fd);
}

static void one_connection_serves_many_requests(void **state)
{
	run(client_many);
	assert_true(partial > 0);
	assert_int_equal(m.counters.connections_created, 1);
	assert_int_equal(m.counters.connections_destroyed, 1);
	assert_int_equal(m.counters.rx_no_token, 150);
	assert_int_equal(m.counters.rx_accepted_err, 0);
	assert_int_equal(m.counters.rx_accepted_unusual, 0);
}

static void client_token(void)
{
	int fd = dial(80, 0);
	char token[TOKEN_LEN + 1];

	CHECK(fd >= 0);
	CHECK(get(fd, "/latest", NULL) == 401);
	say(fd, "PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds: 1\r\n\r\n");
	CHECK(hear(fd) == 200);
	CHECK(body_len == TOKEN_LEN);
	memcpy(token, body, sizeof(token));
	CHECK(get(fd, "/latest", token) == 200);
	CHECK(!strcmp(body, "meta-data/"));
	usleep(1000000);
	CHECK(get(fd, "/latest", token) == 401);
	hang_up(fd);
}

static void a_session_has_its_token(void **state)
{
	assert_true(mmds_configure(&m, MMDS_V2, NULL, false));
	run(client_token);
	assert_int_equal(m.counters.rx_no_token, 1);
	assert_int_equal(m.counters.rx_invalid_token, 1);
}

static void client_big(void)
{
	int fd = dial(80, 0);

	CHECK(fd >= 0);
	for (unsigned i = 0; i < 5; i++) {
		CHECK(get(fd, "/big", NULL) == 200);
		check_big();
	}
	hang_up(fd);
}

static void answers_are_as_long_as_the_store(void **state)
{
	put_big();
	run(client_big);
}

static void client_slow(void)
{
	int fd = dial(80, 2048);

	CHECK(fd >= 0);
	say(fd, "GET /big HTTP/1.1\r\n\r\n");
	usleep(1500000); /* the window is closed meanwhile, and probed */
	CHECK(hear(fd) == 200);
	check_big();
	hang_up(fd);
}

static void a_slow_reader_is_waited_for(void **state)
{
	put_big();
	run(client_slow);
	assert_int_equal(m.counters.connections_destroyed, 1);
}

static void client_lossy(void)
{
	for (unsigned i = 0; i < 3; i++) {
		int fd = dial(80, 0);

		CHECK(fd >= 0);
		CHECK(get(fd, "/big", NULL) == 200);
		check_big();
		close(fd);
	}
}

static void what_is_lost_comes_again(void **state)
{
	put_big();
	lose = 13;
	run(client_lossy);
}

static void client_thirty(void)
{
	int fd[30];

	for (unsigned i = 0; i < 30; i++) {
		fd[i] = dial(80, 0);
		CHECK(fd[i] >= 0);
	}
	for (unsigned i = 0; i < 10; i++)
		CHECK(dial(80, 0) == -ECONNREFUSED);
	for (unsigned i = 0; i < 30; i++) {
		CHECK(get(fd[i], "/big", NULL) == 200);
		check_big();
	}
	hang_up(fd[7]);
	fd[7] = dial(80, 0);
	CHECK(fd[7] >= 0);
	CHECK(get(fd[7], "/big", NULL) == 200);
}

static void thirty_are_served_and_more_refused(void **state)
{
	put_big();
	run(client_thirty);
	assert_int_equal(m.counters.connections_created, 31);
}

static void client_port(void)
{
	CHECK(dial(81, 0) == -ECONNREFUSED);
	CHECK(dial(443, 0) == -ECONNREFUSED);
}

static void other_ports_are_refused(void **state)
{
	run(client_port);
}

static void client_long(void)
{
	static char text[4000];
	int fd = dial(80, 0);
	char c;

	CHECK(fd >= 0);
	memset(text, 'a', sizeof(text));
	memcpy(text, "GET /", 5);
	memcpy(text + 2400, " HTTP/1.1\r\n\r\n", 14);
	say(fd, text);
	CHECK(hear(fd) == 404);
	memset(text, 'a', sizeof(text));
	CHECK(send(fd, text, sizeof(text), MSG_NOSIGNAL) > 0);
	CHECK(recv(fd, &c, 1, 0) < 0 && errno == ECONNRESET);
	close(fd);
}

static void a_request_is_long_and_not_too_long(void **state)
{
	run(client_long);
}

static void client_abort(void)
{
	struct linger hard = {.l_onoff = 1};

	for (unsigned i = 0; i < 100; i++) {
		int fd = dial(80, 0);

		CHECK(fd >= 0);
		say(fd, "GET /big HTTP/1.1\r\n\r\n");
		CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) == 0);
		close(fd);
	}
	client_big();
}

static void one_who_goes_away_leaves_nothing(void **state)
{
	put_big();
	run(client_abort);
	assert_int_equal(m.counters.connections_created, 101);
	assert_int_equal(m.counters.connections_destroyed, 101);
}

/* --- the tap --- */

static int tap_make(void)
{
	struct ifreq ifr = {.ifr_name = TAP, .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	struct sockaddr_in *ip = (struct sockaddr_in *)&ifr.ifr_addr;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

	tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tap < 0 || ioctl(tap, TUNSETIFF, &ifr) < 0 ||
	    ioctl(tap, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) < 0)
		err = -1;
	memset(ip, 0, sizeof(*ip));
	ip->sin_family = AF_INET;
	inet_pton(AF_INET, CLIENT, &ip->sin_addr);
	err |= ioctl(fd, SIOCSIFADDR, &ifr);
	inet_pton(AF_INET, "255.255.0.0", &ip->sin_addr);
	err |= ioctl(fd, SIOCSIFNETMASK, &ifr);
	ifr.ifr_flags = IFF_UP;
	err |= ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
	return err;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_connection_serves_many_requests),
		T(a_session_has_its_token),
		T(answers_are_as_long_as_the_store),
		T(a_slow_reader_is_waited_for),
		T(what_is_lost_comes_again),
		T(thirty_are_served_and_more_refused),
		T(other_ports_are_refused),
		T(a_request_is_long_and_not_too_long),
		T(one_who_goes_away_leaves_nothing),
	};

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		printf("1..0 # SKIP no network namespace may be made here\n");
		return 0;
	}
	if (tap_make()) {
		printf("1..0 # SKIP no tap can be made here\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
