/* pci_test.c - configuration mechanism 1, the built-in functions, INTx routing. */
#include "../../../src/pc/pci.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/steps.h"

#define ADDR   0xcf8
#define DATA   0xcfc
#define ENABLE 0x80000000u

/* Selects a register of 00:dev.fn as a guest does. */
#define SEL(dev, fn, reg)                                                                          \
	{                                                                                          \
		WR4, ADDR, ENABLE | (dev) << 11 | (fn) << 8 | ((reg)&0xfc)                         \
	}

/* Chip-specific steps. */
#define INTX  SET /* INTA of slot addr */
#define READS X0  /* expect val calls of the function's read hook since it was last asked */
#define WROTE X1  /* expect val = off << 8 | size of the last written hook */
#define CALLS X2  /* expect val calls of the written hook since it was last asked */

/* Slot 2 has a function with hooks and a bit of everything; slots 3, 4, 5 and 31 have an ID. */
static struct {
	struct rig rig;
	struct pci pci;
	struct pci_fn fn, plain[4];
	unsigned reads, writes, last;
} t;

static void fn_read(struct pci_fn *f, unsigned off, unsigned size)
{
	assert_true(off + size <= PCI_CFG && off % size == 0);
	f->cfg[0x41]++; /* a counter that the guest sees */
	t.reads++;
}

static void fn_written(struct pci_fn *f, unsigned off, unsigned size)
{
	assert_ptr_equal(f->owner, &t);
	assert_true(off + size <= PCI_CFG && off % size == 0);
	t.writes++;
	t.last = off << 8 | size;
}

static uint32_t read_port(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	return off < 4 ? pci_addr_read(dev, off, size, now)
		       : pci_data_read(dev, off - 4, size, now);
}

static void write_port(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	if (off < 4)
		pci_addr_write(dev, off, size, val, now);
	else
		pci_data_write(dev, off - 4, size, val, now);
}

static void set_intx(void *dev, unsigned n, bool level, uint64_t now)
{
	pci_intx(dev, n, level);
}

static uint64_t op(struct rig *r, const struct step *s)
{
	unsigned got = s->op == READS ? t.reads : s->op == WROTE ? t.last : t.writes;

	if (s->op == READS)
		t.reads = 0;
	if (s->op == CALLS)
		t.writes = 0;
	return got;
}

static void fill_fn(void)
{
	struct pci_fn *f = &t.fn;

	pci_put(&f->cfg[PCI_REG_VENDOR], 4, 0x10421af4);
	pci_put(&f->cfg[PCI_REG_STATUS], 2, 0xfb10); /* every error, DEVSEL medium, capabilities */
	pci_put(&f->w1c[PCI_REG_STATUS], 2, PCI_STATUS_ERRORS);
	pci_put(&f->wmask[PCI_REG_COMMAND], 2, PCI_COMMAND_IO | PCI_COMMAND_MEM);
	pci_put(&f->wmask[PCI_REG_BAR0], 4, 0xfffff000);
	pci_put(&f->cfg[0x44], 4, 0xa5a5a5a5);
	pci_put(&f->wmask[0x44], 4, 0x0ff0f00f);
	f->cfg[PCI_REG_INT_PIN] = 1;
	f->read = fn_read;
	f->written = fn_written;
	f->owner = &t;
}

static int setup(void **state)
{
	static const unsigned slot[] = {3, 4, 5, 31};
	struct irq_line line[16] = {0};

	memset(&t, 0, sizeof(t));
	for (unsigned n = 0; n < 16; n++)
		if (0xdef8 & BIT(n)) /* 3-7, 9-12, 14, 15 */
			line[n] = rig_line(&t.rig, n);
	pci_init(&t.pci, line);
	fill_fn();
	pci_add(&t.pci, 2, &t.fn);
	for (unsigned i = 0; i < ARRAY_SIZE(slot); i++) {
		pci_put(t.plain[i].cfg, 4, 0x10001af4 | slot[i] << 16);
		pci_add(&t.pci, slot[i], &t.plain[i]);
	}
	t.rig.dev = &t.pci;
	t.rig.base = ADDR;
	t.rig.read = read_port;
	t.rig.write = write_port;
	t.rig.set = set_intx;
	t.rig.op = op;
	return 0;
}

#define TEST(name)                                                                                 \
	static void name(void **state)                                                             \
	{                                                                                          \
		RUN(&t.rig, name##_steps);                                                         \
	}

// clang-format off
/* Address register */

static const struct step address_reads_back_without_reserved_bits_steps[] = {
	{RD4, ADDR, 0},
	{WR4, ADDR, 0xffffffff}, {RD4, ADDR, 0x80fffffc},
	{WR4, ADDR, 0x7f000003}, {RD4, ADDR, 0},
	{WR4, ADDR, 0x80000000}, {RD4, ADDR, 0x80000000},
};
TEST(address_reads_back_without_reserved_bits)

static const struct step address_takes_dwords_at_cf8_only_steps[] = {
	{WR4, ADDR, 0x80000800},
	{WR, ADDR + 3, 0x01},              /* Linux does so before it probes */
	{WR, ADDR, 0x40}, {WR, ADDR + 1, 0x06}, {WR, ADDR + 2, 0x55},
	{WR2, ADDR, 0x1234}, {WR2, ADDR + 2, 0x1234}, {WR2, ADDR + 1, 0x1234},
	{WR4, ADDR + 1, 0x12345678}, {WR4, ADDR + 3, 0x12345678},
	{RD4, ADDR, 0x80000800},
};
TEST(address_takes_dwords_at_cf8_only)

static const struct step narrow_reads_of_the_address_are_all_ones_steps[] = {
	{WR4, ADDR, 0x80000800},
	{RD, ADDR, 0xff}, {RD, ADDR + 2, 0xff}, {RD2, ADDR, 0xffff}, {RD2, ADDR + 2, 0xffff},
	{RD4, ADDR + 2, 0xffffffff},
};
TEST(narrow_reads_of_the_address_are_all_ones)

static const struct step linux_finds_mechanism_1_steps[] = {
	/* pci_check_type1(), then the first step of pci_sanity_check() */
	{WR, 0xcfb, 0x01}, {RD4, ADDR, 0}, {WR4, ADDR, 0x80000000}, {RD4, ADDR, 0x80000000},
	{WR4, ADDR, 0x80000008}, {RD2, DATA + 2, 0x0600},
	{WR4, ADDR, 0},
};
TEST(linux_finds_mechanism_1)

static const struct step linux_finds_no_mechanism_2_steps[] = {
	{WR, 0xcfb, 0}, {WR, 0xcf8, 0}, {WR, 0xcfa, 0},
	{RD, 0xcf8, 0xff}, {RD, 0xcfa, 0xff}, /* it would take two zeros for it */
};
TEST(linux_finds_no_mechanism_2)

static const struct step disabled_address_reads_all_ones_and_drops_writes_steps[] = {
	SEL(2, 0, 0x44), {RD4, DATA, 0xa5a5a5a5},
	{WR4, ADDR, 0x00001044},
	{RD4, DATA, 0xffffffff}, {RD2, DATA, 0xffff}, {RD, DATA + 3, 0xff},
	{WR4, DATA, 0},
	SEL(2, 0, 0x44), {RD4, DATA, 0xa5a5a5a5},
};
TEST(disabled_address_reads_all_ones_and_drops_writes)

/* Data register */

static const struct step data_is_read_by_byte_word_and_dword_steps[] = {
	SEL(0, 0, 0),
	{RD4, DATA, 0x12378086}, {RD2, DATA, 0x8086}, {RD2, DATA + 2, 0x1237},
	{RD, DATA, 0x86}, {RD, DATA + 1, 0x80}, {RD, DATA + 2, 0x37}, {RD, DATA + 3, 0x12},
};
TEST(data_is_read_by_byte_word_and_dword)

static const struct step unaligned_data_is_clipped_at_cff_steps[] = {
	SEL(0, 0, 0),
	{RD2, DATA + 1, 0x3780}, {RD2, DATA + 3, 0xff12},
	{RD4, DATA + 1, 0xff123780}, {RD4, DATA + 2, 0xffff1237}, {RD4, DATA + 3, 0xffffff12},
	SEL(2, 0, 0x44), {WR4, DATA + 2, 0}, {RD4, DATA, 0xa005a5a5},
	SEL(2, 0, 0x48), {RD4, DATA, 0},
};
TEST(unaligned_data_is_clipped_at_cff)

static const struct step last_register_does_not_run_over_steps[] = {
	SEL(2, 0, 0xfc),
	{RD4, DATA, 0}, {RD4, DATA + 3, 0xffffff00}, {WR4, DATA + 3, 0xffffffff}, {RD4, DATA, 0},
};
TEST(last_register_does_not_run_over)

static const struct step byte_writes_merge_by_mask_steps[] = {
	SEL(2, 0, 0x44),
	{WR, DATA, 0x00}, {RD4, DATA, 0xa5a5a5a0}, {WR, DATA, 0xff}, {RD4, DATA, 0xa5a5a5af},
	{WR2, DATA + 2, 0xffff}, {RD4, DATA, 0xaff5a5af},
};
TEST(byte_writes_merge_by_mask)

static const struct step dword_writes_merge_by_mask_steps[] = {
	SEL(2, 0, 0x44),
	{WR4, DATA, 0x00000000}, {RD4, DATA, 0xa00505a0},
	{WR4, DATA, 0xffffffff}, {RD4, DATA, 0xaff5f5af},
};
TEST(dword_writes_merge_by_mask)

/* Functions that are absent */

static const struct step absent_functions_read_all_ones_steps[] = {
	SEL(1, 1, 0), {RD4, DATA, 0xffffffff},  /* no IDE */
	SEL(1, 2, 0), {RD4, DATA, 0xffffffff},  /* no USB */
	SEL(0, 1, 0), {RD2, DATA, 0xffff},
	SEL(2, 1, 0), {RD4, DATA, 0xffffffff},  /* functions 1 to 7 of a slot */
	SEL(6, 0, 0), {RD4, DATA, 0xffffffff}, {RD, DATA + 2, 0xff},
};
TEST(absent_functions_read_all_ones)

static const struct step absent_functions_drop_writes_steps[] = {
	SEL(6, 0, 4), {WR4, DATA, 0xffffffff}, {WR, DATA + 1, 0xff}, {RD4, DATA, 0xffffffff},
	SEL(2, 7, 4), {WR2, DATA, 0xffff},
	SEL(2, 0, 4), {RD2, DATA, 0}, {CALLS, 0, 0},
};
TEST(absent_functions_drop_writes)

static const struct step other_buses_are_empty_steps[] = {
	{WR4, ADDR, 0x80010000}, {RD4, DATA, 0xffffffff},
	{WR4, ADDR, 0x80ff0800}, {RD4, DATA, 0xffffffff},
	{WR4, ADDR, 0x80011044}, {WR4, DATA, 0}, SEL(2, 0, 0x44), {RD4, DATA, 0xa5a5a5a5},
};
TEST(other_buses_are_empty)

static const struct step slots_hold_what_was_added_steps[] = {
	SEL(2, 0, 0), {RD4, DATA, 0x10421af4}, SEL(3, 0, 0), {RD4, DATA, 0x10031af4},
	SEL(4, 0, 0), {RD4, DATA, 0x10041af4}, SEL(5, 0, 0), {RD4, DATA, 0x10051af4},
	SEL(31, 0, 0), {RD4, DATA, 0x101f1af4}, SEL(30, 0, 0), {RD4, DATA, 0xffffffff},
};
TEST(slots_hold_what_was_added)

/* Built-in functions */

static const struct step host_bridge_identifies_as_440fx_steps[] = {
	SEL(0, 0, 0x00), {RD4, DATA, 0x12378086},
	SEL(0, 0, 0x08), {RD4, DATA, 0x06000002},
	SEL(0, 0, 0x0c), {RD4, DATA, 0},
	SEL(0, 0, 0x2c), {RD4, DATA, 0x11001af4}, /* SeaBIOS knows a virtual board by it */
	SEL(0, 0, 0x3c), {RD4, DATA, 0},
};
TEST(host_bridge_identifies_as_440fx)

static const struct step isa_bridge_identifies_as_piix3_steps[] = {
	SEL(1, 0, 0x00), {RD4, DATA, 0x70008086},
	SEL(1, 0, 0x08), {RD4, DATA, 0x06010000},
	SEL(1, 0, 0x0c), {RD4, DATA, 0x00800000}, /* multifunction, or nobody looks at 00:01.3 */
	SEL(1, 0, 0x2c), {RD4, DATA, 0x11001af4},
};
TEST(isa_bridge_identifies_as_piix3)

static const struct step pm_function_identifies_as_piix4_steps[] = {
	SEL(1, 3, 0x00), {RD4, DATA, 0x71138086},
	SEL(1, 3, 0x08), {RD4, DATA, 0x06800003}, /* Linux reads the timer thrice below revision 3 */
	SEL(1, 3, 0x0c), {RD4, DATA, 0},
	SEL(1, 3, 0x2c), {RD4, DATA, 0x11001af4},
	SEL(1, 3, 0x3c), {RD2, DATA, 0x0109}, /* SCI: IRQ 9 */
};
TEST(pm_function_identifies_as_piix4)

static const struct step ids_are_read_only_steps[] = {
	SEL(0, 0, 0), {WR4, DATA, 0}, {RD4, DATA, 0x12378086},
	SEL(1, 0, 8), {WR4, DATA, 0}, {RD4, DATA, 0x06010000},
	SEL(1, 0, 0xc), {WR4, DATA, 0}, {RD4, DATA, 0x00800000},
	SEL(1, 3, 0x2c), {WR4, DATA, 0}, {RD4, DATA, 0x11001af4},
};
TEST(ids_are_read_only)

static const struct step hardwired_command_bits_stay_steps[] = {
	/* 440FX: memory and bus master are always on, PERR and SERR can be set */
	SEL(0, 0, 4), {RD2, DATA, 0x0006}, {WR2, DATA, 0}, {RD2, DATA, 0x0006},
	{WR2, DATA, 0xffff}, {RD2, DATA, 0x0146},
	/* PIIX3: I/O, memory and bus master are always on, special cycles can be enabled */
	SEL(1, 0, 4), {RD2, DATA, 0x0007}, {WR2, DATA, 0}, {RD2, DATA, 0x0007},
	{WR2, DATA, 0xffff}, {RD2, DATA, 0x000f},
	/* PIIX4 PM: I/O space of the SMBus, which is not there, can be enabled */
	SEL(1, 3, 4), {RD2, DATA, 0x0000}, {WR2, DATA, 0xffff}, {RD2, DATA, 0x0001},
};
TEST(hardwired_command_bits_stay)

static const struct step status_of_the_bridges_is_that_of_the_datasheets_steps[] = {
	SEL(0, 0, 4), {RD2, DATA + 2, 0x0280}, {WR2, DATA + 2, 0xffff}, {RD2, DATA + 2, 0x0280},
	SEL(1, 0, 4), {RD2, DATA + 2, 0x0280}, {WR2, DATA + 2, 0xffff}, {RD2, DATA + 2, 0x0280},
	SEL(1, 3, 4), {RD2, DATA + 2, 0x0280}, {WR2, DATA + 2, 0xffff}, {RD2, DATA + 2, 0x0280},
};
TEST(status_of_the_bridges_is_that_of_the_datasheets)

static const struct step bars_that_are_not_there_size_to_zero_steps[] = {
	SEL(0, 0, 0x10), {WR4, DATA, 0xffffffff}, {RD4, DATA, 0},
	SEL(1, 0, 0x24), {WR4, DATA, 0xffffffff}, {RD4, DATA, 0},
	SEL(1, 3, 0x30), {WR4, DATA, 0xffffffff}, {RD4, DATA, 0},
	SEL(2, 0, 0x14), {WR4, DATA, 0xffffffff}, {RD4, DATA, 0},
	SEL(2, 0, 0x10), {WR4, DATA, 0xffffffff}, {RD4, DATA, 0xfffff000}, /* this one is */
};
TEST(bars_that_are_not_there_size_to_zero)

static const struct step pam_starts_as_firmware_leaves_it_steps[] = {
	SEL(0, 0, 0x58), {RD, DATA + 1, 0x30}, {RD2, DATA + 2, 0x3333},
	SEL(0, 0, 0x5c), {RD4, DATA, 0x33333333},
};
TEST(pam_starts_as_firmware_leaves_it)

static const struct step pam_keeps_read_and_write_enable_alone_steps[] = {
	SEL(0, 0, 0x58),
	{WR, DATA + 1, 0x10}, {RD, DATA + 1, 0x10}, {WR, DATA + 2, 0x31}, {RD, DATA + 2, 0x31},
	{WR4, DATA, 0xffffffff}, {RD4, DATA, 0x33333000},
	SEL(0, 0, 0x5c), {WR4, DATA, 0}, {RD4, DATA, 0}, {WR4, DATA, 0xffffffff},
	{RD4, DATA, 0x33333333},
};
TEST(pam_keeps_read_and_write_enable_alone)

static const struct step pmbase_is_enabled_and_fixed_steps[] = {
	SEL(1, 3, 0x40), {RD4, DATA, 0x601}, {WR4, DATA, 0xffffffff}, {RD4, DATA, 0x601},
	SEL(1, 3, 0x80), {RD4, DATA, 1}, {WR, DATA, 0}, {RD4, DATA, 1},
	SEL(1, 3, 0x90), {RD4, DATA, 0}, /* no SMBus for Linux to reserve */
};
TEST(pmbase_is_enabled_and_fixed)

static const struct step passive_release_is_on_before_linux_looks_steps[] = {
	SEL(1, 0, 0x80), {RD, DATA + 2, 0x02}, {WR, DATA + 2, 0xff}, {RD, DATA + 2, 0x0f},
};
TEST(passive_release_is_on_before_linux_looks)

/* Status, hooks, Interrupt Line */

static const struct step status_is_cleared_by_writing_ones_steps[] = {
	SEL(2, 0, 4), {RD2, DATA + 2, 0xfb10},
	{WR2, DATA + 2, 0x0000}, {RD2, DATA + 2, 0xfb10},
	{WR2, DATA + 2, 0x8000}, {RD2, DATA + 2, 0x7b10},
	{WR, DATA + 3, 0x41}, {RD2, DATA + 2, 0x3a10},
	{WR4, DATA, 0xffffffff}, {RD4, DATA, 0x02100003},
};
TEST(status_is_cleared_by_writing_ones)

static const struct step writing_command_as_word_leaves_status_steps[] = {
	SEL(2, 0, 4), {WR2, DATA, 0xffff}, {RD4, DATA, 0xfb100003}, {WR2, DATA, 0},
	{RD4, DATA, 0xfb100000},
};
TEST(writing_command_as_word_leaves_status)

static const struct step owner_hears_of_writes_after_the_merge_steps[] = {
	SEL(2, 0, 0x44), {WR4, DATA, 0}, {CALLS, 0, 1}, {WROTE, 0, 0x4404},
	{WR2, DATA + 2, 0}, {WROTE, 0, 0x4602}, {WR, DATA + 1, 0}, {WROTE, 0, 0x4501},
	{CALLS, 0, 2},
};
TEST(owner_hears_of_writes_after_the_merge)

static const struct step owner_sees_aligned_accesses_only_steps[] = {
	SEL(2, 0, 0x44), {WR2, DATA + 1, 0}, {CALLS, 0, 2}, {WROTE, 0, 0x4601},
	{WR4, DATA + 2, 0}, {CALLS, 0, 2}, {WROTE, 0, 0x4701},
	{RD4, DATA + 1, 0xffa00505}, {READS, 0, 3},
};
TEST(owner_sees_aligned_accesses_only)

static const struct step owner_refreshes_before_a_read_steps[] = {
	SEL(2, 0, 0x40), {READS, 0, 0},
	{RD4, DATA, 0x00000100}, {RD, DATA + 1, 0x02}, {RD2, DATA, 0x0300}, {READS, 0, 3},
	{WR4, DATA, 0}, {READS, 0, 0},
};
TEST(owner_refreshes_before_a_read)

static const struct step interrupt_line_names_the_routed_irq_steps[] = {
	SEL(2, 0, 0x3c), {RD2, DATA, 0x010a},                      /* PIRQB: IRQ 10 */
	{WR, DATA, 0x05}, {RD2, DATA, 0x0105}, {WR, DATA + 1, 4}, {RD2, DATA, 0x0105},
	SEL(3, 0, 0x3c), {WR, DATA, 0x05}, {RD2, DATA, 0},         /* no pin, no line */
};
TEST(interrupt_line_names_the_routed_irq)

/* INTx */

static const struct step pirqs_start_as_firmware_leaves_them_steps[] = {
	SEL(1, 0, 0x60), {RD4, DATA, 0x0b0b0a0a},
};
TEST(pirqs_start_as_firmware_leaves_them)

static const struct step pirq_control_keeps_its_reserved_bits_zero_steps[] = {
	SEL(1, 0, 0x60), {WR4, DATA, 0xffffffff}, {RD4, DATA, 0x8f8f8f8f},
	{WR4, DATA, 0}, {RD4, DATA, 0},
};
TEST(pirq_control_keeps_its_reserved_bits_zero)

static const struct step inta_is_swizzled_by_slot_steps[] = {
	/* A, B, C, D to IRQs 3, 4, 5, 6 */
	SEL(1, 0, 0x60), {WR4, DATA, 0x06050403},
	{INTX, 2, 1}, {LINE, 4, 1}, {INTX, 2, 0}, {LINE, 4, 0},
	{INTX, 3, 1}, {LINE, 5, 1}, {INTX, 3, 0}, {LINE, 5, 0},
	{INTX, 4, 1}, {LINE, 6, 1}, {INTX, 4, 0}, {LINE, 6, 0},
	{INTX, 5, 1}, {LINE, 3, 1}, {INTX, 5, 0}, {LINE, 3, 0},
	{INTX, 31, 1}, {LINE, 5, 1}, {INTX, 31, 0}, {LINE, 5, 0},  /* (31 - 1) & 3 = 2 */
	{EDGES, 3, 1}, {EDGES, 4, 1}, {EDGES, 5, 2}, {EDGES, 6, 1},
};
TEST(inta_is_swizzled_by_slot)

static const struct step slots_on_one_pirq_are_ored_steps[] = {
	{INTX, 2, 1}, {INTX, 6, 1}, {LINE, 10, 1},
	{INTX, 2, 0}, {LINE, 10, 1}, {INTX, 6, 0}, {LINE, 10, 0}, {EDGES, 10, 1},
};
TEST(slots_on_one_pirq_are_ored)

static const struct step pirqs_on_one_irq_are_ored_steps[] = {
	{INTX, 5, 1}, {INTX, 2, 1}, {LINE, 10, 1},  /* PIRQA and PIRQB */
	{INTX, 5, 0}, {LINE, 10, 1}, {INTX, 2, 0}, {LINE, 10, 0}, {EDGES, 10, 1}, {LINE, 11, 0},
};
TEST(pirqs_on_one_irq_are_ored)

static const struct step same_level_twice_is_harmless_steps[] = {
	{INTX, 2, 1}, {INTX, 2, 1}, {INTX, 2, 0}, {LINE, 10, 0}, {INTX, 2, 0}, {LINE, 10, 0},
	{EDGES, 10, 1},
};
TEST(same_level_twice_is_harmless)

static const struct step new_route_moves_a_raised_level_steps[] = {
	{INTX, 2, 1}, {LINE, 10, 1},
	SEL(1, 0, 0x60), {WR, DATA + 1, 0x05}, {LINE, 10, 0}, {LINE, 5, 1},
	{INTX, 2, 0}, {LINE, 5, 0}, {EDGES, 5, 1},
};
TEST(new_route_moves_a_raised_level)

static const struct step new_route_of_one_keeps_the_others_level_steps[] = {
	{INTX, 2, 1}, {INTX, 5, 1},                         /* both on 10 */
	SEL(1, 0, 0x60), {WR, DATA, 0x0b}, {LINE, 10, 1}, {LINE, 11, 1},
	{INTX, 2, 0}, {LINE, 10, 0}, {LINE, 11, 1},
	{WR4, DATA, 0x0a0a0a0a}, {LINE, 10, 1}, {LINE, 11, 0},
};
TEST(new_route_of_one_keeps_the_others_level)

static const struct step disabled_pirq_is_low_until_enabled_steps[] = {
	SEL(1, 0, 0x60), {WR, DATA + 1, 0x8a},
	{INTX, 2, 1}, {LINE, 10, 0},
	{WR, DATA + 1, 0x0a}, {LINE, 10, 1}, {WR, DATA + 1, 0x80}, {LINE, 10, 0},
};
TEST(disabled_pirq_is_low_until_enabled)

static const struct step reserved_routes_are_not_connected_steps[] = {
	{INTX, 2, 1}, SEL(1, 0, 0x60),
	{WR, DATA + 1, 0}, {LINE, 0, 0}, {WR, DATA + 1, 1}, {LINE, 1, 0}, {WR, DATA + 1, 2},
	{LINE, 2, 0}, {WR, DATA + 1, 8}, {LINE, 8, 0}, {WR, DATA + 1, 13}, {LINE, 13, 0},
	{LINE, 10, 0}, {WR, DATA + 1, 15}, {LINE, 15, 1},
};
TEST(reserved_routes_are_not_connected)

static const struct step unwired_irq_steps[] = {
	{INTX, 2, 1}, SEL(1, 0, 0x60), {WR, DATA + 1, 0x0b}, {LINE, 10, 0}, {LINE, 11, 0}, {INTX, 2, 0},
};

static const struct step disable_all_pirqs_steps[] = {
	SEL(1, 0, 0x60), {WR4, DATA, 0x80808080},
};

static const struct step bridges_are_there_steps[] = {
	SEL(0, 0, 0), {RD4, DATA, 0x12378086}, SEL(1, 0, 0), {RD4, DATA, 0x70008086},
};
// clang-format on

static void unwired_irq_is_not_driven(void **state)
{
	t.pci.gsi[11].set = NULL;
	RUN(&t.rig, unwired_irq_steps);
}

static void interrupt_line_is_unknown_without_a_route(void **state)
{
	struct pci_fn f = {.cfg[PCI_REG_INT_PIN] = 1};

	RUN(&t.rig, disable_all_pirqs_steps);
	pci_add(&t.pci, 7, &f);
	assert_int_equal(f.cfg[PCI_REG_INT_LINE], 0xff);
}

static void slots_of_the_bridges_cannot_be_taken(void **state)
{
	struct pci_fn f = {0};

	pci_add(&t.pci, 0, &f);
	pci_add(&t.pci, 1, &f);
	pci_add(&t.pci, 32, &f);
	pci_add(&t.pci, ~0u, &f);
	RUN(&t.rig, bridges_are_there_steps);
}

static void intx_of_any_slot_number_stays_inside(void **state)
{
	for (unsigned i = 0; i < 1000; i++)
		pci_intx(&t.pci, i * 0x01234567u, i & 1);
	pci_intx(&t.pci, ~0u, true);
	pci_intx(&t.pci, ~0u, false);
}

static void linux_sanity_check_finds_a_host_bridge(void **state)
{
	unsigned found = 0;

	for (uint32_t devfn = 0; devfn < 256; devfn++) {
		pci_addr_write(&t.pci, 0, 4, ENABLE | devfn << 8 | 8, 0);
		found += pci_data_read(&t.pci, 2, 2, 0) == 0x0600;
	}
	assert_int_equal(found, 1);
}

static void every_address_and_width_is_survived(void **state)
{
	static const uint32_t val[] = {0, 0xffffffff, 0xa5a55a5a};
	static const uint32_t bus[] = {0, 1, 0xff};

	for (uint32_t i = 0; i < 3 * 0x10000; i++)
		for (uint32_t acc = 0; acc < 12; acc++) {
			uint32_t off = acc % 4;
			unsigned size = 1u << acc / 4;

			pci_addr_write(&t.pci, 0, 4, ENABLE | bus[i >> 16] << 16 | (i & 0xffff), 0);
			pci_data_write(&t.pci, off, size, val[(i + acc) % 3], 0);
			assert_true(pci_data_read(&t.pci, off, size, 0) <= all_ones(size));
			assert_true(pci_addr_read(&t.pci, off, size, 0) <= all_ones(size));
			pci_addr_write(&t.pci, off, size, val[acc % 3], 0);
			pci_intx(&t.pci, i & 31, acc & 1);
		}
	/* The functions are still those that they were. */
	assert_int_equal(pci_get(t.pci.host.cfg, 4), 0x12378086);
	assert_int_equal(pci_get(t.pci.isa.cfg, 4), 0x70008086);
	assert_int_equal(pci_get(t.fn.cfg, 4), 0x10421af4);
}

static void offsets_beyond_the_port_range_are_nothing(void **state)
{
	pci_addr_write(&t.pci, 0, 4, ENABLE, 0);
	for (uint32_t off = 4; off < 64; off++) {
		pci_addr_write(&t.pci, off, 4, 0, 0);
		pci_data_write(&t.pci, off, 1, 0, 0);
		assert_int_equal(pci_data_read(&t.pci, off, 4, 0), 0xffffffff);
		assert_int_equal(pci_addr_read(&t.pci, off, 4, 0), 0xffffffff);
	}
	assert_int_equal(pci_data_read(&t.pci, UINT32_MAX, 4, 0), 0xffffffff);
	assert_int_equal(pci_addr_read(&t.pci, 0, 4, 0), ENABLE);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(address_reads_back_without_reserved_bits),
		T(address_takes_dwords_at_cf8_only),
		T(narrow_reads_of_the_address_are_all_ones),
		T(linux_finds_mechanism_1),
		T(linux_finds_no_mechanism_2),
		T(disabled_address_reads_all_ones_and_drops_writes),
		T(data_is_read_by_byte_word_and_dword),
		T(unaligned_data_is_clipped_at_cff),
		T(last_register_does_not_run_over),
		T(byte_writes_merge_by_mask),
		T(dword_writes_merge_by_mask),
		T(absent_functions_read_all_ones),
		T(absent_functions_drop_writes),
		T(other_buses_are_empty),
		T(slots_hold_what_was_added),
		T(host_bridge_identifies_as_440fx),
		T(isa_bridge_identifies_as_piix3),
		T(pm_function_identifies_as_piix4),
		T(ids_are_read_only),
		T(hardwired_command_bits_stay),
		T(status_of_the_bridges_is_that_of_the_datasheets),
		T(bars_that_are_not_there_size_to_zero),
		T(pam_starts_as_firmware_leaves_it),
		T(pam_keeps_read_and_write_enable_alone),
		T(pmbase_is_enabled_and_fixed),
		T(passive_release_is_on_before_linux_looks),
		T(status_is_cleared_by_writing_ones),
		T(writing_command_as_word_leaves_status),
		T(owner_hears_of_writes_after_the_merge),
		T(owner_sees_aligned_accesses_only),
		T(owner_refreshes_before_a_read),
		T(interrupt_line_names_the_routed_irq),
		T(pirqs_start_as_firmware_leaves_them),
		T(pirq_control_keeps_its_reserved_bits_zero),
		T(inta_is_swizzled_by_slot),
		T(slots_on_one_pirq_are_ored),
		T(pirqs_on_one_irq_are_ored),
		T(same_level_twice_is_harmless),
		T(new_route_moves_a_raised_level),
		T(new_route_of_one_keeps_the_others_level),
		T(disabled_pirq_is_low_until_enabled),
		T(reserved_routes_are_not_connected),
		T(unwired_irq_is_not_driven),
		T(interrupt_line_is_unknown_without_a_route),
		T(slots_of_the_bridges_cannot_be_taken),
		T(intx_of_any_slot_number_stays_inside),
		T(linux_sanity_check_finds_a_host_bridge),
		T(every_address_and_width_is_survived),
		T(offsets_beyond_the_port_range_are_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
