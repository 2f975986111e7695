/*
 * json_big.h - integers from 2^63 to 2^64 - 1 as jansson's values: strings of their digits behind a
 * mark. A string that starts with the mark itself has it twice. What reads JSON puts the marks
 * (api/json.c), what writes it takes them off.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#define JSON_BIG '\1'

/* Is it such an integer? */
static inline bool json_big(const json_t *v)
{
	const char *s = json_string_value(v);

	return s && s[0] == JSON_BIG && s[1] != JSON_BIG;
}

/* Of a string: its bytes; of a big integer its digits. */
static inline const char *json_big_text(const json_t *v, size_t *len)
{
	const char *s = json_string_value(v);
	bool marked = *s == JSON_BIG;

	*len = json_string_length(v) - marked;
	return s + marked;
}
