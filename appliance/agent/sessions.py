"""Who sits at a Linux desktop: sessions, as processes, sockets and logind tell of them. Nothing is shown here.

What a process's environment says is its user's word. It decides only where a dialog appears that runs as this very
user with a clean environment, so nobody can speak for anybody else.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.agent.dialogs import Account

if sys.platform != "win32":
    import pwd

FIRST_PERSON = 1000  # accounts below it belong to the system: the login screen is nobody's desktop
NOBODY = 65534
MOST_ENVIRONMENT = 256 * 1024  # bytes

_DISPLAY = re.compile(r":(\d{1,5})(?:\.\d{1,3})?\Z")  # of this computer only
_SOCKET = re.compile(r"[\w.-]{1,64}\Z", re.ASCII)
_PLAIN = re.compile(r"[\w.@-]{1,64}\Z", re.ASCII)
_LANGUAGE = ("LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "XDG_CURRENT_DESKTOP")


@dataclass(frozen=True)
class Session:
    """One desktop: whose it is, and the variables that lead a program to it."""

    account: Account
    home: str
    display: str  # as people say it: `:0`, `wayland-0`
    variables: Mapping[str, str]
    active: bool  # whether logind says that somebody looks at it now


def find(root: Path = Path("/"), *, euid: int | None = None) -> list[Session]:
    """The desktops that can be reached from here, the one that somebody looks at first.

    As root everybody's, otherwise those of the own account. `root`: where /proc, /run and /tmp are looked for.
    """
    own = (os.geteuid() if sys.platform != "win32" else -1) if euid is None else euid
    active = _active(root / "run/systemd/sessions")
    found: dict[tuple[int, str], Session] = {}
    for uid, environment in _environments(root):
        if own not in (0, uid) or (uid < FIRST_PERSON and uid != own) or uid == NOBODY:
            continue
        session = _session(root, uid, environment, active=uid in active)
        if session is not None:
            found.setdefault((uid, session.display), session)
    return sorted(found.values(), key=lambda session: (not session.active, session.account.uid, session.display))


def _environments(root: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(user id, environment) of every process that has a display, then of every Wayland socket, which needs none."""
    proc = root / "proc"
    with contextlib.suppress(OSError):
        for name in sorted(filter(str.isdigit, os.listdir(proc)), key=int):
            try:
                uid = (proc / name).stat().st_uid
                with (proc / name / "environ").open("rb") as file:
                    raw = file.read(MOST_ENVIRONMENT)
            except OSError:
                continue
            pairs = (entry.partition("=") for entry in raw.decode("utf-8", errors="replace").split("\0"))
            environment = {key: value for key, equals, value in pairs if equals}
            if "DISPLAY" in environment or "WAYLAND_DISPLAY" in environment:
                yield uid, environment
    for socket in sorted((root / "run/user").glob("*/wayland-*")):
        if socket.parent.name.isdigit() and socket.suffix != ".lock":
            yield int(socket.parent.name), {"WAYLAND_DISPLAY": socket.name}


def _session(root: Path, uid: int, environment: Mapping[str, str], *, active: bool) -> Session | None:
    """The session that an environment speaks of; None where there is no such display, or no such account."""
    if sys.platform == "win32":
        return None
    try:
        known = pwd.getpwuid(uid)
    except KeyError:
        return None
    runtime = f"/run/user/{uid}"
    variables: dict[str, str] = {}
    wayland, x11 = environment.get("WAYLAND_DISPLAY", ""), environment.get("DISPLAY", "")
    if _SOCKET.match(wayland) and _is_socket(_below(root, f"{runtime}/{wayland}"), uid):
        variables["WAYLAND_DISPLAY"] = wayland
    number = _DISPLAY.match(x11)
    if number and _is_socket(root / f"tmp/.X11-unix/X{number.group(1)}", None):
        variables["DISPLAY"] = x11
        authority = environment.get("XAUTHORITY", "")
        if authority.startswith("/"):
            variables["XAUTHORITY"] = authority
    if not variables:
        return None
    display = variables.get("WAYLAND_DISPLAY") or variables["DISPLAY"]
    if _below(root, runtime).is_dir():
        variables["XDG_RUNTIME_DIR"] = runtime
    bus = environment.get("DBUS_SESSION_BUS_ADDRESS", "")
    if bus.startswith("unix:"):
        variables["DBUS_SESSION_BUS_ADDRESS"] = bus
    elif _is_socket(_below(root, f"{runtime}/bus"), uid):
        variables["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={runtime}/bus"
    for name in _LANGUAGE:
        if _PLAIN.match(environment.get(name, "")):
            variables[name] = environment[name]
    groups = tuple(os.getgrouplist(known.pw_name, known.pw_gid))
    account = Account(uid, known.pw_gid, known.pw_name, groups)
    return Session(account, known.pw_dir, display, variables, active)


def _below(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _is_socket(path: Path, owner: int | None) -> bool:
    """Whether there is a socket, of that account where one is named; a link is none."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISSOCK(found.st_mode) and owner in (None, found.st_uid)


def _active(folder: Path) -> set[int]:
    """The accounts whose graphical session is in front now, as logind keeps it."""
    found = set()
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            with contextlib.suppress(OSError, ValueError):
                pairs = (line.partition("=") for line in entry.read_text("utf-8", errors="replace").splitlines())
                facts = {key: value for key, _, value in pairs}
                if facts.get("ACTIVE") == "1" and facts.get("TYPE") in ("x11", "wayland", "mir"):
                    found.add(int(facts.get("UID", "")))
    return found
