"""Which package is affected to which computer, where it stands there, and everything that was said about it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from appliance.domain.affectation import Affectation, Happening, Standing
from appliance.domain.computer import ComputerId
from appliance.domain.group import GroupId
from appliance.domain.package import PackageId
from appliance.domain.status import Stage
from appliance.store.database import Row, Tx

# the activation of an affectation: the one it was given, or the newest of its package
_SELECT = """
    SELECT a.*, p.name AS package_name, p.priority, coalesce(p.fragments, 0) AS fragments,
           coalesce(g.name, '') AS group_name,
           coalesce(v.info_location, '') AS info_location, coalesce(v.fragment_location, '') AS fragment_location
      FROM affectation a
      JOIN package p ON p.id = a.package_id
      LEFT JOIN activation v ON v.id = coalesce(
           a.activation_id, (SELECT max(id) FROM activation WHERE package_id = a.package_id))
      LEFT JOIN computer_group g ON g.id = a.group_id
"""
# a row that its group would bring back at the next contact
_HELD_BY_GROUP = """
    EXISTS (SELECT 1 FROM group_affectation ga
             WHERE ga.group_id = affectation.group_id AND ga.package_id = affectation.package_id)
"""
_STAGES = {stage.value: stage for stage in Stage}
VERY_MANY = 20_000  # rows: sorting them all takes longer than going through the names
NEARLY_ALL = 0.9  # of the computers
FIRST = 2_000
_OF_THESE = "(SELECT value FROM json_each(?))"


async def of_computer(tx: Tx, computer: ComputerId, *, unfinished: bool = False) -> list[Affectation]:
    """All affectations of a computer, or those without an outcome; by priority, then age."""
    only = "AND a.stage IN ('waiting', 'notified')" if unfinished else ""
    rows = await tx.rows(
        f"{_SELECT} WHERE a.computer_id = ? {only} ORDER BY p.priority, a.affected_at, p.id", (computer,)
    )
    return [_affectation(row) for row in rows]


async def find(tx: Tx, computer: ComputerId, package: str) -> Affectation | None:
    """One affectation."""
    row = await tx.row(f"{_SELECT} WHERE a.computer_id = ? AND a.package_id = ?", (computer, package))
    return _affectation(row) if row else None


async def notified_of(tx: Tx, computers: Sequence[ComputerId]) -> dict[ComputerId, list[Affectation]]:
    """What was announced and has no outcome yet, by computer; in the order of `of_computer`."""
    rows = await tx.rows(
        f"{_SELECT} WHERE a.computer_id IN {_OF_THESE} AND a.stage = 'notified' "
        "ORDER BY a.computer_id, p.priority, a.affected_at, p.id",
        (json.dumps(computers),),
    )
    result: dict[ComputerId, list[Affectation]] = {}
    for row in rows:
        result.setdefault(ComputerId(row["computer_id"]), []).append(_affectation(row))
    return result


async def of_package(
    tx: Tx,
    package: PackageId,
    *,
    stage: Stage | None = None,
    received: Sequence[str] | None = None,
    offset: int = 0,
    limit: int = -1,
    total: int = 0,
) -> list[Standing]:
    """Where a package stands on its computers, by computer name: all, or those in a stage or with one of the codes.

    `total`, where it is known, is how many there are: a page of very many is found in the order of the names, from the
    end that is nearer.
    """
    where, values = _in_package(package, stage, received)
    page = f"affectation CROSS JOIN computer n ON n.id = affectation.computer_id WHERE {where}"
    way = "ASC"
    if total >= VERY_MANY and limit > 0:
        if 2 * offset > total:
            limit = max(0, min(limit, total - offset))
            way, offset = "DESC", total - offset - limit
        page = f"computer n WHERE +n.id IN (SELECT computer_id FROM affectation WHERE {where})"
        if offset + limit <= FIRST and total >= NEARLY_ALL * await tx.value("SELECT count(*) FROM computer"):
            page = f"computer n CROSS JOIN affectation ON computer_id = n.id WHERE {where}"
    select = _SELECT.replace(
        "SELECT a.*", "SELECT a.*, c.name, c.device_id, c.user_agent, c.last_contact, c.last_inventory"
    )
    rows = await tx.rows(
        f"""
        {select}
          JOIN computer c ON c.id = a.computer_id
         WHERE a.package_id = ? AND a.computer_id IN (
               SELECT n.id FROM {page} ORDER BY n.name COLLATE NOCASE {way}, n.id {way} LIMIT ? OFFSET ?)
         ORDER BY c.name COLLATE NOCASE, c.id
        """,
        (package, *values, limit, offset),
    )
    return [
        Standing(
            _affectation(row),
            row["name"],
            row["device_id"],
            row["user_agent"],
            row["last_contact"],
            row["last_inventory"],
        )
        for row in rows
    ]


async def count_of_package(
    tx: Tx, package: PackageId, *, stage: Stage | None = None, received: Sequence[str] | None = None
) -> int:
    """How many computers `of_package` has."""
    where, values = _in_package(package, stage, received, "affectation_count")
    return int(await tx.value(f"SELECT coalesce(sum(computers), 0) FROM affectation_count WHERE {where}", values))


def _in_package(
    package: PackageId, stage: Stage | None, received: Sequence[str] | None, table: str = "affectation"
) -> tuple[str, list[object]]:
    where, values = f"{table}.package_id = ?", list[object]([package])
    if stage is not None:
        where += " AND stage = ?"
        values.append(stage.value)
    if received is not None:
        where += f" AND stage IN ('success', 'error', 'already') AND received IN {_OF_THESE}"
        values.append(json.dumps(list(received)))
    return where, values


async def counts(tx: Tx, package: PackageId | None = None) -> dict[str, dict[Stage, int]]:
    """How many computers stand where, by package, of one or of all."""
    where, values = ("WHERE package_id = ?", (package,)) if package else ("", ())
    result: dict[str, dict[Stage, int]] = {}
    for row in await tx.rows(
        f"SELECT package_id, stage, sum(computers) FROM affectation_count {where} GROUP BY package_id, stage", values
    ):
        result.setdefault(row[0], {})[Stage(row[1])] = row[2]
    return result


async def codes(tx: Tx, package: PackageId) -> list[tuple[Stage, str, int]]:
    """How many computers of a package stand at which stage with which code received, most first."""
    rows = await tx.rows(
        "SELECT stage, received, computers FROM affectation_count WHERE package_id = ? ORDER BY 3 DESC, 1, 2",
        (package,),
    )
    return [(Stage(row[0]), row[1], row[2]) for row in rows]


async def span(tx: Tx, package: PackageId) -> tuple[int, int] | None:
    """The first and the last moment at which a computer was notified of a package or reported an outcome."""
    row = await tx.row(
        """
        SELECT min(first), max(last) FROM (
            SELECT (SELECT min(a.changed_at) FROM affectation a WHERE (a.package_id, a.stage, a.received)
                         = (k.package_id, k.stage, k.received)) AS first,
                   (SELECT max(a.changed_at) FROM affectation a WHERE (a.package_id, a.stage, a.received)
                         = (k.package_id, k.stage, k.received)) AS last
              FROM affectation_count k WHERE k.package_id = ?1 AND k.stage <> 'waiting'
             UNION ALL
            SELECT min(notified_at), NULL FROM affectation WHERE package_id = ?1 AND notified_at IS NOT NULL)
        """,
        (package,),
    )
    return (row[0], row[1]) if row and row[1] is not None else None


async def over_time(tx: Tx, package: PackageId, begin: int, step: int, steps: int) -> list[tuple[int, str, int]]:
    """How many outcomes (by stage) and first announcements ('notified') fall into which of the steps from `begin` on.

    Counted step by step in the order of an index: no row is looked at, none is sorted.
    """
    rows = await tx.rows(
        """
        WITH RECURSIVE step (number, first, last) AS (
            SELECT 0, ?2, ?2 + ?3 - 1
             UNION ALL
            SELECT number + 1, first + ?3, last + ?3 FROM step WHERE number + 1 < ?4)
        SELECT s.number, k.stage, sum((
               SELECT count(*) FROM affectation a
                WHERE a.package_id = ?1 AND a.stage = k.stage AND a.received = k.received
                  AND a.changed_at BETWEEN s.first AND s.last))
          FROM step s CROSS JOIN affectation_count k
         WHERE k.package_id = ?1 AND k.stage IN ('success', 'error', 'already')
         GROUP BY s.number, k.stage
         UNION ALL
        SELECT s.number, 'notified', (
               SELECT count(*) FROM affectation a WHERE a.package_id = ?1 AND a.notified_at BETWEEN s.first AND s.last)
          FROM step s
        """,
        (package, begin, step, steps),
    )
    return [(row[0], row[1], row[2]) for row in rows]


async def affect(
    tx: Tx,
    package: PackageId,
    computers: Sequence[ComputerId],
    *,
    activation: int | None,
    force: bool,
    schedule: str,
    post_command: str,
) -> int:
    """Affect a package: new rows wait, errors wait again, and with `force` every outcome does. How many now wait anew.

    A row that waits takes over other terms, and is the computer's own from then on; one under way stays as it is.
    """
    chosen = json.dumps(computers)
    rows = await tx.rows(
        f"""
        INSERT INTO affectation (computer_id, package_id, activation_id, stage, force, schedule, post_command,
                                 affected_at, changed_at)
        SELECT value, ?2, ?3, 'waiting', ?4, ?5, ?6, ?7, ?7 FROM json_each(?1) WHERE true
        ON CONFLICT (computer_id, package_id) DO UPDATE
           SET activation_id = excluded.activation_id, stage = 'waiting', received = '', force = excluded.force,
               schedule = excluded.schedule, post_command = excluded.post_command,
               affected_at = excluded.affected_at, notified_at = NULL, changed_at = excluded.changed_at,
               fetched = 0, fetched_at = NULL, group_id = NULL
         WHERE {_WAITS_ANEW}
        RETURNING computer_id
        """,
        (chosen, package, activation, int(force), schedule, post_command, tx.now),
    )
    await note_affected(tx, [(row[0], package, "force" if force else "") for row in rows])
    return len(rows)


# which rows an affectation to computers arms again, in the numbered values of `affect`
_WAITS_ANEW = """
    stage = 'error' OR (?4 AND stage IN ('success', 'already'))
    OR (stage = 'waiting' AND (activation_id, force, schedule, post_command, group_id) IS NOT (?3, ?4, ?5, ?6, NULL))
"""


async def would_affect(
    tx: Tx,
    package: PackageId,
    computers: Sequence[ComputerId],
    *,
    activation: int | None,
    force: bool,
    schedule: str,
    post_command: str,
) -> tuple[int, int]:
    """What `affect` would do to these computers: how many new rows, how many that wait anew."""
    row = await tx.row(
        f"""
        SELECT count(*), coalesce(sum({_WAITS_ANEW}), 0)
          FROM json_each(?1) CROSS JOIN affectation ON computer_id = value AND package_id = ?2
        """,
        (json.dumps(computers), package, activation, int(force), schedule, post_command),
    )
    assert row is not None
    return len(computers) - row[0], row[1]


async def note_affected(tx: Tx, rows: Sequence[tuple[int, str, str]]) -> None:
    """Events for computer, package and detail."""
    await tx.many(
        "INSERT INTO event (computer_id, package_id, at, kind, detail) VALUES (?, ?, ?, 'affected', ?)",
        ((computer, package, tx.now, detail) for computer, package, detail in rows),
    )


async def notified(tx: Tx, computer: ComputerId, packages: Sequence[PackageId]) -> None:
    """What a contact announces for the first time: the stage, the moment, an event each."""
    values = [(tx.now, computer, package) for package in packages]
    await tx.many(
        "UPDATE affectation SET stage = 'notified', notified_at = ?1, changed_at = ?1 "
        "WHERE computer_id = ?2 AND package_id = ?3 AND stage = 'waiting'",
        values,
    )
    await tx.many(
        "INSERT INTO event (at, computer_id, package_id, kind, detail) VALUES (?, ?, ?, 'announced', '')", values
    )


async def fetched(tx: Tx, computer: ComputerId, package: str, done: int) -> None:
    """How many fragments the computer has: only of what is announced, only upwards, never more than there are."""
    await tx.run(
        "UPDATE affectation SET fetched = ?3, fetched_at = ?4 "
        "WHERE computer_id = ?1 AND package_id = ?2 AND stage = 'notified' AND fetched < ?3 "
        "AND ?3 <= (SELECT fragments FROM package WHERE id = ?2)",
        (computer, package, done, tx.now),
    )


async def finish(tx: Tx, computer: ComputerId, package: str, stage: Stage, received: str) -> None:
    """An outcome and the code it came with."""
    await tx.run(
        "UPDATE affectation SET stage = ?, received = ?, changed_at = ? WHERE computer_id = ? AND package_id = ?",
        (stage.value, received, tx.now, computer, package),
    )


async def were_there(tx: Tx, computer: ComputerId, stages: Mapping[PackageId, Stage], received: str) -> None:
    """Packages that a contact finds installed already: their new stages, an event each."""
    await tx.many(
        "UPDATE affectation SET stage = ?, received = ?, changed_at = ? WHERE computer_id = ? AND package_id = ?",
        ((stage.value, received, tx.now, computer, package) for package, stage in stages.items()),
    )
    await tx.many(
        "INSERT INTO event (computer_id, package_id, at, kind, detail) VALUES (?, ?, ?, 'result', ?)",
        ((computer, package, tx.now, received) for package in stages),
    )


async def note(tx: Tx, computer: ComputerId, package: str, kind: str, detail: str) -> None:
    """Append an event."""
    await tx.run(
        "INSERT INTO event (computer_id, package_id, at, kind, detail) VALUES (?, ?, ?, ?, ?)",
        (computer, package, tx.now, kind, detail),
    )


async def event_count(tx: Tx, computer: ComputerId, package: str) -> int:
    """How many events one package has on one computer."""
    return int(
        await tx.value("SELECT count(*) FROM event WHERE computer_id = ? AND package_id = ?", (computer, package))
    )


async def unaffect(
    tx: Tx,
    package: PackageId,
    *,
    computers: Sequence[ComputerId] | None = None,
    stages: Sequence[Stage] = tuple(Stage),
    spare_groups: bool = False,
) -> int:
    """Take affectations in the given stages away, of these computers or of all: how many went.

    `spare_groups`: rows stay that a group would bring back at the next contact.
    """
    where, values = f"package_id = ? AND stage IN {_OF_THESE}", [package, json.dumps([s.value for s in stages])]
    if computers is not None:
        where += f" AND computer_id IN {_OF_THESE}"
        values.append(json.dumps(computers))
    if spare_groups:
        where += f" AND NOT {_HELD_BY_GROUP}"
    return await remove(tx, where, values)


async def held_by_groups(tx: Tx, package: PackageId) -> dict[Stage, int]:
    """How many rows of a package stand where that a group would bring back."""
    rows = await tx.rows(
        "SELECT a.stage, count(*) FROM group_affectation ga CROSS JOIN affectation a ON a.group_id = ga.group_id "
        "AND a.package_id = ga.package_id WHERE ga.package_id = ? GROUP BY a.stage",
        (package,),
    )
    return {Stage(row[0]): row[1] for row in rows}


async def remove(tx: Tx, where: str, values: Sequence[object]) -> int:
    """Take the rows away that a condition names: how many went, each with its event."""
    rows = await tx.rows(f"DELETE FROM affectation WHERE {where} RETURNING computer_id, package_id, stage", values)
    await tx.many(
        "INSERT INTO event (computer_id, package_id, at, kind, detail) VALUES (?, ?, ?, 'unaffected', ?)",
        ((row[0], row[1], tx.now, row[2]) for row in rows),
    )
    return len(rows)


async def events(tx: Tx, computer: ComputerId, limit: int) -> list[Happening]:
    """The newest events of a computer, newest first."""
    rows = await tx.rows("SELECT * FROM event WHERE computer_id = ? ORDER BY id DESC LIMIT ?", (computer, limit))
    return [Happening(row["at"], row["package_id"], row["kind"], row["detail"]) for row in rows]


def _affectation(row: Row) -> Affectation:
    return Affectation(
        computer=ComputerId(row["computer_id"]),
        package=PackageId(row["package_id"]),
        package_name=row["package_name"],
        priority=row["priority"],
        stage=_STAGES[row["stage"]],
        received=row["received"],
        force=bool(row["force"]),
        schedule=row["schedule"],
        post_command=row["post_command"],
        notified_at=row["notified_at"],
        changed_at=row["changed_at"],
        info_location=row["info_location"],
        fragment_location=row["fragment_location"],
        group=None if row["group_id"] is None else GroupId(row["group_id"]),
        group_name=row["group_name"],
        fragments=row["fragments"],
        fetched=row["fetched"],
        fetched_at=row["fetched_at"],
    )
