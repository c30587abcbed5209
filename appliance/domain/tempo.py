"""Latencies, period length and timeouts: defaults, bounds, and whose override wins.

Source: protocol.md 3, product.md 4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from appliance.domain.refusal import Term, invalid


@dataclass(frozen=True)
class Knob:
    """One number that paces agents and can be overridden for a group or a computer."""

    name: str
    default: int
    low: int
    high: int
    unit: str
    help: str
    highest_group_wins: bool = False  # latencies: the gentler group; all else: the lowest


KNOBS = (
    Knob("DOWNLOAD", 1, 0, 1, "switch", "Whether packages are deployed at all."),
    Knob("DOWNLOAD_CYCLE_LATENCY", 60, 0, 86_400, "s", "Rest after each cycle.", True),
    Knob("DOWNLOAD_FRAG_LATENCY", 10, 0, 86_400, "s", "Rest after each fragment or action.", True),
    Knob(
        "DOWNLOAD_PERIOD_LENGTH",
        10,
        1,
        999,
        "cycles",
        "Cycles in a period; a higher priority number never moves.",
    ),
    Knob("DOWNLOAD_PERIOD_LATENCY", 0, 0, 86_400, "s", "Rest after each period.", True),
    Knob("DOWNLOAD_TIMEOUT", 30, 1, 999, "days", "Days after which an agent gives a package up."),
    Knob("DOWNLOAD_EXECUTION_TIMEOUT", 120, 1, 10_080, "min", "Longest run of a command (our agent keeps it)."),
    Knob("PROLOG_FREQ", 24, 1, 8_760, "h", "Hours between two contacts of a computer."),
    Knob("FREQUENCY", 0, -1, 365, "days", "Days between inventories: 0 at each contact, -1 never."),
    Knob("INVENTORY_ON_STARTUP", 1, 0, 1, "switch", "Whether the Windows service contacts at its start."),
)
KNOB = {knob.name: knob for knob in KNOBS}


@dataclass(frozen=True)
class Tempo:
    """How fast one computer may work; times in the units of the wire."""

    on: bool = True
    cycle_latency: int = 60
    frag_latency: int = 10
    period_latency: int = 0
    period_length: int = 10
    timeout_days: int = 30
    execution_timeout_minutes: int = 120


def parse_knob(name: str, text: str) -> int:
    """The number for a knob, within its bounds; raises Refusal(INVALID) naming it."""
    knob = KNOB[name]
    digits = re.fullmatch(r"\s*(-?[0-9]{1,9})\s*", text)
    value = int(digits.group(1)) if digits else knob.low - 1
    if not knob.low <= value <= knob.high:
        raise invalid(
            name,
            "{text!r} is not a number from {low} to {high} ({unit}).",
            text=text[:40],
            low=knob.low,
            high=knob.high,
            unit=Term(knob.unit),
        )
    return value


class Origin(str, Enum):
    """Whose word a knob's value is."""

    EVERYWHERE = "everywhere"
    GROUP = "group"
    COMPUTER = "computer"


@dataclass(frozen=True)
class Choice:
    """The value of one knob for one computer, and who chose it; `group` names the group where it is one."""

    value: int
    origin: Origin
    group: str = ""


def choose(
    everywhere: Mapping[str, int],
    groups: Sequence[tuple[str, Mapping[str, int]]] = (),
    computer: Mapping[str, int] | None = None,
) -> dict[str, Choice]:
    """Every knob for one computer: computer before groups (name and overrides each) before everywhere (protocol.md 3).

    Among groups the highest latency and the lowest of all else wins; a group's DOWNLOAD 0 cannot be undone.
    """
    own = computer or {}
    result: dict[str, Choice] = {}
    for knob in KNOBS:
        choice = Choice(everywhere.get(knob.name, knob.default), Origin.EVERYWHERE)
        of_groups = [Choice(values[knob.name], Origin.GROUP, name) for name, values in groups if knob.name in values]
        if of_groups:
            pick = max if knob.highest_group_wins else min
            choice = pick(of_groups, key=lambda of_group: of_group.value)
        if knob.name in own and not (knob.name == "DOWNLOAD" and of_groups and choice.value == 0):
            choice = Choice(own[knob.name], Origin.COMPUTER)
        if knob.name == "DOWNLOAD" and everywhere.get("DOWNLOAD", knob.default) == 0:
            choice = Choice(0, Origin.EVERYWHERE)  # switched off for all is off for everyone
        result[knob.name] = choice
    return result


def resolve(
    everywhere: Mapping[str, int],
    groups: Sequence[Mapping[str, int]] = (),
    computer: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """The value of every knob for one computer, as `choose` decides."""
    chosen = choose(everywhere, [("", group) for group in groups], computer)
    return {name: choice.value for name, choice in chosen.items()}


def tempo_of(values: Mapping[str, int]) -> Tempo:
    """The Tempo that resolved knobs describe."""
    return Tempo(
        on=values["DOWNLOAD"] == 1,
        cycle_latency=values["DOWNLOAD_CYCLE_LATENCY"],
        frag_latency=values["DOWNLOAD_FRAG_LATENCY"],
        period_latency=values["DOWNLOAD_PERIOD_LATENCY"],
        period_length=values["DOWNLOAD_PERIOD_LENGTH"],
        timeout_days=values["DOWNLOAD_TIMEOUT"],
        execution_timeout_minutes=values["DOWNLOAD_EXECUTION_TIMEOUT"],
    )
