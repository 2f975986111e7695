/*
 * balloon.h - virtio balloon [virtio 1.2, 5.5]: inflate gives pages back to the host, deflate on
 * OOM, statistics, free page reporting.
 */
#pragma once
#include "virtio.h"

#define BALLOON_QUEUES 5u

struct balloon_conf {
	uint32_t target_mib;
	bool deflate_on_oom;
	uint32_t stats_interval_s; /* 0: no statistics */
	bool reporting;            /* free page reporting */
};

/* Tags of the statistics [5.5.6.4]; those from OOM_KILL on are Linux's. */
enum balloon_tag {
	BALLOON_S_SWAP_IN,
	BALLOON_S_SWAP_OUT,
	BALLOON_S_MAJFLT,
	BALLOON_S_MINFLT,
	BALLOON_S_MEMFREE,
	BALLOON_S_MEMTOT,
	BALLOON_S_AVAIL,
	BALLOON_S_CACHES,
	BALLOON_S_HTLB_PGALLOC,
	BALLOON_S_HTLB_PGFAIL,
	BALLOON_S_OOM_KILL,
	BALLOON_S_ALLOC_STALL,
	BALLOON_S_ASYNC_SCAN,
	BALLOON_S_DIRECT_SCAN,
	BALLOON_S_ASYNC_RECLAIM,
	BALLOON_S_DIRECT_RECLAIM,
	BALLOON_S_NR,
};

/* What the guest last told of itself: nothing of it is to be relied on. */
struct balloon_stats {
	uint32_t target_pages, actual_pages; /* of 4 KiB; actual is what the guest says */
	uint32_t known;                      /* BIT(tag): the guest has told this one */
	uint64_t value[BALLOON_S_NR];        /* by tag; memory in bytes */
};

struct balloon {
	struct virtio_dev dev;

	/* Queues of this driver; 0: it has none. */
	unsigned stats_queue, report_queue;
	uint64_t done[BALLOON_QUEUES]; /* bytes done of the chain that the queue gives next */

	uint64_t stats_ns; /* between two questions; 0: no statistics */
	bool stats_held;   /* the driver's buffer is here: giving it back asks for new ones */
	uint16_t stats_head;
	uint32_t stats_known;
	uint64_t stat[BALLOON_S_NR];

	/* What madvise(2) said. */
	bool huge;    /* not to 4 KiB: guest RAM is of 2 MiB pages */
	bool refuses; /* not to those either */

	/* Counters, in pages of 4 KiB but for the last two. */
	uint64_t inflated, deflated, reported; /* as the guest tells */
	uint64_t dropped;                      /* given back to the host */
	uint64_t skipped;                      /* outside RAM, or twice */
	uint64_t advices, stats_updates;
};

/* Makes the device. Before any thread; must not move. */
void balloon_init(struct balloon *b, const struct balloon_conf *c, const struct virtio_host *host,
		  const struct ram *ram);
/* Loop's thread: asks the guest for another size; more than all RAM is all RAM. */
void balloon_set_target(struct balloon *b, uint32_t mib);
/* Loop's thread: another interval, above 0. Only for a balloon that has statistics. */
void balloon_set_stats_interval(struct balloon *b, uint32_t seconds);
void balloon_stats(struct balloon *b, struct balloon_stats *s);
