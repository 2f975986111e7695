/*
 * blk_pace_test.c - a driver with so many requests out, played against blk_pace(): what it costs in
 * interrupts and time. The clock is the test's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../../src/virtio/blk_pace.h"

#define US (NSEC / 1000000)

static struct blk_pace p;
static uint64_t now;

/* What a run came to. */
static struct {
	unsigned shown;   /* times that answers were shown: interrupts */
	unsigned looks;   /* turns of the loop */
	uint64_t longest; /* ns that answers were held */
	uint64_t idle;    /* ns in which the driver could not go on */
} cost;

static int setup(void **state)
{
	p = (struct blk_pace){0};
	now = NSEC;
	memset(&cost, 0, sizeof(cost));
	return 0;
}

/*
 * A driver that takes `gap` ns for each request and has `depth` out at most asks `count` times.
 * While answers are held it asks on until all of its requests are out.
 */
static void drive(unsigned depth, uint64_t gap, unsigned count)
{
	unsigned held = 0, came;
	uint64_t since = 0;

	while (count) {
		uint64_t until;

		came = 1; /* it notifies */
		now += gap;
		for (;;) {
			count -= MIN(count, came);
			if (!held)
				since = now;
			held += came;
			cost.looks++;
			until = blk_pace(&p, came, held, now);
			if (!until)
				break;
			assert_in_range(until, now + 1, now + PACE_HOLD_NS);
			came = (unsigned)MIN((until - now) / gap, depth - held);
			cost.idle += until - now - came * gap;
			now = until;
		}
		cost.longest = MAX(cost.longest, now - since);
		cost.shown++;
		held = 0;
	}
}

static void a_driver_that_waits_for_each_answer_loses_little(void **state)
{
	drive(1, 20 * US, 20000);
	assert_in_range(cost.idle, 1, 20000 * 20 * US / 100);
	assert_in_range(cost.shown, 20000 - 1, 20000);
	assert_in_range(cost.longest, 1, 2 * 20 * US);
}

static void a_few_out_are_not_held(void **state)
{
	drive(PACE_DEEP - 1, 20 * US, 20000);
	assert_in_range(cost.shown, 19000, 20000);
	assert_in_range(cost.idle, 1, 20000 * 20 * US / 100);
}

static void a_quarter_of_many_shares_an_interrupt(void **state)
{
	drive(32, 4 * US, 100000);
	assert_in_range(cost.shown, 100000 / 10, 100000 / 7);
	assert_in_range(cost.looks, 1, 100000 / 3);
	assert_in_range(cost.idle, 0, 100000 * 4 * US / 50);
}

/* It has fewer out by the end of a try, and no reason to wait. */
static void a_slow_driver_is_not_kept_waiting(void **state)
{
	drive(32, 300 * US, 10000);
	assert_in_range(cost.longest, 1, PACE_TRY_NS + 300 * US);
	assert_in_range(cost.idle, 0, 10000 * 300 * US / 100);
}

/* It could not have many out within the time that an answer may be held. */
static void a_very_slow_driver_is_shown_each_answer(void **state)
{
	drive(32, 900 * US, 10000);
	assert_in_range(cost.shown, 9800, 10000);
	assert_in_range(cost.longest, 1, PACE_TRY_NS + 900 * US);
}

/* Carrying requests out is no idleness, however long it takes. */
static void long_work_is_not_forgotten(void **state)
{
	drive(32, 4 * US, 10000);
	assert_true(p.depth >= PACE_DEEP);
	now += 3 * PACE_IDLE_NS;
	assert_false(blk_pace_goes_on(&p, 1, now));
	assert_true(blk_pace(&p, 4, 4, now) != 0);
	assert_true(p.depth >= PACE_DEEP);
}

static void answers_wait_for_work_that_is_under_way(void **state)
{
	uint64_t start;

	drive(32, 4 * US, 10000);
	start = now += 4 * US;
	assert_false(blk_pace_goes_on(&p, 1, now)); /* not held yet */
	assert_true(blk_pace(&p, 1, 1, now) != 0);
	assert_true(blk_pace_goes_on(&p, p.depth / PACE_SHARE - 1, now));
	assert_false(blk_pace_goes_on(&p, p.depth / PACE_SHARE, now));
	assert_true(blk_pace_goes_on(&p, 1, start + PACE_HOLD_NS - 1));
	assert_false(blk_pace_goes_on(&p, 1, start + PACE_HOLD_NS));
}

static void it_learns_that_there_are_fewer(void **state)
{
	drive(32, 4 * US, 10000);
	assert_true(p.depth >= PACE_DEEP);
	drive(1, 4 * US, 200);
	assert_true(p.depth < PACE_DEEP);
	memset(&cost, 0, sizeof(cost));
	drive(1, 4 * US, 10000);
	assert_in_range(cost.idle, 0, 10000 * 4 * US / 20);
}

static void it_learns_that_there_are_more(void **state)
{
	drive(1, 4 * US, 100000);
	assert_true(p.depth < PACE_DEEP);
	drive(16, 4 * US, 2 * PACE_TRY_MAX);
	assert_int_equal(p.depth, 16);
}

/* Also after it was known to have many: the first request of the next burst waits for nothing. */
static void a_disk_that_was_idle_holds_nothing(void **state)
{
	drive(32, 4 * US, 10000);
	now += PACE_IDLE_NS + 1;
	assert_true(blk_pace(&p, 1, 1, now) == 0);
	for (unsigned i = 0; i < 10000; i++) {
		now += PACE_IDLE_NS + 1;
		assert_true(blk_pace(&p, 1, 1, now) == 0);
	}
}

/* A driver that has one request out, and a host that takes its CPU away now and then. */
static void short_pauses_do_not_bring_tries_back(void **state)
{
	drive(1, 20 * US, 20000);
	memset(&cost, 0, sizeof(cost));
	for (unsigned i = 0; i < 200; i++) {
		drive(1, 20 * US, 100);
		now += 2 * PACE_IDLE_NS;
	}
	assert_in_range(cost.idle, 0, 20000 * 20 * US / 500);
	now += PACE_LONG_NS + 1;
	drive(32, 4 * US, 2 * PACE_TRY_MIN); /* somebody else, perhaps */
	assert_int_equal(p.depth, 32);
}

static void nothing_is_held_without_an_answer(void **state)
{
	for (unsigned i = 0; i < 10000; i++) {
		now += 10 * US;
		assert_true(blk_pace(&p, 1, 0, now) == 0);
	}
}

/* Until a first answer is held. */
static uint64_t first_held(void)
{
	uint64_t until = 0;

	for (unsigned i = 0; i <= PACE_TRY_MIN && !until; i++) {
		now += 50 * US;
		until = blk_pace(&p, 1, 1, now);
	}
	assert_true(until != 0);
	return until;
}

static void a_look_before_its_time_decides_nothing(void **state)
{
	uint64_t until = first_held();

	assert_true(blk_pace(&p, 0, 1, now + 1) == until);
	assert_true(blk_pace(&p, 0, 1, until - 1) == until);
	assert_true(blk_pace(&p, 0, 1, until) == 0);
	assert_int_equal(p.depth, 1);
}

static void a_try_has_its_end_however_much_comes(void **state)
{
	uint64_t until = first_held(), start = now;
	unsigned held = 1;

	while (until) {
		now = until;
		held += 5;
		until = blk_pace(&p, 5, held, now);
	}
	assert_in_range(now, start, start + PACE_TRY_NS + PACE_HOLD_NS);
	assert_int_equal(p.depth, held);
}

static void what_was_shown_meanwhile_is_not_held(void **state)
{
	first_held();
	blk_pace_shown(&p);
	assert_true(p.held_at == 0);
	assert_true(blk_pace(&p, 1, 1, now + 50 * US) == 0);
}

/* Requests at the same nanosecond, and a clock that stands still. */
static void no_time_is_no_harm(void **state)
{
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t until = blk_pace(&p, 1, 1, now);

		assert_true(until == 0 || (until > now && until <= now + PACE_HOLD_NS));
	}
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_driver_that_waits_for_each_answer_loses_little),
		T(a_few_out_are_not_held),
		T(a_quarter_of_many_shares_an_interrupt),
		T(a_slow_driver_is_not_kept_waiting),
		T(a_very_slow_driver_is_shown_each_answer),
		T(long_work_is_not_forgotten),
		T(answers_wait_for_work_that_is_under_way),
		T(it_learns_that_there_are_fewer),
		T(it_learns_that_there_are_more),
		T(a_disk_that_was_idle_holds_nothing),
		T(short_pauses_do_not_bring_tries_back),
		T(nothing_is_held_without_an_answer),
		T(a_look_before_its_time_decides_nothing),
		T(a_try_has_its_end_however_much_comes),
		T(what_was_shown_meanwhile_is_not_held),
		T(no_time_is_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
