/*
 * fc.h - the monitor in Firecracker's place: the whole process, from a Firecracker's command line
 * to its exit code.
 */
#pragma once
#include <stdbool.h>

/* Was it started as one: under the name firecracker, or with --api-sock or --config-file? */
bool fc_wanted(int argc, char **argv);
/* Returns the exit status. */
int fc_main(int argc, char **argv);
