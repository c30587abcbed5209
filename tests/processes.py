"""Running a program to its end in an environment of which the test knows every variable."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path


def launch(
    command: Sequence[str | Path],
    *,
    umask: int = 0o022,
    user: int | None = None,
    cwd: Path | None = None,
    **env: str,
) -> subprocess.Popen[str]:
    """Start a process in an environment that holds nothing but PATH and what is given."""
    account = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    return subprocess.Popen(
        command, env={"PATH": os.environ["PATH"], **env}, cwd=cwd or "/", umask=umask, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **account,
    )  # fmt: skip


def finish(process: subprocess.Popen[str], seconds: float = 60) -> tuple[int, str, str]:
    """(exit code, output, errors)."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def must_start(command: Sequence[str | Path], **how: object) -> str:
    """Run to the end, expect success and silence on standard error; the output."""
    code, out, err = finish(launch(command, **how))  # type: ignore[arg-type]
    assert (code, err) == (0, ""), err
    assert out
    return out
