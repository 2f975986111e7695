/* timeline_test.c - the JSON object of a run: what is in it, and that the fullest one fits. */
#include "../../src/timeline.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* A board with four rows; two of them are one chip's. */
static uint64_t row_count[4];

static const char *row(unsigned i, uint64_t *count)
{
	static const char *const name[] = {"uart", "pic", "pit", "pic"};

	if (i >= ARRAY_SIZE(name))
		return NULL;
	*count = row_count[i];
	return name[i];
}

const char *board_pio_row(const struct board *b, unsigned i, uint64_t *count)
{
	return row(i, count);
}

const char *board_mmio_row(const struct board *b, unsigned i, uint64_t *count)
{
	return NULL;
}

const char *vm_exit_name(unsigned reason)
{
	return reason == 2 ? "io" : NULL;
}

static struct timeline t;
static struct board board;
static struct vm vm;
static struct devices devices;
static char json[20000];

static int fresh(void **state)
{
	memset(&t, 0, sizeof(t));
	devices.n = 0;
	t.proc_status = -1;
	memset(&vm, 0, sizeof(vm));
	memset(row_count, 0, sizeof(row_count));
	vm.board = &board;
	vm.cpus = 1;
	memset(&board, 0, sizeof(board));
	return 0;
}

static const char *written(const char *end, int status, uint64_t wakeups)
{
	int fd = memfd_create("timeline", 0);
	ssize_t n;

	assert_int_equal(timeline_write(&t, fd, &vm, &devices, end, status, wakeups), 0);
	n = pread(fd, json, sizeof(json) - 1, 0);
	assert_true(n > 0);
	json[n] = 0;
	close(fd);
	return json;
}

#define assert_has(part)                                                                           \
	do {                                                                                       \
		if (!strstr(json, part))                                                           \
			fail_msg("no %s in %s", part, json);                                       \
	} while (0)

static void devices_are_told_with_their_counts(void **state)
{
	static const struct virtio_ops blk = {.name = "blk"}, net = {.name = "net"};
	static struct virtio_dev disk = {.ops = &blk, .chains = 5, .kicks = 4, .slow_kicks = 1},
				 card = {.ops = &net, .irqs = 3, .errors = 2};

	written("poweroff", 0, 0);
	assert_has("\"devices\": [],");
	devices.n = 2;
	devices.device[0].dev = &disk;
	devices.device[1].dev = &card;
	written("poweroff", 0, 0);
	assert_has("{\"name\": \"blk\", \"requests\": 5, \"notifications\": 4, \"by_exit\": 1, "
		   "\"interrupts\": 0, \"errors\": 0},");
	assert_has("{\"name\": \"net\", \"requests\": 0, \"notifications\": 0, \"by_exit\": 0, "
		   "\"interrupts\": 3, \"errors\": 2}\n");
}

static void the_end_and_the_status_are_told(void **state)
{
	written("poweroff", 0, 7);
	assert_has("\"end\": \"poweroff\"");
	assert_has("\"status\": 0");
	assert_has("\"loop_wakeups\": 7");
	assert_int_equal(json[0], '{');
	assert_string_equal(json + strlen(json) - 3, "\n}\n");
}

static void phases_that_were_reached_are_told_in_order(void **state)
{
	timeline_reach(&t, PHASE_MAIN);
	timeline_reach(&t, PHASE_VM);
	assert_true(t.at[PHASE_MAIN] > 0);
	assert_true(t.at[PHASE_VM] >= t.at[PHASE_MAIN]);
	t.at[PHASE_MAIN] = 10;
	t.at[PHASE_VM] = 20;
	t.at[PHASE_EXIT] = 30;
	written("reset", 0, 0);
	assert_has("\"phases_ns\": {\"main\": 10, \"vm_created\": 20, \"exit\": 30}");
}

static void exec_is_never_later_than_main(void **state)
{
	t.at[PHASE_MAIN] = 5; /* long ago: the process slept since, without CPU time */
	timeline_reach_exec(&t);
	assert_int_equal(t.at[PHASE_EXEC], 5);
	timeline_reach(&t, PHASE_MAIN);
	timeline_reach_exec(&t);
	assert_true(t.at[PHASE_EXEC] <= t.at[PHASE_MAIN]);
	assert_true(t.at[PHASE_EXEC] > t.at[PHASE_MAIN] - 60 * NSEC);
}

static void marks_keep_time_and_value(void **state)
{
	timeline_mark(&t, 123, 1000);
	timeline_mark(&t, 0, 2000);
	written("reset", 0, 0);
	assert_has(
		"\"marks\": [{\"at_ns\": 1000, \"value\": 123}, {\"at_ns\": 2000, \"value\": 0}]");
	assert_has("\"marks_seen\": 2");
}

static void marks_beyond_the_room_are_counted(void **state)
{
	for (unsigned i = 0; i < 1000; i++)
		timeline_mark(&t, (uint8_t)i, i);
	written("reset", 0, 0);
	assert_has("\"marks_seen\": 1000");
	assert_has("\"at_ns\": 63,");
	assert_null(strstr(json, "\"at_ns\": 64,"));
}

static void exits_of_all_vcpus_are_added_up_by_reason(void **state)
{
	vm.cpus = 2;
	vm.vcpu[0].exits[2] = 40;
	vm.vcpu[1].exits[2] = 2;
	vm.vcpu[1].exits[63] = 1;
	vm.vcpu[0].kicks = 3;
	vm.vcpu[1].kicks = 4;
	vm.vcpu[2].exits[2] = 1000; /* beyond the VM's CPUs */
	written("reset", 0, 0);
	assert_has("\"exits\": {\"io\": 42, \"reason_63\": 1, \"kicked\": 7}");
}

static void rows_of_one_chip_are_one_count(void **state)
{
	row_count[0] = 5;
	row_count[1] = 6;
	row_count[3] = 7;
	board.pio_missed = 9;
	board.mmio_missed = 8;
	written("reset", 0, 0);
	assert_has("\"port_accesses\": {\"uart\": 5, \"pic\": 13, \"missed\": 9}");
	assert_has("\"mmio_accesses\": {\"missed\": 8}");
}

static void dropped_output_is_told(void **state)
{
	board.com1.dropped = 12345;
	written("reset", 0, 0);
	assert_has("\"console_bytes_dropped\": 12345");
}

static void peak_memory_is_this_process_image_s(void **state)
{
	unsigned long kib = 0;

	timeline_open_status(&t);
	assert_true(t.proc_status >= 0);
	written("reset", 0, 0);
	assert_int_equal(sscanf(strstr(json, "\"peak_rss_kib\": "), "\"peak_rss_kib\": %lu", &kib),
			 1);
	assert_true(kib > 100);
	close(t.proc_status);
	t.proc_status = -1; /* as where /proc is not mounted */
	written("reset", 0, 0);
	assert_has("\"peak_rss_kib\": 0,");
}

static void the_fullest_object_is_whole(void **state)
{
	for (unsigned p = 0; p < PHASE_N; p++)
		t.at[p] = UINT64_MAX;
	for (unsigned i = 0; i < TIMELINE_MARKS; i++)
		timeline_mark(&t, 255, UINT64_MAX);
	t.marks = UINT32_MAX;
	vm.cpus = MAX_CPUS;
	for (unsigned i = 0; i < VCPU_EXITS; i++)
		vm.vcpu[0].exits[i] = UINT64_MAX;
	for (unsigned i = 0; i < ARRAY_SIZE(row_count); i++)
		row_count[i] = UINT64_MAX / 2;
	board.pio_missed = board.mmio_missed = board.com1.dropped = UINT64_MAX;
	written("test_device", 255, UINT64_MAX);
	assert_string_equal(json + strlen(json) - 3, "\n}\n");
	assert_true(strlen(json) < 14000); /* the rows of a real board still fit */
	assert_has("\"page_faults\"");
}

static void a_file_that_cannot_be_written_is_an_error(void **state)
{
	int fd = open("/dev/full", O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(timeline_write(&t, fd, &vm, &devices, "reset", 0, 0), -EIO);
	close(fd);
	assert_int_equal(timeline_write(&t, -1, &vm, &devices, "reset", 0, 0), -EIO);
}

#define TEST(f) cmocka_unit_test_setup(f, fresh)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(devices_are_told_with_their_counts),
		TEST(the_end_and_the_status_are_told),
		TEST(phases_that_were_reached_are_told_in_order),
		TEST(exec_is_never_later_than_main),
		TEST(marks_keep_time_and_value),
		TEST(marks_beyond_the_room_are_counted),
		TEST(exits_of_all_vcpus_are_added_up_by_reason),
		TEST(rows_of_one_chip_are_one_count),
		TEST(dropped_output_is_told),
		TEST(peak_memory_is_this_process_image_s),
		TEST(the_fullest_object_is_whole),
		TEST(a_file_that_cannot_be_written_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
