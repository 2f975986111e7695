/*
 * board_lock.h - the board lock, and what is due under it. For board.c and board_loop.c alone.
 */
#pragma once
#include "board.h"

static inline void board_lock(struct board *b) ACQUIRE(b->lock) UNCHECKED
{
	pthread_mutex_lock(&b->lock.mutex);
}

static inline void board_unlock(struct board *b) RELEASE(b->lock) UNCHECKED
{
	pthread_mutex_unlock(&b->lock.mutex);
}

/* Chips whose deadline has passed are ticked: at every access, so that masked edges fold in. */
void board_sync(struct board *b, uint64_t now) REQUIRES(b->lock);
/* After any change: arms the timer if something is due earlier, or now if input has room again. */
void board_settle(struct board *b) REQUIRES(b->lock);
