"""An upload into a package beside `curl -T` to a bare handler: bench/console.py's part for large files.

Run as a program with a certificate file it is that handler: aiohttp over TLS that throws away what comes.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import ssl
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from bench.console import Row, Visitor
    from tests.fakes.appliance import Running

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.web.console.kit import ADMINISTRATOR, PASSWORD

MIB = 1024 * 1024
SLICE = 32 * MIB  # as upload.js sends them
PIECE = 256 * 1024
PAIRS = 3
WANTED = 0.5
LOOK = 0.02


def measure(server: Running, visitor: Visitor, scratch: Path, size: int, row: type[Row]) -> list[Row]:
    """Seconds from the form to the built package, in turn with curl; so many MiB of random bytes."""
    archive = scratch / "large.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed, packed.open("blob", "w", force_zip64=True) as out:
        for _ in range(size):
            out.write(os.urandom(MIB))
    if not shutil.which("curl"):
        print("curl is not installed: no upload is measured", file=sys.stderr)
        return []
    ours, theirs = [], []
    with bare(server, scratch) as url:
        for number in range(PAIRS):
            theirs.append(curl(archive, url, scratch))
            visitor.connect()
            begun = time.perf_counter()
            send(visitor, archive, f"large {number}")
            ours.append(time.perf_counter() - begun)
    browsed = from_browser(server, archive, scratch)
    return [
        row("curl -T to a handler that throws it away", 1000 * statistics.median(theirs), None),
        row(f"upload of {size} MiB to the built package", 1000 * statistics.median(ours), None),
        row("upload: its part of curl's speed", _ratio(theirs, ours), WANTED, "", at_least=True),
        *(row("upload: the same from Chromium", 1000 * one, None) for one in browsed),
        *(
            row("upload: its part of curl's speed", statistics.median(theirs) / one, WANTED, "", True)
            for one in browsed
        ),
    ]


def _ratio(theirs: list[float], ours: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(theirs, ours, strict=True))


def send(visitor: Visitor, archive: Path, name: str) -> str:
    """What upload.js and the forms behind it do: the id of the package."""
    size = archive.stat().st_size
    form = {"name": name, "os": "WINDOWS", "protocol": "HTTP", "priority": "5", "action": "STORE", "path": "C:\\large"}
    fields = [*form.items(), ("file-name", archive.name), ("file-size", str(size))]
    status, _, text = visitor.ask("POST", "/packages/build", fields, Accept="application/json")
    assert status == 200, text
    draft, offset = json.loads(text)["address"], 0
    with archive.open("rb") as file:
        while offset < size:
            data = file.read(SLICE)
            offset = json.loads(visitor.send(f"{draft}/file?offset={offset}", memoryview(data)))["offset"]
    _done(visitor, f"{draft}/ready", [])
    place = _done(visitor, f"{draft}/build", [("fragment-size", "16M")])
    return place.rpartition("/")[2]


def from_browser(server: Running, archive: Path, scratch: Path) -> list[float]:
    """Seconds from the click on Send to the built package, in Debian's Chromium; nothing where that is missing."""
    try:
        from tests.whole.browser.kit import chromium
    except ImportError:
        return []
    if not shutil.which("chromium"):
        return []
    with chromium(scratch) as browser:
        page = browser.new_context(
            base_url=f"https://127.0.0.1:{server.console}", ignore_https_errors=True, locale="en-GB"
        ).new_page()
        page.set_default_timeout(600_000)
        page.goto("/sign-in")
        page.fill("[name=name]", ADMINISTRATOR)
        page.fill("[name=password]", PASSWORD)
        page.click("main form:has([name=password]) button")
        page.wait_for_url(lambda url: "/sign-in" not in url)
        page.goto("/packages/build")
        page.fill("#package [name=name]", "large, from a browser")
        page.select_option("#package [name=os]", "WINDOWS")
        page.select_option("#package [name=action]", "STORE")
        page.fill("#package [name=path]", "C:\\large")
        page.set_input_files("#package [name=file]", archive)
        begun = time.perf_counter()
        page.click("#send")
        page.click("main form[action$='/build'] button")
        page.wait_for_url(lambda url: re.search(r"/packages/\d{10}$", url) is not None)
        return [time.perf_counter() - begun]


def _done(visitor: Visitor, path: str, fields: list[tuple[str, str]]) -> str:
    status, place, text = visitor.ask("POST", path, fields)
    while status == 303 and place.startswith("/jobs/"):
        time.sleep(LOOK)
        job = place
        status, place, text = visitor.ask("GET", job)
        if status == 200:
            assert "alert-danger" not in text, text
            status, place = 303, job
    assert status == 303, text
    return place


def in_pieces(body: memoryview) -> Iterator[memoryview]:
    """A body as it goes into the connection."""
    return (body[begin : begin + PIECE] for begin in range(0, len(body), PIECE))


# The opponent


def curl(archive: Path, url: str, scratch: Path) -> float:
    """Seconds of one PUT."""
    begun = time.perf_counter()
    command = ["curl", "-sS", "--fail", "--cacert", str(scratch / "ca.pem"), "-T", str(archive), url]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


@contextmanager
def bare(server: Running, scratch: Path) -> Iterator[str]:
    """The handler in a process of its own, with the server's certificate: its address."""
    from tests.fakes.appliance import rows

    ((certificate, key),) = rows(server.data, "SELECT certificate, private_key FROM credential WHERE name = 'server'")
    (scratch / "bare.pem").write_text(certificate + key)
    (scratch / "ca.pem").write_text(server.authority)
    process = subprocess.Popen([sys.executable, __file__, str(scratch / "bare.pem")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"https://127.0.0.1:{process.stdout.readline().strip()}/"
    finally:
        process.terminate()
        process.wait(20)


async def _serve(certificate: str) -> None:
    async def put(request: web.Request) -> web.Response:
        async for _ in request.content.iter_any():
            pass
        return web.Response(text="gone\n")

    app = web.Application(client_max_size=0)
    app.router.add_put("/{name:.*}", put)
    runner = web.AppRunner(app)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    site: Any = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
