"""The server's settings, one table: it feeds `config`, validation, help and the README."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from appliance.domain.fragments import parse_size
from appliance.domain.identity import Mode
from appliance.domain.network import parse_networks, written
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
    low: int | None = None  # None: it is no number
    high: int | None = None
    unit: str = ""  # s, min, h, days, cycles, bytes; "switch" is 1 for on and 0 for off


def _number(name: str, low: int, high: int, default: str, help: str, unit: str = "") -> Setting:
    return Setting(name, partial(_whole, name, low, high), default, help, low=low, high=high, unit=unit)


def _size(name: str, low: int, high: int, default: str, help: str) -> Setting:
    return Setting(name, partial(_bytes, name, low, high), default, help, low=low, high=high, unit="bytes")


def _whole(name: str, low: int, high: int, text: str) -> int:
    if not re.match(r"^-?\d{1,12}$", text.strip()) or not low <= int(text) <= high:
        raise invalid(name, "{text!r} is not a number from {low} to {high}.", text=text[:40], low=low, high=high)
    return int(text)


def _bytes(name: str, low: int, high: int, text: str) -> int:
    size = parse_size(text, name)
    if not low <= size <= high:
        raise invalid(name, "{text!r} is not a size from {low} to {high} bytes.", text=text[:40], low=low, high=high)
    return size


def _one_of(name: str, words: Sequence[str], text: str) -> str:
    if text not in words:
        raise invalid(name, "{text!r} is none of {words}.", text=text[:40], words=", ".join(words))
    return text


def _folder(name: str, text: str) -> str:
    if text and not (re.match(r"^(/|[A-Za-z]:[\\/])", text) and text.isprintable() and len(text) <= 4096):
        raise invalid(name, "{text!r} is not the full path of a folder.", text=text[:80])
    return text


def _networks(name: str, text: str) -> str:
    return written(parse_networks(text, name))


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
            f"{knob.help} 1 is on, 0 is off."
            if knob.unit == "switch"
            else f"{knob.help} {knob.low} to {knob.high} {knob.unit}.",
            per_computer=True,
            low=knob.low,
            high=knob.high,
            unit=knob.unit,
        )
        for knob in KNOBS
    ),
    _size(
        "FRAGMENT_SIZE",
        1,
        1024 * MIB,
        "16M",
        "Fragment size where a build names none; smaller files become one fragment.",
    ),
    _size(
        "UPLOAD_LIMIT",
        MIB,
        1024**2 * MIB,
        "8G",
        "Largest file of a package that the console and the API take.",
    ),
    _number(
        "AUTO_DUPLICATE_LVL",
        0,
        31,
        "7",
        "What must be equal for a new DEVICEID to be a known computer: "
        "1 host name + 2 serial + 4 MAC + 8 model + 16 UUID; 0 never.",
    ),
    _number(
        "ACCEPT_TAG_UPDATE_FROM_CLIENT",
        0,
        1,
        "0",
        "Whether a known computer may change its TAG.",
        "switch",
    ),
    Setting(
        "IDENTITY_MODE",
        partial(_one_of, "IDENTITY_MODE", [mode.value for mode in Mode]),
        Mode.OBSERVE.value,
        "What computers may do that did not join: open, observe (the same, but take-overs are noted), protect "
        "(take-overs and newcomers wait for a decision), closed (nothing, unless they come from IDENTITY_NETWORKS or "
        "bring a password for agents over https).",
    ),
    Setting(
        "IDENTITY_NETWORKS",
        partial(_networks, "IDENTITY_NETWORKS"),
        "",
        "Networks from which mode closed answers all agents, such as 192.0.2.0/24, 2001:db8::/32; empty: none. "
        "0.0.0.0/0 and ::/0 are all addresses: then it is not closed.",
    ),
    Setting(
        "REFUSED_AGENTS",
        lambda text: _pattern("REFUSED_AGENTS", text),
        "",
        "Regular expression of User-Agents that are refused with 403; empty refuses none.",
    ),
    _size(
        "CONTACT_WIRE_LIMIT",
        1024,
        256 * MIB,
        "8M",
        "Largest message of an agent as it travels.",
    ),
    _size(
        "CONTACT_INFLATED_LIMIT",
        1024,
        1024 * MIB,
        "32M",
        "Largest message of an agent, uncompressed.",
    ),
    _number(
        "CONTACT_DEPTH_LIMIT",
        4,
        1000,
        "64",
        "Deepest nesting in a message of an agent.",
    ),
    _number(
        "CONTACT_ELEMENT_LIMIT",
        100,
        10_000_000,
        "250000",
        "Most elements (and most attributes) in a message of an agent.",
    ),
    _number(
        "CONTACT_DEADLINE",
        1,
        600,
        "30",
        "Seconds in which a message of an agent must have arrived.",
        "s",
    ),
    _size(
        "CONTACT_MEMORY_LIMIT",
        8 * MIB,
        64 * 1024 * MIB,
        "128M",
        "Most that messages of agents may take in memory at once, as they travel; above it they hear 503.",
    ),
    _number(
        "CONNECTION_LIMIT",
        10,
        100_000,
        "2000",
        "Most connections of agents at once; beyond it the idle ones are cut off first, then the slowest.",
    ),
    _number(
        "CONSOLE_CONNECTION_LIMIT",
        10,
        100_000,
        "250",
        "Most connections to the console and its API at once.",
    ),
    _number(
        "ADDRESS_CONNECTION_LIMIT",
        4,
        100_000,
        "1000",
        "Most connections from one address at once, of agents or to the console.",
    ),
    _number(
        "SECOND_FACTOR_REQUIRED",
        0,
        2,
        "0",
        "Who must have a second factor to use the console: 0 nobody, 1 administrators, 2 everyone.",
    ),
    Setting(
        "BACKUP_FOLDER",
        lambda text: _folder("BACKUP_FOLDER", text),
        "",
        "Folder for the server's own backup, once a day; empty makes none.",
    ),
    _number(
        "BACKUP_HOUR",
        0,
        23,
        "3",
        "Hour of the server's own backup; a day that was missed is made up for at the next start.",
    ),
    _number(
        "BACKUP_KEEP",
        1,
        1000,
        "7",
        "How many of the server's own backups are kept.",
    ),
    _number(
        "SCRUB_DAYS",
        0,
        365,
        "7",
        "Days between two rounds in which the server reads all fragments through for damage; 0 makes none.",
        "days",
    ),
    _number(
        "EVENT_DAYS",
        0,
        36_500,
        "365",
        "Days that messages about packages on computers are kept; 0 keeps them for ever.",
        "days",
    ),
    _number(
        "COMPUTER_DAYS",
        0,
        36_500,
        "0",
        "Days without a contact after which a computer is deleted; 0 never deletes one.",
        "days",
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
