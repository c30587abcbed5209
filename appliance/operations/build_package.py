"""Build a package: check what was asked and the archive, cut it, put it on the shelf, write its row last."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from appliance.domain.account import Right
from appliance.domain.archive import Census, Shape, inner_path
from appliance.domain.fragments import count, parse_size, proposed_size
from appliance.domain.log import Deed
from appliance.domain.package import (
    Action,
    Manifest,
    Order,
    Package,
    PackageId,
    Piece,
    checked,
    info_of,
    program_of,
)
from appliance.domain.refusal import Kind, Refusal, invalid
from appliance.operations.desk import Desk
from appliance.store import configuration, log, packages
from appliance.store.joined import joined
from appliance.store.packages import Marks
from appliance.store.shelf import Building, Cut
from appliance.store.uploads import Parts
from appliance.wire import archive, info, manifest
from appliance.wire.malformed import Malformed

ENDINGS = {"zip": (".zip",), "tar.gz": (".tar.gz", ".tgz")}
Progress = Callable[[str, int, int], None]  # what is done ("pack", "check" or "cut"), bytes done, bytes in all
Result = TypeVar("Result")


@dataclass(frozen=True)
class Uploaded:
    """A file that lies on the shelf itself and may be taken over; `name` as people know it."""

    parts: Parts
    name: str


@dataclass(frozen=True)
class Source:
    """An open archive on its way into a package."""

    file: BinaryIO
    size: int
    format: str
    parts: Parts | None = None


async def build_package(
    desk: Desk, order: Order, file: Path | Uploaded | None, fragment_size: str | None, progress: Progress
) -> Package:
    """A new package from an order and an archive. Raises Refusal; then nothing is left behind."""
    desk.must_have(Right.ADMINISTRATOR)
    with ExitStack() as stack:
        source = open_source(stack, file)
        order = checked(order, file_format=source.format if source else None)
        async with desk.store.reading() as tx:
            name_is_free(await packages.with_name(tx, order.name), None)
            size = chosen_fragment_size(source, fragment_size, (await configuration.settings(tx)).text("FRAGMENT_SIZE"))
        if source:
            await in_thread(check_archive, source, order, progress=progress)
        async with desk.store.writing() as tx:
            package_id = await packages.reserve_id(tx)
        built_at = desk.clock.now()
        with desk.shelf.building(package_id) as building:
            cut = await in_thread(cut_source, building, source, size, progress=progress)
            package = Package(package_id, order, cut.payload if cut else None, built_at)
            marks = await asyncio.to_thread(describe, building, package, cut.pieces if cut else ())
            try:
                await asyncio.to_thread(building.publish)
                async with desk.store.writing() as tx:
                    name_is_free(await packages.with_name(tx, order.name), None)
                    await packages.add(tx, package, cut.pieces if cut else (), marks)
                    await log.append(tx, desk.actor, Deed.PACKAGE_BUILT, package.id, **told_of(package))
            except BaseException:
                async with desk.store.reading() as tx:  # Ctrl+C may come while the row is being committed
                    is_there = await packages.find(tx, package_id)
                if not is_there:
                    await asyncio.to_thread(desk.shelf.remove, package_id)
                raise
    return package


def told_of(package: Package) -> dict[str, object]:
    """What the log says of a package."""
    order, payload = package.order, package.payload
    told = {"name": order.name, "system": order.system.value, "action": order.action.value, "argument": order.argument}
    return {**told, "priority": order.priority, "sha256": payload.sha256 if payload else ""}


async def in_thread(work: Callable[..., Result], *values: object, progress: Progress) -> Result:
    """Run work that reports progress beside the loop; where this is cancelled, the work ends at its next report."""
    stopped = threading.Event()

    def report(phase: str, done: int, total: int) -> None:
        if stopped.is_set():
            raise asyncio.CancelledError
        progress(phase, done, total)

    running = asyncio.ensure_future(asyncio.to_thread(work, *values, report))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stopped.set()
        await asyncio.wait([running])
        raise


def open_source(stack: ExitStack, file: Path | Uploaded | None) -> Source | None:
    """The archive behind a path, opened once for all passes. Raises Refusal naming the field."""
    if file is None:
        return None
    if isinstance(file, Uploaded):
        upload = stack.enter_context(joined(file.parts.files))
        return Source(upload, file.parts.size, named_format(upload, file.name), file.parts)
    try:
        opened = stack.enter_context(file.open("rb"))
        size = os.fstat(opened.fileno()).st_size
    except OSError as error:
        raise invalid("file", "{file} cannot be read: {met}.", file=file, met=error.strerror) from error
    if not opened.seekable():
        raise invalid("file", "{file} is no ordinary file; save it to the disk first.", file=file)
    if size == 0:
        raise invalid("file", "{file} is empty; a package's file has at least one byte.", file=file)
    return Source(opened, size, named_format(opened, file.name))


def named_format(file: BinaryIO, name: str) -> str:
    """The format of an archive that is named like one of that format. Raises Refusal."""
    found = archive.format_of(file)
    if found is None:
        raise invalid(
            "file", "{name} is neither a zip nor a tar.gz archive; only those two can be deployed.", name=name
        )
    if not name.lower().endswith(ENDINGS[found]):
        raise invalid(
            "file",
            "{name} holds a {file_format} archive; name it *{wanted}.",
            name=name,
            file_format=found,
            wanted=ENDINGS[found][0],
        )
    return found


def chosen_fragment_size(source: Source | None, asked: str | None, largest: str) -> int:
    """The fragment size in bytes, 0 without a file. Raises Refusal."""
    if source is None:
        if asked is not None:
            raise invalid("fragment-size", "a package without a file has no fragments.")
        return 0
    size = parse_size(asked, "fragment-size") if asked else proposed_size(source.size, parse_size(largest))
    count(source.size, size)
    return size


def check_archive(source: Source, order: Order, progress: Progress) -> None:
    """Read the whole archive as an agent will. Genuine agents unpack as root: the server is where they are protected.

    Raises Refusal for the first member that may not be unpacked, and where Launch's program is not in it.
    """
    census, program_found = Census(), False
    program = program_of(order) if order.action is Action.LAUNCH else ""
    try:
        for member, opener in archive.members(source.file):
            fault = census.fault(member)
            if fault:
                raise invalid(
                    "file", "the archive's member {name!r} {fault}; take it out.", name=member.name[:80], fault=fault
                )
            if member.shape is Shape.FILE:
                program_found = program_found or inner_path(member.name) == program
                if archive.drain(opener) != member.size:
                    raise invalid(
                        "file", "the archive's member {name!r} is not as long as it says.", name=member.name[:80]
                    )
            progress("check", min(source.file.tell(), source.size), source.size)
    except Malformed as error:
        raise invalid("file", "{error}; pack it again.", error=error) from error
    except OSError as error:
        raise invalid("file", "the archive cannot be read: {error}.", error=error) from error
    if program and not program_found:
        raise invalid(
            "command", "the archive has no file {program!r} at its top, which Launch would start.", program=program[:80]
        )
    source.file.seek(0)


def cut_source(building: Building, source: Source | None, fragment_size: int, progress: Progress) -> Cut | None:
    """Write the archive's fragments into the folder being built."""
    if source is None:
        return None
    source.file.seek(0)
    return building.cut(
        source.file,
        source.size,
        fragment_size,
        source.format,
        lambda done, total: progress("cut", done, total),
        parts=source.parts,
    )


def describe(building: Building, package: Package, pieces: tuple[Piece, ...]) -> Marks:
    """Write info and then the manifest into the folder being built: their digests."""
    info_bytes = info.encode(info_of(package))
    if len(info_bytes) > info.LARGEST:
        raise Refusal(Kind.TOO_LARGE, "the command and texts are too long for an info file; shorten them.")
    info_sha256 = hashlib.sha256(info_bytes).hexdigest()
    document = Manifest(
        package=package.id,
        name=package.order.name,
        size=package.payload.size if package.payload else 0,
        sha256=package.payload.sha256 if package.payload else "",
        pieces=pieces,
        info_sha256=info_sha256,
    )
    manifest_bytes = manifest.encode(document)
    building.put("info", info_bytes)
    building.put("manifest", manifest_bytes)
    return Marks(info_sha256, hashlib.sha256(manifest_bytes).hexdigest())


def name_is_free(taken_by: PackageId | None, but: PackageId | None) -> None:
    if taken_by is not None and taken_by != but:
        raise Refusal(
            Kind.CONFLICT, "package {taken_by} has this name already; choose another.", "name", taken_by=taken_by
        )
