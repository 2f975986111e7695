/* os_error.h - what an errno means, in the words of musl, which Firecracker is linked with. */
#pragma once

const char *os_error(int err);
