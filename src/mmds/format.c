/*
 * format.c - metadata as text. What a guest gets is to be what Firecracker gives it, byte for byte:
 * no spaces, escapes only where JSON wants them, the shortest decimals that are the same float.
 */
#include "format.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "../json_big.h"

#define REAL_DIGITS 17 /* tell all floats apart; 15 are kept by all but the smallest */
#define REAL_KEPT   15
#define FIXED_MIN   (-5) /* exponents that are written out */
#define FIXED_MAX   15

static void put_string(struct text *t, const char *s, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	size_t done = 0;

	text_char(t, '"');
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)s[i];
		const char *at;

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		at = memchr(from, c, sizeof(from) - 1);
		text_put(t, s + done, i - done);
		done = i + 1;
		text_char(t, '\\');
		if (at)
			text_char(t, to[at - from]);
		else
			text_put(t, (char[]){'u', '0', '0', hex[c >> 4], hex[c & 15]}, 5);
	}
	text_put(t, s + done, len - done);
	text_char(t, '"');
}

static void put_zeros(struct text *t, int n)
{
	for (; n > 0; n--)
		text_char(t, '0');
}

/* The next decimal of as many digits, in scientific notation. false: it has one more. */
static bool next_up(char *e)
{
	for (char *p = strchr(e, 'e'); p-- > e;) {
		if (*p == '.')
			continue;
		if (*p != '9') {
			++*p;
			return true;
		}
		*p = '0';
	}
	return false;
}

/*
 * The digits of |v| without zeros at the end, and the exponent of the first. A float that is not
 * subnormal and was written with 15 digits or fewer comes back as them. Below a power of two floats
 * lie closer: with 16 digits it may be the decimal above that is the same float.
 */
static size_t shortest(double v, char digits[REAL_DIGITS], int *exp)
{
	char e[REAL_DIGITS + 16];
	size_t n = 0;
	char *p;

	for (int want = fabs(v) < DBL_MIN ? 1 : REAL_KEPT; want <= REAL_DIGITS; want++) {
		snprintf(e, sizeof(e), "%.*e", want - 1, fabs(v));
		if (strtod(e, NULL) == fabs(v))
			break;
		if (want == REAL_KEPT + 1 && next_up(e) && strtod(e, NULL) == fabs(v))
			break;
	}
	for (p = e; *p != 'e'; p++)
		if (*p != '.')
			digits[n++] = *p;
	*exp = (int)strtol(p + 1, NULL, 10);
	while (n > 1 && digits[n - 1] == '0')
		n--;
	return n;
}

static void put_real(struct text *t, double v)
{
	char digits[REAL_DIGITS] = "0";
	int exp, n = (int)shortest(v, digits, &exp);

	if (signbit(v))
		text_char(t, '-');
	if (exp < FIXED_MIN || exp > FIXED_MAX) {
		text_char(t, digits[0]);
		if (n > 1) {
			text_char(t, '.');
			text_put(t, digits + 1, (size_t)n - 1);
		}
		text_str(t, exp < 0 ? "e-" : "e+");
		text_u64(t, (uint64_t)abs(exp));
	} else if (exp < 0) {
		text_str(t, "0.");
		put_zeros(t, -exp - 1);
		text_put(t, digits, (size_t)n);
	} else if (n <= exp + 1) {
		text_put(t, digits, (size_t)n);
		put_zeros(t, exp + 1 - n);
		text_str(t, ".0");
	} else {
		text_put(t, digits, (size_t)exp + 1);
		text_char(t, '.');
		text_put(t, digits + exp + 1, (size_t)(n - exp - 1));
	}
}

static void put_integer(struct text *t, json_int_t v)
{
	if (v < 0)
		text_char(t, '-');
	text_u64(t, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

/* Or an integer that jansson has no type for. */
static void put_text(struct text *t, json_t *v)
{
	size_t len;
	const char *s = json_big_text(v, &len);

	if (json_big(v))
		text_put(t, s, len);
	else
		put_string(t, s, len);
}

static void put_array(struct text *t, json_t *v)
{
	text_char(t, '[');
	for (size_t i = 0; i < json_array_size(v); i++) {
		if (i)
			text_char(t, ',');
		format_json(t, json_array_get(v, i));
	}
	text_char(t, ']');
}

static void put_object(struct text *t, json_t *v)
{
	bool first = true;

	text_char(t, '{');
	for (void *i = json_object_iter(v); i; i = json_object_iter_next(v, i)) {
		if (!first)
			text_char(t, ',');
		first = false;
		put_string(t, json_object_iter_key(i), json_object_iter_key_len(i));
		text_char(t, ':');
		format_json(t, json_object_iter_value(i));
	}
	text_char(t, '}');
}

void format_json(struct text *t, json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT: put_object(t, v); break;
	case JSON_ARRAY: put_array(t, v); break;
	case JSON_STRING: put_text(t, v); break;
	case JSON_INTEGER: put_integer(t, json_integer_value(v)); break;
	case JSON_REAL: put_real(t, json_real_value(v)); break;
	case JSON_TRUE: text_str(t, "true"); break;
	case JSON_FALSE: text_str(t, "false"); break;
	case JSON_NULL: text_str(t, "null"); break;
	}
}

bool format_imds(struct text *t, json_t *v)
{
	bool first = true;
	size_t len;

	if (json_is_string(v) && !json_big(v)) {
		const char *s = json_big_text(v, &len);

		text_put(t, s, len);
		return true;
	}
	if (!json_is_object(v))
		return false;
	for (void *i = json_object_iter(v); i; i = json_object_iter_next(v, i)) {
		if (!first)
			text_char(t, '\n');
		first = false;
		text_put(t, json_object_iter_key(i), json_object_iter_key_len(i));
		if (json_is_object(json_object_iter_value(i)))
			text_char(t, '/');
	}
	return true;
}
