"""Mass processing: what is done with the rows that were ticked, or with the whole result of a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from appliance.domain.account import Right
from appliance.domain.group import Group
from appliance.domain.refusal import Refusal, invalid
from appliance.domain.search import from_json, takes_everyone
from appliance.domain.tempo import KNOBS, Knob
from appliance.operations.affect import Terms, affect
from appliance.operations.computers import delete_computers, numbers_of
from appliance.operations.groups import add_members, open_groups
from appliance.operations.jobs import Progress
from appliance.operations.override import override_computers
from appliance.operations.package_facts import PackageFacts, list_packages
from appliance.operations.selection import Selection
from appliance.web.console import jobs
from appliance.web.console.forms import Form
from appliance.web.console.frame import Route, Visit

DEEDS = ("deploy", "group", "settings", "delete")


@dataclass(frozen=True)
class SelectionPage:
    """Whom it is for, and the form of the deed."""

    deed: str
    count: int
    ids: tuple[int, ...]  # empty: the whole result of `search`
    search: str  # JSON
    quick: str
    form: Form
    packages: Sequence[PackageFacts] = ()
    groups: Sequence[Group] = ()
    knobs: tuple[Knob, ...] = KNOBS

    @property
    def shown(self) -> tuple[str, ...]:
        """The fields that show their own faults."""
        return ("group", "sure", "schedule", "post-command", "force", *(knob.name for knob in KNOBS))

    @property
    def group_choices(self) -> list[tuple[int, str]]:
        """The groups as choices of a field."""
        return [(group.id, group.name) for group in self.groups]


def selection_of(form: Form) -> Selection:
    """Whom a form is for: ticked rows, or everything that its search and quick filter find. Raises Refusal."""
    if form.raw("whole") != "1":
        ids = form.numbers("id")
        if not ids:
            raise invalid("id", "tick at least one computer, or choose the whole result.")
        return Selection(ids=ids)
    search = from_json(form.raw("search") or "[]")
    quick = form.text("q")
    return Selection(everyone=True) if takes_everyone(search) and not quick else Selection(search=search, quick=quick)


async def choose(visit: Visit) -> web.StreamResponse:
    """The form of a deed, with how many computers it is for."""
    deed = visit.query.text("deed")
    if deed not in DEEDS or not (visit.may(Right.ADMINISTRATOR) or deed == "group"):
        raise invalid("deed", "choose what to do with the computers.")
    return await _page(visit, deed, visit.query)


async def _page(visit: Visit, deed: str, form: Form, refusal: Refusal | None = None) -> web.Response:
    selection = selection_of(form)
    count = len(selection.ids) or len(await numbers_of(visit.desk, selection.search or (), selection.quick))
    page = SelectionPage(
        deed,
        count,
        selection.ids,
        form.raw("search"),
        form.text("q"),
        visit.with_error(form, refusal) if refusal else form,
        await list_packages(visit.desk) if deed == "deploy" else (),
        [group for group in await open_groups(visit.desk) if not group.is_dynamic] if deed == "group" else (),
    )
    return visit.refused("selection.html", page, refusal) if refusal else visit.page("selection.html", page)


async def deploy(visit: Visit) -> web.StreamResponse:
    """Affect a package to them."""
    form = visit.fields

    async def work(progress: Progress) -> jobs.Done:
        package = form.text("package")
        count = await affect(
            visit.desk, package, selection_of(form), terms_of(form), lambda done, total: progress("affect", done, total)
        )
        return jobs.Done(
            f"/packages/{package}/statistics",
            "The package is affected. Computers that wait for it now: {count}.",
            {"count": count},
        )

    return await _tried(visit, "deploy", "Affect a package", work)


async def group(visit: Visit) -> web.StreamResponse:
    """Put them into a static group."""
    form = visit.fields

    async def work(_: Progress) -> jobs.Done:
        number = form.whole("group")
        if number is None:
            raise invalid("group", "choose a group.")
        count = await add_members(visit.desk, number, selection_of(form))
        return jobs.Done(f"/groups/{number}", "Computers added to the group: {count}.", {"count": count})

    return await _tried(visit, "group", "Add to a group", work)


async def settings(visit: Visit) -> web.StreamResponse:
    """Change settings of theirs; an empty field changes nothing, "-" goes back to what holds for all."""
    form = visit.fields

    async def work(_: Progress) -> jobs.Done:
        texts = {knob.name: form.text(knob.name) for knob in KNOBS if form.text(knob.name)}
        changes = {name: None if text == "-" else text for name, text in texts.items()}
        count = await override_computers(visit.desk, selection_of(form), changes)
        return jobs.Done("/computers", "Computers whose settings were changed: {count}.", {"count": count})

    return await _tried(visit, "settings", "Change settings", work)


async def delete(visit: Visit) -> web.StreamResponse:
    """Delete them with all that is known of them."""
    form = visit.fields

    async def work(progress: Progress) -> jobs.Done:
        selection = selection_of(form)
        if not form.ticked("sure"):
            raise invalid("sure", "tick the box to say that you mean it.")
        ids = selection.ids or await numbers_of(visit.desk, selection.search or (), selection.quick)
        count = await delete_computers(visit.desk, ids, lambda done, total: progress("delete", done, total))
        return jobs.Done("/computers", "Computers deleted: {count}.", {"count": count})

    return await _tried(visit, "delete", "Delete computers", work)


async def _tried(visit: Visit, deed: str, name: str, work: jobs.Work) -> web.Response:
    try:
        return await jobs.begin(visit, name, work)
    except Refusal as refusal:
        return await _page(visit, deed, visit.fields, refusal)


def terms_of(form: Form) -> Terms:
    """How the agent is to treat a package, as a form says it."""
    schedule = form.text("schedule").replace("T", " ").replace("-", "/")
    return Terms(form.whole("activation"), form.ticked("force"), schedule, form.text("post-command"))


ROUTES = (
    Route("GET", "/selection", choose, Right.SIGNED_IN),
    Route("POST", "/selection/deploy", deploy),
    Route("POST", "/selection/group", group, Right.SIGNED_IN),
    Route("POST", "/selection/settings", settings),
    Route("POST", "/selection/delete", delete),
)
