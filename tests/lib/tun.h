/*
 * tun.h - a stand-in for /dev/net/tun in one process, for tests and fuzzers without privileges:
 * open(), ioctl() and the calls that move packets are ours; a queue of a tap is one end of a
 * socket pair that keeps packets apart, of which the test holds the other. Included by one file of
 * a program. Other descriptors pass through.
 */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define TUN_QUEUES   8u
#define TUN_OFFLOADS (0x1u | 0x2u | 0x4u | 0x8u | 0x10u) /* TUN_F_*, but for USO */
#define TUN_USO      (0x20u | 0x40u)

static struct tun {
	/* What the kernel has and allows. */
	bool exists; /* the interface */
	bool no_uso;
	int open_err, iff_err, getiff_err, hdr_err, offload_err, queue_err; /* errno; 0: works */
	short getiff_flags; /* of a descriptor that was opened elsewhere */
	int read_err, write_err;
	void (*on_write)(void); /* while the kernel has the packet in its hands */
	void (*on_read)(void);
	/* Another device that a test stands in for; NULL: the kernel's. */
	int (*open_other)(const char *path);
	int (*ioctl_other)(int fd, unsigned long request, void *arg);

	/* What it was told. */
	unsigned queues;
	struct {
		int fd, peer; /* the monitor's end and the test's */
		ino_t ino;    /* of the first */
		short flags;
		char name[IFNAMSIZ];
		bool on;
	} queue[TUN_QUEUES];
	int hdr_len;
	unsigned long offload;
	unsigned offloads, switches, reads, writes; /* calls */
	unsigned read_iovs;                         /* entries of the last readv() */
} tun;

static int tun_fail(int err)
{
	errno = err;
	return -1;
}

static int tun_find(int fd)
{
	struct stat st;

	for (unsigned i = tun.queues; i-- > 0;) /* the last of those that had this number */
		if (tun.queue[i].fd == fd)
			return (int)i;
	for (unsigned i = 0; i < tun.queues && fstat(fd, &st) == 0; i++)
		if (tun.queue[i].ino == st.st_ino) /* a duplicate */
			return (int)i;
	return -1;
}

/* One more queue; its descriptor in the monitor. */
static int tun_pair(void)
{
	int fd[2], size = 4 << 20;
	struct stat st;

	if (tun.queues == TUN_QUEUES ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) < 0)
		return -1;
	for (unsigned i = 0; i < 2; i++)
		setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	tun.queue[tun.queues].ino = fstat(fd[0], &st) == 0 ? st.st_ino : 0;
	tun.queue[tun.queues].fd = fd[0];
	tun.queue[tun.queues].peer = fd[1];
	tun.queues++;
	return fd[0];
}

/* As new; descriptors that the monitor left open are closed. */
static inline void tun_reset(void)
{
	for (unsigned i = 0; i < tun.queues; i++) {
		close(tun.queue[i].fd);
		close(tun.queue[i].peer);
	}
	memset(&tun, 0, sizeof(tun));
	tun.exists = true;
}

int open(const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	if (strcmp(path, "/dev/net/tun") != 0 && tun.open_other)
		return tun.open_other(path);
	if (strcmp(path, "/dev/net/tun") != 0)
		return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	return tun.open_err ? tun_fail(tun.open_err) : tun_pair();
}

unsigned if_nametoindex(const char *name)
{
	return tun.exists ? 7 : 0;
}

static int tun_setiff(unsigned i, struct ifreq *ifr)
{
	if (tun.iff_err)
		return tun_fail(tun.iff_err);
	tun.queue[i].flags = ifr->ifr_flags;
	tun.queue[i].on = true;
	memcpy(tun.queue[i].name, ifr->ifr_name, IFNAMSIZ);
	return 0;
}

static int tun_setoffload(unsigned long arg)
{
	unsigned known = TUN_OFFLOADS | (tun.no_uso ? 0 : TUN_USO);

	if (tun.offload_err)
		return tun_fail(tun.offload_err);
	if (!(arg & 1) || ((arg & TUN_USO) && (arg & TUN_USO) != TUN_USO))
		known = 0; /* all of them build on CSUM, and USO4 and USO6 are one */
	tun.offloads++;
	if (arg & ~(unsigned long)known)
		return tun_fail(EINVAL);
	tun.offload = arg;
	return 0;
}

static int tun_setqueue(unsigned i, const struct ifreq *ifr)
{
	bool on = ifr->ifr_flags & IFF_ATTACH_QUEUE;

	tun.switches++;
	if (tun.queue_err)
		return tun_fail(tun.queue_err);
	if (!(tun.queue[i].flags & IFF_MULTI_QUEUE) || on == tun.queue[i].on)
		return tun_fail(EINVAL);
	tun.queue[i].on = on;
	return 0;
}

static int tun_getiff(struct ifreq *ifr)
{
	if (tun.getiff_err)
		return tun_fail(tun.getiff_err);
	memset(ifr, 0, sizeof(*ifr));
	memcpy(ifr->ifr_name, "passed0", sizeof("passed0"));
	ifr->ifr_flags = tun.getiff_flags;
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	int i = tun_find(fd);
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (i < 0 && tun.ioctl_other)
		return tun.ioctl_other(fd, request, arg);
	if (i < 0)
		return (int)syscall(SYS_ioctl, fd, request, arg);
	switch (request) {
	case TUNSETIFF: return tun_setiff((unsigned)i, arg);
	case TUNGETIFF: return tun_getiff(arg);
	case TUNSETOFFLOAD: return tun_setoffload((unsigned long)arg);
	case TUNSETQUEUE: return tun_setqueue((unsigned)i, arg);
	case TUNSETVNETHDRSZ:
		if (tun.hdr_err)
			return tun_fail(tun.hdr_err);
		tun.hdr_len = *(int *)arg;
		return 0;
	default: return tun_fail(ENOTTY);
	}
}

/* Where a sanitizer can see it: the kernel's own accesses it does not. */
static void tun_touch(const struct iovec *iov, int n)
{
	for (int i = 0; i < n; i++) {
		const volatile char *p = iov[i].iov_base;

		if (iov[i].iov_len)
			(void)(p[0] + p[iov[i].iov_len - 1]);
	}
}

ssize_t readv(int fd, const struct iovec *iov, int n)
{
	if (tun_find(fd) >= 0) {
		tun.reads++;
		tun.read_iovs = (unsigned)n;
		tun_touch(iov, n);
		if (tun.on_read)
			tun.on_read();
		if (tun.read_err)
			return tun_fail(tun.read_err);
	}
	return syscall(SYS_readv, fd, iov, n);
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
	if (tun_find(fd) >= 0) {
		tun.writes++;
		tun_touch(iov, n);
		if (tun.on_write)
			tun.on_write();
		if (tun.write_err)
			return tun_fail(tun.write_err);
	}
	return syscall(SYS_writev, fd, iov, n);
}
