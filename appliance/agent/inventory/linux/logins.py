"""USERID, LASTLOGGEDUSER and its date: who is logged in, and who was last."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator

from ..reading import names, pairs, read_bytes, read_text
from ..rows import Row

_USER_PROCESS = 7
_TAIL_RECORDS = 2000  # of wtmp, which nothing may ever have rotated
# ut_type, (pad), ut_pid, ut_line[32], ut_id[4], ut_user[32], ut_host[256], exit status, session, time ...
_USER = slice(44, 76)
_EXIT_END = 336


def people(root: str) -> Row:
    row: Row = {}
    present = list(dict.fromkeys(user for user, _ in _records(f"{root}/run/utmp")))
    present = present or _sessions(f"{root}/run/systemd/sessions")  # newer systems keep no utmp
    if present:
        row["USERID"] = "/".join(sorted(present))
    past = list(_records(f"{root}/var/log/wtmp"))
    if past:
        row["LASTLOGGEDUSER"], seconds = past[-1]
        row["DATELASTLOGGEDUSER"] = time.strftime("%a %b %d %H:%M", time.localtime(seconds))
    elif present:
        row["LASTLOGGEDUSER"] = present[-1]
    return row


def _records(path: str) -> Iterator[tuple[str, int]]:
    """User and time of each login. glibc writes 384 bytes on most machines, 400 on some 64-bit ones."""
    try:
        size = os.stat(path).st_size
    except OSError:
        return
    length = next((length for length in (384, 400) if size and size % length == 0), 0)
    if not length:
        return
    data = _tail(path, size, length * _TAIL_RECORDS)
    for at in range(0, len(data) - length + 1, length):
        record = data[at : at + length]
        if struct.unpack_from("=h", record)[0] != _USER_PROCESS:
            continue
        user = record[_USER].split(b"\0")[0].decode("utf-8", "replace")
        session_and_time = "=iI" if length == 384 else "=qq"
        seconds = struct.unpack_from(session_and_time, record, _EXIT_END)[1]
        if user:
            yield user, max(0, min(seconds, 1 << 36))


def _tail(path: str, size: int, length: int) -> bytes:
    if size <= length:
        return read_bytes(path, length)
    try:
        with open(path, "rb") as file:  # a regular file: it has a size
            file.seek(size - length)
            return file.read(length)
    except OSError:
        return b""


def _sessions(folder: str) -> list[str]:
    found = []
    for name in names(folder)[:200]:
        session = pairs(read_text(f"{folder}/{name}", 65536))
        if session.get("CLASS") == "user" and session.get("USER"):
            found.append(session["USER"])
    return list(dict.fromkeys(found))
