/*
 * image.c - opening and reading what is booted. Files are read, not mapped: one that is changed or
 * truncated later then concerns no running guest.
 */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../log.h"

/* The size of a file of a kind that can be read at offsets; 0 with the cause logged otherwise. */
static uint64_t image_size(const struct image *img)
{
	struct stat st;
	off_t end = 0;

	if (fstat(img->fd, &st) < 0) {
		log_err("%s %s: cannot be examined: %s", img->what, img->path, strerror(errno));
		return 0;
	}
	if (S_ISREG(st.st_mode))
		end = st.st_size;
	else if (S_ISBLK(st.st_mode))
		end = lseek(img->fd, 0, SEEK_END);
	else {
		log_err("%s %s: is a %s; a regular file or block device is needed", img->what,
			img->path,
			S_ISDIR(st.st_mode)    ? "directory"
			: S_ISFIFO(st.st_mode) ? "FIFO"
					       : "special file");
		return 0;
	}
	if (end <= 0)
		log_err("%s %s: is empty", img->what, img->path);
	return end > 0 ? (uint64_t)end : 0;
}

int image_open(struct image *img, const char *what, const char *path)
{
	return image_take(img, what, path, -1);
}

int image_take(struct image *img, const char *what, const char *path, int fd)
{
	*img = (struct image){.fd = -1, .what = what, .path = path};
	/* O_NONBLOCK: opening a FIFO that nobody writes must not hang; files do not know it. */
	img->fd = fd > 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3)
			 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (img->fd < 0) {
		int err = errno;

		return log_fail(err, "could not open %s '%s': %s", what, path, strerror(err));
	}
	img->size = image_size(img);
	if (!img->size) {
		image_close(img);
		return -EINVAL;
	}
	return 0;
}

void image_close(struct image *img)
{
	if (img->fd >= 0)
		close(img->fd);
	img->fd = -1;
}

int image_head(struct image *img, void *buf, uint64_t len)
{
	int err;

	len = MIN(len, img->size);
	err = image_read(img, 0, buf, len);
	if (err)
		return err;
	img->head = buf;
	img->head_len = len;
	return 0;
}

int image_read(const struct image *img, uint64_t off, void *dst, uint64_t len)
{
	uint8_t *to = dst;

	if (!image_holds(img, off, len))
		return log_fail(ENOEXEC,
				"%s %s: truncated: it ends at byte %" PRIu64 ", and %" PRIu64
				" bytes are needed from %" PRIu64 " on; fetch it again",
				img->what, img->path, img->size, len, off);
	if (off + len <= img->head_len) {
		memcpy(dst, img->head + off, len);
		return 0;
	}
	while (len) {
		ssize_t n = pread(img->fd, to, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int err = errno;

			return log_fail(err, "%s %s: reading at byte %" PRIu64 " failed: %s",
					img->what, img->path, off, strerror(err));
		}
		if (n == 0)
			return log_fail(ENOEXEC,
					"%s %s: truncated while it was read, at byte %" PRIu64,
					img->what, img->path, off);
		to += n;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}
