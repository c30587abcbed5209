"""Settings: what they are, where they come from, change them for all or for one computer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from appliance.domain.refusal import invalid
from appliance.operations.computers import find_computer
from appliance.operations.desk import Desk
from appliance.settings import SETTINGS, Setting, Settings, known
from appliance.store import computers, configuration


@dataclass(frozen=True)
class Value:
    """A setting as it stands. `origin`: default, everywhere, or computer."""

    setting: Setting
    value: str
    origin: str


async def settings_now(desk: Desk) -> Settings:
    """The settings as they stand."""
    async with desk.store.reading() as tx:
        return await configuration.settings(tx)


async def get_settings(desk: Desk, name: str | None = None, computer: str | None = None) -> list[Value]:
    """All settings, or one, as they stand for all or for one computer. Raises Refusal."""
    wanted = [known(name)] if name else list(SETTINGS)
    async with desk.store.reading() as tx:
        chosen = await configuration.settings(tx)
        own: dict[str, int] = {}
        if computer:
            own = await computers.overrides(tx, (await find_computer(tx, computer)).id)
    values = []
    for setting in wanted:
        if setting.name in own:
            values.append(Value(setting, str(own[setting.name]), "computer"))
        else:
            origin = "everywhere" if setting.name in chosen.chosen else "default"
            values.append(Value(setting, chosen.text(setting.name), origin))
    return values


async def set_setting(desk: Desk, name: str, text: str | None, computer: str | None = None) -> None:
    """Choose a setting for all or for one computer; None goes back to what it was. Raises Refusal."""
    setting = known(name)
    value = setting.parse(text) if text is not None else None
    if text is not None and isinstance(value, int):
        text = str(value) if re.fullmatch(r"[+-]?[0-9]+", text.strip()) else text.strip()  # sizes keep their letter
    if computer and not setting.per_computer:
        raise invalid(setting.name, "this setting cannot differ from computer to computer.")
    async with desk.store.writing() as tx:
        if computer:
            number = value if isinstance(value, int) else None
            await computers.put_override(tx, (await find_computer(tx, computer)).id, setting.name, number)
        else:
            await configuration.put_setting(tx, setting.name, text)
