/*
 * fc_signal.c - the signals that Firecracker ends by in words [vmm/src/signal_handler.rs]: a line
 * in the log, the metrics, an exit code. SIGSYS is what a call that a policy forbids ends by. The
 * handler makes no such call in any thread, and allocates nothing.
 */
#include "fc_signal.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "api/metrics.h"
#include "log.h"

static const struct {
	int sig;
	enum fc_exit code;
	uint64_t *told;
} words[] = {
	{SIGHUP,  FC_EXIT_SIGHUP,  &metrics_signals.sighup },
	{SIGBUS,  FC_EXIT_SIGBUS,  &metrics_signals.sigbus },
	{SIGSEGV, FC_EXIT_SIGSEGV, &metrics_signals.sigsegv},
	{SIGXCPU, FC_EXIT_SIGXCPU, &metrics_signals.sigxcpu},
	{SIGXFSZ, FC_EXIT_SIGXFSZ, &metrics_signals.sigxfsz},
	{SIGILL,  FC_EXIT_SIGILL,  &metrics_signals.sigill },
};

#define SECCOMP_CODE 1  /* si_code: SYS_SECCOMP, which libc does not define */
#define PIPE_LINES   16 /* the log itself may go to a pipe that nobody reads */

#define INTERCEPTED "Shutting down VM after intercepting signal %d, code %d."

static void (*restore)(void);

enum fc_exit fc_signal_words(int sig, int code)
{
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		if (words[i].sig != sig)
			continue;
		*words[i].told = 1;
		log_err(INTERCEPTED, sig, code);
		metrics_write();
		return words[i].code;
	}
	return FC_EXIT_OK;
}

void fc_signal_pipe(void)
{
	if (metrics_signals.sigpipe++ < PIPE_LINES)
		log_err("Received signal %d, code %d.", SIGPIPE, SI_USER);
}

static void fatal(int sig, siginfo_t *si, void *context)
{
	restore();
	_exit(fc_signal_words(sig, si->si_code));
}

static void forbidden(int sig, siginfo_t *si, void *context)
{
	restore();
	metrics_seccomp.num_faults = 1;
	log_err(INTERCEPTED, sig, si->si_code);
	if (si->si_code == SECCOMP_CODE)
		log_err("Shutting down VM after intercepting a bad syscall (%d).", si->si_syscall);
	metrics_write();
	_exit(si->si_code == SECCOMP_CODE ? FC_EXIT_BAD_SYSCALL : FC_EXIT_UNEXPECTED);
}

void fc_signal_catch(void (*before)(void))
{
	const struct sigaction sa = {.sa_sigaction = fatal,
				     .sa_flags = SA_SIGINFO | (int)SA_RESETHAND};
	const struct sigaction sys = {.sa_sigaction = forbidden,
				      .sa_flags = SA_SIGINFO | (int)SA_RESETHAND};
	struct sigaction was;

	restore = before;
	sigaction(SIGSYS, &sys, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		/* SIGHUP and SIGXFSZ are the loop's; who has a handler, as a sanitizer, or ignores
		 * it, means it.
		 */
		if (words[i].sig != SIGHUP && words[i].sig != SIGXFSZ &&
		    sigaction(words[i].sig, NULL, &was) == 0 && was.sa_handler == SIG_DFL)
			sigaction(words[i].sig, &sa, NULL);
}
