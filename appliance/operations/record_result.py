"""A computer reports how a package went. Source: protocol.md 2.5, checklist 12-15."""

from __future__ import annotations

from appliance.domain.messages import Report
from appliance.domain.status import move, outcome, replaces
from appliance.operations.desk import Desk
from appliance.operations.identity import Caller, posting
from appliance.store import affectations, computers

MOST_PER_PACKAGE = 200  # events of one computer and package; an agent in a loop must not fill the disk


async def record_result(desk: Desk, report: Report, caller: Caller) -> None:
    """Keep the code of a package that was affected and announced to a computer we know; else nothing changes.

    The reply is the same for all: agents repeat until they get it. Raises Refusal where it is in the name of another.
    """
    result = outcome(report.code)
    async with posting(desk, report.device_id, caller) as tx:
        computer = await computers.find(tx, report.device_id)
        if computer is None:
            return
        affectation = await affectations.find(tx, computer.id, report.package)
        if affectation is None:
            return
        if await affectations.event_count(tx, computer.id, report.package) < MOST_PER_PACKAGE:
            await affectations.note(tx, computer.id, report.package, "result", result.received)
        stage = move(affectation.stage, result.event)
        if stage is None or affectation.notified_at is None:
            return
        known_better = stage is affectation.stage and not replaces(affectation.received, result.received)
        if not known_better:
            await affectations.finish(tx, computer.id, report.package, stage, result.received)
