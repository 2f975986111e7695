/*
 * timeline.h - what a benchmark harness wants to know of a run: one JSON object with
 * CLOCK_MONOTONIC times, exits, CPU time and memory.
 */
#pragma once
#include "devices.h"

enum phase {
	PHASE_EXEC,     /* the process image was started (main's time less CPU time used so far) */
	PHASE_MAIN,     /* main() */
	PHASE_VM,       /* VM created */
	PHASE_RAM,      /* RAM mapped and given to KVM */
	PHASE_VCPU,     /* vCPUs created */
	PHASE_KERNEL,   /* kernel, initrd and tables loaded */
	PHASE_DEVICES,  /* virtio devices opened; only when there are any */
	PHASE_CONFINED, /* capabilities dropped, threads and filters in place */
	PHASE_ENTRY,    /* first KVM_RUN */
	PHASE_EXIT,     /* the run ended */
	PHASE_N,
};

#define TIMELINE_MARKS 64u

struct timeline {
	uint64_t at[PHASE_N]; /* ns; 0 = not reached */
	int proc_status;      /* /proc/self/status, or -1 */
	unsigned marks;       /* writes to the boot-timer page, also those beyond the room */
	struct {
		uint64_t at;
		uint8_t val;
	} mark[TIMELINE_MARKS];
};

/* When the process image was started, as far as the CPU time used since tells. */
void timeline_reach_exec(struct timeline *t);
/* Opens what timeline_write() reads under the filter. */
void timeline_open_status(struct timeline *t);
void timeline_reach(struct timeline *t, enum phase p);
void timeline_mark(struct timeline *t, uint8_t val, uint64_t now);
/* Writes the JSON object to `fd`. 0 or -errno. */
int timeline_write(const struct timeline *t, int fd, const struct vm *vm, const struct devices *ds,
		   const char *end, int status, uint64_t loop_wakeups);
