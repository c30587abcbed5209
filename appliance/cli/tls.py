"""`ocs.pyz tls …`: certificates."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from appliance.cli import Help, acting_desk, add_data, data_folder
from appliance.cli.text import print_json, print_table
from appliance.clock import iso, stamp
from appliance.disk import keep
from appliance.domain.package import System
from appliance.domain.refusal import invalid
from appliance.operations.certificates import (
    Installed,
    certificates,
    export_authority,
    install_certificate,
    renew_certificate,
    request_certificate,
)
from appliance.operations.desk import Desk
from appliance.operations.rotation import (
    FORMATS,
    build_bundle_package,
    bundle_order,
    finish_rotation,
    rotate_authority,
    rotation_of,
)

LARGEST = 256 * 1024
SUBJECT = {
    "organisation": "organisation (O)",
    "unit": "organisational unit (OU)",
    "place": "town (L)",
    "region": "state or province (ST)",
    "country": "country, two letters (C)",
}

Verb = Callable[[Desk, argparse.Namespace], Awaitable[None]]


def fill(family: argparse.ArgumentParser) -> None:
    """The words of `tls`."""
    words = family.add_subparsers(metavar="WORD", required=True)

    def word(name: str, verb: Verb, text: str, more: str, example: str) -> argparse.ArgumentParser:
        command = words.add_parser(
            name,
            help=text,
            description=more,
            epilog=f"example:\n  ocs.pyz tls {example}",
            formatter_class=Help,
        )
        add_data(command)
        command.set_defaults(run=lambda arguments: _run(verb, arguments, must_exist=name != "export-ca"))
        return command

    show = word(
        "show", _show, "what is installed, and until when",
        "The server's certificate, the authorities in cacert.pem, and what is to be done about them.", "show --json",
    )  # fmt: skip
    show.add_argument("--json", action="store_true", help="one JSON document")
    request = word(
        "request", _request, "write a certificate request",
        "A request (CSR) for an own PKI: to a file, or to standard output. Its key stays in the database.",
        "request --name ocs.example.org ocs.csr",
    )  # fmt: skip
    request.add_argument("file", nargs="?", type=Path, metavar="FILE")
    request.add_argument(
        "--name", action="append", default=[], help="DNS name or address; repeatable; default: the server's name"
    )
    for option, text in SUBJECT.items():
        request.add_argument(f"--{option}", default="", help=text)
    install = word(
        "install", _install, "install the certificate that came back",
        "Install what an own PKI issued, all up to its root; a running server takes it up at once.",
        "install --cert ocs.pem --chain chain.pem",
    )  # fmt: skip
    install.add_argument("--cert", type=Path, metavar="FILE", required=True, help="the server's certificate, PEM")
    install.add_argument(
        "--chain", type=Path, metavar="FILE", help="the authorities above it, each behind the one before"
    )
    install.add_argument("--key", type=Path, metavar="FILE", help="its key, where it was not requested here")
    renew = word(
        "renew", _renew, "make a new server certificate",
        "A new certificate from our own authority; a running server takes it up at once.", "renew",
    )  # fmt: skip
    renew.add_argument("--name", action="append", default=[], help="a further DNS name or address; repeatable")
    rotate = word(
        "rotate", _rotate, "change our own authority, without a gap",
        "Make a new authority beside the present one: until --finish, cacert.pem has both and agents verify the server "
        "with either. Our agents take the new file by themselves; others get it as a package (--build).",
        "rotate --build windows --build linux",
    )  # fmt: skip
    rotate.add_argument("--finish", action="store_true", help="take the old authority out")
    rotate.add_argument("--force", action="store_true", help="with --finish: though computers do not know the new one")
    rotate.add_argument("--any-name", action="store_true", help="an authority that is bound to no domain")
    rotate.add_argument(
        "--build", action="append", default=[], choices=[system.value.lower() for system in System],
        help="build the package that brings cacert.pem to other agents of that system; repeatable",
    )  # fmt: skip
    rotate.add_argument("--folder", default="", metavar="PATH", help="with --build: where those agents look for it")
    export = word(
        "export-ca", _export, "write cacert.pem",
        "The authorities that agents verify this server with: to a file, or to standard output.",
        "export-ca cacert.pem",
    )  # fmt: skip
    export.add_argument("file", nargs="?", type=Path, metavar="FILE")


def _run(verb: Verb, arguments: argparse.Namespace, *, must_exist: bool) -> int:
    folder = data_folder(arguments, must_exist=must_exist)

    async def work() -> None:
        async with acting_desk(folder) as desk:
            await verb(desk, arguments)

    asyncio.run(work())
    return 0


async def _show(desk: Desk, arguments: argparse.Namespace) -> None:
    installed = await certificates(desk)
    if arguments.json:
        print_json(_document(installed))
        return
    lines = [("server", installed.server), ("authority", installed.authority)]
    if installed.rotation:
        lines.append(("former authority", installed.rotation.former))
    lines += [("other root", root) for root in installed.foreign_roots]
    print_table(
        ("WHAT", "SUBJECT", "ISSUER", "UNTIL", "DAYS", "SHA-256"),
        [(w, f.subject, f.issuer, stamp(f.valid_until), f.days_left, f.fingerprint[:23] + "…") for w, f in lines],
    )
    print(f"names: {', '.join(installed.server.names)}")
    if installed.request:
        print(f"requested {stamp(installed.request_at)} for: {', '.join(installed.request_names)}")
    _remark(installed)


async def _request(desk: Desk, arguments: argparse.Namespace) -> None:
    subject = {option: getattr(arguments, option) for option in SUBJECT}
    _write(arguments.file, await request_certificate(desk, arguments.name, **subject))


async def _install(desk: Desk, arguments: argparse.Namespace) -> None:
    chain = _read(arguments.chain, "chain") if arguments.chain else ""
    key = _read(arguments.key, "key") if arguments.key else None
    _remark(await install_certificate(desk, _read(arguments.cert, "cert"), chain, key))


async def _renew(desk: Desk, arguments: argparse.Namespace) -> None:
    _remark(await renew_certificate(desk, arguments.name))


async def _rotate(desk: Desk, arguments: argparse.Namespace) -> None:
    if arguments.finish:
        await finish_rotation(desk, force=arguments.force)
    elif not arguments.build or await rotation_of(desk) is None:
        await rotate_authority(desk, any_name=arguments.any_name)
    installed = await certificates(desk)
    _remark(installed)
    for system in arguments.build:
        print((await build_bundle_package(desk, System(system.upper()), arguments.folder)).id)
    if installed.rotation is not None and not arguments.build:
        sha256 = installed.authority.fingerprint.replace(":", "").lower()
        print("Agents that are not ours take it as a package; build it so, or with 'tls rotate --build SYSTEM':")
        for system in System:
            order, file = bundle_order(system, sha256), f"cacert.{FORMATS[system]}"
            pack = f"zip {file} cacert.pem" if file.endswith("zip") else f"tar czf {file} cacert.pem"
            print(
                f"  ocs.pyz tls export-ca cacert.pem && {pack} && ocs.pyz package build --name '{order.name}' "
                f"--os {system.value.lower()} --action store --path '{order.argument}' --priority {order.priority} "
                f"--file {file}"
            )


async def _export(desk: Desk, arguments: argparse.Namespace) -> None:
    _write(arguments.file, await export_authority(desk))


def _document(installed: Installed) -> dict[str, Any]:
    def facts(one: Any) -> dict[str, Any]:
        return {**asdict(one), "valid_from": iso(one.valid_from), "valid_until": iso(one.valid_until)}

    rotation = installed.rotation
    return {
        "server": facts(installed.server),
        "own": installed.own,
        "server_name": installed.server_name,
        "authority": facts(installed.authority),
        "former_authority": facts(rotation.former) if rotation else None,
        "computers": {"seen": rotation.seen, "knowing": rotation.knowing} if rotation else None,
        "other_roots": [facts(root) for root in installed.foreign_roots],
        "requested_names": list(installed.request_names),
        "remarks": [str(remark) for remark in installed.remarks],
    }


def _remark(installed: Installed) -> None:
    _warn(str(remark) for remark in installed.remarks)


def _warn(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        print(f"ocs.pyz: note: {sentence}", file=sys.stderr)


def _read(path: Path, field: str) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1).decode("ascii", errors="replace")
    except OSError as error:
        raise invalid(field, "{file} cannot be read: {met}.", file=path, met=error.strerror) from error


def _write(path: Path | None, text: str) -> None:
    if path is None:
        print(text, end="")
        return
    try:
        keep(path, text.encode(), 0o644)
    except OSError as error:
        raise invalid("file", "{file} cannot be written: {met}.", file=path, met=error.strerror) from error
