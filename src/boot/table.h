/*
 * table.h - what ACPI's and the MP specification's tables have in common: bytes that sum up to
 * zero, and entries appended to a bounded stretch of guest memory.
 */
#pragma once
#include <string.h>

#include "../util.h"

/* Sets `*sum`, a byte inside [t, t + len), so that all of them add up to 0 modulo 256. */
static inline void table_seal(void *t, size_t len, uint8_t *sum)
{
	uint8_t total = 0;

	*sum = 0;
	for (size_t i = 0; i < len; i++)
		total = (uint8_t)(total + ((const uint8_t *)t)[i]);
	*sum = (uint8_t)-total;
}

/* Host memory behind a table while its entries are written. */
struct table {
	uint8_t *host;     /* may be NULL when size is 0 */
	size_t size, used; /* bytes */
	bool full;         /* something did not fit; nothing was written from then on */
};

/* Appends `len` bytes; where they do not fit, sets t->full and writes nothing. */
static inline void table_put(struct table *t, const void *src, size_t len)
{
	if (t->full || len > t->size - t->used) {
		t->full = true;
		return;
	}
	memcpy(t->host + t->used, src, len);
	t->used += len;
}
