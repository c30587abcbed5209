"""Affect a package to a group or to all computers. Source: the manual, "Affecting packages to computers".

To some computers it is affected from the list and from the result of a search: selection.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from appliance.domain.refusal import Refusal, invalid
from appliance.operations.affect import AffectPreview, Selection, affect, preview_affect
from appliance.operations.groups import Counted, list_groups
from appliance.operations.jobs import Progress
from appliance.operations.package_facts import PackageFacts, show_package
from appliance.web.console import jobs
from appliance.web.console.forms import Form
from appliance.web.console.frame import Route, Visit
from appliance.web.console.packages import PACKAGE
from appliance.web.console.selection import terms_of
from appliance.web.console.words import N_

SHOWN = ("group", "target", "schedule", "post-command", "force", "activation")


@dataclass(frozen=True)
class AffectPage:
    """The form, and in numbers what it would do once somebody asked."""

    facts: PackageFacts
    form: Form
    groups: Sequence[Counted]
    preview: AffectPreview | None = None
    shown: tuple[str, ...] = SHOWN


async def ask(visit: Visit) -> web.StreamResponse:
    """The form."""
    return await _page(visit, visit.query)


async def do(visit: Visit) -> web.StreamResponse:
    """Say what would be done, or do it."""
    form, package = visit.fields, visit.path("package")

    async def work(progress: Progress) -> jobs.Done:
        count = await affect(
            visit.desk, package, _target(form), terms_of(form), lambda done, total: progress("affect", done, total)
        )
        said = N_("The package is affected: {count} computers wait for it.")
        return jobs.Done(f"/packages/{package}/statistics", said, {"count": count})

    try:
        if form.text("deed") == "preview":
            seen = await preview_affect(visit.desk, package, _target(form), terms_of(form))
            return await _page(visit, form, preview=seen)
        return await jobs.begin(visit, N_("Affecting the package"), work)
    except Refusal as refusal:
        return await _page(visit, form, refusal)


def _target(form: Form) -> Selection:
    """Whom it is for. Raises Refusal."""
    if form.text("target") == "all":
        return Selection(everyone=True)
    group = form.text("group")
    if form.text("target") != "group" or not group:
        raise invalid("group", "choose a group.")
    return Selection(group=group)


async def _page(
    visit: Visit, form: Form, refusal: Refusal | None = None, preview: AffectPreview | None = None
) -> web.Response:
    page = AffectPage(
        await show_package(visit.desk, visit.path("package")),
        visit.with_error(form, refusal) if refusal else form,
        await list_groups(visit.desk),
        preview,
    )
    return visit.refused("package_affect.html", page, refusal) if refusal else visit.page("package_affect.html", page)


ROUTES = (
    Route("GET", f"{PACKAGE}/affect", ask),
    Route("POST", f"{PACKAGE}/affect", do),
)
