/*
 * uring.h - stands between a test and io_uring's two start-up and submission calls, which liburing
 * makes by itself: a filter traps them, and a handler makes them, changes them or refuses. So a
 * test has an old kernel, or one without memory. Included by one file of a program.
 */
#pragma once
#include <errno.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define URING_OURS                                                                                 \
	0x6d696e6eu /* sixth argument of calls that the handler makes; nobody reads it             \
		     */

static struct {
	int setup_err;           /* io_uring_setup() fails so */
	unsigned setup_flags;    /* ... or with EINVAL if one of these is asked for */
	int register_err;        /* io_uring_register() fails so */
	int enter_err;           /* io_uring_enter() fails so, enter_errs times */
	unsigned enter_errs;     /* from its next call on */
	unsigned enter_takes;    /* unless 0: takes no more than so many at a time */
	unsigned setups, enters; /* counted */
	unsigned flags;          /* of the last set-up */
} uring;

static long uring_setup(const greg_t *r)
{
	const struct io_uring_params *p = (const void *)r[REG_RSI];

	uring.setups++;
	uring.flags = p->flags;
	if (uring.setup_err)
		return -uring.setup_err;
	if (p->flags & uring.setup_flags)
		return -EINVAL;
	return syscall(SYS_io_uring_setup, r[REG_RDI], r[REG_RSI], 0, 0, 0, URING_OURS);
}

static long uring_enter(const greg_t *r)
{
	unsigned n = (unsigned)r[REG_RSI];

	uring.enters++;
	if (uring.enter_errs) {
		uring.enter_errs--;
		return -uring.enter_err;
	}
	if (uring.enter_takes && n > uring.enter_takes)
		n = uring.enter_takes;
	return syscall(SYS_io_uring_enter, r[REG_RDI], n, r[REG_RDX], r[REG_R10], 0, URING_OURS);
}

static void uring_trapped(int sig, siginfo_t *si, void *context)
{
	greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
	long got;

	if (si->si_syscall == SYS_io_uring_setup)
		got = uring_setup(r);
	else if (si->si_syscall == SYS_io_uring_enter)
		got = uring_enter(r);
	else if (uring.register_err)
		got = -uring.register_err;
	else
		got = syscall(SYS_io_uring_register, r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10],
			      0, URING_OURS);
	/* syscall() made -1 and errno of a failure. */
	r[REG_RAX] = got == -1 ? -errno : got;
}

/* Clears what a test asked for. In each test: cmocka takes the signal for itself. */
static void uring_reset(void)
{
	struct sigaction sa = {.sa_sigaction = uring_trapped, .sa_flags = SA_SIGINFO};

	sigaction(SIGSYS, &sa, NULL);
	uring = (__typeof__(uring)){0};
}

/* For the life of the process. false: it cannot be had here. */
static bool uring_watch(void)
{
	static struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, SYS_io_uring_setup, 0, 4),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SYS_io_uring_register, 3, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, URING_OURS, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = sizeof(f) / sizeof(f[0]), .filter = f};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == 0;
}
