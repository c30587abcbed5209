"""All packages, built ones above and activated ones below, and the page of one. Source: the manual, "Activating"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from aiohttp import web

from appliance.domain.draft import Draft
from appliance.domain.package import Action, System
from appliance.domain.refusal import invalid
from appliance.domain.remark import Remark
from appliance.operations.activate import warnings_at
from appliance.operations.affect import Selection, unaffect
from appliance.operations.delete_package import Deletion, deletion_of
from appliance.operations.drafts import list_drafts
from appliance.operations.package_facts import PackageFacts, list_packages, show_package
from appliance.web.console.frame import Route, Visit
from appliance.web.console.package_form import ACTION_NAMES, SYSTEM_NAMES

PACKAGE = r"/packages/{package:\d{10}}"


@dataclass(frozen=True)
class ListPage:
    """The packages."""

    built: Sequence[PackageFacts]
    activated: Sequence[PackageFacts]
    drafts: Sequence[Draft]
    system_names: Mapping[System, str] = field(default_factory=lambda: SYSTEM_NAMES)


class Step(Enum):
    """What a package still needs on its way to computers."""

    ACTIVATE = "activate"
    AFFECT = "affect"
    WATCH = "watch"


@dataclass(frozen=True)
class PackagePage:
    """One package. `step` is what comes next."""

    facts: PackageFacts
    takes: Deletion
    warnings: Mapping[int, tuple[Remark, ...]]  # by activation
    step: str
    system_names: Mapping[System, str] = field(default_factory=lambda: SYSTEM_NAMES)
    action_names: Mapping[Action, str] = field(default_factory=lambda: ACTION_NAMES)


async def listed(visit: Visit) -> web.StreamResponse:
    """All of them."""
    every = await list_packages(visit.desk)
    page = ListPage(
        [facts for facts in every if not facts.activations],
        [facts for facts in every if facts.activations],
        await list_drafts(visit.desk),
    )
    return visit.page("packages.html", page)


async def show(visit: Visit) -> web.StreamResponse:
    """One of them."""
    facts = await show_package(visit.desk, visit.path("package"))
    takes = await deletion_of(visit.desk, facts.package.id)
    warnings = {one.id: warnings_at(one.info_location, one.fragment_location) for one in facts.activations}
    return visit.page("package.html", PackagePage(facts, takes, warnings, next_step(facts, takes).value))


def next_step(facts: PackageFacts, takes: Deletion) -> Step:
    """What comes next for a package."""
    if not facts.activations:
        return Step.ACTIVATE
    counts = facts.counts
    affected = counts.waiting + counts.notified + counts.success + counts.error
    return Step.WATCH if affected or takes.groups else Step.AFFECT


async def leave_group(visit: Visit) -> web.StreamResponse:
    """Take it from a group."""
    group = visit.fields.text("group")
    if not group:
        raise invalid("group", "choose a group.")
    gone = await unaffect(visit.desk, visit.path("package"), Selection(group=group))
    return visit.go(
        f"/packages/{visit.path('package')}",
        "The package is taken from the group; {count} computers do not wait for it any more.",
        count=gone,
    )


ROUTES = (
    Route("GET", "/packages", listed),
    Route("GET", PACKAGE, show),
    Route("POST", f"{PACKAGE}/unaffect", leave_group),
)
