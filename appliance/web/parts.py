"""What the server is made of that is not ours: its versions, and what is known against one of them. Source: R10."""

from __future__ import annotations

import logging
import platform
import re
import sqlite3
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pyexpat import EXPAT_VERSION

import aiohttp

from appliance import __version__
from appliance.domain.refusal import Kind, Refusal
from appliance.web.console.words import N_

LOG = logging.getLogger("ocs.server")

SQLITE = N_(
    "SQLite before 3.51.3 could damage a database in a rare moment between two writing connections. This server "
    "writes through one connection only; a newer Python or system brings a newer SQLite."
)
EXPAT = N_(
    "Expat before 2.7.2 spends much time on XML that was made to hurt. This server ends such a message at its first "
    "declaration; a newer Python or system brings a newer expat."
)
OPENSSL = N_("OpenSSL before 3.0 gets no repairs any more; a newer Python or system brings a newer one.")
LOWEST_AIOHTTP = (3, 14, 4)


@dataclass(frozen=True)
class Part:
    """One part. `concern`: what is known against that version; empty: nothing."""

    name: str
    version: str
    concern: str = ""


def versions() -> dict[str, str]:
    """The version of each part, as it runs."""
    return {
        "ocs.pyz": __version__,
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "expat": EXPAT_VERSION.removeprefix("expat_"),
        "OpenSSL": ssl.OPENSSL_VERSION.removeprefix("OpenSSL ").split(" ")[0],
        "aiohttp": aiohttp.__version__,
    }


def parts(found: Mapping[str, str] | None = None) -> tuple[Part, ...]:
    """Every part, and what is known against it."""
    known = {"SQLite": ((3, 51, 3), SQLITE), "expat": ((2, 7, 2), EXPAT), "OpenSSL": ((3, 0, 0), OPENSSL)}
    told = []
    for name, version in (found or versions()).items():
        good, concern = known.get(name, ((), ""))
        told.append(Part(name, version, concern if good and _numbers(version) < good else ""))
    return tuple(told)


def tell_parts(found: Mapping[str, str] | None = None) -> None:
    """Write them into the log. Raises Refusal where one is so old that no limit of ours would hold."""
    found = found or versions()
    LOG.info(", ".join(f"{name} {version}" for name, version in found.items()))
    for part in parts(found):
        if part.concern:
            LOG.warning("%s %s: %s", part.name, part.version, part.concern)
    if _numbers(found["aiohttp"]) < LOWEST_AIOHTTP:
        raise Refusal(
            Kind.CONFLICT,
            "aiohttp {version} lets strangers use up this machine; install {lowest} or newer, or run the built file.",
            version=found["aiohttp"],
            lowest=".".join(str(number) for number in LOWEST_AIOHTTP),
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
