/*
 * console.c - stdin and stdout as the serial line. A terminal or FIFO is opened anew, so that
 * O_NONBLOCK does not reach other processes through a shared description; a regular file is not:
 * its offset and O_APPEND matter, and it does not block.
 */
#include "console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "log.h"

#define CTRL_A     0x01
#define MEM_MAJOR  1 /* /dev/null is 1:3 and never blocks [Linux devices.txt] */
#define NULL_MINOR 3

/*
 * A descriptor for the same file that does not block; `fd` itself where that cannot be had, -1 for
 * a closed one. *watch: epoll may take it. *tty: perhaps a terminal.
 */
static int reopen(int fd, int flags, bool *watch, bool *tty)
{
	struct stat st;
	char path[32];
	int fresh;

	*watch = false;
	if (fstat(fd, &st) < 0)
		return -1;
	if (S_ISREG(st.st_mode) || st.st_rdev == makedev(MEM_MAJOR, NULL_MINOR))
		return fd;
	*watch = true;
	*tty = S_ISCHR(st.st_mode);
	if (!S_ISCHR(st.st_mode) && !S_ISFIFO(st.st_mode))
		return fd;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fresh = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fresh < 0 ? fd : fresh;
}

int console_open(struct console *c)
{
	bool in_tty = false;
	struct termios raw;

	c->in = reopen(STDIN_FILENO, O_RDONLY, &c->in_watch, &in_tty);
	c->out = reopen(STDOUT_FILENO, O_WRONLY, &c->out_watch, &c->out_tty);
	c->in_ready = c->out_ready = true;
	c->in_eof = c->in < 0;
	c->out_gone = c->out < 0;
	if (!in_tty || ioctl(STDIN_FILENO, TCGETS, &c->saved) < 0)
		return 0;
	c->in_tty = true;
	raw = c->saved;
	cfmakeraw(&raw);
	if (ioctl(STDIN_FILENO, TCSETS, &raw) < 0)
		return log_fail(errno, "the terminal cannot be set to raw mode: %s",
				strerror(errno));
	c->raw = true;
	return 0;
}

/* Not tcsetattr(): the C library's makes calls beside TCSETS that the policies do not know. */
void console_restore(struct console *c)
{
	if (c->raw)
		ioctl(STDIN_FILENO, TCSETS, &c->saved);
	c->raw = false;
}

void console_close(struct console *c)
{
	console_restore(c);
	if (c->in > STDERR_FILENO)
		close(c->in);
	if (c->out > STDERR_FILENO)
		close(c->out);
	*c = (struct console){.in = -1, .out = -1};
}

/*
 * Takes Ctrl-A sequences out of what was typed, from buf[n] on: x ends the run, Ctrl-A or a sends
 * one Ctrl-A.
 */
static enum console_key escapes(struct console *c, size_t n)
{
	for (size_t i = n; i < c->len; i++) {
		uint8_t ch = c->buf[i];

		if (!c->escape && ch == CTRL_A) {
			c->escape = true;
			continue;
		}
		if (c->escape && ch == 'x')
			return CONSOLE_QUIT;
		if (c->escape && ch == 'a')
			ch = CTRL_A;
		c->escape = false;
		c->buf[n++] = ch;
	}
	c->len = n;
	return CONSOLE_NONE;
}

static bool ready(int fd, short events, int ms)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, ms) > 0;
}

enum console_key console_fill(struct console *c)
{
	size_t had = c->len;
	ssize_t n;

	/* A terminal is read ahead: Ctrl-A x must work while the guest takes no input. */
	if (c->in_eof || !c->in_ready || (had && !c->in_tty) || had == sizeof(c->buf))
		return CONSOLE_NONE;
	/* Where it could not be opened anew it may block. */
	if (c->in == STDIN_FILENO && c->in_watch && !ready(c->in, POLLIN, 0)) {
		c->in_ready = false;
		return CONSOLE_NONE;
	}
	memmove(c->buf, c->buf + c->off, had);
	c->off = 0;
	do
		n = read(c->in, c->buf + had, sizeof(c->buf) - had);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		c->in_ready = false;
		return CONSOLE_NONE;
	}
	if (n <= 0) {
		c->in_eof = true; /* also EIO of a terminal that hung up */
		return CONSOLE_NONE;
	}
	c->len += (size_t)n;
	return c->in_tty ? escapes(c, had) : CONSOLE_NONE;
}

/* One write that does not block, whatever kind of file it is. */
static ssize_t put(const struct console *c, const uint8_t *p, size_t n)
{
	ssize_t done;

	if (c->out != STDOUT_FILENO || !c->out_watch)
		return write(c->out, p, n);
	done = send(c->out, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (done >= 0 || errno != ENOTSOCK)
		return done;
	if (!ready(c->out, POLLOUT, 0)) {
		errno = EAGAIN;
		return -1;
	}
	/* POSIX: PIPE_BUF bytes fit when a pipe is ready. A terminal promises no more than one. */
	return write(c->out, p, c->out_tty ? 1 : MIN(n, 512u));
}

size_t console_write(struct console *c, const uint8_t *p, size_t n)
{
	size_t done = 0;

	while (done < n && !c->out_gone && c->out_ready) {
		ssize_t put_now = put(c, p + done, n - done);

		if (put_now > 0)
			done += (size_t)put_now;
		else if (put_now < 0 && errno == EAGAIN)
			c->out_ready = false;
		else if (put_now == 0 || errno != EINTR)
			c->out_gone = true; /* EPIPE, ENOSPC, EIO: the guest goes on without */
	}
	if (c->out_gone) {
		c->dropped += n - done;
		done = n;
	}
	return done;
}

bool console_wait_out(struct console *c, int ms)
{
	if (c->out_gone)
		return false;
	c->out_ready = ready(c->out, POLLOUT, ms);
	return c->out_ready;
}
