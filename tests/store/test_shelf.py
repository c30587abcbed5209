"""The shelf survives a kill at any point of a build, an edit and a deletion, and a disk that refuses at any point.

A child process is ended (as by kill -9) at its Nth step, N = 1, 2, … until it comes through; a step is a call that
changes the disk, or one side of a commit.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from appliance.domain.package import Action, Order, Package, PackageId, System
from appliance.domain.refusal import Kind, Refusal
from appliance.operations.build_package import build_package
from appliance.operations.delete_package import delete_package
from appliance.operations.depot import open_fragment, read_description
from appliance.operations.desk import Desk
from appliance.operations.edit_package import edit_package
from appliance.operations.start import sweep
from appliance.store import packages, shelf, uploads
from appliance.wire import info, manifest
from tests.fakes.appliance import build, environment, on_desk, rows, shelved
from tests.fakes.archives import targz_of

CALLS = ("open", "mkdir", "rename", "replace", "link", "unlink", "rmdir", "fsync")
FIRST = "1700000001"
ORDER = Order("second", System.LINUX, Action.STORE, "/opt/x", priority=1)

Job = Callable[[Desk], Awaitable[Any]]


def silent(*_: object) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with one package of two fragments, and archives to build from."""
    folder = tmp_path_factory.mktemp("shelf")
    noise = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(4000))  # 128 kB that do not compress
    for name, data in {"old": noise, "same": noise[::-1], "small": noise[:70_000]}.items():
        (folder / f"{name}.tar.gz").write_bytes(targz_of({"data.bin": data}))
    sizes = {name: (folder / f"{name}.tar.gz").stat().st_size for name in ("old", "same")}
    pad = max(sizes.values())
    for name in sizes:  # bytes behind a gzip member that are zeros do not count
        file = folder / f"{name}.tar.gz"
        file.write_bytes(file.read_bytes().ljust(pad, b"\0"))
    words = ("--action", "store", "--path", "/opt/x", "--file", folder / "old.tar.gz", "--fragment-size", "100K")
    made = build(folder / "data", "first", *words)
    for name in shelved(folder / "data"):
        assert name.startswith(made)
    return folder


def first(data: Path) -> str:
    return str(rows(data, "SELECT min(id) FROM package")[0][0])


# What must hold at any moment


async def look(desk: Desk) -> dict[str, str]:
    """Every package as agents get it, proven whole: name by id."""
    async with desk.store.reading() as tx:
        known = await packages.every(tx)
    return {package.id: await whole(desk, package) for package in known}


async def whole(desk: Desk, package: Package) -> str:
    raw = await read_description(desk, package.id, "info")
    told, seal = info.decode(raw), manifest.decode(await read_description(desk, package.id, "manifest"))
    assert told.package == package.id
    assert told.argument == package.order.argument
    assert (seal.name, seal.info_sha256) == (package.order.name, hashlib.sha256(raw).hexdigest())
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    for number, piece in enumerate(seal.pieces, 1):
        fragment = await open_fragment(desk, package.id, f"{package.id}-{number}")
        with fragment.file as file:
            data = file.read()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (piece.size, piece.sha256)
        assert (fragment.size, fragment.sha256) == (piece.size, piece.sha256)
        md5.update(data)
        sha256.update(data)
    if package.payload:
        assert told.fragments == len(seal.pieces) == package.payload.fragments
        assert (told.digest, seal.sha256) == (md5.hexdigest(), sha256.hexdigest())
    return package.order.name


async def look_and_sweep(desk: Desk) -> dict[str, str]:
    before = await look(desk)
    await sweep(desk)
    assert await look(desk) == before
    folders = sorted(path.name for path in desk.shelf.folder.iterdir())
    assert folders == sorted(before), "the sweep left something, or took too much"
    for package in before:
        files = sorted(path.name for path in (desk.shelf.folder / package).iterdir())
        count = sum(1 for name in files if name.startswith(f"{package}-"))
        assert files == sorted(["info", "manifest", *(f"{package}-{n + 1}" for n in range(count))])
    return before


# Ending at the Nth step


def steps_of(monkeypatch: pytest.MonkeyPatch, step: Callable[[str], None]) -> None:
    """Have `step` called before every call that changes the disk, and around every commit."""

    def wrapped(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*values: Any, **named: Any) -> Any:
            if name != "open" or values[1] & os.O_CREAT:  # reading changes nothing
                step(name)
            return original(*values, **named)

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, wrapped(name, getattr(os, name)))
    original = aiosqlite.Connection._execute

    async def execute(self: aiosqlite.Connection, fn: Any, *values: Any, **named: Any) -> Any:
        ends = values[:1] == ("COMMIT",)  # no other statement changes what another process sees
        if ends:
            step("before a commit")
        result = await original(self, fn, *values, **named)
        if ends:
            step("after a commit")
        return result

    monkeypatch.setattr(aiosqlite.Connection, "_execute", execute)


def killed_at(number: int, data: Path, job: Job, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run the job in a child that ends at its step `number`; whether it came that far."""
    child = os.fork()
    if child == 0:
        try:
            count = 0

            async def counted(desk: Desk) -> None:
                nonlocal count

                def step(_: str) -> None:
                    nonlocal count
                    count += 1
                    if count == number:
                        os._exit(9)

                steps_of(monkeypatch, step)
                monkeypatch.setattr(shelf, "READ", 90_000)
                await job(desk)

            on_desk(data, counted)
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(3)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9), f"the job failed in the child ({code})"
    return code == 9


def everywhere(site: Path, tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What is there after a kill at each step, in order; the last one is after a run to the end."""
    seen = []
    number = 0
    going = True
    while going:
        number += 1
        data = tmp_path / str(number)
        shutil.copytree(site / "data", data)
        going = killed_at(number, data, job, monkeypatch)
        seen.append(on_desk(data, look_and_sweep))
        shutil.rmtree(data)
    return seen


def turns(seen: list[dict[str, str]]) -> list[list[str]]:
    """The names that are there, each state once, in the order in which they came."""
    names = [sorted(state.values()) for state in seen]
    return [state for n, state in enumerate(names) if n == 0 or state != names[n - 1]]


@pytest.mark.parametrize("file", ["old.tar.gz", None])
def test_a_build_killed_anywhere_is_absent_or_whole(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str | None
) -> None:
    order = ORDER if file else replace(ORDER, action=Action.EXECUTE, argument="true")

    async def job(desk: Desk) -> None:
        await build_package(desk, order, site / file if file else None, "100K" if file else None, silent)

    seen = everywhere(site, tmp_path, job, monkeypatch)
    assert len(seen) > (16 if file else 12)
    assert turns(seen) == [["first"], ["first", "second"]]


@pytest.mark.parametrize(
    ("order", "file"),
    [
        (replace(ORDER, name="new", argument="/opt/x"), None),
        (replace(ORDER, name="new", argument="/opt/other"), "same.tar.gz"),
    ],
    ids=["name only, the info file stays the same", "a file of the same size"],
)
def test_an_edit_killed_anywhere_is_old_or_new_and_whole(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: Order, file: str | None
) -> None:
    package = first(site / "data")

    async def job(desk: Desk) -> None:
        await edit_package(desk, package, order, site / file if file else None, "100K" if file else None, silent)

    seen = everywhere(site, tmp_path, job, monkeypatch)
    assert len(seen) > 20
    assert turns(seen) == [["first"], ["new"]]


def test_a_deletion_killed_anywhere_is_done_or_not(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = first(site / "data")

    async def job(desk: Desk) -> None:
        await delete_package(desk, package)

    seen = everywhere(site, tmp_path, job, monkeypatch)
    assert turns(seen) == [["first"], []]


# A disk that refuses at the Nth step


def refused_at(number: int, data: Path, job: Job, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the job with its step `number` refused by the disk: `done`, `refused`, or `not reached`."""
    count = 0
    result = "done"

    async def counted(desk: Desk) -> None:
        nonlocal result
        with monkeypatch.context() as patch:

            def step(name: str) -> None:
                nonlocal count
                if name in ("before a commit", "after a commit", "unlink", "rmdir"):
                    return
                count += 1
                if count == number:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            steps_of(patch, step)
            try:
                await job(desk)
            except Refusal as refusal:
                result = "refused" if "No space left on device" in str(refusal) else str(refusal)

    on_desk(data, counted)
    return result if count >= number else "not reached"


@pytest.mark.parametrize("editing", [False, True])
def test_a_disk_that_is_full_anywhere_is_one_sentence_and_leaves_nothing(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, editing: bool
) -> None:
    package = first(site / "data")

    async def job(desk: Desk) -> None:
        if editing:
            await edit_package(desk, package, replace(ORDER, name="new"), site / "small.tar.gz", "100K", silent)
        else:
            await build_package(desk, ORDER, site / "old.tar.gz", "100K", silent)

    ends: list[str] = []
    while not ends or ends[-1] != "not reached":
        data = tmp_path / str(len(ends))
        shutil.copytree(site / "data", data)
        before = shelved(data)
        ends.append(refused_at(len(ends) + 1, data, job, monkeypatch))
        names = set(on_desk(data, look).values())
        assert ends[-1] in ("refused", "done", "not reached")
        if ends[-1] == "refused" and not names & {"new", "second"}:
            assert shelved(data) == before
        on_desk(data, look_and_sweep)
        shutil.rmtree(data)
    assert ends.count("refused") > 8


# Others at work


def test_a_sweep_leaves_a_build_alone_that_lives_in_another_process(site: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(site / "data", data)
    code = (
        "import sys; from pathlib import Path; from appliance.store.shelf import Shelf\n"
        "with Shelf(Path(sys.argv[1])).building('1900000000') as build:\n"
        "    build.put('info', b'x'); print('here', flush=True); sys.stdin.readline()\n"
        "    build.publish(); print('there', flush=True); sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(data / "fragments")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
    ) as other:  # fmt: skip
        assert other.stdin is not None
        assert other.stdout is not None
        for word, folder in (("here", "1900000000.building"), ("there", "1900000000")):
            assert other.stdout.readline().strip() == word
            assert on_desk(data, sweep) == []
            assert f"{folder}/info" in shelved(data)
            other.stdin.write("go\n")
            other.stdin.flush()
    assert on_desk(data, sweep) == ["1900000000"]  # it ended without a row
    assert on_desk(data, look) == {first(data): "first"}


def test_a_build_that_ends_while_a_sweep_looks_is_no_orphan(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    shutil.copytree(site / "data", data)

    async def race(desk: Desk) -> dict[str, str]:
        idle = desk.shelf.idle

        def look_slowly() -> list[str]:
            seen = idle()
            asyncio.run_coroutine_threadsafe(
                build_package(desk, replace(ORDER, action=Action.EXECUTE, argument="true"), None, None, silent), loop
            ).result(20)
            return seen

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(type(desk.shelf), "idle", lambda _: look_slowly())
        assert await sweep(desk) == []
        return await look(desk)

    assert sorted(on_desk(data, race).values()) == ["first", "second"]


def test_two_edits_of_one_package_at_once_do_not_mix(site: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(site / "data", data)
    package = first(data)

    async def race(desk: Desk) -> list[str]:
        orders = [replace(ORDER, name=f"edit {n}", argument=f"/opt/{n}") for n in range(4)]
        files = [site / name if name else None for name in ("same.tar.gz", None, "small.tar.gz", None)]
        results = await asyncio.gather(
            *(edit_package(desk, package, o, f, None, silent) for o, f in zip(orders, files, strict=True)),
            return_exceptions=True,
        )
        refusals = [result for result in results if isinstance(result, BaseException)]
        assert all(isinstance(refusal, Refusal) for refusal in refusals), refusals
        assert refusals, "they came one after the other: this proves nothing"
        return [str(refusal) for refusal in refusals]

    for sentence in on_desk(data, race):
        assert "edited by somebody else" in sentence
    (name,) = on_desk(data, look_and_sweep).values()
    assert name.startswith("edit ")


def test_an_edit_of_a_package_that_is_deleted_meanwhile_is_refused(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    shutil.copytree(site / "data", data)
    package = first(data)

    async def race(desk: Desk) -> None:
        take_over = shelf.Building.take_over

        def late(self: shelf.Building) -> None:
            asyncio.run_coroutine_threadsafe(delete_package(desk, package), loop).result(20)
            take_over(self)

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(shelf.Building, "take_over", late)
        with pytest.raises(Refusal):
            await edit_package(desk, package, replace(ORDER, name="new"), None, None, silent)

    on_desk(data, race)
    assert on_desk(data, look_and_sweep) == {}


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_command_line_that_is_stopped_leaves_nothing(site: Path, tmp_path: Path, end: signal.Signals) -> None:
    data = tmp_path / "data"
    shutil.copytree(site / "data", data)
    before = shelved(data)
    code = (
        "import signal, sys, time; from appliance.store import shelf; from appliance.__main__ import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it\n"
        "new = shelf.Building._new\n"
        "def slow(self, name):\n"
        "    if name.endswith('-2'): print('cutting', flush=True); time.sleep(0.3)\n"
        "    return new(self, name)\n"
        "shelf.Building._new = slow; sys.exit(main(sys.argv[1:]))\n"
    )
    words = ["package", "build", "--name", "second", "--os", "linux", "--action", "store", "--path", "/x"]
    words += ["--file", str(site / "old.tar.gz"), "--fragment-size", "10K", "--data", str(data)]
    with subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "cutting\n"
        process.send_signal(end)
        assert process.wait(20) == (130 if end is signal.SIGINT else -signal.SIGKILL)
        errors = process.stderr.read()
    if end is signal.SIGINT:
        assert errors == "ocs.pyz: interrupted; nothing half-done was kept.\n"
    else:
        assert len(shelved(data)) > len(before)
        assert len(on_desk(data, sweep)) == 1
    assert shelved(data) == before
    assert on_desk(data, look) == {first(data): "first"}


def test_ctrl_c_while_the_row_is_committed_never_takes_the_files_of_a_package_that_is_there(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    shutil.copytree(site / "data", data)

    async def job(desk: Desk) -> None:
        task = asyncio.ensure_future(
            build_package(desk, replace(ORDER, action=Action.EXECUTE, argument="true"), None, None, silent)
        )
        add, execute = packages.add, aiosqlite.Connection._execute

        async def commit(self: aiosqlite.Connection, fn: Any, *values: Any, **named: Any) -> Any:
            if values and values[0] == "COMMIT" and adding:
                task.cancel()
            return await execute(self, fn, *values, **named)

        adding: list[bool] = []

        async def added(*values: Any) -> None:
            await add(*values)
            adding.append(True)

        monkeypatch.setattr(packages, "add", added)
        monkeypatch.setattr(aiosqlite.Connection, "_execute", commit)
        with pytest.raises(asyncio.CancelledError):
            await task

    on_desk(data, job)
    assert set(on_desk(data, look_and_sweep).values()) <= {"first", "second"}


# Reading


@pytest.fixture
def damaged(site: Path, tmp_path: Path) -> tuple[Path, Path]:
    data = tmp_path / "data"
    shutil.copytree(site / "data", data)
    return data, data / "fragments" / first(data)


async def refusal_of(desk: Desk, name: str) -> Refusal:
    async with desk.store.reading() as tx:
        (package,) = await packages.every(tx)
    whole = name in ("info", "manifest")
    with pytest.raises(Refusal) as caught:
        await (
            read_description(desk, package.id, name) if whole else open_fragment(desk, package.id, package.id + name)
        )
    return caught.value


@pytest.mark.parametrize("name", ["info", "manifest", "-2"])
@pytest.mark.parametrize("how", ["truncated", "longer", "gone", "empty"])
def test_what_is_damaged_is_refused_as_busy_and_never_handed_out(
    damaged: tuple[Path, Path], name: str, how: str
) -> None:
    data, folder = damaged
    file = folder / (name if name in ("info", "manifest") else f"{folder.name}{name}")
    if how == "gone":
        file.unlink()
    else:
        content = file.read_bytes()
        file.write_bytes({"truncated": content[:-1], "longer": content + b"x", "empty": b""}[how])
    assert on_desk(data, refusal_of, name).kind is Kind.BUSY


def test_one_changed_byte_of_an_info_file_is_refused(damaged: tuple[Path, Path]) -> None:
    data, folder = damaged
    content = (folder / "info").read_bytes()
    (folder / "info").write_bytes(content.replace(b"/opt/x", b"/opt/y"))
    assert on_desk(data, refusal_of, "info").kind is Kind.BUSY


def test_a_file_that_changes_its_length_while_it_is_cut_is_refused(tmp_path: Path) -> None:
    made = shelf.Shelf(tmp_path)
    for length, word in ((80, "shorter"), (120, "longer")):
        with pytest.raises(Refusal, match=f"it became {word}"), made.building(PackageId("1900000000")) as build:
            build.cut(io.BytesIO(b"x" * length), 100, 50, "zip", silent)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_refused_before_a_byte_is_written(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setattr(uploads, "RESERVE", free)
    made = shelf.Shelf(tmp_path)
    with (
        pytest.raises(Refusal, match="are free") as caught,
        made.building(PackageId("1900000000")) as build,
        (site / "old.tar.gz").open("rb") as file,
    ):
        build.cut(file, 10**6, 50_000, "zip", silent)
    assert caught.value.kind is Kind.TOO_LARGE
    assert list(tmp_path.iterdir()) == []


def test_strangers_on_the_shelf_are_left_alone(tmp_path: Path) -> None:
    made = shelf.Shelf(tmp_path)
    for name in ("lost+found", "1900000000.bak", "readme.txt", "190000000", "19000000000"):
        (tmp_path / name).mkdir()
    (tmp_path / "1900000001").write_text("a file")
    assert made.idle() == []
    (tmp_path / "1900000002.old").mkdir()
    assert made.sweep(made.idle(), {}) == ["1900000002.old"]
