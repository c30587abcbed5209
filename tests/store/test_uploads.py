"""Files of drafts: pieces that read as one file, and a kill at any step of an upload or of its build."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from appliance.domain.draft import DraftId
from appliance.domain.refusal import Kind, Refusal
from appliance.operations import drafts
from appliance.operations.configure import set_setting
from appliance.operations.desk import Desk
from appliance.operations.drafts import announce_file, build_draft, list_drafts, open_draft, prepare, receive, received
from appliance.operations.start import sweep
from appliance.store import arrived
from appliance.store.digests import Digests
from appliance.store.joined import joined
from appliance.store.uploads import Uploads
from appliance.wire import archive
from tests.fakes.appliance import on_desk, rows, shelved
from tests.fakes.archives import targz_of
from tests.store.test_shelf import killed_at, look, silent

DRAFT = DraftId("0" * 32)
ARCHIVE = targz_of({"data.bin": b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(200))})
FORM = {"name": "new", "os": "LINUX", "action": "STORE", "path": "/x"}
PIECE = 2000


async def pieces(data: bytes, size: int = 700) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def written(shelf: Uploads, data: bytes, piece: int, *, chunk: int) -> None:
    with shelf.writing(DRAFT, shelf.size(DRAFT), piece) as upload:
        upload.append([data[at : at + chunk] for at in range(0, len(data), chunk)])
        upload.finish()


def test_nothing_is_written_behind_what_the_disk_did_not_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf, data = Uploads(tmp_path), os.urandom(6000)
    full = [False, True, False, False]
    write = os.pwritev

    def pwritev(*given: Any) -> int:
        if full.pop(0):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(*given)

    monkeypatch.setattr(os, "pwritev", pwritev)
    with shelf.writing(DRAFT, 0, 10_000) as upload:
        first, *others = [upload.later([data[at : at + 2000]]) for at in (0, 2000, 4000)]
        first.result()
        for other in others:
            with pytest.raises(Refusal, match="disk is full"):
                other.result()
    assert shelf.size(DRAFT) == 2000
    written(shelf, data[2000:], 10_000, chunk=1000)
    assert [file.read_bytes() for file in shelf.parts(DRAFT, 10_000).files] == [data]
    assert shelf.parts(DRAFT, 10_000).digests is None  # they had run ahead; the build reads the file


@pytest.mark.parametrize("piece", [1, 7, 100, 999, 1000, 1001, 5000])
@pytest.mark.parametrize("chunk", [1, 64, 1000, 4000])
def test_pieces_read_as_the_file_and_have_their_digests(tmp_path: Path, piece: int, chunk: int) -> None:
    shelf, data = Uploads(tmp_path), os.urandom(3000)
    for part in (data[:1000], data[1000:1500], data[1500:]):
        written(shelf, part, piece, chunk=chunk)
    parts = shelf.parts(DRAFT, piece)
    cut = [data[at : at + piece] for at in range(0, len(data), piece)]
    assert [file.read_bytes() for file in parts.files] == cut
    assert parts.size == 3000
    assert parts.digests == Digests(
        hashlib.md5(data).hexdigest(),
        hashlib.sha256(data).hexdigest(),
        tuple(hashlib.sha256(one).hexdigest() for one in cut),
    )
    with shelf.open(DRAFT) as file:
        assert file.read() == data


def test_a_joined_file_is_read_like_any_file(tmp_path: Path) -> None:
    data, chance, files = os.urandom(5000), random.Random(7), []
    for number, size in enumerate((1, 999, 0, 2500, 1500)):
        start = sum(file.stat().st_size for file in files)
        files.append(tmp_path / str(number))
        files[-1].write_bytes(data[start : start + size])
    with joined(files) as one, io.BytesIO(data) as other:
        for _ in range(300):
            where = (chance.randint(0, 6000), io.SEEK_SET) if chance.random() < 0.7 else (-chance.randint(0, 5000), 2)
            size = chance.choice([1, 10, 700, 5000])
            assert one.seek(*where) == other.seek(*where)
            assert one.tell() == other.tell()
            assert one.read(size) == other.read(size)
        with pytest.raises(OSError, match="Invalid argument"):
            one.seek(-1)


def test_an_upload_killed_anywhere_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "SMALLEST_PIECE", 1)
    monkeypatch.setattr(drafts, "BATCH", 500)

    async def first(desk: Desk) -> None:
        await set_setting(desk, "FRAGMENT_SIZE", str(PIECE))
        await open_draft(desk, FORM)

    on_desk(tmp_path / "before", first)

    async def send(desk: Desk) -> None:
        (draft,) = await list_drafts(desk)
        there = await announce_file(desk, draft.id, "p.tar.gz", len(ARCHIVE))
        assert (await receive(desk, draft.id, there.done, pieces(ARCHIVE[there.done :]))).complete

    async def go_on(desk: Desk) -> int:
        assert await sweep(desk) == []
        (draft,) = await list_drafts(desk)
        there = (await received(desk, draft.id)).done
        await send(desk)
        package = await build_draft(desk, draft.id, str(PIECE), silent)
        assert await look(desk) == {package.id: "new"}
        return there

    seen, going = list[int](), True
    while going:
        data = tmp_path / str(len(seen))
        shutil.copytree(tmp_path / "before", data)
        going = killed_at(len(seen) + 1, data, send, monkeypatch)
        seen.append(on_desk(data, go_on))
        shutil.rmtree(data)
    assert set(seen) <= {*range(0, len(ARCHIVE), PIECE), len(ARCHIVE)}  # whole pieces; a thread syncs them meanwhile
    assert len(set(seen)) > 3
    assert (seen[0], seen[-1]) == (0, len(ARCHIVE))


@pytest.mark.parametrize("fragment_size", [PIECE, 3000])
def test_a_build_of_an_upload_killed_anywhere_is_absent_or_whole_and_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fragment_size: int
) -> None:
    monkeypatch.setattr(drafts, "SMALLEST_PIECE", 1)

    async def first(desk: Desk) -> None:
        await set_setting(desk, "FRAGMENT_SIZE", str(PIECE))
        draft = await open_draft(desk, FORM)
        await announce_file(desk, draft.id, "p.tar.gz", len(ARCHIVE))
        await receive(desk, draft.id, 0, pieces(ARCHIVE))

    on_desk(tmp_path / "before", first)

    async def job(desk: Desk) -> None:
        (draft,) = await list_drafts(desk)
        await build_draft(desk, draft.id, str(fragment_size), silent)

    async def after(desk: Desk) -> str:
        await sweep(desk)
        built, begun = await look(desk), await list_drafts(desk)
        if not built:
            await job(desk)
            assert list((await look(desk)).values()) == ["new"]
            return "absent"
        if begun:  # killed between the two rows: the form says that it is built
            with pytest.raises(Refusal) as refused:
                await job(desk)
            assert refused.value.kind is Kind.CONFLICT
            return "built, the draft still there"
        return "built"

    seen, going, number = list[str](), True, 0
    while going:
        number += 1
        data = tmp_path / str(number)
        shutil.copytree(tmp_path / "before", data)
        going = killed_at(number, data, job, monkeypatch)
        state = on_desk(data, after)
        if not seen or seen[-1] != state:
            seen.append(state)
        names = {name.split("/")[0] for name in shelved(data)}
        packages = {row[0] for row in rows(data, "SELECT id FROM package")}
        assert {name for name in names if not name.endswith(".upload")} == packages
        shutil.rmtree(data)
    assert seen == ["absent", "built, the draft still there", "built"]


def test_a_bare_file_killed_anywhere_while_it_is_packed_is_as_it_came_or_packed_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafts, "SMALLEST_PIECE", 1)
    bare = b"MZ" + ARCHIVE * 2

    async def first(desk: Desk) -> None:
        await set_setting(desk, "FRAGMENT_SIZE", str(PIECE))
        draft = await open_draft(desk, FORM)
        await announce_file(desk, draft.id, "setup.bin", len(bare))
        await receive(desk, draft.id, 0, pieces(bare))

    on_desk(tmp_path / "before", first)

    async def job(desk: Desk) -> None:
        (draft,) = await list_drafts(desk)
        await prepare(desk, draft.id)

    async def after(desk: Desk) -> str:
        assert await sweep(desk) == []
        (draft,) = await list_drafts(desk)
        uploads = desk.shelf.uploads
        assert (await received(desk, draft.id)).complete
        with uploads.open(draft.id) as file:
            if not draft.member:
                assert file.read() == bare
            else:
                assert [opener().read(len(bare) + 1) for _, opener in archive.members(file)] == [bare]
        assert {name.split("/")[0] for name in shelved(desk.store.path.parent)} == {f"{draft.id}.upload"}
        package = await build_draft(desk, draft.id, None, silent)
        assert await look(desk) == {package.id: "new"}
        return draft.file_name

    seen, going, number = list[str](), True, 0
    while going:
        number += 1
        data = tmp_path / str(number)
        shutil.copytree(tmp_path / "before", data)
        going = killed_at(number, data, job, monkeypatch)
        seen.append(on_desk(data, after))
        shutil.rmtree(data)
    assert [name for n, name in enumerate(seen) if name not in seen[:n]] == ["setup.bin", "setup.bin.tar.gz"]
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("noted", "lengths", "stays"),
    [
        (None, {"1": 100, "2": 50}, 0),
        (150, {"1": 100, "2": 50}, 150),
        (100, {"1": 100, "2": 50}, 100),
        (130, {"1": 100, "2": 100, "3": 100}, 130),
        (250, {"2": 100, "3": 50}, 0),
        (250, {"1": 100, "3": 50}, 100),
        (250, {"1": 60, "2": 100, "3": 50}, 60),
        (0, {}, 0),
    ],
    ids=["not noted", "all", "a piece more", "more of one and one more", "first lost", "second lost", "short", "none"],
)
def test_a_start_keeps_of_an_upload_what_is_on_the_disk_for_sure(
    tmp_path: Path, noted: int | None, lengths: dict[str, int], stays: int
) -> None:
    shelf, data = Uploads(tmp_path), os.urandom(300)
    shelf.path(DRAFT).mkdir()
    for name, length in lengths.items():
        start = 100 * (int(name) - 1)
        (shelf.path(DRAFT) / name).write_bytes(data[start : start + length])
    if noted is not None:
        arrived.note(shelf.path(DRAFT), noted)
    for _ in range(2):
        shelf.settle(DRAFT, 100, 0)
        assert shelf.size(DRAFT) == arrived.noted(shelf.path(DRAFT)) == stays
    written(shelf, data[stays:], 100, chunk=70)
    shelf.settle(DRAFT, 100, 0)
    with shelf.open(DRAFT) as file:
        assert file.read() == data


def test_a_start_on_a_disk_that_does_not_even_take_the_note_goes_on_without_that_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Uploads(tmp_path)
    written(shelf, os.urandom(300), 100, chunk=70)
    (shelf.path(DRAFT) / "1").unlink()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(arrived, "keep", full)
    shelf.settle(DRAFT, 100, 0)
    assert shelf.size(DRAFT) == 0


def test_a_packed_file_takes_the_uploads_place_where_the_row_speaks_of_it(tmp_path: Path) -> None:
    shelf = Uploads(tmp_path)
    for told, left in ((0, b"as it came"), (7, b"as it came"), (6, b"packed")):
        shelf.remove(DRAFT)
        written(shelf, b"as it came", 100, chunk=5)
        with shelf.packing(DRAFT) as out:
            out.write(b"packed")
        assert shelf.packed_size(DRAFT) == 6
        shelf.settle(DRAFT, 100, told)
        with shelf.open(DRAFT) as file:
            assert file.read() == left
        assert [path.name for path in tmp_path.iterdir()] == [shelf.path(DRAFT).name]


def test_a_file_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    shelf = Uploads(tmp_path)
    written(shelf, b"abc", 10, chunk=1)
    with shelf.holding(DRAFT):
        for verb in (lambda: shelf.remove(DRAFT), lambda: shelf.writing(DRAFT, 3, 10).__enter__()):
            with pytest.raises(Refusal) as refused:
                verb()
            assert refused.value.kind is Kind.BUSY
    shelf.remove(DRAFT)
    assert shelf.drafts() == set()
    assert shelf.size(DRAFT) == 0
