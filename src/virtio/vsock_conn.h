/*
 * vsock_conn.h - a vsock's connections: slots, the ports that find them, the two lists that they
 * wait in, credit, and the guest's bytes that a host's socket did not take yet. Nothing here knows
 * rings or sockets. Device lock held by the caller of everything.
 *
 * All of it is one mapping whose pages cost nothing until they are used. Slots are known by number;
 * 0 is none, and the head of the lists.
 */
#pragma once
#include "../watch.h"
#include "queue.h"
#include "vsock_packet.h"

#define VSOCK_CONNS      1023u
/* Bytes: the credit that the guest has for each connection. Two of its largest packets, so that it
 * sends one while the other is taken. */
#define VSOCK_BUF        (128u * 1024)
#define VSOCK_LINE       32u /* the longest command, with its newline */
#define VSOCK_BUCKETS    1024u
#define VSOCK_WARM       8u /* free buffers that keep their pages */
#define VSOCK_CREDIT_LOW (4u * 1024)

/* Ports of ours for connections that the host makes: [2^30, 2^31), round and round. */
#define VSOCK_PORT_FIRST BIT(30)
#define VSOCK_PORTS      BIT(30)

enum vsock_state {
	VSOCK_FREE,
	VSOCK_HELLO, /* a client of the host, that has not said its port yet; has no ports */
	VSOCK_ASKED, /* the guest is asked, and did not answer yet */
	VSOCK_OPEN,
	VSOCK_DEAD, /* closed here; the guest is still to be told */
};

enum vsock_list { VSOCK_RUN, VSOCK_TIMED, VSOCK_LISTS };

struct vsock_conn {
	struct watch watch;   /* the host's socket; fd -1: closed */
	uint64_t deadline;    /* while it is in VSOCK_TIMED */
	uint32_t local, peer; /* ports: the host's, the guest's */

	/* Guest to host. Counts are mod 2^32 [5.10.6.3]. */
	uint32_t fwd_cnt;  /* bytes that the host's socket took, or nobody wants any more */
	uint32_t told_cnt; /* fwd_cnt, as the guest knows it */
	uint32_t held;     /* bytes in buffer `buf`, from `held_at` on, round */
	uint32_t held_at;
	uint16_t buf; /* 0: none is needed */

	uint16_t next; /* in the bucket; or of the free slots */
	struct {
		uint16_t next, prev; /* its own number: in no list */
	} link[VSOCK_LISTS];

	/* Host to guest. */
	uint32_t sent; /* bytes; mod 2^32 */
	uint32_t peer_buf_alloc, peer_fwd_cnt;

	uint8_t state;
	uint8_t wants; /* BIT(op) of packets to send; those that follow from the rest are not here
			*/
	uint8_t guest_shut; /* VIRTIO_VSOCK_SHUTDOWN_F_*: what the guest will not do any more */
	uint8_t host_shut;  /* the host, likewise */
	uint8_t told_shut;  /* host_shut, as the guest knows it */
	uint8_t cut;        /* guest_shut, as the host's socket knows it */
	bool readable;      /* the host's socket may have bytes, or an end */
	bool bulk;          /* the last read filled all that it was given: more is likely */
	bool credit_asked;  /* since there was none */
	uint8_t line_len;
	char line[VSOCK_LINE];
};

struct vsock_pool {
	uint16_t bucket[VSOCK_BUCKETS];
	uint16_t free, fresh; /* a stack of slots that were used; how many were never */
	uint16_t conns;       /* in use */
	uint32_t last_port;

	/* Buffers: those with pages, those without, and how many were never used. */
	uint16_t warm[VSOCK_WARM], warms;
	uint16_t cold[VSOCK_CONNS], colds;
	uint16_t fresh_bufs;
	uint64_t given_back; /* madvise() calls */

	struct vsock_conn conn[VSOCK_CONNS + 1];
	uint8_t buf[VSOCK_CONNS + 1][VSOCK_BUF] __attribute__((aligned(4096)));
};

/* NULL: there is no memory; errno says why. */
struct vsock_pool *vsock_pool_map(void);
void vsock_pool_unmap(struct vsock_pool *p);
/* All connections are gone: the pages of all buffers go back. */
void vsock_pool_reset(struct vsock_pool *p);

/* A slot without descriptor, in no list, with no ports; NULL: VSOCK_CONNS are in use. */
struct vsock_conn *vsock_conn_new(struct vsock_pool *p, enum vsock_state state);
/* Out of its lists and of the ports' table; its buffer goes back. */
void vsock_conn_free(struct vsock_pool *p, struct vsock_conn *c);
/* Gives it ports, by which it is found from now on. The pair is free. */
void vsock_conn_bind(struct vsock_pool *p, struct vsock_conn *c, uint32_t local, uint32_t peer);
struct vsock_conn *vsock_conn_find(struct vsock_pool *p, uint32_t local, uint32_t peer);
/* A local port that no connection to `peer` has. */
uint32_t vsock_port(struct vsock_pool *p, uint32_t peer);

/* To the end of the list, unless it is in it; out of it, if it is. */
void vsock_list_add(struct vsock_pool *p, enum vsock_list list, struct vsock_conn *c);
void vsock_list_del(struct vsock_pool *p, enum vsock_list list, struct vsock_conn *c);
/* NULL: it is empty. */
struct vsock_conn *vsock_list_first(struct vsock_pool *p, enum vsock_list list);

/* The packet that it would send to the guest next: an operation, or 0. */
unsigned vsock_says(const struct vsock_conn *c);

/* What the guest has room for; 0 also if its numbers make no sense, as when its buffer shrank. */
uint32_t vsock_credit(const struct vsock_conn *c);
/* What the guest may have sent beyond what `held` holds. */
static inline uint32_t vsock_room(const struct vsock_conn *c)
{
	return VSOCK_BUF - c->held;
}
/* Does the guest believe that it has next to no credit, and is wrong? */
bool vsock_owes_credit(const struct vsock_conn *c);

/* Keeps `len` bytes, at most vsock_room(), from `off` on of the chain's readable part. */
void vsock_hold(struct vsock_pool *p, struct vsock_conn *c, const struct chain *chain, size_t off,
		uint32_t len);
/* What is held, as one or two pieces. How many. */
unsigned vsock_held(struct vsock_pool *p, const struct vsock_conn *c, struct iovec iov[2]);
/* `n` bytes of it are done with, and count as forwarded. */
void vsock_unhold(struct vsock_pool *p, struct vsock_conn *c, uint32_t n);
