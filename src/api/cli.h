/* cli.h - Firecracker's command line and exit codes. */
#pragma once
#include "../log.h"
#include "../util.h"

/* How a Firecracker ends [vmm/src/lib.rs, FcExitCode]; clients tell the cases apart by them. */
enum fc_exit {
	FC_EXIT_OK = 0,
	FC_EXIT_ERROR = 1,
	FC_EXIT_UNEXPECTED = 2,
	FC_EXIT_BAD_SYSCALL = 148, /* seccomp */
	FC_EXIT_SIGBUS = 149,
	FC_EXIT_SIGSEGV = 150,
	FC_EXIT_SIGXFSZ = 151,
	FC_EXIT_BAD_CONFIG = 152,
	FC_EXIT_ARGS = 153,
	FC_EXIT_SIGXCPU = 154,
	FC_EXIT_SIGPIPE = 155,
	FC_EXIT_SIGHUP = 156,
	FC_EXIT_SIGILL = 157,
};

#define FC_PAYLOAD_MAX 51200      /* bytes of a request's body, unless told otherwise */
#define FC_NOT_GIVEN   UINT64_MAX /* of the times */

/* Strings are argv's own. */
struct fc_opts {
	bool help, version, snapshot_version; /* print that and end */
	const char *describe_snapshot;        /* path, or NULL */
	const char *api_sock, *id;
	const char *config_file, *metadata; /* NULL: not given, as all below */
	const char *log_path, *module, *metrics_path;
	enum log_level level; /* LEVEL_INFO if not given */
	bool no_api, no_seccomp, boot_timer, enable_pci, show_level, show_log_origin;
	uint64_t http_api_max_payload_size, mmds_size_limit;
	uint64_t start_time_us, start_time_cpu_us, parent_cpu_time_us; /* or FC_NOT_GIVEN */
};

/* FC_EXIT_OK, or the exit code with one sentence logged. */
enum fc_exit cli_parse(struct fc_opts *o, int argc, char **argv);
/* What --help or --version asks for, on stdout. `minnow` is our own version. */
enum fc_exit cli_print(const struct fc_opts *o, const char *minnow);
/* The last words of the process, as clients know them; returns `code`. */
enum fc_exit cli_end(enum fc_exit code);
