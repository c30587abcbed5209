"""A server that writes nothing any more: since the disk failed under it, or over a damaged database. It says so.

Agents' downloads go on, pages are read, whatever would change something is refused in one sentence. Source:
security.md F13, F21.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.fakes.appliance import (
    Running,
    build,
    command,
    device,
    environment,
    inventory,
    must,
    on_desk,
    prolog,
    rows,
    serving,
    until,
)
from tests.fakes.archives import targz_of
from tests.web.console.conftest import _first_steps
from tests.web.console.kit import Browser

FAILS = "trace=fsync,fdatasync", "inject=fsync,fdatasync:error=EIO"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """With an administrator, and an activated package of one fragment."""
    data = tmp_path / "data"
    on_desk(data, _first_steps)
    (tmp_path / "p.tar.gz").write_bytes(targz_of({"hello": b"good day"}))
    words = ("--action", "store", "--path", "/opt/x", "--file", tmp_path / "p.tar.gz")
    package = build(data, "one", *words)
    must("package", "activate", package, "--unchecked", data=data)
    return data


def fragment(data: Path) -> str:
    package = rows(data, "SELECT id FROM package")[0][0]
    return f"/download/{package}/{package}-1"


@contextmanager
def failing_disk(server: Running, log: Path) -> Iterator[None]:
    """Every fsync of that process fails with EIO."""
    line = ["strace", "-f", "-qq", "-e", FAILS[0], "-e", FAILS[1], "-o", log, "-p", str(server.process.pid)]
    with subprocess.Popen([str(word) for word in line]) as tracer:
        try:
            status = Path(f"/proc/{server.process.pid}/task")
            until(
                lambda: all("TracerPid:\t0" not in (one / "status").read_text() for one in status.iterdir()),
                "strace holds all threads",
            )
            yield
        finally:
            tracer.terminate()
            tracer.wait(30)


def digests(data: Path) -> dict[str, str]:
    """Of all that is kept; what SQLite keeps in memory beside it is no data, and an empty log neither."""
    return {
        str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(data.rglob("*"))
        if path.is_file() and path.suffix != ".sqlite-shm" and (path.suffix != ".sqlite-wal" or path.stat().st_size)
    }


def test_after_a_commit_that_the_disk_lost_everything_is_read_and_nothing_written_until_a_new_start(
    data: Path, tmp_path: Path, need_peer: Callable[[str], None]
) -> None:
    need_peer("strace")
    with serving(data) as server:
        browser = Browser(server).sign_in()
        assert server.post(inventory(device("before"))).status == 200
        with failing_disk(server, tmp_path / "strace.log"):
            lost = server.post(inventory(device("lost")))
            assert (lost.status, lost.line) == (503, "the server cannot use its data now; its log says why")
        # the disk is well again, and is not trusted
        assert server.post(inventory(device("after"))).status == 503
        assert server.post(prolog(device("before"))).status == 503
        health = server.get("/healthz")
        assert (health.status, health.line) == (503, "nothing can be written; the server's log says why")
        assert server.get(fragment(data)).status == 200
        page = browser.get("/computers")
        assert "BEFORE" in page.text.upper()
        assert "LOST" not in page.text.upper()
        assert "so nothing is written any more; look at the disk, then start the server anew." in page.text
        refused = browser.get("/groups/new").submit("Create", name="new")
        assert (refused.status, "nothing is written any more" in refused.text) == (503, True)
        assert server.log.read_text().count("so nothing is written any more") >= 1
        assert server.log.read_text().count(" CRITICAL ") == 1
        assert "EIO" in (tmp_path / "strace.log").read_text()
    with serving(data) as server:
        assert server.get("/healthz").status == 200
        assert server.post(inventory(device("after"))).status == 200
    names = {name for (name,) in rows(data, "SELECT device_id FROM computer")}
    assert {device("before"), device("after")} <= names


def break_inventories(data: Path) -> None:
    """Overwrite the root page of the table of inventories' rows, which no start needs."""
    with closing(sqlite3.connect(data / "ocs.sqlite")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'computer'").fetchone()
    with (data / "ocs.sqlite").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(os.urandom(4096))


def test_over_a_damaged_database_a_rescue_serves_what_can_be_read_and_changes_no_byte(data: Path) -> None:
    with serving(data) as server:
        browser = Browser(server).sign_in()
        assert server.post(inventory(device("before"))).status == 200
    wanted = fragment(data)
    break_inventories(data)
    refused = subprocess.run(
        command("serve", "--data", data), capture_output=True, text=True, env=environment(), timeout=60
    )
    assert refused.returncode == 1
    assert "`ocs.pyz serve --rescue` serves what can be read" in refused.stderr
    before = digests(data)
    with serving(data, "--rescue") as server:
        assert "is only read, since the server runs to rescue" in server.log.read_text()
        for secure in (False, True):
            assert server.get(wanted, secure=secure).status == 200
        assert server.get("/cacert.pem", secure=True).status == 200
        info = server.get(wanted.rpartition("/")[0] + "/info", secure=True)
        assert info.status == 200
        assert server.get("/healthz").status == 503
        for message in (inventory(device("before")), prolog(device("before")), inventory(device("new"))):
            assert server.post(message).status == 503
        again = Browser(server)
        again.cookies.update(browser.cookies)
        page = again.get("/packages")
        assert "one" in page.text
        assert "is only read, since the server runs to rescue what is there" in page.text
        broken = again.get("/computers")
        assert "is damaged" in broken.text
        time.sleep(1)
    assert digests(data) == before


def test_a_rescue_over_what_is_no_database_ends_in_one_sentence(data: Path, tmp_path: Path) -> None:
    (data / "ocs.sqlite").write_bytes(os.urandom(40_960))
    for name in ("-wal", "-shm"):
        Path(f"{data / 'ocs.sqlite'}{name}").unlink(missing_ok=True)
    done = subprocess.run(
        command("serve", "--rescue", "--data", data), capture_output=True, text=True, env=environment(), timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "ocs.pyz restore FILE --replace" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_rescue_over_nothing_makes_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        command("serve", "--rescue", "--data", tmp_path / "none"),
        capture_output=True, text=True, env=environment(), timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert not (tmp_path / "none").exists()
