"""Delete a package: its row with activations and affectations first, its files later."""

from __future__ import annotations

import asyncio

from appliance.domain.package import Package
from appliance.operations.desk import Desk
from appliance.operations.package_facts import find_package
from appliance.store import packages


async def delete_package(desk: Desk, package_id: str) -> Package:
    """Delete a package for good; a kill in between leaves files that the next start sweeps. Raises Refusal."""
    async with desk.store.writing() as tx:
        package = await find_package(tx, package_id)
        await packages.remove(tx, package.id)
    await asyncio.to_thread(desk.shelf.remove, package.id)
    return package
