"""The log of who did what and when: appended to in the transaction of the deed itself, never changed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from appliance.domain.account import Actor
from appliance.domain.log import Deed, Entry
from appliance.store.database import Row, Tx

LONGEST = 2000  # characters of one detail
MOST_WORDS = 10  # of a search


@dataclass(frozen=True)
class Link:
    """A row as it lies there: what it says (at, actor, through, deed, subject, detail), and its place in the chain."""

    id: int
    said: tuple[object, ...]
    chain: str


async def append(tx: Tx, actor: Actor, deed: Deed, subject: str, /, **detail: object) -> None:
    """Write one entry. `detail` says what changed, as text; secrets never go in."""
    said = json.dumps({name: str(value)[:LONGEST] for name, value in detail.items()}, ensure_ascii=False)
    row = (tx.now, actor.name, actor.through, deed.value, subject[:255], said)
    before = await tx.value("SELECT chain FROM log ORDER BY id DESC LIMIT 1") or ""
    await tx.run(
        "INSERT INTO log (at, actor, through, deed, subject, detail, chain) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*row, link(before, row)),
    )


def link(before: str, row: tuple[object, ...]) -> str:
    """The chain value of a row (at, actor, through, deed, subject, detail) that follows one with `before`."""
    return hashlib.sha256(json.dumps([before, *row], ensure_ascii=True).encode()).hexdigest()


async def entries(
    tx: Tx, *, words: str = "", deed: str = "", before: int | None = None, limit: int = 50
) -> list[Entry]:
    """The newest entries first. Each of the words is somewhere in an entry; `before` pages on by id."""
    where, values = ["1"], list[object]()
    for word in words.split()[:MOST_WORDS]:
        where.append(
            "instr(lower(actor || ' ' || through || ' ' || deed || ' ' || subject || ' ' || detail), lower(?))"
        )
        values.append(word)
    if deed:
        where.append("deed = ?")
        values.append(deed)
    if before is not None:
        where.append("id < ?")
        values.append(before)
    rows = await tx.rows(f"SELECT * FROM log WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?", (*values, limit))
    return [_entry(row) for row in rows]


async def links(tx: Tx, after: int, limit: int) -> list[Link]:
    """The rows after an id as they lie there, the oldest first."""
    rows = await tx.rows("SELECT * FROM log WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
    return [
        Link(
            row["id"],
            (row["at"], row["actor"], row["through"], row["deed"], row["subject"], row["detail"]),
            row["chain"],
        )
        for row in rows
    ]


def _entry(row: Row) -> Entry:
    return Entry(
        row["id"], row["at"], row["actor"], row["through"], row["deed"], row["subject"], json.loads(row["detail"])
    )
