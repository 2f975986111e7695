/*
 * blk_file.h - the file behind a disk: a raw image or a block device, as it was when opened.
 */
#pragma once
#include "../util.h"

#define BLK_SECTOR 512u
#define BLK_ID_LEN 20u

struct blk_file {
	int fd; /* -1: none */
	uint64_t sectors;
	unsigned in_flight; /* requests that use it */
	/* Its file system knows reads, writes that do not wait. */
	bool reads_nowait, writes_nowait;
	char id[BLK_ID_LEN + 1];
};

/*
 * Opens `path`; a tail that is no whole sector is left out, with a warning. 0 or -errno, logged.
 */
int blk_file_open(struct blk_file *f, const char *path, bool readonly);
/* Likewise with `fd`, open already, which stays the caller's; 0 and below: opens `path`. */
int blk_file_take(struct blk_file *f, const char *path, bool readonly, int fd);
