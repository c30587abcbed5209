"""From a Refusal or malformed bytes to a status and one line; everything else is a bug and says nothing."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from appliance.domain.identity import REALM
from appliance.domain.refusal import Kind, Refusal
from appliance.wire import basic
from appliance.wire.malformed import Malformed, TooLarge

LOG = logging.getLogger("ocs.web")

STATUS = {
    Kind.INVALID: 400,
    Kind.MISSING: 404,
    Kind.CONFLICT: 409,
    Kind.TOO_LARGE: 413,
    Kind.UNREACHABLE: 502,
    Kind.BUSY: 503,
    Kind.FORBIDDEN: 403,
    Kind.UNAUTHORIZED: 401,
}
CHALLENGE = basic.challenge(REALM)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """One line of text for everything that was refused."""
    try:
        return await handler(request)
    except Refusal as refusal:
        response = line(STATUS[refusal.kind], _for_strangers(refusal))
        if refusal.kind is Kind.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = CHALLENGE
        return response
    except TooLarge as malformed:
        return line(413, str(malformed))
    except Malformed as malformed:
        return line(400, str(malformed))
    except web.HTTPException as answer:
        return line(answer.status, answer.reason)
    except ConnectionError:
        raise  # the peer went away: aiohttp closes, nothing to answer
    except RuntimeError as error:
        if is_gone(request):  # what aiohttp raises where a connection was cut before its body was asked for
            raise ConnectionResetError("the connection was cut") from error
        LOG.exception("a request ended in a bug")
        return line(500, "internal error")
    except Exception:
        LOG.exception("a request ended in a bug")
        return line(500, "internal error")


def _for_strangers(refusal: Refusal) -> str:
    """Where the server's files lie is told to its log alone."""
    if not any(isinstance(value, Path) for value in refusal.values.values()):
        return str(refusal)
    LOG.warning("%s", refusal)
    return "the server cannot use its data now; its log says why"


def is_gone(request: web.Request) -> bool:
    """Whether nobody is there any more to be answered."""
    return request.transport is None or request.transport.is_closing()


def line(status: int, text: str) -> web.Response:
    """A short text answer; the connection ends where a body may be left unread."""
    response = web.Response(status=status, text=f"{text}\n")
    if status >= 400:
        response.force_close()
    return response
