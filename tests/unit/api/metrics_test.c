/*
 * metrics_test.c - Firecracker's metrics line: its exact keys, what a counter tells from line to
 * line, and readers that are slow or gone.
 */
#include "../../../src/api/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "../../../src/api/cli.h"
#include "../../../src/api/metrics_devices.h"
#include "../../../src/clock.h"

// clang-format off
/* As its own test suite lists them for x86; *: of times. */
static const struct {
	const char *name, *keys;
} expected[] = {
	{"api_server",
		"process_startup_time_us process_startup_time_cpu_us"},
	{"balloon",
		"activate_fails inflate_count stats_updates_count stats_update_fails "
		"deflate_count event_fails free_page_report_count free_page_report_freed "
		"free_page_report_fails free_page_hint_count free_page_hint_freed "
		"free_page_hint_fails"},
	{"block",
		"activate_fails cfg_fails no_avail_buffer event_fails execute_fails "
		"invalid_reqs_count flush_count queue_event_count "
		"rate_limiter_event_count update_count update_fails read_bytes "
		"write_bytes read_count write_count rate_limiter_throttled_events "
		"io_engine_throttled_events remaining_reqs_count *read_agg *write_agg"},
	{"deprecated_api",
		"deprecated_http_api_calls"},
	{"get_api_requests",
		"instance_info_count machine_cfg_count mmds_count vmm_version_count "
		"hotplug_memory_count"},
	{"i8042",
		"error_count missed_read_count missed_write_count read_count reset_count "
		"write_count"},
	{"latencies_us",
		"full_create_snapshot diff_create_snapshot load_snapshot pause_vm "
		"resume_vm vmm_full_create_snapshot vmm_diff_create_snapshot "
		"vmm_load_snapshot vmm_pause_vm vmm_resume_vm"},
	{"logger",
		"missed_metrics_count metrics_fails missed_log_count "
		"rate_limited_log_count"},
	{"mmds",
		"rx_accepted rx_accepted_err rx_accepted_unusual rx_bad_eth "
		"rx_invalid_token rx_no_token rx_count tx_bytes tx_count tx_errors "
		"tx_frames connections_created connections_destroyed"},
	{"net",
		"activate_fails cfg_fails no_rx_avail_buffer no_tx_avail_buffer "
		"event_fails rx_queue_event_count rx_event_rate_limiter_count "
		"rx_rate_limiter_throttled rx_tap_event_count rx_bytes_count "
		"rx_packets_count rx_fails rx_count tap_read_fails tap_write_fails "
		"tx_bytes_count tx_malformed_frames tx_fails tx_count tx_packets_count "
		"tx_queue_event_count tx_rate_limiter_event_count "
		"tx_rate_limiter_throttled tx_spoofed_mac_count tx_remaining_reqs_count "
		"*tap_write_agg"},
	{"patch_api_requests",
		"drive_count drive_fails network_count network_fails machine_cfg_count "
		"machine_cfg_fails mmds_count mmds_fails hotplug_memory_count "
		"hotplug_memory_fails pmem_count pmem_fails"},
	{"put_api_requests",
		"actions_count actions_fails boot_source_count boot_source_fails "
		"drive_count drive_fails logger_count logger_fails machine_cfg_count "
		"machine_cfg_fails cpu_cfg_count cpu_cfg_fails metrics_count "
		"metrics_fails network_count network_fails mmds_count mmds_fails "
		"vsock_count vsock_fails pmem_count pmem_fails serial_count serial_fails "
		"hotplug_memory_count hotplug_memory_fails"},
	{"seccomp",
		"num_faults"},
	{"vcpu",
		"exit_io_in exit_io_out exit_mmio_read exit_mmio_write failures "
		"kvmclock_ctrl_fails *exit_io_in_agg *exit_io_out_agg *exit_mmio_read_agg "
		"*exit_mmio_write_agg"},
	{"vmm",
		"panic_count"},
	{"uart",
		"error_count flush_count missed_read_count missed_write_count read_count "
		"write_count rate_limiter_dropped_bytes"},
	{"signals",
		"sigbus sigsegv sigxfsz sigxcpu sigpipe sighup sigill"},
	{"vsock",
		"activate_fails cfg_fails rx_queue_event_fails tx_queue_event_fails "
		"ev_queue_event_fails muxer_event_fails conn_event_fails "
		"rx_queue_event_count tx_queue_event_count rx_bytes_count tx_bytes_count "
		"rx_packets_count tx_packets_count conns_added conns_killed conns_removed "
		"killq_resync tx_flush_fails tx_write_fails rx_read_fails"},
	{"entropy",
		"activate_fails entropy_event_fails entropy_event_count entropy_bytes "
		"host_rng_fails entropy_rate_limiter_throttled rate_limiter_event_count"},
	{"interrupts",
		"triggers config_updates"},
	{"pmem",
		"activate_fails cfg_fails event_fails queue_event_count "
		"rate_limiter_throttled_events rate_limiter_event_count"},
	{"memory_hotplug",
		"activate_fails queue_event_fails queue_event_count plug_count plug_bytes "
		"plug_fails *plug_agg unplug_count unplug_bytes unplug_fails "
		"unplug_discard_fails *unplug_agg state_count state_fails *state_agg "
		"unplug_all_count unplug_all_fails *unplug_all_agg"},
};
// clang-format on

static char path[64], why[256];
static int reader = -1, writer = -1;
static struct metrics now; /* what the machine counted so far */
static char properties[200000] = "{\"a\":\"b\"}";

static void fill(void *ctx, struct metrics *m)
{
	assert_ptr_equal(ctx, &now);
	assert_int_equal(m->vcpu.exit_io_in, 0); /* it comes empty */
	*m = now;
}

static int begin(void **state)
{
	snprintf(path, sizeof(path), "/tmp/minnow-metrics-XXXXXX");
	close(mkstemp(path));
	unlink(path);
	return mkfifo(path, 0600);
}

static int end(void **state)
{
	close(reader);
	close(writer);
	return unlink(path);
}

/* The next line; NULL: there is none. */
static json_t *next_line(void)
{
	static char line[256 * 1024];
	size_t n = 0;
	json_t *j;

	while (n < sizeof(line) - 1 && read(reader, line + n, 1) == 1)
		if (line[n++] == '\n')
			break;
	line[n] = '\0';
	if (!n)
		return NULL;
	j = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	if (!j)
		fail_msg("not JSON: %s", line);
	return j;
}

static json_int_t number(const json_t *j, const char *group, const char *key)
{
	const json_t *val = json_object_get(json_object_get(j, group), key);

	if (!json_is_integer(val))
		fail_msg("%s.%s is no number", group, key);
	return json_integer_value(val);
}

static json_t *written(void)
{
	json_t *j;

	assert_int_equal(metrics_write(), 0);
	j = next_line();
	assert_non_null(j);
	return j;
}

/* That `j` has the keys in the list of words, numbers all, and no others. */
static void has_keys(const json_t *j, const char *list, const char *name)
{
	char words[1024], *save, *word;
	size_t n = 0;

	snprintf(words, sizeof(words), "%s", list);
	for (word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save), n++) {
		const json_t *val = json_object_get(j, word + (*word == '*'));

		if (*word == '*') {
			assert_int_equal(json_object_size(val), 3);
			assert_true(json_is_integer(json_object_get(val, "min_us")));
			assert_true(json_is_integer(json_object_get(val, "max_us")));
			assert_true(json_is_integer(json_object_get(val, "sum_us")));
		} else if (!json_is_integer(val)) {
			fail_msg("%s.%s is missing", name, word);
		}
	}
	if (json_object_size(j) != n)
		fail_msg("%s has %zu keys, not %zu", name, json_object_size(j), n);
}

static const char *keys_of(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(expected); i++)
		if (!strcmp(expected[i].name, name))
			return expected[i].keys;
	return NULL;
}

static void without_a_path_nothing_is_written(void **state)
{
	assert_false(metrics_on());
	assert_int_equal(metrics_write(), 0);
	assert_true(metrics_tick(clock_now()) == NEVER);
}

static void a_path_that_cannot_be_opened_is_refused(void **state)
{
	assert_int_equal(metrics_init("/nowhere/m", NULL, NULL, why, sizeof(why)), -ENOENT);
	assert_string_equal(why, "Cannot initialize the metrics system due to bad user input: "
				 "No such file or directory (os error 2)");
	assert_int_equal(metrics_init("/tmp", NULL, NULL, why, sizeof(why)), -EISDIR);
	assert_false(metrics_on());
}

static void a_fifo_opens_before_anybody_reads_it_and_but_once(void **state)
{
	assert_int_equal(metrics_init(path, "my-id", properties, why, sizeof(why)), 0);
	assert_true(metrics_on());
	reader = open(path, O_RDONLY | O_NONBLOCK);
	writer = open(path, O_WRONLY | O_NONBLOCK);
	assert_int_equal(metrics_init(path, NULL, NULL, why, sizeof(why)), -EALREADY);
	assert_string_equal(why, "Cannot initialize the metrics system due to bad user input: "
				 "Reinitialization of metrics not allowed.");
	metrics_source(fill, &now);
}

static void a_line_has_firecrackers_keys_and_no_others(void **state)
{
	struct timespec ts;
	json_t *j = written();

	for (unsigned i = 0; i < ARRAY_SIZE(expected); i++)
		has_keys(json_object_get(j, expected[i].name), expected[i].keys, expected[i].name);
	/* ... beside the time, and the two that were asked for. */
	assert_int_equal(json_object_size(j), ARRAY_SIZE(expected) + 3);
	assert_string_equal(json_string_value(json_object_get(j, "id")), "my-id");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(j, "properties"), "a")), "b");
	clock_gettime(CLOCK_REALTIME, &ts);
	assert_in_range(
		(uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000 -
			(uint64_t)json_integer_value(json_object_get(j, "utc_timestamp_ms")),
		0, 1000);
	json_decref(j);
}

static void a_counter_tells_what_it_grew_by(void **state)
{
	json_t *j;

	now.vcpu.exit_io_in = 100;
	metrics_api.put.drive_count = 2;
	j = written();
	assert_int_equal(number(j, "vcpu", "exit_io_in"), 100);
	assert_int_equal(number(j, "put_api_requests", "drive_count"), 2);
	json_decref(j);
	now.vcpu.exit_io_in = 107;
	j = written();
	assert_int_equal(number(j, "vcpu", "exit_io_in"), 7);
	assert_int_equal(number(j, "put_api_requests", "drive_count"), 0);
	json_decref(j);
}

static void a_value_stays(void **state)
{
	metrics_api.latencies.pause_vm = 55;
	metrics_signals.sigbus = 1;
	metrics_seccomp.num_faults = 1;
	now.vcpu.exit_io_in_agg = (struct metrics_agg){3, 9, 12};
	for (int i = 0; i < 2; i++) {
		json_t *j = written(),
		       *agg = json_object_get(json_object_get(j, "vcpu"), "exit_io_in_agg");

		assert_int_equal(number(j, "latencies_us", "pause_vm"), 55);
		assert_int_equal(number(j, "signals", "sigbus"), 1);
		assert_int_equal(number(j, "seccomp", "num_faults"), 1);
		assert_int_equal(json_integer_value(json_object_get(agg, "min_us")), 3);
		assert_int_equal(json_integer_value(json_object_get(agg, "max_us")), 9);
		assert_int_equal(json_integer_value(json_object_get(agg, "sum_us")), i ? 0 : 12);
		json_decref(j);
	}
}

static void devices_are_told_one_by_one_and_as_a_sum(void **state)
{
	json_t *j;

	now.blocks = 2;
	now.block_id[0] = "rootfs";
	now.block_id[1] = "data_1";
	now.block[0].read_bytes = 512;
	now.block[1].read_bytes = UINT64_MAX / 4;
	now.block[1].read_agg = (struct metrics_agg){1, 2, 3};
	now.nets = 1;
	now.net_id[0] = "eth0";
	now.net[0].tx_packets_count = 4;
	j = written();
	has_keys(json_object_get(j, "block_rootfs"), keys_of("block"), "block_rootfs");
	has_keys(json_object_get(j, "block_data_1"), keys_of("block"), "block_data_1");
	has_keys(json_object_get(j, "net_eth0"), keys_of("net"), "net_eth0");
	assert_int_equal(number(j, "block_rootfs", "read_bytes"), 512);
	assert_true((uint64_t)number(j, "block_data_1", "read_bytes") == UINT64_MAX / 4);
	assert_true((uint64_t)number(j, "block", "read_bytes") == UINT64_MAX / 4 + 512);
	assert_int_equal(number(json_object_get(j, "block"), "read_agg", "min_us"), 0);
	assert_int_equal(number(json_object_get(j, "block"), "read_agg", "sum_us"), 3);
	assert_int_equal(number(json_object_get(j, "block_data_1"), "read_agg", "max_us"), 2);
	assert_int_equal(number(j, "net_eth0", "tx_packets_count"), 4);
	assert_int_equal(number(j, "net", "tx_packets_count"), 4);
	json_decref(j);
	now.block[0].read_bytes = 600;
	now.net[0].tx_packets_count = 1; /* made anew */
	j = written();
	assert_int_equal(number(j, "block_rootfs", "read_bytes"), 88);
	assert_int_equal(number(j, "block", "read_bytes"), 88);
	assert_int_equal(number(j, "net", "tx_packets_count"), 1);
	json_decref(j);
}

static void a_line_comes_every_minute(void **state)
{
	uint64_t t = 1000 * NSEC, due = metrics_tick(t);

	json_decref(next_line()); /* at the start */
	assert_int_equal(due, t + METRICS_PERIOD);
	assert_int_equal(metrics_tick(t + METRICS_PERIOD - 1), due);
	assert_null(next_line());
	assert_int_equal(metrics_tick(due), due + METRICS_PERIOD);
	json_decref(next_line());
	assert_null(next_line());
}

static void the_start_is_told_by_the_jailer(void **state)
{
	json_t *j;

	metrics_startup(FC_NOT_GIVEN, FC_NOT_GIVEN, FC_NOT_GIVEN);
	j = written();
	assert_int_equal(number(j, "api_server", "process_startup_time_us"), 0);
	assert_int_equal(number(j, "api_server", "process_startup_time_cpu_us"), 0);
	json_decref(j);
	metrics_startup(clock_now() / 1000 - 5000, 0, 1000000);
	j = written();
	assert_in_range(number(j, "api_server", "process_startup_time_us"), 5000, 1000000);
	assert_in_range(number(j, "api_server", "process_startup_time_cpu_us"), 1000000, 60000000);
	json_decref(j);
}

/* Fills the FIFO but for `room` bytes. */
static void leave_room(int room)
{
	static char junk[4096];

	memset(junk, ' ', sizeof(junk));
	while (write(writer, junk, sizeof(junk)) > 0)
		;
	while (write(writer, junk, 1) > 0)
		;
	while (room > 0) {
		ssize_t n = read(reader, junk, MIN((size_t)room, sizeof(junk)));

		assert_true(n > 0);
		room -= (int)n;
	}
}

static void drain(void)
{
	char junk[4096];

	while (read(reader, junk, sizeof(junk)) > 0)
		;
}

static void a_line_that_nobody_takes_is_not_forgotten(void **state)
{
	json_t *j;

	now.vcpu.exit_mmio_read = 10;
	leave_room(0);
	assert_int_equal(metrics_write(), -EAGAIN);
	assert_int_equal(metrics_write(), -EAGAIN);
	drain();
	now.vcpu.exit_mmio_read = 11;
	j = written();
	assert_int_equal(number(j, "vcpu", "exit_mmio_read"), 11);
	assert_int_equal(number(j, "logger", "missed_metrics_count"), 2);
	json_decref(j);
}

static void a_torn_line_ends_before_the_next_begins(void **state)
{
	char torn[16384];
	ssize_t n;

	now.vcpu.exit_mmio_write = 10;
	leave_room(4096);
	assert_int_equal(metrics_write(), -EAGAIN);
	drain();
	assert_int_equal(metrics_write(), 0);
	n = read(reader, torn, sizeof(torn) - 1);
	assert_true(n > 1);
	torn[n] = '\0';
	assert_int_equal(torn[0], '\n');
	assert_int_equal(torn[1], '{');
	assert_non_null(strstr(torn, "\"exit_mmio_write\":10"));
	json_decref(written());
}

static void our_counters_have_their_keys(void **state)
{
	static struct blk b;
	static struct net n;
	static struct vsock v;
	static struct rng r;
	static struct balloon bal;
	static struct vm vm;
	struct mmds_counters mmds;
	const uint64_t *from = (const uint64_t *)&mmds, *to = (const uint64_t *)&now.mmds;

	memset(&mmds, 7, sizeof(mmds));
	metrics_mmds(&now.mmds, &mmds);
	for (unsigned i = 0; i < sizeof(now.mmds) / sizeof(*to); i++)
		assert_true(to[i] == *from);
	vm.cpus = 2;
	for (unsigned i = 0; i < vm.cpus; i++)
		vm.vcpu[i] = (struct vcpu){
			.pio = {1, 2},
                          .mmio = {3, 4}
                };
	metrics_vcpus(&now.vcpu, &vm);
	assert_int_equal(now.vcpu.exit_io_in, 107 + 2);
	assert_int_equal(now.vcpu.exit_io_out, 4);
	assert_int_equal(now.vcpu.exit_mmio_read, 11 + 6);
	assert_int_equal(now.vcpu.exit_mmio_write, 10 + 8);
	b.count = (struct blk_counters){.reads = 1,
					.writes = 2,
					.flushes = 3,
					.read_bytes = 4,
					.write_bytes = 5,
					.refused = 6};
	b.dev.errors = 8;
	b.dev.kicks = 9;
	b.limit.throttled = 10;
	metrics_blk(&now.block[0], &b);
	assert_int_equal(now.block[0].read_count, 1);
	assert_int_equal(now.block[0].write_count, 2);
	assert_int_equal(now.block[0].flush_count, 3);
	assert_int_equal(now.block[0].read_bytes, 4);
	assert_int_equal(now.block[0].write_bytes, 5);
	assert_int_equal(now.block[0].invalid_reqs_count, 6);
	assert_int_equal(now.block[0].execute_fails, 2);
	assert_int_equal(now.block[0].queue_event_count, 9);
	assert_int_equal(now.block[0].rate_limiter_throttled_events, 10);
	n.in = (struct net_counters){1, 2, 3, 4};
	n.out = (struct net_counters){5, 6, 7, 8};
	metrics_net(&now.net[0], &n);
	assert_int_equal(now.net[0].rx_packets_count, 1);
	assert_int_equal(now.net[0].rx_bytes_count, 2);
	assert_int_equal(now.net[0].rx_fails, 3);
	assert_int_equal(now.net[0].no_rx_avail_buffer, 4);
	assert_int_equal(now.net[0].tx_packets_count, 5);
	assert_int_equal(now.net[0].tx_bytes_count, 6);
	assert_int_equal(now.net[0].tx_fails, 7);
	v.accepted = 5;
	v.dialed = 4;
	v.undialed = 1;
	v.killed = 2;
	metrics_vsock(&now.vsock, &v);
	assert_int_equal(now.vsock.conns_added, 8);
	assert_int_equal(now.vsock.conns_killed, 2);
	r.bytes = 64;
	r.dev.chains = 1;
	metrics_rng(&now.entropy, &r);
	assert_int_equal(now.entropy.entropy_bytes, 64);
	assert_int_equal(now.entropy.entropy_event_count, 1);
	bal.inflated = 3;
	bal.deflated = 2;
	bal.reported = 512;
	bal.stats_updates = 1;
	metrics_balloon(&now.balloon, &bal);
	assert_int_equal(now.balloon.inflate_count, 3);
	assert_int_equal(now.balloon.deflate_count, 2);
	assert_int_equal(now.balloon.free_page_report_freed, 512 * 4096);
	assert_int_equal(now.balloon.stats_updates_count, 1);
}

static void all_devices_fit_in_a_line(void **state)
{
	static char id[METRICS_BLOCKS][70];
	json_t *j;

	now.blocks = 99;
	now.nets = METRICS_NETS;
	for (unsigned i = 0; i < METRICS_BLOCKS; i++) {
		snprintf(id[i], sizeof(id[i]),
			 "a_name_of_sixty_four_letters_that_a_client_may_"
			 "well_give_to_it_%u",
			 i);
		now.block_id[i] = id[i];
		memset(&now.block[i], 0x02, sizeof(now.block[i]));
	}
	for (unsigned i = 0; i < METRICS_NETS; i++) {
		now.net_id[i] = id[i];
		memset(&now.net[i], 0x02, sizeof(now.net[i]));
	}
	assert_true(fcntl(writer, F_SETPIPE_SZ, 1 << 20) >= 1 << 18);
	j = written();
	assert_int_equal(json_object_size(j),
			 ARRAY_SIZE(expected) + 3 + METRICS_BLOCKS + METRICS_NETS);
	json_decref(j);
}

static void a_line_that_is_too_long_is_not_written(void **state)
{
	json_t *j;

	memset(properties + 6, 'b', sizeof(properties) - 7);
	assert_int_equal(metrics_write(), -EMSGSIZE);
	assert_null(next_line());
	strcpy(properties, "{}");
	j = written();
	assert_int_equal(number(j, "logger", "metrics_fails"), 1);
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_path_nothing_is_written),
		cmocka_unit_test(a_path_that_cannot_be_opened_is_refused),
		cmocka_unit_test(a_fifo_opens_before_anybody_reads_it_and_but_once),
		cmocka_unit_test(a_line_has_firecrackers_keys_and_no_others),
		cmocka_unit_test(a_counter_tells_what_it_grew_by),
		cmocka_unit_test(a_value_stays),
		cmocka_unit_test(devices_are_told_one_by_one_and_as_a_sum),
		cmocka_unit_test(a_line_comes_every_minute),
		cmocka_unit_test(the_start_is_told_by_the_jailer),
		cmocka_unit_test(a_line_that_nobody_takes_is_not_forgotten),
		cmocka_unit_test(a_torn_line_ends_before_the_next_begins),
		cmocka_unit_test(our_counters_have_their_keys),
		cmocka_unit_test(all_devices_fit_in_a_line),
		cmocka_unit_test(a_line_that_is_too_long_is_not_written),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
