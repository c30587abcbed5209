"""Wiring: settings, data, certificates, three listeners, signals. `ocs.pyz serve`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import ssl
import sys
import zipfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from aiohttp import web

from appliance import __version__
from appliance.domain.refusal import Kind, Refusal
from appliance.operations.accounts import offer_first
from appliance.operations.certificates import (
    ensure_certificates,
    server_names,
    shown_certificate,
)
from appliance.operations.desk import Desk, open_desk
from appliance.operations.nightly import nightly
from appliance.operations.retention import retaining
from appliance.operations.room import watching_room
from appliance.operations.scrub import scrubbing
from appliance.operations.start import alone, sweep, write_down
from appliance.web.app import Running, Shared, agents_app, console_app, runner
from appliance.web.gate import GatedSite, watched
from appliance.web.keys import GATE, SelfFile
from appliance.web.parts import tell_parts

LOG = logging.getLogger("ocs.server")
STOP_SECONDS = 9.0  # SIGTERM ends everything within ten


@dataclass(frozen=True)
class Listening:
    """Where to listen; port 0 picks a free one."""

    data: Path
    listen: str = "0.0.0.0"  # agents come from other machines
    http_port: int = 8080
    https_port: int = 4343
    console_listen: str = "127.0.0.1"
    console_port: int = 8443
    names: Sequence[str] = ()
    rescue: bool = False


def serve(listening: Listening) -> int:
    """Run until SIGTERM or SIGINT. Raises Refusal where it cannot start."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(name)s %(levelname)s %(message)s",
        force=True,
    )
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # half-closed TLS of agents that leave is no news
    with alone(listening.data):
        tell_parts()
        return asyncio.run(_serve(listening))


async def _serve(listening: Listening) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows: Ctrl+C ends the loop by itself
            pass
    async with AsyncExitStack() as stack:
        rescue = listening.rescue
        desk = await stack.enter_async_context(open_desk(listening.data, readers=3, checked=not rescue, rescue=rescue))
        names = server_names(listening.names)
        if rescue:
            LOG.warning("%s", desk.store.stopped)
        else:
            await _prepare(desk, names, listening.names)
        shared = Shared(desk, _self_file(), _agent_file())
        front = await stack.enter_async_context(shown_certificate(desk, names, shared.announced.now))
        await stack.enter_async_context(watched(desk, (shared.agents, shared.console)))
        runners: list[web.AppRunner] = []
        stack.push_async_callback(_close, runners, shared.running)
        http = await _listen(runners, agents_app(shared, secure=False), listening.listen, listening.http_port, None)
        https = await _listen(
            runners, agents_app(shared, secure=True), listening.listen, listening.https_port, front.agents
        )
        console = await _listen(
            runners, console_app(shared), listening.console_listen, listening.console_port, front.context
        )
        shared.announced.port = https
        if not rescue:
            await write_down(
                desk,
                {
                    "http_port": str(http),
                    "https_port": str(https),
                    "server_name": names[0],
                    "version": __version__,
                },
            )
            for beside in (nightly, scrubbing, retaining, watching_room):
                stack.push_async_callback(_end, asyncio.create_task(beside(desk)))
        shown = f"[{names[0]}]" if ":" in names[0] else names[0]
        where = listening.console_listen if listening.console_listen not in ("0.0.0.0", "::") else names[0]
        where = f"[{where}]" if ":" in where else where
        print(f"agents   http://{shown}:{http}/ocsinventory")
        print(f"agents   https://{shown}:{https}/ocsinventory")
        first = "" if rescue else await offer_first(desk)
        print(f"console  https://{where}:{console}/", flush=True)
        if first:  # no user yet: whoever reads this line becomes the first administrator
            print(f"first    https://{where}:{console}/first/{first}", flush=True)
        await stop.wait()
        LOG.info("stopping: running requests are finished first")
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await stack.aclose()
        except TimeoutError:
            LOG.warning("some requests did not finish in %d s and were cut off", STOP_SECONDS)
            os._exit(0)  # the database is whole at any moment; a hanging thread must not keep the process
    return 0


async def _prepare(desk: Desk, names: Sequence[str], site: Sequence[str]) -> None:
    for name in await sweep(desk):
        LOG.info("removed %s, which a killed build had left", name)
    await ensure_certificates(desk, names, site=site)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def _close(runners: Sequence[web.AppRunner], running: Running) -> None:
    """Listen no more, finish what runs, then close: all at once, or one slow request would keep the others open."""
    for listener in runners:
        for site in list(listener.sites):
            await site.stop()
    await running.drain()
    await asyncio.gather(*(listener.cleanup() for listener in runners))


async def _listen(
    runners: list[web.AppRunner], app: web.Application, host: str, port: int, tls: ssl.SSLContext | None
) -> int:
    listener = runner(app)
    runners.append(listener)
    await listener.setup()
    site = GatedSite(listener, app[GATE], host, port, tls)
    try:
        await site.start()
    except (OSError, UnicodeError) as error:  # the second for what is no host name at all
        number = getattr(error, "errno", None) or 0
        met = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or error
        raise Refusal(
            Kind.CONFLICT,
            "cannot listen on {host} port {port}: {met}; choose another address or port.",
            host=host,
            port=port,
            met=met,
        ) from error
    return int(listener.addresses[0][1])


def _self_file() -> SelfFile | None:
    path = Path(sys.argv[0])
    if not path.is_file() or not zipfile.is_zipfile(path):
        return None
    descriptor = os.open(path, os.O_RDONLY)
    return SelfFile(descriptor, os.fstat(descriptor).st_size)


def _agent_file() -> bytes | None:
    """The client that the build put beside the sources; not in a checkout."""
    path = resources.files("appliance").joinpath("carried", "ocs-agent.pyz")
    return path.read_bytes() if path.is_file() else None
