"""Numbered texts, each an attack wherever it is not written as a text, for all that agents send; and pages to look at.

The number says which field a page broke with. The HTTP tests beside this module read what comes of them; those in
tests/whole/browser have a browser show it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from appliance.domain.messages import DeviceId, Inventory, Section
from appliance.domain.search import FIELDS
from appliance.store.computers import BIOS
from appliance.web.console.asking import INVENTORY_FIELDS
from appliance.wire import contact, envelope
from appliance.wire.malformed import Malformed
from tests.fakes.appliance import device, inventory, prolog, report

CAPTURES = Path(__file__).parents[2] / "golden" / "captures"
MARK = re.compile(r"zq(\d+)")

OTHERS = (
    *("PRINTERS", "MONITORS", "VIDEOS", "SOUNDS", "MODEMS", "SLOTS", "PORTS", "INPUTS", "CONTROLLERS", "MEMORIES"),
    *("CPUS", "DRIVES", "STORAGES", "REGISTRY", "LOCAL_USERS", "LOCAL_GROUPS", "VIRTUALMACHINES", "BATTERIES"),
    *("USBDEVICES", "SIM", "NEVER_HEARD_OF"),
)
USUAL = (
    *("NAME", "CAPTION", "DESCRIPTION", "MANUFACTURER", "MODEL", "TYPE", "SERIALNUMBER", "COMMENTS", "DRIVER"),
    *("PORT", "VALUE", "SIZE"),
)

# {n} is the number; whatever is evaluated, opened or closed by one of them shows as `broken` does, or in a browser
POLYGLOTS = (
    "zq{n}<script>alert({n})</script>",
    "zq{n}\"'><img src=x onerror=__owned({n})>",
    "zq{n}' autofocus onfocus=alert({n}) x='",
    'zq{n}" autofocus onfocus=__owned({n}) onmouseover=__owned({n}) x="',
    "zq{n}</textarea></title></style></script></select><svg/onload=fetch('//elsewhere.invalid/{n}')>",
    "zq{n}\"'><iframe srcdoc='<script>parent.__owned({n})</script>'></iframe><object data=/help></object>",
    "zq{n}\"'><p hx-get=/help hx-trigger=load data-hx-on:htmx:load=__owned({n}) style=color:red>",
    "javascript:alert('zq{n}')",
    "=cmd|'/C calc'!A0 zq{n}",
    "@SUM(1+1) zq{n}",
    "zq{n}{{{{7*19100003}}}}${{7*19100003}}<%= 7*19100003 %>#{{7*19100003}}",
    "zq{n}' OR '1'='1'; DROP TABLE computer; --",
    "zq{n}%(name)s %s {{0}} {{name}} \\u003cimg\\u003e",
    "zq{n}\r\nSet-Cookie: a=b\r\n\r\n<b>",
    "zq{n}\u202e\u200b&lt;b&gt;&amp;#60;",
    "zq{n}-->]]><!--<b onclick=alert({n})>",
    "zq{n}`;alert({n});//` '-alert({n})-' \\'",
)
STYLES = range(len(POLYGLOTS))


class Hostile:
    """Numbered polyglots. `names`: where each was put."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, where: str, *, style: int | None = None) -> str:
        """The next one, in the style of its number unless another is asked for."""
        self.names.append(where)
        n = len(self.names) - 1
        return POLYGLOTS[(n if style is None else style) % len(POLYGLOTS)].format(n=n)

    def header(self, where: str, *, style: int | None = None) -> str:
        """One with nothing in it that no header can carry."""
        return re.sub(r"[^\x20-\x7e]", "", self(where, style=style))

    def blame(self, text: str) -> list[str]:
        """Which fields' polyglots are in a text."""
        return sorted({self.names[int(n)] for n in MARK.findall(text) if int(n) < len(self.names)})


def fields() -> dict[str, list[str]]:
    """Every section with every field that any inventory of ours has, and those that are searched or shown apart."""
    found: dict[str, set[str]] = {}
    for path in CAPTURES.glob("*.req.bin"):
        try:
            message = contact.decode_request(envelope.unpack(path.read_bytes(), 2**26)[0])
        except Malformed:  # some of them are meant to be
            continue
        if isinstance(message, Inventory):
            for name, values in message.sections:
                found.setdefault(name, set()).update(values)
    for name in (*FIELDS, *INVENTORY_FIELDS, *(f"BIOS.{field.upper()}" for field in BIOS)):
        section, _, field = str(name).rpartition(".")
        found.setdefault(section or "HARDWARE", set()).add(field)
    for section in OTHERS:
        found.setdefault(section, set()).update(USUAL)
    assert all(found.values()), found
    return {section: sorted(names) for section, names in found.items()}


Post = Callable[[bytes, Mapping[str, str]], int]
"""Sends a message under these headers, as agents do: the status of the answer."""


@dataclass(frozen=True)
class Attacker:
    """A computer that is hostile in all that it says, and what its inventory said."""

    device_id: DeviceId
    sections: tuple[Section, ...]
    headers: Mapping[str, str]


def introduce(post: Post, hostile: Hostile) -> list[Attacker]:
    """A computer for each polyglot, with every field in it, so that each field is once each; every second has tables.

    Its DEVICEID and its headers are as hostile as they may be.
    """
    known = fields()
    assert sum(len(names) for names in known.values()) > 100
    made = []
    for style in STYLES:
        sections: list[Section] = []
        for section, names in known.items():
            for _ in range(1 + style % 2 * (section not in ("HARDWARE", "BIOS"))):
                values = {name: hostile(f"{section}.{name}", style=style + n) for n, name in enumerate(names)}
                sections.append((section, values))
        name = re.sub(r"[\x00-\x1f\x7f<>/\\]", "", hostile("DEVICEID", style=style))
        headers = {"User-Agent": hostile.header("User-Agent", style=style)}
        if style % 2:
            headers["OCS-Agent"] = hostile.header("OCS-Agent", style=style)
        attacker = Attacker(device(name), tuple(sections), headers)
        tags = [("TAG", hostile("TAG", style=style)), (hostile("account key", style=style), hostile("account"))]
        assert post(inventory(attacker.device_id, *sections, account=tags), headers) == 200
        assert post(prolog(attacker.device_id), headers) == 200
        made.append(attacker)
    return made


def finish(post: Post, hostile: Hostile, attackers: Iterable[Attacker], package: str) -> None:
    """Each has heard of a package, and says of it what no agent says."""
    for style, attacker in enumerate(attackers):
        assert post(prolog(attacker.device_id), attacker.headers) == 200
        said = report(attacker.device_id, package, hostile("result", style=style))
        assert post(said, attacker.headers) in (200, 400)


class Waiting:
    """Paths to look at, each once: those that it begins with, and of what they lead to so many of each shape."""

    def __init__(self, first: Iterable[str], *, alike: int, most: int) -> None:
        self.seen: list[str] = []
        self._known = dict.fromkeys(first)
        self._waiting = list(self._known)
        self._shapes = Counter(map(shape, self._waiting))
        self._alike, self._most = alike, most

    def __iter__(self) -> Iterator[str]:
        while self._waiting and len(self.seen) < self._most:
            path = self._waiting.pop(0)
            self.seen.append(path)
            yield path

    def add(self, page: str, links: Iterable[str]) -> None:
        """What stands on a page; the way out is left alone."""
        for link in links:
            there = urlsplit(urljoin(page, link))
            path = there.path + (f"?{there.query}" if there.query else "")
            if path in self._known or path.startswith("/sign-out") or self._shapes[shape(path)] >= self._alike:
                continue
            self._known[path] = None
            self._shapes[shape(path)] += 1
            self._waiting.append(path)


def shape(path: str) -> str:
    """What two paths have in common that differ in numbers or in what is asked only."""
    there = urlsplit(path)
    return re.sub(r"\d+", "0", there.path) + there.query.partition("=")[0]
