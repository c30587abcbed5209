"""The power is cut under an agent: whatever of the unsynced is lost, no command runs twice and no result is lost.

As in test_server.py: a process does its work under strace, a model of a disk is told of every call, and at each moment
that matters the power is cut in every way that the model knows. Then the agent starts on what is left.
Source: security.md 3.3 and 3.4, F5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.agent import journal, update
from appliance.agent.driver import run_once
from tests.agent.kit import Built
from tests.whole.powercut.agent_jobs import FILES, HOME, INSTALLED, NEW, OLD, STORE, lab_of, packages
from tests.whole.powercut.cuts import Cut, Run, cut_everywhere

UNKNOWN = "ERR_DONE_FAILED"


@dataclass(frozen=True)
class Found:
    """What the journal said, and what became of the package after two starts."""

    phases: tuple[str, ...]
    damaged: bool
    ran: int
    post: int
    codes: frozenset[str]
    left: int
    installed: bool
    stored: bool


def prepared(name: str, folder: Path) -> tuple[Run, Built]:
    """A job that was recorded, and its package."""
    run = Run(folder)
    built = packages(run.root, run.marks)[name]
    run.record("-m", "tests.whole.powercut.agent_jobs", name, run.root, run.marks)
    return run, built


@pytest.mark.parametrize("name", ["launch", "execute", "store"])
def test_after_a_power_cut_at_any_moment_a_package_comes_to_its_end_and_nothing_runs_twice(
    name: str, tmp_path: Path, need_peer: Callable[[str], None]
) -> None:
    need_peer("strace")
    run, built = prepared(name, tmp_path)
    assert run.said.count("told SUCCESS") == 1
    assert run.said.count("ran") == (name != "store")

    def is_told(cut: Cut) -> bool:
        return "told SUCCESS" in cut.said

    def start(cut: Cut) -> Found:
        root = run.down(cut.tree, run.root.name)  # where it was: the package names places there
        run.marks.write_text("")
        path = root / HOME / "spool" / built.id / "journal"
        before = journal.read(path.read_bytes() if path.exists() else b"")
        lab = lab_of(root, built)
        lab.server.finished = {built.id} if is_told(cut) else set()
        run_once(lab.start())
        run_once(lab.start())
        ran = run.marks.read_text().splitlines()
        return Found(
            tuple(entry["phase"] for entry in before.entries),
            before.damaged,
            ran.count("ran"),
            ran.count("post"),
            frozenset(code for _, code in lab.server.codes),
            len(lab.leftovers()),
            built.id in lab.start().spool.history(),
            all((root / STORE / name).exists() and (root / STORE / name).read_bytes() == FILES[name] for name in FILES),
        )

    def fault_of(found: Found, cut: Cut) -> str:
        codes = found.codes | ({"SUCCESS"} if is_told(cut) else set())
        if cut.said.count("ran") + found.ran > 1 or cut.said.count("post") + found.post > 1:
            return "a command ran twice"
        if codes not in ({"SUCCESS"}, {UNKNOWN}):
            return f"the server was told {sorted(codes)}"
        if "SUCCESS" in codes and not (cut.said.count("ran") + found.ran or found.stored):
            return "a success, and it was not done"
        if found.left or found.installed != ("SUCCESS" in codes):
            return "what is remembered is not what was told"
        noted = tuple(said.split()[1] for said in cut.said if said.startswith("noted"))
        is_over = ("POST_EXITED" if built.pack.post_command.strip() else "ACKED") in noted
        if not is_over and found.phases[: len(noted)] != noted:
            return f"the journal had {' '.join(noted)}, and has {' '.join(found.phases)}"
        if UNKNOWN in codes and "ARMED" not in found.phases and not found.damaged:
            return "nobody knew what became of a command that was not armed"
        return ""

    assert cut_everywhere(run, start, fault_of, is_told) > 100


def test_what_was_withdrawn_does_not_come_back(tmp_path: Path, need_peer: Callable[[str], None]) -> None:
    need_peer("strace")
    run, built = prepared("withdrawn", tmp_path)

    def is_there(cut: Cut) -> bool:
        return built.id in lab_of(run.down(cut.tree), built).start().spool.holdings

    def fault_of(found: bool, cut: Cut) -> str:
        return "it is there again" if found and "withdrawn" in cut.said else ""

    assert cut_everywhere(run, is_there, fault_of, lambda _: None) > 40


def test_the_agents_file_is_the_old_one_or_the_new_one_and_not_the_old_one_again(
    tmp_path: Path, need_peer: Callable[[str], None]
) -> None:
    need_peer("strace")
    run = Run(tmp_path)
    (run.before / INSTALLED).parent.mkdir()
    (run.before / INSTALLED).write_bytes(OLD)
    (run.before / INSTALLED).chmod(0o755)
    run.record("-m", "tests.whole.powercut.agent_jobs", "update", run.root, run.marks)
    assert run.trees[-1][INSTALLED] == (0o755, NEW)

    def start(cut: Cut) -> tuple[bytes, bool]:
        root = run.down(cut.tree)
        home = lab_of(root, packages(root, run.marks)["execute"]).folder
        begun = update.begin(root / INSTALLED, home)
        if begun.restart:
            begun = update.begin(root / INSTALLED, home)
        return (root / INSTALLED).read_bytes(), begun.restart or (root / INSTALLED).stat().st_mode & 0o777 != 0o755

    def fault_of(found: tuple[bytes, bool], cut: Cut) -> str:
        file, is_unfit = found
        return "" if file in ((NEW,) if "swapped" in cut.said else (OLD, NEW)) and not is_unfit else "it is neither"

    assert cut_everywhere(run, start, fault_of, lambda _: None) > 40
