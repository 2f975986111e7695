"""What a monitor holds while its guest runs: descriptors, and memory of its own beside guest RAM."""
import os


class Footprint:
    """The most of both that was seen by the calls of look()."""

    def __init__(self, pid):
        self.pid = pid
        self.descriptors = self.own_kib = 0

    def look(self):
        try:
            descriptors, own = len(os.listdir(f"/proc/{self.pid}/fd")), own_kib(self.pid)
        except OSError:
            return  # it has ended
        self.descriptors = max(self.descriptors, descriptors)
        self.own_kib = max(self.own_kib, own)


def own_kib(pid):
    """Anonymous memory but for guest RAM, which alone is kept out of core dumps; 0 for a build that is
    not static, since its runtimes have memory of their own, and for a list that the process's end cut."""
    total = size = 0
    with open(f"/proc/{pid}/smaps", encoding="ascii") as file:
        rows = file.readlines()
    if not any("[stack]" in row for row in rows) or any("libc.so" in row for row in rows):
        return 0
    for row in rows:
        if row.startswith("Anonymous:"):
            size = int(row.split()[1])
        elif row.startswith("VmFlags:"):
            total += 0 if "dd" in row.split() else size
    return total
