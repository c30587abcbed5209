"""A site where everybody is hostile: computers in all that they send, administrators in all that they type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import FilePayload, Page, expect

from appliance.domain.search import Criterion, Operator, to_json
from appliance.wire import envelope
from tests.fakes.appliance import device, inventory
from tests.web.console.polyglots import STYLES, Attacker, Hostile, Post, finish, introduce
from tests.whole.browser.kit import NAME, PASSWORD, Console
from tests.whole.browser.seed import calling
from tests.whole.browser.steps import activate, fill_in, press
from tests.whole.site import Site, targz

# What is over: a job, and the address of the first administrator.
GONE = {"jobs": "0123456789abcdef0123456789abcdef", "first": "a-secret-that-is-none"}


@dataclass(frozen=True)
class Furnished:
    """`known`: what stands behind a part of a path, such as `computers`; `names`: of all that is hostile."""

    known: Mapping[str, str]
    attackers: Sequence[Attacker]
    names: frozenset[str]


@dataclass
class Typist:
    """Sends forms as the administrator's pages do, without showing them."""

    page: Page

    def __post_init__(self) -> None:
        self.page.goto("/account")
        self._token = self.page.locator("[name=csrf]").first.input_value()

    def send(self, path: str, /, agent: str = "", **fields: str) -> str:
        """Fields (__ for -) to an address: where that leads. What is refused leads nowhere; the pages show that."""
        form = {name.replace("_" * 2, "-"): value for name, value in fields.items()}
        headers = {"User-Agent": agent} if agent else {}
        answer = self.page.request.post(path, form={"csrf": self._token, **form}, headers=headers)
        assert answer.status in (200, 400, 401, 409), (path, answer.status, answer.text())
        return answer.url if answer.ok else ""


@contextmanager
def posting(site: Site) -> Iterator[Post]:
    """A connection to where agents talk, for messages under headers of their own."""
    with calling(site) as caller:

        def post(xml: bytes, headers: Mapping[str, str]) -> int:
            sent = {"Content-Type": "application/x-compress", **headers}
            caller.connection.request("POST", "/ocsinventory", envelope.pack(xml), sent)
            answer = caller.connection.getresponse()
            answer.read()
            return answer.status

        yield post


def furnish(console: Console, page: Page, hostile: Hostile) -> Furnished:
    """One of everything, and hostile in every field."""
    typist = Typist(page)
    with posting(console.site) as post:
        attackers = introduce(post, hostile)
        known = _typed(typist, hostile)
        package = known["packages"]
        activate(page, package)
        typist.send(f"/packages/{package}/affect", target="all", post__command=hostile("post-command", style=1))
        finish(post, hostile, attackers, package)
        typist.send("/identity/mode", mode="protect")
        for style in STYLES:  # strangers wait until somebody has looked at what they say of themselves
            said = inventory(device(f"stranger-{style}"), ("HARDWARE", {"NAME": hostile("a stranger", style=style)}))
            assert post(said, {"User-Agent": hostile.header("a stranger's agent", style=style)}) == 200
        typist.send(f"/packages/{package}/affect", target="all")  # for them it stays under way
    draft = upload(page, hostile, console.site.folder)
    for style in (0, 3, 5, 15):
        typist.send("/sign-in", name=hostile("a name that signs in", style=style), password="wrong one")
    typist.send("/sign-in", name=NAME, password=PASSWORD, agent=hostile.header("browser", style=1))
    return Furnished({**known, "drafts": draft}, attackers, frozenset(hostile.names))


def upload(page: Page, hostile: Hostile, folder: Path) -> str:
    """A package that is begun, with a file whose very name is hostile: the draft's number."""
    page.goto("/packages/build")
    command = hostile("begun command", style=3)
    fill_in(page, name=hostile("begun", style=0), os="LINUX", action="EXECUTE", command=command)
    name = hostile("file name", style=1) + ".tar.gz"  # any other is packed under a name of the server's own
    content = targz(folder / "hostile.tar.gz", {"a": b"b"}).read_bytes()
    page.set_input_files("[name=file]", FilePayload(name=name, mimeType="application/gzip", buffer=content))
    press(page, "Send")
    expect(page.locator("main dl").first).to_contain_text(name)
    return page.url.rpartition("/")[2]


def _typed(typist: Typist, hostile: Hostile) -> dict[str, str]:
    """What an administrator makes; where something may not have such characters, nothing is made of it."""
    made: dict[str, list[str]] = {"groups": [], "kept": [], "packages": []}
    for style in STYLES:

        def text(where: str, style: int = style) -> str:
            return hostile(where, style=style)

        search = to_json(((Criterion("OSNAME", Operator.LIKE, text("criterion")),),))
        made["groups"] += [
            typist.send("/groups/new", name=text("group"), description=text("of a group"), search=search),
            typist.send("/groups/new", name=text("group"), description=text("of a group"), visible="1"),
        ]
        made["kept"].append(typist.send("/search/kept", name=text("search"), f="OSNAME", o="LIKE", v=text("searched")))
        typist.send("/account/tokens", name=text("token")[:64], days="9")
        typist.send("/identity/tokens", uses="1", days="9", tag=text("TAG of a token"))
        typist.send(
            f"/computers/{style + 1}/account", TAG=text("typed TAG"), new__key=text("key"), new__value=text("value")
        )
        draft = typist.send(
            "/packages/build", name=text("package"), description=text("of a package"), os="LINUX", protocol="HTTP",
            priority="5", action="EXECUTE", command=text("command"), warn__user="yes", warn__text=text("warning"),
            warn__countdown="9", may__cancel="yes", may__delay="yes", done__action="yes", done__text=text("done"),
        )  # fmt: skip
        made["packages"].append(typist.send(f"{draft}/build") if draft else "")
    tags = "\n".join(filter(str.isprintable, (hostile("TAG of a user", style=style) for style in STYLES)))
    words = {"password": PASSWORD, "again": PASSWORD}
    typist.send("/users/create", name="ben", full_name=hostile("full name", style=1), role="user", tags=tags, **words)
    numbers = {what: [url.replace("=", "/").rpartition("/")[2] for url in urls if url] for what, urls in made.items()}
    assert min(map(len, numbers.values())) > len(STYLES) // 2, numbers
    first = {what: found[0] for what, found in numbers.items()}
    return {**first, "users": "2", "tokens": "1", "computers": "1", "activations": "1", **GONE}
