/* config_file_test.c - a machine from one file: its keys, their order, and what is wrong in it. */
#include <setjmp.h>
#include <stdarg.h>

#include "fake.h"

#include "../../../src/api/config_file.h"

#include <cmocka.h>

#define FAILED "Configuration for VMM from one single json failed: "
#define BOOT   "\"boot-source\":{\"kernel_image_path\":\"k\"}"

static char why[CONFIG_WHY];

static int begin(void **state)
{
	fake_begin(false);
	return 0;
}

static int end(void **state)
{
	fake_end();
	return open_files() ? -1 : 0;
}

static void ok(const char *text)
{
	fake.file = text;
	if (config_file_start(&fake.api, "vm.json", NULL, why))
		fail_msg("%s: %s", text, why);
	assert_int_equal(fake.api.state, MACHINE_RUNNING);
}

static void refused(const char *text, const char *sentence)
{
	fake.file = text;
	assert_int_not_equal(config_file_start(&fake.api, "vm.json", NULL, why), 0);
	assert_string_equal(why, sentence);
	assert_int_equal(fake.api.state, MACHINE_NOT_STARTED);
}

static void a_kernel_and_no_drives_are_enough(void **state)
{
	ok("{" BOOT ",\"drives\":[]}");
	assert_string_equal(fake.told, "start\n");
	assert_int_equal(fake.machine->mem, 128 * MIB);
	assert_int_equal(devconf_count(&fake.machine->devices), 0);
}

static void all_keys_are_taken_in_firecrackers_order(void **state)
{
	fake.second_path = "data";
	fake.second_file = "{\"a\":[1]}";
	fake.file =
		"{\"entropy\":{},\"mmds-config\":{\"network_interfaces\":[\"n\"]},"
		"\"balloon\":{\"amount_mib\":200,\"deflate_on_oom\":false},"
		"\"vsock\":{\"guest_cid\":3,\"uds_path\":\"v\"},\"unknown\":{\"x\":1},"
		"\"network-interfaces\":[{\"iface_id\":\"n\",\"host_dev_name\":\"t\"}],"
		"\"drives\":[{\"drive_id\":\"a\",\"is_root_device\":false,\"path_on_host\":\"a\"},"
		"{\"drive_id\":\"b\",\"is_root_device\":true,\"path_on_host\":\"b\"}]," BOOT
		",\"cpu-config\":{},\"machine-config\":{\"vcpu_count\":2,\"mem_size_mib\":256},"
		"\"metrics\":{\"metrics_path\":\"m\"},\"logger\":{\"level\":\"Error\"},"
		"\"pmem\":[],\"memory-hotplug\":null,\"serial\":{\"nothing\":1}}";
	assert_int_equal(config_file_start(&fake.api, "vm.json", "data", why), 0);
	assert_string_equal(fake.told, "logger - 1 -1 -1 -\nmetrics m 0 -\nmmds V1 a9fea9fe 0\n"
				       "start\n");
	assert_int_equal(json_array_size(json_object_get(fake.mmds, "a")), 1);
	assert_int_equal(devconf_count(&fake.machine->devices), 6);
	assert_string_equal(fake.machine->devices.disk[0].path, "b");
	assert_int_equal(fake.machine->devices.balloon_conf.target_mib, 200);
	assert_non_null(fake.machine->cpu_model);
}

/* What kata's Go runtime writes: a root that its kernel arguments name, eight empty drives. */
static void katas_file_starts(void **state)
{
	char text[4096];
	size_t len = (size_t)snprintf(
		text, sizeof(text),
		"{\"boot-source\":{\"kernel_image_path\":\"/vmlinux\",\"boot_args\":\"reboot=k "
		"panic=1 iommu=off net.ifnames=0 random.trust_cpu=on acpi=off pci=off "
		"root=/dev/vda1\"},\"machine-config\":{\"mem_size_mib\":2048,\"smt\":false,"
		"\"vcpu_count\":1},\"vsock\":{\"guest_cid\":3,\"uds_path\":\"/kata.hvsock\","
		"\"vsock_id\":\"root\"},\"logger\":{\"level\":\"Error\",\"log_path\":\"/log\"},"
		"\"metrics\":{\"metrics_path\":\"/metrics\"},\"drives\":[{\"drive_id\":\"rootfs\","
		"\"is_read_only\":true,\"is_root_device\":false,\"path_on_host\":\"/rootfs\"}");

	for (unsigned i = 0; i < 8; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					",{\"cache_type\":\"Unsafe\",\"drive_id\":\"drive_%u\","
					"\"is_read_only\":false,\"is_root_device\":false,"
					"\"path_on_host\":\"/drive_%u\"}",
					i, i);
	snprintf(text + len, sizeof(text) - len,
		 "],\"network-interfaces\":[{\"guest_mac\":\"02:00:ca:fe:00:01\","
		 "\"host_dev_name\":\"tap0_kata\",\"iface_id\":\"eth0\",\"rx_rate_limiter\":{},"
		 "\"tx_rate_limiter\":{}}],\"balloon\":null}");
	ok(text);
	assert_int_equal(fake.machine->devices.disks, 9);
	assert_string_equal(fake.machine->devices.disk[8].path, "/drive_7");
	assert_string_equal(fake.machine->boot.cmdline,
			    "reboot=k panic=1 iommu=off net.ifnames=0 random.trust_cpu=on acpi=off "
			    "pci=off root=/dev/vda1 pci=off");
}

// clang-format off
static const struct {
	const char *text, *why;
} wrong[] = {
	{"", FAILED "Invalid JSON: EOF while parsing a value at line 1 column 0"},
	{"{" BOOT "}", FAILED "Invalid JSON: missing field `drives` at line 1 column 41"},
	{"{\"drives\":[]}", FAILED "Invalid JSON: missing field `boot-source` at line 1 column 13"},
	{"{" BOOT ",\"drives\":null}",
	 FAILED "Invalid JSON: invalid type: null, expected a sequence at line 1 column 54"},
	{"{" BOOT ",\"drives\":[{\"drive_id\":\"a\",\"is_root\":true}]}",
	 FAILED "Invalid JSON: unknown field `is_root`, expected one of `drive_id`, `partuuid`, "
		"`is_root_device`, `cache_type`, `is_read_only`, `path_on_host`, `rate_limiter`, "
		"`io_engine`, `socket` at line 1 column 83"},
	{"{" BOOT ",\"drives\":[],\"machine-config\":{\"vcpu_count\":0,\"mem_size_mib\":1}}", FAILED
	 "VM config error: The number of vCPUs must be greater than 0, less than 32 and must "
	 "be 1 or an even number if SMT is enabled."},
	{"{\"boot-source\":{\"kernel_image_path\":\"missing\"},\"drives\":[]}", FAILED
	 "Boot source error: The kernel file cannot be opened: No such file or directory (os "
	 "error 2)"},
	{"{" BOOT ",\"drives\":[],\"network-interfaces\":null}",
	 FAILED "Invalid JSON: invalid type: null, expected a sequence at line 1 column 78"},
	{"{" BOOT ",\"drives\":[],\"network-interfaces\":[{\"iface_id\":\"a\",\"host_dev_name\":"
	 "\"b\",\"mtu\":1}]}", FAILED "Network device error: Could not create the network device: MTU 1 is out of range "
		"[68, 65535]"},
	{"{" BOOT ",\"drives\":[],\"balloon\":{\"amount_mib\":129,\"deflate_on_oom\":true}}",
	 FAILED "Balloon device error: Amount of pages requested is too large."},
	{"{" BOOT ",\"drives\":[],\"logger\":{\"log_path\":\"missing\"}}",
	 FAILED "Logger error: Failed to open target file: missing"},
	{"{" BOOT ",\"drives\":[],\"pmem\":[{\"id\":\"a\",\"path_on_host\":\"p\"}]}",
	 FAILED "Pmem device error: minnow has no pmem devices"},
	{"{" BOOT ",\"drives\":[],\"memory-hotplug\":{\"total_size_mib\":1024}}",
	 FAILED "Memory hotplug config error: minnow has no hot-plug of memory"},
	{"{" BOOT ",\"drives\":[],\"cpu-config\":[]}",
	 FAILED "Invalid JSON: invalid type: sequence, expected struct CustomCpuTemplate"},
	{"{" BOOT ",\"drives\":[],\"cpu-config\":\"missing\"}",
	 FAILED "Unable to open or read from the CPU template file missing: No such file or "
		"directory (os error 2)"},
};
// clang-format on

static void what_is_wrong_is_told_and_starts_nothing(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		refused(wrong[i].text, wrong[i].why);
		assert_null(strstr(fake.told, "start"));
		end(NULL);
		begin(NULL);
	}
}

static void a_start_that_fails_says_why(void **state)
{
	fake.start_fails = EIO;
	refused("{" BOOT ",\"drives\":[]}",
		"Could not Start MicroVM from one single json: the host has no KVM");
}

static void a_file_that_is_not_there_says_so(void **state)
{
	assert_int_not_equal(config_file_start(&fake.api, "missing", NULL, why), 0);
	assert_string_equal(why, FAILED "Unable to open or read from the configuration file "
					"missing: No such file or directory (os error 2)");
}

static void a_template_may_be_in_a_file_of_its_own(void **state)
{
	fake.second_path = "cpu.json";
	fake.second_file = "{}";
	ok("{" BOOT ",\"drives\":[],\"cpu-config\":\"cpu.json\"}");
	assert_non_null(fake.machine->cpu_model);
}

static void metadata_alone_is_taken_or_not(void **state)
{
	fake.file = "[1,{\"a\":null}]";
	assert_int_equal(config_file_metadata(&fake.api, "m", why), 0);
	assert_int_equal(json_array_size(fake.mmds), 2);
	fake.mmds_fails = -EFBIG;
	assert_int_not_equal(config_file_metadata(&fake.api, "m", why), 0);
	assert_string_equal(why, "Populating MMDS from file failed: The MMDS patch request doesn't "
				 "fit.");
	fake.mmds_fails = -EINVAL;
	assert_int_not_equal(config_file_metadata(&fake.api, "m", why), 0);
	assert_string_equal(why, "Populating MMDS from file failed: MMDS limit exceeded error: too "
				 "much");
	fake.file = "{";
	assert_int_not_equal(config_file_metadata(&fake.api, "m", why), 0);
	assert_string_equal(why, "MMDS error: metadata provided not valid json: EOF while parsing "
				 "an object at line 1 column 1");
	assert_int_not_equal(config_file_metadata(&fake.api, "missing", why), 0);
	assert_string_equal(why, "Unable to open or read from the mmds content file missing: No "
				 "such file or directory (os error 2)");
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_kernel_and_no_drives_are_enough),
		T(all_keys_are_taken_in_firecrackers_order),
		T(katas_file_starts),
		T(what_is_wrong_is_told_and_starts_nothing),
		T(a_start_that_fails_says_why),
		T(a_file_that_is_not_there_says_so),
		T(a_template_may_be_in_a_file_of_its_own),
		T(metadata_alone_is_taken_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
