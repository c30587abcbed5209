"""Packages, their fragments and activations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.domain.affectation import Activation
from appliance.domain.package import (
    Action,
    Notice,
    Order,
    Package,
    PackageId,
    Payload,
    Piece,
    Protocol,
    System,
    next_id,
)
from appliance.store.database import Row, Tx


@dataclass(frozen=True)
class Marks:
    """SHA-256 of the two files that describe a package."""

    info: str
    manifest: str


async def reserve_id(tx: Tx) -> PackageId:
    """A new id, never handed out before or again, whatever the clock does."""
    last = await tx.value("SELECT last FROM sequence WHERE name = 'package'")
    package = next_id(last, tx.now)
    await tx.run("UPDATE sequence SET last = ? WHERE name = 'package'", (int(package),))
    return package


async def add(tx: Tx, package: Package, pieces: Iterable[Piece], marks: Marks) -> None:
    """The row of a built package, its bytes being on the shelf already."""
    values = {**_order_values(package.order), **_payload_values(package.payload)}
    values |= {"id": package.id, "built_at": package.built_at}
    values |= {"info_sha256": marks.info, "manifest_sha256": marks.manifest}
    places = ", ".join("?" * len(values))
    await tx.run(f"INSERT INTO package ({', '.join(values)}) VALUES ({places})", tuple(values.values()))
    await _put_pieces(tx, package.id, pieces)


async def change(tx: Tx, package: Package, pieces: Iterable[Piece] | None, marks: Marks) -> None:
    """The row after an edit; `pieces` None leaves the fragments as they are."""
    values = {**_order_values(package.order), **_payload_values(package.payload)}
    values |= {"info_sha256": marks.info, "manifest_sha256": marks.manifest, "edited_at": tx.now}
    columns = ", ".join(f"{name} = ?" for name in values)
    await tx.run(f"UPDATE package SET {columns} WHERE id = ?", (*values.values(), package.id))
    if pieces is not None:
        await tx.run("DELETE FROM fragment WHERE package_id = ?", (package.id,))
        await _put_pieces(tx, package.id, pieces)


async def remove(tx: Tx, package: PackageId) -> bool:
    """Take the row away with its activations and affectations; whether it was there."""
    return await tx.run("DELETE FROM package WHERE id = ?", (package,)) > 0


async def find(tx: Tx, package: str) -> Package | None:
    """One package by its id."""
    row = await tx.row("SELECT * FROM package WHERE id = ?", (package,))
    return _package(row) if row else None


async def with_name(tx: Tx, name: str) -> PackageId | None:
    """The id of the package of that name."""
    found = await tx.value("SELECT id FROM package WHERE name = ?", (name,))
    return PackageId(found) if found else None


async def every(tx: Tx) -> list[Package]:
    """All packages, newest first."""
    return [_package(row) for row in await tx.rows("SELECT * FROM package ORDER BY id DESC")]


async def manifest_digests(tx: Tx) -> dict[str, str]:
    """The SHA-256 of the manifest of every package, by id."""
    return {row[0]: row[1] for row in await tx.rows("SELECT id, manifest_sha256 FROM package")}


async def any_at_all(tx: Tx) -> bool:
    """Whether there is a package; the cheapest question to the database."""
    return await tx.row("SELECT 1 FROM package LIMIT 1") is not None


async def marks(tx: Tx, package: str) -> Marks | None:
    """The digests of the files that belong to the row."""
    row = await tx.row("SELECT info_sha256, manifest_sha256 FROM package WHERE id = ?", (package,))
    return Marks(row[0], row[1]) if row else None


async def piece(tx: Tx, package: str, number: int) -> Piece | None:
    """One fragment's size and SHA-256."""
    found = await marked_piece(tx, package, number)
    return found[0] if found else None


async def marked_piece(tx: Tx, package: str, number: int) -> tuple[Piece, str] | None:
    """One fragment's size and SHA-256, with the SHA-256 of the package's manifest."""
    row = await tx.row(
        "SELECT f.size, f.sha256, p.manifest_sha256 FROM fragment f JOIN package p ON p.id = f.package_id "
        "WHERE f.package_id = ? AND f.number = ?",
        (package, number),
    )
    return (Piece(row[0], row[1]), row[2]) if row else None


async def pieces_of(tx: Tx, package: PackageId) -> list[Piece]:
    """All fragments of a package, in order."""
    rows = await tx.rows("SELECT size, sha256 FROM fragment WHERE package_id = ? ORDER BY number", (package,))
    return [Piece(row["size"], row["sha256"]) for row in rows]


async def activate(tx: Tx, package: PackageId, info_location: str, fragment_location: str) -> int:
    """A new activation's number, or the number of the one that is the same."""
    await tx.run(
        "INSERT OR IGNORE INTO activation (package_id, info_location, fragment_location, activated_at) "
        "VALUES (?, ?, ?, ?)",
        (package, info_location, fragment_location, tx.now),
    )
    return int(
        await tx.value(
            "SELECT id FROM activation WHERE package_id = ? AND info_location = ? AND fragment_location = ?",
            (package, info_location, fragment_location),
        )
    )


async def unactivate(tx: Tx, package: PackageId, activation: int | None) -> int:
    """Take one activation away, or all of a package: how many went."""
    if activation is None:
        return await tx.run("DELETE FROM activation WHERE package_id = ?", (package,))
    return await tx.run("DELETE FROM activation WHERE package_id = ? AND id = ?", (package, activation))


async def activations(tx: Tx, package: PackageId | None = None) -> list[Activation]:
    """The activations of one package or of all, oldest first."""
    where, values = ("WHERE package_id = ?", (package,)) if package else ("", ())
    rows = await tx.rows(f"SELECT * FROM activation {where} ORDER BY id", values)
    return [
        Activation(
            row["id"],
            PackageId(row["package_id"]),
            row["info_location"],
            row["fragment_location"],
            row["activated_at"],
        )
        for row in rows
    ]


async def locations(tx: Tx, protocol: Protocol, most: int = 20) -> list[tuple[str, str]]:
    """Where packages with that protocol are activated: info and fragments, the newest pair first."""
    rows = await tx.rows(
        "SELECT v.info_location, v.fragment_location FROM activation v JOIN package p ON p.id = v.package_id "
        "WHERE p.protocol = ? GROUP BY 1, 2 ORDER BY max(v.id) DESC LIMIT ?",
        (protocol.value, most),
    )
    return [(row[0], row[1]) for row in rows]


async def groups_affected(tx: Tx, package: PackageId) -> list[str]:
    """The names of the groups that a package is affected to."""
    rows = await tx.rows(
        "SELECT g.name FROM group_affectation a JOIN computer_group g ON g.id = a.group_id "
        "WHERE a.package_id = ? ORDER BY g.name",
        (package,),
    )
    return [row["name"] for row in rows]


async def edits_begun(tx: Tx, package: PackageId) -> int:
    """How many drafts there are that edit a package."""
    return int(await tx.value("SELECT count(*) FROM draft WHERE package_id = ?", (package,)))


async def _put_pieces(tx: Tx, package: PackageId, pieces: Iterable[Piece]) -> None:
    await tx.many(
        "INSERT INTO fragment (package_id, number, size, sha256) VALUES (?, ?, ?, ?)",
        ((package, number, piece.size, piece.sha256) for number, piece in enumerate(pieces, 1)),
    )


def _order_values(order: Order) -> dict[str, str | int | None]:
    notice = order.notice
    return {
        "name": order.name,
        "description": order.description,
        "system": order.system.value,
        "protocol": order.protocol.value,
        "priority": order.priority,
        "action": order.action.value,
        "argument": order.argument,
        "notice_text": notice.text if notice else None,
        "notice_countdown": notice.countdown if notice else 0,
        "notice_cancel": int(notice.may_cancel) if notice else 0,
        "notice_delay": int(notice.may_delay) if notice else 0,
        "done_text": order.done_text,
    }


def _payload_values(payload: Payload | None) -> dict[str, str | int | None]:
    return {
        "size": payload.size if payload else None,
        "fragment_size": payload.fragment_size if payload else None,
        "fragments": payload.fragments if payload else None,
        "md5": payload.md5 if payload else None,
        "sha256": payload.sha256 if payload else None,
        "format": payload.format if payload else None,
    }


def _package(row: Row) -> Package:
    notice = None
    if row["notice_text"] is not None:
        notice = Notice(
            row["notice_text"], row["notice_countdown"], bool(row["notice_cancel"]), bool(row["notice_delay"])
        )
    payload = None
    if row["size"] is not None:
        payload = Payload(row["size"], row["fragment_size"], row["fragments"], row["md5"], row["sha256"], row["format"])
    order = Order(
        name=row["name"],
        system=System(row["system"]),
        action=Action(row["action"]),
        argument=row["argument"],
        description=row["description"],
        protocol=Protocol(row["protocol"]),
        priority=row["priority"],
        notice=notice,
        done_text=row["done_text"],
    )
    return Package(PackageId(row["id"]), order, payload, row["built_at"])
