"""A package built in steps: the form, the file as it arrives over lines that break, the fragments, the package."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest

from appliance.domain.account import SERVER, Role, user_actor
from appliance.domain.draft import Draft
from appliance.domain.package import Action, Package, System
from appliance.domain.recipes import RECIPE
from appliance.domain.refusal import Kind, Refusal
from appliance.operations import drafts, pack_draft
from appliance.operations.configure import set_setting
from appliance.operations.drafts import (
    Received,
    announce_file,
    build_draft,
    change_draft,
    drop_draft,
    find_draft,
    list_drafts,
    open_draft,
    prepare,
    receive,
    received,
)
from appliance.operations.package_facts import show_package
from appliance.operations.start import sweep
from appliance.store import uploads
from appliance.store.digests import Digests
from appliance.wire import archive as reading
from tests.fakes.appliance import on_desk, rows, shelved
from tests.fakes.archives import targz_of, zip_of
from tests.operations.kit import Scene, play, silent

FORM = {"name": "Player", "os": "LINUX", "action": "STORE", "path": "/opt/p", "priority": "3"}
ARCHIVE = targz_of({"setup.sh": os.urandom(9000)})
ANA = user_actor("ana", "console", Role.ADMINISTRATOR, 1, [])


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece


async def breaking(*pieces: bytes) -> AsyncIterator[bytes]:
    async for piece in chunks(*pieces):
        yield piece
    raise ConnectionResetError("the connection is lost")


def cut(data: bytes, size: int) -> Iterable[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


async def refused(verb: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await verb
    return caught.value


async def uploaded(scene: Scene, form: dict[str, str], name: str, data: bytes, package: str | None = None) -> Draft:
    draft = await open_draft(scene.desk, form, package)
    await announce_file(scene.desk, draft.id, name, len(data))
    got = await receive(scene.desk, draft.id, 0, chunks(*cut(data, 1000)))
    assert got.complete
    return draft


async def whole(scene: Scene, package: Package) -> bytes:
    """The package's file, joined from its fragments."""
    assert package.payload
    folder = scene.desk.shelf.folder / package.id
    joined = b"".join((folder / f"{package.id}-{n + 1}").read_bytes() for n in range(package.payload.fragments))
    assert hashlib.md5(joined).hexdigest() == package.payload.md5
    assert hashlib.sha256(joined).hexdigest() == package.payload.sha256
    found = await scene.rows("SELECT sha256 FROM fragment WHERE package_id = ? ORDER BY number", package.id)
    size = package.payload.fragment_size
    assert [row[0] for row in found] == [hashlib.sha256(piece).hexdigest() for piece in cut(joined, size)]
    return joined


async def inside(scene: Scene, package: Package) -> dict[str, bytes]:
    """The members of the package's archive."""
    file = scene.desk.shelf.folder / package.id / f"{package.id}-1"
    with file.open("rb") as opened:
        return {member.name: b"".join(reading.pieces(opener)) for member, opener in reading.members(opened)}


@pytest.mark.parametrize("size", [None, "2K"])
def test_form_file_fragments_package(tmp_path: Path, size: str | None) -> None:
    async def script(scene: Scene) -> None:
        draft = await open_draft(scene.desk, {**FORM, "csrf": "x"})
        assert (draft.form, draft.package) == (FORM, None)
        assert await announce_file(scene.desk, draft.id, r"C:\fakepath\p.tar.gz", len(ARCHIVE)) == Received(
            "p.tar.gz", len(ARCHIVE), 0
        )
        folder = scene.desk.shelf.uploads.path(draft.id)
        await receive(scene.desk, draft.id, 0, chunks(*cut(ARCHIVE, 700)))
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        step = await prepare(scene.desk, draft.id, size)
        assert (step.size, step.format, step.fixed) == (len(ARCHIVE), "tar.gz", False)
        assert step.fragments == (1 if size is None else 5)
        assert step.estimate.cycles == 3 * (step.fragments + 1) + (step.fragments + 1) // 4
        seen = []
        package = await build_draft(scene.desk, draft.id, size, lambda *at: seen.append(at))
        assert await whole(scene, package) == ARCHIVE
        assert ("cut", len(ARCHIVE), len(ARCHIVE)) in seen
        mode = (scene.desk.shelf.folder / package.id / f"{package.id}-1").stat()
        assert (stat.S_IMODE(mode.st_mode), mode.st_nlink) == (0o644, 1)
        assert await scene.rows("SELECT * FROM draft") == []
        assert [path.name for path in scene.desk.shelf.folder.iterdir()] == [package.id]
        assert (await refused(find_draft(scene.desk, draft.id))).kind is Kind.MISSING
        assert await scene.rows("SELECT actor, deed, subject FROM log") == [(SERVER.name, "package built", package.id)]

    play(tmp_path, script)


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("fragments", [1, 5])
def test_pieces_of_the_right_size_become_the_fragments_and_are_not_copied(
    tmp_path: Path, fragments: int, hashed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafts, "SMALLEST_PIECE", 1)

    async def script(scene: Scene) -> None:
        size = str(-(-len(ARCHIVE) // fragments))
        await set_setting(scene.desk, "FRAGMENT_SIZE", size)
        draft = await uploaded(scene, FORM, "p.tar.gz", ARCHIVE)
        numbers = sorted(file.stat().st_ino for file in scene.desk.shelf.uploads.path(draft.id).glob("[0-9]*"))
        assert len(numbers) == fragments
        if not hashed:
            scene.desk.shelf.uploads._running.clear()  # as after a new start
        package = await build_draft(scene.desk, draft.id, size, silent)
        assert await whole(scene, package) == ARCHIVE
        folder = scene.desk.shelf.folder / package.id
        assert sorted(file.stat().st_ino for file in folder.glob(f"{package.id}-*")) == numbers

    play(tmp_path, script)


def test_a_file_system_without_hard_links_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EPERM, "no")

    async def script(scene: Scene) -> None:
        draft = await uploaded(scene, FORM, "p.tar.gz", ARCHIVE)
        monkeypatch.setattr(os, "link", link)
        assert await whole(scene, await build_draft(scene.desk, draft.id, None, silent)) == ARCHIVE

    play(tmp_path, script)


def test_fragments_are_chosen_by_size_or_by_count(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        draft = await uploaded(scene, FORM, "p.tar.gz", ARCHIVE)
        size = len(ARCHIVE)
        for asked, fragment_size, fragments in (
            ({"fragment_size": "1K"}, 1024, -(-size // 1024)),
            ({"fragments": 4}, -(-size // 4), 4),
            ({"fragments": 10**6}, 1, size),
            ({}, size, 1),
        ):
            step = await prepare(scene.desk, draft.id, **asked)  # type: ignore[arg-type]
            assert (step.fragment_size, step.fragments) == (fragment_size, fragments)
        for wrong, field in (({"fragment_size": "x"}, "fragment-size"), ({"fragments": 0}, "fragments")):
            refusal = await refused(prepare(scene.desk, draft.id, **wrong))  # type: ignore[arg-type]
            assert (refusal.kind, refusal.field) == (Kind.INVALID, field)

    play(tmp_path, script)


def test_a_default_that_makes_too_many_fragments_does_not_stop_a_build_that_names_another(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await set_setting(scene.desk, "FRAGMENT_SIZE", "1")
        data = zip_of({"x": os.urandom(60_000)})
        draft = await uploaded(scene, FORM, "p.zip", data)
        assert (await refused(prepare(scene.desk, draft.id))).field == "fragment-size"
        assert await whole(scene, await build_draft(scene.desk, draft.id, "10K", silent)) == data

    play(tmp_path, script)


def test_the_honest_time_goes_by_the_settings_and_the_rate(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await set_setting(scene.desk, "DOWNLOAD_PERIOD_LENGTH", "2")
        await set_setting(scene.desk, "PROLOG_FREQ", "2")
        draft = await uploaded(scene, FORM, "p.tar.gz", ARCHIVE)
        assert (await prepare(scene.desk, draft.id)).estimate.never
        await change_draft(scene.desk, draft.id, {"priority": "2"})
        step = await prepare(scene.desk, draft.id, rate=1000)
        assert (step.estimate.cycles, step.estimate.rest_seconds) == (4, 3 * 60 + 10)
        assert step.estimate.transfer_seconds == -(-len(ARCHIVE) // 1000)
        assert step.estimate.contact_seconds == 7200

    play(tmp_path, script)


# The way of the file


def test_a_lost_connection_leaves_what_arrived_and_the_upload_goes_on_there(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        draft = await open_draft(scene.desk, FORM)
        await announce_file(scene.desk, draft.id, "p.tar.gz", len(ARCHIVE))
        with pytest.raises(ConnectionResetError):
            await receive(scene.desk, draft.id, 0, breaking(ARCHIVE[:3000], ARCHIVE[3000:3500]))
        assert (await received(scene.desk, draft.id)).done == 3500
        assert "3.4 KiB of" in str(await refused(prepare(scene.desk, draft.id)))
        for wrong in (0, 3499, 3501, len(ARCHIVE)):
            refusal = await refused(receive(scene.desk, draft.id, wrong, chunks(b"x")))
            assert (refusal.kind, refusal.values) == (Kind.CONFLICT, {"offset": 3500})
        assert (await announce_file(scene.desk, draft.id, "p.tar.gz", len(ARCHIVE))).done == 3500
        assert (await receive(scene.desk, draft.id, 3500, chunks(ARCHIVE[3500:4000]))).done == 4000
        assert (await receive(scene.desk, draft.id, 4000, chunks(ARCHIVE[4000:]))).complete
        sha256 = hashlib.sha256(ARCHIVE).hexdigest()
        known = scene.desk.shelf.uploads.parts(draft.id, 2**24).digests
        assert known == Digests(hashlib.md5(ARCHIVE).hexdigest(), sha256, (sha256,))
        assert await whole(scene, await build_draft(scene.desk, draft.id, "3K", silent)) == ARCHIVE

    play(tmp_path, script)


def test_an_upload_goes_on_after_the_server_was_started_anew(tmp_path: Path) -> None:
    data = tmp_path / "data"

    async def first(desk: Any) -> str:
        draft = await open_draft(desk, FORM)
        await announce_file(desk, draft.id, "p.tar.gz", len(ARCHIVE))
        await receive(desk, draft.id, 0, chunks(ARCHIVE[:5000]))
        return draft.id

    draft = on_desk(data, first)

    async def second(desk: Any) -> None:
        assert await sweep(desk) == []
        await receive(desk, draft, 5000, chunks(ARCHIVE[5000:]))
        assert desk.shelf.uploads.parts(draft, 2**24).digests is None
        package = await build_draft(desk, draft, None, silent)
        assert package.payload
        assert package.payload.sha256 == hashlib.sha256(ARCHIVE).hexdigest()
        assert package.payload.md5 == hashlib.md5(ARCHIVE).hexdigest()

    on_desk(data, second)


def test_two_writers_at_once_are_refused_and_so_is_a_build_meanwhile(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        draft = await open_draft(scene.desk, FORM)
        await announce_file(scene.desk, draft.id, "p.tar.gz", len(ARCHIVE))
        go, begun = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield ARCHIVE[:10]
            begun.set()
            await go.wait()
            yield ARCHIVE[10:]

        one = asyncio.create_task(receive(scene.desk, draft.id, 0, slow()))
        await begun.wait()
        other = [receive(scene.desk, draft.id, 0, chunks(b"x")), announce_file(scene.desk, draft.id, "q.zip", 5)]
        for verb in [*other, build_draft(scene.desk, draft.id, None, silent), drop_draft(scene.desk, draft.id)]:
            assert (await refused(verb)).kind is Kind.BUSY
        go.set()
        assert (await one).done == len(ARCHIVE)

    play(tmp_path, script)


def test_a_cancelled_upload_keeps_what_came(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        draft = await open_draft(scene.desk, FORM)
        await announce_file(scene.desk, draft.id, "p.tar.gz", len(ARCHIVE))
        begun = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            yield ARCHIVE[:1234]
            begun.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(receive(scene.desk, draft.id, 0, endless()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await received(scene.desk, draft.id)).done == 1234
        assert (await receive(scene.desk, draft.id, 1234, chunks(ARCHIVE[1234:]))).complete

    play(tmp_path, script)


def test_more_than_announced_and_more_than_allowed(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        draft = await open_draft(scene.desk, FORM)
        assert (await refused(receive(scene.desk, draft.id, 0, chunks(b"x")))).kind is Kind.CONFLICT
        await announce_file(scene.desk, draft.id, "p.tar.gz", 100)
        refusal = await refused(receive(scene.desk, draft.id, 0, chunks(b"x" * 60, b"x" * 60)))
        assert (refusal.kind, refusal.field) == (Kind.INVALID, "file")
        assert (await received(scene.desk, draft.id)).done == 60
        await set_setting(scene.desk, "UPLOAD_LIMIT", "1M")
        for verb in (
            announce_file(scene.desk, draft.id, "p.tar.gz", 2**20 + 1),
            receive(scene.desk, (await _of_unknown_size(scene)).id, 0, chunks(*[b"x" * 2**18] * 5)),
        ):
            assert (await refused(verb)).kind is Kind.TOO_LARGE
        for name, size in (("", 5), ("p.zip", 0), ("/", 5)):
            assert (await refused(announce_file(scene.desk, draft.id, name, size))).kind is Kind.INVALID

    play(tmp_path, script)


async def _of_unknown_size(scene: Scene) -> Draft:
    draft = await open_draft(scene.desk, FORM)
    await announce_file(scene.desk, draft.id, "p.tar.gz")
    return draft


def test_a_form_without_javascript_sends_a_file_of_unknown_size(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        draft = await _of_unknown_size(scene)
        assert (await receive(scene.desk, draft.id, 0, chunks(*cut(ARCHIVE, 4000)))).complete
        assert (await prepare(scene.desk, draft.id)).size == len(ARCHIVE)

    play(tmp_path, script)


def test_a_disk_that_cannot_hold_it_twice_refuses_before_a_byte_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = uploads.shutil.disk_usage(tmp_path).free
    monkeypatch.setattr(uploads, "RESERVE", free - 3000)

    async def script(scene: Scene) -> None:
        draft = await open_draft(scene.desk, FORM)
        refusal = await refused(announce_file(scene.desk, draft.id, "p.zip", 50_000))
        assert (refusal.kind, refusal.field) == (Kind.TOO_LARGE, "file")
        assert "are free" in str(refusal)

    play(tmp_path, script)


def test_a_disk_that_is_full_on_the_way_is_one_sentence_and_the_upload_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(scene: Scene) -> None:
        draft = await open_draft(scene.desk, FORM)
        await announce_file(scene.desk, draft.id, "p.tar.gz", len(ARCHIVE))
        await receive(scene.desk, draft.id, 0, chunks(ARCHIVE[:2000]))
        with monkeypatch.context() as patch:

            def full(*_: object) -> int:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            patch.setattr(os, "pwritev", full)
            refusal = await refused(receive(scene.desk, draft.id, 2000, chunks(ARCHIVE[2000:5000])))
        assert (refusal.kind, "disk is full" in str(refusal)) == (Kind.TOO_LARGE, True)
        assert (await receive(scene.desk, draft.id, 2000, chunks(ARCHIVE[2000:]))).complete
        assert await whole(scene, await build_draft(scene.desk, draft.id, None, silent)) == ARCHIVE

    play(tmp_path, script)


def test_another_file_takes_the_place_of_the_first(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        draft = await uploaded(scene, FORM, "old.tar.gz", ARCHIVE)
        new = targz_of({"new.sh": b"new"})
        assert (await announce_file(scene.desk, draft.id, "new.tar.gz", len(new))).done == 0
        await receive(scene.desk, draft.id, 0, chunks(new))
        assert await whole(scene, await build_draft(scene.desk, draft.id, None, silent)) == new

    play(tmp_path, script)


# What is refused leaves the draft as it is


def test_what_is_wrong_is_named_by_its_field_and_can_be_mended(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.package("taken")
        draft = await uploaded(scene, FORM, "p.tar.gz", ARCHIVE)
        for values, kind, field in (
            ({"name": ""}, Kind.INVALID, "name"),
            ({"name": "taken"}, Kind.CONFLICT, "name"),
            ({"path": ""}, Kind.INVALID, "path"),
            ({"priority": "11"}, Kind.INVALID, "priority"),
            ({"os": "WINDOWS"}, Kind.INVALID, "file"),
            ({"action": "LAUNCH", "command": "missing.sh"}, Kind.INVALID, "command"),
        ):
            await change_draft(scene.desk, draft.id, {**FORM, **values})
            refusal = await refused(build_draft(scene.desk, draft.id, None, silent))
            assert (refusal.kind, refusal.field) == (kind, field), values
        await change_draft(scene.desk, draft.id, FORM)
        await build_draft(scene.desk, draft.id, None, silent)

    play(tmp_path, script)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("p.7z", b"7z\xbc\xaf" + b"x" * 100, "neither a zip nor a tar.gz"),
        ("p.zip", ARCHIVE, "holds a tar.gz archive"),
        ("p.zip", b"not a zip", "neither a zip nor a tar.gz"),
        ("p.tar.gz", ARCHIVE[:-9], "damaged"),
    ],
)
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    async def script(scene: Scene) -> None:
        draft = await uploaded(scene, FORM, name, data)
        refusal = await refused(build_draft(scene.desk, draft.id, None, silent))
        assert (refusal.field, said in str(refusal)) == ("file", True), refusal
        assert (await received(scene.desk, draft.id)).complete
        assert [path.name for path in scene.desk.shelf.folder.iterdir()] == [f"{draft.id}.upload"]

    play(tmp_path, script)


# Single files and recipes


@pytest.mark.parametrize("name", ["msi", "exe", "deb", "rpm"])
def test_a_bare_installer_is_packed_by_the_server(tmp_path: Path, name: str) -> None:
    recipe, data = RECIPE[name], os.urandom(5000)

    async def script(scene: Scene) -> None:
        form = {"name": name, "recipe": name, **recipe.values}
        draft = await uploaded(scene, form, f"My Installer{recipe.endings[0]}", data)
        step = await prepare(scene.desk, draft.id)
        member = f"My_Installer{recipe.endings[0]}"
        assert step.file_name == f"{member}.{step.format}"
        assert member in step.order.argument
        package = await build_draft(scene.desk, draft.id, None, silent)
        assert await inside(scene, package) == {member: data}
        await whole(scene, package)

    play(tmp_path, script)


def test_any_bare_file_is_packed_and_packed_anew_for_another_system(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        draft = await uploaded(scene, FORM, "Notas ñ.txt", b"hola")
        assert (await prepare(scene.desk, draft.id)).file_name == "Notas ñ.txt.tar.gz"
        await change_draft(scene.desk, draft.id, {"os": "WINDOWS", "path": r"C:\x"})
        assert (await prepare(scene.desk, draft.id)).file_name == "Notas ñ.txt.zip"
        again = await prepare(scene.desk, draft.id)
        assert (again.file_name, again.format) == ("Notas ñ.txt.zip", "zip")
        assert await inside(scene, await build_draft(scene.desk, draft.id, None, silent)) == {"Notas ñ.txt": b"hola"}

    play(tmp_path, script)


def test_an_archive_for_an_installer_recipe_stays_as_it_is(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        form = {"name": "x", "recipe": "msi", **RECIPE["msi"].values, "command": "msiexec.exe /i a.msi"}
        draft = await uploaded(scene, form, "a.zip", zip_of({"a.msi": b"msi", "a.cab": b"cab"}))
        package = await build_draft(scene.desk, draft.id, None, silent)
        assert set(await inside(scene, package)) == {"a.msi", "a.cab"}

    play(tmp_path, script)


@pytest.mark.parametrize(("name", "text"), [("shell", "exit 3"), ("powershell", "exit 3")])
def test_a_script_typed_into_the_page_is_a_package(tmp_path: Path, name: str, text: str) -> None:
    recipe = RECIPE[name]

    async def script(scene: Scene) -> None:
        draft = await open_draft(scene.desk, {"name": "x", "recipe": name, "script": "old", **recipe.values})
        await prepare(scene.desk, draft.id)
        await change_draft(scene.desk, draft.id, {"script": text})
        package = await build_draft(scene.desk, draft.id, None, silent)
        (member,) = (await inside(scene, package)).items()
        assert member[0] == recipe.member
        assert text.encode() in member[1]
        assert b"old" not in member[1]
        assert shelved(tmp_path / "data") == sorted(
            [package.id, *(f"{package.id}/{part}" for part in (f"{package.id}-1", "info", "manifest"))]
        )

    play(tmp_path, script)


def test_a_script_that_is_not_there_is_asked_for(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        draft = await open_draft(scene.desk, {"name": "x", "recipe": "shell", **RECIPE["shell"].values})
        assert (await refused(prepare(scene.desk, draft.id))).field == "script"

    play(tmp_path, script)


def test_the_agent_that_the_server_carries_is_packed_or_an_uploaded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(scene: Scene) -> None:
        form = {"name": "agent", "recipe": "agent", **RECIPE["agent"].values}
        draft = await open_draft(scene.desk, form)
        monkeypatch.setattr(pack_draft, "carried_agent", lambda: None)
        assert (await refused(prepare(scene.desk, draft.id))).field == "file"
        monkeypatch.setattr(pack_draft, "carried_agent", lambda: b"#!python\nPK carried")
        package = await build_draft(scene.desk, draft.id, None, silent)
        assert package.order.argument == "INSTALL_PATH/update"
        assert package.order.action is Action.STORE
        assert await inside(scene, package) == {"ocs-agent.pyz": b"#!python\nPK carried"}
        pyz = zip_of({"__main__.py": b"pass"})
        form = {**form, "name": "other", "os": "WINDOWS"}
        draft = await uploaded(scene, form, "ocs-agent-99.pyz", pyz)
        package = await build_draft(scene.desk, draft.id, None, silent)
        assert package.order.system is System.WINDOWS
        assert await inside(scene, package) == {"ocs-agent-99.pyz": pyz}

    play(tmp_path, script)


def test_a_command_without_a_file(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        draft = await open_draft(scene.desk, {"name": "x", "os": "LINUX", "action": "EXECUTE", "command": "true"})
        step = await prepare(scene.desk, draft.id)
        assert (step.size, step.fragments, step.estimate.cycles) == (0, 0, 5)
        assert (await build_draft(scene.desk, draft.id, None, silent)).payload is None

    play(tmp_path, script)


# Edits


def test_an_edit_without_a_file_keeps_the_fragments_and_one_with_a_file_brings_new_ones(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        built = await build_draft(scene.desk, (await uploaded(scene, FORM, "p.tar.gz", ARCHIVE)).id, "2K", silent)
        draft = await open_draft(scene.desk, {"name": "Renamed"}, built.id)
        assert (draft.form["path"], draft.form["name"]) == ("/opt/p", "Renamed")
        step = await prepare(scene.desk, draft.id)
        assert (step.fixed, step.fragments, step.size) == (True, 5, len(ARCHIVE))
        refusal = await refused(build_draft(scene.desk, draft.id, "1K", silent))
        assert (refusal.kind, refusal.field) == (Kind.CONFLICT, "fragment-size")
        edited = await build_draft(scene.desk, draft.id, None, silent)
        assert (edited.id, edited.order.name, edited.payload) == (built.id, "Renamed", built.payload)
        new = targz_of({"x.sh": os.urandom(4000)})
        draft = await uploaded(scene, {}, "new.tar.gz", new, built.id)
        step = await prepare(scene.desk, draft.id, fragments=2)
        assert not step.fixed
        edited = await build_draft(scene.desk, draft.id, str(step.fragment_size), silent)
        assert await whole(scene, edited) == new
        assert (await show_package(scene.desk, built.id)).package == edited
        assert [row[0] for row in await scene.rows("SELECT deed FROM log ORDER BY id")] == [
            "package built", "package edited", "package edited",
        ]  # fmt: skip

    play(tmp_path, script)


# Whose draft it is, and how long


def test_a_draft_is_its_owners_and_drafts_are_for_administrators(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        user = user_actor("eve", "console", Role.USER, 2, ["T"])
        await scene.rows("SELECT 1")
        async with scene.desk.store.writing() as tx:
            await tx.run(
                "INSERT INTO user (id, name, role, password, created_at) VALUES (1, 'ana', 'administrator', '', 0)"
            )
        draft = await open_draft(scene.desk.acting(ANA), FORM)
        assert [d.id for d in await list_drafts(scene.desk.acting(ANA))] == [draft.id]
        assert await list_drafts(scene.desk) == []
        for verb in (find_draft, prepare, received, drop_draft):
            assert (await refused(verb(scene.desk, draft.id))).kind is Kind.MISSING
            assert (await refused(verb(scene.desk.acting(user), draft.id))).kind is Kind.FORBIDDEN
        assert (await refused(open_draft(scene.desk.acting(user), FORM))).kind is Kind.FORBIDDEN

    play(tmp_path, script)


def test_old_drafts_and_files_that_no_draft_names_are_swept(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        old = await uploaded(scene, FORM, "p.tar.gz", ARCHIVE)
        scene.clock.moment += 40 * 3600
        new = await uploaded(scene, FORM, "p.tar.gz", ARCHIVE)
        scene.clock.moment += 9 * 3600
        folder = scene.desk.shelf.folder
        stray = "f" * 32
        for suffix in (".upload", ".packing"):
            (folder / f"{stray}{suffix}").mkdir()
            (folder / f"{stray}{suffix}" / "1").write_bytes(b"x")
        (folder / "readme.upload").write_bytes(b"a stranger")
        assert sorted(await sweep(scene.desk)) == sorted([stray, old.id])
        assert sorted(path.name for path in folder.iterdir()) == sorted([f"{new.id}.upload", "readme.upload"])
        assert await scene.rows("SELECT id FROM draft") == [(new.id,)]
        await drop_draft(scene.desk, new.id)
        assert [path.name for path in folder.iterdir()] == ["readme.upload"]

    play(tmp_path, script)


def test_memory_stays_flat_and_the_digests_are_ready_at_the_end(tmp_path: Path) -> None:
    import tracemalloc

    piece = os.urandom(64 * 1024)

    async def many() -> AsyncIterator[bytes]:
        for _ in range(1024):
            yield bytes(bytearray(piece))

    async def script(scene: Scene) -> None:
        draft = await open_draft(scene.desk, FORM)
        await announce_file(scene.desk, draft.id, "p.zip", 64 * 2**20)
        tracemalloc.start()
        await receive(scene.desk, draft.id, 0, many())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 8 * 2**20
        digests = scene.desk.shelf.uploads.parts(draft.id, 16 * 2**20).digests
        assert digests
        assert digests.sha256 == hashlib.sha256(piece * 1024).hexdigest()

    play(tmp_path, script)
    assert rows(tmp_path / "data", "SELECT size FROM draft") == [(64 * 2**20,)]
