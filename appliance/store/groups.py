"""Groups: what they are, who is in them now, what is set for them.

Who is in a dynamic group is never kept: its search is asked anew each time.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from functools import lru_cache

from appliance.domain.computer import Computer, ComputerId
from appliance.domain.group import Check, Group, GroupId, Hand, renamed
from appliance.domain.search import (
    Criterion,
    FieldKind,
    Search,
    from_json,
    kind_of,
    package_of,
    release_of,
    to_json,
)
from appliance.store.computers import computer_of
from appliance.store.criteria import COLUMNS, ROWS, Groups, Sql, where
from appliance.store.database import Row, Tx
from appliance.store.search import broad, fits, known_groups

GROUPS_AT_ONCE = 50  # searches asked in one statement
FEW = 500  # so many computers are looked through one by one: no search has to find all that fit it
MOST_SHOWN = 20  # values of one computer

_THESE = "(SELECT value FROM json_each(?))"


async def add(tx: Tx, name: str, description: str, search: Search | None, *, visible: bool) -> GroupId:
    """A new group without members, but for those that its search finds."""
    return GroupId(
        await tx.insert(
            "INSERT INTO computer_group (name, description, search, visible, created_at, changed_at) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (name, description, _json(search), int(visible), tx.now, tx.now),
        )
    )


async def change(tx: Tx, group: Group) -> None:
    """The row of a group as it is now; a search that speaks of it by a former name speaks of the new one."""
    before = await find(tx, group.id)
    await tx.run(
        "UPDATE computer_group SET name = ?, description = ?, search = ?, visible = ?, changed_at = ? WHERE id = ?",
        (group.name, group.description, _json(group.search), int(group.visible), tx.now, group.id),
    )
    if before is None or before.name == group.name:
        return
    for table in ("computer_group", "saved_search"):
        for row in await tx.rows(f"SELECT id, search FROM {table} WHERE search IS NOT NULL"):
            search = from_json(row["search"])
            new = renamed(search, before.name, group.name)
            if new != search:
                await tx.run(f"UPDATE {table} SET search = ? WHERE id = ?", (to_json(new), row["id"]))


async def remove(tx: Tx, group: GroupId) -> None:
    """Take a group away with what is affected to it; rows that came from it become the computers' own."""
    await tx.run("DELETE FROM computer_group WHERE id = ?", (group,))


async def find(tx: Tx, group: int) -> Group | None:
    """One group by its number."""
    row = await tx.row("SELECT * FROM computer_group WHERE id = ?", (group,))
    return _group(row) if row else None


async def named(tx: Tx, name: str) -> Group | None:
    """One group by its name, upper or lower case."""
    row = await tx.row("SELECT * FROM computer_group WHERE name = ?", (name,))
    return _group(row) if row else None


async def every(tx: Tx) -> list[Group]:
    """All groups, by name."""
    return [_group(row) for row in await tx.rows("SELECT * FROM computer_group ORDER BY name COLLATE NOCASE")]


# Who is in


def members(group: Group, now: int, known: Groups, *, few: bool = False, broad: Collection[Criterion] = ()) -> Sql:
    """The condition over `c`, a row of the table computer, that it is a member now.

    `known` must have the groups that the search speaks of; `few` and `broad` as in `where`.
    """
    put_in = "c.id IN (SELECT m.computer_id FROM membership m WHERE m.group_id = ? AND m.excluded = 0)"
    if few:
        put_in = "EXISTS (SELECT 1 FROM membership m WHERE m.computer_id = c.id AND m.group_id = ? AND m.excluded = 0)"
    if group.search is None:
        return put_in, [group.id]
    sql, values = where(group.search, now, groups=known, few=few, broad=broad)
    left_out = "EXISTS (SELECT 1 FROM membership m WHERE m.computer_id = c.id AND m.group_id = ? AND m.excluded = 1)"
    return f"((({sql}) OR {put_in}) AND NOT {left_out})", [*values, group.id, group.id]


async def count(tx: Tx, group: Group, tags: Collection[str] | None = None) -> int:
    """How many computers are in it now; with `tags` only those with one of them."""
    where, values = await _members_with(tx, group, tags)
    return int(await tx.value(f"SELECT count(*) FROM computer c WHERE {where}", values))


async def numbers(tx: Tx, group: Group, tags: Collection[str] | None = None) -> list[ComputerId]:
    """The numbers of its members."""
    where, values = await _members_with(tx, group, tags)
    found = await tx.value(
        f"SELECT json_group_array(id) FROM (SELECT c.id FROM computer c WHERE {where} ORDER BY c.id)", values
    )
    return [ComputerId(number) for number in json.loads(found)]


async def page(
    tx: Tx, group: Group, *, page: int, size: int, tags: Collection[str] | None = None
) -> tuple[list[tuple[Computer, Hand]], int]:
    """Some of its members by name, each with what was done by hand, and how many there are. Pages count from 1."""
    where, values = await _members_with(tx, group, tags)
    rows = await tx.rows(
        f"""
        WITH found (id) AS MATERIALIZED (SELECT c.id FROM computer c WHERE {where}),
             total (members) AS MATERIALIZED (SELECT count(*) FROM found),
             page (id) AS (SELECT c.id FROM computer c WHERE +c.id IN (SELECT id FROM found)
                            ORDER BY c.name COLLATE NOCASE, c.id LIMIT ? OFFSET ?)
        SELECT members FROM total UNION ALL SELECT id FROM page
        """,
        (*values, size, (page - 1) * size),
    )
    shown = await tx.rows(
        f"""
        SELECT c.*, m.excluded FROM computer c LEFT JOIN membership m ON m.group_id = ? AND m.computer_id = c.id
         WHERE c.id IN {_THESE} ORDER BY c.name COLLATE NOCASE, c.id
        """,
        (group.id, json.dumps([row[0] for row in rows[1:]])),
    )
    return [(computer_of(row), _hand(row["excluded"])) for row in shown], rows[0][0]


async def left_out(tx: Tx, group: GroupId) -> list[Computer]:
    """The computers that are kept out of a dynamic group by hand, by name."""
    rows = await tx.rows(
        "SELECT c.* FROM membership m JOIN computer c ON c.id = m.computer_id "
        "WHERE m.group_id = ? AND m.excluded = 1 ORDER BY c.name COLLATE NOCASE, c.id",
        (group,),
    )
    return [computer_of(row) for row in rows]


async def of_computers(
    tx: Tx, computers: Sequence[ComputerId], *, in_use: bool = False
) -> dict[ComputerId, list[Group]]:
    """The groups that each of these computers is in now, by name; `in_use`: those with a package or a setting."""
    used = (
        "AND (EXISTS (SELECT 1 FROM group_affectation a WHERE a.group_id = g.id)"
        " OR EXISTS (SELECT 1 FROM group_override o WHERE o.group_id = g.id))"
    )
    rows = await tx.rows(
        "SELECT * FROM computer_group g WHERE (search IS NOT NULL OR EXISTS (SELECT 1 FROM membership m "
        f"WHERE m.group_id = g.id AND m.excluded = 0 AND m.computer_id IN {_THESE})) {used if in_use else ''} "
        "ORDER BY name COLLATE NOCASE",
        (json.dumps(computers),),
    )
    return await among(tx, [_group(row) for row in rows], computers)


async def among(tx: Tx, candidates: Sequence[Group], computers: Sequence[ComputerId]) -> dict[ComputerId, list[Group]]:
    """Which of these groups each of these computers is in now; a computer that is in none is not in the answer."""
    result: dict[ComputerId, list[Group]] = {}
    asked = tuple(some for group in candidates for some in group.search or ())
    known = await known_groups(tx, asked)
    few = len(computers) <= FEW
    wide = set() if few else await broad(tx, asked, known)
    for begin in range(0, len(candidates), GROUPS_AT_ONCE):
        some = candidates[begin : begin + GROUPS_AT_ONCE]
        conditions = [members(group, tx.now, known, few=few, broad=wide) for group in some]
        rows = await tx.rows(
            f"SELECT c.id, {', '.join(sql for sql, _ in conditions)} FROM computer c WHERE c.id IN {_THESE}",
            (*(value for _, values in conditions for value in values), json.dumps(computers)),
        )
        for row in rows:
            mine = [group for group, is_in in zip(some, tuple(row)[1:], strict=True) if is_in]
            if mine:
                result.setdefault(ComputerId(row[0]), []).extend(mine)
    return result


async def hand(tx: Tx, group: GroupId, computer: ComputerId) -> Hand:
    """What was done by hand with one computer in one group."""
    return _hand(
        await tx.value("SELECT excluded FROM membership WHERE group_id = ? AND computer_id = ?", (group, computer))
    )


async def checks(tx: Tx, search: Search, computer: ComputerId) -> tuple[tuple[Check, ...], ...]:
    """A search's criteria held against one computer, one by one, as the whole search would."""
    found: dict[Criterion, Check] = {}
    for criterion in (criterion for alternative in search for criterion in alternative):
        if criterion not in found:
            holds = await fits(tx, computer, ((criterion,),))
            found[criterion] = Check(criterion, holds, await own_values(tx, computer, criterion))
    return tuple(tuple(found[criterion] for criterion in alternative) for alternative in search)


async def own_values(tx: Tx, computer: ComputerId, criterion: Criterion) -> tuple[str, ...]:
    """What a computer has where a criterion looks; of softwares only what has the name that is asked for."""
    name, kind = criterion.field, kind_of(criterion.field)
    values: tuple[object, ...] = ()
    if kind is FieldKind.GROUP:
        return tuple(found.name for found in (await of_computers(tx, [computer])).get(computer, []))
    if kind is FieldKind.PACKAGE:
        sql = "SELECT CASE received WHEN '' THEN stage ELSE received END FROM affectation i WHERE package_id = ?"
        values = (package_of(criterion.value)[0],)
    elif kind is FieldKind.RELEASE:
        sql = (
            "SELECT s.name || ' | ' || s.version FROM installed i JOIN software s ON s.id = i.software_id WHERE s.name"
        )
        sql, values = f"{sql} LIKE ?", (f"%{release_of(criterion.value)[0]}%",)
    elif kind is FieldKind.ROWS:
        column, place = ROWS[name]
        join = f"JOIN {place.told}" if place.told else ""
        sql = f"SELECT DISTINCT {column} FROM {place.holder} {join} WHERE {place.join}"
        if place.many:
            sql, values = f"{sql} AND {column} LIKE ?", (f"%{criterion.value}%",)
    elif kind is FieldKind.INVENTORY:
        sql = "SELECT v.value FROM inventory_said i JOIN inventory_value v ON v.id = i.value_id"
        sql, values = f"{sql} WHERE v.section = ? AND v.field = ?", tuple(name.split(".", 1))
    elif kind is FieldKind.ACCOUNT:
        sql, values = "SELECT value FROM account i WHERE key = ? COLLATE NOCASE", (name.partition(".")[2],)
    else:
        column = COLUMNS.get(name, f"c.{name.lower()}").removeprefix("c.")
        sql = f"SELECT {column} FROM (SELECT *, id AS computer_id FROM computer) i WHERE {column} <> ''"
    rows = await tx.rows(f"{sql} AND i.computer_id = ? LIMIT ?", (*values, computer, MOST_SHOWN))
    return tuple(str(row[0]) for row in rows)


async def put_in(tx: Tx, group: GroupId, computers: Sequence[ComputerId]) -> list[ComputerId]:
    """Put computers in by hand: those that were not."""
    return await _by_hand(tx, group, computers, excluded=0)


async def leave_out(tx: Tx, group: GroupId, computers: Sequence[ComputerId]) -> list[ComputerId]:
    """Keep computers out of a dynamic group by hand: those that were not."""
    return await _by_hand(tx, group, computers, excluded=1)


async def forget(tx: Tx, group: GroupId, computers: Sequence[ComputerId]) -> list[ComputerId]:
    """Take back what was done by hand: for those where something was."""
    rows = await tx.rows(
        f"DELETE FROM membership WHERE group_id = ? AND computer_id IN {_THESE} RETURNING computer_id",
        (group, json.dumps(computers)),
    )
    return [ComputerId(row[0]) for row in rows]


async def _by_hand(tx: Tx, group: GroupId, computers: Sequence[ComputerId], *, excluded: int) -> list[ComputerId]:
    rows = await tx.rows(
        "INSERT INTO membership (group_id, computer_id, excluded, added_at) "
        "SELECT ?1, value, ?2, ?3 FROM json_each(?4) WHERE true "
        "ON CONFLICT (group_id, computer_id) DO UPDATE SET excluded = ?2, added_at = ?3 WHERE excluded <> ?2 "
        "RETURNING computer_id",
        (group, excluded, tx.now, json.dumps(computers)),
    )
    return [ComputerId(row[0]) for row in rows]


async def _members_with(tx: Tx, group: Group, tags: Collection[str] | None) -> Sql:
    search = group.search or ()
    known = await known_groups(tx, search)
    sql, values = members(group, tx.now, known, broad=await broad(tx, search, known))
    if tags is None:
        return sql, values
    return f"{sql} AND c.tag IN {_THESE}", [*values, json.dumps(sorted(tags))]


# What is set for them


async def overrides(tx: Tx, groups: Sequence[GroupId]) -> list[tuple[str, dict[str, int]]]:
    """What is set for these groups, by name: those for which something is."""
    rows = await tx.rows(
        "SELECT g.name AS group_name, o.name, o.value FROM group_override o JOIN computer_group g ON g.id = o.group_id "
        f"WHERE o.group_id IN {_THESE} ORDER BY g.name COLLATE NOCASE",
        (json.dumps(groups),),
    )
    result: dict[str, dict[str, int]] = {}
    for row in rows:
        result.setdefault(row["group_name"], {})[row["name"]] = row["value"]
    return list(result.items())


async def every_override(tx: Tx) -> dict[GroupId, dict[str, int]]:
    """What is set for any group."""
    result: dict[GroupId, dict[str, int]] = {}
    for row in await tx.rows("SELECT group_id, name, value FROM group_override"):
        result.setdefault(GroupId(row[0]), {})[row[1]] = row[2]
    return result


async def put_override(tx: Tx, group: GroupId, name: str, value: int | None) -> None:
    """Change a setting for a group; None takes the change back."""
    if value is None:
        await tx.run("DELETE FROM group_override WHERE group_id = ? AND name = ?", (group, name))
    else:
        await tx.run(
            "INSERT OR REPLACE INTO group_override (group_id, name, value) VALUES (?, ?, ?)", (group, name, value)
        )


def _json(search: Search | None) -> str | None:
    return None if search is None else to_json(search)


@lru_cache(maxsize=1024)
def _search(text: str) -> Search:
    return from_json(text)  # at each contact; a search's text never means another search


def _hand(excluded: int | None) -> Hand:
    return Hand.NOTHING if excluded is None else Hand.LEFT_OUT if excluded else Hand.PUT_IN


def _group(row: Row) -> Group:
    return Group(
        id=GroupId(row["id"]),
        name=row["name"],
        description=row["description"],
        search=None if row["search"] is None else _search(row["search"]),
        visible=bool(row["visible"]),
        created_at=row["created_at"],
        changed_at=row["changed_at"],
    )
