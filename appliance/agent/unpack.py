"""Unpacking: an archive's folders and regular files into a new folder of our own, nothing else and nowhere else.

What may be unpacked is domain/archive's to say; reading archives is wire/archive's.
Source: security.md R3, R5, A22-A24.
"""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path
from typing import BinaryIO

from appliance.agent.failure import Failure
from appliance.agent.files import NO_SPACE
from appliance.agent.folders import Below
from appliance.domain.archive import ArchiveLimits, Census, Member, Shape, inner_path
from appliance.domain.fragments import show_size
from appliance.wire import archive
from appliance.wire.malformed import Malformed

FOLDER_MODE = 0o755
RESERVE = 1024 * 1024  # bytes of the disk that are left free
LARGE = 1024 * 1024  # bytes of a member before which the disk is looked at once more


def unpack(file: BinaryIO, folder: Path, limits: ArchiveLimits) -> None:
    """Unpack into `folder`, which is made here and must not be there yet. Raises Failure; the caller removes the rest.

    Every member is held against the rules before anything of it is written, and its true bytes are counted while they
    are. Set bits, owners and times are not taken over: files are 0755 where the archive has them executable, else 0644.
    """
    try:
        _check_space(folder.parent, unpacked_size(file, limits), "what it unpacks to")
        os.mkdir(folder, 0o700)
        census = Census(limits)
        with Below(folder, folder_mode=FOLDER_MODE) as below:
            for member, opener in archive.members(file):
                _admit(census, member)
                if member.size >= LARGE:
                    _check_space(folder, member.size, f"its {member.name[:200]!r}")
                _place(below, member, opener)
    except Malformed as error:
        raise Failure("ERR_UNZIP", f"It cannot be unpacked: {error}.") from None
    except OSError as error:
        raise space_or("ERR_UNZIP", "It cannot be unpacked", error) from None


def unpacked_size(file: BinaryIO, limits: ArchiveLimits) -> int:
    """Bytes that an archive says it unpacks to, for a first look at the disk; what it truly has is counted later.

    A zip's directory tells all of it, so nothing of a forbidden one is ever written. Of a tar.gz the last four bytes
    tell, where it is smaller than 4 GiB.
    """
    if archive.format_of(file) == "zip":
        census = Census(limits)
        for member, _ in archive.members(file):
            _admit(census, member)
        return census.total
    size = file.seek(0, os.SEEK_END)
    if size < 18:
        return 0
    file.seek(-4, os.SEEK_END)
    said: int = struct.unpack("<L", file.read(4))[0]
    return min(said, size * limits.ratio)


def _admit(census: Census, member: Member) -> None:
    fault = census.fault(member)
    if fault:
        raise Failure("ERR_UNZIP", f"The archive's {member.name[:200]!r}: {fault}.")


def _check_space(folder: Path, needed: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + RESERVE:
        raise Failure(
            "ERR_OUT_OF_SPACE",
            f"{show_size(needed)} are needed for {what}, and {show_size(RESERVE)} must stay free;"
            f" {show_size(free)} are.",
        )


def space_or(code: str, what: str, error: OSError) -> Failure:
    """The Failure for an error of the disk: ERR_OUT_OF_SPACE where that is the reason, else `code`."""
    if error.errno in NO_SPACE:
        return Failure("ERR_OUT_OF_SPACE", f"{what}: no space is left on the disk.")
    return Failure(code, f"{what}: {error.strerror or error}.")


def file_mode(mode: int) -> int:
    """The mode that a file with this one gets."""
    return 0o755 if mode & 0o111 else 0o644


def _place(below: Below, member: Member, opener: archive.Opener) -> None:
    inner = inner_path(member.name)
    if member.shape is Shape.FOLDER:
        below.folder(inner)
        return
    left = member.size
    with below.create(inner, file_mode(member.mode)) as file:
        for piece in archive.pieces(opener):
            left -= len(piece)
            if left < 0:
                raise Failure("ERR_UNZIP", f"The archive's {member.name[:200]!r} is larger than it says.")
            file.write(piece)
    if left:
        raise Failure("ERR_UNZIP", f"The archive's {member.name[:200]!r} is shorter than it says.")
