/*
 * fc_signal.c - the signals that Firecracker ends by in words [vmm/src/signal_handler.rs]: a line
 * in the log, the metrics, an exit code. SIGPIPE and SIGXFSZ end nothing here: write() tells. The
 * handler makes no call that a policy forbids in any thread, and allocates nothing.
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
	{SIGILL,  FC_EXIT_SIGILL,  &metrics_signals.sigill },
};

static void (*restore)(void);

enum fc_exit fc_signal_words(int sig, int code)
{
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		if (words[i].sig != sig)
			continue;
		*words[i].told = 1;
		log_err("Shutting down VM after intercepting signal %d, code %d.", sig, code);
		metrics_write();
		return words[i].code;
	}
	return FC_EXIT_OK;
}

static void fatal(int sig, siginfo_t *si, void *context)
{
	restore();
	_exit(fc_signal_words(sig, si->si_code));
}

void fc_signal_catch(void (*before)(void))
{
	const struct sigaction sa = {.sa_sigaction = fatal,
				     .sa_flags = SA_SIGINFO | (int)SA_RESETHAND};
	struct sigaction was;

	restore = before;
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		/* SIGHUP is the loop's; who has a handler, as a sanitizer, or ignores it, means it.
		 */
		if (words[i].sig != SIGHUP && sigaction(words[i].sig, NULL, &was) == 0 &&
		    was.sa_handler == SIG_DFL)
			sigaction(words[i].sig, &sa, NULL);
}
