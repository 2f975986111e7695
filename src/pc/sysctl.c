/*
 * sysctl.c - the single ports of the PIIX3 that control the system [PIIX3, Intel 290550]: NMI
 * status and control at 61h, fast A20 and INIT at 92h, reset control at CF9h. Modelled: gate and
 * output of counter 2, refresh toggle, the two resets. Not modelled: NMI sources (their enables are
 * kept and read back, their status is 0), the speaker's sound, a closed A20 (bit 1 of 92h reads 1
 * whatever was written), INIT of the CPU alone: a soft reset resets the machine, as there is no
 * firmware that could tell them apart. Board lock held by the caller.
 */
#include "sysctl.h"

#define NSC_GATE2   BIT(0) /* [PIIX3 NMI Status and Control Register] */
#define NSC_KEPT    MASK(3, 0)
#define NSC_REFRESH BIT(4)
#define NSC_OUT2    BIT(5)

#define REFRESH_NS 15085u /* 18 ticks of the 8254, what firmware programs counter 1 to */

#define PORT92_INIT BIT(0)
#define PORT92_A20  BIT(1)

#define RCR_HARD BIT(1) /* SRST [PIIX3 Reset Control Register] */
#define RCR_CPU  BIT(2) /* RCPU: resets when it goes from 0 to 1 */

void sysctl_init(struct sysctl *s, struct pit *pit, struct power_line power)
{
	*s = (struct sysctl){.port92 = PORT92_A20, .pit = pit, .power = power};
}

uint32_t sysctl_61_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	const struct sysctl *s = dev;
	uint32_t v = s->port61;

	/* Old BIOSes and DOS programs time themselves by this bit. */
	if (now / REFRESH_NS % 2)
		v |= NSC_REFRESH;
	if (pit_out2(s->pit, now))
		v |= NSC_OUT2;
	return v;
}

void sysctl_61_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	struct sysctl *s = dev;

	s->port61 = val & NSC_KEPT;
	pit_gate2(s->pit, val & NSC_GATE2, now);
}

uint32_t sysctl_92_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	return ((const struct sysctl *)dev)->port92;
}

void sysctl_92_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	struct sysctl *s = dev;
	bool rise = (val & PORT92_INIT) && !(s->port92 & PORT92_INIT);

	s->port92 = PORT92_A20 | (val & PORT92_INIT);
	if (rise)
		power_signal(&s->power, POWER_RESET);
}

/* RCPU never reads as 1, so that Linux's read-modify-write starts from a clear bit. */
uint32_t sysctl_rcr_read(void *dev, uint32_t off, unsigned size, uint64_t now)
{
	return ((const struct sysctl *)dev)->rcr & RCR_HARD;
}

void sysctl_rcr_write(void *dev, uint32_t off, unsigned size, uint32_t val, uint64_t now)
{
	struct sysctl *s = dev;
	bool rise = (val & RCR_CPU) && !(s->rcr & RCR_CPU);

	s->rcr = val & (RCR_HARD | RCR_CPU);
	if (rise)
		power_signal(&s->power, POWER_RESET);
}
