"""LOCAL_USERS and LOCAL_GROUPS, from the files alone: a directory server is neither local nor quick."""

from __future__ import annotations

from ..reading import read_text
from ..rows import Row

_ROWS_LIMIT = 5000


def users(root: str) -> list[Row]:
    return [
        {"LOGIN": login, "ID_USER": uid, "GID": gid, "NAME": name, "HOME": home, "SHELL": shell}
        for login, _, uid, gid, name, home, shell in _lines(f"{root}/etc/passwd", 7)
    ]


def groups(root: str) -> list[Row]:
    """Members by the group file and by the users' own group alike."""
    members: dict[str, list[str]] = {}
    for login, _, _, gid, *_ in _lines(f"{root}/etc/passwd", 7):
        members.setdefault(gid, []).append(login)
    rows = []
    for name, _, gid, listed in _lines(f"{root}/etc/group", 4):
        both = dict.fromkeys([*members.get(gid, []), *filter(None, listed.split(","))])
        rows.append({"NAME": name, "ID_GROUP": gid, "MEMBER": ",".join(both)})
    return rows


def _lines(path: str, fields: int) -> list[list[str]]:
    """The well-formed lines: NIS leftovers ("+::::::") and broken ones are not accounts."""
    found = []
    for line in read_text(path).splitlines():
        parts = line.split(":")
        if len(parts) == fields and parts[0] and not parts[0].startswith(("+", "-", "#")) and parts[2].isdigit():
            found.append(parts)
    return found[:_ROWS_LIMIT]
