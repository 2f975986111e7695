/*
 * load.c - what bench/virtio measures with, in the guest and as the other end on the host: requests
 * to a disk, round trips and streams over a socket. Static, as the guest's initrd has no libraries.
 *
 * Usage: load disk PATH read|randread|randwrite DEPTH BYTES COUNT
 *        load run WHERE rr|out|in BYTES COUNT       WHERE is tcp:ADDRESS:PORT or vsock:CID:PORT
 *        load serve WHERE...                        tcp:PORT, vsock:PORT or unix:PATH
 *
 * disk and run print one line: operations, nanoseconds for all, median nanoseconds for one (0 with
 * more than one at a time). The disk is read and written past the guest's page cache. A server
 * serves one connection at a time for each WHERE, until it is killed.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <linux/vm_sockets.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX 64u
#define COUNT_MAX 1000000u
#define BYTES_MAX (1u << 20)
#define ALIGN     4096u /* of what a disk reads and writes */
#define NSEC      1000000000ull

/* What a client asks of the server. */
struct ask {
	char mode; /* 'r', 'o' or 'i', as the client sees it */
	uint32_t bytes, count;
} __attribute__((packed));

static uint64_t took[COUNT_MAX];
static char buffer[DEPTH_MAX][BYTES_MAX] __attribute__((aligned(ALIGN)));

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NSEC + (uint64_t)t.tv_nsec;
}

static uint32_t number(const char *s, uint32_t max)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	if (*end || !n || n > max)
		errx(1, "%s: give a number from 1 to %u", s, max);
	return (uint32_t)n;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void report(uint32_t count, uint64_t ns, bool each)
{
	if (each)
		qsort(took, count, sizeof(took[0]), by_size);
	printf("%u %llu %llu\n", count, (unsigned long long)ns,
	       each ? (unsigned long long)took[count / 2] : 0ull);
}

/* --- disk --- */

struct disk {
	int fd;
	bool write, random;
	uint32_t bytes, blocks; /* the disk's size in units of `bytes` */
	uint64_t next;
};

/* The offset of the next request: xorshift, so that every monitor gets the same ones. */
static off_t place(struct disk *d)
{
	if (!d->random)
		return (off_t)(d->next++ % d->blocks * d->bytes);
	d->next ^= d->next << 13;
	d->next ^= d->next >> 7;
	d->next ^= d->next << 17;
	return (off_t)(d->next % d->blocks * d->bytes);
}

static void one_by_one(struct disk *d, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint64_t start = now();
		off_t at = place(d);
		ssize_t n = d->write ? pwrite(d->fd, buffer[0], d->bytes, at)
				     : pread(d->fd, buffer[0], d->bytes, at);

		if (n != (ssize_t)d->bytes)
			err(1, "a request at %lld gave %zd", (long long)at, n);
		took[i] = now() - start;
	}
}

static void submit(struct disk *d, aio_context_t ctx, struct iocb *cb, uint32_t slot)
{
	*cb = (struct iocb){
		.aio_data = slot,
		.aio_lio_opcode = d->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)d->fd,
		.aio_buf = (uintptr_t)buffer[slot],
		.aio_nbytes = d->bytes,
		.aio_offset = place(d),
	};
	if (syscall(SYS_io_submit, ctx, 1, &cb) != 1)
		err(1, "io_submit");
}

static void at_depth(struct disk *d, uint32_t count, uint32_t depth)
{
	static struct iocb cbs[DEPTH_MAX];
	struct io_event done[DEPTH_MAX];
	aio_context_t ctx = 0;
	uint32_t sent = 0, ended = 0;

	if (syscall(SYS_io_setup, depth, &ctx))
		err(1, "io_setup");
	for (; sent < depth && sent < count; sent++)
		submit(d, ctx, &cbs[sent], sent);
	while (ended < count) {
		long n = syscall(SYS_io_getevents, ctx, 1, depth, done, NULL);

		if (n < 1)
			err(1, "io_getevents");
		for (long i = 0; i < n; i++) {
			if (done[i].res != (int64_t)d->bytes)
				errx(1, "a request gave %lld", (long long)done[i].res);
			ended++;
			if (sent++ < count)
				submit(d, ctx, &cbs[done[i].data], (uint32_t)done[i].data);
		}
	}
}

static int disk(char **argv)
{
	struct disk d = {
		.write = !strcmp(argv[1], "randwrite"),
		.random = !strncmp(argv[1], "rand", 4),
		.bytes = number(argv[3], BYTES_MAX),
	};
	uint32_t depth = number(argv[2], DEPTH_MAX), count = number(argv[4], COUNT_MAX);
	uint64_t size, start;

	d.next = d.random ? 88172645463325252ull : 0;
	d.fd = open(argv[0], O_DIRECT | (d.write ? O_RDWR : O_RDONLY));
	if (d.fd < 0 || ioctl(d.fd, BLKGETSIZE64, &size))
		err(1, "%s", argv[0]);
	d.blocks = (uint32_t)(size / d.bytes);
	for (uint32_t i = 0; i < depth; i++)
		memset(buffer[i], 0x5a, d.bytes);
	start = now();
	if (depth == 1)
		one_by_one(&d, count);
	else
		at_depth(&d, count, depth);
	report(count, now() - start, depth == 1);
	return 0;
}

/* --- sockets --- */

/* The socket for WHERE and its address; a server's has no host. */
static int address(char *where, bool server, struct sockaddr_storage *sa, socklen_t *len)
{
	char *kind = strsep(&where, ":"), *host = server ? NULL : strsep(&where, ":");
	struct sockaddr_in *in = (struct sockaddr_in *)sa;
	struct sockaddr_vm *vm = (struct sockaddr_vm *)sa;
	struct sockaddr_un *un = (struct sockaddr_un *)sa;

	if (!where)
		errx(1, "an address lacks a part");
	memset(sa, 0, sizeof(*sa));
	if (!strcmp(kind, "tcp")) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)number(where, UINT16_MAX));
		if (host && !inet_aton(host, &in->sin_addr))
			errx(1, "%s: no address", host);
		*len = sizeof(*in);
	} else if (!strcmp(kind, "vsock")) {
		vm->svm_family = AF_VSOCK;
		vm->svm_cid = host ? number(host, UINT32_MAX) : VMADDR_CID_ANY;
		vm->svm_port = number(where, UINT32_MAX);
		*len = sizeof(*vm);
	} else {
		un->sun_family = AF_UNIX;
		if (strlen(where) >= sizeof(un->sun_path))
			errx(1, "%s: too long", where);
		strcpy(un->sun_path, where);
		unlink(where);
		*len = sizeof(*un);
	}
	return socket(sa->ss_family, SOCK_STREAM, 0);
}

static void put(int fd, size_t left)
{
	char *p = buffer[0];

	while (left) {
		ssize_t n = send(fd, p, left, MSG_NOSIGNAL);

		if (n < 1)
			err(1, "send");
		p += n;
		left -= (size_t)n;
	}
}

/* Reads so many bytes; false at the end of the stream. */
static bool get(int fd, void *to, size_t left)
{
	while (left) {
		ssize_t n = recv(fd, to, left, 0);

		if (n < 1)
			return false;
		to = (char *)to + n;
		left -= (size_t)n;
	}
	return true;
}

/* Requests and answers must not wait for more to send. */
static void no_delay(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* not for the others */
}

static void answer(int fd)
{
	struct ask ask;

	while (get(fd, &ask, sizeof(ask))) {
		if (ask.bytes > BYTES_MAX)
			return;
		for (uint32_t i = 0; i < ask.count; i++) {
			if (ask.mode != 'i' && !get(fd, buffer[0], ask.bytes))
				return;
			if (ask.mode != 'o')
				put(fd, ask.bytes);
		}
		if (ask.mode == 'o')
			put(fd, 1);
	}
}

static int serve(char **where)
{
	struct sockaddr_storage sa;
	socklen_t len;

	signal(SIGCHLD, SIG_IGN);
	for (; *where; where++) {
		int on = 1, fd = address(*where, true, &sa, &len);

		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (bind(fd, (struct sockaddr *)&sa, len) || listen(fd, 8))
			err(1, "%s", *where);
		if (fork())
			continue;
		for (;;) {
			int peer = accept(fd, NULL, NULL);

			if (peer < 0)
				err(1, "accept");
			no_delay(peer);
			answer(peer);
			close(peer);
		}
	}
	pause();
	return 0;
}

static int run(char **argv)
{
	struct ask ask = {argv[1][0], number(argv[2], BYTES_MAX), number(argv[3], COUNT_MAX)};
	struct sockaddr_storage sa;
	socklen_t len;
	uint64_t start;
	int fd = address(argv[0], false, &sa, &len);

	if (connect(fd, (struct sockaddr *)&sa, len))
		err(1, "connect");
	no_delay(fd);
	start = now();
	if (send(fd, &ask, sizeof(ask), MSG_NOSIGNAL) != sizeof(ask))
		err(1, "send");
	for (uint32_t i = 0; i < ask.count; i++) {
		uint64_t one = now();

		if (ask.mode != 'i')
			put(fd, ask.bytes);
		if (ask.mode != 'o' && !get(fd, buffer[0], ask.bytes))
			err(1, "the server ended");
		took[i] = now() - one;
	}
	if (ask.mode == 'o' && !get(fd, buffer[0], 1))
		err(1, "the server ended");
	report(ask.count, now() - start, ask.mode == 'r');
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 7 && !strcmp(argv[1], "disk"))
		return disk(argv + 2);
	if (argc == 6 && !strcmp(argv[1], "run"))
		return run(argv + 2);
	if (argc >= 3 && !strcmp(argv[1], "serve"))
		return serve(argv + 2);
	errx(2, "usage: load disk|run|serve ...; see load.c");
}
