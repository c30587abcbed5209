"""What an inventory is made of, and what may leave the computer. No source is read here.

Values come from firmware, disks and package databases: none of them is to be trusted with an XML text.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from typing import TypeVar

Row = dict[str, str]
Section = tuple[str, dict[str, str]]  # ("HARDWARE", {"NAME": "pc1"}); sections that repeat, repeat

VALUE_LIMIT = 4096  # characters; the longest honest value (a package's one-line description) is far below

# What XML 1.0 cannot carry. Lone surrogates come from file names that are not UTF-8.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


def tidy(sections: Iterable[Section]) -> list[Section]:
    """Drop what is empty or cannot be written as XML."""
    kept = []
    for name, fields in sections:
        row = {key: text for key, value in fields.items() if (text := clean(value))}
        if row:
            kept.append((name, row))
    return kept


def clean(value: str) -> str:
    if _FORBIDDEN.search(value):
        value = _FORBIDDEN.sub(lambda found: "\ufffd" if found[0] >= "\ud800" else "", value)
    return value[:VALUE_LIMIT].strip()


def attempt(part: Callable[[], _T], otherwise: _T) -> _T:
    """One part of the inventory. A computer with one odd source still gets all the others reported."""
    try:
        return part()
    except Exception:  # whatever a driver or a broken database makes of our assumptions
        _log.exception("a part of the inventory was left out")
        return otherwise


def number(text: str, default: int = 0) -> int:
    """The integer in front of `text` ("8192 kB" is 8192)."""
    found = re.match(r"\s*(-?[0-9]{1,18})", text)
    return int(found[1]) if found else default
