"""Lists of computers that fit a search, page by page. How a search becomes SQL is told in criteria.py."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from appliance.domain.computer import Computer, ComputerId
from appliance.domain.refusal import invalid, missing
from appliance.domain.search import (
    EVERY,
    FIELDS,
    Criterion,
    FieldKind,
    KeptSearch,
    Operator,
    Search,
    from_json,
    kind_of,
    takes_everyone,
    to_json,
)
from appliance.store import criteria
from appliance.store.computers import computer_of
from appliance.store.criteria import COLUMNS, DEEPEST, Groups, Sql, where
from appliance.store.database import Tx

__all__ = [
    "SORTS",
    "check",
    "computers",
    "count",
    "fits",
    "forget",
    "keep",
    "kept",
    "known_groups",
    "numbers",
    "of_numbers",
    "page",
    "where",
]

QUICK = ("c.name", "c.userid", "c.ipaddr", "c.tag", "c.osname")
_WIDE = (Operator.LIKE, Operator.DIFFERENT, Operator.DOESNTCONTAIN, Operator.MORE, Operator.LESS)
BROAD = 10  # rows that fit for each computer: from there on it is quicker to ask computer by computer


def _sort(name: str, kind: FieldKind) -> str:
    column = COLUMNS.get(name, f"c.{name.lower()}")
    return f"{column} COLLATE NOCASE" if kind is FieldKind.TEXT else column


_OF_THE_TABLE = (FieldKind.TEXT, FieldKind.NUMBER, FieldKind.MOMENT)
SORTS = {name: _sort(name, kind) for name, kind in FIELDS.items() if kind in _OF_THE_TABLE}
"""What a list can be sorted by."""


@dataclass(frozen=True)
class _Found:
    """The numbers of the computers that fit, found once for all that a statement asks of them.

    `has_c` holds for each row of the table that is among them, which is then gone through in the order of an index.
    """

    condition: str
    values: list[object]
    order: str = ""  # the table's own, where it has one

    @property
    def sql(self) -> str:
        """The table `found`, to stand after WITH."""
        once = "" if self.condition == "1" else "MATERIALIZED"
        order = f"ORDER BY {self.order} LIMIT -1" if self.order else ""  # an order without LIMIT may be left out
        return f"found (id) AS {once} (SELECT c.id FROM computer c WHERE {self.condition} {order})"

    @property
    def has_c(self) -> str:
        """The condition over `c`."""
        return "1" if self.condition == "1" else "+c.id IN (SELECT id FROM found)"


async def page(
    tx: Tx,
    search: Search = EVERY,
    *,
    tags: Collection[str] | None = None,
    quick: str = "",
    sort: str = "NAME",
    descending: bool = False,
    limit: int = 25,
    offset: int = 0,
) -> tuple[list[Computer], int]:
    """Some of the computers that fit, and how many there are. `sort` is a key of SORTS; `tags` None: any TAG."""
    found = _Found(*await _scoped(tx, search, tags, quick))
    order = _order(sort, descending=descending)
    some = f"SELECT c.id FROM computer c WHERE {found.has_c} ORDER BY {order}"
    if takes_everyone(search) and found.condition != "1" and sort == "NAME":  # their index has all that is asked for
        found, some = replace(found, order=order), "SELECT id FROM found"
    rows = await tx.rows(
        f"WITH {found.sql}, page (id) AS ({some} LIMIT ? OFFSET ?) "
        "SELECT count(*) FROM found UNION ALL SELECT id FROM page",
        (*found.values, limit, offset),
    )
    return await of_numbers(tx, [row[0] for row in rows[1:]]), rows[0][0]


async def count(tx: Tx, search: Search = EVERY, *, tags: Collection[str] | None = None, quick: str = "") -> int:
    """How many computers fit."""
    condition, values = await _scoped(tx, search, tags, quick)
    return int(await tx.value(f"SELECT count(*) FROM computer c WHERE {condition}", values))


async def numbers(
    tx: Tx,
    search: Search = EVERY,
    *,
    tags: Collection[str] | None = None,
    quick: str = "",
    sort: str = "",
    descending: bool = False,
) -> list[ComputerId]:
    """The numbers of all computers that fit: in order, or as `sort` (a key of SORTS) says."""
    found = _Found(*await _scoped(tx, search, tags, quick))
    order = _order(sort, descending=descending) if sort else "c.id"
    # as one text: a hundred thousand rows would be as many objects on their way between two threads
    ids = await tx.value(
        f"WITH {found.sql} SELECT json_group_array(id) FROM "
        f"(SELECT c.id FROM computer c WHERE {found.has_c} ORDER BY {order})",
        found.values,
    )
    return [ComputerId(number) for number in json.loads(ids)]


async def computers(
    tx: Tx, search: Search = EVERY, *, tags: Collection[str] | None = None, limit: int = -1
) -> list[Computer]:
    """The computers that fit, by name."""
    found = _Found(*await _scoped(tx, search, tags, ""))
    rows = await tx.rows(
        f"WITH {found.sql} SELECT c.* FROM computer c WHERE {found.has_c} ORDER BY {_order('NAME')} LIMIT ?",
        (*found.values, limit),
    )
    return [computer_of(row) for row in rows]


async def of_numbers(tx: Tx, chosen: Sequence[ComputerId]) -> list[Computer]:
    """These computers, in this order; those that are gone are left out."""
    rows = await tx.rows("SELECT * FROM computer WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(chosen),))
    found = {row["id"]: computer_of(row) for row in rows}
    return [found[number] for number in chosen if number in found]


async def fits(tx: Tx, computer: ComputerId, search: Search) -> bool:
    """Whether one computer fits; quick also where the search finds very many."""
    condition, values = where(search, tx.now, groups=await known_groups(tx, search), few=True)
    return bool(await tx.value(f"SELECT count(*) FROM computer c WHERE c.id = ? AND {condition}", (computer, *values)))


async def known_groups(tx: Tx, search: Search) -> Groups:
    """What `where` must know of groups: nothing, where the search does not speak of any."""
    if not _groups_in(search):
        return {}
    rows = await tx.rows("SELECT id, name, search FROM computer_group")
    told = {row["name"]: (row["id"], None if row["search"] is None else from_json(row["search"])) for row in rows}
    return {**{name.lower(): group for name, group in told.items()}, **told}


async def check(tx: Tx, search: Search) -> None:
    """Raises Refusal where a search names a group that is not there, or groups within groups go too deep."""
    known = await known_groups(tx, search)
    ahead = _groups_in(search)
    for depth in range(1, DEEPEST + 2):
        if depth > DEEPEST and ahead:
            raise invalid("search", "groups within groups go {deepest} deep and no further.", deepest=DEEPEST)
        deeper: set[str] = set()
        for name in ahead:
            group = known.get(name) or known.get(name.lower())
            if group is None and depth == 1:
                raise missing("there is no group {group!r}.", group=name[:80])
            deeper |= _groups_in((group and group[1]) or ())
        ahead = deeper


# Searches under a name


async def keep(tx: Tx, name: str, search: Search) -> int:
    """Keep a search under a name that is free, or instead of the one that has it: its number."""
    return int(
        await tx.value(
            "INSERT INTO saved_search (name, search, created_at) VALUES (?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET search = excluded.search RETURNING id",
            (name, to_json(search), tx.now),
        )
    )


async def kept(tx: Tx, name: str | None = None) -> list[KeptSearch]:
    """The searches that are kept, by name; with `name` (upper or lower case) that one alone."""
    where_named, values = ("", ()) if name is None else ("WHERE name = ?", (name,))
    rows = await tx.rows(
        f"SELECT id, name, search, created_at FROM saved_search {where_named} ORDER BY name COLLATE NOCASE", values
    )
    return [KeptSearch(row["id"], row["name"], from_json(row["search"]), row["created_at"]) for row in rows]


async def forget(tx: Tx, kept_search: int) -> None:
    """Keep a search no longer."""
    await tx.run("DELETE FROM saved_search WHERE id = ?", (kept_search,))


def _groups_in(search: Search) -> set[str]:
    return {criterion.value for some in search for criterion in some if criterion.field == "GROUP"}


def _order(sort: str, *, descending: bool = False) -> str:
    way = "DESC" if descending else "ASC"
    return f"{SORTS[sort]} {way}, c.id {way}"


async def _scoped(tx: Tx, search: Search, tags: Collection[str] | None, quick: str) -> Sql:
    groups = await known_groups(tx, search)
    parts = [where(search, tx.now, groups=groups, broad=await broad(tx, search, groups))]
    if tags is not None:
        parts.append(("c.tag IN (SELECT value FROM json_each(?))", [json.dumps(sorted(tags))]))
    if quick.strip():
        parts.append(criteria.contains(QUICK, quick.strip()[:255]))
    return criteria.both(parts)


async def broad(tx: Tx, search: Search, groups: Groups) -> set[Criterion]:
    """The criteria that so many software rows fit that the first of nearly every computer is found at once.

    Those of the search itself and of the groups that it may speak of.
    """
    found: set[Criterion] = set()
    searches = (search, *(told or () for _, told in groups.values()))
    for criterion in {criterion for one in searches for some in one for criterion in some}:
        if kind_of(criterion.field) not in (FieldKind.ROWS, FieldKind.RELEASE) or criterion.operator not in _WIDE:
            continue
        rows, (sql, values) = criteria.row_that_fits(criterion)
        if not rows.many:
            continue
        limit = BROAD * int(await tx.value("SELECT count(*) FROM computer"))
        fitting = await tx.value(
            f"SELECT count(*) FROM (SELECT 1 FROM {rows.told} CROSS JOIN {rows.holder} "
            f"WHERE {rows.join} AND ({sql}) LIMIT ?)",
            (*values, limit),
        )
        if limit and fitting == limit:
            found.add(criterion)
    return found
