/* args_test.c - the rules of a command line, and the sentences for each mistake. */
#include "../../../src/api/args.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { A_CGROUP, A_FILE, A_FLAG, A_ID, A_NO, A_N };

static const struct arg table[] = {
	[A_CGROUP] = {"cgroup",       "cgroups.",         .value = true, .many = true   },
	[A_FILE] = {"file",         "a file.",          .value = true, .forbids = "no"},
	[A_FLAG] = {"flag",         .requires = "file"},
	[A_ID] = {"id", "an id.",   .value = true,              .required = true                         },
	[A_NO] = {"no",   "not.",    .def = NULL, .forbids = "file"},
};

static struct args a;
static char why[256];

#define PARSE(...) parse((char *[]){"prog", __VA_ARGS__, NULL})

static int parse(char **argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	why[0] = '\0';
	return args_parse(&a, table, A_N, argc, argv, why, sizeof(why));
}

static void refused(int err, const char *text)
{
	assert_int_equal(err, -EINVAL);
	assert_string_equal(why, text);
}

static void values_and_flags_are_taken(void **state)
{
	assert_int_equal(PARSE("--id", "x", "--file", "-f", "--flag"), 0);
	assert_string_equal(a.val[A_ID], "x");
	assert_string_equal(a.val[A_FILE], "-f");
	assert_non_null(a.val[A_FLAG]);
	assert_null(a.val[A_NO]);
	assert_null(*a.extra);
}

static void what_follows_two_dashes_is_left_alone(void **state)
{
	assert_int_equal(PARSE("--id", "x", "--", "--id", "--", "--help"), 0);
	assert_false(a.help);
	assert_string_equal(a.extra[0], "--id");
	assert_string_equal(a.extra[1], "--");
	assert_string_equal(a.extra[2], "--help");
	assert_null(a.extra[3]);
	assert_string_equal(a.val[A_ID], "x");
}

static void help_and_version_win_even_in_a_wrong_line(void **state)
{
	assert_int_equal(PARSE("--bad", "--file", "--help"), 0);
	assert_true(a.help);
	assert_int_equal(PARSE("-h"), 0);
	assert_true(a.help);
	assert_int_equal(PARSE("x", "--version"), 0);
	assert_true(a.version);
	assert_false(a.help);
}

static void each_mistake_has_its_sentence(void **state)
{
#define UNEXPECTED " which wasn't expected, or isn't valid in this context."
	refused(PARSE("--idd", "x"), "Found argument 'idd'" UNEXPECTED);
	refused(PARSE("id"), "Found argument 'id'" UNEXPECTED);
	refused(PARSE("--id=x"), "Found argument 'id=x'" UNEXPECTED);
	refused(PARSE("-x"), "Found argument '-x'" UNEXPECTED);
	refused(PARSE(""), "Found argument ''" UNEXPECTED);
	refused(PARSE("--id", "x", "--id", "x"), "The argument 'id' was provided more than once.");
	refused(PARSE("--id", "x", "--flag", "--flag"),
		"The argument 'flag' was provided more than once.");
	refused(PARSE("--id"), "The argument 'id' requires a value, but none was supplied.");
	refused(PARSE("--id", "--x"), "The argument 'id' requires a value, but none was supplied.");
	refused(PARSE("--id", "--", "x"),
		"The argument 'id' requires a value, but none was supplied.");
	refused(PARSE("--file", "x"), "Argument 'id' required, but not found.");
	refused(PARSE("--id", "x", "--flag"), "Argument 'file' required, but not found.");
	refused(PARSE("--id", "x", "--no", "--file", "f"),
		"Argument 'no' cannot be used together with argument 'file'.");
}

static void one_may_be_repeated(void **state)
{
	int pos = 0;

	assert_int_equal(
		PARSE("--cgroup", "cgroup", "--id", "x", "--cgroup", "b", "--", "--cgroup", "c"),
		0);
	assert_string_equal(args_next(&a, A_CGROUP, &pos), "cgroup");
	assert_string_equal(args_next(&a, A_CGROUP, &pos), "b");
	assert_null(args_next(&a, A_CGROUP, &pos));
}

static void help_lists_what_must_be_given_first(void **state)
{
	static const char want[] = "required arguments:\n"
				   "  --id <id>   an id.\n"
				   "\n"
				   "optional arguments:\n"
				   "  --cgroup <cgroup>   cgroups.\n"
				   "  --file <file>       a file.\n"
				   "  --flag              \n"
				   "  --no                not.";
	char text[512], small[32];

	assert_int_equal(args_help(table, A_N, text, sizeof(text)), strlen(want));
	assert_string_equal(text, want);
	assert_int_equal(args_help(table, A_N, small, sizeof(small)), strlen(want));
	assert_memory_equal(small, want, sizeof(small) - 1);
	assert_int_equal(small[sizeof(small) - 1], 0);
}

static void numbers_are_digits_within_a_limit(void **state)
{
	uint64_t n = 7;

	assert_true(args_number("+0042", UINT64_MAX, &n));
	assert_int_equal(n, 42);
	assert_true(args_number("18446744073709551615", UINT64_MAX, &n));
	assert_true(n == UINT64_MAX);
	assert_true(args_number("255", 255, &n));
	assert_false(args_number("256", 255, &n));
	assert_false(args_number("18446744073709551616", UINT64_MAX, &n));
	assert_false(args_number("", UINT64_MAX, &n));
	assert_false(args_number("+", UINT64_MAX, &n));
	assert_false(args_number("-1", UINT64_MAX, &n));
	assert_false(args_number(" 1", UINT64_MAX, &n));
	assert_false(args_number("0x1", UINT64_MAX, &n));
	assert_int_equal(n, 255); /* untouched */
}

static void an_id_is_short_and_plain(void **state)
{
	char id[66];

	memset(id, 'a', sizeof(id));
	id[64] = '\0';
	assert_int_equal(args_id(id, why, sizeof(why)), 0);
	assert_int_equal(args_id("-Zz-09", why, sizeof(why)), 0);
	id[64] = 'a';
	id[65] = '\0';
	refused(args_id(id, why, sizeof(why)),
		"Invalid len (65);  the length must be between 1 and 64");
	refused(args_id("", why, sizeof(why)),
		"Invalid len (0);  the length must be between 1 and 64");
	refused(args_id("ab_", why, sizeof(why)), "Invalid char (_) at position 2");
	refused(args_id("/", why, sizeof(why)), "Invalid char (/) at position 0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_and_flags_are_taken),
		cmocka_unit_test(what_follows_two_dashes_is_left_alone),
		cmocka_unit_test(help_and_version_win_even_in_a_wrong_line),
		cmocka_unit_test(each_mistake_has_its_sentence),
		cmocka_unit_test(one_may_be_repeated),
		cmocka_unit_test(help_lists_what_must_be_given_first),
		cmocka_unit_test(numbers_are_digits_within_a_limit),
		cmocka_unit_test(an_id_is_short_and_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
