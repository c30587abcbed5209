"""How everything stands, and where agents find this server."""

from __future__ import annotations

from dataclasses import asdict

from appliance.domain.status import Stage
from appliance.operations.overview import doorway, overview_of
from appliance.web.api.frame import ApiRoute, Call, Doc
from appliance.web.api.schema import named, number, rows, text, told

OVERVIEW = named(
    "Overview",
    told(
        computers=number(),
        seen_today=number("With a contact in the last 24 hours."),
        packages=number(),
        activated=number(),
        stages=told(**{stage.value: number() for stage in Stage}),
        running=rows(
            told(
                id=text(),
                name=text(),
                waiting=number(),
                notified=number(),
                success=number(),
                error=number(),
            ),
            "Packages with computers that have no outcome yet, the newest first.",
        ),
        disk=told(free=number("Bytes."), total=number("Bytes.")),
        agents=told(
            host=text(),
            http_port=number(),
            https_port=number(),
            cacert_sha256=text("Of cacert.pem."),
        ),
    ),
)


async def show(call: Call) -> object:
    """The numbers of the console's first page."""
    found, door = await overview_of(call.desk), await doorway(call.desk)
    running = [asdict(one) for one in found.running]
    return {
        "computers": found.computers,
        "seen_today": found.seen_today,
        "packages": found.packages,
        "activated": found.activated,
        "stages": {stage.value: count for stage, count in found.stages.items()},
        "running": [{"id": one.pop("package"), **one} for one in running],
        "disk": {"free": found.disk[0], "total": found.disk[1]},
        "agents": {
            "host": door.host,
            "http_port": door.http_port,
            "https_port": door.https_port,
            "cacert_sha256": door.bundle_sha256,
        },
    }


ROUTES = (ApiRoute("GET", "/api/v1/overview", show, doc=Doc(OVERVIEW)),)
