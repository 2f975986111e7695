/* store_test.c - metadata put, patched and found; and as text, whose expectations are Firecracker's
 * own answers. */
#include "../../../src/mmds/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../../src/api/json.h"
#include "../../../src/mmds/format.h"

static struct store s;
static char buf[4096];
static unsigned fail_at; /* the allocation that fails; 0: none */

static void *alloc(size_t n)
{
	return fail_at && --fail_at == 0 ? NULL : malloc(n);
}

static int setup(void **state)
{
	json_set_alloc_funcs(alloc, free);
	fail_at = 0;
	store_init(&s, 200);
	return 0;
}

static int teardown(void **state)
{
	fail_at = 0;
	store_finish(&s);
	return 0;
}

static json_t *json(const char *text)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

	assert_non_null(v);
	return v;
}

static enum mmds_result put(const char *text)
{
	json_t *v = json(text);
	enum mmds_result r = store_put(&s, v);

	json_decref(v);
	return r;
}

static enum mmds_result patch(const char *text)
{
	json_t *v = json(text);
	enum mmds_result r = store_patch(&s, v);

	json_decref(v);
	return r;
}

static const char *text_of(json_t *v)
{
	struct text t = {.buf = buf, .size = sizeof(buf) - 1};

	if (!v)
		return "nothing";
	format_json(&t, v);
	assert_true(t.len < sizeof(buf));
	buf[t.len] = '\0';
	return buf;
}

static const char *found(const char *path)
{
	return text_of(store_find(&s, path, strlen(path)));
}

static const char *listed(const char *path)
{
	struct text t = {.buf = buf, .size = sizeof(buf) - 1};

	if (!format_imds(&t, store_find(&s, path, strlen(path))))
		return "nothing";
	buf[t.len] = '\0';
	return buf;
}

static void imds(const char *text, const char *want)
{
	struct text t = {.buf = buf, .size = sizeof(buf)};
	json_t *v = json(text);

	assert_int_equal(format_imds(&t, v), want != NULL);
	if (want) {
		assert_int_equal(t.len, strlen(want));
		assert_memory_equal(buf, want, t.len);
	}
	json_decref(v);
}

/* What is put is found so; `want` NULL: as it was put. */
static void same(const char *text, const char *want)
{
	assert_int_equal(put(text), MMDS_OK);
	assert_string_equal(found("/"), want ? want : text);
}

static void keys_come_in_the_order_of_their_bytes(void **state)
{
	same("{\"b\":1,\"a\":2,\"Z\":{\"y\":1,\"x\":[{\"d\":1,\"c\":2}]},\"aa\":[],\"é\":{},\"\":"
	     "2}",
	     "{\"\":2,\"Z\":{\"x\":[{\"c\":2,\"d\":1}],\"y\":1},\"a\":2,\"aa\":[],\"b\":1,\"é\":{}"
	     "}");
}

static void so_do_keys_of_any_number(void **state)
{
	char key[16], before[16];
	const char *name;

	store_finish(&s);
	store_init(&s, 100000);
	for (unsigned n = 0; n <= 600; n += n < 8 ? 1 : 37) {
		json_t *v = json_object();
		unsigned seen = 0;
		json_t *value;

		for (unsigned i = 0; i < n; i++) { /* all lengths, and prefixes of others */
			snprintf(key, sizeof(key), "%.*o", (int)(1 + i % 5), i * 7919 % 601);
			json_object_set_new(v, key, json_integer(i));
		}
		assert_int_equal(store_put(&s, v), MMDS_OK);
		before[0] = '\0';
		json_object_foreach(s.root, name, value)
		{
			assert_true(!seen++ || strcmp(before, name) < 0);
			strcpy(before, name);
			assert_true(json_equal(value, json_object_get(v, name)));
		}
		assert_int_equal(seen, json_object_size(v));
		json_decref(v);
	}
}

static void only_what_json_wants_is_escaped(void **state)
{
	same("{\"a\":\"\\u0000\\u001f\\u007f\\u00e9\\/\\\"\\\\\\b\\f\\n\\r\\t\"}",
	     "{\"a\":\"\\u0000\\u001f\x7f\xc3\xa9/\\\"\\\\\\b\\f\\n\\r\\t\"}");
	same("{\"\\n\":1}", NULL);
}

static void every_kind_of_value_has_its_text(void **state)
{
	same("[null,true,false,0,-1,9223372036854775807,-9223372036854775808,\"\",[],{}]", NULL);
	same("\"text\"", NULL);
	same("null", NULL);
}

/* As the API reads them: jansson has no type for those beyond 2^63 - 1. */
static void integers_of_64_bits_are_exact(void **state)
{
	static const char text[] =
		"{\"a\":18446744073709551615,\"b\":[9223372036854775808,-0.0,\"\"],"
		"\"c\":\"\\u00015\",\"d\":\"\\u0001\",\"e\":{\"\\u0001\":{}}}";
	struct json_doc d;

	assert_int_equal(json_parse(&d, text, strlen(text), JSON_NAMES_FREE), 0);
	assert_int_equal(store_put(&s, d.root), MMDS_OK);
	assert_int_equal(store_patch(&s, d.root), MMDS_OK);
	json_free(&d);
	assert_string_equal(found("/"), text);
	assert_string_equal(found("/a"), "18446744073709551615");
	assert_string_equal(listed("/a"), "nothing");
	assert_string_equal(listed("/c"), "\1"
					  "5");
	assert_string_equal(listed("/e"), "\1/");
}

static void floats_are_as_short_as_they_can_be(void **state)
{
	s.limit = 4096;
	same("[0.0,-0.0,1.0,-24.5,12.12,0.1,0.3,4.35,100.0,1234567.25]", NULL);
	same("[1E2,123456.789e3]", "[100.0,123456789.0]");
	same("[1e-5,1.5e-5,5e-5,1e-6,1.5e-6]", "[0.00001,0.000015,0.00005,1e-6,1.5e-6]");
	same("[1e15,1.5e15,1e16,1.5e16]", "[1000000000000000.0,1500000000000000.0,1e+16,1.5e+16]");
	same("[123456789012345680.0,1e21,1e300]", "[1.2345678901234568e+17,1e+21,1e+300]");
	same("[2.2250738585072014e-308,1.7976931348623157e308]",
	     "[2.2250738585072014e-308,1.7976931348623157e+308]");
	same("[5e-324,1e-323,1.24e-322,2.9802322387695312e-08]",
	     "[5e-324,1e-323,1.24e-322,2.9802322387695312e-8]");
	same("[0.66666666666666663,5.444310685350916e+14,-5942736479622170.0]",
	     "[0.6666666666666666,544431068535091.6,-5942736479622170.0]");
	same("[5.684341886080802e-14,9.4e-323,0.00048828125]", NULL); /* the first is 2^-44 */
	same("[9007199254740993.0,9.5367431640625e-7]", "[9007199254740992.0,9.5367431640625e-7]");
}

static void a_float_comes_back_as_it_was(void **state)
{
	uint64_t bits = 0x9e3779b97f4a7c15ull;

	for (unsigned i = 0; i < 20000; i++) {
		struct text t = {.buf = buf, .size = sizeof(buf)};
		json_t *v;
		double d;

		bits = bits * 6364136223846793005ull + 1442695040888963407ull;
		memcpy(&d, &bits, sizeof(d));
		v = json_real(d); /* NULL for what is no number */
		if (!v)
			continue;
		format_json(&t, v);
		json_decref(v);
		buf[t.len] = '\0';
		assert_true(strtod(buf, NULL) == d);
		assert_true(t.len <= 24);
	}
}

static void a_list_shows_keys_and_a_string_itself(void **state)
{
	imds("{\"a\":1,\"b\":{},\"c\":\"x\",\"d\":[]}", "a\nb/\nc\nd");
	imds("{}", "");
	imds("\"line\\n\\\"quoted\\\"\"", "line\n\"quoted\"");
	imds("1", NULL);
	imds("[\"a\"]", NULL);
	imds("null", NULL);
	imds("true", NULL);
	imds("1.5", NULL);
}

static void a_text_that_does_not_fit_is_measured(void **state)
{
	json_t *v = json("{\"abc\":\"defg\"}");
	struct text t = {.buf = buf, .size = 5};

	memset(buf, '#', 8);
	format_json(&t, v);
	assert_int_equal(t.len, 14);
	assert_memory_equal(buf, "{\"abc###", 8);
	json_decref(v);
}

static void nothing_is_there_at_first(void **state)
{
	assert_string_equal(found("/"), "null");
	assert_string_equal(found("/a"), "nothing");
	assert_int_equal(patch("{\"a\":1}"), MMDS_NOT_INITIALIZED);
	assert_null(s.root);
}

static void paths_lead_to_values(void **state)
{
	s.limit = 4096;
	put("{\"a\":{\"b\":[10,[20,21],{\"c\":30}]},\"x/y\":1,\"~\":2,\"~1\":3,\"\":4,\"0\":5,"
	    "\"q?z\":6}");
	assert_string_equal(found("/a/b/0"), "10");
	assert_string_equal(found("/a/b/1/1"), "21");
	assert_string_equal(found("/a/b/2/c"), "30");
	assert_string_equal(found("//a///b/2//c/"), "30");
	assert_string_equal(found("/a/"), "{\"b\":[10,[20,21],{\"c\":30}]}");
	assert_string_equal(found("/x~1y"), "1");
	assert_string_equal(found("/~0"), "2");
	assert_string_equal(found("/~"), "2");
	assert_string_equal(found("/~01"), "3");
	assert_string_equal(found("/0"), "5");
	assert_string_equal(found("/q?z"), "6");
	assert_string_equal(found("/x"), "nothing");
	assert_string_equal(found("/a/b/3"), "nothing");
	assert_string_equal(found("/a/b/00"), "nothing");
	assert_string_equal(found("/a/b/01"), "nothing");
	assert_string_equal(found("/a/b/+1"), "nothing");
	assert_string_equal(found("/a/b/-"), "nothing");
	assert_string_equal(found("/a/b/1x"), "nothing");
	assert_string_equal(found("/a/b/18446744073709551616"), "nothing");
	assert_string_equal(found("/a/b/0/d"), "nothing");
}

static void a_path_part_of_any_length_is_bounded(void **state)
{
	static char path[6000];

	put("{\"a\":1}");
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	assert_null(store_find(&s, path, sizeof(path)));
	assert_null(store_find(&s, path, 2500));
}

static void a_put_replaces_all(void **state)
{
	put("{\"a\":1,\"b\":2}");
	assert_int_equal(put("{\"c\":3}"), MMDS_OK);
	assert_string_equal(found("/"), "{\"c\":3}");
}

static void a_patch_is_merged(void **state)
{
	put("{\"b\":1,\"a\":{\"x\":1,\"y\":2},\"c\":[1,2],\"d\":\"s\"}");
	assert_int_equal(patch("{\"a\":{\"x\":null,\"z\":{\"n\":null,\"m\":5}},\"c\":[null],"
			       "\"d\":{\"k\":null},\"none\":null,\"0\":0}"),
			 MMDS_OK);
	assert_string_equal(found("/"), "{\"0\":0,\"a\":{\"y\":2,\"z\":{\"m\":5}},\"b\":1,"
					"\"c\":[null],\"d\":{}}");
}

static void a_patch_that_is_no_object_replaces_all(void **state)
{
	put("{\"b\":1}");
	assert_int_equal(patch("[1]"), MMDS_OK);
	assert_string_equal(found("/"), "[1]");
	assert_int_equal(patch("{\"a\":{\"b\":{}}}"), MMDS_OK);
	assert_string_equal(found("/"), "{\"a\":{\"b\":{}}}");
	assert_int_equal(patch("null"), MMDS_OK);
	assert_string_equal(found("/"), "null");
	assert_int_equal(patch("{\"a\":1}"), MMDS_OK);
	assert_string_equal(found("/"), "{\"a\":1}");
}

static void the_limit_is_of_the_whole_text(void **state)
{
	s.limit = 14;
	assert_int_equal(put("{ \"abc\" : \"defg\" }"), MMDS_OK);
	assert_int_equal(put("{\"abc\":\"defgh\"}"), MMDS_TOO_LARGE);
	assert_int_equal(patch("{\"b\":1}"), MMDS_TOO_LARGE);
	assert_string_equal(found("/"), "{\"abc\":\"defg\"}");
	assert_int_equal(patch("{\"abc\":\"defghijkl\"}"), MMDS_TOO_LARGE);
	assert_int_equal(patch("{\"abc\":\"de\"}"), MMDS_OK);
	assert_string_equal(found("/abc"), "\"de\"");
}

static json_t *nested(unsigned depth)
{
	json_t *v = json_array();

	while (--depth) {
		json_t *outer = json_object();

		json_object_set_new(outer, "a", v);
		v = outer;
	}
	return v;
}

static void a_value_may_be_127_deep(void **state)
{
	json_t *v = nested(STORE_DEPTH), *deeper = nested(STORE_DEPTH + 1);

	s.limit = 4096;
	assert_int_equal(store_put(&s, deeper), MMDS_TOO_DEEP);
	assert_int_equal(store_put(&s, v), MMDS_OK);
	assert_int_equal(store_patch(&s, deeper), MMDS_TOO_DEEP);
	assert_string_equal(text_of(v), found("/"));
	json_decref(v);
	json_decref(deeper);
}

static void what_was_given_stays_the_givers(void **state)
{
	json_t *v = json("{\"b\":{\"x\":1},\"a\":[1]}");

	assert_int_equal(store_put(&s, v), MMDS_OK);
	json_object_set_new(json_object_get(v, "b"), "x", json_integer(2));
	json_array_clear(json_object_get(v, "a"));
	assert_string_equal(found("/"), "{\"a\":[1],\"b\":{\"x\":1}}");
	json_decref(v);
}

static void without_memory_nothing_changes(void **state)
{
	json_t *v = json("{\"b\":{\"x\":[1,\"s\"]},\"a\":{\"y\":null}}");
	unsigned n = 0;

	put("{\"old\":{\"a\":1}}");
	for (fail_at = n = 1; store_patch(&s, v) == MMDS_NO_MEMORY; fail_at = ++n) {
		fail_at = 0;
		assert_string_equal(found("/"), "{\"old\":{\"a\":1}}");
	}
	assert_true(n > 10);
	fail_at = 0;
	assert_string_equal(found("/"), "{\"a\":{},\"b\":{\"x\":[1,\"s\"]},\"old\":{\"a\":1}}");
	json_decref(v);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(keys_come_in_the_order_of_their_bytes),
		T(so_do_keys_of_any_number),
		T(only_what_json_wants_is_escaped),
		T(every_kind_of_value_has_its_text),
		T(integers_of_64_bits_are_exact),
		T(floats_are_as_short_as_they_can_be),
		T(a_float_comes_back_as_it_was),
		T(a_list_shows_keys_and_a_string_itself),
		T(a_text_that_does_not_fit_is_measured),
		T(nothing_is_there_at_first),
		T(paths_lead_to_values),
		T(a_path_part_of_any_length_is_bounded),
		T(a_put_replaces_all),
		T(a_patch_is_merged),
		T(a_patch_that_is_no_object_replaces_all),
		T(the_limit_is_of_the_whole_text),
		T(a_value_may_be_127_deep),
		T(what_was_given_stays_the_givers),
		T(without_memory_nothing_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
