"""Delete a package: what it takes along, in numbers, and then the deed."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from appliance.operations.delete_package import Deletion, delete_package, deletion_of
from appliance.operations.jobs import Progress
from appliance.web.console import jobs
from appliance.web.console.frame import Route, Visit
from appliance.web.console.packages import PACKAGE
from appliance.web.console.words import N_


@dataclass(frozen=True)
class DeletePage:
    """What goes."""

    takes: Deletion


async def deletion(visit: Visit) -> web.StreamResponse:
    """What deleting takes along."""
    return visit.page("package_delete.html", DeletePage(await deletion_of(visit.desk, visit.path("package"))))


async def delete(visit: Visit) -> web.StreamResponse:
    """Delete it."""

    async def work(_: Progress) -> jobs.Done:
        gone = await delete_package(visit.desk, visit.path("package"))
        return jobs.Done("/packages", N_("“{name}” is deleted."), {"name": gone.order.name})

    return await jobs.begin(visit, N_("Deleting the package"), work)


ROUTES = (
    Route("GET", f"{PACKAGE}/delete", deletion),
    Route("POST", f"{PACKAGE}/delete", delete),
)
