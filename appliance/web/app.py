"""Three applications and who listens where: contact and depot over HTTP, the same and info over TLS, the console.

Source: product.md, section 3.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from appliance.operations.depot import healthy
from appliance.operations.desk import Desk
from appliance.web import contact, depot, refusals
from appliance.web.keys import BUNDLE, DESK, LISTENER, SELF_FILE, SelfFile
from appliance.wire import paths

KEEPALIVE_SECONDS = 15.0
SHUTDOWN_SECONDS = 8.0  # of the ten in which SIGTERM must end everything

CONSOLE_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>ocs.pyz</title></head>
<body><h1>ocs.pyz</h1><p>The server is running. Packages are built and deployed by command line for now:
<code>ocs.pyz package --help</code>.</p></body></html>
"""
CONSOLE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Shared:
    """What the listeners share: the desk, `cacert.pem`, and the running file where there is one."""

    desk: Desk
    bundle: str
    self_file: SelfFile | None


def agents_app(shared: Shared, *, secure: bool) -> web.Application:
    """The listener that agents talk to. Over plain HTTP there is neither info nor manifest nor cacert.pem."""
    app = _app(shared, "https" if secure else "http")
    app.router.add_post(paths.CONTACT, contact.contact)
    app.router.add_post(f"{paths.CONTACT}/", contact.contact)
    folder = f"{paths.DEPOT}/{{package}}"
    for name in (paths.INFO, paths.MANIFEST):
        app.router.add_get(f"{folder}/{name}", depot.description if secure else depot.over_tls_only)
    app.router.add_get(f"{folder}/{{name}}", depot.fragment)
    if secure:
        app.router.add_get("/cacert.pem", depot.bundle)
        app.router.add_get("/ocs.pyz", depot.self_file)
    return app


def console_app(shared: Shared) -> web.Application:
    """The console's listener: a plain page for now, nothing of it on the agents' listeners."""
    app = _app(shared, "console")

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=CONSOLE_PAGE, content_type="text/html", headers=CONSOLE_HEADERS)

    app.router.add_get("/", page)
    return app


def runner(app: web.Application) -> web.AppRunner:
    """A runner with this product's limits; compressed bodies are not opened behind our back (security.md A17)."""
    return web.AppRunner(
        app,
        handle_signals=False,
        access_log_class=AccessLog,
        access_log=logging.getLogger("ocs.access"),
        keepalive_timeout=KEEPALIVE_SECONDS,
        shutdown_timeout=SHUTDOWN_SECONDS,
        auto_decompress=False,
        max_line_size=8190,
        max_field_size=8190,
    )


class AccessLog(AbstractAccessLogger):
    """One escaped line a request: listener, peer, method, path, status, bytes, milliseconds, User-Agent."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        listener = request.app[LISTENER] if isinstance(request, web.Request) else "-"
        self.logger.info(
            "%s %s %s %s %d %d %.1fms %s",
            listener,
            request.remote or "-",
            escaped(request.method, 16),
            escaped(request.rel_url.raw_path, 300),
            response.status,
            response.body_length,
            time * 1000,
            escaped(request.headers.get("User-Agent", "-"), 120),
        )


def escaped(text: str, longest: int) -> str:
    """Text that cannot break a log line: non-printable and non-ASCII characters as escapes, cut."""
    return text[:longest].encode("unicode_escape").decode("ascii").replace(" ", "\\x20")


def _app(shared: Shared, listener: str) -> web.Application:
    app = web.Application(middlewares=[refusals.answer_refusals])
    app[DESK] = shared.desk
    app[BUNDLE] = shared.bundle
    app[SELF_FILE] = shared.self_file
    app[LISTENER] = listener
    app.router.add_get("/healthz", _healthz)
    app.on_response_prepare.append(_sign)
    return app


async def _healthz(request: web.Request) -> web.Response:
    good = await healthy(request.app[DESK])
    return web.Response(
        text="ok\n" if good else "the database or the fragments cannot be read\n", status=200 if good else 503
    )


async def _sign(_: web.Request, response: web.StreamResponse) -> Any:
    response.headers["Server"] = "ocs.pyz"
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
