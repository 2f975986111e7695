/*
 * disk.h - what tests of disks share: a loop that waits for the engine alone, and files to lose.
 * Included by one file of a program.
 */
#pragma once
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../src/virtio/blk_io.h"

#define DISK_PATIENCE_MS 20000

static struct watch *disk_watched[2];
static unsigned disk_watches;
static int disk_watch_err; /* what the loop says to a new descriptor */

static int disk_add(void *ctx, struct watch *w)
{
	if (disk_watch_err)
		return disk_watch_err;
	if (disk_watches == 2)
		abort();
	disk_watched[disk_watches++] = w;
	return 0;
}

static void disk_del(void *ctx, struct watch *w)
{
	if (w != disk_watched[0] && w != disk_watched[1])
		abort();
	w->fd = -1;
	disk_watches--;
	if (w == disk_watched[0])
		disk_watched[0] = disk_watched[1];
	disk_watched[1] = NULL;
}

static const struct watcher disk_watcher = {.add = disk_add, .del = disk_del};

/* Waits until the engine has something, and has it look; false: it had nothing in all that time. */
static inline bool disk_turn_within(struct blk_io *io, int ms)
{
	struct pollfd p[2] = {
		{.fd = io->ring_watch.fd,   .events = POLLIN},
		{.fd = io->worker_watch.fd, .events = POLLIN}
        };
	uint64_t count;
	int n;

	do
		n = poll(p, 2, ms);
	while (n < 0 && errno == EINTR);
	/* The loop is edge-triggered; poll() is not. */
	if (p[1].revents && read(io->worker_watch.fd, &count, sizeof(count)) < 0)
		abort();
	if (p[0].revents)
		io->ring_watch.ready(&io->ring_watch, WATCH_IN);
	if (p[1].revents)
		io->worker_watch.ready(&io->worker_watch, WATCH_IN);
	return n > 0;
}

static inline void disk_turn(struct blk_io *io)
{
	if (!disk_turn_within(io, DISK_PATIENCE_MS)) {
		fprintf(stderr, "the engine does not answer\n");
		abort();
	}
}

/*
 * A file without a name: in memory, or in the file system of the working directory, which knows
 * more operations.
 */
static inline int disk_file(bool in_memory, uint64_t size)
{
	char path[] = "minnow-disk-XXXXXX";
	int fd = in_memory ? memfd_create("disk", MFD_CLOEXEC) : mkstemp(path);

	if (fd < 0 || (!in_memory && unlink(path) < 0) || ftruncate(fd, (off_t)size) < 0)
		abort();
	return fd;
}
