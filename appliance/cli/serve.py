"""`ocs.pyz serve`."""

from __future__ import annotations

import argparse
import ipaddress
import re

from appliance.cli import add_data, data_folder
from appliance.domain.refusal import invalid


def fill(command: argparse.ArgumentParser) -> None:
    """The options of `serve`."""
    command.epilog = "example:\n  ocs.pyz serve --data /srv/ocs --server-name ocs.example.org --server-name 192.168.1.1"
    add_data(command)
    command.add_argument("--listen", metavar="ADDRESS", default="0.0.0.0", help="agents' address (default: all)")
    command.add_argument("--http-port", type=_port, metavar="PORT", default=8080, help="default 8080; 0 picks one")
    command.add_argument("--https-port", type=_port, metavar="PORT", default=4343, help="default 4343; 0 picks one")
    command.add_argument("--console-listen", metavar="ADDRESS", default="127.0.0.1", help="default 127.0.0.1")
    command.add_argument("--console-port", type=_port, metavar="PORT", default=8443, help="default 8443; 0 picks one")
    command.add_argument(
        "--server-name",
        metavar="NAME",
        action="append",
        default=[],
        help="DNS name or address in the certificate and in proposed URLs; the first is proposed; repeatable",
    )
    command.add_argument(
        "--rescue",
        action="store_true",
        help="over a damaged database: serve downloads and what the console can read of it, and write nothing",
    )
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from appliance import server

    for name in arguments.server_name:
        if not _is_name(name):
            raise invalid("server-name", "{name!r} is neither a DNS name nor an address.", name=name[:80])
    return server.serve(
        server.Listening(
            data=data_folder(arguments, must_exist=arguments.rescue),
            listen=arguments.listen,
            http_port=arguments.http_port,
            https_port=arguments.https_port,
            console_listen=arguments.console_listen,
            console_port=arguments.console_port,
            names=arguments.server_name,
            rescue=arguments.rescue,
        )
    )


def _is_name(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
        return "%" not in name  # a zone is one machine's own
    except ValueError:
        parts = name.split(".")
        return len(name) <= 253 and all(re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?", p) for p in parts)


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port from 0 to 65535")
    return int(text)
