"""The built file starts: on every Python, wherever it is put, killed, damaged, or with others in the way."""

from __future__ import annotations

import ast
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes import finish, launch, must_start
from tests.pythons import interpreters
from tests.whole.archive import pack_with_its_seal, unpack_into_memory

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = interpreters()
SERVERS = [(version, path) for version, path in PYTHONS if version >= (3, 11)]
NOBODY = 54321  # an account without a name
DAY = 24 * 3600
NATIVE = """
import sys; sys.path.append(sys.argv[1])
import _cffi_backend, aiohttp._http_parser, aiohttp._http_writer, aiohttp._websocket.reader_c
import frozenlist._frozenlist
import markupsafe._speedups, multidict._multidict, propcache._helpers_c, yarl._quoting_c, zstandard.backend_c
import aiosqlite, jinja2, ssl
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
key = ec.generate_private_key(ec.SECP256R1())
try:
    key.public_key().verify(b"no signature", b"text", ec.ECDSA(SHA256()))
except InvalidSignature:  # an error out of the Rust library, through its unwinder
    print("whole")
"""

each_python = pytest.mark.parametrize(
    "python", [path for _, path in PYTHONS], ids=[".".join(map(str, v)) for v, _ in PYTHONS]
)
each_server = pytest.mark.parametrize(
    "python", [path for _, path in SERVERS], ids=[".".join(map(str, v)) for v, _ in SERVERS]
)


def unpacked(cache: Path) -> Path:
    """The one unpacked build in a cache, with nothing half done beside it."""
    names = [name for name in os.listdir(cache) if not name.startswith(".")]
    assert len(names) == 1, names
    assert not names[0].endswith(".tmp")
    return cache / names[0] / "site-packages"


# -- which Python


def test_any_python_3_can_read_the_first_lines_and_is_told_what_it_lacks(pyz: Path) -> None:
    ast.parse((ROOT / "build" / "entry.py").read_text(), feature_version=(3, 4))
    for version, python in interpreters((3, 0), (3, 8)):
        code, _, err = finish(launch([python, pyz, "agent"]))
        assert (code, err.count("\n")) == (1, 1), version
        assert "needs Python 3.9" in err
    for version, python in PYTHONS:
        if version < (3, 11):
            code, _, err = finish(launch([python, pyz, "serve"]))
            assert (code, err.count("\n")) == (1, 1), version
            assert "needs Python 3.11" in err


@each_python
@pytest.mark.parametrize("word", ["--version", "--help"])
def test_the_agent_runs_inside_the_archive_and_leaves_no_trace(
    pyz: Path, python: str, word: str, tmp_path: Path
) -> None:
    command: list[str | Path] = [python, "-I", "-S", "-X", "importtime", pyz, "agent", word]
    code, out, err = finish(launch(command, cwd=tmp_path, HOME=str(tmp_path), TMPDIR=str(tmp_path)))
    imported = {
        line.split("|")[-1].strip().split(".")[0] for line in err.splitlines() if line.startswith("import time:")
    }
    assert (code, bool(out)) == (0, True), err[-2000:]
    assert "appliance" in imported
    assert not imported & {
        "aiohttp",
        "aiosqlite",
        "cryptography",
        "jinja2",
        "zstandard",
        "_bootstrap",
        "site",
    }
    assert os.listdir(tmp_path) == []


@each_server
def test_the_appliance_and_its_libraries_run(pyz: Path, python: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = tmp_path_factory.getbasetemp() / "one cache for all"  # 3.12 after 3.11 finds it unpacked
    assert must_start([python, pyz, "--version"]).startswith("ocs.pyz ")
    must_start([python, pyz, "--help"], OCS_CACHE=str(cache))
    assert must_start([python, "-I", "-S", "-c", NATIVE, unpacked(cache)]) == "whole\n"


# -- where to unpack


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder that every account can enter (pytest's own are closed), with a sticky tmp in it."""
    with tempfile.TemporaryDirectory(prefix="ocs-whole-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "tmp").mkdir()
        (folder / "tmp").chmod(0o1777)
        yield folder


@pytest.fixture
def stranger(pyz: Path, common: Path, can_leave_out: Callable[[str], None]) -> list[str | Path]:
    """The words that start ocs.pyz as an account without a name, by a Python which that account can reach."""
    if os.geteuid():
        can_leave_out("only root can start a process for another account")
    shutil.copy(pyz, common / "ocs.pyz")
    (common / "ocs.pyz").chmod(0o755)
    for path in [*(path for _, path in SERVERS), "/usr/bin/python3"]:
        try:
            if finish(launch([path, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"], user=NOBODY))[0] == 0:
                return [path, common / "ocs.pyz", "--help"]
        except OSError:
            continue
    can_leave_out("no Python 3.11 or newer that other accounts may run")
    raise AssertionError


@pytest.mark.parametrize("home", [None, "/nonexistent", "/", "read-only", "another's"])
def test_it_starts_without_a_usable_home(stranger: list[str | Path], common: Path, home: str | None) -> None:
    (common / "read-only").mkdir()
    os.chown(common / "read-only", NOBODY, NOBODY)
    (common / "read-only").chmod(0o555)
    (common / "another's").mkdir(mode=0o777)
    os.chown(common / "another's", NOBODY + 1, NOBODY + 1)
    env = {} if home is None else {"HOME": str(common / home)}
    must_start(stranger, user=NOBODY, TMPDIR=str(common / "tmp"), **env)
    root = common / "tmp" / f"ocs-{NOBODY}"
    assert (root.stat().st_uid, root.stat().st_mode & 0o777) == (NOBODY, 0o700)
    assert unpacked(root)
    assert os.listdir(common / "read-only") == os.listdir(common / "another's") == []


def test_it_uses_its_own_home_and_keeps_others_out(stranger: list[str | Path], common: Path) -> None:
    (common / "home").mkdir()
    os.chown(common / "home", NOBODY, NOBODY)
    must_start(stranger, user=NOBODY, umask=0, HOME=str(common / "home"))
    caches = common / "home" / ".cache"
    assert unpacked(caches / "ocs")
    for path in caches.rglob("*"):
        assert path.stat().st_mode & 0o022 == 0, path


def test_a_folder_planted_by_another_account_is_not_used(stranger: list[str | Path], common: Path) -> None:
    planted = common / "tmp" / f"ocs-{NOBODY}"
    planted.mkdir()
    os.chown(planted, NOBODY + 1, NOBODY + 1)
    code, _, err = finish(launch(stranger, user=NOBODY, HOME="/nonexistent", TMPDIR=str(common / "tmp")))
    assert (code, err.count("\n"), "OCS_CACHE" in err) == (1, 1, True), err
    assert os.listdir(planted) == []


@pytest.mark.parametrize(
    "fault", ["everybody may write", "everybody may write above", "a file", "another's", "their link"]
)
def test_a_cache_that_others_could_change_is_refused_in_one_sentence(
    pyz: Path, common: Path, can_leave_out: Callable[[str], None], fault: str
) -> None:
    cache = common / "cache"
    if fault == "a file":
        cache.touch()
    elif fault == "their link":
        (common / "mine").mkdir(mode=0o700)
        cache.symlink_to("mine")
    else:
        cache.mkdir(mode=0o700)
    if fault in ("another's", "their link"):
        if os.geteuid():
            can_leave_out("only root can give a folder away")
        os.chown(cache, NOBODY, NOBODY, follow_symlinks=False)
    elif fault.startswith("everybody"):
        (cache if fault.endswith("write") else common).chmod(0o777)
    code, out, err = finish(launch([SERVERS[0][1], pyz, "--help"], OCS_CACHE=str(cache)))
    assert (code, out, err.count("\n")) == (1, "", 1), err
    assert "OCS_CACHE" in err
    assert str(cache) in err


def test_a_cache_from_which_nothing_may_be_loaded_is_refused_in_one_sentence(pyz: Path, tmp_path: Path) -> None:
    mount = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        'mount -t tmpfs -o noexec,mode=0700 none "$0" && exec "$@"',
        tmp_path,
    ]
    if os.geteuid() or finish(launch([*mount, "true"]))[0]:
        pytest.skip("only root, and not in every container, can mount a file system without exec")
    code, _, err = finish(launch([*mount, SERVERS[0][1], pyz, "--help"], OCS_CACHE=str(tmp_path)))
    assert (code, err.count("\n")) == (1, 1), err
    assert "noexec" in err


# -- killed, damaged, many at once, old


def test_four_cold_starts_at_once_unpack_once(pyz: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    starts = [launch([SERVERS[n % len(SERVERS)][1], pyz, "--help"], OCS_CACHE=str(cache)) for n in range(4)]
    for start in starts:
        code, out, err = finish(start)
        assert (code, err, bool(out)) == (0, "", True), err
    assert unpacked(cache)


@pytest.mark.parametrize("files", [1, 100], ids=["at the first file", "in the middle"])
def test_a_kill_while_unpacking_leaves_a_file_that_starts(pyz: Path, tmp_path: Path, files: int) -> None:
    cache = tmp_path / "cache"
    command: list[str | Path] = [SERVERS[-1][1], pyz, "--help"]
    start = launch(command, OCS_CACHE=str(cache))
    kill_when(start, lambda: sum(path.is_file() for path in cache.glob("*.tmp/**/*")) >= files)
    left = list(cache.glob("*.tmp"))
    assert len(left) == 1
    if files == 100:  # and whatever else a crash may have made of it
        shutil.rmtree(left[0])
        left[0].write_text("not even a folder")
    must_start(command, OCS_CACHE=str(cache))
    assert unpacked(cache)


def test_a_kill_while_compiling_leaves_a_file_that_starts(pyz: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    command: list[str | Path] = [SERVERS[-1][1], pyz, "--help"]
    start = launch(command, OCS_CACHE=str(cache))
    kill_when(start, lambda: any(folder.endswith("__pycache__") for folder, _, _ in os.walk(cache)))
    must_start(command, OCS_CACHE=str(cache))
    assert unpacked(cache)


def test_a_cache_on_a_full_disk_is_told_of_and_the_next_start_repairs_it(pyz: Path, tmp_path: Path) -> None:
    cache, room = tmp_path / "cache", "ulimit -f 2000; exec"  # no file beyond 1 or 2 MB; the largest is above
    command: list[str | Path] = [SERVERS[-1][1], pyz, "--help"]
    code, out, err = finish(launch(["sh", "-c", f'trap "" XFSZ; {room} "$@"', "sh", *command], OCS_CACHE=str(cache)))
    assert (code, out, err.count("\n"), str(cache) in err) == (1, "", 1, True), err
    assert [name for name in os.listdir(cache) if not name.startswith(".")] == []  # what was written is gone again
    must_start(command, OCS_CACHE=str(cache))
    assert unpacked(cache)


def kill_when(start: subprocess.Popen[str], it_is_time: Callable[[], bool]) -> None:
    """Kill the process at a moment that a look at the files tells."""
    limit = time.monotonic() + 30
    while start.poll() is None and time.monotonic() < limit:
        if it_is_time():
            start.send_signal(signal.SIGKILL)
            break
    assert finish(start)[0] == -signal.SIGKILL


def test_builds_that_nobody_used_for_a_fortnight_are_removed(pyz: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    for name, age in {"forgotten": 15, "running": 15, "recent": 13}.items():
        (cache / f"{name}.pyz_1" / "site-packages").mkdir(parents=True)
        lease = cache / f".{name}.pyz_1_used"
        lease.touch()
        os.utime(lease, (time.time() - age * DAY,) * 2)
    (cache / ".gone-1-half-removed").mkdir()
    with (cache / ".running.pyz_1_used").open() as lease_of_a_server:
        fcntl.flock(lease_of_a_server, fcntl.LOCK_SH)
        must_start([SERVERS[0][1], pyz, "--help"], OCS_CACHE=str(cache))
    left = {name for name in os.listdir(cache) if not name.startswith(("ocs", ".ocs", pyz.name, f".{pyz.name}"))}
    assert left == {"running.pyz_1", ".running.pyz_1_used", "recent.pyz_1", ".recent.pyz_1_used"}


def test_two_builds_never_share_a_folder(pyz: Path, tmp_path: Path) -> None:
    other = tmp_path / pyz.name
    contents = unpack_into_memory(pyz)
    contents["site-packages/one_more.py"] = b"more = 1\n"
    pack_with_its_seal(contents, other)
    for path in (pyz, other):
        must_start([SERVERS[0][1], path, "--help"], OCS_CACHE=str(tmp_path / "cache"))
    assert len([name for name in os.listdir(tmp_path / "cache") if not name.startswith(".")]) == 2


def test_it_is_started_by_its_own_first_line_and_under_any_name(pyz: Path, tmp_path: Path) -> None:
    shutil.copy(pyz, tmp_path / "ocs")
    must_start(["./ocs", "--help"], cwd=tmp_path, OCS_CACHE=str(tmp_path / "cache"))
