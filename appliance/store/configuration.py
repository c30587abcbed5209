"""Settings as they were chosen, what the running server found out about itself, and the keys of its certificates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.settings import Settings
from appliance.store.database import Tx


@dataclass(frozen=True)
class Credential:
    """A certificate chain and its key, both PEM text."""

    certificate: str
    private_key: str


async def settings(tx: Tx) -> Settings:
    """The settings as they stand."""
    return Settings({row["name"]: row["value"] for row in await tx.rows("SELECT name, value FROM setting")})


async def put_setting(tx: Tx, name: str, value: str | None) -> None:
    """Choose a setting; None goes back to the default."""
    if value is None:
        await tx.run("DELETE FROM setting WHERE name = ?", (name,))
    else:
        await tx.run("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", (name, value))


async def runtime(tx: Tx) -> dict[str, str]:
    """What the server that ran last wrote down: http_port, https_port, server_name, ..."""
    return {row["name"]: row["value"] for row in await tx.rows("SELECT name, value FROM runtime")}


async def put_runtime(tx: Tx, values: Mapping[str, str]) -> None:
    """Write down what the server found out about itself."""
    await tx.many("INSERT OR REPLACE INTO runtime (name, value) VALUES (?, ?)", values.items())


async def credential(tx: Tx, name: str) -> Credential | None:
    """The `authority` or the `server` certificate with its key."""
    row = await tx.row("SELECT certificate, private_key FROM credential WHERE name = ?", (name,))
    return Credential(row["certificate"], row["private_key"]) if row else None


async def put_credential(tx: Tx, name: str, credential: Credential) -> None:
    """Keep a certificate with its key."""
    await tx.run(
        "INSERT OR REPLACE INTO credential (name, certificate, private_key, made_at) VALUES (?, ?, ?, ?)",
        (name, credential.certificate, credential.private_key, tx.now),
    )
