/* config_test.c - the configuration: checks, what is kept, and the machine that comes out. */
#include <setjmp.h>
#include <stdarg.h>

#include "fake.h"

#include <cmocka.h>

static struct api_config *config;
static char why[CONFIG_WHY];

static int begin(void **state)
{
	fake_begin(false);
	config = &fake.api.config;
	return 0;
}

static int end(void **state)
{
	unsigned n;

	fake_end();
	n = open_files();
	if (n)
		fprintf(stderr, "%u files are still open\n", n);
	return n ? -1 : 0;
}

static int set(const struct config_resource *r, const char *text)
{
	const json_t *got[CONFIG_FIELDS];
	struct json_doc d;
	int err = json_parse(&d, text, strlen(text), JSON_NAMES_ONCE);

	*why = '\0';
	if (!err)
		err = json_fields(&d, d.root, &r->table, got);
	if (err)
		snprintf(why, sizeof(why), "%s", d.why);
	else
		err = r->set(config, got, why);
	json_free(&d);
	return err;
}

static void ok(const struct config_resource *r, const char *text)
{
	if (set(r, text))
		fail_msg("%s: %s", text, why);
}

static void refused(const struct config_resource *r, const char *text, const char *sentence)
{
	assert_int_not_equal(set(r, text), 0);
	assert_string_equal(why, sentence);
}

static const char *all(void)
{
	static char text[8192];
	struct json_out o = {0};

	config_put_all(config, &o);
	snprintf(text, sizeof(text), "%s", o.p);
	free(o.p);
	return text;
}

static const struct machine_conf *machine(void)
{
	if (config_machine(config, why))
		fail_msg("no machine: %s", why);
	return &config->machine;
}

#define EMPTY_BOOT "{\"kernel_image_path\":\"\",\"initrd_path\":null,\"boot_args\":null}"
#define DEFAULT_VM                                                                                 \
	"{\"vcpu_count\":1,\"mem_size_mib\":128,\"smt\":false,\"track_dirty_pages\":false,"        \
	"\"huge_pages\":\"None\"}"

static void nothing_is_rendered_as_null(void **state)
{
	assert_string_equal(all(),
			    "{\"balloon\":null,\"drives\":[],\"boot-source\":" EMPTY_BOOT
			    ",\"cpu-config\":null,\"logger\":null,\"machine-config\":" DEFAULT_VM
			    ",\"metrics\":null,\"mmds-config\":null,\"network-interfaces\":[],"
			    "\"vsock\":null,\"entropy\":null,\"pmem\":[],"
			    "\"memory-hotplug\":null}");
}

static void everything_is_rendered_as_firecracker_does(void **state)
{
	ok(&config_boot_source, "{\"kernel_image_path\":\"/k\",\"initrd_path\":\"/i\","
				"\"boot_args\":\"quiet \\\"x\\\"\"}");
	ok(&config_machine_put, "{\"vcpu_count\":2,\"mem_size_mib\":256,\"smt\":true,"
				"\"track_dirty_pages\":true,\"huge_pages\":\"2M\"}");
	ok(&config_drive_put,
	   "{\"drive_id\":\"rootfs\",\"is_root_device\":true,\"path_on_host\":\"/x\","
	   "\"is_read_only\":true,\"partuuid\":\"0eaa91a0-01\",\"cache_type\":\"Writeback\","
	   "\"io_engine\":\"Async\",\"rate_limiter\":{\"bandwidth\":{\"size\":"
	   "18446744073709551615,\"one_time_burst\":9223372036854775808,\"refill_time\":100}}}");
	ok(&config_net_put,
	   "{\"iface_id\":\"eth0\",\"host_dev_name\":\"tap0\",\"guest_mac\":\"AA:fc:00:00:00:01\","
	   "\"mtu\":1400,\"rx_rate_limiter\":{\"ops\":{\"size\":10,\"refill_time\":1000,"
	   "\"one_time_burst\":0}}}");
	ok(&config_vsock_put, "{\"vsock_id\":\"root\",\"guest_cid\":3,\"uds_path\":\"/v.sock\"}");
	ok(&config_balloon_put, "{\"amount_mib\":64,\"deflate_on_oom\":true,"
				"\"stats_polling_interval_s\":5,\"free_page_reporting\":true}");
	ok(&config_entropy_put, "{}");
	ok(&config_mmds_put, "{\"network_interfaces\":[\"eth0\"],\"version\":\"V2\","
			     "\"ipv4_address\":\"169.254.170.2\",\"imds_compat\":true}");
	assert_string_equal(
		all(),
		"{\"balloon\":{\"amount_mib\":64,\"deflate_on_oom\":true,"
		"\"stats_polling_interval_s\":5,\"free_page_hinting\":false,"
		"\"free_page_reporting\":true},"
		"\"drives\":[{\"drive_id\":\"rootfs\",\"partuuid\":\"0eaa91a0-01\","
		"\"is_root_device\":true,\"cache_type\":\"Writeback\",\"is_read_only\":true,"
		"\"path_on_host\":\"/x\",\"rate_limiter\":{\"bandwidth\":{\"size\":"
		"18446744073709551615,\"one_time_burst\":9223372036854775808,\"refill_time\":100},"
		"\"ops\":null},\"io_engine\":\"Async\",\"socket\":null}],"
		"\"boot-source\":{\"kernel_image_path\":\"/k\",\"initrd_path\":\"/i\","
		"\"boot_args\":\"quiet \\\"x\\\"\"},\"cpu-config\":null,\"logger\":null,"
		"\"machine-config\":{\"vcpu_count\":2,\"mem_size_mib\":256,\"smt\":true,"
		"\"track_dirty_pages\":true,\"huge_pages\":\"2M\"},\"metrics\":null,"
		"\"mmds-config\":{\"version\":\"V2\",\"network_interfaces\":[\"eth0\"],"
		"\"ipv4_address\":\"169.254.170.2\",\"imds_compat\":true},"
		"\"network-interfaces\":[{\"iface_id\":\"eth0\",\"host_dev_name\":\"tap0\","
		"\"guest_mac\":\"aa:fc:00:00:00:01\",\"mtu\":1400,\"rx_rate_limiter\":{"
		"\"bandwidth\":null,\"ops\":{\"size\":10,\"one_time_burst\":null,"
		"\"refill_time\":1000}},\"tx_rate_limiter\":null}],"
		"\"vsock\":{\"guest_cid\":3,\"uds_path\":\"/v.sock\"},"
		"\"entropy\":{\"rate_limiter\":null},\"pmem\":[],\"memory-hotplug\":null}");
}

/* --- machine --- */

#define BAD_VCPUS                                                                                  \
	"The number of vCPUs must be greater than 0, less than 32 and must be 1 or an even "       \
	"number if SMT is enabled."
#define BAD_MEM "The memory size (MiB) is either 0, or not a multiple of the configured page size."

// clang-format off
static const struct {
	const char *text, *why;
} bad_machines[] = {
	{"{\"vcpu_count\":0,\"mem_size_mib\":128}", BAD_VCPUS},
	{"{\"vcpu_count\":33,\"mem_size_mib\":128}", BAD_VCPUS},
	{"{\"vcpu_count\":3,\"mem_size_mib\":128,\"smt\":true}", BAD_VCPUS},
	{"{\"vcpu_count\":1,\"mem_size_mib\":0}", BAD_MEM},
	{"{\"vcpu_count\":1,\"mem_size_mib\":129,\"huge_pages\":\"2M\"}", BAD_MEM},
	{"{\"vcpu_count\":1,\"mem_size_mib\":129,\"huge_pages\":\"Transparent\"}", BAD_MEM},
	{"{\"vcpu_count\":256,\"mem_size_mib\":128}",
	 "invalid value: integer `256`, expected u8 at line 1 column 17"},
	{"{\"vcpu_count\":\"-2\",\"mem_size_mib\":128}",
	 "invalid type: string \"-2\", expected u8 at line 1 column 18"},
	{"{\"vcpu_count\":1,\"mem_size_mib\":18446744073709551616}",
	 "invalid type: floating point `1.8446744073709552e+19`, expected usize at line 1 "
	 "column 51"},
	{"{\"mem_size_mib\": 128}", "missing field `vcpu_count` at line 1 column 21"},
	{"{\"vcpu_count\": 2}", "missing field `mem_size_mib` at line 1 column 17"},
	{"{\"vcpu_count\":1,\"mem_size_mib\":128,\"huge_pages\":\"1G\"}",
	 "unknown variant `1G`, expected one of `None`, `Transparent`, `2M` at line 1 column 52"},
	{"{\"vcpu_count\":1,\"mem_size_mib\":128,\"cpu_template\":\"X\"}",
	 "unknown variant `X`, expected one of `C3`, `T2`, `T2S`, `None`, `T2CL`, `T2A` at line 1 "
	 "column 53"},
	{"{\"vcpu_count\":1,\"mem_size_mib\":128,\"cpu_template\":\"T2\"}",
	 "minnow has no static CPU template T2: give its contents to PUT /cpu-config as a custom "
	 "one"},
	{"{\"vcpu_count\":1,\"mem_size_mib\":128,\"ht_enabled\":false}",
	 "unknown field `ht_enabled`, expected one of `vcpu_count`, `mem_size_mib`, `smt`, "
	 "`cpu_template`, `track_dirty_pages`, `huge_pages` at line 1 column 47"},
};
// clang-format on

static void a_bad_machine_changes_nothing(void **state)
{
	char before[8192];

	ok(&config_machine_put, "{\"vcpu_count\":4,\"mem_size_mib\":512,\"smt\":true}");
	snprintf(before, sizeof(before), "%s", all());
	for (unsigned i = 0; i < ARRAY_SIZE(bad_machines); i++) {
		refused(&config_machine_put, bad_machines[i].text, bad_machines[i].why);
		assert_string_equal(all(), before);
	}
}

static void a_put_resets_what_it_leaves_out_and_a_patch_keeps_it(void **state)
{
	ok(&config_machine_put, "{\"vcpu_count\":4,\"mem_size_mib\":512,\"smt\":true,"
				"\"huge_pages\":\"Transparent\",\"cpu_template\":null}");
	ok(&config_machine_patch, "{\"mem_size_mib\":1024,\"cpu_template\":\"None\"}");
	assert_int_equal(config->vm.vcpus, 4);
	assert_int_equal(config->vm.mem_mib, 1024);
	assert_true(config->vm.smt);
	assert_int_equal(config->vm.pages, CONFIG_PAGES_THP);
	refused(&config_machine_patch, "{\"vcpu_count\":5}", BAD_VCPUS);
	ok(&config_machine_put, "{\"vcpu_count\":3,\"mem_size_mib\":129}");
	assert_false(config->vm.smt);
	assert_int_equal(config->vm.pages, CONFIG_PAGES_NONE);
}

static void the_machine_is_no_smaller_than_its_balloon(void **state)
{
	refused(&config_balloon_put, "{\"amount_mib\":129,\"deflate_on_oom\":false}",
		"Amount of pages requested is too large.");
	ok(&config_balloon_put, "{\"amount_mib\":128,\"deflate_on_oom\":false}");
	refused(&config_machine_patch, "{\"mem_size_mib\":127}",
		"The memory size (MiB) is smaller than the previously set balloon device target "
		"size.");
	ok(&config_machine_patch, "{\"mem_size_mib\":4294967295}");
	refused(&config_balloon_put, "{\"amount_mib\":16777216,\"deflate_on_oom\":false}",
		"Error creating the balloon device: Requested memory should be less than "
		"16777215MiB");
	refused(&config_balloon_put,
		"{\"amount_mib\":1,\"deflate_on_oom\":false,\"free_page_hinting\":true}",
		"minnow's balloon has no free_page_hinting: use free_page_reporting, which needs "
		"no "
		"calls");
	assert_int_equal(config->balloon.amount_mib, 128);
}

static void memory_is_bytes_in_steps_of_2_mib(void **state)
{
	ok(&config_boot_source, "{\"kernel_image_path\":\"k\"}");
	ok(&config_machine_put, "{\"vcpu_count\":1,\"mem_size_mib\":129}");
	assert_int_equal(machine()->mem, 130 * MIB);
	ok(&config_machine_put, "{\"vcpu_count\":1,\"mem_size_mib\":1048576}");
	assert_int_equal(machine()->mem, RAM_MAX);
	ok(&config_machine_put, "{\"vcpu_count\":1,\"mem_size_mib\":18446744073709551615}");
	assert_int_not_equal(config_machine(config, why), 0);
	assert_string_equal(why, "Invalid Memory Configuration: Cannot create mmap region: Out of "
				 "memory (os error 12): a machine has at most 1048576 MiB");
}

/* --- boot source --- */

static void boot_files_are_opened_at_once_and_replaced_as_a_whole(void **state)
{
	char args[2100];

	refused(&config_boot_source, "{\"kernel_image_path\":\"missing\"}",
		"The kernel file cannot be opened: No such file or directory (os error 2)");
	refused(&config_boot_source, "{\"kernel_image_path\":\"dir\"}",
		"The kernel file cannot be opened: dir is a directory");
	ok(&config_boot_source, "{\"kernel_image_path\":\"k\",\"initrd_path\":\"i\"}");
	refused(&config_boot_source, "{\"kernel_image_path\":\"k2\",\"initrd_path\":\"denied\"}",
		"The initrd file cannot be opened due to invalid path or invalid permissions. "
		"Permission denied (os error 13)");
	snprintf(args, sizeof(args), "{\"kernel_image_path\":\"k2\",\"boot_args\":\"%02048d\"}", 0);
	refused(&config_boot_source, args,
		"The kernel command line is invalid: Invalid cmdline capacity provided.");
	assert_int_equal(open_files(), 2);
	assert_true(is_open("kernel:k") && is_open("initrd:i"));
	assert_string_equal(machine()->boot.kernel, "k");
	assert_string_equal(fake.open[machine()->boot.kernel_fd - FAKE_FD], "kernel:k");
	assert_string_equal(fake.open[machine()->boot.initrd_fd - FAKE_FD], "initrd:i");
	ok(&config_boot_source, "{\"kernel_image_path\":\"k2\",\"initrd_path\":null}");
	assert_int_equal(open_files(), 1);
	assert_null(machine()->boot.initrd);
	assert_int_equal(machine()->boot.initrd_fd, 0);
}

#define DEFAULT_ARGS                                                                               \
	"reboot=k panic=1 nomodule 8250.nr_uarts=0 i8042.noaux i8042.nomux i8042.dumbkbd "         \
	"swiotlb=noforce"
#define DRIVE(id, root, rest)                                                                      \
	"{\"drive_id\":\"" id "\",\"path_on_host\":\"/" id "\",\"is_root_device\":" root rest "}"

// clang-format off
static const struct {
	const char *args;  /* as in JSON; NULL: none are given */
	const char *drive; /* NULL: none */
	bool pci;
	const char *cmdline;
} cmdlines[] = {
	{NULL, NULL, false, DEFAULT_ARGS " pci=off"},
	{NULL, NULL, true, DEFAULT_ARGS},
	{"\"\"", NULL, false, "pci=off"},
	{"\"\"", NULL, true, ""},
	{"\"  a b \\n\"", NULL, false, "a b pci=off"},
	{"\"a\"", DRIVE("d", "true", ""),									      false, "a pci=off root=/dev/vda rw"},
	{"\"a\"", DRIVE("d", "true", ",\"is_read_only\":true"),												 true, "a root=/dev/vda ro"},
	{"\"a\"", DRIVE("d", "true",",\"partuuid\":\"0e-01\""),true, "a root=PARTUUID=0e-01 rw"},
	{"\"a\"", DRIVE("d", "false", ",\"partuuid\":\"0e-01\""),															   true, "a"},
	{"\"pci=off\"", NULL, true, "pci=off"},
	{"\"a -- b  c \"", DRIVE("d", "true", ""),false, "a pci=off root=/dev/vda rw -- b  c"},
	{"\"a -- b -- c\"", NULL,true,"a -- b -- c"},
	{"\"x=\\\"1 -- 2\\\" -- b\"", NULL,false,"x=\"1 -- 2\" pci=off -- b"},
	{"\" -- b\"", NULL, false, "pci=off -- b"},
};
// clang-format on

static void the_command_line_gets_root_and_pci(void **state)
{
	char text[512];

	for (unsigned i = 0; i < ARRAY_SIZE(cmdlines); i++) {
		end(NULL);
		fake_begin(cmdlines[i].pci);
		snprintf(text, sizeof(text), "{\"kernel_image_path\":\"k\",\"boot_args\":%s}",
			 cmdlines[i].args ? cmdlines[i].args : "null");
		ok(&config_boot_source, text);
		if (cmdlines[i].drive)
			ok(&config_drive_put, cmdlines[i].drive);
		assert_string_equal(machine()->boot.cmdline, cmdlines[i].cmdline);
		assert_int_equal(machine()->devices.transport,
				 cmdlines[i].pci ? TRANSPORT_PCI : TRANSPORT_MMIO);
	}
}

static void a_command_line_beyond_its_bound_does_not_start(void **state)
{
	char text[2200];

	snprintf(text, sizeof(text), "{\"kernel_image_path\":\"k\",\"boot_args\":\"%02039d\"}", 0);
	ok(&config_boot_source, text);
	assert_int_equal(strlen(machine()->boot.cmdline), 2047);
	snprintf(text, sizeof(text), "{\"kernel_image_path\":\"k\",\"boot_args\":\"%02040d\"}", 0);
	ok(&config_boot_source, text);
	assert_int_not_equal(config_machine(config, why), 0);
	assert_string_equal(why, "Invalid kernel command line: Inserting string would make command "
				 "line too long.");
	ok(&config_boot_source, "{\"kernel_image_path\":\"k\"}");
	ok(&config_drive_put, DRIVE("d", "true", ",\"partuuid\":\"\\n\""));
	assert_int_not_equal(config_machine(config, why), 0);
	assert_string_equal(why,
			    "Invalid kernel command line: String contains a non-printable ASCII "
			    "character.");
}

static void without_a_kernel_there_is_no_machine(void **state)
{
	assert_int_not_equal(config_machine(config, why), 0);
	assert_string_equal(why, "Cannot start microvm without kernel configuration.");
}

/* --- drives --- */

static const char *order(void)
{
	static char text[256];

	*text = '\0';
	for (unsigned i = 0; i < config->drives; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s ",
			 config->drive[i].id, config->drive[i].root ? "*" : "");
	return text;
}

static void the_root_drive_comes_first(void **state)
{
	ok(&config_drive_put, DRIVE("a", "false", ""));
	ok(&config_drive_put, DRIVE("b", "false", ""));
	ok(&config_drive_put, DRIVE("r", "true", ""));
	assert_string_equal(order(), "r* a b ");
	refused(&config_drive_put, DRIVE("s", "true", ""), "A root block device already exists!");
	refused(&config_drive_put, DRIVE("b", "true", ""), "A root block device already exists!");
	ok(&config_drive_put, DRIVE("r", "true", ",\"is_read_only\":true"));
	assert_string_equal(order(), "r* a b ");
	ok(&config_drive_put, DRIVE("r", "false", ""));
	ok(&config_drive_put, DRIVE("b", "true", ""));
	assert_string_equal(order(), "b* a r ");
	assert_int_equal(open_files(), 3);
}

static void a_drive_is_replaced_by_its_id(void **state)
{
	ok(&config_drive_put, DRIVE("a", "false", ""));
	ok(&config_drive_put,
	   "{\"drive_id\":\"a\",\"path_on_host\":\"/b\",\"is_root_device\":false,"
	   "\"is_read_only\":true}");
	assert_int_equal(config->drives, 1);
	assert_int_equal(open_files(), 1);
	assert_true(is_open("ro:/b"));
}

// clang-format off
static const struct {
	const char *text, *why;
} bad_drives[] = {
	{"{\"drive_id\":\"a\",\"is_root_device\":false,\"path_on_host\":\"missing.img\"}",
	 "Unable to create the virtio block device: Virtio backend error: Error manipulating the "
	 "backing file: No such file or directory (os error 2) missing.img"},
	{"{\"drive_id\":\"a\",\"is_root_device\":false,\"path_on_host\":\"dir\"}",
	 "Unable to create the virtio block device: Virtio backend error: Error manipulating the "
	 "backing file: dir is a directory"},
	{"{\"drive_id\":\"a\",\"is_root_device\":false}",
	 "Unable to create the virtio block device: Invalid block config."},
	{"{\"drive_id\":\"a\",\"is_root_device\":false,\"path_on_host\":\"b\",\"socket\":\"s\"}",
	 "Unable to create the virtio block device: Invalid block config."},
	{"{\"drive_id\":\"a\",\"is_root_device\":false,\"socket\":\"s\"}",
	 "minnow has no vhost-user-blk devices: give path_on_host in place of socket"},
	{"{\"drive_id\":\"a\",\"path_on_host\":\"b\"}",
	 "missing field `is_root_device` at line 1 column 35"},
	{"{\"drive_id\":\"a\",\"is_root_device\":false,\"cache_type\":\"None\"}",
	 "unknown variant `None`, expected `Unsafe` or `Writeback` at line 1 column 58"},
	{"{\"drive_id\":\"a\",\"is_root_device\":false,\"rate_limiter\":{\"bw\":1}}",
	 "unknown field `bw`, expected `bandwidth` or `ops` at line 1 column 62"},
	{"{\"drive_id\":\"a\",\"is_root_device\":false,\"rate_limiter\":{\"ops\":{\"size\":1}}}",
	 "missing field `refill_time` at line 1 column 72"},
	{"{\"drive_id\":\"a b\",\"is_root_device\":false,\"path_on_host\":\"b\"}",
	 "minnow takes no ID with blanks, quotes, backslashes or bytes beyond ASCII"},
};
// clang-format on

static void a_bad_drive_changes_nothing(void **state)
{
	char before[8192];

	ok(&config_drive_put, DRIVE("a", "false", ""));
	snprintf(before, sizeof(before), "%s", all());
	for (unsigned i = 0; i < ARRAY_SIZE(bad_drives); i++) {
		refused(&config_drive_put, bad_drives[i].text, bad_drives[i].why);
		assert_string_equal(all(), before);
		assert_int_equal(open_files(), 1);
	}
}

static void there_are_16_drives_and_8_networks(void **state)
{
	char text[128];

	for (unsigned i = 0; i <= DISKS_MAX; i++) {
		snprintf(text, sizeof(text),
			 "{\"drive_id\":\"d%u\",\"path_on_host\":\"d\",\"is_root_device\":false}",
			 i);
		if (i < DISKS_MAX)
			ok(&config_drive_put, text);
		else
			refused(&config_drive_put, text,
				"minnow's machines have at most 16 drives");
	}
	for (unsigned i = 0; i <= NETS_MAX; i++) {
		snprintf(text, sizeof(text), "{\"iface_id\":\"n%u\",\"host_dev_name\":\"t%u\"}", i,
			 i);
		if (i < NETS_MAX)
			ok(&config_net_put, text);
		else
			refused(&config_net_put, text,
				"minnow's machines have at most 8 network interfaces");
	}
	ok(&config_drive_put, DRIVE("d15", "false", "")); /* one that is there is replaced */
	ok(&config_net_put, "{\"iface_id\":\"n0\",\"host_dev_name\":\"t9\"}");
}

static void a_drive_is_what_the_machine_gets(void **state)
{
	const struct blk_conf *d;

	ok(&config_boot_source, "{\"kernel_image_path\":\"k\"}");
	ok(&config_machine_put, "{\"vcpu_count\":4,\"mem_size_mib\":128}");
	ok(&config_drive_put,
	   DRIVE("a", "false",
		 ",\"is_read_only\":true,\"cache_type\":\"Writeback\",\"rate_limiter\":{"
		 "\"bandwidth\":{\"size\":1,\"refill_time\":2,\"one_time_burst\":3},"
		 "\"ops\":{\"size\":4,\"refill_time\":5,\"comment\":\"open\"}}"));
	ok(&config_drive_put, DRIVE("b", "true", ",\"rate_limiter\":{}"));
	assert_int_equal(machine()->devices.disks, 2);
	d = machine()->devices.disk;
	assert_string_equal(d[0].path, "/b");
	assert_int_equal(d[0].cache, BLK_CACHE_UNSAFE);
	assert_int_equal(d[0].bytes.size + d[0].ops.size, 0);
	assert_string_equal(d[0].id, "");
	assert_true(d[1].readonly);
	assert_int_equal(d[1].cache, BLK_CACHE_WRITEBACK);
	assert_string_equal(fake.open[d[1].fd - FAKE_FD], "ro:/a");
	assert_int_equal(d[1].queues, 4);
	assert_int_equal(d[1].bytes.size, 1);
	assert_int_equal(d[1].bytes.refill_ms, 2);
	assert_int_equal(d[1].bytes.burst, 3);
	assert_int_equal(d[1].ops.size, 4);
	assert_int_equal(d[1].ops.refill_ms, 5);
	assert_int_equal(d[1].ops.burst, 0);
}

/* No size or no time is no limit; nor is a time that has no nanoseconds. */
static void a_bucket_without_size_or_time_is_none(void **state)
{
	static const char *const buckets[] = {
		"{\"size\":0,\"refill_time\":5}",
		"{\"size\":5,\"refill_time\":0}",
		"{\"size\":5,\"refill_time\":18446744073710}",
		"null",
	};
	char text[256];

	for (unsigned i = 0; i < ARRAY_SIZE(buckets); i++) {
		snprintf(text, sizeof(text),
			 "{\"drive_id\":\"a\",\"path_on_host\":\"b\",\"is_root_device\":false,"
			 "\"rate_limiter\":{\"ops\":%s}}",
			 buckets[i]);
		ok(&config_drive_put, text);
		assert_non_null(strstr(all(), "\"rate_limiter\":null"));
	}
}

/* --- networks --- */

#define NET(id, tap, rest) "{\"iface_id\":\"" id "\",\"host_dev_name\":\"" tap "\"" rest "}"
#define NO_TAP(error, tap)                                                                         \
	"Could not create the network device: Open tap device failed: Error while creating ifreq " \
	"structure: " error ". Invalid TUN/TAP Backend provided by " tap                           \
	". Check our documentation on setting up the network devices."

// clang-format off
static const struct {
	const char *text, *why;
} bad_nets[] = {
	{NET("n2", "t1", ""), NO_TAP("Resource busy (os error 16)", "t1")},
	{NET("n1", "t2", ""), NO_TAP("Resource busy (os error 16)", "t2")},
	{NET("n1", "missing", ""), NO_TAP("No such file or directory (os error 2)", "missing")},
	{NET("n3", "sixteen-letters-", ""), /* and its end is the 17th */
	 "Could not create the network device: Open tap device failed: Invalid interface name"},
	{NET("n3", "t3", ",\"guest_mac\":\"06:00:00:00:00:01\""),
	 "The MAC address is already in use: 06:00:00:00:00:01"},
	{NET("n3", "t3", ",\"mtu\":67"),
	 "Could not create the network device: MTU 67 is out of range [68, 65535]"},
	{NET("n3", "t3", ",\"mtu\":0"),
	 "Could not create the network device: MTU 0 is out of range [68, 65535]"},
	{NET("n3", "t3", ",\"mtu\":65536"),
	 "invalid value: integer `65536`, expected u16 at line 1 column 49"},
	{NET("n3", "t3", ",\"guest_mac\":\"06:00:00:00:00\""),
	 "The provided MAC address is invalid. at line 1 column 66"},
	{NET("n3", "t3", ",\"guest_mac\":\"06:00:00:00:00:0g\""),
	 "The provided MAC address is invalid. at line 1 column 69"},
	{NET("n3", "t3", ",\"guest_mac\":\"06:00:00:00:00:01:\""),
	 "The provided MAC address is invalid. at line 1 column 70"},
	{NET("n3", "t3", ",\"guest_mac\":\"\""),
	 "The provided MAC address is invalid. at line 1 column 52"},
	{NET("n3", "t3", ",\"allow_mmds_requests\":true"),
	 "unknown field `allow_mmds_requests`, expected one of `iface_id`, `host_dev_name`, "
	 "`guest_mac`, `mtu`, `rx_rate_limiter`, `tx_rate_limiter` at line 1 column 59"},
	{NET("n\\\"", "t3", ""), "minnow takes no ID with blanks, quotes, backslashes or bytes beyond ASCII"},
	{NET("n\\u00e9", "t3", ""), "minnow takes no ID with blanks, quotes, backslashes or bytes beyond ASCII"},
};
// clang-format on

static void a_bad_network_changes_nothing(void **state)
{
	char before[8192];

	ok(&config_net_put, NET("n1", "t1", ",\"guest_mac\":\"06:00:00:00:00:01\""));
	ok(&config_net_put, NET("n2", "t2", ",\"guest_mac\":\"06:00:00:00:00:02\""));
	snprintf(before, sizeof(before), "%s", all());
	for (unsigned i = 0; i < ARRAY_SIZE(bad_nets); i++) {
		refused(&config_net_put, bad_nets[i].text, bad_nets[i].why);
		assert_string_equal(all(), before);
		assert_int_equal(open_files(), 2);
	}
}

/* Only the guest minds what is no address of one interface, and that as the client wanted it. */
static void an_address_of_any_kind_is_taken(void **state)
{
	ok(&config_net_put, NET("n1", "fifteen-letters", ",\"guest_mac\":\"01:00:5E:00:00:01\""));
	ok(&config_net_put, NET("n2", "t2", ",\"guest_mac\":\"00:00:00:00:00:00\""));
	assert_non_null(strstr(all(), "\"guest_mac\":\"01:00:5e:00:00:01\""));
	assert_non_null(strstr(all(), "\"guest_mac\":\"00:00:00:00:00:00\""));
}

static const char *net_order(void)
{
	static char text[256];

	*text = '\0';
	for (unsigned i = 0; i < config->nets; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s ",
			 config->net[i].id, config->net[i].mmds ? "*" : "");
	return text;
}

/* A tap can be open once, so that the same one is not opened again. */
static void a_network_is_replaced_with_or_without_its_tap(void **state)
{
	ok(&config_net_put, NET("n1", "t1", ""));
	ok(&config_net_put, NET("n2", "t2", ""));
	ok(&config_net_put, NET("n3", "t3", ""));
	ok(&config_mmds_put, "{\"network_interfaces\":[\"n1\",\"n2\"]}");
	assert_string_equal(net_order(), "n1* n2* n3 ");
	ok(&config_net_put, NET("n1", "t1", ",\"mtu\":1500"));
	assert_string_equal(net_order(), "n3 n2* n1 ");
	assert_int_equal(fake.opened, 3);
	ok(&config_net_put, NET("n1", "t4", ""));
	assert_int_equal(fake.opened, 4);
	assert_int_equal(open_files(), 3);
	assert_true(is_open("tap:t4") && !is_open("tap:t1"));
	ok(&config_net_put, NET("n2", "t2", ""));
	assert_false(config_has_mmds(config));
}

static void a_network_is_what_the_machine_gets(void **state)
{
	static const uint8_t mac[6] = {0xaa, 0xfc, 0, 0, 0, 1};
	const struct net_conf *n;

	ok(&config_boot_source, "{\"kernel_image_path\":\"k\"}");
	ok(&config_net_put,
	   NET("n1", "t1",
	       ",\"guest_mac\":\"AA:FC:00:00:00:01\",\"mtu\":9000,"
	       "\"rx_rate_limiter\":{\"bandwidth\":{\"size\":1,\"refill_time\":2}},"
	       "\"tx_rate_limiter\":{\"ops\":{\"size\":3,\"refill_time\":4}}"));
	ok(&config_net_put, NET("n2", "t2", ",\"guest_mac\":null,\"rx_rate_limiter\":{}"));
	n = machine()->devices.net;
	assert_int_equal(machine()->devices.nets, 2);
	assert_string_equal(n[0].tap, "t1");
	assert_string_equal(fake.open[n[0].fd - FAKE_FD], "tap:t1");
	assert_true(n[0].has_mac && n[0].offload && !n[0].vhost);
	assert_memory_equal(n[0].mac, mac, 6);
	assert_int_equal(n[0].mtu, 9000);
	assert_int_equal(n[0].pairs, 1);
	assert_int_equal(n[0].rx_bytes.size, 1);
	assert_int_equal(n[0].tx_ops.refill_ms, 4);
	assert_int_equal(n[0].rx_ops.size + n[0].tx_bytes.size, 0);
	assert_false(n[1].has_mac);
	assert_int_equal(n[1].mtu, 0);
}

/* --- vsock and others --- */

static void any_cid_is_taken_and_the_socket_is_bound_at_once(void **state)
{
	ok(&config_vsock_put, "{\"guest_cid\":0,\"uds_path\":\"v1\"}");
	assert_true(is_open("vsock:v1"));
	ok(&config_vsock_put, "{\"guest_cid\":4294967295,\"uds_path\":\"v1\",\"vsock_id\":null}");
	assert_int_equal(fake.opened, 1); /* bound already */
	assert_int_equal(config->vsock.cid, UINT32_MAX);
	refused(&config_vsock_put, "{\"guest_cid\":5,\"uds_path\":\"denied\"}",
		"Cannot create backend for vsock device: Error binding to the host-side Unix "
		"socket: Permission denied (os error 13)");
	refused(&config_vsock_put, "{\"guest_cid\":4294967296,\"uds_path\":\"v1\"}",
		"invalid value: integer `4294967296`, expected u32 at line 1 column 23");
	assert_string_equal(fake.told, "");
	ok(&config_vsock_put, "{\"guest_cid\":6,\"uds_path\":\"v2\"}");
	assert_string_equal(fake.told, "remove v1\n");
	assert_int_equal(open_files(), 1);
}

static void the_other_devices_are_what_the_machine_gets(void **state)
{
	const struct devices_conf *d;

	ok(&config_boot_source, "{\"kernel_image_path\":\"k\"}");
	assert_int_equal(devconf_count(&machine()->devices), 0);
	ok(&config_vsock_put, "{\"guest_cid\":3,\"uds_path\":\"v\"}");
	ok(&config_entropy_put,
	   "{\"rate_limiter\":{\"bandwidth\":{\"size\":7,\"refill_time\":8}}}");
	ok(&config_balloon_put, "{\"amount_mib\":64,\"deflate_on_oom\":true,"
				"\"stats_polling_interval_s\":65535,\"free_page_reporting\":true}");
	d = &machine()->devices;
	assert_int_equal(devconf_count(d), 3);
	assert_string_equal(d->vsock_conf.path, "v");
	assert_int_equal(d->vsock_conf.cid, 3);
	assert_string_equal(fake.open[d->vsock_conf.fd - FAKE_FD], "vsock:v");
	assert_int_equal(d->rng_conf.bytes.size, 7);
	assert_int_equal(d->balloon_conf.target_mib, 64);
	assert_int_equal(d->balloon_conf.stats_interval_s, 65535);
	assert_true(d->balloon_conf.deflate_on_oom && d->balloon_conf.reporting);
	assert_non_null(strstr(all(), "\"entropy\":{\"rate_limiter\":{\"bandwidth\":{\"size\":7,"));
}

static void the_serial_console_has_a_path_and_a_bucket(void **state)
{
	ok(&config_serial_put, "{\"serial_out_path\":\"/s\",\"rate_limiter\":{\"size\":1,"
			       "\"refill_time\":2}}");
	assert_string_equal(config->serial, "/s");
	assert_int_equal(config->serial_limit.refill_ms, 2);
	refused(&config_serial_put, "{\"rate_limiter\":{\"bandwidth\":{}}}",
		"missing field `size` at line 1 column 32");
	ok(&config_serial_put, "{}");
	assert_null(config->serial);
	assert_int_equal(config->serial_limit.size, 0);
}

static const struct {
	const char *text, *why;
} bad_mmds[] = {
	{"{\"network_interfaces\":[]}",
	 "The list of network interface IDs that allow forwarding MMDS requests is empty."                                              },
	{"{\"network_interfaces\":[\"1\",\"foo\"]}",
	 "The list of network interface IDs provided contains at least one ID that does not "
	 "correspond to any existing network interface."										},
	{"{\"network_interfaces\":[\"1\"],\"version\":\"foo\"}",
	 "unknown variant `foo`, expected `V1` or `V2` at line 1 column 43"                                                             },
	{"{\"network_interfaces\":[\"1\"],\"ipv4_address\":\"1.2.3\"}",
	 "invalid IPv4 address syntax at line 1 column 50"									      },
	{"{\"network_interfaces\":[\"1\"],\"ipv4_address\":\"169.254.0.1\"}",
	 "The MMDS IPv4 address is not link local."										     },
	{"{\"network_interfaces\":[\"1\"],\"ipv4_address\":\"169.254.255.1\"}",
	 "The MMDS IPv4 address is not link local."										     },
	{"{\"network_interfaces\":[\"1\"],\"ipv4_address\":\"10.0.0.1\"}",
	 "The MMDS IPv4 address is not link local."										     },
	{"{\"version\":\"V2\"}",						"missing field `network_interfaces` at line 1 column 16"},
};

static void a_bad_mmds_configuration_changes_nothing(void **state)
{
	char before[8192];

	ok(&config_net_put, NET("1", "t1", ""));
	ok(&config_mmds_put, "{\"network_interfaces\":[\"1\"]}");
	snprintf(before, sizeof(before), "%s", all());
	assert_non_null(strstr(before, "{\"version\":\"V1\",\"network_interfaces\":[\"1\"],"
				       "\"ipv4_address\":\"169.254.169.254\","
				       "\"imds_compat\":false}"));
	for (unsigned i = 0; i < ARRAY_SIZE(bad_mmds); i++) {
		refused(&config_mmds_put, bad_mmds[i].text, bad_mmds[i].why);
		assert_string_equal(all(), before);
	}
}

static void the_rest_of_the_machine_is_as_configured(void **state)
{
	static const struct {
		const char *name;
		enum ram_pages pages;
	} row[] = {
		{"None",        RAM_PAGES_DEFAULT},
		{"Transparent", RAM_PAGES_THP    },
		{"2M",          RAM_PAGES_2M     },
	};
	char text[128];

	ok(&config_boot_source, "{\"kernel_image_path\":\"k\"}");
	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		snprintf(text, sizeof(text),
			 "{\"vcpu_count\":32,\"mem_size_mib\":256,\"huge_pages\":\"%s\"}",
			 row[i].name);
		ok(&config_machine_put, text);
		assert_int_equal(machine()->pages, row[i].pages);
	}
	assert_int_equal(machine()->boot.cpus, 32);
	assert_int_equal(machine()->boot.entry, BOOT_AUTO);
	assert_true(machine()->boot.rng_seed);
	assert_false(machine()->test_device || machine()->trace);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(nothing_is_rendered_as_null),
		T(everything_is_rendered_as_firecracker_does),
		T(a_bad_machine_changes_nothing),
		T(a_put_resets_what_it_leaves_out_and_a_patch_keeps_it),
		T(the_machine_is_no_smaller_than_its_balloon),
		T(memory_is_bytes_in_steps_of_2_mib),
		T(boot_files_are_opened_at_once_and_replaced_as_a_whole),
		T(the_command_line_gets_root_and_pci),
		T(a_command_line_beyond_its_bound_does_not_start),
		T(without_a_kernel_there_is_no_machine),
		T(the_root_drive_comes_first),
		T(a_drive_is_replaced_by_its_id),
		T(a_bad_drive_changes_nothing),
		T(there_are_16_drives_and_8_networks),
		T(a_drive_is_what_the_machine_gets),
		T(a_bucket_without_size_or_time_is_none),
		T(a_bad_network_changes_nothing),
		T(an_address_of_any_kind_is_taken),
		T(a_network_is_replaced_with_or_without_its_tap),
		T(a_network_is_what_the_machine_gets),
		T(any_cid_is_taken_and_the_socket_is_bound_at_once),
		T(the_other_devices_are_what_the_machine_gets),
		T(the_serial_console_has_a_path_and_a_bucket),
		T(a_bad_mmds_configuration_changes_nothing),
		T(the_rest_of_the_machine_is_as_configured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
