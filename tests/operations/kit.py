"""What these tests share: packages and computers made through the operations, on a clock that is set."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from appliance.domain.messages import DeviceId
from appliance.domain.package import Action, Order, System
from appliance.operations.activate import activate
from appliance.operations.affect import Selection, Terms, affect
from appliance.operations.build_package import build_package
from appliance.operations.desk import Desk, open_desk
from appliance.operations.package_facts import package_stats
from tests.fakes.appliance import SetClock, inventory, prolog, report, tell

ALL = Selection(everyone=True)
HERE = "ocs.example.org:4343/download"
THERE = "ocs.example.org:8080/download"
ORDER = Order("p", System.LINUX, Action.EXECUTE, "true")


def silent(*_: object) -> None:
    """No progress."""


class Scene:
    """An open desk with a clock in the test's hand."""

    def __init__(self, desk: Desk, clock: SetClock) -> None:
        self.desk = desk
        self.clock = clock

    async def package(self, name: str = "p", *, active: bool = True, **rest: Any) -> str:
        """A package, activated unless told otherwise: its id."""
        made = await build_package(self.desk, replace(ORDER, name=name, **rest), None, None, silent)
        if active:
            await self.activate(made.id)
        return made.id

    async def activate(self, package: str, info: str = HERE, fragments: str = THERE) -> int:
        """An activation, unchecked: its number."""
        return (await activate(self.desk, package, info, fragments, unchecked=True)).id

    async def inventory(self, device_id: DeviceId, *sections: Any, agent: str = "test", **rest: Any) -> Any:
        """An inventory's reply."""
        return await tell(self.desk, inventory(device_id, *sections, **rest), agent)

    async def contact(self, device_id: DeviceId, agent: str = "test") -> Any:
        """A prolog's reply."""
        return await tell(self.desk, prolog(device_id), agent)

    async def announced(self, device_id: DeviceId, agent: str = "test") -> list[str]:
        """The ids that one contact brings."""
        return [pack.package for pack in (await self.contact(device_id, agent)).packs]

    async def report(self, device_id: DeviceId, package: str, code: str) -> None:
        """A result."""
        await tell(self.desk, report(device_id, package, code))

    async def affect(self, package: str, selection: Selection = ALL, **terms: Any) -> int:
        """How many computers wait anew."""
        return await affect(self.desk, package, selection, Terms(**terms))

    async def stage(self, package: str, device_id: DeviceId) -> tuple[str, str]:
        """Status and received code on one computer; empty where it is not affected."""
        _, stands = await package_stats(self.desk, package)
        found = [(stand.status, stand.received) for stand in stands if stand.device_id == device_id]
        return found[0] if found else ("", "")

    async def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows as they lie in the file."""
        async with self.desk.store.reading() as tx:
            return [tuple(row) for row in await tx.rows(sql, values)]


def play(folder: Path, script: Callable[[Scene], Awaitable[Any]]) -> Any:
    """Run one scene over an empty data directory."""
    clock = SetClock()

    async def work() -> Any:
        async with open_desk(folder / "data", clock) as desk:
            return await script(Scene(desk, clock))

    return asyncio.run(work())
