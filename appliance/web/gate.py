"""Who may be connected: a budget of connections for the agents and one for the console, so that nobody starves others.

Where a budget is used up, who has nothing under way gives way first, the longest waiting before the others; then the
slowest of those that the server waits for. A peer that the server keeps waiting is never cut off. The time for headers
is the keep-alive time of the runner (web/app.py). Source: security.md A18, R11.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager

from aiohttp import web

from appliance.domain.refusal import Kind, Refusal
from appliance.operations.configure import settings_now
from appliance.operations.desk import Desk
from appliance.web.refusals import Handler

try:
    import resource
except ImportError:  # Windows has no such limit
    resource = None  # type: ignore[assignment]

LOG = logging.getLogger("ocs.http")

LOOK_SECONDS = 1.0
HANDSHAKE_SECONDS = 15.0
BEGIN_SECONDS = 30.0  # a request's body may take this long to get up to speed
SLOWEST = 1024  # bytes a second, of a request's body; below it a peer is let go
STUCK_SECONDS = 60.0  # an answer that moves by less than STUCK_BYTES meanwhile is let go
STUCK_BYTES = 64 * 1024
SPARE_SECONDS = 1.0  # younger than this nobody is called slow
WANTED_FILES = 8192
OTHER_FILES = 200  # what a server has open beside its connections

Inside = web.RequestHandler


class Guest(asyncio.Protocol):
    """One connection: admitted or not, then TLS where the listener speaks it, then handed on to aiohttp."""

    def __init__(self, gate: Gate, make: Callable[[], Inside], tls: ssl.SSLContext | None) -> None:
        self._gate = gate
        self._make = make
        self._tls = tls
        self._early: list[bytes] = []
        self._raw: asyncio.Transport | None = None
        self._entering: asyncio.Task[None] | None = None
        self.inside: Inside | None = None
        self.request: web.Request | None = None
        self.address = ""
        self.since = _now()  # the connection, then its request
        self.moved = 0  # bytes in both directions since then
        self._level = 0
        self._marked = self.since

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask the gate; where it says no, the connection ends without a word."""
        assert isinstance(transport, asyncio.Transport)
        self._raw = transport
        self.address = str((transport.get_extra_info("peername") or ("",))[0])
        if not self._gate.admit(self):
            transport.abort()
        elif self._tls is None:
            self._enter(transport)
        else:
            self._entering = asyncio.get_running_loop().create_task(self._shake_hands(transport, self._tls))

    def data_received(self, data: bytes) -> None:
        """Hand on."""
        self.moved += len(data)
        if self.inside is None:
            self._early.append(data)  # it came together with the end of the handshake
        else:
            self.inside.data_received(data)

    def eof_received(self) -> None:
        """Hand on."""
        if self.inside:
            self.inside.eof_received()

    def pause_writing(self) -> None:
        """Hand on."""
        if self.inside:
            self.inside.pause_writing()

    def resume_writing(self) -> None:
        """Hand on."""
        if self.inside:
            self.inside.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave."""
        self._gate.leave(self)
        if self.inside:
            self.inside.connection_lost(exc)

    def begin(self, request: web.Request) -> None:
        """A request is at work."""
        self.request, self.since, self.moved = request, _now(), 0

    def end(self) -> None:
        """It is answered."""
        self.request, self.since, self.moved = None, _now(), 0

    def drop(self) -> None:
        """Cut the connection off."""
        self._gate.leave(self)
        if self._raw:
            self._raw.abort()

    def slowness(self, now: float) -> float | None:
        """Bytes a second, where the server waits for the peer and has done so for a while."""
        if now - self.since < SPARE_SECONDS or not (self._body_is_due() or self._unsent()):
            return None
        return self.moved / (now - self.since)

    def is_hopeless(self, now: float) -> bool:
        """Whether a body comes too slowly, or an answer is not taken."""
        seconds = now - self.since
        if seconds > BEGIN_SECONDS and self._body_is_due() and self.moved < SLOWEST * seconds:
            return True
        unsent = self._unsent()
        if not unsent or unsent > self._level or unsent <= self._level - STUCK_BYTES:
            self._level, self._marked = unsent, now
        return now - self._marked > STUCK_SECONDS

    def _body_is_due(self) -> bool:
        """Whether a request's body is still to come, and the server is not the one that holds it up."""
        if self.request is None or self.inside is None or self.inside.transport is None:
            return False
        transport = self.inside.transport
        return not self.request.content.is_eof() and isinstance(transport, asyncio.Transport) and transport.is_reading()

    def _unsent(self) -> int:
        transport = self.inside.transport if self.inside else None
        return transport.get_write_buffer_size() if isinstance(transport, asyncio.Transport) else 0

    async def _shake_hands(self, raw: asyncio.Transport, tls: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        try:
            inner = await loop.start_tls(
                raw, self, tls, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )  # fmt: skip
        except (OSError, asyncio.CancelledError):  # no TLS, or another one; ssl.SSLError is an OSError
            self._gate.leave(self)
            raw.abort()
            return
        if inner is None:  # it went away in between
            self._gate.leave(self)
        else:
            self._enter(inner)

    def _enter(self, transport: asyncio.Transport) -> None:
        self.inside = self._make()
        self._gate.entered(self, self.inside)
        self.inside.connection_made(transport)
        early, self._early = self._early, []
        for data in early:
            self.inside.data_received(data)


class Guests:
    """Some connections, and among them those without a request, the longest waiting first."""

    def __init__(self) -> None:
        self.all: dict[Guest, None] = {}
        self.idle: dict[Guest, None] = {}

    def add(self, guest: Guest) -> None:
        """One more, who has asked for nothing yet."""
        self.all[guest] = self.idle[guest] = None

    def remove(self, guest: Guest) -> None:
        """One less."""
        self.all.pop(guest, None)
        self.idle.pop(guest, None)

    def first_to_go(self) -> Guest | None:
        """Who gives way to a newcomer; None where everybody is worth more than that."""
        for guest in self.idle:
            return guest
        now = _now()
        slow = [(rate, guest) for guest in self.all if (rate := guest.slowness(now)) is not None and rate < SLOWEST]
        return min(slow, key=lambda pair: pair[0])[1] if slow else None


class Gate:
    """A budget of connections that listeners share."""

    def __init__(self, setting: str, *, share: float = 1.0) -> None:
        self._setting = setting
        self._share = share  # of the files that the process may open
        self._most, self._most_each = 100, 100
        self._guests = Guests()
        self._houses: dict[str, Guests] = {}  # by address
        self._by_inside: dict[Inside, Guest] = {}
        self._bodies_limit = 0
        self._bodies = 0
        self._cut = 0

    @property
    def count(self) -> int:
        """How many are connected."""
        return len(self._guests.all)

    def admit(self, guest: Guest) -> bool:
        """Take a newcomer in, at the price of another where all places are taken."""
        house = self._houses.get(guest.address) or Guests()
        full = house if len(house.all) >= self._most_each else self._guests if self.count >= self._most else None
        if full:
            self._cut += 1
            victim = full.first_to_go()
            if victim is None:
                return False
            victim.drop()
        self._guests.add(guest)
        self._houses.setdefault(guest.address, house).add(guest)
        return True

    def entered(self, guest: Guest, inside: Inside) -> None:
        """aiohttp has taken the connection over."""
        self._by_inside[inside] = guest

    def leave(self, guest: Guest) -> None:
        """The connection is at its end, or soon will be."""
        self._guests.remove(guest)
        house = self._houses.get(guest.address)
        if house:
            house.remove(guest)
            if not house.all:
                del self._houses[guest.address]
        if guest.inside:
            self._by_inside.pop(guest.inside, None)

    @web.middleware
    async def at_work(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Note which connection has a request under way."""
        guest = self._by_inside.get(request.protocol)
        if guest is None:
            return await handler(request)
        house = self._houses[guest.address]
        guest.begin(request)
        self._guests.idle.pop(guest, None)
        house.idle.pop(guest, None)
        try:
            return await handler(request)
        finally:
            guest.end()
            if guest in self._guests.all:
                self._guests.idle[guest] = house.idle[guest] = None

    def moved(self, request: web.Request, size: int) -> None:
        """The peer has taken so many bytes of an answer."""
        guest = self._by_inside.get(request.protocol)
        if guest:
            guest.moved += size

    @contextmanager
    def holding(self) -> Iterator[Callable[[int], None]]:
        """Count the bytes of one request's body while they are in memory. Raises Refusal(BUSY) where it is too much."""
        mine = 0

        def hold(size: int) -> None:
            nonlocal mine
            if self._bodies + size > self._bodies_limit:
                raise Refusal(Kind.BUSY, "too many messages at once; try again later.")
            self._bodies += size
            mine += size

        try:
            yield hold
        finally:
            self._bodies -= mine

    async def look(self, desk: Desk) -> None:
        """Read the settings; cut off who is hopeless; tell of it."""
        settings = await settings_now(desk)
        self._most = min(settings.number(self._setting), int((may_open() - OTHER_FILES) * self._share))
        self._most_each = settings.number("ADDRESS_CONNECTION_LIMIT")
        self._bodies_limit = settings.number("CONTACT_MEMORY_LIMIT")
        now = _now()
        for guest in [guest for guest in self._guests.all if guest.is_hopeless(now)]:
            guest.drop()
        if self._cut:
            crowd = max(self._houses.items(), key=lambda item: len(item[1].all), default=("-", Guests()))
            LOG.warning(
                "%s is reached: %d connections were cut off; most come from %s: %d",
                self._setting, self._cut, crowd[0], len(crowd[1].all),
            )  # fmt: skip
            self._cut = 0


class GatedSite(web.BaseSite):
    """A listener behind a gate."""

    def __init__(
        self, runner: web.AppRunner, gate: Gate, host: str, port: int, tls: ssl.SSLContext | None, *, backlog: int = 512
    ) -> None:
        super().__init__(runner, ssl_context=tls, backlog=backlog)
        self._gate, self._host, self._port, self._tls = gate, host, port, tls

    @property
    def name(self) -> str:
        """Its address."""
        return f"{'https' if self._tls else 'http'}://{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen."""
        await super().start()
        make = self._runner.server
        assert make is not None
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Guest(self._gate, make, self._tls), self._host, self._port, backlog=self._backlog
        )


@asynccontextmanager
async def watched(desk: Desk, gates: Iterable[Gate]) -> AsyncIterator[None]:
    """Look after the gates while the block runs."""
    gates = tuple(gates)
    for gate in gates:
        await gate.look(desk)
    task = asyncio.get_running_loop().create_task(_watch(desk, gates))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _watch(desk: Desk, gates: tuple[Gate, ...]) -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        for gate in gates:
            try:
                await gate.look(desk)
            except Refusal:  # the database is busy: at the next look
                pass
            except Exception:
                LOG.exception("looking after the connections ended in a bug")


def _now() -> float:
    return asyncio.get_running_loop().time()


def may_open() -> int:
    """How many files this process may have open, after asking for more where that is allowed."""
    if resource is None:
        return WANTED_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return WANTED_FILES
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft
