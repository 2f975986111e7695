#!/usr/bin/env python3
# Very many of peer.py's streams at the same time, from one thread: the guest runs this file, the host's
# tests import it. Each end speaks with either end of peer.py, too.
#
#   crowd.py serve vsock:PORT                               answers streams until it is killed
#   crowd.py run vsock:CID:PORT|unix:PATH[:PORT] N BYTES    N streams, each way BYTES
#
# No client says a word before all are connected, and none closes before all are whole: so all are there
# at once. They are connected WINDOW at a time, since neither end waits long for the other's answer.
import errno
import hashlib
import os
import selectors
import socket
import sys
import time

from peer import CHUNK, data, digest, listen

WINDOW, BACKLOG, SECONDS = 64, 1024, 500
READ, WRITE, ALL = selectors.EVENT_READ, selectors.EVENT_WRITE, 0

# A stream is a generator: it yields what it waits for, READ or WRITE or both, or ALL for the moment at
# which every stream waits for that, and is resumed with what there is.


def flow(sock, out, size, shut=False):
    """Sends `out` while `size` bytes come, or all until the end when it is None; those bytes."""
    got, open_ = [], True
    while out or open_ and size != 0:
        ready = yield (WRITE if out else 0) | (READ if open_ and size != 0 else 0)
        try:
            if ready & WRITE:
                out = out[sock.send(out):]
                if shut and not out:
                    sock.shutdown(socket.SHUT_WR)
            if ready & READ:
                piece = sock.recv(CHUNK if size is None else min(CHUNK, size))
                got.append(piece)
                open_ = bool(piece)
                if size is not None:
                    size -= len(piece)
        except BlockingIOError:
            pass
    return b"".join(got)


def line(sock):
    text = b""
    while not text.endswith(b"\n"):
        byte = yield from flow(sock, b"", 1)
        if not byte:
            raise OSError(f"the other side ended after {text!r}")
        text += byte
    return text.decode().strip()


def client(sock, hello, seed, size):
    yield WRITE  # connected
    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))
    if hello:
        yield from flow(sock, hello, 0)
        said = yield from line(sock)
        if not said.startswith("OK "):
            raise OSError(f"{hello!r} was answered by {said!r}")
    yield ALL
    up = f"{seed} {size} {size}\n".encode() + b"".join(data(seed, size))
    got = yield from flow(sock, up, size, shut=True)
    if (len(got), hashlib.sha256(got).hexdigest()) != (size, digest(seed + 1, size)):
        raise OSError(f"{len(got)} of {size} bytes came, and they differ")
    theirs = yield from line(sock)
    if theirs != digest(seed, size):
        raise OSError(f"the other side got other bytes than were sent: {theirs}")
    yield ALL
    if (yield from flow(sock, b"", 1)):
        raise OSError("something came after the end")


def server(sock):
    seed, _, down = (int(word) for word in (yield from line(sock)).split())
    got = yield from flow(sock, b"".join(data(seed + 1, down)), None)
    yield from flow(sock, hashlib.sha256(got).hexdigest().encode() + b"\n", 0, shut=True)


class Crowd:
    """Streams, and the sockets that they wait for."""

    def __init__(self):
        self.watched = selectors.DefaultSelector()
        self.waiting = {}  # socket: stream, of those that wait for ALL
        self.live = self.most = 0
        self.wrong = []

    def add(self, sock, stream):
        sock.setblocking(False)
        self.live += 1
        self.most = max(self.most, self.live)
        self.watched.register(sock, WRITE, stream)
        self.step(sock, stream, None)

    def step(self, sock, stream, ready):
        try:
            events = stream.send(ready)
        except (OSError, ValueError) as error:
            self.wrong.append(str(error) or type(error).__name__)
            events = None
        except StopIteration:
            events = None
        if events:
            self.watched.modify(sock, events, stream)
            return
        self.watched.unregister(sock)
        if events == ALL:
            self.waiting[sock] = stream
        else:
            self.live -= 1
            sock.close()

    def turn(self, seconds):
        for key, events in self.watched.select(seconds):
            if key.data:
                self.step(key.fileobj, key.data, events)

    def resume(self):
        ready, self.waiting = self.waiting, {}
        for sock, stream in ready.items():
            self.watched.register(sock, WRITE, stream)
            self.step(sock, stream, ALL)


def connect(where):
    """A socket that is connecting, and what is to be said to it first."""
    kind, *place = where.split(":")
    if kind == "vsock":
        sock = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.connect_ex((int(place[0]), int(place[1])))
        return sock, b""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(place[0])  # which waits for room in the backlog alone
    return sock, f"CONNECT {place[1]}\n".encode() if len(place) > 1 else b""


def many(where, count, size):
    """`count` streams, all there at once; a list of what went wrong."""
    crowd, opened, end = Crowd(), 0, time.monotonic() + SECONDS
    while opened < count or crowd.live:
        while opened < count and opened - len(crowd.waiting) < WINDOW and not crowd.wrong:
            sock, hello = connect(where)
            crowd.add(sock, client(sock, hello, 1000 + opened, size))
            opened += 1
        if crowd.wrong or time.monotonic() > end:
            return crowd.wrong or [f"{crowd.live} of {count} streams did not end"]
        if len(crowd.waiting) == count:
            crowd.resume()
        crowd.turn(1)
    return crowd.wrong or ([] if crowd.most == count else [f"{crowd.most} were there at once"])


def serve(listener):
    """Until the listener is closed."""
    listener.listen(BACKLOG)  # whoever made it had fewer clients in mind
    listener.setblocking(False)
    crowd, told = Crowd(), 0
    crowd.watched.register(listener, READ, None)
    while True:
        crowd.turn(0.5)
        for error in crowd.wrong[told:]:
            print(f"crowd: {error}", flush=True)
        told = len(crowd.wrong)
        try:
            while True:
                sock, _ = listener.accept()
                crowd.add(sock, server(sock))
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EBADF):
                print(f"crowd: {error}", flush=True)
            return


def main(command, where, *words):
    if command == "serve":
        listener = listen(where)
        print("crowd: serving", flush=True)
        serve(listener)
        return 0
    count, size = (int(word) for word in words)
    wrong = many(where, count, size)
    print("\n".join(wrong[:5]) or f"crowd: {count} streams of {size} bytes")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
