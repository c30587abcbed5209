"""The archive's __main__: picks the program before anything is unpacked or any dependency imported.

It is the same in ocs.pyz and in ocs-agent.pyz, which holds the agent alone.

`agent` runs straight from inside the archive. Everything else needs the libraries on disk (shared objects
cannot be loaded from a zip): this module chooses a folder that only this account can write, has shiv's own
code unpack into it, compares all that lies there with what was built, and hands over to shiv's bootstrap.

What it can see to before Python has read it, it cannot: a service is started with `python3 -I -S`, and root keeps
the file where nobody else can write. Any Python 3 must be able to parse this file, so that an old one can be
told what is missing in a sentence.
"""

import os
import stat
import sys
import time

TYPE_CHECKING = False  # as typing says it, without the cost of importing that
if TYPE_CHECKING:
    import zipfile
    from collections.abc import Callable, Iterable

AGENT_NEEDS = (3, 9)
SERVER_NEEDS = (3, 11)
KEEP_SECONDS = 14 * 24 * 3600  # an unpacked build that nobody started for so long is removed
LIBRARIES = "site-packages"
LINKS = 40  # more of them on one path are a circle

_leases = []  # type: list[int]  # held until the process ends


def main() -> None:
    """Run what the first word asks for; never returns."""
    archive = os.path.dirname(os.path.abspath(__file__))
    distrust(archive)
    words = sys.argv[1:]
    if words == ["--version"]:
        sys.path[0] = os.path.join(archive, LIBRARIES)
        from appliance import __version__

        print("ocs.pyz " + __version__)
        sys.exit(0)
    agent = words[:1] == ["agent"]
    if not agent and not has_server(archive):
        agent_only(words)
    demand(AGENT_NEEDS if agent else SERVER_NEEDS, "ocs.pyz agent" if agent else "ocs.pyz")
    isolate(archive)
    if agent:
        sys.path[0] = os.path.join(archive, LIBRARIES)  # zipimport reads folders inside an archive
        from appliance.__main__ import main as run

        sys.exit(run(words))
    os.environ["SHIV_ROOT"] = unpack(archive)
    sys.argv[0] = archive  # shiv opens this

    import _bootstrap

    # A server runs for months: nothing it imports later may depend on a file that may be replaced by then.
    sys.path.remove(sys.path[0])
    _bootstrap.bootstrap()


def has_server(archive: str) -> bool:
    """Does this file hold more than the agent?"""
    import zipimport

    try:
        return zipimport.zipimporter(archive).is_package("_bootstrap")
    except ImportError:
        return False


def agent_only(words: "list[str]") -> None:
    """Say what the agent-only file can do, and end."""
    told = (
        "This file holds the agent alone: `ocs-agent.pyz agent --server host[:port]`, or `ocs-agent.pyz agent --help`."
    )
    if words in (["--help"], ["-h"]):
        print(told)
        sys.exit(0)
    sys.stderr.write(told + "\n")
    sys.exit(2)


def demand(version: "tuple[int, int]", what: str) -> None:
    """End with one sentence where this Python is too old."""
    if sys.version_info < version:
        here = "%d.%d.%d" % tuple(sys.version_info[:3])
        also = "" if version == AGENT_NEEDS else " (its agent needs %d.%d)" % AGENT_NEEDS
        sys.exit(
            "%s needs Python %d.%d or newer%s; this is %s, %s."
            % (what, version[0], version[1], also, here, sys.executable)
        )


def distrust(archive: str) -> None:
    """End where root is about to run what another account could change."""
    if os.name == "nt" or os.geteuid() != 0:  # Windows: `agent install` sets who may write
        return
    owners = trusted()
    sudo = os.environ.get("SUDO_UID", "")
    if sudo.isdigit():  # whoever ran sudo is root by that already
        owners.add(int(sudo))
    try:
        why = doubt(archive, owners)
    except OSError as error:
        why = "%s: %s" % (archive, error.strerror)
    if why:
        sys.exit(
            "ocs.pyz does not run as root where another account could change it (%s); "
            "copy it to a folder that only root can write, for example /opt/ocs, and start it from there." % why
        )


def trusted() -> "set[int]":
    """The accounts that own this computer: root, who runs this, and whoever stands for root in a container."""
    return {0, os.geteuid(), os.stat("/").st_uid}


def doubt(path: str, owners: "set[int]") -> str:
    """Why other accounts could put something else in an absolute path's place; "" where none can.

    Looks at every folder and link on the way, as far as they are there. A group that may write counts as others,
    but for root's.
    """
    at, left, links = "/", path.split("/")[::-1], 0
    while True:
        try:
            state = os.lstat(at)
        except FileNotFoundError:
            return ""
        if state.st_uid not in owners:
            return at + " belongs to another account"
        if stat.S_ISLNK(state.st_mode):
            links += 1
            if links > LINKS:
                return at + " is one of too many links"
            target = os.readlink(at)
            left += target.split("/")[::-1]
            at = "/" if target.startswith("/") else os.path.dirname(at)
        elif state.st_mode & (0o002 if state.st_gid == 0 else 0o022) and not is_sticky(state):
            return "other accounts can write to " + at
        while left and left[-1] in ("", "."):
            left.pop()
        if not left:
            return ""
        name = left.pop()
        at = os.path.dirname(at) if name == ".." else os.path.join(at, name)


def is_sticky(state: os.stat_result) -> bool:
    """Is it a folder like /tmp, where everybody may write and nobody can replace what is another's?"""
    return stat.S_ISDIR(state.st_mode) and state.st_mode & stat.S_ISVTX != 0


def isolate(archive: str) -> None:
    """See to it that no PYTHON* or SHIV_* variable, user site or working directory has a say.

    -S as well: all that is imported is in the archive or in the standard library.
    """
    for name in list(os.environ):
        if name.startswith("SHIV_"):
            del os.environ[name]
    if sys.flags.isolated or not sys.executable:
        return
    command = [sys.executable, "-I", "-S", archive, *sys.argv[1:]]
    if os.name == "nt":  # there, exec returns to the shell before the program has ended
        import subprocess

        sys.exit(subprocess.call(command))
    os.execv(sys.executable, command)


def unpack(archive: str) -> str:
    """The folder under which this build lies unpacked: the first candidate that works."""
    reasons = []
    for path in candidates():
        try:
            root = private(path)
            settle(archive, root)
            return root
        except OSError as error:
            reasons.append("%s: %s" % (path, error.strerror or error))
    sys.exit(
        "ocs.pyz found no folder to unpack its libraries into (%s). "
        "Set OCS_CACHE to a folder that only this account can write." % "; ".join(reasons)
    )


def candidates() -> "list[str]":
    """Folders to try, in order. One that was named on purpose is the only one."""
    asked = os.environ.get("OCS_CACHE")
    if asked:
        return [os.path.abspath(asked)]
    found = []
    if os.environ.get("CACHE_DIRECTORY"):  # systemd's CacheDirectory=, several are divided by colons
        found.append(os.environ["CACHE_DIRECTORY"].split(os.pathsep)[0])
    if os.name == "nt":
        # Not %PROGRAMDATA%: every account may create folders there, and plant ours before us.
        if os.environ.get("LOCALAPPDATA"):
            found.append(os.path.join(os.environ["LOCALAPPDATA"], "ocs", "cache"))
        return found
    if os.environ.get("XDG_CACHE_HOME"):
        found.append(os.path.join(os.environ["XDG_CACHE_HOME"], "ocs"))
    if os.geteuid() == 0:
        found.append("/var/cache/ocs")
    home = os.path.expanduser("~")  # stays "~" for an account without a name
    if os.path.isdir(home):
        found.append(os.path.join(home, ".cache", "ocs"))
    import tempfile

    try:
        found.append(os.path.join(tempfile.gettempdir(), "ocs-%d" % os.geteuid()))
    except OSError:  # no temporary folder can be written
        pass
    return [path for path in found if os.path.isabs(path)]


def private(path: str) -> str:
    """The folder's real path, made where missing; OSError where another account could change its content."""
    if os.name == "nt":
        os.makedirs(path, exist_ok=True)
        return path
    why = doubt(path, trusted())  # before anything is made there
    if why:
        raise OSError(0, why)
    real = os.path.realpath(path)
    before = os.umask(0o077)
    try:
        os.makedirs(real, exist_ok=True)
    finally:
        os.umask(before)
    why = doubt(real, trusted())  # and again: in a tmp that all share, another account may have been quicker
    if why:
        raise OSError(0, why)
    own(os.lstat(real))
    flags = os.statvfs(real).f_flag
    if flags & getattr(os, "ST_NOEXEC", 0):
        raise OSError(0, "mounted noexec, so no shared library can be loaded from it")
    return real


def own(state: os.stat_result) -> None:
    """OSError unless it is a folder or a file that this account alone may write."""
    if not stat.S_ISDIR(state.st_mode) and not stat.S_ISREG(state.st_mode):
        raise OSError(0, "neither a folder nor a file")
    if os.name == "nt":
        return
    if state.st_uid != os.geteuid():
        raise OSError(0, "belongs to another account")
    if state.st_mode & 0o022:
        raise OSError(0, "other accounts can write to it")


def settle(archive: str, root: str) -> None:
    """Have this build lie unpacked below `root`, whole and compiled, and keep it from being swept away.

    A start that was killed leaves a half-unpacked folder and no lock (the system drops those of the dead); so
    the next one begins again. Compiling in this process leaves no child behind that would hold shiv's lock.
    """
    import json
    import zipfile
    import zlib

    import _bootstrap

    before = os.umask(0o077)
    try:
        with zipfile.ZipFile(archive) as packed:
            build = json.loads(packed.read("environment.json").decode())["build_id"]
            home = str(_bootstrap.cache_path(packed, root, build))
            lease = lock(mark(home, "used"), shared=True)
            if compare(home, packed, build) != (True, True):
                turn = lock(mark(home, "turn"), shared=False)
                try:
                    whole, compiled = compare(home, packed, build)  # whoever had the turn before us may have done it
                    if not whole:
                        spread(home, packed)
                        whole, compiled = compare(home, packed, build)
                    if not whole:
                        raise zipfile.BadZipFile
                    if not compiled:
                        translate(home)
                except (zipfile.BadZipFile, zlib.error):
                    sys.exit("%s is damaged: what it holds is not what was built; fetch it again." % archive)
                finally:
                    os.close(turn)
        os.utime(mark(home, "used"))
        _leases.append(lease)
        sweep(root, mark(home, "used"))
    finally:
        os.umask(before)
    sys.dont_write_bytecode = True  # else what is imported later would be written beside what was compared


def mark(home: str, kind: str) -> str:
    """A small file beside an unpacked build."""
    folder, name = os.path.split(home)
    return os.path.join(folder, ".%s_%s" % (name, kind))


def spread(home: str, packed: "zipfile.ZipFile") -> None:
    """Unpack anew, whatever lies there."""
    from pathlib import Path

    import _bootstrap

    discard(home)
    discard(home + ".tmp")
    try:
        _bootstrap.extract_site_packages(packed, Path(home), False, 1, False)
    finally:
        discard(home + ".tmp")


def compare(home: str, packed: "zipfile.ZipFile", build: str) -> "tuple[bool, bool]":
    """(is what was built there byte for byte and nothing else to import, is this Python's bytecode of it there).

    Nothing of it may be another account's to change. `build` is the seal of what was built. This costs some 40 ms
    at each start.
    """
    whole = False
    try:
        own(os.lstat(home))
        found = listed(home, LIBRARIES)
        built = {name for name in packed.namelist() if name.startswith(LIBRARIES + "/")}
        whole = {name for name in found if not is_compiled(name)} == built and seal(built, reader(home)) == build
        tag, names = bytecode(found)
        with open(mark(home, tag)) as file:
            return whole, file.read() == seal(names, reader(home))
    except (OSError, ValueError):
        return whole, False


def listed(home: str, below: str) -> "list[str]":
    """The files below a folder, with it in their names; OSError where one is not this account's alone."""
    names = []
    own(os.lstat(os.path.join(home, below)))
    for name in os.listdir(os.path.join(home, below)):
        path = below + "/" + name
        state = os.lstat(os.path.join(home, path))
        if stat.S_ISDIR(state.st_mode):
            names += listed(home, path)
        else:
            own(state)
            names.append(path)
    return names


def is_compiled(name: str) -> bool:
    """Is it bytecode in its place? Elsewhere it would be a module of its own."""
    return name.endswith(".pyc") and name.split("/")[-2] == "__pycache__"


def reader(home: str) -> "Callable[[str], bytes]":
    """What gives the content of a file of an unpacked build."""

    def read(name: str) -> bytes:
        with open(os.path.join(home, name), "rb") as file:
            return file.read()

    return read


def seal(names: "Iterable[str]", read: "Callable[[str], bytes]") -> str:
    """A digest of files: their names, sizes and contents. The builder makes the build id with it."""
    import hashlib

    total = hashlib.sha256()
    for name in sorted(names):
        content = read(name)
        total.update(("%s\0%d\0" % (name, len(content))).encode())
        total.update(content)
    return total.hexdigest()


def bytecode(found: "list[str]") -> "tuple[str, list[str]]":
    """What this Python's bytecode is called, and which of these files are such."""
    import importlib.util

    tag = os.path.basename(importlib.util.cache_from_source("x.py"))[len("x.") : -len(".pyc")]
    return tag, [name for name in found if is_compiled(name) and name.endswith(".%s.pyc" % tag)]


def translate(home: str) -> None:
    """Make this Python's bytecode, and seal it."""
    import compileall
    import py_compile

    for name in bytecode(listed(home, LIBRARIES))[1]:
        os.unlink(os.path.join(home, name))
    # Compared at each start, so Python need not ask whether the source is older
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(os.path.join(home, LIBRARIES), quiet=2, workers=1, invalidation_mode=mode)
    tag, names = bytecode(listed(home, LIBRARIES))
    new = mark(home, tag) + ".new"
    with open(new, "w") as file:
        file.write(seal(names, reader(home)))
    os.replace(new, mark(home, tag))


def lock(path: str, *, shared: bool) -> int:
    """An open file with a lock on it, which ends with the process. On Windows shiv's own lock has to do."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            import fcntl
        except ImportError:
            return file
        try:
            fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            if os.fstat(file).st_ino == os.stat(path).st_ino:
                return file
        except FileNotFoundError:
            pass  # swept away between opening and locking: once more
        except OSError:
            os.close(file)
            raise
        os.close(file)


def sweep(root: str, ours: str) -> None:
    """Remove builds that nobody uses and nobody has started for a fortnight."""
    try:
        import fcntl
    except ImportError:
        return  # Windows does not let go of loaded libraries
    oldest = time.time() - KEEP_SECONDS
    for name in os.listdir(root):
        path = os.path.join(root, name)
        try:
            if name.startswith(".gone-"):  # of a sweep that was killed
                discard(path)
            if not name.endswith("_used") or path == ours or os.stat(path).st_mtime > oldest:
                continue
            file = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a running one holds it
                home = os.path.join(root, name[1 : -len("_used")])
                gone = os.path.join(root, ".gone-%d-%s" % (os.getpid(), os.path.basename(home)))
                discard(home + ".tmp")
                for mine in os.listdir(root):
                    if mine.startswith(os.path.basename(mark(home, ""))) and mine != name:
                        discard(os.path.join(root, mine))
                if os.path.exists(home):
                    os.rename(home, gone)
                os.unlink(path)
            finally:
                os.close(file)
            discard(gone)
        except OSError:
            continue  # in use, or another start sweeps it


def discard(path: str) -> None:
    """Remove a file or a folder with all that is in it, if it is there."""
    import shutil

    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


if __name__ == "__main__":
    main()
