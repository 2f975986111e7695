/* limiter.c - token buckets [Firecracker's rate limiter, whose clients set them]. */
#include "limiter.h"

#define MSEC 1000000ull /* ns */

/* a * b / c, at most `max`. c != 0. */
static uint64_t scale(uint64_t a, uint64_t b, uint64_t c, uint64_t max)
{
	unsigned __int128 v = (unsigned __int128)a * b / c;

	return v > max ? max : (uint64_t)v;
}

static uint64_t add_capped(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
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

/* Whole tokens for the time since the last one; what is left of that time counts next time. */
static void bucket_refill(struct bucket *b, uint64_t now)
{
	uint64_t gained;

	if (now <= b->last)
		return;
	gained = scale(now - b->last, b->size, b->refill_ns, b->size);
	if (gained >= b->size - b->tokens) {
		b->tokens = b->size;
		b->last = now;
	} else if (gained) {
		b->tokens += gained;
		b->last += scale(gained, b->refill_ns, b->size, now - b->last);
	}
}

/* When `n` tokens may be taken: 0 for now, else a time in ns after it. */
static uint64_t bucket_ask(struct bucket *b, uint64_t n, uint64_t now)
{
	uint64_t want;

	if (!bucket_limits(b))
		return 0;
	if (now < b->debt_until)
		return b->debt_until;
	bucket_refill(b, now);
	if (n <= b->burst)
		return 0;
	want = n - b->burst < b->size ? n - b->burst : b->size; /* more than it holds: all of it */
	if (want <= b->tokens)
		return 0;
	want = add_capped(scale(want - b->tokens, b->refill_ns, b->size, UINT64_MAX), 1);
	return MAX(add_capped(b->last, want), now + 1);
}

/* After bucket_ask() gave 0. What exceeds the bucket is paid for by waiting afterwards. */
static void bucket_take(struct bucket *b, uint64_t n, uint64_t now)
{
	uint64_t burst = MIN(n, b->burst), rest;

	if (!bucket_limits(b))
		return;
	b->burst -= burst;
	rest = n - burst;
	if (rest <= b->tokens) {
		b->tokens -= rest;
		return;
	}
	rest -= b->tokens;
	b->tokens = 0;
	b->debt_until = add_capped(now, scale(rest, b->refill_ns, b->size, UINT64_MAX));
	b->last = b->debt_until;
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
	bucket_take(&l->bytes, bytes, now);
	bucket_take(&l->ops, 1, now);
	return 0;
}

static void bucket_give_back(struct bucket *b, uint64_t n)
{
	if (bucket_limits(b))
		b->tokens = MIN(add_capped(b->tokens, n), b->size);
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
