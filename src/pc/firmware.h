/*
 * firmware.h - what a PC's firmware leaves in the chips, done by board_init(): there is none here.
 */
#pragma once
#include "board.h"

/* The memory sizes in the CMOS. */
void firmware_cmos(struct rtc *r, const struct board_conf *c);
/* What a BIOS leaves running, for guests that rely on one. Takes the board lock. */
void firmware_leftovers(struct board *b, uint64_t now);
