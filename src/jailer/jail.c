/*
 * jail.c - the folder that becomes a root: a copy of the program, the mounts, folders and devices
 * [src/jailer/src/env.rs, chroot.rs].
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../api/os_error.h"
#include "jailer.h"

/*
 * All of `from`. A copy, not a link: processes are to share no memory. Where the file system can
 * share the blocks alone, it does.
 */
static int copy(int from, int to, off_t size)
{
	bool range = true; /* until it turns out that these two file systems cannot */
	off_t done = 0;

	while (done < size) {
		size_t left = (size_t)(size - done);
		ssize_t n = range ? copy_file_range(from, NULL, to, NULL, left, 0)
				  : sendfile(to, from, NULL, left);

		if (n <= 0 && !range)
			return n < 0 ? -1 : 0;
		range = range && n > 0;
		done += MAX(n, 0);
	}
	return 0;
}

static int copy_to(const struct jail *j, int from, const char *path, const struct stat *st)
{
	/*
	 * No link is followed, and none overwritten: it would be somebody else's file. Nor does a
	 * FIFO without a reader keep us.
	 */
	const int flags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int fd = open(path, flags, st->st_mode & 07777), err;
	struct stat was;

	if (fd < 0)
		return fail_os(errno, "Failed to open %s", path);
	if (fstat(fd, &was))
		err = fail_os(errno, "Cannot get metadata for a file: %s", path);
	else if (!S_ISREG(was.st_mode))
		err = fail("%s is not a file", path);
	else if (was.st_nlink > 1)
		err = fail("Detected hard link at: %s", path);
	else if (fchown(fd, j->uid, j->gid))
		err = fail_os(errno, "Failed to change owner for %s", path);
	else if (copy(from, fd, st->st_size) ||
		 (was.st_size > st->st_size && ftruncate(fd, st->st_size)))
		err = fail_os(errno, "Failed to copy %s to %s", j->exec, path);
	else
		err = 0;
	close(fd);
	return err;
}

int jail_copy_exec(const struct jail *j)
{
	int fd = open(j->exec, O_RDONLY | O_CLOEXEC), err;
	char path[PATH_MAX];
	struct stat st;

	if (fd < 0)
		return fail_os(errno, "Failed to open %s", j->exec);
	join(path, j->root, j->exec_name);
	if (fstat(fd, &st))
		err = fail_os(errno, "Cannot get metadata for a file: %s", j->exec);
	else
		err = copy_to(j, fd, path, &st);
	close(fd);
	return err;
}

/*
 * The folder becomes the root of a mount namespace of its own. pivot_root(2) may be given one
 * folder as both the new root and the place of the old, which then lies on top: no folder is made
 * for it. The mounts stay slaves of the host's: what is mounted in the folder later is seen inside.
 */
int jail_enter(const struct jail *j)
{
	if (unshare(CLONE_NEWNS))
		return fail_os(errno, "Failed to unshare into new mount namespace");
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL))
		return fail_os(errno, "Failed to change the propagation type to slave");
	if (mount(j->root, j->root, NULL, MS_BIND | MS_REC, NULL))
		return fail_os(errno, "Failed to bind mount the jail root directory");
	if (chdir(j->root))
		return fail_os(errno, "Failed to change current directory");
	if (syscall(SYS_pivot_root, ".", "."))
		return fail_os(errno, "Failed to pivot root");
	if (umount2(".", MNT_DETACH))
		return fail_os(errno, "Failed to unmount the old jail root");
	if (chdir("/"))
		return fail_os(errno, "Failed to chdir into chroot directory");
	return 0;
}

/* It may have been there: who had the jail before may have left a link, to anything in it. */
static int make_folder(const struct jail *j, const char *path)
{
	int fd, err = 0;

	if (mkdir(path, 0700) && errno != EEXIST)
		return fail_os(errno, "Failed to create directory %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail_os(errno, "Failed to open directory %s", path);
	if (fchmod(fd, 0700)) /* the umask took something, or it was there */
		err = fail_os(errno, "Failed to change permissions on %s", path);
	else if (fchown(fd, j->uid, j->gid))
		err = fail_os(errno, "Failed to change owner for %s", path);
	close(fd);
	return err;
}

/* A device node of the jail's user. 0; the error; -1: made, but not to be given away. */
static int make_device(const struct jail *j, const char *path, unsigned major, unsigned minor)
{
	if (mknod(path, S_IFCHR | S_IRUSR | S_IWUSR, makedev(major, minor)))
		return errno;
	return lchown(path, j->uid, j->gid) ? -1 : 0;
}

int jail_populate(const struct jail *j)
{
	static const char *const folder[] = {"/", "/dev", "/dev/net", "/run"};
	/* [Linux, admin-guide/devices.txt] */
	const struct {
		const char *path;
		unsigned major;
		int minor;
		bool spare; /* one can do without */
	} device[] = {
		{"/dev/net/tun",     10, 200,           false},
		{"/dev/kvm",         10, 232,           false},
		{"/dev/urandom",     1,  9,             true },
		{"/dev/userfaultfd", 10, j->uffd_minor, false},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(folder); i++)
		if (make_folder(j, folder[i]))
			return -1;
	for (unsigned i = 0; i < ARRAY_SIZE(device); i++) {
		const char *path = device[i].path;
		int err = device[i].minor < 0 ? 0
					      : make_device(j, path, device[i].major,
							    (unsigned)device[i].minor);

		if (device[i].spare && err)
			dprintf(STDOUT_FILENO,
				"Warning! Could not create %s device inside jailer: %s.\n"
				"MMDS version 2 will not be available to use.\n",
				path, os_error(err > 0 ? err : errno));
		else if (err > 0)
			return fail_os(err, "Failed to create %s via mknod inside the jail", path);
		else if (err)
			return fail_os(errno, "Failed to change owner for %s", path);
	}
	return 0;
}
