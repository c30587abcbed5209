"""Where agents talk: one POST address, bounded bodies, answers in the form of the request. Source: protocol.md 1, 2."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable

from aiohttp import web

from appliance.domain.messages import Inventory, Other, Progress, Prolog, Report, Request
from appliance.operations.answer_contact import answer_contact
from appliance.operations.configure import settings_now
from appliance.operations.desk import Desk
from appliance.operations.identity import Caller
from appliance.operations.record_progress import record_progress
from appliance.operations.record_result import record_result
from appliance.operations.take_inventory import take_inventory
from appliance.settings import Settings
from appliance.web.keys import ANNOUNCED, DESK, GATE
from appliance.web.refusals import line
from appliance.wire import basic, envelope, markup
from appliance.wire import contact as wire
from appliance.wire.malformed import TooLarge

OWN_AGENT = "OCS-Agent"  # our agent says here what it is: genuine servers refuse any User-Agent but their own
BUNDLE = "OCS-Bundle"  # what our agent has in its cacert.pem; our answer: the port for info, what is in ours
LONGEST_BUNDLE = 2048
LONGEST_NAME = 255
AT_ONCE = 32 * 1024  # bodies above it are decoded beside the loop, few at a time
AT_ONCE_INFLATED = 256 * 1024
DECODERS = asyncio.Semaphore(2)

_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


async def contact(request: web.Request) -> web.Response:
    """PROLOG, INVENTORY, DOWNLOAD, PROGRESS and the queries that get a polite answer."""
    desk = request.app[DESK]
    settings = await settings_now(desk)
    caller = caller_of(request)
    refused = settings.text("REFUSED_AGENTS")
    if refused and re.search(refused, caller.user_agent):
        return line(403, "agents that call themselves so are refused here")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        return line(415, "a Content-Encoding is not accepted")
    with request.app[GATE].holding() as hold:
        body = await bounded_body(
            request, settings.number("CONTACT_WIRE_LIMIT"), settings.number("CONTACT_DEADLINE"), hold
        )
        message, form = await _decoded(body, settings)
        answer = await _answer(desk, message, caller)
    headers = {"Content-Type": "application/x-compressed", "Cache-Control": "no-cache"}
    if OWN_AGENT in request.headers and (announced := request.app[ANNOUNCED].header):
        headers[BUNDLE] = announced  # genuine agents get what genuine servers send
    return web.Response(body=envelope.pack(answer, form) if answer else b"", headers=headers)


async def bounded_body(request: web.Request, limit: int, seconds: int, hold: Callable[[int], None]) -> bytes:
    """The body, at most `limit` bytes and within `seconds`; `hold` counts it. Raises TooLarge, or answers 408."""
    if request.content_length is not None and request.content_length > limit:
        raise TooLarge(f"the message is larger than {limit} bytes")
    pieces, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.content.iter_any():
                size += len(piece)
                if size > limit:
                    raise TooLarge(f"the message is larger than {limit} bytes")
                hold(len(piece))
                pieces.append(piece)
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    return b"".join(pieces)


async def _answer(desk: Desk, message: Request, caller: Caller) -> bytes:
    if isinstance(message, Prolog):
        return wire.encode_reply(await answer_contact(desk, message, caller))
    if isinstance(message, Inventory):
        return wire.encode_reply(await take_inventory(desk, message, caller))
    if isinstance(message, Report):
        await record_result(desk, message, caller)
        return b""
    if isinstance(message, Progress):
        await record_progress(desk, message, caller)
        return b""
    assert isinstance(message, Other)
    return wire.encode_no_update() if message.query == "UPDATE" else b""


async def _decoded(body: bytes, settings: Settings) -> tuple[Request, envelope.Form]:
    limit = settings.number("CONTACT_INFLATED_LIMIT")
    if len(body) <= AT_ONCE:
        try:
            return _decode(body, settings, min(limit, AT_ONCE_INFLATED))
        except TooLarge:
            pass  # little that becomes much: it must not hold up the others
    async with DECODERS:
        return await asyncio.to_thread(_decode, body, settings, limit)


def _decode(body: bytes, settings: Settings, limit: int) -> tuple[Request, envelope.Form]:
    elements = settings.number("CONTACT_ELEMENT_LIMIT")
    limits = markup.MarkupLimits(settings.number("CONTACT_DEPTH_LIMIT"), elements, elements)
    xml, form = envelope.unpack(body, limit)
    return wire.decode_request(xml, limits), form


def caller_of(request: web.Request) -> Caller:
    """Who asks. A certificate that TLS let through is one of our own authority's; whose it is, the database knows.

    A password over plain HTTP was heard by others: it is not even read.
    """
    tls = request.transport.get_extra_info("ssl_object") if request.transport else None
    shown = tls.getpeercert(binary_form=True) if tls else None
    certificate = hashlib.sha256(shown).hexdigest() if shown else ""
    known = tuple(_DIGEST.findall(request.headers.get(BUNDLE, "")[:LONGEST_BUNDLE]))
    credentials = basic.decode(request.headers.get("Authorization", "")) if tls else None
    return Caller(_called(request), request.remote or "", certificate, known, tls is not None, credentials)


def _called(request: web.Request) -> str:
    name = request.headers.get(OWN_AGENT) or request.headers.get("User-Agent") or ""
    return "".join(c for c in name if c.isprintable())[:LONGEST_NAME]
