"""Edit a package: the same form as for a new one, with what computers were told before. Source: "Editing package"."""

from __future__ import annotations

from aiohttp import web

from appliance.operations.drafts import open_draft
from appliance.operations.edit_package import edit_facts
from appliance.web.console import package_form
from appliance.web.console.frame import Route, Visit
from appliance.web.console.package_build import taken
from appliance.web.console.package_form import form_page

EDIT = r"/packages/{package:\d{10}}/edit"


async def show(visit: Visit) -> web.StreamResponse:
    """The form with the package as it stands."""
    facts = await edit_facts(visit.desk, visit.path("package"))
    form = package_form.filled(package_form.edit_values(facts))
    page = form_page(visit, form, f"/packages/{facts.package.id}/edit", edit=facts)
    return visit.page("package_build.html", page)


async def edit(visit: Visit) -> web.StreamResponse:
    """The form as it was changed; without a new file the package is changed at once."""
    package = visit.path("package")
    return await taken(visit, lambda values: open_draft(visit.desk, values, package), package)


ROUTES = (
    Route("GET", EDIT, show),
    Route("POST", EDIT, edit, streams=True),
)
