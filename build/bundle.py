"""From locked wheels and our sources to one file: trees, what stays of them, the archive.

The same bytes come out whatever the directory, the umask, the user and the builder's Python, as long as its
zlib is the same.
"""

import hashlib
import json
import os
import shutil
import struct
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import assets
import catalogues
import entry
import workshop
from workshop import ROOT, WORK, Stop, step

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time that a zip can say


@dataclass(frozen=True)
class Target:
    """One kind of machine that a file is built for."""

    wheels: str  # its name among wheels
    system: str  # what sys.platform and platform.machine() say there
    run_here: bool  # do the tests run it?


# One file per row: extension modules of several Pythons lie side by side under names of their own, but
# cryptography's abi3 library has the same name on every system.
TARGETS = {
    "linux-x86_64": Target("x86_64-manylinux_2_28", "linux x86_64", run_here=True),
    # Built from the same lock where wheels exist, and never run by the tests:
    "linux-aarch64": Target("aarch64-manylinux_2_28", "linux aarch64", run_here=False),
    "windows-amd64": Target("x86_64-pc-windows-msvc", "win32 AMD64", run_here=False),
    "macos-arm64": Target("aarch64-apple-darwin", "darwin arm64", run_here=False),
}

# What no program needs at run time. Metadata and licences stay.
PRUNED_FOLDERS = {"tests", "bin", "Scripts", "__pycache__", "cffi", "pycparser"}
PRUNED_SUFFIXES = {".pyi", ".pyx", ".pxd", ".pxi", ".c", ".h", ".hash", ".pyc", ".pth"}
PRUNED_NAMES = {
    "RECORD",
    "INSTALLER",
    "REQUESTED",
    "WHEEL",
    "direct_url.json",
    "uv_cache.json",
    "uv_build.json",
}
PRUNED_NAMES |= {"entry_points.txt", "top_level.txt", "py.typed", "backend_cffi.py", workshop.STAMP, ".lock"}
# Test helpers, and zstandard's second backend (12 MB as its wheel has it): CPython takes the first.
PRUNED_STEMS = {"_testcapi", "zstandard/_cffi"}

# The files of appliance/ that the archive carries. A new kind is put into one of the two on purpose.
CARRIED = {
    ".py",
    ".sql",
    ".html",
    ".xml",
    ".txt",
    ".css",
    ".js",
    ".svg",
    ".png",
    ".ico",
    ".woff2",
    ".mo",
    ".json",
}
CARRIED |= {".dict"}
LEFT_OUT = {".pyc", ".po", ".pot", ".md"}

# What an agent consists of, under appliance/. The server finds the file made of it with
# importlib.resources.files("appliance").joinpath("carried", "ocs-agent.pyz") and offers it to computers.
AGENT = {"__init__.py", "__main__.py", "clock.py", "disk.py", "domain", "wire", "agent"}
AGENT_FILE = "ocs-agent.pyz"


def here() -> str:
    """The name of the target that this machine is."""
    import platform

    said = f"{sys.platform} {platform.machine()}"
    for name, target in TARGETS.items():
        if target.system == said:
            return name
    raise Stop(f"no wheels are known for this machine ({said}); targets: {', '.join(TARGETS)}")


def build(name: str) -> Path:
    """Build the file for a target, and put it into dist/ in one step."""
    libraries = library_tree(name)
    assets.fetch()
    catalogues.compile_all()
    output = ROOT / "dist" / ("ocs.pyz" if name == here() else f"ocs-{name}.pyz")
    output.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bundle-", dir=WORK) as scratch:
        sources = Path(scratch, "sources")
        with step(f"archive: {output.relative_to(ROOT)}"):
            copy_sources(sources / "appliance")
            agent = agent_file(sources, Path(scratch, AGENT_FILE))
            (sources / "appliance" / "carried").mkdir()
            shutil.copyfile(agent, sources / "appliance" / "carried" / AGENT_FILE)
            packed = shiv([libraries, sources], Path(scratch, "shiv.pyz"))
            rewrite(packed, Path(scratch, "finished.pyz"))
            publish(agent, output.with_name(AGENT_FILE))
            publish(Path(scratch, "finished.pyz"), output)
    tell(output)
    tell(output.with_name(AGENT_FILE))
    if not TARGETS[name].run_here:
        workshop.tell(f"{name}: built from its wheels, never run by the tests")
    return output


def agent_file(sources: Path, output: Path) -> Path:
    """The agent alone, of sources that were copied before: one file for every system and Python."""
    entries = {
        f"site-packages/{path.relative_to(sources).as_posix()}": path.read_bytes()
        for path in sorted((sources / "appliance").rglob("*"))
        if path.is_file() and path.relative_to(sources).parts[1] in AGENT
    }
    pack(entries, output)
    return output


def publish(made: Path, output: Path) -> None:
    """Put a finished file into dist/ in one step, under a name of its own until then: two builds do not meet."""
    number, name = tempfile.mkstemp(prefix=".ocs-", suffix=".pyz", dir=output.parent)
    os.close(number)
    try:
        shutil.copyfile(made, name)
        os.chmod(name, 0o755)
        os.replace(name, output)
    except BaseException:
        os.unlink(name)
        raise


def tell(output: Path) -> None:
    """What was built."""
    content = output.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    workshop.tell(f"{output.relative_to(ROOT)}: {len(content)} bytes, SHA-256 {digest}")


def library_tree(name: str) -> Path:
    """The libraries for every Python of a target, merged and pruned."""
    folder = WORK / f"tree-{name}"
    workshop.tools()

    def make() -> None:
        with step(f"libraries: {name}, Python {', '.join(PYTHONS)}"):
            origins: dict[str, tuple[str, str]] = {}  # path -> (digest, Python it came with)
            for version in PYTHONS:
                with tempfile.TemporaryDirectory(prefix="wheels-", dir=WORK) as raw:
                    command = [
                        "pip",
                        "install",
                        "--quiet",
                        "--target",
                        raw,
                        "--only-binary",
                        ":all:",
                        "--no-deps",
                    ]
                    command += ["--python-version", version, "--python-platform", TARGETS[name].wheels]
                    workshop.uv(*command, "--require-hashes", "-r", workshop.LOCKS / "runtime.txt")
                    merge(Path(raw), folder, version, origins)

    return workshop.prepared(folder, workshop.lock_text("runtime"), Path(__file__).read_text(), make=make)


def merge(raw: Path, folder: Path, version: str, origins: dict[str, tuple[str, str]]) -> None:
    """Add one Python's libraries; two Pythons may share a file only if it is the same file."""
    for source in sorted(raw.rglob("*")):
        path = source.relative_to(raw).as_posix()
        if source.is_dir() or pruned(PurePosixPath(path)):
            continue
        content = cut(source.read_bytes())
        digest = hashlib.sha256(content).hexdigest()
        known = origins.setdefault(path, (digest, version))
        if known[0] != digest:
            raise Stop(f"{path} is not the same file for Python {known[1]} and {version}: they cannot share a tree")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)  # never in place: the raw tree may be linked with uv's cache


def pruned(path: PurePosixPath) -> bool:
    """Is it a file that stays behind?"""
    stem = path.as_posix().split(".", 1)[0]
    return (
        not PRUNED_FOLDERS.isdisjoint(path.parts[:-1])
        or path.suffix in PRUNED_SUFFIXES
        or path.name in PRUNED_NAMES
        or stem in PRUNED_STEMS
        or stem.rsplit("/", 1)[-1] in PRUNED_STEMS
    )


def cut(content: bytes) -> bytes:
    """A 64-bit little-endian ELF file without what no loader maps: symbols, debugging, section headers."""
    if content[:6] != b"\x7fELF\x02\x01":
        return content
    table, entry, entries = *struct.unpack_from("<Q", content, 32), *struct.unpack_from("<HH", content, 54)
    end = table + entry * entries
    for number in range(entries):
        (offset,) = struct.unpack_from("<Q", content, table + number * entry + 8)
        (size,) = struct.unpack_from("<Q", content, table + number * entry + 32)
        end = max(end, offset + size)
    kept = bytearray(content[:end])
    struct.pack_into("<Q", kept, 40, 0)  # where the section headers were
    struct.pack_into("<HHH", kept, 58, 0, 0, 0)  # their size, their number, their names
    return bytes(kept)


def copy_sources(folder: Path) -> None:
    """The files of appliance/ as they would be in a fresh clone."""
    for source in sorted((ROOT / "appliance").rglob("*")):
        path = source.relative_to(ROOT / "appliance")
        if source.is_dir() or any(part.startswith((".", "__pycache__")) for part in path.parts):
            continue
        if source.suffix in LEFT_OUT or source.name.endswith("~"):
            continue
        if source.suffix not in CARRIED:
            raise Stop(f"appliance/{path.as_posix()}: say in build/bundle.py whether ocs.pyz carries such files")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def shiv(trees: list[Path], output: Path) -> Path:
    """Shiv's archive of prepared trees. Its build id is a digest of names and contents, nothing else."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "shiv",
        "--reproducible",
        "--compile-pyc",
        "-o",
        output,
    ]
    command += ["-e", "appliance.__main__:main", "-p", "/usr/bin/env python3"]
    for tree in trees:
        command += ["--site-packages", tree]
    workshop.run(command, workshop.environment(PYTHONPATH=str(workshop.tools())))
    return output


def rewrite(packed: Path, output: Path) -> None:
    """Write shiv's archive anew, as all of ours are written."""
    with zipfile.ZipFile(packed) as old:
        entries = {name: old.read(name) for name in old.namelist() if name != f"site-packages/{workshop.STAMP}"}
    for licence in workshop.tools().glob("shiv-*.dist-info/LICENSE"):
        entries["_bootstrap/LICENSE"] = licence.read_bytes()
    described = json.loads(entries["environment.json"])
    carried = [name for name in entries if name.startswith(entry.LIBRARIES + "/")]
    described["build_id"] = entry.seal(carried, entries.__getitem__)  # compared at each start
    entries["environment.json"] = json.dumps(described, sort_keys=True).encode()
    pack(entries, output)


def pack(entries: dict[str, bytes], output: Path) -> None:
    """An archive that Python runs: our own `__main__`, sorted, without times and modes of this machine."""
    entries["__main__.py"] = (ROOT / "build" / "entry.py").read_bytes()
    with output.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w") as new:
            for name in sorted(entries):
                about = zipfile.ZipInfo(name, EPOCH)
                about.create_system = 3  # Unix, wherever it is built
                about.external_attr = 0o100644 << 16
                about.compress_type = zipfile.ZIP_DEFLATED
                new.writestr(about, entries[name], compresslevel=9)
