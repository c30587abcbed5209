"""Long work: an address that begins some waits a while for its end, and answers with how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from appliance.clock import iso
from appliance.domain.account import Right
from appliance.operations.jobs import JobState, Progress
from appliance.web.api.frame import FAULT, ApiRoute, Call, Doc, answer, error_of
from appliance.web.api.schema import flag, moment, named, number, or_null, rows, table, text, told
from appliance.web.console.jobs import Done

LOOK = 0.05
LONGEST_WAIT = 30  # seconds

JOB = named(
    "Job",
    told(
        id=text(),
        name=text(),
        begun_at=moment(),
        step=text("The one at hand: check, pack, cut, affect, delete."),
        done=number("How much of the step, such as bytes or computers."),
        total=number("Of how much; 0: nobody can tell."),
        finished=flag(),
        result=or_null(table({"type": ["string", "integer"]}, "What came of it.")),
        error=or_null(FAULT),
    ),
)
WAIT = number("Seconds to wait for the end.", 0, LONGEST_WAIT, default=10)

Work = Callable[[Progress], Awaitable[Mapping[str, object]]]


def beginning(body: Mapping[str, Any]) -> Doc:
    """The document of a route that begins a job."""
    return Doc(JOB, body, query={"wait": WAIT}, also=(202,))


async def begin(call: Call, name: str, address: str, work: Work) -> web.Response:
    """Begin a job: what `work` returns is its result; `address` is where the console looks at that.

    Raises Refusal where it was refused before anybody looked elsewhere.
    """

    async def done(progress: Progress) -> Done:
        return Done(address, "", await work(progress))

    job = call.jobs.start(call.desk.actor, name, done)
    state = await _state(call, job)
    if state.refusal:
        raise state.refusal
    return answer(_document(state), 200 if state.finished else 202)


async def listed(call: Call) -> object:
    """The jobs of the token's user, the newest first."""
    return {"jobs": [_document(state) for state in call.jobs.of(call.desk.actor)]}


async def show(call: Call) -> object:
    """How far a job is; with wait, its end is waited for that long."""
    return _document(await _state(call, call.path("job")))


async def _state(call: Call, job: str) -> JobState:
    state = call.jobs.look(call.desk.actor, job)
    for _ in range(int(call.query["wait"] / LOOK)):
        if state.finished:
            break
        await asyncio.sleep(LOOK)
        state = call.jobs.look(call.desk.actor, job)
    return state


def _document(state: JobState) -> dict[str, Any]:
    done = state.result
    return {
        "id": state.id,
        "name": state.name,
        "begun_at": iso(state.begun_at),
        "step": state.step,
        "done": state.done,
        "total": state.total,
        "finished": state.finished,
        "result": dict(done.values) if isinstance(done, Done) else None,
        "error": error_of(state.refusal) if state.refusal else None,
    }


ROUTES = (
    ApiRoute("GET", "/api/v1/jobs", listed, Right.SIGNED_IN, Doc(told(jobs=rows(JOB)))),
    ApiRoute(
        "GET",
        "/api/v1/jobs/{job}",
        show,
        Right.SIGNED_IN,
        Doc(JOB, query={"wait": number("Seconds to wait for the end.", 0, LONGEST_WAIT, default=0)}),
    ),
)
