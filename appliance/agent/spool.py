"""All that is remembered about packages between two runs. What is done with them is the driver's business.

spool/<id>/journal          what happened, see record.py
spool/<id>/info  manifest   as fetched
spool/<id>/<id>-1 ...       fragments that are whole; <id>-1.part is on its way
spool/<id>/work  output     while a command runs
spool/results/<id>.json     results that the server has acknowledged, for `agent status`
spool/history               ids of what was installed, one in a line
"""

from __future__ import annotations

import bisect
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.agent import journal, record
from appliance.agent.files import Files
from appliance.agent.record import RUNNING, UNDER_WAY, Phase, Record
from appliance.clock import Clock
from appliance.domain.cycle import Parcel
from appliance.domain.messages import Pack
from appliance.domain.package import Info, Manifest, PackageId, is_package_id
from appliance.domain.status import ALREADY_SETUP
from appliance.wire import info as info_wire
from appliance.wire import manifest as manifest_wire
from appliance.wire.malformed import Malformed
from appliance.wire.paths import INFO, MANIFEST, fragment_name, fragment_number

JOURNAL = "journal"
OUTPUT = "output"
WORK = "work"
RESULTS = "results"
HISTORY = "history"
PART = ".part"
MOST_RESULTS = 200  # shown by `agent status`; older ones are forgotten, history is not
INTERRUPTED = "the agent was stopped while the command may have been running; it is not run again by itself"


@dataclass
class Holding:
    """One package in the spool: its record, and what was fetched of it so far."""

    record: Record
    size: int = 0  # bytes of the journal that are good
    damaged: bool = False
    info: Info | None = None
    manifest: Manifest | None = None
    missing: list[int] = field(default_factory=list)  # fragments still to fetch, in order

    @property
    def name(self) -> str:
        """What people call it; genuine servers do not tell."""
        return self.manifest.name if self.manifest else self.record.name


class Spool:
    """The folder below the base directory. `load` only reads; every other verb is on disk when it returns."""

    def __init__(self, folder: Path, clock: Clock, files: Files) -> None:
        self.folder = folder
        self.clock = clock
        self.files = files
        self.holdings: dict[PackageId, Holding] = {}
        self._installed: dict[PackageId, None] = {}

    def load(self) -> None:
        """Read what is there."""
        self.holdings = {}
        for folder in sorted(self.folder.iterdir()) if self.folder.is_dir() else ():
            if is_package_id(folder.name) and folder.is_dir() and not folder.is_symlink():
                holding = _read_holding(folder)
                if holding is not None:
                    self.holdings[PackageId(folder.name)] = holding
        self._installed = dict.fromkeys(_read_history(self.folder / HISTORY))

    def recover(self) -> list[PackageId]:
        """Make good what the last run left half done; the packages whose command was interrupted."""
        self.files.make_folder(self.folder)
        self.files.make_folder(self.folder / RESULTS)
        self.load()
        for folder in list(self.folder.iterdir()):
            if is_package_id(folder.name) and folder.name not in self.holdings:
                self.files.remove(folder)  # not even its announcement was written, or its removal was
        interrupted = []
        for package, holding in list(self.holdings.items()):
            at = holding.record
            if at.phase is Phase.ACKED:
                self._forget(package)
            elif at.phase is Phase.RESULT:
                self._clean(package)
            elif at.phase is Phase.EXITED:
                self.conclude(package, at.code, at.why)
            elif at.phase in RUNNING or holding.damaged:
                interrupted.append(package)
                self.conclude(package, "ERR_DONE_FAILED", INTERRUPTED)
        return interrupted

    def parcels(self) -> list[Parcel]:
        """What is under way, for domain/cycle; of the missing fragments the first is enough for it."""
        return [
            Parcel(package, holding.info.priority, tuple(holding.missing[:1]))
            for package, holding in self.holdings.items()
            if holding.info is not None and holding.record.phase in UNDER_WAY
        ]

    def pending(self) -> list[PackageId]:
        """Packages whose result the server has not acknowledged yet, oldest result first."""
        waiting = [h.record for h in self.holdings.values() if h.record.phase is Phase.RESULT]
        return [at.package for at in sorted(waiting, key=lambda at: (at.at, at.package))]

    def history(self) -> list[PackageId]:
        """Ids of what is installed: what ended with SUCCESS, whether or not the server knows it yet."""
        ended = (h.record for h in self.holdings.values() if h.record.has_result)
        return list({**self._installed, **{at.package: None for at in ended if at.code == "SUCCESS"}})

    def announce(self, pack: Pack) -> Holding:
        """Take a package in, or take over what is new in a repeated announcement."""
        package = pack.package
        if package not in self.holdings:
            self.files.make_folder(self.folder / package)
            self.holdings[package] = Holding(Record(package, pack, first_at=self.clock.now()))
            self.note(package, Phase.ANNOUNCED, **record.announced(pack))
        elif self.holdings[package].record.pack != pack:
            self.note(package, Phase.ANNOUNCED, **record.announced(pack))
        return self.holdings[package]

    def learn(self, package: PackageId, info: bytes, manifest: bytes | None) -> None:
        """Keep the info file and the manifest, both checked before. From here on the package is under way."""
        folder = self.folder / package
        if manifest is not None:
            self.files.keep(folder / MANIFEST, manifest)
        self.files.keep(folder / INFO, info)
        self.note(package, Phase.INFO)
        _read_fetched(folder, self.holdings[package])

    def note(self, package: PackageId, phase: Phase, **facts: Any) -> None:
        """Write one event into the package's journal."""
        holding = self.holdings[package]
        entry = {"phase": phase.value, "at": self.clock.now(), **facts}
        data = journal.line(entry)
        self.files.append(self.folder / package / JOURNAL, data, at=holding.size)
        holding.size += len(data)
        holding.record = record.after(holding.record, package, entry) or holding.record

    def conclude(self, package: PackageId, code: str, why: str = "") -> None:
        """The package has its result: kept until the server acknowledges it; what was fetched is removed."""
        self.note(package, Phase.RESULT, code=code, why=why, name=self.holdings[package].name)
        self._clean(package)

    def acknowledge(self, package: PackageId) -> None:
        """The server has the result: into the history with it, and the folder away."""
        self.note(package, Phase.ACKED)
        self._forget(package)

    def drop(self, package: PackageId) -> None:
        """Forget a package that was withdrawn before it started."""
        self.files.remove(self.folder / package)
        del self.holdings[package]

    def fragment_path(self, package: PackageId, number: int) -> Path:
        """Where a whole fragment lies."""
        return self.folder / package / fragment_name(package, number)

    def part_path(self, package: PackageId, number: int) -> Path:
        """Where a fragment lies while it is fetched."""
        return self.folder / package / (fragment_name(package, number) + PART)

    def keep_fragment(self, package: PackageId, number: int) -> None:
        """The fetched part is whole and as it should be."""
        holding = self.holdings[package]
        # without a manifest nobody could tell later which fragment a power cut has emptied
        sync = holding.manifest is None
        self.files.rename(self.part_path(package, number), self.fragment_path(package, number), sync=sync)
        index = bisect.bisect_left(holding.missing, number)
        if holding.missing[index : index + 1] == [number]:
            del holding.missing[index]

    def throw_away(self, package: PackageId, numbers: list[int]) -> None:
        """These fragments are not what was built: they are to be fetched again."""
        for number in numbers:
            self.files.remove(self.fragment_path(package, number))
        holding = self.holdings[package]
        holding.missing = sorted({*holding.missing, *numbers})

    def output(self, package: PackageId) -> bytes:
        """What the package's command wrote, as far as it was kept."""
        try:
            return (self.folder / package / OUTPUT).read_bytes()
        except OSError:
            return b""

    def _clean(self, package: PackageId) -> None:
        for entry in list((self.folder / package).iterdir()):
            if entry.name not in (JOURNAL, OUTPUT):
                self.files.remove(entry)

    def _forget(self, package: PackageId) -> None:
        at = self.holdings[package].record
        path = self.folder / RESULTS / f"{package}.json"
        if at.code != ALREADY_SETUP or not path.exists():  # what it once did says more than that it is there
            self.files.keep(path, _result(at, self.output(package)))
        if at.code == "SUCCESS" and package not in self._installed:
            self._installed[package] = None
            self.files.keep(self.folder / HISTORY, "".join(f"{known}\n" for known in self._installed).encode())
        self.files.remove(self.folder / package)
        del self.holdings[package]
        others = [other for other in (self.folder / RESULTS).glob("*.json") if other != path]
        others.sort(key=lambda other: other.stat().st_mtime, reverse=True)
        for old in others[MOST_RESULTS - 1 :]:
            self.files.remove(old)


def results(folder: Path) -> list[dict[str, Any]]:
    """What was deployed, the latest first: the documents that the spool keeps of acknowledged results."""
    found = []
    for path in (folder / RESULTS).glob("*.json"):
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(document, dict) and isinstance(document.get("at"), int):
            found.append(document)
    return sorted(found, key=lambda document: -document["at"])


def describe(at: Record, output: bytes) -> dict[str, Any]:
    """A result for machines; output bytes that are no UTF-8 are shown as \\xNN."""
    return {
        "package": at.package,
        "name": at.name,
        "status": at.code,
        "why": at.why,
        "exit_code": at.exit_code,
        "at": at.at,
        "output": output.decode("utf-8", errors="backslashreplace"),
    }


def _result(at: Record, output: bytes) -> bytes:
    return json.dumps(describe(at, output), indent=1).encode() + b"\n"


def _read_history(path: Path) -> list[PackageId]:
    try:
        lines = path.read_text("ascii", errors="replace").split()
    except OSError:
        return []
    return [PackageId(text) for text in lines if is_package_id(text)]


def _read_holding(folder: Path) -> Holding | None:
    try:
        found = journal.read((folder / JOURNAL).read_bytes())
    except OSError:
        return None
    at = record.fold(PackageId(folder.name), found.entries)
    if at is None:
        return None
    holding = Holding(at, found.good, found.damaged)
    if at.phase is not Phase.ANNOUNCED and not at.has_result:
        _read_fetched(folder, holding)
    return holding


def _read_fetched(folder: Path, holding: Holding) -> None:
    """Take up info, manifest and fragments. An info that cannot be read is fetched again at the next announcement."""
    try:
        raw = (folder / INFO).read_bytes()
        info = info_wire.decode(raw)
        path = folder / MANIFEST
        manifest = manifest_wire.decode(path.read_bytes()) if path.exists() else None
    except (OSError, Malformed):
        return
    if manifest is not None and manifest.info_sha256 != hashlib.sha256(raw).hexdigest():
        return
    holding.info, holding.manifest = info, manifest
    present = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            number = fragment_number(holding.record.package, entry.name)
            if number is not None and (
                manifest is None
                or (number <= len(manifest.pieces) and entry.stat().st_size == manifest.pieces[number - 1].size)
            ):
                present.add(number)
    holding.missing = [number for number in range(1, info.fragments + 1) if number not in present]
