"""What is affected to groups, and the rows that their members get for it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from appliance.domain.affectation import GroupAffectation
from appliance.domain.computer import ComputerId
from appliance.domain.group import GroupId
from appliance.domain.package import PackageId
from appliance.store.affectations import note_affected
from appliance.store.affectations import remove as remove_affectations
from appliance.store.database import Tx


async def arm(
    tx: Tx,
    groups: Sequence[GroupId],
    computers: Sequence[ComputerId],
    *,
    package: PackageId | None = None,
    again: bool = False,
    all_groups: bool = False,
) -> int:
    """Give members what is affected to their groups, one package or all: how many rows wait anew.

    A computer's own row decides over its groups' (checklist 25), and what its history has is not armed. `again`:
    errors wait again. `all_groups`: these are all the groups of the computers, so what waits for another is taken over.
    """
    rows = await tx.rows(
        """
        INSERT INTO affectation (computer_id, package_id, activation_id, stage, schedule, post_command, affected_at,
                                 changed_at, group_id)
        SELECT c.value, ga.package_id, ga.activation_id, 'waiting', ga.schedule, ga.post_command, ?5, ?5, ga.group_id
          FROM json_each(?1) c
         CROSS JOIN group_affectation ga
         WHERE ga.group_id IN (SELECT value FROM json_each(?2)) AND (?3 IS NULL OR ga.package_id = ?3)
           AND NOT EXISTS (SELECT 1 FROM history h WHERE h.computer_id = c.value AND h.package_id = ga.package_id)
         ORDER BY ga.affected_at, ga.group_id
        ON CONFLICT (computer_id, package_id) DO UPDATE
           SET activation_id = excluded.activation_id, stage = 'waiting', received = '', force = 0,
               schedule = excluded.schedule, post_command = excluded.post_command,
               affected_at = excluded.affected_at, notified_at = NULL, changed_at = excluded.changed_at,
               fetched = 0, fetched_at = NULL, group_id = excluded.group_id
         WHERE (group_id = excluded.group_id AND ((?4 AND stage = 'error') OR (stage = 'waiting'
                AND (activation_id, schedule, post_command) IS NOT
                    (excluded.activation_id, excluded.schedule, excluded.post_command))))
            OR (?6 AND stage = 'waiting' AND group_id NOT IN (SELECT value FROM json_each(?2)))
        RETURNING computer_id, package_id, group_id
        """,
        (json.dumps(computers), json.dumps(groups), package, int(again), tx.now, int(all_groups)),
    )
    await note_affected(tx, [(row[0], row[1], f"group {row[2]}") for row in rows])
    return len(rows)


async def would_arm(
    tx: Tx,
    group: GroupId,
    package: PackageId,
    computers: Sequence[ComputerId],
    *,
    activation: int | None,
    schedule: str,
    post_command: str,
) -> tuple[int, int]:
    """What affecting a package to a group would do to its members: how many new rows, how many that wait anew."""
    row = await tx.row(
        """
        SELECT coalesce(sum(a.computer_id IS NULL), 0),
               coalesce(sum(a.group_id = ?2 AND (a.stage = 'error' OR (a.stage = 'waiting'
                   AND (a.activation_id, a.schedule, a.post_command) IS NOT (?4, ?5, ?6)))), 0)
          FROM json_each(?1) c
          LEFT JOIN affectation a ON a.computer_id = c.value AND a.package_id = ?3
         WHERE NOT EXISTS (SELECT 1 FROM history h WHERE h.computer_id = c.value AND h.package_id = ?3)
        """,
        (json.dumps(computers), group, package, activation, schedule, post_command),
    )
    assert row is not None
    return row[0], row[1]


async def affect(
    tx: Tx, group: GroupId, package: PackageId, *, activation: int | None, schedule: str, post_command: str
) -> None:
    """Affect a package to a group; its members are armed by `arm`."""
    await tx.run(
        "INSERT OR REPLACE INTO group_affectation "
        "(group_id, package_id, activation_id, schedule, post_command, affected_at) VALUES (?, ?, ?, ?, ?, ?)",
        (group, package, activation, schedule, post_command, tx.now),
    )


async def affectations(
    tx: Tx, *, group: GroupId | None = None, package: PackageId | None = None
) -> list[GroupAffectation]:
    """What is affected to groups: of one group, of one package, or all; by group, then package."""
    rows = await tx.rows(
        "SELECT ga.*, g.name AS group_name, p.name AS package_name FROM group_affectation ga "
        "JOIN computer_group g ON g.id = ga.group_id JOIN package p ON p.id = ga.package_id "
        "WHERE (?1 IS NULL OR ga.group_id = ?1) AND (?2 IS NULL OR ga.package_id = ?2) "
        "ORDER BY g.name COLLATE NOCASE, p.id",
        (group, package),
    )
    return [
        GroupAffectation(
            group=GroupId(row["group_id"]),
            group_name=row["group_name"],
            package=PackageId(row["package_id"]),
            package_name=row["package_name"],
            activation=row["activation_id"],
            schedule=row["schedule"],
            post_command=row["post_command"],
            affected_at=row["affected_at"],
        )
        for row in rows
    ]


async def take_away(tx: Tx, group: GroupId, package: PackageId | None = None) -> tuple[int, int]:
    """Unaffect one package or all from a group, with the rows of it that wait: how many of both went."""
    values = (group, package)
    gone = await tx.run("DELETE FROM group_affectation WHERE group_id = ?1 AND (?2 IS NULL OR package_id = ?2)", values)
    waiting = "group_id = ?1 AND (?2 IS NULL OR package_id = ?2) AND stage = 'waiting'"
    return gone, await remove_affectations(tx, waiting, values)
