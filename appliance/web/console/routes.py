"""Every address of the console, from the modules that answer them."""

from __future__ import annotations

from appliance.web.console import (
    account,
    certificates,
    computer,
    computers,
    configuration,
    groups,
    home,
    identity,
    jobs,
    logbook,
    package_activate,
    package_affect,
    package_build,
    package_delete,
    package_edit,
    package_statistics,
    packages,
    preferences,
    selection,
    sign_in,
    users,
)
from appliance.web.console.frame import Route

MODULES = (
    sign_in,
    preferences,
    home,
    computers,
    selection,
    computer,
    groups,
    packages,
    package_build,
    package_edit,
    package_activate,
    package_affect,
    package_statistics,
    package_delete,
    jobs,
    users,
    account,
    configuration,
    logbook,
    certificates,
    identity,
)


def routes() -> tuple[Route, ...]:
    """All routes, in the order in which they are tried."""
    return tuple(route for module in MODULES for route in module.ROUTES)
