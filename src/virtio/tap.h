/*
 * tap.h - the host's end of a network: a tap that carries a virtio header before each frame, with
 * one descriptor a pair of queues.
 */
#pragma once
#include <net/if.h>

#include "../util.h"

#define TAP_PAIRS_MAX 8u
#define TAP_HDR_LEN   12u /* of the header before a frame: num_buffers is part of it */

/* What the reader of a tap takes as it is: the kernel's TUN_F_*, of which USO is of Linux 6.2. */
#define TAP_F_CSUM BIT(0) /* frames whose checksum is still to be filled in */
#define TAP_F_TSO4 BIT(1) /* TCP segments of up to 64 KiB; only with CSUM, as the others */
#define TAP_F_TSO6 BIT(2)
#define TAP_F_USO4 BIT(5) /* UDP; the kernel knows these two only together */
#define TAP_F_USO6 BIT(6)

struct tap {
	char name[IFNAMSIZ];
	unsigned pairs;
	int fd[TAP_PAIRS_MAX]; /* -1: not open */
	unsigned on;           /* the kernel spreads packets over the first `on` pairs */
	bool uso;              /* the kernel knows TAP_F_USO4 and TAP_F_USO6 */
	unsigned offloads;     /* TAP_F_*, what the kernel was told last */
};

/*
 * Opens tap `name`, which is made if it does not exist and the caller may (CAP_NET_ADMIN), and then
 * goes away with its last descriptor; or takes `fd`, an open one, if `name` is NULL; with both and
 * `fd` above 0 a duplicate of it, which is the tap of this name. Afterwards one pair is on, all
 * that the kernel knows is offloaded, until tap_offload() is told what the reader takes, and no
 * descriptor blocks. 0 or -errno, logged; then all is closed but `fd`. Before lock-down.
 */
int tap_open(struct tap *t, const char *name, int fd, unsigned pairs);
void tap_close(struct tap *t);

/*
 * Sets the offloads. A frame that is queued already keeps its shape. 0 or -errno, not logged. This
 * and the next wait for the host's network lock.
 */
int tap_offload(struct tap *t, unsigned offloads);
/* How many pairs are on, 1..pairs. 0 or -errno, not logged: fewer or more changed than asked. */
int tap_turn_on(struct tap *t, unsigned pairs);
