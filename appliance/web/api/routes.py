"""Every address of the API, from the modules that answer them."""

from __future__ import annotations

from appliance.web.api import (
    account,
    certificates,
    computers,
    deployment,
    drafts,
    groups,
    identity,
    jobs,
    logbook,
    openapi,
    overview,
    packages,
    searches,
    settings,
    users,
)
from appliance.web.api.frame import ApiRoute

MODULES = (
    overview,
    computers,
    groups,
    searches,
    packages,
    drafts,
    deployment,
    jobs,
    settings,
    users,
    account,
    certificates,
    identity,
    logbook,
    openapi,
)


def routes() -> tuple[ApiRoute, ...]:
    """All routes, in the order in which they are tried."""
    return tuple(route for module in MODULES for route in module.ROUTES)
