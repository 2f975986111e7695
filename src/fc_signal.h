/* fc_signal.h - signals that end a Firecracker with an exit code of its own. */
#pragma once
#include "api/cli.h"

/*
 * Catches those that come of mistakes and limits: `restore` is called, then the words are said.
 * Before there are other threads.
 */
void fc_signal_catch(void (*restore)(void));
/* SIGPIPE ends nothing: it is told and counted. */
void fc_signal_pipe(void);
/* Its last words, in the log and in the metrics. The exit code; FC_EXIT_OK: it has none. */
enum fc_exit fc_signal_words(int sig, int code);
