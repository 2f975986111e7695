/* victim.c - see victim.h. */
#include "victim.h"

#define BLK_GET_ID    8
#define BLK_ID_LEN    20
#define NET_HEADER    12
#define NET_FRAME     60
#define NET_ETHERTYPE 0xb588 /* 88B5h, for local experiments */
#define VSOCK_OP_RST  3
#define VSOCK_STREAM  1
#define STILL_US      2000

struct vdev victims[DEVICES_MAX];
unsigned victim_count;

/* What the requests carry; nothing of it is needed again. */
static struct {
	uint32_t blk_head[4];
	uint8_t blk_data[32];
	uint8_t blk_status[16];
	uint16_t net[(NET_HEADER + NET_FRAME) / 2];
	struct {
		uint64_t src_cid, dst_cid;
		uint32_t src_port, dst_port, len;
		uint16_t type, op;
		uint32_t flags, buf_alloc, fwd_cnt;
	} __attribute__((packed)) vsock;
	uint32_t pfn;
	uint8_t entropy[64];
} * stuff;

void victim_fail(struct vdev *v, const char *what, const char *why)
{
	say("%s: %s: ", v->name, what);
	fail(why);
}

void victims_find(void)
{
	victim_count = virtio_find(victims, DEVICES_MAX);
	if (!victim_count)
		fail("there is no device");
	stuff = take(sizeof(*stuff), 64);
	stuff->blk_head[0] = BLK_GET_ID;
	memset(stuff->net + NET_HEADER / 2, 0xff, 6);
	stuff->net[(NET_HEADER + 12) / 2] = NET_ETHERTYPE;
	stuff->vsock.dst_cid = 2;
	stuff->vsock.src_port = stuff->vsock.dst_port = 0xfffe;
	stuff->vsock.type = VSOCK_STREAM;
	stuff->vsock.op = VSOCK_OP_RST;
	stuff->pfn = (uint32_t)take(4096, 4096) / 4096;
	for (unsigned i = 0; i < victim_count; i++)
		vdev_open(&victims[i], 0);
}

struct vq *victim_queue(struct vdev *v)
{
	return &v->q[v->id == ID_NET || v->id == ID_VSOCK];
}

void victim_put(struct vdev *v, unsigned head)
{
	const struct buf blk[] = {
		{stuff->blk_head,   sizeof(stuff->blk_head), false},
		{stuff->blk_data,   BLK_ID_LEN,              true },
		{stuff->blk_status, 1,                       true },
	};
	const struct buf net = {stuff->net, sizeof(stuff->net), false};
	const struct buf vsock = {&stuff->vsock, sizeof(stuff->vsock), false};
	const struct buf rng = {stuff->entropy, sizeof(stuff->entropy), true};
	const struct buf balloon = {&stuff->pfn, sizeof(stuff->pfn), false};
	struct vq *q = victim_queue(v);

	switch (v->id) {
	case ID_BLK:
		stuff->blk_status[0] = 0xff;
		vq_put(q, head, blk, 3);
		break;
	case ID_NET: vq_put(q, head, &net, 1); break;
	case ID_VSOCK:
		stuff->vsock.src_cid = *mmio32(v->config);
		vq_put(q, head, &vsock, 1);
		break;
	case ID_RNG:
		stuff->entropy[0] = stuff->entropy[63] = 0;
		memset(stuff->entropy, 0, sizeof(stuff->entropy));
		vq_put(q, head, &rng, 1);
		break;
	default: vq_put(q, head, &balloon, 1); break;
	}
}

/* Is the answer one? */
static bool good(struct vdev *v, uint32_t len)
{
	uint32_t sum = 0;

	switch (v->id) {
	case ID_BLK: return len == BLK_ID_LEN + 1 && stuff->blk_status[0] == 0;
	case ID_RNG:
		for (unsigned i = 0; i < sizeof(stuff->entropy); i++)
			sum += stuff->entropy[i];
		return len == sizeof(stuff->entropy) && sum;
	default: return len == 0;
	}
}

static void ask(struct vdev *v, const char *when)
{
	struct vq *q = victim_queue(v);
	uint32_t head, len;

	victim_put(v, 0);
	vq_notify(q);
	if (!vq_wait(q, &head, &len))
		victim_fail(v, when, "a harmless request is not answered");
	if (head != 0 || !good(v, len))
		victim_fail(v, when, "a harmless request is answered wrongly");
	if (vdev_status(v) & S_NEEDS_RESET)
		victim_fail(v, when, "it asks for a reset");
}

void victim_works(struct vdev *v, const char *after)
{
	vdev_open(v, 0);
	ask(v, after);
}

void victim_others(struct vdev *v, const char *during)
{
	for (unsigned i = 0; i < victim_count; i++)
		if (&victims[i] != v)
			ask(&victims[i], during);
}

void victim_recovers(struct vdev *v, const char *after)
{
	struct vq *q = victim_queue(v);
	struct stopwatch s;
	uint16_t idx;

	stopwatch_start(&s);
	while (!(vdev_status(v) & S_NEEDS_RESET))
		if (stopwatch_us(&s) > PATIENCE_US)
			victim_fail(v, after, "no reset is asked for");
	if (!(vdev_isr(v) & ISR_CONFIG))
		victim_fail(v, after, "no interrupt tells of it");
	victim_others(v, after);
	idx = q->used ? q->used->idx : 0;
	vq_notify(q);
	wait_us(STILL_US);
	if (q->used->idx != idx)
		victim_fail(v, after, "it goes on without a reset");
	vdev_reset(v);
	victim_works(v, after);
}
