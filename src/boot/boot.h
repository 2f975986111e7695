/*
 * boot.h - from image files to a guest that can be entered: kernel, initrd, command line and the
 * tables that a PC's firmware would have left.
 */
#pragma once
#include "../mem/ram.h"

/* Which door of the kernel to use. AUTO: bzImage 64-bit, ELF by its PVH note, else 64-bit. */
enum boot_entry_choice { BOOT_AUTO, BOOT_LINUX64, BOOT_PVH };

struct boot_conf {
	const char *kernel, *initrd; /* paths; initrd may be NULL. A multiboot image's module */
	int kernel_fd, initrd_fd;    /* if above 0: open already; the paths then are their names */
	const char *cmdline;         /* never NULL */
	unsigned cpus;               /* 1..MAX_CPUS */
	enum boot_entry_choice entry;
	bool rng_seed; /* put a seed in setup_data; off for runs that must repeat */
	bool bios;     /* leave real-mode interrupt vectors, as kvm-unit-tests' guests expect */
};

enum boot_mode { BOOT_MODE_PROT32, BOOT_MODE_LONG64 };

/* The first vCPU's state at entry; kvm/vcpu.c turns it into registers. */
struct boot_entry {
	enum boot_mode mode;
	uint64_t rip, rsi, rax, rbx;
	bool kernel64; /* a 64-bit operating system's kernel, by the Linux or PVH protocol */
};

/*
 * Loads everything into `ram` and fills `entry`. 0, or -errno with the cause logged: -EINVAL,
 * -E2BIG, -ENOENT, ... when a file or option cannot be used as it is. Writes nothing outside RAM.
 */
int boot_load(const struct boot_conf *c, const struct ram *ram, struct boot_entry *entry);
