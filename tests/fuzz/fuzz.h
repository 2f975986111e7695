/*
 * fuzz.h - what the fuzzers share. Each target is one LLVMFuzzerTestOneInput(), linked with
 * libFuzzer to search, or with replay.c to run the files of its corpus.
 */
#pragma once
#include <stdio.h>
#include <stdlib.h>

#include "../../src/util.h"

/* Always returns 0; what is wrong ends the process. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max); /* libFuzzer's own */

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #cond);  \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* Sentences that would have been logged, since it was set to 0. */
extern unsigned quiet_lines;

/* The input, taken from its front; zeros once it is used up. */
struct input {
	const uint8_t *p;
	size_t n;
};

static inline uint64_t input_take(struct input *in, unsigned size)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size && in->n; i++, in->n--)
		v |= (uint64_t)*in->p++ << (8 * i);
	return v;
}
