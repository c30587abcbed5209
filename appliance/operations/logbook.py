"""The log for people: page through it, search it, and verify that nobody changed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.domain.account import Right
from appliance.domain.log import Entry
from appliance.operations.desk import Desk
from appliance.store import log

PAGE = 50
CHUNK = 1000  # rows that are read at once


@dataclass(frozen=True)
class Page:
    """Entries, the newest first. `more`: the id to go on before; None at the end."""

    entries: Sequence[Entry]
    more: int | None


@dataclass(frozen=True)
class Verdict:
    """What a walk along the chain found. `broken_at`: the first entry that does not follow from those before it.

    `head` is the digest of the last good entry: kept elsewhere, it also shows when the newest entries were cut off.
    """

    entries: int
    broken_at: int | None
    head: str


async def read_log(desk: Desk, words: str = "", deed: str = "", before: int | None = None, limit: int = PAGE) -> Page:
    """One page of the log: entries with all the words, of one deed, older than the entry `before`."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        found = await log.entries(tx, words=words, deed=deed, before=before, limit=limit + 1)
    return Page(found[:limit], found[limit - 1].id if len(found) > limit else None)


async def verify_log(desk: Desk) -> Verdict:
    """Walk the chain from the first entry to the last."""
    desk.must_have(Right.ADMINISTRATOR)
    count, last, chain = 0, 0, ""
    while True:
        async with desk.store.reading() as tx:  # entries are only added: each chunk may be a picture of its own
            rows = await log.links(tx, last, CHUNK)
        for row in rows:
            if log.link(chain, row.said) != row.chain:
                return Verdict(count, row.id, chain)
            count, last, chain = count + 1, row.id, row.chain
        if len(rows) < CHUNK:
            return Verdict(count, None, chain)
