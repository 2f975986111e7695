/*
 * victim.h - one harmless request of each kind of device, so that an attack on one can be followed
 * by a look whether it recovered and whether the others never noticed.
 */
#pragma once
#include "virtio.h"

/* All devices found, opened; fails the guest without any. */
extern struct vdev victims[DEVICES_MAX];
extern unsigned victim_count;
void victims_find(void);

/* The queue that the device looks at whenever it is notified. */
struct vq *victim_queue(struct vdev *v);
/* Puts a harmless request into the descriptors from `head` on (up to 3). Not notified. */
void victim_put(struct vdev *v, unsigned head);
/* Reset, ready, and a harmless request is answered; says what does not hold. */
void victim_works(struct vdev *v, const char *after);
/* Another device still answers, without being touched; `v` if there is no other. */
void victim_others(struct vdev *v, const char *during);
/* The device asks for a reset, by status and by interrupt, and stands still; a reset cures it. */
void victim_recovers(struct vdev *v, const char *after);

/* Fails the guest: "blk: WHAT: WHY". */
_Noreturn void victim_fail(struct vdev *v, const char *what, const char *why);
