"""`ocs.pyz user …`: accounts of the console and the API. Passwords are read, never given as an argument."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from appliance.cli import Help, acting_desk, add_data, data_folder
from appliance.cli.text import print_json, print_table
from appliance.clock import iso, stamp
from appliance.domain.account import Account, Profile, Role
from appliance.domain.refusal import invalid
from appliance.operations import accounts, tokens
from appliance.operations.desk import Desk

ROLES = [role.value for role in Role]
LANGUAGES = ["en", "es", "browser"]

Verb = Callable[[Desk, argparse.Namespace], Awaitable[None]]


def fill(family: argparse.ArgumentParser) -> None:
    """The words of `user`."""
    words = family.add_subparsers(metavar="WORD", required=True)

    def word(name: str, verb: Verb, text: str, example: str, *, fresh: bool = False) -> argparse.ArgumentParser:
        command = words.add_parser(
            name,
            help=text,
            description=text,
            epilog=f"example:\n  ocs.pyz user {example}",
            formatter_class=Help,
        )
        add_data(command)
        command.set_defaults(run=lambda arguments: _run(verb, arguments, fresh=fresh))
        return command

    create = word(
        "create",
        _create,
        "Create a user; the password is asked for, or read as one line from standard input.",
        "create ana --role user --tag paris --full-name 'Ana García'",
        fresh=True,
    )
    create.add_argument("name")
    create.add_argument("--role", choices=ROLES, default=Role.USER.value, help="default: user")
    _profile_options(create)
    listing = word("list", _list, "All users.", "list --json")
    listing.add_argument("--json", action="store_true", help="one JSON document")
    edit = word("edit", _edit, "Change a user; what is not named stays.", "edit ana --tag paris --tag lyon --enable")
    edit.add_argument("name")
    edit.add_argument("--role", choices=ROLES, help="another role signs the user out")
    _profile_options(edit)
    edit.add_argument("--no-tags", action="store_true", help="take all TAGs away")
    able = edit.add_mutually_exclusive_group()
    able.add_argument("--disable", dest="disabled", action="store_true", default=None, help="no sign-in any more")
    able.add_argument("--enable", dest="disabled", action="store_false", default=None)
    edit.add_argument("--no-second-factor", action="store_true", help="for one who lost it")
    delete = word("delete", _delete, "Delete a user; prints the name.", "delete ana")
    delete.add_argument("name")
    password = word(
        "password",
        _password,
        "Give a user a new password, asked for or read as one line from standard input; lifts a block.",
        "password ana",
    )
    password.add_argument("name")
    token = word("tokens", _tokens, "A user's tokens for the API; make and revoke them.", "tokens ana --new backup")
    token.add_argument("name")
    verb = token.add_mutually_exclusive_group()
    verb.add_argument("--new", metavar="LABEL", help="make one; prints it, this once")
    verb.add_argument("--revoke", type=int, metavar="ID")
    verb.add_argument("--json", action="store_true", help="one JSON document")
    token.add_argument("--days", type=int, default=90, metavar="N", help="how long a new one is good; default 90")


def _profile_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--full-name", metavar="TEXT")
    command.add_argument("--tag", action="append", default=[], metavar="TAG", help="computers a user sees; repeatable")
    command.add_argument("--language", choices=LANGUAGES, help="of the console; default: the browser's")


def _run(verb: Verb, arguments: argparse.Namespace, *, fresh: bool) -> int:
    folder = data_folder(arguments, must_exist=not fresh)

    async def work() -> None:
        async with acting_desk(folder) as desk:
            await verb(desk, arguments)

    asyncio.run(work())
    return 0


async def _create(desk: Desk, arguments: argparse.Namespace) -> None:
    profile = Profile(
        arguments.name,
        Role(arguments.role),
        arguments.full_name or "",
        frozenset(arguments.tag),
        _language(arguments) or "",
    )
    print((await accounts.create_user(desk, profile.checked(), _read_password())).name)


async def _list(desk: Desk, arguments: argparse.Namespace) -> None:
    found = await accounts.list_users(desk)
    if arguments.json:
        print_json([_document(account) for account in found])
        return
    print_table(
        ("NAME", "ROLE", "STATE", "TAGS", "SECOND FACTOR", "LAST LOGIN", "FULL NAME"),
        [
            (
                account.name,
                account.profile.role.value,
                "disabled" if account.profile.disabled else "",
                ", ".join(sorted(account.profile.tags)),
                "yes" if account.second_factor else "",
                stamp(account.last_login) if account.last_login else "",
                account.profile.full_name,
            )
            for account in found
        ],
    )


async def _edit(desk: Desk, arguments: argparse.Namespace) -> None:
    if arguments.tag and arguments.no_tags:
        raise invalid("tag", "give --tag or --no-tags, not both.")
    given = [arguments.full_name, arguments.role, arguments.language, arguments.disabled]
    if all(value is None for value in given) and not (arguments.tag or arguments.no_tags or arguments.no_second_factor):
        raise invalid("name", "say what to change; --help shows what can be.")
    await accounts.change_user(
        desk,
        arguments.name,
        full_name=arguments.full_name,
        role=Role(arguments.role) if arguments.role else None,
        tags=frozenset(arguments.tag) if arguments.tag or arguments.no_tags else None,
        language=_language(arguments),
        disabled=arguments.disabled,
    )
    if arguments.no_second_factor:
        await accounts.take_second_factor(desk, arguments.name)


async def _delete(desk: Desk, arguments: argparse.Namespace) -> None:
    print((await accounts.delete_user(desk, arguments.name)).name)


async def _password(desk: Desk, arguments: argparse.Namespace) -> None:
    account = await accounts.show_user(desk, arguments.name)
    await accounts.reset_password(desk, account.id, _read_password())


async def _tokens(desk: Desk, arguments: argparse.Namespace) -> None:
    if arguments.new is not None:
        print(await tokens.make_token(desk, arguments.new, arguments.days, user=arguments.name))
        return
    if arguments.revoke is not None:
        await tokens.revoke_token(desk, arguments.revoke, user=arguments.name)
        return
    found = await tokens.list_tokens(desk, arguments.name)
    if arguments.json:
        print_json(
            [
                {
                    "id": token.id,
                    "name": token.name,
                    "created_at": iso(token.created_at),
                    "expires_at": iso(token.expires_at),
                    "used_at": iso(token.used_at) if token.used_at else None,
                }
                for token in found
            ]
        )
        return
    print_table(
        ("ID", "NAME", "MADE", "EXPIRES", "LAST USE"),
        [
            (t.id, t.name, stamp(t.created_at), stamp(t.expires_at), stamp(t.used_at) if t.used_at else "")
            for t in found
        ],
    )


def _document(account: Account) -> dict[str, Any]:
    return {
        "name": account.name,
        "full_name": account.profile.full_name,
        "role": account.profile.role.value,
        "tags": sorted(account.profile.tags),
        "language": account.profile.language,
        "disabled": account.profile.disabled,
        "second_factor": account.second_factor,
        "created_at": iso(account.created_at),
        "last_login": iso(account.last_login) if account.last_login else None,
    }


def _language(arguments: argparse.Namespace) -> str | None:
    return "" if arguments.language == "browser" else arguments.language


def _read_password() -> str:
    """A password typed twice at a terminal, else one line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("The same once more: ") != first:
        raise invalid("password", "the two are not the same; nothing was changed.")
    return first
