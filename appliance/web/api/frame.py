"""What every address of the API shares: who comes, what they may, bodies that are checked, errors as JSON.

A module of a family has a tuple ROUTES of ApiRoute; a handler takes a Call and returns what becomes JSON. Rights are
declared on the route, checked here and nowhere else; a route that declares none is the administrators'. Source:
security.md 4.3.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from aiohttp import web

from appliance.domain.account import Right
from appliance.domain.refusal import Kind, Refusal, filled
from appliance.operations.desk import Desk
from appliance.operations.jobs import Jobs
from appliance.operations.tokens import FORM, actor_of_token
from appliance.web.api.schema import (
    LONGEST_SHOWN,
    UNKNOWN,
    Schema,
    check,
    defaults,
    from_address,
    named,
    number,
    one_of,
    resolved,
    text,
    told,
    wrong,
)
from appliance.web.keys import DESK, JOBS
from appliance.web.refusals import STATUS, Handler, is_gone

LOG = logging.getLogger("ocs.api")

ROOT = "/api/v1"
JSON = "application/json"
BAD_TOKEN_SECONDS = 0.5  # before the answer to a token that could be one and is none
INTERNAL = "internal"  # what is no Refusal
PLACES: Mapping[str, tuple[str, Schema]] = {
    **{
        name: ("[0-9]{1,15}", number(f"Number of the {what}."))
        for name, what in {
            "computer": "computer",
            "group": "group",
            "search": "search",
            "user": "user",
            "token": "token",
            "activation": "activation",
            "doubt": "doubt",
            "password": "password for agents",
        }.items()
    },
    "package": ("[0-9]{10}", text("Id of the package.", pattern="^[0-9]{10}$")),
    "draft": ("[0-9a-f]{32}", text("Id of the draft.", pattern="^[0-9a-f]{32}$")),
    "job": ("[0-9a-f]{32}", text("Id of the job.", pattern="^[0-9a-f]{32}$")),
    "session": ("[0-9a-f]{16}", text("Id of the session.", pattern="^[0-9a-f]{16}$")),
}
"""What may stand in a place of a path: as a pattern for the router, as a schema for the document."""

# The API speaks English: these are no texts of the console.
NO_TOKEN = (
    "send a token: Authorization: Bearer ocs_...; the console's account page and 'ocs.pyz user tokens' make them."
)
BAD_TOKEN = "the token is none, has expired or was revoked; make another one."
NOT_ALLOWED = "only an administrator may do this; use the token of one."
NO_ADDRESS = "there is no such address; /api/v1/openapi.json names those that there are."
NO_METHOD = "this address does not take that method; /api/v1/openapi.json names those that it takes."
BUG = "something in the server went wrong; its log says what."
NO_JSON = "the body is no JSON: {met}."
WRONG_TYPE = "send the body as application/json."
NO_BODY = "this address takes no body."
TOO_LARGE = "the body is larger than this address takes."
ENDED = "the connection ended before the body did; send the rest of it."
# Of a form's field with a name of its own in the API; in all others only - becomes _.
FIELDS = {"warn-text": "warn.text", "warn-countdown": "warn.countdown"}

FAULT = named(
    "Fault",
    told(
        kind=one_of([*(kind.value for kind in Kind), INTERNAL], "For programs."),
        field=text('The key of the request that the sentence speaks of, such as search.0.0.field; "": none.'),
        sentence=text("For people: what was wrong and what to do."),
    ),
)
ERROR = named("Error", told(error=FAULT))


@dataclass(frozen=True)
class Call:
    """One request, with who makes it. `body` and `query` are checked; what has a default is there."""

    request: web.Request
    desk: Desk  # acting for the token's user
    query: Mapping[str, Any]
    body: Mapping[str, Any]

    @property
    def jobs(self) -> Jobs:
        """The long work that runs."""
        return self.request.app[JOBS]

    def path(self, name: str) -> str:
        """A part of the path."""
        return self.request.match_info[name]

    def number(self, name: str) -> int:
        """A part of the path that is a number; its pattern sees to that."""
        return int(self.request.match_info[name])


@dataclass(frozen=True)
class Doc:
    """What the document says of a route beside its path. `answer` None: nothing comes back.

    `streams`: the body is a file, which the handler reads. `kind`: of the answer where it is no JSON.
    """

    answer: Schema | None = None
    body: Schema | None = None
    query: Mapping[str, Schema] = field(default_factory=dict)
    headers: Mapping[str, Schema] = field(default_factory=dict)
    status: int = 200
    also: tuple[int, ...] = ()  # further statuses with the same answer
    streams: bool = False
    kind: str = JSON


Answering = Callable[[Call], Awaitable[object]]


@dataclass(frozen=True)
class ApiRoute:
    """An address of the API. The first line of the handler's docstring is its summary."""

    method: str
    path: str
    handler: Answering
    right: Right = Right.ADMINISTRATOR
    doc: Doc = field(default_factory=Doc)

    @property
    def pattern(self) -> str:
        """The path for the router."""
        return re.sub(r"\{(\w+)\}", lambda place: f"{{{place[1]}:{PLACES[place[1]][0]}}}", self.path)

    @property
    def places(self) -> list[str]:
        """The names of the path's places."""
        return re.findall(r"\{(\w+)\}", self.path)

    @property
    def summary(self) -> str:
        """One line for the document."""
        return (inspect.getdoc(self.handler) or "").split("\n")[0]

    @property
    def name(self) -> str:
        """A name for programs that are made from the document."""
        family = self.handler.__module__.rpartition(".")[2]
        return f"{family}.{getattr(self.handler, '__name__', '')}"


MOUNTED: web.AppKey[tuple[ApiRoute, ...]] = web.AppKey("api_routes")


def mount(app: web.Application, routes: Iterable[ApiRoute]) -> None:
    """Put routes into the application, before it runs."""
    app[MOUNTED] = tuple(routes)
    app.middlewares.append(_in_json)
    for route in app[MOUNTED]:
        app.router.add_route(route.method, route.pattern, _answering(route))


def answer(document: object, status: int = 200) -> web.Response:
    """JSON."""
    return web.Response(body=json.dumps(document).encode(), status=status, content_type=JSON)


def _answering(route: ApiRoute) -> Handler:
    async def answered(request: web.Request) -> web.StreamResponse:
        desk = await _desk_of(request)
        if not desk.actor.may(route.right):
            raise Refusal(Kind.FORBIDDEN, NOT_ALLOWED)
        query = _query(route.doc.query, request)
        body = {} if route.doc.streams else await _body(route.doc.body, request)
        said = await route.handler(Call(request, desk, query, body))
        if isinstance(said, web.StreamResponse):
            return said
        if route.doc.answer is None:
            return web.Response(status=204)
        return answer(said, route.doc.status)

    return answered


# Who comes


async def _desk_of(request: web.Request) -> Desk:
    """The desk of whoever the token speaks for; a cookie says nothing here. Answers 401."""
    desk = request.app[DESK]
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        _unauthorized(NO_TOKEN, "")
    if FORM.match(token) is None:
        _unauthorized(BAD_TOKEN, ', error="invalid_token"')
    actor = await actor_of_token(desk, token)
    if actor is None:
        await asyncio.sleep(BAD_TOKEN_SECONDS)
        _unauthorized(BAD_TOKEN, ', error="invalid_token"')
    return desk.acting(actor)


def _unauthorized(sentence: str, more: str) -> NoReturn:
    raise web.HTTPUnauthorized(text=sentence, headers={"WWW-Authenticate": f'Bearer realm="ocs"{more}'})


# What they send


def _query(schemas: Mapping[str, Schema], request: web.Request) -> dict[str, Any]:
    """The keys of the address. Raises Refusal."""
    found = defaults(schemas)
    for name in request.query:
        if name not in schemas:
            raise wrong(name[:LONGEST_SHOWN], UNKNOWN)
        found[name] = from_address(schemas[name], list(request.query.getall(name)), name)
    return found


async def _body(schema: Schema | None, request: web.Request) -> dict[str, Any]:
    """The body, checked. Raises Refusal, or answers 413."""
    data = (await request.read()).strip()
    if schema is None:
        if data:
            raise wrong("", NO_BODY)
        return {}
    if data and request.content_type != JSON:
        raise wrong("", WRONG_TYPE)
    document = _parsed(data) if data else {}
    check(schema, document)
    assert isinstance(document, dict)
    return {**defaults(resolved(schema).get("properties", {})), **document}


def _parsed(data: bytes) -> object:
    try:
        return json.loads(data.decode(), object_pairs_hook=_each_once, parse_constant=_no_number)
    except RecursionError:
        raise wrong("", NO_JSON, met="it is nested too deeply") from None
    except ValueError as error:
        raise wrong("", NO_JSON, met=str(error)[:120]) from None


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


# What goes wrong


def error_of(refusal: Refusal) -> dict[str, str]:
    """A Refusal as JSON."""
    where = FIELDS.get(refusal.field, refusal.field.replace("-", "_"))
    return {"kind": refusal.kind.value, "field": where, "sentence": filled(refusal.sentence, refusal.values)}


@web.middleware
async def _in_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error below /api/ as JSON; nothing is told about bugs."""
    if not request.path.startswith("/api/"):
        return await handler(request)
    try:
        return await handler(request)
    except Refusal as refusal:
        return _failed(request, STATUS[refusal.kind], error_of(refusal))
    except web.HTTPUnauthorized as met:
        headers = {"WWW-Authenticate": met.headers["WWW-Authenticate"]}
        fault = {"kind": Kind.UNAUTHORIZED.value, "field": "", "sentence": met.text or ""}
        return _failed(request, 401, fault, headers)
    except web.HTTPException as met:
        kind, sentence = _MET.get(met.status, (Kind.INVALID.value, met.reason))
        headers = {"Allow": met.headers["Allow"]} if "Allow" in met.headers else {}
        return _failed(request, met.status, {"kind": kind, "field": "", "sentence": sentence}, headers)
    except ConnectionError:
        raise  # the peer went away: nothing to answer
    except Exception as error:
        if isinstance(error, RuntimeError) and is_gone(request):
            raise ConnectionResetError("the connection was cut") from error
        LOG.exception("a call of the API ended in a bug")
        return _failed(request, 500, {"kind": INTERNAL, "field": "", "sentence": BUG})


_MET = {
    404: (Kind.MISSING.value, NO_ADDRESS),
    405: (Kind.INVALID.value, NO_METHOD),
    413: (Kind.TOO_LARGE.value, TOO_LARGE),
}


def _failed(
    request: web.Request, status: int, error: Mapping[str, str], headers: Mapping[str, str] | None = None
) -> web.Response:
    response = answer({"error": error}, status)
    response.headers.update(headers or {})
    if request.can_read_body:
        response.force_close()  # nobody reads what is still to come
    return response
