"""`check`: every damaged, missing or foreign file is named with what to do, and nothing is changed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.domain.refusal import Kind, Refusal
from appliance.operations import check as checks
from appliance.operations.check import Finding, Verdict, check
from appliance.operations.delete_package import delete_package
from appliance.operations.desk import open_desk
from appliance.operations.start import sweep
from appliance.store import backup as copies
from appliance.store import sums
from appliance.store.shelf import Shelf
from tests.fakes.appliance import SetClock, device, inventory, on_desk, rows, say, tell
from tests.operations.kit import silent
from tests.operations.test_backup import build, edit, once


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two packages of several fragments and a computer."""
    folder = tmp_path / "data"
    build(folder, "first")
    build(folder, "second")
    on_desk(folder, tell, inventory(device("alpha")), clock=SetClock())
    return folder


def checked(data: Path, progress: Callable[..., None] = silent) -> Verdict:
    return asyncio.run(check(data, SetClock(), progress))


def the_only(data: Path) -> Finding:
    findings = checked(data).findings
    assert len(findings) == 1, findings
    return findings[0]


def first(data: Path) -> str:
    return str(rows(data, "SELECT min(id) FROM package")[0][0])


def spoil(data: Path, sql: str) -> None:
    """By another program, whose pages are taken as they are."""
    sums.forget(data / "ocs.sqlite")
    with contextlib.closing(sqlite3.connect(data / "ocs.sqlite", isolation_level=None)) as connection:
        connection.executescript(sql)


def test_where_nothing_is_wrong_it_says_what_it_looked_at(data: Path) -> None:
    verdict = checked(data)
    size = sum(path.stat().st_size for path in data.glob("fragments/*/*-*"))
    files = len(list(data.glob("fragments/*/*")))
    assert (verdict.packages, verdict.files, verdict.size, verdict.findings) == (2, files, size, ())


def test_every_single_byte_of_a_package_is_looked_at(data: Path) -> None:
    package = first(data)
    for file in (data / "fragments" / package).iterdir():
        good = file.read_bytes()
        for at in {0, 1, len(good) // 2, len(good) - 1}:
            file.write_bytes(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])
            assert f"fragments/{package}/{file.name}" in [finding.where for finding in checked(data).findings]
        for spoilt in (good[:-1], good + b"x", b""):
            file.write_bytes(spoilt)
            assert f"fragments/{package}/{file.name}" in [finding.where for finding in checked(data).findings]
        file.write_bytes(good)
    assert checked(data).findings == ()


def test_a_missing_fragment_is_named_with_the_package_to_give_its_file_again(data: Path) -> None:
    package = first(data)
    (data / "fragments" / package / f"{package}-2").unlink()
    finding = the_only(data)
    assert (finding.where, finding.sentence) == (f"fragments/{package}/{package}-2", "it is missing.")
    assert f"ocs.pyz package edit {package} --file FILE" in finding.advice
    edit(data, package, "first")  # which does what was advised
    assert checked(data).findings == ()


@pytest.mark.parametrize("name", ["info", "manifest"])
def test_what_is_advised_for_a_damaged_description_puts_it_right(data: Path, name: str) -> None:
    package = first(data)
    (data / "fragments" / package / name).write_bytes(b"x")
    finding = the_only(data)
    words = finding.advice.partition("ocs.pyz ")[2].split()
    assert words[:3] == ["package", "edit", package]
    said = say(*words, data=data)
    assert said.code == 0, said.err
    assert checked(data).findings == ()


@pytest.mark.parametrize(
    ("name", "swept"),
    [
        ("fragments/{id}/extra", False),
        ("fragments/{id}/{id}-99", False),
        ("fragments/notes.txt", False),
        ("notes.txt", False),
        ("ocs.sqlite.bak", False),
        ("fragments/1999999999/info", True),
        ("fragments/{id}.building/info", True),
        ("fragments/1999999999.old/info", True),
        (".scratch-x/ocs.sqlite", True),
        ("fragments/.scratch-x/1/info", True),
    ],
)
def test_what_no_row_names_is_named(data: Path, name: str, swept: bool) -> None:
    path = data / name.format(id=first(data))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    finding = the_only(data)
    assert str(path.relative_to(data)).startswith(finding.where)
    assert (finding.remedy == checks.SWEPT) is swept
    on_desk(data, sweep)
    assert (checked(data).findings == ()) is swept


@pytest.mark.parametrize("name", ["replaced-20261121093000/x", "ocs.sqlite.schema-1", "lost+found/x"])
def test_what_is_kept_beside_on_purpose_is_left_alone(data: Path, name: str) -> None:
    path = data / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    assert checked(data).findings == ()


def test_an_upload_on_its_way_is_not_foreign(data: Path) -> None:
    (data / "fragments" / ("0123456789abcdef" * 2 + ".upload")).write_bytes(b"x")
    assert checked(data).findings == ()


SPOILT = {
    "fragment's size": ("UPDATE fragment SET size = size + 1 WHERE number = 1", "contradict"),
    "fragment away": ("DELETE FROM fragment WHERE number = 2", "contradict"),
    "package's size": ("UPDATE package SET size = size - 1", "contradict"),
    "no size": ("UPDATE package SET fragment_size = 0", "contradict"),
    "orphan": ("INSERT INTO installed VALUES (99, 99)", "rows of installed speak of a row of"),
    "log": (
        "INSERT INTO log VALUES (NULL, 0, '', '', '', '', '{}', 'not a digest')",
        "somebody changed the log",
    ),
    "trigger": ("CREATE TRIGGER t AFTER INSERT ON computer BEGIN SELECT 1; END", "t is not as this program makes it"),
    "trigger away": ("DROP TRIGGER log_never_changes", "log_never_changes is not as"),
    "index": (
        "PRAGMA writable_schema = ON; DELETE FROM sqlite_master WHERE name = 'computer_name'",
        "SQLite finds: ",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_database_that_contradicts_itself_is_named(data: Path, name: str) -> None:
    sql, met = SPOILT[name]
    spoil(data, sql)
    assert met in " ".join(finding.sentence for finding in checked(data).findings)


@pytest.mark.parametrize("at", [0, 16, 100, 4096, 4100, 8192])
def test_damaged_pages_are_named_with_the_backup_to_restore(data: Path, at: int) -> None:
    path = data / "ocs.sqlite"
    content = bytearray(path.read_bytes())
    content[at : at + 64] = os.urandom(64)
    path.write_bytes(content)
    findings = [finding for finding in checked(data).findings if finding.where == "ocs.sqlite"]
    assert findings
    assert all("ocs.pyz restore FILE --replace" in finding.advice for finding in findings)


def test_nothing_is_changed_by_it(data: Path) -> None:
    package = first(data)
    (data / "fragments" / package / "info").write_bytes(b"x")
    (data / "notes.txt").write_bytes(b"x")

    def everything() -> dict[str, bytes]:
        return {
            str(path): path.read_bytes()
            for path in sorted(data.rglob("*"))
            if path.is_file() and not path.name.endswith(("-wal", "-shm"))
        }

    before = everything()
    checked(data)
    assert everything() == before


def test_a_directory_that_others_may_read_is_named(data: Path) -> None:
    (data / "ocs.sqlite").chmod(0o644)
    assert the_only(data).advice == f"Close it: chmod -R go= {data}"
    (data / "ocs.sqlite").chmod(0o600)
    data.chmod(0o755)
    assert the_only(data).where == str(data)


def test_no_directory_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        checked(tmp_path / "nowhere")
    assert caught.value.kind is Kind.MISSING


# While a server runs


def test_packages_that_are_edited_deleted_and_built_meanwhile_are_no_findings(data: Path) -> None:
    package, other = (row[0] for row in rows(data, "SELECT id FROM package ORDER BY id"))

    def meanwhile() -> None:
        edit(data, package, "edited")
        on_desk(data, delete_package, other)
        build(data, "third")

    verdict = checked(data, once(meanwhile, "verify"))
    assert verdict.findings == ()
    assert verdict.packages == 2


def test_a_build_and_a_backup_at_work_are_no_findings(data: Path) -> None:
    async def work() -> Verdict:
        async with open_desk(data) as desk:
            shelf = Shelf(data / "fragments")
            with shelf.building("1888888888") as building, copies.scratch(data) as room:  # type: ignore[arg-type]
                building.put("info", b"half")
                (room / "ocs.sqlite").write_bytes(b"half")
                return await check(data, desk.clock, silent)

    assert asyncio.run(work()).findings == ()
