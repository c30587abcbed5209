"""Packages on their way to be built: the form's values; the file itself is the shelf's."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping

from appliance.domain.draft import Draft, DraftId
from appliance.domain.package import PackageId
from appliance.store.database import Row, Tx

KEPT_SECONDS = 48 * 3600  # since the last change


async def add(tx: Tx, user: int | None, form: Mapping[str, str], package: PackageId | None) -> DraftId:
    """A new draft's id."""
    draft = DraftId(secrets.token_hex(16))
    await tx.run(
        "INSERT INTO draft (id, user_id, package_id, form, created_at, changed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        (draft, user, package, json.dumps(dict(form), ensure_ascii=False), tx.now),
    )
    return draft


async def find(tx: Tx, draft: str, user: int | None) -> Draft | None:
    """A draft of that account; None where it is not there or is somebody else's."""
    row = await tx.row("SELECT * FROM draft WHERE id = ? AND user_id IS ?", (draft, user))
    return _draft(row) if row else None


async def of_user(tx: Tx, user: int | None) -> list[Draft]:
    """The drafts of an account, last changed first."""
    rows = await tx.rows("SELECT * FROM draft WHERE user_id IS ? ORDER BY changed_at DESC, id", (user,))
    return [_draft(row) for row in rows]


async def change_form(tx: Tx, draft: DraftId, form: Mapping[str, str]) -> None:
    """Other values in the form."""
    text = json.dumps(dict(form), ensure_ascii=False)
    await tx.run("UPDATE draft SET form = ?, changed_at = ? WHERE id = ?", (text, tx.now, draft))


async def change_file(tx: Tx, draft: DraftId, file_name: str, size: int, piece: int, member: str = "") -> None:
    """Another file, or what is known of it now."""
    await tx.run(
        "UPDATE draft SET file_name = ?, size = ?, piece = ?, member = ?, changed_at = ? WHERE id = ?",
        (file_name, size, piece, member, tx.now, draft),
    )


async def touch(tx: Tx, draft: DraftId) -> None:
    """Somebody is still at work on it."""
    await tx.run("UPDATE draft SET changed_at = ? WHERE id = ?", (tx.now, draft))


async def remove(tx: Tx, draft: DraftId) -> bool:
    """Take a draft away; whether it was there."""
    return await tx.run("DELETE FROM draft WHERE id = ?", (draft,)) > 0


async def remove_old(tx: Tx) -> list[str]:
    """Take away what nobody changed for KEPT_SECONDS: the ids."""
    rows = await tx.rows("DELETE FROM draft WHERE changed_at < ? RETURNING id", (tx.now - KEPT_SECONDS,))
    return [row["id"] for row in rows]


async def ids(tx: Tx) -> set[str]:
    """The id of every draft there is."""
    return {row["id"] for row in await tx.rows("SELECT id FROM draft")}


async def every(tx: Tx) -> list[Draft]:
    """Every draft there is, whoever's."""
    return [_draft(row) for row in await tx.rows("SELECT * FROM draft ORDER BY id")]


def _draft(row: Row) -> Draft:
    return Draft(
        id=DraftId(row["id"]),
        form=json.loads(row["form"]),
        package=PackageId(row["package_id"]) if row["package_id"] else None,
        file_name=row["file_name"],
        size=row["size"],
        piece=row["piece"],
        member=row["member"],
        changed_at=row["changed_at"],
    )
