"""The form of a backup: a tar of manifest.json, ocs.sqlite and files/<SHA-256>, each content once, in that order.

The manifest comes first and determines every byte after it but the contents: a reader compares each header with the
one it would have written itself, so there is nothing in a foreign archive that it would have to understand.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from appliance.domain.package import PackageId, Piece
from appliance.wire.malformed import Malformed

VERSION = 1
MANIFEST, DATABASE, FILES = "manifest.json", "ocs.sqlite", "files"
BLOCK = 512
END = bytes(2 * BLOCK)
LARGEST = 256 * 1024 * 1024  # bytes of manifest; two million fragments

_PATH = re.compile(r"^([0-9]{10})/(info|manifest|\1-[1-9][0-9]{0,5})$")


@dataclass(frozen=True)
class Shelved:
    """A file of a package: `<package id>/<name>` below fragments/, and what it must be."""

    package: PackageId
    name: str
    piece: Piece

    @property
    def path(self) -> str:
        """Its place below fragments/."""
        return f"{self.package}/{self.name}"


@dataclass(frozen=True)
class Member:
    """One entry of the tar after the manifest."""

    name: str
    piece: Piece


@dataclass(frozen=True)
class Contents:
    """What is in a backup, and who wrote it when."""

    version: str
    schema: int
    made_at: int  # seconds since 1970
    database: Piece
    files: tuple[Shelved, ...]

    def members(self) -> Iterator[Member]:
        """The entries in order: the database, then each content once."""
        yield Member(DATABASE, self.database)
        pieces = {file.piece.sha256: file.piece for file in self.files}
        yield from (Member(f"{FILES}/{sha256}", piece) for sha256, piece in pieces.items())

    @property
    def packages(self) -> int:
        """How many packages there are."""
        return len({file.package for file in self.files})

    @property
    def size(self) -> int:
        """Bytes of all members."""
        return sum(member.piece.size for member in self.members())


def encode(contents: Contents) -> bytes:
    """The manifest, one JSON object; `files` is a list of [path, bytes, SHA-256 in hex]."""
    document = {
        "backup": VERSION,
        "version": contents.version,
        "schema": contents.schema,
        "made_at": contents.made_at,
        "database": [contents.database.size, contents.database.sha256],
        "files": [[file.path, file.piece.size, file.piece.sha256] for file in contents.files],
    }
    return json.dumps(document, separators=(",", ":")).encode("ascii") + b"\n"


def decode(data: bytes) -> Contents:
    """The Contents in a document of `encode`. Raises Malformed."""
    try:
        document = json.loads(data.decode("ascii"))
        if document["backup"] != VERSION:
            raise Malformed("a newer version wrote it")
        contents = Contents(
            version=_text(document["version"]),
            schema=_number(document["schema"]),
            made_at=_number(document["made_at"]),
            database=_piece(document["database"]),
            files=tuple(_shelved(*file) for file in document["files"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Malformed("its manifest cannot be read") from None
    sizes = {(file.piece.size, file.piece.sha256) for file in contents.files}
    if len({file.path for file in contents.files}) < len(contents.files) or len({s[1] for s in sizes}) < len(sizes):
        raise Malformed("its manifest names a file twice")
    return contents


def header(name: str, size: int) -> bytes:
    """The block before a member's bytes: an ordinary file, for its owner only, without time or owner."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry.tobuf(tarfile.GNU_FORMAT)


def padding(size: int) -> bytes:
    """The zeros that fill a member's last block."""
    return bytes(-size % BLOCK)


def manifest_size(block: bytes) -> int:
    """The size of the manifest by its header, the first block of all. Raises Malformed."""
    digits = block[124:135]
    size = int(digits, 8) if re.match(rb"^[0-7]{11}$", digits) else -1
    if not 0 <= size <= LARGEST or block != header(MANIFEST, size):
        raise Malformed("it does not begin with a manifest")
    return size


def _shelved(path: Any, size: Any, sha256: Any) -> Shelved:
    match = _PATH.match(_text(path))
    if not match:
        raise ValueError(path)
    return Shelved(PackageId(match.group(1)), match.group(2), _piece([size, sha256]))


def _piece(pair: Any) -> Piece:
    size, sha256 = pair
    if not re.match(r"^[0-9a-f]{64}$", _text(sha256)):
        raise ValueError(sha256)
    return Piece(_number(size), sha256)


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError(value)
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or len(value) > 100:
        raise ValueError(value)
    return value
