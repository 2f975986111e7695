/*
 * sandbox.c - capabilities by libcap-ng, system calls by filters that were compiled at build time,
 * and the handler that names a forbidden call.
 */
#include "sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include "io_filter.h"
#include "loop_api_filter.h"
#include "loop_devices_filter.h"
#include "loop_filter.h"
#include "loop_vsock_filter.h"
#include "vcpu_filter.h"
#include "vcpu_test_filter.h"
#include "vcpu_vhost_filter.h"

#include "log.h"

static int (*on_violation)(int nr);

/* A descriptor that is opened later must not become stdout or stderr. */
static void fill_standard(void)
{
	struct pollfd p[] = {{.fd = 0}, {.fd = 1}, {.fd = 2}};

	if (poll(p, ARRAY_SIZE(p), 0) <= 0)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		if ((p[i].revents & POLLNVAL) && open("/dev/null", O_RDWR) < 0)
			return; /* without /dev/null they stay closed */
}

/* The lowest descriptor in `keep` from `from` on; INT_MAX if there is none. */
static int next_kept(const int *keep, unsigned n, int from)
{
	int next = INT_MAX;

	for (unsigned i = 0; i < n; i++)
		if (keep[i] >= from && keep[i] < next)
			next = keep[i];
	return next;
}

void sandbox_close_inherited(const int *keep, unsigned n)
{
	int from = STDERR_FILENO + 1, kept;

	fill_standard();
	for (; (kept = next_kept(keep, n, from)) != INT_MAX; from = kept + 1)
		if (kept > from)
			syscall(SYS_close_range, from, kept - 1, 0);
	syscall(SYS_close_range, from, ~0u, 0); /* older than 5.9: they stay open */
}

int sandbox_drop(void)
{
	capng_clear(CAPNG_SELECT_ALL);
	/*
	 * The bounding set stays: it only limits what execve() grants, and no_new_privs grants
	 * nothing. Dropping it takes 41 calls and a read of /proc, a tenth of a start-up.
	 */
	if (capng_apply(CAPNG_SELECT_CAPS) < 0 ||
	    capng_have_capabilities(CAPNG_SELECT_CAPS) > CAPNG_NONE)
		return log_fail(EPERM, "the process cannot give up its capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return log_fail(errno, "no_new_privs: %s", strerror(errno));
	return 0;
}

static int load(const struct sock_filter *f, size_t n)
{
	const struct sock_fprog prog = {.len = (unsigned short)n, .filter = (void *)f};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return log_fail(errno,
				"the seccomp filter cannot be loaded: %s (CONFIG_SECCOMP_FILTER "
				"is needed)",
				strerror(errno));
	return 0;
}

int sandbox_vcpu(void)
{
	return load(vcpu_filter, ARRAY_SIZE(vcpu_filter));
}

int sandbox_vcpu_vhost(void)
{
	return load(vcpu_vhost_filter, ARRAY_SIZE(vcpu_vhost_filter));
}

int sandbox_vcpu_test(void)
{
	return load(vcpu_test_filter, ARRAY_SIZE(vcpu_test_filter));
}

int sandbox_loop(void)
{
	return load(loop_filter, ARRAY_SIZE(loop_filter));
}

int sandbox_loop_devices(void)
{
	return load(loop_devices_filter, ARRAY_SIZE(loop_devices_filter));
}

int sandbox_loop_vsock(void)
{
	return load(loop_vsock_filter, ARRAY_SIZE(loop_vsock_filter));
}

int sandbox_loop_api(void)
{
	return load(loop_api_filter, ARRAY_SIZE(loop_api_filter));
}

int sandbox_io(void)
{
	return load(io_filter, ARRAY_SIZE(io_filter));
}

static void violation(int sig, siginfo_t *si, void *context)
{
	int status = on_violation(si->si_syscall);

	if (status)
		_exit(status);
	log_err("thread %d made system call %d, which its policy forbids; please report this",
		(int)syscall(SYS_gettid), si->si_syscall);
	_exit(SANDBOX_STATUS);
}

int sandbox_on_violation(int (*last_words)(int nr))
{
	struct sigaction sa = {.sa_sigaction = violation, .sa_flags = SA_SIGINFO};

	on_violation = last_words;
	if (sigaction(SIGSYS, &sa, NULL) < 0)
		return log_fail(errno, "sigaction: %s", strerror(errno));
	return 0;
}
