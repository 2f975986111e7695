/* net_test.c - features, configuration, the tap that follows the driver, pairs of queues. */
#include "net_fixture.h"

#define CTRL_MQ (VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_MQ)

static uint64_t offered(void)
{
	return n.dev.offered;
}

static void everything_that_the_tap_can_is_offered(void **state)
{
	make();
	assert_int_equal(offered(), VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX |
					    VIRTIO_F_INDIRECT_DESC | VIRTIO_NET_F_MAC |
					    VIRTIO_NET_F_STATUS | VIRTIO_NET_F_MRG_RXBUF |
					    NET_OFFLOADS);
	assert_int_equal(n.dev.queues, 2);
	assert_int_equal(n.dev.queue[0].max, 256);
	assert_int_equal(n.dev.ops->id, 1);
}

static void segments_of_udp_only_where_the_tap_has_them(void **state)
{
	const uint64_t uso =
		VIRTIO_NET_F_GUEST_USO4 | VIRTIO_NET_F_GUEST_USO6 | VIRTIO_NET_F_HOST_USO;

	tun.no_uso = true;
	make();
	assert_int_equal(offered() & NET_OFFLOADS, NET_OFFLOADS & ~uso);
}

static void offloads_can_be_kept_from_the_driver(void **state)
{
	conf.offload = false;
	make();
	assert_int_equal(offered() & NET_OFFLOADS, 0);
	assert_true(offered() & VIRTIO_NET_F_MRG_RXBUF);
}

static void an_mtu_is_offered_when_given(void **state)
{
	make();
	assert_false(offered() & VIRTIO_NET_F_MTU);
	net_close(&n);
	watches = 0;
	conf.mtu = 9000;
	make();
	assert_true(offered() & VIRTIO_NET_F_MTU);
	virtio_lock(&n.dev);
	assert_int_equal(virtio_config_read(&n.dev, 10, 2), 9000);
	virtio_unlock(&n.dev);
}

static void the_configuration_is_mac_link_and_pairs(void **state)
{
	static const uint8_t config[12] = {0x06, 1, 2, 3, 4, 0xff, 1, 0, 3, 0, 0, 0};

	conf.has_mac = true;
	memcpy(conf.mac, config, 6);
	conf.pairs = 3;
	make();
	assert_int_equal(n.dev.config_len, sizeof(config));
	assert_memory_equal(n.dev.config, config, sizeof(config));
	assert_int_equal(n.dev.queues, 7);
	assert_int_equal(offered() & CTRL_MQ, CTRL_MQ);
}

static void the_driver_cannot_write_the_configuration(void **state)
{
	uint8_t before[12];

	up(0);
	memcpy(before, n.dev.config, sizeof(before));
	virtio_lock(&n.dev);
	for (unsigned i = 0; i < sizeof(before); i++)
		virtio_config_write(&n.dev, i, 1, 0x5a);
	virtio_unlock(&n.dev);
	assert_memory_equal(n.dev.config, before, sizeof(before));
}

static void a_mac_of_its_own_is_local_and_the_same_each_time(void **state)
{
	uint8_t mac[3][6];
	static const char *const name[] = {"tap0", "tap1", "tap0"};

	for (unsigned i = 0; i < 3; i++) {
		conf.tap = name[i];
		watches = 0;
		make();
		memcpy(mac[i], n.dev.config, 6);
		assert_int_equal(mac[i][0] & 3, 2); /* local, of one interface */
		net_close(&n);
	}
	assert_memory_equal(mac[0], mac[2], 6);
	assert_memory_not_equal(mac[0], mac[1], 6);
}

/* The guest is told it as it was given, and makes of it what it likes. */
static void a_mac_of_a_group_or_of_nobody_is_the_guests_to_refuse(void **state)
{
	static const uint8_t mac[2][6] = {
		{0x33, 0x33, 0, 0, 0, 1},
                {0  }
        };

	conf.has_mac = true;
	for (unsigned i = 0; i < ARRAY_SIZE(mac); i++) {
		memcpy(conf.mac, mac[i], 6);
		watches = 0;
		make();
		assert_memory_equal(n.dev.config, mac[i], 6);
		net_close(&n);
	}
}

static int init(void)
{
	return net_init(&n, &conf, &h.host, &ram, &watcher);
}

static void what_makes_no_sense_is_refused(void **state)
{
	conf.mtu = 67;
	assert_fails(init(), EINVAL, "an MTU of 67");
	conf.mtu = 0;
	conf.pairs = 9;
	assert_fails(init(), EINVAL, "9 pairs");
	assert_int_equal(tun.queues, 0);
}

static void a_tap_that_cannot_be_watched_is_closed(void **state)
{
	watch_err = EPERM;
	assert_fails(init(), EPERM, "cannot be watched");
	assert_int_equal(fcntl(tun.queue[0].fd, F_GETFD), -1);
}

static void a_closed_device_is_not_watched_by_its_taps_duplicate(void **state)
{
	int fd = tun_pair();

	tun.getiff_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	conf.fd = fd;
	make();
	assert_int_not_equal(watched[0]->fd, fd);
	net_close(&n);
	assert_int_equal(unwatched, 1);
	assert_true(fcntl(fd, F_GETFD) >= 0); /* it stays its owner's */
}

static void a_passed_descriptor_serves_as_well(void **state)
{
	tun.getiff_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	conf.tap = NULL;
	conf.fd = tun_pair();
	make();
	assert_int_equal(watched[0]->fd, conf.fd);
	assert_string_equal(n.tap.name, "passed0");
}

static void the_tap_offloads_what_the_driver_took(void **state)
{
	static const struct {
		uint64_t features;
		unsigned long offload;
	} row[] = {
		{0,									   0   },
		{VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4,                                  0   },
		{VIRTIO_NET_F_GUEST_CSUM,						     1   },
		{VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6,                           0   },
		{VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4,                           3   },
		{VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO6,                           5   },
		{VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_USO4,                           1   },
		{VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_USO6,                           1   },
		{VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_USO4 | VIRTIO_NET_F_GUEST_USO6, 0x61},
		{NET_OFFLOADS,								0x67},
	};

	make();
	assert_int_equal(tun.offload, 0x67);
	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		drive(BASIC | row[i].features, QSIZE);
		assert_int_equal(tun.offload, row[i].offload);
		assert_true(driver_reset(&n.dev));
		assert_int_equal(tun.offload, 0);
	}
}

/* Each change takes a lock that the whole host shares: a driver cannot have it taken all the time.
 */
static void resets_in_a_loop_change_the_tap_at_a_bounded_rate(void **state)
{
	unsigned before;

	make();
	drive(BASIC, QSIZE);
	fake_now += NSEC;
	before = tun.offloads;
	for (unsigned i = 0; i < 500; i++)
		drive(BASIC | NET_OFFLOADS, QSIZE);
	assert_in_range(tun.offloads - before, 16, 33);
	wake();
	assert_int_equal(tun.offload, 0x67); /* later, and not never */
	assert_int_equal(n.dev.errors, 0);
	for (unsigned i = 0; i < 50; i++)
		drive(BASIC | NET_OFFLOADS, QSIZE);
	assert_true(driver_reset(&n.dev)); /* too soon: nobody is there that would mind */
	fake_now += NSEC;
	before = tun.offloads;
	drive(BASIC, QSIZE);
	assert_int_equal(tun.offload, 0);
	assert_int_equal(tun.offloads - before, 1);
}

static void a_tap_that_refuses_offloads_is_counted(void **state)
{
	make();
	tun.offload_err = ENOMEM;
	drive(BASIC, QSIZE);
	assert_int_equal(n.dev.errors, 1);
	assert_int_equal(driver_status(&n.dev) & VIRTIO_S_NEEDS_RESET, 0);
}

/* --- pairs and the control queue --- */

#define ACK_NONE 0xcc

/* One command: its answer, or ACK_NONE when there is none yet. */
static uint8_t command_raw(unsigned q, const void *msg, uint32_t len, uint32_t room)
{
	uint64_t at = driver_alloc(&v[q], 64);
	struct driver_buf b[] = {
		{at,      len,  true},
                {at + 32, room, true}
        };
	uint8_t *ack = driver_at(&v[q], at + 32, 1);

	b[0].write = false;
	memcpy(driver_at(&v[q], at, len), msg, len);
	*ack = ACK_NONE;
	driver_add(&v[q], b, room ? 2 : 1);
	driver_kick(&v[q], &n.dev);
	return *ack;
}

static uint8_t command(unsigned q, uint8_t class, uint8_t cmd, uint16_t pairs)
{
	const uint8_t msg[] = {class, cmd, (uint8_t)pairs, (uint8_t)(pairs >> 8)};

	return command_raw(q, msg, sizeof(msg), 1);
}

static unsigned pairs_on(void)
{
	unsigned on = 0;

	for (unsigned i = 0; i < tun.queues; i++)
		on |= (unsigned)tun.queue[i].on << i;
	return on;
}

static void the_driver_turns_pairs_on_and_off(void **state)
{
	conf.pairs = 4;
	up(CTRL_MQ);
	assert_int_equal(pairs_on(), 1);
	assert_int_equal(command(8, 4, 0, 4), 0);
	assert_int_equal(pairs_on(), 15);
	assert_int_equal(command(8, 4, 0, 2), 0);
	assert_int_equal(pairs_on(), 3);
	assert_int_equal(h.irqs[8], 1);
	assert_true(driver_reset(&n.dev));
	assert_int_equal(pairs_on(), 1);
}

static void commands_that_are_none_are_refused(void **state)
{
	struct driver_done done;
	static const uint8_t msg[] = {4, 0, 2, 0, 9, 9};

	conf.pairs = 2;
	up(CTRL_MQ);
	assert_int_equal(command(4, 4, 0, 0), 1);
	assert_int_equal(command(4, 4, 0, 3), 1);
	assert_int_equal(command(4, 4, 0, 0x8000), 1);
	assert_int_equal(command(4, 4, 1, 2), 1);
	assert_int_equal(command(4, 1, 0, 2), 1); /* a MAC of the driver's own */
	assert_int_equal(command(4, 0, 0, 1), 1); /* all frames: it gets them anyway */
	assert_int_equal(command_raw(4, msg, 3, 1), 1);
	assert_int_equal(command_raw(4, msg, 1, 1), 1);
	assert_int_equal(pairs_on(), 1);
	while (driver_used(&v[4], &done))
		assert_int_equal(done.len, 1);
	assert_int_equal(command_raw(4, msg, 6, 8), 0); /* longer is no harm */
	assert_true(driver_used(&v[4], &done));
	assert_int_equal(done.len, 1);
	assert_int_equal(command_raw(4, msg, 4, 0), ACK_NONE); /* no room for an answer */
	assert_true(driver_used(&v[4], &done));
	assert_int_equal(done.len, 0);
}

/* [virtio 1.2, 5.1.2]: without MQ there is one pair, and the control queue follows it. */
static void without_mq_the_control_queue_is_the_third(void **state)
{
	conf.pairs = 4;
	up(VIRTIO_NET_F_CTRL_VQ);
	assert_int_equal(command(2, 4, 0, 1), 1);
	assert_int_equal(command(8, 4, 0, 1), ACK_NONE);
	assert_true(driver_reset(&n.dev));
	drive(BASIC | VIRTIO_NET_F_MQ, QSIZE); /* MQ alone has no control queue */
	assert_int_equal(command(8, 4, 0, 2), ACK_NONE);
	assert_int_equal(pairs_on(), 1);
}

static void a_tap_that_keeps_its_pairs_is_an_error(void **state)
{
	conf.pairs = 2;
	up(CTRL_MQ);
	tun.queue_err = EINVAL;
	assert_int_equal(command(4, 4, 0, 2), 1);
	assert_int_equal(n.pairs, 1);
	tun.queue_err = 0;
	assert_int_equal(command(4, 4, 0, 2), 0);
	assert_int_equal(n.pairs, 2);
}

static void changes_of_pairs_are_bounded_and_wait(void **state)
{
	unsigned before;

	conf.pairs = 2;
	up(CTRL_MQ);
	before = tun.switches;
	for (unsigned i = 0; i < 100; i++)
		command(4, 4, 0, 1 + (i + 1) % 2);
	assert_in_range(tun.switches - before, 16, 33);
	assert_false(n.dev.again);
	for (unsigned i = 0; tun.switches - before < 100; i++) {
		assert_true(i < 200);
		wake();
	}
	assert_in_range(fake_now - 100 * NSEC, 2 * NSEC, 4 * NSEC);
	assert_int_equal(v[4].avail_idx, 100);
	assert_int_equal(n.dev.queue[4].used_idx, 100);
}

static void each_pair_moves_its_own_packets(void **state)
{
	struct driver_done done;
	uint64_t at;

	conf.pairs = 2;
	up(CTRL_MQ);
	for (unsigned on = 0; on < 2; on++) {
		at = driver_alloc(&v[2], 1526);
		driver_add(&v[2],
			   (struct driver_buf[]){
				   {at, 1526, true}
                },
			   1);
		at = driver_alloc(&v[3], 72);
		memcpy(driver_at(&v[3], at, 72), packet, 72);
		driver_add(&v[3],
			   (struct driver_buf[]){
				   {at, 72, false}
                },
			   1);
		driver_publish(&v[2]);
		driver_publish(&v[3]);
		host_send(1, 60);
		driver_serve(&n.dev);
		ready(1);
		if (!on) { /* off: neither way */
			assert_false(driver_used(&v[2], &done));
			assert_false(driver_used(&v[3], &done));
			assert_int_equal(command(4, 4, 0, 2), 0);
		}
		assert_true(driver_used(&v[2], &done));
		assert_int_equal(done.len, 72);
		assert_true(driver_used(&v[3], &done));
		assert_int_equal(host_recv(1), 60);
		assert_int_equal(host_recv(0), -1);
	}
}

/* More commands than a turn takes, and a ring that breaks among them. */
static void a_turn_takes_one_queue_size_of_commands(void **state)
{
	static const uint8_t msg[] = {9, 9, 9, 9};
	uint64_t at;

	conf.pairs = 2;
	make();
	drive(BASIC | CTRL_MQ, 4);
	at = driver_alloc(&v[4], 64);
	memcpy(driver_at(&v[4], at, 4), msg, 4);
	for (unsigned i = 0; i < 4; i++)
		driver_add(&v[4],
			   (struct driver_buf[]){
				   {at, 4, false}
                },
			   1);
	driver_publish(&v[4]);
	virtio_service(&n.dev);
	assert_int_equal(n.dev.chains, 4);
	assert_true(n.dev.again);
	driver_put_avail(&v[4], 77);
	driver_serve(&n.dev);
	assert_true(driver_status(&n.dev) & VIRTIO_S_NEEDS_RESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(everything_that_the_tap_can_is_offered),
		T(segments_of_udp_only_where_the_tap_has_them),
		T(offloads_can_be_kept_from_the_driver),
		T(an_mtu_is_offered_when_given),
		T(the_configuration_is_mac_link_and_pairs),
		T(the_driver_cannot_write_the_configuration),
		T(a_mac_of_its_own_is_local_and_the_same_each_time),
		T(a_mac_of_a_group_or_of_nobody_is_the_guests_to_refuse),
		T(what_makes_no_sense_is_refused),
		T(a_tap_that_cannot_be_watched_is_closed),
		T(a_closed_device_is_not_watched_by_its_taps_duplicate),
		T(a_passed_descriptor_serves_as_well),
		T(the_tap_offloads_what_the_driver_took),
		T(resets_in_a_loop_change_the_tap_at_a_bounded_rate),
		T(a_tap_that_refuses_offloads_is_counted),
		T(the_driver_turns_pairs_on_and_off),
		T(commands_that_are_none_are_refused),
		T(without_mq_the_control_queue_is_the_third),
		T(a_tap_that_keeps_its_pairs_is_an_error),
		T(changes_of_pairs_are_bounded_and_wait),
		T(each_pair_moves_its_own_packets),
		T(a_turn_takes_one_queue_size_of_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
