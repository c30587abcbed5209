"""Which package moves in which cycle. Source: the manual, "How does it work?"; protocol.md 5.1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

from appliance.domain.package import PackageId


@dataclass(frozen=True)
class Parcel:
    """One package under way on one computer."""

    package: PackageId
    priority: int  # 0 (first, and alone) to 10
    missing: tuple[int, ...] = ()  # fragments still to fetch, in order


@dataclass(frozen=True)
class Fetch:
    """Fetch one fragment, counted from 1."""

    package: PackageId
    fragment: int


@dataclass(frozen=True)
class Perform:
    """All fragments are there: join, verify, act."""

    package: PackageId


Step = Union[Fetch, Perform]


def turn(cycle: int, parcels: Sequence[Parcel]) -> tuple[Step, ...]:
    """The steps of one cycle, in order: at most one for each package. `cycle` counts from 1.

    A package of priority 0 holds back all others, also while it keeps failing: the manual warns of it.
    """
    urgent = [p for p in parcels if p.priority == 0]
    due = urgent or [p for p in parcels if cycle % p.priority == 0]
    due = sorted(due, key=lambda p: (p.priority, p.package))
    return tuple(Fetch(p.package, p.missing[0]) if p.missing else Perform(p.package) for p in due)


def longest_wait(priority: int, fragments: int, period_length: int) -> int | None:
    """Cycles until a package that never fails is performed, the last one included; None: it never moves.

    A package with F fragments needs F+1 eligible cycles (protocol.md 5.1).
    """
    steps = fragments + 1
    if priority == 0:
        return steps
    eligible = period_length // priority
    if eligible == 0:
        return None
    full, rest = divmod(steps - 1, eligible)
    return full * period_length + (rest + 1) * priority
