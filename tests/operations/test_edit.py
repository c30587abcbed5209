"""Editing a package: the id stays, what is not changed stays, and nobody gets a mixture."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.domain.package import Action, Notice, Order, Package, Protocol, System
from appliance.domain.refusal import Kind, Refusal
from appliance.operations.build_package import build_package
from appliance.operations.delete_package import delete_package
from appliance.operations.depot import read_description
from appliance.operations.edit_package import edit_package
from appliance.operations.package_facts import show_package
from appliance.wire import info
from tests.fakes.appliance import device
from tests.fakes.archives import targz_of, zip_of
from tests.operations.kit import Scene, play, silent

STORE = Order("stored", System.LINUX, Action.STORE, "/opt/x")
Edit = Callable[..., Awaitable[Package]]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "one.tar.gz"
    path.write_bytes(targz_of({"setup.sh": os.urandom(5000)}))
    return path


async def stored(scene: Scene, archive: Path) -> Package:
    return await build_package(scene.desk, STORE, archive, "1K", silent)


def editor(scene: Scene, package: str) -> Edit:
    async def edit(order: Order, file: Path | None = None, size: str | None = None) -> Package:
        return await edit_package(scene.desk, package, order, file, size, silent)

    return edit


async def refused(work: Awaitable[Any]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await work
    return caught.value


def test_every_field_can_change_and_the_id_stays(tmp_path: Path, archive: Path) -> None:
    async def script(scene: Scene) -> None:
        before = await stored(scene, archive)
        order = Order(
            name="renamed ✓",
            system=System.MACOS,
            action=Action.LAUNCH,
            argument='setup.sh "a & b" <c>',
            description="why\nnot",
            protocol=Protocol.HTTPS,
            priority=0,
            notice=Notice("Save your work", 60, may_cancel=True),
            done_text="All done?",
        )
        after = await editor(scene, before.id)(order)
        assert (after.id, after.order, after.payload) == (before.id, order, before.payload)
        assert (await show_package(scene.desk, before.id)).package == after
        told = info.decode(await read_description(scene.desk, before.id, "info"))
        assert (told.action, told.argument, told.priority) == (Action.LAUNCH, order.argument, 0)
        assert (told.notice, told.done_text, told.protocol) == (order.notice, "All done?", Protocol.HTTPS)

    play(tmp_path, script)


def test_without_a_new_file_the_fragments_are_the_same_files(tmp_path: Path, archive: Path) -> None:
    async def script(scene: Scene) -> None:
        package = await stored(scene, archive)
        folder = scene.desk.shelf.folder / package.id
        before = {path.name: path.stat().st_ino for path in folder.iterdir() if "-" in path.name}
        await editor(scene, package.id)(replace(STORE, priority=2))
        assert {path.name: path.stat().st_ino for path in folder.iterdir() if "-" in path.name} == before
        assert len(before) == 6

    play(tmp_path, script)


def test_a_new_file_brings_new_fragments(tmp_path: Path, archive: Path) -> None:
    async def script(scene: Scene) -> None:
        package = await stored(scene, archive)
        other = tmp_path / "other.zip"
        other.write_bytes(zip_of({"setup.sh": os.urandom(3000)}))
        after = await editor(scene, package.id)(STORE, other, "2K")
        assert after.payload is not None
        assert (after.payload.fragments, after.payload.format, after.payload.fragment_size) == (2, "zip", 2048)
        names = sorted(path.name for path in (scene.desk.shelf.folder / package.id).iterdir())
        assert names == [f"{package.id}-1", f"{package.id}-2", "info", "manifest"]
        assert await scene.rows("SELECT number FROM fragment ORDER BY 1") == [(1,), (2,)]

    play(tmp_path, script)


def test_a_new_file_is_refused_while_a_computer_is_under_way_and_other_changes_are_not(
    tmp_path: Path, archive: Path
) -> None:
    async def script(scene: Scene) -> None:
        package = await stored(scene, archive)
        await scene.activate(package.id)
        await scene.inventory(device("alpha"))
        await scene.inventory(device("beta"))
        await scene.affect(package.id)
        edit = editor(scene, package.id)
        await edit(STORE, archive)
        await scene.contact(device("alpha"))
        refusal = await refused(edit(STORE, archive))
        assert "1 computers are downloading" in str(refusal)
        await edit(replace(STORE, priority=1))
        await scene.report(device("alpha"), package.id, "SUCCESS")
        await edit(STORE, archive)

    play(tmp_path, script)


def test_what_a_build_refuses_an_edit_refuses_and_nothing_changes(tmp_path: Path, archive: Path) -> None:
    async def script(scene: Scene) -> None:
        package = await stored(scene, archive)
        await scene.package("taken")
        edit = editor(scene, package.id)
        wrong = tmp_path / "wrong.zip"
        wrong.write_bytes(archive.read_bytes())
        for refusal, kind, field in (
            (await refused(edit(replace(STORE, name="taken"))), Kind.CONFLICT, "name"),
            (await refused(edit(replace(STORE, priority=11))), Kind.INVALID, "priority"),
            (await refused(edit(replace(STORE, argument=" "))), Kind.INVALID, "path"),
            (await refused(edit(replace(STORE, action=Action.LAUNCH, argument=""))), Kind.INVALID, "command"),
            (await refused(edit(replace(STORE, system=System.WINDOWS))), Kind.INVALID, "file"),
            (await refused(edit(STORE, wrong)), Kind.INVALID, "file"),
            (await refused(edit(STORE, archive, "0")), Kind.INVALID, "fragment-size"),
            (await refused(edit(STORE, None, "2K")), Kind.CONFLICT, "fragment-size"),
        ):
            assert (refusal.kind, refusal.field) == (kind, field)
        assert (await show_package(scene.desk, package.id)).package == package
        assert len(list(scene.desk.shelf.folder.iterdir())) == 2

    play(tmp_path, script)


def test_its_own_name_is_not_taken(tmp_path: Path, archive: Path) -> None:
    async def script(scene: Scene) -> None:
        package = await stored(scene, archive)
        assert (await editor(scene, package.id)(STORE)).order == STORE

    play(tmp_path, script)


def test_launch_needs_its_program_in_the_new_archive(tmp_path: Path, archive: Path) -> None:
    async def script(scene: Scene) -> None:
        launch = replace(STORE, action=Action.LAUNCH, argument="setup.sh")
        package = await build_package(scene.desk, launch, archive, None, silent)
        other = tmp_path / "other.tar.gz"
        other.write_bytes(targz_of({"bin/setup.sh": b"#!/bin/sh"}))
        assert (await refused(editor(scene, package.id)(launch, other))).field == "command"

    play(tmp_path, script)


def test_deleting_takes_rows_and_files_and_what_waits(tmp_path: Path, archive: Path) -> None:
    async def script(scene: Scene) -> None:
        package = await stored(scene, archive)
        await scene.activate(package.id)
        await scene.inventory(device("alpha"))
        await scene.affect(package.id)
        await delete_package(scene.desk, package.id)
        assert list(scene.desk.shelf.folder.iterdir()) == []
        assert await scene.announced(device("alpha")) == []
        for table in ("package", "fragment", "activation", "affectation"):
            assert await scene.rows(f"SELECT count(*) FROM {table}") == [(0,)]
        for gone in (delete_package(scene.desk, package.id), editor(scene, package.id)(STORE)):
            assert (await refused(gone)).kind is Kind.MISSING
        assert (await build_package(scene.desk, STORE, archive, None, silent)).id > package.id

    play(tmp_path, script)
