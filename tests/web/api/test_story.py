"""A program deploys: build a package from a file, activate it, affect it by a search, read on, validate, delete."""

from __future__ import annotations

import io
import random
import tarfile

from tests.fakes.appliance import device, prolog, report, rows, until
from tests.web.api.conftest import Site, named
from tests.web.api.kit import told


def archive() -> bytes:
    """A package's file: a program that does nothing, and something beside it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in (("setup.sh", b"#!/bin/sh\nexit 0\n"), ("data", random.Random(1).randbytes(200_000))):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


ORDER = {
    "name": "Media player",
    "os": "linux",
    "action": "launch",
    "command": "setup.sh --quiet",
    "priority": 3,
    "warn": {"text": "It will be installed.", "countdown": 60, "may_delay": True},
    "done_text": "Done.",
}


def test_a_package_goes_its_whole_way_by_the_api_alone(site: Site) -> None:
    owner, server, file = site.owner, site.server, archive()
    for name in ("story-1", "story-2"):
        site.computer(name)

    # build: the form, half of the file, the connection lost, the rest, a look, the package
    draft = owner.post("/drafts", ORDER)
    at = f"/drafts/{draft['id']}"
    assert (draft["package"], draft["file"], draft["complete"]) == (None, "", False)
    assert owner.ask("POST", f"{at}/check", {"file": "player.tar.gz"}).status == 204
    assert owner.post(f"{at}/file", {"file": "player.tar.gz", "size": len(file)})["offset"] == 0
    half = len(file) // 2
    assert told(owner.ask("PUT", f"{at}/file", file[:half]))["offset"] == half
    status, _, sentence = owner.refused("PUT", f"{at}/file", file, name="player.tar.gz")
    assert (status, sentence) == (409, f"the upload goes on at byte {half}.")
    rest = {"Content-Range": f"bytes {half}-{len(file) - 1}/{len(file)}"}
    there = told(owner.ask("PUT", f"{at}/file", file[half:], rest, name="player.tar.gz"))
    assert there == {"file": "player.tar.gz", "size": len(file), "offset": len(file), "complete": True}
    look = owner.post(f"{at}/look", {"fragments": 3})
    assert (look["format"], look["size"], look["fragments"], look["fixed"]) == ("tar.gz", len(file), 3, False)
    assert look["estimate"]["seconds"] > 0
    job = owner.post(f"{at}/build", {"fragment_size": look["fragment_size"]}, wait=30)
    assert job["finished"]
    number = job["result"]["package"]
    assert owner.refused("GET", at)[0] == 404

    package, at = owner.get(f"/packages/{number}"), f"/packages/{number}"
    assert package["fragments"] == 3
    assert {name: package[name] for name in ("name", "os", "action", "command", "priority", "done_text")} == {
        name: ORDER[name] for name in ("name", "os", "action", "command", "priority", "done_text")
    }
    assert package["warn"] == {"text": "It will be installed.", "countdown": 60, "may_cancel": False, "may_delay": True}
    assert owner.patch(at, {"priority": 4, "warn": None})["warn"] is None

    # activate: a wrong address first
    wrong = {"info_url": f"127.0.0.1:{server.http}/download"}
    looked = owner.post(f"{at}/check", wrong)
    assert not looked["ok"]
    failed = next(step for step in looked["steps"] if not step["ok"])
    assert (failed["what"], failed["error"]["field"]) == ("info", "info_url")
    assert owner.refused("POST", f"{at}/activations", wrong)[:2] == (502, "info_url")
    assert owner.post(f"{at}/activations", {**wrong, "unchecked": True})["warnings"]
    assert owner.delete(f"{at}/activations") == {"count": 1}
    proposed = owner.get(f"{at}/proposals")["proposals"][0]
    here = {"info_url": proposed["info_url"], "fragment_url": proposed["fragment_url"]}
    looked = owner.post(f"{at}/check", here)
    assert looked["ok"], looked
    active = owner.post(f"{at}/activations", here)
    assert owner.get(at)["activations"][0]["id"] == active["id"]

    # affect by a search
    asked = {"selection": {"search": [[{"field": "NAME", "operator": "LIKE", "value": "story-"}]]}}
    assert owner.post(f"{at}/affect/preview", asked) == {"new": 2, "again": 0, "unchanged": 0}
    assert owner.post(f"{at}/affect", asked)["result"] == {"count": 2}
    assert server.post(prolog(device("story-1"))).status == 200
    assert server.post(report(device("story-1"), number, "SUCCESS")).status == 200

    # read on
    numbers = owner.get(f"{at}/statistics")
    assert (numbers["waiting"], numbers["success"], numbers["error"]) == (1, 1, 0)
    assert {one["status"] for one in numbers["statuses"]} == {"WAITING NOTIFICATION", "SUCCESS"}
    (waiting,) = owner.get(f"{at}/computers", stage="waiting")["computers"]
    assert (waiting["computer"], waiting["cause"]) == ("story-2", "at the next contact")
    assert owner.get(f"{at}/computers", status="SUCCESS")["computers"][0]["computer"] == "story-1"
    assert owner.get(f"{at}/progress", points=5)["points"][-1]["success"] == 1
    details = owner.post("/computers/search", {"search": named("story-1")})["computers"][0]
    assert owner.get(f"/computers/{details['id']}")["packages"][0]["status"] == "SUCCESS"
    running = [one["id"] for one in owner.get("/overview")["running"]]
    assert number in running

    # validate, delete
    assert owner.get(f"{at}/validations")["success"] == {"cleared": 1, "spared": 0}
    assert owner.post(f"{at}/validations", {"validation": "success"}) == {"count": 1}
    assert owner.post(f"{at}/unaffect", {"selection": {"computers": ["story-2"]}})["result"] == {"count": 1}
    gone = owner.get(f"{at}/deletion")
    assert (gone["fragments"], len(gone["activations"]), gone["waiting"]) == (3, 1, 0)
    assert owner.delete(at) == b""
    assert owner.refused("GET", at)[0] == 404

    # the log knows who did all that, and by which way
    entries = owner.get("/log", words=number)["entries"]
    deeds = [one["deed"] for one in reversed(entries)]
    assert deeds == [
        *("package built", "package edited", "package activated", "package unactivated", "package activated"),
        *("package affected", "statistics validated", "package unaffected", "package deleted"),
    ]
    assert {(one["actor"], one["through"]) for one in entries} == {("anna", "api")}
    assert owner.get("/log/verify")["broken_at"] is None


def test_the_file_of_an_edit_is_a_new_one(site: Site) -> None:
    owner = site.owner
    draft = owner.post("/drafts", {"name": "Tool", "os": "linux", "action": "execute", "command": "true"})
    number = owner.post(f"/drafts/{draft['id']}/build", {})["result"]["package"]
    assert owner.get(f"/packages/{number}")["size"] == 0
    edit = owner.post("/drafts", {"package": number, "description": "Now with a file."})
    assert (edit["package"], edit["form"]["name"], edit["form"]["command"]) == (number, "Tool", "true")
    assert owner.get("/drafts")["drafts"][0]["id"] == edit["id"]
    sent = owner.ask("PUT", f"/drafts/{edit['id']}/file", archive(), name="tool.tar.gz")
    assert told(sent)["complete"]
    assert owner.post(f"/drafts/{edit['id']}/build", {})["result"]["package"] == number
    after = owner.get(f"/packages/{number}")
    assert (after["description"], after["size"]) == ("Now with a file.", len(archive()))


def test_a_script_is_packed_by_the_server(site: Site) -> None:
    owner = site.owner
    assert "shell" in [one["id"] for one in owner.get("/recipes")["recipes"]]
    form = {"recipe": "shell", "script": "echo ñ", "name": "Script", "os": "linux", "action": "launch"}
    draft = owner.post("/drafts", form)
    assert owner.refused("POST", f"/drafts/{draft['id']}/build", {})[:2] == (400, "command")
    owner.patch(f"/drafts/{draft['id']}", {"command": "script.sh"})
    built = owner.post(f"/drafts/{draft['id']}/build", {})
    assert owner.get(f"/packages/{built['result']['package']}")["fragments"] == 1
    assert owner.get(f"/jobs/{built['id']}") == built
    assert built["id"] in [one["id"] for one in owner.get("/jobs")["jobs"]]


def test_a_connection_that_breaks_leaves_what_has_arrived(site: Site) -> None:
    owner, file = site.owner, archive()
    draft = owner.post("/drafts", {"name": "Broken", "os": "linux", "action": "store", "path": "/opt"})
    at, half = f"/drafts/{draft['id']}", len(file) // 2
    head = f"PUT /api/v1{at}/file?name=a.tar.gz HTTP/1.1\r\nHost: x\r\nContent-Length: {len(file)}\r\n"
    head += f"Authorization: Bearer {owner.token}\r\n\r\n"
    with site.server.connect(console=True) as link:
        link.sendall(head.encode() + file[:half])
        until(lambda: owner.get(at)["size"], "the file to be announced")
    until(lambda: owner.get(at)["offset"] == half, "what was sent")
    there = told(owner.ask("PUT", f"{at}/file", file[half:], offset=half))
    assert there["complete"]
    owner.delete(at)
    assert rows(site.data, "SELECT count(*) FROM draft WHERE id = ?", draft["id"]) == [(0,)]
