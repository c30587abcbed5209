"""Whom an operation is for: computers by name, by number, by a search, by a group, or all that the actor may see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.domain.account import Actor
from appliance.domain.computer import ComputerId
from appliance.domain.group import Group, is_open_to
from appliance.domain.refusal import invalid, missing
from appliance.domain.search import Criterion, Search, both, to_json
from appliance.operations.computers import find_computer
from appliance.store import groups, search
from appliance.store.database import Tx


@dataclass(frozen=True)
class Selection:
    """Some computers: by name or DEVICEID, by number, all that fit criteria or a search, a group, or every one."""

    computers: tuple[str, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    everyone: bool = False
    search: Search | None = None
    group: str = ""
    ids: tuple[int, ...] = ()
    quick: str = ""  # narrows the search as the list's quick filter does

    @property
    def asked(self) -> Search:
        """The search, criteria included."""
        return both((self.criteria,), self.search or ()) if self.criteria else self.search or ()

    def described(self) -> dict[str, object]:
        """What the log says of it."""
        found: dict[str, object] = {}
        if self.computers:
            found["computers"] = ", ".join(self.computers)
        if self.ids:
            found["ids"] = ", ".join(str(number) for number in self.ids)
        if self.criteria or self.search is not None:
            found["search"] = to_json(self.asked)
        if self.quick:
            found["quick"] = self.quick
        if self.group:
            found["group"] = self.group
        if self.everyone:
            found["all"] = "yes"
        return found


async def chosen(tx: Tx, actor: Actor, selection: Selection) -> Sequence[ComputerId]:
    """The numbers of the computers selected, as far as the actor may see them. Raises Refusal."""
    if selection.computers:
        found = [await find_computer(tx, name, actor) for name in selection.computers]
        return list(dict.fromkeys(computer.id for computer in found))
    if selection.ids:
        found = await search.of_numbers(tx, [ComputerId(number) for number in dict.fromkeys(selection.ids)])
        return [computer.id for computer in found if actor.sees(computer.tag)]
    if selection.group:
        return await groups.numbers(tx, await find_group(tx, actor, selection.group), actor.tags)
    if selection.criteria or selection.search is not None:
        return await search.numbers(tx, selection.asked, tags=actor.tags, quick=selection.quick)
    if not selection.everyone:
        raise invalid("computer", "say which computers: --computer, --search, --group or --all.")
    return await search.numbers(tx, tags=actor.tags)


async def find_group(tx: Tx, actor: Actor, group: str | int) -> Group:
    """The group of that name or number, where it is open to the actor. Raises Refusal(MISSING)."""
    found = await groups.find(tx, group) if isinstance(group, int) else await groups.named(tx, group.strip())
    if found is None and isinstance(group, str) and group.isascii() and group.isdigit() and len(group) < 16:
        found = await groups.find(tx, int(group))
    if found is None or not is_open_to(found, actor):
        raise missing("there is no group {group!r}; 'group list' shows those that are there.", group=str(group)[:80])
    return found
