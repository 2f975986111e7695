/*
 * vmm.h - what the API can have done to the machine: the monitor's side of it, which tests replace.
 * Everything is called in the loop's thread and returns at once.
 */
#pragma once
#include "../machine.h"

enum machine_state { MACHINE_NOT_STARTED, MACHINE_RUNNING, MACHINE_PAUSED };

/* Disks and networks by their place in struct devices_conf. */
struct api_vmm {
	void *ctx;
	/*
	 * Builds the machine and lets it run. 0, or -errno with the sentence in log_last(): then
	 * nothing is left of it, and it may be called again. `c` and what it points to must stay.
	 */
	int (*start)(void *ctx, const struct machine_conf *c);
	/* Only once it runs; both may be repeated. No vCPU and no device moves while it is paused.
	 */
	void (*pause)(void *ctx);
	void (*resume)(void *ctx);
	/* The keys; false: the guest has no driver for the keyboard. */
	bool (*ctrl_alt_del)(void *ctx);
	/* Another file for a disk that runs. 0, or -errno with log_last(). */
	int (*disk_path)(void *ctx, unsigned disk, const char *path);
	/* NULL keeps a bucket as it is. */
	void (*disk_limits)(void *ctx, unsigned disk, const struct limit_conf *bytes,
			    const struct limit_conf *ops);
	void (*net_limits)(void *ctx, unsigned net, bool rx, const struct limit_conf *bytes,
			   const struct limit_conf *ops);
	void (*balloon_target)(void *ctx, uint32_t mib);
	void (*balloon_interval)(void *ctx, uint32_t seconds);
	void (*balloon_stats)(void *ctx, struct balloon_stats *s);
};
