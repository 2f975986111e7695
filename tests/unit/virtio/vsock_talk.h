/*
 * vsock_talk.h - what the tests of a vsock's packets share: a device, brought up; packets expected
 * and sent. Included by one file of a program.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../../src/virtio/vsock_conn.h"
#include "../../lib/vsock_guest.h"
#include "../said.h"

#define REQUEST        VIRTIO_VSOCK_OP_REQUEST
#define RESPONSE       VIRTIO_VSOCK_OP_RESPONSE
#define RST            VIRTIO_VSOCK_OP_RST
#define SHUTDOWN       VIRTIO_VSOCK_OP_SHUTDOWN
#define RW             VIRTIO_VSOCK_OP_RW
#define CREDIT_UPDATE  VIRTIO_VSOCK_OP_CREDIT_UPDATE
#define CREDIT_REQUEST VIRTIO_VSOCK_OP_CREDIT_REQUEST
#define NO_RECEIVE     VIRTIO_VSOCK_SHUTDOWN_F_RECEIVE
#define NO_SEND        VIRTIO_VSOCK_SHUTDOWN_F_SEND

#define OURS   1073741824u /* the first port of ours */
#define PORT   52u         /* of the host's listener */
#define GPORT  9000u       /* of the guest */
#define SECOND NSEC

static struct guest g;
static struct packet p;
static uint8_t big[VSOCK_PAYLOAD_MAX];

static inline int setup(void **state)
{
	guest_init(&g, GUEST_FEATURES);
	guest_give(&g, 64, 4096);
	for (unsigned i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7 + i / 251);
	return 0;
}

static inline int teardown(void **state)
{
	guest_finish(&g);
	return 0;
}

/* The next packet is `op`, from our port to the guest's. */
static inline void hears(unsigned op, uint32_t from, uint32_t to)
{
	assert_true(guest_hear(&g, &p));
	assert_int_equal(p.h.op, op);
	assert_int_equal(p.h.src_port, from);
	assert_int_equal(p.h.dst_port, to);
	assert_int_equal(p.h.src_cid, VSOCK_CID_HOST);
	assert_int_equal(p.h.dst_cid, GUEST_CID);
	assert_int_equal(p.h.type, VIRTIO_VSOCK_TYPE_STREAM);
	assert_int_equal(p.used, VSOCK_HDR_LEN + p.h.len);
	if (op != RW)
		assert_int_equal(p.h.len, 0);
	if (op != SHUTDOWN)
		assert_int_equal(p.h.flags, 0);
}

static inline void hears_data(uint32_t from, uint32_t to, const char *text)
{
	hears(RW, from, to);
	assert_int_equal(p.h.len, strlen(text));
	assert_memory_equal(p.data, text, strlen(text));
}

static inline void hears_shutdown(uint32_t from, uint32_t to, uint64_t flags)
{
	hears(SHUTDOWN, from, to);
	assert_int_equal(p.h.flags, flags);
}

static inline void hears_nothing(void)
{
	assert_false(guest_hear(&g, &p));
}

/* A packet from the guest with a header of its own. */
static inline struct vsock_hdr odd(unsigned op)
{
	return (struct vsock_hdr){.src_cid = GUEST_CID,
				  .dst_cid = VSOCK_CID_HOST,
				  .src_port = GPORT,
				  .dst_port = PORT,
				  .type = VIRTIO_VSOCK_TYPE_STREAM,
				  .op = (uint16_t)op,
				  .buf_alloc = GUEST_BUF};
}

static inline void puts_odd(struct vsock_hdr h)
{
	guest_put(&g, &h, h.len && h.len <= sizeof(big) ? big : NULL);
	guest_turn(&g);
}

/* A connection that the guest made from GPORT to PORT; the host's end of it. */
static inline int dialed(void)
{
	int listener = host_listen(&g, PORT), fd;

	guest_say(&g, REQUEST, GPORT, PORT, 0);
	hears(RESPONSE, PORT, GPORT);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	assert_true(fd >= 0);
	close(listener);
	return fd;
}

static inline struct vsock_conn *conn(void)
{
	struct vsock_conn *c = vsock_conn_find(g.v.pool, PORT, GPORT);

	assert_non_null(c);
	return c;
}

static inline void is_gone(void)
{
	assert_int_equal(g.v.pool->conns, 0);
	assert_int_equal(g.watches.watched, 1); /* the listener */
}

/* Until nobody takes more: bytes that the device holds now. */
static inline uint32_t fill(unsigned piece)
{
	while (!conn()->held)
		guest_send(&g, GPORT, PORT, big, piece);
	return conn()->held;
}

/* What there is to read for the host, while the device drains. */
static inline size_t swallow(int fd)
{
	static uint8_t buf[256 * 1024];
	size_t sum = 0;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		sum += (size_t)n;
		guest_turn(&g);
	}
	return sum;
}

/* No RX buffer is left to the device. */
static inline void takes_all_back(void)
{
	g.stingy = true;
	while (g.q[VSOCK_RX].free < GUEST_QUEUE) {
		guest_say(&g, RW, 1, 1, 0);
		while (guest_hear(&g, &p) && p.h.op != RST)
			;
		assert_int_equal(p.h.op, RST);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
