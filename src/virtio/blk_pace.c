/* blk_pace.c - see blk_pace.h. No clock of its own, no lock: the disk's lock is held. */
#include "blk_pace.h"

static unsigned every_after(const struct blk_pace *p, uint64_t idle)
{
	bool in_vain = p->came_at && p->depth < PACE_DEEP && idle < PACE_LONG_NS;

	return in_vain ? p->every : PACE_TRY_MIN;
}

/* A late look while answers are held says nothing about the driver, but that it is not idle. */
static void learn_gap(struct blk_pace *p, unsigned came, uint64_t now)
{
	uint64_t since = now - p->came_at, idle = now - MAX(p->came_at, p->busy_at);

	if (!p->came_at || (idle > PACE_IDLE_NS && !p->held_at))
		*p = (struct blk_pace){.every = every_after(p, idle)};
	else if (p->gap)
		p->gap = MAX((3 * p->gap + since / came) / 4, 1u);
	else
		p->gap = MAX(since / came, 1u);
	p->came_at = now;
}

static unsigned goal(const struct blk_pace *p)
{
	return p->trying ? UINT32_MAX : p->depth / PACE_SHARE;
}

/* A try takes longer: it ends when no more requests come, so that nobody waits for it. */
static uint64_t most(const struct blk_pace *p)
{
	return p->trying ? PACE_TRY_NS : PACE_HOLD_NS;
}

/* When what is missing will have come, as it looks; in a try, when one more is overdue. */
static void look_again(struct blk_pace *p, unsigned held, uint64_t now)
{
	unsigned n = p->trying ? 2 : goal(p) - held;

	p->look_at = now + MIN(MAX(n * p->gap, PACE_LOOK_NS), PACE_HOLD_NS);
}

static bool starts(struct blk_pace *p, unsigned came, unsigned held, uint64_t now)
{
	if (!p->gap || !held)
		return false;
	p->since += came;
	p->trying = p->since >= p->every;
	if (p->trying)
		p->since = 0;
	else if (p->depth < PACE_DEEP || held >= goal(p))
		return false;
	p->held_at = now;
	look_again(p, held, now);
	return true;
}

/* The driver has `out` requests out: rarely worth another try if that is few. */
static void learn_depth(struct blk_pace *p, unsigned out)
{
	if (out < PACE_DEEP && p->depth < PACE_DEEP)
		p->every = MIN(2 * p->every, PACE_TRY_MAX);
	else
		p->every = out < PACE_DEEP ? PACE_TRY_MIN : PACE_TRY_MAX / 4;
	p->depth = out;
}

static bool goes_on(struct blk_pace *p, unsigned came, unsigned held, uint64_t now)
{
	if (now < p->look_at && held < goal(p))
		return true;
	if (came && held < goal(p) && now - p->held_at < most(p)) {
		look_again(p, held, now);
		return true;
	}
	if (!came || p->trying)
		learn_depth(p, held);
	return false;
}

uint64_t blk_pace(struct blk_pace *p, unsigned came, unsigned held, uint64_t now)
{
	if (came)
		learn_gap(p, came, now);
	if (p->held_at ? goes_on(p, came, held, now) : starts(p, came, held, now))
		return p->look_at;
	blk_pace_shown(p);
	return 0;
}

bool blk_pace_goes_on(struct blk_pace *p, unsigned held, uint64_t now)
{
	p->busy_at = now;
	return p->held_at && now - p->held_at < most(p) && held < goal(p);
}

void blk_pace_shown(struct blk_pace *p)
{
	p->held_at = p->look_at = 0;
	p->trying = false;
}
