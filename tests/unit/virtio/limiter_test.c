/* limiter_test.c - token buckets: rates, bursts, debts, and all numbers an API can bring. */
#include "../../../src/virtio/limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000000ull
#define S  (1000 * MS)

static struct limiter lim;

/* Bytes alone: `size` every second, at time 0. */
static void bytes_per_second(uint64_t size, uint64_t burst)
{
	memset(&lim, 0, sizeof(lim));
	limiter_set(&lim, &(struct limit_conf){size, burst, 1000}, NULL, 0);
}

static void passes(uint64_t bytes, uint64_t now)
{
	assert_int_equal(limiter_take(&lim, bytes, now), 0);
}

static void waits(uint64_t bytes, uint64_t now, uint64_t until)
{
	assert_int_equal(limiter_take(&lim, bytes, now), until);
}

static void a_zero_limiter_lets_everything_pass(void **state)
{
	memset(&lim, 0, sizeof(lim));
	assert_false(limiter_limits(&lim));
	for (unsigned i = 0; i < 1000; i++)
		passes(UINT64_MAX, 0);
	limiter_give_back(&lim, UINT64_MAX);
	passes(UINT64_MAX, 0);
	assert_int_equal(lim.throttled, 0);
}

static void size_or_time_of_zero_is_no_limit(void **state)
{
	static const struct limit_conf none[] = {
		{0,   0,   100},
                {100, 0,   0  },
                {0,   7,   0  },
                {0,   100, 100}
        };

	for (unsigned i = 0; i < ARRAY_SIZE(none); i++) {
		memset(&lim, 0, sizeof(lim));
		limiter_set(&lim, &none[i], &none[i], 5);
		assert_false(limiter_limits(&lim));
		passes(UINT64_MAX, 0);
		passes(UINT64_MAX, 0);
		limiter_give_back(&lim, 1);
	}
}

static void either_bucket_is_a_limit(void **state)
{
	static const struct limit_conf c = {10, 0, 1000};

	memset(&lim, 0, sizeof(lim));
	limiter_set(&lim, &c, NULL, 0);
	assert_true(limiter_limits(&lim));
	memset(&lim, 0, sizeof(lim));
	limiter_set(&lim, NULL, &c, 0);
	assert_true(limiter_limits(&lim));
}

static void a_bucket_begins_full(void **state)
{
	bytes_per_second(1000, 0);
	passes(600, 0);
	passes(400, 0);
	waits(1, 0, 1 * MS);
}

static void a_bucket_refills_evenly(void **state)
{
	bytes_per_second(1000, 0);
	passes(1000, 0);
	waits(1, MS - 1, MS);
	passes(1, MS);
	waits(10, 5 * MS, 11 * MS);
	passes(10, 11 * MS);
	waits(1, 11 * MS, 12 * MS);
}

static void parts_of_a_token_are_not_lost(void **state)
{
	bytes_per_second(3, 0); /* a token in 333333333.3 ns */
	passes(3, 0);
	for (uint64_t t = 1 * MS; t < 333 * MS; t += MS) /* asking often changes nothing */
		waits(1, t, 333333334);
	passes(1, 333333334);
	waits(1, 500 * MS, 666666668);
}

static void a_bucket_is_never_more_than_full(void **state)
{
	bytes_per_second(1000, 0);
	passes(1000, 3600 * S); /* what it did not take in an hour is gone */
	waits(1, 3600 * S, 3600 * S + MS);
	passes(1000, 7200 * S);
	waits(1, 7200 * S, 7200 * S + MS);
}

static void the_burst_comes_first_and_once(void **state)
{
	bytes_per_second(1000, 500);
	passes(300, 0);
	passes(1200, 0); /* the rest of the burst, and all of the bucket */
	waits(1, 0, MS);
	passes(1000, 1 * S);
	waits(1, 1 * S, 1 * S + MS);
}

static void who_waits_leaves_the_burst_alone(void **state)
{
	bytes_per_second(1000, 500);
	passes(500 + 900, 0);
	assert_int_equal(lim.bytes.burst, 0);
	bytes_per_second(1000, 500);
	lim.bytes.tokens = 0;
	waits(600, 0, 100 * MS);
	assert_int_equal(lim.bytes.burst, 500);
	passes(600, 100 * MS);
	assert_int_equal(lim.bytes.burst, 0);
}

static void a_request_larger_than_the_bucket_passes_and_leaves_a_debt(void **state)
{
	bytes_per_second(1000, 0);
	passes(3500, 0);
	waits(0, 0, 2500 * MS); /* nothing passes */
	waits(0, 2499 * MS, 2500 * MS);
	waits(2000, 2499 * MS, 2500 * MS);
	waits(1, 2499 * MS, 2501 * MS); /* what was paid is not there a second time */
	waits(1000, 2500 * MS, 3500 * MS);
	passes(0, 2500 * MS);
	passes(1, 2501 * MS);
	passes(2000, 3000 * MS); /* at once, with half a bucket */
	waits(1, 3000 * MS, 4502 * MS);
}

static void a_debt_keeps_the_other_bucket(void **state)
{
	memset(&lim, 0, sizeof(lim));
	limiter_set(&lim, &(struct limit_conf){1000, 0, 1000}, &(struct limit_conf){2, 0, 1000}, 0);
	passes(2000, 0);
	waits(1, 10 * MS, 1001 * MS);
	waits(1, 20 * MS, 1001 * MS);
	assert_int_equal(lim.throttled, 2);
	passes(10, 1500 * MS);
	passes(10, 1500 * MS); /* both operations: the ones that waited took none */
	waits(10, 1500 * MS, 2000 * MS);
	assert_int_equal(lim.throttled, 3);
}

static void operations_are_counted_one_each(void **state)
{
	memset(&lim, 0, sizeof(lim));
	limiter_set(&lim, NULL, &(struct limit_conf){10, 5, 100}, 0);
	for (unsigned i = 0; i < 15; i++)
		passes(UINT64_MAX, 0);
	waits(0, 0, 10 * MS);
}

static void the_slower_of_two_buckets_counts(void **state)
{
	memset(&lim, 0, sizeof(lim));
	limiter_set(&lim, &(struct limit_conf){1000, 0, 1000}, &(struct limit_conf){1, 0, 700}, 0);
	passes(800, 0);
	waits(1000, 0, 800 * MS);
	waits(100, 0, 700 * MS);
	passes(100, 700 * MS);
}

static void what_did_not_happen_is_given_back(void **state)
{
	bytes_per_second(1000, 0);
	passes(1000, 0);
	limiter_give_back(&lim, 1000);
	passes(1000, 0);
	waits(1, 0, MS);
	limiter_give_back(&lim, 400);
	limiter_give_back(&lim, 4000); /* no more than full */
	passes(1000, 0);
	waits(1, 0, MS);
}

static void a_debt_is_given_back_too(void **state)
{
	bytes_per_second(1000, 0);
	passes(3500, 0);
	limiter_give_back(&lim, 3500);
	passes(1000, 0);
	waits(1, 0, MS);
	passes(3500, 1 * S);
	limiter_give_back(&lim, 1500); /* a part of it */
	waits(1, 1 * S, 2 * S + MS);
}

static void burst_is_given_back_as_burst(void **state)
{
	bytes_per_second(1000, 500);
	passes(400, 0);
	limiter_give_back(&lim, 400);
	passes(1500, 0);
	waits(1, 0, MS);
}

static void operations_are_given_back_with_the_bytes(void **state)
{
	memset(&lim, 0, sizeof(lim));
	limiter_set(&lim, NULL, &(struct limit_conf){1, 0, 1000}, 0);
	passes(1, 0);
	limiter_give_back(&lim, 1);
	passes(1, 0);
	waits(1, 0, S);
}

static void a_bucket_that_is_not_named_stays_as_it_is(void **state)
{
	bytes_per_second(1000, 0);
	passes(900, 0);
	limiter_set(&lim, NULL, &(struct limit_conf){5, 0, 1000}, 0);
	passes(100, 0);
	waits(1, 0, MS);
	limiter_set(&lim, &(struct limit_conf){2000, 0, 1000}, NULL, 0);
	passes(2000, 0);
	waits(1, 0, MS / 2);
	limiter_set(&lim, &(struct limit_conf){0}, NULL, 0); /* off again */
	for (unsigned i = 0; i < 3; i++)
		passes(UINT64_MAX, 0);
	waits(1, 0, 200 * MS); /* the sixth operation */
}

static void time_that_stands_or_goes_back_gives_nothing(void **state)
{
	bytes_per_second(1000, 0);
	passes(1000, 10 * S);
	waits(1, 10 * S, 10 * S + MS);
	waits(1, 5 * S, 10 * S + MS);
	waits(1, 0, 10 * S + MS);
	passes(1, 10 * S + MS);
}

static void a_time_to_ask_again_is_never_zero_or_now(void **state)
{
	static const uint64_t now[] = {0, 1, S, UINT64_MAX - 1, UINT64_MAX};

	for (unsigned i = 0; i < ARRAY_SIZE(now); i++) {
		memset(&lim, 0, sizeof(lim));
		bucket_init(&lim.bytes, UINT64_MAX, 0, 1, now[i]); /* 2^64 bytes a nanosecond */
		passes(UINT64_MAX, now[i]);
		waits(1, now[i], now[i] == UINT64_MAX ? now[i] : now[i] + 1);
	}
}

static uint64_t seed;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

/* Of all sizes: as many numbers of one bit as of 64. */
static uint64_t any(void)
{
	uint64_t v = rnd() >> rnd() % 64;

	return rnd() % 8 ? v : 0 - (v & 3);
}

static void no_number_is_too_large(void **state)
{
	seed = 88172645463325252ull;
	for (unsigned i = 0; i < 20000; i++) {
		struct limit_conf c[2] = {
			{any(), any(), any()},
                        {any(), any(), any()}
                };
		uint64_t now = any(), until;

		memset(&lim, 0, sizeof(lim));
		limiter_set(&lim, &c[0], &c[1], now);
		for (unsigned k = 0; k < 20; k++) {
			uint64_t n = any();
			bool huge = lim.bytes.debt > UINT64_MAX - n; /* the sum is cut */

			until = limiter_take(&lim, n, now);
			assert_true(until == 0 || until > now || until == UINT64_MAX);
			if (until && until != UINT64_MAX && !huge) {
				struct limiter early = lim;

				assert_true(limiter_take(&early, n, until - 1) != 0);
				assert_int_equal(limiter_take(&lim, n, until), 0);
				now = until;
			} else if (rnd() % 4 == 0) {
				limiter_give_back(&lim, n);
			}
			assert_true(lim.bytes.tokens <= lim.bytes.size);
			assert_true(!lim.bytes.tokens || !lim.bytes.debt);
			now = MAX(now, now + any() % (10 * S));
		}
	}
}

/* A device that always has something to do, against the arithmetic of the contract. */
static void the_rate_is_kept_in_the_long_run(void **state)
{
	seed = 1;
	for (unsigned i = 0; i < 300; i++) {
		uint64_t size = 1 + rnd() % 100000, ms = 1 + rnd() % 2000, burst = rnd() % 50000;
		uint64_t longest = 1 + rnd() % (2 * size), taken = 0, now = S, until, most, least;

		memset(&lim, 0, sizeof(lim));
		limiter_set(&lim, &(struct limit_conf){size, burst, ms}, NULL, now);
		for (unsigned k = 0; k < 2000; k++) {
			uint64_t n = 1 + rnd() % longest;

			until = limiter_take(&lim, n, now);
			if (until) {
				now = until;
				assert_int_equal(limiter_take(&lim, n, now), 0);
			}
			taken += n;
			most = size + burst + longest + mul_div(now - S, size, ms * MS) + 1;
			assert_in_range(taken, 0, most);
		}
		/* Waits of up to a nanosecond too long are all that is lost. */
		least = mul_div(now - S - MIN(4000, now - S), size, ms * MS);
		assert_in_range(taken, least > size ? least - size : 0, UINT64_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_zero_limiter_lets_everything_pass),
		cmocka_unit_test(size_or_time_of_zero_is_no_limit),
		cmocka_unit_test(either_bucket_is_a_limit),
		cmocka_unit_test(a_bucket_begins_full),
		cmocka_unit_test(a_bucket_refills_evenly),
		cmocka_unit_test(parts_of_a_token_are_not_lost),
		cmocka_unit_test(a_bucket_is_never_more_than_full),
		cmocka_unit_test(the_burst_comes_first_and_once),
		cmocka_unit_test(who_waits_leaves_the_burst_alone),
		cmocka_unit_test(a_request_larger_than_the_bucket_passes_and_leaves_a_debt),
		cmocka_unit_test(a_debt_keeps_the_other_bucket),
		cmocka_unit_test(operations_are_counted_one_each),
		cmocka_unit_test(the_slower_of_two_buckets_counts),
		cmocka_unit_test(what_did_not_happen_is_given_back),
		cmocka_unit_test(a_debt_is_given_back_too),
		cmocka_unit_test(burst_is_given_back_as_burst),
		cmocka_unit_test(operations_are_given_back_with_the_bytes),
		cmocka_unit_test(a_bucket_that_is_not_named_stays_as_it_is),
		cmocka_unit_test(time_that_stands_or_goes_back_gives_nothing),
		cmocka_unit_test(a_time_to_ask_again_is_never_zero_or_now),
		cmocka_unit_test(no_number_is_too_large),
		cmocka_unit_test(the_rate_is_kept_in_the_long_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
