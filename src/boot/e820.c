/* e820.c - the memory map. What is not listed is a hole, where PCI memory may go. */
#include "e820.h"

static unsigned e820_add(struct e820_entry *e, unsigned n, uint64_t start, uint64_t end,
			 enum e820_type type)
{
	if (start >= end)
		return n;
	e[n] = (struct e820_entry){.addr = start, .size = end - start, .type = type};
	return n + 1;
}

unsigned e820_build(const struct ram *ram, struct e820_entry e[E820_MAX])
{
	unsigned n = 0;

	n = e820_add(e, n, 0, GPA_LOW_END, E820_RAM);
	n = e820_add(e, n, GPA_EBDA, GPA_EBDA + EBDA_SIZE, E820_RESERVED);
	n = e820_add(e, n, GPA_ACPI, GPA_HIMEM, E820_RESERVED); /* ACPI tables and MPTable */
	n = e820_add(e, n, GPA_HIMEM, ram->low, E820_RAM);
	/* Without a BIOS to claim them nothing else keeps PCI memory off these two. */
	n = e820_add(e, n, GPA_BOOT_TIMER, VIRTIO_MMIO_END, E820_RESERVED);
	n = e820_add(e, n, GPA_KVM_IDENTITY, GPA_4G, E820_RESERVED);
	return e820_add(e, n, GPA_4G, GPA_4G + ram->high, E820_RAM);
}
