"""`ocs.pyz config …`: settings."""

from __future__ import annotations

import argparse
import asyncio

from appliance.cli import Help, acting_desk, add_data, data_folder
from appliance.cli.text import print_json, print_table
from appliance.operations.configure import Value, get_settings, set_setting


def fill(family: argparse.ArgumentParser) -> None:
    """The words of `config`."""
    words = family.add_subparsers(metavar="WORD", required=True)
    get = words.add_parser(
        "get", help="show settings", formatter_class=Help,
        description="All settings, or one: its value alone on standard output.",
        epilog="example:\n  ocs.pyz config get DOWNLOAD_CYCLE_LATENCY --computer pc-17",
    )  # fmt: skip
    get.add_argument("name", nargs="?")
    get.add_argument("--json", action="store_true", help="one JSON document")
    get.set_defaults(run=_get)
    put = words.add_parser(
        "set", help="change a setting", formatter_class=Help,
        description="Change a setting for all computers, a group or one; without a value it goes back to what it was.",
        epilog="example:\n  ocs.pyz config set DOWNLOAD 0 --computer pc-17",
    )  # fmt: skip
    put.add_argument("name")
    put.add_argument("value", nargs="?")
    put.set_defaults(run=_set)
    for command in (get, put):
        add_data(command)
        command.add_argument("--computer", metavar="NAME-OR-DEVICEID", help="for this computer only")
        command.add_argument("--group", metavar="NAME", help="for the members of this group only")


def _get(arguments: argparse.Namespace) -> int:
    async def work() -> None:
        async with acting_desk(data_folder(arguments, must_exist=True)) as desk:
            values = await get_settings(desk, arguments.name, arguments.computer, arguments.group)
        if arguments.json:
            print_json(
                [
                    {
                        "name": v.setting.name,
                        "value": v.value,
                        "origin": _from(v),
                        "default": v.setting.default,
                    }
                    for v in values
                ]
            )
        elif arguments.name:
            print(values[0].value)
        else:
            print_table(
                ("SETTING", "VALUE", "FROM", "HELP"),
                [(v.setting.name, v.value, _from(v), v.setting.help) for v in values],
            )

    asyncio.run(work())
    return 0


def _set(arguments: argparse.Namespace) -> int:
    async def work() -> None:
        async with acting_desk(data_folder(arguments)) as desk:
            await set_setting(desk, arguments.name, arguments.value, arguments.computer, arguments.group)

    asyncio.run(work())
    return 0


def _from(value: Value) -> str:
    return f"group {value.group}" if value.group else value.origin
