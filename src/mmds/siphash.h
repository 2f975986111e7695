/*
 * siphash.h - SipHash-2-4 with 128 bits [Aumasson, Bernstein: SipHash: a fast short-input PRF]: a
 * keyed function of short inputs whose values nobody can tell from random ones, or foretell,
 * without the key.
 */
#pragma once
#include "../util.h"

#define SIPHASH_KEY 16u
#define SIPHASH_LEN 16u

void siphash(const uint8_t key[SIPHASH_KEY], const void *in, size_t len, uint8_t out[SIPHASH_LEN]);
