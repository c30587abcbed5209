"""Languages: which one a visitor reads, its catalogue, and how it writes moments, numbers and sizes."""

from __future__ import annotations

import gettext
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from appliance.domain.refusal import Refusal, Term, filled

LANGUAGES: Mapping[str, str] = {"en": "English", "es": "Español"}
FALLBACK = "en"


@dataclass(frozen=True)
class Habits:
    """How a language writes what is no word."""

    months: tuple[str, ...]
    moment: str  # of day, month, year, clock
    day: str
    point: str
    thousands: str
    least_grouped: int  # smaller numbers have no separator


HABITS = {
    "en": Habits(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
        "{day} {month} {year}, {clock}",
        "{day} {month} {year}",
        ".",
        ",",
        1000,
    ),
    "es": Habits(
        ("ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sept", "oct", "nov", "dic"),
        "{day} {month} {year}, {clock}",
        "{day} {month} {year}",
        ",",
        ".",
        10_000,
    ),
}


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    """The compiled catalogue; English needs none."""
    path = resources.files("appliance.web").joinpath("locale", language, "LC_MESSAGES", "console.mo")
    if language == FALLBACK or not path.is_file():
        return gettext.NullTranslations()
    with path.open("rb") as file:
        return gettext.GNUTranslations(file)


def chosen_language(wanted: str, accepted: str) -> str:
    """The language that was chosen, else the first of the browser's (an Accept-Language header) that there is."""
    if wanted in LANGUAGES:
        return wanted
    weighed = []
    for place, part in enumerate(accepted[:500].split(",")):
        name, _, weight = part.strip().partition(";q=")
        try:
            weighed.append((-float(weight or 1), place, name.split("-")[0].lower()))
        except ValueError:
            continue
    return next((name for weight, _, name in sorted(weighed) if weight < 0 and name in LANGUAGES), FALLBACK)


class Words:
    """One language: texts by their English form, and the language's way with moments, numbers and sizes."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.habits = HABITS[language]
        self.catalogue = catalogue(language)

    def say(self, text: str, /, **values: object) -> str:
        """A text of ours in this language, its {named} places filled in."""
        known = {
            name: self.say(value.text, **value.values) if isinstance(value, Term) else value
            for name, value in values.items()
        }
        return filled(self.gettext(text), known)

    def gettext(self, text: str) -> str:
        """A text of ours in this language."""
        return self.catalogue.gettext(text) if text else ""

    def refusal(self, refusal: Refusal) -> str:
        """A refusal's sentence without the name of the field."""
        return self.say(refusal.sentence, **refusal.values)

    def moment(self, seconds: int | None) -> str:
        """A day and a time by the server's clock; "–" for None."""
        return "–" if seconds is None else self._date(self.habits.moment, seconds)

    def day(self, seconds: int | None) -> str:
        """A day."""
        return "–" if seconds is None else self._date(self.habits.day, seconds)

    def number(self, value: float, digits: int = 0) -> str:
        """A number with the language's separators."""
        text = f"{value:,.{digits}f}" if abs(value) >= self.habits.least_grouped else f"{value:.{digits}f}"
        return text.translate({ord(","): self.habits.thousands, ord("."): self.habits.point})

    def percent(self, share: float) -> str:
        """A share of 1 as a percentage."""
        return f"{self.number(100 * share, 0 if share in (0, 1) else 1)} %"

    def size(self, count: int | None) -> str:
        """Bytes in the largest unit that leaves at least 1."""
        if count is None:
            return "–"
        value, unit = float(count), "B"
        for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
            if value < 1024 or unit == "TiB":
                break
            value /= 1024
        return f"{self.number(value, 0 if unit == 'B' or value == int(value) else 1)} {unit}"

    def duration(self, seconds: float) -> str:
        """A stretch of time in its two largest units."""
        left = round(seconds)
        parts: list[str] = []
        for unit, length in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
            count, left = divmod(left, length)
            if count or (unit == "s" and not parts):
                parts.append(f"{self.number(count)} {unit}")
        return " ".join(parts[:2])

    def _date(self, form: str, seconds: int) -> str:
        at = time.localtime(seconds)
        return form.format(
            day=at.tm_mday,
            month=self.habits.months[at.tm_mon - 1],
            year=at.tm_year,
            clock=f"{at.tm_hour:02}:{at.tm_min:02}",
        )


@cache
def words(language: str) -> Words:
    """The Words of a language."""
    return Words(language)


def N_(text: str) -> str:
    """Mark a text of a table for the catalogue; it is said where it is shown."""
    return text
