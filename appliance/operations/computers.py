"""What is known about computers: list, details, delete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.domain.affectation import Happening
from appliance.domain.computer import Computer
from appliance.domain.messages import Inventory
from appliance.domain.refusal import Kind, Refusal, missing
from appliance.domain.search import Criterion
from appliance.domain.tempo import resolve
from appliance.operations.desk import Desk
from appliance.operations.package_facts import Stand, stands_of_computer
from appliance.store import affectations, computers, configuration, search
from appliance.store.database import Tx
from appliance.wire import contact

EVENTS_SHOWN = 50


@dataclass(frozen=True)
class ComputerFacts:
    """A computer with its packages, overrides, newest events and last inventory."""

    computer: Computer
    account: dict[str, str]
    overrides: dict[str, int]
    stands: list[Stand]
    events: list[Happening]
    inventory: Inventory | None


async def find_computer(tx: Tx, name: str) -> Computer:
    """The computer of that name or DEVICEID. Raises Refusal where there is none, or more than one of the name."""
    found = await computers.named(tx, name)
    exact = [computer for computer in found if computer.device_id == name]
    if not found:
        raise missing("there is no computer {name!r}; 'computer list' shows those that are there.", name=name[:80])
    if len(found) > 1 and not exact:
        ids = ", ".join(computer.device_id for computer in found[:5])
        raise Refusal(
            Kind.CONFLICT,
            "{found} computers are called {name!r}; name one by DEVICEID: {ids}.",
            found=len(found),
            name=name[:80],
            ids=ids,
        )
    return (exact or found)[0]


async def list_computers(desk: Desk, criteria: Sequence[Criterion] = ()) -> list[Computer]:
    """The computers that fit all criteria, by name."""
    async with desk.store.reading() as tx:
        return await search.computers(tx, criteria)


async def show_computer(desk: Desk, name: str) -> ComputerFacts:
    """One computer, by name or DEVICEID. Raises Refusal."""
    async with desk.store.reading() as tx:
        computer = await find_computer(tx, name)
        own = await computers.overrides(tx, computer.id)
        knobs = resolve((await configuration.settings(tx)).knobs(), (), own)
        all_of_it = await affectations.of_computer(tx, computer.id)
        xml = await computers.inventory_xml(tx, computer.id)
        request = contact.decode_request(xml) if xml else None
        return ComputerFacts(
            computer=computer,
            account=await computers.account(tx, computer.id),
            overrides=own,
            stands=stands_of_computer(all_of_it, computer=computer, on=knobs["DOWNLOAD"] == 1, now=tx.now),
            events=await affectations.events(tx, computer.id, EVENTS_SHOWN),
            inventory=request if isinstance(request, Inventory) else None,
        )


async def delete_computer(desk: Desk, name: str) -> Computer:
    """Delete a computer with all that is known of it; at its next contact it comes back as new. Raises Refusal."""
    async with desk.store.writing() as tx:
        computer = await find_computer(tx, name)
        await computers.remove(tx, computer.id)
        return computer
