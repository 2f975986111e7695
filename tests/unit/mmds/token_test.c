/* token_test.c - session tokens, and the hash below them. */
#include "../../../src/mmds/token.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>

#include <cmocka.h>

#include "../said.h"

#define NOW (1000 * NSEC)

static struct tokens t;
static char text[TOKEN_LEN + 1];
static int random_errno;

ssize_t getrandom(void *buf, size_t len, unsigned flags)
{
	static uint8_t next;

	if (random_errno) {
		errno = random_errno;
		return -1;
	}
	memset(buf, ++next, len);
	return (ssize_t)len;
}

static int setup(void **state)
{
	random_errno = 0;
	return tokens_init(&t);
}

static bool valid(uint64_t now)
{
	return token_valid(&t, text, TOKEN_LEN, now);
}

/* The reference implementation's values: key 0, 1, ... 15, input 0, 1, ... */
static void the_hash_is_siphash(void **state)
{
	static const uint8_t want[][16] = {
		{0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55,
		 0x02, 0x93},
		{0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22,
		 0xfc, 0x45},
		{0x81, 0x77, 0x22, 0x8d, 0xa4, 0xa4, 0x5d, 0xc7, 0xfc, 0xa3, 0x8b, 0xde, 0xf6, 0x0a,
		 0xff, 0xe4},
	};
	uint8_t key[16], in[16], out[16];

	for (uint8_t i = 0; i < 16; i++)
		key[i] = in[i] = i;
	for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
		siphash(key, in, i, out);
		assert_memory_equal(out, want[i], sizeof(out));
	}
}

/* Whole blocks and what is left of one count, and each byte of them. */
static void every_byte_of_the_input_counts(void **state)
{
	uint8_t key[16] = {0}, in[24] = {0}, plain[16], out[16];

	siphash(key, in, 21, plain);
	for (unsigned i = 0; i < 21; i++) {
		in[i] = 1;
		siphash(key, in, 21, out);
		assert_memory_not_equal(out, plain, sizeof(out));
		in[i] = 0;
	}
	siphash(key, in, 22, out);
	assert_memory_not_equal(out, plain, sizeof(out));
	for (unsigned i = 0; i < 16; i++) {
		key[i] = 0x80;
		siphash(key, in, 21, out);
		assert_memory_not_equal(out, plain, sizeof(out));
		key[i] = 0;
	}
}

static void a_token_holds_for_its_time(void **state)
{
	token_make(&t, 5, NOW, text);
	assert_true(valid(NOW));
	assert_true(valid(NOW + 5 * NSEC - 1));
	assert_false(valid(NOW + 5 * NSEC));
	assert_false(valid(NEVER));
	token_make(&t, TOKEN_TTL_MAX, NOW, text);
	assert_true(valid(NOW + 21600 * NSEC - 1));
	assert_false(valid(NOW + 21600 * NSEC));
}

static void many_tokens_hold_at_once(void **state)
{
	static char all[5000][TOKEN_LEN];

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		token_make(&t, 60, NOW, all[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		assert_true(token_valid(&t, all[i], TOKEN_LEN, NOW + NSEC));
		assert_true(i == 0 || memcmp(all[i], all[i - 1], TOKEN_LEN));
	}
}

static void a_token_of_which_a_digit_differs_is_none(void **state)
{
	token_make(&t, 60, NOW, text);
	for (unsigned i = 0; i < TOKEN_LEN; i++) {
		char was = text[i];

		for (unsigned c = 0; c < 256; c++) {
			text[i] = (char)c;
			assert_int_equal(valid(NOW), (char)c == was);
		}
		text[i] = was;
	}
	assert_true(valid(NOW));
}

static void a_token_has_its_length(void **state)
{
	token_make(&t, 60, NOW, text);
	assert_false(token_valid(&t, text, 0, NOW));
	assert_false(token_valid(&t, text, TOKEN_LEN - 1, NOW));
	text[TOKEN_LEN] = '0';
	assert_false(token_valid(&t, text, TOKEN_LEN + 1, NOW));
	assert_true(token_valid(&t, text, TOKEN_LEN, NOW));
}

static void another_machines_token_is_none(void **state)
{
	token_make(&t, 60, NOW, text);
	assert_int_equal(tokens_init(&t), 0);
	assert_false(valid(NOW));
}

static void without_random_numbers_there_are_no_tokens(void **state)
{
	random_errno = ENOSYS;
	assert_int_equal(tokens_init(&t), -ENOSYS);
	assert_non_null(strstr(said, "metadata service: no random key"));
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_hash_is_siphash),
		T(every_byte_of_the_input_counts),
		T(a_token_holds_for_its_time),
		T(many_tokens_hold_at_once),
		T(a_token_of_which_a_digit_differs_is_none),
		T(a_token_has_its_length),
		T(another_machines_token_is_none),
		T(without_random_numbers_there_are_no_tokens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
