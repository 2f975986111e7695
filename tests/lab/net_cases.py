"""Network: streams with checksums both ways through the host's tap, with and without offloads."""
import os
import socket
import subprocess
import sys
import threading

from machine import Net
from world import GUEST, HOST, OWN, PAIRS, Skip, case, sh, until

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest"))
import peer  # noqa: E402

PORT = 5001
DESCRIPTORS = 4096  # for programs in the guest with many connections


def ping(g, n, count=3, size=56, more=""):
    g.sh(f"ping -q -i 0.2 -W 10 -c {count} -s {size} {more} {HOST.format(n)} >p.out || "
         "{ cat p.out; false; }")


def streams(g, n, count, size):
    """Guest to host and host to guest, each stream both ways with its sum."""
    listener = socket.create_server((HOST.format(n), PORT), backlog=128)
    threading.Thread(target=peer.serve, args=(listener,), daemon=True).start()
    try:
        g.sh(f"python3 /mnt/peer.py run tcp:{HOST.format(n)}:{PORT} {count} {size}", 300)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    with Serving(g, f"tcp:{PORT}"):
        wrong = peer.many(lambda: connect((GUEST.format(n), PORT)), count, size)
    assert not wrong, "; ".join(wrong[:3])


def connect(address):
    sock = socket.create_connection(address, 60)
    sock.settimeout(300)
    return sock


class Serving:
    """peer.py, or crowd.py, as a server in the guest for as long as the block lasts."""

    def __init__(self, g, *where, program="peer"):
        self.g, self.where, self.program = g, " ".join(where), program

    def __enter__(self):
        self.g.sh(f"rm -f peer.out; ulimit -n {DESCRIPTORS}; "
                  f"setsid python3 /mnt/{self.program}.py serve {self.where} >peer.out 2>&1 & echo $! >peer.pid; "
                  "until grep -q serving peer.out; do sleep 0.1; done")

    def __exit__(self, *_):
        self.g.sh("kill $(cat peer.pid)", check=False)


def iperf(g, n, more, seconds=3):
    """Megabits per second that arrived, and the percentage of datagrams that did not."""
    with subprocess.Popen(["iperf3", "-s", "-1", "--forceflush", "-B", HOST.format(n)],
                          stdout=subprocess.PIPE, text=True) as server:
        try:
            while "listening" not in server.stdout.readline():
                assert server.poll() is None, "iperf3 does not listen"
            g.sh(f"iperf3 -J -c {HOST.format(n)} -t {seconds} {more} >i.out || "
                 "{ grep error i.out; false; }", 60 + seconds * 4)
        finally:
            server.kill()
    rate, lost = g.sh(r"""python3 -c 'import json; end = json.load(open("i.out"))["end"]; """
                      r"""total = end.get("sum_received") or end["sum"]; """
                      r"""print(total["bits_per_second"], total.get("lost_percent", 0))'""").split()
    return float(rate) / 1e6, float(lost)


@case("packets of all sizes come back", quick="all")
def net_ping(w):
    g = w.shared()
    ping(g, 0)
    for size in (0, 1, 17, 1472, 1473, 8000, 40000):
        ping(g, 0, 1, size)


@case("checksummed streams, both ways at once, from and to the guest", quick="all")
def net_streams(w):
    streams(w.shared(), 0, 4, 500000)


@case("iperf3 by TCP, out and in", quick="default")
def net_tcp(w):
    g = w.shared()
    out, into = iperf(g, 0, "")[0], iperf(g, 0, "-R")[0]
    print(f"# out {out:.0f} Mbit/s, in {into:.0f} Mbit/s")
    assert min(out, into) > 1, "that is a standstill"


@case("iperf3 by UDP, out and in, loses few")
def net_udp(w):
    g = w.shared()
    for more in ("", "-R"):
        rate, lost = iperf(g, 0, f"-u -b 4M -l 1400 {more}")
        print(f"# {more or 'out'} {rate:.1f} Mbit/s, {lost:.1f} % lost")
        assert rate > 1 and lost < 30, f"{rate:.1f} Mbit/s with {lost:.1f} % lost"


@case("offloads are there, and streams hold with them turned off and on again")
def net_ethtool(w):
    g = w.shared()
    for feature in ("tx-checksumming", "tcp-segmentation-offload", "generic-receive-offload"):
        assert g.sh(f"ethtool -k eth0 | grep '^{feature}:'").split()[1] == "on", f"{feature} is off"
    g.sh("ethtool -K eth0 tx off tso off gso off gro off")
    streams(g, 0, 2, 300000)
    g.sh("ethtool -K eth0 tx on tso on gso on gro on")
    streams(g, 0, 2, 300000)


@case("offload=off: the guest has none, and streams hold", rows="default")
def net_no_offload(w):
    g = w.own(nets=[Net(f"mt{OWN}", offload=False)])
    for feature in ("tx-checksumming", "tcp-segmentation-offload"):
        assert g.sh(f"ethtool -k eth0 | grep '^{feature}:'").split()[1] == "off", f"{feature} is on"
    streams(g, OWN, 2, 300000)
    g.finish()


@case("an MTU of 9000 is told, and whole frames of it pass", rows="default")
def net_jumbo(w):
    sh("ip", "link", "set", f"mt{OWN}", "mtu", "9000")
    try:
        g = w.own(nets=[Net(f"mt{OWN}", mtu=9000)])
        assert g.sh("cat /sys/class/net/eth0/mtu") == "9000", "the guest was told another MTU"
        ping(g, OWN, 3, 8972, "-M do")
        streams(g, OWN, 2, 500000)
        g.sh("ethtool -K eth0 tx off tso off gso off gro off")
        streams(g, OWN, 2, 500000)
        g.finish()
    finally:
        sh("ip", "link", "set", f"mt{OWN}", "mtu", "1500")


@case("two pairs of queues carry streams, and one may be turned off", rows="default")
def net_pairs(w):
    g = w.own(PAIRS, nets=[Net(f"mt{PAIRS}", queues=2)])
    now = g.sh("ethtool -l eth0 | grep Combined:").split()
    assert now[1] == "2", f"ethtool says {now}"
    streams(g, PAIRS, 8, 200000)
    g.sh("ethtool -L eth0 combined 2")
    streams(g, PAIRS, 8, 200000)
    g.sh("ethtool -L eth0 combined 1")
    streams(g, PAIRS, 4, 200000)
    g.finish()


def need_vhost():
    sh("modprobe", "vhost_net", check=False)
    if not os.path.exists("/dev/vhost-net"):
        raise Skip("there is no /dev/vhost-net here")


@case("the kernel's vhost-net carries the streams of two pairs, also of a driver that comes back")
def net_vhost(w):
    need_vhost()
    g = w.own(PAIRS, nets=[Net(f"mt{PAIRS}", queues=2, vhost=True)])
    g.sh("ethtool -L eth0 combined 2")
    streams(g, PAIRS, 8, 200000)
    name = g.sh("basename $(readlink -f /sys/class/net/eth0/device)")
    g.sh(f"echo {name} >/sys/bus/virtio/drivers/virtio_net/unbind; "
         f"echo {name} >/sys/bus/virtio/drivers/virtio_net/bind; ip-from-cmdline 2>/dev/null")
    ping(g, PAIRS)
    streams(g, PAIRS, 4, 200000)
    g.finish()


@case("vhost-net's interrupts are moved between CPUs under load, and none is lost", rows="default")
def net_vhost_moved(w):
    need_vhost()
    g = w.own(PAIRS, nets=[Net(f"mt{PAIRS}", queues=2, vhost=True)])
    g.sh("ethtool -L eth0 combined 2; echo 'while :; do for cpu in 1 2; do "
         "for n in $(grep \"virtio.*put\" /proc/interrupts | cut -d: -f1); do "
         "echo $cpu >/proc/irq/$n/smp_affinity; done; sleep 0.02; done; done' >move.sh; "
         "setsid sh move.sh >move.out 2>&1 & echo $! >move.pid")
    streams(g, PAIRS, 8, 200000)
    ping(g, PAIRS, 50)
    g.sh("kill $(cat move.pid); ! grep . move.out")
    moved = [line.split() for line in g.sh("grep virtio.*put /proc/interrupts").splitlines()]
    assert sum(int(irq[1]) > 2 and int(irq[2]) > 2 for irq in moved) >= 2, moved
    g.finish()


@case("the unit tests of a tap and vhost-net pass on this kernel", rows="default", only="minnow")
def net_unit(w):
    need_vhost()
    program = os.path.join(os.path.dirname(w.program), "tests/virtio_net_tap_vhost_test")
    if not os.path.exists(program):
        raise Skip(f"{program} is not built")
    done = subprocess.run([program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=300, check=False)
    print("".join(f"# {line}\n" for line in done.stdout.splitlines()), end="")
    assert done.returncode == 0 and " # SKIP" not in done.stdout and "[  SKIPPED ]" not in done.stdout


@case("a limit of 2 MiB/s out of the guest and of 1 MiB/s into it holds", rows="default",
      only="minnow")
def net_limits(w):
    g = w.own(nets=[Net(f"mt{OWN}", limits="tx-bps=2M,rx-bps=1M")])
    for more, most in (("", 2), ("-R", 1)):
        rate = iperf(g, OWN, more, 6)[0] / 8.39
        print(f"# {rate:.2f} MiB/s of {most}")
        # A bucket holds one second's worth at first, and the sender's own queue takes some.
        assert most / 4 < rate < most * 1.5, f"{rate:.2f} MiB/s, of {most}"
    g.finish()


@case("the MAC address is the one that was given")
def net_mac(w):
    got = w.shared().sh("cat /sys/class/net/eth0/address")
    assert got == w.options().nets[0].mac, got


@case("a tap that goes down and up again passes packets again", rows="default")
def net_down(w):
    g = w.shared()
    sh("ip", "link", "set", "mt0", "down")
    try:
        g.sh(f"ping -q -i 0.2 -W 1 -c 5 {HOST.format(0)} >/dev/null", check=False)
    finally:
        sh("ip", "link", "set", "mt0", "up")
    until(lambda: not g.sh(f"ping -q -W 2 -c 1 {HOST.format(0)} >/dev/null", check=False)[0], 60,
          "no packet has passed")
    streams(g, 0, 2, 100000)


@case("the driver lets go of a busy network and takes it again, three times")
def net_rebind(w):
    g = w.shared()
    name = g.sh("basename $(readlink -f /sys/class/net/eth0/device)")
    for _ in range(3):
        g.sh(f"(ping -q -f -w 30 {HOST.format(0)} >/dev/null 2>&1 &); sleep 0.5; "
             f"echo {name} >/sys/bus/virtio/drivers/virtio_net/unbind; "
             f"echo {name} >/sys/bus/virtio/drivers/virtio_net/bind; pkill ping; "
             f"ip-from-cmdline 2>/dev/null; ip -br addr show eth0")
        ping(g, 0)
    streams(g, 0, 2, 100000)
