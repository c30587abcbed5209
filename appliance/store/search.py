"""Criteria over computers as SQL: names from the table below, values always bound."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date, timedelta

from appliance.domain.computer import Computer, ComputerId
from appliance.domain.search import FIELDS, LONELY, Criterion, FieldKind, Operator
from appliance.store.computers import computer_of
from appliance.store.database import Tx

COLUMNS = {
    "DEVICEID": "c.device_id",
    "USERAGENT": "c.user_agent",
    "LASTCONTACT": "c.last_contact",
    "LASTINVENTORY": "c.last_inventory",
}
ROWS = {
    "SOFTWARE": ("s.name", "installed i JOIN software s ON s.id = i.software_id"),
    "SOFTWAREVERSION": ("s.version", "installed i JOIN software s ON s.id = i.software_id"),
    "MACADDR": ("i.macaddr", "network i"),
    "IPADDRESS": ("i.ipaddress", "network i"),
    "IPSUBNET": ("i.ipsubnet", "network i"),
}
DAY = 86_400
END_OF_TIME = 2**62


async def computers(tx: Tx, criteria: Sequence[Criterion], limit: int = -1) -> list[Computer]:
    """The computers that fit all criteria, by name; all of them when there are none."""
    where, values = _where(criteria, tx.now)
    rows = await tx.rows(f"SELECT c.* FROM computer c WHERE {where} ORDER BY c.name, c.id LIMIT ?", (*values, limit))
    return [computer_of(row) for row in rows]


async def numbers(tx: Tx, criteria: Sequence[Criterion]) -> list[ComputerId]:
    """The numbers of the computers that fit all criteria."""
    where, values = _where(criteria, tx.now)
    return [
        ComputerId(row[0]) for row in await tx.rows(f"SELECT c.id FROM computer c WHERE {where} ORDER BY c.id", values)
    ]


def _where(criteria: Sequence[Criterion], now: int) -> tuple[str, list[object]]:
    parts, values = ["1"], list[object]()
    for criterion in criteria:
        sql, bound = _condition(criterion, now)
        parts.append(sql)
        values.extend(bound)
    return " AND ".join(parts), values


def _condition(criterion: Criterion, now: int) -> tuple[str, list[object]]:
    kind, operator = FIELDS[criterion.field], criterion.operator
    if kind is not FieldKind.ROWS:
        column = COLUMNS.get(criterion.field, f"c.{criterion.field.lower()}")
        return _compare(column, kind, criterion, now)
    column, table = ROWS[criterion.field]
    if operator in LONELY:
        word = "NOT IN" if operator is Operator.ISNULL else "IN"
        return f"c.id {word} (SELECT i.computer_id FROM {table})", []
    # "different" asks for computers of which no row fits, not for those with any other row
    word = "NOT IN" if operator is Operator.DIFFERENT else "IN"
    asked = Criterion(criterion.field, Operator.LIKE, criterion.value) if word == "NOT IN" else criterion
    sql, values = _compare(column, FieldKind.TEXT, asked, now)
    return f"c.id {word} (SELECT i.computer_id FROM {table} WHERE {sql})", values


def _compare(column: str, kind: FieldKind, criterion: Criterion, now: int) -> tuple[str, list[object]]:
    operator, value = criterion.operator, criterion.value
    if operator is Operator.ISNULL:
        return f"({column} IS NULL OR {column} = '')", []
    if operator is Operator.ISNOTEMPTY:
        return f"({column} IS NOT NULL AND {column} <> '')", []
    if operator is Operator.MORETHANXDAY:
        return f"{column} < ?", [_days_ago(value, now)]
    if operator is Operator.LESSTHANXDAY:
        return f"{column} >= ?", [_days_ago(value, now)]
    if operator in (Operator.LIKE, Operator.DIFFERENT):
        sql = f"coalesce({column}, '') LIKE ? ESCAPE '!'"
        return (f"NOT {sql}" if operator is Operator.DIFFERENT else sql), [f"%{_escaped(value)}%"]
    if kind is FieldKind.MOMENT:
        return _compare_day(column, operator, value)
    bound: object = int(value) if kind is FieldKind.NUMBER else value
    sign = {Operator.EQUAL: "=", Operator.MORE: ">", Operator.LESS: "<"}[operator]
    return f"{column} {sign} ?{'' if kind is FieldKind.NUMBER else ' COLLATE NOCASE'}", [bound]


def _compare_day(column: str, operator: Operator, value: str) -> tuple[str, list[object]]:
    day = date.fromisoformat(value)
    begin, end = _midnight(day), _midnight(day + timedelta(days=1)) if day < date.max else END_OF_TIME
    if operator is Operator.EQUAL:
        return f"({column} >= ? AND {column} < ?)", [begin, end]
    return (f"{column} >= ?", [end]) if operator is Operator.MORE else (f"{column} < ?", [begin])


def _midnight(day: date) -> int:
    return int(time.mktime(day.timetuple()))  # of the server's own calendar; not every day has 24 hours


def _days_ago(value: str, now: int) -> int:
    return max(-END_OF_TIME, min(END_OF_TIME, now - int(value) * DAY))


def _escaped(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
