/*
 * devices.c - the virtio devices between board, loop and KVM. A notification reaches the loop by an
 * eventfd that KVM signals; it is edge-triggered and never read, as the timer.
 */
#include "devices.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "boot/acpi.h"
#include "clock.h"
#include "log.h"

#define PCI_FIRST_SLOT 2u

_Static_assert(NETS_MAX *NET_PAIRS_MAX *VHOST_QUEUES <= VM_WIRES, "a wire for each queue");
_Static_assert(NET_PAIRS_MAX *VHOST_QUEUES <= MSIX_WIRES, "of each device, too");

static struct device *device_of(struct devices *ds, const struct virtio_dev *dev)
{
	return &ds->device[dev->slot];
}

/* --- what devices ask of the monitor --- */

static void host_kick(void *ctx, struct virtio_dev *dev)
{
	struct devices *ds = ctx;
	struct device *d = device_of(ds, dev);
	uint64_t one = 1;

	if (atomic_load(&d->lent)) {
		atomic_store(&d->called, true);
		board_wake(ds->board);
	} else if (write(d->kick.fd, &one, sizeof(one)) < 0) {
		return; /* cannot be: the counter never fills */
	}
}

/* A kick that came in between reaches who has it, who kicks again. */
static int host_lend(void *ctx, struct virtio_dev *dev, bool away)
{
	struct devices *ds = ctx;
	struct device *d = device_of(ds, dev);

	atomic_store(&d->lent, away);
	ds->watcher.mute(ds->watcher.ctx, &d->kick, away);
	return d->kick.fd;
}

static void host_wake_at(void *ctx, uint64_t deadline)
{
	struct devices *ds = ctx;
	uint64_t next = atomic_load(&ds->next);

	do {
		if (deadline >= next)
			return;
	} while (!atomic_compare_exchange_weak(&ds->next, &next, deadline));
	board_wake_at(ds->board, deadline);
}

/* One bell for all queues, or one each where the kernel serves some of them itself. */
static void set_bells(struct devices *ds, struct virtio_dev *dev, uint64_t gpa, bool on)
{
	int kick = device_of(ds, dev)->kick.fd;

	if (!gpa)
		return;
	if (!dev->ops->kernel_bell)
		return vm_bell(ds->vm, gpa, kick, on);
	for (unsigned n = 0; n < dev->queues; n++) {
		int fd = dev->ops->kernel_bell(dev, n);

		vm_bell_of(ds->vm, gpa, dev->bell_len, n, fd >= 0 ? fd : kick, on);
	}
}

static void host_bell(void *ctx, struct virtio_dev *dev, uint64_t old, uint64_t gpa)
{
	set_bells(ctx, dev, old, false);
	set_bells(ctx, dev, gpa, true);
}

/* A device that this vCPU was waiting for when the machine was paused. */
static _Thread_local struct virtio_dev *awaited;

/*
 * The loop answers, unless the run ends meanwhile. In a pause it may not: then the vCPU parks as at
 * any other time, with the access complete, and goes on waiting before it enters the guest again.
 */
static void host_await_reset(void *ctx, struct virtio_dev *dev)
{
	const struct timespec look = {.tv_nsec = 50000000}; /* for the end of the run */
	struct devices *ds = ctx;
	int detail;

	while (vm_ended(ds->vm, &detail) == VM_RUNNING) {
		uint32_t seen = atomic_load(&dev->resets);
		bool stopping;

		virtio_lock(dev);
		stopping = dev->stopping;
		virtio_unlock(dev);
		if (!stopping)
			return;
		if (vm_pausing(ds->vm)) {
			awaited = dev;
			return;
		}
		syscall(SYS_futex, &dev->resets, FUTEX_WAIT_PRIVATE, seen, &look, NULL, 0);
	}
}

static void resumed(void *ctx)
{
	struct virtio_dev *dev = awaited;

	awaited = NULL;
	if (dev)
		host_await_reset(ctx, dev);
}

static void kicked(struct watch *w, uint32_t events)
{
	virtio_service(w->owner);
}

/* --- making them --- */

static int plug(struct devices *ds, struct virtio_dev *dev, enum transport transport)
{
	struct device *d = &ds->device[ds->n];

	dev->slot = ds->n;
	d->dev = dev;
	d->kick = (struct watch){.fd = eventfd(0, EFD_CLOEXEC), .ready = kicked, .owner = dev};
	if (d->kick.fd < 0)
		return log_fail(errno, "eventfd: %s", strerror(errno));
	ds->n++;
	if (transport == TRANSPORT_PCI)
		board_add_pci(ds->board, PCI_FIRST_SLOT + dev->slot, &d->pci, dev);
	else
		board_add_mmio(ds->board, dev->slot, &d->mmio, dev);
	return ds->watcher.add(ds->watcher.ctx, &d->kick);
}

static enum blk_engine engine(const struct devices_conf *c)
{
	if (c->worker)
		return BLK_ENGINE_WORKER;
	for (unsigned i = 0; i < c->disks; i++)
		if (!c->disk[i].readonly)
			return BLK_ENGINE_BOTH;
	return BLK_ENGINE_RING;
}

static int make_disks(struct devices *ds, const struct devices_conf *c, const struct ram *ram)
{
	int err = 0;

	if (c->disks)
		err = blk_io_init(&ds->io, &ds->watcher, engine(c));
	for (unsigned i = 0; i < c->disks && !err; i++) {
		err = blk_init(&ds->disk[i], &c->disk[i], &ds->host, ram, &ds->io);
		ds->disks += !err;
		if (!err)
			err = plug(ds, &ds->disk[i].dev, c->transport);
	}
	return err;
}

static int make_nets(struct devices *ds, const struct devices_conf *c, const struct ram *ram)
{
	int err = 0;

	for (unsigned i = 0; i < c->nets && !err; i++) {
		err = net_init(&ds->net[i], &c->net[i], &ds->host, ram, &ds->watcher);
		ds->nets += !err;
		ds->vhost = ds->vhost || c->net[i].vhost;
		if (!err)
			err = plug(ds, &ds->net[i].dev, c->transport);
	}
	return err;
}

static int make_others(struct devices *ds, const struct devices_conf *c, const struct ram *ram)
{
	int err = 0;

	if (c->vsock) {
		err = vsock_init(&ds->vsock, &c->vsock_conf, &ds->host, ram, &ds->watcher);
		ds->sockets = !err;
		if (!err)
			err = plug(ds, &ds->vsock.dev, c->transport);
	}
	if (c->rng && !err) {
		rng_init(&ds->rng, &c->rng_conf, &ds->host, ram);
		err = plug(ds, &ds->rng.dev, c->transport);
	}
	if (c->balloon && !err) {
		balloon_init(&ds->balloon, &c->balloon_conf, &ds->host, ram);
		err = plug(ds, &ds->balloon.dev, c->transport);
	}
	return err;
}

int devices_init(struct devices *ds, const struct devices_conf *c, struct vm *vm,
		 struct board *board, const struct ram *ram, struct loop *loop)
{
	int err;

	ds->vm = vm;
	ds->board = board;
	ds->next = NEVER;
	ds->host = (struct virtio_host){.ctx = ds,
					.kick = host_kick,
					.wake_at = host_wake_at,
					.bell = host_bell,
					.lend = host_lend,
					.await_reset = host_await_reset};
	vm->resumed = resumed;
	vm->resumed_ctx = ds;
	loop_watcher(loop, &ds->watcher);
	err = make_disks(ds, c, ram);
	if (!err)
		err = make_nets(ds, c, ram);
	if (!err)
		err = make_others(ds, c, ram);
	if (!err && c->transport == TRANSPORT_MMIO && ds->n)
		err = acpi_windows(ram, (uint32_t)MASK(ds->n - 1, 0));
	return err;
}

int devices_start(struct devices *ds, int (*confine)(void))
{
	return ds->io.watcher ? blk_io_start(&ds->io, confine) : 0;
}

size_t devices_cmdline(const struct devices_conf *c, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = '\0';
	for (unsigned i = 0; c->transport == TRANSPORT_MMIO && i < devconf_count(c); i++)
		len += (size_t)snprintf(buf + MIN(len, size), size - MIN(len, size),
					" virtio_mmio.device=4K@%#llx:%u",
					GPA_VIRTIO_MMIO + i * (4 * KIB), board_window_gsi(i));
	return len;
}

bool devices_turn(struct devices *ds, uint64_t now)
{
	uint64_t next = atomic_load(&ds->next);
	bool more = false;

	if (now >= next) {
		/* Before the devices are asked: what they ask for meanwhile stays. */
		atomic_store(&ds->next, NEVER);
		for (unsigned i = 0; i < ds->n; i++)
			host_wake_at(ds, virtio_tick(ds->device[i].dev, now));
	} else if (next != NEVER) {
		board_wake_at(ds->board, next); /* the timer has fired for something else */
	}
	for (unsigned i = 0; i < ds->n; i++) {
		struct virtio_dev *dev = ds->device[i].dev;

		if (dev->again || atomic_load(&ds->device[i].called)) {
			atomic_store(&ds->device[i].called, false);
			virtio_service(dev);
		}
		more |= dev->again;
	}
	return more;
}

void devices_pause(struct devices *ds, bool paused)
{
	for (unsigned i = 0; i < ds->n; i++)
		virtio_pause(ds->device[i].dev, paused);
}

void devices_finish(struct devices *ds)
{
	if (ds->sockets)
		vsock_finish(&ds->vsock);
}

void devices_destroy(struct devices *ds)
{
	for (unsigned i = 0; i < ds->n; i++) {
		struct watch *kick = &ds->device[i].kick;
		int fd = kick->fd;

		ds->watcher.del(ds->watcher.ctx, kick);
		close(fd);
	}
	devices_finish(ds);
	for (unsigned i = 0; i < ds->nets; i++)
		net_close(&ds->net[i]);
	for (unsigned i = 0; i < ds->disks; i++)
		blk_finish(&ds->disk[i]);
	if (ds->io.watcher)
		blk_io_finish(&ds->io);
	memset(ds, 0, sizeof(*ds));
}
