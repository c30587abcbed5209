"""What lies beside the installed file while a new one is on trial. What is done about it is update's business.

    ocs.pyz.new     a copy that is being verified
    ocs.pyz.old     the one before, until the new one has made a contact
    ocs.pyz.trial   JSON: that there is a trial, of which file, and how often it was started

The trial is written before the new file is put in place: it is the decision. From then on a start finishes what was
begun; before, it throws away what was prepared.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance import disk
from appliance.agent.failure import Unusable
from appliance.agent.files import BINARY, NO_FOLLOW, Files, open_read

NEW, OLD, TRIAL = ".new", ".old", ".trial"
LARGEST = 256 * 1024 * 1024  # bytes
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Trial:
    """A new file that has to prove itself. SHA-256 in lower-case hex."""

    new: str
    old: str
    version: str
    starts: int = 0


class Effects(Files):
    """The effects on the disk, so that a test can stop the agent after any of them."""

    def copy(self, source: Path, target: Path) -> str:
        """Copy a regular file, on disk when this returns; its SHA-256. OSError; Unusable where it is too large."""
        digest, size = hashlib.sha256(), 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | NO_FOLLOW | BINARY
        with open_read(source) as old, os.fdopen(os.open(target, flags, 0o600), "wb") as new:
            if not stat.S_ISREG(os.fstat(old.fileno()).st_mode):
                raise Unusable(f"{source} is no file.")
            while block := old.read(_BLOCK):
                size += len(block)
                if size > LARGEST:
                    raise Unusable(f"{source} is larger than {LARGEST} bytes; that is no agent.")
                digest.update(block)
                new.write(block)
            new.flush()
            os.chmod(target, 0o755)
            os.fsync(new.fileno())
        return digest.hexdigest()

    def link(self, old: Path, new: Path) -> None:
        """Give a file a second name, or a copy where the disk knows no second names."""
        try:
            os.link(old, new)
        except FileExistsError:
            raise
        except OSError:
            self.copy(old, new)
            shutil.copymode(old, new)
        disk.sync_folder(new.parent)


def beside(installed: Path, suffix: str) -> Path:
    """Where one of them lies."""
    return installed.with_name(installed.name + suffix)


def forget(installed: Path, effects: Effects) -> None:
    """The trial is over, one way or the other."""
    effects.remove(beside(installed, TRIAL))  # first: without it the rest means nothing
    tidy(installed, effects)


def tidy(installed: Path, effects: Effects) -> None:
    """Throw away what was prepared for a trial that there is not."""
    for suffix in (OLD, NEW):
        if beside(installed, suffix).exists():
            effects.remove(beside(installed, suffix))


def write(installed: Path, trial: Trial, effects: Effects) -> None:
    """Keep it, whole."""
    effects.keep(beside(installed, TRIAL), json.dumps(asdict(trial)).encode() + b"\n")


def read(installed: Path) -> Trial | None:
    """The trial under way; None where there is none, or nothing that can be read."""
    try:
        document = json.loads(beside(installed, TRIAL).read_bytes())
        trial = Trial(**document)
    except (OSError, ValueError, TypeError):
        return None
    return trial if isinstance(trial.starts, int) and all(map(_is_text, (trial.new, trial.old))) else None


def leftovers(installed: Path) -> tuple[Path, ...]:
    """All that an update may leave beside the installed file; installing and uninstalling remove it."""
    return tuple(beside(installed, suffix) for suffix in (TRIAL, OLD, NEW))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def digest_of(path: Path) -> str:
    """A file's SHA-256; empty where there is none."""
    digest = hashlib.sha256()
    try:
        with open_read(path) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()
