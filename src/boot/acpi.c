/*
 * acpi.c - the ACPI tables of the board, by [ACPI 5.0].
 *
 * Everything lies at a fixed place (struct area), the DSDT last: it is cut off behind the last
 * virtio-mmio window in use. Linux makes a device of each window that is declared, present or not:
 * all 32 of them lengthen its start by 1 %. And a guest without windows touches one page here. No
 * hardware-reduced mode, no SMM: the board starts in ACPI mode. No lock: called before the guest
 * runs.
 */
#include "acpi.h"

#include <errno.h>

#include "table.h"

// clang-format off
static const /* the array that iasl made */
#include "dsdt.hex"
_Static_assert(sizeof(dsdt_aml_code) < ACPI_SIZE, "the DSDT fits its place");
// clang-format on

#define OEM_ID           "MINNOW"
#define OEM_TABLE_ID     "MICROVM"
#define OEM_REVISION     1
#define CREATOR_ID       "MNNW"
#define CREATOR_REVISION 1

struct header { /* [5.2.6] */
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct rsdp { /* [5.2.5.3] */
	char signature[8];
	uint8_t checksum; /* of the first RSDP_V1_LEN bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt, length;
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
} __attribute__((packed));

#define RSDP_V1_LEN 20

struct gas { /* generic address [5.2.3.1] */
	uint8_t space, bits, bit_offset, access;
	uint64_t addr;
} __attribute__((packed));

#define GAS_IO   1
#define GAS_BYTE 1 /* access size */
#define GAS_ANY  0

/* FADT revision 4 [5.2.9]: newer ones are longer than what older Linux accepts in silence. */
struct fadt {
	struct header h;
	uint32_t facs, dsdt;
	uint8_t reserved1, pm_profile;
	uint16_t sci_int;
	uint32_t smi_cmd;
	uint8_t acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	uint32_t pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
	uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_len, gpe1_len, gpe1_base;
	uint8_t cst_cnt;
	uint16_t lvl2_lat, lvl3_lat, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_arch;
	uint8_t reserved2;
	uint32_t flags;
	struct gas reset_reg;
	uint8_t reset_value, reserved3[3];
	uint64_t x_facs, x_dsdt;
	struct gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr, x_gpe0,
		x_gpe1;
} __attribute__((packed));

_Static_assert(sizeof(struct fadt) == 244, "FADT of ACPI 3.0 to 4.0");

#define FADT_REVISION       4
/* Where the PIIX4 has them in its I/O space, and how long they are. */
#define PM1_EVT             (PORT_PM + 0x0)
#define PM1_EVT_LEN         4
#define PM1_CNT             (PORT_PM + 0x4)
#define PM1_CNT_LEN         2
#define PM_TMR              (PORT_PM + 0x8)
#define PM_TMR_LEN          4
#define GPE0                (PORT_PM + 0xc)
#define GPE0_LEN            4
#define LVL2_LAT_NONE       101  /* > 100 us: no C2 */
#define LVL3_LAT_NONE       1001 /* > 1000 us: no C3 */
#define CMOS_CENTURY        0x32
#define RESET_VALUE         0x06 /* RST_CPU and SYS_RST of the PIIX3's reset control register */
/* IAPC_BOOT_ARCH [5.2.9.3] */
#define BOOT_LEGACY_DEVICES BIT(0)
#define BOOT_8042           BIT(1)
#define BOOT_NO_VGA         BIT(2)
/* Fixed feature flags [table 5-35]. TMR_VAL_EXT is clear: the PM timer has 24 bits. */
#define FADT_WBINVD         BIT(0)
#define FADT_PROC_C1        BIT(2)
#define FADT_SLP_BUTTON     BIT(5) /* no fixed sleep button; PWR_BUTTON clear: it is fixed */
#define FADT_FIX_RTC        BIT(6) /* no RTC wake status in PM1 */
#define FADT_RESET_REG_SUP  BIT(10)

struct facs { /* [5.2.10], without a checksum */
	char signature[4];
	uint32_t length, hardware_signature, waking_vector, global_lock, flags;
	uint64_t x_waking_vector;
	uint8_t version, reserved[31];
} __attribute__((packed));

#define FACS_VERSION 1

/* MADT entries [5.2.12] */
struct madt_lapic {
	uint8_t type, len, processor, apic_id;
	uint32_t flags;
} __attribute__((packed));

struct madt_ioapic {
	uint8_t type, len, id, reserved;
	uint32_t addr, gsi_base;
} __attribute__((packed));

struct madt_override {
	uint8_t type, len, bus, irq;
	uint32_t gsi;
	uint16_t flags;
} __attribute__((packed));

struct madt_nmi {
	uint8_t type, len, processor;
	uint16_t flags;
	uint8_t lint;
} __attribute__((packed));

enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_NMI = 4 };

#define MADT_REVISION      3
#define MADT_PCAT_COMPAT   BIT(0) /* there are 8259s too */
#define MADT_LAPIC_ENABLED BIT(0)
#define MADT_ALL_CPUS      0xff
#define MADT_CONFORM       0
#define MADT_LEVEL_HIGH    0xd /* MPS INTI flags: polarity in 1:0, trigger in 3:2 */
#define MADT_LEVEL_LOW     0xf

struct madt {
	struct header h;
	uint32_t lapic_addr, flags;
	struct madt_ioapic ioapic;
	struct madt_override override[4];
	struct madt_nmi nmi;
	struct madt_lapic lapic[MAX_CPUS]; /* last: as many as there are CPUs */
} __attribute__((packed));

/* What lies at GPA_ACPI. dsdt.asl knows where `windows` is. */
struct area {
	struct rsdp rsdp;
	uint32_t windows; /* bit n: window n is present */
	struct facs facs __attribute__((aligned(64)));
	struct fadt fadt;
	struct {
		struct header h;
		uint32_t table[2];
	} __attribute__((packed)) rsdt __attribute__((aligned(16)));
	struct {
		struct header h;
		uint64_t table[2];
	} __attribute__((packed)) xsdt __attribute__((aligned(16)));
	struct madt madt __attribute__((aligned(16)));
	uint8_t dsdt[sizeof(dsdt_aml_code)] __attribute__((aligned(16)));
};

#define GPA_OF(member) (GPA_ACPI + offsetof(struct area, member))

_Static_assert(sizeof(struct area) <= ACPI_SIZE, "the tables fit their place");
_Static_assert(GPA_OF(windows) == 0xe0024, "VREG in dsdt.asl");

/* To be called when the rest of the table is in place. */
static void header_put(struct header *h, const char *signature, uint8_t revision, size_t len)
{
	*h = (struct header){.length = (uint32_t)len,
			     .revision = revision,
			     .oem_revision = OEM_REVISION,
			     .creator_revision = CREATOR_REVISION};
	memcpy(h->signature, signature, sizeof(h->signature));
	memcpy(h->oem_id, OEM_ID, sizeof(h->oem_id));
	memcpy(h->oem_table_id, OEM_TABLE_ID, sizeof(h->oem_table_id));
	memcpy(h->creator_id, CREATOR_ID, sizeof(h->creator_id));
	table_seal(h, len, &h->checksum);
}

// clang-format off
static const struct fadt fadt = {
	.facs = GPA_OF(facs), /* x_facs stays 0: one of the two [5.2.9] */
	.dsdt = GPA_OF(dsdt),
	.sci_int = ACPI_SCI_IRQ,
	.pm1a_evt = PM1_EVT,
	.pm1a_cnt = PM1_CNT,
	.pm_tmr = PM_TMR,
	.gpe0 = GPE0,
	.pm1_evt_len = PM1_EVT_LEN,
	.pm1_cnt_len = PM1_CNT_LEN,
	.pm_tmr_len = PM_TMR_LEN,
	.gpe0_len = GPE0_LEN,
	.lvl2_lat = LVL2_LAT_NONE,
	.lvl3_lat = LVL3_LAT_NONE,
	.century = CMOS_CENTURY,
	.boot_arch = BOOT_LEGACY_DEVICES | BOOT_8042 | BOOT_NO_VGA,
	.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_RESET_REG_SUP,
	.reset_reg = {GAS_IO, 8, 0, GAS_BYTE, PORT_RESET},
	.reset_value = RESET_VALUE,
	.x_dsdt = GPA_OF(dsdt),
	.x_pm1a_evt = {GAS_IO, 8 * PM1_EVT_LEN, 0, GAS_ANY, PM1_EVT},
	.x_pm1a_cnt = {GAS_IO, 8 * PM1_CNT_LEN, 0, GAS_ANY, PM1_CNT},
	.x_pm_tmr = {GAS_IO, 8 * PM_TMR_LEN, 0, GAS_ANY, PM_TMR},
	.x_gpe0 = {GAS_IO, 8 * GPE0_LEN, 0, GAS_ANY, GPE0},
};
// clang-format on

static struct madt_override madt_override(uint8_t irq, uint32_t gsi, uint16_t flags)
{
	return (struct madt_override){MADT_OVERRIDE, sizeof(struct madt_override), 0, irq, gsi,
				      flags};
}

static void madt_put(struct madt *m, unsigned cpus)
{
	m->lapic_addr = GPA_LAPIC;
	m->flags = MADT_PCAT_COMPAT;
	m->ioapic = (struct madt_ioapic){MADT_IOAPIC, sizeof(m->ioapic), (uint8_t)IOAPIC_ID(cpus),
					 0,           GPA_IOAPIC,        0};
	m->override[0] = madt_override(0, 2, MADT_CONFORM);
	m->override[1] = madt_override(ACPI_SCI_IRQ, ACPI_SCI_IRQ, MADT_LEVEL_HIGH);
	/* The PIRQs, as PCI interrupts are taken to be: Linux programs what _PRT names so. */
	m->override[2] = madt_override(10, 10, MADT_LEVEL_LOW);
	m->override[3] = madt_override(11, 11, MADT_LEVEL_LOW);
	m->nmi = (struct madt_nmi){MADT_NMI, sizeof(m->nmi), MADT_ALL_CPUS, MADT_CONFORM, 1};
	for (unsigned i = 0; i < cpus; i++)
		m->lapic[i] = (struct madt_lapic){MADT_LAPIC, sizeof(m->lapic[i]), (uint8_t)i,
						  (uint8_t)i, MADT_LAPIC_ENABLED};
	header_put(&m->h, "APIC", MADT_REVISION, offsetof(struct madt, lapic[cpus]));
}

static void rsdp_put(struct rsdp *r)
{
	*r = (struct rsdp){
		.revision = 2, .rsdt = GPA_OF(rsdt), .length = sizeof(*r), .xsdt = GPA_OF(xsdt)};
	memcpy(r->signature, "RSD PTR ", sizeof(r->signature));
	memcpy(r->oem_id, OEM_ID, sizeof(r->oem_id));
	table_seal(r, RSDP_V1_LEN, &r->checksum);
	table_seal(r, sizeof(*r), &r->extended_checksum);
}

#define AML_DEVICE_OP   2 /* bytes */
#define AML_DEVICE_HEAD (AML_DEVICE_OP + 2)
#define AML_PKG_LOW     MASK(3, 0) /* of the first byte of two; the second has bits 11:4 */

/*
 * Bytes of the DSDT up to and with the last window of `present`. A window's term is DeviceOp with a
 * package length of two bytes, then _SB.VMnn [20.2.4, 20.2.5.2].
 */
static size_t dsdt_length(uint32_t present)
{
	static const char first[] = "._SB_VM00"; /* DualNamePrefix, two segments */
	const uint8_t *name =
		memmem(dsdt_aml_code, sizeof(dsdt_aml_code), first, sizeof(first) - 1);
	size_t len = (size_t)(name - dsdt_aml_code) - AML_DEVICE_HEAD;

	for (; present; present >>= 1) {
		const uint8_t *pkg = dsdt_aml_code + len + AML_DEVICE_OP;

		len += AML_DEVICE_OP + (pkg[0] & AML_PKG_LOW) + ((size_t)pkg[1] << 4);
	}
	return len;
}

int acpi_windows(const struct ram *ram, uint32_t present)
{
	struct area *a = ram_at(ram, GPA_ACPI, sizeof(*a));
	size_t len = dsdt_length(present);
	struct header *h;

	if (!a)
		return -ENOSPC;
	a->windows = present;
	memcpy(a->dsdt, dsdt_aml_code, len);
	h = (struct header *)a->dsdt;
	h->length = (uint32_t)len;
	table_seal(h, len, &h->checksum);
	return 0;
}

int acpi_build(const struct ram *ram, unsigned cpus)
{
	struct area *a = ram_at(ram, GPA_ACPI, ACPI_SIZE);

	if (!a || cpus > MAX_CPUS)
		return -ENOSPC;
	memset(a, 0, offsetof(struct area, dsdt));
	rsdp_put(&a->rsdp);
	memcpy(a->facs.signature, "FACS", sizeof(a->facs.signature));
	a->facs.length = sizeof(a->facs);
	a->facs.version = FACS_VERSION;
	a->fadt = fadt;
	header_put(&a->fadt.h, "FACP", FADT_REVISION, sizeof(a->fadt));
	madt_put(&a->madt, cpus);
	a->rsdt.table[0] = (uint32_t)(a->xsdt.table[0] = GPA_OF(fadt));
	a->rsdt.table[1] = (uint32_t)(a->xsdt.table[1] = GPA_OF(madt));
	header_put(&a->rsdt.h, "RSDT", 1, sizeof(a->rsdt));
	header_put(&a->xsdt.h, "XSDT", 1, sizeof(a->xsdt));
	return acpi_windows(ram, 0);
}

uint64_t acpi_rsdp(void)
{
	return GPA_OF(rsdp);
}
