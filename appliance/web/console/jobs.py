"""Long work with a page that shows how far it is; what is done at once needs none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from appliance.domain.account import Right
from appliance.operations.jobs import JobState, Progress
from appliance.web.console.frame import Route, Visit
from appliance.web.console.words import N_

PATIENCE = 0.6  # seconds in which work may end without a page of its own
LOOK = 0.03

STEPS: Mapping[str, str] = {
    "": N_("Beginning"),
    "check": N_("Checking the archive"),
    "pack": N_("Packing"),
    "hash": N_("Computing digests"),
    "cut": N_("Cutting fragments"),
    "affect": N_("Affecting computers"),
    "delete": N_("Deleting"),
}


@dataclass(frozen=True)
class Done:
    """Where work leads when it is done, and what is said there."""

    address: str
    text: str
    values: Mapping[str, object] = field(default_factory=dict)


Work = Callable[[Progress], Awaitable[Done]]


@dataclass(frozen=True)
class JobPage:
    """How far work is."""

    job: JobState
    step: str
    share: int  # percent


async def begin(visit: Visit, name: str, work: Work) -> web.Response:
    """Start work and answer: with its outcome where that is there at once, else with its page.

    Raises Refusal where it was refused at once. `name` is a text of ours.
    """
    assert visit.actor is not None
    job = visit.jobs.start(visit.actor, name, work)
    for _ in range(int(PATIENCE / LOOK)):
        await asyncio.sleep(LOOK)
        state = visit.jobs.look(visit.actor, job)
        if state.refusal:
            raise state.refusal
        if state.finished:
            return _outcome(visit, state)
    return visit.go(f"/jobs/{job}")


async def show(visit: Visit) -> web.StreamResponse:
    """How far it is; on to the outcome where it is done."""
    assert visit.actor is not None
    state = visit.jobs.look(visit.actor, visit.path("job"))
    if state.finished and not state.refusal:
        return _outcome(visit, state)
    share = min(100, 100 * state.done // state.total) if state.total else 0
    return visit.page("job.html", JobPage(state, STEPS.get(state.step, state.step), share))


def _outcome(visit: Visit, state: JobState) -> web.Response:
    done = state.result
    assert isinstance(done, Done)
    return visit.go(done.address, done.text, **done.values)


ROUTES = (Route("GET", "/jobs/{job:[0-9a-f]{8,64}}", show, Right.SIGNED_IN),)
