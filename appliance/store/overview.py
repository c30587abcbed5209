"""Numbers for the first page, each in one query."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.domain.package import PackageId
from appliance.domain.status import Stage
from appliance.store.database import Tx


@dataclass(frozen=True)
class Running:
    """A package that is on its way to some computers."""

    package: PackageId
    name: str
    waiting: int
    notified: int
    success: int
    error: int


async def computers(tx: Tx, since: int) -> tuple[int, int]:
    """How many computers there are, and how many made a contact after `since`."""
    row = await tx.row(
        "SELECT (SELECT count(*) FROM computer), (SELECT count(*) FROM computer WHERE last_contact > ?)", (since,)
    )
    assert row is not None
    return row[0], row[1]


async def packages(tx: Tx) -> tuple[int, int]:
    """How many packages there are, and how many of them are activated."""
    row = await tx.row("SELECT (SELECT count(*) FROM package), (SELECT count(DISTINCT package_id) FROM activation)")
    assert row is not None
    return row[0], row[1]


async def stages(tx: Tx) -> dict[Stage, int]:
    """How many affectations stand where."""
    rows = await tx.rows("SELECT stage, sum(computers) FROM affectation_count GROUP BY stage")
    found = {Stage(row[0]): row[1] for row in rows}
    return {stage: found.get(stage, 0) for stage in Stage}


async def running(tx: Tx, limit: int) -> list[Running]:
    """The newest packages that wait for the outcome of some computer."""
    rows = await tx.rows(
        """
        SELECT p.id, p.name,
               sum(a.computers) FILTER (WHERE a.stage = 'waiting'),
               sum(a.computers) FILTER (WHERE a.stage = 'notified'),
               sum(a.computers) FILTER (WHERE a.stage IN ('success', 'already')),
               sum(a.computers) FILTER (WHERE a.stage = 'error')
          FROM package p JOIN affectation_count a ON a.package_id = p.id
         GROUP BY p.id HAVING sum(a.stage IN ('waiting', 'notified'))
         ORDER BY p.id DESC LIMIT ?
        """,
        (limit,),
    )
    return [Running(PackageId(row[0]), row[1], *(count or 0 for count in tuple(row)[2:])) for row in rows]
