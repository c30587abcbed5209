"""Deployment: activate and unactivate, affect and unaffect, statistics, the three validations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appliance.clock import iso
from appliance.domain.status import Stage, meaning
from appliance.operations.activate import STAGES, activate, check_steps, proposals, unactivate
from appliance.operations.affect import (
    LONGEST_COMMAND,
    Terms,
    Validation,
    affect,
    preview_affect,
    preview_validation,
    unaffect,
    validate,
)
from appliance.operations.jobs import Progress
from appliance.operations.package_facts import package_computers, package_counts, package_progress
from appliance.web.api import jobs
from appliance.web.api.computers import STAND, stand_told
from appliance.web.api.frame import FAULT, ApiRoute, Call, Doc, error_of
from appliance.web.api.packages import COUNTS, counts_told
from appliance.web.api.schema import Schema, asked, flag, moment, named, number, one_of, or_null, rows, text, told
from appliance.web.api.selection import SELECTION, selection_of

URLS: dict[str, Schema] = {
    "info_url": or_null(text("host:port/folder without https://; null: the proposed one.", maxLength=1024)),
    "fragment_url": or_null(text("host:port/folder without a scheme; null: the proposed one.", maxLength=1024)),
}
PROPOSALS = told(
    proposals=rows(
        told(info_url=text(), fragment_url=text(), own=flag("This server; else where another package is.")),
        "This server first.",
    )
)
STEPS = told(
    ok=flag(),
    steps=rows(
        told(
            what=one_of(["info", "first fragment", "last fragment"]),
            stage=one_of([stage.value for stage in STAGES]),
            means=text("What the step makes sure of."),
            url=text(),
            ok=flag(),
            error=or_null(FAULT),
        ),
        "Each file's up to the first that fails.",
    ),
)
ACTIVATED = named(
    "Activated",
    told(id=number(), info_url=text(), fragment_url=text(), warnings=rows(text())),
)
COUNT = told(count=number())
TERMS: dict[str, Schema] = {
    "activation": or_null(number("One of several activations; null: the newest.")),
    "force": flag("Run it again where it was installed before.", default=False),
    "schedule": text("Not before: YYYY/MM/DD HH:MM (Windows agents).", maxLength=40, default=""),
    "post_command": text("REBOOT, SHUTDOWN or a command.", maxLength=LONGEST_COMMAND, default=""),
}
AFFECT = asked("selection", selection=SELECTION, **TERMS)
STATISTICS = named(
    "Statistics",
    told(
        id=text(),
        name=text(),
        **COUNTS,
        statuses=rows(
            told(
                stage=one_of([stage.value for stage in Stage]),
                status=text("In the manual's words."),
                received=text("The code as agents sent it."),
                meaning=text('"": nobody has documented it.'),
                count=number(),
            ),
            "The most frequent first.",
        ),
    ),
)
COMPUTERS = named(
    "StandPage",
    told(
        total=number(),
        page=number(low=1),
        size=number(low=1),
        computers=rows(told(computer=text(), deviceid=text(), **STAND)),
    ),
)
PROGRESS = told(
    points=rows(
        told(at=moment(), success=number(), error=number(), notified=number()),
        "How many computers were so far.",
    )
)
BUTTON = one_of([button.value for button in Validation])
PREVIEW = told(
    **{
        button.value: told(cleared=number(), spared=number("Rows that a group would bring back: they stay."))
        for button in Validation
    }
)


async def proposed(call: Call) -> object:
    """Where a package may be activated."""
    return {
        "proposals": [
            {"info_url": one.info_location, "fragment_url": one.fragment_location, "own": one.own}
            for one in await proposals(call.desk, call.path("package"))
        ]
    }


async def check(call: Call) -> object:
    """Look at two addresses as an agent would, step by step; nothing is activated."""
    found = await check_steps(call.desk, call.path("package"), call.body.get("info_url"), call.body.get("fragment_url"))
    return {
        "ok": all(step.ok for step in found),
        "steps": [
            {
                "what": step.what,
                "stage": step.stage.value,
                "means": STAGES[step.stage],
                "url": step.url,
                "ok": step.ok,
                "error": error_of(step.refusal) if step.refusal else None,
            }
            for step in found
        ],
    }


async def activate_it(call: Call) -> object:
    """Activate a package at two addresses, which are looked at first unless unchecked."""
    body = call.body
    done = await activate(
        call.desk,
        call.path("package"),
        body.get("info_url"),
        body.get("fragment_url"),
        unchecked=body["unchecked"],
    )
    return {
        "id": done.id,
        "info_url": done.info_location,
        "fragment_url": done.fragment_location,
        "warnings": [str(warning) for warning in done.warnings],
    }


async def unactivate_all(call: Call) -> object:
    """Take all activations away: how many. Affectations stay and wait."""
    return {"count": await unactivate(call.desk, call.path("package"))}


async def unactivate_one(call: Call) -> None:
    """Take one activation away."""
    await unactivate(call.desk, call.path("package"), call.number("activation"))


async def affect_it(call: Call) -> object:
    """Affect a package to computers; the job's result is how many are told of it anew."""
    package, terms = call.path("package"), _terms(call.body)
    selection = await selection_of(call.desk, call.body["selection"])

    async def work(progress: Progress) -> dict[str, object]:
        count = await affect(call.desk, package, selection, terms, lambda done, total: progress("affect", done, total))
        return {"count": count}

    return await jobs.begin(call, "Affecting the package", f"/packages/{package}/statistics", work)


async def preview(call: Call) -> object:
    """What affecting would do, in computers."""
    selection = await selection_of(call.desk, call.body["selection"])
    found = await preview_affect(call.desk, call.path("package"), selection, _terms(call.body))
    return {"new": found.new, "again": found.again, "unchanged": found.unchanged}


async def unaffect_it(call: Call) -> object:
    """Take a package from computers, whatever its stage there; the job's result is from how many."""
    package = call.path("package")
    selection = await selection_of(call.desk, call.body["selection"])

    async def work(progress: Progress) -> dict[str, object]:
        count = await unaffect(call.desk, package, selection, lambda done, total: progress("affect", done, total))
        return {"count": count}

    return await jobs.begin(call, "Unaffecting the package", f"/packages/{package}/statistics", work)


async def statistics(call: Call) -> object:
    """A package in numbers, per stage and per code."""
    found = await package_counts(call.desk, call.path("package"))
    return {
        "id": found.facts.package.id,
        "name": found.facts.package.order.name,
        **counts_told(found.facts.counts),
        "statuses": [
            {
                "stage": one.stage.value,
                "status": one.status,
                "received": one.received,
                "meaning": meaning(one.status),
                "count": one.count,
            }
            for one in found.statuses
        ],
    }


async def computers(call: Call) -> object:
    """Where a package stands on each computer, and why: all, those of a stage, or those of a status."""
    query = call.query
    stage = Stage(query["stage"]) if "stage" in query else None
    found = await package_computers(
        call.desk,
        call.path("package"),
        stage=stage,
        status=query.get("status"),
        page=query["page"],
        size=query["size"],
    )
    return {
        "total": found.total,
        "page": found.page,
        "size": found.size,
        "computers": [{"computer": one.computer, "deviceid": one.device_id, **stand_told(one)} for one in found.stands],
    }


async def progress(call: Call) -> object:
    """How a package went on over time."""
    found = await package_progress(call.desk, call.path("package"), call.query["points"])
    return {
        "points": [
            {"at": iso(one.moment), "success": one.succeeded, "error": one.failed, "notified": one.notified}
            for one in found
        ]
    }


async def validations(call: Call) -> object:
    """What each of the three validations would do, in rows."""
    found = await preview_validation(call.desk, call.path("package"))
    return {button.value: {"cleared": found.cleared[button], "spared": found.spared[button]} for button in Validation}


async def validate_it(call: Call) -> object:
    """Clear statistics as the manual's buttons do: how many rows went."""
    return {"count": await validate(call.desk, call.path("package"), Validation(call.body["validation"]))}


def _terms(body: Mapping[str, Any]) -> Terms:
    return Terms(body.get("activation"), body["force"], body["schedule"], body["post_command"])


ROUTES = (
    ApiRoute("GET", "/api/v1/packages/{package}/proposals", proposed, doc=Doc(PROPOSALS)),
    ApiRoute("POST", "/api/v1/packages/{package}/check", check, doc=Doc(STEPS, asked("", **URLS))),
    ApiRoute(
        "POST",
        "/api/v1/packages/{package}/activations",
        activate_it,
        doc=Doc(ACTIVATED, asked("", **URLS, unchecked=flag(default=False)), status=201),
    ),
    ApiRoute("DELETE", "/api/v1/packages/{package}/activations", unactivate_all, doc=Doc(COUNT)),
    ApiRoute("DELETE", "/api/v1/packages/{package}/activations/{activation}", unactivate_one),
    ApiRoute("POST", "/api/v1/packages/{package}/affect", affect_it, doc=jobs.beginning(AFFECT)),
    ApiRoute(
        "POST",
        "/api/v1/packages/{package}/affect/preview",
        preview,
        doc=Doc(told(new=number(), again=number(), unchanged=number()), AFFECT),
    ),
    ApiRoute(
        "POST",
        "/api/v1/packages/{package}/unaffect",
        unaffect_it,
        doc=jobs.beginning(asked("selection", selection=SELECTION)),
    ),
    ApiRoute("GET", "/api/v1/packages/{package}/statistics", statistics, doc=Doc(STATISTICS)),
    ApiRoute(
        "GET",
        "/api/v1/packages/{package}/computers",
        computers,
        doc=Doc(
            COMPUTERS,
            query={
                "stage": one_of([stage.value for stage in Stage]),
                "status": text("In the manual's words.", maxLength=255),
                "page": number(low=1, high=2**31, default=1),
                "size": number(low=1, high=500, default=50),
            },
        ),
    ),
    ApiRoute(
        "GET",
        "/api/v1/packages/{package}/progress",
        progress,
        doc=Doc(PROGRESS, query={"points": number(low=1, high=1000, default=60)}),
    ),
    ApiRoute("GET", "/api/v1/packages/{package}/validations", validations, doc=Doc(PREVIEW)),
    ApiRoute(
        "POST",
        "/api/v1/packages/{package}/validations",
        validate_it,
        doc=Doc(COUNT, asked("validation", validation=BUTTON)),
    ),
)
