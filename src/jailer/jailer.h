/*
 * jailer.h - Firecracker's jailer: a program that puts another one into a folder of its own as its
 * root, with what it needs of devices and no more, and ends by becoming it [docs/jailer.md].
 *
 * The operator who starts it is root and is trusted, paths and all. One thread; a failure is one
 * sentence on stderr and status 1.
 */
#pragma once
#include <limits.h>
#include <sys/types.h>

#include "../api/args.h"
#include "../util.h"

struct jail {
	struct args args;
	const char *id, *netns; /* netns: path, or NULL */
	char exec[PATH_MAX];    /* what becomes of us, without links */
	const char *exec_name;  /* its last part */
	char root[PATH_MAX];    /* BASE/EXEC_NAME/ID/root */
	uid_t uid;
	gid_t gid;
	bool daemonize, new_pid_ns;
	bool limit_fsize;
	uint64_t fsize, no_file;                 /* resource limits */
	int uffd_minor;                          /* of /dev/userfaultfd; -1: this kernel has none */
	int null_fd;                             /* /dev/null, to daemonize; -1 */
	uint64_t start_us, start_cpu_us, cpu_us; /* when we began; what we took so far */
};

/* Print the sentence, then "what the error means (os error N)" if `err`; give -1. */
int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int fail_os(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A path of "a/b"; cut paths do not happen: the kernel refuses what is longer. */
void join(char out[PATH_MAX], const char *a, const char *b);
/* The folder and all above it. 0 or -1, failed. */
int make_folders(const char *path);
/* Whether a path leaves the folder that it is put under: "/x", "./x", "x/../y". */
bool path_leaves(const char *path);

/* options.c: what the command line asks for. 0; -1, failed; 1: a text was printed. */
int options_parse(struct jail *j, int argc, char **argv);

/*
 * cgroup.c: all of --cgroup, --cgroup-version and --parent-cgroup. cgroup_prepare() checks, and
 * joins the parent group where that is all that is asked; cgroup_enter() makes the groups, sets
 * their values and joins them. 0 or -1, failed.
 */
int cgroup_prepare(struct jail *j);
int cgroup_enter(const struct jail *j);

/* jail.c: 0 or -1, failed. */
int jail_copy_exec(const struct jail *j);
int jail_enter(const struct jail *j);    /* the root */
int jail_populate(const struct jail *j); /* folders and devices, once inside */

/* Arguments, by place in the table. */
enum {
	ARG_CGROUP,
	ARG_CGROUP_VERSION,
	ARG_BASE,
	ARG_DAEMONIZE,
	ARG_EXEC,
	ARG_GID,
	ARG_HELP,
	ARG_ID,
	ARG_NETNS,
	ARG_NEW_PID_NS,
	ARG_PARENT_CGROUP,
	ARG_LIMIT,
	ARG_UID,
	ARG_VERSION,
	ARG_N,
};
