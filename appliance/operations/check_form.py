"""What of a package's form can be refused before its file comes: nobody waits for an upload to hear of a taken name."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.domain.account import Right
from appliance.domain.draft import form_of, form_values, order_of
from appliance.domain.package import System, checked
from appliance.domain.recipes import Takes, member_name, recipe_of, script_bytes
from appliance.domain.refusal import invalid
from appliance.operations.build_package import name_is_free
from appliance.operations.desk import Desk
from appliance.operations.pack_draft import OTHER_ARCHIVES
from appliance.operations.package_facts import find_package
from appliance.store import packages


async def check_form(desk: Desk, form: Mapping[str, str], file_name: str, package_id: str | None = None) -> None:
    """Check a form with the name of the file that will come, "" for none. Of an edit where a package is named.

    Raises Refusal naming the field. What only the file can show is found out when it is there.
    """
    desk.must_have(Right.ADMINISTRATOR)
    values = form_values(form)
    recipe = recipe_of(values)
    async with desk.store.reading() as tx:
        before = await find_package(tx, package_id) if package_id is not None else None
        if before:
            values = {**form_of(before.order), **values}
        if recipe and recipe.takes is Takes.SCRIPT:
            script_bytes(recipe, values.get("script", ""))
        plain = order_of({**values, "recipe": ""})
        if recipe and recipe.takes is Takes.SINGLE and not file_name and before is None:
            raise invalid("file", "choose the file that is to be packed.")
        file_format = None
        if file_name or (recipe and recipe.takes in (Takes.SCRIPT, Takes.AGENT)):
            file_format = _format(file_name, plain.system)
        elif before and before.payload:
            file_format = before.payload.format
        is_archive = OTHER_ARCHIVES.search(file_name) and not (recipe and file_name.lower().endswith(recipe.endings))
        member = member_name(file_name, plain.system, plain.action) if file_name and not is_archive else ""
        order = checked(order_of(values, member), file_format=file_format)
        name_is_free(await packages.with_name(tx, order.name), before.id if before else None)


def _format(file_name: str, system: System) -> str:
    """The format that a file will have: its own, or that of the archive it is packed into."""
    name = file_name.lower()
    if name.endswith((".tar.gz", ".tgz")):
        return "tar.gz"
    return "zip" if name.endswith(".zip") or system is System.WINDOWS else "tar.gz"
