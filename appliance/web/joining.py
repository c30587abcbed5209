"""Where computers join and get their next certificate: over TLS only, small JSON, nothing in the address."""

from __future__ import annotations

from aiohttp import web

from appliance.domain.messages import DeviceId
from appliance.operations.join import join, renew
from appliance.web.contact import bounded_body, caller_of
from appliance.web.keys import DESK, GATE
from appliance.wire import joining

SECONDS = 10


async def joined(request: web.Request) -> web.Response:
    """A computer brings a token."""
    application = joining.decode_application(await _body(request))
    return _answer(await join(request.app[DESK], application, caller_of(request)))


async def renewed(request: web.Request) -> web.Response:
    """A computer that joined asks for its next certificate, showing the present one."""
    application = joining.decode_application(await _body(request))
    return _answer(await renew(request.app[DESK], DeviceId(application.device_id), caller_of(request)))


async def _body(request: web.Request) -> bytes:
    with request.app[GATE].holding() as hold:
        return await bounded_body(request, joining.LARGEST, SECONDS, hold)


def _answer(membership: joining.Membership) -> web.Response:
    return web.Response(
        body=joining.encode(membership), content_type="application/json", headers={"Cache-Control": "no-store"}
    )
