/*
 * devices.h - the machine's virtio devices, by value: made from the options, plugged into the board
 * over one transport, served by the loop.
 */
#pragma once
#include "devconf.h"
#include "kvm/vm.h"
#include "loop.h"
#include "pc/vmmio.h"
#include "pc/vpci.h"

/* One of them, whatever it is. */
struct device {
	struct virtio_dev *dev;
	struct watch kick; /* an eventfd: the driver's notifications, and our own */
	_Atomic bool lent; /* ... which somebody else reads; then our own are `called` */
	_Atomic bool called;
	union {
		struct vpci pci;
		struct vmmio mmio;
	};
};

struct devices {
	unsigned n, disks, nets; /* that were made */
	struct device device[DEVICES_MAX];
	struct vm *vm;
	struct board *board;
	struct virtio_host host;
	struct watcher watcher;
	_Atomic uint64_t next; /* when the earliest virtio_tick() is due, at the latest */
	bool sockets;          /* some device makes sockets while the guest runs */
	bool vhost;            /* some network's packets are moved by the kernel */

	struct blk_io io;
	struct blk disk[DISKS_MAX];
	struct net net[NETS_MAX];
	struct vsock vsock;
	struct rng rng;
	struct balloon balloon;
};

/*
 * Opens what the devices need of the host and plugs them into the board, in the order disks,
 * networks, vsock, entropy, balloon: after board_init() and loop_init(), before lock-down. `ds`
 * must be zero and not move. 0, or -errno, logged; then devices_finish() still has to be called.
 */
int devices_init(struct devices *ds, const struct devices_conf *c, struct vm *vm,
		 struct board *board, const struct ram *ram, struct loop *loop);
/*
 * Starts the devices' own thread, if they have one, which first calls `confine`: after
 * sandbox_drop(), before the guest runs. 0 or -errno, logged.
 */
int devices_start(struct devices *ds, int (*confine)(void));
/*
 * What a guest without ACPI needs to find the devices behind MMIO, as words of a kernel command
 * line with a space before each: written to `buf`. The length, like snprintf().
 */
size_t devices_cmdline(const struct devices_conf *c, char *buf, size_t size);
/* The loop's turn: true if there is more to do at once. */
bool devices_turn(struct devices *ds, uint64_t now);
/*
 * Nothing is processed from now on, or it goes on. Requests to files that are under way end. A vCPU
 * that waits for a device to stop is let go for the pause, and waits on after it.
 */
void devices_pause(struct devices *ds, bool paused);
/* The end of a run: what was made in the file system goes away. */
void devices_finish(struct devices *ds);
/* Takes back all that devices_init() did, however far it came: for a machine that never ran. */
void devices_destroy(struct devices *ds);
