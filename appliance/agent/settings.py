"""What the agent is told: options, and the same words in agent.cfg. The command line wins."""

from __future__ import annotations

import argparse
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from appliance import __version__
from appliance.agent import basedir
from appliance.agent.failure import Unusable
from appliance.agent.membership import Member, load
from appliance.agent.ownership import trusted
from appliance.wire.paths import CONTACT

WORDS = ("run", "status", "join", "install", "uninstall")
EXAMPLE = """\
examples:
  ocs.pyz agent --server ocs.example.org:8080 --ca cacert.pem
  ocs.pyz agent --server https://ocs.example.org:4343/ocsinventory --once
  ocs.pyz agent join ocs-join-…
  ocs.pyz agent status --json
  ocs.pyz agent install --server ocs.example.org:8080 --ca cacert.pem

Every option but the one-shot ones is also a key of agent.cfg in the base directory: `server = ocs.example.org`.
A password belongs there (chmod 600), not in the argument list, which every user of the computer can read.
"""


@dataclass(frozen=True)
class Settings:
    """The settings of one run. Empty texts and None: not given."""

    folder: Path  # the base directory
    word: str = "run"  # or another of WORDS
    token: str = ""  # to join with; "-": it comes on standard input
    member: Member | None = None  # what this computer is to the server that it joined
    server: str = ""  # the whole URL
    bundle: Path | None = None  # cacert.pem, whether it exists or not
    tag: str = ""
    proxy: str = ""
    user: str = ""
    password: str = ""
    realm: str = ""
    logfile: Path | None = None
    debug: bool = False
    once: bool = False
    force_inventory: bool = False
    local: bool = False
    json: bool = False
    purge: bool = False
    dry_run: bool = False


def parser() -> argparse.ArgumentParser:
    """The command line. Wrong usage leaves with 2, --help and --version with 0."""
    made = argparse.ArgumentParser(
        prog="ocs.pyz agent",
        description="Take inventory of this computer and deploy what the server announces.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("word", nargs="?", choices=WORDS, default="run",
                      help="status: what is in the spool, what was deployed, what comes next; join TOKEN: get a"
                      " certificate from the server that made it, and speak to that server from then on; install,"
                      " uninstall: the service of this system, with the options given here in agent.cfg")  # fmt: skip
    made.add_argument("token", nargs="?", default=None, metavar="TOKEN",
                      help="with join: what `ocs.pyz computer token` printed; - reads it from standard"
                      " input")  # fmt: skip
    made.add_argument("--server", metavar="URL", help="http[s]://host[:port]/ocsinventory, or host[:port]")
    made.add_argument("--ca", metavar="FILE", help="certificates to verify the server with (default: cacert.pem in"
                      " the base directory); without it nothing is deployed")  # fmt: skip
    made.add_argument("--basedir", metavar="DIR", help=f"the agent's own folder (default: {basedir.default()})")
    made.add_argument("--tag", metavar="TEXT", help="the TAG of this computer, until the server gives it one")
    made.add_argument("--proxy", metavar="URL", help="http://[user:password@]host:port, for all connections")
    made.add_argument("--user", metavar="NAME", help="HTTP Basic: user name at the server")
    made.add_argument("--password", metavar="TEXT", help="HTTP Basic: password; better in agent.cfg")
    made.add_argument("--realm", metavar="TEXT", help="HTTP Basic: send the password to this realm only")
    made.add_argument("--logfile", metavar="FILE", help="log to this file instead of standard error")
    made.add_argument("--debug", action="store_true", default=None, help="log more")
    made.add_argument("--once", action="store_true", help="one contact and the deployments it brings, then end")
    made.add_argument("--force-inventory", action="store_true", help="send an inventory though none is asked for")
    made.add_argument("--local", action="store_true", help="print the inventory as XML, contact nobody")
    made.add_argument("--json", action="store_true", help="with status: one JSON document")
    made.add_argument("--purge", action="store_true", help="with uninstall: the spool too")
    made.add_argument("--dry-run", action="store_true", help="with install, uninstall: only show what would be done")
    made.add_argument("--version", action="version", version=f"ocs.pyz {__version__}")
    return made


def gather(argv: list[str]) -> tuple[Settings, list[str]]:
    """Settings from the command line and agent.cfg, and what to warn of. Raises Unusable; SystemExit on wrong usage."""
    made = parser()
    given = made.parse_args(argv)
    if (given.word == "join") != bool(given.token):
        made.error("join takes a token, and no other word does")
    folder = Path(given.basedir or basedir.default()).absolute()
    config, warnings = read_config(folder / basedir.CONFIG)
    told = {name: value for name, value in vars(given).items() if isinstance(value, str)}
    texts = {**config, **told}
    if given.password:
        warnings.append("the password in the argument list can be read by every user; put it into agent.cfg")
    logfile = texts.get("logfile", "")
    member = None if given.local or given.word in ("status", "join", "uninstall") else load(folder)
    if given.local or given.word in ("status", "join", "uninstall"):
        server = ""
    elif member is not None:
        server = member.server
        if texts.get("server") and complete(texts["server"]) != server:
            warnings.append(f"this computer joined {server} and speaks to that one; --server is left alone")
    else:
        server = complete(texts.get("server", ""))
    settings = Settings(
        folder=folder,
        word=given.word,
        token=given.token or "",
        member=member,
        server=server,
        bundle=Path(texts["ca"]).absolute() if texts.get("ca") else folder / basedir.BUNDLE,
        tag=texts.get("tag", ""),
        proxy=_proxy(texts.get("proxy", "")),
        user=texts.get("user", ""),
        password=texts.get("password", ""),
        realm=texts.get("realm", ""),
        logfile=Path(logfile).absolute() if logfile else None,
        debug=bool(given.debug) or config.get("debug", "0").lower() in ("1", "yes", "true", "on"),
        once=given.once,
        force_inventory=given.force_inventory,
        local=given.local,
        json=given.json,
        purge=given.purge,
        dry_run=given.dry_run,
    )
    return settings, warnings


def complete(text: str) -> str:
    """The server's URL from what was typed: a bare host[:port] is completed. Raises Unusable."""
    text = text.strip()
    if not text:
        raise Unusable("No server is named; give --server host[:port], or `server = …` in agent.cfg.")
    if "://" not in text:
        text = f"http://{text}" if "/" in text else f"http://{text}{CONTACT}"
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in parts.netloc or any(ord(c) <= 32 or ord(c) > 126 for c in text):
        raise Unusable(f"{text[:80]!r} is no server; write host[:port] or http[s]://host[:port]{CONTACT}.")
    return text if parts.path not in ("", "/") else f"{parts.scheme}://{parts.netloc}{CONTACT}"


def read_config(path: Path) -> tuple[dict[str, str], list[str]]:
    """Keys and values of agent.cfg, and what to warn of; empty where there is none. Raises Unusable."""
    try:
        text = path.read_text("utf-8")
        status = path.stat()
    except FileNotFoundError:
        return {}, []
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{path} cannot be read: {error}.") from None
    if os.name != "nt" and status.st_mode & 0o022:
        raise Unusable(f"{path} can be written by others; chmod 600 it after a look inside.")
    if os.name != "nt" and status.st_uid not in trusted():
        raise Unusable(f"{path} belongs to another user; chown it after a look inside.")
    values: dict[str, str] = {}
    warnings = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith(("#", ";")):
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            raise Unusable(f"{path}, line {number}: it is not `key = value`.")
        if key in _KEYS:
            values[key] = value
        else:
            warnings.append(f"{path}, line {number}: {key!r} is no key of this agent and is left alone")
    if values.get("password") and os.name != "nt" and stat.S_IMODE(status.st_mode) & 0o077:
        raise Unusable(f"{path} holds a password and can be read by others; chmod 600 it.")
    return values, warnings


_KEYS = frozenset({"server", "ca", "tag", "proxy", "user", "password", "realm", "debug", "logfile"})


def _proxy(text: str) -> str:
    if not text:
        return ""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Unusable(f"{text[:80]!r} is no proxy; write http://host:port.")
    return url
