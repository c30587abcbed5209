"""Hand out what agents download: info, manifest and fragments, found through their rows, never joined from a URL."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import BinaryIO

from appliance.domain.package import is_package_id
from appliance.domain.refusal import Refusal, missing
from appliance.operations.desk import Desk
from appliance.store import packages
from appliance.store.shelf import damaged
from appliance.wire import info, manifest, paths

NOTHING = "there is nothing here"
LOG = logging.getLogger("ocs.depot")


@dataclass(frozen=True)
class Fragment:
    """An open fragment: its size in bytes and its SHA-256."""

    file: BinaryIO
    size: int
    sha256: str


async def open_fragment(desk: Desk, package: str, name: str) -> Fragment:
    """A fragment by the names in its URL, its bytes verified. Raises Refusal: MISSING, or BUSY where it is damaged."""
    number = paths.fragment_number(package, name) if is_package_id(package) else None
    if number is None:
        raise missing(NOTHING)
    before = None
    while True:
        async with desk.store.reading() as tx:
            found = await packages.marked_piece(tx, package, number)
        if found is None:
            raise missing(NOTHING)
        piece, manifest_sha256 = found
        try:
            file = desk.shelf.open_fragment(package, number, piece.size, manifest_sha256)
            if not desk.shelf.proofs.known(file, piece.sha256):
                await _prove(desk, file, package, name, piece.sha256)
        except Refusal:
            if found == before:
                raise
            before = found  # an edit may have come between the row and the file: look at both again
        else:
            return Fragment(file, piece.size, piece.sha256)


async def _prove(desk: Desk, file: BinaryIO, package: str, name: str, sha256: str) -> None:
    """Read a fragment through, where that was not done since it was changed last. Raises Refusal; closes it then."""
    proofs, right = desk.shelf.proofs, False
    try:
        async with proofs.turns:
            known = proofs.known(file, sha256)  # others may have waited for the same
            right = await asyncio.to_thread(proofs.prove, file, sha256) if known is None else known
            if known is None and not right:
                LOG.error("%s of package %s is damaged on the disk; `check` says what to do.", name, package)
    except OSError as error:
        LOG.error("%s of package %s cannot be read: %s", name, package, error.strerror)
    finally:
        if not right:
            file.close()
    if not right:
        raise damaged(package, name)


async def read_description(desk: Desk, package: str, name: str) -> bytes:
    """The info file or the manifest of a package. Raises Refusal as open_fragment does."""
    largest = {paths.INFO: info.LARGEST, paths.MANIFEST: manifest.LARGEST}.get(name)
    if largest is None or not is_package_id(package):
        raise missing(NOTHING)
    before = None
    while True:
        async with desk.store.reading() as tx:
            marks = await packages.marks(tx, package)
        if marks is None:
            raise missing(NOTHING)
        sha256 = marks.info if name == paths.INFO else marks.manifest
        try:
            return await asyncio.to_thread(desk.shelf.read, package, name, largest, sha256, marks.manifest)
        except Refusal:
            if marks == before:
                raise
            before = marks


READ_ONLY = "nothing can be written; the server's log says why"
UNREADABLE = "the database or the fragments cannot be read"


async def ailing(desk: Desk) -> str:
    """Why this server cannot serve as it should, in words for strangers; "" where it can."""
    if desk.store.stopped is not None:
        return READ_ONLY
    try:
        async with desk.store.reading() as tx:
            await packages.any_at_all(tx)
    except (Refusal, OSError):
        return UNREADABLE
    return "" if desk.shelf.folder.is_dir() else UNREADABLE
