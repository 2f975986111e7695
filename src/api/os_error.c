/* os_error.c - the errors of files, sockets and memory that glibc names otherwise than musl. */
#include "os_error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *words(int err)
{
	switch (err) {
	case EADDRINUSE: return "Address in use";
	case EBUSY: return "Resource busy";
	case EDQUOT: return "Quota exceeded";
	case EIO: return "I/O error";
	case ELOOP: return "Symbolic link loop";
	case EMFILE: return "No file descriptors available";
	case ENAMETOOLONG: return "Filename too long";
	case ENOMEM: return "Out of memory";
	case ENOTSUP: return "Not supported";
	case ENOTTY: return "Not a tty";
	case EXDEV: return "Cross-device link";
	default: return strerror(err);
	}
}

const char *os_error(int err)
{
	static _Thread_local char text[128];

	err = abs(err);
	snprintf(text, sizeof(text), "%s (os error %d)", words(err), err);
	return text;
}
