/* kbd_test.c - the 8042 and its keyboard as Linux, FreeBSD and hobby kernels drive them. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../../src/pc/kbd.h"
#include "../../lib/steps.h"

enum { DATA = 0x60, CMD = 0x64 };
#define KEYS X0 /* Ctrl-Alt-Del; val says whether the guest takes it */
#define FULL X1 /* is a byte in the output buffer */

/* Status bits. IDLE is what is always on: not locked, self-test passed. */
enum { OBF = 0x01, LAST_CMD = 0x08, IDLE = 0x14, AUX = 0x20, TIMEOUT = 0x40 };

static uint64_t kbd_op(struct rig *r, const struct step *s)
{
	if (s->op == KEYS)
		return kbd_ctrl_alt_del(r->dev);
	return kbd_read(r->dev, 4, 1, r->now) & OBF;
}

static struct kbd kbd;

static struct rig *rig(void)
{
	static struct rig r;

	r = (struct rig){
		.dev = &kbd, .base = 0x60, .read = kbd_read, .write = kbd_write, .op = kbd_op};
	memset(&kbd, 0xa5, sizeof kbd);
	kbd_init(&kbd, rig_line(&r, 1), rig_power(&r));
	return &r;
}

#define TEST(name, ...)                                                                            \
	static void name(void **state)                                                             \
	{                                                                                          \
		static const struct step name[] = {__VA_ARGS__};                                   \
		(void)state;                                                                       \
		RUN(rig(), name);                                                                  \
	}

// clang-format off

/* Controller */

TEST(starts_idle_as_firmware_leaves_it,
	{RD, CMD, IDLE}, {LINE, 1, 0}, {RD, DATA, 0x00}, {RD, CMD, IDLE},
	{WR, CMD, 0x20}, {RD, DATA, 0x65}) /* IRQ 1, system flag, no mouse clock, translation */

TEST(self_test_answers_55,
	{WR, CMD, 0xaa}, {RD, CMD, IDLE | LAST_CMD | OBF}, {RD, DATA, 0x55},
	{RD, CMD, IDLE | LAST_CMD})

TEST(self_test_sets_the_system_flag,
	{WR, CMD, 0x60}, {WR, DATA, 0x00}, {RD, CMD, 0x10}, {WR, CMD, 0xaa}, {RD, DATA, 0x55},
	{RD, CMD, IDLE | LAST_CMD})

TEST(command_byte_is_read_and_written,
	{WR, CMD, 0x60}, {WR, DATA, 0x47}, {FULL, 0, 0}, {WR, CMD, 0x20}, {RD, DATA, 0x47},
	{WR, CMD, 0x60}, {WR, DATA, 0x74}, {WR, CMD, 0x20}, {RD, DATA, 0x74})

TEST(other_controller_ram_reads_zero,
	{WR, CMD, 0x77}, {WR, DATA, 0xff}, {FULL, 0, 0}, {WR, CMD, 0x37}, {RD, DATA, 0x00},
	{WR, CMD, 0x21}, {RD, DATA, 0x00}, {WR, CMD, 0x3f}, {RD, DATA, 0x00},
	{WR, CMD, 0x20}, {RD, DATA, 0x65})

TEST(keyboard_port_test_passes, {WR, CMD, 0xab}, {RD, DATA, 0x00}, {FULL, 0, 0})

TEST(there_is_no_password, {WR, CMD, 0xa4}, {RD, DATA, 0xf1})

TEST(input_port_says_unlocked, {WR, CMD, 0xc0}, {RD, DATA, 0x80})

TEST(test_inputs_are_answered, {WR, CMD, 0xe0}, {FULL, 0, 1}, {RD, DATA, 0x00})

TEST(keyboard_clock_commands_show_in_the_command_byte,
	{WR, CMD, 0xad}, {WR, CMD, 0x20}, {RD, DATA, 0x75}, {WR, CMD, 0xae}, {WR, CMD, 0x20},
	{RD, DATA, 0x65})

TEST(aux_clock_commands_show_in_the_command_byte,
	{WR, CMD, 0xa8}, {WR, CMD, 0x20}, {RD, DATA, 0x45}, {WR, CMD, 0xa7}, {WR, CMD, 0x20},
	{RD, DATA, 0x65})

TEST(status_tells_command_from_data_writes,
	{WR, CMD, 0xae}, {RD, CMD, IDLE | LAST_CMD}, {WR, DATA, 0xf4}, {RD, CMD, IDLE | OBF})

TEST(unknown_commands_answer_nothing,
	{WR, CMD, 0x00}, {WR, CMD, 0xa0}, {WR, CMD, 0xb5}, {WR, CMD, 0xc5}, {WR, CMD, 0xdd},
	{WR, CMD, 0xdf}, {WR, CMD, 0xef}, {FULL, 0, 0}, {OFF, POWER_RESET, 0}, {OFF, POWER_OFF, 0})

TEST(new_command_forgets_the_one_that_waits,
	{WR, CMD, 0x60}, {WR, CMD, 0xae}, {WR, DATA, 0xee}, {RD, DATA, 0xee}, {WR, CMD, 0x20},
	{RD, DATA, 0x65})

TEST(unread_answer_is_replaced_by_the_next,
	{WR, CMD, 0xaa}, {WR, CMD, 0x20}, {RD, DATA, 0x65}, {FULL, 0, 0})

TEST(answer_goes_before_keys,
	{WR, DATA, 0xee}, {WR, CMD, 0xaa}, {RD, DATA, 0x55}, {FULL, 0, 1}, {RD, DATA, 0xee},
	{FULL, 0, 0})

TEST(empty_buffer_repeats_the_last_byte,
	{WR, CMD, 0xaa}, {RD, DATA, 0x55}, {RD, DATA, 0x55}, {FULL, 0, 0}, {EDGES, 1, 1})

TEST(other_ports_of_the_range_are_not_decoded,
	{WR, 0x62, 0xfe}, {RD, 0x62, 0xff}, {RD2, 0x63, 0xffff}, {RD, 0x65, 0xff}, {FULL, 0, 0},
	{OFF, POWER_RESET, 0})

/* Mouse: none, and nobody has to wait to learn it */

TEST(linux_finds_no_mouse_at_once, /* an echo without the AUX bit, a failing test */
	{WR, CMD, 0x60}, {WR, DATA, 0x74}, {WR, CMD, 0xd3}, {WR, DATA, 0x5a}, {RD, CMD, IDLE | OBF},
	{WR, CMD, 0xa9}, {RD, CMD, IDLE | LAST_CMD | OBF}, {RD, DATA, 0x04}, {FULL, 0, 0})

TEST(freebsd_finds_no_mouse_at_once, {WR, CMD, 0xa8}, {WR, CMD, 0xa9}, {RD, DATA, 0x04})

TEST(byte_for_the_mouse_times_out_at_once,
	{WR, CMD, 0xd4}, {WR, DATA, 0xff}, {RD, CMD, IDLE | OBF | AUX | TIMEOUT}, {LINE, 1, 0},
	{RD, DATA, 0xfe}, {RD, CMD, IDLE}, {WR, DATA, 0xee}, {RD, DATA, 0xee})

/* Output port and reset */

TEST(output_port_keeps_reset_and_a20_high,
	{WR, CMD, 0xd0}, {RD, DATA, 0xcf}, {WR, CMD, 0xd1}, {WR, DATA, 0x05}, {OFF, POWER_RESET, 0},
	{WR, CMD, 0xd0}, {RD, DATA, 0x07}, {WR, CMD, 0xd1}, {WR, DATA, 0xdf}, {WR, CMD, 0xd0},
	{RD, DATA, 0xcf})

TEST(output_port_shows_a_waiting_byte,
	{WR, DATA, 0xee}, {WR, CMD, 0xd0}, {RD, DATA, 0xdf}, {RD, DATA, 0xee})

TEST(output_port_bit_0_low_resets,
	{WR, CMD, 0xd1}, {WR, DATA, 0xfe}, {OFF, POWER_RESET, 1}, {OFF, POWER_OFF, 0})

TEST(pulse_of_bit_0_resets,
	{WR, CMD, 0xfe}, {OFF, POWER_RESET, 1}, {WR, CMD, 0xfe}, {OFF, POWER_RESET, 1},
	{OFF, POWER_OFF, 0}, {FULL, 0, 0})

TEST(pulse_resets_exactly_when_bit_0_is_low,
	{WR, CMD, 0xf1}, {WR, CMD, 0xf3}, {WR, CMD, 0xf5}, {WR, CMD, 0xf7}, {WR, CMD, 0xf9},
	{WR, CMD, 0xfb}, {WR, CMD, 0xfd}, {WR, CMD, 0xff}, {OFF, POWER_RESET, 0},
	{WR, CMD, 0xf0}, {WR, CMD, 0xf2}, {WR, CMD, 0xf4}, {WR, CMD, 0xf6}, {WR, CMD, 0xf8},
	{WR, CMD, 0xfa}, {WR, CMD, 0xfc}, {WR, CMD, 0xfe}, {OFF, POWER_RESET, 8})

TEST(same_byte_to_the_keyboard_does_not_reset, {WR, DATA, 0xfe}, {OFF, POWER_RESET, 0})

/* Interrupt */

TEST(each_byte_has_its_own_edge,
	{WR, DATA, 0xf2}, {EDGES, 1, 1}, {LINE, 1, 1}, {RD, DATA, 0xfa}, {EDGES, 1, 1},
	{LINE, 1, 1},
	{RD, DATA, 0xab}, {EDGES, 1, 1}, {RD, DATA, 0x41}, {EDGES, 1, 0}, {LINE, 1, 0})

TEST(status_read_keeps_the_interrupt,
	{WR, DATA, 0xee}, {RD, CMD, IDLE | OBF}, {LINE, 1, 1}, {EDGES, 1, 1}, {RD, DATA, 0xee},
	{LINE, 1, 0})

TEST(command_byte_gates_the_interrupt,
	{WR, CMD, 0x60}, {WR, DATA, 0x44}, {WR, DATA, 0xee}, {FULL, 0, 1}, {LINE, 1, 0},
	{WR, CMD, 0x60}, {WR, DATA, 0x45}, {LINE, 1, 1}, {WR, CMD, 0x60}, {WR, DATA, 0x44},
	{LINE, 1, 0}, {RD, DATA, 0xee}, {EDGES, 1, 1})

TEST(controller_answers_interrupt_too,
	{WR, CMD, 0xaa}, {LINE, 1, 1}, {RD, DATA, 0x55}, {LINE, 1, 0})

TEST(byte_written_to_the_buffer_looks_like_a_key,
	{WR, CMD, 0xd2}, {WR, DATA, 0x1c}, {LINE, 1, 1}, {RD, CMD, IDLE | OBF}, {RD, DATA, 0x1c},
	{LINE, 1, 0})

/* Keyboard */

TEST(leds_and_rate_take_a_byte,
	{WR, DATA, 0xed}, {RD, DATA, 0xfa}, {WR, DATA, 0x07}, {RD, DATA, 0xfa}, {FULL, 0, 0},
	{WR, DATA, 0xf3}, {RD, DATA, 0xfa}, {WR, DATA, 0x00}, {RD, DATA, 0xfa}, {FULL, 0, 0},
	{WR, DATA, 0x00}, {RD, DATA, 0xfe}) /* one */

TEST(command_in_place_of_a_data_byte_counts_as_command,
	{WR, DATA, 0xed}, {RD, DATA, 0xfa}, {WR, DATA, 0xee}, {RD, DATA, 0xee}, {WR, DATA, 0x07},
	{RD, DATA, 0xfe}, {FULL, 0, 0})

TEST(identity_is_ab_83,
	{WR, CMD, 0x60}, {WR, DATA, 0x25}, {WR, DATA, 0xf2}, {RD, DATA, 0xfa}, {RD, DATA, 0xab},
	{RD, DATA, 0x83}, {FULL, 0, 0})

TEST(translation_turns_the_identity_into_ab_41,
	{WR, DATA, 0xf2}, {RD, DATA, 0xfa}, {RD, DATA, 0xab}, {RD, DATA, 0x41}, {FULL, 0, 0})

TEST(reset_passes_its_test_and_scans,
	{WR, DATA, 0xf5}, {RD, DATA, 0xfa}, {WR, DATA, 0xee}, {WR, DATA, 0xff}, {RD, DATA, 0xfa},
	{RD, DATA, 0xaa}, {FULL, 0, 0}, {KEYS, 0, 1})

TEST(echo_is_not_acknowledged, {WR, DATA, 0xee}, {RD, DATA, 0xee}, {FULL, 0, 0})

TEST(enable_disable_and_defaults_are_acknowledged,
	{WR, DATA, 0xf4}, {RD, DATA, 0xfa}, {FULL, 0, 0}, {WR, DATA, 0xf5}, {RD, DATA, 0xfa},
	{FULL, 0, 0}, {WR, DATA, 0xf6}, {RD, DATA, 0xfa}, {FULL, 0, 0})

TEST(only_scan_code_set_2_exists,
	{WR, CMD, 0x60}, {WR, DATA, 0x25}, {WR, DATA, 0xf0}, {RD, DATA, 0xfa}, {WR, DATA, 0x03},
	{RD, DATA, 0xfa}, {FULL, 0, 0}, {WR, DATA, 0xf0}, {RD, DATA, 0xfa}, {WR, DATA, 0x00},
	{RD, DATA, 0xfa}, {RD, DATA, 0x02}, {FULL, 0, 0})

TEST(translation_turns_set_2_into_41,
	{WR, DATA, 0xf0}, {RD, DATA, 0xfa}, {WR, DATA, 0x00}, {RD, DATA, 0xfa}, {RD, DATA, 0x41},
	{FULL, 0, 0})

TEST(key_types_of_set_3_are_acknowledged,
	{WR, DATA, 0xf7}, {RD, DATA, 0xfa}, {WR, DATA, 0xfa}, {RD, DATA, 0xfa}, {WR, DATA, 0xfd},
	{RD, DATA, 0xfa}, {FULL, 0, 0})

TEST(resend_repeats_the_last_byte,
	{WR, DATA, 0xee}, {RD, DATA, 0xee}, {WR, DATA, 0xfe}, {RD, DATA, 0xee}, {FULL, 0, 0})

TEST(unknown_keyboard_commands_are_refused,
	{WR, DATA, 0xeb}, {RD, DATA, 0xfe}, {WR, DATA, 0xef}, {RD, DATA, 0xfe}, {WR, DATA, 0xf1},
	{RD, DATA, 0xfe}, {WR, DATA, 0x00}, {RD, DATA, 0xfe}, {FULL, 0, 0})

TEST(stopped_clock_holds_keys_but_not_answers,
	{WR, DATA, 0xee}, {WR, CMD, 0xad}, {FULL, 0, 0}, {LINE, 1, 0}, {WR, CMD, 0xab},
	{FULL, 0, 1},
	{RD, DATA, 0x00}, {FULL, 0, 0}, {RD, DATA, 0x00}, {WR, CMD, 0xae}, {LINE, 1, 1},
	{RD, DATA, 0xee})

TEST(sending_to_the_keyboard_starts_its_clock,
	{WR, CMD, 0xad}, {WR, DATA, 0xee}, {RD, DATA, 0xee}, {WR, CMD, 0x20}, {RD, DATA, 0x65})

/* Ctrl-Alt-Del */

TEST(keys_come_translated_to_set_1,
	{RD, CMD, IDLE}, {KEYS, 0, 1}, {EDGES, 1, 1}, {RD, DATA, 0x1d}, {RD, DATA, 0x38},
	{RD, DATA, 0xe0}, {RD, DATA, 0x53}, {RD, DATA, 0xe0}, {RD, DATA, 0xd3}, {RD, DATA, 0xb8},
	{EDGES, 1, 7}, {LINE, 1, 1}, {RD, DATA, 0x9d}, {LINE, 1, 0}, {FULL, 0, 0}, {EDGES, 1, 0})

TEST(keys_come_raw_as_set_2,
	{WR, CMD, 0x60}, {WR, DATA, 0x05}, {KEYS, 0, 1}, {RD, DATA, 0x14}, {RD, DATA, 0x11},
	{RD, DATA, 0xe0}, {RD, DATA, 0x71}, {RD, DATA, 0xe0}, {RD, DATA, 0xf0}, {RD, DATA, 0x71},
	{RD, DATA, 0xf0}, {RD, DATA, 0x11}, {RD, DATA, 0xf0}, {RD, DATA, 0x14}, {FULL, 0, 0},
	{WR, DATA, 0xfe}, {RD, DATA, 0x14})

TEST(guest_without_a_driver_takes_no_keys,
	{KEYS, 0, 0}, {LINE, 1, 0}, {RD, 0x62, 0xff}, {WR, 0x63, 0}, {KEYS, 0, 0}, {RD, CMD, IDLE},
	{KEYS, 0, 1})

TEST(guest_that_disabled_scanning_takes_no_keys,
	{WR, DATA, 0xf5}, {RD, DATA, 0xfa}, {KEYS, 0, 0}, {FULL, 0, 0}, {WR, DATA, 0xf4},
	{RD, DATA, 0xfa}, {KEYS, 0, 1})

TEST(guest_that_stopped_the_clock_takes_no_keys,
	{WR, CMD, 0xad}, {KEYS, 0, 0}, {WR, CMD, 0xae}, {FULL, 0, 0}, {KEYS, 0, 1})

TEST(guest_without_the_interrupt_takes_no_keys,
	{WR, CMD, 0x60}, {WR, DATA, 0x44}, {KEYS, 0, 0}, {FULL, 0, 0})

TEST(guest_that_reads_nothing_takes_whole_presses_alone,
	{RD, CMD, IDLE}, {KEYS, 0, 1}, {KEYS, 0, 1}, {KEYS, 0, 0}, {RD, DATA, 0x1d}, {KEYS, 0, 0},
	{WR, CMD, 0x60}, {WR, DATA, 0x05}, {KEYS, 0, 0})

/* What Linux 6 does from the first probe to a working keyboard, then a client's request. */
TEST(linux_probes_without_a_wait,
	{RD, CMD, IDLE},
	{WR, CMD, 0xaa}, {FULL, 0, 1}, {RD, DATA, 0x55},
	{WR, CMD, 0x20}, {FULL, 0, 1}, {RD, DATA, 0x65}, {WR, CMD, 0x20}, {RD, DATA, 0x65},
	{WR, CMD, 0x60}, {WR, DATA, 0x74}, {FULL, 0, 0}, {KEYS, 0, 0},
	{WR, CMD, 0xd3}, {WR, DATA, 0x5a}, {FULL, 0, 1}, {WR, CMD, 0xa9}, {FULL, 0, 1},
	{RD, DATA, 0x04}, {EDGES, 1, 3},
	{WR, CMD, 0x60}, {WR, DATA, 0x65}, {FULL, 0, 0}, {EDGES, 1, 0},
	{WR, DATA, 0xf5}, {EDGES, 1, 1}, {RD, DATA, 0xfa},
	{WR, DATA, 0xf2}, {RD, DATA, 0xfa}, {RD, DATA, 0xab}, {RD, DATA, 0x41}, {EDGES, 1, 3},
	{WR, DATA, 0xed}, {RD, DATA, 0xfa}, {WR, DATA, 0x00}, {RD, DATA, 0xfa}, {EDGES, 1, 2},
	{WR, DATA, 0xf3}, {RD, DATA, 0xfa}, {WR, DATA, 0x00}, {RD, DATA, 0xfa}, {KEYS, 0, 0},
	{WR, DATA, 0xf4}, {RD, DATA, 0xfa}, {FULL, 0, 0}, {KEYS, 0, 1}, {RD, DATA, 0x1d})

// clang-format on

static void queue_is_bounded(void **state)
{
	(void)state;
	rig();
	for (unsigned i = 0; i < 100; i++)
		kbd_write(&kbd, 0, 1, 0xf2, 0);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(kbd_read(&kbd, 4, 1, 0) & OBF, OBF);
		kbd_read(&kbd, 0, 1, 0);
	}
	assert_int_equal(kbd_read(&kbd, 4, 1, 0) & OBF, 0);
}

/* Both ports with each value, in all orders of two and many longer ones. */
static void no_write_hurts(void **state)
{
	struct rig *r = rig();
	uint32_t seed = 1;

	(void)state;
	for (uint32_t i = 0; i < 4 * 256 * 256; i++) {
		seed = seed * 1664525 + 1013904223;
		kbd_write(&kbd, i & 4, 1, i & 0xff, 0);
		kbd_write(&kbd, (i >> 16 & 1) * 4, 1, i >> 8, 0);
		assert_true(kbd_read(&kbd, 4, 1, 0) != 0xff);
		assert_true(kbd_read(&kbd, seed >> 29, 1, 0) <= 0xff);
		assert_true(kbd.queue_len <= KBD_QUEUE);
		if ((seed & 0x7f00) == 0)
			kbd_ctrl_alt_del(&kbd);
	}
	for (unsigned i = 0; i < 20; i++)
		kbd_read(&kbd, 0, 1, 0);
	assert_int_equal(r->line[1].level, 0);
	assert_int_equal(r->power[POWER_OFF], 0);
}

int main(void)
{
#define T(f) cmocka_unit_test(f)
	const struct CMUnitTest tests[] = {
		T(starts_idle_as_firmware_leaves_it),
		T(self_test_answers_55),
		T(self_test_sets_the_system_flag),
		T(command_byte_is_read_and_written),
		T(other_controller_ram_reads_zero),
		T(keyboard_port_test_passes),
		T(there_is_no_password),
		T(input_port_says_unlocked),
		T(test_inputs_are_answered),
		T(keyboard_clock_commands_show_in_the_command_byte),
		T(aux_clock_commands_show_in_the_command_byte),
		T(status_tells_command_from_data_writes),
		T(unknown_commands_answer_nothing),
		T(new_command_forgets_the_one_that_waits),
		T(unread_answer_is_replaced_by_the_next),
		T(answer_goes_before_keys),
		T(empty_buffer_repeats_the_last_byte),
		T(other_ports_of_the_range_are_not_decoded),
		T(linux_finds_no_mouse_at_once),
		T(freebsd_finds_no_mouse_at_once),
		T(byte_for_the_mouse_times_out_at_once),
		T(output_port_keeps_reset_and_a20_high),
		T(output_port_shows_a_waiting_byte),
		T(output_port_bit_0_low_resets),
		T(pulse_of_bit_0_resets),
		T(pulse_resets_exactly_when_bit_0_is_low),
		T(same_byte_to_the_keyboard_does_not_reset),
		T(each_byte_has_its_own_edge),
		T(status_read_keeps_the_interrupt),
		T(command_byte_gates_the_interrupt),
		T(controller_answers_interrupt_too),
		T(byte_written_to_the_buffer_looks_like_a_key),
		T(leds_and_rate_take_a_byte),
		T(command_in_place_of_a_data_byte_counts_as_command),
		T(identity_is_ab_83),
		T(translation_turns_the_identity_into_ab_41),
		T(reset_passes_its_test_and_scans),
		T(echo_is_not_acknowledged),
		T(enable_disable_and_defaults_are_acknowledged),
		T(only_scan_code_set_2_exists),
		T(translation_turns_set_2_into_41),
		T(key_types_of_set_3_are_acknowledged),
		T(resend_repeats_the_last_byte),
		T(unknown_keyboard_commands_are_refused),
		T(stopped_clock_holds_keys_but_not_answers),
		T(sending_to_the_keyboard_starts_its_clock),
		T(keys_come_translated_to_set_1),
		T(keys_come_raw_as_set_2),
		T(guest_without_a_driver_takes_no_keys),
		T(guest_that_disabled_scanning_takes_no_keys),
		T(guest_that_stopped_the_clock_takes_no_keys),
		T(guest_without_the_interrupt_takes_no_keys),
		T(guest_that_reads_nothing_takes_whole_presses_alone),
		T(linux_probes_without_a_wait),
		T(queue_is_bounded),
		T(no_write_hurts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
