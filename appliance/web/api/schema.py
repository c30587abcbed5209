"""JSON Schema, as much of it as we use: what the OpenAPI document publishes and what a body is held against are one.

A schema is a dict of WORDS. The document leaves an answer open, since a later version may tell more; `check` refuses
every key that a schema does not name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from appliance.domain.refusal import Kind, Refusal

Schema = Mapping[str, Any]

WORDS = frozenset(
    (
        *("$ref", "type", "properties", "required", "additionalProperties", "items", "anyOf", "enum", "minimum"),
        *("maximum", "minLength", "maxLength", "maxItems", "minProperties", "maxProperties", "pattern", "format"),
        *("description", "default"),
    )
)
LARGEST_NUMBER = 2**53 - 1  # what every reader of JSON keeps exactly
LONGEST_SHOWN = 40
PLACE = "#/components/schemas/"
DATE_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_WHOLE = re.compile(r"-?[0-9]{1,15}")
_SURROGATE = re.compile("[\ud800-\udfff]")

# The API speaks English: these are no texts of the console.
NOT_A = "it must be {wanted}."
NOT_ONE_OF = "it is none of {choices}."
UNKNOWN = "there is no such key here; the document /api/v1/openapi.json has those that there are."
REQUIRED = "it is missing."
TOO_SHORT = "it has fewer than {least} characters."
TOO_LONG = "it has more than {most} characters."
TOO_MANY = "it has more than {most} entries."
TOO_FEW = "it must have {least} or more entries."
NOT_BETWEEN = "it must be from {low} to {high}."
NO_TEXT = "it has characters that are none."
NO_FIT = "it is not as it must be written; the pattern is {pattern}."
ONCE = "it is there more than once."

_TYPES: dict[str, tuple[type, str]] = {
    "object": (dict, "an object"),
    "array": (list, "a list"),
    "string": (str, "a text"),
    "integer": (int, "a whole number"),
    "boolean": (bool, "true or false"),
    "null": (type(None), "null"),
}

NAMED: dict[str, Schema] = {}
"""The schemas that have a name of their own in the document."""

# Schemas


def text(description: str = "", **words: Any) -> Schema:
    """A text."""
    return {"type": "string", **({"description": description} if description else {}), **words}


def number(description: str = "", low: int = 0, high: int = LARGEST_NUMBER, **words: Any) -> Schema:
    """A whole number."""
    told = {"description": description} if description else {}
    return {"type": "integer", "minimum": low, "maximum": high, **told, **words}


def flag(description: str = "", **words: Any) -> Schema:
    """True or false."""
    return {"type": "boolean", **({"description": description} if description else {}), **words}


def moment(description: str = "") -> Schema:
    """A moment: 2026-11-21T09:30:00Z."""
    return text(description, format="date-time")


def one_of(choices: Iterator[str] | tuple[str, ...] | list[str], description: str = "", **words: Any) -> Schema:
    """A text that is one of a few."""
    return text(description, enum=list(choices), **words)


def rows(of: Schema, description: str = "", **words: Any) -> Schema:
    """A list."""
    return {"type": "array", "items": of, **({"description": description} if description else {}), **words}


def table(of: Schema, description: str = "", **words: Any) -> Schema:
    """An object whose keys are data."""
    return {
        "type": "object",
        "additionalProperties": of,
        **({"description": description} if description else {}),
        **words,
    }


def or_null(of: Schema) -> Schema:
    """The same, or null."""
    return {"anyOf": [of, {"type": "null"}]}


def told(**properties: Schema) -> Schema:
    """An object of an answer: all its keys are there."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def asked(needed: str = "", /, **properties: Schema) -> Schema:
    """An object of a request; `needed` names the keys that must be there."""
    found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if needed:
        found["required"] = needed.split()
    return found


def named(name: str, schema: Schema) -> Schema:
    """A reference to a schema, which gets that name in the document."""
    if NAMED.setdefault(name, schema) != schema:
        raise ValueError(f"two schemas are called {name}")
    return {"$ref": f"{PLACE}{name}"}


def with_keys(schema: Schema, **properties: Schema) -> Schema:
    """An answer's object with more keys."""
    return told(**resolved(schema)["properties"], **properties)


def resolved(schema: Schema) -> Schema:
    """What a reference refers to; anything else as it is."""
    return resolved(NAMED[schema["$ref"].removeprefix(PLACE)]) if "$ref" in schema else schema


def defaults(properties: Mapping[str, Schema]) -> dict[str, Any]:
    """What holds for keys that are not given."""
    return {name: schema["default"] for name, schema in properties.items() if "default" in schema}


def within(schema: Schema) -> Iterator[Schema]:
    """A schema and all inside it; references are not followed."""
    yield schema
    for inner in schema.get("properties", {}).values():
        yield from within(inner)
    for inner in schema.get("anyOf", ()):
        yield from within(inner)
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), Mapping):
            yield from within(schema[word])


# Values


def wrong(where: str, sentence: str, /, **values: object) -> Refusal:
    """A Refusal of one place in a body or an address."""
    return Refusal(Kind.INVALID, sentence, where, **values)


def check(schema: Schema, value: object, where: str = "") -> None:
    """Raises Refusal(INVALID) naming the first place that is not as the schema says, such as `search.0.2.field`."""
    schema = resolved(schema)
    if "anyOf" in schema:
        _check_any(schema["anyOf"], value, where)
        return
    wanted = schema.get("type", list(_TYPES))
    kinds = [wanted] if isinstance(wanted, str) else list(wanted)
    if not any(_is(kind, value) for kind in kinds):
        raise wrong(where, NOT_A, wanted=" or ".join(_TYPES[kind][1] for kind in kinds))
    if "enum" in schema and value not in schema["enum"]:
        raise wrong(where, NOT_ONE_OF, choices=", ".join(str(choice) for choice in schema["enum"]))
    if isinstance(value, str):
        _check_text(schema, value, where)
    elif isinstance(value, int) and not isinstance(value, bool):
        low, high = schema.get("minimum", -LARGEST_NUMBER), schema.get("maximum", LARGEST_NUMBER)
        if not low <= value <= high:
            raise wrong(where, NOT_BETWEEN, low=low, high=high)
    elif isinstance(value, list):
        _check_count(schema.get("maxItems"), None, len(value), where)
        for position, item in enumerate(value):
            check(schema.get("items", {}), item, _at(where, position))
    elif isinstance(value, dict):
        _check_object(schema, value, where)


def from_address(schema: Schema, given: list[str], where: str) -> object:
    """The value of a key of the address, checked. Raises Refusal."""
    schema = resolved(schema)
    if schema["type"] == "array":
        value: object = [from_address(schema["items"], [one], where) for one in given]
    elif len(given) > 1:
        raise wrong(where, ONCE)
    elif schema["type"] == "integer":
        value = int(given[0]) if _WHOLE.fullmatch(given[0]) else given[0]
    elif schema["type"] == "boolean":
        value = {"true": True, "1": True, "false": False, "0": False}.get(given[0].lower(), given[0])
    else:
        value = given[0]
    check(schema, value, where)
    return value


def _is(kind: str, value: object) -> bool:
    if isinstance(value, bool) and kind == "integer":
        return False
    return isinstance(value, _TYPES[kind][0])


def _check_any(schemas: list[Schema], value: object, where: str) -> None:
    first: Refusal | None = None
    for schema in schemas:
        try:
            check(schema, value, where)
            return
        except Refusal as refusal:
            first = first or refusal
    assert first is not None
    raise first


def _check_text(schema: Schema, value: str, where: str) -> None:
    if _SURROGATE.search(value):
        raise wrong(where, NO_TEXT)
    if len(value) < schema.get("minLength", 0):
        raise wrong(where, TOO_SHORT, least=schema["minLength"])
    if len(value) > schema.get("maxLength", len(value)):
        raise wrong(where, TOO_LONG, most=schema["maxLength"])
    if "pattern" in schema and not re.search(schema["pattern"], value):
        raise wrong(where, NO_FIT, pattern=schema["pattern"])
    if schema.get("format") == "date-time" and not DATE_TIME.fullmatch(value):
        raise wrong(where, NOT_A, wanted="a moment such as 2026-11-21T09:30:00Z")


def _check_count(most: int | None, least: int | None, count: int, where: str) -> None:
    if most is not None and count > most:
        raise wrong(where, TOO_MANY, most=most)
    if least is not None and count < least:
        raise wrong(where, TOO_FEW, least=least)


def _check_object(schema: Schema, value: dict[str, object], where: str) -> None:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", False)
    for name in schema.get("required", ()):
        if name not in value:
            raise wrong(_at(where, name), REQUIRED)
    _check_count(schema.get("maxProperties"), schema.get("minProperties"), len(value), where)
    for name, inner in value.items():
        if name in properties:
            check(properties[name], inner, _at(where, name))
        elif isinstance(others, Mapping):
            _check_text({}, name, where)
            check(others, inner, _at(where, name))
        elif not others:
            raise wrong(_at(where, name), UNKNOWN)


def _at(where: str, name: object) -> str:
    shown = str(name)[:LONGEST_SHOWN]
    return f"{where}.{shown}" if where else shown
