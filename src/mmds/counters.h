/* counters.h - what happened in the metadata service, as Firecracker's metrics name it. */
#pragma once
#include "../util.h"

struct mmds_counters {
	uint64_t rx_accepted;         /* frames that were for the service */
	uint64_t rx_accepted_err;     /* ... and were no packets or segments that it understands */
	uint64_t rx_accepted_unusual; /* ... or said something odd */
	uint64_t rx_bad_eth;          /* frames too short for Ethernet */
	uint64_t rx_count;            /* TCP segments that were taken */
	uint64_t rx_invalid_token;    /* GETs, in both versions */
	uint64_t rx_no_token;
	uint64_t tx_bytes, tx_frames, tx_count;
	uint64_t tx_errors;
	uint64_t connections_created, connections_destroyed;
};
