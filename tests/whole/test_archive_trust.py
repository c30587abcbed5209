"""The built file cannot be turned against its user: foreign code, a changed cache, others' files. Source: R34, A31."""

from __future__ import annotations

import json
import os
import py_compile
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes import finish, launch, must_start
from tests.pythons import interpreters
from tests.whole.archive import pack, unpack_into_memory

SERVERS = [path for _, path in interpreters((3, 11))]
OLDEST = interpreters()[0][1]
SOMEBODY = 54321  # an account without a name
ENTRY_POINT = Path("appliance", "__main__.py")


@pytest.fixture
def somebodys(can_leave_out: Callable[[str], None]) -> Callable[[Path], None]:
    """`somebodys(path)` gives it, link or not, to another account."""
    if os.geteuid():
        can_leave_out("only root can give a file away")

    def give(path: Path) -> None:
        os.chown(path, SOMEBODY, SOMEBODY, follow_symlinks=False)

    return give


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder that every account can enter; pytest's own are closed."""
    with tempfile.TemporaryDirectory(prefix="ocs-trust-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


# -- foreign code


@pytest.mark.parametrize("words", [["--help"], ["agent", "--help"]], ids=["appliance", "agent"])
def test_neither_variables_nor_the_working_directory_bring_in_foreign_code(
    pyz: Path, tmp_path: Path, words: list[str]
) -> None:
    foreign, witness = tmp_path / "foreign", tmp_path / "witness"
    foreign.mkdir()
    for name in ("json", "zipfile", "argparse", "hashlib", "_bootstrap", "appliance", "aiohttp", "hijack"):
        (foreign / f"{name}.py").write_text(f"open({str(witness)!r}, 'w')\ndef main(*_): open({str(witness)!r}, 'w')\n")
    foreign_env = {
        "PYTHONPATH": str(foreign), "PYTHONSTARTUP": str(foreign / "hijack.py"), "PYTHONINSPECT": "1",
        "PYTHONPYCACHEPREFIX": str(foreign), "PYTHONOPTIMIZE": "2",
        "SHIV_ENTRY_POINT": "hijack:main", "SHIV_MODULE": "hijack:main", "SHIV_INTERPRETER": "1",
        "SHIV_PREPEND_PYTHONPATH": str(foreign), "SHIV_CONSOLE_SCRIPT": "hijack", "SHIV_EXTEND_PYTHONPATH": "1",
        "SHIV_ROOT": str(tmp_path / "shiv"), "SHIV_FORCE_EXTRACT": "1", "SHIV_PREAMBLE": "hijack.py",
    }  # fmt: skip
    # -S, because what the machine's own site packages import happens before our first line.
    must_start([SERVERS[0], "-S", pyz, *words], cwd=foreign, OCS_CACHE=str(tmp_path / "cache"), **foreign_env)
    assert not witness.exists()
    assert not (tmp_path / "shiv").exists()


# -- what lies unpacked


def plant(source: str, target: Path) -> None:
    """Bytecode that does what `source` says, in another module's place, and that Python takes without a look."""
    evil = target.with_suffix(".evil")
    evil.write_text(source)
    py_compile.compile(
        str(evil), str(target), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )
    evil.unlink()


def change(place: Path, how: str, witness: Path) -> None:
    """What somebody with a moment's right to write makes of the unpacked libraries."""
    victim, evil = place / ENTRY_POINT, f"open({str(witness)!r}, 'w')\n"
    (compiled,) = victim.parent.glob("__pycache__/__main__.cpython-*.pyc")
    before = victim.stat()
    if how == "an edited module of the same size and time":
        content = victim.read_text()
        victim.write_text((evil + content)[: len(content)])
        os.utime(victim, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif how == "an edited library":
        library = next(place.glob("yarl/_quoting_c*cpython-311*.so"))
        library.write_bytes(b"\x7fELF" + bytes(library.stat().st_size - 4))
    elif how == "other bytecode":
        plant(evil, compiled)
    elif how == "bytecode beside the module":
        plant(evil, place / "sitecustomize.pyc")
    elif how == "a planted .pth":
        (place / "evil.pth").write_text("import pathlib; " + evil)
    elif how == "a planted module":
        (place / "yarl" / "json.py").write_text(evil)
    elif how == "a lost file":
        victim.unlink()
    elif how == "an empty file":
        victim.write_bytes(b"")
    elif how == "a folder for a file":
        victim.unlink()
        victim.mkdir()
    elif how == "a link to a file outside":
        outside = witness.with_name("outside.py")
        shutil.copy(victim, outside)
        victim.unlink()
        victim.symlink_to(outside)
    elif how == "a file that others may write":
        victim.chmod(0o666)
    elif how == "a folder that others may write":
        victim.parent.chmod(0o777)


@pytest.mark.parametrize(
    "how",
    [
        "an edited module of the same size and time", "an edited library", "other bytecode",
        "bytecode beside the module", "a planted .pth", "a planted module", "a lost file", "an empty file",
        "a folder for a file", "a link to a file outside", "a file that others may write",
        "a folder that others may write",
    ],
)  # fmt: skip
def test_a_changed_cache_is_noticed_before_anything_of_it_runs_and_made_anew(
    pyz: Path, tmp_path: Path, how: str
) -> None:
    cache, witness = tmp_path / "cache", tmp_path / "witness"
    command: list[str | Path] = [SERVERS[0], pyz, "--help"]
    must_start(command, OCS_CACHE=str(cache))
    (place,) = cache.glob("*/site-packages")
    with zipfile.ZipFile(pyz) as archive:
        built = {name: archive.read(name) for name in archive.namelist() if name.startswith("site-packages/")}
    change(place, how, witness)
    must_start(command, OCS_CACHE=str(cache))
    assert not witness.exists()
    assert list(cache.glob("*/site-packages")) == [place]
    there = [path for path in place.rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
    assert {path.relative_to(place.parent).as_posix(): path.read_bytes() for path in there} == built
    for path in place.rglob("*"):
        assert path.lstat().st_mode & 0o022 == 0, path


def test_comparing_all_that_lies_unpacked_costs_a_start_less_than_it_takes_to_notice(pyz: Path, tmp_path: Path) -> None:
    command: list[str | Path] = [SERVERS[0], pyz, "--help"]
    must_start(command, OCS_CACHE=str(tmp_path / "cache"))
    spent = []
    for _ in range(5):
        begin = time.monotonic()
        must_start(command, OCS_CACHE=str(tmp_path / "cache"))
        spent.append(time.monotonic() - begin)
    assert min(spent) < 1  # 0.2 s on two quiet cores, 0.04 of it for the comparison; here others are at work too


def test_each_python_uses_bytecode_of_its_own_and_adds_none_later(pyz: Path, tmp_path: Path) -> None:
    def compiled() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in (tmp_path / "cache").rglob("*.pyc")}

    before: dict[Path, bytes] = {}
    for python in SERVERS:
        must_start([python, pyz, "--help"], OCS_CACHE=str(tmp_path / "cache"))
        now = compiled()
        assert len(now) > len(before)
        assert {path: content for path, content in now.items() if path in before} == before
        before = now
    for python in SERVERS:
        must_start([python, pyz, "package", "--help"], OCS_CACHE=str(tmp_path / "cache"))
    assert compiled() == before


@pytest.mark.parametrize("how", ["one byte", "one file more", "cut off"])
def test_a_damaged_file_says_so_in_one_sentence_and_runs_nothing(pyz: Path, tmp_path: Path, how: str) -> None:
    damaged, witness = tmp_path / "ocs.pyz", tmp_path / "witness"
    contents = unpack_into_memory(pyz)
    if how == "one file more":
        contents["site-packages/aiohttp.pth"] = f"import pathlib; pathlib.Path({str(witness)!r}).touch()\n".encode()
        pack(contents, damaged)
    elif how == "cut off":
        damaged.write_bytes(pyz.read_bytes()[:-1000])
    else:
        with zipfile.ZipFile(pyz) as archive:
            at = archive.getinfo("site-packages/appliance/cli/__init__.py").header_offset
        raw = bytearray(pyz.read_bytes())
        raw[at + 200] ^= 1
        damaged.write_bytes(raw)
    code, out, err = finish(launch([SERVERS[0], damaged, "--help"], OCS_CACHE=str(tmp_path / "cache")))
    assert (code, out) == (1, ""), err
    if how != "cut off":  # of which Python itself can make nothing
        assert (err.count("\n"), "damaged" in err) == (1, True), err
    assert not witness.exists()


# -- whose file it is


@pytest.mark.parametrize("name", ["ocs.pyz", "ocs-agent.pyz"])
@pytest.mark.parametrize(
    "whose",
    [
        "others may write the file", "a group may write the file", "somebody's file", "others may write the folder",
        "somebody's folder", "a folder above is somebody's", "somebody's link", "a link through somebody's folder",
    ],
)  # fmt: skip
def test_root_does_not_run_a_file_that_another_account_could_change(
    pyz: Path, common: Path, somebodys: Callable[[Path], None], name: str, whose: str
) -> None:
    folder = common / "above" / "folder"
    folder.mkdir(parents=True)
    file = started = folder / name
    shutil.copy(pyz.parent / name, file)
    file.chmod(0o755)
    if whose == "others may write the file":
        file.chmod(0o757)
    elif whose == "a group may write the file":
        os.chown(file, 0, SOMEBODY)
        file.chmod(0o775)
    elif whose == "somebody's file":
        somebodys(file)
    elif whose == "others may write the folder":
        folder.chmod(0o777)
    elif whose == "somebody's folder":
        somebodys(folder)
    elif whose == "a folder above is somebody's":
        somebodys(folder.parent)
    elif whose == "somebody's link":
        started = common / name
        started.symlink_to(file)
        somebodys(started)
    else:
        (common / "theirs").mkdir()
        (common / "theirs" / "link").symlink_to(file)
        somebodys(common / "theirs")
        started = common / name
        started.symlink_to(common / "theirs" / "link")
    for words in (["agent", "--help"], ["--help"], ["--version"]):
        code, out, err = finish(launch([OLDEST if words[0] == "agent" else SERVERS[0], started, *words]))
        assert (code, out, err.count("\n")) == (1, "", 1), err
        assert re.search(r"does not run as root .* \(.*\b(above|ocs|theirs)\b.*\); copy it to a folder that", err), err


def test_root_runs_what_root_alone_can_change_also_through_a_link_and_in_a_shared_tmp(
    pyz: Path, common: Path, somebodys: Callable[[Path], None]
) -> None:
    (common / "tmp").mkdir()
    (common / "tmp").chmod(0o1777)
    shutil.copy(pyz, common / "tmp" / "ocs.pyz")
    (common / "link").symlink_to("tmp/../tmp/ocs.pyz")
    for path in (common / "tmp" / "ocs.pyz", common / "link"):
        must_start([OLDEST, path, "agent", "--help"])
    # `sudo ./ocs.pyz agent install` in the home of whoever may use sudo: root by that already
    somebodys(common / "tmp" / "ocs.pyz")
    must_start([OLDEST, common / "link", "agent", "--help"], SUDO_UID=str(SOMEBODY))
    code, _, err = finish(launch([OLDEST, common / "link", "agent", "--help"], SUDO_UID=str(SOMEBODY + 1)))
    assert (code, "belongs to another account" in err) == (1, True)


def test_a_circle_of_links_is_no_place_to_start_from(common: Path) -> None:
    (common / "cache").symlink_to("cache2")
    (common / "cache2").symlink_to("cache")
    script = (
        "import runpy, sys\n"
        "entry = runpy.run_path(sys.argv[1])\n"
        "print(entry['doubt'](sys.argv[2], entry['trusted']()))\n"
    )
    source = Path(__file__).resolve().parents[2] / "build" / "entry.py"
    said = must_start([SERVERS[0], "-I", "-S", "-c", script, source, common / "cache" / "x"])
    assert "too many links" in said


def test_root_with_the_home_of_somebody_takes_no_code_from_there(
    pyz: Path, common: Path, somebodys: Callable[[Path], None], can_leave_out: Callable[[str], None]
) -> None:
    # `sudo -E`: HOME and XDG_CACHE_HOME are still the user's, who has put a cache there that fits by its name
    home, witness = common / "home", common / "witness"
    with zipfile.ZipFile(pyz) as archive:
        build = json.loads(archive.read("environment.json"))["build_id"]
    for caches in (home / ".cache" / "ocs", home / "xdg" / "ocs"):
        planted = caches / f"{pyz.name}_{build}" / "site-packages" / "appliance"
        planted.mkdir(parents=True)
        (planted / "__init__.py").touch()
        (planted / "__main__.py").write_text(f"def main(): open({str(witness)!r}, 'w')\n")
    before = sorted(home.rglob("*"))
    for path in (home, *before):
        somebodys(path)
    # A /var/cache of its own: this machine's is not the test's
    mount = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        'mount -t tmpfs -o mode=0755 none /var/cache && "$@" && ls /var/cache',
        "sh",
    ]
    if finish(launch([*mount, "true"]))[0]:
        can_leave_out("this container lets nobody mount")
    said = must_start(
        [*mount, SERVERS[0], pyz, "--help"], HOME=str(home), XDG_CACHE_HOME=str(home / "xdg"), USER="somebody"
    )
    assert said.endswith("\nocs\n")
    assert not witness.exists()
    assert sorted(home.rglob("*")) == before
