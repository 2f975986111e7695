/*
 * blk_pace.h - how long the answers of a busy disk wait for each other. What the page cache holds
 * is answered faster than a driver asks, so that each request would cost a notification and an
 * interrupt, at whatever depth. Where the driver is known to have many requests out, a quarter of
 * them is answered at once, and it need not notify meanwhile: it has the others to go on with.
 *
 * How many it has out shows only while none is answered. So every so often answers are held until
 * no request comes any more. A driver that waits for each answer loses that time once in 64 to 4096
 * requests. A disk that is not busy holds nothing.
 */
#pragma once
#include "../util.h"

#define PACE_IDLE_NS (2 * NSEC / 1000)  /* without a request: what was learned is forgotten, */
#define PACE_LONG_NS (NSEC / 10)        /* ... also that tries were in vain */
#define PACE_HOLD_NS (NSEC / 1000)      /* the most that an answer is held, but for a late timer */
#define PACE_TRY_NS  (4 * PACE_HOLD_NS) /* ... in a try, while requests go on coming */
#define PACE_LOOK_NS (10 * NSEC / 1000000) /* the shortest time between two looks */
#define PACE_DEEP    8u                    /* requests out from which on answers are held */
#define PACE_SHARE   4u                    /* of them: 1 in so many is held */
#define PACE_TRY_MIN 64u                   /* requests between two tries of the depth */
#define PACE_TRY_MAX 4096u

struct blk_pace {
	uint64_t came_at; /* when requests were taken last; 0: not lately */
	uint64_t busy_at; /* when requests that had come were still being carried out */
	uint64_t gap;     /* ns between requests, lately; 0: not known */
	uint64_t held_at; /* since when answers are held; 0: they are not */
	uint64_t look_at; /* ... and when to look again */
	bool trying;      /* ... to learn the depth */
	unsigned depth;   /* requests that the driver had out when it was tried */
	unsigned every;   /* requests between two tries; set with came_at */
	unsigned since;   /* requests since the last */
};

/*
 * After a look at the queues at `now` ns, which took `came` requests, with `held` answers that the
 * driver has not seen: 0, if it is to see them and to notify again; or when to look again, until
 * which neither is needed. The caller's look may come earlier, for other reasons.
 */
uint64_t blk_pace(struct blk_pace *p, unsigned came, unsigned held, uint64_t now);
/*
 * Requests that came are being carried out, and of others `held` answers wait: may these go on
 * waiting? false also if they were not held before.
 */
bool blk_pace_goes_on(struct blk_pace *p, unsigned held, uint64_t now);
/* The answers were shown meanwhile. */
void blk_pace_shown(struct blk_pace *p);
