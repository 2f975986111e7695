/*
 * msix.c - MSI-X of a PCI function [PCI 3.0, 6.8.2 and 6.8.3].
 * Modelled: entries with their masks, the function's mask, pending bits that are sent when the last
 * mask goes.
 * Not modelled: 64-bit accesses in one piece (the board splits them; under its lock no message is
 * torn, since an entry is only written while its mask is set); what Bus Master stops.
 * Board lock held by the caller.
 */
#include "msix.h"

#define ENTRY          16u /* bytes */
#define WORD_ADDR      0
#define WORD_ADDR_HIGH 1
#define WORD_DATA      2
#define WORD_VECTOR    3 /* Vector Control */
#define VECTOR_MASKED  BIT(0)
#define ADDR_RW        MASK(31, 2) /* a message is an aligned double word */

void msix_init(struct msix *s, unsigned vectors, const struct irq_sink *sink)
{
	*s = (struct msix){.vectors = vectors, .sink = sink};
	for (unsigned n = 0; n < vectors; n++)
		s->table[n][WORD_VECTOR] = VECTOR_MASKED;
}

void msix_signal(struct msix *s, unsigned n)
{
	const uint32_t *e = s->table[n % MSIX_VECTORS];

	if (n >= s->vectors)
		return;
	if ((s->control & MSIX_CONTROL_MASKED) || (e[WORD_VECTOR] & VECTOR_MASKED)) {
		s->pending |= (uint32_t)BIT(n);
		return;
	}
	CLEAR(s->pending, BIT(n));
	s->sink->msi(s->sink->ctx, (uint64_t)e[WORD_ADDR_HIGH] << 32 | e[WORD_ADDR], e[WORD_DATA]);
}

/* After a mask may have gone [6.8.3.5]. */
static void retry(struct msix *s)
{
	if (!s->pending || !msix_enabled(s))
		return;
	for (unsigned n = 0; n < s->vectors; n++)
		if (s->pending & BIT(n))
			msix_signal(s, n);
}

void msix_set_control(struct msix *s, uint16_t control)
{
	s->control = control;
	retry(s);
}

void msix_reset(struct msix *s)
{
	s->pending = 0;
}

/* The word of the table that an access is for; NULL: none. */
static const uint32_t *word_at(const struct msix *s, uint32_t off, unsigned size)
{
	if (size != 4 || off % 4 || off / ENTRY >= s->vectors)
		return NULL;
	return &s->table[off / ENTRY][off % ENTRY / 4];
}

uint32_t msix_table_read(const struct msix *s, uint32_t off, unsigned size)
{
	const uint32_t *word = word_at(s, off, size);

	return word ? *word : 0;
}

void msix_table_write(struct msix *s, uint32_t off, unsigned size, uint32_t val)
{
	static const uint32_t writable[] = {[WORD_ADDR] = (uint32_t)ADDR_RW,
					    [WORD_ADDR_HIGH] = UINT32_MAX,
					    [WORD_DATA] = UINT32_MAX,
					    [WORD_VECTOR] = VECTOR_MASKED};

	if (!word_at(s, off, size))
		return;
	s->table[off / ENTRY][off % ENTRY / 4] = val & writable[off % ENTRY / 4];
	retry(s);
}

uint32_t msix_pba_read(const struct msix *s, uint32_t off, unsigned size)
{
	return off == 0 && size == 4 ? s->pending : 0; /* the vectors fit into the first half */
}
