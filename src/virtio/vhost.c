/*
 * vhost.c - the kernel's vhost-net. What a guest puts into its rings is then the kernel's to check;
 * where the rings are was checked by queue_start(). Device lock held by the caller of what is not
 * before lock-down.
 */
#include "vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../log.h" /* and not virtio.h, of which Linux has names for itself */

#define VHOST_NODE "/dev/vhost-net"

/* struct vhost_memory ends in an array. */
struct vhost_ram {
	uint32_t nregions, padding;
	struct vhost_memory_region region[2];
};

static int vhost_ioctl(const struct vhost *v, unsigned long request, void *arg)
{
	return ioctl(v->fd, request, arg) < 0 ? -errno : 0;
}

static int node_failed(const char *name)
{
	int err = errno;

	if (err == EACCES || err == EPERM)
		return log_fail(err,
				"network %s: " VHOST_NODE
				" may not be opened: %s; give the user (or "
				"the container) access to it, or leave vhost away",
				name, strerror(err));
	return log_fail(err,
			"network %s: " VHOST_NODE " cannot be opened: %s; load the module with "
			"\"modprobe vhost_net\", or leave vhost away",
			name, strerror(err));
}

static int tell_ram(const struct vhost *v, const struct ram *ram)
{
	struct vhost_ram m = {.nregions = ram->high ? 2 : 1};

	m.region[0] = (struct vhost_memory_region){.memory_size = ram->low,
						   .userspace_addr = (uintptr_t)ram->host};
	m.region[1] =
		(struct vhost_memory_region){.guest_phys_addr = GPA_4G,
					     .memory_size = ram->high,
					     .userspace_addr = (uintptr_t)ram->host + ram->low};
	return vhost_ioctl(v, VHOST_SET_MEM_TABLE, &m);
}

static int tell_eventfds(struct vhost *v)
{
	int err = 0;

	for (unsigned i = 0; i < VHOST_QUEUES && !err; i++) {
		struct vhost_vring_file file = {.index = i, .fd = v->kick[i]};

		err = vhost_ioctl(v, VHOST_SET_VRING_KICK, &file);
		file.fd = v->call[i];
		if (!err)
			err = vhost_ioctl(v, VHOST_SET_VRING_CALL, &file);
		file.fd = v->error;
		if (!err)
			err = vhost_ioctl(v, VHOST_SET_VRING_ERR, &file);
	}
	return err;
}

static int make_eventfds(struct vhost *v)
{
	v->error = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (unsigned i = 0; i < VHOST_QUEUES && v->error >= 0; i++) {
		v->kick[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		v->call[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (v->kick[i] < 0 || v->call[i] < 0)
			return -errno;
	}
	return v->error < 0 ? -errno : 0;
}

int vhost_open(struct vhost *v, const char *name, const struct ram *ram, uint64_t features)
{
	uint64_t has = 0;
	int err;

	*v = (struct vhost){
		.kick = {-1, -1},
                  .call = {-1, -1},
                  .error = -1
        };
	v->fd = open(VHOST_NODE, O_RDWR | O_CLOEXEC);
	if (v->fd < 0)
		return node_failed(name);
	err = make_eventfds(v);
	if (!err)
		err = vhost_ioctl(v, VHOST_SET_OWNER, NULL);
	if (!err)
		err = vhost_ioctl(v, VHOST_GET_FEATURES, &has);
	if (!err && (features & ~has))
		err = -EOPNOTSUPP;
	if (!err)
		err = tell_ram(v, ram);
	if (!err)
		err = tell_eventfds(v);
	if (err) {
		vhost_close(v);
		return log_fail(
			-err,
			"network %s: this kernel's vhost-net cannot be used: %s; leave vhost "
			"away",
			name, strerror(-err));
	}
	return 0;
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void vhost_close(struct vhost *v)
{
	close_one(&v->fd); /* and with it the kernel's thread ends */
	close_one(&v->error);
	for (unsigned i = 0; i < VHOST_QUEUES; i++) {
		close_one(&v->kick[i]);
		close_one(&v->call[i]);
	}
}

static int set_backend(const struct vhost *v, unsigned i, int tap)
{
	struct vhost_vring_file file = {.index = i, .fd = tap};

	return vhost_ioctl(v, VHOST_NET_SET_BACKEND, &file);
}

static int start_ring(struct vhost *v, unsigned i, const struct queue *q, int tap)
{
	struct vhost_vring_state num = {.index = i, .num = q->mask + 1u}, base = {.index = i};
	struct vhost_vring_addr at = {.index = i,
				      .desc_user_addr = (uintptr_t)q->desc_at,
				      .used_user_addr = (uintptr_t)q->used_at,
				      .avail_user_addr = (uintptr_t)q->avail_at};
	int err = vhost_ioctl(v, VHOST_SET_VRING_NUM, &num);

	if (!err)
		err = vhost_ioctl(v, VHOST_SET_VRING_BASE, &base);
	if (!err)
		err = vhost_ioctl(v, VHOST_SET_VRING_ADDR, &at);
	if (!err)
		err = set_backend(v, i, tap);
	v->on[i] = !err;
	return err;
}

int vhost_start(struct vhost *v, uint64_t features, const struct queue *rx, const struct queue *tx,
		int tap)
{
	int err = vhost_ioctl(v, VHOST_SET_FEATURES, &features);

	if (!err && rx->started)
		err = start_ring(v, VHOST_RX, rx, tap);
	if (!err && tx->started)
		err = start_ring(v, VHOST_TX, tx, tap);
	if (err)
		vhost_stop(v);
	return err;
}

void vhost_stop(struct vhost *v)
{
	for (unsigned i = 0; i < VHOST_QUEUES; i++)
		if (v->on[i])
			set_backend(v, i, -1); /* which waits for what is under way */
	v->on[VHOST_RX] = v->on[VHOST_TX] = false;
}

void vhost_kick(const struct vhost *v)
{
	const uint64_t one = 1;

	for (unsigned i = 0; i < VHOST_QUEUES; i++)
		if (v->on[i] && write(v->kick[i], &one, sizeof(one)) < 0)
			return; /* it was told too often already */
}
