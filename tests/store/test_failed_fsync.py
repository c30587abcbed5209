"""The disk refuses an fsync once: that object ends there. It is refused, not half there, and comes again as new bytes.

The system tells of bytes that it could not write only once; a second fsync succeeds without them. So what failed is
never asked again: it goes, and the next try writes it anew. Source: security.md F13.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
from pathlib import Path

import pytest

from appliance import disk
from appliance.agent.files import Files
from appliance.domain.package import PackageId
from appliance.domain.refusal import Refusal
from appliance.operations import drafts
from appliance.operations.configure import set_setting
from appliance.operations.desk import Desk
from appliance.operations.drafts import announce_file, build_draft, list_drafts, open_draft, receive
from appliance.operations.start import sweep
from tests.fakes.appliance import must, on_desk, rows, shelved
from tests.store.test_shelf import look, silent
from tests.store.test_uploads import ARCHIVE, FORM, PIECE, pieces


class Fsync:
    """Refuses call number `at`, and remembers what it refused: that inode and its length."""

    def __init__(self, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = at
        self.count = 0
        self.lost: set[tuple[int, int]] = set()
        self.trusted: list[str] = []
        self._held: list[int] = []
        self._real = os.fsync
        monkeypatch.setattr(os, "fsync", self)

    def __call__(self, descriptor: int) -> None:
        self.count += 1
        status = os.fstat(descriptor)
        folder = os.path.isdir(f"/proc/self/fd/{descriptor}")
        if self.count == self.at:
            if not folder:
                self.lost.add((status.st_ino, status.st_mtime_ns))
                self._held.append(os.dup(descriptor))  # else its number would be given to another file
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if (status.st_ino, status.st_mtime_ns) in self.lost:
            self.trusted.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        self._real(descriptor)

    @property
    def reached(self) -> bool:
        """Whether there were so many calls."""
        return self.count >= self.at

    def end(self) -> None:
        """Nothing that was lost was asked again and believed."""
        for descriptor in self._held:
            os.close(descriptor)
        assert self.trusted == []


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A form whose file is announced and not sent."""
    monkeypatch.setattr(drafts, "SMALLEST_PIECE", 1)

    async def first(desk: Desk) -> None:
        await set_setting(desk, "FRAGMENT_SIZE", str(PIECE))
        draft = await open_draft(desk, FORM)
        await announce_file(desk, draft.id, "p.tar.gz", len(ARCHIVE))

    on_desk(tmp_path / "begun", first)
    return tmp_path / "begun"


async def send(desk: Desk) -> None:
    (draft,) = await list_drafts(desk)
    there = await announce_file(desk, draft.id, "p.tar.gz", len(ARCHIVE))
    assert (await receive(desk, draft.id, there.done, pieces(ARCHIVE[there.done :]))).complete


@pytest.mark.parametrize("fragment_size", [PIECE, 3000])
def test_an_upload_and_its_build_are_refused_at_every_fsync_that_fails_and_come_again_as_new_bytes(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fragment_size: int
) -> None:
    ends: list[str] = []
    while not ends or ends[-1] != "not reached":
        data = Path(shutil.copytree(begun, tmp_path / str(len(ends))))

        async def job(desk: Desk, data: Path = data) -> str:
            with monkeypatch.context() as patch:
                fsync = Fsync(len(ends) + 1, patch)
                end = "done"
                for _ in range(2):
                    try:
                        await send(desk)
                        (draft,) = await list_drafts(desk)
                        await build_draft(desk, draft.id, str(fragment_size), silent)
                    except Refusal as refusal:
                        again = end != "done" or "Input/output error" not in str(refusal)
                        end = f"refused again, or for something else: {refusal}" if again else "refused"
                        if rows(data, "SELECT 1 FROM package"):
                            end = "refused when it was there"
                            break
                        assert [name for name in shelved(data) if not name.split("/")[0].endswith(".upload")] == []
                    else:
                        break
                fsync.end()
            assert list((await look(desk)).values()) == ["new"]
            await sweep(desk)
            return end if fsync.reached else "not reached"

        ends.append(on_desk(data, job))
        assert "damaged" not in must("check", data=data)
        shutil.rmtree(data)
    assert "done" not in ends, "a failed fsync is never a success"
    assert set(ends) <= {"refused", "refused when it was there", "not reached"}
    assert ends.count("refused") > 8


@pytest.mark.parametrize("at", [1, 2])
def test_a_file_that_is_replaced_is_the_old_one_or_the_whole_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    path = tmp_path / "kept"
    disk.keep(path, b"old")
    with monkeypatch.context() as patch:
        fsync = Fsync(at, patch)
        with pytest.raises(OSError, match="Input/output"):
            disk.keep(path, b"new")
        assert path.read_bytes() == (b"old" if at == 1 else b"new")
        assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]
        disk.keep(path, b"new")
        fsync.end()
    assert path.read_bytes() == b"new"


def test_an_entry_of_the_agents_journal_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, path = Files(), tmp_path / "journal"
    files.append(path, b"one\n", at=0)
    with monkeypatch.context() as patch:
        fsync = Fsync(1, patch)
        with pytest.raises(OSError, match="Input/output"):
            files.append(path, b"two\n", at=4)
        files.append(path, b"two\n", at=4)
        fsync.end()
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_package_of_a_command_line_is_absent_or_built_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def job(desk: Desk) -> None:
        with monkeypatch.context() as patch:
            fsync = Fsync(1, patch)
            with pytest.raises((Refusal, OSError)), desk.shelf.building(PackageId("1700000001")) as building:
                building.cut(io.BytesIO(ARCHIVE), len(ARCHIVE), PIECE, "TAR", silent)
            fsync.end()
        assert shelved(tmp_path) == []

    on_desk(tmp_path, job)
