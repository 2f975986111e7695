"""Entropy, balloon, what the monitor costs beside its guest, and everything at once."""
import os
import pathlib
import re
import socket
import threading
import time
from importlib.machinery import SourceFileLoader

import disk_cases
from machine import Disk
from net_cases import Serving, connect, peer
from vsock_cases import HOST_PORT, PORT, Listening
from world import GUEST, HOST, OWN, Skip, case, until

TOOLS = pathlib.Path(__file__).resolve().parents[2]
SOAK_DEFAULT = 60
TCP = 5001


@case("the row is what it says: every device has its driver and its kind of interrupt", quick="all")
def row_holds(w):
    g = w.shared()
    drivers = g.sh("cd /sys/bus/virtio/drivers; ls -d */virtio* | cut -d / -f 1 | sort").split()
    want = ["virtio_balloon", "virtio_blk", "virtio_blk", "virtio_blk", "virtio_net", "virtio_rng"]
    if g.vsock:
        want.append("vmw_vsock_virtio_transport")
    assert sorted(drivers) == sorted(want), drivers
    paths = g.sh("readlink -f /sys/bus/virtio/devices/*").split("\n")
    assert all(w.row.place in path for path in paths), paths
    lines = [line for line in g.sh("cat /proc/interrupts").split("\n") if "virtio" in line]
    assert lines and (w.monitor == "qemu" or all(re.search(w.row.irq, one) for one in lines)), \
        "\n".join(lines)


@case("the guest's random numbers come from the device, and no two reads are alike", quick="default")
def rng_read(w):
    g = w.shared()
    assert g.sh("cat /sys/class/misc/hw_random/rng_current").startswith("virtio_rng")
    sums = [g.sh("dd if=/dev/hwrng bs=4096 count=16 iflag=fullblock 2>/dev/null | tee r | sha256sum; "
                 "stat -c %s r; gzip -c r | wc -c").split() for _ in range(2)]
    assert sums[0][0] != sums[1][0], "two reads are the same"
    for one in sums:
        assert one[2] == "65536" and int(one[3]) > 65000, f"they are too few or not random: {one}"


class Balloon:
    """The driver's hold on the device; without it the guest has all its memory."""

    def __init__(self, g):
        self.g, self.way = g, "/sys/bus/virtio/drivers/virtio_balloon"
        self.name = g.sh(f"cd {self.way}; echo virtio*")

    def drive(self, on):
        self.g.sh(f"echo {self.name} >{self.way}/{'bind' if on else 'unbind'}")


def dirty(g, mib):
    """Has the guest touch so much memory, and free it again."""
    g.sh(f"mkdir -p fill; mount -t tmpfs -o size=90% fill fill; "
         f"dd if=/dev/urandom of=fill/x bs=1M count={mib} 2>/dev/null; umount fill")


@case("an inflated balloon gives memory back to the host, and it returns", rows="default")
def balloon_moves(w):
    if w.monitor == "qemu":
        raise Skip("its balloon has no size at start")
    g = w.own(balloon=128)
    balloon = Balloon(g)
    balloon.drive(False)
    dirty(g, 320)
    full = g.rss_kib()
    balloon.drive(True)
    until(lambda: g.rss_kib() < full - 110 * 1024, 60,
          f"the monitor has {g.rss_kib()} KiB of {full}")
    print(f"# {full} KiB before, {g.rss_kib()} KiB with 128 MiB in the balloon")
    free = int(g.sh("free -m | awk '/^Mem/ { print $4 }'"))
    balloon.drive(False)
    assert int(g.sh("free -m | awk '/^Mem/ { print $4 }'")) > free + 100, "the guest got nothing back"
    dirty(g, 320)
    assert g.rss_kib() > full - 60 * 1024, f"only {g.rss_kib()} KiB came back of {full}"
    g.finish()


@case("free pages that the guest reports go back to the host", rows="default")
def balloon_reports(w):
    g = w.own(balloon=0, reporting=True)
    dirty(g, 256)
    full = max(g.rss_kib(), 300 * 1024)
    until(lambda: g.rss_kib() < full - 128 * 1024, 90,
          f"the monitor has {g.rss_kib()} KiB of {full}")
    print(f"# {g.rss_kib()} KiB of {full} are left")
    dirty(g, 64)
    g.finish()


def quiet(w):
    """A machine with all devices that has nothing more to do."""
    g = w.shared()
    g.sh("sleep 3")
    return g


@case("an idle guest with every device wakes the loop 0 times in 10 s", rows="default",
      only="minnow")
def idle(w):
    g = quiet(w)

    def switches():
        with open(f"/proc/{g.pid}/task/{g.pid}/status", encoding="ascii") as file:
            return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.M)[1])
    before = switches()
    time.sleep(10)
    assert switches() == before, f"the loop ran {switches() - before} times"


@case("the monitor has at most 512 KiB of private memory with every device", rows="default",
      only="minnow")
def memory(w):
    g = quiet(w)
    bench = SourceFileLoader("memory", str(TOOLS / "bench/memory")).load_module()
    kib = sum(r[0] for r in bench.private_kib(g.pid)[1])
    print(f"# {kib} KiB private beyond guest RAM")
    assert kib <= 512, f"{kib} KiB are private"


def soak_commands(g, seconds):
    """What runs in the guest for so long: each writes NAME.status when it ends."""
    loop = f"end=$(($(date +%s) + {seconds})); while [ $(date +%s) -lt $end ]; do"
    commands = {
        "tcp": f"{loop} python3 /mnt/peer.py run tcp:{HOST.format(OWN)}:{TCP} 2 200000 || exit 1; done",
        "ping": f"ping -q -i 0.2 -w {seconds} {HOST.format(OWN)} >/dev/null",
        "rng": f"{loop} dd if=/dev/hwrng of=/dev/null bs=512 count=8 2>/dev/null || exit 1; "
               "sleep 0.2; done",
        "balloon": f"{loop} for how in unbind bind; do echo $(cat balloon.name) >"
                   "/sys/bus/virtio/drivers/virtio_balloon/$how || exit 1; sleep 2; done; done",
    }
    if g.vsock:
        commands["vsock"] = (f"{loop} python3 /mnt/peer.py run vsock:2:{HOST_PORT} 2 200000 || "
                             "exit 1; done")
    for disk in ("vdb", "vdc"):
        commands[disk] = disk_cases.soak_command(disk, seconds)
    return commands


class Hosts:
    """The host's ends of the soak: servers, and clients that go on until stop()."""

    def __init__(self, g):
        self.g, self.wrong, self.rounds, self.ending = g, [], 0, False
        self.listeners = [socket.create_server((HOST.format(OWN), TCP), backlog=128)]
        clients = [lambda: connect((GUEST.format(OWN), TCP))]
        if g.vsock:
            self.listeners.append(g.vsock.listen(HOST_PORT))
            clients.append(lambda: g.vsock.connect(PORT, 120))
        for listener in self.listeners:
            threading.Thread(target=peer.serve, args=(listener,), daemon=True).start()
        self.threads = [threading.Thread(target=self.streams, args=(one,), daemon=True)
                        for one in clients]
        for thread in self.threads:
            thread.start()

    def streams(self, open_one):
        while not self.ending and not self.wrong:
            self.wrong += peer.many(open_one, 2, 200000)
            self.rounds += 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.ending = True
        for thread in self.threads:
            thread.join(300)
        while self.listeners:
            listener = self.listeners.pop()
            listener.shutdown(socket.SHUT_RDWR)  # or who waits in accept() keeps the port
            listener.close()


# On a lab of two CPUs this ends in a triple fault of the guest after two or three minutes; under QEMU the
# lab's own kernel falls. A lab of one carries both: the emulated SVM CPU is not safe with two threads.
@case("everything at once with 4 vCPUs for a while, and all sums are right", rows="default", lab_cpus=1)
def soak(w):
    seconds = int(os.environ.get("SOAK_SECONDS", SOAK_DEFAULT))
    g = w.own(cpus=4, balloon=64 if w.monitor == "minnow" else 0, disks=[
        Disk(w.files["root"], ro=True), Disk(w.new_file("soak", 32)),
        Disk(w.new_file("soak2", 32, w.dir))])
    g.sh("cd /sys/bus/virtio/drivers/virtio_balloon; echo virtio* >/tmp/balloon.name")
    where = [f"tcp:{TCP}"] + [f"vsock:{PORT}"] * bool(g.vsock)
    before = g.descriptors()
    with Serving(g, *where), Hosts(g) as hosts:
        commands = soak_commands(g, seconds)
        for name, command in commands.items():
            g.sh(f"(({command}) >{name}.log 2>&1; echo $? >{name}.status) &")
        time.sleep(seconds)
        g.sh(f"for i in $(seq 600); do [ $(ls *.status | wc -l) = {len(commands)} ] && break; "
             "sleep 0.5; done", 400)
        hosts.stop()
        for name in commands:
            status = g.sh(f"cat {name}.status", check=False)[1]
            assert status == "0", f"{name} ended with status {status or 'none'}: " + \
                g.sh(f"tail -c 600 {name}.log", check=False)[1]
        assert not hosts.wrong, "; ".join(hosts.wrong[:3])
        assert g.descriptors() <= before + 4, "descriptors were left open"
    print(f"# {seconds} s, {hosts.rounds} rounds of streams from the host")
    assert hosts.rounds >= 2, "the host's streams stood still"
    g.finish()
