"""Look after the room on the disk while a server runs."""

from __future__ import annotations

import asyncio

from appliance.operations.desk import Desk

LOOK_SECONDS = 30.0


async def watching_room(desk: Desk) -> None:
    """Look at the room on the database's disk again and again, until cancelled."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        await asyncio.to_thread(desk.store.ballast.look)
