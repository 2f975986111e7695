/*
 * sandbox.h - how the process gives up what it does not need. Order: open everything,
 * sandbox_drop(), vCPU threads and the disks' (each its filter first), sandbox_loop(), then the
 * guest.
 */
#pragma once
#include "util.h"

/*
 * Closes what the parent left open beyond stderr, but for the `n` descriptors in `keep`, and opens
 * /dev/null for what it closed of stdin, stdout and stderr. Before anything else is opened.
 */
void sandbox_close_inherited(const int *keep, unsigned n);
/*
 * No capability, none to be had again; threads made later inherit it. 0 or -errno, logged.
 */
int sandbox_drop(void);
/* The seccomp filters of seccomp/vcpu.policy and loop.policy, for the calling thread. */
int sandbox_vcpu(void);
int sandbox_vcpu_vhost(void); /* with seccomp/vhost.policy */
int sandbox_vcpu_test(void);  /* with that and testdev.policy, for --test-device */
int sandbox_loop(void);
int sandbox_loop_devices(void); /* with devices.policy */
int sandbox_loop_vsock(void);   /* with vsock.policy as well */
int sandbox_loop_api(void);     /* with api.policy as well */
int sandbox_io(void);           /* io.policy, for the disks' worker */
/*
 * A forbidden system call ends the process. `last_words`, called first in the signal handler with
 * its number, returns the exit status, or 0: then it is SANDBOX_STATUS, after one sentence. 0 or
 * -errno, logged.
 */
#define SANDBOX_STATUS 159 /* 128 + SIGSYS */
int sandbox_on_violation(int (*last_words)(int nr));
