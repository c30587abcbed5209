"""Computers that joined, their certificates, tokens to join with, doubtful posts and what was decided of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.domain.computer import ComputerId
from appliance.domain.group import GroupId
from appliance.domain.identity import Case, Decision, Doubt, JoinToken, Member
from appliance.store.database import Row, Tx

MOST_OPEN = 1000  # doubts that wait; beyond it new ones are not noted, and what they ask is not done either
LONGEST_MARK = 1024
MOST_DECIDED = 1000  # of those that are told of afterwards

_MEMBER = """
    SELECT m.computer_id, m.joined_at, c.sha256, c.serial, c.expires_at
      FROM member m JOIN member_certificate c ON c.computer_id = m.computer_id
"""
_NEWEST = "ORDER BY c.issued_at DESC, c.used_at IS NULL DESC, c.sha256"


@dataclass(frozen=True)
class Holder:
    """Whose certificate it is."""

    computer: ComputerId
    device_id: str
    expires_at: int
    used_at: int | None


# Computers that joined


async def member(tx: Tx, computer: ComputerId) -> Member | None:
    """The membership of a computer."""
    row = await tx.row(f"{_MEMBER} WHERE m.computer_id = ? {_NEWEST}", (computer,))
    return _member(row) if row else None


async def is_member(tx: Tx, computer: ComputerId) -> bool:
    """Whether a computer joined."""
    return await tx.value("SELECT 1 FROM member WHERE computer_id = ?", (computer,)) is not None


async def has_proven_itself(tx: Tx, computer: ComputerId) -> bool:
    """Whether a computer joined and has used its certificate since."""
    used = await tx.value(
        "SELECT 1 FROM member_certificate WHERE computer_id = ? AND used_at IS NOT NULL LIMIT 1", (computer,)
    )
    return used is not None


async def members(tx: Tx) -> dict[ComputerId, Member]:
    """All computers that joined."""
    found: dict[ComputerId, Member] = {}
    for row in await tx.rows(f"{_MEMBER} {_NEWEST}"):
        found.setdefault(ComputerId(row["computer_id"]), _member(row))
    return found


async def holder(tx: Tx, fingerprint: str) -> Holder | None:
    """Whose certificate that is; None where it is nobody's any more."""
    row = await tx.row(
        "SELECT m.computer_id, c.device_id, m.expires_at, m.used_at FROM member_certificate m "
        "JOIN computer c ON c.id = m.computer_id WHERE m.sha256 = ?",
        (fingerprint,),
    )
    return Holder(ComputerId(row[0]), row[1], row[2], row[3]) if row else None


async def add_member(tx: Tx, computer: ComputerId) -> None:
    """From now on that computer proves who it is."""
    await tx.run("INSERT OR REPLACE INTO member (computer_id, joined_at) VALUES (?, ?)", (computer, tx.now))


async def add_certificate(tx: Tx, computer: ComputerId, fingerprint: str, serial: str, expires_at: int) -> None:
    """A certificate for a computer that joined; others that were never used are void, the one in use goes on."""
    await tx.run("DELETE FROM member_certificate WHERE computer_id = ? AND used_at IS NULL", (computer,))
    await tx.run(
        "INSERT INTO member_certificate (sha256, computer_id, serial, issued_at, expires_at) VALUES (?, ?, ?, ?, ?)",
        (fingerprint, computer, serial, tx.now, expires_at),
    )


async def first_used(tx: Tx, computer: ComputerId, fingerprint: str) -> None:
    """A certificate was used for the first time: those before it are void."""
    await tx.run("UPDATE member_certificate SET used_at = ? WHERE sha256 = ?", (tx.now, fingerprint))
    await tx.run("DELETE FROM member_certificate WHERE computer_id = ? AND sha256 <> ?", (computer, fingerprint))


async def end_membership(tx: Tx, computer: ComputerId) -> bool:
    """Its certificates are void; whether it had joined."""
    return await tx.run("DELETE FROM member WHERE computer_id = ?", (computer,)) > 0


# Tokens

_TOKEN = """
    SELECT t.*, coalesce(g.name, '') AS group_name
      FROM join_token t LEFT JOIN computer_group g ON g.id = t.group_id
"""


async def add_token(
    tx: Tx, sha256: str, created_by: str, expires_at: int, uses: int, tag: str, group: GroupId | None
) -> int:
    """Keep a token: its number."""
    return await tx.insert(
        "INSERT INTO join_token (sha256, created_at, created_by, expires_at, uses, tag, group_id) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (sha256, tx.now, created_by, expires_at, uses, tag, group),
    )


async def tokens(tx: Tx) -> list[JoinToken]:
    """The tokens that can still be used, the newest first."""
    rows = await tx.rows(f"{_TOKEN} WHERE t.uses > 0 AND t.expires_at > ? ORDER BY t.id DESC", (tx.now,))
    return [_token(row) for row in rows]


async def is_token(tx: Tx, sha256: str) -> bool:
    """Whether a token can still be used."""
    return (
        await tx.row(f"{_TOKEN} WHERE t.sha256 = ? AND t.uses > 0 AND t.expires_at > ?", (sha256, tx.now)) is not None
    )


async def use_token(tx: Tx, sha256: str) -> JoinToken | None:
    """Use a token once; None where it is unknown, used up or has ended. What has ended is forgotten."""
    row = await tx.row(f"{_TOKEN} WHERE t.sha256 = ? AND t.uses > 0 AND t.expires_at > ?", (sha256, tx.now))
    if row:
        await tx.run("UPDATE join_token SET uses = uses - 1 WHERE id = ?", (row["id"],))
    await tx.run("DELETE FROM join_token WHERE uses < 1 OR expires_at <= ?", (tx.now,))
    return _token(row) if row else None


async def drop_token(tx: Tx, number: int) -> bool:
    """Take a token back; whether it was there."""
    return await tx.run("DELETE FROM join_token WHERE id = ?", (number,)) > 0


# Doubts

_CASE = """
    SELECT d.*, c.name, c.device_id, coalesce(o.name, '') AS other_name, coalesce(o.device_id, '') AS other_device_id,
           EXISTS (SELECT 1 FROM member WHERE computer_id = o.id) AS other_joined
      FROM doubt d JOIN computer c ON c.id = d.computer_id LEFT JOIN computer o ON o.id = d.other_id
"""


async def note(
    tx: Tx,
    doubt: Doubt,
    computer: ComputerId,
    *,
    other: ComputerId | None = None,
    address: str,
    detail: str = "",
    held: bool = False,
    decision: Decision = Decision.OPEN,
) -> None:
    """Note a doubt; the same once more is counted. One that was refused before is not asked again."""
    same = (doubt.value, computer, other)
    if decision is Decision.OPEN:
        changed = await tx.run(
            "UPDATE doubt SET count = count + 1, last_at = ?, address = ?, detail = ? "
            "WHERE kind = ? AND computer_id = ? AND other_id IS ? AND decision IN ('', 'refused')",
            (tx.now, address, detail, *same),
        )
        if changed or await open_count(tx) >= MOST_OPEN:
            return
    await tx.run(
        "INSERT INTO doubt (kind, computer_id, other_id, address, detail, first_at, last_at, held, decision) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*same, address, detail, tx.now, tx.now, int(held), decision.value),
    )
    if decision is not Decision.OPEN:
        await tx.run(
            "DELETE FROM doubt WHERE decision = 'happened' AND id <= "
            "(SELECT id FROM doubt WHERE decision = 'happened' ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (MOST_DECIDED,),
        )


async def open_count(tx: Tx) -> int:
    """How many wait for a decision."""
    return int(await tx.value("SELECT count(*) FROM doubt WHERE decision = ''"))


async def cases(tx: Tx, limit: int, *, computer: ComputerId | None = None) -> list[Case]:
    """The doubts, those that wait first, then the newest; of one computer or of all."""
    where, values = ("WHERE d.computer_id = ?1 OR d.other_id = ?1", [computer]) if computer else ("", [])
    rows = await tx.rows(
        f"{_CASE} {where} ORDER BY d.decision <> '', d.last_at DESC, d.id DESC LIMIT {limit:d}", values
    )
    return [_case(row) for row in rows]


async def case(tx: Tx, number: int) -> Case | None:
    """One doubt."""
    row = await tx.row(f"{_CASE} WHERE d.id = ?", (number,))
    return _case(row) if row else None


async def decide(tx: Tx, number: int, decision: Decision, by: str, *, held: bool) -> None:
    """Keep what was decided."""
    await tx.run(
        "UPDATE doubt SET decision = ?, decided_at = ?, decided_by = ?, held = ? WHERE id = ?",
        (decision.value, tx.now, by, int(held), number),
    )


async def held(tx: Tx, among: Sequence[ComputerId]) -> set[ComputerId]:
    """For which of these a decision is to be waited for before anything is deployed to them."""
    rows = await tx.rows(
        "SELECT computer_id FROM doubt WHERE held AND computer_id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(among)),),
    )
    return {ComputerId(row[0]) for row in rows}


async def let_in(tx: Tx, computer: ComputerId, by: str) -> None:
    """A newcomer need not wait any more."""
    await tx.run(
        "UPDATE doubt SET decision = 'accepted', decided_at = ?, decided_by = ?, held = 0 "
        "WHERE computer_id = ? AND kind = 'new'",
        (tx.now, by, computer),
    )


async def sighted(tx: Tx, kind: str, computer: ComputerId, mark: str, within: int) -> int:
    """A computer showed itself as `mark`: how often it came back to that from another one, within so many seconds."""
    same = (computer, kind)
    mark = mark[:LONGEST_MARK]
    await tx.run("DELETE FROM sighting WHERE computer_id = ? AND kind = ? AND at < ?", (*same, tx.now - within))
    known = await tx.row(
        "SELECT turns, newest FROM sighting WHERE computer_id = ? AND kind = ? AND mark = ?", (*same, mark)
    )
    turns = 0 if known is None else int(known["turns"]) + (0 if known["newest"] else 1)
    await tx.run("UPDATE sighting SET newest = 0 WHERE computer_id = ? AND kind = ?", same)
    await tx.run(
        "INSERT OR REPLACE INTO sighting (computer_id, kind, mark, at, turns, newest) VALUES (?, ?, ?, ?, ?, 1)",
        (*same, mark, tx.now, turns),
    )
    return turns


def _member(row: Row) -> Member:
    return Member(ComputerId(row["computer_id"]), row["joined_at"], row["expires_at"], row["sha256"], row["serial"])


def _token(row: Row) -> JoinToken:
    return JoinToken(
        row["id"],
        row["created_at"],
        row["created_by"],
        row["expires_at"],
        row["uses"],
        row["tag"],
        None if row["group_id"] is None else GroupId(row["group_id"]),
        row["group_name"],
    )


def _case(row: Row) -> Case:
    return Case(
        id=row["id"],
        doubt=Doubt(row["kind"]),
        computer=ComputerId(row["computer_id"]),
        name=row["name"],
        device_id=row["device_id"],
        other=None if row["other_id"] is None else ComputerId(row["other_id"]),
        other_name=row["other_name"],
        other_device_id=row["other_device_id"],
        other_joined=bool(row["other_joined"]),
        address=row["address"],
        detail=row["detail"],
        first_at=row["first_at"],
        last_at=row["last_at"],
        count=row["count"],
        held=bool(row["held"]),
        decision=Decision(row["decision"]),
        decided_at=row["decided_at"],
        decided_by=row["decided_by"],
    )
