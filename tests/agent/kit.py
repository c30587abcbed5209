"""What the agent's tests share: packages made like a server makes them, and ports that write one story."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from appliance.agent.contact import make_contact
from appliance.agent.driver import recover
from appliance.agent.failure import Rejected, Unreachable
from appliance.agent.files import Files
from appliance.agent.jobs import Ending, Host, Job, Post, Witness
from appliance.agent.log import Log
from appliance.agent.memory import load
from appliance.agent.notice import Answer
from appliance.agent.remote import Incoming
from appliance.agent.spool import Spool
from appliance.agent.world import World
from appliance.clock import Clock
from appliance.domain.fragments import cut
from appliance.domain.messages import InventoryReply, Pack, Progress, Prolog, PrologReply, Report
from appliance.domain.package import Action, Info, Manifest, Notice, PackageId, Piece
from appliance.domain.tempo import Tempo
from appliance.wire import contact, info, manifest

START = 1_800_000_000
FAST = Tempo(cycle_latency=0, frag_latency=0, period_latency=0)
LOCATION = "ocs.example.org:4343/download"


@dataclass
class Built:
    """A package as a server has it."""

    id: PackageId
    info: Info
    raw_info: bytes
    raw_manifest: bytes | None
    fragments: list[bytes]
    pack: Pack


def package(
    number: int = 1,
    *,
    action: Action = Action.EXECUTE,
    argument: str = "true",
    data: bytes = b"",
    fragment_size: int = 1 << 20,
    priority: int = 1,
    name: str = "A package",
    with_manifest: bool = True,
    **of_info: Any,
) -> Built:
    """A package whose id ends in `number`; `data` is its archive."""
    package_id = PackageId(str(1_700_000_000 + number))
    fragments = cut(data, fragment_size) if data else []
    built = Info(
        package=package_id,
        priority=priority,
        action=action,
        argument=argument,
        fragments=len(fragments),
        digest=hashlib.md5(data).hexdigest() if data else "",
    )
    built = replace(built, **of_info)
    raw = info.encode(built)
    pieces = tuple(Piece(len(part), hashlib.sha256(part).hexdigest()) for part in fragments)
    whole = hashlib.sha256(data).hexdigest() if data else ""
    described = Manifest(package_id, name, len(data), whole, pieces, hashlib.sha256(raw).hexdigest())
    return Built(
        package_id,
        built,
        raw,
        manifest.encode(described) if with_manifest else None,
        fragments,
        Pack(package_id, LOCATION, "ocs.example.org:8080/download"),
    )


def zip_of(files: dict[str, bytes], *, executable: bool = True) -> bytes:
    """A zip with these files; a name that ends in / is a folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.create_system = 3
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            if name.endswith("/"):
                entry.external_attr = 0o40755 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def tar_of(files: dict[str, bytes], *, mode: int = 0o755) -> bytes:
    """A tar.gz with these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.rstrip("/"))
            entry.mode = mode
            if name.endswith("/"):
                entry.type = tarfile.DIRTYPE
                archive.addfile(entry)
            else:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


class FakeClock(Clock):
    """Time that passes only by rest. `wrong`: seconds by which the clock on the wall is off."""

    def __init__(self, story: list[object]) -> None:
        self.time = float(START)
        self.wrong = 0
        self.story = story

    def now(self) -> int:
        return int(self.time) + self.wrong

    def monotonic(self) -> float:
        return self.time

    def rest(self, seconds: float) -> None:
        if seconds > 0:
            self.story.append(("rest", seconds))
            self.time += seconds


@dataclass
class FakeServer:
    """A server as the agent sees it through its Remote port."""

    story: list[object]
    packages: dict[PackageId, Built] = field(default_factory=dict)
    tempo: Tempo | None = FAST
    inventory_wanted: bool = False
    account: tuple[tuple[str, str], ...] | None = None
    down: bool = False
    deaf: bool = False  # results cannot be told
    broken: set[tuple[PackageId, int]] = field(default_factory=set)  # fragments that do not come
    withdrawn: set[PackageId] = field(default_factory=set)
    codes: list[tuple[str, str]] = field(default_factory=list)  # results, in order
    inventories: list[Any] = field(default_factory=list)
    fetched: list[tuple[PackageId, int]] = field(default_factory=list)
    pieces: int = 4096
    finished: set[str] = field(default_factory=set)
    refused: set[tuple[PackageId, int]] = field(default_factory=set)  # fragments that are answered with 404
    server: str = "http://ocs.example.org/ocsinventory"
    is_genuine: bool = False
    after: Callable[[str], None] = lambda _: None
    mentions: list[Progress] = field(default_factory=list)  # how far packages have come, as it was told
    gossips: bool = False  # whether the story has them too

    def add(self, *built: Built) -> None:
        for one in built:
            self.packages[one.id] = one

    def refresh(self) -> None:
        """Nothing to do."""

    def contact(self, xml: bytes) -> bytes:
        if self.down:
            raise Unreachable("The server is down.")
        request = contact.decode_request(xml)
        if isinstance(request, Prolog):
            self.story.append("prolog")
            packs = tuple(
                one.pack
                for one in self.packages.values()
                if one.id not in self.finished and one.id not in self.withdrawn
            )
            on = self.tempo is not None and self.tempo.on
            reply = PrologReply(self.inventory_wanted, 24, True, self.tempo, packs if on else ())
            return contact.encode_reply(reply)
        if isinstance(request, Report):
            if self.deaf:
                raise Unreachable("The server does not listen.")
            self.story.append(("told", request.package, request.code))
            self.codes.append((request.package, request.code))
            self.finished.add(request.package)
            self.after("told")
            return b""
        self.story.append("inventory")
        self.inventories.append(request)
        return contact.encode_reply(InventoryReply(self.account))

    def mention(self, xml: bytes) -> None:
        progress = contact.decode_request(xml)
        assert isinstance(progress, Progress)
        assert not self.is_genuine, "a genuine server does not know this query"
        if self.gossips:
            self.story.append(("progress", progress.package, progress.fetched))
        self.mentions.append(progress)
        self.after("progress")
        if self.down or self.deaf:
            raise Unreachable("The server does not listen.")

    def info(self, location: str, package: PackageId) -> bytes:
        self.story.append(("info", package))
        if package not in self.packages:
            raise Unreachable("There is no such info file.")
        return self.packages[package].raw_info

    def manifest(self, location: str, package: PackageId) -> bytes | None:
        return self.packages[package].raw_manifest

    def fragment(self, url: str, *, start: int, size: int | None) -> Incoming:
        package, _, number = url.rpartition("/")[2].partition("-")
        key = (PackageId(package), int(number))
        self.story.append(("fetch", *key))
        if key in self.refused:
            raise Rejected(404, "ocs.example.org answers 404.")
        if key in self.broken:
            raise Unreachable("The fragment does not come.")
        self.fetched.append(key)
        data = self.packages[key[0]].fragments[key[1] - 1]
        return Incoming(start, len(data), self._pieces(data[start:]))

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        for offset in range(0, len(data), self.pieces):
            yield data[offset : offset + self.pieces]
            self.after("piece")


@dataclass
class FakeHost:
    """A computer on which everything succeeds, or ends as told."""

    story: list[object]
    endings: dict[PackageId, Ending] = field(default_factory=dict)
    ran: list[PackageId] = field(default_factory=list)
    known: Ending | None = None  # how a command ended that an earlier run started
    post_code: int | None = 0

    def act(self, job: Job, witness: Witness) -> Ending:
        if job.info.action is not Action.STORE:
            witness.armed("run")
            self.ran.append(job.info.package)
            witness.started(1)
        self.story.append(("perform", job.info.package))
        return self.endings.get(job.info.package, Ending("SUCCESS"))

    def ended(self, folder: Path, minutes: int) -> Ending | None:
        return self.known

    def post(self, post: Post) -> int | None:
        self.story.append(("post", post.package, post.command))
        return self.post_code


@dataclass
class FakePeople:
    """Somebody who answers as told; nobody else."""

    story: list[object]
    answers: list[Answer] = field(default_factory=list)

    def ask(self, notice: Notice, *, name: str, delays: int) -> Answer:
        self.story.append(("ask", notice.text, delays))
        return self.answers.pop(0) if self.answers else Answer.PROCEED

    def confirm_done(self, text: str, *, name: str) -> None:
        self.story.append(("confirm", text))


class QuietLog(Log):
    """Keeps the lines."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.lines: list[str] = []

    def _write(self, level: str, text: str) -> None:
        self.lines.append(f"{level} {text}")


@dataclass
class Lab:
    """One computer with its agent, and the server that it talks to."""

    folder: Path
    story: list[object] = field(default_factory=list)
    files: Files = field(default_factory=Files)
    host: Host | None = None
    sections: list[tuple[str, dict[str, str]]] = field(default_factory=lambda: [("HARDWARE", {"NAME": "pc1"})])

    def __post_init__(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.clock = FakeClock(self.story)
        self.server = FakeServer(self.story)
        self.fake_host = FakeHost(self.story)
        self.people = FakePeople(self.story)
        self.log = QuietLog(self.clock)

    def start(self) -> World:
        """The agent starts: what the last run left is made good."""
        spool = Spool(self.folder / "spool", self.clock, self.files)
        world = World(
            remote=self.server,
            spool=spool,
            memory=load(spool.folder),
            clock=self.clock,
            make_host=lambda: self.host or self.fake_host,
            make_people=lambda: self.people,
            log=self.log,
            inventory=lambda: list(self.sections),
            host_name="pc1",
            chance=lambda: 0.5,
            tag="HERE",
        )
        recover(world)
        return world

    def take_in(self, *built: Built) -> World:
        """An agent that has been told of these packages and has their info files."""
        self.server.add(*built)
        world = self.start()
        assert make_contact(world)
        self.story.clear()
        return world

    def results(self) -> dict[str, str]:
        """The last code that the server was told of each package."""
        return dict(self.server.codes)

    def leftovers(self) -> list[str]:
        """What is in the spool that belongs to a package."""
        return [path.name for path in (self.folder / "spool").iterdir() if path.name.isdigit()]
