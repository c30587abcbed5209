"""What an operation may reach for: the store, the shelf and the clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.clock import Clock
from appliance.store.database import Store, open_store
from appliance.store.shelf import Shelf


@dataclass(frozen=True)
class Desk:
    """The open data directory."""

    store: Store
    shelf: Shelf
    clock: Clock


@asynccontextmanager
async def open_desk(folder: Path, clock: Clock | None = None, *, readers: int = 1) -> AsyncIterator[Desk]:
    """The desk over a data directory, made where it is missing. Raises Refusal."""
    clock = clock or Clock()
    store = await open_store(folder, clock, readers=readers)
    try:
        shelf = Shelf(folder / "fragments")
        shelf.prepare()
        yield Desk(store, shelf, clock)
    finally:
        await store.close()
