/* json_test.c - bodies against tables: what is taken, and the sentence for what is not. */
#include "../../../src/api/json.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *even(const char *s)
{
	return strlen(s) % 2 ? "The provided name is odd." : NULL;
}

static const char *const colours[] = {"Red", "Green", NULL}, *const sizes[] = {"S", "M", "L", NULL};

enum { NAME, PATH, ON, U8, U16, U32, U64, COLOUR, SIZE, PART, PARTS, TAGS, LABELS, PAIR, ANY, N };

// clang-format off
static const struct json_field part_fields[] = {
	{"id",  JSON_KIND_STRING, JSON_REQUIRED, .words = NULL},
	{"big", JSON_KIND_U64,    JSON_OPTIONAL, .words = NULL},
};
static const struct json_table part = {.name = "Part", .n = 2, .field = part_fields};
static const struct json_field open_fields[] = {{"id", JSON_KIND_U8, JSON_REQUIRED, .words = NULL}};
static const struct json_table open_part = {
	.name = "Open", .open = true, .n = 1, .field = open_fields};
static const struct json_field all_fields[N] = {
	[NAME]   = {"name",   JSON_KIND_STRING,  JSON_REQUIRED, .words = NULL},
	[PATH]   = {"path",   JSON_KIND_PATH,    JSON_OPTIONAL, .words = NULL},
	[ON]     = {"on",     JSON_KIND_BOOL,    JSON_DEFAULT,  .words = NULL},
	[U8]     = {"u8",     JSON_KIND_U8,      JSON_OPTIONAL, .words = NULL},
	[U16]    = {"u16",    JSON_KIND_U16,     JSON_OPTIONAL, .words = NULL},
	[U32]    = {"u32",    JSON_KIND_U32,     JSON_OPTIONAL, .words = NULL},
	[U64]    = {"u64",    JSON_KIND_U64,     JSON_OPTIONAL, .words = NULL},
	[COLOUR] = {"colour", JSON_KIND_CHOICE,  JSON_OPTIONAL, .words = colours},
	[SIZE]   = {"size",   JSON_KIND_CHOICE,  JSON_OPTIONAL, .words = sizes},
	[PART]   = {"part",   JSON_KIND_OBJECT,  JSON_OPTIONAL, .sub = &part},
	[PARTS]  = {"parts",  JSON_KIND_LIST,    JSON_OPTIONAL, .sub = &open_part},
	[TAGS]   = {"tags",   JSON_KIND_STRINGS, JSON_OPTIONAL, .words = NULL},
	[LABELS] = {"labels", JSON_KIND_MAP,     JSON_OPTIONAL, .words = NULL},
	[PAIR]   = {"pair",   JSON_KIND_STRING,  JSON_OPTIONAL, .check = even},
	[ANY]    = {"any",    JSON_KIND_ANY,     JSON_OPTIONAL, .words = NULL},
};
static const struct json_table all = {.name = "All", .n = N, .field = all_fields};
// clang-format on

static struct json_doc doc;
static const json_t *got[N];

static int read_as(const struct json_table *t, const char *text)
{
	char *copy = malloc(strlen(text) + 1); /* without its NUL: reads beyond it are seen */
	int err;

	memcpy(copy, text, strlen(text));
	err = json_parse(&doc, copy, strlen(text), JSON_NAMES_ONCE);
	if (!err)
		err = json_fields(&doc, doc.root, t, got);
	free(copy);
	doc.text = NULL;
	return err;
}

static void all_kinds_are_read(void **state)
{
	static const char text[] =
		"{\"name\":\"a\",\"path\":\"/b\",\"on\":true,\"u8\":255,\"u16\":65535,"
		"\"u32\":4294967295,\"u64\":18446744073709551615,\"colour\":\"Green\","
		"\"size\":\"L\",\"part\":{\"id\":\"c\",\"big\":9223372036854775808},"
		"\"parts\":[{\"id\":1,\"more\":2}],\"tags\":[\"x\",\"y\"],"
		"\"labels\":{\"k\":\"v\"},\"pair\":\"ab\",\"any\":[1]}";

	assert_int_equal(read_as(&all, text), 0);
	assert_string_equal(json_string_value(got[NAME]), "a");
	assert_string_equal(json_string_value(got[PATH]), "/b");
	assert_true(json_bool(got[ON], false));
	assert_int_equal(json_u64(got[U8], 0), 255);
	assert_int_equal(json_u64(got[U16], 0), 65535);
	assert_int_equal(json_u64(got[U32], 0), 4294967295);
	assert_true(json_u64(got[U64], 0) == UINT64_MAX);
	assert_int_equal(json_choice(got[COLOUR], colours, 0), 1);
	assert_int_equal(json_choice(got[SIZE], sizes, 0), 2);
	assert_true(json_u64(json_object_get(got[PART], "big"), 0) == 1ull << 63);
	assert_int_equal(json_array_size(got[TAGS]), 2);
	json_free(&doc);
}

static void what_is_missing_or_null_is_the_default(void **state)
{
	static const char *const text[] = {
		"{\"name\":\"a\"}",
		"{\"name\":\"a\",\"u64\":null,\"colour\":null,\"part\":null,\"tags\":null}",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(text); i++) {
		assert_int_equal(read_as(&all, text[i]), 0);
		assert_int_equal(json_u64(got[U64], 7), 7);
		assert_true(json_bool(got[ON], true));
		assert_int_equal(json_choice(got[COLOUR], colours, 1), 1);
		assert_null(got[PART]);
		json_free(&doc);
	}
}

/* 2^63 - 1 is the last that jansson holds; 2^64 - 1 the last of u64. */
static void integers_of_64_bits_are_exact(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} row[] = {
		{"9223372036854775807",  0x7fffffffffffffff},
		{"9223372036854775808",  0x8000000000000000},
		{"9223372036854775809",  0x8000000000000001},
		{"18446744073709551614", 0xfffffffffffffffe},
		{"18446744073709551615", 0xffffffffffffffff},
	};
	char text[80];

	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		snprintf(text, sizeof(text), "{\"name\":\"a\",\"u64\":%s}", row[i].text);
		assert_int_equal(read_as(&all, text), 0);
		assert_true(json_u64(got[U64], 0) == row[i].value);
		json_free(&doc);
	}
}

/* As serde says it, with its place. */
// clang-format off
static const struct {
	const char *text, *why;
} wrong[] = {
	{"", "EOF while parsing a value at line 1 column 0"},
	{"  ", "EOF while parsing a value at line 1 column 2"},
	{"{\"name\":", "EOF while parsing a value at line 1 column 8"},
	{"{\"name\":\"a\",", "EOF while parsing a value at line 1 column 12"},
	{"{\"name\":\"a\" ", "EOF while parsing an object at line 1 column 12"},
	{"{\"name\"", "EOF while parsing an object at line 1 column 7"},
	{"{\"name\":\"a", "EOF while parsing a string at line 1 column 10"},
	{"{\"tags\":[\"a\"", "EOF while parsing a list at line 1 column 12"},
	{"{\"tags\":[],\"part\":{", "EOF while parsing an object at line 1 column 19"},
	{"[{}", "EOF while parsing a list at line 1 column 3"},
	{"{\"name\":\"a\"} x", "trailing characters at line 1 column 14"},
	{"{\"name\":\"a\",\"name\":\"b\"}", "duplicate field `name` at line 1 column 18"},
	{"{}", "missing field `name` at line 1 column 2"},
	{"{\n \"u8\": 1\n}", "missing field `name` at line 3 column 1"},
	{"{\"name\":\"a\",\"u9\" : 1}",
	 "unknown field `u9`, expected one of `name`, `path`, `on`, `u8`, `u16`, `u32`, `u64`, "
	 "`colour`, `size`, `part`, `parts`, `tags`, `labels`, `pair`, `any` at line 1 column 16"},
	{"{\"part\":{\"id\":\"a\",\"x\":1}}",
	 "unknown field `x`, expected `id` or `big` at line 1 column 24"},
	{"{\"part\":{}}", "missing field `id` at line 1 column 10"},
	{"{\"part\":[]}", "invalid type: sequence, expected struct Part at line 1 column 10"},
	{"{\"parts\":{}}", "invalid type: map, expected a sequence at line 1 column 11"},
	{"{\"parts\":[{}]}", "missing field `id` at line 1 column 13"},
	{"{\"name\":1}", "invalid type: integer `1`, expected a string at line 1 column 9"},
	{"{\"name\":null}", "invalid type: null, expected a string at line 1 column 12"},
	{"{\"path\":true}",
	 "invalid type: boolean `true`, expected path string at line 1 column 12"},
	{"{\"on\":\"yes\"}",
	 "invalid type: string \"yes\", expected a boolean at line 1 column 11"},
	{"{\"on\":null}", "invalid type: null, expected a boolean at line 1 column 10"},
	{"{\"u8\":256}", "invalid value: integer `256`, expected u8 at line 1 column 9"},
	{"{\"u16\":65536}", "invalid value: integer `65536`, expected u16 at line 1 column 12"},
	{"{\"u32\":4294967296}",
	 "invalid value: integer `4294967296`, expected u32 at line 1 column 17"},
	{"{\"u64\":-1}", "invalid value: integer `-1`, expected u64 at line 1 column 9"},
	{"{\"u8\":18446744073709551615}",
	 "invalid value: integer `18446744073709551615`, expected u8 at line 1 column 26"},
	{"{\"u64\":18446744073709551616}",
	 "invalid type: floating point `1.8446744073709552e+19`, expected u64 at line 1 column 27"},
	{"{\"u64\":-9223372036854775809}",
	 "invalid type: floating point `-9.2233720368547758e+18`, expected u64 at line 1 column "
	 "27"},
	{"{\"u64\":1.5}", "invalid type: floating point `1.5`, expected u64 at line 1 column 10"},
	{"{\"u64\":false}", "invalid type: boolean `false`, expected u64 at line 1 column 12"},
	{"{\"name\":18446744073709551615}",
	 "invalid type: integer `18446744073709551615`, expected a string at line 1 column 28"},
	{"{\"u64\":1e400}", "number out of range at line 1 column 12"},
	{"{\"colour\":\"Blue\"}",
	 "unknown variant `Blue`, expected `Red` or `Green` at line 1 column 16"},
	{"{\"size\":\"XL\"}",
	 "unknown variant `XL`, expected one of `S`, `M`, `L` at line 1 column 12"},
	{"{\"size\":1}", "expected value at line 1 column 9"},
	{"{\"size\":18446744073709551615}", "expected value at line 1 column 28"},
	{"{\"tags\":\"x\"}", "invalid type: string \"x\", expected a sequence at line 1 column 11" },
	{"{\"tags\":[1]}", "invalid type: integer `1`, expected a string at line 1 column 11"},
	{"{\"labels\":1}", "invalid type: integer `1`, expected a map at line 1 column 11"},
	{"{\"labels\":{\"a\":{}}}", "invalid type: map, expected a string at line 1 column 18"},
	{"{\"pair\":\"a\"}", "The provided name is odd. at line 1 column 11"},
	{"[]", "invalid type: sequence, expected struct All at line 1 column 2"},
	{"1", "invalid type: integer `1`, expected struct All at line 1 column 1"},
	{"{\"name\":\"\\u0000\"}", "a string holds a NUL character at line 1 column 16"},
	{"{\"name\":\"\\u000118446744073709551615\"}",
	 "invalid value: a string starts with the control character U+0001 at line 1 column 15"},
	{"{\"name\":\"\xff\"}", "invalid unicode code point at line 1 column 9"},
};
// clang-format on

static void what_is_wrong_is_told_as_serde_does(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(read_as(&all, wrong[i].text), -EINVAL);
		assert_string_equal(doc.why, wrong[i].why);
		json_free(&doc);
	}
}

/* jansson's own sentence follows, which is not tested. */
static void what_is_no_json_is_refused(void **state)
{
	static const char *const text[] = {
		"{\"name\" \"a\"}",
		"{name:1}",
		"{\"name\":\"a\",}",
		"[1 2]",
		"nul",
		"'a'",
		"-",
		"{\"u64\":00018446744073709551615}",
		"{\"u64\":18446744073709551615.}",
		"{\"u64\":1844674407370955161e}",
		"{\"name\":\"\\ud800\"}",
		"{\"name\":\"\1\"}",
		"{\"name\":\"\\x\"}",
		"\\",
		"\"",
		"\"\\",
		"{\"a",
		"]",
		"}",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(text); i++) {
		assert_int_equal(read_as(&all, text[i]), -EINVAL);
		assert_true(*doc.why);
		json_free(&doc);
	}
}

static void depth_has_a_bound(void **state)
{
	char text[10001];

	memset(text, '[', 10000);
	text[10000] = '\0';
	assert_int_equal(read_as(&all, text), -EINVAL);
	assert_string_equal(doc.why, "recursion limit exceeded at line 1 column 128");
	json_free(&doc);
	memset(text, '[', 127);
	memset(text + 127, ']', 127);
	text[254] = '\0';
	assert_int_equal(json_parse(&doc, text, 254, JSON_NAMES_FREE), 0);
	json_free(&doc);
}

static void many_members_still_have_a_place(void **state)
{
	struct json_out o = {0};

	json_put(&o, "{");
	for (unsigned i = 0; i < 2 * JSON_MARKS; i++)
		json_put(&o, "\"f%u\":1,", i);
	json_put(&o, "\"id\":256}");
	assert_int_equal(read_as(&open_part, o.p), -EINVAL);
	assert_non_null(strstr(doc.why, "expected u8 at line 1 column "));
	json_free(&doc);
	free(o.p);
}

/* Metadata: names may come twice. */
static void free_names_keep_the_last_value(void **state)
{
	static const char text[] = "{\"a\":1,\"\\u0001b\" :2,\"a\":-9223372036854775808}";

	assert_int_equal(json_parse(&doc, text, strlen(text), JSON_NAMES_FREE), 0);
	assert_int_equal(json_object_size(doc.root), 2);
	assert_true(json_integer_value(json_object_get(doc.root, "a")) == INT64_MIN);
	assert_int_equal(json_integer_value(json_object_get(doc.root, "\1b")), 2);
	json_free(&doc);
}

/* And no string of a client is taken for an integer that jansson cannot hold. */
static void metadata_has_exact_integers_and_all_strings(void **state)
{
	static const char text[] = "[18446744073709551615,\"\\u00015\",\"\\u0001\",\"\",\"5\","
				   "18446744073709551616,-9223372036854775809,-0,"
				   "9223372036854775808,0,\"\\u0001\\u0001\"]";
	static const char *const string[] = {[1] = "\1"
						   "5",
					     [2] = "\1",
					     [3] = "",
					     [4] = "5",
					     [10] = "\1\1"};
	const json_t *v;
	size_t len;

	assert_int_equal(json_parse(&doc, text, strlen(text), JSON_NAMES_FREE), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(string); i++) {
		v = json_array_get(doc.root, i);
		assert_int_equal(json_big(v), i == 0 || i == 8);
		if (!string[i])
			continue;
		assert_string_equal(json_big_text(v, &len), string[i]);
		assert_int_equal(len, strlen(string[i]));
	}
	assert_true(json_u64(json_array_get(doc.root, 0), 0) == UINT64_MAX);
	assert_true(json_u64(json_array_get(doc.root, 8), 0) == 1ull << 63);
	assert_true(json_real_value(json_array_get(doc.root, 5)) == 18446744073709551616.0);
	assert_true(json_real_value(json_array_get(doc.root, 6)) == -9223372036854775808.0);
	v = json_array_get(doc.root, 7); /* as serde reads it */
	assert_true(json_is_real(v) && signbit(json_real_value(v)));
	assert_true(json_is_integer(json_array_get(doc.root, 9)));
	json_free(&doc);
}

static void the_writer_escapes_as_serde_does(void **state)
{
	struct json_out o = {0};

	json_put(&o, "[");
	json_put_string(&o, "a\"b\\c\b\f\n\r\t\1\x1f/\x7f\xc3\xa9");
	json_put(&o, ",");
	json_put_string(&o, NULL);
	json_put(&o, ",");
	json_put_string(&o, "");
	json_put(&o, "]");
	assert_string_equal(
		o.p, "[\"a\\\"b\\\\c\\b\\f\\n\\r\\t\\u0001\\u001f/\x7f\xc3\xa9\",null,\"\"]");
	assert_int_equal(o.len, strlen(o.p));
	free(o.p);
}

static void the_writer_writes_utf8_whatever_it_gets(void **state)
{
	static const struct {
		const char *in, *out;
	} row[] = {
		{"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80",
		 "\"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\""                                                    },
		{"\xf0\x90\x80\x80\xf1\x80\x80\x80\xf4\x8f\xbf\xbf",
		 "\"\xf0\x90\x80\x80\xf1\x80\x80\x80\xf4\x8f\xbf\xbf\""                                                            },
		{"a\x80z",						   "\"a\xef\xbf\xbdz\""                                  },
		{"\xc0\xc1\xf5\xff",					 "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
		{"\xe2\x82",						 "\"\xef\xbf\xbd\xef\xbf\xbd\""                        },
		{"\xed\xa0\x80",					     "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""            },
		{"\xc3",						     "\"\xef\xbf\xbd\""                                    },
		{"\xf0\x9f\x98\"",					   "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\\\"\""        },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		struct json_out o = {0};

		json_put_string(&o, row[i].in);
		assert_string_equal(o.p, row[i].out);
		free(o.p);
	}
}

static void the_writer_grows(void **state)
{
	struct json_out o = {0};

	for (unsigned i = 0; i < 5000; i++)
		json_put(&o, "%u", i % 10);
	assert_int_equal(o.len, 5000);
	assert_int_equal(strlen(o.p), 5000);
	free(o.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_kinds_are_read),
		cmocka_unit_test(what_is_missing_or_null_is_the_default),
		cmocka_unit_test(integers_of_64_bits_are_exact),
		cmocka_unit_test(what_is_wrong_is_told_as_serde_does),
		cmocka_unit_test(what_is_no_json_is_refused),
		cmocka_unit_test(depth_has_a_bound),
		cmocka_unit_test(many_members_still_have_a_place),
		cmocka_unit_test(free_names_keep_the_last_value),
		cmocka_unit_test(metadata_has_exact_integers_and_all_strings),
		cmocka_unit_test(the_writer_escapes_as_serde_does),
		cmocka_unit_test(the_writer_writes_utf8_whatever_it_gets),
		cmocka_unit_test(the_writer_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
