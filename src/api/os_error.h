/* os_error.h - an errno as Firecracker names it: by Rust, which it is written in, and musl, which
 * it is linked with. */
#pragma once

/* "No such file or directory (os error 2)"; `err` may be negative. The text is the thread's own,
 * until the next. */
const char *os_error(int err);
