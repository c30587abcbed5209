"""The document: every route is in it and the reverse, it holds together, and it says nothing that is not checked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from appliance.domain.account import Right
from appliance.operations.desk import open_desk
from appliance.web.api.frame import PLACES, ApiRoute
from appliance.web.api.openapi import TAGS, document
from appliance.web.api.routes import routes
from appliance.web.api.schema import NAMED, PLACE, WORDS
from appliance.web.app import Shared, agents_app, console_app
from tests.web.api.kit import Client

ROUTES = routes()
DOCUMENT = document(ROUTES)
METHODS = {"get", "post", "put", "patch", "delete"}


def served(data: Path, listener: str) -> set[tuple[str, str]]:
    """Every method and path that a listener answers below /api."""

    async def work() -> set[tuple[str, str]]:
        async with open_desk(data) as desk:
            shared = Shared(desk, None)
            app = console_app(shared) if listener == "console" else agents_app(shared, secure=listener == "https")
            found = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource}
            return {(method, path) for method, path in found if path.startswith("/api")}

    return asyncio.run(work())


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def schemas(told: object) -> Iterator[dict[str, Any]]:
    """Every schema of the document, inner ones included."""
    if isinstance(told, dict):
        if "schema" in told:
            yield from inside(told["schema"])
        for name, inner in told.items():
            if name != "schema":
                yield from schemas(inner)
    elif isinstance(told, list):
        for inner in told:
            yield from schemas(inner)


def inside(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for inner in (*schema.get("properties", {}).values(), *schema.get("anyOf", ())):
        yield from inside(inner)
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            yield from inside(schema[word])


def test_the_document_has_every_address_of_the_console_s_listener_and_no_other(tmp_path: Path) -> None:
    told = {(method.upper(), path) for method, path, _ in operations()}
    assert served(tmp_path / "data", "console") == told
    assert len(told) == len(ROUTES)


def test_the_agents_listeners_have_none_of_it(tmp_path: Path) -> None:
    assert served(tmp_path / "data", "http") == served(tmp_path / "data", "https") == set()


def test_the_document_is_served_to_whoever_has_a_token(owner: Client, user: Client) -> None:
    assert owner.get("/openapi.json") == user.get("/openapi.json") == DOCUMENT


def test_the_document_has_what_openapi_asks_for() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert {"title", "version"} <= set(DOCUMENT["info"])
    assert set(DOCUMENT) == {"openapi", "info", "tags", "security", "paths", "components"}
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(names)) == len(names)
    assert {tag for _, _, operation in operations() for tag in operation["tags"]} == set(TAGS)
    for method, path, operation in operations():
        assert method in METHODS
        assert path.startswith("/api/v1/")
        assert set(operation) <= {
            *("operationId", "tags", "summary", "security", "parameters", "requestBody", "responses")
        }
        assert operation["summary"].endswith("."), path
        assert operation["responses"], path
        for status, response in operation["responses"].items():
            assert re.fullmatch(r"[1-5]\d\d|default", status)
            assert response["description"]
        if "requestBody" in operation:
            assert method in ("post", "put", "patch"), path
            assert set(operation["requestBody"]) == {"required", "content"}
        for requirement in operation["security"]:
            assert set(requirement) <= set(DOCUMENT["components"]["securitySchemes"])


def test_every_place_of_a_path_is_a_parameter() -> None:
    for _, path, operation in operations():
        parameters = operation.get("parameters", [])
        assert [p["name"] for p in parameters if p["in"] == "path"] == re.findall(r"\{(\w+)\}", path)
        assert len({(p["name"], p["in"]) for p in parameters}) == len(parameters)
        for parameter in parameters:
            assert parameter["in"] in ("path", "query", "header")
            assert parameter["required"] == (parameter["in"] == "path")


def test_every_reference_leads_somewhere_and_nothing_lies_unused() -> None:
    components = DOCUMENT["components"]["schemas"]
    every = [*schemas(DOCUMENT["paths"]), *(one for schema in components.values() for one in inside(schema))]
    used = {schema["$ref"] for schema in every if "$ref" in schema}
    assert used == {f"{PLACE}{name}" for name in components}
    assert set(components) == set(NAMED)


def test_only_words_that_are_checked_stand_in_a_schema() -> None:
    components = DOCUMENT["components"]["schemas"]
    every = [*schemas(DOCUMENT["paths"]), *(one for schema in components.values() for one in inside(schema))]
    assert len(every) > 500
    for schema in every:
        assert set(schema) <= WORDS
        assert set(schema) - {"description"}, "a schema says what it is"
        kinds = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
        assert set(kinds) <= {"object", "array", "string", "integer", "boolean", "null"}
        assert set(schema.get("required", ())) <= set(schema.get("properties", {}))


def test_what_may_be_sent_is_closed_and_bounded() -> None:
    for route in ROUTES:
        if route.doc.body is None:
            continue
        for schema in reached(route.doc.body):
            if schema.get("type") == "object":
                assert schema["additionalProperties"] is not True
                assert "additionalProperties" in schema
            if schema.get("type") == "array":
                assert "maxItems" in schema, route.name
            if "string" in schema.get("type", ()) and "enum" not in schema and "pattern" not in schema:
                assert "maxLength" in schema, (route.name, schema)


def reached(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema and all inside it, references followed."""
    for one in inside(schema):
        yield one
        if "$ref" in one:
            yield from reached(NAMED[one["$ref"].removeprefix(PLACE)])  # type: ignore[arg-type]


def test_an_administrators_operation_says_so() -> None:
    rights = {route.name: route.right for route in ROUTES}
    for _, _, operation in operations():
        needs = operation["security"] == [{"token": ["administrator"]}]
        assert needs == (rights[operation["operationId"]] is Right.ADMINISTRATOR)


def test_a_route_that_says_nothing_is_the_administrators_and_all_places_are_known() -> None:
    async def handler(call: object) -> None: ...

    assert ApiRoute("GET", "/api/v1/x", handler).right is Right.ADMINISTRATOR
    for route in ROUTES:
        assert set(route.places) <= set(PLACES)
        assert route.right is not Right.ANYONE
