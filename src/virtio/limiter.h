/*
 * limiter.h - token buckets on bytes and operations, as Firecracker's rate limiters: `size` tokens,
 * refilled evenly over `refill_ns`, after `burst` tokens that come once. A bucket of size 0 does
 * not limit. A request larger than the bucket empties it and passes ("overconsumption"): what is
 * missing is a debt that has to be refilled before anything else passes. Over any time no more
 * than burst, bucket, refill and one overconsumption get through; all u64 values are fine.
 * Passive: `now` comes in. Device lock held by the caller.
 */
#pragma once
#include "../util.h"

struct bucket {
	uint64_t size, refill_ns; /* 0: no limit */
	uint64_t burst;           /* tokens left that are not refilled */
	uint64_t tokens, debt;    /* one of them is 0 */
	uint64_t last;            /* ns up to which refills are in */
};

/* A token bucket as the user gives it; size 0 or refill_ms 0: none. */
struct limit_conf {
	uint64_t size, burst, refill_ms;
};

struct limiter {
	struct bucket bytes, ops;
	uint64_t throttled; /* requests that had to wait */
};

/* A full bucket. size * refill_ns of 0: no limit. */
void bucket_init(struct bucket *b, uint64_t size, uint64_t burst, uint64_t refill_ns, uint64_t now);
bool limiter_limits(const struct limiter *l);
/*
 * Takes one operation and `bytes` from both buckets, or from none. 0: taken; otherwise the time in
 * ns at which to ask again.
 */
uint64_t limiter_take(struct limiter *l, uint64_t bytes, uint64_t now);
/* Gives back what the last request took, which then did not happen. */
void limiter_give_back(struct limiter *l, uint64_t bytes);
/* Sets a limiter from what the user gave; NULL keeps the bucket as it is. */
void limiter_set(struct limiter *l, const struct limit_conf *bytes, const struct limit_conf *ops,
		 uint64_t now);
