"""Nobody but SQLite opens the database's file in the server: closing it a second time would drop SQLite's locks."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from appliance.web.console.routes import routes
from tests.fakes.appliance import build, device, inventory, must, prolog, report, serving, until
from tests.web.console import walk
from tests.web.console.conftest import Console
from tests.web.console.kit import Browser

WATCH = """
import os, sys
def watch(event, values):
    name = os.fsdecode(values[0]) if values and isinstance(values[0], (str, bytes)) else ""
    # of the log SQLite locks nothing, and of the sums it does not know
    if event in ("open", "sqlite3.connect") and "/data/ocs.sqlite" in name and not name.endswith(("-wal", "-sums")):
        os.write(2, f"{event} of the database\\n".encode())
sys.addaudithook(watch)
"""


def test_whatever_is_asked_of_a_server_nothing_but_sqlite_opens_the_file(prepared: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(prepared, tmp_path / "data"))
    (tmp_path / "kept").mkdir()
    must("config", "set", "BACKUP_FOLDER", str(tmp_path / "kept"), data=data)
    with serving(data, first=WATCH) as server:
        console = Console(server, Browser(server).sign_in())
        site = walk.furnish(console)
        line = walk.Line(server)
        for route in routes():
            if route.method == "GET":
                line.ask("GET", site.path(route), console.browser.cookies)
        line.close()
        package = build(data, "another")
        for message in (inventory(device("pc-1")), prolog(device("pc-1")), report(device("pc-1"), package, "SUCCESS")):
            assert server.post(message).status == 200
        until(lambda: list((tmp_path / "kept").glob("*.tar.zst")), "its own backup is made")
        seen = re.findall(r"^(\S+) of the database$", server.log.read_text(), re.M)
    assert "sqlite3.connect" in seen, "the watch sees"
    assert "open" not in seen[seen.index("sqlite3.connect") :], "before SQLite has it there is no lock to drop"
