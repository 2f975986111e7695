/*
 * probe.c - what a program finds in its jail, written line by line to /facts. With "wait" as its
 * last argument it then stays until it is killed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static FILE *out;

static void put_folder(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		char name[512];
		struct stat st;

		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		if (!strcmp(e->d_name, "..") || lstat(name, &st))
			continue;
		fprintf(out, "file %s/%s %o %u %u %u:%u %lld\n", strcmp(path, "/") ? path : "",
			e->d_name, st.st_mode, st.st_uid, st.st_gid, major(st.st_rdev),
			minor(st.st_rdev), (long long)st.st_size);
	}
	if (dir)
		closedir(dir);
}

static void put_ids(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct cap[2] = {{0}};
	uid_t uid[3] = {0};
	gid_t gid[3] = {0};

	getresuid(&uid[0], &uid[1], &uid[2]);
	getresgid(&gid[0], &gid[1], &gid[2]);
	fprintf(out, "uid %u %u %u\ngid %u %u %u\ngroups %d\n", uid[0], uid[1], uid[2], gid[0],
		gid[1], gid[2], getgroups(0, NULL));
	syscall(SYS_capget, &head, cap);
	fprintf(out, "caps %x%08x\nno_new_privs %d\n", cap[1].permitted, cap[0].permitted,
		prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	fprintf(out, "pid %d\nppid %d\nleader %d\n", getpid(), getppid(), getsid(0) == getpid());
}

static void put_process(char **argv)
{
	struct rlimit fsize, no_file;
	struct sigaction sa;
	struct timespec now;
	unsigned env = 0;
	char cwd[256];

	while (environ[env])
		env++;
	for (unsigned i = 0; argv[i]; i++)
		fprintf(out, "arg %s\n", argv[i]);
	clock_gettime(CLOCK_MONOTONIC, &now);
	fprintf(out, "now_us %lld\n", now.tv_sec * 1000000ll + now.tv_nsec / 1000);
	getrlimit(RLIMIT_FSIZE, &fsize);
	getrlimit(RLIMIT_NOFILE, &no_file);
	sigaction(SIGPIPE, NULL, &sa);
	fprintf(out, "env %u\ncwd %s\nfsize %llu %llu\nno_file %llu %llu\n", env,
		getcwd(cwd, sizeof(cwd)) ? cwd : "?", (unsigned long long)fsize.rlim_cur,
		(unsigned long long)fsize.rlim_max, (unsigned long long)no_file.rlim_cur,
		(unsigned long long)no_file.rlim_max);
	fprintf(out, "sigpipe %s\n", sa.sa_handler == SIG_DFL ? "default" : "other");
}

static void put_fds(void)
{
	struct stat st;

	for (int fd = 0; fd < 1024; fd++)
		if (fd != fileno(out) && fstat(fd, &st) == 0)
			fprintf(out, "fd %d %o %u:%u %d\n", fd, st.st_mode & S_IFMT,
				major(st.st_rdev), minor(st.st_rdev),
				fcntl(fd, F_GETFL) & O_ACCMODE);
}

int main(int argc, char **argv)
{
	static const char *const folder[] = {"/", "/dev", "/dev/net", "/run"};
	struct if_nameindex *nets;
	int kvm;

	out = fopen("/facts.new", "w");
	if (!out)
		return 9;
	put_ids();
	put_process(argv);
	put_fds();
	for (unsigned i = 0; i < sizeof(folder) / sizeof(folder[0]); i++)
		put_folder(folder[i]);
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	fprintf(out, "kvm %s\n", kvm < 0 ? strerror(errno) : "opens");
	nets = if_nameindex();
	for (unsigned i = 0; nets && nets[i].if_name; i++)
		fprintf(out, "net %s\n", nets[i].if_name);
	fclose(out);
	rename("/facts.new", "/facts");
	if (!strcmp(argv[argc - 1], "wait"))
		pause();
	return 0;
}
