/*
 * limiter.c - token buckets. What differs from Firecracker's, whose clients set them: time that
 * pays for a debt does not fill the bucket as well, a full bucket gains nothing from the time it
 * was full, and a request that has to wait leaves the burst alone. So the rate is kept, and a
 * waiter is told when, instead of asking every 100 ms.
 */
#include "limiter.h"

#define MSEC 1000000ull /* ns */

static uint64_t add_capped(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* a * b / c, and the same rounded up; at most `max`. c != 0. */
static uint64_t scale(uint64_t a, uint64_t b, uint64_t c, uint64_t max)
{
	unsigned __int128 v = (unsigned __int128)a * b / c;

	return v > max ? max : (uint64_t)v;
}

static uint64_t scale_up(uint64_t a, uint64_t b, uint64_t c)
{
	unsigned __int128 v = ((unsigned __int128)a * b + (c - 1)) / c;

	return v > UINT64_MAX ? UINT64_MAX : (uint64_t)v;
}

static bool bucket_limits(const struct bucket *b)
{
	return b->size && b->refill_ns;
}

void bucket_init(struct bucket *b, uint64_t size, uint64_t burst, uint64_t refill_ns, uint64_t now)
{
	*b = (struct bucket){
		.size = size, .refill_ns = refill_ns, .burst = burst, .tokens = size, .last = now};
}

static void bucket_pay(struct bucket *b, uint64_t tokens)
{
	uint64_t paid = MIN(tokens, b->debt);

	b->debt -= paid;
	b->tokens = MIN(add_capped(b->tokens, tokens - paid), b->size);
}

/* Whole tokens for the time since `last`, which moves on by what they cost, and not less. */
static void bucket_refill(struct bucket *b, uint64_t now)
{
	uint64_t missing = add_capped(b->size - b->tokens, b->debt), gained;

	if (now <= b->last)
		return;
	gained = scale(now - b->last, b->size, b->refill_ns, missing);
	if (gained < missing)
		b->last += scale_up(gained, b->refill_ns, b->size);
	else
		b->last = now;
	bucket_pay(b, gained);
}

/* When `n` tokens may be taken: 0 for now, else the first time in ns after it. */
static uint64_t bucket_ask(struct bucket *b, uint64_t n, uint64_t now)
{
	uint64_t rest = n - MIN(n, b->burst), missing;

	if (!bucket_limits(b))
		return 0;
	bucket_refill(b, now);
	if (rest > b->size)
		rest = 0; /* passes as soon as there is no debt */
	if (!b->debt && rest <= b->tokens)
		return 0;
	missing = add_capped(b->debt, rest - b->tokens);
	return add_capped(b->last, scale_up(missing, b->refill_ns, b->size));
}

/* After bucket_ask() gave 0. */
static void bucket_take(struct bucket *b, uint64_t n)
{
	uint64_t burst = MIN(n, b->burst), rest = n - burst, taken = MIN(rest, b->tokens);

	if (!bucket_limits(b))
		return;
	b->burst -= burst;
	b->tokens -= taken;
	b->debt = rest - taken;
}

bool limiter_limits(const struct limiter *l)
{
	return bucket_limits(&l->bytes) || bucket_limits(&l->ops);
}

uint64_t limiter_take(struct limiter *l, uint64_t bytes, uint64_t now)
{
	uint64_t a = bucket_ask(&l->bytes, bytes, now), b = bucket_ask(&l->ops, 1, now);

	if (a || b) {
		l->throttled++;
		return MAX(a, b);
	}
	bucket_take(&l->bytes, bytes);
	bucket_take(&l->ops, 1);
	return 0;
}

/* While there is burst left, it was all that the request took. */
static void bucket_give_back(struct bucket *b, uint64_t n)
{
	if (b->burst)
		b->burst = add_capped(b->burst, n);
	else
		bucket_pay(b, n);
}

void limiter_give_back(struct limiter *l, uint64_t bytes)
{
	bucket_give_back(&l->bytes, bytes);
	bucket_give_back(&l->ops, 1);
}

static void bucket_set(struct bucket *b, const struct limit_conf *c, uint64_t now)
{
	if (c)
		bucket_init(b, c->size, c->burst, scale(c->refill_ms, MSEC, 1, UINT64_MAX), now);
}

void limiter_set(struct limiter *l, const struct limit_conf *bytes, const struct limit_conf *ops,
		 uint64_t now)
{
	bucket_set(&l->bytes, bytes, now);
	bucket_set(&l->ops, ops, now);
}
