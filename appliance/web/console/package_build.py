"""Build a package: the form, its file, the fragment step, and what was begun and is not built yet.

Source: the manual, "Creating/Build the package", "Dividing your package in fragments".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from appliance.domain.draft import Draft
from appliance.domain.estimate import Estimate
from appliance.domain.fragments import KIB
from appliance.domain.refusal import Refusal
from appliance.operations import drafts
from appliance.operations.check_form import check_form
from appliance.operations.drafts import Prepared
from appliance.operations.edit_package import edit_facts
from appliance.operations.jobs import Progress
from appliance.web.console import jobs, package_form
from appliance.web.console.forms import Form, form_of
from appliance.web.console.frame import TOKEN_HEADER, Route, Visit
from appliance.web.console.package_form import FormPage, form_page
from appliance.web.console.words import N_

MEGABIT = 125_000  # bytes
RATES = (2, 10, 100, 1000)  # megabits a second
DRAFT = "/packages/drafts/{draft:[0-9a-f]{32}}"


@dataclass(frozen=True)
class FragmentPage:
    """The fragment step. `form` holds what was typed, `lines` the time over each kind of line."""

    prepared: Prepared
    form: Form
    lines: tuple[tuple[int, Estimate], ...]
    system: str

    @property
    def has_choice(self) -> bool:
        """Whether there is anything to be cut."""
        return self.prepared.size > 0 and not self.prepared.fixed


async def empty(visit: Visit) -> web.StreamResponse:
    """The form, filled in by a recipe where one is named."""
    form, _ = package_form.blank(visit.query.text("recipe"))
    begun = tuple(await drafts.list_drafts(visit.desk))
    return visit.page("package_build.html", form_page(visit, form, "/packages/build", drafts=begun))


async def build(visit: Visit) -> web.StreamResponse:
    """The form of a new package, with its file."""
    return await taken(visit, lambda values: drafts.open_draft(visit.desk, values))


async def change(visit: Visit) -> web.StreamResponse:
    """The form of what was begun, once more."""
    draft = await drafts.find_draft(visit.desk, visit.path("draft"))
    return await taken(visit, lambda values: drafts.change_draft(visit.desk, draft.id, values), draft.package)


async def taken(
    visit: Visit, opened: Callable[[Mapping[str, str]], Awaitable[Draft]], package: str | None = None
) -> web.StreamResponse:
    """Keep a form as a draft, and its file where it came along; then on to the fragments. Raises Refusal."""
    sent = await package_form.read(visit)
    if package_form.wants_json(visit):
        return await package_form.begin_upload(visit, sent, opened, package)
    draft = await opened(sent.values)
    if sent.file is not None:
        try:
            draft = await package_form.store_file(visit, draft, sent)
        except Refusal as refusal:
            return await _form(visit, draft, refusal)
    return await _ready(visit, draft)


async def ready(visit: Visit) -> web.StreamResponse:
    """The file is there: pack it where that is due, and go on."""
    return await _ready(visit, await drafts.find_draft(visit.desk, visit.path("draft")))


async def _ready(visit: Visit, draft: Draft) -> web.StreamResponse:
    async def work(progress: Progress) -> jobs.Done:
        try:
            prepared = await drafts.prepare(visit.desk, draft.id, progress=progress)
        except Refusal:
            return jobs.Done(_address(draft), "")  # the page there says what
        if draft.package and (prepared.fixed or not prepared.size):
            return await _built(visit, draft, None, progress)  # no fragments to choose: the manual's Update
        return jobs.Done(_address(draft), "")

    try:
        return await jobs.begin(visit, N_("Looking into the file"), work)
    except Refusal as refusal:
        return await _form(visit, draft, refusal)


async def show(visit: Visit) -> web.StreamResponse:
    """The fragment step, or the form where something is still missing or wrong."""
    draft = await drafts.find_draft(visit.desk, visit.path("draft"))
    if visit.query.ticked("change"):
        return await _form(visit, draft)
    return await _step(visit, draft, visit.query)


async def _step(visit: Visit, draft: Draft, query: Form, refusal: Refusal | None = None) -> web.StreamResponse:
    have = await drafts.received(visit.desk, draft.id)
    if have.file_name and not have.complete:
        return await _form(visit, draft, refusal)
    size = query.text("fragment-size") or None
    try:
        await check_form(visit.desk, draft.form, draft.member or draft.file_name, draft.package)
        try:
            prepared = await drafts.prepare(visit.desk, draft.id, size, query.whole("fragments"))
        except Refusal as met:
            if met.field not in ("fragment-size", "fragments"):
                raise
            refusal = met
            prepared = await drafts.prepare(visit.desk, draft.id)
    except Refusal as met:
        return await _form(visit, draft, met)
    if refusal is not None and refusal.field in ("fragment-size", "fragments"):
        form = query
    else:
        form = form_of(fragment__size=typed(prepared.fragment_size), fragments=prepared.fragments)
    form = visit.with_error(form, refusal) if refusal else form
    times = tuple((rate, prepared.estimate.over(prepared.size, rate * MEGABIT)) for rate in RATES)
    page = FragmentPage(prepared, form, times, package_form.SYSTEM_NAMES[prepared.order.system])
    if refusal and visit.request.method == "POST":
        return visit.refused("package_fragments.html", page, refusal)
    return visit.page("package_fragments.html", page)


async def _form(visit: Visit, draft: Draft, refusal: Refusal | None = None) -> web.StreamResponse:
    """The form of a draft."""
    form = package_form.filled(draft.form)
    page: FormPage = form_page(
        visit,
        visit.with_error(form, refusal) if refusal else form,
        _address(draft),
        draft=draft,
        received=await drafts.received(visit.desk, draft.id),
        edit=await edit_facts(visit.desk, draft.package) if draft.package else None,
    )
    if refusal and visit.request.method == "POST":
        return visit.refused("package_build.html", page, refusal)
    return visit.page("package_build.html", page)


async def build_it(visit: Visit) -> web.StreamResponse:
    """Cut the file and make the package."""
    draft = await drafts.find_draft(visit.desk, visit.path("draft"))
    size = visit.fields.text("fragment-size") or None

    async def work(progress: Progress) -> jobs.Done:
        return await _built(visit, draft, size, progress)

    try:
        return await jobs.begin(visit, N_("Building the package"), work)
    except Refusal as refusal:
        return await _step(visit, draft, visit.fields, refusal)


async def _built(visit: Visit, draft: Draft, size: str | None, progress: Progress) -> jobs.Done:
    package = await drafts.build_draft(visit.desk, draft.id, size, progress)
    said = N_("“{name}” is changed.") if draft.package else N_("“{name}” is built. Now activate it.")
    return jobs.Done(f"/packages/{package.id}", said, {"name": package.order.name})


async def drop(visit: Visit) -> web.StreamResponse:
    """Take away what was begun."""
    await drafts.drop_draft(visit.desk, visit.path("draft"))
    return visit.go("/packages", "What was begun is dropped.")


async def where(visit: Visit) -> web.StreamResponse:
    """For upload.js: how much of the file is there; the token, since somebody may have signed in anew meanwhile."""
    try:
        at = await drafts.received(visit.desk, visit.path("draft"))
    except Refusal as refusal:
        return package_form.refused_json(visit, refusal)
    return web.json_response({"offset": at.done, "size": at.size, "token": visit.token})


async def slice_of_file(visit: Visit) -> web.StreamResponse:
    """From upload.js: the file's next bytes, at the offset that the address names."""
    visit.check_token(visit.request.headers.get(TOKEN_HEADER, ""))
    draft = visit.path("draft")
    try:
        offset = visit.query.whole("offset", 0) or 0
        at = await drafts.receive(visit.desk, draft, offset, package_form.body_of(visit.request))
    except Refusal as refusal:
        try:
            there = (await drafts.received(visit.desk, draft)).done
        except Refusal as gone:
            return package_form.refused_json(visit, gone)
        return package_form.refused_json(visit, refusal, offset=there)
    return web.json_response({"offset": at.done, "size": at.size})


def typed(size: int) -> str:
    """A size as a person would type it, without loss."""
    for unit, factor in (("G", KIB**3), ("M", KIB**2), ("K", KIB)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def _address(draft: Draft) -> str:
    return f"/packages/drafts/{draft.id}"


ROUTES = (
    Route("GET", "/packages/build", empty),
    Route("POST", "/packages/build", build, streams=True),
    Route("GET", DRAFT, show),
    Route("POST", DRAFT, change, streams=True),
    Route("POST", f"{DRAFT}/ready", ready),
    Route("POST", f"{DRAFT}/build", build_it),
    Route("POST", f"{DRAFT}/drop", drop),
    Route("GET", f"{DRAFT}/file", where),
    Route("POST", f"{DRAFT}/file", slice_of_file, streams=True),
)
