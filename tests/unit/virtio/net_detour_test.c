/* net_detour_test.c - a service inside the network device: what it gets of the guest's traffic, and
 * how its frames come between those of the tap. */
#include "net_fixture.h"

#define RX  NET_RX_QUEUE(0)
#define MRG VIRTIO_NET_F_MRG_RXBUF

static const uint8_t ip[4] = {169, 254, 169, 254};

/* The service: what it was given, and what it has to give. */
static struct {
	uint8_t frame[NET_DETOUR_MAX];
	size_t len;
	unsigned takes, gives, waiting;
	bool refuses;
	uint64_t deadline, due; /* a frame more from then on */
} service;

static bool service_take(void *ctx, const uint8_t *frame, size_t len, uint64_t now)
{
	assert_ptr_equal(ctx, &service);
	assert_int_equal(now, fake_now);
	memcpy(service.frame, frame, len);
	service.len = len;
	service.takes++;
	return !service.refuses;
}

static size_t service_give(void *ctx, uint8_t *buf, size_t size, uint64_t now)
{
	assert_ptr_equal(ctx, &service);
	assert_true(size >= 1514);
	service.gives++;
	if (now >= service.due) {
		service.due = NEVER;
		service.deadline = NEVER;
		service.waiting++;
	}
	if (!service.waiting)
		return 0;
	service.waiting--;
	memset(buf, 0xdd, 1000);
	return 1000;
}

static uint64_t service_deadline(void *ctx, uint64_t now)
{
	return service.deadline;
}

static struct net_detour detour = {
	.ctx = &service, .take = service_take, .give = service_give, .deadline = service_deadline};

static int detour_setup(void **state)
{
	setup(state);
	memset(&service, 0, sizeof(service));
	service.deadline = service.due = NEVER;
	memcpy(detour.ip, ip, 4);
	conf.detour = &detour;
	return 0;
}

/* --- from the guest --- */

/* Sends the frame of `len` bytes in packet[], in pieces of `piece`. */
static void guest_send(unsigned pair, size_t len, uint32_t piece)
{
	struct driver *q = &v[NET_TX_QUEUE(pair)];
	uint32_t all = TAP_HDR_LEN + (uint32_t)len;
	uint64_t at = driver_alloc(q, all);
	struct driver_buf b[64];
	struct driver_done done;
	unsigned n_bufs = 0;

	memcpy(driver_at(q, at, all), packet, all);
	for (uint32_t off = 0; off < all; off += piece)
		b[n_bufs++] = (struct driver_buf){at + off, MIN(piece, all - off), false};
	assert_true(driver_add(q, b, n_bufs) >= 0);
	driver_kick(q, &n.dev);
	assert_true(driver_used(q, &done));
	assert_int_equal(done.len, 0);
}

static uint8_t *frame_of(uint16_t type, unsigned address)
{
	uint8_t *f = packet + TAP_HDR_LEN;

	f[12] = (uint8_t)(type >> 8);
	f[13] = (uint8_t)type;
	memcpy(f + address, ip, 4);
	return f;
}

static void packets_to_the_address_are_taken(void **state)
{
	up(0);
	frame_of(0x0800, 30);
	guest_send(0, 60, 100);
	assert_int_equal(service.takes, 1);
	assert_int_equal(service.len, 60);
	assert_memory_equal(service.frame, packet + TAP_HDR_LEN, 60);
	assert_int_equal(host_recv(0), -1);
	assert_int_equal(tun.writes, 0);
	assert_int_equal(n.out.packets, 0);
	assert_int_equal(n.out.dropped, 0);
	frame_of(0x0800, 30);
	guest_send(0, 1514, 40); /* in pieces that part the address */
	assert_int_equal(service.len, 1514);
	assert_memory_equal(service.frame, packet + TAP_HDR_LEN, 1514);
}

static void questions_for_the_address_are_taken(void **state)
{
	up(0);
	frame_of(0x0806, 38);
	guest_send(0, 42, 13);
	assert_int_equal(service.takes, 1);
	assert_int_equal(service.len, 42);
	assert_memory_equal(service.frame, packet + TAP_HDR_LEN, 42);
}

static void all_else_goes_to_the_tap(void **state)
{
	static const struct {
		uint16_t type;
		unsigned address;
		size_t len;
	} t[] = {
		{0x0800, 38, 60},
                {0x0800, 26, 60},
                {0x0806, 30, 60},
                {0x86dd, 30, 60},
		{0x86dd, 38, 60},
                {0x8100, 34, 60},
                {0x0800, 30, 41},
                {0x0806, 38, 41},
	};

	up(0);
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		memset(packet + TAP_HDR_LEN, 0x33, 60);
		frame_of(t[i].type, t[i].address);
		guest_send(0, t[i].len, 100);
		assert_int_equal(host_recv(0), t[i].len);
	}
	assert_int_equal(service.takes, 0);
	assert_int_equal(service.gives, 0);
	assert_int_equal(n.out.packets, ARRAY_SIZE(t));
}

static void what_it_refuses_goes_to_the_tap(void **state)
{
	up(0);
	service.refuses = true;
	frame_of(0x0800, 30);
	guest_send(0, 60, 100);
	assert_int_equal(service.takes, 1);
	assert_int_equal(host_recv(0), 60);
}

static void segments_that_are_too_long_are_cut(void **state)
{
	up(VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4);
	*hdr_in(packet) = (struct net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					   .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
					   .hdr_len = 54,
					   .gso_size = 1460,
					   .csum_start = 34,
					   .csum_offset = 16};
	frame_of(0x0800, 30);
	guest_send(0, 20000, 1000);
	assert_int_equal(service.len, NET_DETOUR_MAX);
	assert_memory_equal(service.frame, packet + TAP_HDR_LEN, NET_DETOUR_MAX);
	guest_send(0, NET_DETOUR_MAX, 1000);
	assert_int_equal(service.len, NET_DETOUR_MAX);
	hdr_in(packet)->gso_type = VIRTIO_NET_HDR_GSO_UDP_L4; /* not negotiated */
	guest_send(0, 100, 1000);
	assert_int_equal(service.takes, 2);
	assert_int_equal(n.out.dropped, 1);
}

static void the_limit_is_not_for_it(void **state)
{
	conf.tx_ops = (struct limit_conf){.size = 1, .refill_ms = 1000};
	up(0);
	for (unsigned i = 0; i < 5; i++) {
		frame_of(0x0800, 30);
		guest_send(0, 60, 100);
	}
	assert_int_equal(service.takes, 5);
}

/* --- to the guest --- */

static uint64_t rx_at[QUEUE_SIZE_MAX];

static void post(uint32_t len, unsigned count)
{
	for (; count; count--) {
		uint64_t at = driver_alloc(&v[RX], len);
		int head = driver_add(&v[RX], &(struct driver_buf){at, len, true}, 1);

		assert_true(head >= 0);
		rx_at[head] = at;
	}
	driver_kick(&v[RX], &n.dev);
}

/* The first byte of the next frame, which is of one buffer; -1: there is none. */
static int taken(void)
{
	struct driver_done done;
	const uint8_t *p;

	if (!driver_used(&v[RX], &done))
		return -1;
	p = driver_at(&v[RX], rx_at[done.head], done.len);
	assert_int_equal(((const struct net_hdr *)p)->num_buffers, 1);
	assert_int_equal(((const struct net_hdr *)p)->flags, 0);
	if (p[TAP_HDR_LEN] == 0xdd) {
		assert_int_equal(done.len, TAP_HDR_LEN + 1000);
		for (unsigned i = 0; i < 1000; i++)
			assert_int_equal(p[TAP_HDR_LEN + i], 0xdd);
	}
	return p[TAP_HDR_LEN];
}

static void ask(unsigned pair)
{
	frame_of(0x0800, 30);
	guest_send(pair, 60, 100);
}

static void answers_come_at_once(void **state)
{
	up(MRG);
	post(1526, 8);
	service.waiting = 3;
	ask(0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(taken(), 0xdd);
	assert_int_equal(taken(), -1);
	assert_int_equal(n.in.packets, 3);
	assert_int_equal(n.in.bytes, 3000);
	assert_int_equal(h.irqs[RX], 1);
}

static void answers_wait_for_buffers_in_the_service(void **state)
{
	up(MRG);
	service.waiting = 5;
	ask(0);
	assert_int_equal(service.waiting, 5);
	assert_int_equal(taken(), -1);
	post(1526, 2);
	assert_int_equal(taken(), 0xdd);
	assert_int_equal(taken(), 0xdd);
	assert_int_equal(taken(), -1);
	assert_int_equal(service.waiting, 3);
	post(1526, 8);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(taken(), 0xdd);
	assert_int_equal(taken(), -1);
}

static void answers_are_merged_over_small_buffers(void **state)
{
	struct driver_done done;

	up(MRG);
	post(512, 8);
	service.waiting = 1;
	ask(0);
	assert_true(driver_used(&v[RX], &done));
	assert_int_equal(((struct net_hdr *)driver_at(&v[RX], rx_at[done.head], 12))->num_buffers,
			 2);
	assert_int_equal(done.len, 512);
	assert_true(driver_used(&v[RX], &done));
	assert_int_equal(done.len, 500);
}

static void part_of_an_answer_waits_for_more_buffers(void **state)
{
	struct driver_done done;

	up(MRG);
	post(512, 1);
	service.waiting = 2;
	ask(0);
	assert_int_equal(taken(), -1);
	post(512, 1);
	assert_true(driver_used(&v[RX], &done));
	assert_true(driver_used(&v[RX], &done));
	assert_int_equal(done.len, 500);
	assert_int_equal(service.waiting, 1);
}

static void without_merging_an_answer_fits_or_is_dropped(void **state)
{
	up(0);
	post(1011, 1);
	post(1012, 1);
	service.waiting = 2;
	ask(0);
	assert_int_equal(n.in.dropped, 2); /* the first buffer serves the next frame */
	assert_int_equal(taken(), -1);
	host_send(0, 999);
	ready(0);
	service.waiting = 1;
	assert_int_not_equal(taken(), -1);
	ask(0);
	assert_int_equal(taken(), 0xdd);
}

static void tap_and_service_take_turns(void **state)
{
	unsigned ours = 0;

	up(MRG);
	post(1526, 64);
	for (unsigned i = 0; i < 20; i++)
		host_send(0, 1000); /* not told yet */
	service.waiting = 20;
	n.rx[0].more = true;
	ask(0);
	for (unsigned i = 0; i < 40; i++) {
		int first = taken();

		assert_int_not_equal(first, -1);
		ours += first == 0xdd;
		assert_in_range(2 * ours, i, i + 2);
	}
	assert_int_equal(ours, 20);
	assert_int_equal(taken(), -1);
}

static void it_is_asked_again_in_time(void **state)
{
	up(MRG);
	post(1526, 8);
	service.deadline = service.due = fake_now + NSEC;
	ask(0);
	assert_int_equal(taken(), -1);
	assert_int_equal(h.wake_at, fake_now + NSEC);
	fake_now += NSEC / 2;
	driver_serve(&n.dev);
	assert_int_equal(taken(), -1);
	wake();
	assert_int_equal(taken(), 0xdd);
	assert_int_equal(taken(), -1);
	assert_int_equal(h.wake_at, NEVER);
}

static void what_was_due_while_no_driver_was_there_comes(void **state)
{
	make();
	service.waiting = 1;
	drive(BASIC | MRG, QSIZE);
	post(1526, 4);
	assert_int_equal(taken(), 0xdd);
	service.waiting = 1;
	assert_true(driver_reset(&n.dev));
	drive(BASIC | MRG, QSIZE);
	post(1526, 4);
	assert_int_equal(taken(), 0xdd);
}

static void any_pair_may_ask_and_the_first_answers(void **state)
{
	struct driver_done done;

	conf.pairs = 2;
	make();
	drive(BASIC | MRG | VIRTIO_NET_F_MQ | VIRTIO_NET_F_CTRL_VQ, QSIZE);
	n.pairs = 2;
	post(1526, 8);
	service.waiting = 2;
	ask(1);
	assert_int_equal(service.takes, 1);
	assert_int_equal(taken(), 0xdd);
	assert_int_equal(taken(), 0xdd);
	assert_false(driver_used(&v[NET_RX_QUEUE(1)], &done));
}

static void answers_keep_to_the_limit(void **state)
{
	conf.rx_ops = (struct limit_conf){.size = 2, .refill_ms = 1000};
	up(MRG);
	post(1526, 8);
	service.waiting = 4;
	ask(0);
	assert_int_equal(taken(), 0xdd);
	assert_int_equal(taken(), 0xdd);
	assert_int_equal(taken(), -1);
	wake();
	assert_int_equal(taken(), 0xdd);
	assert_int_equal(taken(), -1);
}

static void a_turn_is_bounded(void **state)
{
	up(MRG);
	post(1526, 256);
	service.waiting = 1000;
	frame_of(0x0800, 30);
	driver_serve(&n.dev);
	virtio_lock(&n.dev);
	n.detour_more = true;
	net_rx_run(&n.dev, 0);
	virtio_unlock(&n.dev);
	assert_int_equal(service.waiting, 1000 - 256);
	assert_true(n.dev.again);
}

/* A request is more work than a frame. */
static void a_turn_takes_sixteen_requests(void **state)
{
	struct driver *q = &v[NET_TX_QUEUE(0)];
	uint64_t at;

	up(0);
	frame_of(0x0800, 30);
	at = driver_alloc(q, 72);
	memcpy(driver_at(q, at, 72), packet, 72);
	for (unsigned i = 0; i < 20; i++)
		assert_true(driver_add(q, &(struct driver_buf){at, 72, false}, 1) >= 0);
	driver_publish(q);
	virtio_lock(&n.dev);
	net_tx_run(&n.dev, 0);
	virtio_unlock(&n.dev);
	assert_int_equal(service.takes, 16);
	assert_true(n.dev.again);
	driver_serve(&n.dev);
	assert_int_equal(service.takes, 20);
}

static void vhost_has_no_detour(void **state)
{
	conf.vhost = true;
	assert_int_equal(net_init(&n, &conf, &h.host, &ram, &watcher), -EINVAL);
	assert_non_null(strstr(said, "vhost-net passes the metadata service by"));
}

#define D(f) cmocka_unit_test_setup_teardown(f, detour_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		D(packets_to_the_address_are_taken),
		D(questions_for_the_address_are_taken),
		D(all_else_goes_to_the_tap),
		D(what_it_refuses_goes_to_the_tap),
		D(segments_that_are_too_long_are_cut),
		D(the_limit_is_not_for_it),
		D(answers_come_at_once),
		D(answers_wait_for_buffers_in_the_service),
		D(answers_are_merged_over_small_buffers),
		D(part_of_an_answer_waits_for_more_buffers),
		D(without_merging_an_answer_fits_or_is_dropped),
		D(tap_and_service_take_turns),
		D(it_is_asked_again_in_time),
		D(what_was_due_while_no_driver_was_there_comes),
		D(any_pair_may_ask_and_the_first_answers),
		D(answers_keep_to_the_limit),
		D(a_turn_is_bounded),
		D(a_turn_takes_sixteen_requests),
		D(vhost_has_no_detour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
