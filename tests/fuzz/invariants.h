/* invariants.h - what holds between any two calls of the board. */
#pragma once
struct world;

void invariants_check(const struct world *w);
