"""The server's settings, one table: it feeds `config`, validation, help and the README."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from appliance.domain.fragments import parse_size
from appliance.domain.refusal import Kind, Refusal, invalid
from appliance.domain.tempo import KNOBS, parse_knob


@dataclass(frozen=True)
class Setting:
    """One setting: `parse` turns what a person typed into its value or raises Refusal(INVALID)."""

    name: str
    parse: Callable[[str], int | str]
    default: str
    help: str
    per_computer: bool = False


def _whole(name: str, low: int, high: int, text: str) -> int:
    if not re.match(r"^-?\d{1,12}$", text.strip()) or not low <= int(text) <= high:
        raise invalid(name, "{text!r} is not a number from {low} to {high}.", text=text[:40], low=low, high=high)
    return int(text)


def _bytes(name: str, low: int, high: int, text: str) -> int:
    size = parse_size(text, name)
    if not low <= size <= high:
        raise invalid(name, "{text!r} is not a size from {low} to {high} bytes.", text=text[:40], low=low, high=high)
    return size


def _pattern(name: str, text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise invalid(name, "{text!r} is no regular expression: {error}.", text=text[:40], error=error) from None
    if len(text) > 255:
        raise invalid(name, "the pattern is longer than 255 characters.")
    return text


MIB = 1024**2

SETTINGS: tuple[Setting, ...] = (
    *(
        Setting(
            knob.name,
            partial(parse_knob, knob.name),
            str(knob.default),
            f"{knob.help} {knob.low} to {knob.high} {knob.unit}.",
            per_computer=True,
        )
        for knob in KNOBS
    ),
    Setting(
        "FRAGMENT_SIZE",
        lambda text: _bytes("FRAGMENT_SIZE", 1, 1024 * MIB, text),
        "16M",
        "Fragment size where a build names none; smaller files become one fragment.",
    ),
    Setting(
        "AUTO_DUPLICATE_LVL",
        lambda text: _whole("AUTO_DUPLICATE_LVL", 0, 31, text),
        "7",
        "What must be equal for a new DEVICEID to be a known computer: "
        "1 host name + 2 serial + 4 MAC + 8 model + 16 UUID; 0 never.",
    ),
    Setting(
        "ACCEPT_TAG_UPDATE_FROM_CLIENT",
        lambda text: _whole("ACCEPT_TAG_UPDATE_FROM_CLIENT", 0, 1, text),
        "0",
        "Whether a known computer may change its TAG.",
    ),
    Setting(
        "REFUSED_AGENTS",
        lambda text: _pattern("REFUSED_AGENTS", text),
        "",
        "Regular expression of User-Agents that are refused with 403; empty refuses none.",
    ),
    Setting(
        "CONTACT_WIRE_LIMIT",
        lambda text: _bytes("CONTACT_WIRE_LIMIT", 1024, 256 * MIB, text),
        "8M",
        "Largest message of an agent as it travels.",
    ),
    Setting(
        "CONTACT_INFLATED_LIMIT",
        lambda text: _bytes("CONTACT_INFLATED_LIMIT", 1024, 1024 * MIB, text),
        "32M",
        "Largest message of an agent, uncompressed.",
    ),
    Setting(
        "CONTACT_DEPTH_LIMIT",
        lambda text: _whole("CONTACT_DEPTH_LIMIT", 4, 1000, text),
        "64",
        "Deepest nesting in a message of an agent.",
    ),
    Setting(
        "CONTACT_ELEMENT_LIMIT",
        lambda text: _whole("CONTACT_ELEMENT_LIMIT", 100, 10_000_000, text),
        "250000",
        "Most elements (and most attributes) in a message of an agent.",
    ),
    Setting(
        "CONTACT_DEADLINE",
        lambda text: _whole("CONTACT_DEADLINE", 1, 600, text),
        "30",
        "Seconds in which a message of an agent must have arrived.",
    ),
)
BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}


def known(name: str) -> Setting:
    """The setting of that name, upper or lower case. Raises Refusal(MISSING) naming the neighbours."""
    setting = BY_NAME.get(name.upper())
    if setting is None:
        raise Refusal(
            Kind.MISSING,
            "{name!r} is no setting; the settings are {by_name}.",
            name=name[:60],
            by_name=", ".join(BY_NAME),
        )
    return setting


@dataclass(frozen=True)
class Settings:
    """The settings as they stand: what was set, over the defaults."""

    chosen: Mapping[str, str]

    def text(self, name: str) -> str:
        """The value as text."""
        return self.chosen.get(name, BY_NAME[name].default)

    def number(self, name: str) -> int:
        """The value of a number or size (bytes)."""
        value = BY_NAME[name].parse(self.text(name))
        assert isinstance(value, int)
        return value

    def knobs(self) -> dict[str, int]:
        """The tempo numbers for all computers, for domain/tempo.resolve."""
        return {knob.name: self.number(knob.name) for knob in KNOBS}
