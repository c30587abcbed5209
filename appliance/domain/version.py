"""The order of version numbers as people mean it: 9.1 comes before 116, and 1.0rc1 before 1.0."""

from __future__ import annotations

import re

_PIECE = re.compile(r"[0-9]+|[^\W\d_]+")
_BEFORE = frozenset(["alpha", "beta", "dev", "pre", "preview", "rc"])

Rank = tuple[tuple[int, int, str], ...]


def version_rank(text: str) -> Rank:
    """What versions are compared by: runs of digits as numbers, words as text, words for what is not out yet first."""
    pieces = [_rank(piece.lower()) for piece in _PIECE.findall(text)]
    return (*pieces, (1, 0, ""))


def is_before(one: str, other: str) -> bool:
    """Whether a version is older than another."""
    return version_rank(one) < version_rank(other)


def _rank(piece: str) -> tuple[int, int, str]:
    if piece[0] in "0123456789":
        return (3, int(piece), "")
    return (0 if piece in _BEFORE else 2, 0, piece)
