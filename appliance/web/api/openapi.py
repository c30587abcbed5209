"""The OpenAPI document, made from the routes and the schemas that bodies are held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from appliance import __version__
from appliance.domain.account import Right
from appliance.web.api.frame import ERROR, JSON, MOUNTED, PLACES, ApiRoute, Call, Doc
from appliance.web.api.schema import NAMED, PLACE, Schema, resolved

VERSION = "3.1.0"
DESCRIPTION = """Everything that the console does, as JSON, on the console's listener.

Send `Authorization: Bearer ocs_...`; the console's account page and `ocs.pyz user tokens` make tokens. A token can do \
what its user can: an operation that names `administrator` needs one's. Bodies are checked strictly, and a key that is \
not named here is refused. Answers may get more keys in later versions. Moments are UTC, as 2026-11-21T09:30:00Z. What \
takes long answers 202 with a job, which /api/v1/jobs/{job} tells about."""
TAGS = {
    "overview": "How everything stands.",
    "computers": "Computers.",
    "groups": "Groups.",
    "searches": "Searches that are kept.",
    "packages": "Packages.",
    "drafts": "Build and edit packages.",
    "deployment": "Activate, affect, statistics.",
    "jobs": "Long work.",
    "settings": "Settings.",
    "users": "Users.",
    "account": "One's own account.",
    "certificates": "Certificates.",
    "identity": "Who computers are: tokens to join with, passwords for agents, doubts.",
    "logbook": "The log.",
    "openapi": "This document.",
}


async def show(call: Call) -> object:
    """The OpenAPI document of this API."""
    routes = call.request.app[MOUNTED]
    return document(routes)


def document(routes: Iterable[ApiRoute]) -> dict[str, Any]:
    """The document of these routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    schemas = _used(paths)
    return {
        "openapi": VERSION,
        "info": {"title": "ocs.pyz", "version": __version__, "description": DESCRIPTION},
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "ocs_ID_SECRET"}},
        },
    }


def _operation(route: ApiRoute) -> dict[str, Any]:
    doc = route.doc
    parameters = [_parameter(name, "path", PLACES[name][1]) for name in route.places]
    parameters += [_parameter(name, "query", schema) for name, schema in doc.query.items()]
    parameters += [_parameter(name, "header", schema) for name, schema in doc.headers.items()]
    found: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.name.partition(".")[0]],
        "summary": route.summary,
        "security": [{"token": [Right.ADMINISTRATOR.value] if route.right is Right.ADMINISTRATOR else []}],
        "responses": _responses(doc),
    }
    if parameters:
        found["parameters"] = parameters
    if doc.body is not None:
        found["requestBody"] = {
            "required": bool(resolved(doc.body).get("required")),
            "content": {JSON: {"schema": doc.body}},
        }
    if doc.streams:
        found["requestBody"] = {"required": True, "content": {"application/octet-stream": {}}}
    return found


def _parameter(name: str, place: str, schema: Schema) -> dict[str, Any]:
    told = {key: value for key, value in schema.items() if key != "description"}
    found = {"name": name, "in": place, "schema": told, "required": place == "path"}
    return {**found, "description": schema["description"]} if "description" in schema else found


def _responses(doc: Doc) -> dict[str, Any]:
    failed = {"description": "An error.", "content": {JSON: {"schema": ERROR}}}
    if doc.answer is None:
        return {"204": {"description": "It is done."}, "default": failed}
    content = {doc.kind: {"schema": doc.answer}}
    found: dict[str, Any] = {str(doc.status): {"description": "It is done.", "content": content}}
    for status in doc.also:
        found[str(status)] = {"description": "It goes on; the job tells how far it is.", "content": content}
    return {**found, "default": failed}


def _used(told: object) -> dict[str, Schema]:
    """The named schemas that something refers to, and those that these refer to, by name."""
    found: dict[str, Schema] = {}
    ahead = set(_references(told))
    while ahead:
        name = ahead.pop()
        found[name] = NAMED[name]
        ahead |= set(_references(NAMED[name])) - set(found)
    return dict(sorted(found.items()))


def _references(told: object) -> Iterable[str]:
    if isinstance(told, Mapping):
        name = told.get("$ref", "")
        if isinstance(name, str) and name.startswith(PLACE):
            yield name.removeprefix(PLACE)
        for inner in told.values():
            yield from _references(inner)
    elif isinstance(told, (list, tuple)):
        for inner in told:
            yield from _references(inner)


ROUTES = (
    ApiRoute(
        "GET", "/api/v1/openapi.json", show, Right.SIGNED_IN, Doc({"type": "object", "additionalProperties": True})
    ),
)
