#!/usr/bin/env python3
# Streams with checksums over any kind of socket, for either end: the guest runs this file, the host's
# tests import it.
#
#   peer.py serve vsock:PORT|tcp:PORT ...        answers streams until it is killed
#   peer.py run vsock:CID:PORT|tcp:HOST:PORT N BYTES   N streams at once, each way BYTES
#
# A client says "SEED UP DOWN\n", sends UP bytes that SEED determines and shuts its side. The server
# sends DOWN bytes meanwhile, and after the client's end the sha256 of what came: so every stream is
# both ways at once and ends in a half-close.
import hashlib
import random
import socket
import sys
import threading
import time

CHUNK = 65536


def data(seed, size):
    """Pieces of `size` bytes in all, the same for the same seed."""
    source = random.Random(seed)
    while size:
        piece = source.randbytes(min(CHUNK, size))
        yield piece
        size -= len(piece)


def digest(seed, size):
    total = hashlib.sha256()
    for piece in data(seed, size):
        total.update(piece)
    return total.hexdigest()


def send(sock, seed, size):
    for piece in data(seed, size):
        sock.sendall(piece)


def receive(sock, size):
    """`size` bytes, or all until the end when it is None: (count, sha256)."""
    total, count = hashlib.sha256(), 0
    while size is None or count < size:
        piece = sock.recv(CHUNK if size is None else min(CHUNK, size - count))
        if not piece:
            break
        total.update(piece)
        count += len(piece)
    return count, total.hexdigest()


def line(sock):
    text = b""
    while not text.endswith(b"\n"):
        byte = sock.recv(1)
        if not byte:
            raise OSError(f"the other side ended after {text!r}")
        text += byte
    return text.decode().strip()


class Sending(threading.Thread):
    """Sends while its maker receives; join() raises what went wrong."""

    def __init__(self, sock, seed, size, then=None):
        super().__init__(daemon=True)
        self.work, self.then, self.error = (sock, seed, size), then, None
        self.start()

    def run(self):
        try:
            send(*self.work)
            if self.then:
                self.then()
        except OSError as error:
            self.error = error

    def join(self, timeout=None):
        super().join(timeout)
        if self.is_alive():
            raise OSError("could not send everything in time")
        if self.error:
            raise self.error


def client(sock, seed, up, down):
    """One stream; raises if anything is lost or changed."""
    with sock:
        sock.sendall(f"{seed} {up} {down}\n".encode())
        sending = Sending(sock, seed, up, lambda: sock.shutdown(socket.SHUT_WR))
        count, got = receive(sock, down)
        if (count, got) != (down, digest(seed + 1, down)):
            raise OSError(f"{count} of {down} bytes came, and they differ")
        sending.join(600)
        theirs = line(sock)
        if theirs != digest(seed, up):
            raise OSError(f"the other side got other bytes than were sent: {theirs}")
        if sock.recv(1):
            raise OSError("something came after the end")


def server(sock):
    with sock:
        seed, _, down = (int(word) for word in line(sock).split())
        sending = Sending(sock, seed + 1, down)
        _, got = receive(sock, None)
        sending.join(600)
        sock.sendall(f"{got}\n".encode())


def serve(listener):
    """Answers each connection in a thread of its own."""
    def answer(sock):
        try:
            server(sock)
        except (OSError, ValueError) as error:
            print(f"peer: {error}", flush=True)
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=(sock,), daemon=True).start()


def listen(where):
    kind, port = where.split(":")
    if kind == "vsock":
        listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        listener.bind((socket.VMADDR_CID_ANY, int(port)))
    else:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", int(port)))
    listener.listen(128)
    return listener


def connect(where):
    kind, host, port = where.split(":")
    if kind == "vsock":
        sock = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        sock.settimeout(60)
        sock.connect((int(host), int(port)))
    else:
        sock = socket.create_connection((host, int(port)), 60)
    sock.settimeout(600)
    return sock


def many(open_one, count, size):
    """`count` streams at once; a list of what went wrong."""
    wrong = []

    def one(n):
        try:
            client(open_one(), 1000 + n, size, size)
        except OSError as error:
            wrong.append(f"stream {n}: {error}")
    threads = [threading.Thread(target=one, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 600
    for n, thread in enumerate(threads):
        thread.join(max(0, end - time.monotonic()))
        if thread.is_alive():
            wrong.append(f"stream {n} did not end")
    return wrong


def main(command, *words):
    if command == "serve":
        listeners = [listen(where) for where in words]
        print("peer: serving", flush=True)
        threads = [threading.Thread(target=serve, args=(one,)) for one in listeners]
        for thread in threads:
            thread.start()
        return 0
    where, count, size = words
    wrong = many(lambda: connect(where), int(count), int(size))
    print("\n".join(wrong[:5]) or f"peer: {count} streams of {size} bytes")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
