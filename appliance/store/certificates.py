"""A certificate request with its key; other authorities in cacert.pem beside our own; which computers know ours."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.store.database import Tx


@dataclass(frozen=True)
class Pending:
    """A request that was made here. PEM text."""

    request: str
    private_key: str
    made_at: int


@dataclass(frozen=True)
class Change:
    """A change of authority that is under way. PEM text."""

    former: str
    crossed: str  # the present authority, signed by the former one
    began_at: int


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


async def change(tx: Tx) -> Change | None:
    """The change of authority that is under way."""
    row = await tx.row("SELECT former, crossed, began_at FROM authority_change WHERE ended_at IS NULL")
    return Change(row["former"], row["crossed"], row["began_at"]) if row else None


async def begin_change(tx: Tx, former: str, crossed: str) -> None:
    """From now on there are two."""
    await tx.run("INSERT INTO authority_change (former, crossed, began_at) VALUES (?, ?, ?)", (former, crossed, tx.now))


async def end_change(tx: Tx) -> None:
    """The server is no longer verified with the former authority."""
    await tx.run("UPDATE authority_change SET ended_at = ? WHERE ended_at IS NULL", (tx.now,))


async def former_authorities(tx: Tx) -> list[str]:
    """All authorities before the present one, PEM each, newest first: also those that agents no longer need."""
    return [row[0] for row in await tx.rows("SELECT former FROM authority_change ORDER BY id DESC")]


async def knows(tx: Tx, computer: int, sha256: str) -> None:
    """Our agent on a computer knows that authority; written only where it is news."""
    await tx.run(
        "INSERT INTO known_authority (computer_id, sha256, told_at) VALUES (?, ?, ?) ON CONFLICT (computer_id) "
        "DO UPDATE SET sha256 = excluded.sha256, told_at = excluded.told_at WHERE sha256 <> excluded.sha256",
        (computer, sha256, tx.now),
    )


async def packages_named(tx: Tx, begin: str) -> list[str]:
    """The packages whose names begin so."""
    rows = await tx.rows("SELECT id FROM package WHERE substr(name, 1, length(?1)) = ?1 ORDER BY id", (begin,))
    return [row[0] for row in rows]


async def adoption(tx: Tx, sha256: str, begin: str, since: int) -> tuple[int, int]:
    """Computers that were seen since then, and those of them that know that authority.

    They told so, or a package brought it to them: one whose name begins with `begin`.
    """
    row = await tx.row(
        """
        SELECT count(*) AS seen,
               coalesce(sum(EXISTS (SELECT 1 FROM known_authority AS k WHERE k.computer_id = c.id AND k.sha256 = ?1)
                   OR EXISTS (SELECT 1 FROM affectation AS a JOIN package AS p ON p.id = a.package_id
                               WHERE a.computer_id = c.id AND a.stage = 'success'
                                 AND substr(p.name, 1, length(?3)) = ?3)), 0) AS knowing
          FROM computer AS c
         WHERE c.last_contact >= ?2
        """,
        (sha256, since, begin),
    )
    assert row is not None
    return row["seen"], row["knowing"]
