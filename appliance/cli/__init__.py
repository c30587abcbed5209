"""Words and arguments to operations, and back to text and an exit code: 0 done, 1 refused or failed, 2 wrong usage."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from appliance import __version__
from appliance.cli.text import shown
from appliance.domain.account import Actor
from appliance.domain.refusal import Kind, Refusal

if TYPE_CHECKING:
    from appliance.operations.desk import Desk

DONE, REFUSED, USAGE = 0, 1, 2
EXIT = dict.fromkeys(Kind, REFUSED)


def main(argv: Sequence[str]) -> int:
    """Run one command line (without the program's name): its exit code."""
    words = list(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without our letters must not stop the work
    if not words or words[0] in ("help", "-h", "--help"):
        parser().print_help()
        return DONE if words else USAGE
    arguments = parser(words[0]).parse_args(words)
    try:
        return int(arguments.run(arguments))
    except Refusal as refusal:
        print(f"ocs.pyz: {shown(refusal)}", file=sys.stderr)
        return EXIT[refusal.kind]
    except KeyboardInterrupt:
        print("ocs.pyz: interrupted; nothing half-done was kept.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED


def parser(word: str = "") -> argparse.ArgumentParser:
    """The parser of the whole command line; only the family of `word` is imported and filled in."""
    top = argparse.ArgumentParser(
        prog="ocs.pyz",
        description="Software deployment for small sites: server, client and administrator's tool in one file.",
        epilog="Start with: ocs.pyz demo      then: ocs.pyz serve --data /srv/ocs --server-name ocs.example.org",
    )
    top.add_argument("--version", action="version", version=f"ocs.pyz {__version__}")
    families = top.add_subparsers(metavar="WORD", required=True)
    for name, text in FAMILIES.items():
        family = families.add_parser(name, help=text, description=text, formatter_class=Help)
        if name == word:
            _fill(name, family)
    return top


class Help(argparse.RawDescriptionHelpFormatter):
    """Help that leaves examples as they are written."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=100)


FAMILIES = {
    "serve": "Console, communication endpoint and deployment server: three listeners, one process.",
    "agent": "The client: contact, inventory, deployments ('ocs.pyz agent --help').",
    "demo": "Deploy three packages in a throw-away folder on loopback, through the real protocol.",
    "package": "Build, activate, affect and follow packages.",
    "computer": "The computers that made a contact.",
    "group": "Groups of computers, static or by a search.",
    "user": "Accounts of the console and the API.",
    "config": "Settings, for all computers, for a group or for one.",
    "tls": "Certificates.",
    "backup": "All data into one file, while the server runs.",
    "restore": "The data of a backup into a data directory.",
    "check": "Look over all data, byte by byte.",
    "audit": "The log of who did what and when.",
}


def data_folder(arguments: argparse.Namespace, *, must_exist: bool = False) -> Path:
    """The data directory: --data, else OCS_DATA, else ./ocs-data. Raises Refusal where it must be there and is not."""
    folder = Path(getattr(arguments, "data", None) or os.environ.get("OCS_DATA") or "ocs-data")
    if must_exist and not (folder / "ocs.sqlite").is_file():
        raise Refusal(
            Kind.MISSING,
            "there is no data in {folder}; name the server's data directory with --data, or start 'ocs.pyz serve'.",
            folder=folder,
        )
    return folder


@asynccontextmanager
async def acting_desk(folder: Path) -> AsyncIterator[Desk]:
    """The desk over a data directory, acting for whoever runs the command. Raises Refusal."""
    from appliance.operations.desk import open_desk  # here: help must not pay for the database

    async with open_desk(folder) as desk:
        yield desk.acting(own_actor())


def own_actor() -> Actor:
    """Whoever runs the command."""
    return Actor(_own_name(), "command line")


def _own_name() -> str:
    """The operating system's name for whoever runs this, from its own books and not from the environment."""
    try:
        import pwd
    except ImportError:  # Windows
        return os.environ.get("USERNAME") or "unknown"
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


def add_data(command: argparse.ArgumentParser) -> None:
    """The option that all words but `agent` take."""
    command.add_argument(
        "--data",
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="data directory (default: $OCS_DATA or ./ocs-data)",
    )


def _fill(name: str, family: argparse.ArgumentParser) -> None:
    # imported here: 'package list' must not pay for the web server
    if name == "package":
        from appliance.cli import package

        package.fill(family)
    elif name == "computer":
        from appliance.cli import computer

        computer.fill(family)
    elif name == "group":
        from appliance.cli import group

        group.fill(family)
    elif name == "user":
        from appliance.cli import user

        user.fill(family)
    elif name == "config":
        from appliance.cli import config

        config.fill(family)
    elif name == "tls":
        from appliance.cli import tls

        tls.fill(family)
    elif name in ("backup", "restore", "check"):
        from appliance.cli import backup

        backup.fill(name, family)
    elif name == "audit":
        from appliance.cli import audit

        audit.fill(family)
    elif name == "serve":
        from appliance.cli import serve

        serve.fill(family)
    elif name == "demo":
        from appliance import demo

        add_data(family)
        family.epilog = "example:\n  ocs.pyz demo"
        family.set_defaults(run=lambda _: demo.run())
