"""Statistics: how a package stands, on which computers and why, and the three buttons that clear them.

Source: the manual, "Deployment statistics and success validation".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from appliance.domain.eligibility import EXIT_CODE, SENTENCES, Cause
from appliance.domain.refusal import invalid
from appliance.domain.status import MEANING, Stage
from appliance.operations.affect import Validation, ValidationPreview, preview_validation, validate
from appliance.operations.package_facts import (
    Counts,
    PackageFacts,
    Point,
    StandPage,
    StatusCount,
    list_packages,
    package_computers,
    package_counts,
    package_progress,
    show_package,
)
from appliance.web.console import charts
from appliance.web.console.frame import Route, Visit, address
from appliance.web.console.packages import PACKAGE
from appliance.web.console.stages import STAGE_NAMES
from appliance.web.console.words import N_

STAGE_MEANINGS: Mapping[Stage, str] = {
    Stage.WAITING: N_("The server waits for a contact of the computer, to tell it."),
    Stage.NOTIFIED: N_("The computer was told; the server waits for the result."),
}
BUTTON_NAMES: Mapping[Validation, str] = {
    Validation.SUCCESS: N_("Validate success"),
    Validation.NOT_NOTIFIED: N_("Unaffect not notified"),
    Validation.ALL: N_("Validate all"),
}
BUTTON_MEANINGS: Mapping[Validation, str] = {
    Validation.SUCCESS: N_("Clears the statistics of computers where the package succeeded. Nothing is uninstalled."),
    Validation.NOT_NOTIFIED: N_("Takes the package from computers that were not told of it yet."),
    Validation.ALL: N_("Both of these at once. Errors stay, and so does what is under way."),
}
POINTS = 60


@dataclass(frozen=True)
class StageLine:
    """One stage in the table beside the chart."""

    stage: Stage
    count: int
    share: float  # of 1


@dataclass(frozen=True)
class StatusLine:
    """One status in the manual's words, with the codes that agents sent for it."""

    status: str
    stage: Stage
    count: int
    share: float
    meaning: str  # in the visitor's language
    received: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class StatisticsPage:
    """One package in numbers."""

    facts: PackageFacts
    total: int
    bar: charts.Bar
    lines: Sequence[StageLine]
    statuses: Sequence[StatusLine]
    progress: charts.Lines
    points: Sequence[Point]
    buttons: ValidationPreview
    computers: StandPage
    stage: Stage | None
    status: str
    stage_names: Mapping[Stage, str] = field(default_factory=lambda: STAGE_NAMES)
    button_names: Mapping[Validation, str] = field(default_factory=lambda: BUTTON_NAMES)

    @property
    def here(self) -> str:
        """The page's own address."""
        return f"/packages/{self.facts.package.id}/statistics"

    @property
    def is_running(self) -> bool:
        """Whether anything may still happen by itself."""
        return self.facts.counts.waiting + self.facts.counts.notified > 0

    @property
    def pages(self) -> int:
        """How many pages the computers fill."""
        return -(-self.computers.total // self.computers.size)

    def link(self, page: int) -> str:
        """The same computers, another page."""
        stage = self.stage.value if self.stage else ""
        return f"{address(self.here, stage=stage, status=self.status, page=page)}#computers"


@dataclass(frozen=True)
class ValidatePage:
    """What a button will do."""

    facts: PackageFacts
    button: Validation
    cleared: int
    spared: int
    name: str
    meaning: str


@dataclass(frozen=True)
class OverviewLine:
    """One package among all."""

    facts: PackageFacts
    bar: charts.Bar


@dataclass(frozen=True)
class OverviewPage:
    """All packages that are affected to computers, the newest first, and how many are not."""

    lines: Sequence[OverviewLine]
    others: int

    @property
    def is_running(self) -> bool:
        """Whether anything may still happen by itself."""
        return any(line.facts.counts.waiting + line.facts.counts.notified for line in self.lines)


async def overview(visit: Visit) -> web.StreamResponse:
    """All packages, a small bar each."""
    every = await list_packages(visit.desk)
    lines = [OverviewLine(facts, bar_of(visit, facts.counts)) for facts in every]
    shown = [line for line in lines if line.bar.total]
    return visit.page("statistics.html", OverviewPage(shown, len(lines) - len(shown)))


async def show(visit: Visit) -> web.StreamResponse:
    """One package; below the numbers the computers that a click on one of them asks for."""
    query, package = visit.query, visit.path("package")
    word, status = query.text("stage"), query.text("status")
    if word and word not in [stage.value for stage in Stage]:
        raise invalid("stage", "there is no such stage.")
    stage = Stage(word) if word else None
    found = await package_counts(visit.desk, package)
    counts = found.facts.counts
    bar = bar_of(visit, counts)
    points = await package_progress(visit.desk, package, POINTS)
    page = StatisticsPage(
        found.facts,
        bar.total,
        bar,
        [StageLine(one, count, count / max(1, bar.total)) for one, count in by_stage(counts)],
        _statuses(visit, found.statuses, bar.total),
        _curves(visit, points),
        points,
        await preview_validation(visit.desk, package),
        await package_computers(
            visit.desk, package, stage=stage, status=status or None, page=query.whole("page", 1) or 1
        ),
        stage,
        status,
    )
    return visit.page("package_statistics.html", page)


def by_stage(counts: Counts) -> list[tuple[Stage, int]]:
    """The five stages; what was there already is part of success in the manual's four numbers."""
    return [
        (Stage.WAITING, counts.waiting),
        (Stage.NOTIFIED, counts.notified),
        (Stage.SUCCESS, counts.success - counts.already),
        (Stage.ALREADY, counts.already),
        (Stage.ERROR, counts.error),
    ]


def bar_of(visit: Visit, counts: Counts) -> charts.Bar:
    """The stacked bar of a package."""
    return charts.bar([(stage.value, visit.say(STAGE_NAMES[stage]), count) for stage, count in by_stage(counts)])


def _statuses(visit: Visit, counts: Sequence[StatusCount], total: int) -> list[StatusLine]:
    groups: dict[tuple[Stage, str], list[StatusCount]] = {}
    for one in counts:
        groups.setdefault((one.stage, one.status), []).append(one)
    lines = []
    for (stage, status), some in groups.items():
        count = sum(one.count for one in some)
        received = tuple((one.received, one.count) for one in some if one.received and one.received != status)
        lines.append(StatusLine(status, stage, count, count / max(1, total), _meaning(visit, stage, status), received))
    return lines


def _meaning(visit: Visit, stage: Stage, status: str) -> str:
    if stage in STAGE_MEANINGS:
        return visit.say(STAGE_MEANINGS[stage])
    if status.startswith(EXIT_CODE):
        return visit.say(SENTENCES[Cause.EXITED], code=status.removeprefix(EXIT_CODE))
    return visit.say(MEANING.get(status, N_("A code that the manual does not know.")))


def _curves(visit: Visit, points: Sequence[Point]) -> charts.Lines:
    names = {stage: visit.say(STAGE_NAMES[stage]) for stage in (Stage.NOTIFIED, Stage.SUCCESS, Stage.ERROR)}
    if points:  # from nothing, so that a single moment makes a line too
        points = [Point(points[0].moment - 1, 0, 0, 0), *points]
    return charts.lines(
        [point.moment for point in points],
        [
            ("notified", names[Stage.NOTIFIED], [point.notified for point in points]),
            ("success", names[Stage.SUCCESS], [point.succeeded for point in points]),
            ("error", names[Stage.ERROR], [point.failed for point in points]),
        ],
    )


async def before_validation(visit: Visit) -> web.StreamResponse:
    """What one of the three buttons will do."""
    button = _button(visit.query.text("button"))
    package = visit.path("package")
    seen = await preview_validation(visit.desk, package)
    page = ValidatePage(
        await show_package(visit.desk, package),
        button,
        seen.cleared[button],
        seen.spared[button],
        visit.say(BUTTON_NAMES[button]),
        visit.say(BUTTON_MEANINGS[button]),
    )
    return visit.page("package_validate.html", page)


async def do_validate(visit: Visit) -> web.StreamResponse:
    """Do it."""
    gone = await validate(visit.desk, visit.path("package"), _button(visit.fields.text("button")))
    return visit.go(
        f"/packages/{visit.path('package')}/statistics", "{count} lines of the statistics are cleared.", count=gone
    )


def _button(word: str) -> Validation:
    if word not in [button.value for button in Validation]:
        raise invalid("button", "there is no such button.")
    return Validation(word)


ROUTES = (
    Route("GET", "/statistics", overview),
    Route("GET", f"{PACKAGE}/statistics", show),
    Route("GET", f"{PACKAGE}/validate", before_validation),
    Route("POST", f"{PACKAGE}/validate", do_validate),
)
