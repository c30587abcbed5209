"""The archive's __main__: picks the program before anything is unpacked or any dependency imported.

It is the same in ocs.pyz and in ocs-agent.pyz, which holds the agent alone.

`agent` runs straight from inside the archive. Everything else needs the libraries on disk (shared objects
cannot be loaded from a zip): this module chooses a folder that only this account can write, has shiv's own
code unpack into it, and hands over to shiv's bootstrap.

Any Python 3 must be able to parse this file, so that an old one can be told what is missing in a sentence.
"""

import os
import stat
import sys
import time

TYPE_CHECKING = False  # as typing says it, without the cost of importing that
if TYPE_CHECKING:
    import zipfile

AGENT_NEEDS = (3, 9)
SERVER_NEEDS = (3, 11)
KEEP_SECONDS = 14 * 24 * 3600  # an unpacked build that nobody started for so long is removed
LIBRARIES = "site-packages"

_leases = []  # type: list[int]  # held until the process ends


def main() -> None:
    """Run what the first word asks for; never returns."""
    archive = os.path.dirname(os.path.abspath(__file__))
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
    # Who owns / owns the machine: root, or in a container whoever stands for root there.
    trusted = (0, os.geteuid(), os.stat("/").st_uid)
    if os.path.islink(path) and os.lstat(path).st_uid not in trusted:
        raise OSError(0, "a link that another account made")
    real = os.path.realpath(path)  # from here on without links, so that none can be turned round
    above = os.path.dirname(real)
    while not os.path.exists(above):
        above = os.path.dirname(above)
    while True:  # before anything is made below them
        state = os.stat(above)
        if state.st_uid not in trusted:
            raise OSError(0, "%s belongs to another account" % above)
        if state.st_mode & 0o022 and not state.st_mode & stat.S_ISVTX:
            raise OSError(0, "other accounts can write to %s" % above)
        if above == os.path.dirname(above):
            break
        above = os.path.dirname(above)
    before = os.umask(0o077)
    try:
        os.makedirs(real, exist_ok=True)
    finally:
        os.umask(before)
    own(real)
    flags = os.statvfs(real).f_flag
    if flags & getattr(os, "ST_NOEXEC", 0):
        raise OSError(0, "mounted noexec, so no shared library can be loaded from it")
    return real


def own(folder: str) -> None:
    """OSError unless it is a folder that this account alone may write."""
    state = os.lstat(folder)
    if not stat.S_ISDIR(state.st_mode):
        raise OSError(0, "not a folder")
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
    from pathlib import Path

    import _bootstrap

    before = os.umask(0o077)
    try:
        with zipfile.ZipFile(archive) as packed:
            build = json.loads(packed.read("environment.json").decode())["build_id"]
            home = str(_bootstrap.cache_path(packed, root, build))
            lease = lock(mark(home, "used"), shared=True)
            if not whole(home, packed):
                turn = lock(mark(home, "turn"), shared=False)
                try:
                    if not whole(home, packed):  # still: whoever had the turn before us may have done it
                        discard(home)
                        discard(home + ".tmp")
                        _bootstrap.extract_site_packages(packed, Path(home), True, 1, False)
                except OSError:
                    discard(home + ".tmp")
                    raise
                finally:
                    os.close(turn)
        os.utime(mark(home, "used"))
        _leases.append(lease)
        sweep(root, mark(home, "used"))
    finally:
        os.umask(before)


def mark(home: str, kind: str) -> str:
    """A small file beside an unpacked build."""
    folder, name = os.path.split(home)
    return os.path.join(folder, ".%s_%s" % (name, kind))


def whole(home: str, packed: "zipfile.ZipFile") -> bool:
    """Does every file lie there with its size, and nothing that Python would run unasked?

    A crash of the machine leaves empty files behind a finished rename; this costs a few milliseconds.
    """
    inside = os.path.join(home, LIBRARIES)
    try:
        own(home)
        for entry in packed.infolist():
            if entry.filename.startswith(LIBRARIES + "/"):
                state = os.lstat(os.path.join(home, entry.filename))
                if not stat.S_ISREG(state.st_mode) or state.st_size != entry.file_size:
                    return False
        return not any(name.endswith(".pth") for name in os.listdir(inside))
    except OSError:
        return False


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
                for old in (home + ".tmp", mark(home, "lock"), mark(home, "turn")):
                    discard(old)
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
