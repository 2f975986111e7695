/*
 * board_test.c - behaviours of the machine as a whole: the two maps, wires, timer, firmware state.
 * Includes board.c, for the tables are private to it.
 */
#include "../../../src/pc/board.c"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/steps.h"

#define INTA   X0 /* INTA cycle, expect the vector; NEVER: INTR is low */
#define EOI    X1 /* EOI of vector addr, val times, each expected to find nobody at fault */
#define MISSED X2 /* expect val bytes that no port took since last asked; addr 1: of memory */
#define ARMS   X3 /* expect val calls of arm() since last asked */
#define LATE   X4 /* set the clock to val ns, and no loop comes */
#define BUTTON X5 /* the power button */

static struct board board;
static struct board_host host;
static struct rig rig;
static uint8_t store[TEST_MMIO_SIZE];

/* What the world was told. */
static unsigned arms, marks, quits, flushes, traces;
static uint64_t missed[2], marked_at, flushed;
static uint8_t mark, quit;
static struct {
	const char *op;
	uint64_t addr, val, now;
	unsigned size;
} traced;

static void on_arm(void *ctx, uint64_t deadline)
{
	assert_true(deadline == board.armed);
	arms++;
}

static void on_mark(void *ctx, uint8_t val, uint64_t now)
{
	marks++;
	mark = val;
	marked_at = now;
}

static void on_quit(void *ctx, uint8_t status)
{
	quits++;
	quit = status;
}

static void on_flush(void *ctx, uint64_t gpa)
{
	flushes++;
	flushed = gpa;
}

static void on_trace(void *ctx, const char *op, uint64_t addr, unsigned size, uint64_t val,
		     uint64_t now)
{
	traces++;
	traced.op = op;
	traced.addr = addr;
	traced.size = size;
	traced.val = val;
	traced.now = now;
}

/* Addresses of steps: ports below 64 Ki, memory above. */
static uint32_t bus_read(void *dev, uint32_t addr, unsigned size, uint64_t now)
{
	if (addr <= UINT16_MAX)
		return board_pio_read(dev, (uint16_t)addr, size, now);
	return (uint32_t)board_mmio_read(dev, addr, size, now);
}

static void bus_write(void *dev, uint32_t addr, unsigned size, uint32_t val, uint64_t now)
{
	if (addr <= UINT16_MAX)
		board_pio_write(dev, (uint16_t)addr, size, val, now);
	else
		board_mmio_write(dev, addr, size, val, now);
}

/* The loop: it comes when the timer was armed for. */
static uint64_t loop_deadline(const void *dev)
{
	return ((const struct board *)dev)->armed;
}

static void loop_turn(void *dev, uint64_t now)
{
	board_tick(dev, now);
}

static uint64_t op(struct rig *r, const struct step *s)
{
	uint64_t count, got;
	uint8_t vector;

	switch (s->op) {
	case INTA: return board_inta(&board, &vector, r->now) ? vector : NEVER;
	case EOI:
		for (uint64_t i = 0; i < s->val; i++)
			board_eoi(&board, (uint8_t)s->addr, r->now);
		return s->val;
	case MISSED:
		count = s->addr ? board.mmio_missed : board.pio_missed;
		got = count - missed[s->addr];
		missed[s->addr] = count;
		return got;
	case ARMS:
		got = arms;
		arms = 0;
		return got;
	case LATE: r->now = s->val; return s->val;
	default:
		pm_power_button(&board.pm);
		board_tick(&board, r->now);
		return s->val;
	}
}

static void start(const struct board_conf *conf)
{
	memset(&board, 0, sizeof(board)); /* the monitor's is static, too */
	memset(store, 0, sizeof(store));
	memset(&traced, 0, sizeof(traced));
	memset(missed, 0, sizeof(missed));
	arms = marks = quits = flushes = traces = 0;
	rig = (struct rig){.dev = &board,
			   .read = bus_read,
			   .write = bus_write,
			   .deadline = loop_deadline,
			   .tick = loop_turn,
			   .op = op};
	host = (struct board_host){.ctx = &rig,
				   .sink = *rig_sink(&rig),
				   .arm = on_arm,
				   .power = rig_power(&rig).event,
				   .mark = on_mark,
				   .quit = on_quit,
				   .flush_page = on_flush};
	board_init(&board, conf, &host, 0);
}

static int setup(void **state)
{
	start(&(struct board_conf){.low_ram = 512 * MIB, .cpus = 2});
	return 0;
}

static int setup_test_device(void **state)
{
	start(&(struct board_conf){.low_ram = GPA_LOW_RAM_MAX,
				   .high_ram = GIB,
				   .cpus = 3,
				   .test_device = true,
				   .test_mmio = store});
	return 0;
}

// clang-format off
#define PIC_INIT(imr0, imr1)                                                                       \
	{WR, 0x20, 0x11}, {WR, 0x21, 0x20}, {WR, 0x21, 0x04}, {WR, 0x21, 0x01}, {WR, 0x21, imr0},  \
	{WR, 0xa0, 0x11}, {WR, 0xa1, 0x28}, {WR, 0xa1, 0x02}, {WR, 0xa1, 0x01}, {WR, 0xa1, imr1}
/* Low half of a redirection entry; destination APIC 0. */
#define RTE(pin, low) {WR4, 0xfec00000, 0x10 + 2 * (pin)}, {WR4, 0xfec00010, low}
#define MSI_TO_0 0xfee00000
/*
 * Counter 0 in mode 2: 1000 ticks of 838.1 ns a period; the first tick loads. Choosing the mode
 * raises OUT0, so tests that count interrupts do that first: ICW1 forgets the edge.
 */
#define PIT_MODE {WR, 0x43, 0x34}
#define PIT_1000 {WR, 0x40, 0xe8}, {WR, 0x40, 0x03}
#define PIT_65536 {WR, 0x40, 0}, {WR, 0x40, 0}
#define PIT_1ST 838934  /* tick 1001 */
#define PIT_2ND 1677029 /* tick 2001 */
#define CMOS(reg, val) {WR, 0x70, (reg)}, {RD, 0x71, (val)}
#define CFG(devfn, reg) {WR4, 0xcf8, 0x80000000 | (devfn) << 8 | (reg)}
// clang-format on

static bool inside(const struct io_range *in, const struct io_range *out)
{
	return in->base >= out->base && in->base + in->len <= out->base + out->len;
}

/* Two chips may share a place where the smaller is meant to hide a part of the larger. */
static void check_overlaps(const struct io_range *t, size_t n)
{
	for (const struct io_range *a = t; a < t + n; a++) {
		for (const struct io_range *b = a + 1; b < t + n; b++) {
			if (a->base + a->len <= b->base || b->base + b->len <= a->base)
				continue;
			assert_true(inside(a, b)); /* the row that is looked at first */
			assert_true((a->base == 0xcf9 && b->base == 0xcf8) ||
				    (a->base == 0x61 && b->base == 0x60));
		}
	}
}

static void rows_do_not_overlap(void **state)
{
	check_overlaps(board_pio, ARRAY_SIZE(board_pio));
	check_overlaps(board_mmio, ARRAY_SIZE(board_mmio));
}

static void check_rows(const struct io_range *t, size_t n, uint64_t end)
{
	for (const struct io_range *r = t; r < t + n; r++) {
		assert_non_null(r->read);
		assert_non_null(r->write);
		assert_non_null(r->name);
		assert_true(r->len && r->base + r->len <= end);
		assert_true((r->sizes & 1) && !(r->sizes & ~7u)); /* splitting ends at a byte */
		assert_true(r->dev < sizeof(struct board));
	}
}

static void rows_are_complete(void **state)
{
	check_rows(board_pio, ARRAY_SIZE(board_pio), UINT16_MAX + 1);
	check_rows(board_mmio, ARRAY_SIZE(board_mmio), GPA_4G);
}

static void rows_are_counted_by_name(void **state)
{
	uint64_t count = 0, uarts = 0;
	unsigned n = 0;

	board_pio_write(&board, 0x3ff, 1, 0x55, 0);
	board_pio_read(&board, 0x3ff, 1, 0);
	for (const char *name; (name = board_pio_row(&board, n, &count)); n++)
		uarts += strcmp(name, "uart") ? 0 : count;
	assert_int_equal(uarts, 2);
	assert_int_equal(n, ARRAY_SIZE(board_pio));

	board_mmio_read(&board, GPA_IOAPIC, 4, 0);
	assert_string_equal(board_mmio_row(&board, 0, &count), "ioapic");
	assert_int_equal(count, 1);
	assert_null(board_mmio_row(&board, ARRAY_SIZE(board_mmio), &count));
}

// clang-format off
static void wide_port_write_is_split(void **state)
{
	static const struct step t[] = {
		{WR2, 0x70, 0x5a50}, CMOS(0x50, 0x5a), /* index, then data */
		{WR4, 0x3fc, 0x7700000b}, {RD, 0x3fc, 0x0b}, {RD, 0x3ff, 0x77},
		{MISSED, 0, 0},
	};
	RUN(&rig, t);
}

static void wide_port_read_is_split(void **state)
{
	static const struct step t[] = {
		{WR, 0x3fc, 0x0b}, {WR, 0x3ff, 0x77},
		{RD4, 0x3fc, 0x77b0600b}, {RD2, 0x3fe, 0x77b0},
		{MISSED, 0, 0},
	};
	RUN(&rig, t);
}

static void access_across_the_end_of_a_chip(void **state)
{
	static const struct step t[] = {
		{WR, 0x3ff, 0x77}, {RD2, 0x3ff, 0xff77}, {MISSED, 0, 1},
		{RD4, 0x3fe, 0xffff77b0}, {MISSED, 0, 2},
		{WR2, 0x3ff, 0x1122}, {RD, 0x3ff, 0x22}, {MISSED, 0, 1},
		{WR4, 0xffff, 0}, {RD4, 0xffff, 0xffffffff}, {MISSED, 0, 8}, /* nothing wraps */
	};
	RUN(&rig, t);
}

static void port_61_hides_in_the_keyboard(void **state)
{
	static const struct step t[] = {
		{WR, 0x61, 0x02}, {RD, 0x61, 0x02}, {RD, 0x64, 0x14}, {RD2, 0x62, 0xffff},
		{MISSED, 0, 0},
	};
	RUN(&rig, t);
}

static void missing_port_reads_all_ones(void **state)
{
	static const struct step t[] = {
		{RD, 0x100, 0xff}, {RD2, 0x100, 0xffff}, {RD4, 0x100, 0xffffffff},
		{MISSED, 0, 7}, {ARMS, 0, 0},
	};
	RUN(&rig, t);
}

static void missing_port_drops_writes(void **state)
{
	static const struct step t[] = {
		{WR, 0x100, 0}, {WR2, 0x100, 0}, {WR4, 0x100, 0}, {MISSED, 0, 7},
		{RD, 0x100, 0xff}, {MISSED, 0, 1}, {MISSED, 1, 0},
	};
	RUN(&rig, t);
}

static void confadd_takes_dwords_alone(void **state)
{
	static const struct step t[] = {
		{WR4, 0xcf8, 0x80000800}, {RD4, 0xcf8, 0x80000800},
		{WR2, 0xcf8, 0x0000}, {WR, 0xcf8, 0x00}, {WR2, 0xcfa, 0x0000}, {WR, 0xcfb, 0x00},
		{RD4, 0xcf8, 0x80000800},
		{RD2, 0xcf8, 0xffff}, {RD, 0xcf8, 0xff}, {RD2, 0xcfa, 0xffff}, {RD, 0xcfb, 0xff},
		{MISSED, 0, 0},
	};
	RUN(&rig, t);
}

static void reset_control_hides_in_confadd(void **state)
{
	static const struct step t[] = {
		{WR4, 0xcf8, 0x80000604}, {OFF, POWER_RESET, 0}, {RD, 0xcf9, 0x00},
		{WR2, 0xcf8, 0x0604}, {OFF, POWER_RESET, 0}, /* a word is no byte */
		{WR, 0xcf9, 0x02}, {RD, 0xcf9, 0x02}, {RD4, 0xcf8, 0x80000604},
		{WR, 0xcf9, 0x06}, {OFF, POWER_RESET, 1},
	};
	RUN(&rig, t);
}

static void configuration_data_in_every_width(void **state)
{
	static const struct step t[] = {
		CFG(0x00, 0), {RD4, 0xcfc, 0x12378086}, {RD2, 0xcfe, 0x1237}, {RD, 0xcfd, 0x80},
		{RD2, 0xcfd, 0x3780}, {RD4, 0xcfa, 0x8086ffff}, {RD4, 0xcfe, 0xffff1237},
		{MISSED, 0, 2}, /* D00h, D01h */
		CFG(0x08, 0), {RD4, 0xcfc, 0x70008086}, CFG(0x0b, 0), {RD4, 0xcfc, 0x71138086},
		CFG(0x10, 0), {RD4, 0xcfc, 0xffffffff},
	};
	RUN(&rig, t);
}

static void ioapic_answers_at_its_address(void **state)
{
	static const struct step t[] = {
		{WR4, 0xfec00000, 1}, {RD4, 0xfec00010, 0x00170020}, {RD, 0xfec00000, 1},
		{WR, 0xfec00000, 0}, {RD4, 0xfec00010, 0x02000000}, /* the ID after 2 CPUs */
		{RD4, 0xfec00ffc, 0}, {MISSED, 1, 0}, {RD4, 0xfec01000, 0xffffffff}, {MISSED, 1, 4},
	};
	RUN(&rig, t);
}
// clang-format on

static void missing_memory_reads_all_ones(void **state)
{
	assert_true(board_mmio_read(&board, 0xd0000000, 8, 0) == UINT64_MAX);
	assert_true(board_mmio_read(&board, 0xd0000003, 3, 0) == 0xffffff);
	board_mmio_write(&board, 0xd0000000, 8, 0, 0);
	assert_true(board_mmio_read(&board, GPA_TEST_MMIO, 1, 0) == 0xff); /* no test device */
	assert_int_equal(board.mmio_missed, 8 + 3 + 8 + 1);
}

/* Every size at every alignment, against plain memory, across both ends of the store. */
static void memory_access_in_every_shape(void **state)
{
	uint8_t model[TEST_MMIO_SIZE + 16];
	uint64_t lowest = GPA_TEST_MMIO - 8, fill = 0x0102030405060708;

	memset(model, 0xff, sizeof(model));
	memset(model + 8, 0, TEST_MMIO_SIZE);
	for (uint64_t at = 0; at <= TEST_MMIO_SIZE + 8; at += at == 24 ? TEST_MMIO_SIZE - 32 : 1) {
		for (unsigned size = 1; size <= 8; size++) {
			uint64_t want = 0;

			fill = fill * 6364136223846793005 + 1442695040888963407;
			board_mmio_write(&board, lowest + at, size, fill, 0);
			for (unsigned i = 0; i < size; i++)
				if (at + i >= 8 && at + i < TEST_MMIO_SIZE + 8)
					model[at + i] = (uint8_t)(fill >> (8 * i));
			for (unsigned i = 0; i < size; i++)
				want |= (uint64_t)model[at + i] << (8 * i);
			assert_true(board_mmio_read(&board, lowest + at, size, 0) == want);
		}
	}
	assert_memory_equal(store, model + 8, TEST_MMIO_SIZE);
}

static void end_of_the_address_space(void **state)
{
	assert_true(board_mmio_read(&board, UINT64_MAX - 3, 8, 0) == UINT64_MAX);
	board_mmio_write(&board, UINT64_MAX, 8, 0, 0);
	assert_int_equal(board.mmio_missed, 16);
}

static void marks_are_told(void **state)
{
	board_mmio_write(&board, GPA_BOOT_TIMER, 1, 123, 5000);
	assert_int_equal(marks, 1);
	assert_int_equal(mark, 123);
	assert_int_equal(marked_at, 5000);
	board_mmio_write(&board, GPA_BOOT_TIMER, 4, 0xabcd, 6000);
	assert_int_equal(mark, 0xcd);
	board_mmio_write(&board, GPA_BOOT_TIMER + 4, 4, 1, 7000);
	assert_int_equal(marks, 2);
	assert_true(board_mmio_read(&board, GPA_BOOT_TIMER, 4, 0) == 0xffffffff);
}

// clang-format off
static void masked_pit_arms_nothing(void **state)
{
	static const struct step t[] = {
		PIT_MODE, PIC_INIT(0xff, 0xff), PIT_1000, {ARMED, 0, NEVER}, {AT, 0, 10000000}, {ARMED, 0, NEVER}, {INTA, 0, NEVER},
		{ARMS, 0, 0},
	};
	RUN(&rig, t);
}

static void unmasking_the_8259_arms(void **state)
{
	static const struct step t[] = {
		PIT_MODE, PIC_INIT(0xff, 0xff), PIT_1000, {ARMED, 0, NEVER}, {WR, 0x21, 0xfe},
		{ARMED, 0, PIT_1ST}, {ARMS, 0, 1}, {INTA, 0, NEVER},
		{AT, 0, PIT_1ST}, {INTA, 0, 0x20}, {ARMED, 0, PIT_2ND},
	};
	RUN(&rig, t);
}

static void unmasking_the_ioapic_arms(void **state)
{
	static const struct step t[] = {
		PIT_MODE, PIT_1000, RTE(0, 0x30), {ARMED, 0, NEVER}, /* the PIT is on pin 2 */
		RTE(2, 0x32), {ARMED, 0, PIT_1ST}, {NOMSI, 0, 0},
		{AT, 0, PIT_1ST}, {MSI, MSI_TO_0, 0x32}, {ARMED, 0, PIT_2ND},
		{AT, 0, PIT_2ND}, {MSI, MSI_TO_0, 0x32}, {NOMSI, 0, 0}, {ARMS, 0, 3},
	};
	RUN(&rig, t);
}

static void waiting_request_stops_the_timer(void **state)
{
	static const struct step t[] = {
		PIT_MODE, PIC_INIT(0xfe, 0xff), PIT_1000, {AT, 0, PIT_1ST}, {ARMED, 0, NEVER},
		{AT, 0, 100 * PIT_1ST}, {ARMS, 0, 1}, /* the CPU does not look */
		{INTA, 0, 0x20}, {INTA, 0, NEVER},
	};
	RUN(&rig, t);
}

static void masked_edges_fold_into_one(void **state)
{
	static const struct step t[] = {
		PIT_MODE, PIC_INIT(0xff, 0xff), PIT_1000, {LATE, 0, 50000000}, {RD, 0x20, 0x01},
		{WR, 0x21, 0xfe}, {INTA, 0, 0x20}, {WR, 0x20, 0x20}, {INTA, 0, NEVER},
		{ARMS, 0, 1}, {ARMED, 0, 50286545}, /* tick 60001 */
	};
	RUN(&rig, t);
}

static void nearer_deadline_arms_anew(void **state)
{
	static const struct step t[] = {
		PIT_MODE, PIC_INIT(0xfe, 0xff), PIT_65536,
		{ARMED, 0, 54926240}, {ARMS, 0, 1},
		PIT_MODE, PIT_1000, {ARMED, 0, PIT_1ST}, {ARMS, 0, 1},
		{RD, 0x61, 0x00}, {RD, 0x70, 0xff}, {ARMS, 0, 0},
	};
	RUN(&rig, t);
}

/* The timer is not moved back: it costs one turn, which costs less than a system call each. */
static void farther_deadline_leaves_the_timer(void **state)
{
	static const struct step t[] = {
		PIT_MODE, PIC_INIT(0xfe, 0xff), PIT_1000, {ARMS, 0, 1},
		PIT_MODE, PIT_65536, {ARMED, 0, PIT_1ST}, {ARMS, 0, 0},
		{AT, 0, PIT_1ST}, {ARMED, 0, 54926240}, {ARMS, 0, 1}, {INTA, 0, NEVER},
	};
	RUN(&rig, t);
}

static void rtc_arms_behind_both_masks(void **state)
{
	static const struct step t[] = {
		PIC_INIT(0xff, 0xff), {WR, 0x70, 0x0b}, {WR, 0x71, 0x12}, {ARMED, 0, NEVER},
		{WR, 0xa1, 0xfe}, {ARMED, 0, NEVER}, /* the cascade is masked */
		{WR, 0x21, 0xfb}, {ARMED, 0, 1000000000}, {AT, 0, 1000000000}, {INTA, 0, 0x28},
	};
	RUN(&rig, t);
}

static void rtc_reaches_pin_8(void **state)
{
	static const struct step t[] = {
		RTE(8, 0x38), {WR, 0x70, 0x0b}, {WR, 0x71, 0x12}, {ARMED, 0, 1000000000},
		{AT, 0, 1000000000}, {MSI, MSI_TO_0, 0x38},
	};
	RUN(&rig, t);
}

static void pm_timer_arms_for_the_sci(void **state)
{
	static const struct step t[] = {
		RTE(9, 0x8039), {RD4, 0x608, 0}, {WR2, 0x602, 0x0001},
		{ARMED, 0, 2343484438}, {AT, 0, 2343484437}, {NOMSI, 0, 0}, /* 2^23 ticks */
		{AT, 0, 2343484438}, {MSI, MSI_TO_0, 0x8039}, {ARMED, 0, NEVER},
	};
	RUN(&rig, t);
}

static void time_that_steps_back_is_the_latest(void **state)
{
	static const struct step t[] = {
		{LATE, 0, 1000000000}, {RD4, 0x608, 3579545}, {LATE, 0, 500000000},
		{RD4, 0x608, 3579545}, {LATE, 0, 2000000000}, {RD4, 0x608, 7159090},
	};
	RUN(&rig, t);
	board_tick(&board, 1);
	assert_int_equal(board.now, 2000000000);
}

static void inta_without_intr_takes_nothing(void **state)
{
	static const struct step t[] = {
		PIT_MODE, PIC_INIT(0xfe, 0xff), PIT_1000, {AT, 0, PIT_1ST}, {WR, 0x21, 0xff},
		{INTA, 0, NEVER}, /* masked between the request and the cycle */
		{WR, 0x21, 0xfe}, {INTA, 0, 0x20}, {INTA, 0, NEVER},
	};
	RUN(&rig, t);
}
// clang-format on

static void intr_goes_to_the_sink(void **state)
{
	static const struct step pending[] = {
		PIT_MODE, PIC_INIT(0xfe, 0xff), PIT_1000, {AT, 0, PIT_1ST}
        };
	static const struct step taken[] = {
		{INTA, 0, 0x20}
        };

	RUN(&rig, pending);
	assert_true(rig.intr);
	RUN(&rig, taken);
	assert_false(rig.intr);
}

// clang-format off
static void eoi_delivers_a_held_level_again(void **state)
{
	static const struct step t[] = {
		RTE(9, 0x8039), {ROUTE, 9, 0x8039}, {WR2, 0x602, 0x0100}, {BUTTON, 0, 0},
		{MSI, MSI_TO_0, 0x8039}, {NOMSI, 0, 0},
		{EOI, 0x39, 1}, {MSI, MSI_TO_0, 0x8039}, {NOMSI, 0, 0},
		{WR2, 0x600, 0x0100}, {EOI, 0x39, 1}, {NOMSI, 0, 0}, {EOI, 0x55, 1}, {NOMSI, 0, 0},
	};
	RUN(&rig, t);
}

/* A guest that never lowers the line: the ten-thousandth EOI in a row has to wait 10 ms. */
static void storm_arms_the_timer(void **state)
{
	static const struct step t[] = {
		RTE(9, 0x8039), {WR2, 0x602, 0x0100}, {LATE, 0, 1000}, {BUTTON, 0, 0},
		{EOI, 0x39, 9999}, {ARMED, 0, NEVER}, {EOI, 0x39, 1}, {ARMED, 0, 10001000},
		{ARMS, 0, 1}, {AT, 0, 10001000}, {ARMED, 0, NEVER},
	};
	RUN(&rig, t);
	assert_int_equal(rig.msi_in, 10001);
}

static void uart_is_on_line_4(void **state)
{
	static const struct step t[] = {
		RTE(4, 0x34), {WR, 0x3fc, 0x0b}, {WR, 0x3f9, 0x02}, {MSI, MSI_TO_0, 0x34},
		{RD, 0x3fa, 0x02},
	};
	RUN(&rig, t);
}

static void every_way_to_end_the_machine(void **state)
{
	static const struct step t[] = {
		{WR2, 0x604, 0x2000}, {OFF, POWER_OFF, 1}, {OFF, POWER_RESET, 0},
		{WR, 0x64, 0xfe}, {OFF, POWER_RESET, 1}, {WR, 0x92, 0x01}, {OFF, POWER_RESET, 1},
		{WR, 0xcf9, 0x06}, {OFF, POWER_RESET, 1}, {OFF, POWER_OFF, 0},
	};
	RUN(&rig, t);
}

static void firmware_left_the_pci_interrupts(void **state)
{
	static const struct step t[] = {
		{RD, 0x4d0, 0x00}, {RD, 0x4d1, 0x0c}, /* 10 and 11 are levels */
		CFG(0x08, 0x60), {RD4, 0xcfc, 0x0b0b0a0a}, /* PIRQ A, B, C, D */
		CFG(0x0b, 0x40), {RD4, 0xcfc, 0x00000601}, /* PMBASE */
	};
	RUN(&rig, t);
}

static void firmware_left_acpi_on_and_timers_off(void **state)
{
	static const struct step t[] = {
		{RD2, 0x604, 0x0001}, {RD4, 0x600, 0x00000000}, {ARMED, 0, NEVER}, {ARMS, 0, 0},
		{RD, 0x21, 0xff}, {RD, 0xa1, 0xff}, {WR4, 0xfec00000, 0x14}, {RD4, 0xfec00010, 0x10000},
	};
	RUN(&rig, t);
}

static void cmos_of_16_mib(void **state)
{
	static const struct step t[] = {
		CMOS(0x15, 0x80), CMOS(0x16, 0x02), /* 640 KiB */
		CMOS(0x17, 0x00), CMOS(0x18, 0x3c), CMOS(0x30, 0x00), CMOS(0x31, 0x3c), /* 15 MiB */
		CMOS(0x34, 0x00), CMOS(0x35, 0x00), CMOS(0x5b, 0x00), CMOS(0x5c, 0x00),
		CMOS(0x5d, 0x00), CMOS(0x5f, 0x00),
	};
	start(&(struct board_conf){.low_ram = 16 * MIB, .cpus = 1});
	RUN(&rig, t);
}

static void cmos_of_512_mib(void **state)
{
	static const struct step t[] = {
		CMOS(0x17, 0xff), CMOS(0x18, 0xff), CMOS(0x30, 0xff), CMOS(0x31, 0xff), /* the most */
		CMOS(0x34, 0x00), CMOS(0x35, 0x1f), /* 496 MiB in 64 KiB */
		CMOS(0x5b, 0x00), CMOS(0x5c, 0x00), CMOS(0x5d, 0x00), CMOS(0x5f, 0x01),
	};
	RUN(&rig, t);
}

static void cmos_of_4_gib(void **state)
{
	static const struct step t[] = {
		CMOS(0x34, 0x00), CMOS(0x35, 0xbf), /* 3056 MiB */
		CMOS(0x5b, 0x00), CMOS(0x5c, 0x40), CMOS(0x5d, 0x00), CMOS(0x5f, 0x02), /* 1 GiB */
	};
	start(&(struct board_conf){.low_ram = GPA_LOW_RAM_MAX, .high_ram = GIB, .cpus = 3});
	RUN(&rig, t);
}

static void cmos_of_64_gib(void **state)
{
	static const struct step t[] = {
		CMOS(0x17, 0xff), CMOS(0x18, 0xff), CMOS(0x34, 0x00), CMOS(0x35, 0xbf),
		CMOS(0x5b, 0x00), CMOS(0x5c, 0x40), CMOS(0x5d, 0x0f), CMOS(0x5f, 0x1f), /* 61 GiB */
	};
	start(&(struct board_conf){.low_ram = GPA_LOW_RAM_MAX, .high_ram = 61 * GIB, .cpus = 32});
	RUN(&rig, t);
}

static void test_device_is_absent_without_its_flag(void **state)
{
	static const struct step t[] = {
		{WR, 0xf4, 42}, {WR4, 0xe4, 0x1000}, {WR, 0x2004, 1}, {WR2, 0x510, 5},
		{WR4, 0xe0, 0x12345678}, {WR4, 0xe8, 0x12345678}, {MISSED, 0, 1 + 4 + 1 + 2 + 4 + 4},
		{RD, 0xf4, 0xff}, {RD4, 0xe0, 0xffffffff}, {RD4, 0xe8, 0xffffffff}, {RD, 0x511, 0xff},
		{RD, 0x2000, 0xff}, {MISSED, 0, 1 + 4 + 4 + 1 + 1},
		{WR4, 0xff000000, 1}, {RD4, 0xff000000, 0xffffffff}, {MISSED, 1, 8},
	};
	RUN(&rig, t);
	assert_int_equal(quits + flushes, 0);
}

static void test_device_is_wired(void **state)
{
	static const struct step t[] = {
		{WR4, 0xe0, 0x12345678}, {RD4, 0xe8, 0x12345678}, {RD2, 0xe1, 0x3456},
		{WR2, 0x510, 5}, {RD, 0x511, 3}, {RD, 0x511, 0}, /* CPUs */
		{WR2, 0x510, 3}, {RD, 0x511, 0}, {RD, 0x511, 0}, {RD, 0x511, 0}, {RD, 0x511, 0},
		{RD, 0x511, 1}, /* 4 GiB: low and high RAM */
		RTE(14, 0x3e), {WR, 0x200e, 1}, {MSI, MSI_TO_0, 0x3e},
		RTE(23, 0x47), {WR, 0x2017, 1}, {MSI, MSI_TO_0, 0x47}, {NOMSI, 0, 0},
		{WR4, 0xff000ffe, 0xa1b2c3d4}, {RD, 0xff001001, 0xa1},
		{WR4, 0xe4, 0x5678}, {WR, 0xf4, 42},
	};
	RUN(&rig, t);
	assert_int_equal(flushed, 0x5000);
	assert_int_equal(quit, 85);
}

static void bios_leftovers_come_with_the_test_device(void **state)
{
	static const struct step t[] = {
		{RD, 0x21, 0xb8}, {RD, 0xa1, 0x8f},
		{INTA, 0, 0x08}, {WR, 0x20, 0x20}, /* the mode was set after the masks */
		{ARMED, 0, 54926240}, /* 18.2 Hz */
		{AT, 0, 54926240}, {INTA, 0, 0x08},
	};
	RUN(&rig, t);
}
// clang-format on

static void trace_sees_every_access(void **state)
{
	host.trace = on_trace;
	board_pio_write(&board, 0x3ff, 1, 0x5a, 1000);
	assert_string_equal(traced.op, "WR");
	assert_true(traced.addr == 0x3ff && traced.size == 1 && traced.val == 0x5a);
	assert_int_equal(traced.now, 1000);
	board_pio_read(&board, 0x3ff, 2, 900);
	assert_string_equal(traced.op, "RD");
	assert_true(traced.size == 2 && traced.val == 0xff5a);
	assert_int_equal(traced.now, 1000); /* the time that the chips saw */
	board_mmio_write(&board, 0xd0000001, 7, 0x11223344556677, 2000);
	assert_int_equal(traces, 5); /* in pieces of 1, 2 and 4 bytes, which steps have */
	assert_true(traced.addr == 0xd0000004 && traced.size == 4 && traced.val == 0x11223344);
	board_mmio_read(&board, 0xd0000000, 8, 3000);
	assert_true(traced.addr == 0xd0000004 && traced.size == 4 && traced.val == UINT32_MAX);
	assert_int_equal(traces, 7);
}

static void input_that_fits_wakes_nobody(void **state)
{
	board_pio_write(&board, 0x3fc, 1, 0x02, 0); /* RTS */
	assert_int_equal(board_rx(&board, (const uint8_t *)"a", 1, 0), 1);
	assert_int_equal(board_pio_read(&board, 0x3f8, 1, 0), 'a');
	assert_int_equal(arms, 0);
}

static void room_for_waiting_input_wakes_the_loop(void **state)
{
	board_pio_write(&board, 0x3fc, 1, 0x02, 0);
	assert_int_equal(board_rx(&board, (const uint8_t *)"ab", 2, 0), 1); /* no FIFO: one byte */
	assert_int_equal(arms, 0);
	assert_int_equal(board_pio_read(&board, 0x3f8, 1, 0), 'a');
	assert_int_equal(board.armed, 0);
	assert_int_equal(arms, 1);
	board_tick(&board, 10); /* the loop comes, and finds nothing else */
	assert_true(board.armed == NEVER);
	assert_int_equal(board_rx(&board, (const uint8_t *)"b", 1, 10), 1);
	assert_int_equal(board_pio_read(&board, 0x3f8, 1, 10), 'b');
	assert_int_equal(arms, 1);
}

static void input_waits_until_the_guest_raises_rts(void **state)
{
	assert_int_equal(board_rx(&board, (const uint8_t *)"a", 1, 0), 0);
	assert_int_equal(arms, 0);
	board_pio_write(&board, 0x3fc, 1, 0x02, 0);
	assert_int_equal(arms, 1);
	assert_int_equal(board_rx(&board, (const uint8_t *)"a", 1, 0), 1);
}

static void half_read_fifo_wakes_nobody(void **state)
{
	board_pio_write(&board, 0x3fc, 1, 0x02, 0);
	board_pio_write(&board, 0x3fa, 1, 0x01, 0);
	assert_int_equal(board_rx(&board, (const uint8_t *)"0123456789abcdefXY", 18, 0), 16);
	for (unsigned i = 0; i < 15; i++)
		board_pio_read(&board, 0x3f8, 1, 0);
	assert_int_equal(arms, 0);
	assert_int_equal(board_pio_read(&board, 0x3f8, 1, 0), 'f');
	assert_int_equal(arms, 1);
}

static void waking_arms_for_the_past_once(void **state)
{
	board_wake(&board);
	board_wake(&board);
	assert_int_equal(board.armed, 0);
	assert_int_equal(arms, 1);
	board_tick(&board, 5);
	board_wake(&board);
	assert_int_equal(arms, 2);
}

static void output_waits_for_company(void **state)
{
	const uint8_t *p;

	board_pio_write(&board, 0x3f8, 1, 'o', 1000);
	board_pio_write(&board, 0x3f8, 1, 'k', 2000);
	assert_int_equal(board.armed, 1001000);
	assert_int_equal(arms, 1);
	assert_int_equal(board_tx_peek(&board, &p, false, 1000999), 0);
	board_tick(&board, 1001000);
	assert_int_equal(board_tx_peek(&board, &p, false, 1001000), 2);
	assert_memory_equal(p, "ok", 2);
	board_tx_done(&board, 1, 1001000);
	assert_int_equal(board.armed, 2001000); /* the rest, once more */
	assert_int_equal(board_tx_peek(&board, &p, true, 1001000), 1);
	board_tx_done(&board, 1, 1001000);
	board_tick(&board, 2001000);
	assert_true(board.armed == NEVER);
}

static void ctrl_alt_del_needs_a_guest_that_listens(void **state)
{
	static const struct step listening[] = {
		{WR, 0x64, 0x20},
                {RD, 0x60, 0x65},
                RTE(1, 0x31)
        };
	static const struct step pressed[] = {
		{MSI, MSI_TO_0, 0x31},
                {RD,  0x60,     0x1d}
        };

	assert_false(board_ctrl_alt_del(&board, 0));
	RUN(&rig, listening);
	board_pio_write(&board, 0x64, 1, 0x60, 0); /* as Linux leaves it: keyboard and interrupt */
	board_pio_write(&board, 0x60, 1, 0x65 & ~0x20, 0);
	assert_true(board_ctrl_alt_del(&board, 0));
	RUN(&rig, pressed);
}

/* Whatever the guest does: reads fit their size, and a deadline that was armed is in the future. */
static void hostile_guest_breaks_nothing(void **state)
{
	uint64_t seed = 1, now = 0;

	for (unsigned i = 0; i < 400000; i++) {
		const struct io_range *r;
		unsigned size = 1u << (seed >> 33) % 3;
		uint16_t port;

		seed = seed * 6364136223846793005 + 1442695040888963407;
		r = &board_pio[(seed >> 40) % ARRAY_SIZE(board_pio)];
		port = (uint16_t)(r->base + (seed >> 50) % (r->len + 1));
		now += (seed >> 20) % 2000;
		if (seed >> 63)
			board_pio_write(&board, port, size, (uint32_t)(seed >> 8), now);
		else
			assert_true(board_pio_read(&board, port, size, now) <= all_ones(size));
		board_mmio_write(&board, GPA_IOAPIC + (seed >> 60) * 4, 4, (uint32_t)(seed >> 16),
				 now);
		if (board.armed <= now)
			board_tick(&board, now);
		if (i % 64 == 0)
			board_tx_done(&board, UART_TX_RING, now);
	}
}

int main(void)
{
#define T(f)      cmocka_unit_test_setup(f, setup)
#define T_TEST(f) cmocka_unit_test_setup(f, setup_test_device)
	const struct CMUnitTest tests[] = {
		T(rows_do_not_overlap),
		T(rows_are_complete),
		T(rows_are_counted_by_name),
		T(wide_port_write_is_split),
		T(wide_port_read_is_split),
		T(access_across_the_end_of_a_chip),
		T(port_61_hides_in_the_keyboard),
		T(missing_port_reads_all_ones),
		T(missing_port_drops_writes),
		T(confadd_takes_dwords_alone),
		T(reset_control_hides_in_confadd),
		T(configuration_data_in_every_width),
		T(ioapic_answers_at_its_address),
		T(missing_memory_reads_all_ones),
		T_TEST(memory_access_in_every_shape),
		T(end_of_the_address_space),
		T(marks_are_told),
		T(masked_pit_arms_nothing),
		T(unmasking_the_8259_arms),
		T(unmasking_the_ioapic_arms),
		T(waiting_request_stops_the_timer),
		T(masked_edges_fold_into_one),
		T(nearer_deadline_arms_anew),
		T(farther_deadline_leaves_the_timer),
		T(rtc_arms_behind_both_masks),
		T(rtc_reaches_pin_8),
		T(pm_timer_arms_for_the_sci),
		T(time_that_steps_back_is_the_latest),
		T(inta_without_intr_takes_nothing),
		T(intr_goes_to_the_sink),
		T(eoi_delivers_a_held_level_again),
		T(storm_arms_the_timer),
		T(uart_is_on_line_4),
		T(every_way_to_end_the_machine),
		T(firmware_left_the_pci_interrupts),
		T(firmware_left_acpi_on_and_timers_off),
		T(cmos_of_16_mib),
		T(cmos_of_512_mib),
		T(cmos_of_4_gib),
		T(cmos_of_64_gib),
		T(test_device_is_absent_without_its_flag),
		T_TEST(test_device_is_wired),
		T_TEST(bios_leftovers_come_with_the_test_device),
		T(trace_sees_every_access),
		T(input_that_fits_wakes_nobody),
		T(room_for_waiting_input_wakes_the_loop),
		T(input_waits_until_the_guest_raises_rts),
		T(half_read_fifo_wakes_nobody),
		T(waking_arms_for_the_past_once),
		T(output_waits_for_company),
		T(ctrl_alt_del_needs_a_guest_that_listens),
		T(hostile_guest_breaks_nothing),
		T_TEST(hostile_guest_breaks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
