"""Language and colours: for a visitor in a cookie, the language of an account with the account."""

from __future__ import annotations

from aiohttp import web

from appliance.domain.account import Right
from appliance.operations.own_account import choose_language
from appliance.web.console.frame import LANGUAGE_COOKIE, THEME_COOKIE, THEMES, Route, Visit
from appliance.web.console.words import LANGUAGES


async def choose(visit: Visit) -> web.StreamResponse:
    """Keep what was chosen and go back."""
    language, theme = visit.fields.text("language"), visit.fields.text("theme")
    if language in LANGUAGES:
        visit.cookies[LANGUAGE_COOKIE] = language
        if visit.actor:
            await choose_language(visit.desk, language)
    if theme in THEMES:
        visit.cookies[THEME_COOKIE] = theme
    return visit.go(own_path(visit.fields.raw("back")))


def own_path(text: str) -> str:
    """A path of this console, whatever was asked for: never another site's address."""
    fits = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() and len(text) < 2000
    return text if fits and "\\" not in text else "/"


ROUTES = (Route("POST", "/preferences", choose, Right.ANYONE),)
