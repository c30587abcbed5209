"""What must lie below fragments/ by the rows: each file, what its bytes must be, and how to open it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import BinaryIO

from appliance.domain.package import PackageId
from appliance.store import packages
from appliance.store.database import Tx
from appliance.store.shelf import Shelf
from appliance.wire import info, manifest, paths

LARGEST = {paths.INFO: info.LARGEST, paths.MANIFEST: manifest.LARGEST}


@dataclass(frozen=True)
class Named:
    """A file that a row names. `number` 0: info or manifest. `size` None where the row does not tell it."""

    package: PackageId
    name: str
    number: int
    size: int | None
    sha256: str
    manifest: str  # the digest that says which of two folders the row speaks of

    @property
    def path(self) -> str:
        """Its place below fragments/."""
        return f"{self.package}/{self.name}"


async def named_files(tx: Tx) -> list[Named]:
    """Every file that some row names, package by package."""
    found = []
    for package in reversed(await packages.every(tx)):
        marks = await packages.marks(tx, package.id)
        assert marks is not None
        for name, sha256 in ((paths.INFO, marks.info), (paths.MANIFEST, marks.manifest)):
            found.append(Named(package.id, name, 0, None, sha256, marks.manifest))
        for number, piece in enumerate(await packages.pieces_of(tx, package.id), 1):
            name = paths.fragment_name(package.id, number)
            found.append(Named(package.id, name, number, piece.size, piece.sha256, marks.manifest))
    return found


def opened(shelf: Shelf, named: Named) -> BinaryIO:
    """The file, of the right size; info and manifest verified. Raises Refusal: gone or damaged."""
    if named.size is not None:
        return shelf.open_fragment(named.package, named.number, named.size, named.manifest)
    return io.BytesIO(shelf.read(named.package, named.name, LARGEST[named.name], named.sha256, named.manifest))
