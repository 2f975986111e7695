/*
 * bios.h - the one thing of a BIOS that bare-metal test guests rely on: a real-mode vector table
 * whose hardware interrupts are acknowledged.
 */
#pragma once
#include "../mem/ram.h"

#define IVT_SIZE 0x400ull

/* Writes vectors 0-255 at GPA_IVT and their handlers at GPA_BIOS_STUBS. 0, or -ENOSPC. */
int bios_build(const struct ram *ram);
