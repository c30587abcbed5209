"""Settings of many computers at once: each number goes before what is set for groups and for all."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.domain.account import Right
from appliance.domain.log import Deed
from appliance.domain.refusal import invalid
from appliance.domain.tempo import KNOB, parse_knob
from appliance.operations.desk import Desk
from appliance.operations.selection import Selection, chosen, find_group
from appliance.store import computers, groups, log


async def override_computers(desk: Desk, selection: Selection, changes: Mapping[str, str | None]) -> int:
    """Choose settings for the computers selected, all or none; None takes a computer's own number away: how many.

    Raises Refusal.
    """
    desk.must_have(Right.ADMINISTRATOR)
    if not changes:
        raise invalid("", "nothing was changed; fill in at least one field.")
    parsed = _parsed(changes)
    async with desk.store.writing() as tx:
        numbers = await chosen(tx, desk.actor, selection)
        for name, value in parsed.items():
            await computers.put_override_of_many(tx, numbers, name, value)
        await log.append(
            tx,
            desk.actor,
            Deed.SETTING_CHANGED,
            ", ".join(parsed),
            count=len(numbers),
            value=", ".join("-" if value is None else str(value) for value in parsed.values()),
            **selection.described(),
        )
    return len(numbers)


async def override_group(desk: Desk, group: str | int, changes: Mapping[str, str | None]) -> int:
    """Choose settings for a group, all or none; None takes the group's own number away: how many were given.

    Raises Refusal.
    """
    desk.must_have(Right.ADMINISTRATOR)
    parsed = _parsed(changes)
    async with desk.store.writing() as tx:
        found = await find_group(tx, desk.actor, group)
        for name, value in parsed.items():
            await groups.put_override(tx, found.id, name, value)
            await log.append(
                tx, desk.actor, Deed.SETTING_CHANGED, name, value="-" if value is None else value, group=found.name
            )
    return len(parsed)


def _parsed(changes: Mapping[str, str | None]) -> dict[str, int | None]:
    for name in changes:
        if name not in KNOB:
            raise invalid(name, "this setting cannot differ from computer to computer.")
    return {name: None if text is None else parse_knob(name, text) for name, text in changes.items()}
