"""Ask a program of the system for its output: bounded in time and size, all of it or nothing.

Half a list of softwares would read as "the rest was removed", so what is cut off is not used at all.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

TIMEOUT_SECONDS = 20.0
OUTPUT_LIMIT = 32 << 20

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
# Windows programs do not start without the first three; the others are where they look for their parts.
_WINDOWS_KEEPS = ("SystemRoot", "windir", "ComSpec", "ProgramData", "ProgramFiles", "TEMP", "TMP", "PATHEXT")


def output(
    argv: Sequence[str],
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
    limit: int = OUTPUT_LIMIT,
    any_exit_code: bool = False,
) -> bytes | None:
    """Standard output of `argv`, or None when it did not run, failed, said too much or took too long."""
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=os.path.abspath(os.sep),
            env=_environment(),
            start_new_session=True,  # so that children of the program can be ended with it
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (OSError, ValueError):
        return None
    said: list[bytes] = []

    def read() -> None:
        if process.stdout is not None:
            with process.stdout as stream:
                said.append(stream.read(limit + 1))

    # A thread, since a pipe cannot be waited for with a limit on every system. It is a daemon: a program
    # that cannot be killed must not keep the agent from going on, or from ending.
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(timeout_seconds)
    complete = not reader.is_alive() and bool(said) and len(said[0]) <= limit
    if not complete:
        _end(process)
        return None
    try:
        exit_code = process.wait(1.0)
    except subprocess.TimeoutExpired:  # it has closed its output and goes on with something else
        _end(process)
        return None
    return said[0] if any_exit_code or exit_code == 0 else None


def _environment() -> dict[str, str]:
    if sys.platform == "win32":
        return {name: os.environ[name] for name in _WINDOWS_KEEPS if name in os.environ}
    return {"PATH": _PATH, "LC_ALL": "C", "LANG": "C", "HOME": "/"}


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(2.0)
    except (OSError, subprocess.TimeoutExpired):
        pass  # it is stuck in the kernel, and there is nothing more to be done about it
