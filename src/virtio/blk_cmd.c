/*
 * blk_cmd.c - requests of the block driver [virtio 1.2, 5.2.6]. Nothing is assumed of how a driver
 * divides header, data and status into buffers [2.7.4.1].
 * Modelled: IN, OUT, FLUSH, GET_ID, DISCARD, WRITE_ZEROES.
 * Not modelled: lifetime, secure erase, zones, SCSI commands, barriers: unsupported.
 * The guest's memory is read once; no state. Device lock held by the caller.
 */
#include "blk_cmd.h"

#include "blk_call.h"
#include "blk_file.h"

struct blk_hdr {
	uint32_t type, ioprio;
	uint64_t sector;
};

static bool has_ranges(const struct blk_cmd *cmd)
{
	return cmd->type == VIRTIO_BLK_T_DISCARD || cmd->type == VIRTIO_BLK_T_WRITE_ZEROES;
}

bool blk_cmd_read(struct blk_cmd *cmd, struct chain *c)
{
	struct blk_hdr h = {0};
	struct iovec *last;
	bool in;

	if (c->write_bytes == 0)
		return false;
	cmd->whole = chain_read(c, 0, &h, sizeof(h)) == sizeof(h);
	cmd->type = h.type;
	cmd->sector = h.sector;
	cmd->ranges = 0;
	last = &c->iov[c->readable + c->writable - 1];
	cmd->status = (uint8_t *)last->iov_base + last->iov_len - 1;
	if (--last->iov_len == 0)
		c->writable--;
	c->write_bytes--;

	in = cmd->type == VIRTIO_BLK_T_IN || cmd->type == VIRTIO_BLK_T_GET_ID;
	cmd->data = in ? c->iov + c->readable : c->iov;
	cmd->iovs = in ? c->writable : c->readable;
	cmd->len = in ? c->write_bytes : c->read_bytes;
	if (in || !cmd->whole)
		return true;
	if (has_ranges(cmd) && cmd->len - sizeof(h) <= sizeof(cmd->range))
		cmd->ranges = (unsigned)(chain_read(c, sizeof(h), cmd->range, sizeof(cmd->range)) /
					 sizeof(cmd->range[0]));
	blk_iov_cut(&cmd->data, &cmd->iovs, sizeof(h));
	cmd->len -= (uint32_t)sizeof(h);
	return true;
}

/* No sum, no shift: nothing to overflow. */
static bool inside(const struct blk_rules *rules, uint64_t sector, uint64_t sectors)
{
	return sector <= rules->sectors && sectors <= rules->sectors - sector;
}

static uint8_t check_data(const struct blk_cmd *cmd, const struct blk_rules *rules)
{
	if (cmd->len % BLK_SECTOR || !inside(rules, cmd->sector, cmd->len / BLK_SECTOR))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

/* All of them, before the first is carried out. */
static uint8_t check_ranges(const struct blk_cmd *cmd, const struct blk_rules *rules)
{
	uint32_t known = cmd->type == VIRTIO_BLK_T_DISCARD ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;

	if (cmd->ranges == 0 || cmd->len != cmd->ranges * sizeof(cmd->range[0]))
		return VIRTIO_BLK_S_IOERR;
	for (unsigned i = 0; i < cmd->ranges; i++)
		if (cmd->range[i].flags & ~known)
			return VIRTIO_BLK_S_UNSUPP;
	for (unsigned i = 0; i < cmd->ranges; i++) {
		const struct blk_range *r = &cmd->range[i];

		if (r->sectors > BLK_RANGE_SECTORS || !inside(rules, r->sector, r->sectors))
			return VIRTIO_BLK_S_IOERR;
	}
	return VIRTIO_BLK_S_OK;
}

uint8_t blk_cmd_check(const struct blk_cmd *cmd, const struct blk_rules *rules)
{
	bool readonly = rules->offered & VIRTIO_BLK_F_RO, has;

	if (!cmd->whole)
		return VIRTIO_BLK_S_IOERR;
	/* A disk is read-only whether the driver took that feature or not [5.2.6.2]. */
	if (readonly && (cmd->type == VIRTIO_BLK_T_OUT || has_ranges(cmd)))
		return VIRTIO_BLK_S_IOERR;
	switch (cmd->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT: return check_data(cmd, rules);
	case VIRTIO_BLK_T_GET_ID: return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_FLUSH: has = rules->offered & VIRTIO_BLK_F_FLUSH; break;
	case VIRTIO_BLK_T_DISCARD: has = rules->acked & VIRTIO_BLK_F_DISCARD; break;
	case VIRTIO_BLK_T_WRITE_ZEROES: has = rules->acked & VIRTIO_BLK_F_WRITE_ZEROES; break;
	default: has = false;
	}
	if (!has)
		return VIRTIO_BLK_S_UNSUPP;
	return has_ranges(cmd) ? check_ranges(cmd, rules) : VIRTIO_BLK_S_OK;
}
