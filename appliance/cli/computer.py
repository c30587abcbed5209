"""`ocs.pyz computer …`: the computers that made a contact."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from appliance.cli import Help, acting_desk, add_data, data_folder
from appliance.cli.package_text import why
from appliance.cli.text import print_json, print_table, shown
from appliance.clock import iso, stamp
from appliance.domain.computer import Computer, ComputerId
from appliance.domain.identity import Member
from appliance.domain.search import all_of, any_of, both, parse
from appliance.operations import computers
from appliance.operations.agent_passwords import MadePassword, list_passwords, make_password, revoke_password
from appliance.operations.computers import ComputerFacts
from appliance.operations.desk import Desk
from appliance.operations.identity import members
from appliance.operations.join import make_token
from appliance.operations.searches import find_kept

Joined = Mapping[ComputerId, Member]
Verb = Callable[[Desk, argparse.Namespace], Awaitable[None]]


def fill(family: argparse.ArgumentParser) -> None:
    """The words of `computer`."""
    words = family.add_subparsers(metavar="WORD", required=True)

    def word(name: str, verb: Verb, text: str, example: str) -> argparse.ArgumentParser:
        command = words.add_parser(
            name,
            help=text,
            description=text,
            epilog=f"example:\n  ocs.pyz computer {example}",
            formatter_class=Help,
        )
        add_data(command)
        command.set_defaults(run=lambda arguments: _run(verb, arguments))
        return command

    listing = word("list", _list, "Computers, all or those that fit.", "list --search 'SOFTWARE LIKE firefox'")
    listing.add_argument(
        "--search", action="append", default=[], metavar="'FIELD OP VALUE'", help="repeatable: all fit"
    )
    listing.add_argument("--any", action="store_true", help="one --search is enough")
    listing.add_argument("--kept", metavar="NAME", help="those that also fit the search kept under this name")
    listing.add_argument("--json", action="store_true", help="one JSON document")
    show = word("show", _show, "One computer: inventory, packages, events.", "show pc-17 --json")
    show.add_argument("computer", metavar="NAME-OR-DEVICEID")
    show.add_argument("--json", action="store_true", help="one JSON document")
    token = word(
        "token", _token, "A token with which computers join this server.", "token --uses 20 --days 7 --group laptops"
    )
    token.add_argument("--uses", type=int, default=1, metavar="N", help="how many computers can join (default: 1)")
    token.add_argument("--days", type=int, default=1, metavar="N", help="for so many days (default: 1)")
    token.add_argument("--tag", default="", help="TAG of those that join")
    token.add_argument("--group", default="", metavar="NAME", help="static group that they are put into")
    passwords = word(
        "passwords",
        _passwords,
        "Passwords for agents that cannot join: mode closed answers who sends one over https. Make and revoke them.",
        "passwords --new agents-2026",
    )
    verb = passwords.add_mutually_exclusive_group()
    verb.add_argument("--new", metavar="NAME", help="make one under this user name; prints it, this once")
    verb.add_argument("--revoke", metavar="NAME")
    passwords.add_argument("--json", action="store_true", help="one JSON document")
    delete = word("delete", _delete, "Forget a computer; prints its DEVICEID.", "delete pc-17")
    delete.add_argument("computer", metavar="NAME-OR-DEVICEID")


def _run(verb: Verb, arguments: argparse.Namespace) -> int:
    folder = data_folder(arguments, must_exist=True)

    async def work() -> None:
        async with acting_desk(folder) as desk:
            await verb(desk, arguments)

    asyncio.run(work())
    return 0


async def _list(desk: Desk, arguments: argparse.Namespace) -> None:
    criteria = [parse(text) for text in arguments.search]
    search = any_of(criteria) if arguments.any else all_of(criteria)
    if arguments.kept is not None:
        search = both(search, (await find_kept(desk, arguments.kept)).search)
    found = await computers.list_computers(desk, search)
    joined = await members(desk)
    if arguments.json:
        print_json([_document(computer, joined) for computer in found])
        return
    print_table(
        ("NAME", "TAG", "OS", "ADDRESS", "LAST CONTACT", "AGENT", "IDENTITY", "DEVICEID"),
        [
            (
                *(c.name, c.tag, c.facts["OSNAME"], c.address, stamp(c.last_contact), c.user_agent),
                _identity(c, joined),
                c.device_id,
            )
            for c in found
        ],
    )


async def _show(desk: Desk, arguments: argparse.Namespace) -> None:
    facts = await computers.show_computer(desk, arguments.computer)
    joined = await members(desk)
    if arguments.json:
        print_json(_details(facts, joined))
    else:
        _print_details(facts, joined)


async def _token(desk: Desk, arguments: argparse.Namespace) -> None:
    print(await make_token(desk, uses=arguments.uses, days=arguments.days, tag=arguments.tag, group=arguments.group))


async def _passwords(desk: Desk, arguments: argparse.Namespace) -> None:
    if arguments.new is not None:
        _print_made(await make_password(desk, arguments.new), as_json=arguments.json)
        return
    if arguments.revoke is not None:
        await revoke_password(desk, arguments.revoke)
        return
    found = await list_passwords(desk)
    if arguments.json:
        print_json(
            [
                {
                    "name": one.name,
                    "created_at": iso(one.created_at),
                    "created_by": one.created_by,
                    "used_at": iso(one.used_at) if one.used_at else None,
                }
                for one in found
            ]
        )
        return
    print_table(
        ("NAME", "MADE", "BY", "LAST USE"),
        [(one.name, stamp(one.created_at), one.created_by, stamp(one.used_at) if one.used_at else "") for one in found],
    )


def _print_made(made: MadePassword, *, as_json: bool) -> None:
    told = {"name": made.name, "password": made.password, "realm": made.realm, "server": made.server}
    if as_json:
        print_json({**told, "unix": made.unix, "windows": made.windows})
        return
    for key, value in told.items():
        print(f"{key}: {value}")
    print(f"\nocsinventory-agent.cfg, where user and password are base64, with ca=/path/to/cacert.pem:\n{made.unix}")
    print(f"installer of the OCS Windows agent, with /CA=cacert.pem:\n{made.windows}")


async def _delete(desk: Desk, arguments: argparse.Namespace) -> None:
    print((await computers.delete_computer(desk, arguments.computer)).device_id)


def _identity(computer: Computer, joined: Joined) -> str:
    return "joined" if computer.id in joined else "anonymous"


def _document(computer: Computer, joined: Joined) -> dict[str, Any]:
    return {
        "computer": computer.name,
        "deviceid": computer.device_id,
        "tag": computer.tag,
        "agent": computer.user_agent,
        "address": computer.address,
        "identity": _identity(computer, joined),
        "first_seen": iso(computer.first_seen),
        "last_contact": iso(computer.last_contact),
        "last_inventory": iso(computer.last_inventory) if computer.last_inventory else None,
        **{name.lower(): value for name, value in computer.facts.items()},
    }


def _details(facts: ComputerFacts, joined: Joined) -> dict[str, Any]:
    sections: dict[str, list[dict[str, str]]] = {}
    for name, fields in facts.inventory.sections if facts.inventory else ():
        sections.setdefault(name, []).append(fields)
    return {
        **_document(facts.computer, joined),
        "account": facts.account,
        "overrides": facts.overrides,
        "packages": [
            {
                "id": s.package,
                "name": s.package_name,
                "status": s.status,
                "received": s.received,
                "at": iso(s.at),
                "why": why(s),
            }
            for s in facts.stands
        ],
        "events": [{"at": iso(e.at), "package": e.package, "kind": e.kind, "detail": e.detail} for e in facts.events],
        "inventory": sections,
    }


def _print_details(facts: ComputerFacts, joined: Joined) -> None:
    document = _document(facts.computer, joined)
    for key, value in document.items():
        if value not in (None, ""):
            print(f"{key}: {shown(value)}")
    for name, number in facts.overrides.items():
        print(f"setting {name}: {number}")
    if facts.inventory:
        counts: dict[str, int] = {}
        for name, _ in facts.inventory.sections:
            counts[name] = counts.get(name, 0) + 1
        print("inventory: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    if facts.stands:
        print()
        print_table(
            ("PACKAGE", "NAME", "STATUS", "RECEIVED", "AT", "WHY"),
            [(s.package, s.package_name, s.status, s.received, stamp(s.at), why(s)) for s in facts.stands],
        )
    if facts.events:
        print()
        print_table(
            ("AT", "PACKAGE", "EVENT", "DETAIL"),
            [(stamp(e.at), e.package, e.kind, e.detail) for e in facts.events],
        )
