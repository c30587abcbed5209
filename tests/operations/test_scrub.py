"""The scrub: what rots without a trace is found and served no more, in its own time and in nobody's way."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from appliance.domain.refusal import Kind, Refusal
from appliance.operations.configure import set_setting
from appliance.operations.depot import open_fragment
from appliance.operations.desk import Desk, open_desk
from appliance.operations.scrub import LastScrub, last_scrub, scrub, scrub_if_due
from tests.fakes.appliance import SetClock, build, on_desk
from tests.fakes.archives import targz_of

DAY = 86_400
NOW = 1_795_206_923


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two packages, of four fragments and of one."""
    noise = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(4000))
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(targz_of({"data.bin": noise}))
    for name, size in (("first", "40K"), ("second", "16M")):
        build(tmp_path / "data", name, "--action", "store", "--path", "/x", "--file", archive, "--fragment-size", size)
    return tmp_path / "data"


def fragments(data: Path) -> list[Path]:
    return sorted((data / "fragments").glob("*/*-*"))


def rot(path: Path) -> None:
    """Change one bit as a disk does: no time of change tells of it."""
    before = path.stat()
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 4
    with path.open("r+b") as file:
        file.write(whole)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns


async def fetch(desk: Desk, path: Path) -> bytes:
    with (await open_fragment(desk, path.parent.name, path.name)).file as file:
        return file.read()


def test_what_rots_in_each_file_in_turn_is_found_named_and_no_longer_served(data: Path) -> None:
    async def work(desk: Desk) -> None:
        assert len(fragments(data)) == 5
        for path in fragments(data):
            whole = await fetch(desk, path)
            rot(path)
            assert await fetch(desk, path) != whole, "nothing tells of it until it is read through"
            found = await scrub(desk, threading.Event())
            assert found is not None
            assert (found.files, found.damaged) == (5, (path.name,))
            with pytest.raises(Refusal) as refused:
                await fetch(desk, path)
            assert refused.value.kind is Kind.BUSY
            path.write_bytes(whole)
            assert await fetch(desk, path) == whole, "it was mended"
            assert await last_scrub(desk) == found

    on_desk(data, work)


def test_after_a_start_what_rotted_meanwhile_is_never_served_at_all(data: Path) -> None:
    for path in fragments(data):
        rot(path)
        with pytest.raises(Refusal, match="is damaged on the disk"):
            on_desk(data, fetch, path)


def test_a_file_is_read_through_once_and_again_when_it_was_touched(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(desk: Desk) -> None:
        path, read = fragments(data)[0], []
        whole, prove = path.read_bytes(), desk.shelf.proofs.prove
        monkeypatch.setattr(desk.shelf.proofs, "prove", lambda *how: (read.append(1), prove(*how))[1])
        assert await asyncio.gather(*(fetch(desk, path) for _ in range(50))) == [whole] * 50
        assert 1 <= len(read) <= 2, "as many as may read at once"
        read.clear()
        await fetch(desk, path)
        assert read == []
        path.touch()
        assert await fetch(desk, path) == whole
        assert read == [1]

    on_desk(data, work)


def test_a_file_that_is_gone_or_short_is_found_too(data: Path) -> None:
    first, second, *_ = fragments(data)
    first.unlink()
    os.truncate(second, 10)
    found = on_desk(data, scrub, threading.Event())
    assert found
    assert found.damaged == (first.name, second.name)


@pytest.mark.parametrize(
    ("days", "later", "is_due"),
    [("7", 7 * DAY, True), ("7", 7 * DAY - 1, False), ("1", DAY, True), ("0", 400 * DAY, False), ("7", -DAY, True)],
)
def test_it_is_due_when_so_many_days_have_gone_and_after_a_clock_that_was_wrong(
    data: Path, days: str, later: int, is_due: bool
) -> None:
    def due(moment: int) -> LastScrub | None:
        return on_desk(data, scrub_if_due, threading.Event(), clock=SetClock(moment))

    assert due(NOW)
    on_desk(data, set_setting, "SCRUB_DAYS", days)
    assert (due(NOW + later) is not None) is is_due


def test_the_end_of_the_server_ends_it_at_once_and_no_verdict_is_kept(data: Path) -> None:
    async def work() -> None:
        async with open_desk(data) as desk:
            over = threading.Event()
            over.set()
            begun = time.monotonic()
            assert await scrub(desk, over) is None
            assert time.monotonic() - begun < 2
            assert await last_scrub(desk) is None

    asyncio.run(work())
