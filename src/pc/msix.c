/*
 * msix.c - MSI-X of a PCI function [PCI 3.0, 6.8.2 and 6.8.3].
 * Modelled: entries with their masks, the function's mask, pending bits that are sent when the last
 * mask goes; vectors that a part of the kernel sends, of which pending bits come to be a little
 * later, since they pass through the loop.
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

static bool masked(const struct msix *s, unsigned n)
{
	return (s->control & MSIX_CONTROL_MASKED) || (s->table[n][WORD_VECTOR] & VECTOR_MASKED);
}

static uint64_t address(const uint32_t *e)
{
	return (uint64_t)e[WORD_ADDR_HIGH] << 32 | e[WORD_ADDR];
}

void msix_signal(struct msix *s, unsigned n)
{
	const uint32_t *e = s->table[n % MSIX_VECTORS];

	if (n >= s->vectors)
		return;
	if (masked(s, n)) {
		s->pending |= (uint32_t)BIT(n);
		return;
	}
	CLEAR(s->pending, BIT(n));
	s->sink->msi(s->sink->ctx, address(e), e[WORD_DATA]);
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

static void wire_settle(struct msix *s, struct msix_wire *w)
{
	const uint32_t *e = s->table[w->vector % MSIX_VECTORS];

	if (w->fd && msix_enabled(s) && w->vector < s->vectors && !masked(s, w->vector)) {
		w->on = s->sink->wire(s->sink->ctx, w->fd, address(e), e[WORD_DATA]);
	} else if (w->on) {
		w->on = false;
		s->sink->unwire(s->sink->ctx, w->fd);
	}
}

/* After a mask or a message may have changed. */
static void settle(struct msix *s)
{
	retry(s);
	for (unsigned i = 0; s->wires && i < MSIX_WIRES; i++)
		wire_settle(s, &s->wire[i]);
}

void msix_wire(struct msix *s, unsigned n, unsigned vector, int fd)
{
	struct msix_wire *w = &s->wire[n];

	if (!s->sink->wire)
		return;
	if (w->on)
		s->sink->unwire(s->sink->ctx, w->fd);
	s->wires -= w->fd != 0;
	*w = (struct msix_wire){.fd = MAX(fd, 0), .vector = (uint16_t)vector};
	s->wires += w->fd != 0;
	wire_settle(s, w);
}

void msix_set_control(struct msix *s, uint16_t control)
{
	s->control = control;
	settle(s);
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
	settle(s);
}

uint32_t msix_pba_read(const struct msix *s, uint32_t off, unsigned size)
{
	return off == 0 && size == 4 ? s->pending : 0; /* the vectors fit into the first half */
}
