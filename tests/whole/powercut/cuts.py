"""Cutting the power everywhere: record one job, replay it, and start on every state that the disk may be in."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.fakes.appliance import environment
from tests.fakes.powercut import PLAIN, Disk, Tree, differences, digest, emptied, put, tree_of
from tests.fakes.recorded import Recorded
from tests.fakes.traced import Call, calls, trace

MOST_TOLD = 8  # kinds of failing states that are shown
INDEX = "-shm"
LAST = 6  # moments before a cut that are shown

Found = TypeVar("Found")


@dataclass(frozen=True)
class Cut:
    """One power cut: what is left, and what somebody had been told by then. `plain`: all files and folders alike."""

    tree: Tree
    said: tuple[str, ...]
    plain: bool


@dataclass
class Run:
    """One job that was recorded. `before`: the disk as it was, `root`: where the job ran, at first the same."""

    folder: Path
    said: list[str] = field(default_factory=list)  # its marks
    trees: list[Tree] = field(default_factory=list)  # the disk at each of them
    _calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.before.mkdir()

    @property
    def before(self) -> Path:
        return self.folder / "before"

    @property
    def root(self) -> Path:
        return self.folder / "site"

    @property
    def marks(self) -> Path:
        return self.folder / "marks"

    def record(self, *words: str | Path, links: bool = True) -> None:
        """Run the job, as words for Python; the replay of all that it did must be what it left."""
        shutil.copytree(self.before, self.root)
        trace([sys.executable, *words], self.folder / "log", environment(), links=links)
        self._calls = list(calls(self.folder / "log"))
        disk, replay = self.replay()
        for moment in replay.moments():
            if moment.says:
                self.said.append(moment.says)
                self.trees.append(without_index(disk.now()))
        said = self.marks.read_text().splitlines() if self.marks.exists() else []
        assert sorted(self.said) == sorted(said)  # of several processes, which may say it at once
        assert differences(without_index(disk.now()), without_index(tree_of(self.root))) == []

    def replay(self) -> tuple[Disk, Recorded]:
        """The disk at the beginning, and all that is done to it."""
        disk = Disk(self.before, self.root)
        return disk, Recorded(disk, self._calls, self.marks)

    def down(self, tree: Tree, name: str = "state") -> Path:
        """A state of the disk as real files, where the last one of that name was."""
        site = emptied(self.folder / name)
        put(tree, site)
        return site


def cut_everywhere(
    run: Run, start: Callable[[Cut], Found], fault_of: Callable[[Found, Cut], str], beside: Callable[[Cut], object]
) -> int:
    """How many states there were. `start` finds what is on a disk, once for each state and what `beside` says of it."""
    disk, replay = run.replay()
    found: dict[object, Found] = {}
    failed: dict[str, list[str]] = {}
    passed: list[str] = []
    states = set()
    for moment in replay.moments():
        for number, loss in enumerate(disk.losses()):
            cut = Cut(disk.after(loss), moment.said, number < PLAIN)
            state = digest(cut.tree)
            states.add(state)
            key = state, beside(cut)
            if key not in found:
                found[key] = start(cut)
            if fault := fault_of(found[key], cut):
                failed.setdefault(fault, []).append(
                    f"the power was cut before: {moment.call}\n  after: {'; '.join(passed[-LAST:])}\n"
                    f"  what was lost: {loss.said}\n  what was there: {shown(cut.tree)}\n  what was found: {fault}"
                )
        passed.append(moment.call)
    told = "\n\n".join(f"{len(cuts)} times: {cuts[0]}" for cuts in list(failed.values())[:MOST_TOLD])
    assert not failed, f"{len(failed)} kinds of faults in {len(states)} states of the disk.\n\n{told}"
    return len(states)


def without_index(tree: Tree) -> Tree:
    """SQLite's index of its log is written through memory, where strace does not see it."""
    return {path: what for path, what in tree.items() if not path.endswith(INDEX)}


def shown(tree: Tree) -> str:
    """Files with their sizes."""
    return ", ".join(f"{path}/" if data is None else f"{path} {len(data)}" for path, (_, data) in sorted(tree.items()))
