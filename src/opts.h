/* opts.h - the command line. */
#pragma once
#include "machine.h"

/* Exit statuses; the man page and --help name them. Beyond: 128 + signal. */
enum status {
	STATUS_OK = 0,          /* power-off, reset, Ctrl-A x */
	STATUS_HOST = 1,        /* the host could not provide something */
	STATUS_USAGE = 2,       /* options, or a file that cannot be used */
	STATUS_CRASH = 3,       /* the guest crashed: triple fault */
	STATUS_UNSUPPORTED = 4, /* this host's KVM cannot run the guest */
};

enum command { COMMAND_RUN, COMMAND_HELP, COMMAND_VERSION };

struct opts {
	enum command command;
	struct machine_conf machine;
	const char *timeline; /* path, or NULL */
};

/* 0, or -EINVAL with one sentence logged. */
int opts_parse(struct opts *o, int argc, char **argv);
/* What --help prints; fits one screen. */
extern const char opts_help[];
