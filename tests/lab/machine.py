"""A virtual machine with virtio devices as a child process: minnow, or another monitor beside it.

The guest is the initrd of tests/initrd with the Debian root of tools/guest-root; with minnow.serve its
console is a shell, which Machine.sh() asks one command after another.
"""
import dataclasses
import json
import os
import re
import select
import signal
import socket
import subprocess
import tempfile
import time

BASE = "console=ttyS0 reboot=k panic=-1 quiet minnow.nomark"
CID = 3
TAIL = 1500  # characters of a console that are shown


@dataclasses.dataclass
class Disk:
    path: str
    ro: bool = False
    queues: int = 0  # 0: the monitor's default
    unsafe: bool = False
    limits: str = ""  # for minnow: "bps=..", "iops=.."


@dataclasses.dataclass
class Net:
    tap: str
    mac: str = ""
    mtu: int = 0
    queues: int = 1
    offload: bool = True
    vhost: bool = False
    limits: str = ""


@dataclasses.dataclass
class Options:
    kernel: str = ""
    initrd: str = ""
    cpus: int = 1
    mem: int = 512  # MiB
    append: str = ""
    transport: str = "pci"
    disks: list = dataclasses.field(default_factory=list)
    nets: list = dataclasses.field(default_factory=list)
    vsock: str = ""  # the path of the Unix socket
    rng: bool = False
    balloon: int = -1  # MiB; -1: none
    reporting: bool = False
    worker: bool = False  # disks without io_uring

    def cmdline(self):
        return f"{BASE} {self.append}".strip()


def minnow(program, o):
    argv = [program, "run", "--cpus", str(o.cpus), "--mem", f"{o.mem}M", "--initrd", o.initrd,
            "--transport", o.transport] + ["--disk-io", "worker"] * o.worker
    for d in o.disks:
        argv += ["--disk", d.path + ",ro" * d.ro + ",cache=unsafe" * d.unsafe
                 + (f",queues={d.queues}" if d.queues else "")
                 + (f",{d.limits}" if d.limits else "")]
    for n in o.nets:
        argv += ["--net", n.tap + (f",mac={n.mac}" if n.mac else "")
                 + (f",mtu={n.mtu}" if n.mtu else "")
                 + (f",queues={n.queues}" if n.queues > 1 else "")
                 + ("" if n.offload else ",offload=off") + ",vhost" * n.vhost
                 + (f",{n.limits}" if n.limits else "")]
    if o.vsock:
        argv += ["--vsock", f"{o.vsock},cid={CID}"]
    if o.rng:
        argv += ["--rng"]
    if o.balloon >= 0:
        argv += ["--balloon", f"{o.balloon}{',reporting' * o.reporting}"]
    return argv + ["--cmdline", o.cmdline(), o.kernel]


OFFLOADS = ["csum", "guest_csum", "gso", "guest_tso4", "guest_tso6", "guest_ecn", "guest_ufo",
            "host_tso4", "host_tso6", "host_ecn", "host_ufo", "guest_uso4", "guest_uso6", "host_uso"]


def qemu(o, accel="kvm,kernel-irqchip=split"):
    """With an I/O thread and io_uring for disks."""
    if o.transport == "pci":
        board, device = "pc", lambda name, more: f"{name}-pci,disable-legacy=on{more}"
    else:
        board = "microvm,acpi=on,pcie=off,rtc=on,pit=on,pic=on,isa-serial=on"
        device = lambda name, more: f"{name}-device{more}"  # noqa: E731
    argv = ["qemu-system-x86_64", "-M", board, "-accel", accel,
            "-cpu", "max" if accel.startswith("tcg") else "host", "-smp", str(o.cpus),
            "-m", str(o.mem), "-display", "none", "-nodefaults", "-no-reboot", "-serial", "stdio",
            "-name", "guest,debug-threads=on", "-kernel", o.kernel, "-initrd", o.initrd, "-append", o.cmdline()]
    if o.transport == "mmio":
        argv += ["-global", "virtio-mmio.force-legacy=false"]
    if o.disks:
        argv += ["-object", "iothread,id=io"]
    for n, d in enumerate(o.disks):
        argv += ["-blockdev", f"driver=raw,node-name=d{n},read-only={'on' if d.ro else 'off'},"
                 f"discard=unmap,file.driver=file,file.filename={d.path},file.aio=io_uring,"
                 f"file.locking=off,cache.no-flush={'on' if d.unsafe else 'off'}",
                 "-device", device("virtio-blk", f",drive=d{n},iothread=io,serial=disk{n},werror=report"
                                   + (f",num-queues={d.queues}" if d.queues else ""))]
    for n, net in enumerate(o.nets):
        argv += ["-netdev", f"tap,id=n{n},ifname={net.tap},script=no,downscript=no,"
                 f"vhost={'on' if net.vhost else 'off'},"
                 f"queues={net.queues}", "-device",
                 device("virtio-net", f",netdev=n{n}" + (f",mac={net.mac}" if net.mac else "")
                        + (f",host_mtu={net.mtu}" if net.mtu else "")
                        + (",mq=on" if net.queues > 1 else "")
                        + ("" if net.offload else "".join(f",{f}=off" for f in OFFLOADS)))]
    if o.vsock:
        argv += ["-device", device("vhost-vsock", f",guest-cid={CID}")]
    if o.rng:
        argv += ["-device", device("virtio-rng", "")]
    if o.balloon >= 0:
        argv += ["-device", device("virtio-balloon",
                                   f",free-page-reporting={'on' if o.reporting else 'off'}")]
    return argv


def firecracker(program, o, config):
    """`config` is the file to write; with --enable-pci its devices are as minnow's."""
    drives = [{"drive_id": f"d{n}", "path_on_host": d.path, "is_root_device": False,
               "is_read_only": d.ro, "cache_type": "Unsafe" if d.unsafe else "Writeback"}
              for n, d in enumerate(o.disks)]
    settings = {
        "boot-source": {"kernel_image_path": o.kernel, "initrd_path": o.initrd,
                        "boot_args": o.cmdline()},
        "machine-config": {"vcpu_count": o.cpus, "mem_size_mib": o.mem}, "drives": drives,
        "network-interfaces": [{"iface_id": f"eth{n}", "host_dev_name": net.tap}
                               for n, net in enumerate(o.nets)]}
    if o.vsock:
        settings["vsock"] = {"guest_cid": CID, "uds_path": o.vsock}
    if o.rng:
        settings["entropy"] = {}
    with open(config, "w", encoding="ascii") as file:
        json.dump(settings, file)
    return [program, "--no-api", "--config-file", config] + ["--enable-pci"] * (o.transport == "pci")


class UnixVsock:
    """The host's side of a vsock, by the protocol of Firecracker's Unix socket."""

    def __init__(self, path):
        self.path = path

    def where(self, port):
        return f"unix:{self.path}:{port}"

    def connect(self, port, limit=60):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(limit)
        try:
            sock.connect(self.path)
            sock.sendall(f"CONNECT {port}\n".encode())
            said = b""
            while not said.endswith(b"\n"):
                byte = sock.recv(1)
                if not byte:
                    raise ConnectionResetError(f"CONNECT {port} was answered by {said!r}")
                said += byte
            if not re.fullmatch(rb"OK \d+\n", said):
                raise ConnectionError(f"CONNECT {port} was answered by {said!r}")
        except OSError:
            sock.close()
            raise
        return sock

    def listen(self, port):
        path = f"{self.path}_{port}"
        if os.path.exists(path):
            os.unlink(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        listener.listen(128)
        return listener


class KernelVsock:
    """The same by vhost: the host has vsock addresses itself."""

    def where(self, port):
        return f"vsock:{CID}:{port}"

    def connect(self, port, limit=60):
        sock = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        sock.settimeout(limit)
        try:
            sock.connect((CID, port))
        except OSError:
            sock.close()
            raise
        return sock

    def listen(self, port):
        listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        listener.bind((socket.VMADDR_CID_HOST, port))
        listener.listen(128)
        return listener


class Machine:
    def __init__(self, argv, vsock=None):
        self.vsock = vsock
        self.said = tempfile.TemporaryFile()
        self.proc = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=self.said)
        self.seen, self.log = b"", b""

    @property
    def pid(self):
        return self.proc.pid

    def stderr(self):
        self.said.seek(0)
        return self.said.read().decode(errors="replace").strip()

    def fail(self, why):
        tail = self.log[-TAIL:].decode(errors="replace").strip()
        raise AssertionError(f"{why}; the console ends:\n{tail}\nthe monitor said: {self.stderr()}\n"
                             f"its threads: {self.where()}")

    def where(self):
        """What each thread of the monitor does, in a second's distance: who runs and who waits."""
        def look():
            for tid in sorted(os.listdir(f"/proc/{self.pid}/task"), key=int):
                words = []
                for name in ("comm", "wchan", "syscall", "schedstat"):
                    with open(f"/proc/{self.pid}/task/{tid}/{name}", encoding="ascii") as file:
                        words.append(file.read().strip()[:60])
                yield words
        try:
            first = list(look())
            time.sleep(1)
            return "\n".join(f"{one[0]}: {two[1]} {two[2]}, ran "
                             f"{(int(two[3].split()[0]) - int(one[3].split()[0])) // 1000000} ms"
                             for one, two in zip(first, look()))
        except (OSError, ValueError, IndexError):
            return "gone"

    def read_until(self, mark, limit):
        """What the console says up to the match of `mark`, and the match."""
        end = time.monotonic() + limit
        fd = self.proc.stdout.fileno()
        while True:
            match = re.search(mark, self.seen)
            if match:
                head, self.seen = self.seen[:match.start()], self.seen[match.end():]
                return head, match
            left = end - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                self.fail(f"no {mark!r} within {limit} s")
            chunk = os.read(fd, 65536)
            if not chunk:
                self.fail(f"the machine ended with status {self.proc.wait(60)} before {mark!r}")
            chunk = chunk.replace(b"\r", b"")
            self.seen += chunk
            self.log += chunk

    def serving(self, limit=240):
        self.read_until(rb"minnow-guest: serving\n", limit)
        return self

    def sh(self, command, limit=120, check=True):
        """What one line of shell in the guest prints; it must end with status 0 if `check`."""
        assert "\n" not in command and len(command) < 3500, command
        try:
            self.proc.stdin.write(command.encode() + b"\n")
            self.proc.stdin.flush()
        except BrokenPipeError:
            self.fail(f"the machine ended with status {self.proc.wait(60)} before '{command[:60]}'")
        head, match = self.read_until(rb"minnow-guest: done (\d+)\n", limit)
        said, status = head.decode(errors="replace").strip(), int(match[1])
        if check and status:
            raise AssertionError(f"'{command}' ended with status {status}: {said[-TAIL:]}")
        return said if check else (status, said)

    def finish(self, limit=120):
        """Powers the guest off, which must go well."""
        self.proc.stdin.write(b"end\n")
        self.proc.stdin.flush()
        self.read_until(rb"minnow-guest: ok\n", limit)
        try:
            status = self.proc.wait(limit)
        except subprocess.TimeoutExpired:
            self.fail(f"the monitor runs {limit} s after the guest's end")
        if status:
            self.fail(f"the monitor ended with status {status}")

    def close(self):
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
            try:
                self.proc.wait(10)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait()
        self.said.close()

    # What the host sees of the monitor.

    def rss_kib(self, key="Pss"):
        with open(f"/proc/{self.pid}/smaps_rollup", encoding="ascii") as file:
            return next(int(row.split()[1]) for row in file if row.startswith(f"{key}:"))

    def threads(self):
        names = []
        for tid in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{tid}/comm", encoding="ascii") as file:
                names.append(file.read().strip())
        return names

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def with_files(initrd, output, files):
    """An initrd that has {path in the guest: path here} as well: one archive after the other."""
    with tempfile.TemporaryDirectory() as root:
        for name, path in files.items():
            os.makedirs(os.path.dirname(f"{root}/{name}"), exist_ok=True)
            subprocess.run(["cp", "-L", path, f"{root}/{name}"], check=True)
        more = subprocess.run("find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet", shell=True,
                              cwd=root, stdout=subprocess.PIPE, check=True).stdout
    with open(initrd, "rb") as file:
        first = file.read()
    with open(output, "wb") as file:
        file.write(first + b"\0" * (-len(first) % 4) + more)
