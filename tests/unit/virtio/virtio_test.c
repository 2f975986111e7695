/* virtio_test.c - what all virtio devices share: status, features, settings, configuration, start.
 */
#include "pong.h"

/* --- status and features --- */

static void ring_features_and_version_1_are_always_offered(void **state)
{
	virtio_lock(&dev);
	assert_int_equal(virtio_offered(&dev, 0), OWN | BIT(28) | BIT(29));
	assert_int_equal(virtio_offered(&dev, 1), 1);
	assert_int_equal(virtio_offered(&dev, 2), 0);
	assert_int_equal(virtio_offered(&dev, UINT32_MAX), 0);
	virtio_unlock(&dev);
}

static void features_are_taken_by_halves(void **state)
{
	ack(0, 0x12345678);
	ack(1, 0x9abcdef0);
	assert_int_equal(acked(0), 0x12345678);
	assert_int_equal(acked(1), 0x9abcdef0);
	ack(0, 1);
	assert_int_equal(acked(0), 1);
	assert_int_equal(acked(1), 0x9abcdef0);
	ack(2, 0xffffffff);
	ack(UINT32_MAX, 0xffffffff);
	assert_int_equal(acked(0), 1);
	assert_int_equal(acked(1), 0x9abcdef0);
	assert_int_equal(acked(2), 0);
}

static void features_hold_from_features_ok_on(void **state)
{
	ack(0, OWN);
	ack(1, 1);
	set(ACK | DRIVER | FEAT_OK);
	assert_int_equal(status(), ACK | DRIVER | FEAT_OK);
	ack(0, 0);
	ack(1, 0);
	assert_int_equal(acked(0), OWN);
	assert_int_equal(acked(1), 1);
	assert_true(virtio_has(&dev, OWN));
	assert_false(virtio_has(&dev, VIRTIO_F_EVENT_IDX));
}

static void status_bits_come_in_any_number_at_once(void **state)
{
	prepare();
	set(0);
	set(ACK | DRIVER); /* as SeaBIOS does it */
	assert_int_equal(status(), 3);
	ack(1, 1);
	set(0x0b);
	assert_int_equal(status(), 0x0b);
	set(0x0f);
	assert_int_equal(status(), 0x0f);
	set(0);
	assert_int_equal(status(), 0);
	ack(1, 1);
	set(0x0f);
	assert_int_equal(status(), 0x0f);
	assert_true(dev.started);
}

static void status_bits_are_never_taken_back(void **state)
{
	set(ACK | DRIVER);
	set(ACK);
	assert_int_equal(status(), ACK | DRIVER);
	set(VIRTIO_S_FAILED);
	assert_int_equal(status(), ACK | DRIVER | VIRTIO_S_FAILED);
}

static void the_driver_sets_its_own_bits_alone(void **state)
{
	set(0x70);
	assert_int_equal(status(), 0);
	assert_int_equal(host.resets, 0); /* it was not 0, either */
	set(ACK | VIRTIO_S_NEEDS_RESET | 0x30);
	assert_int_equal(status(), ACK);
	assert_false(dev.broken);
}

static void features_ok_needs_version_1(void **state)
{
	ack(0, OWN);
	set(ACK | DRIVER | FEAT_OK);
	assert_int_equal(status(), ACK | DRIVER);
	ack(1, 1); /* a second try */
	set(ACK | DRIVER | FEAT_OK);
	assert_int_equal(status(), ACK | DRIVER | FEAT_OK);
}

static void features_ok_is_refused_for_what_was_not_offered(void **state)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t f = BIT(bit) | VIRTIO_F_VERSION_1;
		bool offered = dev.offered & BIT(bit);

		set(0);
		ack(0, (uint32_t)f);
		ack(1, (uint32_t)(f >> 32));
		set(ACK | DRIVER | FEAT_OK);
		assert_int_equal(status(), ACK | DRIVER | (offered ? FEAT_OK : 0));
	}
}

static void driver_ok_needs_features_ok(void **state)
{
	set(ACK | DRIVER | DRV_OK);
	assert_int_equal(status(), ACK | DRIVER);
	ack(0, BIT(9));
	ack(1, 1);
	set(ALL_OK);
	assert_int_equal(status(), ACK | DRIVER);
	assert_false(dev.started);
	assert_int_equal(host.kicks, 0);
}

/* --- settings --- */

static void settings_exist_for_the_devices_queues_alone(void **state)
{
	virtio_lock(&dev);
	assert_int_equal(virtio_queue(&dev, 0)->max, 16);
	assert_ptr_equal(virtio_queue(&dev, 1), virtio_queue_rw(&dev, 1));
	assert_null(virtio_queue(&dev, 2));
	assert_null(virtio_queue(&dev, 0xffff));
	assert_null(virtio_queue_rw(&dev, 2));
	assert_null(virtio_queue_rw(&dev, VIRTIO_QUEUES));
	assert_null(virtio_queue_rw(&dev, UINT32_MAX));
	virtio_unlock(&dev);
	set_size(2, 8);
	set_size(UINT32_MAX, 8);
}

static void sizes_that_cannot_be_are_ignored(void **state)
{
	static const uint16_t bad[] = {0, 3, 15, 17, 32, 0x8000, 0xffff};

	set_size(1, 4);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		set_size(1, bad[i]);
	assert_int_equal(settings(1)->size, 4);
	assert_int_equal(settings(0)->size, 16);
	for (uint16_t n = 1; n <= 16; n *= 2) {
		set_size(1, n);
		assert_int_equal(settings(1)->size, n);
	}
}

static void settings_are_frozen_from_driver_ok_to_the_end_of_reset(void **state)
{
	prepare();
	assert_non_null(settings(0));
	set(ALL_OK);
	assert_null(settings(0));
	set_size(0, 8);
	virtio_service(&dev);
	assert_null(settings(0));
	seen.busy = true;
	set(0);
	assert_null(settings(0));
	virtio_service(&dev);
	assert_null(settings(0));
	set_size(0, 8);
	assert_int_equal(dev.queue[0].size, 16);
	stopped();
	assert_non_null(settings(0));
}

static void more_queues_than_there_can_be_are_cut(void **state)
{
	virtio_init(&dev, &pong, &host.host, &ram, 0, VIRTIO_QUEUES + 1, 16);
	assert_int_equal(dev.queues, VIRTIO_QUEUES);
}

/* --- configuration space --- */

static void configuration_reads_are_little_endian_and_bounded(void **state)
{
	static const struct {
		unsigned off, size;
		uint32_t val;
	} t[] = {
		{0,       1, 1         },
                {0,       2, 0x0201    },
                {0,       4, 0x04030201},
                {2,       2, 0x0403    },
                {1,       4, 0x05040302},
		{5,       1, 6         },
                {4,       4, 0x0605    },
                {5,       2, 6         },
                {6,       1, 0         },
                {6,       4, 0         },
		{63,      4, 0         },
                {64,      4, 0         },
                {0x1000,  4, 0         },
                {~0u,     1, 0         },
                {~0u - 1, 4, 0         },
	};

	for (uint8_t i = 0; i < VIRTIO_CONFIG_MAX; i++)
		dev.config[i] = i + 1;
	dev.config_len = 6;
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++)
		assert_int_equal(config(t[i].off, t[i].size), t[i].val);
	dev.config_len = VIRTIO_CONFIG_MAX;
	assert_int_equal(config(62, 4), 0x403f);
}

static void configuration_writes_reach_the_device_inside_alone(void **state)
{
	dev.config_len = 6;
	config_write(2, 4, 0x12345678);
	called("c");
	assert_int_equal(seen.wrote, 0x12345678);
	assert_int_equal(seen.wrote_off, 2);
	assert_int_equal(seen.wrote_size, 4);
	config_write(3, 4, 0);
	config_write(6, 1, 0);
	config_write(~0u, 1, 0);
	config_write(~0u - 3, 4, 0);
	called("");
}

static void configuration_is_read_only_unless_the_device_takes_it(void **state)
{
	device(&plain);
	dev.config_len = 4;
	config_write(0, 4, 0xffffffff);
	assert_int_equal(config(0, 4), 0);
}

static void a_change_of_configuration_interrupts(void **state)
{
	up();
	config_changed();
	assert_int_equal(dev.generation, 1);
	assert_int_equal(host.config_irqs, 1);
	config_changed();
	assert_int_equal(host.config_irqs, 2);
}

static void a_change_before_driver_ok_interrupts_then(void **state)
{
	prepare();
	config_changed();
	config_changed();
	assert_int_equal(dev.generation, 2);
	assert_int_equal(host.config_irqs, 0);
	set(ALL_OK);
	assert_int_equal(host.config_irqs, 1);
	driver_reset(&dev);
	prepare(); /* and not again */
	set(ALL_OK);
	assert_int_equal(host.config_irqs, 1);
}

static void a_change_that_no_driver_could_miss_does_not_interrupt(void **state)
{
	config_changed();
	prepare();
	set(ALL_OK);
	assert_int_equal(host.config_irqs, 0);
	driver_reset(&dev);
	set(ACK);
	config_changed();
	set(0);
	prepare();
	set(ALL_OK);
	assert_int_equal(host.config_irqs, 0);
}

static void the_generation_goes_on_across_resets_and_wraps(void **state)
{
	for (unsigned i = 0; i < 255; i++)
		config_changed();
	set(0);
	assert_int_equal(dev.generation, 255);
	config_changed();
	assert_int_equal(dev.generation, 0);
}

/* --- start --- */

static void a_driver_that_keeps_the_rules_is_served(void **state)
{
	struct driver_done done;
	uint64_t at;

	driver_init(&drv[0], &ram, RING, 16, FEATURES);
	driver_init(&drv[1], &ram, RING_2, 16, FEATURES);
	at = driver_alloc(&drv[0], 4);
	assert_true(driver_bring_up(&host, &dev, drv, 2, FEATURES));
	driver_add(&drv[0], &(struct driver_buf){at, 4, true}, 1);
	driver_kick(&drv[0], &dev);
	assert_true(driver_used(&drv[0], &done));
	assert_int_equal(done.len, 4);
	assert_memory_equal(driver_at(&drv[0], at, 4), "pong", 4);
	assert_int_equal(host.irqs[0], 1);
	assert_int_equal(dev.chains, 1);
	assert_int_equal(dev.irqs, 1);
	assert_true(driver_reset(&dev));
}

static void driver_ok_kicks_and_the_loop_starts(void **state)
{
	prepare();
	assert_int_equal(host.kicks, 0);
	set(ALL_OK);
	assert_int_equal(host.kicks, 1);
	called("");
	virtio_service(&dev);
	called("sn");
	virtio_service(&dev);
	called("n");
	set(ALL_OK); /* again says nothing */
	assert_int_equal(host.kicks, 1);
	virtio_service(&dev);
	called("n");
	assert_int_equal(dev.kicks, 3);
}

static void the_rings_are_what_was_negotiated(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		uint64_t f =
			(i & 1 ? VIRTIO_F_EVENT_IDX : 0) | (i & 2 ? VIRTIO_F_INDIRECT_DESC : 0);

		driver_init(&drv[0], &ram, RING, 16, f);
		assert_true(driver_bring_up(&host, &dev, drv, 1, f | VIRTIO_F_VERSION_1));
		assert_true(dev.queue[0].started);
		assert_true(dev.queue[0].event_idx == (bool)(i & 1));
		assert_true(dev.queue[0].indirect == (bool)(i & 2));
	}
}

static void a_notification_before_driver_ok_is_not_lost(void **state)
{
	prepare();
	ask(1);
	notify();
	virtio_service(&dev);
	called("");
	assert_int_equal(host.kicks, 0);
	set(ALL_OK);
	virtio_service(&dev);
	assert_int_equal(answers(1), 1);
	assert_int_equal(host.irqs[1], 1);
	assert_int_equal(host.irqs[0], 0);
}

static void queues_that_are_not_enabled_stay_out(void **state)
{
	prepare();
	settings(0)->enabled = false;
	set(ALL_OK);
	assert_int_equal(status(), ALL_OK);
	ask(1);
	virtio_service(&dev);
	assert_int_equal(answers(1), 1);
	assert_false(dev.queue[0].started);
}

static void unusable_rings_need_a_reset(void **state)
{
	prepare();
	settings(1)->used = 2 * MIB - 4;
	set(ALL_OK);
	assert_int_equal(status(), ALL_OK | VIRTIO_S_NEEDS_RESET);
	assert_int_equal(host.config_irqs, 1);
	assert_int_equal(said_lines, 1);
	assert_false(dev.queue[0].started);
	assert_null(settings(1));
	virtio_service(&dev);
	notify();
	virtio_service(&dev);
	called("");
	assert_false(set(0)); /* at once */
	assert_int_equal(status(), 0);
	called("");
	up();
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(ring_features_and_version_1_are_always_offered),
		T(features_are_taken_by_halves),
		T(features_hold_from_features_ok_on),
		T(status_bits_come_in_any_number_at_once),
		T(status_bits_are_never_taken_back),
		T(the_driver_sets_its_own_bits_alone),
		T(features_ok_needs_version_1),
		T(features_ok_is_refused_for_what_was_not_offered),
		T(driver_ok_needs_features_ok),
		T(settings_exist_for_the_devices_queues_alone),
		T(sizes_that_cannot_be_are_ignored),
		T(settings_are_frozen_from_driver_ok_to_the_end_of_reset),
		T(more_queues_than_there_can_be_are_cut),
		T(configuration_reads_are_little_endian_and_bounded),
		T(configuration_writes_reach_the_device_inside_alone),
		T(configuration_is_read_only_unless_the_device_takes_it),
		T(a_change_of_configuration_interrupts),
		T(a_change_before_driver_ok_interrupts_then),
		T(a_change_that_no_driver_could_miss_does_not_interrupt),
		T(the_generation_goes_on_across_resets_and_wraps),
		T(a_driver_that_keeps_the_rules_is_served),
		T(driver_ok_kicks_and_the_loop_starts),
		T(the_rings_are_what_was_negotiated),
		T(a_notification_before_driver_ok_is_not_lost),
		T(queues_that_are_not_enabled_stay_out),
		T(unusable_rings_need_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
