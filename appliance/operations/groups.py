"""Groups of computers: create, change, delete; who is in and why. Source: protocol.md 6, "Groups", product.md 7.

An administrator does all of it. A user sees the static groups that are visible, and puts in or takes out the computers
whose TAG was granted; nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from appliance.domain.account import Right
from appliance.domain.affectation import GroupAffectation
from appliance.domain.computer import Computer, ComputerId
from appliance.domain.group import (
    Group,
    Hand,
    Membership,
    checked_description,
    checked_name,
    groups_named,
    is_open_to,
    leads_back,
    membership,
)
from appliance.domain.log import Deed
from appliance.domain.refusal import conflict, forbidden, invalid
from appliance.domain.search import Search, checked_search, to_json
from appliance.operations.affect import arm_members
from appliance.operations.computers import find_computer
from appliance.operations.desk import Desk
from appliance.operations.selection import Selection, chosen, find_group
from appliance.store import group_affectations, groups, log
from appliance.store import search as searching
from appliance.store.database import Tx


@dataclass(frozen=True)
class Counted:
    """A group with its members, counted now; a user's count has the user's own computers only."""

    group: Group
    members: int
    packages: int


@dataclass(frozen=True)
class GroupFacts:
    """A group with what is affected to it, what is set for it, and who was left out of it by hand."""

    group: Group
    members: int
    packages: tuple[GroupAffectation, ...]
    overrides: Mapping[str, int]
    left_out: tuple[Computer, ...]


@dataclass(frozen=True)
class Member:
    """One computer in a group, and whether it was put in by hand."""

    computer: Computer
    by_hand: bool


@dataclass(frozen=True)
class MemberPage:
    """Some members by name, and how many there are in all. Pages count from 1."""

    group: Group
    members: tuple[Member, ...]
    total: int
    page: int
    size: int


@dataclass(frozen=True)
class Change:
    """What to change about a group; None leaves it as it is. `search` is for dynamic groups."""

    name: str | None = None
    description: str | None = None
    search: Search | None = None
    visible: bool | None = None


async def create_group(
    desk: Desk, name: str, *, description: str = "", search: Search | None = None, visible: bool = False
) -> Group:
    """A new group: static without a search, else dynamic. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    name, description = checked_name(name), checked_description(description)
    if search is not None:
        search = checked_search(search)
    async with desk.store.writing() as tx:
        await _name_is_free(tx, name)
        await _check_search(tx, name, search)
        number = await groups.add(tx, name, description, search, visible=visible)
        await log.append(
            tx,
            desk.actor,
            Deed.GROUP_CREATED,
            name,
            kind="static" if search is None else "dynamic",
            visible="yes" if visible else "no",
            **({} if search is None else {"search": to_json(search)}),
        )
        group = await groups.find(tx, number)
        assert group is not None
        return group


async def change_group(desk: Desk, group: str | int, change: Change) -> Group:
    """Rename, describe, show or hide a group, or give it another search. Raises Refusal.

    After another search, members get what is affected to the group at their next contact.
    """
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.writing() as tx:
        before = await find_group(tx, desk.actor, group)
        after = before
        if change.name is not None:
            after = replace(after, name=checked_name(change.name))
            await _name_is_free(tx, after.name, before)
        if change.description is not None:
            after = replace(after, description=checked_description(change.description))
        if change.visible is not None:
            after = replace(after, visible=change.visible)
        if change.search is not None:
            if not before.is_dynamic:
                raise conflict("the group {group!r} is static; make a dynamic one for a search.", group=before.name)
            after = replace(after, search=checked_search(change.search))
            await _check_search(tx, before.name, after.search)
        changed = _differences(before, after)
        if changed:
            await groups.change(tx, after)
            await log.append(tx, desk.actor, Deed.GROUP_CHANGED, before.name, **changed)
        return after


async def delete_group(desk: Desk, group: str | int) -> Group:
    """Delete a group; what waits for its sake goes, what was notified goes on. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.writing() as tx:
        found = await find_group(tx, desk.actor, group)
        for other in await groups.every(tx):
            if found.name.lower() in groups_named(other.search):
                raise conflict(
                    "the search of the group {other!r} asks for {group!r}; change or delete that one first.",
                    other=other.name,
                    group=found.name,
                )
        packages, waiting = await group_affectations.take_away(tx, found.id)
        await groups.remove(tx, found.id)
        await log.append(tx, desk.actor, Deed.GROUP_DELETED, found.name, packages=packages, unaffected=waiting)
        return found


async def list_groups(desk: Desk) -> list[Counted]:
    """The groups that are open to the actor, by name, members counted now."""
    async with desk.store.reading() as tx:
        packages: dict[int, int] = {}
        for affectation in await group_affectations.affectations(tx):
            packages[affectation.group] = packages.get(affectation.group, 0) + 1
        return [
            Counted(group, await groups.count(tx, group, desk.actor.tags), packages.get(group.id, 0))
            for group in await groups.every(tx)
            if is_open_to(group, desk.actor)
        ]


async def open_groups(desk: Desk) -> list[Group]:
    """The groups that are open to the actor, by name; nobody is counted, which takes its time for each search."""
    async with desk.store.reading() as tx:
        return [group for group in await groups.every(tx) if is_open_to(group, desk.actor)]


async def show_group(desk: Desk, group: str | int, members: int | None = None) -> GroupFacts:
    """One group. `members`: how many it has, where they were counted already. Raises Refusal."""
    async with desk.store.reading() as tx:
        found = await find_group(tx, desk.actor, group)
        if members is None:
            members = await groups.count(tx, found, desk.actor.tags)
        if not desk.actor.may(Right.ADMINISTRATOR):
            return GroupFacts(found, members, (), {}, ())
        overrides = dict(await groups.overrides(tx, [found.id])).get(found.name, {})
        packages = await group_affectations.affectations(tx, group=found.id)
        return GroupFacts(found, members, tuple(packages), overrides, tuple(await groups.left_out(tx, found.id)))


async def group_members(desk: Desk, group: str | int, *, page: int = 1, size: int = 50) -> MemberPage:
    """One page of a group's members, evaluated now. Raises Refusal."""
    page, size = max(1, page), max(1, min(size, 10_000))
    async with desk.store.reading() as tx:
        found = await find_group(tx, desk.actor, group)
        rows, total = await groups.page(tx, found, page=page, size=size, tags=desk.actor.tags)
        last = max(1, -(-total // size))
        if page > last:  # some left since the link was made
            page = last
            rows, total = await groups.page(tx, found, page=page, size=size, tags=desk.actor.tags)
    return MemberPage(found, tuple(Member(computer, hand is Hand.PUT_IN) for computer, hand in rows), total, page, size)


async def groups_of_computer(desk: Desk, computer: str | int) -> list[Group]:
    """The groups that a computer is in now and that are open to the actor, by name. Raises Refusal."""
    async with desk.store.reading() as tx:
        found = await find_computer(tx, computer, desk.actor)
        member_of = (await groups.of_computers(tx, [found.id])).get(found.id, [])
        return [group for group in member_of if is_open_to(group, desk.actor)]


async def explain_membership(desk: Desk, group: str | int, computer: str | int) -> tuple[Group, Computer, Membership]:
    """Why a computer is or is not in a group: what was done by hand, and every criterion held against it."""
    async with desk.store.reading() as tx:
        found = await find_group(tx, desk.actor, group)
        one = await find_computer(tx, computer, desk.actor)
        checks = await groups.checks(tx, found.search, one.id) if found.search is not None else ()
        hand = await groups.hand(tx, found.id, one.id)
        return found, one, membership(dynamic=found.is_dynamic, hand=hand, alternatives=checks)


async def add_members(desk: Desk, group: str | int, selection: Selection) -> int:
    """Put computers into a group by hand: how many were not. In a dynamic group they stay, whatever its search says.

    They get what is affected to the group. Raises Refusal.
    """
    async with desk.store.writing() as tx:
        found, numbers = await _own_rows(tx, desk, group, selection)
        joined = await groups.put_in(tx, found.id, numbers)
        await arm_members(tx, found.id, joined)
        await log.append(tx, desk.actor, Deed.MEMBERS_ADDED, found.name, count=len(joined), **selection.described())
        return len(joined)


async def remove_members(desk: Desk, group: str | int, selection: Selection) -> int:
    """Take computers out of a group by hand: how many. From a dynamic group they are kept out, whatever it says.

    What they were notified of goes on; what waits is held. Raises Refusal.
    """
    async with desk.store.writing() as tx:
        found, numbers = await _own_rows(tx, desk, group, selection)
        change = groups.leave_out if found.is_dynamic else groups.forget
        left = await change(tx, found.id, numbers)
        await log.append(tx, desk.actor, Deed.MEMBERS_REMOVED, found.name, count=len(left), **selection.described())
        return len(left)


async def forget_exceptions(desk: Desk, group: str | int, selection: Selection) -> int:
    """Let the search of a dynamic group decide again about these computers: for how many it did not. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    async with desk.store.writing() as tx:
        found, numbers = await _own_rows(tx, desk, group, selection)
        if not found.is_dynamic:
            raise conflict("the group {group!r} is static; it has no exceptions.", group=found.name)
        freed = await groups.forget(tx, found.id, numbers)
        await arm_members(tx, found.id, freed)
        await log.append(
            tx, desk.actor, Deed.MEMBERS_REMOVED, found.name, exceptions=len(freed), **selection.described()
        )
        return len(freed)


async def _own_rows(tx: Tx, desk: Desk, group: str | int, selection: Selection) -> tuple[Group, Sequence[ComputerId]]:
    """The group and the computers selected, all of them the actor's. Raises Refusal."""
    found = await find_group(tx, desk.actor, group)
    numbers = await chosen(tx, desk.actor, selection)
    if len(numbers) < len(set(selection.ids)) and desk.actor.tags is not None:
        raise forbidden("some of these computers are not yours; choose among those in your list.")
    return found, numbers


async def _name_is_free(tx: Tx, name: str, own: Group | None = None) -> None:
    taken = await groups.named(tx, name)
    if taken is not None and (own is None or taken.id != own.id):
        raise invalid("name", "there is a group {name!r} already; choose another name.", name=name[:80])


async def _check_search(tx: Tx, name: str, search: Search | None) -> None:
    """A search may ask for other groups, not for its own, by whatever way. Raises Refusal."""
    if not groups_named(search):
        return
    others = {group.name.lower(): group.search for group in await groups.every(tx)}
    if leads_back(name, search, others):
        raise invalid("search", "the search asks who is in the very group that it is for.")
    await searching.check(tx, search or ())


def _differences(before: Group, after: Group) -> dict[str, object]:
    """What the log says of a change: the new values."""
    changed: dict[str, object] = {}
    if after.name != before.name:
        changed["name"] = after.name
    if after.description != before.description:
        changed["description"] = after.description
    if after.visible != before.visible:
        changed["visible"] = "yes" if after.visible else "no"
    if after.search != before.search:
        changed["search"] = to_json(after.search or ())
    return changed
