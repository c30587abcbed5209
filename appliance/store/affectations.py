"""Which package is affected to which computer, where it stands there, and everything that was said about it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from appliance.domain.affectation import Affectation, Happening, Standing
from appliance.domain.computer import ComputerId
from appliance.domain.package import PackageId
from appliance.domain.status import Stage
from appliance.store.database import Row, Tx

# the activation of an affectation: the one it was given, or the newest of its package
_SELECT = """
    SELECT a.*, p.name AS package_name, p.priority,
           coalesce(v.info_location, '') AS info_location, coalesce(v.fragment_location, '') AS fragment_location
      FROM affectation a
      JOIN package p ON p.id = a.package_id
      LEFT JOIN activation v ON v.id = coalesce(
           a.activation_id, (SELECT max(id) FROM activation WHERE package_id = a.package_id))
"""


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


async def of_package(tx: Tx, package: PackageId) -> list[Standing]:
    """Where a package stands on each of its computers, by computer name."""
    select = _SELECT.replace(
        "SELECT a.*", "SELECT a.*, c.name, c.device_id, c.user_agent, c.last_contact, c.last_inventory"
    )
    rows = await tx.rows(
        f"{select} JOIN computer c ON c.id = a.computer_id WHERE a.package_id = ? ORDER BY c.name, c.id",
        (package,),
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


async def at_work(tx: Tx, package: PackageId, since: int) -> dict[int, str]:
    """By computer: another activated package that was first announced after `since` and has no outcome yet."""
    rows = await tx.rows(
        """
        SELECT o.computer_id, p.name FROM affectation a
          JOIN affectation o ON o.computer_id = a.computer_id AND o.package_id <> a.package_id
          JOIN package p ON p.id = o.package_id
         WHERE a.package_id = ? AND o.stage = 'notified' AND o.notified_at > ?
           AND EXISTS (SELECT 1 FROM activation v WHERE v.package_id = o.package_id)
        """,
        (package, since),
    )
    return {row[0]: row[1] for row in rows}


async def counts(tx: Tx) -> dict[str, dict[Stage, int]]:
    """How many computers stand where, by package; counted from the rows."""
    result: dict[str, dict[Stage, int]] = {}
    for row in await tx.rows("SELECT package_id, stage, count(*) FROM affectation GROUP BY package_id, stage"):
        result.setdefault(row[0], {})[Stage(row[1])] = row[2]
    return result


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

    A row that waits takes over other terms; a row that is under way stays as it is.
    """
    again = "'error', 'success', 'already'" if force else "'error'"
    chosen = json.dumps(list(computers))
    changed = await tx.run(
        f"""
        INSERT INTO affectation (computer_id, package_id, activation_id, stage, force, schedule, post_command,
                                 affected_at, changed_at)
        SELECT value, ?2, ?3, 'waiting', ?4, ?5, ?6, ?7, ?7 FROM json_each(?1) WHERE true
        ON CONFLICT (computer_id, package_id) DO UPDATE
           SET activation_id = excluded.activation_id, stage = 'waiting', received = '', force = excluded.force,
               schedule = excluded.schedule, post_command = excluded.post_command,
               affected_at = excluded.affected_at, notified_at = NULL, changed_at = excluded.changed_at
         WHERE stage IN ({again})
            OR (stage = 'waiting' AND (activation_id, force, schedule, post_command) IS NOT
                (excluded.activation_id, excluded.force, excluded.schedule, excluded.post_command))
        """,
        (chosen, package, activation, int(force), schedule, post_command, tx.now),
    )
    await tx.run(
        "INSERT INTO event (computer_id, package_id, at, kind, detail) "
        "SELECT computer_id, package_id, ?1, 'affected', ?2 FROM affectation JOIN json_each(?3) ON value = computer_id "
        "WHERE package_id = ?4 AND stage = 'waiting' AND affected_at = ?1",
        (tx.now, "force" if force else "", chosen, package),
    )
    return changed


async def notified(tx: Tx, computer: ComputerId, package: str) -> None:
    """An announcement: the stage, and the moment of the first one."""
    changed = await tx.run(
        "UPDATE affectation SET stage = 'notified', notified_at = ?, changed_at = ? "
        "WHERE computer_id = ? AND package_id = ? AND stage = 'waiting'",
        (tx.now, tx.now, computer, package),
    )
    if changed:
        await note(tx, computer, package, "announced", "")


async def finish(tx: Tx, computer: ComputerId, package: str, stage: Stage, received: str) -> None:
    """An outcome and the code it came with."""
    await tx.run(
        "UPDATE affectation SET stage = ?, received = ?, changed_at = ? WHERE computer_id = ? AND package_id = ?",
        (stage.value, received, tx.now, computer, package),
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
) -> int:
    """Take affectations in the given stages away, of these computers or of all: how many went."""
    marks = ", ".join("?" * len(stages))
    where, values = f"package_id = ? AND stage IN ({marks})", [package, *(stage.value for stage in stages)]
    if computers is not None:
        where += " AND computer_id IN (SELECT value FROM json_each(?))"
        values.append(json.dumps(list(computers)))
    await tx.run(
        "INSERT INTO event (computer_id, package_id, at, kind, detail) "
        f"SELECT computer_id, package_id, ?, 'unaffected', stage FROM affectation WHERE {where}",
        (tx.now, *values),
    )
    return await tx.run(f"DELETE FROM affectation WHERE {where}", values)


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
        stage=Stage(row["stage"]),
        received=row["received"],
        force=bool(row["force"]),
        schedule=row["schedule"],
        post_command=row["post_command"],
        notified_at=row["notified_at"],
        changed_at=row["changed_at"],
        info_location=row["info_location"],
        fragment_location=row["fragment_location"],
    )
