/*
 * util.h - bits, arithmetic and lock annotations. Includes nothing of the project; the chip models
 * may include it, so it needs no libc beyond freestanding headers.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BIT(n)         (1ull << (n))
#define MASK(hi, lo)   ((~0ull >> (63 - (hi))) & (~0ull << (lo)))
#define GET(mask, v)   ((unsigned)(((uint64_t)(v) & (mask)) >> __builtin_ctzll(mask)))
#define PUT(mask, v)   (((uint64_t)(v) << __builtin_ctzll(mask)) & (mask))
/* Clears `bits` in a field of any width. */
#define CLEAR(x, bits) ((x) &= (__typeof__(x))~(bits))
#define ARRAY_SIZE(a)  (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)      ((a) < (b) ? (a) : (b))
#define MAX(a, b)      ((a) > (b) ? (a) : (b))
#define NSEC           1000000000ull /* nanoseconds in a second */
#define NEVER          UINT64_MAX    /* a deadline that does not come */
#define KIB            1024ull
#define MIB            (1024 * KIB)
#define GIB            (1024 * MIB)

/* a * b / c in 128 bits: the one place where ticks and nanoseconds are converted. c != 0. */
static inline uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c)
{
	return (uint64_t)((unsigned __int128)a * b / c);
}

/* `v` rounded up to a multiple of `align`, a power of two. */
static inline uint64_t align_up(uint64_t v, uint64_t align)
{
	return (v + align - 1) & ~(align - 1);
}

/* All-ones of `size` bytes (1, 2, 4): what a read of nothing gives. */
static inline uint32_t all_ones(unsigned size)
{
	return (uint32_t)MASK(size * 8 - 1, 0);
}

/* Clang's thread-safety attributes; gcc does not know them. */
#ifdef __clang__
#define CAPABILITY(x) __attribute__((capability(x)))
#define REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define ACQUIRE(...)  __attribute__((acquire_capability(__VA_ARGS__)))
#define RELEASE(...)  __attribute__((release_capability(__VA_ARGS__)))
#define EXCLUDES(...) __attribute__((locks_excluded(__VA_ARGS__)))
#define UNCHECKED     __attribute__((no_thread_safety_analysis))
#else
#define CAPABILITY(x)
#define REQUIRES(...)
#define ACQUIRE(...)
#define RELEASE(...)
#define EXCLUDES(...)
#define UNCHECKED
#endif
