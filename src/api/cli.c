/*
 * cli.c - Firecracker's command line [src/firecracker/src/main.rs]. Where Firecracker panics, on an
 * id or a number that is none, this ends with the code of a bad command line.
 */
#include "cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "logger.h"
#include "version.h"

#define HELP_MAX 8192

// clang-format off
enum {
	ARG_API_SOCK, ARG_BOOT_TIMER, ARG_CONFIG_FILE, ARG_DESCRIBE_SNAPSHOT, ARG_ENABLE_PCI, ARG_HELP,
	ARG_PAYLOAD, ARG_ID, ARG_LEVEL, ARG_LOG_PATH, ARG_METADATA, ARG_METRICS_PATH, ARG_MMDS_LIMIT,
	ARG_MODULE, ARG_NO_API, ARG_NO_SECCOMP, ARG_PARENT_CPU_TIME, ARG_SECCOMP_FILTER, ARG_SHOW_LEVEL,
	ARG_SHOW_ORIGIN, ARG_SNAPSHOT_VERSION, ARG_START_CPU_TIME, ARG_START_TIME, ARG_VERSION, ARG_N,
};

static const struct arg table[] = {
	[ARG_API_SOCK] = {"api-sock", .value = true, .def = "/run/firecracker.socket",
		.help = "Path to unix domain socket used by the API."},
	[ARG_BOOT_TIMER] = {"boot-timer",
		.help = "Whether or not to load boot timer device for logging elapsed time since "
			"InstanceStart command."},
	[ARG_CONFIG_FILE] = {"config-file", .value = true,
		.help = "Path to a file that contains the microVM configuration in JSON format."},
	[ARG_DESCRIBE_SNAPSHOT] = {"describe-snapshot", .value = true,
		.help = "Print the data format version of the provided snapshot state file."},
	[ARG_ENABLE_PCI] = {"enable-pci", .help = "Enables PCIe support."},
	[ARG_HELP] = {"help", .help = "Show the help message."},
	[ARG_PAYLOAD] = {"http-api-max-payload-size", .value = true, .def = "51200",
		.help = "Http API request payload max size, in bytes."},
	[ARG_ID] = {"id", .value = true, .def = "anonymous-instance",
		.help = "MicroVM unique identifier."},
	[ARG_LEVEL] = {"level", .value = true, .help = "Set the logger level."},
	[ARG_LOG_PATH] = {"log-path", .value = true,
		.help = "Path to a fifo or a file used for configuring the logger on startup."},
	[ARG_METADATA] = {"metadata", .value = true,
		.help = "Path to a file that contains metadata in JSON format to add to the mmds."},
	[ARG_METRICS_PATH] = {"metrics-path", .value = true,
		.help = "Path to a fifo or a file used for configuring the metrics on startup."},
	[ARG_MMDS_LIMIT] = {"mmds-size-limit", .value = true,
		.help = "Mmds data store limit, in bytes."},
	[ARG_MODULE] = {"module", .value = true, .help = "Set the logger module filter."},
	[ARG_NO_API] = {"no-api", .requires = "config-file",
		.help = "Optional parameter which allows starting and using a microVM without an "
			"active API socket."},
	[ARG_NO_SECCOMP] = {"no-seccomp", .forbids = "seccomp-filter",
		.help = "Optional parameter which allows starting and using a microVM without seccomp "
			"filtering. Not recommended."},
	[ARG_PARENT_CPU_TIME] = {"parent-cpu-time-us", .value = true,
		.help = "Parent process CPU time (wall clock, microseconds). This parameter is "
			"optional."},
	[ARG_SECCOMP_FILTER] = {"seccomp-filter", .value = true, .forbids = "no-seccomp",
		.help = "Optional parameter which allows specifying the path to a custom seccomp "
			"filter. For advanced users."},
	[ARG_SHOW_LEVEL] = {"show-level",
		.help = "Whether or not to output the level in the logs."},
	[ARG_SHOW_ORIGIN] = {"show-log-origin",
		.help = "Whether or not to include the file path and line number of the log's origin."},
	[ARG_SNAPSHOT_VERSION] = {"snapshot-version",
		.help = "Print the supported data format version."},
	[ARG_START_CPU_TIME] = {"start-time-cpu-us", .value = true,
		.help = "Process start CPU time (wall clock, microseconds). This parameter is "
			"optional."},
	[ARG_START_TIME] = {"start-time-us", .value = true,
		.help = "Process start time (wall clock, microseconds). This parameter is optional."},
	[ARG_VERSION] = {"version", .help = "Print the binary version number."},
};
// clang-format on
_Static_assert(ARRAY_SIZE(table) == ARG_N && ARG_N <= ARGS_MAX, "a row for every argument");

static int take_numbers(struct fc_opts *o, const struct args *a)
{
	const struct {
		unsigned arg;
		const char *type;
		uint64_t *to;
	} number[] = {
		{ARG_PAYLOAD,         "usize", &o->http_api_max_payload_size},
		{ARG_MMDS_LIMIT,      "usize", &o->mmds_size_limit          },
		{ARG_START_TIME,      "u64",   &o->start_time_us            },
		{ARG_START_CPU_TIME,  "u64",   &o->start_time_cpu_us        },
		{ARG_PARENT_CPU_TIME, "u64",   &o->parent_cpu_time_us       },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(number); i++) {
		const char *s = a->val[number[i].arg];

		*number[i].to = FC_NOT_GIVEN;
		if (s && !args_number(s, UINT64_MAX, number[i].to)) {
			log_err("'%s' parameter expected to be of '%s' type.",
				table[number[i].arg].name, number[i].type);
			return FC_EXIT_ARGS;
		}
	}
	if (!a->val[ARG_MMDS_LIMIT])
		o->mmds_size_limit = o->http_api_max_payload_size;
	return FC_EXIT_OK;
}

/* Checks in Firecracker's order, so that of two mistakes the same one is told. */
static enum fc_exit take_values(struct fc_opts *o, const struct args *a)
{
	const char *level = a->val[ARG_LEVEL], *filter = a->val[ARG_SECCOMP_FILTER];
	char why[128];

	if (args_id(o->id, why, sizeof(why))) {
		log_err("Invalid instance ID: %s", why);
		return FC_EXIT_ARGS;
	}
	if (level && !logger_level(level, &o->level)) {
		log_err("Invalid value for logger level: Failed to parse string to level filter: "
			"%s.Possible values: [Error, Warning, Info, Debug]",
			level);
		return FC_EXIT_BAD_CONFIG;
	}
	/*
	 * A filter is a list of the system calls of one program. One that was made for Firecracker
	 * would kill this program at once, and to leave it aside would be a lie to who asked for
	 * it.
	 */
	if (filter) {
		log_err("Seccomp error: --seccomp-filter %s: minnow has its filters compiled in, "
			"and takes no others; leave the option out",
			filter);
		return FC_EXIT_ERROR;
	}
	return take_numbers(o, a);
}

enum fc_exit cli_parse(struct fc_opts *o, int argc, char **argv)
{
	struct args a;
	char why[512];

	*o = (struct fc_opts){.level = LEVEL_INFO};
	if (args_parse(&a, table, ARG_N, argc, argv, why, sizeof(why))) {
		/* The backslashes are Firecracker's. */
		log_err("Arguments parsing error: %s \\n\\nFor more information try --help.", why);
		return FC_EXIT_ARGS;
	}
	o->help = a.help;
	o->version = a.version;
	if (a.help || a.version)
		return FC_EXIT_OK;
	o->snapshot_version = a.val[ARG_SNAPSHOT_VERSION];
	o->describe_snapshot = a.val[ARG_DESCRIBE_SNAPSHOT];
	o->api_sock = a.val[ARG_API_SOCK];
	o->id = a.val[ARG_ID];
	o->config_file = a.val[ARG_CONFIG_FILE];
	o->metadata = a.val[ARG_METADATA];
	o->log_path = a.val[ARG_LOG_PATH];
	o->module = a.val[ARG_MODULE];
	o->metrics_path = a.val[ARG_METRICS_PATH];
	o->no_api = a.val[ARG_NO_API];
	o->no_seccomp = a.val[ARG_NO_SECCOMP];
	o->boot_timer = a.val[ARG_BOOT_TIMER];
	o->enable_pci = a.val[ARG_ENABLE_PCI];
	o->show_level = a.val[ARG_SHOW_LEVEL];
	o->show_log_origin = a.val[ARG_SHOW_ORIGIN];
	if (o->snapshot_version || o->describe_snapshot)
		return FC_EXIT_OK; /* which Firecracker does before it looks at the rest */
	return take_values(o, &a);
}

static bool print(int fd, const char *text, size_t len)
{
	return write(fd, text, len) == (ssize_t)len;
}

enum fc_exit cli_print(const struct fc_opts *o, const char *minnow)
{
	char text[HELP_MAX];
	size_t n = (size_t)snprintf(text, sizeof(text), "Firecracker v" FC_VERSION "\n\n");

	if (o->help)
		n += args_help(table, ARG_N, text + n, sizeof(text) - n);
	else
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "minnow %s, in Firecracker's place", minnow);
	n = MIN(n, sizeof(text) - 1);
	text[n++] = '\n';
	return print(STDOUT_FILENO, text, n) ? FC_EXIT_OK : FC_EXIT_ERROR;
}

enum fc_exit cli_end(enum fc_exit code)
{
	char text[1100];
	int n;

	if (code == FC_EXIT_OK) {
		log_info("Firecracker exiting successfully. exit_code=0");
		return code;
	}
	/* The log may be a file: who started the process reads its stderr. */
	n = snprintf(text, sizeof(text), "Error: %s\n", log_last());
	if (n > 0 && *log_last())
		print(STDERR_FILENO, text, MIN((size_t)n, sizeof(text) - 1));
	log_err("Firecracker exiting with error. exit_code=%d", code);
	return code;
}
