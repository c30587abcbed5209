"""The log of who did what and when, for people: newest first, searched, paged, and verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from appliance.domain.log import Deed, Entry
from appliance.operations.logbook import Verdict, read_log, verify_log
from appliance.web.console.forms import Form
from appliance.web.console.frame import Route, Visit, address
from appliance.web.console.words import N_

# How an actor came; the words of Actor.through.
THROUGH: Mapping[str, str] = {
    "console": N_("console"),
    "api": N_("API"),
    "command line": N_("command line"),
    "server": N_("server"),
}

# What the details of an entry are called; one that is not here is shown by its own name.
DETAILS: Mapping[str, str] = {
    "action": N_("action"),
    "activation": N_("activation"),
    "address": N_("address"),
    "all": N_("all computers"),
    "argument": N_("command or path"),
    "certificate": N_("certificate"),
    "changed": N_("changed"),
    "checked": N_("addresses checked"),
    "computer": N_("computer"),
    "computers": N_("computers"),
    "count": N_("number of computers"),
    "days": N_("days"),
    "description": N_("description"),
    "disabled": N_("disabled"),
    "error": N_("errors"),
    "exceptions": N_("exceptions"),
    "failures": N_("failures"),
    "fragments": N_("address of the fragments"),
    "full_name": N_("full name"),
    "group": N_("group"),
    "ids": N_("numbers of the computers"),
    "info": N_("address of the info file"),
    "issuer": N_("issuer"),
    "key": N_("field"),
    "kind": N_("kind"),
    "language": N_("language"),
    "name": N_("name"),
    "names": N_("names"),
    "notified": N_("notified"),
    "package": N_("package"),
    "packages": N_("packages"),
    "password": N_("password"),
    "priority": N_("priority"),
    "role": N_("role"),
    "search": N_("search"),
    "second_factor": N_("second factor"),
    "seconds": N_("seconds"),
    "sessions": N_("sessions"),
    "sha256": N_("SHA-256"),
    "size": N_("size"),
    "success": N_("success"),
    "system": N_("operating system"),
    "tag": N_("TAG"),
    "tags": N_("TAGs"),
    "unaffected": N_("unaffected"),
    "user": N_("user"),
    "value": N_("value"),
    "visible": N_("visible"),
    "waiting": N_("not notified"),
}


@dataclass(frozen=True)
class LogPage:
    """Entries of the log. `older`, `newest`: addresses, "" where there is nothing; `verdict` where it was asked for."""

    form: Form
    entries: Sequence[Entry]
    deeds: Sequence[str]
    through: Mapping[str, str]
    details: Mapping[str, str]
    older: str
    newest: str
    verdict: Verdict | None


async def log_page(visit: Visit) -> web.StreamResponse:
    """One page of it."""
    form = visit.query
    words, deed = form.text("words")[:200], form.text("deed")
    before = next(iter(form.numbers("before")), None)
    found = await read_log(visit.desk, words, deed, before)
    verdict = await verify_log(visit.desk) if form.ticked("verify") else None
    older = address("/log", words=words, deed=deed, before=found.more) if found.more else ""
    newest = address("/log", words=words, deed=deed) if before else ""
    deeds = sorted((one.value for one in Deed), key=lambda one: visit.say(one).lower())
    return visit.page("log.html", LogPage(form, found.entries, deeds, THROUGH, DETAILS, older, newest, verdict))


ROUTES = (Route("GET", "/log", log_page),)
