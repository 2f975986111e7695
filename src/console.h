/*
 * console.h - stdin and stdout as the machine's serial line: terminal, pipe, socket, file or
 * /dev/null. Nothing here ever blocks.
 */
#pragma once
#include <termios.h>

#include "virtio/limiter.h"

#define CONSOLE_CHUNK 4096u

struct console {
	int in, out;
	bool in_tty, raw;         /* stdin is a terminal; it is in raw mode now */
	bool in_eof, out_gone;    /* nothing more comes; nobody reads any more */
	bool in_ready, out_ready; /* the last call did not say "would block" */
	bool in_watch, out_watch; /* epoll takes it; otherwise it is always ready */
	bool out_tty;             /* stdout is a character device, perhaps a terminal */
	bool escape;              /* Ctrl-A was typed */
	struct termios saved;
	uint8_t buf[CONSOLE_CHUNK]; /* input that the UART has not taken yet */
	size_t off, len;
	uint64_t dropped;     /* bytes of output that nobody was left to read */
	struct limiter limit; /* of output; what is beyond it is dropped */
	uint64_t over_limit;  /* bytes */
};

/*
 * Takes stdin and stdout over; a terminal goes to raw mode, its old state kept. 0 or -errno,
 * logged.
 */
int console_open(struct console *c);
/* Gives the terminal back. Async-signal-safe; may be called twice. */
void console_restore(struct console *c);
/* Undoes console_open(), if it was called: the loop has to have let go of it. */
void console_close(struct console *c);

enum console_key { CONSOLE_NONE, CONSOLE_QUIT };

/*
 * Fills the buffer when it is empty; from a terminal, while there is room. CONSOLE_QUIT: Ctrl-A x
 * was typed.
 */
enum console_key console_fill(struct console *c);
/* Writes what can be written now; returns the bytes that are done with, written or dropped. */
size_t console_write(struct console *c, const uint8_t *p, size_t n);
/* Waits at most `ms` until output can go on; false if not. For the end of a run only. */
bool console_wait_out(struct console *c, int ms);
