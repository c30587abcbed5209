"""The first page: what to do first, then how everything stands. And the help page."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from appliance.domain.account import Right
from appliance.domain.remark import Remark
from appliance.domain.status import OUTCOMES
from appliance.operations.certificates import certificates
from appliance.operations.overview import Doorway, Overview, doorway, overview_of
from appliance.operations.package_facts import PackageFacts, list_packages
from appliance.web.console import charts
from appliance.web.console.frame import Route, Visit
from appliance.web.console.stages import STAGE_NAMES
from appliance.web.parts import Part, parts


@dataclass(frozen=True)
class HomePage:
    """How everything stands, and the lines that put agents on machines."""

    overview: Overview
    doorway: Doorway
    stages: charts.Bar
    remarks: tuple[Remark, ...]  # certificates that end soon
    first_package: PackageFacts | None  # while there is nothing deployed: the package that the next step is about


@dataclass(frozen=True)
class HelpPage:
    """Words and outcomes, explained."""

    doorway: Doorway
    outcomes: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...]  # for administrators


async def home(visit: Visit) -> web.StreamResponse:
    """The first page; a user starts with the computers that are theirs."""
    if not visit.may(Right.ADMINISTRATOR):
        return visit.go("/computers")
    overview = await overview_of(visit.desk)
    packages = await list_packages(visit.desk) if overview.packages < 5 else []
    parts = [(stage.value, visit.say(STAGE_NAMES[stage]), count) for stage, count in overview.stages.items()]
    remarks = (await certificates(visit.desk)).remarks
    first = packages[0] if packages else None
    page = HomePage(overview, await doorway(visit.desk), charts.bar(parts), remarks, first)
    return visit.page("home.html", page)


async def help_page(visit: Visit) -> web.StreamResponse:
    """The words of the field, the way of a package, every outcome."""
    outcomes = tuple((status, code.meaning) for status, code in OUTCOMES.items())
    return visit.page(
        "help.html", HelpPage(await doorway(visit.desk), outcomes, parts() if visit.may(Right.ADMINISTRATOR) else ())
    )


ROUTES = (
    Route("GET", "/", home, Right.SIGNED_IN),
    Route("GET", "/help", help_page, Right.SIGNED_IN),
)
