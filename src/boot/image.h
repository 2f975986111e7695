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
	const uint8_t *head; /* the file's first head_len bytes once image_head() has read them */
	uint64_t head_len;
};

/* Opens `path` read-only. 0, or -errno with the cause logged (missing, directory, FIFO, empty). */
int image_open(struct image *img, const char *what, const char *path);
/* Likewise with `fd`, open already, which stays the caller's; 0 and below: opens `path`. */
int image_take(struct image *img, const char *what, const char *path, int fd);
void image_close(struct image *img);

/*
 * Reads the first `len` bytes, or all of a shorter file, to `buf`, which must live as long as the
 * image: later reads that lie inside are copies. 0, or -errno with the cause logged.
 */
int image_head(struct image *img, void *buf, uint64_t len);

/* Has the file all of [off, off + len)? */
static inline bool image_holds(const struct image *img, uint64_t off, uint64_t len)
{
	return off <= img->size && len <= img->size - off;
}

/*
 * Reads exactly [off, off + len) to `dst`. 0, or -errno with the cause logged: -ENOEXEC where the
 * file is shorter ("kernel X: truncated: ...").
 */
int image_read(const struct image *img, uint64_t off, void *dst, uint64_t len);
