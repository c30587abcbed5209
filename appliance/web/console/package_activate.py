"""Activate: two addresses, looked at step by step as an agent would; and unactivate.

Source: the manual, "Activating package" and "Unactivating packages".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from appliance.domain.refusal import Kind, Refusal, missing
from appliance.domain.remark import Remark
from appliance.operations import activate as activation
from appliance.operations.activate import CheckStep, Proposal, check_steps, proposals, warnings_at
from appliance.operations.package_facts import PackageFacts, show_package
from appliance.web.console.forms import Form, form_of
from appliance.web.console.frame import Route, Visit
from appliance.web.console.packages import PACKAGE
from appliance.web.console.words import N_

FILE_NAMES: Mapping[str, str] = {
    activation.INFO_FILE: N_("The info file"),
    activation.FIRST_FRAGMENT: N_("The first fragment"),
    activation.LAST_FRAGMENT: N_("The last fragment"),
}
STAGE_NAMES: Mapping[str, str] = {
    "address": N_("name"),
    "connection": N_("connection"),
    "certificate": N_("certificate"),
    "status": N_("status"),
    "content": N_("content"),
}
STAGE_MEANINGS: Mapping[str, str] = {
    "address": N_("The name resolves to an address that packages may be served from."),
    "connection": N_("A web server listens there."),
    "certificate": N_("Its certificate is one that agents accept."),
    "status": N_("The file is there."),
    "content": N_("It is the file that was built."),
}


@dataclass(frozen=True)
class ActivatePage:
    """The form, and what a look at the two addresses met."""

    facts: PackageFacts
    form: Form
    proposals: Sequence[Proposal]
    warnings: Sequence[Remark] = ()
    steps: Sequence[CheckStep] = ()
    file_names: Mapping[str, str] = field(default_factory=lambda: FILE_NAMES)
    stage_names: Mapping[str, str] = field(default_factory=lambda: STAGE_NAMES)
    stage_meanings: Mapping[str, str] = field(default_factory=lambda: STAGE_MEANINGS)

    @property
    def all_well(self) -> bool:
        """Whether every step that was made went well."""
        return all(step.ok for step in self.steps)


@dataclass(frozen=True)
class UnactivatePage:
    """What goes and what stays. `activation` 0: all of them."""

    facts: PackageFacts
    activation: int
    locations: Sequence[tuple[str, str]]  # of info and fragments, that go
    left: int


async def form_of_activation(visit: Visit) -> web.StreamResponse:
    """The form with the addresses that are proposed, or those that were chosen among them."""
    return await _page(visit, visit.query)


async def activate(visit: Visit) -> web.StreamResponse:
    """Look at the addresses, or activate there."""
    form, package = visit.fields, visit.path("package")
    where = (form.text("info-url"), form.text("fragment-url"))
    if form.text("deed") == "check":
        return await _checked(visit, form)
    try:
        done = await activation.activate(visit.desk, package, *where, unchecked=form.ticked("unchecked"))
    except Refusal as refusal:
        if refusal.kind is Kind.UNREACHABLE:
            return await _checked(visit, form, refusal)
        return await _page(visit, form, refusal)
    if done.warnings:
        warning = done.warnings[0]
        said = visit.say(warning.sentence, **warning.values)
        return visit.go(f"/packages/{package}", "The package is activated. Mind: {warning}", warning=said)
    return visit.go(f"/packages/{package}", "The package is activated. Now affect it to computers.")


async def _checked(visit: Visit, form: Form, refusal: Refusal | None = None) -> web.Response:
    try:
        steps = await check_steps(visit.desk, visit.path("package"), form.text("info-url"), form.text("fragment-url"))
    except Refusal as met:
        return await _page(visit, form, met)
    return await _page(visit, form, refusal, steps)


async def _page(
    visit: Visit, form: Form, refusal: Refusal | None = None, steps: Sequence[CheckStep] = ()
) -> web.Response:
    facts = await show_package(visit.desk, visit.path("package"))
    proposed = await proposals(visit.desk, facts.package.id)
    info = form.text("info-url") or proposed[0].info_location
    fragments = form.text("fragment-url") or proposed[0].fragment_location
    shown = form_of(info__url=info, fragment__url=fragments, unchecked=form.ticked("unchecked"))
    faults = [refusal] if refusal else [step.refusal for step in steps if step.refusal]
    warnings: Sequence[Remark] = ()
    try:
        warnings = warnings_at(info, fragments)
    except Refusal as met:
        faults = faults or [met]
    for fault in faults:
        shown = visit.with_error(shown, fault)
    page = ActivatePage(facts, shown, proposed, warnings, steps)
    return (
        visit.refused("package_activate.html", page, refusal) if refusal else visit.page("package_activate.html", page)
    )


async def unactivation(visit: Visit) -> web.StreamResponse:
    """What unactivating does, before it does it."""
    facts = await show_package(visit.desk, visit.path("package"))
    number = visit.query.whole("activation", 0) or 0
    going = [one for one in facts.activations if number in (0, one.id)]
    if not going:
        raise missing("this activation is not there any more.")
    locations = [(one.info_location, one.fragment_location) for one in going]
    page = UnactivatePage(facts, number, locations, len(facts.activations) - len(going))
    return visit.page("package_unactivate.html", page)


async def unactivate(visit: Visit) -> web.StreamResponse:
    """Take one activation away, or all."""
    package = visit.path("package")
    await activation.unactivate(visit.desk, package, visit.fields.whole("activation", 0) or None)
    return visit.go(f"/packages/{package}", "The activation is taken away; the package stays built.")


ROUTES = (
    Route("GET", f"{PACKAGE}/activate", form_of_activation),
    Route("POST", f"{PACKAGE}/activate", activate),
    Route("GET", f"{PACKAGE}/unactivate", unactivation),
    Route("POST", f"{PACKAGE}/unactivate", unactivate),
)
