/* main.c - the jailer from its arguments to the program that it becomes, in order. */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../api/os_error.h"
#include "jailer.h"

#define OWN_ARGS 9 /* the program's name, and four names with a value */

int fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return -1;
}

int fail_os(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", os_error(err));
	return -1;
}

void join(char out[PATH_MAX], const char *a, const char *b)
{
	if ((size_t)snprintf(out, PATH_MAX, "%s/%s", a, b) >= PATH_MAX)
		out[PATH_MAX - 1] = '\0';
}

int make_folders(const char *path)
{
	char up[PATH_MAX];
	char *slash;

	/* Most often all but the last is there. */
	if (mkdir(path, 0777) == 0 || errno == EEXIST)
		return 0;
	if (errno != ENOENT)
		return fail_os(errno, "Failed to create directory %s", path);
	snprintf(up, sizeof(up), "%s", path);
	slash = strrchr(up, '/');
	if (!slash || slash == up)
		return fail_os(ENOENT, "Failed to create directory %s", path);
	*slash = '\0';
	if (make_folders(up))
		return -1;
	if (mkdir(path, 0777) && errno != EEXIST)
		return fail_os(errno, "Failed to create directory %s", path);
	return 0;
}

bool path_leaves(const char *path)
{
	if (*path == '/' || (path[0] == '.' && (!path[1] || path[1] == '/')))
		return true;
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && !memcmp(path, "..", 2))
			return true;
		path += n;
		path += *path != '\0';
	}
	return false;
}

static uint64_t microseconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Nothing of the caller's is open but stdin, stdout and stderr, and those three are. */
static int clean_fds(void)
{
	struct pollfd std[3] = {{.fd = 0}, {.fd = 1}, {.fd = 2}};

	if (syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_UNSHARE))
		return fail_os(errno, "Failed to close range of file descriptors");
	if (poll(std, ARRAY_SIZE(std), 0) < 0)
		return 0;
	for (unsigned i = 0; i < ARRAY_SIZE(std); i++)
		if (std[i].revents & POLLNVAL && open("/dev/null", O_RDWR) < 0)
			return fail_os(errno, "Failed to open /dev/null");
	return 0;
}

static int join_netns(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return fail_os(errno, "Failed to open file %s", path);
	if (setns(fd, CLONE_NEWNET))
		err = fail_os(errno, "Failed to join network namespace: netns");
	close(fd);
	return err;
}

static int set_limits(const struct jail *j)
{
	const struct rlimit fsize = {j->fsize, j->fsize}, no_file = {j->no_file, j->no_file};

	if (j->limit_fsize && setrlimit(RLIMIT_FSIZE, &fsize))
		return fail("Failed to set limit for resource: size of file");
	if (setrlimit(RLIMIT_NOFILE, &no_file))
		return fail("Failed to set limit for resource: number of file descriptors");
	return 0;
}

/* Two forks: the child leads a session without terminal, the grandchild cannot get one again. */
static int daemonize(struct jail *j)
{
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return fail_os(errno, "Failed to daemonize");
		if (pid)
			_exit(0);
		if (i == 0 && setsid() < 0)
			return fail_os(errno, "Failed to daemonize: setsid");
		j->cpu_us += microseconds(CLOCK_PROCESS_CPUTIME_ID);
	}
	for (int fd = 0; fd < 3; fd++)
		if (dup2(j->null_fd, fd) < 0)
			return fail_os(errno, "Failed to duplicate fd");
	return 0;
}

/* A limit of files' size is a failure as any other, not a signal. */
static int put_text(int fd, const char *text, size_t n)
{
	ssize_t done = 0;

	signal(SIGXFSZ, SIG_IGN);
	while (n && (done = write(fd, text, n)) > 0) {
		text += done;
		n -= (size_t)done;
	}
	signal(SIGXFSZ, SIG_DFL);
	return n ? -1 : 0;
}

static int write_pid(const struct jail *j, pid_t pid)
{
	char path[PATH_MAX], text[16];
	int fd, n = snprintf(text, sizeof(text), "%d", pid), err = 0;

	snprintf(path, sizeof(path), "/%.*s.pid", PATH_MAX - 8, j->exec_name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return fail_os(errno, "Failed to open file %s", path);
	if (put_text(fd, text, (size_t)n))
		err = fail_os(errno, "Failed to write to %s", path);
	close(fd);
	return err;
}

/*
 * Leaving root takes all capabilities, but not from a caller that set SECBIT_NO_SETUID_FIXUP; and
 * nothing that the program runs gives any back. A jail of root's keeps what it has, as
 * Firecracker's does.
 */
static int become_user(const struct jail *j)
{
	if (setgid(j->gid) || (getuid() == 0 && setgroups(0, NULL)) || setuid(j->uid))
		return -1;
	if (!j->uid)
		return 0;
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_CAPS) < 0)
		return -1;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* Returns only when it failed. */
static int become_program(const struct jail *j)
{
	static char *no_env[] = {NULL};
	char path[PATH_MAX], start[24], start_cpu[24], parent_cpu[24];
	/* In the place of our own arguments, of which four are required and have a value each. */
	char **argv = j->args.extra - OWN_ARGS;

	snprintf(path, sizeof(path), "/%.*s", PATH_MAX - 2, j->exec_name);
	snprintf(start, sizeof(start), "%llu", (unsigned long long)j->start_us);
	snprintf(start_cpu, sizeof(start_cpu), "%llu",
		 (unsigned long long)microseconds(CLOCK_PROCESS_CPUTIME_ID));
	snprintf(parent_cpu, sizeof(parent_cpu), "%llu", (unsigned long long)j->cpu_us);
	argv[0] = path;
	argv[1] = "--id";
	argv[2] = (char *)j->id;
	argv[3] = "--start-time-us";
	argv[4] = start;
	argv[5] = "--start-time-cpu-us";
	argv[6] = start_cpu;
	argv[7] = "--parent-cpu-time-us";
	argv[8] = parent_cpu;
	signal(SIGPIPE, SIG_DFL);
	if (become_user(j) == 0)
		execve(path, argv, no_env);
	return fail_os(errno, "Failed to exec into Firecracker");
}

/*
 * The child is init of a namespace of its own, and nobody waits for it. When we lead the session,
 * our end would send it SIGHUP: then it leads one itself.
 */
static int become_init(const struct jail *j)
{
	bool leader = !j->daemonize && getsid(0) == getpid();
	pid_t pid = (pid_t)syscall(SYS_clone, (unsigned long)CLONE_NEWPID, NULL, NULL, NULL, 0ul);

	if (pid < 0)
		return fail_os(errno, "Failed cloning into a new child process");
	if (pid) {
		int err = write_pid(j, pid);

		if (err) /* nobody would know of it */
			kill(pid, SIGKILL);
		return err;
	}
	if (leader && setsid() < 0)
		return fail_os(errno, "Failed to daemonize: setsid");
	return become_program(j);
}

static int run(struct jail *j)
{
	j->null_fd = -1;
	if (make_folders(j->root) || jail_copy_exec(j) || (j->netns && join_netns(j->netns)) ||
	    set_limits(j) || cgroup_enter(j))
		return -1;
	if (j->daemonize) {
		j->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (j->null_fd < 0)
			return fail_os(errno, "Failed to open /dev/null");
	}
	if (jail_enter(j) || jail_populate(j))
		return -1;
	j->cpu_us = microseconds(CLOCK_PROCESS_CPUTIME_ID) - j->start_cpu_us;
	if (j->daemonize && daemonize(j))
		return -1;
	if (j->new_pid_ns)
		return become_init(j);
	return write_pid(j, getpid()) ? -1 : become_program(j);
}

int main(int argc, char **argv)
{
	static struct jail jail;
	int err;

	jail.start_us = microseconds(CLOCK_MONOTONIC);
	jail.start_cpu_us = microseconds(CLOCK_PROCESS_CPUTIME_ID);
	err = clean_fds();
	if (!err)
		err = options_parse(&jail, argc, argv);
	if (!err)
		err = run(&jail);
	_exit(err < 0 ? 1 : 0);
}
