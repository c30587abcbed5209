"""Settings: what they are, where they come from, change them for all, for a group or for one computer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.domain.account import Right
from appliance.domain.log import Deed
from appliance.domain.refusal import invalid
from appliance.domain.tempo import Choice, Origin, choose
from appliance.operations.computers import find_computer
from appliance.operations.desk import Desk
from appliance.operations.selection import find_group
from appliance.operations.why import overrides_by_name
from appliance.settings import SETTINGS, Setting, Settings, known
from appliance.store import computers, configuration, groups, log


@dataclass(frozen=True)
class Value:
    """A setting as it stands. `origin`: default, everywhere, group, or computer; `group` names the group.

    `own`: what was chosen for the very computer or group that was asked for, whoever decides in the end; for all
    computers what was chosen for all. Empty: nothing. `computers` and `groups`: who overrides it.
    """

    setting: Setting
    value: str
    origin: str
    group: str = ""
    own: str = ""
    computers: int = 0
    groups: tuple[str, ...] = ()


async def settings_now(desk: Desk) -> Settings:
    """The settings as they stand."""
    async with desk.store.reading() as tx:
        return await configuration.settings(tx)


async def get_settings(
    desk: Desk, name: str | None = None, computer: str | int | None = None, group: str | int | None = None
) -> list[Value]:
    """All settings, or one, as they stand for all, for one group or for one computer. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    wanted = [known(name)] if name else list(SETTINGS)
    _one_of_both(computer, group)
    async with desk.store.reading() as tx:
        settings = await configuration.settings(tx)
        for_groups = await groups.every_override(tx)
        names = {one.id: one.name for one in await groups.every(tx)} if for_groups else {}
        counts = await computers.override_counts(tx)
        own: dict[str, str] = dict(settings.chosen)
        choices: dict[str, Choice] = {}
        if computer is not None:
            found = await find_computer(tx, computer)
            mine = await computers.overrides(tx, found.id)
            member_of = (await groups.of_computers(tx, [found.id], in_use=True)).get(found.id, [])
            choices = choose(settings.knobs(), overrides_by_name(member_of, for_groups), mine)
            own = {knob: str(number) for knob, number in mine.items()}
        elif group is not None:
            one = await find_group(tx, desk.actor, group)
            set_there = for_groups.get(one.id, {})
            choices = choose(settings.knobs(), [(one.name, set_there)])
            own = {knob: str(number) for knob, number in set_there.items()}
    values = []
    for setting in wanted:
        choice = choices.get(setting.name)
        origin = choice.origin if choice else Origin.EVERYWHERE
        value = str(choice.value) if choice and origin is not Origin.EVERYWHERE else settings.text(setting.name)
        shown = origin.value
        if origin is Origin.EVERYWHERE and setting.name not in settings.chosen:
            shown = "default"
        overriding = sorted((names[one] for one, there in for_groups.items() if setting.name in there), key=str.lower)
        values.append(
            Value(
                setting,
                value,
                shown,
                choice.group if choice else "",
                own.get(setting.name, ""),
                counts.get(setting.name, 0),
                tuple(overriding),
            )
        )
    return values


async def set_setting(
    desk: Desk, name: str, text: str | None, computer: str | int | None = None, group: str | int | None = None
) -> None:
    """Choose a setting for all, for one group or for one computer; None goes back to what it was. Raises Refusal."""
    desk.must_have(Right.ADMINISTRATOR)
    setting = known(name)
    text, number = _parsed(setting, text)
    _one_of_both(computer, group)
    if (computer is not None or group is not None) and not setting.per_computer:
        raise invalid(setting.name, "this setting cannot differ from computer to computer.")
    async with desk.store.writing() as tx:
        detail = {"value": _told(text)}
        if computer is not None:
            found = await find_computer(tx, computer)
            await computers.put_override(tx, found.id, setting.name, number)
            detail["computer"] = found.device_id
        elif group is not None:
            one = await find_group(tx, desk.actor, group)
            await groups.put_override(tx, one.id, setting.name, number)
            detail["group"] = one.name
        else:
            await configuration.put_setting(tx, setting.name, text)
        await log.append(tx, desk.actor, Deed.SETTING_CHANGED, setting.name, **detail)


async def set_settings(desk: Desk, texts: Mapping[str, str | None]) -> int:
    """Choose several settings for all computers, all or none; None goes back to the default. How many have changed.

    What was not chosen and is the default stays so. Raises Refusal.
    """
    desk.must_have(Right.ADMINISTRATOR)
    wanted = {known(name).name: _parsed(known(name), text)[0] for name, text in texts.items()}
    async with desk.store.writing() as tx:
        settings = await configuration.settings(tx)
        changed = {
            name: text
            for name, text in wanted.items()
            if (text is None and name in settings.chosen) or (text is not None and text != settings.text(name))
        }
        for name, text in changed.items():
            await configuration.put_setting(tx, name, text)
            await log.append(tx, desk.actor, Deed.SETTING_CHANGED, name, value=_told(text))
    return len(changed)


def _parsed(setting: Setting, text: str | None) -> tuple[str | None, int | None]:
    """A value as it is kept, and as a number where it is one. Raises Refusal."""
    value = setting.parse(text) if text is not None else None
    if isinstance(value, str):
        text = value
    if text is not None and isinstance(value, int):
        text = str(value) if re.fullmatch(r"[+-]?[0-9]+", text.strip()) else text.strip()  # sizes keep their letter
    return text, value if isinstance(value, int) else None


def _told(text: str | None) -> str:
    return "as before it was chosen" if text is None else text


def _one_of_both(computer: str | int | None, group: str | int | None) -> None:
    if computer is not None and group is not None:
        raise invalid("group", "give one of computer and group.")
