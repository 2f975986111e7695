"""The steps of tools/check, which sees to the packages and then runs this."""
import argparse
import glob
import json
import os
import re
import signal
import subprocess
import sys
import time

LOGS = "build/logs"
CHIPS = re.compile(r"src/((irq|pc)/[^/]+|virtio/(queue|virtio|limiter))\.c$")
CHIP_LINES = 95  # percent

# An emulating host takes minutes for millions of exits, so the floods and sweeps are left to hosts
# with a KVM of their own; and its clock does not run evenly, so the guests that time ticks are too.
LAB_GUESTS = [
    "hello32", "hello32 in 64 MiB", "hello32 in 4 GiB", "hello32 to a file", "hello64", "realmode",
    "LAPIC timer", "1 CPUs", "2 CPUs", "4 CPUs", "leave by cf9", "leave by cf9hard", "leave by kbd",
    "leave by p92", "leave by s5", "leave by triple", "leave by exit0", "leave by exit42",
    "smallest image", "smallest PVH image", "echo by polling", "echo by interrupt", "holes",
    "8-byte holes", "code from nowhere", "virtio at work, pci", "virtio at work, mmio",
]

INSTRUMENTED = ["-Dwerror=false", "-Dbuildtype=debugoptimized"]  # gcc warns of other things then
BUILDS = {
    "build": ("gcc", []),
    "build-clang": ("clang", []),  # with -Wthread-safety
    "build-asan": ("gcc", ["-Db_sanitize=address,undefined", *INSTRUMENTED]),
    "build-tsan": ("gcc", ["-Db_sanitize=thread", *INSTRUMENTED]),
    "build-coverage": ("gcc", ["-Db_coverage=true", "-Dwerror=false", "-Dbuildtype=debug"]),
}

# Cases that some build cannot pass, and why: they count as skipped there.
EXCUSED = {
    "build-asan": {
        "e2e / usage: a host without memory for the guest":
            "AddressSanitizer needs more address space than the limit leaves",
        "e2e / usage: a host without descriptors":
            "a program linked dynamically needs descriptors to load",
    },
    "build-coverage": {
        "e2e / usage: a host without descriptors":
            "a program linked dynamically needs descriptors to load",
    },
}


class Tally:
    """What one step, or all of them, found."""

    def __init__(self, excused=None):
        self.passed = self.failed = self.skipped = self.excuses = 0
        self.notes = []
        self.excused = excused or {}

    def fail(self, what):
        if what in self.excused:
            self.excuses += 1
            self.skip(what, self.excused[what])
            return
        self.failed += 1
        self.notes.append(f"failed: {what}")

    def skip(self, what, why):
        self.skipped += 1
        self.notes.append(f"skipped: {what}: {why}")

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped


def kvm():
    return os.access("/dev/kvm", os.R_OK | os.W_OK)


def run(log, command, env=None, mode="wb", seconds=None):
    """Runs it with all output in build/logs/LOG; the status."""
    with open(f"{LOGS}/{log}", mode) as file:
        file.write(f"$ {' '.join(command)}\n".encode())
        file.flush()
        try:
            return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file,
                                  stderr=subprocess.STDOUT, env={**os.environ, **(env or {})},
                                  timeout=seconds, check=False).returncode
        except subprocess.TimeoutExpired:
            file.write(f"stopped after {seconds} s\n".encode())
            return 124


def tail(log, lines=12):
    with open(f"{LOGS}/{log}", encoding="utf-8", errors="replace") as file:
        return "".join(f"    | {line}" for line in file.readlines()[-lines:])


def told(text):
    """The diagnostics in TAP, but for the times that cases took."""
    lines = [line for line in text.splitlines() if line.startswith("# ")]
    return [line for line in lines if not re.fullmatch(r"# [\d.]+ s", line)][:20]


def count_tap(text, where, tally):
    """Counts the cases in TAP; False when there is none in the text."""
    plan = re.search(r"^1\.\.(\d+)(?:\s*#\s*SKIP\b\s*(.*))?", text, re.M | re.I)
    cases = re.findall(r"^(ok|not ok)\b[ \t]*(\d*)[ \t]*(?:-[ \t]*)?([^#\n]*)(#[^\n]*)?", text, re.M)
    if not plan and not cases:
        return False
    if plan and plan[1] == "0":
        tally.skip(where, plan[2] or "it has no cases")
    for word, _, name, directive in cases:
        skip = re.match(r"#\s*SKIP\S*\s*(.*)", directive, re.I)
        if skip:
            tally.skip(f"{where}: {name.strip() or skip[1]}", skip[1] or "it does not say why")
        elif word == "ok":
            tally.passed += 1
        else:
            tally.fail(f"{where}: {name.strip()}")
    if plan and int(plan[1]) != len(cases):
        tally.fail(f"{where}: {len(cases)} of {plan[1]} cases were run")
    elif not plan:
        tally.fail(f"{where}: stopped before it said how many cases there are")
    return True


def count_meson(folder, tally):
    """Counts what `meson test` wrote down, case by case where a test tells its cases."""
    tests = 0
    with open(f"{folder}/meson-logs/testlog.json", encoding="utf-8") as file:
        for line in file:
            test = json.loads(line)
            tests += 1
            name, result, said = test["name"].split(":", 1)[-1], test["result"], test.get("stdout", "")
            failed, before = tally.failed, tally.failed + tally.excuses
            if count_tap(said, name, tally):
                # All cases fine, and the test not: a sanitizer spoke at its end, say.
                if result not in ("OK", "SKIP", "EXPECTEDFAIL") and \
                        tally.failed + tally.excuses == before:
                    tally.fail(f"{name}: {result}, status {test.get('returncode')}")
            elif result in ("OK", "EXPECTEDFAIL"):
                tally.passed += 1
            elif result == "SKIP":
                tally.skip(name, said.strip().split("\n")[-1] or "it does not say why")
            else:
                tally.fail(f"{name}: {result}, status {test.get('returncode')}")
            if tally.failed > failed:
                tally.notes += told(said)
    return tests


class Check:
    def __init__(self):
        self.total = Tally()
        self.failures = []
        self.broken = set()  # builds that failed

    def step(self, name, what, *args, needs=None):
        """Runs one step and prints its line."""
        tally, start = Tally(EXCUSED.get(name.split(":")[0])), time.monotonic()
        if needs in self.broken:
            tally.skip(name, f"{needs} did not build")
        else:
            what(tally, *args)
        took = time.monotonic() - start
        counts = f"{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped"
        print(f"{name:<24} {took:7.1f} s   "
              f"{counts if tally.passed + tally.failed + tally.skipped else 'done'}")
        for note in tally.notes:
            print(f"  {note}")
            if note.startswith("failed: "):
                self.failures.append(f"{name}: {note}")
        self.total.add(tally)

    def build(self, folder):
        def steps(tally):
            compiler, options = BUILDS[folder]
            log = f"{folder}.log"
            env = {"CC": compiler}
            status = 0
            open(f"{LOGS}/{log}", "wb").close()
            if not os.path.exists(f"{folder}/build.ninja"):
                status = run(log, ["meson", "setup", folder, *options], env, "ab")
            status = status or run(log, ["ninja", "-C", folder], env, "ab")
            if status:
                self.broken.add(folder)
                tally.fail(f"{folder}: see {LOGS}/{log}\n{tail(log)}".rstrip())
        self.step(folder, steps)

    def suites(self, folder, *suites, slower=1, env=None):
        def steps(tally):
            # Named one by one: meson takes a suite that does not exist for an error.
            known = json.loads(subprocess.run(["meson", "introspect", "--tests", folder], check=True,
                                              capture_output=True).stdout)
            there = {s.split(":")[-1] for t in known for s in t["suite"]}
            chosen = [s for s in suites if s in there]
            wanted = sum(bool({s.split(":")[-1] for s in t["suite"]} & set(chosen)) for t in known)
            log = f"{folder}-{'-'.join(suites)}.log"
            if not chosen:
                return
            status = run(log, ["meson", "test", "-C", folder, "--no-rebuild", "--print-errorlogs",
                               "-t", str(slower), *[a for s in chosen for a in ("--suite", s)]], env)
            ran = count_meson(folder, tally)
            if ran != wanted:
                tally.fail(f"{ran} of {wanted} tests were run; see {LOGS}/{log}")
            elif status and not tally.failed + tally.excuses:
                tally.fail(f"meson test ended with status {status}; see {LOGS}/{log}")
            if tally.failed:
                os.replace(f"{folder}/meson-logs/testlog.txt", f"{LOGS}/{log}.tests")
                tally.notes.append(f"see {LOGS}/{log}.tests")
        self.step(f"{folder}: {' '.join(suites)}", steps, needs=folder)

    def kvm_suites(self, folder, *suites, **more):
        """Suites that say themselves, as one skip each, when there is no KVM."""
        for suite in suites:
            self.suites(folder, suite, **more)

    def static(self, name, *command):
        def steps(tally):
            if run(f"{name}.log", [*command]):
                tally.fail(f"{name}: see {LOGS}/{name}.log\n{tail(name + '.log')}".rstrip())
            else:
                tally.passed += 1
        self.step(name, steps, needs="build-clang" if name == "clang-tidy" else "build")

    def tap(self, name, command, wanted=None, env=None, seconds=None):
        """A command that prints TAP."""
        def steps(tally):
            log = f"{name.replace(' ', '-')}.log"
            status = run(log, command, env, seconds=seconds)
            with open(f"{LOGS}/{log}", encoding="utf-8", errors="replace") as file:
                said = file.read()
            if not count_tap(said, name, tally) or (status and not tally.failed):
                tally.fail(f"{name}: ended with status {status}; see {LOGS}/{log}\n{tail(log)}".rstrip())
            elif wanted and tally.passed + tally.failed + tally.skipped != wanted:
                tally.fail(f"{name}: {wanted} cases were wanted; see {LOGS}/{log}")
            elif tally.failed:
                tally.notes.append(f"see {LOGS}/{log}")
            # Where only this output is kept, what went wrong has to be in it.
            tally.notes += told(said)
        self.step(name, steps, needs="build")

    def lab(self, full):
        self.tap("lab: guests", ["tools/lab", "--time", "600", " ".join(
            ["GUEST_TRIES=2", "tests/guest/run", "build/minnow", "build/tests/guest",
             *[f"'{name}'" for name in LAB_GUESTS]])], wanted=len(LAB_GUESTS))
        # What only a stock kernel shows: idle wake-ups, memory, a console under load.
        self.tap("lab: linux", ["bash", "-c", "set -e; kernel=$(tools/guest-kernel cloud-6.1); "
            f"tests/initrd/build {LOGS}/initrd; tools/lab --time 3000 \"MINNOW_FULL=$MINNOW_FULL "
            f"tests/lab/linux build/minnow '$kernel' {LOGS}/initrd\""],
            env={"MINNOW_FULL": "1" if full else ""})
        self.tap("lab: virtio", ["tests/lab/virtio", "--full" if full else "--quick"])
        self.tap("lab: clients", ["tests/clients/run", "--full" if full else "--quick"])
        subset = "full" if full else "quick"
        self.tap(f"lab: boots {subset}", ["tests/boots/run", "--logs", f"{LOGS}/boots", subset])

    def coverage(self, guests):
        """Lines run by the units alone, which the chips are held to, and with the guests."""
        folder = "build-coverage"
        self.build(folder)
        for old in glob.glob(f"{folder}/**/*.gcda", recursive=True):
            os.unlink(old)
        self.suites(folder, "unit", slower=3)
        units, every = {}, {}

        def measure(tally, into):
            log = "gcovr.log"
            status = run(log, ["gcovr", "-r", ".", "--filter", "src/", "--json-summary",
                               f"{LOGS}/coverage.json", folder])
            if status:
                tally.fail(f"gcovr ended with status {status}\n{tail(log)}".rstrip())
                return
            with open(f"{LOGS}/coverage.json", encoding="utf-8") as file:
                for f in json.load(file)["files"]:
                    into[f["filename"]] = (f["line_covered"], f["line_total"])
        self.step("coverage of units", measure, units, needs=folder)
        if guests and kvm():
            self.kvm_suites(folder, "guest", "e2e", slower=3)
            self.step("coverage of all", measure, every, needs=folder)

        def judge(tally):
            for path in sorted(f for f in set(units) | set(every) if f.endswith(".c")):
                # A file that no unit links has no line in the first table.
                done, lines = units.get(path, (0, 0))
                percent = 100 * done / lines if lines else 0
                alone = f"{percent:5.1f} %" if lines else "      -"
                both, of = every.get(path, (0, 0))
                guests = f"{100 * both / of:5.1f} %" if of else "      -"
                print(f"  {path:<28} {of or lines:5} lines   units {alone}   with guests {guests}")
                if CHIPS.match(path):
                    if percent >= CHIP_LINES:
                        tally.passed += 1
                    else:
                        tally.fail(f"{path}: {percent:.1f} % of its lines, not {CHIP_LINES}")
        self.step("coverage of chips", judge, needs=folder)


def main():
    parser = argparse.ArgumentParser(prog="tools/check")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--full", action="store_true", help="all boots on all hosts, and clang-tidy")
    kind.add_argument("--quick", action="store_true", help="units, lints and replayed fuzzing")
    kind.add_argument("--coverage", action="store_true", help="the coverage table alone")
    args = parser.parse_args()
    start = time.time() - float(os.environ.get("CHECK_START", time.time()))
    print(f"{'setup':<24} {start:7.1f} s   done")
    # What nohup or a background job ignores, every program below it would: tests send these.
    for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(ignored, signal.SIG_DFL)
    check = Check()
    if args.coverage:
        check.coverage(guests=True)
    else:
        check.build("build")
        check.suites("build", "lint", "unit", "fuzz")
        if not args.quick:
            everything(check, args.full)
    total, took = check.total, time.time() - float(os.environ.get("CHECK_START", time.time()))
    # Where only the end of this output is kept, it has to name what failed.
    for failure in check.failures:
        print(failure)
    print(f"{'all':<24} {took:7.1f} s")
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    sys.exit(1 if total.failed else 0)


def everything(check, full):
    check.kvm_suites("build", "guest", "e2e", slower=3 if full else 1,
                     env={"MINNOW_FULL": "1" if full else ""})
    check.build("build-clang")
    check.suites("build-clang", "unit")
    check.static("cppcheck", "cppcheck", "--project=build/compile_commands.json", "--quiet",
                 "--file-filter=*src/*", "--enable=warning,performance,portability",
                 "--inline-suppr", "--suppress=missingIncludeSystem",
                 # The compilers follow a value through functions, this one does not.
                 "--suppress=uninitvar", "--error-exitcode=1")
    if full:
        sources = sorted(glob.glob("src/**/*.c", recursive=True)) + ["seccomp/gen.c"]
        check.static("clang-tidy", "sh", "-c", "printf '%s\\n' \"$@\" | "
                     "xargs -P \"$(nproc)\" -n 4 clang-tidy -p build-clang --quiet", "-", *sources)
    check.build("build-asan")
    check.suites("build-asan", "unit", "fuzz", slower=3)
    check.kvm_suites("build-asan", "guest", "e2e", slower=3)
    check.build("build-tsan")
    check.kvm_suites("build-tsan", "guest", slower=3)
    check.coverage(guests=full)
    check.lab(full)


main()
