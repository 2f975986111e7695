/*
 * loader_mutate.c - libFuzzer's mutations, and one that it would hardly find: a field of a header
 * that is there gets a number that means something to a loader.
 */
#include <elf.h>
#include <string.h>

#include "fuzz.h"
#include "loader.h"

#define SCENE    sizeof(struct loader_scene)
#define MB_MAGIC 0x1badb002u
#define PHDRS    6u /* the first ones */

struct field {
	uint16_t off;
	uint8_t size;
};

static const struct field bzimage[] = {
	{0x1f1, 1},
        {0x1f4, 4},
        {0x1fe, 2},
        {0x201, 1},
        {0x202, 4},
        {0x206, 2},
        {0x211, 1},
	{0x22c, 4},
        {0x230, 4},
        {0x234, 1},
        {0x236, 2},
        {0x238, 4},
        {0x258, 8},
        {0x260, 4},
};
static const struct field elf64[] = {
	{4,  2},
        {16, 2},
        {18, 2},
        {24, 8},
        {32, 8},
        {54, 2},
        {56, 2},
};
static const struct field elf32[] = {
	{4,  2},
        {16, 2},
        {18, 2},
        {24, 4},
        {28, 4},
        {42, 2},
        {44, 2},
};
static const struct field phdr64[] = {
	{0,  4},
        {8,  8},
        {16, 8},
        {24, 8},
        {32, 8},
        {40, 8},
        {48, 8},
};
static const struct field phdr32[] = {
	{0,  4},
        {4,  4},
        {8,  4},
        {12, 4},
        {16, 4},
        {20, 4},
        {28, 4},
};
static const struct field multiboot[] = {
	{4,  4},
        {8,  4},
        {12, 4},
        {16, 4},
        {20, 4},
        {24, 4},
        {28, 4},
};

/* xorshift: the state is never 0. */
static uint32_t next(uint32_t *rng)
{
	*rng ^= *rng << 13;
	*rng ^= *rng >> 17;
	*rng ^= *rng << 5;
	return *rng;
}

static uint64_t number(uint32_t *rng, uint64_t old, uint64_t size)
{
	static const uint64_t some[] = {
		0,
		1,
		2,
		3,
		4,
		8,
		32,
		56,
		64,
		65,
		0x200,
		0x400,
		4096,
		0x6000,
		GPA_ZERO_PAGE,
		GPA_CMDLINE,
		GPA_LOW_END,
		GPA_ACPI,
		GPA_HIMEM - 1,
		GPA_HIMEM,
		2 * MIB,
		15 * MIB,
		16 * MIB - 1,
		16 * MIB,
		18 * MIB,
		64 * MIB,
		2 * GIB - 1,
		2 * GIB,
		3 * GIB,
		GPA_4G - 1,
		GPA_4G,
		4 * GIB + 2 * MIB,
		BIT(63),
		UINT64_MAX - 4095,
		UINT64_MAX,
	};
	uint64_t small = next(rng) % 16;

	switch (next(rng) % 6) {
	case 0: return old + small;
	case 1: return old - small;
	case 2: return size - small;
	case 3: return old ^ BIT(next(rng) % 64);
	default: return some[next(rng) % ARRAY_SIZE(some)] + (next(rng) % 4 ? 0 : small - 8);
	}
}

static void set(uint8_t *p, size_t n, uint64_t base, const struct field *f, unsigned fields,
		uint32_t *rng)
{
	uint64_t v = 0, at;

	f += next(rng) % fields;
	at = base + f->off;
	if (at > n || f->size > n - at)
		return;
	memcpy(&v, p + at, f->size);
	v = number(rng, v, n);
	memcpy(p + at, &v, f->size);
}

static uint64_t get(const uint8_t *p, size_t n, uint64_t at, unsigned size)
{
	uint64_t v = 0;

	if (at <= n && size <= n - at)
		memcpy(&v, p + at, size);
	return v;
}

static void mutate_elf(uint8_t *p, size_t n, uint32_t *rng)
{
	bool is64 = n > EI_CLASS && p[EI_CLASS] == ELFCLASS64;
	uint64_t table = is64 ? get(p, n, 32, 8) : get(p, n, 28, 4);
	unsigned i = next(rng) % PHDRS;

	if (next(rng) % 3 == 0)
		set(p, n, 0, is64 ? elf64 : elf32, ARRAY_SIZE(elf64), rng);
	else if (is64)
		set(p, n, table + i * sizeof(Elf64_Phdr), phdr64, ARRAY_SIZE(phdr64), rng);
	else
		set(p, n, table + i * sizeof(Elf32_Phdr), phdr32, ARRAY_SIZE(phdr32), rng);
}

/* Also mends the checksum, mostly. */
static bool mutate_multiboot(uint8_t *p, size_t n, uint32_t *rng)
{
	for (size_t at = 0; at + 12 <= n && at < 8192; at += 4) {
		uint32_t sum;

		if (get(p, n, at, 4) != MB_MAGIC)
			continue;
		set(p, n, at, multiboot, ARRAY_SIZE(multiboot), rng);
		sum = 0u - MB_MAGIC - (uint32_t)get(p, n, at + 4, 4);
		if (next(rng) % 8)
			memcpy(p + at + 8, &sum, sizeof(sum));
		return true;
	}
	return false;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	uint32_t rng = seed | 1;
	uint8_t *p = data + SCENE;
	size_t n = size - SCENE;

	if (size < SCENE || next(&rng) % 3 == 0)
		return LLVMFuzzerMutate(data, size, max);
	if (next(&rng) % 4 == 0) {
		data[next(&rng) % SCENE] = (uint8_t)next(&rng);
		return size;
	}
	for (unsigned times = next(&rng) % 3 + 1; times; times--) {
		if (next(&rng) % 2 && mutate_multiboot(p, n, &rng))
			continue;
		if (get(p, n, 0, SELFMAG) == 0x464c457f)
			mutate_elf(p, n, &rng);
		else
			set(p, n, 0, bzimage, ARRAY_SIZE(bzimage), &rng);
	}
	return size;
}
