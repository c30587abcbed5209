"""How far a download has come, as computers say it: a number that only grows, where it can be true; nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from appliance.operations.affect import Selection, Terms, affect
from appliance.operations.build_package import build_package
from tests.fakes.appliance import device, dump, progress, report, tell
from tests.fakes.archives import targz_of
from tests.operations.kit import ALL, ORDER, Scene, play, silent

A, B = device("alpha"), device("beta")


async def fragmented(scene: Scene, folder: Path, name: str = "p") -> str:
    """A package of many fragments, active and affected to every computer."""
    file = folder / "p.tar.gz"
    file.write_bytes(targz_of({"data": bytes(range(256)) * 4}))
    made = await build_package(scene.desk, replace(ORDER, name=name), file, "16", silent)
    await scene.activate(made.id)
    await affect(scene.desk, made.id, ALL, Terms())
    return made.id


async def far(scene: Scene, package: str) -> list[tuple[int, int | None]]:
    """How far it has come, and when that was said, on each computer."""
    return await scene.rows(  # type: ignore[return-value]
        "SELECT fetched, fetched_at FROM affectation JOIN computer c ON c.id = computer_id "
        "WHERE package_id = ? ORDER BY c.name",
        package,
    )


def test_what_is_announced_counts_upwards_and_never_beyond_its_fragments(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A)
        await scene.inventory(B)
        package = await fragmented(scene, tmp_path)
        ((most,),) = await scene.rows("SELECT fragments FROM package")
        assert most > 4
        await scene.contact(A)
        at = scene.clock.moment
        for said, known in [(1, 1), (3, 3), (2, 3), (3, 3), (0, 3), (most + 1, 3), (999_999_999, 3), (most, most)]:
            scene.clock.moment += 1
            at = scene.clock.moment if known != (await far(scene, package))[0][0] else at
            await tell(scene.desk, progress(A, package, said))
            assert await far(scene, package) == [(known, at), (0, None)]

    play(tmp_path, script)


def test_what_is_not_announced_or_has_ended_or_is_unknown_changes_nothing(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A)
        await scene.inventory(B)
        package, bare = await fragmented(scene, tmp_path), await scene.package("bare")
        await scene.affect(bare, Selection(computers=("alpha",)))
        data = tmp_path / "data"
        before = dump(data)
        await tell(scene.desk, progress(A, package, 1))  # it waits
        assert dump(data) == before
        await scene.contact(A)
        await tell(scene.desk, report(A, package, "SUCCESS"))
        before = dump(data)
        for who, what, number in [
            *[(A, package, 1), (A, bare, 1), (B, package, 1), (B, bare, 1), (device("nobody"), package, 1)],
            *[(A, "", 1), (A, "0000000000", 1), (A, "' OR 1=1--", 1), (A, "9" * 1000, 1)],
        ]:
            await tell(scene.desk, progress(who, what, number))
            assert dump(data) == before, (who, what)

    play(tmp_path, script)


def test_a_number_moves_nothing_but_itself(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A)
        package = await fragmented(scene, tmp_path)
        await scene.contact(A)
        await tell(scene.desk, progress(A, package, 1))
        sql = "SELECT stage, received, notified_at, changed_at, (SELECT count(*) FROM event), c.* FROM affectation "
        sql += "JOIN computer c ON c.id = computer_id"
        before = await scene.rows(sql)
        scene.clock.moment += 100
        await tell(scene.desk, progress(A, package, 2))
        assert await scene.rows(sql) == before
        assert await far(scene, package) == [(2, scene.clock.moment)]

    play(tmp_path, script)


def test_affected_again_it_starts_at_nothing(tmp_path: Path) -> None:
    async def script(scene: Scene) -> None:
        await scene.inventory(A)
        package = await fragmented(scene, tmp_path)
        await scene.contact(A)
        await tell(scene.desk, progress(A, package, 3))
        await scene.affect(package)
        assert (await far(scene, package))[0][0] == 3, "what is under way stays as it is"
        await scene.report(A, package, "ERR_EXECUTE")
        await scene.affect(package)
        assert await far(scene, package) == [(0, None)]
        await scene.contact(A)
        await tell(scene.desk, progress(A, package, 1))
        assert (await far(scene, package))[0][0] == 1

    play(tmp_path, script)
