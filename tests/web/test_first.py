"""What a server prints when it starts: three listeners, and while nobody has an account, where to make the first."""

from __future__ import annotations

import re
from pathlib import Path

from appliance.operations.accounts import create_first, first_is_open, list_users
from tests.fakes.appliance import Running, on_desk, rows, serving

PASSWORD = "correct horse battery"


def rest_of(running: Running) -> str:
    """What it printed after the three lines, once it has stopped."""
    assert running.process.stdout is not None
    running.stop()
    return running.process.stdout.read()


def test_without_a_user_the_fourth_line_is_the_one_time_address_of_the_console(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data) as running:
        assert [line.split()[0] for line in running.lines] == ["agents", "agents", "console"]
        fourth = re.fullmatch(r"first    (\S+)first/([A-Za-z0-9_-]{43})\n", rest_of(running))
    assert fourth
    assert fourth.group(1) == running.lines[2].split()[1]
    secret = fourth.group(2)
    assert on_desk(data, first_is_open, secret)
    assert secret not in str(rows(data, "SELECT * FROM runtime"))
    with serving(data) as running:
        again = rest_of(running)
    assert again.startswith("first ")
    assert secret not in again
    assert not on_desk(data, first_is_open, secret)
    on_desk(data, create_first, again.split("/")[-1].strip(), "ana", PASSWORD)
    assert [account.name for account in on_desk(data, list_users)] == ["ana"]
    with serving(data) as running:
        assert rest_of(running) == ""


def test_the_secret_of_the_one_time_address_is_in_no_log(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as running:
        assert running.process.stdout is not None
        path = "/first/" + running.process.stdout.readline().strip().rpartition("/")[2]
        assert running.ask("GET", path, console=True).status == 200
        assert running.stop() == 0
        log = running.log.read_text()
    assert "GET /first/* 200" in log
    assert path not in log
