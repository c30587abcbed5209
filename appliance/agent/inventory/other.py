"""A computer of a system that we have no room for: what the standard library knows, nothing is run."""

from __future__ import annotations

import os
import platform
import shutil
import socket

from .rows import Row, Section, attempt

_MIB = 1 << 20


def collect(root: str, *, live: bool, softwares: bool) -> list[Section]:
    empty: Row = {}
    return [
        ("HARDWARE", attempt(hardware, empty)),
        ("DRIVES", attempt(lambda: drive(root or os.path.abspath(os.sep)), empty)),
    ]


def hardware() -> Row:
    # Not platform.processor(): it may run a program, without a time limit.
    return {
        "NAME": socket.gethostname().partition(".")[0],
        "OSNAME": platform.system(),
        "OSVERSION": platform.release(),
        "OSCOMMENTS": platform.version(),
        "ARCH": platform.machine(),
        "PROCESSORT": platform.machine(),
        "PROCESSORN": "1",  # processors, not cores: one is the honest guess
        "IPADDR": attempt(_address, ""),
        "MEMORY": attempt(_memory_mib, ""),
        "WORKGROUP": "WORKGROUP",
    }


def drive(path: str) -> Row:
    usage = shutil.disk_usage(path)
    return {"TYPE": path, "TOTAL": str(usage.total // _MIB), "FREE": str(usage.free // _MIB)}


def _address() -> str:
    """The address that the route to the outside would use. Connecting UDP sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1: leads nowhere, by standard
        except OSError:
            return ""
        name: tuple[str, int] = probe.getsockname()
        return name[0]


def _memory_mib() -> str:
    if not hasattr(os, "sysconf"):
        return ""
    try:
        return str(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MIB)
    except (OSError, ValueError):
        return ""
