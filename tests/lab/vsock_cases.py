"""Vsock: streams with checksums from both ends, half-closes, ports without a listener, dying ends."""
import resource
import socket
import threading
import time

from net_cases import DESCRIPTORS, Serving, peer
from world import case, until

import crowd  # noqa: E402: where peer is

PORT, HOST_PORT = 6000, 7000
CROWD, CROWD_SIZE = 1000, 3000  # the monitor has 1023 connections

# For the monitor, too, which is started from here.
resource.setrlimit(resource.RLIMIT_NOFILE,
                   (DESCRIPTORS, max(DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))


class Listening:
    """peer's server, or crowd's, at a port of the host for as long as the block lasts."""

    def __init__(self, vsock, port=HOST_PORT, program=peer):
        self.listener, self.program = vsock.listen(port), program

    def __enter__(self):
        threading.Thread(target=self.program.serve, args=(self.listener,), daemon=True).start()
        return self.listener

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def from_host(vsock, count, size):
    wrong = peer.many(lambda: vsock.connect(PORT, 120), count, size)
    assert not wrong, "; ".join(wrong[:3])


def from_guest(g, count, size):
    g.sh(f"python3 /mnt/peer.py run vsock:2:{HOST_PORT} {count} {size}", 300)


@case("the host connects 16 times at once: sums, and half-closes both ways", quick="all")
def vsock_from_host(w):
    g = w.shared()
    vsock = w.need_vsock(g)
    with Serving(g, f"vsock:{PORT}"):
        from_host(vsock, 16, 100000)


@case("the guest connects 16 times at once: sums, and half-closes both ways", quick="all")
def vsock_from_guest(w):
    g = w.shared()
    with Listening(w.need_vsock(g)):
        from_guest(g, 16, 100000)


def let_go(g, before):
    until(lambda: g.descriptors() <= before + 2, 20, "descriptors were left open")


@case("a thousand connections from the host are there at once: sums, and half-closes", rows="default")
def vsock_crowd_from_host(w):
    g = w.shared()
    vsock = w.need_vsock(g)
    with Serving(g, f"vsock:{PORT}"):
        from_host(vsock, 1, 100)
    before = g.descriptors()
    with Serving(g, f"vsock:{PORT}", program="crowd"):
        wrong = crowd.many(vsock.where(PORT), CROWD, CROWD_SIZE)
        assert not wrong, "; ".join(wrong[:3])
    let_go(g, before)


@case("a thousand connections from the guest are there at once: sums, and half-closes", rows="default")
def vsock_crowd_from_guest(w):
    g = w.shared()
    vsock = w.need_vsock(g)
    before = g.descriptors()
    with Listening(vsock, program=crowd):
        g.sh(f"ulimit -n {DESCRIPTORS}; python3 /mnt/crowd.py run vsock:2:{HOST_PORT} {CROWD} {CROWD_SIZE}", 600)
    let_go(g, before)


@case("one stream of 8 MiB each way is whole")
def vsock_long(w):
    g = w.shared()
    vsock = w.need_vsock(g)
    with Serving(g, f"vsock:{PORT}"):
        from_host(vsock, 1, 8 << 20)


@case("both ends connect at once")
def vsock_both(w):
    g = w.shared()
    vsock = w.need_vsock(g)
    with Serving(g, f"vsock:{PORT}"), Listening(vsock):
        wrong = []
        thread = threading.Thread(target=lambda: wrong.extend(
            peer.many(lambda: vsock.connect(PORT, 120), 8, 300000)))
        thread.start()
        from_guest(g, 8, 300000)
        thread.join(300)
        assert not thread.is_alive() and not wrong, "; ".join(wrong[:3]) or "no end in time"


@case("a port where nobody listens refuses, in the guest and on the host", quick="default")
def vsock_refused(w):
    g = w.shared()
    vsock = w.need_vsock(g)
    try:
        vsock.connect(PORT + 99).close()
        raise AssertionError("a connection to nobody in the guest was made")
    except ConnectionError:
        pass
    status, said = g.sh(f"python3 /mnt/peer.py run vsock:2:{HOST_PORT + 99} 1 10", check=False)
    assert status and "rror" in said or "reset" in said or "refused" in said, said


@case("a listener that dies ends its streams, and the next one is reached")
def vsock_dying(w):
    g = w.shared()
    vsock = w.need_vsock(g)
    for _ in range(3):
        listener = vsock.listen(HOST_PORT)
        g.sh(f"(python3 /mnt/peer.py run vsock:2:{HOST_PORT} 1 50000000 >dying.out 2>&1; "
             "echo $? >>dying.out) & rm -f dying.out")
        sock, _ = listener.accept()
        sock.recv(100000)
        listener.close()
        sock.close()  # with data unread, and more to come
        g.sh("for i in $(seq 300); do grep -q '^[0-9]*$' dying.out && break; sleep 0.1; done; "
             "tail -n 1 dying.out | grep -q '^1$'")
        with Listening(vsock):
            from_guest(g, 2, 10000)


@case("a guest's program that dies ends its streams on the host")
def vsock_guest_dies(w):
    g = w.shared()
    vsock = w.need_vsock(g)
    with Serving(g, f"vsock:{PORT}"):
        sock = vsock.connect(PORT)
        sock.sendall(b"7 0 50000000\n")
        sock.recv(1000)
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionError:
        pass
    sock.close()
    with Serving(g, f"vsock:{PORT}"):
        from_host(vsock, 2, 10000)


@case("ends that never read hold up no other stream")
def vsock_stuck(w):
    g = w.shared()
    vsock = w.need_vsock(g)
    before = g.descriptors()
    with Serving(g, f"vsock:{PORT}"):
        stuck = [vsock.connect(PORT) for _ in range(4)]
        for sock in stuck:
            sock.sendall(b"1 0 50000000\n")
        time.sleep(2)
        from_host(vsock, 4, 100000)
        for sock in stuck:
            sock.close()
        from_host(vsock, 4, 100000)
    time.sleep(1)
    assert g.descriptors() <= before + 2, "descriptors were left open"


@case("two hundred short connections, one after another, leave nothing behind")
def vsock_churn(w):
    g = w.shared()
    vsock = w.need_vsock(g)
    with Serving(g, f"vsock:{PORT}"):
        from_host(vsock, 1, 100)
        before = g.descriptors()
        for n in range(200):
            if n % 4 == 3:  # gone at once
                vsock.connect(PORT, 120).close()
            else:
                from_host(vsock, 1, 100)
        time.sleep(1)
        assert g.descriptors() <= before + 2, "descriptors were left open"
