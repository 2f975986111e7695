/*
 * blk_cmd.h - one request of the guest's block driver, read out of its chain and checked
 * [virtio 1.2, 5.2.6].
 */
#pragma once
#include "queue.h"

/* Features [5.2.3]. */
#define VIRTIO_BLK_F_SEG_MAX      BIT(2)
#define VIRTIO_BLK_F_RO           BIT(5)
#define VIRTIO_BLK_F_BLK_SIZE     BIT(6)
#define VIRTIO_BLK_F_FLUSH        BIT(9)
#define VIRTIO_BLK_F_MQ           BIT(12)
#define VIRTIO_BLK_F_DISCARD      BIT(13)
#define VIRTIO_BLK_F_WRITE_ZEROES BIT(14)

#define VIRTIO_BLK_T_IN           0u
#define VIRTIO_BLK_T_OUT          1u
#define VIRTIO_BLK_T_FLUSH        4u
#define VIRTIO_BLK_T_GET_ID       8u
#define VIRTIO_BLK_T_DISCARD      11u
#define VIRTIO_BLK_T_WRITE_ZEROES 13u

#define VIRTIO_BLK_S_OK     0
#define VIRTIO_BLK_S_IOERR  1
#define VIRTIO_BLK_S_UNSUPP 2

#define VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP BIT(0)

#define BLK_RANGES_MAX    16u                /* of one DISCARD or WRITE_ZEROES */
#define BLK_RANGE_SECTORS (2u * 1024 * 1024) /* 1 GiB */

/* What DISCARD and WRITE_ZEROES give as their data. */
struct blk_range {
	uint64_t sector;
	uint32_t sectors, flags;
};

/* What a request is checked against. */
struct blk_rules {
	uint64_t sectors;
	uint64_t offered, acked; /* features */
};

struct blk_cmd {
	bool whole; /* the header was all there */
	uint32_t type;
	uint64_t sector;
	uint8_t *status;    /* in guest memory: the last byte that the driver gives to write */
	struct iovec *data; /* in the chain: without header and status */
	unsigned iovs;
	uint32_t len; /* of data, bytes */
	unsigned ranges;
	struct blk_range range[BLK_RANGES_MAX];
};

/*
 * Reads the request, once; cuts header and status byte off the chain's buffers, wherever they end.
 * false: there is no byte for the status.
 */
bool blk_cmd_read(struct blk_cmd *cmd, struct chain *c);
/* OK, or the status that it is to be refused with. */
uint8_t blk_cmd_check(const struct blk_cmd *cmd, const struct blk_rules *rules);
