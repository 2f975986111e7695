/*
 * args.h - a command line by Firecracker's rules, which its jailer has as well: `--name value` and
 * nothing else, every name once unless it may be repeated, a value never starts with "--", what
 * follows a "--" of its own is somebody else's.
 */
#pragma once
#include "../util.h"

struct arg {
	const char *name; /* without "--" */
	const char *help;
	const char *def; /* the value when none is given, or NULL */
	const char *requires, *forbids;
	bool value, many, required; /* takes a value; may be repeated; must be given */
};

#define ARGS_MAX 32

struct args {
	const struct arg
		*table; /* sorted by name: the order of --help, and of what is checked first */
	unsigned n;
	char **argv;
	int end;            /* argv[1] to argv[end - 1] are ours */
	char **extra;       /* what follows "--", and its NULL */
	bool help, version; /* asked for: nothing else is looked at */
	const char
		*val[ARGS_MAX]; /* by place in the table; the name itself for one without value */
};

/* 0, or -EINVAL with the sentence in `why`. `n` is at most ARGS_MAX. */
int args_parse(struct args *a, const struct arg *table, unsigned n, int argc, char **argv,
	       char *why, size_t len);
/* The values of one that may be repeated, one a call; *pos starts as 0. NULL: no more. */
const char *args_next(const struct args *a, unsigned arg, int *pos);
/* The text of --help, cut at `size` with its NUL; returns its whole length. */
size_t args_help(const struct arg *table, unsigned n, char *buf, size_t size);

/* What Rust's parse() takes for an unsigned number: digits, maybe a '+' before. */
bool args_number(const char *s, uint64_t max, uint64_t *val);
/* The sentence about an id that is not 1 to 64 letters, digits and '-', in `why`; 0 or -EINVAL. */
int args_id(const char *id, char *why, size_t len);
