/*
 * dsdt.asl - what of the board a guest cannot find by itself. Small on purpose, since every guest
 * interprets it at start-up: the PIT and the 8259s, which are at fixed places and which Linux
 * excludes from its ACPI devices, and the processors, which the MADT has, are left out.
 *
 * The addresses repeat mem/layout.h, which iasl cannot read; tests/unit/boot/acpi_test.c compares.
 */
DefinitionBlock ("", "DSDT", 2, "MINNOW", "MICROVM", 1)
{
	Name (\_S5, Package () { 0, 0, 0, 0 }) // SLP_TYP 0 is soft off, as in the PIIX4

	Scope (\_SB)
	{
		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A03"))
			Name (_CRS, ResourceTemplate ()
			{
				WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
				    0, 0, 0, 0, 1)
				IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode,
				    EntireRange, 0, 0x0000, 0x0CF7, 0, 0x0CF8)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode,
				    EntireRange, 0, 0x0D00, 0xFFFF, 0, 0xF300)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
				    NonCacheable, ReadWrite,
				    0, 0xC1000000, 0xFEBFFFFF, 0, 0x3DC00000)
			})
			// INTA alone: no function of the board has another pin, and Linux walks
			// the whole list for every device. PIRQ (slot - 1) & 3: A, B 10; C, D 11.
			Name (_PRT, Package ()
			{
				Package () { 0x0001FFFF, 0, 0, 9 },
				Package () { 0x0002FFFF, 0, 0, 10 },
				Package () { 0x0003FFFF, 0, 0, 11 },
				Package () { 0x0004FFFF, 0, 0, 11 },
				Package () { 0x0005FFFF, 0, 0, 10 },
				Package () { 0x0006FFFF, 0, 0, 10 },
				Package () { 0x0007FFFF, 0, 0, 11 },
				Package () { 0x0008FFFF, 0, 0, 11 },
				Package () { 0x0009FFFF, 0, 0, 10 },
				Package () { 0x000AFFFF, 0, 0, 10 },
				Package () { 0x000BFFFF, 0, 0, 11 },
				Package () { 0x000CFFFF, 0, 0, 11 },
				Package () { 0x000DFFFF, 0, 0, 10 },
				Package () { 0x000EFFFF, 0, 0, 10 },
				Package () { 0x000FFFFF, 0, 0, 11 },
				Package () { 0x0010FFFF, 0, 0, 11 },
				Package () { 0x0011FFFF, 0, 0, 10 },
				Package () { 0x0012FFFF, 0, 0, 10 },
				Package () { 0x0013FFFF, 0, 0, 11 },
				Package () { 0x0014FFFF, 0, 0, 11 },
				Package () { 0x0015FFFF, 0, 0, 10 },
				Package () { 0x0016FFFF, 0, 0, 10 },
				Package () { 0x0017FFFF, 0, 0, 11 },
				Package () { 0x0018FFFF, 0, 0, 11 },
				Package () { 0x0019FFFF, 0, 0, 10 },
				Package () { 0x001AFFFF, 0, 0, 10 },
				Package () { 0x001BFFFF, 0, 0, 11 },
				Package () { 0x001CFFFF, 0, 0, 11 },
				Package () { 0x001DFFFF, 0, 0, 10 },
				Package () { 0x001EFFFF, 0, 0, 10 },
				Package () { 0x001FFFFF, 0, 0, 11 },
			})
		}

		Device (COM1)
		{
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, 1)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x03F8, 0x03F8, 1, 8)
				IRQNoFlags () { 4 }
			})
		}

		// Without it Linux looks for no 8042, and Ctrl-Alt-Del reaches no one.
		Device (KBD0)
		{
			Name (_HID, EisaId ("PNP0303"))
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x0060, 0x0060, 1, 1)
				IO (Decode16, 0x0064, 0x0064, 1, 1)
				IRQNoFlags () { 1 }
			})
		}

		Device (RTC0)
		{
			Name (_HID, EisaId ("PNP0B00"))
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x0070, 0x0070, 1, 2)
				IRQNoFlags () { 8 }
			})
		}

		// What decodes but belongs to no device above: PM registers, ELCR, boot timer and
		// virtio-mmio windows. The APICs are in the MADT.
		Device (MBRD)
		{
			Name (_HID, EisaId ("PNP0C02"))
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x0600, 0x0600, 1, 0x40)
				IO (Decode16, 0x04D0, 0x04D0, 1, 2)
				Memory32Fixed (ReadWrite, 0xC0000000, 0x00100000)
			})
		}
	}

	// One bit a window, written by acpi_windows().
	OperationRegion (\VREG, SystemMemory, 0x000E0024, 4)
	Field (\VREG, DWordAcc, NoLock, Preserve) { VWIN, 32 }
	Method (\VSTA, 1)
	{
		Return (((VWIN >> Arg0) & 1) * 0x0F)
	}

	// The windows must stay last, in order, each in a term of its own: acpi.c cuts the table
	// off behind the last one in use. iasl's #define takes no arguments, hence the stray ends.
#define ID Name (_HID, "LNRO0005") Name (_UID,
#define CRS Name (_CRS, ResourceTemplate () { Memory32Fixed (ReadWrite,
#define EDGE 0x1000) Interrupt (ResourceConsumer, Edge, ActiveHigh, Shared)
#define STA Method (_STA)

	Device (_SB.VM00) { ID 0) CRS 0xC0001000, EDGE {5} }) STA { Return (VSTA (0)) } }
	Device (_SB.VM01) { ID 1) CRS 0xC0002000, EDGE {6} }) STA { Return (VSTA (1)) } }
	Device (_SB.VM02) { ID 2) CRS 0xC0003000, EDGE {7} }) STA { Return (VSTA (2)) } }
	Device (_SB.VM03) { ID 3) CRS 0xC0004000, EDGE {12} }) STA { Return (VSTA (3)) } }
	Device (_SB.VM04) { ID 4) CRS 0xC0005000, EDGE {14} }) STA { Return (VSTA (4)) } }
	Device (_SB.VM05) { ID 5) CRS 0xC0006000, EDGE {15} }) STA { Return (VSTA (5)) } }
	Device (_SB.VM06) { ID 6) CRS 0xC0007000, EDGE {16} }) STA { Return (VSTA (6)) } }
	Device (_SB.VM07) { ID 7) CRS 0xC0008000, EDGE {17} }) STA { Return (VSTA (7)) } }
	Device (_SB.VM08) { ID 8) CRS 0xC0009000, EDGE {18} }) STA { Return (VSTA (8)) } }
	Device (_SB.VM09) { ID 9) CRS 0xC000A000, EDGE {19} }) STA { Return (VSTA (9)) } }
	Device (_SB.VM10) { ID 10) CRS 0xC000B000, EDGE {20} }) STA { Return (VSTA (10)) } }
	Device (_SB.VM11) { ID 11) CRS 0xC000C000, EDGE {21} }) STA { Return (VSTA (11)) } }
	Device (_SB.VM12) { ID 12) CRS 0xC000D000, EDGE {22} }) STA { Return (VSTA (12)) } }
	Device (_SB.VM13) { ID 13) CRS 0xC000E000, EDGE {23} }) STA { Return (VSTA (13)) } }
	Device (_SB.VM14) { ID 14) CRS 0xC000F000, EDGE {5} }) STA { Return (VSTA (14)) } }
	Device (_SB.VM15) { ID 15) CRS 0xC0010000, EDGE {6} }) STA { Return (VSTA (15)) } }
	Device (_SB.VM16) { ID 16) CRS 0xC0011000, EDGE {7} }) STA { Return (VSTA (16)) } }
	Device (_SB.VM17) { ID 17) CRS 0xC0012000, EDGE {12} }) STA { Return (VSTA (17)) } }
	Device (_SB.VM18) { ID 18) CRS 0xC0013000, EDGE {14} }) STA { Return (VSTA (18)) } }
	Device (_SB.VM19) { ID 19) CRS 0xC0014000, EDGE {15} }) STA { Return (VSTA (19)) } }
	Device (_SB.VM20) { ID 20) CRS 0xC0015000, EDGE {16} }) STA { Return (VSTA (20)) } }
	Device (_SB.VM21) { ID 21) CRS 0xC0016000, EDGE {17} }) STA { Return (VSTA (21)) } }
	Device (_SB.VM22) { ID 22) CRS 0xC0017000, EDGE {18} }) STA { Return (VSTA (22)) } }
	Device (_SB.VM23) { ID 23) CRS 0xC0018000, EDGE {19} }) STA { Return (VSTA (23)) } }
	Device (_SB.VM24) { ID 24) CRS 0xC0019000, EDGE {20} }) STA { Return (VSTA (24)) } }
	Device (_SB.VM25) { ID 25) CRS 0xC001A000, EDGE {21} }) STA { Return (VSTA (25)) } }
	Device (_SB.VM26) { ID 26) CRS 0xC001B000, EDGE {22} }) STA { Return (VSTA (26)) } }
	Device (_SB.VM27) { ID 27) CRS 0xC001C000, EDGE {23} }) STA { Return (VSTA (27)) } }
	Device (_SB.VM28) { ID 28) CRS 0xC001D000, EDGE {5} }) STA { Return (VSTA (28)) } }
	Device (_SB.VM29) { ID 29) CRS 0xC001E000, EDGE {6} }) STA { Return (VSTA (29)) } }
	Device (_SB.VM30) { ID 30) CRS 0xC001F000, EDGE {7} }) STA { Return (VSTA (30)) } }
	Device (_SB.VM31) { ID 31) CRS 0xC0020000, EDGE {12} }) STA { Return (VSTA (31)) } }
}
