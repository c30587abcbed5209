"""What a server does before it listens: alone on its data, shelf swept, certificates there, ports written down."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from appliance.domain.refusal import Kind, Refusal
from appliance.operations.desk import Desk
from appliance.operations.drafts import settle_drafts, sweep_drafts
from appliance.store import backup, configuration, packages
from appliance.store.private import unusable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the data directory for one server. Raises Refusal(BUSY) where another holds it.

    The lock is on the directory itself: nothing but the database and the fragments lies in it.
    """
    if fcntl is None:
        yield
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise unusable(folder, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise Refusal(
            Kind.BUSY,
            "another server runs on {folder}; stop it first, or choose another --data directory.",
            folder=folder,
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


async def sweep(desk: Desk) -> list[str]:
    """Put the shelf right after a kill or a power cut: the names of what was removed."""
    idle = await asyncio.to_thread(desk.shelf.idle)
    async with desk.store.reading() as tx:
        manifests = await packages.manifest_digests(tx)
    swept = await asyncio.to_thread(desk.shelf.sweep, idle, manifests)
    for folder in (desk.store.path.parent, desk.shelf.folder):
        swept += await asyncio.to_thread(backup.sweep_scratch, folder)
    await settle_drafts(desk)
    return swept + await sweep_drafts(desk)


async def write_down(desk: Desk, facts: Mapping[str, str]) -> None:
    """Keep the listeners' ports and names for proposed URLs."""
    async with desk.store.writing() as tx:
        await configuration.put_runtime(tx, facts)
