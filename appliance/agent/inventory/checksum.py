"""Which sections changed since the last inventory that the server accepted, as the CHECKSUM bits say it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

# protocol.md 2.3. Sections without a bit (LOCAL_USERS, ...) are fingerprinted all the same: the caller
# may want to know that they changed.
BITS = {
    "HARDWARE": 1,
    "BIOS": 2,
    "MEMORIES": 4,
    "SLOTS": 8,
    "REGISTRY": 16,
    "CONTROLLERS": 32,
    "MONITORS": 64,
    "PORTS": 128,
    "STORAGES": 256,
    "DRIVES": 512,
    "INPUTS": 1024,
    "MODEMS": 2048,
    "NETWORKS": 4096,
    "PRINTERS": 8192,
    "SOUNDS": 16384,
    "VIDEOS": 32768,
    "SOFTWARES": 65536,
    "VIRTUALMACHINES": 131072,
    "CPUS": 262144,
    "SIM": 524288,
    "BATTERIES": 1048576,
    "USBDEVICES": 2097152,
}
ALL_BITS = sum(BITS.values())

# Fields that differ at every run and are no news. Not among them: SWAP (its size, which people change),
# USERID and LASTLOGGEDUSER (who sits there is what operators look up).
VOLATILE = {
    "HARDWARE": frozenset(
        {
            "LASTDATE",
            "ETIME",  # how long the inventory took
            "CHECKSUM",  # what we are computing
            "DESCRIPTION",  # holds the uptime
            "PROCESSORS",  # MHz of the moment where nothing better is known; a new CPU shows in PROCESSORT
        }
    ),
    "CPUS": frozenset({"SPEED", "CURRENT_SPEED"}),  # as PROCESSORS
    "DRIVES": frozenset({"NUMFILES"}),
}

_FREE_STEPS = 20  # of free space: twentieths of the drive


def changed(
    previous: Mapping[str, str], sections: Iterable[tuple[str, Mapping[str, str]]]
) -> tuple[int, dict[str, str]]:
    """The CHECKSUM against the `previous` fingerprints, and the new ones, to be kept once accepted.

    A section that is gone counts as changed: its bit is set although there is nothing to send.
    Without any previous fingerprints all bits are set, also those of sections that are not there: the
    server may hold rows from another life of this computer.
    """
    current = fingerprints(sections)
    if not previous:
        return ALL_BITS, current
    checksum = 0
    for name in previous.keys() | current.keys():
        if previous.get(name) != current.get(name):
            checksum |= BITS.get(name, 0)
    return checksum, current


def fingerprints(sections: Iterable[tuple[str, Mapping[str, str]]]) -> dict[str, str]:
    """Section name to SHA-256. The order of rows and fields does not count: databases do not keep one."""
    rows: dict[str, list[str]] = {}
    for name, fields in sections:
        rows.setdefault(name, []).append(_text(name, fields))
    return {
        name: hashlib.sha256("\x1d".join(sorted(texts)).encode("utf-8", "replace")).hexdigest()
        for name, texts in rows.items()
    }


def _text(name: str, fields: Mapping[str, str]) -> str:
    # The separators cannot stand in values: rows.tidy has removed control characters.
    skipped = VOLATILE.get(name, frozenset())
    parts = [f"{key}\x1e{value}" for key, value in fields.items() if key not in skipped]
    if name == "DRIVES" and "FREE" in fields:
        parts.remove(f"FREE\x1e{fields['FREE']}")
        parts.append(f"FREE\x1e{_coarse(fields['FREE'], fields.get('TOTAL', ''))}")
    return "\x1f".join(sorted(parts))


def _coarse(free: str, total: str) -> str:
    """Free space in twentieths: every run moves it a little, but a drive that fills up is news."""
    try:
        return str(int(free) * _FREE_STEPS // int(total))
    except (ValueError, ZeroDivisionError):
        return ""
