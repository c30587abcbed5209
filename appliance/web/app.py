"""Three applications and who listens where: contact and depot over HTTP, the same and info over TLS, the console.

Source: product.md, section 3.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.http_exceptions import HttpProcessingError

from appliance.operations.certificates import ends
from appliance.operations.depot import ailing
from appliance.operations.desk import Desk
from appliance.operations.jobs import Jobs
from appliance.web import contact, depot, joining, refusals
from appliance.web.api import frame as api
from appliance.web.api.routes import routes as api_routes
from appliance.web.console import frame
from appliance.web.console.forms import LARGEST_FORM
from appliance.web.console.routes import routes
from appliance.web.gate import Gate
from appliance.web.keys import AGENT_FILE, ANNOUNCED, DESK, GATE, JOBS, LISTENER, SELF_FILE, Announced, SelfFile
from appliance.web.refusals import Handler
from appliance.web.static import ROUTE, static
from appliance.wire import paths
from appliance.wire.joining import JOIN, RENEW

FIRST = "/first/"
KEEPALIVE_SECONDS = 15.0
DRAIN_SECONDS = 7.0  # of the ten in which SIGTERM must end everything
SHUTDOWN_SECONDS = 1.0  # then answers that are on their way may still leave


class Running:
    """The requests at work. aiohttp would drop what is still to come of their bodies once it shuts down."""

    def __init__(self) -> None:
        self.count = 0
        self.draining = False
        self._idle = asyncio.Event()

    @web.middleware
    async def counted(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count one request."""
        self.count += 1
        try:
            return await handler(request)
        finally:
            self.count -= 1
            if not self.count:
                self._idle.set()

    async def drain(self) -> None:
        """Wait until all are answered, at most DRAIN_SECONDS; connections that stay open get no second request."""
        self.draining = True
        self._idle.clear()
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while self.count:
                    await self._idle.wait()
                    self._idle.clear()
        except TimeoutError:
            pass

    async def sign(self, _: web.Request, response: web.StreamResponse) -> None:
        """What every answer carries."""
        response.headers["Server"] = "ocs.pyz"
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        if self.draining:
            response.force_close()


@dataclass(frozen=True)
class Shared:
    """What the listeners share: the desk, the running file where there is one, the requests at work."""

    desk: Desk
    self_file: SelfFile | None
    agent_file: bytes | None = None  # ocs-agent.pyz: computers need not fetch the whole
    running: Running = field(default_factory=Running)
    announced: Announced = field(default_factory=Announced)
    agents: Gate = field(default_factory=lambda: Gate("CONNECTION_LIMIT", share=0.75))
    console: Gate = field(default_factory=lambda: Gate("CONSOLE_CONNECTION_LIMIT", share=0.25))  # of its own


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
        app.router.add_post(JOIN, joining.joined)
        app.router.add_post(RENEW, joining.renewed)
        app.router.add_get("/ocs.pyz", depot.self_file)
        app.router.add_get("/ocs-agent.pyz", depot.agent_file)
    return app


def console_app(shared: Shared) -> web.Application:
    """The console's listener: console and API, nothing of it on the agents' listeners."""
    app = web.Application(
        middlewares=[shared.running.counted, shared.console.at_work, frame.guard],
        client_max_size=LARGEST_FORM,
    )
    _furnish(app, shared, shared.console, "console")
    app[JOBS] = Jobs(shared.desk.clock)
    app.on_response_prepare.append(frame.sign)
    app.router.add_get(ROUTE, static().handler)
    frame.mount(app, routes())
    api.mount(app, api_routes())
    app.on_shutdown.append(_end_jobs)
    return app


async def _end_jobs(app: web.Application) -> None:
    await app[JOBS].close()


def runner(app: web.Application) -> web.AppRunner:
    """A runner with this product's limits; compressed bodies are not opened behind our back (security.md A17)."""
    log = logging.getLogger("ocs.http")
    log.addFilter(_no_news)
    return web.AppRunner(
        app,
        handle_signals=False,
        access_log_class=AccessLog,
        access_log=logging.getLogger("ocs.access"),
        access_log_format=app[LISTENER],
        logger=log,
        keepalive_timeout=KEEPALIVE_SECONDS,
        shutdown_timeout=SHUTDOWN_SECONDS,
        auto_decompress=False,
        max_line_size=8190,
        max_field_size=8190,
    )


class AccessLog(AbstractAccessLogger):
    """One escaped line a request: listener, peer, method, path, status, bytes, milliseconds, User-Agent."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        self.logger.info(
            "%s %s %s %s %d %d %.1fms %s",
            self.log_format,  # the listener's name; what is no HTTP at all belongs to no application
            request.remote or "-",
            escaped(request.method, 16),
            escaped(shown_path(request.rel_url.raw_path), 300),
            response.status,
            response.body_length,
            time * 1000,
            escaped(request.headers.get("User-Agent", "-"), 120),
        )


def _no_news(record: logging.LogRecord) -> bool:
    """What is no HTTP, and peers that go away, have their line in the access log; tracebacks would fill the disk."""
    return not (record.exc_info and isinstance(record.exc_info[1], (HttpProcessingError, ConnectionError)))


def shown_path(path: str) -> str:
    """A path for the log: the secret of the one-time address is not in it."""
    return f"{FIRST}*" if path.startswith(FIRST) else path


def escaped(text: str, longest: int) -> str:
    """Text that cannot break a log line: non-printable and non-ASCII characters as escapes, cut."""
    return text[:longest].encode("unicode_escape").decode("ascii").replace(" ", "\\x20")


def _app(shared: Shared, listener: str) -> web.Application:
    app = web.Application(middlewares=[shared.running.counted, shared.agents.at_work, refusals.answer_refusals])
    _furnish(app, shared, shared.agents, listener)
    return app


def _furnish(app: web.Application, shared: Shared, gate: Gate, listener: str) -> None:
    app[DESK] = shared.desk
    app[SELF_FILE] = shared.self_file
    app[AGENT_FILE] = shared.agent_file
    app[LISTENER] = listener
    app[ANNOUNCED] = shared.announced
    app[GATE] = gate
    app.router.add_get("/healthz", _healthz)
    app.on_response_prepare.append(shared.running.sign)


async def _healthz(request: web.Request) -> web.Response:
    desk = request.app[DESK]
    if trouble := await ailing(desk):
        return web.Response(text=f"{trouble}\n", status=503)
    return web.Response(text="".join(f"{line}\n" for line in ["ok", *map(str, await ends(desk))]))
