/*
 * stack.h - the network inside a network device: one address that answers ARP, and TCP on port 80
 * with struct conn. Frames in, frames out; no descriptors, no heap, no clock.
 */
#pragma once
#include "conn.h"
#include "counters.h"

#define STACK_CONNS     30u
#define STACK_RESETS    32u   /* RSTs that wait; more are forgotten */
#define STACK_FRAME_MAX 1514u /* of those that go out */
#define STACK_PORT      80u

/* An RST that is to be sent. */
struct stack_reset {
	uint8_t mac[6], ip[4];
	uint16_t port, from; /* the client's, and ours; in network order */
	struct segment s;
};

struct stack {
	uint8_t mac[6], ip[4];
	uint8_t key[16]; /* random, for sequence numbers that others in the guest cannot guess */
	struct conn_user user;
	struct mmds_counters *counters;

	bool arp_due;
	uint8_t arp_mac[6], arp_ip[4]; /* who asked last */
	unsigned resets;
	struct stack_reset reset[STACK_RESETS];
	unsigned next; /* the connection that is asked first */
	struct conn conn[STACK_CONNS];
};

/*
 * `bufs` are STACK_CONNS buffers of `size` bytes for answers, and zero where they were not touched.
 * The stack is zero but for addresses, key, user and counters.
 */
void stack_init(struct stack *s, char *bufs, size_t size);
/* A frame of the guest's. false: it is not for this address. */
bool stack_in(struct stack *s, const uint8_t *frame, size_t len, uint64_t now);
/* The next frame for the guest into `buf` of STACK_FRAME_MAX bytes at least; 0: there is none. */
size_t stack_out(struct stack *s, uint8_t *buf, size_t size, uint64_t now);
/* After stack_out() had none: when it may have one. */
uint64_t stack_deadline(const struct stack *s);
