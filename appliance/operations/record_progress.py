"""A computer says how many fragments of a package it has. Only our own agent does."""

from __future__ import annotations

from appliance.domain.messages import Progress
from appliance.operations.desk import Desk
from appliance.operations.identity import Caller, posting
from appliance.store import affectations, computers


async def record_progress(desk: Desk, progress: Progress, caller: Caller) -> None:
    """Keep the number where the package is announced to that computer and the number can be true; else nothing.

    The reply is the same for all: whoever asks learns nothing. Raises Refusal where it is in the name of another.
    """
    if progress.fetched <= 0:
        return
    async with posting(desk, progress.device_id, caller) as tx:
        computer = await computers.find(tx, progress.device_id)
        if computer is not None:
            await affectations.fetched(tx, computer.id, progress.package, progress.fetched)
