/* msix_test.c - behaviours of an MSI-X table: entries, masks, pending bits. */
#include "../../../src/pc/msix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../lib/steps.h"

#define VECTORS 3
#define PBA     0x1000
#define CONTROL X0 /* Message Control is val */
#define SIGNAL  X1 /* vector addr is signalled */
#define RESET   X2
#define HIGH    X3 /* expect the upper half of the last MSI's address */

#define ON       0x8000
#define ON_QUIET 0xc000 /* enabled behind the function's mask */
#define QUIET    0x4000

#define ENTRY(n, addr, data, ctrl)                                                                 \
	{WR4, 16 * (n), addr}, {WR4, 16 * (n) + 4, 0}, {WR4, 16 * (n) + 8, data},                  \
	{                                                                                          \
		WR4, 16 * (n) + 12, ctrl                                                           \
	}

static struct msix msix;
static struct rig rig;

static uint32_t read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	return off < PBA ? msix_table_read(dev, off, size) : msix_pba_read(dev, off - PBA, size);
}

static void write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	msix_table_write(dev, off, size, val);
}

static uint64_t op(struct rig *r, const struct step *s)
{
	switch (s->op) {
	case CONTROL: msix_set_control(&msix, (uint16_t)s->val); break;
	case SIGNAL: msix_signal(&msix, (unsigned)s->addr); break;
	case RESET: msix_reset(&msix); break;
	default: return r->msi[(r->msi_in - 1) % RIG_MSIS].addr >> 32;
	}
	return s->val;
}

/* What the kernel sends without us: eventfd 10 + n, n being the index. */
#define FD 10
static struct {
	bool on;
	uint64_t addr;
	uint32_t data;
	unsigned changes;
} kernel[2];
static bool kernel_refuses;

static bool kernel_wire(void *ctx, int fd, uint64_t addr, uint32_t data)
{
	unsigned n = (unsigned)(fd - FD);

	assert_in_range(n, 0, ARRAY_SIZE(kernel) - 1);
	if (!kernel[n].on || kernel[n].addr != addr || kernel[n].data != data)
		kernel[n].changes++;
	kernel[n].on = !kernel_refuses;
	kernel[n].addr = addr;
	kernel[n].data = data;
	return kernel[n].on;
}

static void kernel_unwire(void *ctx, int fd)
{
	unsigned n = (unsigned)(fd - FD);

	assert_in_range(n, 0, ARRAY_SIZE(kernel) - 1);
	assert_true(kernel[n].on);
	kernel[n].on = false;
}

static int setup(void **state)
{
	rig = (struct rig){.dev = &msix, .read = read, .write = write, .op = op};
	memset(&msix, 0xa5, sizeof(msix));
	msix_init(&msix, VECTORS, rig_sink(&rig));
	memset(kernel, 0, sizeof(kernel));
	kernel_refuses = false;
	rig.sink.wire = kernel_wire;
	rig.sink.unwire = kernel_unwire;
	return 0;
}

// clang-format off
static void all_entries_are_masked_after_init(void **state)
{
	static const struct step t[] = {
		{RD4, 0, 0}, {RD4, 4, 0}, {RD4, 8, 0}, {RD4, 12, 1},
		{RD4, 16, 0}, {RD4, 28, 1}, {RD4, 44, 1}, {RD4, PBA, 0}, {NOMSI, 0, 0},
	};
	RUN(&rig, t);
	assert_false(msix_enabled(&msix));
}

static void entry_keeps_what_is_writable(void **state)
{
	static const struct step t[] = {
		{WR4, 16, 0xffffffff}, {RD4, 16, 0xfffffffc}, /* a message is a double word */
		{WR4, 20, 0xffffffff}, {RD4, 20, 0xffffffff},
		{WR4, 24, 0xffffffff}, {RD4, 24, 0xffffffff},
		{WR4, 28, 0xffffffff}, {RD4, 28, 1}, {WR4, 28, 0xfffffffe}, {RD4, 28, 0},
		{RD4, 0, 0}, {RD4, 12, 1}, {RD4, 32, 0}, {RD4, 44, 1}, /* the others */
	};
	RUN(&rig, t);
}

static void other_widths_and_offsets_do_nothing(void **state)
{
	static const struct step t[] = {
		{WR, 0, 0xff}, {WR2, 0, 0xffff}, {WR4, 2, 0xffffffff}, {WR4, 1, 0xffffffff},
		{RD4, 0, 0}, {RD4, 4, 0},
		{WR4, 0, 0xfee00000}, {RD, 3, 0}, {RD2, 2, 0}, {RD4, 2, 0}, {RD4, 1, 0},
		{WR, 12, 0}, {WR2, 12, 0}, {RD4, 12, 1}, {RD, 12, 0},
	};
	RUN(&rig, t);
}

static void beyond_the_table_is_nothing(void **state)
{
	static const struct step t[] = {
		{WR4, 48, 0xffffffff}, {RD4, 48, 0}, {WR4, 60, 0}, {RD4, 60, 0},
		{WR4, 0xffc, 0xffffffff}, {RD4, 0xffc, 0},
	};
	RUN(&rig, t);
	for (unsigned n = VECTORS; n < MSIX_VECTORS; n++)
		assert_int_equal(msix.table[n][0], 0);
}

static void message_is_the_entrys(void **state)
{
	static const struct step t[] = {
		{CONTROL, 0, ON}, ENTRY(1, 0xfee01000, 0x41, 0), {SIGNAL, 1, 0},
		{MSI, 0xfee01000, 0x41}, {HIGH, 0, 0}, {NOMSI, 0, 0},
		{WR4, 20, 0x12}, {SIGNAL, 1, 0}, {MSI, 0xfee01000, 0x41}, {HIGH, 0, 0x12},
		{RD4, PBA, 0},
	};
	RUN(&rig, t);
}

static void masked_vector_waits_and_is_sent_once(void **state)
{
	static const struct step t[] = {
		{CONTROL, 0, ON}, ENTRY(2, 0xfee00000, 0x42, 1),
		{SIGNAL, 2, 0}, {SIGNAL, 2, 0}, {NOMSI, 0, 0}, {RD4, PBA, 4},
		{WR4, 44, 0}, {MSI, 0xfee00000, 0x42}, {NOMSI, 0, 0}, {RD4, PBA, 0},
		{WR4, 44, 1}, {WR4, 44, 0}, {NOMSI, 0, 0},
	};
	RUN(&rig, t);
}

static void message_changed_behind_the_mask_is_sent_as_it_is_then(void **state)
{
	static const struct step t[] = {
		{CONTROL, 0, ON}, ENTRY(0, 0xfee00000, 0x40, 0), {WR4, 12, 1}, {SIGNAL, 0, 0},
		{WR4, 0, 0xfee02000}, {WR4, 8, 0x55}, {NOMSI, 0, 0}, {WR4, 12, 0}, {MSI, 0xfee02000, 0x55},
	};
	RUN(&rig, t);
}

static void functions_mask_holds_all_vectors(void **state)
{
	static const struct step t[] = {
		{CONTROL, 0, ON_QUIET}, ENTRY(0, 0xfee00000, 0x40, 0), ENTRY(1, 0xfee00000, 0x41, 0),
		ENTRY(2, 0xfee00000, 0x42, 1),
		{SIGNAL, 1, 0}, {SIGNAL, 0, 0}, {SIGNAL, 2, 0}, {NOMSI, 0, 0}, {RD4, PBA, 7},
		{CONTROL, 0, ON}, {MSI, 0xfee00000, 0x40}, {MSI, 0xfee00000, 0x41}, {NOMSI, 0, 0},
		{RD4, PBA, 4}, /* its own mask is still there */
	};
	RUN(&rig, t);
}

static void unmasking_a_vector_behind_the_functions_mask_sends_nothing(void **state)
{
	static const struct step t[] = {
		{CONTROL, 0, ON_QUIET}, ENTRY(0, 0xfee00000, 0x40, 1), {SIGNAL, 0, 0}, {WR4, 12, 0},
		{NOMSI, 0, 0}, {RD4, PBA, 1},
	};
	RUN(&rig, t);
}

static void nothing_is_sent_while_off(void **state)
{
	static const struct step t[] = {
		{CONTROL, 0, ON_QUIET}, ENTRY(0, 0xfee00000, 0x40, 0), {SIGNAL, 0, 0},
		{CONTROL, 0, QUIET}, {CONTROL, 0, 0}, {WR4, 12, 1}, {WR4, 12, 0}, {NOMSI, 0, 0},
		{CONTROL, 0, ON}, {MSI, 0xfee00000, 0x40},
	};
	RUN(&rig, t);
}

static void reset_forgets_what_is_pending_and_keeps_the_table(void **state)
{
	static const struct step t[] = {
		{CONTROL, 0, ON}, ENTRY(0, 0xfee00000, 0x40, 1), {SIGNAL, 0, 0}, {RESET, 0, 0},
		{RD4, PBA, 0}, {RD4, 0, 0xfee00000}, {RD4, 8, 0x40}, {WR4, 12, 0}, {NOMSI, 0, 0},
	};
	RUN(&rig, t);
}

static void pending_bits_are_read_as_double_words(void **state)
{
	static const struct step t[] = {
		{CONTROL, 0, ON}, {SIGNAL, 0, 0}, {SIGNAL, 2, 0},
		{RD4, PBA, 5}, {RD4, PBA + 4, 0}, {RD, PBA, 0}, {RD2, PBA, 0}, {RD4, PBA + 1, 0},
		{RD4, PBA + 8, 0},
	};
	RUN(&rig, t);
}

static void vector_beyond_the_table_vanishes(void **state)
{
	static const struct step t[] = {
		{CONTROL, 0, ON}, {SIGNAL, VECTORS, 0}, {SIGNAL, 31, 0}, {SIGNAL, 32, 0},
		{SIGNAL, 0xffff, 0}, {NOMSI, 0, 0}, {RD4, PBA, 0},
	};
	RUN(&rig, t);
}

static void a_wire_is_the_kernels_while_no_mask_is_in_the_way(void **state)
{
	static const struct step on[] = {{CONTROL, 0, ON}, ENTRY(1, 0xfee01000, 0x41, 0), {WR4, 20, 0x12}};
	static const struct step masked[] = {{WR4, 28, 1}}, open[] = {{WR4, 28, 0}};
	static const struct step quiet[] = {{CONTROL, 0, ON_QUIET}}, off[] = {{CONTROL, 0, 0}};

	msix_wire(&msix, 3, 1, FD);
	assert_false(msix_wired(&msix, 3));
	RUN(&rig, on);
	assert_true(kernel[0].on && msix_wired(&msix, 3));
	assert_true(kernel[0].addr == 0x12fee01000 && kernel[0].data == 0x41);
	RUN(&rig, masked);
	assert_false(kernel[0].on || msix_wired(&msix, 3));
	RUN(&rig, open);
	assert_true(kernel[0].on && msix_wired(&msix, 3));
	RUN(&rig, quiet);
	assert_false(kernel[0].on || msix_wired(&msix, 3));
	RUN(&rig, open); /* the function's mask is still there */
	assert_false(kernel[0].on);
	RUN(&rig, on);
	assert_true(kernel[0].on);
	RUN(&rig, off);
	assert_false(kernel[0].on || msix_wired(&msix, 3));
}

static void the_kernel_learns_of_a_message_as_a_whole(void **state)
{
	static const struct step on[] = {{CONTROL, 0, ON}, ENTRY(1, 0xfee01000, 0x41, 0)};
	static const struct step moved[] = {
		{WR4, 28, 1}, {WR4, 16, 0xfee02000}, {WR4, 20, 1}, {WR4, 24, 0x77},
	};
	static const struct step open[] = {{WR4, 28, 0}};

	RUN(&rig, on);
	msix_wire(&msix, 0, 1, FD);
	assert_int_equal(kernel[0].changes, 1);
	RUN(&rig, moved);
	assert_int_equal(kernel[0].changes, 1);
	RUN(&rig, open);
	assert_int_equal(kernel[0].changes, 2);
	assert_true(kernel[0].addr == 0x1fee02000 && kernel[0].data == 0x77);
	RUN(&rig, on); /* word by word, without a mask: as the driver has it */
	assert_true(kernel[0].on && kernel[0].addr == 0xfee01000 && kernel[0].data == 0x41);
}

static void what_was_pending_is_sent_as_the_mask_goes(void **state)
{
	static const struct step t[] = {
		{CONTROL, 0, ON}, ENTRY(1, 0xfee01000, 0x41, 1), {SIGNAL, 1, 0}, {RD4, PBA, 2},
		{WR4, 28, 0}, {MSI, 0xfee01000, 0x41}, {NOMSI, 0, 0}, {RD4, PBA, 0},
	};

	msix_wire(&msix, 0, 1, FD);
	RUN(&rig, t);
	assert_true(kernel[0].on);
}
// clang-format on

static void wires_may_share_a_vector(void **state)
{
	// clang-format off
	static const struct step on[] = {{CONTROL, 0, ON}, ENTRY(2, 0xfee01000, 0x41, 0)};
	// clang-format on

	msix_wire(&msix, 0, 2, FD);
	msix_wire(&msix, MSIX_WIRES - 1, 2, FD + 1);
	RUN(&rig, on);
	assert_true(kernel[0].on && kernel[1].on);
	msix_wire(&msix, 0, 2, -1);
	assert_false(kernel[0].on || msix_wired(&msix, 0));
	assert_true(kernel[1].on);
	msix_wire(&msix, 0, 2, -1); /* there is none any more */
	msix_wire(&msix, MSIX_WIRES - 1, 2, -1);
	assert_false(kernel[1].on);
	assert_int_equal(msix.wires, 0);
	RUN(&rig, on);
	assert_false(kernel[0].on || kernel[1].on);
}

static void a_wire_of_no_vector_is_never_connected(void **state)
{
	static const unsigned none[] = {VECTORS, 31, 0xffff};

	msix_set_control(&msix, ON);
	for (unsigned i = 0; i < MSIX_VECTORS; i++)
		msix.table[i][3] = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(none); i++) {
		msix_wire(&msix, 0, none[i], FD);
		msix_table_write(&msix, 0, 4, 0xfee00000);
		assert_false(kernel[0].on || msix_wired(&msix, 0));
	}
}

static void what_the_kernel_refuses_is_ours_until_it_takes_it(void **state)
{
	// clang-format off
	static const struct step on[] = {{CONTROL, 0, ON}, ENTRY(0, 0xfee01000, 0x41, 0)};
	static const struct step ours[] = {{SIGNAL, 0, 0}, {MSI, 0xfee01000, 0x41}};
	// clang-format on

	kernel_refuses = true;
	msix_wire(&msix, 0, 0, FD);
	RUN(&rig, on);
	assert_false(msix_wired(&msix, 0));
	RUN(&rig, ours);
	kernel_refuses = false;
	RUN(&rig, on);
	assert_true(msix_wired(&msix, 0));
	rig.sink.wire = NULL; /* and where there is nothing that could */
	msix_init(&msix, VECTORS, &rig.sink);
	msix_wire(&msix, 0, 0, FD);
	RUN(&rig, on);
	assert_false(msix_wired(&msix, 0));
}

static void largest_table(void **state)
{
	msix_init(&msix, MSIX_VECTORS, rig_sink(&rig));
	msix_set_control(&msix, ON);
	for (unsigned n = 0; n < MSIX_VECTORS; n++)
		msix_signal(&msix, n);
	assert_int_equal(msix_pba_read(&msix, 0, 4), UINT32_MAX);
	for (unsigned n = 0; n < MSIX_VECTORS; n++)
		msix_table_write(&msix, 16 * n + 12, 4, 0);
	assert_int_equal(msix_pba_read(&msix, 0, 4), 0);
	assert_int_equal(rig.msi_in, MSIX_VECTORS);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(all_entries_are_masked_after_init),
		T(entry_keeps_what_is_writable),
		T(other_widths_and_offsets_do_nothing),
		T(beyond_the_table_is_nothing),
		T(message_is_the_entrys),
		T(masked_vector_waits_and_is_sent_once),
		T(message_changed_behind_the_mask_is_sent_as_it_is_then),
		T(functions_mask_holds_all_vectors),
		T(unmasking_a_vector_behind_the_functions_mask_sends_nothing),
		T(nothing_is_sent_while_off),
		T(reset_forgets_what_is_pending_and_keeps_the_table),
		T(pending_bits_are_read_as_double_words),
		T(vector_beyond_the_table_vanishes),
		T(a_wire_is_the_kernels_while_no_mask_is_in_the_way),
		T(the_kernel_learns_of_a_message_as_a_whole),
		T(what_was_pending_is_sent_as_the_mask_goes),
		T(wires_may_share_a_vector),
		T(a_wire_of_no_vector_is_never_connected),
		T(what_the_kernel_refuses_is_ours_until_it_takes_it),
		T(largest_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
