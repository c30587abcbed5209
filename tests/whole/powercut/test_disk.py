"""The model of a disk itself: it finds what is known to be unsafe, lets pass what is safe, and knows every call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.recorded import UNKNOWN
from tests.whole.powercut.cuts import Cut, Run, cut_everywhere

BEGIN = """
import os, shutil, subprocess, sys, threading
root, marks = sys.argv[1:]
def mark(): os.write(os.open(marks, os.O_WRONLY | os.O_CREAT | os.O_APPEND), b"done\\n")
def write(name, data):
    with open(name, "wb") as file:
        file.write(data)
def sync(name):
    descriptor = os.open(name, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
os.chdir(root)
"""
NEW = 'write("new", b"n" * 2000)\n'
FORMER, LATTER = b"o" * 2000, b"n" * 2000


@pytest.fixture
def run(tmp_path: Path, need_peer: Callable[[str], None]) -> Run:
    """A disk with one file, on which something is about to be done."""
    need_peer("strace")
    run = Run(tmp_path)
    (run.before / "file").write_bytes(FORMER)
    return run


@pytest.mark.parametrize(
    ("code", "before", "after"),
    [
        (NEW + 'sync("new"); os.rename("new", "file"); sync("."); mark()', {"old", "new"}, {"new"}),
        (NEW + 'sync("new"); os.rename("new", "file"); mark()', {"old", "new"}, {"old", "new"}),
        (
            NEW + 'os.rename("new", "file"); sync("."); mark()',
            {"old", "new", "empty", "zeros", "torn"},
            {"new", "empty", "zeros", "torn"},
        ),
        (
            'file = os.open("file", os.O_WRONLY); os.pwrite(file, b"n" * 2000, 0); os.fsync(file); mark()',
            {"old", "new", "torn"},
            {"new"},
        ),
        (
            'write("file", b"n" * 2000); sync("file"); mark()',
            {"old", "new", "empty", "zeros", "torn"},
            {"new"},
        ),
        ('os.remove("file"); mark()', {"old", "gone"}, {"old", "gone"}),
        ('os.remove("file"); sync("."); mark()', {"old", "gone"}, {"gone"}),
        ('os.makedirs("a/b"); write("a/b/c", b""); sync("a"); mark()', {"old"}, {"old"}),
    ],
    ids=[
        "the safe way", "the folder is not synced", "the file is not synced", "in place", "made anew", "removed",
        "removed for good", "something else",
    ],
)  # fmt: skip
def test_what_a_file_may_be_after_a_power_cut(run: Run, code: str, before: set[str], after: set[str]) -> None:
    seen: dict[bool, set[str]] = {True: set(), False: set()}

    def fault_of(kind: str, cut: Cut) -> str:
        seen["done" in cut.said].add(kind)
        return ""

    run.record("-c", BEGIN + code, run.root, run.marks)
    cut_everywhere(run, lambda cut: kind_of(cut.tree.get("file")), fault_of, lambda _: None)
    assert (seen[False], seen[True]) == (before, after)


def kind_of(file: tuple[int, bytes | None] | None) -> str:
    if file is None:
        return "gone"
    known = {FORMER: "old", LATTER: "new", b"": "empty", bytes(2000): "zeros"}
    return known.get(file[1] or b"", "torn")


def test_a_fault_is_told_with_what_was_done_lost_and_found(run: Run) -> None:
    run.record("-c", BEGIN + NEW + 'os.rename("new", "file"); sync("."); mark()', run.root, run.marks)
    with pytest.raises(AssertionError) as caught:
        cut_everywhere(
            run,
            lambda cut: kind_of(cut.tree.get("file")),
            lambda kind, cut: "" if kind == "new" or not cut.said else f"the file is {kind}",
            lambda _: None,
        )
    told = str(caught.value)
    assert "3 kinds of faults" in told
    assert "the power was cut before: the end\n  after: rename new file; fsync .; somebody is told: done\n" in told
    assert "what was lost: nothing that waited reached the disk\n  what was there: /, file 0\n" in told
    assert "what was found: the file is empty" in told


EVERYTHING = """
os.makedirs("a/b"); os.mkdir("a/c", 0o700)
write("a/b/one", b"1" * 70_000); os.link("a/b/one", "a/c/two"); os.chmod("a/c/two", 0o600)
os.rename("a/c/two", "a/b/three"); os.replace("a/b/three", "a/c/one"); os.truncate("a/b/one", 5_000)
with open("a/c/four", "ab") as file:
    file.write(b"4"); file.flush(); os.fchmod(file.fileno(), 0o640); other = os.dup(file.fileno())
    os.write(other, b"44"); file.truncate(2); os.ftruncate(other, 20); os.write(other, b"4")
shutil.copyfile("a/c/one", "five"); shutil.copyfile(sys.executable, "six"); os.truncate("six", 9000)
with open("seven", "w+b") as file:
    file.write(b"7" * 100); file.seek(10); file.read(5); file.seek(15); file.write(b"8"); file.seek(0, 2)
    file.flush(); os.pwrite(file.fileno(), b"9", 300); os.writev(file.fileno(), [b"a", b"bc"])
    os.pwritev(file.fileno(), [b"d", b"ef"], 50)
def fill(number):
    with open(f"thread-{number}", "wb", buffering=0) as file:
        for n in range(30):
            file.write(b"%d" % n * 50); os.fsync(file.fileno())
threads = [threading.Thread(target=fill, args=(number,)) for number in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
subprocess.run(["sh", "-c", "cd a; echo one > eight; echo two >> eight; mv eight b; rm ../five"], check=True)
os.makedirs("x/y/z"); write("x/y/z/w", b"w"); shutil.rmtree("x"); os.sync(); mark()
"""


def test_all_that_a_program_does_is_replayed_to_the_last_byte(run: Run) -> None:
    run.record("-c", BEGIN + EVERYTHING, run.root, run.marks)
    (tree,) = run.trees
    assert {path for path, (_, data) in tree.items() if data is None} == {"", "a", "a/b", "a/c"}
    assert tree["a/b/one"] == tree["a/c/one"] == (0o600, b"1" * 5000)
    assert cut_everywhere(run, lambda _: "", lambda *_: "", lambda _: None) > 100


@pytest.mark.parametrize(
    "code",
    [
        'os.symlink("file", "link")',
        'os.mkfifo("pipe")',
        'import mmap; mmap.mmap(os.open("file", os.O_RDWR), 0)[0] = 1',
        'os.posix_fallocate(os.open("file", os.O_WRONLY), 0, 5000)',
        'os.open("file", os.O_WRONLY | os.O_DSYNC)',
    ],
)
def test_a_call_that_it_does_not_know_fails_the_test(run: Run, code: str) -> None:
    with pytest.raises(AssertionError, match=UNKNOWN):
        run.record("-c", BEGIN + code, run.root, run.marks)
