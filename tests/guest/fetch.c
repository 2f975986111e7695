/*
 * fetch.c - runs code where there is none: from=hole, an address without RAM. No CPU can go on
 * from there, so the monitor must say what happened and stop.
 */
#include "lib/guest.h"

void main(void)
{
	say("jumping\n");
	((void (*)(void))0xd0000000)();
}
