"""What people did wrong, as values: a Refusal is expected, carries one sentence, and is no bug."""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """Why something was refused, for machines: each edge has one table from kind to its own code."""

    INVALID = "invalid"  # the input breaks a rule
    MISSING = "missing"  # what it speaks of does not exist
    CONFLICT = "conflict"  # it exists, but not in a state that allows this
    TOO_LARGE = "too large"  # a limit was passed
    UNREACHABLE = "unreachable"  # another party did not answer as it must
    BUSY = "busy"  # somebody else holds it; try again


class Refusal(Exception):
    """One sentence for people: what was wrong and what to do. `field` names the input it speaks of."""

    def __init__(self, kind: Kind, sentence: str, field: str = "") -> None:
        super().__init__(sentence)
        self.kind = kind
        self.field = field


def invalid(field: str, sentence: str) -> Refusal:
    """A Refusal of one input field; the sentence starts with the field's name."""
    return Refusal(Kind.INVALID, f"{field}: {sentence}", field)


def missing(sentence: str) -> Refusal:
    """A Refusal because the thing spoken of does not exist."""
    return Refusal(Kind.MISSING, sentence)


def conflict(sentence: str) -> Refusal:
    """A Refusal because the thing is not in a state that allows this."""
    return Refusal(Kind.CONFLICT, sentence)
