/*
 * ram.h - guest RAM: one host mapping, split at 3 GiB in guest addresses, and the only door to it.
 */
#pragma once
#include "layout.h"

enum ram_pages { RAM_PAGES_DEFAULT, RAM_PAGES_THP, RAM_PAGES_2M };

struct ram {
	uint8_t *host;      /* [0, low) is guest-physical 0 on, [low, low + high) is 4 GiB on */
	uint64_t low, high; /* bytes below 3 GiB and from 4 GiB on */
};

#define RAM_MIN (16 * MIB)
#define RAM_MAX (1024 * GIB)

/*
 * Maps `size` bytes (RAM_MIN..RAM_MAX, a multiple of 2 MiB) of private anonymous memory, 2 MiB
 * aligned, excluded from core dumps. 0, or -errno with the cause logged (-ENOMEM, also when the
 * hugetlb pool is too small).
 */
int ram_map(struct ram *r, uint64_t size, enum ram_pages pages);
void ram_unmap(struct ram *r);

/*
 * The only way from a guest-physical range to host memory: NULL unless all of [gpa, gpa + len) lies
 * in one of the two RAM regions. len may be 0 inside RAM. `gpa` and `len` may come from the guest.
 */
static inline void *ram_at(const struct ram *r, uint64_t gpa, uint64_t len)
{
	if (gpa < r->low && len <= r->low - gpa)
		return r->host + gpa;
	if (gpa >= GPA_4G && gpa - GPA_4G < r->high && len <= r->high - (gpa - GPA_4G))
		return r->host + r->low + (gpa - GPA_4G);
	return NULL;
}
