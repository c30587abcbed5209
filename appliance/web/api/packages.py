"""Packages: list, one, edit without a new file, delete with what it takes along, recipes. Drafts build them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from appliance.clock import iso
from appliance.domain.affectation import Activation
from appliance.domain.draft import form_of, order_of
from appliance.domain.package import (
    LONGEST_COMMAND,
    LONGEST_NAME,
    LONGEST_TEXT,
    Action,
    Protocol,
    System,
)
from appliance.domain.recipes import RECIPES
from appliance.operations.delete_package import delete_package, deletion_of
from appliance.operations.edit_package import edit_package
from appliance.operations.package_facts import Counts, PackageFacts, list_packages, show_package
from appliance.web.api.frame import ApiRoute, Call, Doc
from appliance.web.api.schema import (
    Schema,
    asked,
    flag,
    moment,
    named,
    number,
    one_of,
    or_null,
    rows,
    table,
    text,
    told,
)

SYSTEM = one_of([system.value.lower() for system in System])
ACTION = one_of([action.value.lower() for action in Action])
PROTOCOL = one_of([protocol.value.lower() for protocol in Protocol], "Of the fragments; info always travels over TLS.")
COUNTS: dict[str, Schema] = {
    "waiting": number("Not notified yet."),
    "notified": number(),
    "success": number("Those that had it already included."),
    "error": number(),
    "already": number(),
}
ACTIVATION = named(
    "Activation",
    told(
        id=number(),
        info_url=text("host:port/folder, for https."),
        fragment_url=text("host:port/folder, for the package's protocol."),
        at=moment(),
    ),
)
WARN: dict[str, Schema] = {
    "text": text(maxLength=LONGEST_TEXT),
    "countdown": number("Seconds; 0 waits for an answer.", 0, 9999),
    "may_cancel": flag(),
    "may_delay": flag(),
}
PACKAGE = named(
    "Package",
    told(
        id=text(),
        name=text(),
        description=text(),
        os=SYSTEM,
        protocol=PROTOCOL,
        priority=number("0: first and alone.", 0, 10),
        action=ACTION,
        command=or_null(text("Of launch and execute.")),
        path=or_null(text("Of store.")),
        warn=or_null(told(**WARN)),
        done_text=text(),
        size=number("Bytes of the file; 0: there is none."),
        fragment_size=number(),
        fragments=number(),
        md5=or_null(text()),
        sha256=or_null(text()),
        built=moment(),
        activations=rows(ACTIVATION),
        **COUNTS,
    ),
)
ORDER: dict[str, Schema] = {
    "name": text(maxLength=LONGEST_NAME),
    "description": text(maxLength=LONGEST_TEXT),
    "os": SYSTEM,
    "protocol": PROTOCOL,
    "priority": number("0: first and alone; 5 where nothing is said.", 0, 10),
    "action": ACTION,
    "command": or_null(text("Of launch and execute.", maxLength=LONGEST_COMMAND)),
    "path": or_null(text("Of store.", maxLength=LONGEST_COMMAND)),
    "warn": or_null(asked("text", **WARN)),
    "done_text": text("The user confirms it at the end.", maxLength=LONGEST_TEXT),
}
DELETION = named(
    "Deletion",
    told(
        size=number("Bytes of the file."),
        fragments=number(),
        activations=rows(ACTIVATION),
        groups=rows(text(), "Groups that it is affected to, by name."),
        drafts=number("Edits of it that somebody has begun."),
        **COUNTS,
    ),
)
RECIPE = named(
    "Recipe",
    told(
        id=text(),
        title=text(),
        hint=text(),
        takes=one_of(["single", "script", "agent"], "A single file, a script in the form, or the agent itself."),
        os=rows(SYSTEM),
        endings=rows(text()),
        values=table(text(), "What it fills in."),
    ),
)


async def listed(call: Call) -> object:
    """All packages, the newest first."""
    return {"packages": [package_told(facts) for facts in await list_packages(call.desk)]}


async def show(call: Call) -> object:
    """One package."""
    return package_told(await show_package(call.desk, call.path("package")))


async def change(call: Call) -> object:
    """Change what is given; the file stays. A draft of the package takes a new file."""
    before = (await show_package(call.desk, call.path("package"))).package
    order = order_of({**form_of(before.order), **form_told(call.body)})
    await edit_package(call.desk, before.id, order, None, None, _silent)
    return await show(call)


async def deletion(call: Call) -> object:
    """What deleting a package would take along."""
    found = await deletion_of(call.desk, call.path("package"))
    return {
        "size": found.file_bytes,
        "fragments": found.fragments,
        "activations": [activation_told(one) for one in found.activations],
        "groups": list(found.groups),
        "drafts": found.drafts,
        **counts_told(found.counts),
    }


async def delete(call: Call) -> None:
    """Delete a package for good, with its files, activations and affectations."""
    await delete_package(call.desk, call.path("package"))


async def recipes(call: Call) -> object:
    """Common packages as filled-in forms."""
    return {
        "recipes": [
            {
                "id": one.id,
                "title": one.title,
                "hint": one.hint,
                "takes": one.takes.value,
                "os": [system.value.lower() for system in one.systems],
                "endings": list(one.endings),
                "values": {**one.values, **{name: one.values[name].lower() for name in ("os", "action")}},
            }
            for one in RECIPES
        ]
    }


def package_told(facts: PackageFacts) -> dict[str, Any]:
    """A package with the command line's keys."""
    package, order, payload = facts.package, facts.package.order, facts.package.payload
    return {
        "id": package.id,
        "name": order.name,
        "description": order.description,
        "os": order.system.value.lower(),
        "protocol": order.protocol.value.lower(),
        "priority": order.priority,
        "action": order.action.value.lower(),
        "command": order.argument if order.action is not Action.STORE else None,
        "path": order.argument if order.action is Action.STORE else None,
        "warn": asdict(order.notice) if order.notice else None,
        "done_text": order.done_text,
        "size": payload.size if payload else 0,
        "fragment_size": payload.fragment_size if payload else 0,
        "fragments": payload.fragments if payload else 0,
        "md5": payload.md5 if payload else None,
        "sha256": payload.sha256 if payload else None,
        "built": iso(package.built_at),
        "activations": [activation_told(activation) for activation in facts.activations],
        **counts_told(facts.counts),
    }


def activation_told(activation: Activation) -> dict[str, Any]:
    """Where one activation sends agents."""
    return {
        "id": activation.id,
        "info_url": activation.info_location,
        "fragment_url": activation.fragment_location,
        "at": iso(activation.activated_at),
    }


def counts_told(counts: Counts) -> dict[str, int]:
    """How many computers stand where."""
    return asdict(counts)


def form_told(body: Mapping[str, Any]) -> dict[str, str]:
    """What a body says about a package, as a form's fields: domain/draft reads those."""
    plain = ("recipe", "script", "name", "description", "os", "protocol", "priority", "action", "command", "path")
    form = {name: str(body[name]) for name in plain if body.get(name) is not None}
    if "warn" in body:
        warn = body["warn"]
        form["warn-user"] = _word(warn is not None)
        if warn is not None:
            form["warn-text"], form["warn-countdown"] = warn["text"], str(warn.get("countdown", 0))
            form["may-cancel"], form["may-delay"] = _word(warn.get("may_cancel")), _word(warn.get("may_delay"))
    if "done_text" in body:
        form["done-action"], form["done-text"] = _word(body["done_text"].strip()), body["done_text"]
    return form


def _word(is_so: object) -> str:
    return "yes" if is_so else "no"


def _silent(*_: object) -> None:
    """Nobody watches."""


ROUTES = (
    ApiRoute("GET", "/api/v1/packages", listed, doc=Doc(told(packages=rows(PACKAGE)))),
    ApiRoute("GET", "/api/v1/packages/{package}", show, doc=Doc(PACKAGE)),
    ApiRoute("PATCH", "/api/v1/packages/{package}", change, doc=Doc(PACKAGE, asked("", **ORDER))),
    ApiRoute("GET", "/api/v1/packages/{package}/deletion", deletion, doc=Doc(DELETION)),
    ApiRoute("DELETE", "/api/v1/packages/{package}", delete),
    ApiRoute("GET", "/api/v1/recipes", recipes, doc=Doc(told(recipes=rows(RECIPE)))),
)
