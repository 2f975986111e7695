/*
 * acpi_test.c - parses the tables back as a guest would: from the RSDP by pointers, by the offsets
 * of [ACPI 5.0]. The DSDT is searched for the bytes that the specification's encoding gives.
 */
#include "../../../src/boot/acpi.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MEM   (2 * MIB)
#define DIRT  0xa5 /* what RAM holds before */
#define WORST 32u  /* CPUs of the largest machine */
#define HDR   36u  /* bytes of a table header */

static uint8_t mem[MEM] __attribute__((aligned(0x1000)));
static const struct ram ram = {.host = mem, .low = MEM};

static uint64_t get(uint64_t gpa, unsigned size)
{
	uint64_t v = 0;

	assert_true(gpa + size <= MEM);
	memcpy(&v, mem + gpa, size);
	return v;
}

static unsigned sum(uint64_t gpa, uint64_t len)
{
	unsigned s = 0;

	for (uint64_t i = 0; i < len; i++)
		s += mem[gpa + i];
	return s & 0xff;
}

static void build(unsigned cpus)
{
	memset(mem, DIRT, sizeof(mem));
	assert_int_equal(acpi_build(&ram, cpus), 0);
}

static uint64_t xsdt(void)
{
	return get(acpi_rsdp() + 24, 8);
}

static uint64_t rsdt(void)
{
	return get(acpi_rsdp() + 16, 4);
}

static uint64_t table_len(uint64_t t)
{
	return get(t + 4, 4);
}

/* The table that the XSDT names with this signature. */
static uint64_t find(const char *signature)
{
	uint64_t x = xsdt();

	for (uint64_t e = x + HDR; e < x + table_len(x); e += 8)
		if (!memcmp(mem + get(e, 8), signature, 4))
			return get(e, 8);
	fail_msg("no %s", signature);
	return 0;
}

static uint64_t dsdt(void)
{
	return get(find("FACP") + 40, 4);
}

/* Offset of `bytes` in the DSDT as it is declared; its length where they are not. */
static uint64_t in_dsdt(const void *bytes, size_t len)
{
	uint64_t d = dsdt(), n = table_len(d);

	for (uint64_t i = HDR; i + len <= n; i++)
		if (!memcmp(mem + d + i, bytes, len))
			return i;
	return n;
}

#define HAS(...)                                                                                   \
	do {                                                                                       \
		static const uint8_t bytes[] = {__VA_ARGS__};                                      \
		assert_true(in_dsdt(bytes, sizeof(bytes)) < table_len(dsdt()));                    \
	} while (0)

static bool declares_window(unsigned n)
{
	char name[] = {'V', 'M', (char)('0' + n / 10), (char)('0' + n % 10)};

	return in_dsdt(name, sizeof(name)) < table_len(dsdt());
}

static void rsdp_is_on_a_16_byte_boundary_of_the_bios_area(void **state)
{
	build(1);
	assert_int_equal(acpi_rsdp(), GPA_ACPI);
	assert_int_equal(acpi_rsdp() % 16, 0);
	assert_memory_equal(mem + acpi_rsdp(), "RSD PTR ", 8);
	assert_int_equal(get(acpi_rsdp() + 15, 1), 2); /* revision */
}

static void rsdp_sums_to_zero_in_both_lengths(void **state)
{
	build(1);
	assert_int_equal(get(acpi_rsdp() + 20, 4), 36);
	assert_int_equal(sum(acpi_rsdp(), 20), 0);
	assert_int_equal(sum(acpi_rsdp(), 36), 0);
}

static void rsdt_and_xsdt_name_the_same_tables(void **state)
{
	build(1);
	assert_memory_equal(mem + rsdt(), "RSDT", 4);
	assert_memory_equal(mem + xsdt(), "XSDT", 4);
	assert_int_equal(table_len(rsdt()), HDR + 2 * 4);
	assert_int_equal(table_len(xsdt()), HDR + 2 * 8);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(get(rsdt() + HDR + i * 4, 4), get(xsdt() + HDR + i * 8, 8));
	assert_memory_equal(mem + get(xsdt() + HDR, 8), "FACP", 4);
	assert_memory_equal(mem + get(xsdt() + HDR + 8, 8), "APIC", 4);
}

static void every_table_sums_to_zero(void **state)
{
	for (unsigned cpus = 1; cpus <= WORST; cpus++) {
		build(cpus);
		uint64_t t[] = {rsdt(), xsdt(), find("FACP"), find("APIC"), dsdt()};

		for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
			assert_true(table_len(t[i]) > HDR || t[i] == rsdt());
			assert_int_equal(sum(t[i], table_len(t[i])), 0);
		}
	}
}

static void every_header_names_the_maker(void **state)
{
	build(1);
	uint64_t t[] = {rsdt(), xsdt(), find("FACP"), find("APIC"), dsdt()};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		assert_memory_equal(mem + t[i] + 10, "MINNOW", 6);
		assert_memory_equal(mem + t[i] + 16, "MICROVM\0", 8);
		assert_int_equal(get(t[i] + 24, 4), 1);
	}
}

static int by_address(const void *a, const void *b)
{
	return *(const uint64_t *)a < *(const uint64_t *)b ? -1 : 1;
}

static void tables_lie_apart_inside_their_area(void **state)
{
	build(WORST);
	assert_int_equal(acpi_windows(&ram, UINT32_MAX), 0);
	uint64_t t[][2] = {
		{acpi_rsdp(),           36                     },
		{rsdt(),                table_len(rsdt())      },
		{xsdt(),                table_len(xsdt())      },
		{find("FACP"),          244                    },
		{find("APIC"),          table_len(find("APIC"))},
		{get(find("FACP") + 36, 4),                      64},
		{dsdt(),                     table_len(dsdt())                                      },
	};
	size_t n = ARRAY_SIZE(t);

	qsort(t, n, sizeof(t[0]), by_address);
	for (size_t i = 0; i + 1 < n; i++)
		assert_true(t[i][0] + t[i][1] <= t[i + 1][0]);
	assert_true(t[0][0] >= GPA_ACPI);
	assert_true(t[n - 1][0] + t[n - 1][1] <= GPA_ACPI + ACPI_SIZE);
}

static void fadt_has_the_length_of_its_revision(void **state)
{
	build(1);
	assert_int_equal(get(find("FACP") + 8, 1), 4);
	assert_int_equal(table_len(find("FACP")), 244);
}

static void fadt_places_the_pm_registers(void **state)
{
	build(1);
	uint64_t f = find("FACP");

	assert_int_equal(get(f + 56, 4), 0x600); /* PM1a_EVT_BLK */
	assert_int_equal(get(f + 60, 4), 0);     /* no PM1b */
	assert_int_equal(get(f + 64, 4), 0x604); /* PM1a_CNT_BLK */
	assert_int_equal(get(f + 68, 4), 0);
	assert_int_equal(get(f + 72, 4), 0);     /* no PM2 */
	assert_int_equal(get(f + 76, 4), 0x608); /* PM_TMR_BLK */
	assert_int_equal(get(f + 80, 4), 0x60c); /* GPE0_BLK */
	assert_int_equal(get(f + 84, 4), 0);     /* no GPE1 */
	assert_int_equal(get(f + 88, 1), 4);     /* PM1_EVT_LEN */
	assert_int_equal(get(f + 89, 1), 2);     /* PM1_CNT_LEN */
	assert_int_equal(get(f + 90, 1), 0);     /* PM2_CNT_LEN */
	assert_int_equal(get(f + 91, 1), 4);     /* PM_TMR_LEN */
	assert_int_equal(get(f + 92, 1), 4);     /* GPE0_BLK_LEN */
	assert_int_equal(get(f + 93, 1), 0);     /* GPE1_BLK_LEN */
}

static void fadt_extended_addresses_agree_with_the_old_ones(void **state)
{
	/* old address, its length, extended address [table 5-34] */
	static const unsigned reg[][3] = {
		{56, 88, 148},
		{64, 89, 172},
		{76, 91, 208},
		{80, 92, 220},
	};

	build(1);
	uint64_t f = find("FACP");

	for (unsigned i = 0; i < ARRAY_SIZE(reg); i++) {
		assert_int_equal(get(f + reg[i][2], 1), 1); /* system I/O */
		assert_int_equal(get(f + reg[i][2] + 1, 1), 8 * get(f + reg[i][1], 1));
		assert_int_equal(get(f + reg[i][2] + 2, 1), 0);
		assert_int_equal(get(f + reg[i][2] + 4, 8), get(f + reg[i][0], 4));
	}
	for (unsigned at = 160; at < 172; at++) /* X_PM1b_EVT_BLK */
		assert_int_equal(get(f + at, 1), 0);
	assert_int_equal(get(f + 140, 8), get(f + 40, 4)); /* X_DSDT */
}

static void fadt_starts_in_acpi_mode_with_sci_9(void **state)
{
	build(1);
	uint64_t f = find("FACP");

	assert_int_equal(get(f + 46, 2), 9);
	assert_int_equal(get(f + 48, 4), 0); /* SMI_CMD */
	assert_int_equal(get(f + 52, 4), 0); /* ACPI_ENABLE to PSTATE_CNT */
}

static void fadt_resets_by_6_to_cf9(void **state)
{
	build(1);
	uint64_t f = find("FACP");

	assert_true(get(f + 112, 4) & BIT(10)); /* RESET_REG_SUP */
	assert_int_equal(get(f + 116, 1), 1);   /* I/O */
	assert_int_equal(get(f + 117, 1), 8);
	assert_int_equal(get(f + 118, 1), 0);
	assert_int_equal(get(f + 119, 1), 1); /* by bytes */
	assert_int_equal(get(f + 120, 8), 0xcf9);
	assert_int_equal(get(f + 128, 1), 6);
}

static void fadt_declares_what_a_pc_has(void **state)
{
	build(1);
	uint64_t f = find("FACP");

	assert_int_equal(get(f + 109, 2), 7); /* legacy devices, 8042, no VGA */
	assert_int_equal(get(f + 108, 1), 0x32);
	/* WBINVD, PROC_C1, SLP_BUTTON, FIX_RTC, RESET_REG_SUP: a fixed power button, a timer of 24
	 * bits, hardware not reduced */
	assert_int_equal(get(f + 112, 4), 0x465);
}

static void fadt_has_no_deep_idle_states(void **state)
{
	build(1);
	uint64_t f = find("FACP");

	assert_true(get(f + 96, 2) > 100);
	assert_true(get(f + 98, 2) > 1000);
	assert_int_equal(get(f + 95, 1), 0); /* CST_CNT */
}

static void facs_is_aligned_and_empty(void **state)
{
	build(1);
	uint64_t f = find("FACP"), facs = get(f + 36, 4);

	assert_int_equal(get(f + 132, 8), 0); /* X_FIRMWARE_CTRL: the old field is in use */
	assert_int_equal(facs % 64, 0);
	assert_memory_equal(mem + facs, "FACS", 4);
	assert_int_equal(table_len(facs), 64);
	for (unsigned i = 8; i < 64; i++)
		assert_int_equal(mem[facs + i], i == 32 ? 1 : 0); /* version */
}

/* The `n`th entry of `type`; 0 if there are fewer. Fails on an entry that ends outside. */
static uint64_t madt_entry(unsigned type, unsigned n)
{
	uint64_t m = find("APIC"), end = m + table_len(m);

	for (uint64_t e = m + 44; e < end; e += mem[e + 1]) {
		assert_true(mem[e + 1] >= 2 && e + mem[e + 1] <= end);
		if (mem[e] == type && n-- == 0)
			return e;
	}
	return 0;
}

static void madt_lists_every_cpu_and_no_more(void **state)
{
	static const unsigned counts[] = {1, 2, 31, 32};

	for (unsigned c = 0; c < ARRAY_SIZE(counts); c++) {
		build(counts[c]);
		for (unsigned i = 0; i < counts[c]; i++) {
			uint64_t e = madt_entry(0, i);

			assert_true(e);
			assert_int_equal(mem[e + 1], 8);
			assert_int_equal(mem[e + 2], i); /* processor */
			assert_int_equal(mem[e + 3], i); /* APIC ID */
			assert_int_equal(get(e + 4, 4), 1);
		}
		assert_false(madt_entry(0, counts[c]));
	}
}

static void madt_io_apic_has_the_id_after_the_cpus(void **state)
{
	for (unsigned cpus = 1; cpus <= WORST; cpus += 31) {
		build(cpus);
		uint64_t e = madt_entry(1, 0);

		assert_true(e);
		assert_int_equal(mem[e + 1], 12);
		assert_int_equal(mem[e + 2], cpus < 15 ? cpus : 15); /* four bits */
		assert_int_equal(get(e + 4, 4), 0xfec00000);
		assert_int_equal(get(e + 8, 4), 0);
		assert_false(madt_entry(1, 1));
	}
}

static void madt_has_local_apics_and_8259s(void **state)
{
	build(1);
	assert_int_equal(get(find("APIC") + 36, 4), 0xfee00000);
	assert_int_equal(get(find("APIC") + 40, 4), 1);
}

static void madt_overrides_the_timer_the_sci_and_the_pirqs(void **state)
{
	/* IRQ, GSI, flags: 0 as the bus has it, dh level high, fh level low */
	static const unsigned want[][3] = {
		{0,  2,  0  },
                {9,  9,  0xd},
                {10, 10, 0xf},
                {11, 11, 0xf}
        };

	build(1);
	for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
		uint64_t e = madt_entry(2, i);

		assert_true(e);
		assert_int_equal(mem[e + 1], 10);
		assert_int_equal(mem[e + 2], 0); /* ISA */
		assert_int_equal(mem[e + 3], want[i][0]);
		assert_int_equal(get(e + 4, 4), want[i][1]);
		assert_int_equal(get(e + 8, 2), want[i][2]);
	}
	assert_false(madt_entry(2, ARRAY_SIZE(want)));
}

static void madt_wires_nmi_to_lint1_of_every_cpu(void **state)
{
	build(4);
	uint64_t e = madt_entry(4, 0);

	assert_true(e);
	assert_int_equal(mem[e + 1], 6);
	assert_int_equal(mem[e + 2], 0xff);
	assert_int_equal(get(e + 3, 2), 0);
	assert_int_equal(mem[e + 5], 1);
	assert_false(madt_entry(4, 1));
}

static void dsdt_is_of_the_64_bit_revision(void **state)
{
	build(1);
	assert_memory_equal(mem + dsdt(), "DSDT", 4);
	assert_int_equal(get(dsdt() + 8, 1), 2);
}

static void dsdt_s5_is_sleep_type_0_in_four_elements(void **state)
{
	build(1);
	HAS('_', 'S', '5', '_', 0x12, 0x06, 0x04, 0x00, 0x00, 0x00, 0x00);
}

static void dsdt_pci_window_is_that_of_the_layout(void **state)
{
	uint8_t want[26] = {0x87, 23, 0, 0, 0x0c, 0x01}; /* DWord memory, fixed, read-write */
	uint32_t range[5] = {0, GPA_PCI_WINDOW, PCI_WINDOW_END - 1, 0,
			     PCI_WINDOW_END - GPA_PCI_WINDOW};

	memcpy(want + 6, range, sizeof(range));
	build(1);
	assert_true(in_dsdt(want, sizeof(want)) < table_len(dsdt()));
}

static void dsdt_pci_ports_leave_out_the_configuration_ones(void **state)
{
	build(1);
	/* WORD I/O: granularity, minimum, maximum, translation, length [6.4.3.5.3] */
	HAS(0x88, 13, 0, 1, 0x0c, 3, 0, 0, 0x00, 0x00, 0xf7, 0x0c, 0, 0, 0xf8, 0x0c);
	HAS(0x88, 13, 0, 1, 0x0c, 3, 0, 0, 0x00, 0x0d, 0xff, 0xff, 0, 0, 0x00, 0xf3);
	HAS(0x47, 1, 0xf8, 0x0c, 0xf8, 0x0c, 1, 8);
}

static void dsdt_has_one_bus(void **state)
{
	build(1);
	HAS(0x88, 13, 0, 2, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0);
}

static void dsdt_prt_swizzles_the_slots_over_gsis_10_and_11(void **state)
{
	static const uint8_t name[] = {'_', 'P', 'R', 'T', 0x12};

	build(1);
	uint64_t at = dsdt() + in_dsdt(name, sizeof(name)) + sizeof(name);

	at += 1 + (mem[at] >> 6); /* package length */
	assert_int_equal(mem[at++], 31);
	for (unsigned slot = 1; slot < 32; slot++) {
		/* PIRQs of slots 2, 3, 4, 5: B, C, D, A */
		uint8_t want[] = {0x12,          0x0b, 4, 0x0c, 0xff, 0xff,
				  (uint8_t)slot, 0,    0, 0x00, 0x0a, 0};

		want[11] = slot % 4 == 1 || slot % 4 == 2 ? 10 : 11;
		if (slot == 1) /* the PM function's INTA is the SCI */
			want[11] = 9;
		assert_memory_equal(mem + at, want, sizeof(want));
		at += sizeof(want);
	}
}

static void dsdt_declares_the_serial_port(void **state)
{
	build(1);
	HAS(0x0c, 0x41, 0xd0, 0x05, 0x01); /* PNP0501 */
	HAS(0x47, 1, 0xf8, 0x03, 0xf8, 0x03, 1, 8, 0x22, 0x10, 0x00, 0x79);
}

static void dsdt_declares_the_keyboard_controller(void **state)
{
	build(1);
	HAS(0x0c, 0x41, 0xd0, 0x03, 0x03); /* PNP0303 */
	HAS(0x47, 1, 0x60, 0, 0x60, 0, 1, 1, 0x47, 1, 0x64, 0, 0x64, 0, 1, 1, 0x22, 0x02, 0x00,
	    0x79);
}

static void dsdt_declares_the_clock(void **state)
{
	build(1);
	HAS(0x0c, 0x41, 0xd0, 0x0b, 0x00); /* PNP0B00 */
	HAS(0x47, 1, 0x70, 0, 0x70, 0, 1, 2, 0x22, 0x00, 0x01, 0x79);
}

static void dsdt_reserves_pm_elcr_and_the_windows(void **state)
{
	build(1);
	HAS(0x0c, 0x41, 0xd0, 0x0c, 0x02); /* PNP0C02 */
	HAS(0x47, 1, 0x00, 0x06, 0x00, 0x06, 1, 0x40, 0x47, 1, 0xd0, 0x04, 0xd0, 0x04, 1, 2);
	uint8_t fixed[12] = {0x86, 9, 0, 1};
	uint32_t range[2] = {GPA_BOOT_TIMER, VIRTIO_MMIO_END - GPA_BOOT_TIMER};

	memcpy(fixed + 4, range, sizeof(range));
	assert_true(in_dsdt(fixed, sizeof(fixed)) < table_len(dsdt()));
}

static void no_window_is_declared_at_first(void **state)
{
	build(1);
	assert_false(declares_window(0));
}

static void windows_are_declared_up_to_the_highest_in_use(void **state)
{
	build(1);
	for (unsigned top = 0; top < ACPI_WINDOWS; top++) {
		assert_int_equal(acpi_windows(&ram, (uint32_t)BIT(top)), 0);
		assert_int_equal(sum(dsdt(), table_len(dsdt())), 0);
		for (unsigned n = 0; n < ACPI_WINDOWS; n++)
			assert_int_equal(declares_window(n), n <= top);
	}
}

/* A cut DSDT ends where a term ends: what it has more than the one before is one DeviceOp. */
static void windows_are_whole_terms(void **state)
{
	uint64_t before;

	build(1);
	before = table_len(dsdt());
	for (unsigned n = 0; n < ACPI_WINDOWS; n++) {
		assert_int_equal(acpi_windows(&ram, (uint32_t)BIT(n)), 0);
		uint64_t t = dsdt() + before, len = table_len(dsdt()) - before;

		assert_int_equal(get(t, 2), 0x825b);
		assert_int_equal(mem[t + 2] >> 6, 1); /* a length of two bytes follows */
		assert_int_equal((mem[t + 2] & 15u) + mem[t + 3] * 16u, len - 2);
		before += len;
	}
}

static void windows_have_their_page_and_edge_interrupt(void **state)
{
	/* those below 16 first, which a guest without I/O APIC has too; then shared */
	static const uint8_t gsi[ACPI_WINDOWS] = {5,  6,  7,  12, 14, 15, 16, 17, 18, 19, 20,
						  21, 22, 23, 5,  6,  7,  12, 14, 15, 16, 17,
						  18, 19, 20, 21, 22, 23, 5,  6,  7,  12};

	build(1);
	assert_int_equal(acpi_windows(&ram, UINT32_MAX), 0);
	for (unsigned n = 0; n < ACPI_WINDOWS; n++) {
		/* fixed 32-bit memory, then an extended interrupt: consumer, edge, high, shared */
		uint8_t want[] = {0x86, 9, 0, 1,    0, 0, 0,    0x00, 0, 0x10, 0,   0,
				  0x89, 6, 0, 0x0b, 1, 0, 0x00, 0,    0, 0x79, 0x00};
		uint32_t gpa = (uint32_t)(GPA_VIRTIO_MMIO + n * 0x1000ull);

		memcpy(want + 4, &gpa, sizeof(gpa));
		want[17] = gsi[n];
		assert_true(in_dsdt(want, sizeof(want) - 1) < table_len(dsdt()));
		assert_true(gpa + 0x1000ull <= VIRTIO_MMIO_END);
	}
}

static void windows_status_is_read_where_the_bitmap_lies(void **state)
{
	static const uint8_t region[] = {0x5b, 0x80, 'V', 'R', 'E', 'G', 0x00, 0x0c};

	build(1);
	uint64_t at = dsdt() + in_dsdt(region, sizeof(region)) + sizeof(region);
	uint64_t bitmap = get(at, 4);

	assert_int_equal(get(bitmap, 4), 0);
	assert_int_equal(acpi_windows(&ram, 0x80000005), 0);
	assert_int_equal(get(bitmap, 4), 0x80000005);
}

static void windows_can_be_taken_back(void **state)
{
	static uint8_t first[ACPI_SIZE];

	build(1);
	uint64_t len = dsdt() + table_len(dsdt()) - GPA_ACPI;

	memcpy(first, mem + GPA_ACPI, len);
	assert_int_equal(acpi_windows(&ram, UINT32_MAX), 0);
	assert_int_equal(acpi_windows(&ram, 0), 0);
	assert_memory_equal(mem + GPA_ACPI, first, len);
}

static void building_again_gives_the_same_bytes(void **state)
{
	static uint8_t first[ACPI_SIZE];

	build(3);
	memcpy(first, mem + GPA_ACPI, ACPI_SIZE);
	assert_int_equal(acpi_build(&ram, 3), 0);
	assert_memory_equal(mem + GPA_ACPI, first, ACPI_SIZE);
}

static void a_guest_without_windows_has_one_page_written(void **state)
{
	build(WORST);
	for (uint64_t i = 0; i < MEM; i++)
		if (i < GPA_ACPI || i >= GPA_ACPI + 0x1000)
			assert_int_equal(mem[i], DIRT);
}

static void a_guest_with_all_windows_has_its_area_written_alone(void **state)
{
	build(WORST);
	assert_int_equal(acpi_windows(&ram, UINT32_MAX), 0);
	for (uint64_t i = 0; i < MEM; i++)
		if (i < GPA_ACPI || i >= GPA_ACPI + ACPI_SIZE)
			assert_int_equal(mem[i], DIRT);
}

static void assert_untouched(void)
{
	for (uint64_t i = 0; i < MEM; i++)
		assert_int_equal(mem[i], DIRT);
}

static void too_little_ram_is_refused(void **state)
{
	static const struct ram small = {.host = mem, .low = GPA_ACPI + 0x1000};

	memset(mem, DIRT, sizeof(mem));
	assert_int_equal(acpi_build(&small, 1), -ENOSPC);
	assert_int_equal(acpi_windows(&small, 1), -ENOSPC);
	assert_untouched();
}

static void too_many_cpus_are_refused(void **state)
{
	memset(mem, DIRT, sizeof(mem));
	assert_int_equal(acpi_build(&ram, MAX_CPUS + 1), -ENOSPC);
	assert_int_equal(acpi_build(&ram, UINT32_MAX), -ENOSPC);
	assert_untouched();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rsdp_is_on_a_16_byte_boundary_of_the_bios_area),
		cmocka_unit_test(rsdp_sums_to_zero_in_both_lengths),
		cmocka_unit_test(rsdt_and_xsdt_name_the_same_tables),
		cmocka_unit_test(every_table_sums_to_zero),
		cmocka_unit_test(every_header_names_the_maker),
		cmocka_unit_test(tables_lie_apart_inside_their_area),
		cmocka_unit_test(fadt_has_the_length_of_its_revision),
		cmocka_unit_test(fadt_places_the_pm_registers),
		cmocka_unit_test(fadt_extended_addresses_agree_with_the_old_ones),
		cmocka_unit_test(fadt_starts_in_acpi_mode_with_sci_9),
		cmocka_unit_test(fadt_resets_by_6_to_cf9),
		cmocka_unit_test(fadt_declares_what_a_pc_has),
		cmocka_unit_test(fadt_has_no_deep_idle_states),
		cmocka_unit_test(facs_is_aligned_and_empty),
		cmocka_unit_test(madt_lists_every_cpu_and_no_more),
		cmocka_unit_test(madt_io_apic_has_the_id_after_the_cpus),
		cmocka_unit_test(madt_has_local_apics_and_8259s),
		cmocka_unit_test(madt_overrides_the_timer_the_sci_and_the_pirqs),
		cmocka_unit_test(madt_wires_nmi_to_lint1_of_every_cpu),
		cmocka_unit_test(dsdt_is_of_the_64_bit_revision),
		cmocka_unit_test(dsdt_s5_is_sleep_type_0_in_four_elements),
		cmocka_unit_test(dsdt_pci_window_is_that_of_the_layout),
		cmocka_unit_test(dsdt_pci_ports_leave_out_the_configuration_ones),
		cmocka_unit_test(dsdt_has_one_bus),
		cmocka_unit_test(dsdt_prt_swizzles_the_slots_over_gsis_10_and_11),
		cmocka_unit_test(dsdt_declares_the_serial_port),
		cmocka_unit_test(dsdt_declares_the_keyboard_controller),
		cmocka_unit_test(dsdt_declares_the_clock),
		cmocka_unit_test(dsdt_reserves_pm_elcr_and_the_windows),
		cmocka_unit_test(no_window_is_declared_at_first),
		cmocka_unit_test(windows_are_declared_up_to_the_highest_in_use),
		cmocka_unit_test(windows_are_whole_terms),
		cmocka_unit_test(windows_have_their_page_and_edge_interrupt),
		cmocka_unit_test(windows_status_is_read_where_the_bitmap_lies),
		cmocka_unit_test(windows_can_be_taken_back),
		cmocka_unit_test(building_again_gives_the_same_bytes),
		cmocka_unit_test(a_guest_without_windows_has_one_page_written),
		cmocka_unit_test(a_guest_with_all_windows_has_its_area_written_alone),
		cmocka_unit_test(too_little_ram_is_refused),
		cmocka_unit_test(too_many_cpus_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
