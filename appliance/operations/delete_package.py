"""Delete a package: its row with activations and affectations first, its files later."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from appliance.domain.account import Right
from appliance.domain.affectation import Activation
from appliance.domain.log import Deed
from appliance.domain.package import Package
from appliance.operations.desk import Desk
from appliance.operations.package_facts import Counts, find_package, tally
from appliance.store import affectations, log, packages


@dataclass(frozen=True)
class Deletion:
    """What goes with a package. Computers that have it keep it; what the server knows of that goes too."""

    package: Package
    file_bytes: int
    fragments: int
    activations: tuple[Activation, ...]
    counts: Counts  # of the computers it is affected to, by stage
    groups: tuple[str, ...]  # names of the groups that it is affected to
    drafts: int  # edits of it that somebody has begun


async def deletion_of(desk: Desk, package_id: str) -> Deletion:
    """What deleting a package would take along. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.reading() as tx:
        package = await find_package(tx, package_id)
        payload = package.payload
        return Deletion(
            package,
            payload.size if payload else 0,
            payload.fragments if payload else 0,
            tuple(await packages.activations(tx, package.id)),
            tally((await affectations.counts(tx)).get(package.id, {})),
            tuple(await packages.groups_affected(tx, package.id)),
            await packages.edits_begun(tx, package.id),
        )


async def delete_package(desk: Desk, package_id: str) -> Package:
    """Delete a package for good; a kill in between leaves files that the next start sweeps. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.writing() as tx:
        package = await find_package(tx, package_id)
        counts = tally((await affectations.counts(tx)).get(package.id, {}))
        await packages.remove(tx, package.id)
        await log.append(
            tx,
            desk.actor,
            Deed.PACKAGE_DELETED,
            package.id,
            name=package.order.name,
            waiting=counts.waiting,
            notified=counts.notified,
            success=counts.success,
            error=counts.error,
        )
    await asyncio.to_thread(desk.shelf.remove, package.id)
    return package
