/* opts_test.c - the command line: what is taken, and what each mistake is answered. */
#include "../../src/opts.h"

#include <errno.h>

#include "said.h"

static struct opts o;

/* Parses "minnow ARG..."; the list ends with NULL. */
#define PARSE(...) parse((const char *[]){"minnow", __VA_ARGS__, NULL})

/* With arguments that may be written to, as main() has them. */
static int parse(const char *const *given)
{
	static char word[64][256];
	static char *argv[ARRAY_SIZE(word) + 1];
	int argc = 0;

	for (; given[argc]; argc++) {
		snprintf(word[argc], sizeof(word[0]), "%s", given[argc]);
		argv[argc] = word[argc];
	}
	argv[argc] = NULL;
	said_lines = 0;
	return opts_parse(&o, argc, argv);
}

#define REFUSED(part, ...) assert_fails(PARSE(__VA_ARGS__), EINVAL, part)

static void a_kernel_alone_has_documented_defaults(void **state)
{
	assert_int_equal(PARSE("run", "vmlinuz"), 0);
	assert_int_equal(o.command, COMMAND_RUN);
	assert_string_equal(o.machine.boot.kernel, "vmlinuz");
	assert_null(o.machine.boot.initrd);
	assert_string_equal(o.machine.boot.cmdline, "console=ttyS0 reboot=k panic=-1");
	assert_int_equal(o.machine.boot.cpus, 1);
	assert_int_equal(o.machine.boot.entry, BOOT_AUTO);
	assert_true(o.machine.boot.rng_seed);
	assert_false(o.machine.boot.bios);
	assert_int_equal(o.machine.mem, 256 * MIB);
	assert_int_equal(o.machine.pages, RAM_PAGES_DEFAULT);
	assert_null(o.machine.cpu_flags);
	assert_null(o.timeline);
	assert_false(o.machine.trace);
	assert_false(o.machine.test_device);
	assert_true(o.machine.root_default);
	assert_int_equal(devconf_count(&o.machine.devices), 0);
	assert_int_equal(said_lines, 0);
}

static void devices_may_be_given_again_where_that_means_something(void **state)
{
	assert_int_equal(PARSE("run", "k", "--disk", "a", "--disk=b,ro", "--net", "t0", "--net",
			       "t1", "--vsock", "v", "--rng", "--balloon", "16", "--transport",
			       "mmio", "--disk-io", "worker", "--cpus", "2"),
			 0);
	assert_int_equal(o.machine.devices.disks, 2);
	assert_true(o.machine.devices.disk[1].readonly);
	assert_int_equal(o.machine.devices.disk[0].queues, 2);
	assert_int_equal(o.machine.devices.nets, 2);
	assert_true(o.machine.devices.vsock);
	assert_true(o.machine.devices.rng);
	assert_true(o.machine.devices.balloon);
	assert_true(o.machine.devices.worker);
	assert_int_equal(o.machine.devices.transport, TRANSPORT_MMIO);
	assert_int_equal(devconf_count(&o.machine.devices), 7);
	REFUSED("--vsock is given twice", "run", "k", "--vsock", "a", "--vsock", "b");
	REFUSED("give pci or mmio", "run", "k", "--transport", "isa");
	REFUSED("give io_uring or worker", "run", "k", "--disk-io", "threads");
}

static void every_option_reaches_its_field(void **state)
{
	assert_int_equal(PARSE("run", "--kernel", "k", "--initrd", "i", "--cmdline", "a b",
			       "--cpus", "32", "--mem", "4G", "--pages", "2m", "--entry", "pvh",
			       "--cpu-flags", "-x2apic,+svm", "--no-seed", "--timeline", "t",
			       "--trace", "--test-device"),
			 0);
	assert_string_equal(o.machine.boot.kernel, "k");
	assert_string_equal(o.machine.boot.initrd, "i");
	assert_string_equal(o.machine.boot.cmdline, "a b");
	assert_int_equal(o.machine.boot.cpus, 32);
	assert_int_equal(o.machine.mem, 4 * GIB);
	assert_int_equal(o.machine.pages, RAM_PAGES_2M);
	assert_int_equal(o.machine.boot.entry, BOOT_PVH);
	assert_string_equal(o.machine.cpu_flags, "-x2apic,+svm");
	assert_false(o.machine.boot.rng_seed);
	assert_string_equal(o.timeline, "t");
	assert_true(o.machine.trace);
	assert_true(o.machine.test_device);
	assert_true(o.machine.boot.bios);
}

static void a_value_may_follow_an_equals_sign(void **state)
{
	assert_int_equal(PARSE("run", "--mem=64M", "--cmdline=root=/dev/vda", "k"), 0);
	assert_int_equal(o.machine.mem, 64 * MIB);
	assert_string_equal(o.machine.boot.cmdline, "root=/dev/vda"); /* only the first = counts */
	assert_int_equal(PARSE("run", "--cmdline=", "k"), 0);
	assert_string_equal(o.machine.boot.cmdline, "");
}

static void options_may_follow_the_kernel(void **state)
{
	assert_int_equal(PARSE("run", "k", "--cpus", "2"), 0);
	assert_int_equal(o.machine.boot.cpus, 2);
}

static void each_choice_is_known(void **state)
{
	assert_int_equal(PARSE("run", "k", "--pages", "default"), 0);
	assert_int_equal(o.machine.pages, RAM_PAGES_DEFAULT);
	assert_int_equal(PARSE("run", "k", "--pages", "thp"), 0);
	assert_int_equal(o.machine.pages, RAM_PAGES_THP);
	assert_int_equal(PARSE("run", "k", "--entry", "auto"), 0);
	assert_int_equal(o.machine.boot.entry, BOOT_AUTO);
	assert_int_equal(PARSE("run", "k", "--entry", "linux64"), 0);
	assert_int_equal(o.machine.boot.entry, BOOT_LINUX64);
	REFUSED("--pages 4k: give default, thp or 2m", "run", "k", "--pages", "4k");
	REFUSED("--entry bios: give auto, linux64 or pvh", "run", "k", "--entry", "bios");
	REFUSED("--pages :", "run", "k", "--pages", "");
}

static void memory_sizes_have_units(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} size[] = {
		{"16",      16 * MIB  },
                {"16M",     16 * MIB  },
		{"16m",     16 * MIB  },
                {"1G",      GIB       },
		{"1g",      GIB       },
                {"3G",      3 * GIB   },
		{"64G",     64 * GIB  },
                {"1024G",   1024 * GIB},
		{"0512M",   512 * MIB },
                {"1048576", 1024 * GIB},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(size); i++) {
		assert_int_equal(PARSE("run", "k", "--mem", size[i].text), 0);
		assert_int_equal(o.machine.mem, size[i].bytes);
	}
}

static void memory_sizes_that_are_none_are_refused(void **state)
{
	static const char *const text[] = {"",
					   "M",
					   "abc",
					   "-512M",
					   "+512M",
					   " 512M",
					   "512 M",
					   "512MB",
					   "512MM",
					   "512K",
					   "0x200",
					   "1.5G",
					   "512M ",
					   "18446744073709551616",
					   "99999999999999999999999999999G"};

	for (unsigned i = 0; i < ARRAY_SIZE(text); i++)
		REFUSED("give a size such as 512M or 4G", "run", "k", "--mem", text[i]);
}

static void memory_sizes_out_of_range_are_refused(void **state)
{
	static const char *const text[] = {"0",
					   "0M",
					   "0G",
					   "1",
					   "15M",
					   "14",
					   "1025G",
					   "1048577M",
					   "1048578",
					   "18446744073709551615",
					   "17179869184G", /* 2^64 bytes */
					   "18014398509481984M" /* 2^64 * 1024 bytes */};

	for (unsigned i = 0; i < ARRAY_SIZE(text); i++)
		REFUSED("from 16M to 1024G", "run", "k", "--mem", text[i]);
}

static void odd_memory_sizes_are_refused(void **state)
{
	REFUSED("give a multiple of 2M", "run", "k", "--mem", "17M");
	REFUSED("give a multiple of 2M", "run", "k", "--mem", "4097");
}

static void cpus_are_1_to_32(void **state)
{
	static const char *const text[] = {"0",
					   "33",
					   "-1",
					   "abc",
					   "",
					   " 4",
					   "+4",
					   "4 ",
					   "4.0",
					   "0x4",
					   "4x",
					   "4294967297",
					   "9999999999999999999999"};

	assert_int_equal(PARSE("run", "k", "--cpus", "1"), 0);
	assert_int_equal(PARSE("run", "k", "--cpus", "32"), 0);
	assert_int_equal(o.machine.boot.cpus, 32);
	for (unsigned i = 0; i < ARRAY_SIZE(text); i++)
		REFUSED("give a number from 1 to 32", "run", "k", "--cpus", text[i]);
}

static void unknown_options_are_refused(void **state)
{
	REFUSED("unknown option --floppy", "run", "--floppy", "d", "k");
	REFUSED("unknown option --floppy;", "run", "--floppy=d", "k"); /* without its value */
	REFUSED("unknown option -m", "run", "-m", "512", "k");
	REFUSED("unknown option -;", "run", "-");
	REFUSED("unknown option --;", "run", "--", "k");
	REFUSED("unknown option --cpu;", "run", "k", "--cpu", "2"); /* no abbreviations */
	REFUSED("unknown option --cpuss;", "run", "k", "--cpuss", "2");
}

static void an_option_twice_is_refused(void **state)
{
	REFUSED("--cpus is given twice", "run", "k", "--cpus", "2", "--cpus", "2");
	REFUSED("--cpus is given twice", "run", "k", "--cpus=1", "--cpus", "2");
	REFUSED("--trace is given twice", "run", "k", "--trace", "--trace");
	REFUSED("--initrd is given twice", "run", "k", "--initrd", "a", "--initrd=b");
}

static void a_second_kernel_is_refused(void **state)
{
	REFUSED("a second kernel is given: b", "run", "a", "b");
	REFUSED("a second kernel is given: b", "run", "--kernel", "a", "b");
	REFUSED("--kernel is given twice", "run", "a", "--kernel", "b");
}

static void an_option_without_its_value_is_refused(void **state)
{
	REFUSED("--kernel needs a value", "run", "--kernel");
	REFUSED("--initrd needs a value", "run", "k", "--initrd");
	REFUSED("--cmdline needs a value", "run", "k", "--cmdline");
	REFUSED("--cpus needs a value", "run", "k", "--cpus");
	REFUSED("--mem needs a value", "run", "k", "--mem");
	REFUSED("--pages needs a value", "run", "k", "--pages");
	REFUSED("--entry needs a value", "run", "k", "--entry");
	REFUSED("--cpu-flags needs a value", "run", "k", "--cpu-flags");
	REFUSED("--timeline needs a value", "run", "k", "--timeline");
}

static void a_switch_with_a_value_is_refused(void **state)
{
	REFUSED("--trace takes no value", "run", "k", "--trace=1");
	REFUSED("--no-seed takes no value", "run", "k", "--no-seed=");
	REFUSED("--test-device takes no value", "run", "k", "--test-device=yes");
}

static void cpu_flags_are_checked_before_anything_starts(void **state)
{
	REFUSED("unknown CPU feature \"+warp\"", "run", "k", "--cpu-flags", "-x2apic,+warp");
	REFUSED("\"x2apic\" is not +feature or -feature", "run", "k", "--cpu-flags", "x2apic");
	REFUSED("\"\" is not +feature", "run", "k", "--cpu-flags", ",");
	assert_int_equal(PARSE("run", "k", "--cpu-flags", ""), 0);
}

static void a_command_is_needed(void **state)
{
	assert_fails(parse((const char *[]){"minnow", NULL}), EINVAL, "no command");
	assert_fails(parse((const char *[]){NULL}), EINVAL, "no command"); /* argc 0 */
	REFUSED("unknown command start", "start", "k");
	REFUSED("unknown command --cpus", "--cpus", "2");
	REFUSED("unknown command ;", "");
	REFUSED("no kernel is given", "run");
	REFUSED("no kernel is given", "run", "--cpus", "2");
}

static void help_and_version_stand_where_options_do(void **state)
{
	assert_int_equal(PARSE("--help"), 0);
	assert_int_equal(o.command, COMMAND_HELP);
	assert_int_equal(PARSE("-h"), 0);
	assert_int_equal(o.command, COMMAND_HELP);
	assert_int_equal(PARSE("run", "k", "--help"), 0);
	assert_int_equal(o.command, COMMAND_HELP);
	assert_int_equal(PARSE("--version"), 0);
	assert_int_equal(o.command, COMMAND_VERSION);
	assert_int_equal(PARSE("run", "-V"), 0);
	assert_int_equal(o.command, COMMAND_VERSION);
	assert_int_equal(PARSE("run", "k", "--cmdline", "--help"), 0);
	assert_int_equal(o.command, COMMAND_RUN);
	assert_string_equal(o.machine.boot.cmdline, "--help");
}

static void help_fits_a_screen_and_names_every_option(void **state)
{
	static const char *const names[] = {
		"--kernel", "--initrd",      "--cmdline",   "--cpus",    "--mem",
		"--pages",  "--entry",       "--cpu-flags", "--no-seed", "--timeline",
		"--trace",  "--test-device", "--help",      "--version", "Exit status"};
	unsigned lines = 0, width = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		assert_non_null(strstr(opts_help, names[i]));
	for (const char *p = opts_help; *p; p++) {
		width = *p == '\n' ? 0 : width + 1;
		lines += *p == '\n';
		assert_true(width <= 100);
	}
	assert_true(lines <= 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_alone_has_documented_defaults),
		cmocka_unit_test(every_option_reaches_its_field),
		cmocka_unit_test(devices_may_be_given_again_where_that_means_something),
		cmocka_unit_test(a_value_may_follow_an_equals_sign),
		cmocka_unit_test(options_may_follow_the_kernel),
		cmocka_unit_test(each_choice_is_known),
		cmocka_unit_test(memory_sizes_have_units),
		cmocka_unit_test(memory_sizes_that_are_none_are_refused),
		cmocka_unit_test(memory_sizes_out_of_range_are_refused),
		cmocka_unit_test(odd_memory_sizes_are_refused),
		cmocka_unit_test(cpus_are_1_to_32),
		cmocka_unit_test(unknown_options_are_refused),
		cmocka_unit_test(an_option_twice_is_refused),
		cmocka_unit_test(a_second_kernel_is_refused),
		cmocka_unit_test(an_option_without_its_value_is_refused),
		cmocka_unit_test(a_switch_with_a_value_is_refused),
		cmocka_unit_test(cpu_flags_are_checked_before_anything_starts),
		cmocka_unit_test(a_command_is_needed),
		cmocka_unit_test(help_and_version_stand_where_options_do),
		cmocka_unit_test(help_fits_a_screen_and_names_every_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
