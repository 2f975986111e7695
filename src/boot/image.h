/*
 * image.h - a file to boot from. Only regular files and block devices are taken; the size is read
 * once, and every read is checked against it.
 */
#pragma once
#include "../util.h"

struct image {
	int fd;
	uint64_t size;    /* bytes, > 0 */
	const char *what; /* "kernel", "initrd": for messages */
	const char *path;
};

/* Opens `path` read-only. 0, or -errno with the cause logged (missing, directory, FIFO, empty). */
int image_open(struct image *img, const char *what, const char *path);
void image_close(struct image *img);

/*
 * Reads exactly [off, off + len) to `dst`. 0, or -errno with the cause logged: -ENOEXEC where the
 * file is shorter ("kernel X: truncated: ...").
 */
int image_read(const struct image *img, uint64_t off, void *dst, uint64_t len);
