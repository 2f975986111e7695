/*
 * nss.c - two functions of libc that libcap-ng names in capng_change_id(), which nobody here calls.
 * libc's own bring its name services along, with a resolver and a dynamic loader: 96 KiB of a
 * static binary. These fail, as on a host without users and groups.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>

struct passwd *getpwuid(uid_t uid)
{
	errno = ENOENT;
	return NULL;
}

int initgroups(const char *user, gid_t group)
{
	errno = ENOENT;
	return -1;
}
