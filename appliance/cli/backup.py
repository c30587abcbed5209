"""`ocs.pyz backup`, `restore` and `check`: nothing lost."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
from pathlib import Path

from appliance.cli import Help, acting_desk, add_data, data_folder, own_actor
from appliance.cli.text import ProgressLine, print_json, shown
from appliance.clock import Clock, stamp
from appliance.domain.fragments import show_size
from appliance.domain.refusal import invalid
from appliance.operations.backup import Backup, back_up
from appliance.operations.backup_file import is_sealed
from appliance.operations.check import Verdict, check
from appliance.operations.restore import Restored, restore

LONGEST = 4096  # characters of a passphrase


def fill(name: str, word: argparse.ArgumentParser) -> None:
    """The options of one of the three words."""
    word.formatter_class = Help
    add_data(word)
    {"backup": _fill_backup, "restore": _fill_restore, "check": _fill_check}[name](word)


def _fill_backup(word: argparse.ArgumentParser) -> None:
    word.description = (
        "Everything in one file: database, keys, fragments. The server may run meanwhile. The file is there when all "
        "of it is on the disk."
    )
    word.epilog = "example:\n  ocs.pyz backup /mnt/safe/ocs.tar.zst --passphrase-file /etc/ocs/backup.passphrase"
    word.add_argument("file", type=Path, metavar="FILE")
    word.add_argument("--encrypt", action="store_true", help="ask for a passphrase")
    _add_passphrase(word, "encrypt with the first line of FILE ('-': of standard input)")
    word.add_argument("--replace", action="store_true", help="also where FILE is there already")
    word.set_defaults(run=_backup)


def _fill_restore(word: argparse.ArgumentParser) -> None:
    word.description = (
        "The data of a backup into a data directory on which no server runs. All of it is verified first; killed at "
        "any moment, the old data are there or the new."
    )
    word.epilog = "example:\n  ocs.pyz restore /mnt/safe/ocs.tar.zst --data /srv/ocs --replace"
    word.add_argument("file", type=Path, metavar="FILE")
    _add_passphrase(word, "decrypt with the first line of FILE ('-': of standard input); else it is asked for")
    word.add_argument("--replace", action="store_true", help="also where there are data; they are kept beside")
    word.set_defaults(run=_restore)


def _fill_check(word: argparse.ArgumentParser) -> None:
    word.description = (
        "Read the database and every byte of the packages, change nothing, and say what to do about what is damaged, "
        "missing or foreign. The server may run meanwhile."
    )
    word.epilog = "example:\n  ocs.pyz check --data /srv/ocs"
    word.add_argument("--json", action="store_true", help="one JSON document")
    word.set_defaults(run=_check)


def _add_passphrase(word: argparse.ArgumentParser, text: str) -> None:
    word.add_argument("--passphrase-file", metavar="FILE", help=text)


def _backup(arguments: argparse.Namespace) -> int:
    passphrase = _told_passphrase(arguments.passphrase_file)
    if arguments.encrypt and passphrase is None:
        passphrase = getpass.getpass("Passphrase: ")
        if getpass.getpass("Again: ") != passphrase:
            raise invalid("passphrase", "the two differ.")

    async def work(line: ProgressLine) -> Backup:
        async with acting_desk(data_folder(arguments, must_exist=True)) as desk:
            return await back_up(desk, arguments.file, passphrase, line, overwrite=arguments.replace)

    line = ProgressLine(Clock())
    try:
        made = asyncio.run(work(line))
    finally:
        line.end()
    print(f"{shown(made.path)}: {show_size(made.size)}, {_packages(made.contents.packages)}")
    if passphrase is None:
        print(
            "The server's private keys lie in it in the clear: keep it where only you can read it, or use --encrypt.",
            file=sys.stderr,
        )
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    passphrase = _told_passphrase(arguments.passphrase_file)
    if passphrase is None and sys.stdin.isatty() and is_sealed(arguments.file):
        passphrase = getpass.getpass("Passphrase: ")
    folder = data_folder(arguments)

    async def work(line: ProgressLine) -> Restored:
        return await restore(folder, arguments.file, passphrase, own_actor(), Clock(), line, replace=arguments.replace)

    line = ProgressLine(Clock())
    try:
        done = asyncio.run(work(line))
    finally:
        line.end()
    made = done.contents
    print(f"{shown(folder)}: the data of {stamp(made.made_at)}, {_packages(made.packages)}; nobody is signed in.")
    if done.former is not None:
        print(f"The former data are kept in {shown(done.former)}; remove that folder when you no longer need it.")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    line = ProgressLine(Clock())
    try:
        verdict = asyncio.run(check(data_folder(arguments, must_exist=True), Clock(), line))
    finally:
        line.end()
    if arguments.json:
        print_json(_document(verdict))
    else:
        for finding in verdict.findings:
            print(f"{shown(finding.where)}: {shown(finding.sentence)}\n    {shown(finding.advice)}")
        looked = f"{_packages(verdict.packages)}, {verdict.files} files, {show_size(verdict.size)}"
        looked += f", {verdict.pages} pages of the database" if verdict.pages else ""
        print(f"{looked}: {len(verdict.findings) or 'nothing'} wrong.")
    return 1 if verdict.findings else 0


def _document(verdict: Verdict) -> dict[str, object]:
    return {
        "ok": not verdict.findings,
        "packages": verdict.packages,
        "files": verdict.files,
        "bytes": verdict.size,
        "pages": verdict.pages,
        "findings": [
            {"where": finding.where, "trouble": finding.sentence, "remedy": finding.advice}
            for finding in verdict.findings
        ],
    }


def _packages(count: int) -> str:
    return f"{count} package{'' if count == 1 else 's'}"


def _told_passphrase(file: str | None) -> str | None:
    """The first line of that file; never an argument, which every account of the machine could read."""
    if file is None:
        return None
    try:
        if file == "-":
            return sys.stdin.readline(LONGEST).rstrip("\r\n")
        with open(file, encoding="utf-8", errors="surrogateescape") as opened:
            return opened.readline(LONGEST).rstrip("\r\n")
    except OSError as error:
        raise invalid("passphrase-file", "{file} cannot be read: {met}.", file=file, met=error.strerror) from error
