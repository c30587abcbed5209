"""The server for tests: a real process with real sockets and TLS, its command line, its desk, and agents' messages."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import io
import os
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from appliance import cli
from appliance.clock import Clock
from appliance.domain.messages import DeviceId, Progress, Report, Section
from appliance.domain.package import PackageId
from appliance.operations.desk import Desk, open_desk
from appliance.wire import contact, envelope

ROOT = Path(__file__).parents[2]
SECONDS = 30.0
UNIX = "OCS-NG_unified_unix_agent_v2.10.0"
WINDOWS = "OCS-NG_WINDOWS_AGENT_v2.11.0.1"

Result = TypeVar("Result")


class SetClock(Clock):
    """A clock that stands where it was set."""

    def __init__(self, moment: int = 1_795_206_923) -> None:
        self.moment = moment

    def now(self) -> int:
        return self.moment


def until(met: Callable[[], Result], what: str, seconds: float = SECONDS) -> Result:
    """Ask again and again until the answer is true; the answer."""
    end = time.monotonic() + seconds
    while not (answer := met()):
        assert time.monotonic() < end, f"waited {seconds:.0f} s for: {what}"
        time.sleep(0.01)
    return answer


# The data directory


def on_desk(data: Path, verb: Callable[..., Awaitable[Result]], *values: Any, clock: Clock | None = None) -> Result:
    """Open the desk over `data`, run one operation, close it."""

    async def work() -> Result:
        async with open_desk(data, clock) as desk:
            return await verb(desk, *values)

    return asyncio.run(work())


def dump(data: Path) -> str:
    """A digest of every row, but for what the server notes beside all requests: when it last looked after the data."""
    with contextlib.closing(sqlite3.connect(data / "ocs.sqlite")) as connection:
        lines = [line for line in connection.iterdump() if not line.startswith('INSERT INTO "runtime"')]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def rows(data: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows straight from the file."""
    with contextlib.closing(sqlite3.connect(data / "ocs.sqlite")) as connection:
        return connection.execute(sql, values).fetchall()


def shelved(data: Path) -> list[str]:
    """Every file below fragments/, by its path."""
    folder = data / "fragments"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# The command line


@dataclass(frozen=True)
class Said:
    """What a command line answered."""

    code: int
    out: str
    err: str


def say(*words: str | Path, data: Path | None = None) -> Said:
    """One command line, in this process."""
    line = [str(word) for word in words]
    if data is not None:
        line += ["--data", str(data)]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(line)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    return Said(code, out.getvalue(), err.getvalue())


def must(*words: str | Path, data: Path) -> str:
    """One command line that must succeed: its output without the last line break."""
    said = say(*words, data=data)
    assert said.code == 0, said.err
    return said.out.removesuffix("\n")


def command(*words: str | Path) -> list[str]:
    """The program as another process starts it."""
    return [sys.executable, "-m", "appliance", *(str(word) for word in words)]


def environment(**more: str) -> dict[str, str]:
    """What such a process gets."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", **more}


def build(data: Path, name: str, *words: str | Path) -> str:
    """A package, with whatever was not said: its id."""
    said = [str(word) for word in words]
    if "--action" not in said:
        said += ["--action", "execute", "--command", "true"]
    return must("package", "build", "--name", name, "--os", "linux", *said, data=data)


# A running server

START = "import sys; from appliance.__main__ import main; sys.exit(main(sys.argv[1:]))"


@dataclass(frozen=True)
class Answer:
    """What the server sent back."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes
    cookies: tuple[str, ...] = ()  # each Set-Cookie as it came

    @property
    def line(self) -> str:
        """A refusal's one line."""
        text = self.body.decode()
        assert text.endswith("\n")
        assert text.count("\n") == 1, text
        return text.strip()


@dataclass
class Running:
    """A server process. Ports as it printed them."""

    process: subprocess.Popen[str]
    data: Path
    log: Path
    http: int
    https: int
    console: int
    lines: list[str] = field(default_factory=list)

    @cached_property
    def authority(self) -> str:
        """cacert.pem as text."""
        return must("tls", "export-ca", data=self.data) + "\n"

    @cached_property
    def context(self) -> ssl.SSLContext:
        """A client that verifies this server."""
        return ssl.create_default_context(cadata=self.authority)

    def connect(self, *, secure: bool = False, console: bool = False) -> socket.socket:
        """A connected socket."""
        port = self.console if console else self.https if secure else self.http
        plain = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # http.client sends headers and body apart
        return self.context.wrap_socket(plain, server_hostname="127.0.0.1") if secure or console else plain

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        secure: bool = False,
        console: bool = False,
    ) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", timeout=SECONDS)
        connection.sock = self.connect(secure=secure, console=console)
        try:
            connection.request(method, path, body, dict(headers or {}), encode_chunked=not isinstance(body, bytes))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            cookies = tuple(response.headers.get_all("Set-Cookie") or ())
            return Answer(response.status, found, response.read(), cookies)
        finally:
            connection.close()

    def raw(self, data: bytes, *, leave: bool = False) -> bytes:
        """Bytes there, and all that comes back until the server closes; `leave`: nothing more will be sent."""
        with self.connect() as link:
            link.sendall(data)
            if leave:
                link.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: link.recv(65536), b""))

    def post(self, xml: bytes, agent: str = UNIX, *, secure: bool = False) -> Answer:
        """A message as agents send it."""
        headers = {"Content-Type": "application/x-compress", "User-Agent": agent}
        return self.ask("POST", "/ocsinventory", envelope.pack(xml), headers, secure=secure)

    def get(self, path: str, *, secure: bool = False, **headers: str) -> Answer:
        """A GET; `If_Range=…` becomes a header If-Range."""
        return self.ask("GET", path, None, {k.replace("_", "-"): v for k, v in headers.items()}, secure=secure)

    def rss(self) -> int:
        """Resident memory in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found
        return int(found.group(1)) * 1024

    def stop(self) -> int:
        """SIGTERM: the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)

    def errors(self) -> str:
        """What stands in the log and must not: bugs."""
        found = re.search(r"Traceback|ended in a bug|Task exception", text := self.log.read_text())
        return text[max(0, found.start() - 500) : found.end() + 3000] if found else ""


@contextmanager
def serving(data: Path, *words: str, first: str = "") -> Iterator[Running]:
    """A server over a data directory, on loopback; stopped at the end, and without a bug in its log.

    `first` is code that the process runs before, such as to shorten a time.
    """
    log = data.parent / f"{data.name}.{time.monotonic_ns()}.log"
    line = ["serve", "--data", str(data), "--listen", "127.0.0.1", "--server-name", "127.0.0.1"]
    for port in ("--http-port", "--https-port", "--console-port"):
        line += [port, "0"]
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", f"{first}\n{START}", *line, *words],
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=data.parent,
            env=environment(),
        )
    running = None
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        ports = [re.search(r":(\d+)/", text) for text in lines]
        assert all(ports), log.read_text()
        running = Running(process, data, log, *(int(port.group(1)) for port in ports if port), lines=lines)
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
    met = running.errors()
    assert not met, met


# Agents' messages


def device(name: str = "pc-1", seconds: int = 0) -> DeviceId:
    """A DEVICEID of that host."""
    return DeviceId(f"{name}-2026-01-31-09-30-{seconds:02d}")


def inventory(
    device_id: DeviceId,
    *sections: Section,
    account: Iterable[tuple[str, str]] = (),
    history: Iterable[str] = (),
    old: str = "",
) -> bytes:
    """An INVENTORY; without sections one HARDWARE with the host's name."""
    name = device_id.rsplit("-", 6)[0]
    told = list(sections) or [("HARDWARE", {"NAME": name})]
    xml = contact.encode_inventory(
        device_id, told, account=account, history=[PackageId(package) for package in history]
    )
    return xml.replace(b"<CONTENT>", b"<CONTENT><OLD_DEVICEID>" + old.encode() + b"</OLD_DEVICEID>") if old else xml


def prolog(device_id: DeviceId) -> bytes:
    """A PROLOG."""
    return contact.encode_prolog(device_id)


def report(device_id: DeviceId, package: str, code: str) -> bytes:
    """A DOWNLOAD result."""
    return contact.encode_report(Report(device_id, package, code))


def progress(device_id: DeviceId, package: str, fetched: int) -> bytes:
    """A PROGRESS."""
    return contact.encode_progress(Progress(device_id, package, fetched))


async def tell(
    desk: Desk, xml: bytes, agent: str = UNIX, address: str = "192.0.2.7", certificate: str = "", **rest: Any
) -> Any:
    """A message straight to its operation: the reply value, None for a result. `rest`: of the Caller."""
    from appliance.domain.messages import Inventory, Prolog
    from appliance.operations.answer_contact import answer_contact
    from appliance.operations.identity import Caller
    from appliance.operations.record_progress import record_progress
    from appliance.operations.record_result import record_result
    from appliance.operations.take_inventory import take_inventory

    message = contact.decode_request(xml)
    caller = Caller(agent, address, certificate, **rest)
    if isinstance(message, Prolog):
        return await answer_contact(desk, message, caller)
    if isinstance(message, Inventory):
        return await take_inventory(desk, message, caller)
    if isinstance(message, Progress):
        return await record_progress(desk, message, caller)
    assert isinstance(message, Report)
    return await record_result(desk, message, caller)
