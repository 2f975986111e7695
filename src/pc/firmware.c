/*
 * firmware.c - the bytes and registers that a PC's firmware leaves behind [MC146818 RAM; 8259A;
 * 8254]. What every guest needs beyond them, the chips' own init functions and board_init() set.
 */
#include "firmware.h"

/* Where firmware keeps the memory sizes [SeaBIOS and QEMU use these CMOS bytes]. */
void firmware_cmos(struct rtc *r, const struct board_conf *c)
{
	uint64_t ext_kib = MIN(c->low_ram / KIB - 1024, 0xffff); /* from 1 MiB, 64 MiB at most */
	uint64_t high_64k = c->low_ram > 16 * MIB ? (c->low_ram - 16 * MIB) / (64 * KIB) : 0;
	uint64_t above4g_64k = c->high_ram / (64 * KIB);
	// clang-format off
	const struct {
		uint8_t index;
		uint64_t val;
	} byte[] = {
		{0x15, 640 & 0xff},       {0x16, 640 >> 8},         {0x17, ext_kib},
		{0x18, ext_kib >> 8},     {0x30, ext_kib},          {0x31, ext_kib >> 8},
		{0x34, high_64k},         {0x35, high_64k >> 8},    {0x5b, above4g_64k},
		{0x5c, above4g_64k >> 8}, {0x5d, above4g_64k >> 16}, {0x5f, c->cpus - 1},
	};
	// clang-format on

	for (unsigned i = 0; i < ARRAY_SIZE(byte); i++)
		rtc_set_cmos(r, byte[i].index, (uint8_t)byte[i].val);
}

/*
 * What kvm-unit-tests' real-mode guests expect a BIOS to have left: the 8259s initialised with only
 * IRQ 0 and the cascade unmasked, and counter 0 running at 18.2 Hz.
 */
void firmware_leftovers(struct board *b, uint64_t now)
{
	// clang-format off
	static const struct {
		uint16_t port;
		uint8_t val;
	} out[] = {
		{0x20, 0x11}, {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01}, {0x21, 0xb8}, /* ICW1-4, IMR */
		{0xa0, 0x11}, {0xa1, 0x70}, {0xa1, 0x02}, {0xa1, 0x01}, {0xa1, 0x8f},
		{0x43, 0x34}, {0x40, 0x00}, {0x40, 0x00},                             /* 18.2 Hz */
	};
	// clang-format on

	for (unsigned i = 0; i < ARRAY_SIZE(out); i++)
		board_pio_write(b, out[i].port, 1, out[i].val, now);
}
