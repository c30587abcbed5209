"""The manifest: what our own agent verifies beyond MD5. JSON, fetched over TLS only. Source: product.md, section 2."""

from __future__ import annotations

import json
from typing import Any

from appliance.domain.package import Manifest, PackageId, Piece
from appliance.wire.malformed import Malformed

LARGEST = 8 * 1024 * 1024  # bytes; 50 000 fragments take 5 MB
VERSION = 1


def encode(manifest: Manifest) -> bytes:
    """One JSON object; `pieces` is a list of [bytes, SHA-256 in hex], fragment 1 first."""
    document = {
        "manifest": VERSION,
        "package": manifest.package,
        "name": manifest.name,
        "size": manifest.size,
        "sha256": manifest.sha256,
        "info_sha256": manifest.info_sha256,
        "pieces": [[piece.size, piece.sha256] for piece in manifest.pieces],
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"


def decode(data: bytes) -> Manifest:
    """The Manifest in a document of `encode`; unknown keys are left alone. Raises Malformed."""
    try:
        document = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Malformed("the manifest is not JSON") from None
    try:
        if document["manifest"] != VERSION:
            raise Malformed(f"the manifest has not the version that this agent knows, {VERSION}")
        pieces = tuple(Piece(_size(piece[0]), _digest(piece[1])) for piece in document["pieces"])
        return Manifest(
            package=PackageId(_string(document["package"])),
            name=_string(document["name"]),
            size=_size(document["size"]),
            sha256=_digest(document["sha256"]) if pieces else _string(document["sha256"]),
            pieces=pieces,
            info_sha256=_digest(document["info_sha256"]),
        )
    except (KeyError, TypeError, IndexError):
        raise Malformed("the manifest lacks what it must have") from None


def _size(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise Malformed("the manifest has a size that is none")
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str) or any("\ud800" <= character <= "\udfff" for character in value):
        raise Malformed("the manifest has a text that is none")
    return value


def _digest(value: Any) -> str:
    text = _string(value)
    if len(text) != 64 or not all(c in "0123456789abcdef" for c in text):
        raise Malformed("the manifest has a digest that is none")
    return text
