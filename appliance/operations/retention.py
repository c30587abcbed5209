"""What is kept for how long, by rule: events EVENT_DAYS, computers that fell silent COMPUTER_DAYS, the log for ever.

Once a day, in small transactions, so that agents are answered meanwhile. A clock that jumps, or a server that was
switched off for long, must not take everything at once: after such a gap nothing goes for a while.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

from appliance.domain.log import Deed
from appliance.domain.refusal import Refusal
from appliance.operations.desk import Desk
from appliance.store import configuration, log, retention
from appliance.store.database import Tx

LOG = logging.getLogger("ocs.retention")
LOOK_SECONDS = 60.0
RUNTIME = "last_retention"
DAY = 86_400
GAP = 7 * DAY  # between two rounds: longer, and the server was away, or its clock was wrong
GRACE_DAYS = 30  # that computers have to make themselves heard after a gap
FOUND_AT_ONCE = 5000
REMOVED_AT_ONCE = 500
COMPUTERS_AT_ONCE = 50  # and in one entry of the log, which names them all
REST = 0.05  # seconds between two transactions: others write, too


@dataclass(frozen=True)
class LastRound:
    """What the last round took away. `since`: from when on the server has looked every day."""

    at: int  # seconds since 1970
    since: int
    events: int = 0
    computers: int = 0
    softwares: int = 0
    values: int = 0


async def retaining(desk: Desk) -> None:
    """A round each day, until cancelled. The server runs it beside its listeners."""
    while True:
        try:
            await clean_if_due(desk)
        except Refusal as refusal:
            LOG.warning("the daily cleaning could not be done: %s", refusal)
        except Exception:
            LOG.exception("the daily cleaning ended in a bug")
        await asyncio.sleep(LOOK_SECONDS)


async def last_round(desk: Desk) -> LastRound | None:
    """What the last round took away; None where there was none yet."""
    async with desk.store.reading() as tx:
        kept = (await configuration.runtime(tx)).get(RUNTIME)
    return LastRound(**json.loads(kept)) if kept else None


async def clean_if_due(desk: Desk) -> LastRound | None:
    """Make today's round where it was not made yet, and keep what it took away; None where none is due."""
    now, last = desk.clock.now(), await last_round(desk)
    if last is not None and last.at <= now < last.at + DAY:
        return None
    async with desk.store.reading() as tx:
        settings = await configuration.settings(tx)
    since = last.since if last is not None and last.at <= now < last.at + GAP else now
    result = LastRound(
        now,
        since,
        await _events(desk, _boundary(now, since, settings.number("EVENT_DAYS"))),
        await _computers(desk, _boundary(now, since, settings.number("COMPUTER_DAYS"))),
        await _by_number(desk, retention.unused_softwares, retention.remove_softwares),
        await _by_number(desk, retention.unsaid_values, retention.remove_values),
    )
    async with desk.store.writing() as tx:
        await configuration.put_runtime(tx, {RUNTIME: json.dumps(asdict(result))})
    if result.events or result.computers:
        LOG.info("too old and taken away: %d events, %d computers", result.events, result.computers)
    return result


def _boundary(now: int, since: int, days: int) -> int | None:
    """What is older goes; None: nothing does, by rule (0 days) or because the server was away."""
    return now - days * DAY if days and now - since >= min(days, GRACE_DAYS) * DAY else None


async def _events(desk: Desk, before: int | None) -> int:
    if before is None:
        return 0
    boundary = before
    return await _by_number(desk, lambda tx, limit: retention.old_events(tx, boundary, limit), retention.remove_events)


async def _computers(desk: Desk, before: int | None) -> int:
    """Each looked at once more in the transaction that deletes it: it may have come back meanwhile."""
    removed = 0
    while before is not None:
        async with desk.store.writing() as tx:
            found = await retention.silent_computers(tx, before, COMPUTERS_AT_ONCE)
            if not found:
                break
            removed += await retention.remove_computers(tx, [computer.id for computer in found])
            names = ", ".join(computer.name for computer in found)
            days = (tx.now - before) // DAY
            await log.append(
                tx, desk.actor, Deed.COMPUTER_DELETED, names, number=len(found), names=names, silent_days=days
            )
        await asyncio.sleep(REST)
    return removed


async def _by_number(
    desk: Desk,
    find: Callable[[Tx, int], Awaitable[list[int]]],
    remove: Callable[[Tx, list[int]], Awaitable[int]],
) -> int:
    """Find many by a reader, who holds nobody up, and remove few at a time: how many went."""
    removed = 0
    while True:
        async with desk.store.reading() as tx:
            found = await find(tx, FOUND_AT_ONCE)
        for begin in range(0, len(found), REMOVED_AT_ONCE):
            async with desk.store.writing() as tx:
                removed += await remove(tx, found[begin : begin + REMOVED_AT_ONCE])
            await asyncio.sleep(REST)
        if len(found) < FOUND_AT_ONCE:
            return removed
