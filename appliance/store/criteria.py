"""One search as SQL over `computer c`: names from the tables below, values always bound.

What a field's operators ask for is said in domain/search.py. A criterion that can mean nothing (a group that is gone,
groups nested too deep, a field of a former version) fits nobody, whichever its operator: a mistake must not send a
package to everyone.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from appliance.domain.refusal import Refusal
from appliance.domain.search import (
    LONELY,
    SYSTEMS,
    Criterion,
    FieldKind,
    Operator,
    Search,
    kind_of,
    package_of,
    release_of,
    takes_everyone,
)
from appliance.domain.status import ALREADY_SETUP, UNKNOWN_CODE

DEEPEST = 3  # groups within groups
MOST_EXPANDED = 500  # criteria of a search with those of its groups
DAY = 86_400
END_OF_TIME = 2**62

COLUMNS = {
    "DEVICEID": "c.device_id",
    "USERAGENT": "c.user_agent",
    "FIRSTSEEN": "c.first_seen",
    "LASTCONTACT": "c.last_contact",
    "LASTINVENTORY": "c.last_inventory",
}

Sql = tuple[str, list[object]]
Groups = Mapping[str, tuple[int, "Search | None"]]  # by name: the number, and the search of a dynamic one


@dataclass(frozen=True)
class Rows:
    """Rows that hang on a computer: `holder` has computer_id and is called i, `told` is what it points at."""

    holder: str
    told: str = ""
    join: str = "1"
    many: bool = False  # so many that "any at all" is asked computer by computer


SOFTWARES = Rows("installed i", "software s", "s.id = i.software_id", many=True)
_INSTALLED = Rows("installed i", many=True)
_NETWORKS = Rows("network i")
_VALUES = Rows("inventory_said i", "inventory_value v", "v.id = i.value_id")
ROWS = {
    "SOFTWARE": ("s.name", SOFTWARES),
    "SOFTWAREVERSION": ("s.version", SOFTWARES),
    "SOFTWAREPUBLISHER": ("s.publisher", SOFTWARES),
    "MACADDR": ("i.macaddr", _NETWORKS),
    "IPADDRESS": ("i.ipaddress", _NETWORKS),
    "IPSUBNET": ("i.ipsubnet", _NETWORKS),
}

# Over rows: whether no row may do it, and what "it" is.
_OVER_ROWS = {
    Operator.EQUAL: (False, Operator.EQUAL),
    Operator.HAVING: (False, Operator.EQUAL),
    Operator.LIKE: (False, Operator.LIKE),
    Operator.DIFFERENT: (True, Operator.LIKE),
    Operator.DOESNTCONTAIN: (True, Operator.LIKE),
    Operator.NOTHAVING: (True, Operator.EQUAL),
}

_SYSTEM_NAMES = """
    WITH RECURSIVE names (name) AS (
        SELECT min(osname) FROM computer
         UNION ALL
        SELECT (SELECT min(osname) FROM computer WHERE osname > names.name) FROM names WHERE names.name IS NOT NULL)
    SELECT name FROM names WHERE name IS NOT NULL
"""


@dataclass(frozen=True)
class _Asking:
    """One search on its way to SQL."""

    now: int
    groups: Groups
    few: bool
    broad: Collection[Criterion]
    depth: int = 0
    expanded: list[Criterion] = field(default_factory=list)
    lost: list[Criterion] = field(default_factory=list)  # those that can mean nothing


def where(
    search: Search, now: int, *, groups: Groups | None = None, few: bool = False, broad: Collection[Criterion] = ()
) -> Sql:
    """The condition over `c`, a row of the table computer, and its values; it can stand between other ANDs.

    `groups` must have the groups that the search speaks of, and those that they speak of (store.search.known_groups).
    `few`: it will be asked of few computers, so what hangs on each is looked through instead of building sets.
    `broad`: criteria over softwares that nearly every computer fits, for which a set would be too large.
    """
    return _search(_Asking(now, groups or {}, few, broad), search)


def _search(asking: _Asking, search: Search) -> Sql:
    if takes_everyone(search):
        return "1", []
    return either([both([_condition(asking, criterion) for criterion in some]) for some in search])


def _condition(asking: _Asking, criterion: Criterion) -> Sql:
    asking.expanded.append(criterion)
    kind = kind_of(criterion.field)
    if kind is None:
        return _nobody(asking, criterion)
    if kind is FieldKind.GROUP:
        return _member(asking, criterion)
    if kind is FieldKind.PACKAGE:
        return _stands(asking, criterion)
    if kind in (FieldKind.ROWS, FieldKind.RELEASE, FieldKind.INVENTORY, FieldKind.ACCOUNT):
        return _over_rows(asking, criterion)
    if criterion.field == "OSNAME" and (parts := _system(criterion.value)) and criterion.operator in _OVER_ROWS:
        return _of_system(asking, criterion.operator, parts)
    column = COLUMNS.get(criterion.field, f"c.{criterion.field.lower()}")
    return _compare(column, kind, criterion, asking.now)


# Rows of a computer


def _over_rows(asking: _Asking, criterion: Criterion) -> Sql:
    rows, positive = row_that_fits(criterion)
    operator = criterion.operator
    if operator in LONELY:
        return _has(asking, rows, positive, one_by_one=rows.many, no=operator is Operator.ISNULL)
    no = _OVER_ROWS.get(operator, (False, operator))[0]
    if criterion in asking.broad and rows.many and not asking.few:
        sql, values = positive
        inside: Sql = (f"+i.software_id IN (SELECT s.id FROM software s WHERE {sql})", values)
        found = _has(asking, _INSTALLED, inside, one_by_one=True, no=no)
    else:
        found = _has(asking, rows, positive, no=no)
    if operator is not Operator.DOESNTCONTAIN:
        return found
    # a release always has a name, which is all that may be asked of it alone
    lonely = Criterion("SOFTWARE" if _is_release(criterion) else criterion.field, Operator.ISNOTEMPTY)
    return both([_over_rows(asking, lonely), found])


def row_that_fits(criterion: Criterion) -> tuple[Rows, Sql]:
    """Where the rows of a field lie, and the condition over one of them; of an opposite what no row must do."""
    operator = _OVER_ROWS.get(criterion.operator, (False, criterion.operator))[1]
    operator = Operator.ISNOTEMPTY if operator in LONELY else operator
    asked = replace(criterion, operator=operator)
    if criterion.field == "SOFTWARE" and operator is Operator.ISNOTEMPTY:
        return _INSTALLED, ("1", [])  # none is without a name
    if _is_release(criterion):
        return SOFTWARES, _release(asked)
    if criterion.field in ROWS:
        column, rows = ROWS[criterion.field]
        return rows, _compare(column, FieldKind.TEXT, asked, 0)
    section, _, name = criterion.field.partition(".")
    if section == "ACCOUNT":
        named: Sql = ("i.key = ? COLLATE NOCASE", [name])
        return Rows("account i"), both([named, _compare("i.value", FieldKind.TEXT, asked, 0)])
    said: Sql = ("v.section = ? AND v.field = ?", [section, name])
    return _VALUES, both([said, _compare_value(asked)])


def _is_release(criterion: Criterion) -> bool:
    return kind_of(criterion.field) is FieldKind.RELEASE


def _has(asking: _Asking, rows: Rows, condition: Sql, *, one_by_one: bool = False, no: bool = False) -> Sql:
    """Computers with a row under a condition, or without one."""
    sql, values = condition
    never = "NOT " if no else ""
    if asking.few or one_by_one:
        tables = f"{rows.holder} CROSS JOIN {rows.told}" if rows.told else rows.holder
        row = f"SELECT 1 FROM {tables} WHERE {rows.join} AND ({sql})"
        if asking.few:
            return f"{never}EXISTS ({row} AND i.computer_id = c.id)", values
        # in the order of the table, in which their rows lie too
        every = f"SELECT k.id FROM computer k NOT INDEXED WHERE EXISTS ({row} AND i.computer_id = k.id)"
        return f"c.id {never}IN ({every})", values
    tables = f"{rows.told} CROSS JOIN {rows.holder}" if rows.told else rows.holder
    return f"c.id {never}IN (SELECT i.computer_id FROM {tables} WHERE {rows.join} AND ({sql}))", values


def _release(criterion: Criterion) -> Sql:
    """Name and version of one row. The name must be exact for EQUAL alone; SQL learns the order of versions from us."""
    name, version = release_of(criterion.value)
    exact = criterion.operator is Operator.EQUAL
    named = _compare("s.name", FieldKind.TEXT, Criterion("", Operator.EQUAL if exact else Operator.LIKE, name), 0)
    if criterion.operator in (Operator.EQUAL, Operator.LIKE):
        return both([named, _compare("s.version", FieldKind.TEXT, replace(criterion, value=version), 0)])
    is_less = criterion.operator is Operator.LESS
    order = "version_before(s.version, ?)" if is_less else "version_before(?, s.version)"
    sql, values = named
    return f"CASE WHEN {sql} AND s.version <> '' THEN {order} ELSE 0 END", [*values, version]  # few are compared


# Packages and groups


def _stands(asking: _Asking, criterion: Criterion) -> Sql:
    try:
        package, status = package_of(criterion.value)
    except Refusal:
        return _nobody(asking, criterion)
    no = (criterion.operator is Operator.DIFFERENT) is not (status == "none")
    if status == "history":
        return _has(asking, Rows("history i"), ("i.package_id = ?", [package]), no=no)
    sql, values = _standing(status)
    return _has(asking, Rows("affectation i"), (f"i.package_id = ?{sql}", [package, *values]), no=no)


def _standing(status: str) -> Sql:
    """A stage, or a code in the manual's words or as it was received (domain/status.outcome)."""
    if status in ("any", "none"):
        return "", []
    if status in ("success", "SUCCESS"):  # as the statistics count: what was there already is one
        return " AND i.stage IN ('success', 'already')" if status == "success" else " AND i.stage = 'success'", []
    if status in ("waiting", "notified", "error", "already"):
        return " AND i.stage = ?", [status]
    if status == ALREADY_SETUP:
        return " AND i.stage = 'already'", []
    codes = [status]
    if match := re.fullmatch(r"ERR_EXIT_CODE_(-?[0-9]+)", status):
        codes += [f"EXIT_CODE_{match.group(1)}", f"SUCCESS_{match.group(1)}"]
    if status == UNKNOWN_CODE:
        codes.append("")
    return " AND i.stage NOT IN ('waiting', 'notified') AND i.received IN (SELECT value FROM json_each(?))", [
        json.dumps(codes)
    ]


def _member(asking: _Asking, criterion: Criterion) -> Sql:
    group = asking.groups.get(criterion.value) or asking.groups.get(criterion.value.lower())
    if group is None or asking.depth >= DEEPEST or len(asking.expanded) > MOST_EXPANDED:
        return _nobody(asking, criterion)
    number, search = group
    lost = len(asking.lost)
    members = _has(asking, Rows("membership i"), ("i.group_id = ? AND i.excluded = 0", [number]))
    if search is not None:
        left_out = _has(asking, Rows("membership i"), ("i.group_id = ? AND i.excluded = 1", [number]), no=True)
        fitting = _search(replace(asking, depth=asking.depth + 1), search)
        members = both([either([members, fitting]), left_out])
    if criterion.operator is Operator.BELONG:
        return members
    if len(asking.lost) > lost:  # who is in it is not known whole, so neither is who is not
        return _nobody(asking, criterion)
    return f"NOT ({members[0]})", members[1]


def _nobody(asking: _Asking, criterion: Criterion) -> Sql:
    asking.lost.append(criterion)
    return "0", []


# Columns


def _system(value: str) -> tuple[str, ...]:
    return next((parts for name, parts in SYSTEMS.items() if name.lower() == value.lower()), ())


def _of_system(asking: _Asking, operator: Operator, parts: Sequence[str]) -> Sql:
    """Computers of a kind of operating system. There are few names: those that fit are found first."""
    no = _OVER_ROWS[operator][0]
    if asking.few:
        sql, values = either([_like("coalesce(c.osname, '')", part) for part in parts])
    else:
        names, values = either([_like("name", part) for part in parts])
        sql = f"c.osname IN (SELECT name FROM ({_SYSTEM_NAMES}) WHERE {names})"
    if not no:
        return sql, values
    empty = "c.osname IS NULL OR c.osname = ''"
    if operator is Operator.DOESNTCONTAIN:
        return f"NOT ({empty} OR {sql})", values
    return f"({empty} OR NOT {sql})", values


def _compare(column: str, kind: FieldKind, criterion: Criterion, now: int) -> Sql:
    operator, value = criterion.operator, criterion.value
    if operator is Operator.ISNULL:
        return f"({column} IS NULL OR {column} = '')", []
    if operator is Operator.ISNOTEMPTY:
        return f"({column} IS NOT NULL AND {column} <> '')", []
    if operator is Operator.MORETHANXDAY:
        return f"{column} < ?", [_days_ago(value, now)]
    if operator is Operator.LESSTHANXDAY:
        return f"{column} >= ?", [_days_ago(value, now)]
    if kind is FieldKind.MOMENT:
        return _compare_day(column, operator, value)
    if operator is Operator.LIKE:
        return _like(f"coalesce({column}, '')", value)
    if operator is Operator.DIFFERENT:
        sql, values = _like(f"coalesce({column}, '')", value)
        return f"NOT {sql}", values
    if operator is Operator.DOESNTCONTAIN:
        sql, values = _like(column, value)
        return f"({column} <> '' AND NOT {sql})", values
    bound: object = int(value) if kind is FieldKind.NUMBER else value
    alike = "" if kind is FieldKind.NUMBER else " COLLATE NOCASE"
    if operator is Operator.NOTHAVING:
        return f"({column} IS NULL OR {column} <> ?{alike})", [bound]
    sign = {Operator.EQUAL: "=", Operator.HAVING: "=", Operator.MORE: ">", Operator.LESS: "<"}[operator]
    return f"{column} {sign} ?{alike}", [bound]


def _compare_value(criterion: Criterion) -> Sql:
    """An inventory value; more or less than a number are only those that are numbers."""
    if criterion.operator not in (Operator.MORE, Operator.LESS) or not _is_number(criterion.value):
        return _compare("v.value", FieldKind.TEXT, criterion, 0)
    sign = ">" if criterion.operator is Operator.MORE else "<"
    is_number = "v.value GLOB '[0-9]*' AND v.value NOT GLOB '*[^0-9.]*'"
    return f"({is_number} AND CAST(v.value AS REAL) {sign} ?)", [float(criterion.value)]


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", text) is not None


def _compare_day(column: str, operator: Operator, value: str) -> Sql:
    day = date.fromisoformat(value)
    begin, end = _midnight(day), _midnight(day + timedelta(days=1)) if day < date.max else END_OF_TIME
    if operator is Operator.EQUAL:
        return f"({column} >= ? AND {column} < ?)", [begin, end]
    if operator is Operator.DIFFERENT:
        return f"({column} IS NULL OR {column} < ? OR {column} >= ?)", [begin, end]
    return (f"{column} >= ?", [end]) if operator is Operator.MORE else (f"{column} < ?", [begin])


def _midnight(day: date) -> int:
    return int(time.mktime(day.timetuple()))  # of the server's own calendar; not every day has 24 hours


def _days_ago(value: str, now: int) -> int:
    return max(-END_OF_TIME, min(END_OF_TIME, now - int(value) * DAY))


def _like(column: str, part: str) -> Sql:
    escaped = part.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"{column} LIKE ? ESCAPE '!'", [f"%{escaped}%"]


def contains(columns: Sequence[str], part: str) -> Sql:
    """Any of these columns has the part."""
    return either([_like(column, part) for column in columns])


def both(parts: Sequence[Sql]) -> Sql:
    """All of these conditions."""
    some = [part for part in parts if part[0] != "1"]
    return " AND ".join(sql for sql, _ in some) or "1", [value for _, values in some for value in values]


def either(parts: Sequence[Sql]) -> Sql:
    """Any of these conditions."""
    if any(sql == "1" for sql, _ in parts):
        return "1", []
    return f"({' OR '.join(sql for sql, _ in parts) or '0'})", [value for _, values in parts for value in values]
