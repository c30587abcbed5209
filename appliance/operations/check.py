"""Look over all data, byte by byte, and change nothing: what is damaged, missing or foreign, and what to do about it.

Of a package's files every byte is held against its row's SHA-256, of the database every page against its sum, and its
log as far as it reaches. Then it finds what SQLite finds (its structure, its indexes against its rows, its CHECKs and
references) and what contradicts itself.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from appliance.clock import Clock
from appliance.domain.draft import is_draft_id
from appliance.domain.fragments import length
from appliance.domain.package import Package, is_package_id
from appliance.domain.refusal import Refusal, filled, missing
from appliance.operations.backup import Progress
from appliance.operations.build_package import in_thread
from appliance.operations.package_files import Named, named_files, opened
from appliance.store import backup as copies
from appliance.store import damage, log, packages, sums
from appliance.store.database import FILE, Tx
from appliance.store.shelf import BUILDING, OLD, Shelf
from appliance.store.uploads import PACKING, UPLOAD

READ = 1024 * 1024
CHUNK = 1000  # rows of the log that are read at once
# kept beside the data by a restore, by a migration, by a disk of its own
LEFT_ALONE = re.compile(
    rf"^({re.escape(FILE)}(-wal|-shm|-journal|-sums(\.new)?|\.schema-\d+)?|fragments|ballast(\.new)?|replaced-[\d-]+|lost\+found)$"
)

DAMAGED = "its bytes are not those that were built."
MISSING = "it is missing."
CONTRADICTION = "its rows in the database contradict each other."
LOG_BROKEN = "entry {entry} does not follow from those before it: somebody changed the log, or the disk did."
STRUCTURE = "SQLite finds: {met}."
UNREADABLE = "{met}"
CHANGED = "{count} of its {pages} pages differ from what was written, the first is page {first}."
SUMS = "its pages cannot be held against their sums: {met}."
STRANGER = "{name} is not as this program makes it."
OPEN = "other accounts may look into it, and private keys lie in it."
LEFTOVER = "a kill left it."
FOREIGN = "no row of the database names it."

REBUILD = "Copy it from a backup, or give the package its file again: ocs.pyz package edit {package} --file FILE"
DESCRIBE = "Write it anew: ocs.pyz package edit {package} --priority {priority}"
RESTORE = "Stop the server and restore the last good backup: ocs.pyz restore FILE --replace"
UNDO = "Somebody changed it by hand: undo that, or restore the last good backup: ocs.pyz restore FILE --replace"
TAKEN = (
    "Stop the server and restore the last good backup: ocs.pyz restore FILE --replace. Where another program wrote to "
    "the database and that is as it should be, remove {sums} instead; the next start takes the pages as they are."
)
CLOSE = "Close it: chmod -R go= {folder}"
SWEPT = "The next start of the server puts that right."
MOVE = "Move it elsewhere, or remove it."
LOOK = "Compare with the log of a backup, and find out who may write to the data directory."


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where, what, and what to do; the last two with {named} places for `values`."""

    where: str
    trouble: str
    remedy: str
    values: dict[str, object] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """What is wrong, in English."""
        return filled(self.trouble, self.values)

    @property
    def advice(self) -> str:
        """What to do, in English."""
        return filled(self.remedy, self.values)


@dataclass(frozen=True)
class Verdict:
    """What was looked at, and what is wrong with it."""

    packages: int
    files: int
    size: int
    pages: int  # of the database that were held against their sums; 0 where no server of this version ran on it yet
    findings: tuple[Finding, ...]


async def check(folder: Path, clock: Clock, progress: Progress) -> Verdict:
    """Look over a data directory; safe while a server runs. Raises Refusal only where there is nothing to look at."""
    if not (folder / FILE).is_file():
        raise missing("there is no data in {folder}; name the server's data directory with --data.", folder=folder)
    shelf = Shelf(folder / "fragments")
    findings = list(_open_to_others(folder))
    # folders first, rows after them: else what is built meanwhile would be taken for foreign
    before = _entries(folder, shelf)
    # before SQLite opens it: whoever closes a file drops the locks that the process has on it
    pages, changed = await in_thread(_pages, folder / FILE, clock, progress=progress)
    findings += changed
    try:
        await damage.must_have_its_log(folder / FILE)
        async with copies.looking(folder / FILE, clock) as tx:
            structure = [Finding(FILE, STRUCTURE, RESTORE, {"met": met}) for met in await copies.troubles(tx)]
            structure += [Finding(FILE, STRANGER, UNDO, {"name": name}) for name in await copies.strangers(tx)]
            # where that is broken its rows are not to be trusted
            findings += structure or await _contradictions(tx)
        verified: dict[Named, Finding | None] = {}
        while True:
            async with copies.looking(folder / FILE, clock) as tx:
                named, known = await named_files(tx), {package.id: package for package in await packages.every(tx)}
            new = [file for file in named if file not in verified]
            if not new:
                break
            verified |= await in_thread(_verify, shelf, new, known, progress=progress)
    except Refusal as refusal:
        findings.append(Finding(FILE, UNREADABLE, RESTORE, {"met": refusal}))
        return Verdict(0, 0, 0, pages, tuple(findings))
    findings += [finding for file in named if (finding := verified[file]) is not None]
    findings += _foreign(folder, shelf, before, named)
    return Verdict(len(known), len(named), sum(file.size or 0 for file in named), pages, tuple(findings))


def _pages(database: Path, clock: Clock, report: Progress) -> tuple[int, list[Finding]]:
    report("compare", 0, 0)
    values: dict[str, object] = {"sums": sums.path_of(database).name}
    try:
        compared = sums.compare(database, clock)
    except OSError as error:
        return 0, [Finding(FILE, SUMS, TAKEN, {**values, "met": error.strerror})]
    if not compared.damaged:
        return compared.pages, []
    values |= {"count": len(compared.damaged), "pages": compared.pages, "first": compared.damaged[0]}
    return compared.pages, [Finding(FILE, CHANGED, TAKEN, values)]


def _open_to_others(folder: Path) -> Iterable[Finding]:
    if os.name == "nt":
        return
    for path in (folder, folder / FILE):
        if path.exists() and path.stat().st_mode & 0o077:
            yield Finding(path.name if path != folder else str(folder), OPEN, CLOSE, {"folder": folder})


async def _contradictions(tx: Tx) -> list[Finding]:
    """What SQLite cannot know: fragments that do not add up to their package, a log that was changed."""
    found = []
    for package in await packages.every(tx):
        sizes = [piece.size for piece in await packages.pieces_of(tx, package.id)]
        if sizes != _due(package):
            found.append(Finding(f"package {package.id}", CONTRADICTION, RESTORE))
    last, chain = 0, ""
    while rows := await log.links(tx, last, CHUNK):
        for row in rows:
            if log.link(chain, row.said) != row.chain:
                return [*found, Finding("the log", LOG_BROKEN, LOOK, {"entry": row.id})]
            last, chain = row.id, row.chain
    return found


def _due(package: Package) -> list[int]:
    payload = package.payload
    if payload is None:
        return []
    try:
        return [length(n, payload.size, payload.fragment_size) for n in range(1, payload.fragments + 1)]
    except (Refusal, ValueError):
        return [-1]


def _verify(
    shelf: Shelf, files: list[Named], known: dict[str, Package], report: Progress
) -> dict[Named, Finding | None]:
    done, total = 0, sum(file.size or 0 for file in files)
    verified = {}
    for file in files:
        verified[file] = _look_at(shelf, file, known)
        done += file.size or 0
        report("verify", done, total)
    return verified


def _look_at(shelf: Shelf, named: Named, known: dict[str, Package]) -> Finding | None:
    values = {"package": named.package, "priority": known[named.package].order.priority}
    remedy = REBUILD if named.number else DESCRIBE
    try:
        with opened(shelf, named) as file:
            digest = hashlib.sha256()
            while data := file.read(READ):
                digest.update(data)
    except Refusal as refusal:
        trouble = MISSING if isinstance(refusal.__cause__, FileNotFoundError) else DAMAGED
        return Finding(f"fragments/{named.path}", trouble, remedy, values)
    except OSError as error:
        return Finding(f"fragments/{named.path}", UNREADABLE, remedy, {**values, "met": f"{error.strerror}."})
    if digest.hexdigest() != named.sha256:
        return Finding(f"fragments/{named.path}", DAMAGED, remedy, values)
    return None


def _entries(folder: Path, shelf: Shelf) -> list[Path]:
    """Everything that lies there and in which no live process works, down to the packages' files."""
    idle = set(shelf.idle()) if shelf.folder.is_dir() else set()
    live = {path.name for path in folder.glob(f"{copies.SCRATCH}*")} - set(copies.left_scratch(folder))
    found = [path for path in sorted(folder.iterdir()) if path.name not in live]
    if not shelf.folder.is_dir():
        return found
    live = {path.name for path in shelf.folder.glob(f"{copies.SCRATCH}*")} - set(copies.left_scratch(shelf.folder))
    for path in sorted(shelf.folder.iterdir()):
        if path.name in live or (path.is_dir() and _of_package(path) and path.name not in idle):
            continue
        found.append(path)
        if path.is_dir() and is_package_id(path.name):
            found += sorted(path.iterdir())
    return found


def _foreign(folder: Path, shelf: Shelf, entries: Iterable[Path], named: Iterable[Named]) -> Iterable[Finding]:
    files = {file.path for file in named}
    known = {path.partition("/")[0] for path in files}
    for path in entries:
        if not path.exists() and not path.is_symlink():
            continue  # gone meanwhile
        where = str(path.relative_to(folder))
        if path.parent == folder:
            if path.name.startswith(copies.SCRATCH):
                yield Finding(where, LEFTOVER, SWEPT)
            elif not LEFT_ALONE.match(path.name):
                yield Finding(where, FOREIGN, MOVE)
        elif path.parent == shelf.folder:
            if path.name.startswith(copies.SCRATCH) or _of_package(path):
                if path.name not in known:
                    yield Finding(where, LEFTOVER, SWEPT)
            elif not (is_draft_id(path.stem) and path.suffix in (UPLOAD, PACKING)):
                yield Finding(where, FOREIGN, MOVE)
        elif path.parent.name in known and f"{path.parent.name}/{path.name}" not in files:
            swaps = (shelf.folder / f"{path.parent.name}{BUILDING}").exists()
            if not swaps:  # an edit whose folders are still to be swapped: the old one goes
                yield Finding(where, FOREIGN, MOVE)


def _of_package(path: Path) -> bool:
    package, _, suffix = path.name.partition(".")
    return is_package_id(package) and (f".{suffix}" in (BUILDING, OLD) or not suffix)
