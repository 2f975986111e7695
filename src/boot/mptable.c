/*
 * mptable.c - MP configuration table [MPS 4], virtual wire mode: bus 0 is PCI, bus 1 is ISA.
 *
 * ISA IRQs 16 to 23 do not exist on a PC. They stand here for the I/O APIC's upper pins, since
 * Linux gives out only the pins that a table names, and virtio-mmio windows are wired to them.
 * No lock: called before the guest runs.
 */
#include "mptable.h"

#include <errno.h>

#include "table.h"

struct mp_float { /* [4.1] */
	char signature[4];
	uint32_t table;
	uint8_t length, spec, checksum, feature[5]; /* feature 1 = 0: there is a table */
} __attribute__((packed));

#define MP_FLOAT_UNIT 16 /* length counts paragraphs */
#define MP_SPEC_1_4   4

struct mp_header { /* [4.2] */
	char signature[4];
	uint16_t length;
	uint8_t spec, checksum;
	char oem_id[8], product_id[12];
	uint32_t oem_table;
	uint16_t oem_table_size, entries;
	uint32_t lapic_addr;
	uint16_t ext_length;
	uint8_t ext_checksum, reserved;
} __attribute__((packed));

enum { MP_CPU, MP_BUS, MP_IOAPIC, MP_INT, MP_LINT }; /* entry types, in this order [4.3] */

struct mp_cpu { /* [4.3.1] */
	uint8_t type, apic_id, apic_version, flags;
	uint32_t signature, features, reserved[2];
} __attribute__((packed));

#define MP_CPU_ENABLED   BIT(0)
#define MP_CPU_BSP       BIT(1)
#define MP_CPU_SIGNATURE 0x600                      /* family 6; who wants more asks CPUID */
#define MP_CPU_FEATURES  (BIT(0) | BIT(8) | BIT(9)) /* FPU, CX8, APIC [table 4-6] */
/* What KVM's local APIC says: Linux calls any other number a BIOS bug. */
#define LAPIC_VERSION    0x14

struct mp_bus { /* [4.3.2] */
	uint8_t type, id;
	char name[6];
} __attribute__((packed));

enum { BUS_PCI, BUS_ISA };

struct mp_ioapic { /* [4.3.3] */
	uint8_t type, id, version, flags;
	uint32_t addr;
} __attribute__((packed));

#define MP_IOAPIC_ENABLED BIT(0)
#define IOAPIC_VERSION    0x20
#define IOAPIC_TOP_PIN    23

struct mp_int { /* an I/O or a local interrupt [4.3.4, 4.3.5] */
	uint8_t type, kind;
	uint16_t flags;
	uint8_t bus, irq, apic, pin;
} __attribute__((packed));

enum { KIND_INT = 0, KIND_NMI = 1, KIND_EXTINT = 3 };

#define MP_CONFORM    0
#define MP_LEVEL_HIGH 0xd /* polarity in 1:0, trigger in 3:2 */
#define MP_LEVEL_LOW  0xf
#define MP_ALL_APICS  0xff
#define PIRQ_AB       10 /* where PIRQ A and B go; C and D go to the next */
#define PIRQ_CD       11

struct mptable {
	struct table t;
	uint16_t entries;
};

static void entry_put(struct mptable *m, const void *entry, size_t len)
{
	table_put(&m->t, entry, len);
	m->entries++;
}

static void cpu_put(struct mptable *m, unsigned id)
{
	struct mp_cpu e = {.type = MP_CPU,
			   .apic_id = (uint8_t)id,
			   .apic_version = LAPIC_VERSION,
			   .flags = MP_CPU_ENABLED | (id == 0 ? MP_CPU_BSP : 0),
			   .signature = MP_CPU_SIGNATURE,
			   .features = MP_CPU_FEATURES};

	entry_put(m, &e, sizeof(e));
}

static void bus_put(struct mptable *m, uint8_t id, const char *name)
{
	struct mp_bus e = {.type = MP_BUS, .id = id};

	memcpy(e.name, name, sizeof(e.name));
	entry_put(m, &e, sizeof(e));
}

static void ioapic_put(struct mptable *m, uint8_t id)
{
	struct mp_ioapic e = {MP_IOAPIC, id, IOAPIC_VERSION, MP_IOAPIC_ENABLED, GPA_IOAPIC};

	entry_put(m, &e, sizeof(e));
}

/* Flags as the MADT has them, so that a kernel sees one machine whichever it reads. */
static uint16_t isa_flags(unsigned irq)
{
	switch (irq) {
	case ACPI_SCI_IRQ: return MP_LEVEL_HIGH;
	case PIRQ_AB:
	case PIRQ_CD: return MP_LEVEL_LOW;
	default: return MP_CONFORM;
	}
}

static void isa_put(struct mptable *m, uint8_t ioapic)
{
	for (unsigned irq = 0; irq <= IOAPIC_TOP_PIN; irq++) {
		uint8_t pin = (uint8_t)(irq == 0 ? 2 : irq);
		struct mp_int e = {MP_INT, KIND_INT, isa_flags(irq), BUS_ISA, (uint8_t)irq,
				   ioapic, pin};

		if (irq != 2) /* the cascade, which no one sees */
			entry_put(m, &e, sizeof(e));
	}
}

/* INTA of the slots that can hold a function; no function of the board has another pin. */
static void pci_put(struct mptable *m, uint8_t ioapic)
{
	for (unsigned slot = 2; slot < 32; slot++) {
		unsigned pirq = (slot - 1) & 3;
		struct mp_int e = {MP_INT,
				   KIND_INT,
				   MP_LEVEL_LOW,
				   BUS_PCI,
				   (uint8_t)(slot << 2),
				   ioapic,
				   pirq < 2 ? PIRQ_AB : PIRQ_CD};

		entry_put(m, &e, sizeof(e));
	}
}

/* The 8259s through LINT0 of the first CPU, NMI at LINT1 of all. */
static void lint_put(struct mptable *m)
{
	struct mp_int extint = {MP_LINT, KIND_EXTINT, MP_CONFORM, BUS_ISA, 0, 0, 0};
	struct mp_int nmi = {MP_LINT, KIND_NMI, MP_CONFORM, BUS_ISA, 0, MP_ALL_APICS, 1};

	entry_put(m, &extint, sizeof(extint));
	entry_put(m, &nmi, sizeof(nmi));
}

static void header_put(const struct mptable *m)
{
	struct mp_header *h = (struct mp_header *)m->t.host;

	*h = (struct mp_header){.length = (uint16_t)m->t.used,
				.spec = MP_SPEC_1_4,
				.entries = m->entries,
				.lapic_addr = GPA_LAPIC};
	memcpy(h->signature, "PCMP", sizeof(h->signature));
	memcpy(h->oem_id, "MINNOW  ", sizeof(h->oem_id));
	memcpy(h->product_id, "MICROVM     ", sizeof(h->product_id));
	table_seal(h, m->t.used, &h->checksum);
}

static void float_put(struct mp_float *f)
{
	*f = (struct mp_float){.table = (uint32_t)GPA_MPTABLE,
			       .length = sizeof(*f) / MP_FLOAT_UNIT,
			       .spec = MP_SPEC_1_4};
	memcpy(f->signature, "_MP_", sizeof(f->signature));
	table_seal(f, sizeof(*f), &f->checksum);
}

int mptable_build(const struct ram *ram, unsigned cpus)
{
	struct mp_float *f = ram_at(ram, GPA_EBDA, EBDA_SIZE);
	uint8_t *host = ram_at(ram, GPA_MPTABLE, MPTABLE_SIZE);
	struct mptable m = {0};

	if (!f || !host || cpus > MAX_CPUS)
		return -ENOSPC;
	m.t = (struct table){host, MPTABLE_SIZE, sizeof(struct mp_header), false};
	for (unsigned i = 0; i < cpus; i++)
		cpu_put(&m, i);
	bus_put(&m, BUS_PCI, "PCI   ");
	bus_put(&m, BUS_ISA, "ISA   ");
	ioapic_put(&m, (uint8_t)IOAPIC_ID(cpus));
	isa_put(&m, (uint8_t)IOAPIC_ID(cpus));
	pci_put(&m, (uint8_t)IOAPIC_ID(cpus));
	lint_put(&m);
	if (m.t.full)
		return -ENOSPC;
	header_put(&m);
	float_put(f);
	return 0;
}
