"""`ocs.pyz computer passwords`: made and shown once, listed without it, revoked; and the networks as a setting."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from tests.fakes.appliance import must, on_desk, rows, say


async def nothing(desk: object) -> None:
    """Only have the data directory made."""


def test_a_password_for_agents_is_made_listed_and_revoked(tmp_path: Path) -> None:
    data = tmp_path / "data"
    on_desk(data, nothing)
    assert must("computer", "passwords", data=data).split() == ["NAME", "MADE", "BY", "LAST", "USE"]
    said = must("computer", "passwords", "--new", "agents", data=data)
    told = dict(line.split(": ", 1) for line in said.splitlines()[:3])
    assert (told["name"], told["realm"]) == ("agents", "OCS Inventory agent area")
    assert f"password={base64.b64encode(told['password'].encode()).decode()}" in said
    assert f"/USER=agents /PWD={told['password']}" in said
    made = json.loads(must("computer", "passwords", "--new", "printers", "--json", data=data))
    assert list(made) == ["name", "password", "realm", "server", "unix", "windows"]
    listed = json.loads(must("computer", "passwords", "--json", data=data))
    assert [(one["name"], one["used_at"]) for one in listed] == [("agents", None), ("printers", None)]
    assert told["password"] not in must("computer", "passwords", data=data)
    again = say("computer", "passwords", "--new", "agents", data=data)
    assert (again.code, "revoke it, or take another name" in again.err) == (1, True)
    assert must("computer", "passwords", "--revoke", "Agents", data=data) == ""
    gone = say("computer", "passwords", "--revoke", "agents", data=data)
    assert (gone.code, "revoked already" in gone.err) == (1, True)
    assert rows(data, "SELECT name FROM agent_password") == [("printers",)]
    both = say("computer", "passwords", "--new", "a", "--revoke", "b", data=data)
    assert both.code == 2
    deeds = [entry["deed"] for entry in json.loads(must("audit", "list", "--json", data=data))]
    assert sorted(deeds) == sorted(["password for agents created"] * 2 + ["password for agents revoked"])
    assert told["password"] not in must("audit", "list", "--json", data=data)


def test_networks_are_a_setting_that_says_what_is_wrong(tmp_path: Path) -> None:
    data = tmp_path / "data"
    must("config", "set", "IDENTITY_NETWORKS", "10.0.0.0/8 2001:DB8::/32", data=data)
    assert must("config", "get", "IDENTITY_NETWORKS", data=data) == "10.0.0.0/8, 2001:db8::/32"
    said = say("config", "set", "IDENTITY_NETWORKS", "10.0.0.1/8", data=data)
    assert (said.code, "write 10.0.0.0/8, or the address alone" in said.err) == (1, True)
    assert must("config", "get", "IDENTITY_NETWORKS", data=data) == "10.0.0.0/8, 2001:db8::/32"
