"""Criteria over computers, as values; the store turns them into SQL. Source: protocol.md 7, "Search"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import Enum

from appliance.domain.refusal import invalid


class Operator(str, Enum):
    """How a field is held against a value; LIKE and DIFFERENT look for a part, as in the manual's console."""

    EQUAL = "EQUAL"
    DIFFERENT = "DIFFERENT"
    LIKE = "LIKE"
    MORE = "MORE"
    LESS = "LESS"
    ISNULL = "ISNULL"
    ISNOTEMPTY = "ISNOTEMPTY"
    MORETHANXDAY = "MORETHANXDAY"
    LESSTHANXDAY = "LESSTHANXDAY"


class FieldKind(Enum):
    """What a field holds, and so what may be asked of it."""

    TEXT = "text"
    NUMBER = "number"
    MOMENT = "moment"  # seconds; compared by days ago or YYYY-MM-DD
    ROWS = "rows"  # any row of a repeating section fits


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
    "LASTCONTACT": FieldKind.MOMENT,
    "LASTINVENTORY": FieldKind.MOMENT,
    "SOFTWARE": FieldKind.ROWS,
    "SOFTWAREVERSION": FieldKind.ROWS,
    "MACADDR": FieldKind.ROWS,
    "IPADDRESS": FieldKind.ROWS,
    "IPSUBNET": FieldKind.ROWS,
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

_CRITERION = re.compile(r"^\s*([A-Za-z_.]+)\s*(!~|=|~|<|>|\s[A-Za-z]+)(.*)$", re.DOTALL)


@dataclass(frozen=True)
class Criterion:
    """One field held against one value."""

    field: str
    operator: Operator
    value: str = ""


def parse(text: str) -> Criterion:
    """The criterion in `FIELD OP VALUE`: `OSNAME LIKE Windows`, `MEMORY > 4096`, `TAG ISNULL`. Raises Refusal."""
    match = _CRITERION.match(text)
    if not match:
        raise invalid("search", "{text!r} is not FIELD OP VALUE, such as 'OSNAME LIKE Windows'.", text=text[:80])
    word = match.group(2).strip()
    operator = SYMBOLS.get(word) or Operator.__members__.get(word.upper())
    if operator is None:
        raise invalid(
            "search",
            "{word!r} is no operator; use {names}.",
            word=word,
            names=", ".join([*SYMBOLS, *Operator.__members__]),
        )
    return checked(Criterion(match.group(1).upper().split(".")[-1], operator, match.group(3).strip()))


def checked(criterion: Criterion) -> Criterion:
    """The criterion, or a Refusal where the field is unknown or cannot be asked that."""
    kind = FIELDS.get(criterion.field)
    if kind is None:
        raise invalid(
            "search",
            "{field!r} is no field; the fields are {fields}.",
            field=criterion.field[:40],
            fields=", ".join(FIELDS),
        )
    if len(criterion.value) > LONGEST_VALUE:
        raise invalid("search", "the value is longer than {longest_value} characters.", longest_value=LONGEST_VALUE)
    operator = criterion.operator
    if operator in LONELY:
        return criterion
    if not criterion.value:
        raise invalid("search", "{field} {operator} needs a value.", field=criterion.field, operator=operator.value)
    if operator in DAYS and kind is not FieldKind.MOMENT:
        raise invalid(
            "search",
            "{operator} counts days, and {field} is no moment.",
            operator=operator.value,
            field=criterion.field,
        )
    if operator in DAYS or kind is FieldKind.NUMBER:
        _number(criterion)
    if kind is FieldKind.MOMENT and operator not in DAYS:
        _day(criterion)
    return criterion


def _number(criterion: Criterion) -> None:
    if not re.fullmatch(r"-?[0-9]{1,15}", criterion.value):
        raise invalid(
            "search",
            "{field} is a number, and {criterion!r} is none.",
            field=criterion.field,
            criterion=criterion.value[:40],
        )


def _day(criterion: Criterion) -> None:
    try:
        date.fromisoformat(criterion.value)
    except ValueError:
        raise invalid("search", "{field} is compared with a day such as 2026-11-21.", field=criterion.field) from None
