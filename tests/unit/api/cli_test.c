/* cli_test.c - Firecracker's command line: what each option sets, and how each mistake ends. */
#include "../../../src/api/cli.h"
#include "../../../src/api/logger.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "../said.h"

static struct fc_opts o;

#define PARSE(...) parse((char *[]){"firecracker", __VA_ARGS__, NULL})

static enum fc_exit parse(char **argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	said_lines = 0;
	return cli_parse(&o, argc, argv);
}

static void refused(enum fc_exit got, enum fc_exit code, const char *text)
{
	assert_int_equal(got, code);
	assert_int_equal(said_lines, 1);
	assert_string_equal(said, text);
}

static void nothing_given_has_firecrackers_defaults(void **state)
{
	assert_int_equal(PARSE(NULL), FC_EXIT_OK);
	assert_string_equal(o.api_sock, "/run/firecracker.socket");
	assert_string_equal(o.id, "anonymous-instance");
	assert_int_equal(o.level, LEVEL_INFO);
	assert_int_equal(o.http_api_max_payload_size, 51200);
	assert_int_equal(o.mmds_size_limit, 51200);
	assert_true(o.start_time_us == FC_NOT_GIVEN);
	assert_true(o.start_time_cpu_us == FC_NOT_GIVEN);
	assert_true(o.parent_cpu_time_us == FC_NOT_GIVEN);
	assert_null(o.config_file);
	assert_null(o.metadata);
	assert_null(o.log_path);
	assert_null(o.module);
	assert_null(o.metrics_path);
	assert_null(o.describe_snapshot);
	assert_false(o.no_api || o.no_seccomp || o.boot_timer || o.enable_pci || o.show_level ||
		     o.show_log_origin || o.help || o.version || o.snapshot_version);
}

static void every_option_is_taken(void **state)
{
	assert_int_equal(PARSE("--api-sock", "s", "--id", "a-1", "--config-file", "c", "--no-api",
			       "--metadata", "md", "--log-path", "l", "--level", "dEbUG",
			       "--module", "m", "--show-level", "--show-log-origin",
			       "--metrics-path", "mp", "--boot-timer", "--enable-pci",
			       "--http-api-max-payload-size", "100", "--no-seccomp",
			       "--start-time-us", "1", "--start-time-cpu-us", "2",
			       "--parent-cpu-time-us", "18446744073709551614", "--", "--x"),
			 FC_EXIT_OK);
	assert_string_equal(o.api_sock, "s");
	assert_string_equal(o.id, "a-1");
	assert_string_equal(o.config_file, "c");
	assert_string_equal(o.metadata, "md");
	assert_string_equal(o.log_path, "l");
	assert_int_equal(o.level, LEVEL_DEBUG);
	assert_string_equal(o.module, "m");
	assert_string_equal(o.metrics_path, "mp");
	assert_true(o.no_api && o.no_seccomp && o.boot_timer && o.enable_pci && o.show_level &&
		    o.show_log_origin);
	assert_int_equal(o.http_api_max_payload_size, 100);
	assert_int_equal(o.mmds_size_limit, 100); /* as the payload's, unless given */
	assert_int_equal(o.start_time_us, 1);
	assert_int_equal(o.start_time_cpu_us, 2);
	assert_true(o.parent_cpu_time_us == UINT64_MAX - 1);
	assert_int_equal(PARSE("--mmds-size-limit", "7"), FC_EXIT_OK);
	assert_int_equal(o.mmds_size_limit, 7);
	assert_int_equal(o.http_api_max_payload_size, 51200);
}

static void a_wrong_line_ends_with_153(void **state)
{
#define MORE " \\n\\nFor more information try --help."
	refused(PARSE("--foo"), 153,
		"Arguments parsing error: Found argument 'foo' which wasn't expected, or isn't "
		"valid in this context." MORE);
	refused(PARSE("--id", "a", "--id", "b"), 153,
		"Arguments parsing error: The argument 'id' was provided more than once." MORE);
	refused(PARSE("--id", "--x"), 153,
		"Arguments parsing error: The argument 'id' requires a value, but none was "
		"supplied." MORE);
	refused(PARSE("--no-api"), 153,
		"Arguments parsing error: Argument 'config-file' required, but not found." MORE);
	refused(PARSE("--seccomp-filter", "f", "--no-seccomp"), 153,
		"Arguments parsing error: Argument 'seccomp-filter' cannot be used together with "
		"argument 'no-seccomp'." MORE);
}

static void an_id_or_number_that_is_none_ends_with_153(void **state)
{
	refused(PARSE("--id", "a_b"), 153, "Invalid instance ID: Invalid char (_) at position 1");
	refused(PARSE("--id", ""), 153,
		"Invalid instance ID: Invalid len (0);  the length must be between 1 and 64");
	refused(PARSE("--http-api-max-payload-size", "x"), 153,
		"'http-api-max-payload-size' parameter expected to be of 'usize' type.");
	refused(PARSE("--mmds-size-limit", ""), 153,
		"'mmds-size-limit' parameter expected to be of 'usize' type.");
	refused(PARSE("--start-time-us", "-1"), 153,
		"'start-time-us' parameter expected to be of 'u64' type.");
	refused(PARSE("--start-time-cpu-us", "1 "), 153,
		"'start-time-cpu-us' parameter expected to be of 'u64' type.");
	refused(PARSE("--parent-cpu-time-us", "18446744073709551616"), 153,
		"'parent-cpu-time-us' parameter expected to be of 'u64' type.");
}

static void a_wrong_level_ends_with_152(void **state)
{
	refused(PARSE("--level", "loud"), 152,
		"Invalid value for logger level: Failed to parse string to level filter: loud."
		"Possible values: [Error, Warning, Info, Debug]");
}

static void levels_have_names_in_any_case(void **state)
{
	const struct {
		const char *name;
		enum log_level level;
	} row[] = {
		{"Off",     LEVEL_OFF  },
                {"TRACE",   LEVEL_TRACE},
                {"debug",   LEVEL_DEBUG},
		{"Info",    LEVEL_INFO },
                {"warn",    LEVEL_WARN },
                {"Warning", LEVEL_WARN },
		{"Error",   LEVEL_ERROR},
	};
	enum log_level level;

	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		assert_true(logger_level(row[i].name, &level));
		assert_int_equal(level, row[i].level);
	}
	assert_false(logger_level("", &level));
	assert_false(logger_level("infos", &level));
}

static void a_filter_of_another_program_is_refused(void **state)
{
	assert_int_equal(PARSE("--seccomp-filter", "/f.bpf"), FC_EXIT_ERROR);
	assert_non_null(strstr(said, "Seccomp error: --seccomp-filter /f.bpf: "));
}

static void questions_are_answered_before_the_rest_is_checked(void **state)
{
	assert_int_equal(PARSE("--snapshot-version", "--id", "_"), FC_EXIT_OK);
	assert_true(o.snapshot_version);
	assert_int_equal(PARSE("--describe-snapshot", "/s", "--level", "x"), FC_EXIT_OK);
	assert_string_equal(o.describe_snapshot, "/s");
	assert_int_equal(PARSE("--version", "--bad"), FC_EXIT_OK);
	assert_true(o.version && !o.help);
	assert_int_equal(PARSE("-h", "--version"), FC_EXIT_OK);
	assert_true(o.help);
}

/* What `print` writes to `fd`. */
static const char *printed(int fd, enum fc_exit (*print)(void), enum fc_exit want)
{
	static char text[16384];
	int pipefd[2], saved = dup(fd);
	ssize_t n;

	assert_int_equal(pipe2(pipefd, O_NONBLOCK), 0);
	dup2(pipefd[1], fd);
	close(pipefd[1]);
	assert_int_equal(print(), want);
	dup2(saved, fd);
	close(saved);
	n = read(pipefd[0], text, sizeof(text) - 1);
	close(pipefd[0]);
	text[MAX(n, 0)] = '\0';
	return text;
}

static enum fc_exit print_it(void)
{
	return cli_print(&o, "9.9");
}

static enum fc_exit end_badly(void)
{
	snprintf(said, sizeof(said), "it broke");
	return cli_end(FC_EXIT_BAD_CONFIG);
}

static enum fc_exit end_for_no_reason(void)
{
	*said = '\0';
	return cli_end(FC_EXIT_ERROR);
}

static enum fc_exit end_well(void)
{
	return cli_end(FC_EXIT_OK);
}

static void version_begins_as_clients_parse_it(void **state)
{
	PARSE("--version");
	assert_string_equal(printed(1, print_it, FC_EXIT_OK),
			    "Firecracker v1.17.0\n\nminnow 9.9, in Firecracker's place\n");
}

static void help_is_firecrackers(void **state)
{
	const char *text;

	PARSE("--help");
	text = printed(1, print_it, FC_EXIT_OK);
	assert_ptr_equal(strstr(text, "Firecracker v1.17.0\n\noptional arguments:\n  --api-sock "),
			 text);
	assert_non_null(strstr(text,
			       "\n  --http-api-max-payload-size <http-api-max-payload-size>   "
			       "Http API request payload max size, in bytes. "
			       "[default: \"51200\"]\n"));
	assert_non_null(strstr(text, "\n  --help                       "));
	assert_non_null(strstr(text, "   Print the binary version number.\n"));
}

static void an_end_says_its_code(void **state)
{
	assert_string_equal(printed(2, end_badly, FC_EXIT_BAD_CONFIG), "Error: it broke\n");
	assert_string_equal(said, "Firecracker exiting with error. exit_code=152");
	assert_string_equal(printed(2, end_for_no_reason, FC_EXIT_ERROR), "");
	assert_string_equal(printed(2, end_well, FC_EXIT_OK), "");
	assert_string_equal(said, "Firecracker exiting successfully. exit_code=0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_given_has_firecrackers_defaults),
		cmocka_unit_test(every_option_is_taken),
		cmocka_unit_test(a_wrong_line_ends_with_153),
		cmocka_unit_test(an_id_or_number_that_is_none_ends_with_153),
		cmocka_unit_test(a_wrong_level_ends_with_152),
		cmocka_unit_test(levels_have_names_in_any_case),
		cmocka_unit_test(a_filter_of_another_program_is_refused),
		cmocka_unit_test(questions_are_answered_before_the_rest_is_checked),
		cmocka_unit_test(version_begins_as_clients_parse_it),
		cmocka_unit_test(help_is_firecrackers),
		cmocka_unit_test(an_end_says_its_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
