"""What a form brought: its fields as text, bounded, and the sentence that belongs to each field that was refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from appliance.domain.refusal import invalid

MOST_FIELDS = 2000
LARGEST_FORM = 4 * 1024**2  # ticked rows of a page, a script typed into one; files come another way


@dataclass(frozen=True)
class Form:
    """A form's fields. `errors` has one sentence a field, in the visitor's language; "" is the whole form."""

    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str, default: str = "") -> str:
        """A field's text without blanks at its ends."""
        return self.raw(name, default).strip()

    def raw(self, name: str, default: str = "") -> str:
        """A field's text as it was typed."""
        found = self.values.get(name, ())
        return found[0] if found else default

    def many(self, name: str) -> list[str]:
        """All values of a field that may come several times."""
        return list(self.values.get(name, ()))

    def ticked(self, name: str) -> bool:
        """Whether a box is ticked."""
        return self.raw(name) not in ("", "0")

    def whole(self, name: str, default: int | None = None) -> int | None:
        """A whole number, `default` where the field is empty. Raises Refusal(INVALID)."""
        text = self.text(name)
        if not text:
            return default
        if not text.lstrip("-").isascii() or not text.lstrip("-").isdigit() or len(text) > 18:
            raise invalid(name, "{text!r} is not a whole number.", text=text[:40])
        return int(text)

    def numbers(self, name: str) -> tuple[int, ...]:
        """The whole numbers of a field that may come several times, what is none left out."""
        return tuple(int(text) for text in self.many(name) if text.isascii() and text.isdigit() and len(text) < 18)

    def error(self, name: str) -> str:
        """The sentence for a field, or ""."""
        return self.errors.get(name, "")

    def refused(self, name: str, sentence: str) -> Form:
        """The same form with a sentence for a field."""
        return replace(self, errors={**self.errors, name: sentence})


def form_of(**values: object) -> Form:
    """A Form that shows what is there already; True is a ticked box, None and False are empty."""
    return Form({name.replace("__", "-"): _listed(value) for name, value in values.items()})


def _listed(value: object) -> Sequence[str]:
    if value is None or value is False:
        return ()
    if value is True:
        return ("1",)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [str(part) for part in value]
    return (str(value),)
