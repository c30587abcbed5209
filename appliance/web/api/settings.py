"""Settings: for all computers, for a group, for one computer, for many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from appliance.operations.computers import show_computer
from appliance.operations.configure import Value, get_settings, set_settings
from appliance.operations.override import override_computers, override_group
from appliance.operations.selection import Selection
from appliance.settings import SETTINGS
from appliance.web.api.frame import ApiRoute, Call, Doc
from appliance.web.api.schema import Schema, asked, flag, named, number, one_of, or_null, rows, text, told
from appliance.web.api.selection import SELECTION, selection_of

SETTING = named(
    "Setting",
    told(
        name=text(),
        value=text("As it stands, as text."),
        origin=text("Whose word that is: default, everywhere, computer, or group and its name."),
        default=text(),
        own=text('What was chosen for the very thing that was asked for; "": nothing.'),
        help=text(),
        unit=one_of(["", "s", "min", "h", "days", "cycles", "bytes", "switch"]),
        low=or_null(number(low=-(2**53))),
        high=or_null(number()),
        per_computer=flag("Whether it can differ from computer to computer."),
        computers=number("How many computers have a value of their own."),
        groups=rows(text(), "The groups that have one, by name."),
    ),
)
LIST = Doc(told(settings=rows(SETTING)))


def _changes(*, only_per_computer: bool) -> Schema:
    value = {"type": ["string", "integer", "null"], "maxLength": 4096, "description": "null: what it was before."}
    return asked("", **{one.name: value for one in SETTINGS if one.per_computer or not only_per_computer})


EVERYWHERE = _changes(only_per_computer=False)
OVERRIDES = named("Overrides", _changes(only_per_computer=True))
COUNT = told(count=number("How many computers."))


async def show(call: Call) -> object:
    """The settings that hold for all computers."""
    return _document(await get_settings(call.desk))


async def change(call: Call) -> object:
    """Change settings for all computers, all or none; null goes back to the default."""
    await set_settings(call.desk, _texts(call.body))
    return _document(await get_settings(call.desk))


async def show_for_group(call: Call) -> object:
    """The settings as they stand for a group."""
    return _document(await get_settings(call.desk, group=call.number("group")), only_per_computer=True)


async def change_for_group(call: Call) -> object:
    """Change a group's settings, all or none; null takes the group's own value away."""
    await override_group(call.desk, call.number("group"), _texts(call.body))
    return await show_for_group(call)


async def show_for_computer(call: Call) -> object:
    """The settings as they stand for a computer."""
    computer = (await show_computer(call.desk, call.number("computer"))).computer
    return _document(await get_settings(call.desk, computer=computer.device_id), only_per_computer=True)


async def change_for_computer(call: Call) -> object:
    """Change a computer's settings, all or none; null takes its own value away."""
    computer = (await show_computer(call.desk, call.number("computer"))).computer
    await override_computers(call.desk, Selection(ids=(computer.id,)), _texts(call.body))
    return await show_for_computer(call)


async def change_for_many(call: Call) -> object:
    """Change settings of many computers, all or none; null takes their own values away."""
    selection = await selection_of(call.desk, call.body["selection"])
    return {"count": await override_computers(call.desk, selection, _texts(call.body["settings"]))}


def _texts(given: Mapping[str, str | int | None]) -> dict[str, str | None]:
    return {name: None if value is None else str(value) for name, value in given.items()}


def _document(values: Sequence[Value], *, only_per_computer: bool = False) -> dict[str, Any]:
    return {
        "settings": [
            {
                "name": value.setting.name,
                "value": value.value,
                "origin": f"group {value.group}" if value.group else value.origin,
                "default": value.setting.default,
                "own": value.own,
                "help": value.setting.help,
                "unit": value.setting.unit,
                "low": value.setting.low,
                "high": value.setting.high,
                "per_computer": value.setting.per_computer,
                "computers": value.computers,
                "groups": list(value.groups),
            }
            for value in values
            if value.setting.per_computer or not only_per_computer
        ]
    }


ROUTES = (
    ApiRoute("GET", "/api/v1/settings", show, doc=LIST),
    ApiRoute("PATCH", "/api/v1/settings", change, doc=Doc(LIST.answer, EVERYWHERE)),
    ApiRoute("GET", "/api/v1/groups/{group}/settings", show_for_group, doc=LIST),
    ApiRoute("PATCH", "/api/v1/groups/{group}/settings", change_for_group, doc=Doc(LIST.answer, OVERRIDES)),
    ApiRoute("GET", "/api/v1/computers/{computer}/settings", show_for_computer, doc=LIST),
    ApiRoute("PATCH", "/api/v1/computers/{computer}/settings", change_for_computer, doc=Doc(LIST.answer, OVERRIDES)),
    ApiRoute(
        "POST",
        "/api/v1/computers/settings",
        change_for_many,
        doc=Doc(COUNT, asked("selection settings", selection=SELECTION, settings=OVERRIDES)),
    ),
)
