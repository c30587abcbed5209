"""Searches over computers, as values; the store turns them into SQL. Source: protocol.md 7, "Search".

A search is a tuple of alternatives, one of which must fit; an alternative is a tuple of criteria that must all fit.
`()` and `((),)` take every computer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum

from appliance.domain.refusal import Refusal, invalid


class Operator(str, Enum):
    """How a field is held against a value. Upper and lower case are alike in text.

    A field may have many rows (softwares, disks). EQUAL, LIKE, MORE and LESS then ask for one row that fits. Their
    opposites ask that no row does: DIFFERENT is the opposite of LIKE, NOTHAVING that of EQUAL, and both also take
    computers that have no row at all. DOESNTCONTAIN is DIFFERENT without those: something is there, but not this.
    """

    EQUAL = "EQUAL"
    LIKE = "LIKE"  # a part is enough, as in the manual's console
    DIFFERENT = "DIFFERENT"  # contains it nowhere
    DOESNTCONTAIN = "DOESNTCONTAIN"  # says something, and contains it nowhere
    HAVING = "HAVING"  # one row is exactly this: EQUAL, as list fields call it
    NOTHAVING = "NOTHAVING"  # no row is exactly this
    MORE = "MORE"
    LESS = "LESS"
    MORETHANXDAY = "MORETHANXDAY"
    LESSTHANXDAY = "LESSTHANXDAY"
    BELONG = "BELONG"
    DONTBELONG = "DONTBELONG"
    ISNULL = "ISNULL"
    ISNOTEMPTY = "ISNOTEMPTY"


class FieldKind(Enum):
    """What a field holds, and so what may be asked of it."""

    TEXT = "text"
    NUMBER = "number"
    MOMENT = "moment"  # seconds; compared by days ago or YYYY-MM-DD
    ROWS = "rows"  # texts, any number of them
    RELEASE = "release"  # software and version of one row, "name|version"; versions are ordered as versions
    INVENTORY = "inventory"  # SECTION.FIELD, any number of rows; a number is compared with those that are numbers
    ACCOUNT = "account"  # ACCOUNT.KEY
    GROUP = "group"  # the value is a group's name
    PACKAGE = "package"  # the value is "ID STATUS"


FIELDS: dict[str, FieldKind] = {
    "NAME": FieldKind.TEXT,
    "DEVICEID": FieldKind.TEXT,
    "TAG": FieldKind.TEXT,
    "OSNAME": FieldKind.TEXT,
    "OSVERSION": FieldKind.TEXT,
    "OSCOMMENTS": FieldKind.TEXT,
    "WORKGROUP": FieldKind.TEXT,
    "USERDOMAIN": FieldKind.TEXT,
    "USERID": FieldKind.TEXT,
    "DESCRIPTION": FieldKind.TEXT,
    "IPADDR": FieldKind.TEXT,
    "UUID": FieldKind.TEXT,
    "ARCH": FieldKind.TEXT,
    "PROCESSORT": FieldKind.TEXT,
    "PROCESSORN": FieldKind.NUMBER,
    "PROCESSORS": FieldKind.NUMBER,
    "MEMORY": FieldKind.NUMBER,
    "SWAP": FieldKind.NUMBER,
    "SMANUFACTURER": FieldKind.TEXT,
    "SMODEL": FieldKind.TEXT,
    "SSN": FieldKind.TEXT,
    "BVERSION": FieldKind.TEXT,
    "USERAGENT": FieldKind.TEXT,
    "ADDRESS": FieldKind.TEXT,  # where the last contact came from
    "FIRSTSEEN": FieldKind.MOMENT,
    "LASTCONTACT": FieldKind.MOMENT,
    "LASTINVENTORY": FieldKind.MOMENT,
    "SOFTWARE": FieldKind.ROWS,
    "SOFTWAREVERSION": FieldKind.ROWS,
    "SOFTWAREPUBLISHER": FieldKind.ROWS,
    "SOFTWARERELEASE": FieldKind.RELEASE,
    "MACADDR": FieldKind.ROWS,
    "IPADDRESS": FieldKind.ROWS,
    "IPSUBNET": FieldKind.ROWS,
    "GROUP": FieldKind.GROUP,
    "PACKAGE": FieldKind.PACKAGE,
}

_HARDWARE = (
    "NAME", "DEVICEID", "OSNAME", "OSVERSION", "OSCOMMENTS", "WORKGROUP", "USERDOMAIN", "USERID", "DESCRIPTION",
    "IPADDR", "UUID", "ARCH", "PROCESSORT", "PROCESSORN", "PROCESSORS", "MEMORY", "SWAP", "USERAGENT",
)  # fmt: skip
# Sections that the fields above know by names of their own: what the inventory calls a field, and what we do.
OWN_NAMES: dict[str, dict[str, str]] = {
    "HARDWARE": {
        "LASTCOME": "LASTCONTACT",
        "LASTDATE": "LASTINVENTORY",
        **{name: name for name in _HARDWARE},
    },
    "BIOS": {name: name for name in ("SMANUFACTURER", "SMODEL", "SSN", "BVERSION")},
    "NETWORKS": {name: name for name in ("MACADDR", "IPADDRESS", "IPSUBNET")},
    "SOFTWARES": {"NAME": "SOFTWARE", "VERSION": "SOFTWAREVERSION", "PUBLISHER": "SOFTWAREPUBLISHER"},
    "ACCOUNT": {"TAG": "TAG"},
}
NO_VALUES = ("SOFTWARES",)  # sections of which nothing else is searchable

_ANY_VALUE = (
    Operator.EQUAL,
    Operator.LIKE,
    Operator.DIFFERENT,
    Operator.DOESNTCONTAIN,
    Operator.HAVING,
    Operator.NOTHAVING,
    Operator.MORE,
    Operator.LESS,
    Operator.ISNULL,
    Operator.ISNOTEMPTY,
)
OPERATORS: dict[FieldKind, tuple[Operator, ...]] = {
    FieldKind.TEXT: _ANY_VALUE,
    FieldKind.NUMBER: _ANY_VALUE,
    FieldKind.ROWS: _ANY_VALUE,
    FieldKind.INVENTORY: _ANY_VALUE,
    FieldKind.ACCOUNT: _ANY_VALUE,
    FieldKind.RELEASE: tuple(operator for operator in _ANY_VALUE if operator.value[:2] != "IS"),
    FieldKind.MOMENT: (
        Operator.LESSTHANXDAY,
        Operator.MORETHANXDAY,
        Operator.EQUAL,
        Operator.DIFFERENT,
        Operator.MORE,
        Operator.LESS,
        Operator.ISNULL,
        Operator.ISNOTEMPTY,
    ),
    FieldKind.GROUP: (Operator.BELONG, Operator.DONTBELONG),
    FieldKind.PACKAGE: (Operator.EQUAL, Operator.DIFFERENT),
}

SYMBOLS = {
    "=": Operator.EQUAL,
    "~": Operator.LIKE,
    "!~": Operator.DIFFERENT,
    ">": Operator.MORE,
    "<": Operator.LESS,
}
LONELY = (Operator.ISNULL, Operator.ISNOTEMPTY)
DAYS = (Operator.MORETHANXDAY, Operator.LESSTHANXDAY)
LONGEST_VALUE = 1024
MOST_CRITERIA = 50
LONGEST_JSON = 200_000  # characters

# What PACKAGE asks for besides a code as it was received, such as "1795206923 ERR_EXECUTE".
STANDINGS = ("waiting", "notified", "success", "error", "already", "any", "none", "history")
"""The stages; `any` and `none` for affected or not; `history`: the last inventory lists it as installed."""

# The operating systems of a kind, by what their names contain.
SYSTEMS: dict[str, tuple[str, ...]] = {
    "Windows (ALL)": ("Windows",),
    "Linux (ALL)": (
        "Linux",
        "Ubuntu",
        "Debian",
        "Raspbian",
        "Fedora",
        "CentOS",
        "Red Hat",
        "RHEL",
        "SUSE",
        "SLES",
        "Mageia",
        "Gentoo",
        "NixOS",
        "Manjaro",
        "Pop!_OS",
        "elementary OS",
    ),
    "macOS (ALL)": ("macOS", "Mac OS", "OS X", "Darwin"),
}

_CRITERION = re.compile(r"^\s*([^\W\d][\w.-]*?)\s*(!~|=|~|<|>|\s[A-Za-z]+)(.*)$", re.DOTALL)
_PART = re.compile(r"[\w-]{1,64}")
_PACKAGE = re.compile(r"([0-9]{10}) +(\S.*)")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Criterion:
    """One field held against one value."""

    field: str
    operator: Operator
    value: str = ""


Search = tuple[tuple[Criterion, ...], ...]
EVERY: Search = ()

# Ready criteria for the operating system, as in the manual's search. The "(ALL)" ones stand for a kind of SYSTEMS.
PRESETS: tuple[tuple[str, Criterion], ...] = (
    *((name, Criterion("OSNAME", Operator.EQUAL, name)) for name in SYSTEMS),
    *(
        (name, Criterion("OSNAME", Operator.LIKE, name))
        for name in (
            "Windows 11",
            "Windows 10",
            "Windows 8",
            "Windows 7",
            "Windows Vista",
            "Windows XP",
            "Windows Server",
            "Debian",
            "Ubuntu",
            "Fedora",
            "Red Hat",
            "SUSE",
            "macOS",
        )
    ),
)


@dataclass(frozen=True)
class KeptSearch:
    """A search under a name."""

    id: int
    name: str
    search: Search
    created_at: int  # seconds since 1970


def kind_of(field: str) -> FieldKind | None:
    """What a field holds, by its name as `field_named` gives it; None where there is no such field."""
    section, dot, rest = field.partition(".")
    if not dot:
        return FIELDS.get(field)
    if section == "ACCOUNT":
        return FieldKind.ACCOUNT if rest.strip() and len(rest) <= 255 and rest.isprintable() else None
    if section in NO_VALUES or rest in OWN_NAMES.get(section, ()):
        return None
    return FieldKind.INVENTORY if _PART.fullmatch(section) and _PART.fullmatch(rest) else None


def field_named(text: str) -> str:
    """The one name of a field that people write in several ways: `hardware.name` is NAME. Unknown ones as they are."""
    section, dot, rest = text.strip().partition(".")
    section = {"ACCOUNTINFO": "ACCOUNT"}.get(section.upper(), section.upper())
    if not dot:
        return section
    own = OWN_NAMES.get(section, {}).get(rest.upper())
    return own or f"{section}.{rest if section == 'ACCOUNT' else rest.upper()}"


def operators_of(field: str) -> tuple[Operator, ...]:
    """What may be asked of a field, the most usual first; nothing where there is no such field."""
    kind = kind_of(field)
    return OPERATORS[kind] if kind else ()


def parse(text: str) -> Criterion:
    """The criterion in `FIELD OP VALUE`: `OSNAME LIKE Windows`, `MEMORY > 4096`, `TAG ISNULL`. Raises Refusal."""
    match = _CRITERION.match(text)
    if not match:
        raise invalid("search", "{text!r} is not FIELD OP VALUE, such as 'OSNAME LIKE Windows'.", text=text[:80])
    operator = _operator(match.group(2).strip())
    return checked(Criterion(match.group(1), operator, match.group(3).strip()))


def _operator(word: str) -> Operator:
    operator = SYMBOLS.get(word) or Operator.__members__.get(word.upper())
    if operator is None:
        raise invalid(
            "search",
            "{word!r} is no operator; use {names}.",
            word=word[:40],
            names=", ".join([*SYMBOLS, *Operator.__members__]),
        )
    return operator


def checked(criterion: Criterion) -> Criterion:
    """The criterion under its field's one name. Raises Refusal where it is none or cannot be asked that."""
    field, operator, value = field_named(criterion.field), criterion.operator, criterion.value
    kind = kind_of(field)
    if kind is None:
        raise invalid(
            "search",
            "{field!r} is no field; the fields are {fields}, SECTION.FIELD of the inventory and ACCOUNT.KEY.",
            field=field[:40],
            fields=", ".join(FIELDS),
        )
    if len(value) > LONGEST_VALUE or _SURROGATE.search(field + value):
        raise invalid(
            "search",
            "the value is longer than {longest_value} characters, or has some that are none.",
            longest_value=LONGEST_VALUE,
        )
    if operator in DAYS and kind is not FieldKind.MOMENT:
        raise invalid(
            "search", "{operator} counts days, and {field} is no moment.", operator=operator.value, field=field
        )
    if operator not in OPERATORS[kind]:
        raise invalid(
            "search",
            "{field} cannot be asked {operator}; ask {names}.",
            field=field,
            operator=operator.value,
            names=", ".join(one.value for one in OPERATORS[kind]),
        )
    if operator in LONELY:
        return Criterion(field, operator, value)
    if not value:
        raise invalid("search", "{field} {operator} needs a value.", field=field, operator=operator.value)
    _check_value(field, kind, operator, value)
    return Criterion(field, operator, value)


def _check_value(field: str, kind: FieldKind, operator: Operator, value: str) -> None:
    if (operator in DAYS or kind is FieldKind.NUMBER) and not re.fullmatch(r"-?[0-9]{1,15}", value):
        raise invalid("search", "{field} is a number, and {criterion!r} is none.", field=field, criterion=value[:40])
    if kind is FieldKind.MOMENT and operator not in DAYS:
        try:
            date.fromisoformat(value)
        except ValueError:
            raise invalid("search", "{field} is compared with a day such as 2026-11-21.", field=field) from None
    if kind is FieldKind.RELEASE and not all(part.strip() for part in release_of(value)):
        raise invalid("search", "{field} is compared with a name and a version such as firefox|128.0.", field=field)
    if kind is FieldKind.PACKAGE:
        package_of(value)


def release_of(value: str) -> tuple[str, str]:
    """Name and version in the value of a RELEASE criterion."""
    name, _, version = value.rpartition("|")
    return name.strip(), version.strip()


def package_of(value: str) -> tuple[str, str]:
    """Id and status in the value of a PACKAGE criterion: one of STANDINGS, or a code. Raises Refusal."""
    match = _PACKAGE.fullmatch(value.strip())
    if not match:
        raise invalid(
            "search",
            "PACKAGE is compared with an id and a status such as '1795206923 success': {names}, or a code.",
            names=", ".join(STANDINGS),
        )
    status = match.group(2).strip()
    return match.group(1), status.lower() if status.lower() in STANDINGS else status


def checked_search(search: Sequence[Sequence[Criterion]]) -> Search:
    """The search with every criterion checked, and not too many of them. Raises Refusal."""
    if len(search) > MOST_CRITERIA or sum(len(alternative) for alternative in search) > MOST_CRITERIA:
        raise invalid("search", "a search has at most {most} criteria.", most=MOST_CRITERIA)
    return tuple(tuple(checked(criterion) for criterion in alternative) for alternative in search)


def all_of(criteria: Sequence[Criterion]) -> Search:
    """The search that asks for all of these."""
    return (tuple(criteria),) if criteria else EVERY


def any_of(criteria: Sequence[Criterion]) -> Search:
    """The search that asks for any of these."""
    return tuple((criterion,) for criterion in criteria)


def both(one: Search, other: Search) -> Search:
    """The search that asks for two searches at once."""
    return tuple((*first, *second) for first in one or ((),) for second in other or ((),))


def takes_everyone(search: Search) -> bool:
    """Whether a search asks for nothing."""
    return not all(search) or not search


def to_json(search: Search) -> str:
    """The search as text to keep or send."""
    return json.dumps(
        [[{"field": c.field, "operator": c.operator.value, "value": c.value} for c in some] for some in search],
        ensure_ascii=False,
    )


def from_json(text: str) -> Search:
    """The search in `to_json`'s text, checked. Raises Refusal for anything else."""
    if len(text) > LONGEST_JSON:
        raise invalid("search", "a search has at most {most} criteria.", most=MOST_CRITERIA)
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        raise _no_search() from None
    return from_lists(told)


def from_lists(told: object) -> Search:
    """The search in a list of lists of `{"field": …, "operator": …, "value": …}`, checked. Raises Refusal."""
    if not isinstance(told, list) or not all(isinstance(some, list) for some in told):
        raise _no_search()
    if sum(len(some) for some in told) > MOST_CRITERIA:
        raise invalid("search", "a search has at most {most} criteria.", most=MOST_CRITERIA)
    return checked_search([[_criterion(row) for row in some] for some in told])


def _criterion(row: object) -> Criterion:
    if not isinstance(row, dict):
        raise _no_search()
    field, word, value = row.get("field"), row.get("operator"), row.get("value", "")
    if not (isinstance(field, str) and isinstance(word, str) and isinstance(value, str)):
        raise _no_search()
    return Criterion(field, _operator(word), value)


def _no_search() -> Refusal:
    return invalid(
        "search",
        'a search is a list of alternatives, each a list of criteria with "field", "operator" and "value", all text.',
    )
