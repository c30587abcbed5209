"""Cutting a file into fragments and joining them: sizes, counts, spans. Source: the manual, "Dividing your package"."""

from __future__ import annotations

import re
from collections.abc import Iterable

from appliance.domain.refusal import invalid

KIB = 1024
UNITS = {"": 1, "K": KIB, "M": KIB**2, "G": KIB**3}
MOST_FRAGMENTS = 50_000  # keeps info, manifest and the fragment table small; a 2 GiB file in 64 KiB pieces fits

_SIZE = re.compile(r"^\s*(\d{1,15})\s*([KMG]?)(?:i?B)?\s*$", re.IGNORECASE)


def parse_size(text: str, field: str = "size") -> int:
    """Bytes from `4096`, `64K`, `1M`, `2G` (powers of 1024). Raises Refusal(INVALID) naming the field."""
    match = _SIZE.match(text)
    if not match:
        raise invalid(field, "{text!r} is not a size; write bytes, or a number with K, M or G.", text=text[:40])
    return int(match.group(1)) * UNITS[match.group(2).upper()]


def show_size(size: int) -> str:
    """A size for people: `0 B`, `1.5 KiB`, `2 GiB`."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < KIB or unit == "GiB":
            return f"{value:.10g} {unit}" if value == int(value) else f"{value:.1f} {unit}"
        value /= KIB
    raise AssertionError("unreachable")


def proposed_size(size: int, largest: int) -> int:
    """The fragment size when none was asked for: the whole file in one, or `largest` for bigger files."""
    return max(1, min(size, largest))


def size_for(size: int, wanted: int) -> int:
    """The fragment size that makes at most `wanted` fragments of a file, and no smaller one does. Raises Refusal."""
    if wanted <= 0:
        raise invalid("fragments", "a package has at least one fragment.")
    fragment_size = max(1, -(-size // wanted))
    count(size, fragment_size)
    return fragment_size


def count(size: int, fragment_size: int) -> int:
    """How many fragments a file of `size` bytes becomes; at least 1. Raises Refusal(INVALID)."""
    if size <= 0:
        raise invalid("file", "the file is empty; a package's file has at least one byte.")
    if fragment_size <= 0:
        raise invalid("fragment-size", "a fragment has at least one byte.")
    fragments = -(-size // fragment_size)
    if fragments > MOST_FRAGMENTS:
        raise invalid(
            "fragment-size",
            "{fragments} fragments are more than {most_fragments}; choose at least {value} bytes.",
            fragments=fragments,
            most_fragments=MOST_FRAGMENTS,
            value=-(-size // MOST_FRAGMENTS),
        )
    return fragments


def length(number: int, size: int, fragment_size: int) -> int:
    """The bytes of fragment `number` (from 1): every fragment but the last has exactly `fragment_size`."""
    fragments = count(size, fragment_size)
    if not 1 <= number <= fragments:
        raise ValueError(f"no fragment {number} of {fragments}")
    return fragment_size if number < fragments else size - fragment_size * (fragments - 1)


def cut(data: bytes, fragment_size: int) -> list[bytes]:
    """The fragments of `data`, in order; the same rule that the builder streams by."""
    fragments = count(len(data), fragment_size)
    return [data[i * fragment_size : (i + 1) * fragment_size] for i in range(fragments)]


def join(fragments: Iterable[bytes]) -> bytes:
    """The file again: agents only concatenate (protocol.md, section 4)."""
    return b"".join(fragments)
