/* net_vhost_test.c - what the kernel's vhost-net is told, and when, with a stand-in for it. */
#include <linux/vhost.h>
#include <sys/eventfd.h>

#undef VIRTIO_F_VERSION_1 /* in Linux the number of the bit */

#include "net_fixture.h"

#define NODES 3u

/* What each /dev/vhost-net was told. */
static struct {
	unsigned nodes;
	uint64_t has; /* features */
	int open_err;
	unsigned long fail; /* the request that fails; 0: none does */
	struct {
		int fd;
		bool owned;
		uint64_t features;
		struct vhost_memory_region region[4];
		unsigned regions;
		unsigned num[2], base[2];
		struct vhost_vring_addr addr[2];
		int kick[2], call[2], err[2], backend[2];
	} node[NODES];
} vh;

static int vh_open(const char *path)
{
	assert_string_equal(path, "/dev/vhost-net");
	if (vh.open_err)
		return tun_fail(vh.open_err);
	vh.node[vh.nodes].fd = eventfd(0, EFD_CLOEXEC);
	vh.node[vh.nodes].backend[0] = vh.node[vh.nodes].backend[1] = -1;
	return vh.node[vh.nodes++].fd;
}

static int vh_set_ring(unsigned k, unsigned long request, void *arg)
{
	const struct vhost_vring_file *file = arg;
	const struct vhost_vring_state *state = arg;
	const struct vhost_vring_addr *addr = arg;
	unsigned i = file->index;

	if (!vh.node[k].owned || i > 1)
		return tun_fail(EPERM);
	/* As the kernel: not while the ring is served. */
	if (request != VHOST_NET_SET_BACKEND && vh.node[k].backend[i] != -1)
		return tun_fail(EBUSY);
	switch (request) {
	case VHOST_SET_VRING_NUM: vh.node[k].num[i] = state->num; return 0;
	case VHOST_SET_VRING_BASE: vh.node[k].base[i] = state->num; return 0;
	case VHOST_SET_VRING_ADDR: vh.node[k].addr[i] = *addr; return 0;
	case VHOST_SET_VRING_KICK: vh.node[k].kick[i] = file->fd; return 0;
	case VHOST_SET_VRING_CALL: vh.node[k].call[i] = file->fd; return 0;
	case VHOST_SET_VRING_ERR: vh.node[k].err[i] = file->fd; return 0;
	case VHOST_NET_SET_BACKEND: vh.node[k].backend[i] = file->fd; return 0;
	default: return tun_fail(ENOTTY);
	}
}

static int vh_ioctl(int fd, unsigned long request, void *arg)
{
	const struct vhost_memory *m = arg;
	unsigned k = vh.nodes;

	while (k-- > 0 && vh.node[k].fd != fd)
		;
	assert_true(k < NODES);
	if (request == vh.fail)
		return tun_fail(EFAULT);
	switch (request) {
	case VHOST_SET_OWNER: vh.node[k].owned = true; return 0;
	case VHOST_GET_FEATURES: *(uint64_t *)arg = vh.has; return 0;
	case VHOST_SET_FEATURES:
		vh.node[k].features = *(uint64_t *)arg;
		return vh.node[k].features & ~vh.has ? tun_fail(EOPNOTSUPP) : 0;
	case VHOST_SET_MEM_TABLE:
		vh.node[k].regions = m->nregions;
		memcpy(vh.node[k].region, m->regions, m->nregions * sizeof(*m->regions));
		return 0;
	default: return vh_set_ring(k, request, arg);
	}
}

static int vhost_setup(void **state)
{
	setup(state);
	memset(&vh, 0, sizeof(vh));
	vh.has = VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC |
		 VIRTIO_NET_F_MRG_RXBUF | BIT(27) | BIT(24);
	tun.open_other = vh_open;
	tun.ioctl_other = vh_ioctl;
	conf.vhost = true;
	return 0;
}

static void vhost_up(uint64_t features)
{
	assert_int_equal(net_init(&n, &conf, &h.host, &ram, &watcher), 0);
	drive(BASIC | features, 64);
}

/* Times that an eventfd was written to, which is forgotten. */
static uint64_t rung(int fd)
{
	uint64_t count;
	int err = fcntl(fd, F_SETFL, O_NONBLOCK);

	return !err && read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static void ring(int fd)
{
	const uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static struct watch *watch_of(int fd)
{
	for (unsigned i = 0; i < watches; i++)
		if (watched[i]->fd == fd)
			return watched[i];
	fail_msg("descriptor %d is not watched", fd);
	return NULL;
}

static void the_kernel_learns_of_ram_and_eventfds_before_the_guest_runs(void **state)
{
	driver_ram_free(&ram);
	ram = driver_ram(8 * MIB, 4 * MIB);
	assert_int_equal(net_init(&n, &conf, &h.host, &ram, &watcher), 0);
	assert_true(vh.node[0].owned);
	assert_int_equal(vh.node[0].regions, 2);
	assert_int_equal(vh.node[0].region[0].guest_phys_addr, 0);
	assert_int_equal(vh.node[0].region[0].memory_size, 8 * MIB);
	assert_ptr_equal((void *)(uintptr_t)vh.node[0].region[0].userspace_addr, ram.host);
	assert_int_equal(vh.node[0].region[1].guest_phys_addr, GPA_4G);
	assert_int_equal(vh.node[0].region[1].memory_size, 4 * MIB);
	assert_ptr_equal((void *)(uintptr_t)vh.node[0].region[1].userspace_addr,
			 ram.host + 8 * MIB);
	assert_int_not_equal(vh.node[0].kick[0], vh.node[0].kick[1]);
	assert_int_not_equal(vh.node[0].call[0], vh.node[0].call[1]);
	assert_int_equal(watches, 3); /* two calls and an error, and not the tap */
	assert_int_equal(vh.node[0].backend[0], -1);
}

static void a_driver_has_its_rings_served(void **state)
{
	vhost_up(VIRTIO_NET_F_MRG_RXBUF | NET_OFFLOADS);
	assert_int_equal(vh.node[0].regions, 1);
	assert_int_equal(vh.node[0].features, BASIC | VIRTIO_NET_F_MRG_RXBUF);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(vh.node[0].num[i], 64);
		assert_int_equal(vh.node[0].base[i], 0);
		assert_ptr_equal((void *)(uintptr_t)vh.node[0].addr[i].desc_user_addr,
				 ram.host + v[i].desc);
		assert_ptr_equal((void *)(uintptr_t)vh.node[0].addr[i].avail_user_addr,
				 ram.host + v[i].avail);
		assert_ptr_equal((void *)(uintptr_t)vh.node[0].addr[i].used_user_addr,
				 ram.host + v[i].used);
		assert_int_equal(vh.node[0].backend[i], tun.queue[0].fd);
	}
	assert_int_equal(tun.offload, 0x67);
	assert_int_equal(tun.reads + tun.writes, 0);
}

static void a_reset_takes_the_rings_from_the_kernel_and_the_next_driver_gives_its_own(void **state)
{
	vhost_up(0);
	assert_true(driver_reset(&n.dev));
	assert_int_equal(vh.node[0].backend[0], -1);
	assert_int_equal(vh.node[0].backend[1], -1);
	vh.node[0].num[0] = 0;
	drive(BASIC, 32);
	assert_int_equal(vh.node[0].num[0], 32);
	assert_int_equal(vh.node[0].backend[0], tun.queue[0].fd);
	assert_false(driver_status(&n.dev) & VIRTIO_S_NEEDS_RESET);
}

static void a_queue_that_is_not_enabled_is_not_served(void **state)
{
	assert_int_equal(net_init(&n, &conf, &h.host, &ram, &watcher), 0);
	driver_init(&v[0], &ram, 0x100000, 64, BASIC);
	v[1].size = 0;
	assert_true(driver_bring_up(&h, &n.dev, v, 2, BASIC));
	assert_int_equal(vh.node[0].backend[0], tun.queue[0].fd);
	assert_int_equal(vh.node[0].backend[1], -1);
	assert_int_equal(rung(vh.node[0].kick[1]), 0);
}

static void notifications_are_passed_on(void **state)
{
	vhost_up(0);
	rung(vh.node[0].kick[0]);
	rung(vh.node[0].kick[1]);
	virtio_service(&n.dev);
	assert_int_equal(rung(vh.node[0].kick[0]), 1);
	assert_int_equal(rung(vh.node[0].kick[1]), 1);
	assert_true(driver_reset(&n.dev));
	virtio_service(&n.dev);
	assert_int_equal(rung(vh.node[0].kick[0]), 0);
}

static int bell(unsigned queue)
{
	int fd;

	virtio_lock(&n.dev);
	fd = n.dev.ops->kernel_bell(&n.dev, queue);
	virtio_unlock(&n.dev);
	return fd;
}

static void notifications_of_its_queues_reach_the_kernel_without_us(void **state)
{
	conf.pairs = 2;
	vhost_up(VIRTIO_NET_F_MQ | VIRTIO_NET_F_CTRL_VQ);
	assert_int_equal(bell(0), vh.node[0].kick[0]);
	assert_int_equal(bell(1), vh.node[0].kick[1]);
	assert_int_equal(bell(3), vh.node[1].kick[1]);
	assert_int_equal(bell(4), -1); /* control */
	assert_true(driver_reset(&n.dev));
	drive(BASIC | VIRTIO_NET_F_CTRL_VQ, 64);
	assert_int_equal(bell(1), vh.node[0].kick[1]);
	assert_int_equal(bell(2), -1); /* control, where there is one pair */
	assert_true(driver_reset(&n.dev));
	assert_int_equal(bell(2), -1); /* until the next start: what was connected is taken down */
}

static void only_the_kernel_has_bells_of_its_own(void **state)
{
	conf.vhost = false;
	assert_int_equal(net_init(&n, &conf, &h.host, &ram, &watcher), 0);
	assert_null(n.dev.ops->kernel_bell);
}

/* Chains that the driver added before the kernel listened. */
static void the_start_is_a_notification(void **state)
{
	vhost_up(0);
	assert_true(rung(vh.node[0].kick[0]) > 0);
	assert_true(rung(vh.node[0].kick[1]) > 0);
}

static void calls_are_interrupts_of_their_queue(void **state)
{
	struct watch *rx, *tx;

	vhost_up(0);
	rx = watch_of(vh.node[0].call[0]);
	tx = watch_of(vh.node[0].call[1]);
	rx->ready(rx, WATCH_IN);
	assert_int_equal(h.irqs[0], 1);
	tx->ready(tx, WATCH_IN);
	assert_int_equal(h.irqs[1], 1);
	assert_int_equal(n.dev.irqs, 2);
	assert_true(driver_reset(&n.dev));
	rx->ready(rx, WATCH_IN);
	assert_int_equal(h.irqs[0], 1);
}

static void calls_are_told_in_a_pause_too(void **state)
{
	struct watch *rx;

	vhost_up(0);
	rx = watch_of(vh.node[0].call[0]);
	virtio_pause(&n.dev, true);
	rx->ready(rx, WATCH_IN);
	assert_int_equal(h.irqs[0], 1);
}

/* A transport that connects eventfds, unless `masked`. */
static int wired_fd[VIRTIO_QUEUES];
static bool masked;

static void on_wire(void *ctx, unsigned queue, int fd)
{
	/* Where nothing comes any more is the end of it. */
	if (fd < 0 && queue < 2)
		assert_int_equal(vh.node[0].backend[queue], -1);
	wired_fd[queue] = fd;
}

static bool on_wired(void *ctx, unsigned queue)
{
	return wired_fd[queue] > 0 && !masked;
}

static void wired_up(void)
{
	memset(wired_fd, 0, sizeof(wired_fd));
	masked = false;
	h.irq.wire = on_wire;
	h.irq.wired = on_wired;
	vhost_up(0);
}

static void a_transport_that_can_has_the_calls_from_start_to_stop(void **state)
{
	conf.pairs = 2;
	wired_up();
	assert_int_equal(wired_fd[0], vh.node[0].call[0]);
	assert_int_equal(wired_fd[1], vh.node[0].call[1]);
	assert_int_equal(wired_fd[2], 0); /* no MQ: it is no queue of the kernel's */
	assert_true(driver_reset(&n.dev));
	assert_int_equal(wired_fd[0], -1);
	assert_int_equal(wired_fd[1], -1);
	drive(BASIC | VIRTIO_NET_F_MQ | VIRTIO_NET_F_CTRL_VQ, 64);
	assert_int_equal(wired_fd[3], vh.node[1].call[1]);
	assert_int_equal(wired_fd[4], 0); /* control */
}

static void a_call_that_the_transport_has_is_not_passed_on(void **state)
{
	struct watch *rx;

	wired_up();
	rx = watch_of(vh.node[0].call[0]);
	ring(rx->fd);
	rx->ready(rx, WATCH_IN);
	assert_int_equal(h.irqs[0], 0);
	masked = true; /* it was sent, and nobody took it: old kernels */
	ring(rx->fd);
	rx->ready(rx, WATCH_IN);
	assert_int_equal(h.irqs[0], 1);
	rx->ready(rx, WATCH_IN); /* the transport was faster: nothing is there */
	assert_int_equal(h.irqs[0], 1);
	assert_int_equal(n.dev.irqs, 1);
}

static void a_call_is_not_the_next_drivers(void **state)
{
	wired_up();
	ring(vh.node[0].call[1]);
	assert_true(driver_reset(&n.dev));
	assert_int_equal(rung(vh.node[0].call[1]), 0);
}

static void an_error_of_the_kernel_ends_it_for_all_pairs(void **state)
{
	struct watch *error;

	conf.pairs = 2;
	vhost_up(VIRTIO_NET_F_MQ | VIRTIO_NET_F_CTRL_VQ);
	error = watch_of(vh.node[1].err[0]);
	ring(error->fd);
	error->ready(error, WATCH_IN);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(vh.node[i / 2].backend[i % 2], -1);
}

static void an_error_of_the_kernel_breaks_the_device_until_the_reset(void **state)
{
	struct watch *error;

	vhost_up(0);
	error = watch_of(vh.node[0].err[1]);
	error->ready(error, WATCH_IN); /* nothing is there */
	assert_false(driver_status(&n.dev) & VIRTIO_S_NEEDS_RESET);
	ring(vh.node[0].err[1]);
	error->ready(error, WATCH_IN);
	assert_true(driver_status(&n.dev) & VIRTIO_S_NEEDS_RESET);
	ring(vh.node[0].err[1]);
	assert_true(driver_reset(&n.dev));
	drive(BASIC, 64);
	error->ready(error, WATCH_IN); /* one of the driver before */
	assert_false(driver_status(&n.dev) & VIRTIO_S_NEEDS_RESET);
}

static void rings_that_the_kernel_refuses_break_the_device(void **state)
{
	static const unsigned long request[] = {VHOST_SET_FEATURES, VHOST_SET_VRING_NUM,
						VHOST_SET_VRING_BASE, VHOST_SET_VRING_ADDR,
						VHOST_NET_SET_BACKEND};

	assert_int_equal(net_init(&n, &conf, &h.host, &ram, &watcher), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(request); i++) {
		vh.fail = request[i];
		drive(BASIC, 64);
		assert_true(driver_status(&n.dev) & VIRTIO_S_NEEDS_RESET);
		vh.fail = 0;
		assert_true(driver_reset(&n.dev));
		assert_int_equal(vh.node[0].backend[0], -1);
		assert_int_equal(vh.node[0].backend[1], -1);
	}
}

static void each_pair_has_a_vhost_of_its_own(void **state)
{
	conf.pairs = 3;
	vhost_up(VIRTIO_NET_F_MQ);
	assert_int_equal(vh.nodes, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(vh.node[i].backend[0], tun.queue[i].fd);
		assert_ptr_equal((void *)(uintptr_t)vh.node[i].addr[1].desc_user_addr,
				 ram.host + v[2 * i + 1].desc);
	}
	watch_of(vh.node[2].call[1])->ready(watch_of(vh.node[2].call[1]), WATCH_IN);
	assert_int_equal(h.irqs[5], 1);
}

static int init(void)
{
	return net_init(&n, &conf, &h.host, &ram, &watcher);
}

static void what_cannot_be_had_is_said(void **state)
{
	static const unsigned long request[] = {VHOST_SET_OWNER,      VHOST_GET_FEATURES,
						VHOST_SET_MEM_TABLE,  VHOST_SET_VRING_KICK,
						VHOST_SET_VRING_CALL, VHOST_SET_VRING_ERR};

	conf.tx_ops.size = 1;
	assert_fails(init(), EINVAL, "knows no limits");
	conf.tx_ops.size = 0;
	vh.open_err = ENOENT;
	assert_fails(init(), ENOENT, "modprobe vhost_net");
	vh.open_err = EACCES;
	assert_fails(init(), EACCES, "access to it");
	vh.open_err = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(request); i++) {
		vh.nodes = 0;
		vh.fail = request[i];
		assert_fails(init(), EFAULT, "vhost-net cannot be used");
		assert_int_equal(fcntl(vh.node[0].fd, F_GETFD), -1);
		close(tun.queue[0].peer);
		tun.queues = 0;
	}
	vh.nodes = 0;
	vh.fail = 0;
	vh.has = VIRTIO_F_VERSION_1;
	assert_fails(init(), EOPNOTSUPP, "vhost-net cannot be used");
	vh.nodes = 0;
	vh.has = ~0ull;
	watch_err = ENOSPC;
	assert_fails(init(), ENOSPC, "cannot be watched");
	assert_int_equal(fcntl(vh.node[0].fd, F_GETFD), -1);
	assert_int_equal(n.vhosts, 0);
}

static void control_commands_are_ours(void **state)
{
	uint8_t *msg;
	uint64_t at;

	conf.pairs = 2;
	vhost_up(VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_MQ);
	at = driver_alloc(&v[4], 16);
	msg = driver_at(&v[4], at, 5);
	memcpy(msg, (uint8_t[]){4, 0, 2, 0, 0xcc}, 5);
	driver_add(&v[4],
		   (struct driver_buf[]){
			   {at,     4, false},
                           {at + 4, 1, true }
        },
		   2);
	driver_kick(&v[4], &n.dev);
	assert_int_equal(msg[4], 0);
	assert_true(tun.queue[1].on);
}

/* The queue that would be the second pair's is the control queue [virtio 1.2, 5.1.2]. */
static void without_mq_the_kernel_has_the_first_pair_alone(void **state)
{
	conf.pairs = 2;
	vhost_up(VIRTIO_NET_F_CTRL_VQ);
	assert_int_equal(vh.node[0].backend[0], tun.queue[0].fd);
	assert_int_equal(vh.node[1].backend[0], -1);
	assert_int_equal(vh.node[1].backend[1], -1);
}

#define V(f) cmocka_unit_test_setup_teardown(f, vhost_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		V(the_kernel_learns_of_ram_and_eventfds_before_the_guest_runs),
		V(a_driver_has_its_rings_served),
		V(a_reset_takes_the_rings_from_the_kernel_and_the_next_driver_gives_its_own),
		V(a_queue_that_is_not_enabled_is_not_served),
		V(notifications_are_passed_on),
		V(notifications_of_its_queues_reach_the_kernel_without_us),
		V(only_the_kernel_has_bells_of_its_own),
		V(the_start_is_a_notification),
		V(calls_are_interrupts_of_their_queue),
		V(calls_are_told_in_a_pause_too),
		V(a_transport_that_can_has_the_calls_from_start_to_stop),
		V(a_call_that_the_transport_has_is_not_passed_on),
		V(a_call_is_not_the_next_drivers),
		V(an_error_of_the_kernel_ends_it_for_all_pairs),
		V(an_error_of_the_kernel_breaks_the_device_until_the_reset),
		V(rings_that_the_kernel_refuses_break_the_device),
		V(each_pair_has_a_vhost_of_its_own),
		V(what_cannot_be_had_is_said),
		V(control_commands_are_ours),
		V(without_mq_the_kernel_has_the_first_pair_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
