"""A certificate request with its key, and the roots of other authorities that stand in cacert.pem beside our own."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.store.database import Tx


@dataclass(frozen=True)
class Pending:
    """A request that was made here. PEM text."""

    request: str
    private_key: str
    made_at: int


async def pending(tx: Tx) -> Pending | None:
    """The request whose certificate has not been installed yet."""
    row = await tx.row("SELECT request, private_key, made_at FROM certificate_request")
    return Pending(row["request"], row["private_key"], row["made_at"]) if row else None


async def put_pending(tx: Tx, request: str, private_key: str) -> None:
    """Keep a request; it takes the place of one before it."""
    await tx.run(
        "INSERT OR REPLACE INTO certificate_request (id, request, private_key, made_at) VALUES (1, ?, ?, ?)",
        (request, private_key, tx.now),
    )


async def drop_pending(tx: Tx) -> None:
    """Its certificate is installed: the key lies with that now."""
    await tx.run("DELETE FROM certificate_request")


async def foreign_roots(tx: Tx) -> list[str]:
    """The roots of other authorities, PEM each, oldest first."""
    return [row[0] for row in await tx.rows("SELECT certificate FROM foreign_root ORDER BY added_at, sha256")]


async def add_foreign_root(tx: Tx, sha256: str, certificate: str) -> bool:
    """Have agents trust a root, too; whether that is new."""
    changed = await tx.run(
        "INSERT OR IGNORE INTO foreign_root (sha256, certificate, added_at) VALUES (?, ?, ?)",
        (sha256, certificate, tx.now),
    )
    return changed > 0
