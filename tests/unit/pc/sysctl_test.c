/* sysctl_test.c - behaviours of ports 61h, 92h and CF9h, with the timer behind the first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../src/pc/sysctl.h"
#include "../../lib/steps.h"

static struct pit pit;
static struct sysctl ctl;
static struct rig rig;

static uint32_t port_read(void *dev, uint32_t port, unsigned size, uint64_t now)
{
	switch (port) {
	case 0x61: return sysctl_61_read(&ctl, 0, size, now);
	case 0x92: return sysctl_92_read(&ctl, 0, size, now);
	case 0xcf9: return sysctl_rcr_read(&ctl, 0, size, now);
	default: return pit_read(&pit, port - 0x40, size, now);
	}
}

static void port_write(void *dev, uint32_t port, unsigned size, uint32_t val, uint64_t now)
{
	switch (port) {
	case 0x61: sysctl_61_write(&ctl, 0, size, val, now); break;
	case 0x92: sysctl_92_write(&ctl, 0, size, val, now); break;
	case 0xcf9: sysctl_rcr_write(&ctl, 0, size, val, now); break;
	default: pit_write(&pit, port - 0x40, size, val, now); break;
	}
}

static int setup(void **state)
{
	rig = (struct rig){.read = port_read, .write = port_write};
	pit_init(&pit, rig_line(&rig, 0));
	sysctl_init(&ctl, &pit, rig_power(&rig));
	return 0;
}

// clang-format off
static void values_after_init(void **state)
{
	static const struct step t[] = {
		{RD, 0x61, 0x00}, {RD, 0x92, 0x02}, {RD, 0xcf9, 0x00}, {OFF, POWER_RESET, 0},
	};
	RUN(&rig, t);
}

static void low_bits_of_61_are_kept(void **state)
{
	static const struct step t[] = {
		{WR, 0x61, 0x0f}, {RD, 0x61, 0x0f}, {WR, 0x61, 0x0a}, {RD, 0x61, 0x0a},
	};
	RUN(&rig, t);
}

static void high_bits_of_61_are_status(void **state)
{
	static const struct step t[] = {{WR, 0x61, 0xf0}, {RD, 0x61, 0x00}};

	RUN(&rig, t);
}

static void refresh_bit_toggles_every_15_us(void **state)
{
	static const struct step t[] = {
		{AT, 0, 15084}, {RD, 0x61, 0x00}, {AT, 0, 15085}, {RD, 0x61, 0x10},
		{AT, 0, 30169}, {RD, 0x61, 0x10}, {AT, 0, 30170}, {RD, 0x61, 0x00},
	};
	RUN(&rig, t);
}

static void counter_2_shows_in_bit_5(void **state)
{
	static const struct step t[] = {
		{WR, 0x61, 0x01}, {WR, 0x43, 0xb0}, {WR, 0x42, 18}, {WR, 0x42, 0},
		{RD, 0x61, 0x01}, {AT, 0, 15923}, {RD, 0x61, 0x11},
		{AT, 0, 15924}, {RD, 0x61, 0x31}, /* 19 ticks of 838.095 ns: one to load */
	};
	RUN(&rig, t);
}

static void bit_0_is_the_gate_of_counter_2(void **state)
{
	static const struct step t[] = {
		{WR, 0x43, 0x90}, {WR, 0x42, 100}, {AT, 0, 1000000}, {RD, 0x42, 100},
		{WR, 0x61, 0x01}, {TICK, 0, 8381}, {RD, 0x42, 90}, /* 10 ticks */
		{WR, 0x61, 0x02}, {TICK, 0, 1000000}, {RD, 0x42, 90}, /* the speaker bit is no gate */
		{WR, 0x61, 0x03}, {WR, 0x61, 0x01}, {TICK, 0, 8381}, {RD, 0x42, 80},
	};
	RUN(&rig, t);
}

static void polling_out2_ends(void **state)
{
	static const struct step t[] = {
		/* Linux's 50 ms: 59659 ticks and one to load, looked at from both sides. */
		{WR, 0x61, 0x01}, {WR, 0x43, 0xb0}, {WR, 0x42, 0x0b}, {WR, 0x42, 0xe9},
		{AT, 0, 50000754}, {RD, 0x61, 0x01}, {AT, 0, 50000755}, {RD, 0x61, 0x21},
	};
	RUN(&rig, t);
}

static void a20_is_always_open(void **state)
{
	static const struct step t[] = {
		{WR, 0x92, 0x00}, {RD, 0x92, 0x02}, {WR, 0x92, 0x02}, {RD, 0x92, 0x02},
		{OFF, POWER_RESET, 0},
	};
	RUN(&rig, t);
}

static void port_92_has_two_bits(void **state)
{
	static const struct step t[] = {{WR, 0x92, 0xfe}, {RD, 0x92, 0x02}, {OFF, POWER_RESET, 0}};

	RUN(&rig, t);
}

static void port_92_resets_on_the_rise(void **state)
{
	static const struct step t[] = {
		{WR, 0x92, 0x03}, {OFF, POWER_RESET, 1}, {RD, 0x92, 0x03},
		{WR, 0x92, 0x01}, {OFF, POWER_RESET, 0},
		{WR, 0x92, 0x02}, {WR, 0x92, 0x03}, {OFF, POWER_RESET, 1}, {OFF, POWER_OFF, 0},
	};
	RUN(&rig, t);
}

static void rcr_keeps_the_kind_of_reset(void **state)
{
	static const struct step t[] = {
		{WR, 0xcf9, 0x02}, {RD, 0xcf9, 0x02}, {WR, 0xcf9, 0x00}, {RD, 0xcf9, 0x00},
		{WR, 0xcf9, 0xfb}, {RD, 0xcf9, 0x02}, {OFF, POWER_RESET, 0},
	};
	RUN(&rig, t);
}

static void linux_resets_by_rcr(void **state)
{
	static const struct step warm[] = {
		{WR, 0xcf9, 0x02}, {WR, 0xcf9, 0x06}, {OFF, POWER_RESET, 1}, {OFF, POWER_OFF, 0},
	};
	static const struct step cold[] = {
		{WR, 0xcf9, 0x02}, {WR, 0xcf9, 0x0e}, {OFF, POWER_RESET, 1}, {OFF, POWER_OFF, 0},
	};
	RUN(&rig, warm);
	RUN(&rig, cold);
}

static void acpi_reset_register_needs_no_preparation(void **state)
{
	static const struct step t[] = {{WR, 0xcf9, 0x06}, {OFF, POWER_RESET, 1}};

	RUN(&rig, t);
}

static void soft_reset_resets_too(void **state)
{
	static const struct step t[] = {{WR, 0xcf9, 0x04}, {OFF, POWER_RESET, 1}};

	RUN(&rig, t);
}

static void rcr_resets_on_the_rise(void **state)
{
	static const struct step t[] = {
		{WR, 0xcf9, 0x06}, {OFF, POWER_RESET, 1}, {WR, 0xcf9, 0x06}, {OFF, POWER_RESET, 0},
		{RD, 0xcf9, 0x02}, /* RCPU reads 0 */
		{WR, 0xcf9, 0x02}, {WR, 0xcf9, 0x06}, {OFF, POWER_RESET, 1},
	};
	RUN(&rig, t);
}

static void init_forgets_the_reset_bits(void **state)
{
	static const struct step t[] = {
		{WR, 0xcf9, 0x06}, {WR, 0x92, 0x01}, {WR, 0x61, 0x0f}, {OFF, POWER_RESET, 2},
	};
	RUN(&rig, t);
	sysctl_init(&ctl, &pit, rig_power(&rig));
	values_after_init(state);
}
// clang-format on
static void every_value_to_every_port(void **state)
{
	static const uint32_t port[] = {0x61, 0x92, 0xcf9};

	for (unsigned i = 0; i < 3 * 256; i++) {
		port_write(NULL, port[i / 256], 1, i % 256, i * 1000);
		assert_in_range(port_read(NULL, 0x61, 1, i * 1000), 0, 0x3f);
		assert_in_range(port_read(NULL, 0x92, 1, 0), 2, 3);
		assert_in_range(port_read(NULL, 0xcf9, 1, 0), 0, 2);
	}
	assert_int_equal(rig.power[POWER_OFF], 0);
	assert_int_equal(rig.power[POWER_RESET], 128 + 32); /* rises of 92h bit 0, CF9h bit 2 */
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(values_after_init, setup),
		cmocka_unit_test_setup(low_bits_of_61_are_kept, setup),
		cmocka_unit_test_setup(high_bits_of_61_are_status, setup),
		cmocka_unit_test_setup(refresh_bit_toggles_every_15_us, setup),
		cmocka_unit_test_setup(counter_2_shows_in_bit_5, setup),
		cmocka_unit_test_setup(bit_0_is_the_gate_of_counter_2, setup),
		cmocka_unit_test_setup(polling_out2_ends, setup),
		cmocka_unit_test_setup(a20_is_always_open, setup),
		cmocka_unit_test_setup(port_92_has_two_bits, setup),
		cmocka_unit_test_setup(port_92_resets_on_the_rise, setup),
		cmocka_unit_test_setup(rcr_keeps_the_kind_of_reset, setup),
		cmocka_unit_test_setup(linux_resets_by_rcr, setup),
		cmocka_unit_test_setup(acpi_reset_register_needs_no_preparation, setup),
		cmocka_unit_test_setup(soft_reset_resets_too, setup),
		cmocka_unit_test_setup(rcr_resets_on_the_rise, setup),
		cmocka_unit_test_setup(init_forgets_the_reset_bits, setup),
		cmocka_unit_test_setup(every_value_to_every_port, setup),
	};

	return cmocka_run_group_tests_name("sysctl", tests, NULL, NULL);
}
