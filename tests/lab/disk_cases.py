"""Disk: what fio writes it reads back, and what the guest says is on the disk is in the host's file."""
import os
import re
import tempfile

from machine import Disk
from world import MIB, allocated, case, sh, sum_of

FIO = ("fio --name=f --direct=1 --ioengine=libaio --output-format=terse --terse-version=3 "
       "--verify=crc32c --verify_fatal=1 --group_reporting --randrepeat=1 ")


def fio(g, disk, more, limit=150):
    """One run, whose errors are its status; the terse line has the figures."""
    said = g.sh(f"{FIO} --filename=/dev/{disk} {more} >f.out 2>&1 || "
                "{ tail -n 15 f.out | cut -c 1-300; false; }; tail -n 1 f.out | cut -c 1-400", limit)
    fields = said.split(";")
    if len(fields) > 50 and fields[4] != "0":
        raise AssertionError(f"fio counts error {fields[4]}")


@case("fio verifies what it read and wrote at random, on ext4, 1 job", quick="all")
def disk_fio(w):
    fio(w.shared(), "vdb", "--rw=randrw --bsrange=512-64k --size=8M --iodepth=16 --fsync=16")


@case("fio verifies what it read and wrote at random, on tmpfs, 1 job", quick="default")
def disk_fio_tmpfs(w):
    fio(w.shared(), "vdc", "--rw=randrw --bsrange=512-64k --size=8M --iodepth=16 --fsync=16")


@case("fio verifies four jobs at once with flushes")
def disk_fio_jobs(w):
    fio(w.shared(), "vdb", "--rw=randrw --bsrange=4k-128k --size=4M --iodepth=32 --fsync=32 "
        "--numjobs=4 --offset_increment=4M")


@case("fio verifies that what it trimmed reads as zeroes")
def disk_fio_trim(w):
    fio(w.shared(), "vdb", "--rw=randwrite --bs=4k --size=4M --iodepth=8 --trim_percentage=20 "
        "--trim_backlog=64 --trim_verify_zero=1 --offset=32M")


@case("requests of 1 MiB arrive whole, scattered over many segments")
def disk_large(w):
    fio(w.shared(), "vdb", "--rw=write --bs=1M --size=16M --iodepth=4")


@case("what the guest wrote has the sum in the host's file that the guest counts", quick="default")
def disk_sum_out(w):
    for disk, path in (("vdb", w.scratch), ("vdc", w.in_memory)):
        g = w.shared()
        g.sh(f"head -c 8M /dev/urandom | dd of=/dev/{disk} bs=1M iflag=fullblock oflag=direct "
             "seek=2 2>/dev/null")
        theirs = g.sh(f"dd if=/dev/{disk} bs=1M skip=2 count=8 iflag=direct 2>/dev/null | "
                      "sha256sum").split()[0]
        ours = sum_of(path, 2 * MIB, 8 * MIB)
        assert ours == theirs, f"{disk}: the file has {ours}, the guest says {theirs}"


@case("what the host put in the file has the same sum in the guest", quick="default")
def disk_sum_in(w):
    with open(w.scratch, "r+b") as file:
        file.seek(40 * MIB)
        file.write(os.urandom(8 * MIB))
    theirs = w.shared().sh("dd if=/dev/vdb bs=1M skip=40 count=8 iflag=direct 2>/dev/null | "
                           "sha256sum").split()[0]
    assert theirs == sum_of(w.scratch, 40 * MIB, 8 * MIB), "the guest reads something else"


@case("a file system is made, filled, mounted again and sound on both sides", quick="default")
def disk_ext4(w):
    g = w.shared()
    g.sh("mkfs.ext4 -q -F /dev/vdb; mkdir -p m; mount /dev/vdb m")
    g.sh("head -c 6M /dev/urandom >m/big; cp -r /etc m/; sync; sha256sum <m/big >sum; "
         "cd m; find etc -type f | sort | xargs sha256sum | sha256sum >../sums")
    g.sh("umount m; mount -o ro /dev/vdb m; sha256sum <m/big | cmp - sum; cd m; "
         "find etc -type f | sort | xargs sha256sum | sha256sum | cmp - ../sums")
    g.sh("umount m; e2fsck -fn /dev/vdb >/dev/null 2>&1")
    assert sh("e2fsck", "-fn", w.scratch, check=False), "the host's e2fsck finds errors in the file"


@case("fstrim gives the host's blocks back", rows="default")
def disk_fstrim(w):
    g = w.shared()
    g.sh("mkfs.ext4 -q -F /dev/vdb; mkdir -p m; mount /dev/vdb m; head -c 24M /dev/urandom >m/big; "
         "sync")
    before = allocated(w.scratch)
    g.sh("rm m/big; sync; fstrim m; umount m")
    after = allocated(w.scratch)
    assert before - after > 16 * MIB, f"{before} bytes were allocated before, {after} after"


@case("discard and write-zeroes leave zeroes and what was beside them")
def disk_zeroes(w):
    for disk, path in (("vdb", w.scratch), ("vdc", w.in_memory)):
        w.shared().sh(f"head -c 8M /dev/urandom | dd of=/dev/{disk} bs=1M iflag=fullblock "
                      "oflag=direct 2>/dev/null")
        left, right = sum_of(path, 0, MIB), sum_of(path, 7 * MIB, MIB)
        w.shared().sh(f"blkdiscard -o 1M -l 3M /dev/{disk}; "
                      f"blkdiscard -z -o 4M -l 3M /dev/{disk}")
        with open(path, "rb") as file:
            file.seek(MIB)
            assert not any(file.read(6 * MIB)), f"{disk}: there are bytes where zeroes were asked for"
        assert (left, right) == (sum_of(path, 0, MIB), sum_of(path, 7 * MIB, MIB)), \
            f"{disk}: the neighbours changed"


@case("a read-only disk takes no write and stays as it is", quick="default")
def disk_read_only(w):
    g, path = w.shared(), w.files["root"]
    before = os.stat(path).st_mtime_ns, sum_of(path, 0, 4 * MIB)
    assert g.sh("cat /sys/block/vda/ro") == "1", "the guest takes it for writable"
    status, _ = g.sh("dd if=/dev/zero of=/dev/vda bs=4k count=1 oflag=direct 2>&1", check=False)
    assert status, "a write succeeded"
    assert before == (os.stat(path).st_mtime_ns, sum_of(path, 0, 4 * MIB)), "the file changed"


@case("the disk has an identity, a write-back cache, and the size of its file")
def disk_facts(w):
    g = w.shared()
    serials = [g.sh(f"cat /sys/block/{disk}/serial") for disk in ("vdb", "vdc")]
    assert serials[0] != serials[1] and all(re.fullmatch("[!-~]{1,20}", s) for s in serials), serials
    assert g.sh("cat /sys/block/vdb/queue/write_cache") == "write back"
    size = os.stat(w.scratch).st_size
    assert g.sh("blockdev --getsize64 /dev/vdb") == str(size)


@case("cache=unsafe offers no flush", rows="default")
def disk_unsafe(w):
    path = w.new_file("unsafe", 16)
    g = w.own(disks=[Disk(w.files["root"], ro=True), Disk(path, unsafe=True)])
    if w.monitor == "minnow":
        assert g.sh("cat /sys/block/vdb/queue/write_cache") == "write through"
    fio(g, "vdb", "--rw=randrw --bs=4k --size=4M --iodepth=8 --fsync=4")
    g.finish()


@case("four queues for four vCPUs, all in use", rows="default")
def disk_queues(w):
    path = w.new_file("queues", 32)
    g = w.own(cpus=4, disks=[Disk(w.files["root"], ro=True), Disk(path, queues=4)])
    assert g.sh("ls /sys/block/vdb/mq | wc -l") == "4"
    fio(g, "vdb", "--rw=randrw --bs=4k --size=4M --iodepth=16 --numjobs=4 --offset_increment=4M "
        "--cpus_allowed=0-3 --cpus_allowed_policy=split", 300)
    g.finish()


@case("without io_uring a worker thread does the same", rows="default", only="minnow")
def disk_worker(w):
    one, two = w.new_file("worker", 16), w.new_file("worker2", 16, w.dir)
    g = w.own(worker=True, disks=[Disk(w.files["root"], ro=True), Disk(one), Disk(two)])
    for disk in ("vdb", "vdc"):
        fio(g, disk, "--rw=randrw --bsrange=512-64k --size=4M --iodepth=16 --fsync=16")
        fio(g, disk, "--rw=randwrite --bs=4k --size=2M --iodepth=8 --trim_percentage=20 "
            "--trim_backlog=64 --trim_verify_zero=1 --offset=8M")
    assert any(thread.startswith("fc_io") for thread in g.threads()), g.threads()
    g.finish()


@case("a full host file system is an I/O error, and the guest lives on", rows="default")
def disk_full(w):
    point = tempfile.mkdtemp(dir=w.dir)
    sh("mount", "-t", "tmpfs", "-o", "size=4M", "full", point)
    try:
        path = w.new_file("full", 32, point)
        g = w.own(disks=[Disk(w.files["root"], ro=True), Disk(path)])
        status, said = g.sh("dd if=/dev/zero of=/dev/vdb bs=64k count=256 oflag=direct 2>&1",
                            check=False)
        assert status and "rror" in said, f"16 MiB fitted into 4: {said}"
        g.sh("dd if=/dev/vdb of=/dev/null bs=64k count=8 iflag=direct 2>/dev/null")
        g.sh("blkdiscard /dev/vdb; dd if=/dev/zero of=/dev/vdb bs=64k count=8 oflag=direct "
             "2>/dev/null")
        g.finish()
    finally:
        w.end_case(False)
        sh("umount", point)


@case("a file that is cut off under the guest is an I/O error, and the guest lives on",
      rows="default", only="minnow")
def disk_cut(w):
    path = w.new_file("cut", 32)
    g = w.own(disks=[Disk(w.files["root"], ro=True), Disk(path)])
    g.sh("dd if=/dev/zero of=/dev/vdb bs=1M count=16 oflag=direct 2>/dev/null")
    os.truncate(path, 8 * MIB)
    status, said = g.sh("dd if=/dev/vdb of=/dev/null bs=64k count=8 skip=200 iflag=direct 2>&1",
                        check=False)
    assert status, f"what is not there was read: {said}"
    g.sh("dd if=/dev/vdb of=/dev/null bs=64k count=8 iflag=direct 2>/dev/null")
    g.finish()


@case("a limit of 2 MiB/s and one of 100 requests/s hold", rows="default", only="minnow")
def disk_limits(w):
    one, two = w.new_file("bytes", 32), w.new_file("ops", 32)
    g = w.own(disks=[Disk(w.files["root"], ro=True), Disk(one, limits=f"bps={2 * MIB}"),
                     Disk(two, limits="iops=100")])

    def seconds(command):
        said = g.sh(f"a=$(date +%s%N); {command} 2>/dev/null; b=$(date +%s%N); "
                    "echo $(((b - a) / 1000000))", 200)
        return int(said.split()[-1]) / 1000
    # A bucket holds one second's worth at first.
    took = seconds("dd if=/dev/zero of=/dev/vdb bs=256k count=40 oflag=direct")
    print(f"# 10 MiB took {took:.1f} s")
    assert 3.4 <= took, f"10 MiB took {took} s"
    took = seconds("dd if=/dev/zero of=/dev/vdc bs=4k count=500 oflag=direct")
    print(f"# 500 requests took {took:.1f} s")
    assert 3.4 <= took, f"500 requests took {took} s"
    g.finish()


@case("the driver lets go of a busy disk and takes it again, five times")
def disk_rebind(w):
    g = w.shared()
    name = g.sh("basename $(readlink -f /sys/block/vdb/device)")
    for _ in range(5):
        g.sh("(fio --name=r --filename=/dev/vdb --direct=1 --ioengine=libaio --iodepth=16 --bs=4k "
             "--rw=randwrite --size=32M --time_based --runtime=60 >/dev/null 2>&1 &); sleep 0.7")
        g.sh(f"echo {name} >/sys/bus/virtio/drivers/virtio_blk/unbind; "
             "while pkill -9 -x fio; do sleep 0.1; done; "  # who holds the old disk holds its name
             f"echo {name} >/sys/bus/virtio/drivers/virtio_blk/bind")
        g.sh("for i in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vdb ] && break; sleep 0.3; done; "
             "[ -b /dev/vdb ]")
    fio(g, "vdb", "--rw=randrw --bs=4k --size=2M --iodepth=8")


def soak_command(disk, seconds):
    return (f"{FIO} --filename=/dev/{disk} --rw=randrw --bsrange=512-64k --size=8M --iodepth=16 "
            f"--fsync=32 --time_based --runtime={seconds}")
