/*
 * vsock_guest.h - a whole vsock device for tests: a guest's driver, which sends and receives
 *packets, on one side, real Unix sockets in a folder of their own on the other.
 *
 *	guest_init(&g, FEATURES);
 *	guest_give(&g, 8, 4096);
 *	fd = host_connect(&g);
 *	host_say(fd, "CONNECT 52\n");
 *	assert_true(guest_hear(&g, &p) && p.h.op == VIRTIO_VSOCK_OP_REQUEST);
 *	guest_reply(&g, &p, VIRTIO_VSOCK_OP_RESPONSE);
 */
#pragma once
#include "../../src/virtio/vsock.h"
#include "../../src/virtio/vsock_packet.h"
#include "driver.h"
#include "watches.h"

#define GUEST_CID      42u
#define GUEST_QUEUE    256u
#define GUEST_BUF      (256u * 1024) /* the credit that replies give */
#define GUEST_FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC | BIT(35))

struct guest {
	struct ram ram;
	struct driver q[3];
	struct driver_host host;
	struct watches watches;
	struct vsock v;
	char dir[32];
	char path[64];

	bool stingy;                   /* buffers that were heard are not given again */
	uint64_t rx_gpa[GUEST_QUEUE];  /* by head */
	uint32_t rx_size[GUEST_QUEUE]; /* payload */
	uint64_t tx_hdr, tx_data;
	unsigned tx_n;
};

struct packet {
	struct vsock_hdr h;
	uint32_t used; /* bytes, as the ring said */
	uint8_t data[VSOCK_PAYLOAD_MAX];
};

/* Makes the device in a new folder; guest_init() also brings a driver up. */
void guest_make(struct guest *g);
void guest_start(struct guest *g, uint64_t features);
void guest_init(struct guest *g, uint64_t features);
void guest_finish(struct guest *g);

/* The loop, until nothing happens. Turns. */
unsigned guest_turn(struct guest *g);
/* The same, `ns` later. */
void guest_later(struct guest *g, uint64_t ns);

/* `n` RX chains of one buffer, with room for a header and `payload` bytes. */
void guest_give(struct guest *g, unsigned n, uint32_t payload);
/* A packet for the device, as it stands; not the loop. */
void guest_put(struct guest *g, const struct vsock_hdr *h, const void *data);
/* From the guest's port to the host's, with credit; and the loop. */
void guest_say(struct guest *g, unsigned op, uint32_t from, uint32_t to, uint32_t flags);
void guest_send(struct guest *g, uint32_t from, uint32_t to, const void *data, uint32_t len);
void guest_reply(struct guest *g, const struct packet *p, unsigned op);
/* The next packet from the device; false: there is none. */
bool guest_hear(struct guest *g, struct packet *p);

/* A client of the device's socket; -1: errno. */
int host_connect(struct guest *g);
/* A listener for a port. */
int host_listen(struct guest *g, uint32_t port);
void host_say(int fd, const char *text);
/* Is `text` all that there is to read now? "" with `end`: the end of the stream. */
bool host_hears(int fd, const char *text);
bool host_ended(int fd);
