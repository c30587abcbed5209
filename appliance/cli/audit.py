"""`ocs.pyz audit …`: the log of who did what and when, and whether somebody changed it."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from appliance.cli import DONE, REFUSED, Help, acting_desk, add_data, data_folder
from appliance.cli.text import print_json, print_table
from appliance.clock import iso, stamp
from appliance.domain.log import Deed, Entry
from appliance.domain.refusal import invalid
from appliance.operations.desk import Desk
from appliance.operations.logbook import PAGE, read_log, verify_log

Verb = Callable[[Desk, argparse.Namespace], Awaitable[int]]


def fill(family: argparse.ArgumentParser) -> None:
    """The words of `audit`."""
    words = family.add_subparsers(metavar="WORD", required=True)

    def word(name: str, verb: Verb, text: str, example: str) -> argparse.ArgumentParser:
        command = words.add_parser(
            name,
            help=text,
            description=text,
            epilog=f"example:\n  ocs.pyz audit {example}",
            formatter_class=Help,
        )
        add_data(command)
        command.add_argument("--json", action="store_true", help="one JSON document")
        command.set_defaults(run=lambda arguments: _run(verb, arguments))
        return command

    listing = word("list", _list, "The log, the newest entries first.", "list --words ana --deed 'package built'")
    listing.add_argument("--words", default="", metavar="TEXT", help="all of them are somewhere in an entry")
    listing.add_argument("--deed", choices=[deed.value for deed in Deed], metavar="DEED", help="such as 'user created'")
    listing.add_argument("--limit", type=int, default=PAGE, metavar="N", help=f"at most so many; default {PAGE}")
    word(
        "verify",
        _verify,
        "Walk along the log's chain: exit code 1 where an entry was changed, left out or put in. The digest that is "
        "printed, kept elsewhere, shows later whether the newest entries were cut off.",
        "verify",
    )


def _run(verb: Verb, arguments: argparse.Namespace) -> int:
    folder = data_folder(arguments, must_exist=True)

    async def work() -> int:
        async with acting_desk(folder) as desk:
            return await verb(desk, arguments)

    return asyncio.run(work())


async def _list(desk: Desk, arguments: argparse.Namespace) -> int:
    if not 1 <= arguments.limit <= 1_000_000:
        raise invalid("limit", "it is not a number from {low} to {high}.", low=1, high=1_000_000)
    found = (await read_log(desk, arguments.words, arguments.deed or "", limit=arguments.limit)).entries
    if arguments.json:
        print_json([_document(entry) for entry in found])
        return DONE
    print_table(
        ("ID", "WHEN", "WHO", "THROUGH", "DEED", "WHAT", "DETAIL"),
        [
            (
                entry.id,
                stamp(entry.at),
                entry.actor,
                entry.through,
                entry.deed,
                entry.subject,
                ", ".join(f"{name}: {value}" for name, value in entry.detail.items()),
            )
            for entry in found
        ],
    )
    return DONE


async def _verify(desk: Desk, arguments: argparse.Namespace) -> int:
    verdict = await verify_log(desk)
    if arguments.json:
        print_json({"entries": verdict.entries, "broken_at": verdict.broken_at, "head": verdict.head})
    elif verdict.broken_at is None:
        print(f"{verdict.entries} entries, and each follows from those before it.")
        print(f"head  {verdict.head or '-'}")
    else:
        print(f"Entry {verdict.broken_at} does not follow from the {verdict.entries} good ones before it.")
        print(f"head  {verdict.head or '-'}")
    return DONE if verdict.broken_at is None else REFUSED


def _document(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": iso(entry.at),
        "actor": entry.actor,
        "through": entry.through,
        "deed": entry.deed,
        "subject": entry.subject,
        "detail": entry.detail,
    }
