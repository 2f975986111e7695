/* steps.c - runs step tables against one chip under cmocka. */
#include "steps.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void probe_set(void *ctx, unsigned n, bool level)
{
	struct rig *r = ctx;

	if (level && !r->line[n].level)
		r->line[n].rises++;
	r->line[n].level = level;
}

struct irq_line rig_line(struct rig *r, unsigned n)
{
	return (struct irq_line){.set = probe_set, .ctx = r, .n = n};
}

static void probe_power(void *ctx, enum power_event ev)
{
	((struct rig *)ctx)->power[ev]++;
}

struct power_line rig_power(struct rig *r)
{
	return (struct power_line){.event = probe_power, .ctx = r};
}

static int probe_msi(void *ctx, uint64_t addr, uint32_t data)
{
	struct rig *r = ctx;

	r->msi[r->msi_in % RIG_MSIS].addr = addr;
	r->msi[r->msi_in % RIG_MSIS].data = data;
	r->msi_in++;
	return r->msi_result;
}

static void probe_route(void *ctx, unsigned gsi, uint64_t addr, uint32_t data)
{
	struct rig *r = ctx;

	r->route[gsi].set = true;
	r->route[gsi].addr = addr;
	r->route[gsi].data = data;
}

static void probe_unroute(void *ctx, unsigned gsi)
{
	((struct rig *)ctx)->route[gsi].set = false;
}

static void probe_intr(void *ctx, bool level)
{
	((struct rig *)ctx)->intr = level;
}

const struct irq_sink *rig_sink(struct rig *r)
{
	r->msi_result = 1;
	r->sink = (struct irq_sink){.ctx = r,
				    .msi = probe_msi,
				    .route = probe_route,
				    .unroute = probe_unroute,
				    .intr = probe_intr};
	return &r->sink;
}

/* The fake timerfd: every deadline up to `until` is ticked at its own time. */
static void rig_advance(struct rig *r, uint64_t until)
{
	while (r->deadline) {
		uint64_t d = r->deadline(r->dev);

		if (d > until)
			break;
		r->now = d > r->now ? d : r->now;
		r->tick(r->dev, r->now);
	}
	r->now = until;
}

static uint64_t rig_msi(struct rig *r, uint64_t *addr)
{
	if (r->msi_out == r->msi_in)
		return NEVER;
	*addr = r->msi[r->msi_out % RIG_MSIS].addr;
	return r->msi[r->msi_out++ % RIG_MSIS].data;
}

/* Does one step; returns what is to be compared with s->val (s->val itself where nothing is). */
static uint64_t rig_step(struct rig *r, const struct step *s)
{
	uint32_t off = (uint32_t)(s->addr - r->base);
	uint64_t got = s->val, addr = 0;

	switch (s->op) {
	case WR:
	case WR2:
	case WR4: r->write(r->dev, off, 1u << (s->op - WR), (uint32_t)s->val, r->now); break;
	case RD:
	case RD2:
	case RD4: return r->read(r->dev, off, 1u << (s->op - RD), r->now);
	case AT: rig_advance(r, s->val); break;
	case TICK: rig_advance(r, r->now + s->val); break;
	case SET: r->set(r->dev, (unsigned)s->addr, s->val != 0, r->now); break;
	case LINE: return r->line[s->addr].level;
	case EDGES:
		got = r->line[s->addr].rises;
		r->line[s->addr].rises = 0;
		break;
	case ARMED: return r->deadline(r->dev);
	case OFF:
		got = r->power[s->addr];
		r->power[s->addr] = 0;
		break;
	case MSI:
		got = rig_msi(r, &addr);
		if (got != NEVER && (uint32_t)addr != (uint32_t)s->addr)
			fail_msg("MSI to address %#" PRIx64 ", expected %#" PRIx64, addr, s->addr);
		break;
	case NOMSI: return rig_msi(r, &addr) == NEVER ? s->val : ~s->val;
	case ROUTE: return r->route[s->addr].set ? r->route[s->addr].data : NEVER;
	default: return r->op(r, s);
	}
	return got;
}

void rig_run(struct rig *r, const char *name, const struct step *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t got = rig_step(r, &s[i]);

		if (got != s[i].val)
			fail_msg("%s[%zu] (op %d, addr %#" PRIx64 ", at %" PRIu64
				 " ns): got %#" PRIx64 ", expected %#" PRIx64,
				 name, i, s[i].op, s[i].addr, r->now, got, s[i].val);
	}
}
