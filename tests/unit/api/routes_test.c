/* routes_test.c - requests and their replies, byte for byte, in the phases of a machine. */
#include <setjmp.h>
#include <stdarg.h>

#include "fake.h"

#include <cmocka.h>

#define FAULT(text)       "{\"fault_message\":\"" text "\"}"
#define SERDE             "An error occurred when deserializing the json body of a request: "
#define TOO_EARLY         FAULT("The requested operation is not supported before starting the microVM.")
#define TOO_LATE          FAULT("The requested operation is not supported after starting the microVM.")
#define NO_PATH(what)     FAULT("Invalid request method and/or path: " what ".")
#define UNSUPPORTED(what) FAULT("The requested operation is not supported: minnow has no " what ".")

struct step {
	enum http_method method;
	const char *path, *body; /* NULL: none */
	unsigned status;
	const char *reply; /* NULL: 204 has none */
};

#define START                                                                                      \
	{                                                                                          \
		HTTP_PUT, "/actions", "{\"action_type\":\"InstanceStart\"}", 204, NULL             \
	}

static struct http_reply last;

static int begin(void **state)
{
	fake_begin(false);
	return 0;
}

static int end(void **state)
{
	free(last.body);
	last = (struct http_reply){0};
	fake_end();
	return open_files() ? -1 : 0;
}

static void ask(enum http_method method, const char *path, const char *body)
{
	struct http_request rq = {
		.method = method, .path = path, .body = body, .body_len = body ? strlen(body) : 0};

	free(last.body);
	last = (struct http_reply){0};
	api_handle(&fake.api, &rq, &last);
}

/* What a client cannot be told: other statuses, 204 with a body, 200 and 400 without. */
static void expect(const struct step *s)
{
	ask(s->method, s->path, s->body);
	if (last.status != s->status || !last.body != !s->reply ||
	    (s->reply &&
	     (last.body_len != strlen(s->reply) || memcmp(last.body, s->reply, last.body_len))))
		fail_msg("%s %s:\ngot      %u %.*s\nexpected %u %s", s->path,
			 s->body ? s->body : "", last.status, (int)last.body_len,
			 last.body ? last.body : "", s->status, s->reply ? s->reply : "");
}

static void run(const struct step *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		expect(&s[i]);
}

#define RUN(...)                                                                                   \
	do {                                                                                       \
		static const struct step steps_[] = {__VA_ARGS__};                                 \
		run(steps_, ARRAY_SIZE(steps_));                                                   \
	} while (0)

#define BOOT                                                                                       \
	{                                                                                          \
		HTTP_PUT, "/boot-source", "{\"kernel_image_path\":\"k\"}", 204, NULL               \
	}
#define DRIVE(id, root)                                                                            \
	{                                                                                          \
		HTTP_PUT, "/drives/" id,                                                           \
			"{\"drive_id\":\"" id "\",\"path_on_host\":\"" id                          \
			".img\",\"is_root_device\":" root "}",                                     \
			204, NULL                                                                  \
	}
#define NET(id, tap)                                                                               \
	{                                                                                          \
		HTTP_PUT, "/network-interfaces/" id,                                               \
			"{\"iface_id\":\"" id "\",\"host_dev_name\":\"" tap "\"}", 204, NULL       \
	}

/* --- paths, methods and bodies --- */

static void what_is_not_there_is_a_400(void **state)
{
	RUN({HTTP_GET, "/foo", NULL, 400, NO_PATH("GET foo")},
	    {HTTP_GET, "/foo/bar", NULL, 400, NO_PATH("GET foo")},
	    {HTTP_GET, "/vm", NULL, 400, NO_PATH("GET vm")},
	    {HTTP_GET, "/vm/x", NULL, 400, NO_PATH("GET vm")},
	    {HTTP_GET, "/drives", NULL, 400, NO_PATH("GET drives")},
	    {HTTP_GET, "/machine-config?x", NULL, 400, NO_PATH("GET machine-config?x")},
	    {HTTP_GET, "/hotplug", NULL, 400, NO_PATH("GET hotplug")},
	    {HTTP_PUT, "/", "{}", 400, NO_PATH("PUT ")}, {HTTP_PUT, "", "{}", 400, NO_PATH("PUT ")},
	    {HTTP_PUT, "/vm", "{}", 400, NO_PATH("PUT vm")},
	    {HTTP_PUT, "/snapshot/x", "{}", 400, NO_PATH("PUT /snapshot/x")},
	    {HTTP_PUT, "/snapshot", "{}", 400, FAULT("Missing snapshot operation type.")},
	    {HTTP_PUT, "/foo\"\\", "{}", 400, NO_PATH("PUT foo\\\"\\\\")},
	    {HTTP_PATCH, "/boot-source", "{}", 400, NO_PATH("PATCH boot-source")},
	    {HTTP_PATCH, "/actions", "{}", 400, NO_PATH("PATCH actions")},
	    {HTTP_DELETE, "/", NULL, 400, NO_PATH("DELETE ")},
	    {HTTP_DELETE, "/vsock", NULL, 400, NO_PATH("DELETE vsock")},
	    {HTTP_PUT, "/mmds/x", "{}", 400, FAULT("Unrecognized PUT request path `x`.")},
	    {HTTP_GET, "/balloon/x", NULL, 400, FAULT("Unrecognized GET request path `x`.")},
	    {HTTP_GET, "/balloon/hinting", NULL, 400,
	     FAULT("Unrecognized GET request path `/hinting/`.")},
	    {HTTP_GET, "/balloon/hinting/x", NULL, 400,
	     FAULT("Unrecognized GET request path `/hinting/x`.")},
	    {HTTP_PATCH, "/balloon/hinting/x", NULL, 400,
	     FAULT("Unrecognized PATCH request path `/hinting/x`.")},
	    {HTTP_PATCH, "/balloon/hinting", "{}", 400,
	     FAULT("Unrecognized PATCH request path `/hinting/`.")});
}

static void a_body_is_there_or_not_as_the_method_says(void **state)
{
	RUN({HTTP_GET, "/", "{}", 400, FAULT("GET request cannot have a body.")},
	    {HTTP_GET, "/foo", "{}", 400, FAULT("GET request cannot have a body.")},
	    {HTTP_PUT, "/actions", NULL, 400, FAULT("Empty PUT request.")},
	    {HTTP_PUT, "/actions", "", 400, FAULT("Empty PUT request.")},
	    {HTTP_PUT, "/foo", NULL, 400, FAULT("Empty PUT request.")},
	    {HTTP_PATCH, "/vm", NULL, 400, FAULT("Empty PATCH request.")},
	    {HTTP_PATCH, "/foo", NULL, 400, FAULT("Empty PATCH request.")},
	    {HTTP_PATCH, "/balloon", NULL, 400, FAULT("Empty PATCH request.")},
	    {HTTP_PATCH, "/balloon/statistics", NULL, 400, FAULT("Empty PATCH request.")},
	    {HTTP_PATCH, "/machine-config", "{}", 400, FAULT("Empty PATCH request.")},
	    {HTTP_PATCH, "/machine-config", "{\"vcpu_count\":null}", 400,
	     FAULT("Empty PATCH request.")},
	    {HTTP_DELETE, "/drives/a", "{}", 400, FAULT("Empty Delete request.")});
}

static void slashes_are_as_rust_splits_them(void **state)
{
	RUN({HTTP_GET, "//version", NULL, 200, "{\"firecracker_version\":\"1.17.0\"}"},
	    {HTTP_GET, "/version/", NULL, 200, "{\"firecracker_version\":\"1.17.0\"}"},
	    {HTTP_GET, "/version/x/y/z/w", NULL, 200, "{\"firecracker_version\":\"1.17.0\"}"},
	    {HTTP_GET, "version", NULL, 200, "{\"firecracker_version\":\"1.17.0\"}"},
	    {HTTP_PUT, "/drives//a", "{}", 400, FAULT("The ID cannot be empty.")},
	    {HTTP_PUT, "/drives/", "{}", 400, FAULT("The ID cannot be empty.")});
}

#define BAD_ID FAULT("API Resource IDs can only contain alphanumeric characters and underscores.")

static void an_id_is_of_letters_digits_and_underscores(void **state)
{
	RUN({HTTP_PUT, "/drives", "{}", 400, FAULT("The ID cannot be empty.")},
	    {HTTP_PUT, "/drives/a-b", "{}", 400, BAD_ID},
	    {HTTP_PUT, "/network-interfaces/a%20b", "{}", 400, BAD_ID},
	    {HTTP_PUT, "/pmem/a.b", "{}", 400, BAD_ID},
	    {HTTP_PATCH, "/pmem/a.b", "{}", 400, BAD_ID},
	    {HTTP_PATCH, "/drives/caf\xc3\xa9", "{}", 400, BAD_ID},
	    {HTTP_PATCH, "/network-interfaces/?", "{}", 400, BAD_ID},
	    {HTTP_DELETE, "/drives", NULL, 400, FAULT("The ID cannot be empty.")},
	    DRIVE("drive_0_A", "false"), NET("net_0", "t"),
	    {HTTP_PUT, "/drives/a", "{\"drive_id\":\"b\",\"is_root_device\":false}", 400,
	     FAULT("The id from the path does not match the id from the body!")},
	    {HTTP_PATCH, "/drives/a", "{\"drive_id\":\"b\"}", 400,
	     FAULT("The id from the path does not match the id from the body!")},
	    {HTTP_PUT, "/network-interfaces/a", "{\"iface_id\":\"b\",\"host_dev_name\":\"c\"}", 400,
	     FAULT("The id from the path [a] does not match the id from the body [b]!")},
	    {HTTP_PATCH, "/network-interfaces/a", "{\"iface_id\":\"b\"}", 400,
	     FAULT("The id from the path [a] does not match the id from the body [b]!")});
}

static void a_body_that_cannot_be_read_says_so(void **state)
{
	RUN({HTTP_PUT, "/actions", "{\"action_type\":\"X\"}", 400,
	     FAULT(SERDE "unknown variant `X`, expected one of `FlushMetrics`, `InstanceStart`, "
			 "`SendCtrlAltDel` at line 1 column 18.")},
	    {HTTP_PUT, "/machine-config", "{\"mem_size_mib\": 128}", 400,
	     FAULT(SERDE "missing field `vcpu_count` at line 1 column 21.")},
	    {HTTP_PATCH, "/drives/a", "{\"drive_id\":\"a\",\"io_engine\":\"Sync\"}", 400,
	     FAULT(SERDE "unknown field `io_engine`, expected one of `drive_id`, `path_on_host`, "
			 "`rate_limiter` at line 1 column 27.")},
	    {HTTP_PATCH, "/vm", "{\"state\":\"Running\"}", 400,
	     FAULT(SERDE "unknown variant `Running`, expected `Paused` or `Resumed` at line 1 "
			 "column 18.")},
	    {HTTP_PUT, "/mmds", "{", 400,
	     FAULT(SERDE "EOF while parsing an object at line 1 column 1.")},
	    {HTTP_PUT, "/logger", "{\"level\":\"loud\"}", 400,
	     FAULT(SERDE "Invalid LevelFilter at line 1 column 15.")},
	    {HTTP_PUT, "/metrics", "{\"metrics_path\":\"m\",\"properties\":{\"a\":1}}", 400,
	     FAULT(SERDE "invalid type: integer `1`, expected a string at line 1 column 40.")},
	    {HTTP_PUT, "/cpu-config", "[]", 400,
	     FAULT(SERDE "invalid type: sequence, expected struct CustomCpuTemplate.")},
	    {HTTP_PUT, "/vsock", "{\"guest_cid\":3,\"uds_path\":\"\\u0000\"}", 400,
	     FAULT(SERDE "a string holds a NUL character at line 1 column 34.")},
	    {HTTP_PUT, "/snapshot/create", "{", 400, TOO_EARLY});
}

/* --- phases --- */

static const struct {
	enum http_method method;
	const char *path, *body;
} only_before[] =
	{
		{HTTP_PUT,   "/actions",        "{\"action_type\":\"InstanceStart\"}"        },
		{HTTP_PUT,   "/balloon",        "{\"amount_mib\":1,\"deflate_on_oom\":false}"},
		{HTTP_PUT,   "/boot-source",    "{\"kernel_image_path\":\"k\"}"              },
		{HTTP_PUT,   "/cpu-config",     "{}"                                         },
		{HTTP_PUT,   "/entropy",        "{}"                                         },
		{HTTP_PUT,   "/hotplug/memory", "{\"total_size_mib\":1024}"                  },
		{HTTP_PUT,   "/logger",         "{}"                                         },
		{HTTP_PUT,   "/machine-config", "{\"vcpu_count\":1,\"mem_size_mib\":128}"    },
		{HTTP_PATCH, "/machine-config", "{\"vcpu_count\":2}"                         },
		{HTTP_PUT,   "/metrics",        "{\"metrics_path\":\"m\"}"                   },
		{HTTP_PUT,   "/mmds/config",    "{\"network_interfaces\":[\"1\"]}"           },
		{HTTP_PUT,   "/serial",         "{}"                                         },
		{HTTP_PUT,   "/snapshot/load",  "{}"                                         },
		{HTTP_PUT,   "/vsock",          "{\"guest_cid\":3,\"uds_path\":\"v\"}"       },
},
  only_after[] = {
	  {HTTP_PUT, "/actions", "{\"action_type\":\"FlushMetrics\"}"},
	  {HTTP_PUT, "/actions", "{\"action_type\":\"SendCtrlAltDel\"}"},
	  {HTTP_PATCH, "/vm", "{\"state\":\"Paused\"}"},
	  {HTTP_PATCH, "/vm", "{\"state\":\"Resumed\"}"},
	  {HTTP_GET, "/balloon/statistics", NULL},
	  {HTTP_GET, "/balloon/hinting/status", NULL},
	  {HTTP_PATCH, "/balloon", "{\"amount_mib\":1}"},
	  {HTTP_PATCH, "/balloon/statistics", "{\"stats_polling_interval_s\":1}"},
	  {HTTP_PATCH, "/balloon/hinting/start", NULL},
	  {HTTP_PATCH, "/balloon/hinting/stop", NULL},
	  {HTTP_PATCH, "/drives/a", "{\"drive_id\":\"a\"}"},
	  {HTTP_PATCH, "/network-interfaces/1", "{\"iface_id\":\"1\"}"},
	  {HTTP_PATCH, "/pmem/a", "{\"id\":\"a\"}"},
	  {HTTP_GET, "/hotplug/memory", NULL},
	  {HTTP_PATCH, "/hotplug/memory", "{\"requested_size_mib\":1}"},
	  {HTTP_PUT, "/snapshot/create", "{}"},
	  {HTTP_DELETE, "/drives/a", NULL},
	  {HTTP_DELETE, "/network-interfaces/1", NULL},
	  {HTTP_DELETE, "/pmem/a", NULL},
};

static void each_request_has_its_phase(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(only_after); i++) {
		struct step s = {only_after[i].method, only_after[i].path, only_after[i].body, 400,
				 TOO_EARLY};

		expect(&s);
	}
	assert_string_equal(fake.told, "");
	RUN(BOOT, START);
	fake.told[0] = '\0';
	ask(HTTP_GET, "/vm/config", NULL);
	char *before = strdup(last.body);

	for (unsigned i = 0; i < ARRAY_SIZE(only_before); i++) {
		struct step s = {only_before[i].method, only_before[i].path, only_before[i].body,
				 400, TOO_LATE};

		expect(&s);
	}
	assert_string_equal(fake.told, "");
	ask(HTTP_GET, "/vm/config", NULL);
	assert_string_equal(last.body, before);
	free(before);
}

#define INSTANCE(state)                                                                            \
	"{\"id\":\"anonymous-instance\",\"state\":\"" state                                        \
	"\",\"vmm_version\":\"1.17.0\",\"app_name\":\"Firecracker\"}"

static void the_instance_tells_its_state(void **state)
{
	RUN({HTTP_GET, "/", NULL, 200, INSTANCE("Not started")}, BOOT, START,
	    {HTTP_GET, "/", NULL, 200, INSTANCE("Running")},
	    {HTTP_PATCH, "/vm", "{\"state\":\"Paused\"}", 204, NULL},
	    {HTTP_PATCH, "/vm", "{\"state\":\"Paused\"}", 204, NULL},
	    {HTTP_GET, "/", NULL, 200, INSTANCE("Paused")},
	    {HTTP_PATCH, "/vm", "{\"state\":\"Resumed\"}", 204, NULL},
	    {HTTP_PATCH, "/vm", "{\"state\":\"Resumed\"}", 204, NULL},
	    {HTTP_GET, "/", NULL, 200, INSTANCE("Running")});
	assert_string_equal(fake.told, "start\npause\npause\nresume\nresume\n");
}

static void a_start_that_fails_can_be_tried_again(void **state)
{
	RUN({HTTP_PUT, "/actions", "{\"action_type\":\"InstanceStart\"}", 400,
	     FAULT("Start microvm error: Cannot start microvm without kernel configuration.")},
	    BOOT, DRIVE("a", "true"));
	fake.start_fails = ENOENT;
	RUN({HTTP_PUT, "/actions", "{\"action_type\":\"InstanceStart\"}", 400,
	     FAULT("Start microvm error: the host has no KVM")},
	    {HTTP_GET, "/", NULL, 200, INSTANCE("Not started")},
	    {HTTP_PUT, "/machine-config", "{\"vcpu_count\":2,\"mem_size_mib\":256}", 204, NULL},
	    DRIVE("a", "true"));
	assert_int_equal(open_files(), 2);
	fake.start_fails = 0;
	RUN(START, {HTTP_PUT, "/actions", "{\"action_type\":\"InstanceStart\"}", 400, TOO_LATE});
	assert_int_equal(open_files(), 0); /* the machine has its own */
	assert_int_equal(fake.machine->mem, 256 * MIB);
	assert_int_equal(fake.machine->boot.cpus, 2);
	assert_string_equal(fake.told, "start\n");
}

static void actions_reach_the_machine(void **state)
{
	RUN(BOOT, START, {HTTP_PUT, "/actions", "{\"action_type\":\"SendCtrlAltDel\"}", 204, NULL},
	    {HTTP_PUT, "/actions", "{\"action_type\":\"FlushMetrics\"}", 204, NULL});
	assert_string_equal(fake.told, "start\nkeys\nflush\n");
	fake.no_keyboard = true;
	fake.flush_fails = -EAGAIN;
	RUN({HTTP_PUT, "/actions", "{\"action_type\":\"SendCtrlAltDel\"}", 400,
	     FAULT("Internal VMM error: I8042 error: Keyboard interrupt disabled by guest "
		   "driver.")},
	    {HTTP_PUT, "/actions", "{\"action_type\":\"FlushMetrics\"}", 400,
	     FAULT("Internal VMM error: Metrics error: Failed to write metrics: Resource "
		   "temporarily unavailable (os error 11)")});
}

/* --- faults of the configuration have their prefix --- */

static void each_resource_has_its_prefix(void **state)
{
	RUN({HTTP_PUT, "/boot-source", "{\"kernel_image_path\":\"missing\"}", 400,
	     FAULT("Boot source error: The kernel file cannot be opened: No such file or directory "
		   "(os error 2)")},
	    {HTTP_PUT, "/machine-config", "{\"vcpu_count\":33,\"mem_size_mib\":128}", 400,
	     FAULT("Machine config error: The number of vCPUs must be greater than 0, less than 32 "
		   "and must be 1 or an even number if SMT is enabled.")},
	    {HTTP_PATCH, "/machine-config", "{\"mem_size_mib\":0}", 400,
	     FAULT("Machine config error: The memory size (MiB) is either 0, or not a multiple of "
		   "the configured page size.")},
	    {HTTP_PUT, "/drives/a",
	     "{\"drive_id\":\"a\",\"is_root_device\":false,\"socket\":\"/s\"}", 400,
	     FAULT("Drive config error: minnow has no vhost-user-blk devices: give path_on_host in "
		   "place of socket")},
	    {HTTP_PUT, "/network-interfaces/1",
	     "{\"iface_id\":\"1\",\"host_dev_name\":\"missing\"}", 400,
	     FAULT("Network config error: Could not create the network device: Open tap device "
		   "failed: Error while creating ifreq structure: No such file or directory (os "
		   "error 2). Invalid TUN/TAP Backend provided by missing. Check our documentation "
		   "on setting up the network devices.")},
	    {HTTP_PUT, "/vsock", "{\"guest_cid\":3,\"uds_path\":\"denied\"}", 400,
	     FAULT("Vsock config error: Cannot create backend for vsock device: Error binding to "
		   "the host-side Unix socket: Permission denied (os error 13)")},
	    {HTTP_PUT, "/balloon", "{\"amount_mib\":1000,\"deflate_on_oom\":true}", 400,
	     FAULT("Balloon config error: Amount of pages requested is too large.")},
	    {HTTP_PUT, "/mmds/config", "{\"network_interfaces\":[]}", 400,
	     FAULT("MMMDS config error: The list of network interface IDs that allow forwarding "
		   "MMDS requests is empty.")},
	    {HTTP_PUT, "/logger", "{\"log_path\":\"missing\"}", 400,
	     FAULT("Logger error: Failed to open target file: missing")});
	fake.metrics_fail = true;
	RUN({HTTP_PUT, "/metrics", "{\"metrics_path\":\"m\"}", 400,
	     FAULT("Metrics error: Reinitialization of metrics not allowed.")});
}

static void what_minnow_has_not_it_says(void **state)
{
	RUN({HTTP_PUT, "/pmem/a", "{\"id\":\"a\",\"path_on_host\":\"p\"}", 400,
	     UNSUPPORTED("pmem devices")},
	    {HTTP_PUT, "/hotplug/memory", "{\"total_size_mib\":1024}", 400,
	     UNSUPPORTED("hot-plug of memory")},
	    {HTTP_PUT, "/snapshot/load", "{}", 400, UNSUPPORTED("snapshots")}, BOOT, START,
	    {HTTP_PUT, "/snapshot/create", "{}", 400, UNSUPPORTED("snapshots")},
	    {HTTP_PUT, "/drives/a",
	     "{\"drive_id\":\"a\",\"is_root_device\":false,\"path_on_host\":\"p\"}", 400,
	     FAULT("PCI is not enabled")},
	    {HTTP_PUT, "/network-interfaces/1", "{\"iface_id\":\"1\",\"host_dev_name\":\"t\"}", 400,
	     FAULT("PCI is not enabled")},
	    {HTTP_DELETE, "/drives/a", NULL, 400, FAULT("PCI is not enabled")},
	    {HTTP_PUT, "/pmem/a", "{}", 400, UNSUPPORTED("pmem devices")},
	    {HTTP_PATCH, "/pmem/a", "{}", 400, UNSUPPORTED("pmem devices")},
	    {HTTP_GET, "/hotplug/memory", NULL, 400, UNSUPPORTED("hot-plug of memory")},
	    {HTTP_PATCH, "/hotplug/memory", "{}", 400, UNSUPPORTED("hot-plug of memory")});
	end(NULL);
	fake_begin(true);
	RUN(BOOT, START,
	    {HTTP_PUT, "/drives/a",
	     "{\"drive_id\":\"a\",\"is_root_device\":false,\"path_on_host\":\"p\"}", 400,
	     UNSUPPORTED("hot-plug of devices")},
	    {HTTP_DELETE, "/network-interfaces/1", NULL, 400, UNSUPPORTED("hot-plug of devices")});
	assert_int_equal(open_files(), 0);
}

/* --- log and metrics --- */

static void log_and_metrics_are_told(void **state)
{
	RUN({HTTP_PUT, "/logger", "{}", 204, NULL},
	    {HTTP_PUT, "/logger",
	     "{\"log_path\":\"l\",\"level\":\"WARNING\",\"show_level\":true,"
	     "\"show_log_origin\":false,\"module\":\"m\"}",
	     204, NULL},
	    {HTTP_PUT, "/metrics", "{\"metrics_path\":\"m\",\"unknown\":1}", 204, NULL},
	    {HTTP_PUT, "/metrics",
	     "{\"metrics_path\":\"m\",\"emit_id\":true,\"properties\":{\"b\":\"2\",\"a\":\"1\"}}",
	     204, NULL});
	assert_string_equal(fake.told, "logger - 3 -1 -1 -\nlogger l 2 1 0 m\nmetrics m 0 -\n"
				       "metrics m 1 {\"a\":\"1\",\"b\":\"2\"}\n");
}

static void levels_are_of_any_case(void **state)
{
	static const struct {
		const char *name;
		enum log_level level;
	} row[] = {
		{"Off",   LEVEL_OFF  },
                {"TRACE", LEVEL_TRACE},
                {"debug", LEVEL_DEBUG},
		{"Info",  LEVEL_INFO },
                {"warn",  LEVEL_WARN },
                {"Error", LEVEL_ERROR},
	};
	char body[64], told[64];

	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		fake.told[0] = '\0';
		snprintf(body, sizeof(body), "{\"level\":\"%s\"}", row[i].name);
		snprintf(told, sizeof(told), "logger - %d -1 -1 -\n", (int)row[i].level);
		ask(HTTP_PUT, "/logger", body);
		assert_int_equal(last.status, 204);
		assert_string_equal(fake.told, told);
	}
}

static void requests_are_counted_with_their_mistakes(void **state)
{
	RUN({HTTP_GET, "/", NULL, 200, INSTANCE("Not started")},
	    {HTTP_PUT, "/actions", "{\"action_type\":1}", 400,
	     FAULT(SERDE "expected value at line 1 column 16.")},
	    {HTTP_PUT, "/actions", "{\"action_type\":\"FlushMetrics\"}", 400, TOO_EARLY},
	    {HTTP_PUT, "/drives", "{}", 400, FAULT("The ID cannot be empty.")}, DRIVE("a", "false"),
	    {HTTP_PUT, "/cpu-config", "[]", 400,
	     FAULT(SERDE "invalid type: sequence, expected struct CustomCpuTemplate.")},
	    {HTTP_PUT, "/cpu-config", "{}", 204, NULL}, {HTTP_PUT, "/cpu-config", "{}", 204, NULL},
	    {HTTP_PATCH, "/machine-config", "{\"smt\":1}", 400,
	     FAULT(SERDE "invalid type: integer `1`, expected a boolean at line 1 column 8.")},
	    {HTTP_GET, "/foo", NULL, 400, NO_PATH("GET foo")});
	assert_int_equal(fake.count.get.instance_info_count, 1);
	assert_int_equal(fake.count.put.actions_count, 2);
	assert_int_equal(fake.count.put.actions_fails, 1);
	assert_int_equal(fake.count.put.drive_count, 2);
	assert_int_equal(fake.count.put.drive_fails, 1);
	assert_int_equal(fake.count.put.cpu_cfg_count, 3);
	assert_int_equal(fake.count.put.cpu_cfg_fails, 1);
	assert_int_equal(fake.count.patch.machine_cfg_count, 1);
	assert_int_equal(fake.count.patch.machine_cfg_fails, 1);
	assert_int_equal(fake.count.server.process_startup_time_us, 0);
}

static void a_cpu_template_is_part_of_the_machine(void **state)
{
	RUN({HTTP_PUT, "/cpu-config", "{}", 204, NULL}, BOOT, START);
	assert_ptr_equal(fake.machine->cpu_model, fake.api.config.cpu);
	assert_non_null(fake.machine->cpu_model);
}

/* --- what is deprecated --- */

static char warned[128];

static void take_warning(enum log_level level, const char *file, unsigned line, const char *msg)
{
	if (level == LEVEL_WARN)
		snprintf(warned, sizeof(warned), "%s", msg);
}

#define VSOCK_SAID "PUT /vsock: vsock_id field is deprecated."

static void deprecated_fields_add_a_header_and_a_warning(void **state)
{
	static const struct {
		struct step step;
		const char *said; /* NULL: nothing is deprecated */
	} row[] = {
		{{HTTP_PUT, "/vsock", "{\"guest_cid\":3,\"uds_path\":\"v\",\"vsock_id\":\"1\"}",
		  204, NULL},
		 VSOCK_SAID											 },
		{{HTTP_PUT, "/vsock", "{\"guest_cid\":3,\"uds_path\":\"v\"}", 204, NULL},                       NULL},
		{{HTTP_PUT, "/vsock", "{\"guest_cid\":3,\"uds_path\":\"v\",\"vsock_id\":null}", 204,
		  NULL},
		 NULL											       },
		{{HTTP_PUT, "/vsock",
		  "{\"guest_cid\":3,\"uds_path\":\"denied\",\"vsock_id\":\"1\"}", 400,
		  FAULT("Vsock config error: Cannot create backend for vsock device: Error binding "
			"to the host-side Unix socket: Permission denied (os error 13)")},
		 VSOCK_SAID											 },
		{{HTTP_PATCH, "/machine-config", "{\"cpu_template\":\"None\"}", 204, NULL},
		 "PATCH /machine-config: cpu_template field is deprecated."                                         },
		{{HTTP_PUT, "/machine-config",
		  "{\"vcpu_count\":1,\"mem_size_mib\":128,\"cpu_template\":null}", 204, NULL},
		 NULL											       },
		{{HTTP_PUT, "/machine-config",
		  "{\"vcpu_count\":1,\"mem_size_mib\":128,\"cpu_template\":\"T2CL\"}", 400,
		  FAULT("Machine config error: minnow has no static CPU template T2CL: give its "
			"contents to PUT /cpu-config as a custom one")},
		 "PUT /machine-config: cpu_template field is deprecated."                                           },
		{NET("1",										       "t"), NULL},
		{{HTTP_PUT, "/mmds/config", "{\"network_interfaces\":[\"1\"]}", 204, NULL},
		 "PUT /mmds/config: V1 is deprecated. Use V2 instead."                        },
		{{HTTP_PUT, "/mmds/config", "{\"network_interfaces\":[\"1\"],\"version\":\"V2\"}",
		  204, NULL},
		 NULL					     },
	};
	uint64_t n = 0;

	log_sink(take_warning);
	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		*warned = '\0';
		expect(&row[i].step);
		assert_int_equal(last.deprecated, !!row[i].said);
		assert_string_equal(warned, row[i].said ?: "");
		n += !!row[i].said;
		assert_int_equal(fake.count.deprecated.deprecated_http_api_calls, n);
	}
	log_sink(NULL);
}

/* --- devices of a machine that runs --- */

#define DRIVE_FAULT "Drive config error: Unable to patch the block device: "

static void a_drive_that_runs_gets_another_file(void **state)
{
	RUN(BOOT, DRIVE("a", "false"), DRIVE("root", "true"), START,
	    {HTTP_PATCH, "/drives/a", "{\"drive_id\":\"a\",\"path_on_host\":\"new\"}", 204, NULL},
	    {HTTP_PATCH, "/drives/a",
	     "{\"drive_id\":\"a\",\"path_on_host\":\"newer\",\"rate_limiter\":null}", 204, NULL},
	    {HTTP_PATCH, "/drives/a",
	     "{\"drive_id\":\"a\",\"rate_limiter\":{\"ops\":{\"size\":18446744073709551615,"
	     "\"refill_time\":2,\"one_time_burst\":3}}}",
	     204, NULL},
	    {HTTP_PATCH, "/drives/root",
	     "{\"drive_id\":\"root\",\"path_on_host\":\"p\",\"rate_limiter\":{\"bandwidth\":"
	     "{\"size\":0,\"refill_time\":2},\"ops\":null}}",
	     204, NULL},
	    {HTTP_PATCH, "/drives/a", "{\"drive_id\":\"a\",\"rate_limiter\":{}}", 204, NULL},
	    {HTTP_PATCH, "/drives/a", "{\"drive_id\":\"a\"}", 400,
	     FAULT(DRIVE_FAULT "Block: Running method expected different backend. Please verify "
			       "the request arguments.")},
	    {HTTP_PATCH, "/drives/x", "{\"drive_id\":\"x\",\"path_on_host\":\"p\"}", 400,
	     FAULT(DRIVE_FAULT "Failed perform action on device: Device not found Please verify "
			       "the request arguments.")});
	assert_string_equal(fake.told, "start\ndisk 1 new\ndisk 1 newer\n"
				       "disk limits 1 ops 18446744073709551615/3/2\n"
				       "disk 0 p\ndisk limits 0 bytes 0/0/0\ndisk limits 1\n");
	ask(HTTP_GET, "/vm/config", NULL);
	assert_non_null(strstr(last.body, "\"path_on_host\":\"newer\",\"rate_limiter\":{"
					  "\"bandwidth\":null,\"ops\":{\"size\":"
					  "18446744073709551615,\"one_time_burst\":3,"
					  "\"refill_time\":2}}"));
	assert_non_null(strstr(last.body, "\"path_on_host\":\"p\",\"rate_limiter\":null"));
}

static void a_file_that_cannot_be_had_changes_nothing(void **state)
{
	RUN(BOOT, DRIVE("a", "false"), START);
	fake.told[0] = '\0';
	fake.path_fails = ENOENT;
	RUN({HTTP_PATCH, "/drives/a",
	     "{\"drive_id\":\"a\",\"path_on_host\":\"foo.bar\",\"rate_limiter\":{\"ops\":"
	     "{\"size\":1,\"refill_time\":1}}}",
	     400,
	     FAULT(DRIVE_FAULT "Block: Virtio backend error: Error manipulating the backing file: "
			       "No such file or directory (os error 2) foo.bar Please verify the "
			       "request arguments.")});
	fake.path_fails = EINVAL;
	RUN({HTTP_PATCH, "/drives/a", "{\"drive_id\":\"a\",\"path_on_host\":\"new\"}", 400,
	     FAULT(DRIVE_FAULT "Block: Virtio backend error: Error manipulating the backing file: "
			       "disk new is odd Please verify the request arguments.")});
	assert_string_equal(fake.told, "");
	ask(HTTP_GET, "/vm/config", NULL);
	assert_non_null(strstr(last.body, "\"path_on_host\":\"a.img\",\"rate_limiter\":null"));
}

static void a_network_that_runs_gets_other_limits(void **state)
{
	RUN(BOOT, NET("1", "t1"), NET("2", "t2"), START,
	    {HTTP_PATCH, "/network-interfaces/2",
	     "{\"iface_id\":\"2\",\"rx_rate_limiter\":{\"bandwidth\":{\"size\":1,"
	     "\"refill_time\":2},\"ops\":{\"size\":3,\"refill_time\":4}},\"tx_rate_limiter\":"
	     "{\"ops\":{\"size\":0,\"refill_time\":0}}}",
	     204, NULL},
	    {HTTP_PATCH, "/network-interfaces/1",
	     "{\"iface_id\":\"1\",\"rx_rate_limiter\":{},\"tx_rate_limiter\":null}", 204, NULL},
	    {HTTP_PATCH, "/network-interfaces/3", "{\"iface_id\":\"3\"}", 400,
	     FAULT("Network config error: Unable to update the net device: Failed perform action "
		   "on device: Device not found")});
	assert_string_equal(fake.told, "start\nrx limits 1 bytes 1/0/2 ops 3/0/4\n"
				       "tx limits 1 ops 0/0/0\n");
	ask(HTTP_GET, "/vm/config", NULL);
	assert_non_null(strstr(last.body, "\"rx_rate_limiter\":{\"bandwidth\":{\"size\":1,"
					  "\"one_time_burst\":null,\"refill_time\":2},\"ops\":"
					  "{\"size\":3,\"one_time_burst\":null,\"refill_time\":4}},"
					  "\"tx_rate_limiter\":null"));
}

#define BALLOON(mib, interval)                                                                     \
	"{\"amount_mib\":" mib ",\"deflate_on_oom\":true,\"stats_polling_interval_s\":" interval   \
	",\"free_page_hinting\":false,\"free_page_reporting\":false}"
#define UPDATE "Balloon update error: "
#define GONE   "Failed perform action on device: Device not found"

static void a_balloon_is_set_and_then_changed(void **state)
{
	RUN({HTTP_GET, "/balloon", NULL, 400,
	     FAULT("Balloon config error: No balloon device found.")},
	    {HTTP_PUT, "/balloon",
	     "{\"amount_mib\":0,\"deflate_on_oom\":true,\"stats_polling_interval_s\":5}", 204,
	     NULL},
	    {HTTP_GET, "/balloon", NULL, 200, BALLOON("0", "5")}, BOOT, START,
	    {HTTP_PATCH, "/balloon", "{\"amount_mib\":128}", 204, NULL},
	    {HTTP_PATCH, "/balloon/", "{\"amount_mib\":127}", 204, NULL},
	    {HTTP_PATCH, "/balloon", "{\"amount_mib\":129}", 400,
	     FAULT(UPDATE "Balloon: Requested memory should be less than 129MiB")},
	    {HTTP_PATCH, "/balloon/statistics", "{\"stats_polling_interval_s\":5}", 204, NULL},
	    {HTTP_PATCH, "/balloon/statistics", "{\"stats_polling_interval_s\":7}", 204, NULL},
	    {HTTP_PATCH, "/balloon/statistics", "{\"stats_polling_interval_s\":0}", 400,
	     FAULT(UPDATE "Balloon: Statistics cannot be enabled/disabled after activation.")},
	    {HTTP_GET, "/balloon", NULL, 200, BALLOON("127", "7")},
	    {HTTP_PATCH, "/balloon/hinting/start", "{\"acknowledge_on_stop\":true}", 400,
	     FAULT(UPDATE "Balloon: Attempting to use hinting when not enabled")},
	    {HTTP_GET, "/balloon/hinting/status", NULL, 400,
	     FAULT(UPDATE "Balloon: Attempting to use hinting when not enabled")});
	assert_string_equal(fake.told, "start\nballoon 128\nballoon 127\ninterval 7\n");
}

static void a_balloon_tells_what_it_knows(void **state)
{
	fake.stats = (struct balloon_stats){.target_pages = 513, .actual_pages = 255};
	RUN({HTTP_PUT, "/balloon",
	     "{\"amount_mib\":0,\"deflate_on_oom\":true,\"stats_polling_interval_s\":1}", 204,
	     NULL},
	    BOOT, START,
	    {HTTP_GET, "/balloon/statistics", NULL, 200,
	     "{\"target_pages\":513,\"actual_pages\":255,\"target_mib\":2,\"actual_mib\":0}"});
	fake.stats.known = UINT16_MAX;
	for (unsigned i = 0; i < BALLOON_S_NR; i++)
		fake.stats.value[i] = i;
	fake.stats.value[0] = UINT64_MAX;
	RUN({HTTP_GET, "/balloon/statistics", NULL, 200,
	     "{\"target_pages\":513,\"actual_pages\":255,\"target_mib\":2,\"actual_mib\":0,"
	     "\"swap_in\":18446744073709551615,\"swap_out\":1,\"major_faults\":2,"
	     "\"minor_faults\":3,\"free_memory\":4,\"total_memory\":5,\"available_memory\":6,"
	     "\"disk_caches\":7,\"hugetlb_allocations\":8,\"hugetlb_failures\":9,\"oom_kill\":10,"
	     "\"alloc_stall\":11,\"async_scan\":12,\"direct_scan\":13,\"async_reclaim\":14,"
	     "\"direct_reclaim\":15}"});
}

static void without_balloon_or_statistics_there_is_nothing_to_tell(void **state)
{
	RUN(BOOT, START, {HTTP_GET, "/balloon", NULL, 400, FAULT("Internal VMM error: " GONE)},
	    {HTTP_GET, "/balloon/statistics", NULL, 400, FAULT("Internal VMM error: " GONE)},
	    {HTTP_PATCH, "/balloon", "{\"amount_mib\":1}", 400, FAULT(UPDATE GONE)},
	    {HTTP_PATCH, "/balloon/statistics", "{\"stats_polling_interval_s\":1}", 400,
	     FAULT(UPDATE GONE)},
	    {HTTP_PATCH, "/balloon/hinting/stop", NULL, 400, FAULT(UPDATE GONE)});
	end(NULL);
	begin(NULL);
	RUN({HTTP_PUT, "/balloon", "{\"amount_mib\":0,\"deflate_on_oom\":true}", 204, NULL}, BOOT,
	    START,
	    {HTTP_GET, "/balloon/statistics", NULL, 400,
	     FAULT("Internal VMM error: Balloon: Received stats query when stats are disabled.")},
	    {HTTP_PATCH, "/balloon/statistics", "{\"stats_polling_interval_s\":1}", 400,
	     FAULT(UPDATE "Balloon: Statistics cannot be enabled/disabled after activation.")});
	assert_string_equal(fake.told, "start\n");
}

/* --- metadata --- */

#define NO_STORE FAULT("MMDS error: The MMDS data store is not initialized.")

static void metadata_is_put_patched_and_read(void **state)
{
	RUN({HTTP_GET, "/mmds", NULL, 200, "{}"}, {HTTP_PATCH, "/mmds", "{\"a\":1}", 400, NO_STORE},
	    {HTTP_PUT, "/mmds", "{\"a\":{\"b\":[1,\"x\"]},\"a\":{\"c\":-5}}", 204, NULL},
	    {HTTP_PATCH, "/mmds", "{\"d\":null}", 204, NULL},
	    {HTTP_GET, "/mmds", NULL, 200, "{\"a\":{\"c\":-5},\"d\":null}"}, NET("1", "t"),
	    {HTTP_PUT, "/mmds/config", "{\"network_interfaces\":[\"1\"],\"imds_compat\":true}", 204,
	     NULL},
	    BOOT, START, {HTTP_GET, "/mmds", NULL, 200, "{\"a\":{\"c\":-5},\"d\":null}"},
	    {HTTP_PUT, "/mmds", "\"text\"", 204, NULL}, {HTTP_GET, "/mmds", NULL, 200, "\"text\""});
	assert_string_equal(fake.told, "mmds V1 a9fea9fe 1\nstart\n");
	fake.mmds_fails = -EFBIG;
	RUN({HTTP_PUT, "/mmds", "{}", 413, FAULT("MMDS limit exceeded error: too much")});
	fake.mmds_fails = -EINVAL;
	RUN({HTTP_PUT, "/mmds", "{}", 400, FAULT("MMDS limit exceeded error: too much")});
}

static void metadata_is_for_guests_with_an_interface_to_it(void **state)
{
	RUN({HTTP_PUT, "/mmds", "{\"a\":1}", 204, NULL}, NET("1", "t"), BOOT, START,
	    {HTTP_GET, "/mmds", NULL, 400, NO_STORE}, {HTTP_PUT, "/mmds", "{}", 400, NO_STORE},
	    {HTTP_PATCH, "/mmds", "{}", 400, NO_STORE});
}

/* --- what clients send: the whole of it, in their order --- */

#define MACHINE(v, m)                                                                              \
	"{\"vcpu_count\":" v ",\"mem_size_mib\":" m ",\"smt\":false,\"track_dirty_pages\":false,"  \
	"\"huge_pages\":\"None\"}"

static void firecracker_go_sdk_starts_pauses_and_stops(void **state)
{
	RUN({HTTP_GET, "/machine-config", NULL, 200, MACHINE("1", "128")},
	    {HTTP_PUT, "/logger",
	     "{\"level\":\"Info\",\"log_path\":\"l\",\"show_level\":true,"
	     "\"show_log_origin\":false}",
	     204, NULL},
	    {HTTP_PUT, "/metrics", "{\"metrics_path\":\"m\"}", 204, NULL},
	    {HTTP_PUT, "/machine-config",
	     "{\"mem_size_mib\":256,\"smt\":false,\"track_dirty_pages\":false,\"vcpu_count\":1}",
	     204, NULL},
	    {HTTP_GET, "/machine-config", NULL, 200, MACHINE("1", "256")},
	    {HTTP_PUT, "/balloon",
	     "{\"amount_mib\":10,\"deflate_on_oom\":true,\"stats_polling_interval_s\":1}", 204,
	     NULL},
	    {HTTP_PUT, "/boot-source",
	     "{\"boot_args\":\"console=ttyS0 reboot=k panic=1 pci=off\","
	     "\"kernel_image_path\":\"vmlinux\"}",
	     204, NULL},
	    {HTTP_PUT, "/drives/root_drive",
	     "{\"cache_type\":\"Unsafe\",\"drive_id\":\"root_drive\",\"io_engine\":\"Async\","
	     "\"is_read_only\":false,\"is_root_device\":true,\"path_on_host\":\"r\"}",
	     204, NULL},
	    {HTTP_PUT, "/drives/1",
	     "{\"drive_id\":\"1\",\"is_read_only\":true,\"is_root_device\":false,"
	     "\"path_on_host\":\"d\",\"rate_limiter\":{\"bandwidth\":{\"one_time_burst\":1,"
	     "\"refill_time\":1000,\"size\":2},\"ops\":{\"refill_time\":1000,\"size\":3}}}",
	     204, NULL},
	    {HTTP_PUT, "/network-interfaces/1",
	     "{\"guest_mac\":\"AA:FC:00:00:00:01\",\"host_dev_name\":\"tap0\",\"iface_id\":\"1\"}",
	     204, NULL},
	    {HTTP_PUT, "/vsock", "{\"guest_cid\":3,\"uds_path\":\"v\",\"vsock_id\":\"1\"}", 204,
	     NULL},
	    {HTTP_PUT, "/mmds/config",
	     "{\"ipv4_address\":\"169.254.169.254\",\"network_interfaces\":[\"1\"],"
	     "\"version\":\"V2\"}",
	     204, NULL},
	    {HTTP_PUT, "/mmds", "{\"latest\":{\"meta-data\":{}}}", 204, NULL}, START,
	    {HTTP_GET, "/", NULL, 200, INSTANCE("Running")},
	    {HTTP_GET, "/version", NULL, 200, "{\"firecracker_version\":\"1.17.0\"}"},
	    {HTTP_GET, "/balloon", NULL, 200, BALLOON("10", "1")},
	    {HTTP_PATCH, "/balloon", "{\"amount_mib\":20}", 204, NULL},
	    {HTTP_PATCH, "/network-interfaces/1",
	     "{\"iface_id\":\"1\",\"rx_rate_limiter\":{\"bandwidth\":{\"refill_time\":1000,"
	     "\"size\":5}}}",
	     204, NULL},
	    {HTTP_PATCH, "/vm", "{\"state\":\"Paused\"}", 204, NULL},
	    {HTTP_PUT, "/snapshot/create", "{\"mem_file_path\":\"m\",\"snapshot_path\":\"s\"}", 400,
	     UNSUPPORTED("snapshots")},
	    {HTTP_PATCH, "/vm", "{\"state\":\"Resumed\"}", 204, NULL},
	    {HTTP_PUT, "/actions", "{\"action_type\":\"SendCtrlAltDel\"}", 204, NULL});
	assert_string_equal(fake.machine->boot.cmdline, "console=ttyS0 reboot=k panic=1 pci=off "
							"pci=off root=/dev/vda rw");
	assert_int_equal(devconf_count(&fake.machine->devices), 5);
}

/* A CID that was never set; stub files that are patched later. */
static void firecracker_containerd_swaps_its_stubs(void **state)
{
	RUN({HTTP_GET, "/machine-config", NULL, 200, MACHINE("1", "128")},
	    {HTTP_PUT, "/machine-config",
	     "{\"mem_size_mib\":128,\"smt\":false,\"vcpu_count\":1,\"cpu_template\":\"None\"}", 204,
	     NULL},
	    {HTTP_PUT, "/boot-source",
	     "{\"boot_args\":\"console=ttyS0 noapic reboot=k panic=1 pci=off nomodules rw\","
	     "\"kernel_image_path\":\"vmlinux\"}",
	     204, NULL},
	    {HTTP_PUT, "/drives/root_drive",
	     "{\"drive_id\":\"root_drive\",\"is_read_only\":true,\"is_root_device\":true,"
	     "\"path_on_host\":\"rootfs\"}",
	     204, NULL},
	    {HTTP_PUT, "/drives/MN2HE43UOVRDA",
	     "{\"drive_id\":\"MN2HE43UOVRDA\",\"is_read_only\":false,\"is_root_device\":false,"
	     "\"path_on_host\":\"stub0\"}",
	     204, NULL},
	    {HTTP_PUT, "/vsock",
	     "{\"guest_cid\":0,\"uds_path\":\"vsock\",\"vsock_id\":\"agent_api\"}", 204, NULL},
	    START,
	    {HTTP_PATCH, "/drives/MN2HE43UOVRDA",
	     "{\"drive_id\":\"MN2HE43UOVRDA\",\"path_on_host\":\"container\"}", 204, NULL},
	    {HTTP_GET, "/", NULL, 200, INSTANCE("Running")});
	assert_string_equal(fake.told, "start\ndisk 1 container\n");
	assert_int_equal(fake.machine->devices.vsock_conf.cid, 0);
	assert_string_equal(fake.machine->boot.cmdline,
			    "console=ttyS0 noapic reboot=k panic=1 pci=off nomodules rw pci=off "
			    "root=/dev/vda ro");
}

/* Empty limiters, nulls, and a root that its kernel arguments name. */
static void kata_in_rust_puts_and_patches(void **state)
{
	RUN({HTTP_PUT, "/boot-source",
	     "{\"kernel_image_path\":\"vmlinux\",\"boot_args\":\"reboot=k panic=1 pci=off "
	     "iommu=off "
	     "root=/dev/vda\"}",
	     204, NULL},
	    {HTTP_PUT, "/machine-config", "{\"mem_size_mib\":2048,\"vcpu_count\":2}", 204, NULL},
	    {HTTP_PUT, "/drives/rootfs",
	     "{\"drive_id\":\"rootfs\",\"path_on_host\":\"image\",\"is_root_device\":false,"
	     "\"is_read_only\":true}",
	     204, NULL},
	    {HTTP_PUT, "/drives/drive1",
	     "{\"drive_id\":\"drive1\",\"path_on_host\":\"drive1\",\"is_root_device\":false,"
	     "\"is_read_only\":false}",
	     204, NULL},
	    {HTTP_PUT, "/drives/drive2",
	     "{\"drive_id\":\"drive2\",\"path_on_host\":\"drive2\",\"is_root_device\":false,"
	     "\"is_read_only\":false}",
	     204, NULL},
	    {HTTP_PUT, "/vsock",
	     "{\"vsock_id\":\"root\",\"guest_cid\":3,\"uds_path\":\"kata.hvsock\"}", 204, NULL},
	    {HTTP_PUT, "/network-interfaces/eth0",
	     "{\"iface_id\":\"eth0\",\"guest_mac\":null,\"host_dev_name\":\"tap0_kata\","
	     "\"rx_rate_limiter\":{},\"tx_rate_limiter\":{}}",
	     204, NULL},
	    START,
	    {HTTP_PATCH, "/drives/drive1",
	     "{\"drive_id\":\"drive1\",\"path_on_host\":\"layer\",\"rate_limiter\":null}", 204,
	     NULL},
	    {HTTP_PATCH, "/drives/drive2",
	     "{\"drive_id\":\"drive2\",\"path_on_host\":\"layer2\",\"rate_limiter\":{\"bandwidth\":"
	     "{\"size\":1,\"one_time_burst\":null,\"refill_time\":1000}}}",
	     204, NULL});
	assert_string_equal(fake.told, "start\ndisk 1 layer\ndisk 2 layer2\n"
				       "disk limits 2 bytes 1/0/1000\n");
	assert_string_equal(fake.machine->boot.cmdline,
			    "reboot=k panic=1 pci=off iommu=off root=/dev/vda pci=off");
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_not_there_is_a_400),
		T(a_body_is_there_or_not_as_the_method_says),
		T(slashes_are_as_rust_splits_them),
		T(an_id_is_of_letters_digits_and_underscores),
		T(a_body_that_cannot_be_read_says_so),
		T(each_request_has_its_phase),
		T(the_instance_tells_its_state),
		T(a_start_that_fails_can_be_tried_again),
		T(actions_reach_the_machine),
		T(each_resource_has_its_prefix),
		T(what_minnow_has_not_it_says),
		T(log_and_metrics_are_told),
		T(levels_are_of_any_case),
		T(requests_are_counted_with_their_mistakes),
		T(a_cpu_template_is_part_of_the_machine),
		T(deprecated_fields_add_a_header_and_a_warning),
		T(a_drive_that_runs_gets_another_file),
		T(a_file_that_cannot_be_had_changes_nothing),
		T(a_network_that_runs_gets_other_limits),
		T(a_balloon_is_set_and_then_changed),
		T(a_balloon_tells_what_it_knows),
		T(without_balloon_or_statistics_there_is_nothing_to_tell),
		T(metadata_is_put_patched_and_read),
		T(metadata_is_for_guests_with_an_interface_to_it),
		T(firecracker_go_sdk_starts_pauses_and_stops),
		T(firecracker_containerd_swaps_its_stubs),
		T(kata_in_rust_puts_and_patches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
