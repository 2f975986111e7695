/*
 * blk.h - virtio block device over a raw file or block device [virtio 1.2, 5.2]. Contents are never
 * looked at: there is no other format than raw.
 */
#pragma once
#include "../watch.h"
#include "blk_io.h"
#include "limiter.h"
#include "virtio.h"

#define BLK_QUEUES_MAX 8u
#define BLK_ID_LEN     20u

enum blk_cache {
	BLK_CACHE_WRITEBACK, /* flush is offered, and reaches the medium */
	BLK_CACHE_UNSAFE,    /* no flush is offered: what Firecracker calls Unsafe */
};

struct blk_conf {
	const char *path;
	bool readonly;
	enum blk_cache cache;
	char id[BLK_ID_LEN + 1]; /* what GET_ID gives; "": from device and inode, as Firecracker */
	unsigned queues;         /* 1..BLK_QUEUES_MAX */
	struct limit_conf bytes, ops;
};

struct blk {
	struct virtio_dev dev;
};

/* Opens the file and makes the device. 0 or -errno, logged. Before lock-down; must not move. */
int blk_init(struct blk *b, const struct blk_conf *c, const struct virtio_host *host,
	     const struct ram *ram, struct blk_io *io);
/*
 * Loop's thread, any time: from now on the disk is `path`, opened as the first was; the guest gets
 * a configuration change. Requests in flight end on the old file. 0 or -errno, logged.
 */
int blk_replace(struct blk *b, const char *path);
void blk_set_limits(struct blk *b, const struct limit_conf *bytes, const struct limit_conf *ops);
