/* bios.c - real-mode interrupt vectors, for --test-device. */
#include "bios.h"

#include <errno.h>
#include <string.h>

#define VECTORS      256u
#define MASTER_FIRST 0x08u /* where the board leaves the 8259s' vectors */
#define SLAVE_FIRST  0x70u
#define IRQS         8u

// clang-format off
static const uint8_t stub_iret[] = {0xcf};   /* iret */
static const uint8_t stub_master[] = {
	0x50, 0xb0, 0x20, 0xe6, 0x20,            /* push ax; mov al, 20h; out 20h, al */
	0x58, 0xcf,                              /* pop ax; iret */
};
static const uint8_t stub_slave[] = {
	0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, /* the same to A0h first */
	0x58, 0xcf,
};
// clang-format on

enum { STUB_IRET = 0, STUB_MASTER = 16, STUB_SLAVE = 32, STUBS_SIZE = 48 };

/* Segment in the high half, offset in the low one. */
static uint32_t vector(unsigned n)
{
	uint32_t off = n - MASTER_FIRST < IRQS  ? STUB_MASTER
		       : n - SLAVE_FIRST < IRQS ? STUB_SLAVE
						: STUB_IRET;

	return (uint32_t)(GPA_BIOS_STUBS >> 4) << 16 | off;
}

int bios_build(const struct ram *ram)
{
	uint8_t *code = ram_at(ram, GPA_BIOS_STUBS, STUBS_SIZE);
	uint32_t *ivt = ram_at(ram, GPA_IVT, VECTORS * sizeof(*ivt));

	if (!code || !ivt)
		return -ENOSPC;
	memcpy(code + STUB_IRET, stub_iret, sizeof(stub_iret));
	memcpy(code + STUB_MASTER, stub_master, sizeof(stub_master));
	memcpy(code + STUB_SLAVE, stub_slave, sizeof(stub_slave));
	for (unsigned n = 0; n < VECTORS; n++)
		ivt[n] = vector(n);
	return 0;
}
