/* vsock_conn_test.c - a vsock's pool of connections: slots, ports, lists, buffers, credit, memory.
 */
#include "../../../src/virtio/vsock_conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define PAGE 4096u

static struct vsock_pool *pool;
static struct chain chain;
static uint8_t data[3 * VSOCK_BUF];

static int setup(void **state)
{
	pool = vsock_pool_map();
	assert_non_null(pool);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31 + i / 256);
	chain = (struct chain){
		.readable = 2,
		.read_bytes = sizeof(data),
		.iov = {{data, 1000}, {data + 1000, sizeof(data) - 1000}}
        };
	return 0;
}

static int teardown(void **state)
{
	vsock_pool_unmap(pool);
	return 0;
}

static struct vsock_conn *opened(uint32_t local, uint32_t peer)
{
	struct vsock_conn *c = vsock_conn_new(pool, VSOCK_OPEN);

	assert_non_null(c);
	vsock_conn_bind(pool, c, local, peer);
	return c;
}

static unsigned resident(const void *at, size_t len)
{
	static unsigned char in[sizeof(struct vsock_pool) / PAGE + 1];
	unsigned n = 0;

	len = (len + PAGE - 1) / PAGE;
	assert_true(len <= sizeof(in));
	assert_int_equal(mincore((void *)(uintptr_t)at, len * PAGE, in), 0);
	for (size_t i = 0; i < len; i++)
		n += in[i] & 1;
	return n;
}

static void connections_are_found_by_both_ports(void **state)
{
	struct vsock_conn *a = opened(1, 2), *b = opened(2, 1), *c = opened(1, 1);

	assert_ptr_equal(vsock_conn_find(pool, 1, 2), a);
	assert_ptr_equal(vsock_conn_find(pool, 2, 1), b);
	assert_ptr_equal(vsock_conn_find(pool, 1, 1), c);
	assert_null(vsock_conn_find(pool, 2, 2));
	vsock_conn_free(pool, b);
	assert_null(vsock_conn_find(pool, 2, 1));
	assert_ptr_equal(vsock_conn_find(pool, 1, 2), a);
}

static void as_many_as_there_are_slots(void **state)
{
	struct vsock_conn *c;

	for (unsigned i = 0; i < VSOCK_CONNS; i++)
		opened(i % 7, i);
	assert_null(vsock_conn_new(pool, VSOCK_HELLO));
	for (unsigned i = 0; i < VSOCK_CONNS; i++)
		assert_true(vsock_conn_find(pool, i % 7, i)->peer == i);
	for (unsigned i = 0; i < VSOCK_CONNS; i += 2)
		vsock_conn_free(pool, vsock_conn_find(pool, i % 7, i));
	for (unsigned i = 0; i < VSOCK_CONNS; i++)
		assert_true(!vsock_conn_find(pool, i % 7, i) == (i % 2 == 0));
	assert_int_equal(pool->conns, 511);
	c = vsock_conn_new(pool, VSOCK_HELLO);
	assert_ptr_equal(c, &pool->conn[1023]); /* the last that was closed */
	vsock_conn_free(pool, c);
}

static void slot_without_ports_is_closed_without_harm(void **state)
{
	struct vsock_conn *a = opened(0, 0), *c = vsock_conn_new(pool, VSOCK_HELLO);

	vsock_conn_free(pool, c); /* its ports are 0, too */
	assert_ptr_equal(vsock_conn_find(pool, 0, 0), a);
}

static void ports_go_round_and_pass_those_in_use(void **state)
{
	assert_int_equal(vsock_port(pool, 5), 1u << 30);
	assert_int_equal(vsock_port(pool, 5), (1u << 30) + 1);
	opened((1u << 30) + 2, 5);
	opened((1u << 30) + 3, 6); /* of another connection */
	assert_int_equal(vsock_port(pool, 5), (1u << 30) + 3);
	pool->last_port = (1u << 31) - 2;
	assert_int_equal(vsock_port(pool, 5), (1u << 31) - 1);
	assert_int_equal(vsock_port(pool, 5), 1u << 30);
}

static void lists_keep_the_order_in_which_they_were_joined(void **state)
{
	struct vsock_conn *a = opened(1, 1), *b = opened(1, 2), *c = opened(1, 3);

	assert_null(vsock_list_first(pool, VSOCK_RUN));
	vsock_list_add(pool, VSOCK_RUN, a);
	vsock_list_add(pool, VSOCK_RUN, b);
	vsock_list_add(pool, VSOCK_RUN, a); /* is in it already */
	vsock_list_add(pool, VSOCK_TIMED, b);
	vsock_list_add(pool, VSOCK_RUN, c);
	assert_ptr_equal(vsock_list_first(pool, VSOCK_RUN), a);
	vsock_list_del(pool, VSOCK_RUN, b);
	vsock_list_del(pool, VSOCK_RUN, b);
	vsock_list_del(pool, VSOCK_RUN, a);
	assert_ptr_equal(vsock_list_first(pool, VSOCK_RUN), c);
	vsock_list_add(pool, VSOCK_RUN, a);
	vsock_conn_free(pool, c);
	assert_ptr_equal(vsock_list_first(pool, VSOCK_RUN), a);
	vsock_list_del(pool, VSOCK_RUN, a);
	assert_null(vsock_list_first(pool, VSOCK_RUN));
	assert_ptr_equal(vsock_list_first(pool, VSOCK_TIMED), b);
}

static void credit_is_what_fits_and_never_less_than_none(void **state)
{
	static const struct {
		uint32_t alloc, sent, fwd, credit;
	} t[] = {
		{0,          0,          0,          0         },
		{100,        0,          0,          100       },
		{100,        60,         0,          40        },
		{100,        60,         60,         100       },
		{100,        100,        0,          0         },
		{99,         100,        0,          0         }, /* it shrank */
		{100,        0,          1,          0         }, /* it forwarded what it never got */
		{100,        10,         20,         0         },
		{100,        4,          0xfffffffe, 94        },
		{0xffffffff, 0,          0,          0xffffffff},
		{0xffffffff, 0,          1,          0         },
		{0xffffffff, 0xffffffff, 0,          0         },
	};
	struct vsock_conn *c = opened(1, 1);

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		c->peer_buf_alloc = t[i].alloc;
		c->sent = t[i].sent;
		c->peer_fwd_cnt = t[i].fwd;
		assert_int_equal(vsock_credit(c), t[i].credit);
	}
}

static void update_is_owed_for_half_of_the_credit_or_before_the_guest_stops(void **state)
{
	static const struct {
		uint32_t fwd, told, held;
		bool owed;
	} t[] = {
		{0,     0,          0,      false},
		{65535, 0,          0,      false},
		{65536, 0,          0,      true },
		{0x100, 0xffff0101, 0,      false}, /* across the wrap: 65535 */
		{0x101, 0xffff0101, 0,      true },
		{0,     0,          131072, false}, /* there is nothing to tell */
		{4095,  0,          126977, false}, /* not worth it */
		{4096,  0,          122881, true },
		{4096,  0,          122880, false},
	};
	struct vsock_conn *c = opened(1, 1);

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		c->fwd_cnt = t[i].fwd;
		c->told_cnt = t[i].told;
		c->held = t[i].held;
		assert_int_equal(vsock_owes_credit(c), t[i].owed);
	}
	c->held = 0;
}

static void says(struct vsock_conn *c, unsigned op)
{
	assert_int_equal(vsock_says(c), op);
}

static void what_is_said_first(void **state)
{
	struct vsock_conn *c = vsock_conn_new(pool, VSOCK_HELLO);

	c->readable = true;
	c->peer_buf_alloc = 1;
	c->host_shut = VIRTIO_VSOCK_SHUTDOWN_F_RECEIVE;
	says(c, 0);
	c->state = VSOCK_ASKED;
	says(c, 0);
	c->wants = BIT(VIRTIO_VSOCK_OP_REQUEST) | BIT(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	says(c, VIRTIO_VSOCK_OP_REQUEST);
	c->state = VSOCK_OPEN;
	c->wants = BIT(VIRTIO_VSOCK_OP_RESPONSE) | BIT(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	says(c, VIRTIO_VSOCK_OP_RESPONSE);
	c->wants = BIT(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	says(c, VIRTIO_VSOCK_OP_SHUTDOWN);
	c->told_shut = c->host_shut;
	says(c, VIRTIO_VSOCK_OP_RW);
	c->sent = 1;
	says(c, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	c->credit_asked = true;
	says(c, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	c->wants = 0;
	says(c, 0);
	c->sent = 0;
	c->guest_shut = VIRTIO_VSOCK_SHUTDOWN_F_SEND;
	says(c, VIRTIO_VSOCK_OP_RW);
	c->guest_shut = VIRTIO_VSOCK_SHUTDOWN_F_RECEIVE;
	says(c, 0);
	c->state = VSOCK_DEAD;
	says(c, VIRTIO_VSOCK_OP_RST);
	vsock_conn_free(pool, c);
	says(c, 0);
}

/* What is held is `len` bytes of data from `from` on. */
static void holds(struct vsock_conn *c, size_t from, uint32_t len)
{
	struct iovec iov[2] = {{0}};
	unsigned n = vsock_held(pool, c, iov);
	size_t sum = 0;

	for (unsigned i = 0; i < n; i++) {
		assert_true(iov[i].iov_len > 0);
		assert_memory_equal(iov[i].iov_base, data + from + sum, iov[i].iov_len);
		sum += iov[i].iov_len;
	}
	assert_int_equal(sum, len);
	assert_int_equal(c->held, len);
	assert_int_equal(vsock_room(c), VSOCK_BUF - len);
}

static void bytes_are_held_in_order_round_the_buffer(void **state)
{
	struct vsock_conn *c = opened(1, 1);
	size_t in = 44, out = 44;
	unsigned step = 1;

	while (in < 2 * VSOCK_BUF) {
		uint32_t len = MIN(vsock_room(c), 7919 * step % 40000 + 1), some;

		vsock_hold(pool, c, &chain, in, len);
		in += len;
		holds(c, out, (uint32_t)(in - out));
		some = MIN(c->held - 1, 5003 * step % 50000);
		step++;
		vsock_unhold(pool, c, some);
		out += some;
		holds(c, out, (uint32_t)(in - out));
	}
	assert_int_equal(c->fwd_cnt, out - 44);
	vsock_unhold(pool, c, c->held);
	assert_int_equal(c->buf, 0);
	holds(c, 0, 0);
}

static void full_buffer_is_all_of_it(void **state)
{
	struct vsock_conn *c = opened(1, 1);

	vsock_hold(pool, c, &chain, 0, 10);
	vsock_hold(pool, c, &chain, 10, 100);
	vsock_unhold(pool, c, 50);
	vsock_hold(pool, c, &chain, 110, VSOCK_BUF - 60);
	holds(c, 50, VSOCK_BUF);
	vsock_unhold(pool, c, VSOCK_BUF);
	assert_int_equal(c->fwd_cnt, VSOCK_BUF + 50);
}

static void buffers_are_used_last_in_first_out(void **state)
{
	struct vsock_conn *a = opened(1, 1), *b = opened(1, 2);
	uint16_t n;

	vsock_hold(pool, a, &chain, 0, 1);
	vsock_hold(pool, b, &chain, 0, 1);
	assert_int_not_equal(a->buf, b->buf);
	n = a->buf;
	vsock_unhold(pool, a, 1);
	assert_int_equal(a->buf, 0);
	vsock_hold(pool, a, &chain, 0, 1);
	assert_int_equal(a->buf, n);
	n = b->buf;
	vsock_conn_free(pool, b);
	b = opened(1, 3);
	vsock_hold(pool, b, &chain, 0, 1);
	assert_int_equal(b->buf, n);
	assert_int_equal(pool->given_back, 0);
}

static void only_a_few_free_buffers_keep_their_pages(void **state)
{
	static struct vsock_conn *c[VSOCK_CONNS];

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < VSOCK_CONNS; i++) {
			c[i] = opened(round, i);
			vsock_hold(pool, c[i], &chain, i, VSOCK_BUF);
		}
		assert_int_equal(pool->fresh_bufs, VSOCK_CONNS);
		for (unsigned i = 0; i < VSOCK_CONNS; i++)
			holds(c[i], i, VSOCK_BUF);
		for (unsigned i = 0; i < VSOCK_CONNS; i++)
			vsock_conn_free(pool, c[i]);
		assert_int_equal(resident(pool->buf[0], sizeof(pool->buf)),
				 VSOCK_WARM * VSOCK_BUF / PAGE);
		assert_int_equal(pool->given_back, (round + 1) * (VSOCK_CONNS - VSOCK_WARM));
	}
	vsock_pool_reset(pool);
	assert_int_equal(resident(pool->buf[0], sizeof(pool->buf)), 0);
	vsock_pool_reset(pool); /* costs nothing the second time */
	assert_int_equal(pool->given_back, 2 * (VSOCK_CONNS - VSOCK_WARM) + 1);
}

static void pages_cost_nothing_until_they_are_used(void **state)
{
	assert_in_range(resident(pool, sizeof(*pool)), 0, 2); /* the head */
	for (unsigned i = 0; i < 10; i++)
		vsock_conn_free(pool, opened(1, i));
	vsock_hold(pool, opened(1, 1), &chain, 0, 100);
	assert_in_range(resident(pool, sizeof(*pool)), 1, 6);
	assert_in_range(sizeof(struct vsock_conn), 64, 160);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(connections_are_found_by_both_ports),
		T(as_many_as_there_are_slots),
		T(slot_without_ports_is_closed_without_harm),
		T(ports_go_round_and_pass_those_in_use),
		T(lists_keep_the_order_in_which_they_were_joined),
		T(credit_is_what_fits_and_never_less_than_none),
		T(update_is_owed_for_half_of_the_credit_or_before_the_guest_stops),
		T(what_is_said_first),
		T(bytes_are_held_in_order_round_the_buffer),
		T(full_buffer_is_all_of_it),
		T(buffers_are_used_last_in_first_out),
		T(only_a_few_free_buffers_keep_their_pages),
		T(pages_cost_nothing_until_they_are_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
