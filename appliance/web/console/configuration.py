"""The settings that hold for all computers: each with its help, default and bounds, and who overrides it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aiohttp import web

from appliance.domain.refusal import Kind, Refusal
from appliance.operations.configure import Value, get_settings, set_settings
from appliance.operations.groups import open_groups
from appliance.settings import BY_NAME
from appliance.web.console.forms import Form
from appliance.web.console.frame import Route, Visit
from appliance.web.console.words import N_
from appliance.web.refusals import STATUS

# What belongs together; what is named nowhere comes last.
SECTIONS: Mapping[str, tuple[str, ...]] = {
    N_("Deployment"): (
        "DOWNLOAD",
        "DOWNLOAD_CYCLE_LATENCY",
        "DOWNLOAD_FRAG_LATENCY",
        "DOWNLOAD_PERIOD_LENGTH",
        "DOWNLOAD_PERIOD_LATENCY",
        "DOWNLOAD_TIMEOUT",
        "DOWNLOAD_EXECUTION_TIMEOUT",
    ),
    N_("Packages"): ("FRAGMENT_SIZE", "UPLOAD_LIMIT", "SCRUB_DAYS"),
    N_("Contacts"): ("PROLOG_FREQ", "FREQUENCY", "INVENTORY_ON_STARTUP", "REFUSED_AGENTS"),
    N_("Identity"): ("IDENTITY_MODE", "IDENTITY_NETWORKS", "AUTO_DUPLICATE_LVL", "ACCEPT_TAG_UPDATE_FROM_CLIENT"),
    N_("Limits"): (
        "CONTACT_WIRE_LIMIT",
        "CONTACT_INFLATED_LIMIT",
        "CONTACT_DEPTH_LIMIT",
        "CONTACT_ELEMENT_LIMIT",
        "CONTACT_DEADLINE",
        "CONTACT_MEMORY_LIMIT",
        "CONNECTION_LIMIT",
        "CONSOLE_CONNECTION_LIMIT",
        "ADDRESS_CONNECTION_LIMIT",
    ),
    N_("Backup"): ("BACKUP_FOLDER", "BACKUP_HOUR", "BACKUP_KEEP"),
    N_("Users"): ("SECOND_FACTOR_REQUIRED",),
    N_("Retention"): ("EVENT_DAYS", "COMPUTER_DAYS"),
}
OTHERS = N_("Others")
BEFORE = "-before"  # after a setting's name: the field with the value that the page showed


@dataclass(frozen=True)
class ConfigurationPage:
    """The settings by section, and the form with their values. `groups`: the number of each group, by name."""

    sections: Mapping[str, Sequence[Value]]
    form: Form
    groups: Mapping[str, int]


async def configuration_page(visit: Visit) -> web.StreamResponse:
    """The form as everything stands."""
    return visit.page("configuration.html", await _page(visit))


async def save(visit: Visit) -> web.StreamResponse:
    """Write what was changed, all of it or nothing; an empty field goes back to the default."""
    wanted, refused = _wanted(visit.fields)
    if refused:
        form = replace(visit.fields, errors={name: visit.words.refusal(one) for name, one in refused.items()})
        return visit.page("configuration.html", await _page(visit, form), status=STATUS[Kind.INVALID])
    changed = await set_settings(visit.desk, wanted)
    if not changed:
        return visit.go("/configuration", "Nothing was different; nothing was changed.")
    return visit.go("/configuration", "Settings that were changed: {changed}.", changed=changed)


def _wanted(form: Form) -> tuple[dict[str, str | None], dict[str, Refusal]]:
    """The settings that the form changes, None for the default; and those whose value is refused."""
    wanted: dict[str, str | None] = {}
    refused: dict[str, Refusal] = {}
    for name in form.values.keys() & BY_NAME.keys():
        text = form.text(name)
        if text == form.text(f"{name}{BEFORE}", "-"):
            continue  # somebody else may have changed it meanwhile
        wanted[name] = text or None
        try:
            BY_NAME[name].parse(text or BY_NAME[name].default)
        except Refusal as refusal:
            refused[name] = refusal
    return wanted, refused


async def _page(visit: Visit, form: Form | None = None) -> ConfigurationPage:
    values = {value.setting.name: value for value in await get_settings(visit.desk)}
    sections = {title: [values.pop(name) for name in names if name in values] for title, names in SECTIONS.items()}
    if values:
        sections[OTHERS] = list(values.values())
    every = [value for part in sections.values() for value in part]
    shown = {value.setting.name: (value.value,) for value in every}
    before = {f"{name}{BEFORE}": text for name, text in shown.items()}
    by_groups = any(value.groups for value in every)
    numbers = {group.name: group.id for group in await open_groups(visit.desk)} if by_groups else {}
    return ConfigurationPage(sections, form or Form({**shown, **before}), numbers)


ROUTES = (
    Route("GET", "/configuration", configuration_page),
    Route("POST", "/configuration", save),
)
