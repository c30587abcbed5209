"""Passwords for agents that cannot join, by their user names. Of the passwords there is the SHA-256 only."""

from __future__ import annotations

from appliance.domain.identity import AgentPassword
from appliance.store.database import Row, Tx

_PASSWORD = "SELECT id, name, sha256, created_at, created_by, used_at FROM agent_password"


async def add(tx: Tx, name: str, sha256: str, created_by: str) -> int:
    """A new one: its number. The name must be free."""
    return await tx.insert(
        "INSERT INTO agent_password (name, sha256, created_at, created_by) VALUES (?, ?, ?, ?)",
        (name, sha256, tx.now, created_by),
    )


async def every(tx: Tx) -> list[AgentPassword]:
    """All of them, by name."""
    return [_password(row) for row in await tx.rows(f"{_PASSWORD} ORDER BY name")]


async def named(tx: Tx, name: str) -> tuple[AgentPassword, str] | None:
    """The one of that name, upper or lower case, and its SHA-256."""
    row = await tx.row(f"{_PASSWORD} WHERE name = ?", (name,))
    return (_password(row), row["sha256"]) if row else None


async def of_id(tx: Tx, number: int) -> AgentPassword | None:
    """The one with that number."""
    row = await tx.row(f"{_PASSWORD} WHERE id = ?", (number,))
    return _password(row) if row else None


async def used(tx: Tx, number: int) -> None:
    """Note that it is used."""
    await tx.run("UPDATE agent_password SET used_at = ? WHERE id = ?", (tx.now, number))


async def remove(tx: Tx, number: int) -> None:
    """Remove one."""
    await tx.run("DELETE FROM agent_password WHERE id = ?", (number,))


def _password(row: Row) -> AgentPassword:
    return AgentPassword(row["id"], row["name"], row["created_at"], row["created_by"], row["used_at"])
