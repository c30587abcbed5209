"""The build's own tools: where they live, how they get there, how they are called.

All of it lies under the git-ignored `.work/` and is made from the locks in `requirements/`: nothing but
Python and pip is presupposed. What is built with the tools is in bundle.py.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".work"
LOCKS = ROOT / "build" / "requirements"
STAMP = "made-from"
# Without them a pyvenv or a PYTHONPATH of the caller's would decide which tools run.
FOREIGN = ("PYTHON", "SHIV_", "VIRTUAL_ENV", "SOURCE_DATE_EPOCH")


class Stop(Exception):
    """The build cannot go on; the text says why and what to do."""


def tell(line: str) -> None:
    """One line for whoever watches."""
    print(f"make: {line}", flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is done now, and how long it took."""
    print(f"make: {what} ...", end="", flush=True)
    start = time.monotonic()
    try:
        yield
    except BaseException:
        print(f" failed after {time.monotonic() - start:.1f} s", flush=True)
        raise
    print(f" {time.monotonic() - start:.1f} s", flush=True)


def environment(**extra: str) -> dict[str, str]:
    """The caller's environment without what would change a build."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return kept | extra


def run(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> str:
    """Run quietly and give what it printed; what it printed is shown where it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env=environment() if env is None else dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode:
        raise Stop(f"{Path(command[0]).name} ended with {done.returncode}:\n{done.stdout.rstrip()}")
    return done.stdout


@contextmanager
def alone(name: str) -> Iterator[None]:
    """One process at a time; the lock ends with the process that holds it."""
    WORK.mkdir(exist_ok=True)
    with (WORK / f".{name}.lock").open("w") as file:
        try:
            import fcntl
        except ImportError:  # Windows: two builds at once are the caller's risk there
            pass
        else:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def prepared(folder: Path, *made_from: str, make: Callable[[], None]) -> Path:
    """The folder, made anew unless it was made, to its end, from exactly this. The stamp is written last."""
    key = hashlib.sha256("\0".join(made_from).encode()).hexdigest()
    stamp = folder / STAMP
    with alone(folder.name):
        if not stamp.is_file() or stamp.read_text() != key:
            if folder.is_symlink():
                folder.unlink()
            elif folder.exists():
                shutil.rmtree(folder)
            folder.parent.mkdir(parents=True, exist_ok=True)
            make()
            stamp.write_text(key)
    return folder


def lock_text(name: str) -> str:
    """A lock file's content, which is the key of everything made from it."""
    return (LOCKS / f"{name}.txt").read_text()


def tools() -> Path:
    """Folder with uv and shiv, installed by pip with pinned hashes."""
    folder = WORK / "tools"

    def make() -> None:
        pip: list[str | Path] = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        if subprocess.run([*pip, "--version"], env=environment(), capture_output=True).returncode:
            raise Stop(f"{sys.executable} has no pip; install it (Debian: apt-get install python3-pip)")
        with step("tools: uv and shiv, by pip"):
            command = [*pip, "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
            run([*command, "--target", folder, "-r", LOCKS / "tools.txt"])

    return prepared(folder, lock_text("tools"), make=make)


def uv(*words: str | Path) -> None:
    """Run uv with the system's certificates, as pip does, or with its own where the system has none."""
    found = tools() / "bin" / ("uv.exe" if os.name == "nt" else "uv")
    env = {
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "UV_CACHE_DIR": str(WORK / "cache"),
    } | environment()
    env.update(pip_settings(env))
    command = [str(found), *words]
    try:
        run(command, env | {"UV_SYSTEM_CERTS": "1"})
    except Stop as first:
        try:
            run(command, env)
        except Stop:
            raise first from None


def pip_settings(env: Mapping[str, str]) -> dict[str, str]:
    """What a site's pip was told about its index: uv does not read pip's configuration."""
    if "UV_DEFAULT_INDEX" in env:
        return {}
    command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    asked = subprocess.run(command, env=environment(), capture_output=True, text=True)
    index = env.get("PIP_INDEX_URL") or asked.stdout.strip()
    return {"UV_DEFAULT_INDEX": index} if index else {}


def must_stand_outside() -> None:
    """Raises Stop where the Python that runs is one of the build's own: it may be about to be thrown away."""
    if WORK in Path(sys.prefix).resolve().parents:
        raise Stop(f"{sys.executable} is made by this program; run it with the Python of the machine: python3 ...")


def python() -> Path:
    """The Python of an environment with the product's libraries and with what checks it."""
    version = f"{sys.version_info.major}{sys.version_info.minor}"
    folder = WORK / f"venv-{version}"
    found = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    tools()  # its lines come first

    def make() -> None:
        with step("environment: libraries and checkers, from the lock"):
            uv("venv", "--quiet", "--python", sys.executable, folder)
            uv("pip", "install", "--quiet", "--python", found, "--no-deps", "--require-hashes",
               "-r", LOCKS / "dev.txt")  # fmt: skip

    prepared(folder, lock_text("dev"), sys.version, sys.executable, make=make)
    return found


def renew_locks(*, upgrade: bool) -> None:
    """Resolve every .in file anew: all platforms and Pythons at once, with hashes, without an address.

    Without `upgrade` a version that is pinned and still fits stays.
    """
    tools()  # its lines come first
    for name in ("tools", "runtime", "dev", "assets"):
        with step(f"lock: {name}"):
            command = ["pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
            command += ["--upgrade"] if upgrade else []
            command += ["--no-deps"] if name == "assets" else []  # carriers of files: Django is not wanted
            command += ["--generate-hashes", "--no-header", "--no-emit-index-url", "--no-emit-find-links"]
            # Relative names: uv writes them into the "via" comments.
            uv(*command, f"build/requirements/{name}.in", "-o", f"build/requirements/{name}.txt")
