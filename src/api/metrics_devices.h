/*
 * metrics_devices.h - what our devices count, by Firecracker's keys. Loop's thread; the counters of
 * a device that runs are read as they are.
 */
#pragma once
#include "../kvm/vm.h"
#include "../mmds/counters.h"
#include "../virtio/balloon.h"
#include "../virtio/blk.h"
#include "../virtio/net.h"
#include "../virtio/rng.h"
#include "../virtio/vsock.h"
#include "metrics.h"

void metrics_vcpus(struct metrics_vcpu *m, const struct vm *vm);
void metrics_mmds(struct metrics_mmds *m, const struct mmds_counters *c);
void metrics_blk(struct metrics_block *m, const struct blk *b);
void metrics_net(struct metrics_net *m, const struct net *n);
void metrics_vsock(struct metrics_vsock *m, const struct vsock *v);
void metrics_rng(struct metrics_entropy *m, const struct rng *r);
void metrics_balloon(struct metrics_balloon *m, const struct balloon *b);
