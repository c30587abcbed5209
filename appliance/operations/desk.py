"""What an operation may reach for: the store, the shelf, the clock, and whom it works for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.clock import Clock
from appliance.domain.account import SERVER, Actor, Right
from appliance.domain.refusal import forbidden
from appliance.store.database import Store, open_store, open_to_read
from appliance.store.shelf import Shelf


@dataclass(frozen=True)
class Desk:
    """The open data directory, and who acts: what changes is logged under the actor's name."""

    store: Store
    shelf: Shelf
    clock: Clock
    actor: Actor = SERVER

    def acting(self, actor: Actor) -> Desk:
        """The same desk for somebody else."""
        return replace(self, actor=actor)

    def must_have(self, right: Right) -> None:
        """Raises Refusal(FORBIDDEN) where the actor has not that right."""
        if not self.actor.may(right):
            raise forbidden("only an administrator may do this; ask one.")


@asynccontextmanager
async def open_desk(
    folder: Path, clock: Clock | None = None, *, readers: int = 1, checked: bool = False, rescue: bool = False
) -> AsyncIterator[Desk]:
    """The desk over a data directory, made where it is missing; `checked` for damage first. Raises Refusal.

    `rescue`: over one that may be damaged, where nothing may be written.
    """
    clock = clock or Clock()
    if rescue:
        store = await open_to_read(folder, clock, readers=readers)
    else:
        store = await open_store(folder, clock, readers=readers, checked=checked)
    try:
        shelf = Shelf(folder / "fragments")
        shelf.prepare()
        yield Desk(store, shelf, clock)
    finally:
        await store.close()
