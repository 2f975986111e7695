"""What the virtio cases of `run` need of the host: files for disks, a tap, an echoing Unix socket."""
import os
import shutil
import socket
import subprocess
import tempfile
import threading

ECHO_PORT, CALL_PORT = 5000, 5001
GUEST_PORT, WORD = 777, b"called back"
TAP = "mnwguest0"
PEER = "198.18.37.1"  # of the addresses for benchmarks: no network has them
DISK_SIZE = 4 << 20
STAMP = b"untouched by the guest. "
# In the order in which minnow makes them, which is that of the windows over MMIO.
ORDER = ("disk", "cold-disk", "ro", "net", "vsock", "rng", "balloon", "bare-balloon")


class Missing(Exception):
    """The host cannot make what a case needs; says why."""


def echo(listener):
    """Gives back what comes in on each connection."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
            except OSError:
                pass  # the guest reset the connection


def call_back(listener, path):
    """Connects to the guest when it connects here, and sends a word once it is let in."""
    try:
        listener.accept()[0].close()
    except OSError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as guest:
        guest.settimeout(10)
        guest.connect(path)
        guest.sendall(f"CONNECT {GUEST_PORT}\n".encode())
        if guest.recv(64).startswith(b"OK "):
            guest.sendall(WORD)
        guest.recv(64)


def make_tap():
    if os.geteuid() or not os.path.exists("/dev/net/tun") or not shutil.which("ip"):
        raise Missing("a tap needs root, /dev/net/tun and ip")
    for words in (f"tuntap add {TAP} mode tap", f"addr add {PEER}/30 dev {TAP}",
                  f"link set {TAP} up"):
        result = subprocess.run(["ip", *words.split()], capture_output=True, text=True, check=False)
        if result.returncode:
            raise Missing(f"ip {words}: {result.stderr.strip()}")


def evict(path, ended):
    """Takes the file out of the page cache again and again, so that reads of it take their time."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    while not ended.wait(0.002):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


class Devices:
    """The devices of one case, as long as the `with` lasts: their options are in `args`."""

    def __init__(self, kinds, transport):
        self.kinds = sorted(kinds, key=ORDER.index)
        self.transport = transport
        self.args = []
        self.words = []  # for the guest's command line
        self.folder, self.listeners = None, []
        self.tap = False
        self.ended = threading.Event()

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="minnow-guest-")
        try:
            for kind in self.kinds:
                getattr(self, kind.replace("-", "_"))()
        except BaseException:
            self.__exit__()
            raise
        if self.kinds:
            self.args += ["--transport", self.transport]
        if self.transport == "mmio":
            self.words.append(f"mmio={len(self.kinds)}")
        return self

    def __exit__(self, *_):
        self.ended.set()
        for listener in self.listeners:
            listener.close()
        if self.tap:
            subprocess.run(["ip", "link", "del", TAP], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def image(self, name):
        path = f"{self.folder}/{name}"
        with open(path, "wb") as file:
            file.write(STAMP * (DISK_SIZE // len(STAMP)))
            file.truncate(DISK_SIZE)
        return path

    def disk(self):
        self.args += ["--disk", self.image("disk")]

    def cold_disk(self):
        path = self.image("cold-disk")
        threading.Thread(target=evict, args=(path, self.ended), daemon=True).start()
        self.args += ["--disk", path]

    def ro(self):
        self.args += ["--disk", self.image("ro") + ",ro"]

    def net(self):
        self.tap = True
        make_tap()
        self.args += ["--net", TAP]
        self.words.append(f"peer={int.from_bytes(socket.inet_aton(PEER))}")

    def vsock(self):
        path = f"{self.folder}/vsock"
        for port, serve, more in ((ECHO_PORT, echo, ()), (CALL_PORT, call_back, (path,))):
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(f"{path}_{port}")
            listener.listen(16)
            self.listeners.append(listener)
            threading.Thread(target=serve, args=(listener, *more), daemon=True).start()
        self.args += ["--vsock", path]
        self.words += [f"echo={ECHO_PORT}", f"call={CALL_PORT}"]

    def rng(self):
        self.args.append("--rng")

    def balloon(self):
        self.args += ["--balloon", "3,deflate-on-oom,stats=1,reporting"]

    def bare_balloon(self):
        self.args += ["--balloon", "0"]

    def wrong(self):
        """What the guest should not have done."""
        said = []
        if "ro" in self.kinds:
            with open(f"{self.folder}/ro", "rb") as file:
                if not file.read().startswith(STAMP * (DISK_SIZE // len(STAMP))):
                    said.append("the read-only disk changed")
        if "disk" in self.kinds and os.path.getsize(f"{self.folder}/disk") != DISK_SIZE:
            said.append("the disk has another size")
        if "vsock" in self.kinds and os.path.exists(f"{self.folder}/vsock"):
            said.append("the socket is still there")
        return said
