/* vsock_packet.h - what travels in a vsock's rings [virtio 1.2, 5.10.6]. Little-endian, as we are.
 */
#pragma once
#include "../util.h"

#define VSOCK_CID_HOST 2u

/* Queues [5.10.2] */
#define VSOCK_RX    0u
#define VSOCK_TX    1u
#define VSOCK_EVENT 2u

/* Operations [5.10.6] */
#define VIRTIO_VSOCK_OP_REQUEST        1u
#define VIRTIO_VSOCK_OP_RESPONSE       2u
#define VIRTIO_VSOCK_OP_RST            3u
#define VIRTIO_VSOCK_OP_SHUTDOWN       4u
#define VIRTIO_VSOCK_OP_RW             5u
#define VIRTIO_VSOCK_OP_CREDIT_UPDATE  6u
#define VIRTIO_VSOCK_OP_CREDIT_REQUEST 7u

#define VIRTIO_VSOCK_TYPE_STREAM 1u /* [5.10.6.2] */

/* Flags of SHUTDOWN: what the sender will not do any more [5.10.6.5] */
#define VIRTIO_VSOCK_SHUTDOWN_F_RECEIVE BIT(0)
#define VIRTIO_VSOCK_SHUTDOWN_F_SEND    BIT(1)
#define VSOCK_SHUTDOWN_BOTH             3u /* of them */

#define VIRTIO_VSOCK_EVENT_TRANSPORT_RESET 0u /* [5.10.6.7] */

struct vsock_hdr {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port;
	uint32_t len; /* of the payload that follows */
	uint16_t type, op;
	uint32_t flags;
	uint32_t buf_alloc, fwd_cnt; /* the sender's buffer, and what has left it [5.10.6.3] */
} __attribute__((packed));

#define VSOCK_HDR_LEN     ((uint32_t)sizeof(struct vsock_hdr))
#define VSOCK_PAYLOAD_MAX (64 * KIB)

_Static_assert(sizeof(struct vsock_hdr) == 44, "the header is packed");
