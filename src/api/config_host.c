/* config_host.c - opens what requests name, on the host that we run on. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../boot/image.h"
#include "config.h"

static int host_disk(void *ctx, const char *path, bool readonly)
{
	struct blk_file f;
	int err = blk_file_open(&f, path, readonly);

	return err ? err : f.fd;
}

static int host_image(void *ctx, const char *what, const char *path)
{
	struct image img;
	int err = image_open(&img, what, path);

	return err ? err : img.fd;
}

static int host_vsock(void *ctx, const char *path)
{
	return vsock_bind(path);
}

static int host_tap(void *ctx, const char *name)
{
	struct tap t;
	int err = tap_open(&t, name, -1, 1);

	return err ? err : t.fd[0];
}

static void host_close(void *ctx, int fd)
{
	close(fd);
}

static void host_remove(void *ctx, const char *path)
{
	unlink(path);
}

/* In steps: what is no regular file does not tell its size. */
static char *read_all(int fd, size_t max, size_t *len)
{
	char *text = malloc(max + 1);
	ssize_t n = 1;

	for (*len = 0; text && n > 0 && *len<max; *len += n> 0 ? (size_t)n : 0)
		n = read(fd, text + *len, max - *len);
	if (text && n > 0 && read(fd, text + max, 1) > 0) {
		errno = EFBIG;
		n = -1;
	}
	if (text && n < 0) {
		free(text);
		return NULL;
	}
	if (text)
		text[*len] = '\0';
	return text;
}

static char *host_read(void *ctx, const char *path, size_t max, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), err;
	char *text;

	if (fd < 0)
		return NULL;
	text = read_all(fd, max, len);
	err = errno;
	close(fd);
	errno = err;
	return text;
}

const struct config_files config_host = {
	.disk = host_disk,
	.image = host_image,
	.vsock = host_vsock,
	.tap = host_tap,
	.close = host_close,
	.remove = host_remove,
	.read = host_read,
};
