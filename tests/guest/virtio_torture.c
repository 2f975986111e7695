/*
 * virtio_torture.c - two CPUs against every virtio device that is there: while CPU 0 keeps a queue
 * loaded, CPU 1 rewrites descriptors, storms the notifications, resets and sets up again, rewrites
 * MSI-X entries. Nothing is written to memory that no descriptor named, nor to any buffer after a
 * reset was done; no interrupt comes that no entry ever described; the others are answered.
 *
 * ms=N: how long for each part and device (500). tell=1: prints counts, too.
 */
#include "lib/ap.h"
#include "lib/victim.h"

#define PAGE      4096
#define DEPTH     16         /* requests out at once */
#define ARENA     (64 << 20) /* where the slots are; take() does not come that far */
#define SPAN      3          /* descriptors of each */
#define CANARY    0xc0ffee11u
#define SLOT      (4 << 20) /* of memory for each: what a disk takes a while to fill */
#define QUIET_US  300
#define LOADED_US 20000
#define LATE_US   5000    /* what would still come after a reset */
#define ANSWER_US 5000000 /* the host may have other work, too */

/* Messages of the two CPUs: a vector belongs to one. */
#define VECTOR_CPU0 0x60
#define VECTOR_CPU1 0x61
#define VECTOR_DATA 0x62 /* on CPU 0, too: only the data differ */

static unsigned ms;
static volatile unsigned counts[3];
static struct vdev *volatile victim;
static void (*volatile other)(void); /* what CPU 1 is to do, until it is NULL again */
static volatile bool stop;
static volatile unsigned hold, held, released; /* CPU 1 holds CPU 0, by numbers */
static volatile unsigned torn, came[3];

/* DEPTH slots; what a disk's requests need beside them: a header of zeroes, a byte of state each.
 */
static uint8_t *arena, *spare;

static void need(bool holds, const char *what, const char *why)
{
	if (!holds)
		victim_fail(victim, what, why);
}

/* --- CPU 1 --- */

_Noreturn void ap_main(unsigned id)
{
	idt_load();
	lapic_init(false);
	irq_on();
	for (;;) {
		void (*job)(void) = other;

		if (job) {
			job();
			other = NULL;
		}
		asm volatile("pause");
	}
}

/*
 * Has CPU 1 do `job` while this one does `load`, for the time of a part, but until the job was done
 * twice at least: a host that has other work may be slow.
 */
static void together(void (*job)(void), void (*load)(void), const char *what)
{
	struct stopwatch s;

	stop = false;
	counts[0] = 0;
	other = job;
	stopwatch_start(&s);
	for (uint32_t us = 0; us < ms * 1000 || counts[0] < 2; us = stopwatch_us(&s)) {
		need(us < ms * 1000 + PATIENCE_US, what, "CPU 1 is too slow");
		load();
	}
	stop = true;
	stopwatch_start(&s);
	while (other) {
		held = hold;
		need(stopwatch_us(&s) < PATIENCE_US, what, "CPU 1 is stuck");
	}
}

/* --- what both do --- */

static uint32_t chance(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static uint32_t seed = 7; /* CPU 1's */

/* Where a slot's canaries are; the last is written last by who fills it from its start. */
static const uint32_t probes[] = {SLOT - 2048, 60 << 10, 2048, 0};
#define PROBES (sizeof(probes) / sizeof(*probes))

static volatile uint32_t *probe(unsigned slot, unsigned i)
{
	return (volatile uint32_t *)(arena + slot * SLOT + probes[i]);
}

static void canaries(unsigned first, unsigned n)
{
	for (unsigned i = 0; i < PROBES; i++)
		for (unsigned slot = first; slot < first + n; slot++)
			*probe(slot, i) = CANARY;
}

static bool canaries_hold(unsigned first, unsigned n)
{
	for (unsigned i = 0; i < PROBES; i++)
		for (unsigned slot = first; slot < first + n; slot++)
			if (*probe(slot, i) != CANARY)
				return false;
	return true;
}

/* A request of the device's kind, with the memory of slot s as its buffer. */
static void load_slot(struct vq *q, unsigned s)
{
	uint8_t *at = arena + s * SLOT;
	const struct buf head = {spare, 16, false}, data = {at, SLOT, true};
	const struct buf state = {spare + 64 + s, 1, true}, blk[] = {head, data, state};
	const struct buf in = {at, 64 << 10, true}, out = {at, 64, false};

	if (victim->id == ID_BLK)
		vq_put(q, s * SPAN, blk, 3);
	else
		vq_put(q, s * SPAN, victim->id == ID_RNG ? &in : &out, 1);
}

/* Fills the queue up again, and notifies. Used slots are not told apart: any may be out twice. */
static void load_queue(void)
{
	struct vq *q = victim_queue(victim);
	unsigned depth = q->size / SPAN < DEPTH ? q->size / SPAN : DEPTH;

	if (hold != released) {
		held = hold;
		while (held != released)
			asm volatile("pause");
	}
	for (unsigned i = 0; i < depth && (uint16_t)(q->avail->idx - q->used->idx) < depth; i++)
		load_slot(q, q->avail->idx % depth);
	vq_notify(q);
}

/* --- descriptors that change under the device [case 11] --- */

/* CPU 1: the three descriptors of slot 0, in any state, but never another slot's. */
static void rewrite(void)
{
	struct vq *q = victim_queue(victim);

	while (!stop) {
		volatile struct desc *d = &q->desc[chance(&seed) % SPAN];
		uint32_t r = chance(&seed);

		switch (r % 8) {
		case 0: d->addr = 0xfee00000; break;
		case 1: d->len = 0; break;
		case 2: d->len = 0xffffffff; break;
		case 3: d->next = (uint16_t)(r >> 8); break;
		case 4: d->flags = (uint16_t)(r >> 8 & 7); break;
		case 5: d->addr = (uint32_t)arena + (r >> 8) % 64; break;
		case 6: d->len = (r >> 8) % (PAGE - 64); break;
		default: d->next = (uint16_t)(r >> 8) % SPAN; break;
		}
		counts[0]++;
	}
}

/* CPU 0: good ones, again and again; and a reset when the device asks for it. */
static void offer(void)
{
	struct vq *q = victim_queue(victim);

	if (vdev_status(victim) & S_NEEDS_RESET) {
		counts[1]++;
		vdev_open(victim, 0);
	}
	if ((uint16_t)(q->avail->idx - q->used->idx) < 8)
		load_slot(q, 0);
	vq_notify(q);
}

static void torn_descriptors(void)
{
	const char *what = "descriptors change while they are read";

	counts[1] = 0;
	vdev_open(victim, 0);
	memset((void *)victim_queue(victim)->desc, 0, RING_MAX * sizeof(struct desc));
	/* A slot's length from beyond the first one's start reaches the next. */
	canaries(2, DEPTH - 2);
	together(rewrite, offer, what);
	need(canaries_hold(2, DEPTH - 2), what, "memory that was not named is written");
	victim_works(victim, what);
	victim_others(victim, what);
	if (option("tell", 0))
		say("# %u changes, %u resets\n", counts[0], counts[1]);
	say("%s: %s\n", victim->name, what);
}

/* --- storm [12] --- */

/* CPU 1: all queues of all devices, and some that there are not. */
static void storm(void)
{
	while (!stop) {
		for (unsigned i = 0; i < victim_count; i++) {
			struct vdev *v = &victims[i];
			struct vq bogus = v->q[0];

			for (unsigned n = 0; n < v->queues; n++)
				vq_notify(&v->q[n]);
			bogus.n = 0xfffe;
			vq_notify(&bogus);
			counts[0]++;
		}
	}
}

/* CPU 0: each request takes its turn in good time. */
static void answer(void)
{
	struct vq *q = victim_queue(victim);
	struct stopwatch s;
	uint32_t head, len, us;

	stopwatch_start(&s);
	victim_put(victim, 0);
	vq_notify(q);
	need(vq_wait(q, &head, &len), "storm of notifications", "no answer");
	us = stopwatch_us(&s);
	need(us < ANSWER_US, "storm of notifications", "an answer takes five seconds");
	counts[1]++;
	counts[2] = us > counts[2] ? us : counts[2];
}

static void stormed(void)
{
	counts[1] = counts[2] = 0;
	vdev_open(victim, 0);
	together(storm, answer, "storm");
	if (option("tell", 0))
		say("# %u rounds, %u answers, slowest %u us\n", counts[0], counts[1], counts[2]);
	say("%s: two CPUs notify\n", victim->name);
}

/* --- resets [10] --- */

/*
 * CPU 1: resets while CPU 0 goes on loading; from the moment that the status reads 0 the buffers
 * and the used ring stay as they are. Then CPU 0 is held until the rings are new.
 */
static void resets(void)
{
	struct vq *q = victim_queue(victim);
	struct stopwatch s;
	uint16_t idx;

	while (!stop) {
		/* In the middle of it: after some answers, and a little. */
		stopwatch_start(&s);
		for (unsigned n = chance(&seed) % DEPTH;
		     q->used->idx < n && stopwatch_us(&s) < LOADED_US;)
			asm volatile("pause");
		wait_us(chance(&seed) % QUIET_US);
		vdev_reset(victim);
		canaries(0, DEPTH);
		idx = q->used->idx;
		wait_us(chance(&seed) % LATE_US);
		need(canaries_hold(0, DEPTH), "reset", "a buffer is written to after it");
		need(q->used->idx == idx, "reset", "the used ring is written to after it");
		hold++;
		while (held != hold)
			asm volatile("pause");
		vdev_open(victim, chance(&seed) % 2 ? F_EVENT_IDX : 0);
		released = hold;
		counts[0]++;
	}
}

static void reset_under_load(void)
{
	const char *what = "resets under load";

	vdev_open(victim, 0);
	together(resets, load_queue, what);
	victim_works(victim, what);
	victim_others(victim, what);
	if (option("tell", 0))
		say("# %u resets\n", counts[0]);
	say("%s: %s\n", victim->name, what);
}

/* --- messages --- */

static void message(const struct frame *f)
{
	unsigned n = f->vector - VECTOR_CPU0, cpu = lapic_read(LAPIC_ID) >> 24;

	came[n]++;
	if (cpu != (n == 1))
		torn++;
	lapic_write(LAPIC_EOI, 0);
}

/* CPU 1: the entry is for one CPU, then for the other, masked while it changes; or its data. */
static void rewrite_entries(void)
{
	uint32_t r, at = victim->msix_table;

	while (!stop) {
		r = chance(&seed);
		for (unsigned i = 0; i < victim->msix_vectors; i++)
			msix_set(victim, i, r & 1, r & 1 ? VECTOR_CPU1 : VECTOR_CPU0);
		if (!(r & 1))
			for (unsigned i = 0; i < 16; i++)
				*mmio32(at + 8) = i % 2 ? VECTOR_CPU0 : VECTOR_DATA;
		*mmio32(at + 12) = 1;
		*mmio32(at + 12) = 0;
		counts[0]++;
	}
}

static void messages(void)
{
	const char *what = "MSI-X entries change under load";
	struct vdev *v = victim;
	struct stopwatch s;

	if (v->mmio)
		return;
	torn = came[0] = came[1] = came[2] = 0;
	vdev_reset(v);
	for (unsigned i = 0; i < v->msix_vectors; i++)
		msix_set(v, i, 0, VECTOR_CPU0);
	msix_enable(v, true);
	if (!vdev_begin(v, 0))
		victim_fail(v, what, "FEATURES_OK is refused");
	for (unsigned i = 0; i < v->queues; i++) {
		vq_select(v, i);
		vq_setup(&v->q[i], vq_max(v));
		msix_assign(v, (int)i, 0);
	}
	vdev_set_status(v, S_READY | S_DRIVER_OK);
	irq_on();
	together(rewrite_entries, load_queue, what);
	/* What is under way still comes; and then CPU 1 gets one for sure. */
	msix_set(v, 0, 1, VECTOR_CPU1);
	stopwatch_start(&s);
	for (unsigned was = came[1]; came[1] == was;) {
		load_queue();
		need(stopwatch_us(&s) < PATIENCE_US, what, "none comes any more");
	}
	vdev_reset(v);
	msix_enable(v, false);
	wait_us(1000);
	irq_off();
	need(torn == 0, what, "a message is half one, half another");
	victim_works(v, what);
	if (option("tell", 0))
		say("# %u changes, messages %u %u %u\n", counts[0], came[0], came[1], came[2]);
	say("%s: %s\n", v->name, what);
}

void main(void)
{
	ms = option("ms", 500);
	for (unsigned i = 0; i < 3; i++)
		on_vector(VECTOR_CPU0 + i, message);
	pic_init(0);
	lapic_init(false);
	arena = (uint8_t *)ARENA;
	if (ARENA + (DEPTH + 2) * SLOT > ram_end())
		fail("too little memory");
	spare = arena + DEPTH * SLOT; /* and as long: CPU 1 has any of it written */
	memset(spare, 0, PAGE);
	victims_find();
	ap_start();
	for (unsigned i = 0; i < victim_count; i++) {
		victim = &victims[i];
		torn_descriptors();
		stormed();
		reset_under_load();
		messages();
	}
}
