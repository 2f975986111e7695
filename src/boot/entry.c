/* entry.c - page tables and GDT for an entry in 64-bit mode. */
#include "entry.h"

#include <errno.h>

#include "../log.h"

/* Page table entries [SDM 3A 4.5]. Accessed and dirty are set so that the CPU need not write. */
#define PTE_PRESENT  BIT(0)
#define PTE_WRITE    BIT(1)
#define PTE_ACCESSED BIT(5)
#define PTE_DIRTY    BIT(6)
#define PTE_LARGE    BIT(7)
#define PTE_TABLE    (PTE_PRESENT | PTE_WRITE | PTE_ACCESSED)
#define PTE_PAGE     (PTE_TABLE | PTE_DIRTY | PTE_LARGE)

#define TABLE_SIZE    4096ull
#define TABLE_ENTRIES 512
#define MAP_GIBS      4

/* RAM lies from GiB 0 on, the chips' registers in GiB 3; each directory is a page to be touched. */
static bool gib_is_used(const struct ram *ram, unsigned gib)
{
	return gib == 0 || gib == MAP_GIBS - 1 || gib * GIB < ram->low;
}

int entry_long64(const struct ram *ram)
{
	uint64_t *pml4 = ram_at(ram, GPA_PML4, TABLE_SIZE);
	uint64_t *pdpt = ram_at(ram, GPA_PDPT, TABLE_SIZE);
	uint64_t *pd = ram_at(ram, GPA_PD, MAP_GIBS * TABLE_SIZE);
	uint64_t *gdt = ram_at(ram, GPA_GDT, ENTRY_GDT_SIZE);

	if (!pml4 || !pdpt || !pd || !gdt)
		return log_fail(E2BIG, "guest RAM is too small for the boot page tables");
	pml4[0] = GPA_PDPT | PTE_TABLE;
	for (unsigned gib = 0; gib < MAP_GIBS; gib++) {
		if (!gib_is_used(ram, gib))
			continue;
		pdpt[gib] = (GPA_PD + gib * TABLE_SIZE) | PTE_TABLE;
		for (unsigned i = gib * TABLE_ENTRIES; i < (gib + 1) * TABLE_ENTRIES; i++)
			pd[i] = i * 2 * MIB | PTE_PAGE;
	}
	gdt[ENTRY_CS / 8] = ENTRY_DESC_CODE64;
	gdt[ENTRY_DS / 8] = ENTRY_DESC_DATA;
	gdt[ENTRY_TR / 8] = ENTRY_DESC_TSS;
	return 0;
}
