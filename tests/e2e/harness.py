"""What the end-to-end scripts share: cases as functions, TAP, and minnow as a child process.

A script is called as: SCRIPT MINNOW IMAGES E2E_IMAGES [CASE...]. A case fails by raising; it skips
by raising Skip. Cases marked full=True run with MINNOW_FULL=1 in the environment only.
"""
import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time
import traceback

PASS = 33  # what guest.h's pass() makes the exit status
CASES = []


class Skip(Exception):
    pass


def case(name, full=False):
    def add(function):
        CASES.append((name, function, full))
        return function
    return add


def expect(got, wanted, what):
    if got != wanted:
        raise AssertionError(f"{what}: {short(got)}, not {short(wanted)}")


def short(value):
    text = repr(value)
    return text if len(text) < 300 else f"{text[:150]}...{text[-100:]} ({len(value)} long)"


class Paths:
    minnow = images = own = None


def image(name):
    for folder in (Paths.images, Paths.own):
        if os.path.exists(f"{folder}/{name}.img"):
            return f"{folder}/{name}.img"
    raise AssertionError(f"no image {name}")


def command(name, *options, cmdline=""):
    return [Paths.minnow, "run", "--test-device", "--cmdline", cmdline, *options, image(name)]


def start(argv, **kinds):
    """A child with its own pipes unless told otherwise."""
    for stream in ("stdin", "stdout", "stderr"):
        kinds.setdefault(stream, subprocess.PIPE)
    return subprocess.Popen(argv, **kinds)


def run(argv, seconds=30, data=None, **kinds):
    """(status, stdout, stderr) of a run to its end."""
    if data is None:
        kinds.setdefault("stdin", subprocess.DEVNULL)
    with start(argv, **kinds) as process:
        try:
            out, err = process.communicate(data, seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise AssertionError(f"did not end within {seconds} s: {' '.join(argv)}") from None
    return process.returncode, out, err


def read_until(fd, text, seconds=20, seen=b""):
    """Reads a descriptor until `text` was seen; gives all that was read."""
    deadline = time.monotonic() + seconds
    while text not in seen:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            raise AssertionError(f"no {text!r} within {seconds} s, but {short(seen)}")
        try:
            some = os.read(fd, 65536)
        except OSError:  # a pty without a slave
            some = b""
        if not some:
            raise AssertionError(f"ended without {text!r}, after {short(seen)}")
        seen += some
    return seen


def ended(process, seconds=10):
    """Its status; kills it and fails if it stays."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"did not end within {seconds} s") from None


class Terminal:
    """A pty with the monitor on it."""

    def __init__(self, argv, **kinds):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.process = start(argv, stdin=self.slave, stdout=self.slave, **kinds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()
        os.close(self.master)
        os.close(self.slave)

    def read_until(self, text, seconds=20):
        return read_until(self.master, text, seconds)

    def type(self, data):
        os.write(self.master, data)

    def now(self):
        return termios.tcgetattr(self.slave)

    def expect_raw(self):
        lflag = self.now()[3]
        if lflag & (termios.ECHO | termios.ICANON | termios.ISIG):
            raise AssertionError("the terminal is not raw during the run")

    def expect_restored(self):
        expect(self.now(), self.before, "termios after the run")


class Timeline:
    """A file for --timeline, and what was in it."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = self.folder.name + "/timeline.json"
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def read(self):
        with open(self.path, encoding="ascii") as file:
            return json.load(file)


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


def have_kvm():
    return os.access("/dev/kvm", os.R_OK | os.W_OK)


def main():
    if len(sys.argv) < 4:
        print(__doc__, file=sys.stderr)
        return 2
    Paths.minnow, Paths.images, Paths.own = (os.path.abspath(p) for p in sys.argv[1:4])
    names = sys.argv[4:]
    if not have_kvm():
        print("1..0 # SKIP /dev/kvm is missing or not writable: the monitor needs it")
        return 77
    chosen = [c for c in CASES if not names or c[0] in names]
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    print(f"1..{len(chosen)}")
    failed = 0
    for number, (name, function, full) in enumerate(chosen, 1):
        began, trouble, note = time.monotonic(), None, ""
        try:
            if full and not os.environ.get("MINNOW_FULL"):
                raise Skip("long; MINNOW_FULL=1 runs it")
            function()
        except Skip as reason:
            note = f" # SKIP {reason}"
        except Exception:  # pylint: disable=broad-except
            trouble = traceback.format_exc()
            failed += 1
        print(f"{'not ok' if trouble else 'ok'} {number} - {name}{note}", flush=True)
        print(f"# {time.monotonic() - began:.2f} s", flush=True)
        for line in (trouble or "").splitlines():
            print(f"# {line}", flush=True)
    return 1 if failed else 0
