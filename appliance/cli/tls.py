"""`ocs.pyz tls …`: certificates."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from appliance.cli import Help, add_data, data_folder
from appliance.disk import keep
from appliance.domain.refusal import invalid
from appliance.operations.certificates import export_authority
from appliance.operations.desk import open_desk


def fill(family: argparse.ArgumentParser) -> None:
    """The words of `tls`."""
    words = family.add_subparsers(metavar="WORD", required=True)
    export = words.add_parser(
        "export-ca", help="write cacert.pem", formatter_class=Help,
        description="The authority that agents verify this server with: to a file, or to standard output.",
        epilog="example:\n  ocs.pyz tls export-ca cacert.pem",
    )  # fmt: skip
    export.add_argument("file", nargs="?", type=Path, metavar="FILE")
    add_data(export)
    export.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    async def work() -> str:
        async with open_desk(data_folder(arguments)) as desk:
            return await export_authority(desk)

    pem = asyncio.run(work())
    if arguments.file is None:
        print(pem, end="")
        return 0
    try:
        keep(arguments.file, pem.encode(), 0o644)
    except OSError as error:
        raise invalid("file", "{file} cannot be written: {met}.", file=arguments.file, met=error.strerror) from error
    return 0
