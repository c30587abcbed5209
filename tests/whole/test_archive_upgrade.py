"""The server's file is replaced by a newer one while a computer is in the middle of a download. Source: F32."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.processes import must_start
from tests.pythons import interpreters
from tests.whole.archive import pack_with_its_seal, unpack_into_memory
from tests.whole.computers import Computer
from tests.whole.site import CLEAN, WAIT, Site, cache_folder, noise, script, targz, until

FRAGMENTS = 10
SIZE = 64 * 1024


@contextmanager
def serving(pyz: Path, folder: Path, ports: tuple[int, int, int] = (0, 0, 0)) -> Iterator[Site]:
    """As `site`, at ports that the next one can have again."""
    words = ["serve", "--data", str(folder / "data"), "--listen", "127.0.0.1", "--server-name", "127.0.0.1"]
    for name, port in zip(("http", "https", "console"), ports, strict=True):
        words += [f"--{name}-port", str(port)]
    env = {**CLEAN, "HOME": str(folder), "OCS_CACHE": str(cache_folder())}
    with (folder / "server.log").open("ab") as log:
        server = subprocess.Popen([sys.executable, pyz, *words], env=env, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert server.stdout is not None
            urls = [server.stdout.readline().split() for _ in range(3)]
            assert all(urls), (folder / "server.log").read_text()
            yield Site(pyz, folder, [line[1] for line in urls], server.stdout)
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(15) == 0


def newer(pyz: Path, target: Path) -> Path:
    """The same file of a later version."""
    contents = unpack_into_memory(pyz)
    name = "site-packages/appliance/__init__.py"
    contents[name] = re.sub(rb'__version__ = ".*"', b'__version__ = "99.1"', contents[name])
    pack_with_its_seal(contents, target)
    return target


def test_a_download_goes_on_where_it_was_when_the_server_was_upgraded_meanwhile(pyz: Path, tmp_path: Path) -> None:
    blob = noise(FRAGMENTS * SIZE - 10_000)
    archive = targz(tmp_path / "package.tar.gz", {"setup.sh": script("exit 0"), "blob": blob})
    with serving(pyz, tmp_path) as old:
        ports = tuple(urlsplit(url).port or 0 for url in (old.http, old.https, old.console))
        old.hurry()
        computer = Computer(old, interpreters()[0][1], "pc")
        package = computer.build(
            "large", "--action", "launch", "--file", str(archive), "--fragment-size", str(SIZE), "--command", "setup.sh"
        )
        computer.announce(package)
        computer.set("DOWNLOAD_FRAG_LATENCY", 1)  # so that there is a middle
        agent = computer.start()
        folder = computer.spool / package
        until(lambda: True if folder.is_dir() and len(whole(folder)) >= 4 else None, "some fragments are there")
        before = fetch(old, package)
    time.sleep(1.5)  # the agent goes on, and meets nobody
    assert agent.poll() is None
    with serving(newer(pyz, tmp_path / "newer.pyz"), tmp_path, ports) as new:  # type: ignore[arg-type]
        assert must_start([sys.executable, new.pyz, "--version"]) == "ocs.pyz 99.1\n"
        assert (new.http, new.https) == (old.http, old.https)
        assert fetch(new, package) == before
        agent.communicate(timeout=WAIT)
        computer.site = new
        until(lambda: True if computer.ended(package) else (computer.contact() and None), "the package has ended")
        assert computer.outcome(package) == ("SUCCESS", "SUCCESS")
        log = new.log()
    numbers = [int(n) for n in re.findall(rf" GET /download/{package}/{package}-(\d+) 20[06] ", log)]
    assert set(numbers) == set(range(1, FRAGMENTS + 1))
    assert len(numbers) <= FRAGMENTS + 1 + 2  # the one that was under way, and this test's own two looks
    assert "Traceback" not in log


def whole(folder: Path) -> list[str]:
    """The fragments that are there."""
    return [name for name in os.listdir(folder) if re.fullmatch(r"\d+-\d+", name)]


def fetch(site: Site, package: str) -> bytes:
    """A fragment, as anybody may fetch it."""
    url = site.http.replace("/ocsinventory", f"/download/{package}/{package}-7")
    with urllib.request.urlopen(url, timeout=WAIT) as answer:
        content: bytes = answer.read()
    return content
