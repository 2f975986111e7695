/*
 * machine.h - one machine, by value: what it is to be, and the steps from there to a guest that
 * runs. The command line, a configuration file and the API all go through here. Loop's thread.
 */
#pragma once
#include "boot/boot.h"
#include "devices.h"
#include "timeline.h"

struct cpu_template; /* kvm/template.h */

struct machine_conf {
	struct boot_conf boot;
	uint64_t mem; /* bytes */
	enum ram_pages pages;
	const char *cpu_flags;                /* features added and taken; may be NULL */
	const struct cpu_template *cpu_model; /* what a template changes; may be NULL */
	bool trace, test_device;
	bool root_default; /* no command line was given: a disk is what to boot from */
	struct devices_conf devices;
};

struct machine {
	const struct machine_conf *conf;
	struct loop *loop;
	struct timeline *timeline;
	struct vm vm;
	struct ram ram;
	struct board board;
	struct board_host host;
	struct boot_entry entry;
	struct devices devices;
	/* Told of the guest's writes to the boot-timer page, beside the timeline; NULL: nobody. */
	void (*mark)(void *ctx, uint8_t val, uint64_t now);
	char cmdline[CMDLINE_MAX]; /* the user's and what the devices add */
	uint8_t test_mmio[TEST_MMIO_SIZE];
};

/*
 * The steps, in their order; `m` is zero before the first. Each: 0 or -errno, logged, and then
 * machine_destroy() takes away what there is. Open files, memory and threads only: nothing of the
 * process is given up.
 */
/* VM, RAM and vCPUs, while the process has few mappings. `c` must stay. */
int machine_create(struct machine *m, const struct machine_conf *c, struct timeline *t);
/* Kernel, initrd and tables in RAM; the board; the first vCPU's registers. */
int machine_load(struct machine *m, struct loop *loop);
/* The virtio devices. After loop_init(). */
int machine_plug(struct machine *m);
/* Then lock-down, with vm_start_threads() and devices_start() in it, and vm_resume(). */

/* What the file system got from it goes away; the run is over. */
void machine_finish(struct machine *m);
/* A machine whose vCPU threads were never made: afterwards all is zero again. */
void machine_destroy(struct machine *m);

/* --- while it runs --- */

/* No vCPU runs and no queue is processed until machine_resume(). Both may be repeated. */
void machine_pause(struct machine *m);
void machine_resume(struct machine *m);
