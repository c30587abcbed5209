"""`ocs.pyz package …`: everything that the manual's Deployment menu does."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from appliance.cli import Help, acting_desk, add_data, data_folder
from appliance.cli.package_text import print_list, print_package, print_stats
from appliance.cli.text import ProgressLine
from appliance.clock import Clock
from appliance.domain.package import Action, Notice, Order, Protocol, System
from appliance.domain.refusal import invalid
from appliance.domain.search import parse
from appliance.operations import activate as activating
from appliance.operations import affect as affecting
from appliance.operations import package_facts
from appliance.operations.build_package import build_package
from appliance.operations.delete_package import delete_package
from appliance.operations.desk import Desk
from appliance.operations.edit_package import edit_package

SYSTEMS = [system.value.lower() for system in System]
ACTIONS = [action.value.lower() for action in Action]
PROTOCOLS = [protocol.value.lower() for protocol in Protocol]

Verb = Callable[[Desk, argparse.Namespace], Awaitable[None]]


def fill(family: argparse.ArgumentParser) -> None:
    """The words of `package`."""
    words = family.add_subparsers(metavar="WORD", required=True)

    def word(name: str, verb: Verb, text: str, example: str, *, fresh: bool = False) -> argparse.ArgumentParser:
        command = words.add_parser(
            name,
            help=text,
            description=text,
            epilog=f"example:\n  ocs.pyz package {example}",
            formatter_class=Help,
        )
        add_data(command)
        command.set_defaults(run=lambda arguments: _run(verb, arguments, fresh=fresh))
        return command

    build = word(
        "build", _build, "Build a package; prints its id.",
        'build --name "Media player" --os linux --action launch --command "setup.sh --quiet" --file player.tar.gz',
        fresh=True,
    )  # fmt: skip
    _order_options(build, editing=False)
    edit = word(
        "edit", _edit, "Change a package; its id stays, and without a new file its fragments too.",
        "edit 1795206923 --priority 3",
    )  # fmt: skip
    edit.add_argument("id")
    _order_options(edit, editing=True)
    listing = word("list", _list, "All packages with how many computers stand where.", "list --json")
    listing.add_argument("--json", action="store_true", help="one JSON document")
    for name, verb, text in (
        ("show", _show, "One package: what it is and where it is activated."),
        ("stats", _stats, "Where a package stands on each computer, and why."),
    ):
        command = word(name, verb, text, f"{name} 1795206923 --json")
        command.add_argument("id")
        command.add_argument("--json", action="store_true", help="one JSON document")
    activation = word(
        "activate", _activate, "Tell where agents fetch it; prints the activation's id.",
        "activate 1795206923 --info-url ocs.example.org:4343/download --fragment-url ocs.example.org:8080/download",
    )  # fmt: skip
    activation.add_argument("id")
    activation.add_argument("--info-url", metavar="HOST:PORT/FOLDER", help="https, default: this server")
    activation.add_argument("--fragment-url", metavar="HOST:PORT/FOLDER", help="default: this server")
    activation.add_argument("--unchecked", action="store_true", help="do not fetch anything from there first")
    unactivation = word(
        "unactivate", _unactivate, "Stop announcing it; files and statistics stay.", "unactivate 1795206923"
    )
    unactivation.add_argument("id")
    unactivation.add_argument("--activation", type=int, metavar="N", help="only this one of several")
    affect = word(
        "affect", _affect, "Deploy it to computers; prints how many are told of it.",
        "affect 1795206923 --search 'OSNAME LIKE Windows' --search 'MEMORY > 4000'",
    )  # fmt: skip
    affect.add_argument("id")
    _selection_options(affect)
    affect.add_argument("--activation", type=int, metavar="N", help="one of several activations; default: the newest")
    affect.add_argument("--force", action="store_true", help="run it again where it was installed before")
    affect.add_argument("--schedule", default="", metavar="'YYYY/MM/DD HH:MM'", help="not before (Windows agents)")
    affect.add_argument("--post-command", default="", metavar="COMMAND", help="REBOOT, SHUTDOWN or a command, after it")
    unaffect = word(
        "unaffect",
        _unaffect,
        "Take it from computers; prints from how many.",
        "unaffect 1795206923 --computer pc-17",
    )
    unaffect.add_argument("id")
    _selection_options(unaffect)
    validate = word(
        "validate", _validate, "Clear statistics as the manual's three buttons do; prints how many rows.",
        "validate 1795206923 --success",
    )  # fmt: skip
    validate.add_argument("id")
    button = validate.add_mutually_exclusive_group(required=True)
    for choice, text in (
        (affecting.Validation.SUCCESS, "validate success"),
        (affecting.Validation.NOT_NOTIFIED, "unaffect not notified"),
        (affecting.Validation.ALL, "both"),
    ):
        button.add_argument(f"--{choice.value}", dest="validation", action="store_const", const=choice, help=text)
    delete = word("delete", _delete, "Delete it with its files, activations and affectations.", "delete 1795206923")
    delete.add_argument("id")


def _order_options(command: argparse.ArgumentParser, *, editing: bool) -> None:
    need = not editing
    command.add_argument("--name", required=need, metavar="TEXT")
    command.add_argument("--os", required=need, choices=SYSTEMS, type=str.lower, dest="system")
    command.add_argument("--action", required=need, choices=ACTIONS, type=str.lower)
    command.add_argument("--command", metavar="LINE", help="for launch: a program in the archive; for execute: any")
    command.add_argument("--path", metavar="FOLDER", help="for store: where the files go; variables are expanded")
    command.add_argument("--file", type=Path, metavar="FILE", help=".zip or .tar.gz; optional for execute")
    command.add_argument("--priority", type=int, metavar="0-10", help="0 first and alone, 10 last; default 5")
    command.add_argument(
        "--fragment-size", metavar="SIZE", help="bytes, or with K, M, G; default: config FRAGMENT_SIZE"
    )
    command.add_argument("--protocol", choices=PROTOCOLS, type=str.lower, help="for fragments; default http")
    command.add_argument("--description", metavar="TEXT")
    command.add_argument(
        "--warn-text", metavar="TEXT", help="warn the user with this text" + (", '' not" if editing else "")
    )
    command.add_argument("--warn-countdown", type=int, metavar="SECONDS", help="0 waits for an answer (default)")
    command.add_argument("--may-cancel", action=argparse.BooleanOptionalAction, default=None)
    command.add_argument("--may-delay", action=argparse.BooleanOptionalAction, default=None)
    command.add_argument("--done-text", metavar="TEXT", help="the user confirms this at the end")


def _selection_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--computer", action="append", default=[], metavar="NAME-OR-DEVICEID", help="repeatable")
    command.add_argument(
        "--search", action="append", default=[], metavar="'FIELD OP VALUE'", help="repeatable: all fit"
    )
    command.add_argument(
        "--group", default="", metavar="NAME", help="its members now, and those that join later at their contact"
    )
    command.add_argument("--all", action="store_true", dest="everyone", help="every computer")


def _run(verb: Verb, arguments: argparse.Namespace, *, fresh: bool) -> int:
    folder = data_folder(arguments, must_exist=not fresh)

    async def work() -> None:
        async with acting_desk(folder) as desk:
            await verb(desk, arguments)

    asyncio.run(work())
    return 0


async def _build(desk: Desk, arguments: argparse.Namespace) -> None:
    order = Order(
        name=arguments.name,
        system=System(arguments.system.upper()),
        action=Action(arguments.action.upper()),
        argument=_argument(arguments, Action(arguments.action.upper())) or "",
        description=arguments.description or "",
        protocol=Protocol((arguments.protocol or "http").upper()),
        priority=5 if arguments.priority is None else arguments.priority,
        notice=_notice(arguments, None),
        done_text=arguments.done_text or "",
    )
    progress = ProgressLine(Clock())
    try:
        package = await build_package(desk, order, arguments.file, arguments.fragment_size, progress)
    finally:
        progress.end()
    print(package.id)


async def _edit(desk: Desk, arguments: argparse.Namespace) -> None:
    before = (await package_facts.show_package(desk, arguments.id)).package.order
    action = Action(arguments.action.upper()) if arguments.action else before.action
    argument = _argument(arguments, action)
    if argument is None and Action.STORE in {action, before.action} and action is not before.action:
        field = "path" if action is Action.STORE else "command"
        raise invalid(field, "to become {action} it takes --{field} too.", action=action.value.title(), field=field)
    changes: dict[str, Any] = {
        "name": arguments.name,
        "system": System(arguments.system.upper()) if arguments.system else None,
        "action": action,
        "argument": argument,
        "description": arguments.description,
        "protocol": Protocol(arguments.protocol.upper()) if arguments.protocol else None,
        "priority": arguments.priority,
        "done_text": arguments.done_text,
    }
    order = replace(before, **{name: value for name, value in changes.items() if value is not None})
    order = replace(order, notice=_notice(arguments, before.notice))
    progress = ProgressLine(Clock())
    try:
        await edit_package(desk, arguments.id, order, arguments.file, arguments.fragment_size, progress)
    finally:
        progress.end()
    facts = await package_facts.show_package(desk, arguments.id)
    told = facts.counts.notified + facts.counts.success + facts.counts.error
    if told:
        print(f"ocs.pyz: {told} computers were told of it before and keep what they have.", file=sys.stderr)


async def _list(desk: Desk, arguments: argparse.Namespace) -> None:
    print_list(await package_facts.list_packages(desk), as_json=arguments.json)


async def _show(desk: Desk, arguments: argparse.Namespace) -> None:
    print_package(await package_facts.show_package(desk, arguments.id), as_json=arguments.json)


async def _stats(desk: Desk, arguments: argparse.Namespace) -> None:
    facts, stands = await package_facts.package_stats(desk, arguments.id)
    print_stats(facts, stands, as_json=arguments.json)


async def _activate(desk: Desk, arguments: argparse.Namespace) -> None:
    activated = await activating.activate(
        desk, arguments.id, arguments.info_url, arguments.fragment_url, unchecked=arguments.unchecked
    )
    for warning in activated.warnings:
        print(f"ocs.pyz: warning: {warning}", file=sys.stderr)
    print(activated.id)


async def _unactivate(desk: Desk, arguments: argparse.Namespace) -> None:
    print(await activating.unactivate(desk, arguments.id, arguments.activation))


async def _affect(desk: Desk, arguments: argparse.Namespace) -> None:
    terms = affecting.Terms(arguments.activation, arguments.force, arguments.schedule, arguments.post_command)
    print(await affecting.affect(desk, arguments.id, _selection(arguments), terms))


async def _unaffect(desk: Desk, arguments: argparse.Namespace) -> None:
    print(await affecting.unaffect(desk, arguments.id, _selection(arguments)))


async def _validate(desk: Desk, arguments: argparse.Namespace) -> None:
    print(await affecting.validate(desk, arguments.id, arguments.validation))


async def _delete(desk: Desk, arguments: argparse.Namespace) -> None:
    package = await delete_package(desk, arguments.id)
    print(package.id)


def _selection(arguments: argparse.Namespace) -> affecting.Selection:
    given = [bool(arguments.computer), bool(arguments.search), bool(arguments.group), arguments.everyone]
    if sum(given) > 1:
        raise invalid("computer", "give one of --computer, --search, --group and --all.")
    criteria = tuple(parse(text) for text in arguments.search)
    return affecting.Selection(tuple(arguments.computer), criteria, arguments.everyone, group=arguments.group)


def _argument(arguments: argparse.Namespace, action: Action) -> str | None:
    wrong = arguments.command if action is Action.STORE else arguments.path
    if wrong is not None:
        right = "--path" if action is Action.STORE else "--command"
        raise invalid(right.lstrip("-"), "the action {action} takes {right}.", action=action.value.title(), right=right)
    value: str | None = arguments.path if action is Action.STORE else arguments.command
    return value


def _notice(arguments: argparse.Namespace, before: Notice | None) -> Notice | None:
    parts = {
        "text": arguments.warn_text,
        "countdown": arguments.warn_countdown,
        "may_cancel": arguments.may_cancel,
        "may_delay": arguments.may_delay,
    }
    given = {name: value for name, value in parts.items() if value is not None}
    if not given:
        return before
    if before is None and "text" not in given:
        raise invalid("warn-text", "to warn the user takes --warn-text.")
    if given.get("text") == "" and before is not None:
        return None
    return replace(before or Notice(""), **given)
