"""What the lints share: which files are the project's, and C without its comments."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def files(*folders, ends=("",)):
    """Paths from the root, sorted: of git when there is one, so that builds and caches stay out."""
    git = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "ls-files", "-z", "-co",
                          "--exclude-standard"], capture_output=True, text=True, check=False)
    if git.returncode == 0:
        found = git.stdout.split("\0")
    else:
        found = [os.path.relpath(os.path.join(folder, name), ROOT)
                 for folder, inner, names in os.walk(ROOT) for name in names
                 if not re.match(r"(build|\.git)", os.path.relpath(folder, ROOT))]
    return sorted(p for p in found if p.endswith(tuple(ends)) and os.path.isfile(f"{ROOT}/{p}")
                  and (not folders or p.startswith(tuple(f + "/" for f in folders))))


def read(path):
    with open(f"{ROOT}/{path}", encoding="utf-8", errors="replace") as file:
        return file.read()


def without_comments(text):
    """The same text with blanks for comments and for what is in string literals; lines stay."""
    def blank(match):
        found = match.group(0)
        if found[0] == '"':
            return '"' + " " * (len(found) - 2) + '"'
        return re.sub(r"[^\n]", " ", found)
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


def expect(what, got, wanted):
    """One check of a self-test."""
    if got != wanted:
        sys.exit(f"self-test: {what}: got {got}, wanted {wanted}")


def finish(complaints, fine):
    """Prints what was found and ends with the status for it."""
    for complaint in complaints:
        print(complaint)
    if complaints:
        sys.exit(f"{len(complaints)} found")
    print(fine)
