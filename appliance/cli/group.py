"""`ocs.pyz group …`: groups of computers."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from appliance.cli import Help, acting_desk, add_data, data_folder
from appliance.cli.text import print_json, print_table, shown
from appliance.clock import iso
from appliance.domain.group import MEMBERSHIP, Check, Group
from appliance.domain.refusal import invalid
from appliance.domain.search import EVERY, Search, all_of, from_json, parse, to_json
from appliance.operations import groups
from appliance.operations.affect import Selection
from appliance.operations.desk import Desk

SEARCH_HELP = "a dynamic group; repeatable: all fit; or one search as JSON, alternatives and all"
PAGE = 10_000  # members read at once

Verb = Callable[[Desk, argparse.Namespace], Awaitable[None]]


def fill(family: argparse.ArgumentParser) -> None:
    """The words of `group`."""
    words = family.add_subparsers(metavar="WORD", required=True)

    def word(name: str, verb: Verb, text: str, example: str) -> argparse.ArgumentParser:
        command = words.add_parser(
            name,
            help=text,
            description=text,
            epilog=f"example:\n  ocs.pyz group {example}",
            formatter_class=Help,
        )
        add_data(command)
        command.set_defaults(run=lambda arguments: _run(verb, arguments))
        return command

    create = word(
        "create", _create, "A new group: static, or dynamic with a search; prints its id.",
        "create 'Windows, Paris' --search 'OSNAME LIKE Windows' --search 'TAG = paris'",
    )  # fmt: skip
    create.add_argument("group", metavar="NAME")
    create.add_argument("--search", action="append", default=[], metavar="'FIELD OP VALUE'", help=SEARCH_HELP)
    create.add_argument("--everyone", action="store_true", help="a dynamic group of all computers")
    create.add_argument("--description", default="", metavar="TEXT")
    create.add_argument("--visible", action="store_true", help="users may put their own computers in (static groups)")
    listing = word("list", _list, "All groups with their members, counted now.", "list --json")
    listing.add_argument("--json", action="store_true", help="one JSON document")
    show = word("show", _show, "One group: its members now, its packages and settings.", "show 'Windows, Paris' --json")
    show.add_argument("group", metavar="NAME")
    show.add_argument("--json", action="store_true", help="one JSON document")
    edit = word(
        "edit", _edit, "Change a group; what is not named stays.", "edit Paris --name 'Paris, Rue Cler' --visible"
    )
    edit.add_argument("group", metavar="NAME")
    edit.add_argument("--name", metavar="TEXT")
    edit.add_argument("--description", metavar="TEXT")
    edit.add_argument("--search", action="append", default=[], metavar="'FIELD OP VALUE'", help=SEARCH_HELP)
    edit.add_argument("--visible", action=argparse.BooleanOptionalAction, default=None)
    delete = word("delete", _delete, "Delete a group; prints its name. Its computers stay.", "delete Paris")
    delete.add_argument("group", metavar="NAME")
    add = word(
        "add", _add, "Put computers in by hand; prints how many. In a dynamic one they stay, whatever its search says.",
        "add Paris --computer pc-17 --computer pc-18",
    )  # fmt: skip
    remove = word(
        "remove", _remove, "Take computers out by hand; prints how many. A dynamic group does not take them back.",
        "remove Paris --search 'NAME LIKE test'",
    )  # fmt: skip
    for command in (add, remove):
        command.add_argument("group", metavar="NAME")
        command.add_argument("--computer", action="append", default=[], metavar="NAME-OR-DEVICEID", help="repeatable")
        command.add_argument(
            "--search", action="append", default=[], metavar="'FIELD OP VALUE'", help="repeatable: all fit"
        )
        command.add_argument("--group", dest="other", default="", metavar="NAME", help="those in another group now")
        command.add_argument("--all", action="store_true", dest="everyone", help="every computer")
    remove.add_argument(
        "--exception", action="store_true", help="take back what was done by hand: a dynamic group's search decides"
    )
    why = word("why", _why, "Why a computer is or is not in a group, criterion by criterion.", "why Paris pc-17")
    why.add_argument("group", metavar="NAME")
    why.add_argument("computer", metavar="NAME-OR-DEVICEID")
    why.add_argument("--json", action="store_true", help="one JSON document")


def _run(verb: Verb, arguments: argparse.Namespace) -> int:
    folder = data_folder(arguments, must_exist=True)

    async def work() -> None:
        async with acting_desk(folder) as desk:
            await verb(desk, arguments)

    asyncio.run(work())
    return 0


async def _create(desk: Desk, arguments: argparse.Namespace) -> None:
    search = _search(arguments.search)
    if arguments.everyone:
        if search is not None:
            raise invalid("search", "give one of --search and --everyone.")
        search = EVERY
    group = await groups.create_group(
        desk, arguments.group, description=arguments.description, search=search, visible=arguments.visible
    )
    print(group.id)


async def _list(desk: Desk, arguments: argparse.Namespace) -> None:
    found = await groups.list_groups(desk)
    if arguments.json:
        print_json([{**_document(c.group), "members": c.members, "packages": c.packages} for c in found])
        return
    print_table(
        ("ID", "NAME", "KIND", "VISIBLE", "MEMBERS", "PACKAGES", "DESCRIPTION"),
        [
            (
                c.group.id,
                c.group.name,
                _kind(c.group),
                "yes" if c.group.visible else "no",
                c.members,
                c.packages,
                c.group.description,
            )
            for c in found
        ],
    )


async def _show(desk: Desk, arguments: argparse.Namespace) -> None:
    facts = await groups.show_group(desk, arguments.group)
    members = await _all_members(desk, facts.group)
    if arguments.json:
        document = {
            **_document(facts.group),
            "members": facts.members,
            "packages": [
                {
                    "id": a.package,
                    "name": a.package_name,
                    "activation": a.activation,
                    "schedule": a.schedule,
                    "post_command": a.post_command,
                    "at": iso(a.affected_at),
                }
                for a in facts.packages
            ],
            "overrides": dict(facts.overrides),
            "left_out": [{"computer": c.name, "deviceid": c.device_id} for c in facts.left_out],
            "computers": [
                {"computer": m.computer.name, "deviceid": m.computer.device_id, "by_hand": m.by_hand} for m in members
            ],
        }
        print_json(document)
        return
    group = facts.group
    print(f"{group.id}  {shown(group.name)}  {_kind(group)}{', visible' if group.visible else ''}")
    if group.description:
        print(shown(group.description))
    if group.search is not None:
        print(f"search: {_searched(group.search)}")
    for name, value in facts.overrides.items():
        print(f"setting {name}: {value}")
    for affectation in facts.packages:
        print(f"package {affectation.package}: {shown(affectation.package_name)}")
    for computer in facts.left_out:
        print(f"left out by hand: {shown(computer.name)} ({shown(computer.device_id)})")
    print_table(
        ("COMPUTER", "TAG", "OS", "BY HAND", "DEVICEID"),
        [
            (
                m.computer.name,
                m.computer.tag,
                m.computer.facts["OSNAME"],
                "yes" if m.by_hand else "no",
                m.computer.device_id,
            )
            for m in members
        ],
    )


async def _edit(desk: Desk, arguments: argparse.Namespace) -> None:
    change = groups.Change(arguments.name, arguments.description, _search(arguments.search), arguments.visible)
    await groups.change_group(desk, arguments.group, change)


async def _delete(desk: Desk, arguments: argparse.Namespace) -> None:
    print(shown((await groups.delete_group(desk, arguments.group)).name))


async def _add(desk: Desk, arguments: argparse.Namespace) -> None:
    print(await groups.add_members(desk, arguments.group, _selection(arguments)))


async def _remove(desk: Desk, arguments: argparse.Namespace) -> None:
    verb = groups.forget_exceptions if arguments.exception else groups.remove_members
    print(await verb(desk, arguments.group, _selection(arguments)))


async def _why(desk: Desk, arguments: argparse.Namespace) -> None:
    group, computer, membership = await groups.explain_membership(desk, arguments.group, arguments.computer)
    sentence = MEMBERSHIP[membership.ground].format(computer=computer.name, group=group.name)
    if arguments.json:
        print_json(
            {
                "group": group.name,
                "computer": computer.name,
                "deviceid": computer.device_id,
                "member": membership.is_member,
                "why": sentence,
                "search": [[_check(check) for check in some] for some in membership.alternatives],
            }
        )
        return
    print(shown(sentence))
    for number, alternative in enumerate(membership.alternatives):
        if number:
            print("or")
        for check in alternative:
            asked = f"{check.criterion.field} {check.criterion.operator.value} {check.criterion.value}".strip()
            own = ", ".join(check.own) or "nothing"
            print(f"  {'yes' if check.holds else 'no '}  {shown(asked)}; here: {shown(own)}")


async def _all_members(desk: Desk, group: Group) -> list[groups.Member]:
    found: list[groups.Member] = []
    page = 1
    while True:
        some = await groups.group_members(desk, group.id, page=page, size=PAGE)
        if some.page < page:
            return found
        found += some.members
        page += 1


def _selection(arguments: argparse.Namespace) -> Selection:
    given = [bool(arguments.computer), bool(arguments.search), bool(arguments.other), arguments.everyone]
    if sum(given) > 1:
        raise invalid("computer", "give one of --computer, --search, --group and --all.")
    criteria = tuple(parse(text) for text in arguments.search)
    return Selection(tuple(arguments.computer), criteria, arguments.everyone, group=arguments.other)


def _search(texts: list[str]) -> Search | None:
    if not texts:
        return None
    if texts[0].lstrip().startswith("["):
        if len(texts) > 1:
            raise invalid("search", "a search as JSON stands alone.")
        return from_json(texts[0])
    return all_of([parse(text) for text in texts])


def _kind(group: Group) -> str:
    return "dynamic" if group.is_dynamic else "static"


def _searched(search: Search) -> str:
    alternatives = [
        " and ".join(f"{c.field} {c.operator.value} {c.value}".strip() for c in some) for some in search if some
    ]
    return shown("; or ".join(alternatives) or "every computer")


def _document(group: Group) -> dict[str, Any]:
    return {
        "id": group.id,
        "name": group.name,
        "description": group.description,
        "kind": _kind(group),
        "search": None if group.search is None else json.loads(to_json(group.search)),
        "visible": group.visible,
        "created": iso(group.created_at),
        "changed": iso(group.changed_at),
    }


def _check(check: Check) -> dict[str, Any]:
    criterion = check.criterion
    return {
        "field": criterion.field,
        "operator": criterion.operator.value,
        "value": criterion.value,
        "holds": check.holds,
        "here": list(check.own),
    }
