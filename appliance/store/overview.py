"""Numbers for the first page, each counted in one query."""

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
    found = {Stage(row[0]): row[1] for row in await tx.rows("SELECT stage, count(*) FROM affectation GROUP BY stage")}
    return {stage: found.get(stage, 0) for stage in Stage}


async def running(tx: Tx, limit: int) -> list[Running]:
    """The newest packages that wait for the outcome of some computer."""
    rows = await tx.rows(
        """
        SELECT p.id, p.name,
               sum(a.stage = 'waiting'), sum(a.stage = 'notified'),
               sum(a.stage IN ('success', 'already')), sum(a.stage = 'error')
          FROM package p JOIN affectation a ON a.package_id = p.id
         WHERE p.id IN (SELECT q.id FROM package q WHERE EXISTS (
                   SELECT 1 FROM affectation w WHERE w.package_id = q.id AND w.stage IN ('waiting', 'notified'))
                ORDER BY q.id DESC LIMIT ?)
         GROUP BY p.id ORDER BY p.id DESC
        """,
        (limit,),
    )
    return [Running(PackageId(row[0]), *row[1:]) for row in rows]
