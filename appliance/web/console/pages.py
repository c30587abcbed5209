"""Templates: the environment of each language, what all templates may use, and the way to the navigation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import jinja2

from appliance import __version__
from appliance.domain.account import Right
from appliance.web.console.words import LANGUAGES, N_, words
from appliance.web.static import static_url

if TYPE_CHECKING:
    from appliance.web.console.frame import Visit


@dataclass(frozen=True)
class ErrorPage:
    """One sentence about what went wrong."""

    status: int
    sentence: str


@dataclass(frozen=True)
class Entry:
    """One line of the navigation."""

    name: str
    icon: str
    path: str
    right: Right


@dataclass(frozen=True)
class Menu:
    """A heading of the navigation, as in the manual, with its lines."""

    name: str
    entries: tuple[Entry, ...]


MENUS = (
    Menu("", (Entry(N_("Overview"), "house", "/", Right.SIGNED_IN),)),
    Menu(
        N_("Computers"),
        (
            Entry(N_("All computers"), "pc-display", "/computers", Right.SIGNED_IN),
            Entry(N_("Search with various criteria"), "search", "/search", Right.SIGNED_IN),
            Entry(N_("Groups"), "collection", "/groups", Right.SIGNED_IN),
        ),
    ),
    Menu(
        N_("Deployment"),
        (
            Entry(N_("Build"), "box-seam", "/packages/build", Right.ADMINISTRATOR),
            Entry(N_("Activate"), "broadcast", "/packages", Right.ADMINISTRATOR),
            Entry(N_("Statistics"), "bar-chart-line", "/statistics", Right.ADMINISTRATOR),
        ),
    ),
    Menu(
        N_("Administration"),
        (
            Entry(N_("Configuration"), "gear", "/configuration", Right.ADMINISTRATOR),
            Entry(N_("Users"), "people", "/users", Right.ADMINISTRATOR),
            Entry(N_("Identity"), "patch-check", "/identity", Right.ADMINISTRATOR),
            Entry(N_("Certificates"), "shield-lock", "/certificates", Right.ADMINISTRATOR),
            Entry(N_("Log"), "journal-text", "/log", Right.ADMINISTRATOR),
        ),
    ),
    Menu("", (Entry(N_("Help"), "question-circle", "/help", Right.SIGNED_IN),)),
)


def render(template: str, page: object, visit: Visit) -> str:
    """The HTML of a template. `page` is its one value, of a frozen dataclass."""
    return _environment(visit.words.language).get_template(template).render(page=page, visit=visit)


def is_here(path: str, entry: Entry) -> bool:
    """Whether a path belongs to a line of the navigation: to the longest that it begins or ends with."""

    def fits(line: Entry) -> bool:
        return path == line.path or path.startswith(f"{line.path}/") or (line.path != "/" and path.endswith(line.path))

    return entry.path == max((e.path for menu in MENUS for e in menu.entries if fits(e)), key=len, default="")


@cache
def _environment(language: str) -> jinja2.Environment:
    tongue = words(language)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("appliance.web.console"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.install_gettext_translations(tongue.catalogue, newstyle=True)  # type: ignore[attr-defined]
    filters: dict[str, Any] = {
        "moment": tongue.moment,
        "day": tongue.day,
        "number": tongue.number,
        "percent": tongue.percent,
        "size": tongue.size,
        "duration": tongue.duration,
    }
    environment.filters.update(filters)
    environment.globals.update(
        say=tongue.say, menus=MENUS, is_here=is_here, static=static_url, languages=LANGUAGES, version=__version__
    )
    return environment
