/*
 * token.h - session tokens of version 2. A token says until when it holds, and carries a SipHash of
 * that under a random key which never leaves the process: nobody without it makes one, or changes
 * one. So nothing is kept of tokens that were given out; there may be any number of them, none can
 * be pushed out by asking for more, and those of one machine say nothing to another.
 *
 * SipHash was made to be such a code for short messages; with 128 bits of it a guess is right once
 * in 2^128. A cipher, which Firecracker uses, would only hide the time, which is no secret.
 */
#pragma once
#include "siphash.h"

#define TOKEN_LEN     64u /* hexadecimal digits */
#define TOKEN_TTL_MIN 1u  /* seconds */
#define TOKEN_TTL_MAX 21600u

struct tokens {
	uint8_t key[SIPHASH_KEY];
	uint64_t made;
};

/* A new key, by which all earlier tokens are void. 0 or -errno, logged. */
int tokens_init(struct tokens *t);
/* Writes a token that holds for `ttl` seconds from now on; no two are the same. */
void token_make(struct tokens *t, uint32_t ttl, uint64_t now, char text[TOKEN_LEN]);
bool token_valid(const struct tokens *t, const char *text, size_t len, uint64_t now);
