"""The power is cut under a server: whatever of the unsynced is lost, it starts, and what was acknowledged is there.

A process does its work under strace; every call that changes a file is replayed on a model of a disk
(tests/fakes/powercut.py). Each time that the disk is told to keep something, before each rename and removal, and
whenever somebody was told that something is done, the power is cut in every way that the model knows. Each state is put
down as real files, and a server starts on it. SQLite's own files are treated like all others.
Source: security.md 3.4, F5.
"""

from __future__ import annotations

import asyncio
import io
import sqlite3
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.clock import Clock
from appliance.domain.draft import Draft
from appliance.domain.refusal import Refusal
from appliance.operations import drafts
from appliance.operations.check import check
from appliance.operations.desk import Desk, open_desk
from appliance.operations.drafts import list_drafts
from appliance.operations.start import sweep
from appliance.store.backup import has_data
from tests.fakes.appliance import dump
from tests.fakes.powercut import digest, tree_of
from tests.store.test_shelf import look
from tests.whole.powercut import jobs
from tests.whole.powercut.cuts import Cut, Run, cut_everywhere
from tests.whole.powercut.jobs import SENT, silent

DATA = "srv/data"
WRECK = "a wreck"
MUCH = 2**62


@dataclass(frozen=True)
class Case:
    """A job, and what was there before it."""

    before: Callable[[Path], None]
    job: Callable[..., object]
    files: bool = True  # whether the files are there that the rows name
    links: bool = True  # whether files can have second names


CASES = {
    "first start": Case(jobs.nothing, jobs.start),
    "build": Case(jobs.one_package, jobs.build),
    "upload": Case(jobs.one_draft, jobs.upload),
    "build of an upload without links": Case(jobs.a_file, jobs.build_upload, links=False),
    "bare file": Case(jobs.one_draft, jobs.installer),
    "another file": Case(jobs.half_a_file, jobs.another_file),
    "edit": Case(jobs.one_package, jobs.edit),
    "edit of the name": Case(jobs.one_package, jobs.rename),
    "edit of the name without links": Case(jobs.one_package, jobs.rename, links=False),
    "deployment": Case(jobs.a_computer, jobs.deploy),
    "deletion": Case(jobs.one_package, jobs.delete),
    "backup": Case(jobs.one_package, jobs.keep),
    "restore": Case(jobs.a_backup, jobs.bring_back),
    "restore over other data": Case(jobs.other_data, jobs.bring_back),
    "restore over a wreck": Case(jobs.a_wreck, jobs.bring_back),
    "new version": Case(jobs.an_old_one, jobs.update, files=False),
}


@dataclass(frozen=True)
class Found:
    """What a start found: the rows' digest, and how much there is of each upload. `fault`: why it could not."""

    rows: str = ""
    uploads: Mapping[str, int] | None = None
    fault: str = ""


@pytest.mark.parametrize("name", CASES)
def test_after_a_power_cut_at_any_moment_a_server_starts_and_has_what_was_acknowledged(
    name: str, tmp_path: Path, need_peer: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    need_peer("strace")
    monkeypatch.setattr(drafts, "SMALLEST_PIECE", 1)
    run, case = Run(tmp_path), CASES[name]
    case.before(run.before / "srv")
    pictures = [picture(run.down(tree_of(run.before)) / DATA, case)]
    words = ("-m", "tests.whole.powercut.jobs", case.job.__name__, run.root / DATA, run.marks)
    run.record(*words, links=case.links)
    pictures += [picture(run.down(tree) / DATA, case) for tree in run.trees]
    seen: dict[str, Found] = {}

    def start(cut: Cut) -> Found:
        site = run.down(cut.tree)
        try:
            asyncio.run(started(site / DATA))
            after = digest(tree_of(site))
            if after not in seen:  # many starts end in the same
                seen[after] = looked_over(site / DATA, case)
        except (AssertionError, Refusal, OSError, sqlite3.Error) as fault:
            return Found(fault=f"{type(fault).__name__}: {str(fault)[:2000]}".replace(str(site), ""))
        return seen[after]

    def fault_of(found: Found, cut: Cut) -> str:
        allowed = pictures[len(cut.said) : len(cut.said) + 2]
        if found.fault:
            return "" if WRECK in allowed and "is damaged" in found.fault else found.fault
        if found.rows not in allowed:
            known = [str(number) for number, rows in enumerate(pictures) if rows == found.rows]
            return f"{len(cut.said)} things were told, and the rows are those of {' or '.join(known) or 'no moment'}"
        if case.job is jobs.bring_back and found.rows != pictures[0]:
            former = {path for path in run.trees[-1] if "/replaced-" in path}
            if any(cut.tree.get(path) != run.trees[-1][path] for path in former):
                return "what was there before is not whole beside it"
        return " ".join([*faults_of_uploads(found, cut), *faults_of_kept(run, cut)])

    assert cut_everywhere(run, start, fault_of, lambda _: None) > 40


def picture(data: Path, case: Case) -> str:
    """A digest of the rows; of those of a start where there is no database yet, or an old one."""
    if not case.files or not has_data(data):
        asyncio.run(opened(data))
    try:
        return dump(data)
    except sqlite3.DatabaseError:
        return WRECK


async def opened(data: Path) -> None:
    async with open_desk(data):
        pass


async def started(data: Path) -> None:
    """What a server does before it listens."""
    async with open_desk(data, checked=True) as desk:
        await sweep(desk)


def looked_over(data: Path, case: Case) -> Found:
    """Everything is whole, and a second start finds nothing to do."""
    uploads = asyncio.run(_looked_over(data, case))
    return Found(dump(data), uploads)


async def _looked_over(data: Path, case: Case) -> dict[str, int]:
    async with open_desk(data, checked=True) as desk:
        assert await sweep(desk) == [], "a second start found something to sweep"
        if case.files:
            await look(desk)
        uploads = {str(draft.id): await size_of(desk, draft) for draft in await list_drafts(desk)}
    if case.files:
        verdict = await check(data, Clock(), silent)
        assert verdict.findings == (), [f"{finding.where}: {finding.sentence}" for finding in verdict.findings]
    return uploads


async def size_of(desk: Desk, draft: Draft) -> int:
    """How much there is of an upload: its first bytes, or all of what the server packed."""
    size, data = desk.shelf.uploads.size(draft.id), b""
    if size:
        with desk.shelf.uploads.open(draft.id) as file:
            data = file.read()
    if not draft.member:
        assert data == SENT.get(draft.file_name, b"")[:size], f"the {size} bytes that are there are not what was sent"
        return size
    assert size == draft.size, f"{size} of {draft.size} bytes of the packed file are there"
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        inside = archive.extractfile(draft.member)
        assert inside is not None
        assert inside.read() == SENT[draft.member], "what was packed is not what was sent"
    return size


def faults_of_uploads(found: Found, cut: Cut) -> Iterable[str]:
    """What had arrived is there, as long as the form is."""
    for said in cut.said:
        word, *rest = said.split()
        if word == "arrived" and (found.uploads or {}).get(rest[0], MUCH) < int(rest[1]):
            yield f"{rest[1]} bytes of an upload had arrived."


def faults_of_kept(run: Run, cut: Cut) -> Iterable[str]:
    """A file that was told to be kept is there as it was then, or as it is the next time that it is told."""
    for name in {said.split()[1] for said in run.said if said.startswith("kept ")}:
        known = [number for number, said in enumerate(run.said) if said == f"kept {name}"]
        former, path = [number for number in known if number < len(cut.said)], f"srv/{name}"
        allowed = [run.trees[number][path] for number in former[-1:] + known[len(former) :][:1]]
        if (former or path in cut.tree) and cut.tree.get(path) not in allowed:
            yield f"{path} is not as it was kept."
