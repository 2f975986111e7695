/*
 * vhost.h - one pair of queues that the kernel's vhost-net serves: packets go between tap and rings
 * in a thread of the kernel [Linux, include/uapi/linux/vhost.h]. Notifications and interrupts are
 * eventfds on both sides.
 */
#pragma once
#include "../watch.h"
#include "queue.h"

enum { VHOST_RX, VHOST_TX, VHOST_QUEUES };

struct vhost {
	int fd;                 /* -1: none */
	int kick[VHOST_QUEUES]; /* to the kernel: the driver notifies */
	int call[VHOST_QUEUES]; /* from it: the driver is to be interrupted */
	int error;              /* from it: a ring cannot be used */
	bool on[VHOST_QUEUES];  /* the kernel serves the queue */
};

/*
 * Opens /dev/vhost-net, which has to know `features`, those of rings and buffers, and tells it of
 * guest RAM and the eventfds. 0 or -errno, logged for network `name`; then nothing is open. Before
 * lock-down.
 */
int vhost_open(struct vhost *v, const char *name, const struct ram *ram, uint64_t features);
void vhost_close(struct vhost *v);
/*
 * The kernel serves the queues of the pair that have been started, with those of the features that
 * the driver negotiated. 0 or -errno, not logged; then it serves none.
 */
int vhost_start(struct vhost *v, uint64_t features, const struct queue *rx, const struct queue *tx,
		int tap);
/* When it returns the kernel touches guest memory no more. */
void vhost_stop(struct vhost *v);
/* The driver notified; which of the queues is not known. */
void vhost_kick(const struct vhost *v);
