/* clock.h - the monitor's one clock: CLOCK_MONOTONIC in nanoseconds, read through the vDSO. */
#pragma once
#include <time.h>

#include "util.h"

static inline uint64_t clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC + (uint64_t)ts.tv_nsec;
}
