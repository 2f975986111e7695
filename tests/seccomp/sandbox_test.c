/*
 * sandbox_test.c - each thread role's filter, loaded in a child that then makes one system call:
 * what the role needs goes through, everything else ends the process. TAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/vhost.h>

#include "../../src/sandbox.h"

#define CALL_RETURNED 42
#define X32           0x40000000l

enum {
	VCPU = 1,
	VCPU_TEST = 2,
	LOOP = 4,
	DEVICES = 8,
	VSOCK = 16,
	IO = 32,
	API = 64,
	VHOST = 128,
	NONE = 0,
	VCPUS = VCPU | VCPU_TEST | VHOST,
	SOCKETS = VSOCK | API,
	DEVS = DEVICES | SOCKETS, /* the loop with virtio devices */
	LOOPS = LOOP | DEVS,
	ALL = VCPUS | LOOPS, /* all that touch chips */
	EVERY = ALL | IO,
};

static const struct role {
	const char *name;
	unsigned bit;
	int (*load)(void);
} roles[] = {
	{"vcpu",         VCPU,      sandbox_vcpu        },
	{"vcpu_vhost",   VHOST,     sandbox_vcpu_vhost  },
	{"vcpu_test",    VCPU_TEST, sandbox_vcpu_test   },
	{"loop",         LOOP,      sandbox_loop        },
	{"loop_devices", DEVICES,   sandbox_loop_devices},
	{"loop_vsock",   VSOCK,     sandbox_loop_vsock  },
	{"loop_api",     API,       sandbox_loop_api    },
	{"io",           IO,        sandbox_io          },
};

static char page[8192] __attribute__((aligned(4096)));
static char text[64];
static struct pollfd polled = {.fd = -1};

/* One system call and who may make it. On descriptor -1 an allowed one fails with EBADF. */
// clang-format off
static const struct row {
	const char *name;
	unsigned allowed;
	long nr, a0, a1, a2, a3;
} rows[] = {
#define P(x) ((long)(x))
	/* never: new programs, files, connections, code, other processes */
	{"execve",             NONE,      SYS_execve,       P("/bin/true"), 0, 0, 0},
	{"execveat",           NONE,      SYS_execveat,     -1, P(""), 0, 0},
	{"open",               NONE,      SYS_open,         P("/etc/passwd"), O_RDONLY, 0, 0},
	{"openat",             API,       SYS_openat,       AT_FDCWD, P("/etc/passwd"), O_RDONLY, 0},
	{"openat2",            NONE,      SYS_openat2,      AT_FDCWD, P("/"), 0, 0},
	{"creat",              NONE,      SYS_creat,        P("/tmp/x"), 0600, 0, 0},
	{"unlink",             SOCKETS,      SYS_unlink,       P("/tmp/x"), 0, 0, 0},
	{"socket",             SOCKETS,      SYS_socket,       AF_UNIX, SOCK_STREAM, 0, 0},
	{"socket of netlink",  NONE,      SYS_socket,       AF_NETLINK, SOCK_RAW, 0, 0},
	{"connect",            SOCKETS,      SYS_connect,      -1, 0, 0, 0},
	{"bind",               NONE,      SYS_bind,         -1, 0, 0, 0},
	{"mmap executable",    NONE,      SYS_mmap,         0, 4096, PROT_READ | PROT_EXEC,
	                                                    MAP_PRIVATE | MAP_ANONYMOUS},
	{"mmap",               NONE,      SYS_mmap,         0, 4096, PROT_READ,
	                                                    MAP_PRIVATE | MAP_ANONYMOUS},
	{"mprotect executable", NONE,     SYS_mprotect,     P(page), 4096, PROT_READ | PROT_EXEC, 0},
	{"mprotect all",       NONE,      SYS_mprotect,     P(page), 4096, PROT_READ | PROT_WRITE |
	                                                    PROT_EXEC, 0},
	{"ptrace",             NONE,      SYS_ptrace,       PTRACE_TRACEME, 0, 0, 0},
	{"process_vm_writev",  NONE,      SYS_process_vm_writev, 1, 0, 0, 0},
	{"kill",               NONE,      SYS_kill,         0, 0, 0, 0},
	{"fork",               NONE,      SYS_fork,         0, 0, 0, 0},
	{"clone",              NONE,      SYS_clone,        SIGCHLD, 0, 0, 0},
	{"clone3",             NONE,      SYS_clone3,       0, 0, 0, 0},
	{"unshare",            NONE,      SYS_unshare,      0, 0, 0, 0},
	{"setuid",             NONE,      SYS_setuid,       0, 0, 0, 0},
	{"prctl",              NONE,      SYS_prctl,        PR_SET_DUMPABLE, 1, 0, 0},
	{"bpf",                NONE,      SYS_bpf,          0, 0, 0, 0},
	{"io_uring_setup",     NONE,      SYS_io_uring_setup, 1, 0, 0, 0},
	{"dup2",               NONE,      SYS_dup2,         0, 5, 0, 0},
	{"rt_sigaction",       NONE,      SYS_rt_sigaction, SIGSYS, P(page), 0, 8},
	{"rt_sigaction asked", LOOPS,      SYS_rt_sigaction, SIGTERM, 0, P(page), 8},
	{"seccomp",            NONE,      SYS_seccomp,      0, 0, 0, 0},
	{"KVM_CREATE_VM",      NONE,      SYS_ioctl,        -1, KVM_CREATE_VM, 0, 0},
	{"KVM_SET_USER_MEMORY_REGION", NONE, SYS_ioctl,     -1, KVM_SET_USER_MEMORY_REGION, 0, 0},
	{"KVM_SET_REGS",       NONE,      SYS_ioctl,        -1, KVM_SET_REGS, 0, 0},
	{"TIOCSTI",            NONE,      SYS_ioctl,        -1, TIOCSTI, P(text), 0},
	{"write of x32",       NONE,      X32 | 1,          1, P(text), 0, 0},
	/* one role's own */
	{"KVM_RUN",            VCPUS,     SYS_ioctl,        -1, KVM_RUN, 0, 0},
	{"KVM_INTERRUPT",      VCPUS,     SYS_ioctl,        -1, KVM_INTERRUPT, 0, 0},
	{"KVM_GET_REGS",       VCPUS,     SYS_ioctl,        -1, P(KVM_GET_REGS), 0, 0},
	{"KVM_KVMCLOCK_CTRL",       VCPUS,     SYS_ioctl,        -1, P(KVM_KVMCLOCK_CTRL), 0, 0},
	{"exit",               VCPUS | IO,     SYS_exit,         CALL_RETURNED, 0, 0, 0},
	{"mprotect none",      VCPU_TEST, SYS_mprotect,     P(page), 4096, PROT_NONE, 0},
	{"mprotect data",      VCPU_TEST, SYS_mprotect,     P(page), 4096, PROT_READ | PROT_WRITE, 0},
	{"read",               LOOPS | IO,      SYS_read,         -1, P(text), 1, 0},
	{"epoll_wait",         LOOPS,      SYS_epoll_wait,   -1, P(page), 1, 0},
	{"epoll_ctl",          LOOPS,      SYS_epoll_ctl,    -1, 1, -1, 0},
	{"poll",               LOOPS,      SYS_poll,         P(&polled), 1, 0, 0},
	{"sendto that blocks", NONE,      SYS_sendto,       1, P(text), 1, 0},
	{"sendto elsewhere",   SOCKETS,   SYS_sendto,       -1, P(text), 1, MSG_DONTWAIT |
	                                                    MSG_NOSIGNAL},
	{"getrusage",          LOOPS,      SYS_getrusage,    0, P(page), 0, 0},
	{"munmap",             LOOPS,      SYS_munmap,       P(page), 0, 0, 0},
	/* the devices' */
	{"KVM_IOEVENTFD",      DEVS,      SYS_ioctl,        -1, KVM_IOEVENTFD, 0, 0},
	{"KVM_IRQFD",          DEVS | VHOST | VCPU_TEST, SYS_ioctl, -1, KVM_IRQFD, 0, 0},
	{"TUNSETOFFLOAD",      DEVS,      SYS_ioctl,        -1, TUNSETOFFLOAD, 0, 0},
	{"TUNSETQUEUE",        DEVS,      SYS_ioctl,        -1, TUNSETQUEUE, 0, 0},
	{"TUNSETIFF",          NONE,      SYS_ioctl,        -1, TUNSETIFF, 0, 0},
	{"VHOST_SET_FEATURES", DEVS,      SYS_ioctl,        -1, VHOST_SET_FEATURES, 0, 0},
	{"VHOST_SET_VRING_NUM", DEVS,     SYS_ioctl,        -1, VHOST_SET_VRING_NUM, 0, 0},
	{"VHOST_SET_VRING_BASE", DEVS,    SYS_ioctl,        -1, VHOST_SET_VRING_BASE, 0, 0},
	{"VHOST_SET_VRING_ADDR", DEVS,    SYS_ioctl,        -1, VHOST_SET_VRING_ADDR, 0, 0},
	{"VHOST_NET_SET_BACKEND", DEVS,   SYS_ioctl,        -1, VHOST_NET_SET_BACKEND, 0, 0},
	{"VHOST_SET_MEM_TABLE", NONE,     SYS_ioctl,        -1, VHOST_SET_MEM_TABLE, 0, 0},
	{"preadv2",            IO | DEVS, SYS_preadv2,      -1, 0, 0, 0},
	{"readv",              DEVS,      SYS_readv,        -1, 0, 0, 0},
	{"writev",             DEVS,      SYS_writev,       -1, 0, 0, 0},
	{"io_uring_enter",     DEVS,      SYS_io_uring_enter, -1, 0, 0, 0},
	{"io_uring_register",  NONE,      SYS_io_uring_register, -1, 0, 0, 0},
	{"getrandom",          DEVS,      SYS_getrandom,    P(page), 16, 1, 0},
	{"accept4",            SOCKETS,     SYS_accept4,      -1, 0, 0, 0},
	{"recvfrom",           SOCKETS,     SYS_recvfrom,     -1, P(page), 1, 0},
	{"recvmsg",            NONE,      SYS_recvmsg,      -1, P(page), 0, 0},
	{"sendmsg",            SOCKETS,     SYS_sendmsg,      -1, P(page), MSG_DONTWAIT | MSG_NOSIGNAL, 0},
	{"sendmsg that blocks", NONE,     SYS_sendmsg,      -1, P(page), 0, 0},
	{"newfstatat",         SOCKETS,     SYS_newfstatat,   -1, P(""), P(page), 0},
	{"fstat",              API,       SYS_fstat,        -1, P(page), 0, 0},
	{"brk",                API,       SYS_brk,          0, 0, 0, 0},
	{"mmap for the heap",  API,       SYS_mmap,         0, 4096, PROT_READ | PROT_WRITE,
	 MAP_PRIVATE | MAP_ANONYMOUS},
	{"mremap",             API,       SYS_mremap,       P(page), 4096, 8192, 0},
	{"fcntl F_SETFL",      API,       SYS_fcntl,        -1, F_SETFL, 0, 0},
	{"fcntl F_SETOWN",     NONE,      SYS_fcntl,        -1, F_SETOWN, 0, 0},
	{"BLKGETSIZE64",       API,       SYS_ioctl,        -1, BLKGETSIZE64, 0, 0},
	{"shutdown",           SOCKETS,     SYS_shutdown,     -1, 0, 0, 0},
	{"close",              SOCKETS | IO, SYS_close,        -1, 0, 0, 0},
	{"socket of the internet", NONE,  SYS_socket,       AF_INET, SOCK_STREAM, 0, 0},
	{"preadv",             IO,        SYS_preadv,       -1, 0, 0, 0},
	{"pwritev2",           IO | DEVS,  SYS_pwritev2,     -1, 0, 0, 0},
	{"fdatasync",          IO,        SYS_fdatasync,    -1, 0, 0, 0},
	{"fallocate",          IO,        SYS_fallocate,    -1, 0, 0, 0},
	/* everybody's */
	{"KVM_SIGNAL_MSI",     EVERY,     SYS_ioctl,        -1, KVM_SIGNAL_MSI, 0, 0},
	{"KVM_SET_GSI_ROUTING", EVERY,    SYS_ioctl,        -1, KVM_SET_GSI_ROUTING, 0, 0},
	{"TCSETS",             EVERY,       SYS_ioctl,        -1, TCSETS, P(page), 0},
	{"write",              EVERY,       SYS_write,        -1, P(text), 1, 0},
	{"sendto",             EVERY,       SYS_sendto,       1, P(text), 0, MSG_DONTWAIT |
	                                                    MSG_NOSIGNAL},
	{"timerfd_settime",    EVERY,     SYS_timerfd_settime, -1, 1, P(page), 0},
	{"futex",              EVERY,       SYS_futex,        P(page), FUTEX_WAKE_PRIVATE, 1, 0},
	{"restart_syscall",    EVERY,       SYS_restart_syscall, 0, 0, 0, 0},
	{"getpid",             EVERY,       SYS_getpid,       0, 0, 0, 0},
	{"gettid",             EVERY,       SYS_gettid,       0, 0, 0, 0},
	{"tgkill",             EVERY,       SYS_tgkill,       1, 1, 0, 0},
	{"clock_gettime",      EVERY,       SYS_clock_gettime, 1, P(page), 0, 0},
	{"rt_sigprocmask",     EVERY,       SYS_rt_sigprocmask, SIG_BLOCK, 0, 0, 8},
	{"madvise",            EVERY,       SYS_madvise,      P(page), 4096, MADV_NORMAL, 0},
#undef P
};
// clang-format on

static int log_pipe[2];
static unsigned tests, failures;

static void check(bool good, const char *role, const char *what, const char *way, int status)
{
	printf("%s %u - %s: %s %s\n", good ? "ok" : "not ok", ++tests, role, what, way);
	if (!good)
		printf("# wait status %#x\n", status);
	failures += !good;
}

static int restore(int nr)
{
	if (write(STDERR_FILENO, "restored\n", 9) < 0)
		_exit(1);
	return 0;
}

/* Runs `act` under the role's filter in a child; gives the wait status, and stderr in `text`. */
static int under_filter(const struct role *role, void (*act)(const struct row *),
			const struct row *row)
{
	char said[512] = "";
	ssize_t n;
	int status;
	pid_t pid;

	fflush(stdout);
	if (pipe2(log_pipe, O_CLOEXEC) < 0)
		exit(1);
	pid = fork();
	if (pid == 0) {
		dup2(log_pipe[1], STDERR_FILENO);
		if (sandbox_on_violation(restore) || sandbox_drop() || role->load())
			_exit(1);
		act(row);
		_exit(CALL_RETURNED);
	}
	close(log_pipe[1]);
	waitpid(pid, &status, 0);
	n = read(log_pipe[0], said, sizeof(said) - 1);
	close(log_pipe[0]);
	memset(text, 0, sizeof(text));
	memcpy(text, said, MIN((size_t)MAX(n, 0), sizeof(text) - 1));
	return status;
}

static void act_call(const struct row *r)
{
	syscall(r->nr, r->a0, r->a1, r->a2, r->a3, r->nr == SYS_mmap ? -1 : 0, 0);
}

static void act_send_to_somebody(const struct row *r)
{
	const struct sockaddr to = {.sa_family = AF_UNIX};

	sendto(STDOUT_FILENO, text, 0, MSG_DONTWAIT | MSG_NOSIGNAL, &to, sizeof(to));
}

/* The 32-bit entry: number 20 is getpid there and writev here. */
static void act_int80(const struct row *r)
{
	long nr = 20;

	asm volatile("int $0x80" : "+a"(nr) : : "memory", "r8", "r9", "r10", "r11");
}

static void act_nothing(const struct row *r)
{
}

static void act_read_only_filter(const struct row *r)
{
	/* A filter is for ever: neither can it be taken off, nor no_new_privs. */
	syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

static void test_rows(const struct role *role)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];
		bool allowed = r->allowed & role->bit;
		int status = under_filter(role, act_call, r);

		if (allowed)
			check(WIFEXITED(status) && WEXITSTATUS(status) == CALL_RETURNED, role->name,
			      r->name, "is allowed", status);
		else if (r->nr & X32)
			check((WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) ||
				      (WIFEXITED(status) && WEXITSTATUS(status) == SANDBOX_STATUS),
			      role->name, r->name, "kills", status);
		else
			check(WIFEXITED(status) && WEXITSTATUS(status) == SANDBOX_STATUS,
			      role->name, r->name, "ends the process", status);
	}
}

static void test_violation(const struct role *role)
{
	const struct row forbidden = {.nr = SYS_socket, .a0 = AF_INET, .a1 = SOCK_STREAM};
	int status = under_filter(role, act_call, &forbidden);

	check(WIFEXITED(status) && WEXITSTATUS(status) == SANDBOX_STATUS &&
		      !strncmp(text, "restored\nminnow: thread ", 24),
	      role->name, "a violation", "restores the terminal, then says so in one line", status);
	status = under_filter(role, act_int80, NULL);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, role->name,
	      "a call through the 32-bit entry", "kills without a handler", status);
	status = under_filter(role, act_read_only_filter, NULL);
	check(WIFEXITED(status) && WEXITSTATUS(status) == SANDBOX_STATUS, role->name,
	      "taking no_new_privs back", "ends the process", status);
	status = under_filter(role, act_send_to_somebody, NULL);
	check(WIFEXITED(status) && WEXITSTATUS(status) == SANDBOX_STATUS, role->name,
	      "sending to an address", "ends the process", status);
	status = under_filter(role, act_nothing, NULL);
	check(WIFEXITED(status) && WEXITSTATUS(status) == CALL_RETURNED, role->name, "exit_group",
	      "is allowed", status);
}

/* What sandbox_drop() leaves, as /proc tells it. */
static void test_drop(void)
{
	char buf[4096] = "", *caps, *privs;
	int fd;

	if (sandbox_drop())
		exit(1);
	fd = open("/proc/self/status", O_RDONLY);
	if (read(fd, buf, sizeof(buf) - 1) <= 0)
		exit(1);
	caps = strstr(buf, "CapInh:");
	privs = strstr(buf, "NoNewPrivs:\t1\n");
	check(caps && !strncmp(caps,
			       "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n"
			       "CapEff:\t0000000000000000\n",
			       75),
	      "drop", "inheritable, permitted and effective capabilities", "are gone", 0);
	check(privs != NULL, "drop", "no_new_privs", "is set", 0);
}

/* Of descriptors 3 and up none survives; of 0 to 2 all exist afterwards. */
static void test_descriptors(void)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		bool good;

		dup2(1, 3);
		dup2(1, 77);
		dup2(1, 1000);
		close(0);
		close(2);
		sandbox_close_inherited(NULL, 0);
		good = fcntl(3, F_GETFD) < 0 && fcntl(77, F_GETFD) < 0 &&
		       fcntl(1000, F_GETFD) < 0 && fcntl(0, F_GETFD) >= 0 &&
		       fcntl(1, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0;
		_exit(good && read(0, text, 1) == 0 && write(2, text, 1) == 1 ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	check(status == 0, "close_inherited", "0 to 2", "are open and nothing else", status);
}

/* Descriptors that the user names stay. */
static void test_kept(void)
{
	const int keep[] = {77, -1, 5, 77};
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		for (int fd = 3; fd < 100; fd++)
			dup2(1, fd);
		sandbox_close_inherited(keep, ARRAY_SIZE(keep));
		for (int fd = 3; fd < 100; fd++)
			if ((fcntl(fd, F_GETFD) >= 0) != (fd == 5 || fd == 77))
				_exit(1);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	check(status == 0, "close_inherited", "what is to be kept", "is open and nothing else",
	      status);
}

int main(void)
{
	test_descriptors();
	test_kept();
	for (unsigned i = 0; i < ARRAY_SIZE(roles); i++) {
		test_rows(&roles[i]);
		test_violation(&roles[i]);
	}
	test_drop(); /* last: it is this process's own */
	printf("1..%u\n", tests);
	return failures != 0;
}
