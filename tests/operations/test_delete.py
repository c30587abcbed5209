"""What a deletion and an edit will do is told before, in numbers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from appliance.domain.account import Role, user_actor
from appliance.domain.package import Action
from appliance.domain.refusal import Kind, Refusal
from appliance.operations.build_package import build_package
from appliance.operations.delete_package import delete_package, deletion_of
from appliance.operations.drafts import open_draft
from appliance.operations.edit_package import edit_facts
from tests.fakes.appliance import device
from tests.fakes.archives import targz_of
from tests.operations.kit import ORDER, Scene, play, silent


async def refused(verb: Any) -> Kind:
    with pytest.raises(Refusal) as caught:
        await verb
    return caught.value.kind


def test_what_goes_with_a_package_and_what_an_edit_leaves_as_it_is(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(targz_of({"setup.sh": os.urandom(3000)}))

    async def script(scene: Scene) -> None:
        order = ORDER.__class__("p", ORDER.system, Action.STORE, "/x")
        package = (await build_package(scene.desk, order, archive, "1K", silent)).id
        await scene.activate(package)
        await scene.activate(package, "other.example.org/d")
        for name in ("a", "b", "c", "d"):
            await scene.inventory(device(name))
        await scene.affect(package)
        for name in ("a", "b", "c"):
            await scene.contact(device(name))
        await scene.report(device("a"), package, "SUCCESS")
        await scene.report(device("b"), package, "ERR_BUILD")
        await open_draft(scene.desk, {}, package)
        async with scene.desk.store.writing() as tx:
            await tx.run("INSERT INTO computer_group (id, name, created_at, changed_at) VALUES (1, 'Room 5', 0, 0)")
            await tx.run(
                "INSERT INTO group_affectation (group_id, package_id, affected_at) VALUES (1, ?, 0)", (package,)
            )
        found = await deletion_of(scene.desk, package)
        assert (found.file_bytes, found.fragments) == (archive.stat().st_size, 4)
        assert len(found.activations) == 2
        counts = found.counts
        assert (counts.waiting, counts.notified, counts.success, counts.error) == (1, 1, 1, 1)
        assert (found.groups, found.drafts) == (("Room 5",), 1)
        facts = await edit_facts(scene.desk, package)
        assert (facts.waiting, facts.under_way, facts.have, facts.failed, facts.told) == (1, 1, 1, 1, 3)
        await delete_package(scene.desk, package)
        assert await scene.rows("SELECT * FROM draft") == []
        ((detail,),) = await scene.rows("SELECT detail FROM log WHERE deed = 'package deleted'")
        assert '"success": "1"' in detail
        for verb in (deletion_of, edit_facts, delete_package):
            assert await refused(verb(scene.desk, package)) is Kind.MISSING

    play(tmp_path, script)


def test_only_administrators_build_edit_and_delete(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        package = await scene.package()
        user = scene.desk.acting(user_actor("eve", "console", Role.USER, 2, []))
        for verb in (deletion_of(user, package), delete_package(user, package)):
            assert await refused(verb) is Kind.FORBIDDEN
        assert await refused(build_package(user, ORDER, None, None, silent)) is Kind.FORBIDDEN

    play(tmp_path, script)
