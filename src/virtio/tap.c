/*
 * tap.c - a tap of the host kernel [Linux, Documentation/networking/tuntap.rst]. All that needs
 * permission is done by tap_open(): what the guest can have changed later (TUNSETOFFLOAD,
 * TUNSETQUEUE) needs none.
 */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../log.h"

#define TAP_NODE  "/dev/net/tun"
#define TAP_FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)

#define TAP_OLD (TAP_F_CSUM | TAP_F_TSO4 | TAP_F_TSO6)
#define TAP_USO (TAP_F_USO4 | TAP_F_USO6)

static int node_failed(const char *name)
{
	int err = errno;

	if (err == EACCES || err == EPERM)
		return log_fail(err,
				"network %s: " TAP_NODE " may not be opened: %s; give the user (or "
				"the container) access to it",
				name, strerror(err));
	return log_fail(err,
			"network %s: " TAP_NODE " cannot be opened: %s; load the module with "
			"\"modprobe tun\", or give the container the device",
			name, strerror(err));
}

/* TUNSETIFF tells little by itself: whether the interface is there tells the rest. */
static int attach_failed(const char *name, bool multi)
{
	int err = errno;
	bool there = if_nametoindex(name) != 0;

	if (err == EPERM && there)
		return log_fail(err,
				"network %s: the tap is not this user's; make it with \"ip tuntap "
				"add %s mode tap user %u\" as root, or give the program "
				"CAP_NET_ADMIN",
				name, name, geteuid());
	if (err == EPERM)
		return log_fail(err,
				"network %s: there is no such tap, and making it needs "
				"CAP_NET_ADMIN; make it with \"ip tuntap add %s mode tap user "
				"%u\" as root",
				name, name, geteuid());
	if (err == EBUSY)
		return log_fail(err,
				"network %s: another program has the tap open; end it, or take "
				"another tap",
				name);
	if (err == EINVAL && there)
		return log_fail(err,
				"network %s: the interface is no tap, or was made %s multi_queue, "
				"which %s; make it with \"ip tuntap add %s mode tap%s\"",
				name, multi ? "without" : "with",
				multi ? "more than one pair of queues needs"
				      : "is only for more than one pair of queues",
				name, multi ? " multi_queue" : "");
	return log_fail(err, "network %s: the tap cannot be opened: %s", name, strerror(err));
}

/* One descriptor of the tap; -errno, logged. */
static int attach(const char *name, bool multi)
{
	struct ifreq ifr = {.ifr_flags = (short)(TAP_FLAGS | (multi ? IFF_MULTI_QUEUE : 0))};
	int fd = open(TAP_NODE, O_RDWR | O_NONBLOCK | O_CLOEXEC), err;

	if (fd < 0)
		return node_failed(name);
	memcpy(ifr.ifr_name, name, strlen(name)); /* which is shorter, says tap_open() */
	if (ioctl(fd, TUNSETIFF, &ifr) == 0)
		return fd;
	err = attach_failed(name, multi);
	close(fd);
	return err;
}

/* A descriptor that someone else has opened: is it what it has to be? */
static int adopt(struct tap *t, int fd)
{
	struct ifreq ifr = {0};
	int flags;

	if (ioctl(fd, TUNGETIFF, &ifr) < 0)
		return log_fail(errno, "network: descriptor %d is no tap: %s", fd, strerror(errno));
	if ((ifr.ifr_flags & (TAP_FLAGS | IFF_TUN)) != TAP_FLAGS)
		return log_fail(EINVAL,
				"network: descriptor %d was opened as another kind of tap; open it "
				"with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR",
				fd);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return log_fail(errno, "network: descriptor %d cannot be made not to block: %s", fd,
				strerror(errno));
	memcpy(t->name, ifr.ifr_name, sizeof(t->name));
	t->name[sizeof(t->name) - 1] = '\0';
	return 0;
}

/* A name with % would be a pattern for one that the kernel chooses. */
static int name_good(const char *name)
{
	size_t len = strlen(name);

	if (len > 0 && len < IFNAMSIZ && strcspn(name, "%/: \t\r\n") == len)
		return 0;
	return log_fail(
		EINVAL,
		"network \"%s\": no name for a tap; it has 1 to %d characters, none of them "
		"a blank or one of %%/:",
		name, IFNAMSIZ - 1);
}

static int open_pairs(struct tap *t, const char *name)
{
	int err = name_good(name);

	if (err)
		return err;
	memcpy(t->name, name, strlen(name));
	for (unsigned i = 0; i < t->pairs; i++) {
		int fd = attach(name, t->pairs > 1);

		if (fd < 0)
			return fd;
		t->fd[i] = fd;
	}
	return 0;
}

/*
 * Which offloads the kernel knows only setting them tells, and each change has it take the whole
 * host's network lock. So all stay on: that is how a tap begins, and what most drivers take.
 */
static int offload_all(struct tap *t)
{
	int err;

	t->offloads = ~0u;
	err = tap_offload(t, TAP_OLD | TAP_USO);
	t->uso = !err;
	return err == -EINVAL ? tap_offload(t, TAP_OLD) : err;
}

/* The tap may have had another user before: nothing that it was told is to stay. */
static int settle(struct tap *t)
{
	int len = TAP_HDR_LEN, err;

	if (ioctl(t->fd[0], TUNSETVNETHDRSZ, &len) < 0)
		return log_fail(errno, "network %s: no virtio headers of %d bytes: %s", t->name,
				len, strerror(errno));
	err = offload_all(t);
	if (!err)
		err = tap_turn_on(t, 1);
	if (err)
		return log_fail(-err, "network %s: the tap cannot be set up: %s", t->name,
				strerror(-err));
	return 0;
}

int tap_open(struct tap *t, const char *name, int fd, unsigned pairs)
{
	bool passed = !name; /* it stays open where it cannot serve */
	int err;

	*t = (struct tap){.pairs = pairs, .on = pairs};
	for (unsigned i = 0; i < TAP_PAIRS_MAX; i++)
		t->fd[i] = -1;
	if (pairs == 0 || pairs > TAP_PAIRS_MAX || (!name && pairs > 1))
		return log_fail(EINVAL, "network %s: %u pairs of queues; it has 1 to %u",
				name ? name : "by descriptor", pairs, name ? TAP_PAIRS_MAX : 1);
	if (name && fd > 0) {
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		name = NULL;
		if (fd < 0)
			return log_fail(errno, "network: dup: %s", strerror(errno));
	}
	err = name ? open_pairs(t, name) : adopt(t, fd);
	if (!name)
		t->fd[0] = fd;
	if (!err)
		err = settle(t);
	if (err && passed)
		t->fd[0] = -1;
	if (err)
		tap_close(t);
	return err;
}

void tap_close(struct tap *t)
{
	for (unsigned i = 0; i < TAP_PAIRS_MAX; i++) {
		if (t->fd[i] >= 0)
			close(t->fd[i]);
		t->fd[i] = -1;
	}
}

int tap_offload(struct tap *t, unsigned offloads)
{
	if (offloads == t->offloads)
		return 0;
	if (ioctl(t->fd[0], TUNSETOFFLOAD, (unsigned long)offloads) < 0)
		return -errno;
	t->offloads = offloads;
	return 0;
}

static int turn(struct tap *t, unsigned pair, short flag)
{
	struct ifreq ifr = {.ifr_flags = flag};

	return ioctl(t->fd[pair], TUNSETQUEUE, &ifr) < 0 ? -errno : 0;
}

int tap_turn_on(struct tap *t, unsigned pairs)
{
	int err = 0;

	for (; !err && t->on < pairs; t->on += !err)
		err = turn(t, t->on, IFF_ATTACH_QUEUE);
	for (; !err && t->on > pairs; t->on -= !err)
		err = turn(t, t->on - 1, IFF_DETACH_QUEUE);
	return err;
}
