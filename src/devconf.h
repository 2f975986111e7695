/*
 * devconf.h - which virtio devices a machine has, and the words on the command line that say so:
 * VALUE[,key[=value]]...
 */
#pragma once
#include "virtio/balloon.h"
#include "virtio/blk.h"
#include "virtio/net.h"
#include "virtio/rng.h"
#include "virtio/vsock.h"

#define DISKS_MAX   16u
#define NETS_MAX    8u
#define DEVICES_MAX (DISKS_MAX + NETS_MAX + 3u) /* vsock, rng, balloon; slots 2..31 hold them */

enum transport { TRANSPORT_PCI, TRANSPORT_MMIO };

struct devices_conf {
	enum transport transport;
	unsigned disks, nets;
	bool vsock, rng, balloon;
	bool worker; /* disks by a worker thread, also where io_uring is to be had */
	struct blk_conf disk[DISKS_MAX];
	struct net_conf net[NETS_MAX];
	struct vsock_conf vsock_conf;
	struct rng_conf rng_conf;
	struct balloon_conf balloon_conf;
};

/*
 * Each takes the value of one option, which is cut at its commas and kept. 0, or -EINVAL with one
 * sentence logged.
 */
int devconf_disk(struct devices_conf *c, char *val);
int devconf_net(struct devices_conf *c, char *val);
int devconf_vsock(struct devices_conf *c, char *val);
int devconf_balloon(struct devices_conf *c, char *val);
/*
 * How much of a kernel command line is the kernel's: what comes after " -- " is for its init. Words
 * for the kernel are added there.
 */
size_t devconf_kernel_words(const char *cmdline);
/* How many devices there are. */
unsigned devconf_count(const struct devices_conf *c);
/*
 * After all options: what only their sum tells. `cpus` gives disks that name no number of queues
 * one a vCPU. 0, or -EINVAL, logged.
 */
int devconf_check(struct devices_conf *c, unsigned cpus);
