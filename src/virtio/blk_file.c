/*
 * blk_file.c - opens what is to be a disk. The contents are not looked at: what they claim to be, a
 * guest may have written.
 */
#include "blk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../log.h"

static int open_failed(const char *path, bool readonly, int err)
{
	bool of_writing = err == EROFS || err == EACCES || err == EPERM || err == ETXTBSY;

	if (err == EISDIR)
		return log_fail(err,
				"disk %s is a directory: a disk is a raw image file or a "
				"block device",
				path);
	if (of_writing && !readonly)
		return log_fail(err,
				"disk %s cannot be opened for writing: %s (a disk that is "
				"only read is given as read-only)",
				path, strerror(err));
	return log_fail(err, "disk %s cannot be opened: %s", path, strerror(err));
}

static const char *kind(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR: return "a directory";
	case S_IFIFO: return "a FIFO";
	case S_IFCHR: return "a character device";
	default: return "no file";
	}
}

static int file_size(int fd, const char *path, const struct stat *st, uint64_t *size)
{
	*size = (uint64_t)st->st_size;
	if (S_ISREG(st->st_mode))
		return 0;
	if (!S_ISBLK(st->st_mode))
		return log_fail(EINVAL,
				"disk %s is %s: a disk is a raw image file or a block "
				"device",
				path, kind(st->st_mode));
	if (ioctl(fd, BLKGETSIZE64, size) < 0)
		return log_fail(errno, "disk %s does not tell its size: %s", path, strerror(errno));
	return 0;
}

/* As Firecracker's: what udev in a guest calls the disk stays the same. Cut, and so not unique. */
static void file_id(struct blk_file *f, const struct stat *st)
{
	char id[64] = "";

	snprintf(id, sizeof(id), "%" PRIu64 "%" PRIu64 "%" PRIu64, (uint64_t)st->st_dev,
		 (uint64_t)st->st_rdev, (uint64_t)st->st_ino);
	memcpy(f->id, id, BLK_ID_LEN);
	f->id[BLK_ID_LEN] = '\0';
}

static int file_look(struct blk_file *f, const char *path)
{
	struct stat st;
	uint64_t size;
	int err;

	if (fstat(f->fd, &st) < 0)
		return log_fail(errno, "disk %s: fstat: %s", path, strerror(errno));
	err = file_size(f->fd, path, &st, &size);
	if (err)
		return err;
	/* Not to wait was for open() alone: a ring would take it as wish for each request. */
	if (fcntl(f->fd, F_SETFL, 0) < 0)
		return log_fail(errno, "disk %s: fcntl: %s", path, strerror(errno));
	f->sectors = size / BLK_SECTOR;
	if (size % BLK_SECTOR)
		log_warn("disk %s is no multiple of %u bytes: the guest does not see its last %u",
			 path, BLK_SECTOR, (unsigned)(size % BLK_SECTOR));
	file_id(f, &st);
	return 0;
}

int blk_file_open(struct blk_file *f, const char *path, bool readonly)
{
	return blk_file_take(f, path, readonly, -1);
}

int blk_file_take(struct blk_file *f, const char *path, bool readonly, int fd)
{
	/* A FIFO would have it wait for a writer. */
	int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (readonly ? O_RDONLY : O_RDWR), err;

	*f = (struct blk_file){.reads_nowait = true, .writes_nowait = true};
	f->fd = fd > 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : open(path, flags);
	if (f->fd < 0)
		return open_failed(path, readonly, errno);
	err = file_look(f, path);
	if (err) {
		close(f->fd);
		f->fd = -1;
	}
	return err;
}
