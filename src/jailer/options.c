/* options.c - the jailer's command line [src/jailer/src/env.rs]. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../api/version.h"
#include "jailer.h"

#define NO_FILE_DEFAULT 2048
#define HELP_MAX        8192

// clang-format off
static const struct arg table[] = {
	[ARG_CGROUP] = {"cgroup", .value = true, .many = true,
		.help = "Cgroup and value to be set by the jailer. It must follow this format: "
			"<cgroup_file>=<value> (e.g cpu.shares=10). This argument can be used multiple "
			"times to add multiple cgroups."},
	[ARG_CGROUP_VERSION] = {"cgroup-version", .value = true, .def = "1",
		.help = "Select the cgroup version used by the jailer."},
	[ARG_BASE] = {"chroot-base-dir", .value = true, .def = "/srv/jailer",
		.help = "The base folder where chroot jails are located."},
	[ARG_DAEMONIZE] = {"daemonize",
		.help = "Daemonize the jailer before exec, by invoking setsid(), and redirecting the "
			"standard I/O file descriptors to /dev/null."},
	[ARG_EXEC] = {"exec-file", .value = true, .required = true,
		.help = "File path to exec into."},
	[ARG_GID] = {"gid", .value = true, .required = true,
		.help = "The group identifier the jailer switches to after exec."},
	[ARG_HELP] = {"help", .help = "Show the help message."},
	[ARG_ID] = {"id", .value = true, .required = true, .help = "Jail ID."},
	[ARG_NETNS] = {"netns", .value = true,
		.help = "Path to the network namespace this microVM should join."},
	[ARG_NEW_PID_NS] = {"new-pid-ns", .help = "Exec into a new PID namespace."},
	[ARG_PARENT_CGROUP] = {"parent-cgroup", .value = true,
		.help = "Parent cgroup in which the cgroup of this microvm will be placed."},
	[ARG_LIMIT] = {"resource-limit", .value = true, .many = true,
		.help = "Resource limit values to be set by the jailer. It must follow this format: "
			"<resource>=<value> (e.g no-file=1024). This argument can be used multiple "
			"times to add multiple resource limits. Current available resource values "
			"are:\n\t\tfsize: The maximum size in bytes for files created by the process."
			"\n\t\tno-file: Specifies a value one greater than the maximum file descriptor "
			"number that can be opened by this process."},
	[ARG_UID] = {"uid", .value = true, .required = true,
		.help = "The user identifier the jailer switches to after exec."},
	[ARG_VERSION] = {"version", .help = "Print the binary version number."},
};
// clang-format on
_Static_assert(ARRAY_SIZE(table) == ARG_N && ARG_N <= ARGS_MAX, "a row for every argument");

static int print_text(const struct args *a)
{
	char text[HELP_MAX];
	size_t n = (size_t)snprintf(text, sizeof(text), "Jailer v" FC_VERSION "\n\n");

	if (a->help) {
		n += args_help(table, ARG_N, text + n, sizeof(text) - n);
		n += (size_t)snprintf(
			text + n, sizeof(text) - n,
			"\n\nAny arguments after the -- separator will be supplied to "
			"the jailed binary.\n\n");
	}
	return write(STDOUT_FILENO, text, n) == (ssize_t)n ? 1 : -1;
}

/* `path` without links, which must be of `type`. */
static int canonical(char out[PATH_MAX], const char *path, mode_t type)
{
	struct stat st;

	if (!realpath(path, out) || stat(out, &st))
		return fail_os(errno, "Failed to canonicalize path %s", path);
	if ((st.st_mode & S_IFMT) != type)
		return fail("%s is not a %s", out, type == S_IFDIR ? "directory" : "file");
	return 0;
}

/* BASE/EXEC_NAME/ID/root */
static int find_root(struct jail *j, const char *base_path)
{
	char base[PATH_MAX];

	if (canonical(base, base_path, S_IFDIR))
		return -1;
	if ((size_t)snprintf(j->root, sizeof(j->root), "%s/%s/%s/root",
			     strcmp(base, "/") ? base : "", j->exec_name, j->id) >= sizeof(j->root))
		return fail_os(ENAMETOOLONG, "Failed to create directory %s", base);
	return 0;
}

/* What Rust says of a number that is none. */
static const char *wrong_number(const char *s)
{
	uint64_t n;

	if (!*s)
		return "cannot parse integer from empty string";
	for (const char *p = s + (*s == '+'); *p; p++)
		if (*p < '0' || *p > '9')
			return "invalid digit found in string";
	if (!strcmp(s, "+"))
		return "invalid digit found in string";
	return args_number(s, UINT64_MAX, &n) ? NULL : "number too large to fit in target type";
}

static int take_limits(struct jail *j)
{
	int pos = 0;

	j->no_file = NO_FILE_DEFAULT;
	for (const char *arg; (arg = args_next(&j->args, ARG_LIMIT, &pos));) {
		const char *val = strchr(arg, '='), *wrong;
		int len = val ? (int)(val++ - arg) : 0;
		uint64_t n = 0;

		if (!val)
			return fail("Invalid format for resources limits: %s", arg);
		wrong = wrong_number(val);
		if (wrong)
			return fail("Invalid limit value for resource: %s: %s", val, wrong);
		args_number(val, UINT64_MAX, &n);
		if (len == 5 && !strncmp(arg, "fsize", 5)) {
			j->limit_fsize = true;
			j->fsize = n;
		} else if (len == 7 && !strncmp(arg, "no-file", 7)) {
			j->no_file = n;
		} else {
			return fail("Invalid resource argument: %.*s", len, arg);
		}
	}
	return 0;
}

static int take_ids(struct jail *j)
{
	uint64_t n;

	if (!args_number(j->args.val[ARG_UID], UINT32_MAX, &n))
		return fail("Invalid uid: %s", j->args.val[ARG_UID]);
	j->uid = (uid_t)n;
	if (!args_number(j->args.val[ARG_GID], UINT32_MAX, &n))
		return fail("Invalid gid: %s", j->args.val[ARG_GID]);
	j->gid = (gid_t)n;
	return 0;
}

/* The minor number of the device named so, which the kernel chooses; -1: it has none. */
static int misc_minor(const char *name)
{
	char buf[4096];
	int fd = open("/proc/misc", O_RDONLY | O_CLOEXEC), minor = -1;
	ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf) - 1);
	char *save, *line;

	if (fd >= 0)
		close(fd);
	buf[MAX(n, 0)] = '\0';
	for (line = strtok_r(buf, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *end;
		long m = strtol(line, &end, 10);

		if (end != line && *end == ' ' && !strcmp(end + 1, name) && m >= 0 && m < 1 << 20)
			minor = (int)m;
	}
	return minor;
}

int options_parse(struct jail *j, int argc, char **argv)
{
	const char *const *val = j->args.val;
	char why[512];

	if (args_parse(&j->args, table, ARG_N, argc, argv, why, sizeof(why)))
		return fail("Failed to parse arguments: %s", why);
	if (j->args.help || j->args.version)
		return print_text(&j->args);
	j->id = val[ARG_ID];
	if (args_id(j->id, why, sizeof(why)))
		return fail("Invalid instance ID: %s", why);
	if (canonical(j->exec, val[ARG_EXEC], S_IFREG))
		return -1;
	j->exec_name = strrchr(j->exec, '/') + 1;
	j->netns = val[ARG_NETNS];
	j->daemonize = val[ARG_DAEMONIZE];
	j->new_pid_ns = val[ARG_NEW_PID_NS];
	if (find_root(j, val[ARG_BASE]) || take_ids(j) || cgroup_prepare(j) || take_limits(j))
		return -1;
	j->uffd_minor = misc_minor("userfaultfd");
	return 0;
}
