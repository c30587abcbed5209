"""Backup and restore: whole or not at all, on real files, with writers at work and kills at every step."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import os
import resource
import signal
import sqlite3
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from appliance.domain.account import SERVER
from appliance.domain.package import Action, Order, System
from appliance.domain.refusal import Kind, Refusal
from appliance.operations import backup as backups
from appliance.operations.backup import Backup, back_up, prove
from appliance.operations.build_package import build_package
from appliance.operations.check import check
from appliance.operations.delete_package import delete_package
from appliance.operations.desk import Desk, open_desk
from appliance.operations.edit_package import edit_package
from appliance.operations.restore import Restored, restore
from appliance.operations.start import alone, sweep
from appliance.store import backup as copies
from appliance.store import log
from appliance.trust import sealing
from tests.fakes.appliance import SetClock, device, inventory, on_desk, rows, tell
from tests.fakes.archives import targz_of
from tests.operations.kit import silent

PASSPHRASE = "correct horse battery staple ñ"


def build(data: Path, name: str, size: int = 5000) -> str:
    """A package of several fragments: its id."""
    archive = data.parent / f"{name}.tar.gz"
    archive.write_bytes(targz_of({"setup.sh": os.urandom(size)}))
    order = Order(name, System.LINUX, Action.STORE, "/opt/x")
    return on_desk(data, build_package, order, archive, "2K", silent, clock=SetClock()).id


def edit(data: Path, package: str, name: str) -> None:
    """Another name and another file."""
    archive = data.parent / f"{name}.tar.gz"
    archive.write_bytes(targz_of({"setup.sh": os.urandom(5000)}))
    order = Order(name, System.LINUX, Action.STORE, "/opt/y")
    on_desk(data, edit_package, package, order, archive, "3K", silent, clock=SetClock())


def make(data: Path, target: Path, passphrase: str | None = None, progress: Any = silent) -> Backup:
    return on_desk(data, back_up, target, passphrase, progress, clock=SetClock())


def put_back(folder: Path, file: Path, passphrase: str | None = None, **how: Any) -> Restored:
    progress = how.pop("progress", silent)
    return asyncio.run(restore(folder, file, passphrase, SERVER, SetClock(), progress, **how))


def proved(file: Path, folder: Path, passphrase: str | None = None) -> Any:
    return asyncio.run(prove(file, passphrase, folder, SetClock(), silent))


def refused(work: Callable[[], Any]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        work()
    return caught.value


def state(data: Path) -> dict[str, Any]:
    """What makes up the data: the packages by rows, and every byte of their files."""
    files = {
        str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((data / "fragments").rglob("*"))
        if path.is_file()
    }
    with contextlib.closing(sqlite3.connect(data / "ocs.sqlite")) as connection:
        names = connection.execute("SELECT id, name, manifest_sha256 FROM package ORDER BY id").fetchall()
        devices = connection.execute("SELECT device_id FROM computer ORDER BY 1").fetchall()
    return {"files": files, "packages": names, "computers": devices}


def wrong_with(data: Path) -> list[tuple[str, str]]:
    return [(f.where, f.sentence) for f in asyncio.run(check(data, SetClock(), silent)).findings]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two packages and a computer."""
    folder = tmp_path / "data"
    build(folder, "first")
    build(folder, "second")
    on_desk(folder, tell, inventory(device("alpha")), clock=SetClock())
    return folder


# There and back


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE], ids=["plain", "sealed"])
def test_what_was_backed_up_comes_back_byte_for_byte(data: Path, tmp_path: Path, passphrase: str | None) -> None:
    before, target = state(data), tmp_path / "b.tar.zst"
    made = make(data, target, passphrase)
    assert (made.size, made.contents.packages, made.sealed) == (target.stat().st_size, 2, passphrase is not None)
    assert target.stat().st_mode & 0o777 == 0o600
    done = put_back(tmp_path / "new", target, passphrase)
    assert done.former is None
    assert state(tmp_path / "new") == before
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["fragments", "ocs.sqlite", "ocs.sqlite-sums"]
    assert wrong_with(tmp_path / "new") == []
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def test_a_plain_backup_opens_with_common_tools_and_holds_each_content_once(data: Path, tmp_path: Path) -> None:
    twin = Order("twin", System.LINUX, Action.STORE, "/opt/x")
    on_desk(data, build_package, twin, data.parent / "first.tar.gz", "2K", silent, clock=SetClock())
    make(data, tmp_path / "b.tar.zst")
    names = list(contents_of(tmp_path / "b.tar.zst"))
    assert names[:2] == ["manifest.json", "ocs.sqlite"]
    files = json.loads(contents_of(tmp_path / "b.tar.zst")["manifest.json"])["files"]
    assert len(set(names)) == len(names) == 2 + len({sha256 for _, _, sha256 in files}) < 2 + len(files)
    put_back(tmp_path / "new", tmp_path / "b.tar.zst")
    assert state(tmp_path / "new") == state(data)


def test_nobody_is_signed_in_after_a_restore_and_both_deeds_are_logged(data: Path, tmp_path: Path) -> None:
    async def sign_in(desk: Desk) -> None:
        async with desk.store.writing() as tx:
            await tx.run("INSERT INTO user (name, role, password, created_at) VALUES ('ana', 'user', '', 0)")
            await tx.run("INSERT INTO session VALUES ('x', 1, 0, 0, 0, 1, '', '')")

    on_desk(data, sign_in)
    make(data, tmp_path / "b.tar.zst")
    put_back(tmp_path / "new", tmp_path / "b.tar.zst")
    assert rows(tmp_path / "new", "SELECT count(*) FROM session") == [(0,)]
    assert rows(data, "SELECT deed, subject FROM log ORDER BY id DESC LIMIT 1") == [("backup made", "b.tar.zst")]
    restored = rows(tmp_path / "new", "SELECT deed, subject FROM log ORDER BY id DESC LIMIT 1")
    assert restored == [("data restored", "b.tar.zst")]


def test_a_backup_that_is_there_is_not_written_over_unless_that_was_asked_for(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.tar.zst"
    target.write_bytes(b"mine")
    assert refused(lambda: make(data, target)).kind is Kind.CONFLICT
    assert target.read_bytes() == b"mine"
    clock = SetClock()

    async def again(desk: Desk) -> Backup:
        return await back_up(desk, target, None, silent, overwrite=True)

    on_desk(data, again, clock=clock)
    assert proved(target, data).packages == 2


@pytest.mark.parametrize(
    ("target", "met"),
    [
        ("no/where.tar.zst", "No such file or directory"),
        ("first.tar.gz/x", "Not a directory"),
        ("data/b.tar.zst", "lies among the data"),
        ("data/fragments/b.tar.zst", "lies among the data"),
    ],
)
def test_a_target_that_cannot_be_written_is_said(data: Path, tmp_path: Path, target: str, met: str) -> None:
    assert met in str(refused(lambda: make(data, tmp_path / target)))


def test_too_little_room_is_said_before_anything_is_written(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    full = shutil._ntuple_diskusage(1000, 999, 1)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    assert refused(lambda: make(data, tmp_path / "b.tar.zst")).kind is Kind.TOO_LARGE
    assert not (tmp_path / "b.tar.zst").exists()


def test_a_disk_that_takes_no_more_at_any_point_is_said_and_changes_nothing(data: Path, tmp_path: Path) -> None:
    target, good, before = tmp_path / "b.tar.zst", tmp_path / "good.tar.zst", state(data)
    make(data, good)
    whole = good.stat().st_size

    def backs_up() -> None:
        make(data, target)

    def restores() -> None:
        put_back(data, good, replace=True)

    for work in (backs_up, restores):
        said = [with_room_for(size, work) for size in (0, 1000, 20_000, whole // 2, whole - 1, 100_000_000)]
        assert said == ["Refusal"] * 5 + ["done"] if work is backs_up else said[0] == "Refusal"
        assert set(said) == {"Refusal", "done"}
        assert target.exists()
        on_desk(data, sweep)
        assert state(data) == before
        assert wrong_with(data) == []


def with_room_for(size: int, work: Callable[[], None]) -> str:
    """How work ends in a process that cannot write further than that into any file."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        said = "done"
        try:
            work()
        except BaseException as error:
            said = type(error).__name__
        os.write(write, said.encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as pipe:
        return pipe.read()


# While others work


def test_writers_are_not_held_and_the_copy_is_one_picture(data: Path, tmp_path: Path) -> None:
    waits, target = [], tmp_path / "b.tar.zst"

    async def busy() -> None:
        async with open_desk(data) as desk, open_desk(data) as other:
            async with desk.store.writing() as tx:
                await tx.many("INSERT INTO runtime VALUES (?, ?)", ((f"k{n}", "x" * 900) for n in range(20_000)))

            async def write(stop: asyncio.Event) -> None:
                while not stop.is_set():
                    start = time.monotonic()
                    async with other.store.writing() as tx:  # each pair in one transaction
                        await tx.run("UPDATE runtime SET value = 'a' || value WHERE name IN ('k1', 'k19999')")
                    waits.append(time.monotonic() - start)

            stop = asyncio.Event()
            writer = asyncio.create_task(write(stop))
            await back_up(desk, target, None, silent)
            stop.set()
            await writer

    asyncio.run(busy())
    assert len(waits) > 3
    assert max(waits) < 1
    put_back(tmp_path / "new", target)
    pair = rows(tmp_path / "new", "SELECT value FROM runtime WHERE name IN ('k1', 'k19999')")
    assert pair[0] == pair[1]
    assert wrong_with(tmp_path / "new") == []


def once(deed: Callable[[], None], phase: str = "write") -> Callable[[str, int, int], None]:
    """Progress that does something when a phase begins."""
    left = [deed]

    def progress(now: str, *_: int) -> None:
        if now == phase and left:
            left.pop()()

    return progress


def test_a_package_deleted_meanwhile_is_not_in_the_backup(data: Path, tmp_path: Path) -> None:
    (first,), (second,) = rows(data, "SELECT id FROM package ORDER BY id")
    make(data, tmp_path / "b.tar.zst", progress=once(lambda: on_desk(data, delete_package, second)))
    put_back(tmp_path / "new", tmp_path / "b.tar.zst")
    assert [row[0] for row in state(tmp_path / "new")["packages"]] == [first]
    assert wrong_with(tmp_path / "new") == []


def test_a_package_edited_meanwhile_is_there_as_edited(data: Path, tmp_path: Path) -> None:
    second = rows(data, "SELECT max(id) FROM package")[0][0]
    make(data, tmp_path / "b.tar.zst", progress=once(lambda: edit(data, second, "edited")))
    put_back(tmp_path / "new", tmp_path / "b.tar.zst")
    assert [row[1] for row in state(tmp_path / "new")["packages"]] == ["first", "edited"]
    assert state(tmp_path / "new") == state(data)


def test_edits_without_an_end_are_given_up_and_leave_no_file(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "TRIES", 2)
    second = rows(data, "SELECT max(id) FROM package")[0][0]
    edits = iter(range(100))

    def progress(phase: str, done: int, total: int) -> None:
        if phase == "write" and done < total and not (data / f"{done}").exists():
            edit(data, second, f"edited {next(edits)}")

    assert refused(lambda: make(data, tmp_path / "b.tar.zst", progress=progress)).kind is Kind.BUSY
    assert [path.name for path in tmp_path.iterdir() if "b.tar.zst" in path.name] == []


def test_two_backups_at_once_leave_each_other_alone(data: Path, tmp_path: Path) -> None:
    def second() -> None:
        make(data, tmp_path / "inner.tar.zst")

    make(data, tmp_path / "outer.tar.zst", progress=once(second))
    for name in ("inner", "outer"):
        assert proved(tmp_path / f"{name}.tar.zst", data).packages == 2
    assert sorted(path.name for path in data.iterdir() if not path.name.startswith("ocs.sqlite")) == ["fragments"]


@pytest.mark.parametrize("harm", ["flip", "cut", "gone"])
@pytest.mark.parametrize("name", ["1", "info", "manifest"])
def test_a_damaged_file_of_a_package_is_named_and_no_backup_is_made(
    data: Path, tmp_path: Path, harm: str, name: str
) -> None:
    package = rows(data, "SELECT min(id) FROM package")[0][0]
    file = data / "fragments" / package / (f"{package}-1" if name == "1" else name)
    damage(file, harm)
    refusal = refused(lambda: make(data, tmp_path / "b.tar.zst"))
    assert f"fragments/{package}/" in str(refusal)
    assert "'ocs.pyz check' says what to do" in str(refusal)
    assert not (tmp_path / "b.tar.zst").exists()


def damage(file: Path, harm: str) -> None:
    content = bytearray(file.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif harm == "cut":
        file.write_bytes(content[:-1])
    else:
        file.unlink()


def test_a_damaged_database_makes_no_backup(data: Path, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(data / "ocs.sqlite")) as connection:
        connection.execute("INSERT INTO installed VALUES (99, 99)")
        connection.commit()
    assert "the database is damaged" in str(refused(lambda: make(data, tmp_path / "b.tar.zst")))
    assert not (tmp_path / "b.tar.zst").exists()


# Damaged, foreign, hostile


def contents_of(file: Path) -> dict[str, bytes]:
    """The members of a plain backup, read by common tools."""
    plain = zstandard.ZstdDecompressor().stream_reader(file.read_bytes(), read_across_frames=True).read()
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        return {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]


def packed(members: dict[str, bytes], form: Callable[[tarfile.TarInfo], None] = lambda _: None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o600
            form(entry)
            archive.addfile(entry, io.BytesIO(content))
    return zstandard.compress(out.getvalue().rstrip(b"\0") + bytes(-len(out.getvalue().rstrip(b"\0")) % 512 + 1024))


def changed_manifest(members: dict[str, bytes], change: Callable[[dict[str, Any]], Any]) -> dict[str, bytes]:
    document = json.loads(members["manifest.json"])
    change(document)
    return {**members, "manifest.json": json.dumps(document, separators=(",", ":")).encode() + b"\n"}


def changed_database(members: dict[str, bytes], folder: Path, sql: str) -> dict[str, bytes]:
    """The database changed, and the manifest to it: as one does who makes a backup himself."""
    path = folder / "changed.sqlite"
    path.write_bytes(members["ocs.sqlite"])
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(sql)
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    changed = changed_manifest(members, lambda document: document.update(database=[len(content), sha256]))
    return {**changed, "ocs.sqlite": content}


def test_the_repacking_of_this_test_makes_backups_that_are_taken(data: Path, tmp_path: Path) -> None:
    make(data, tmp_path / "b.tar.zst")
    same = contents_of(tmp_path / "b.tar.zst")
    for members in (same, changed_database(same, tmp_path, "UPDATE computer SET name = 'beta'")):
        (tmp_path / "again.tar.zst").write_bytes(packed(members))
        assert proved(tmp_path / "again.tar.zst", data).packages == 2


FILE = "1111111111"
MANIFESTS: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("leaves", lambda d: d["files"][0].__setitem__(0, "../../etc/passwd")),
    ("absolute", lambda d: d["files"][0].__setitem__(0, "/etc/passwd")),
    ("other", lambda d: d["files"][0].__setitem__(0, f"{FILE}/.bashrc")),
    ("foreign number", lambda d: d["files"][0].__setitem__(0, f"{FILE}/2222222222-1")),
    ("line break", lambda d: d["files"][0].__setitem__(0, f"{FILE}/info\n")),
    ("twice", lambda d: d["files"].append(d["files"][0])),
    ("more", lambda d: d["files"].append([f"{FILE}/info", *d["files"][0][1:]])),
    ("fewer", lambda d: d["files"].pop()),
    ("no package", lambda d: d["files"].clear()),
    ("two sizes", lambda d: d["files"].append([f"{FILE}/info", 7, d["files"][0][2]])),
    ("negative", lambda d: d["files"][0].__setitem__(1, -1)),
    ("huge", lambda d: d["files"][0].__setitem__(1, 2**60)),
    ("large", lambda d: d["files"][0].__setitem__(1, 2**52)),
    ("a float", lambda d: d["files"][0].__setitem__(1, 1.5)),
    ("true", lambda d: d["files"][0].__setitem__(1, True)),
    ("digest", lambda d: d["files"][0].__setitem__(2, "../" + "0" * 61)),
    ("other digest", lambda d: d["files"][0].__setitem__(2, "0" * 64)),
    ("shape", lambda d: d.update(files={})),
    ("none", lambda d: d.update(files=None)),
    ("schema", lambda d: d.update(schema=d["schema"] + 1)),
    ("newer form", lambda d: d.update(backup=2)),
    ("no version", lambda d: d.pop("version")),
    ("odd version", lambda d: d.update(version="\x1b[31m")),
    ("database", lambda d: d.update(database=[0, "0" * 64])),
]


@pytest.mark.parametrize("change", [change for _, change in MANIFESTS], ids=[name for name, _ in MANIFESTS])
def test_a_manifest_that_lies_is_refused_and_nothing_is_written(
    data: Path, tmp_path: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    make(data, tmp_path / "b.tar.zst")
    (tmp_path / "bad.tar.zst").write_bytes(packed(changed_manifest(contents_of(tmp_path / "b.tar.zst"), change)))
    must_be_refused(tmp_path)


DATABASES = {
    "trigger": "CREATE TRIGGER t AFTER INSERT ON computer BEGIN DELETE FROM user; END",
    "view": "CREATE VIEW v AS SELECT * FROM credential",
    "table": "CREATE TABLE t (a)",
    "without a trigger": "DROP TRIGGER log_never_changes",
    "newer": "PRAGMA user_version = 9999",
    "older": "PRAGMA user_version = 1",
    "foreign": "PRAGMA application_id = 7",
    "orphan": "PRAGMA foreign_keys = OFF; INSERT INTO installed VALUES (99, 99)",
    "other digest": "UPDATE fragment SET sha256 = replace(sha256, '0', '1')",
    "no package": "PRAGMA foreign_keys = ON; DELETE FROM package",
    "structure": "PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = 3 WHERE name = 'log'",
}


@pytest.mark.parametrize("sql", DATABASES.values(), ids=DATABASES)
def test_a_database_that_is_not_ours_or_not_whole_is_refused(data: Path, tmp_path: Path, sql: str) -> None:
    make(data, tmp_path / "b.tar.zst")
    members = changed_database(contents_of(tmp_path / "b.tar.zst"), tmp_path, sql)
    (tmp_path / "bad.tar.zst").write_bytes(packed(members))
    must_be_refused(tmp_path)


def linked(entry: tarfile.TarInfo) -> None:
    if entry.name.startswith("files/"):
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"


FORMS: dict[str, Callable[[tarfile.TarInfo], None]] = {
    "link": linked,
    "device": lambda entry: setattr(entry, "type", tarfile.CHRTYPE),
    "sparse": lambda entry: setattr(entry, "type", tarfile.GNUTYPE_SPARSE),
    "set user id": lambda entry: setattr(entry, "mode", 0o4755),
    "owner": lambda entry: setattr(entry, "uid", 1000),
    "name": lambda entry: setattr(entry, "name", "../" + entry.name),
    "long name": lambda entry: setattr(entry, "name", entry.name + "x" * 200),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_an_archive_with_anything_but_the_expected_files_is_refused(
    data: Path, tmp_path: Path, form: Callable[[tarfile.TarInfo], None]
) -> None:
    make(data, tmp_path / "b.tar.zst")
    (tmp_path / "bad.tar.zst").write_bytes(packed(contents_of(tmp_path / "b.tar.zst"), form))
    must_be_refused(tmp_path)


def test_members_that_are_missing_too_many_or_in_another_order_are_refused(data: Path, tmp_path: Path) -> None:
    make(data, tmp_path / "b.tar.zst")
    members = contents_of(tmp_path / "b.tar.zst")
    for bad in (
        dict(list(members.items())[:-1]),
        {**members, "files/" + "0" * 64: b"more"},
        {**members, "ocs.sqlite-wal": b"more"},
        dict(reversed(members.items())),
        {name: content for name, content in members.items() if name != "manifest.json"},
        {},
    ):
        (tmp_path / "bad.tar.zst").write_bytes(packed(bad))
        must_be_refused(tmp_path)


def test_what_is_no_backup_at_all_is_refused(tmp_path: Path) -> None:
    bomb = zstandard.compress(bytes(300 * 1024 * 1024))
    head = tarfile.TarInfo("manifest.json")
    head.size, head.mode = 0o77777777777, 0o600
    wide = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=False)
    ).compress(bytes(1000))
    for content in (
        b"",
        b"x",
        os.urandom(5000),
        bytes(5000),
        bomb,
        wide,
        zstandard.compress(head.tobuf() + bytes(5000)),
        zstandard.compress(b"x" * 5000),
        sealing.MAGIC,
        sealing.MAGIC + bytes(100),
    ):
        (tmp_path / "bad.tar.zst").write_bytes(content)
        must_be_refused(tmp_path, "some passphrase")
    refusal = refused(lambda: put_back(tmp_path / "new", tmp_path / "nowhere"))
    assert "No such file" in str(refusal)


def must_be_refused(folder: Path, passphrase: str | None = None) -> None:
    """Refused, and nothing but an empty data directory is there."""
    new = folder / "refused"
    refused(lambda: put_back(new, folder / "bad.tar.zst", passphrase))
    assert list((new / "fragments").iterdir()) == []
    assert sorted(path.name for path in new.iterdir()) == ["fragments", "ocs.sqlite"]
    assert (new / "ocs.sqlite").stat().st_size == 0


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE], ids=["plain", "sealed"])
def test_a_flipped_or_missing_byte_anywhere_never_goes_unnoticed(
    data: Path, tmp_path: Path, passphrase: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "MEMORY_KIB", 64)
    monkeypatch.setattr(sealing, "MOST_MEMORY_KIB", 1024)
    good, bad = tmp_path / "b.tar.zst", tmp_path / "bad.tar.zst"
    whole = proved_contents = make(data, good, passphrase).contents
    content = good.read_bytes()
    step = max(1, len(content) // 120)
    missed = 0
    for at in [*range(40), *range(40, len(content), step), len(content) - 1]:
        bad.write_bytes(content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :])
        try:
            proved_contents = proved(bad, data, passphrase)
        except Refusal:
            continue
        missed += 1
        assert proved_contents == whole  # a bit that zstd itself has no use for
    assert missed <= (0 if passphrase else 10)
    for end in [*range(0, len(content), step), len(content) - 1]:
        bad.write_bytes(content[:end])
        refused(lambda: proved(bad, data, passphrase))
    bad.write_bytes(content + b"\0")
    refused(lambda: proved(bad, data, passphrase))


def test_a_sealed_backup_opens_with_its_passphrase_only_and_shows_nothing(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.tar.zst"
    make(data, target, PASSPHRASE)
    assert b"ocs.sqlite" not in target.read_bytes()
    assert b"\x28\xb5\x2f\xfd" not in target.read_bytes()
    assert refused(lambda: put_back(tmp_path / "new", target)).field == "passphrase"
    assert refused(lambda: put_back(tmp_path / "new", target, PASSPHRASE + " ")).field == "passphrase"
    assert refused(lambda: make(data, tmp_path / "c.tar.zst", "short")).field == "passphrase"
    assert not (tmp_path / "c.tar.zst").exists()


# Restoring over what is there


def changed(data: Path) -> None:
    """Other data than those of the backup: one package edited, one gone, one new, a further computer."""
    (first,), (second,) = rows(data, "SELECT id FROM package ORDER BY id")
    edit(data, first, "first, edited")
    on_desk(data, delete_package, second)
    build(data, "third")
    on_desk(data, tell, inventory(device("beta")), clock=SetClock())


def test_data_that_are_there_are_replaced_only_when_asked_and_kept_beside(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.tar.zst"
    before = state(data)
    make(data, target)
    changed(data)
    after = state(data)
    assert "--replace" in str(refused(lambda: put_back(data, target)))
    assert state(data) == after
    done = put_back(data, target, replace=True)
    assert state(data) == before
    assert wrong_with(data) == []
    assert done.former is not None
    assert done.former.parent == data
    assert state(done.former) == after
    assert all(path.stat().st_mode & 0o077 == 0 for path in (done.former, done.former / "ocs.sqlite"))


def test_a_restore_is_refused_while_a_server_runs(data: Path, tmp_path: Path) -> None:
    make(data, tmp_path / "b.tar.zst")
    before = state(data)
    with alone(data):
        assert refused(lambda: put_back(data, tmp_path / "b.tar.zst", replace=True)).kind is Kind.BUSY
    assert state(data) == before


def test_a_restore_heals_damaged_fragments(data: Path, tmp_path: Path) -> None:
    target, before = tmp_path / "b.tar.zst", state(data)
    make(data, target)
    for file in (data / "fragments").rglob("*-1"):
        damage(file, "flip")
    assert len(wrong_with(data)) == 2
    put_back(data, target, replace=True)
    assert state(data) == before


@pytest.mark.parametrize("wreck", ["header", "zeros", "inner", "cut"])
def test_a_restore_heals_a_database_that_is_a_wreck_and_keeps_the_wreck(data: Path, tmp_path: Path, wreck: str) -> None:
    target, before = tmp_path / "b.tar.zst", state(data)
    make(data, target)
    path = data / "ocs.sqlite"
    content = bytearray(path.read_bytes())
    spoilt = {
        "header": bytes(100) + content[100:],
        "zeros": bytes(len(content)),
        "inner": content[:4096] + os.urandom(len(content) - 4096),
        "cut": content[:5000],
    }[wreck]
    path.write_bytes(spoilt)
    (data / "ocs.sqlite-wal").write_bytes(b"left by a kill")
    done = put_back(data, target, replace=True)
    assert state(data) == before
    assert wrong_with(data) == []
    assert done.former is not None
    assert (done.former / "ocs.sqlite").exists()


def test_another_process_that_holds_the_database_is_named_and_nothing_changes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "BUSY_SECONDS", 0.1)
    make(data, tmp_path / "b.tar.zst")
    before = state(data)
    with contextlib.closing(sqlite3.connect(data / "ocs.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refusal = refused(lambda: put_back(data, tmp_path / "b.tar.zst", replace=True))
        other.execute("ROLLBACK")
    assert refusal.kind is Kind.BUSY
    assert state(data) == before
    assert wrong_with(data) == []
    assert [path.name for path in data.iterdir() if path.name.startswith("replaced")] == []


def test_a_backup_of_an_older_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    released = Path(__file__).parents[1] / "store" / "data" / "released-1.sql"
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    path = data / "ocs.sqlite"
    path.touch(0o600)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(released.read_text(encoding="utf-8"))
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM package")  # its files are not kept with the rows
        connection.commit()
    members = {"ocs.sqlite": path.read_bytes()}
    with contextlib.closing(sqlite3.connect(path)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        computers = connection.execute("SELECT count(*) FROM computer").fetchone()
    document = {"backup": 1, "version": "0.1.0", "schema": version, "made_at": 0, "files": []}
    document["database"] = [len(members["ocs.sqlite"]), hashlib.sha256(members["ocs.sqlite"]).hexdigest()]
    manifest = json.dumps(document, separators=(",", ":")).encode() + b"\n"
    (tmp_path / "b.tar.zst").write_bytes(packed({"manifest.json": manifest, **members}))
    put_back(tmp_path / "new", tmp_path / "b.tar.zst")
    assert rows(tmp_path / "new", "SELECT count(*) FROM computer") == [computers]
    assert on_desk(tmp_path / "new", sweep) == []


def test_before_a_migration_the_former_database_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    released = Path(__file__).parents[1] / "store" / "data" / "released-1.sql"
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    for name in ("ocs.sqlite", "ocs.sqlite.schema-0"):
        (data / name).touch(0o600)
    with contextlib.closing(sqlite3.connect(data / "ocs.sqlite")) as connection:
        connection.executescript(released.read_text(encoding="utf-8"))
        before = list(connection.iterdump())
    on_desk(data, sweep)
    former = data / "ocs.sqlite.schema-1"
    assert [path.name for path in data.glob("*schema*")] == [former.name]
    assert former.stat().st_mode & 0o777 == 0o600
    with contextlib.closing(sqlite3.connect(former)) as connection:
        assert list(connection.iterdump()) == before
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)


# Kills


def killed_at(step: int, work: Callable[[Any], Any]) -> bool:
    """Run work in a process that dies at its nth report of progress; whether it came that far."""
    child = os.fork()
    if child == 0:
        seen = iter(range(1, step))

        def progress(*_: object) -> None:
            if next(seen, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            work(progress)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def steps() -> Iterator[int]:
    yield from range(1, 1000)


def test_a_restore_killed_at_any_step_leaves_the_old_data_or_the_new_and_never_a_mix(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    monkeypatch.setattr(copies, "PAGES", 10)
    target, new = tmp_path / "b.tar.zst", state(data)
    make(data, target)
    changed(data)
    old, pristine = state(data), tmp_path / "pristine"
    shutil.copytree(data, pristine)
    seen = []
    for step in steps():
        shutil.rmtree(data)
        shutil.copytree(pristine, data)
        was_killed = killed_at(step, lambda progress: put_back(data, target, progress=progress, replace=True))
        on_desk(data, sweep)  # the next start
        now = state(data)
        assert now in (old, new), step
        assert wrong_with(data) == []
        former = list(data.glob("replaced-*"))
        if now == new:
            assert [state(path) for path in former] == [old], step
        seen.append(now == new)
        if not was_killed:
            break
        put_back(data, target, replace=True)  # and once more, over what the kill left
        assert state(data) == new
    assert seen[0] is False
    assert seen[-2:] == [True, True]  # killed after the change as well
    assert seen == sorted(seen)
    assert len(seen) > 30


def test_a_backup_killed_at_any_step_leaves_no_file_of_that_name_and_no_trace_after_the_next_start(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "PAGES", 10)
    before, target = state(data), tmp_path / "b.tar.zst"
    for step in steps():
        was_killed = killed_at(step, lambda progress: make(data, target, progress=progress))
        assert target.exists() is not was_killed
        on_desk(data, sweep)
        assert wrong_with(data) == []
        assert state(data) == before
        if not was_killed:
            break
    assert step > 10
    assert proved(target, data).packages == 2


def test_the_log_of_a_restored_server_still_verifies(data: Path, tmp_path: Path) -> None:
    make(data, tmp_path / "b.tar.zst")
    put_back(tmp_path / "new", tmp_path / "b.tar.zst")

    async def broken(desk: Desk) -> list[int]:
        chain, wrong = "", []
        async with desk.store.reading() as tx:
            for row in await log.links(tx, 0, 1000):
                if log.link(chain, row.said) != row.chain:
                    wrong.append(row.id)
                chain = row.chain
        return wrong

    assert on_desk(tmp_path / "new", broken) == []
