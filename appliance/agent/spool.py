"""All that is remembered about packages between two runs. What is done with them is the driver's business.

spool/<id>/journal          what happened, see record.py
spool/<id>/info  manifest   as fetched
spool/<id>/<id>-1 ...       fragments that are whole; <id>-1.part is on its way
spool/<id>/work  output     while a command runs (post-output: POSTCMD's); what it ended with is kept by keeper.py
spool/results/<id>.json     results that the server has acknowledged, for `agent status`
spool/history               ids of what was installed, one in a line
spool/ballast               room for the journals on a disk that is full
"""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance import disk
from appliance.agent import journal, record, results
from appliance.agent.failure import Failure
from appliance.agent.files import NO_SPACE, Files
from appliance.agent.record import RUNNING, TOLD, UNDER_WAY, Phase, Record
from appliance.clock import Clock
from appliance.domain.messages import Pack
from appliance.domain.package import Info, Manifest, PackageId, is_package_id
from appliance.domain.status import ALREADY_SETUP
from appliance.wire import info as info_wire
from appliance.wire import manifest as manifest_wire
from appliance.wire.malformed import Malformed
from appliance.wire.paths import INFO, MANIFEST, fragment_name, fragment_number

JOURNAL = "journal"
OUTPUT = "output"
POST_OUTPUT = "post-output"
WORK = "work"
HISTORY = "history"
PART = ".part"
BALLAST = "ballast"
ROOM = b"room for the journals " * 3000  # 64 KiB


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
    def is_under_way(self) -> bool:
        """Whether it is taken in, and has not begun to act."""
        return self.info is not None and self.record.phase in UNDER_WAY

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
        """Make good what the last run left half done; the packages whose command may have run, unconcluded."""
        self.files.make_folder(self.folder)
        self.files.make_folder(self.folder / results.FOLDER)
        self.load()
        for folder in list(self.folder.iterdir()):
            if is_package_id(folder.name) and folder.name not in self.holdings:
                with contextlib.suppress(OSError):  # what cannot be removed is said when it is announced again
                    self.files.remove(folder)  # not even its announcement was written, or its removal was
        interrupted = []
        for package, holding in list(self.holdings.items()):
            at = holding.record
            if at.phase in TOLD:
                if not at.owes_post:
                    self.forget(package)
            elif at.phase is Phase.RESULT:
                self._clean(package)
            elif at.phase is Phase.EXITED:
                self.conclude(package, at.code, at.why)
            elif at.phase in RUNNING or holding.damaged:
                interrupted.append(package)
        if not (self.folder / BALLAST).exists():
            with contextlib.suppress(OSError):
                self.files.append(self.folder / BALLAST, ROOM, at=0)
        return interrupted

    def pending(self) -> list[PackageId]:
        """Packages whose result the server has not acknowledged yet, oldest result first."""
        waiting = [h.record for h in self.holdings.values() if h.record.phase is Phase.RESULT]
        return [at.package for at in sorted(waiting, key=lambda at: (at.at, at.package))]

    def history(self) -> list[PackageId]:
        """Ids of what is installed: what ended with SUCCESS, whether or not the server knows it yet."""
        ended = (h.record for h in self.holdings.values() if h.record.has_result)
        return list({**self._installed, **{at.package: None for at in ended if at.done}})

    def announce(self, pack: Pack, lived: int = 0) -> Holding:
        """Take a package in, or take over what is new in a repeated announcement. Raises Failure(ERR_CLEAN)."""
        package = pack.package
        if package not in self.holdings:
            left = self._remove(self.folder / package)  # of an earlier run, which could not
            self.files.make_folder(self.folder / package)
            first = Record(package, pack, first_at=self.clock.now(), first_lived=lived)
            self.holdings[package] = Holding(first)
            self.note(package, Phase.ANNOUNCED, **record.announced(pack, lived))
            if left:
                raise Failure("ERR_CLEAN", f"What an earlier run left behind cannot be removed: {left}.")
        elif self.holdings[package].record.pack != pack:
            self.note(package, Phase.ANNOUNCED, **record.announced(pack, lived))
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
        path = self.folder / package / JOURNAL
        try:
            self.files.append(path, data, at=holding.size)
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            self.files.remove(self.folder / BALLAST)
            self.files.append(path, data, at=holding.size)
        holding.size += len(data)
        holding.record = record.after(holding.record, package, entry) or holding.record

    def exited(self, package: PackageId, code: str, why: str = "", *, exit_code: int | None = None) -> None:
        """The outcome is known: whatever happens now, it is this one."""
        self.note(package, Phase.EXITED, code=code, why=why, exit_code=exit_code)

    def conclude(self, package: PackageId, code: str, why: str = "") -> None:
        """The package has its result: what was fetched is removed, the result kept until the server acknowledges it."""
        if self.holdings[package].record.phase is not Phase.EXITED:
            self.exited(package, code, why)
        at = self.holdings[package].record
        fault = self._clean(package)
        if fault:
            left = f"What was downloaded cannot be removed: {fault}."
            code, why = ("ERR_CLEAN", f"It is done. {left}") if code == "SUCCESS" else (code, f"{why} {left}".strip())
        name = self.holdings[package].name
        self.note(package, Phase.RESULT, code=code, why=why, name=name, exit_code=at.exit_code, done=at.done)

    def acknowledge(self, package: PackageId) -> None:
        """The server has the result. The folder goes away, unless POSTCMD is still to run."""
        self.note(package, Phase.ACKED)
        if not self.holdings[package].record.owes_post:
            self.forget(package)

    def forget(self, package: PackageId) -> None:
        """All is told and done: into the history with it, and the folder away, or it is tried again at each start."""
        at = self.holdings[package].record
        if at.code != ALREADY_SETUP or not results.path_of(self.folder, package).exists():
            # what it once did says more than that it is there
            wrote, after = self.output(package), self.output(package, POST_OUTPUT)
            results.keep(self.folder, at, self.files, output=wrote, post_output=after)
        if at.done and package not in self._installed:
            self._installed[package] = None
            self.files.keep(self.folder / HISTORY, "".join(f"{known}\n" for known in self._installed).encode())
        if not self._clean(package) and not self._remove(self.folder / package):
            del self.holdings[package]

    def drop(self, package: PackageId) -> None:
        """Forget a package that was withdrawn before it started; a power cut does not bring it back."""
        self.files.remove(self.folder / package)
        disk.sync_folder(self.folder)
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

    def output(self, package: PackageId, name: str = OUTPUT) -> bytes:
        """What the package's command wrote, as far as it was kept."""
        try:
            return (self.folder / package / name).read_bytes()
        except OSError:
            return b""

    def _clean(self, package: PackageId) -> str:
        """Remove all but the journal and the output; why not all of it could be, empty where it could."""
        faults = ""
        for entry in list((self.folder / package).iterdir()):
            if entry.name not in (JOURNAL, OUTPUT):
                faults = self._remove(entry) or faults
        return faults

    def _remove(self, path: Path) -> str:
        try:
            self.files.remove(path)
        except OSError as error:
            return f"{Path(os.fsdecode(error.filename or path)).name}: {error.strerror or error}"
        return ""


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
