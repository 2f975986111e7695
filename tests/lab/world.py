"""What the cases of tests/lab/virtio work with: rows, cases, the host's side of disks and networks.

A row is a guest kernel and a way to reach the devices. A case is a function of a World; most share one
machine that has every device, others start their own. Inside the lab all of it runs as root.
"""
import contextlib
import dataclasses
import hashlib
import os
import shutil
import subprocess
import tempfile
import time

import machine

MIB = 1024 * 1024
HOST, GUEST, PREFIX = "10.99.{}.1", "10.99.{}.2", 24
SHARED, PAIRS, OWN = 0, 1, 2  # taps, by who uses them; PAIRS may have many queues
SCRATCH_MIB, MEMORY_DISK_MIB = 96, 32
CASES = []


class Skip(Exception):
    pass


@dataclasses.dataclass
class Row:
    name: str
    kernel: str = "cloud-6.1"
    transport: str = "pci"
    append: str = ""
    place: str = "pci0000"  # what their paths in sysfs say
    irq: str = "PCI-MSI"  # what the devices' interrupts must be called
    late: bool = False    # its kernel is built, which takes long: in full alone, the quick cases


ROWS = [
    Row("default"),
    Row("6.12", kernel="cloud-6.12"),
    Row("nomsi", append="pci=nomsi", irq="IO-APIC.*fasteoi"),
    Row("mmio", transport="mmio", append="pci=off", place="LNRO0005", irq="IO-APIC.*edge"),
    # Nothing but virtio_mmio.device= tells this kernel of the devices. Without ACPI it can only reboot.
    Row("cmdline", kernel="built-6.1", transport="mmio", append="reboot=k minnow.end=reboot",
        place="virtio-mmio-cmdline", irq="IO-APIC.*edge", late=True),
]


@dataclasses.dataclass
class Case:
    run: object
    name: str
    quick: str      # "": only in full; "default": in that row; "all": in every row
    rows: str       # the same for full
    only: str       # the one monitor that can do it, or ""
    lab_cpus: int


def case(name, quick="", rows="all", only="", lab_cpus=2):
    def add(function):
        CASES.append(Case(function, name, quick, rows, only, lab_cpus))
        return function
    return add


def sh(*argv, check=True):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(argv)}: {done.stdout.decode(errors='replace').strip()}")
    return done.returncode == 0


def sum_of(path, offset=0, size=None):
    """sha256 of a part of a file."""
    total = hashlib.sha256()
    with open(path, "rb") as file:
        file.seek(offset)
        while size is None or size:
            piece = file.read(MIB if size is None else min(MIB, size))
            if not piece:
                break
            total.update(piece)
            size = None if size is None else size - len(piece)
    return total.hexdigest()


def allocated(path):
    os.sync()
    return os.stat(path).st_blocks * 512


def until(condition, limit, what):
    """Waits until it holds; the value that did."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"after {limit} s {what}")
        time.sleep(0.3)


class World:
    def __init__(self, monitor, program, accel, row, files):
        self.monitor, self.program, self.accel = monitor, program, accel
        self.row, self.files = row, files  # of --prepare
        self.stack = contextlib.ExitStack()
        self.dir = tempfile.mkdtemp(prefix="virtio.", dir="/dev/shm")
        self.stack.callback(shutil.rmtree, self.dir, True)
        self.shared_machine, self.own_machines, self.unbootable = None, [], 0
        self.on_ext4 = self.make_ext4()
        self.scratch = self.new_file("scratch", SCRATCH_MIB, self.on_ext4)
        self.in_memory = self.new_file("memory", MEMORY_DISK_MIB, self.dir)
        for n in (SHARED, PAIRS, OWN):
            self.make_tap(n)

    # ---- the host ----

    def make_ext4(self):
        """A file system with direct I/O and RWF_NOWAIT, which tmpfs has not; or None."""
        image, point = f"{self.dir}/ext4", f"{self.dir}/disks"
        os.mkdir(point)
        sh("truncate", "-s", "512M", image)
        for module in ("loop", "ext4"):
            sh("modprobe", module, check=False)
        if not sh("mkfs.ext4", "-q", "-F", image, check=False) or \
                not sh("mount", "-o", "loop", image, point, check=False):
            print("# no ext4 here: all disks are on tmpfs")
            return self.dir
        self.stack.callback(sh, "umount", point, check=False)
        return point

    def new_file(self, name, mib, folder=None):
        path = f"{folder or self.on_ext4}/{name}"
        sh("rm", "-f", path)
        sh("truncate", "-s", f"{mib}M", path)
        return path

    def make_tap(self, n):
        tap = f"mt{n}"
        sh("ip", "link", "del", tap, check=False)
        sh("ip", "tuntap", "add", "dev", tap, "mode", "tap",
           *["multi_queue"] * (n == PAIRS))
        self.stack.callback(sh, "ip", "link", "del", tap, check=False)
        # The host's own chatter would be counted as the guest's traffic.
        sh("sysctl", "-q", f"net.ipv6.conf.{tap}.disable_ipv6=1", check=False)
        sh("ip", "addr", "add", f"{HOST.format(n)}/{PREFIX}", "dev", tap)
        sh("ip", "link", "set", tap, "up")

    # ---- machines ----

    def options(self, n=SHARED, **changes):
        """All devices but the balloon, with tap `n`."""
        append = f"minnow.serve root=/dev/vda ip={GUEST.format(n)}:::{PREFIX}::eth0 {self.row.append}"
        o = machine.Options(
            kernel=self.files[f"kernel-{self.row.kernel}"],
            initrd=self.files[f"initrd-{self.row.kernel}"], cpus=2, append=append,
            transport=self.row.transport, disks=[machine.Disk(self.files["root"], ro=True)],
            nets=[machine.Net(f"mt{n}", mac=f"06:00:0a:63:0{n}:02")],
            vsock=f"{self.dir}/v{n}.sock", rng=True)
        return dataclasses.replace(o, **changes)

    def start(self, options):
        if self.monitor == "minnow":
            argv, vsock = machine.minnow(self.program, options), machine.UnixVsock(options.vsock)
        else:
            if options.vsock and not os.path.exists("/dev/vhost-vsock"):
                options = dataclasses.replace(options, vsock="")
            argv, vsock = machine.qemu(options, self.accel), machine.KernelVsock()
        return machine.Machine(argv, vsock if options.vsock else None)

    def shared(self):
        """The machine with every device that most cases use, one after another."""
        if not self.shared_machine:
            if self.unbootable >= 2:
                raise AssertionError("the machine does not boot; see above")
            o = self.options(balloon=0)
            o.disks += [machine.Disk(self.scratch), machine.Disk(self.in_memory)]
            self.unbootable += 1
            self.shared_machine = self.start(o)
            self.shared_machine.serving()
            self.unbootable = 0
        return self.shared_machine

    def own(self, n=OWN, **changes):
        """A machine for one case."""
        g = self.start(self.options(n, **changes))
        self.own_machines.append(g)
        return g.serving()

    def end_case(self, failed):
        """What a case left goes; after a failure nothing is shared any more."""
        for g in self.own_machines:
            g.close()
        self.own_machines = []
        if failed:
            self.end_shared()

    def end_shared(self):
        if self.shared_machine:
            self.shared_machine.close()
            self.shared_machine = None

    def close(self):
        self.end_case(True)
        self.stack.close()

    def need_vsock(self, g):
        if not g.vsock:
            raise Skip("no vsock for this monitor here")
        return g.vsock
