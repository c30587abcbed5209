"""A server on a disk that others filled to its last byte: agents are served, and room is made from the console."""

from __future__ import annotations

import contextlib
import hashlib
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.store.ballast import SIZE
from tests.fakes.appliance import (
    build,
    device,
    inventory,
    must,
    on_desk,
    prolog,
    report,
    rows,
    say,
    serving,
    until,
)
from tests.fakes.archives import targz_of
from tests.web.api.conftest import _token
from tests.web.api.kit import Client
from tests.web.console.conftest import prepared
from tests.web.console.kit import ADMINISTRATOR, Browser

__all__ = ["prepared"]

MIB = 1024**2
OFTEN = "from appliance.operations import room; room.LOOK_SECONDS = 0.2"


@pytest.fixture
def disk(tmp_path: Path, can_leave_out: Callable[[str], None]) -> Iterator[Path]:
    """A file system of its own, of 192 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount = ["mount", "-t", "tmpfs", "-o", "size=192m,mode=0700", "tmpfs", str(folder)]
        subprocess.run(mount, check=True, capture_output=True)
    except (subprocess.CalledProcessError, FileNotFoundError):
        can_leave_out("a small file system can only be mounted as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def on(disk: Path, prepared: Path, folder: Path) -> Path:
    """The data directory on that disk; what the server says goes elsewhere."""
    shutil.copytree(prepared, disk / "data")
    (folder / "data").symlink_to(disk / "data")
    return folder / "data"


def fill(disk: Path) -> Path:
    """Somebody else takes all that is left."""
    path = disk / "of somebody else"
    with contextlib.suppress(OSError), path.open("ab", buffering=0) as file:
        for size in (MIB, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    assert shutil.disk_usage(disk).free < 4096
    return path


def test_agents_are_served_uploads_and_builds_are_refused_and_room_is_made_from_the_console(
    prepared: Path, disk: Path, tmp_path: Path
) -> None:
    data = on(disk, prepared, tmp_path)
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(targz_of({"data.bin": random.Random(7).randbytes(20 * MIB)}))
    words = ("--action", "store", "--path", "/x", "--file", archive)
    package, needed = build(data, "old", *words), build(data, "needed", *words)
    for one in (package, needed):
        must("package", "activate", one, "--unchecked", data=data)
    token = on_desk(data, _token, ADMINISTRATOR)
    path = f"/download/{needed}/{needed}-1"
    first = hashlib.sha256((data / "fragments" / needed / f"{needed}-1").read_bytes()).digest()
    acknowledged = []

    with serving(data, first=OFTEN) as server:
        ballast = data / "ballast"
        until(ballast.exists, "room is held")
        assert (ballast.stat().st_size, ballast.stat().st_mode & 0o777) == (SIZE, 0o600)
        assert server.post(inventory(device("pc-1"))).status == 200
        must("package", "affect", needed, "--all", data=data)
        filler = fill(disk)
        until(lambda: not ballast.exists(), "the room is given back")

        # agents
        for n in range(40):
            answer = server.post(inventory(device(f"new-{n}")))
            assert answer.status == 200, answer
            acknowledged.append(f"new-{n}")
        assert server.post(prolog(device("pc-1"))).status == 200
        assert server.post(report(device("pc-1"), needed, "SUCCESS")).status == 200
        assert hashlib.sha256(server.get(path).body).digest() == first
        assert server.get(f"/download/{needed}/info", secure=True).status == 200
        assert server.get("/healthz").status == 200

        # uploads, builds, backups
        client = Client(server, token)
        draft = client.post("/drafts", {"name": "new", "os": "linux", "action": "store", "path": "/x"})
        status, field, sentence = client.refused(
            "POST", f"/drafts/{draft['id']}/file", {"file": "a.tar.gz", "size": 20 * MIB}
        )
        assert (status, field) == (413, "file")
        assert "on the server's disk" in sentence
        refused = say("package", "build", "--name", "third", "--os", "linux", *map(str, words), data=data)
        assert (refused.code != 0, "on the server's disk" in refused.err) == (True, True), refused
        assert say("backup", disk / "b.tar.zst", data=data).code != 0

        # room is made
        browser = Browser(server).sign_in()
        browser.get(f"/packages/{package}/delete").submit("Delete")
        assert browser.status == 200, browser.text
        assert rows(data, "SELECT count(*) FROM package") == [(1,)]
        assert not (data / "fragments" / package).exists()
        assert shutil.disk_usage(disk).free > 19 * MIB
        filler.unlink()
        until(ballast.exists, "room is held again")
        assert client.post(f"/drafts/{draft['id']}/file", {"file": "a.tar.gz", "size": 20 * MIB})["offset"] == 0
        client.close()
    look(data, acknowledged)


def test_a_disk_that_stays_full_costs_refusals_and_no_acknowledged_row(
    prepared: Path, disk: Path, tmp_path: Path
) -> None:
    data = on(disk, prepared, tmp_path)
    acknowledged = []
    with serving(data) as server:
        filler = fill(disk)
        said = [("SOFTWARES", {"NAME": f"program {m} {'x' * 200}"}) for m in range(500)]
        for n in range(60):
            answer = server.post(inventory(device(f"new-{n}"), ("HARDWARE", {"NAME": f"new-{n}"}), *said))
            assert answer.status in (200, 503), answer
            if answer.status == 200:
                acknowledged.append(f"new-{n}")
        assert len(acknowledged) < 60, "the disk was full"
        assert server.get("/healthz").status == 200
        server.process.kill()
    refused = say("config", "get", data=data)
    assert "Traceback" not in refused.err
    filler.unlink()
    with serving(data) as server:
        assert server.post(inventory(device("after"))).status == 200
    look(data, [*acknowledged, "after"])


def look(data: Path, acknowledged: list[str]) -> None:
    """Nothing is damaged, and everything is there that was said to be."""
    assert rows(data, "PRAGMA integrity_check") == [("ok",)]
    assert {row[0] for row in rows(data, "SELECT name FROM computer")} >= set(acknowledged)
    assert say("check", data=data).code == 0, say("check", data=data)
