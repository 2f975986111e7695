/* siphash.c - SipHash-2-4, 128 bits. Words are little-endian, as the machine's. */
#include "siphash.h"

#include <string.h>

#define ROUNDS_BLOCK 2u
#define ROUNDS_END   4u

static uint64_t rotate(uint64_t v, unsigned n)
{
	return v << n | v >> (64 - n);
}

static uint64_t word(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void rounds(uint64_t v[4], unsigned n)
{
	for (; n; n--) {
		v[0] += v[1];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[0] = rotate(v[0], 32);
		v[2] += v[3];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[2] = rotate(v[2], 32);
	}
}

static void block(uint64_t v[4], uint64_t m)
{
	v[3] ^= m;
	rounds(v, ROUNDS_BLOCK);
	v[0] ^= m;
}

void siphash(const uint8_t key[SIPHASH_KEY], const void *in, size_t len, uint8_t out[SIPHASH_LEN])
{
	uint64_t v[4] = {
		0x736f6d6570736575ull ^ word(key),
		0x646f72616e646f6dull ^ word(key + 8) ^ 0xee,
		0x6c7967656e657261ull ^ word(key),
		0x7465646279746573ull ^ word(key + 8),
	};
	uint64_t last = (uint64_t)len << 56, half;
	const uint8_t *p = in;

	for (; len >= 8; p += 8, len -= 8)
		block(v, word(p));
	for (unsigned i = 0; i < len; i++)
		last |= (uint64_t)p[i] << (8 * i);
	block(v, last);
	v[2] ^= 0xee;
	rounds(v, ROUNDS_END);
	half = v[0] ^ v[1] ^ v[2] ^ v[3];
	memcpy(out, &half, sizeof(half));
	v[1] ^= 0xdd;
	rounds(v, ROUNDS_END);
	half = v[0] ^ v[1] ^ v[2] ^ v[3];
	memcpy(out + 8, &half, sizeof(half));
}
