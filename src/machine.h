/*
 * machine.h - what a machine is to be, whoever asks for it: the command line, a configuration file
 * or the API.
 */
#pragma once
#include "boot/boot.h"
#include "devconf.h"

struct cpu_template; /* kvm/template.h */

struct machine_conf {
	struct boot_conf boot;
	uint64_t mem; /* bytes */
	enum ram_pages pages;
	const char *cpu_flags;                /* features added and taken; may be NULL */
	const struct cpu_template *cpu_model; /* what a template changes; may be NULL */
	bool trace, test_device;
	struct devices_conf devices;
};
