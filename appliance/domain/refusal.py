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
    FORBIDDEN = "forbidden"  # this account may not do it
    UNAUTHORIZED = "unauthorized"  # whoever asks must prove first who that is


class Term(str):
    """A value in a sentence that is text of ours and not data, so it is said in the reader's language too.

    It may have {named} places of its own.
    """

    def __new__(cls, text: str, /, **values: object) -> Term:
        """The text in English, which keeps what it was made of."""
        term = super().__new__(cls, filled(text, values))
        term.text, term.values = text, values
        return term

    text: str
    values: dict[str, object]


class Refusal(Exception):
    """One sentence for people: what was wrong and what to do. `field` names the input it speaks of.

    The sentence has {named} places for `values`, so that the console can say it in another language; as text the
    English sentence comes out, after the field's name where there is one.
    """

    def __init__(self, kind: Kind, sentence: str, field: str = "", /, **values: object) -> None:
        self.kind = kind
        self.sentence = sentence
        self.field = field
        self.values = values
        super().__init__((f"{field}: " if field else "") + filled(sentence, values))


def filled(sentence: str, values: dict[str, object]) -> str:
    """A sentence with its values in place; without values it is meant as it stands, braces and all."""
    return sentence.format(**values) if values else sentence


def invalid(field: str, sentence: str, /, **values: object) -> Refusal:
    """A Refusal of one input field."""
    return Refusal(Kind.INVALID, sentence, field, **values)


def missing(sentence: str, /, **values: object) -> Refusal:
    """A Refusal because the thing spoken of does not exist."""
    return Refusal(Kind.MISSING, sentence, **values)


def conflict(sentence: str, /, **values: object) -> Refusal:
    """A Refusal because the thing is not in a state that allows this."""
    return Refusal(Kind.CONFLICT, sentence, **values)


def forbidden(sentence: str, /, **values: object) -> Refusal:
    """A Refusal because this account may not do it."""
    return Refusal(Kind.FORBIDDEN, sentence, **values)
