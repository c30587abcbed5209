"""What each family of addresses does; every answer is held against its schema on the way (kit.py)."""

from __future__ import annotations

import json

import pytest

from appliance.domain.tempo import KNOBS
from appliance.trust import onetime
from appliance.wire import basic, envelope
from appliance.wire.basic import Credentials
from tests.fakes.appliance import build, device, must, prolog, rows
from tests.web.api.conftest import ELSEWHERE, TAG, Site, named
from tests.web.api.kit import Client, told
from tests.web.console.kit import ADMINISTRATOR, PASSWORD, Browser

ALL_DEBIAN = [[{"field": "OSNAME", "operator": "LIKE", "value": "Debian"}]]


def chosen(*names: str) -> dict[str, object]:
    return {"selection": {"computers": list(names)}}


# The command line's keys


def without(document: object, *keys: str) -> object:
    """A document without keys that only the API has."""
    if isinstance(document, list):
        return [without(one, *keys) for one in document]
    if isinstance(document, dict):
        return {name: without(value, *keys) for name, value in document.items() if name not in keys}
    return document


def test_the_keys_are_those_of_the_command_line(site: Site) -> None:
    owner, data = site.owner, site.data
    number = site.computer("keys", SMODEL="Model")
    package = build(data, "Keys", "--warn-text", "Wait")
    must("package", "activate", package, "--unchecked", data=data)
    must("group", "create", "Keys", "--search", "NAME = keys", data=data)
    owner.post(f"/packages/{package}/affect", {"selection": {"group": "Keys"}})

    def cli(*words: str) -> object:
        return json.loads(must(*words, "--json", data=data))

    assert owner.get(f"/packages/{package}") == cli("package", "show", package)
    assert owner.get("/packages")["packages"] == cli("package", "list")
    statistics = owner.get(f"/packages/{package}/statistics")
    computers = owner.get(f"/packages/{package}/computers")["computers"]
    said = cli("package", "stats", package)
    assert isinstance(said, dict)
    assert without(statistics, "statuses") == without(said, "computers")
    assert without(computers, "why", "cause", "stage", "group") == without(said["computers"], "why")
    shown = owner.get(f"/computers/{number}")
    new = ("id", "groups", "why", "cause", "stage", "group")
    assert without(shown, *new) == without(cli("computer", "show", "keys"), "id", "why")
    listed = cli("computer", "list", "--search", "NAME = keys")
    assert without(owner.post("/computers/search", {"search": named("keys")})["computers"], "id") == listed
    assert owner.get("/groups")["groups"] == cli("group", "list")
    group = next(one["id"] for one in owner.get("/groups")["groups"] if one["name"] == "Keys")
    assert owner.get(f"/groups/{group}") == without(cli("group", "show", "Keys"), "computers")
    assert owner.get(f"/groups/{group}/why/{number}") == cli("group", "why", "Keys", "keys")
    users = owner.get("/users")["users"]
    assert without(users, "id", "blocked_till") == cli("user", "list")
    assert owner.get("/account/tokens")["tokens"] == cli("user", "tokens", ADMINISTRATOR)
    settings = owner.get("/settings")["settings"]
    same = ("name", "value", "origin", "default")
    assert [{name: one[name] for name in same} for one in settings] == cli("config", "get")
    before, certificates = cli("tls", "show"), owner.get("/certificates")
    # the days that are left may become one fewer between the two
    assert without(certificates, "request", "requested_at") in (before, cli("tls", "show"))


# Computers


def test_computers_are_paged_sorted_and_filtered(site: Site) -> None:
    for name, system in (("page-a", "Debian"), ("page-b", "Fedora"), ("page-c", "Debian")):
        site.computer(name, OSNAME=system)
    first = site.owner.get("/computers", q="page-", size=2, sort="NAME", descending="true")
    assert (first["total"], first["pages"]) == (3, 2)
    assert [one["computer"] for one in first["computers"]] == ["page-c", "page-b"]
    second = site.owner.get("/computers", q="page-", size=2, page=2, descending="true")
    assert [one["computer"] for one in second["computers"]] == ["page-a"]
    found = site.owner.post("/computers/search", {"search": ALL_DEBIAN, "q": "page-"})
    assert [one["computer"] for one in found["computers"]] == ["page-a", "page-c"]


def test_a_result_is_exported_whole_by_column(site: Site) -> None:
    number = site.computer("export-1")
    site.owner.patch(f"/computers/{number}", {"account": {"ROOM": "B 12"}})
    wanted = {"search": named("export-1"), "columns": ["NAME", "ACCOUNT.ROOM", "LASTCONTACT"]}
    (row,) = site.owner.post("/computers/export", wanted)
    assert (row["NAME"], row["ACCOUNT.ROOM"]) == ("export-1", "B 12")
    assert row["LASTCONTACT"].endswith("Z")
    assert site.owner.post("/computers/export", {"search": named("nobody")}) == []
    assert len(site.owner.post("/computers/export")) == site.owner.get("/computers")["total"]
    assert site.owner.refused("POST", "/computers/export", {"columns": ["NOTHING"]})[:2] == (400, "columns")


def test_a_user_sees_and_changes_its_own_computers_only(site: Site) -> None:
    mine, other = site.computer("mine-1"), site.computer("other-1", ELSEWHERE)
    assert site.user.post("/computers/search", {"search": named("other-1")})["total"] == 0
    assert site.user.get(f"/computers/{mine}")["computer"] == "mine-1"
    assert site.user.refused("GET", f"/computers/{other}")[0] == 404
    assert {row["TAG"] for row in site.user.post("/computers/export", {"columns": ["NAME", "TAG"]})} == {TAG}
    hidden = site.owner.post("/groups", {"name": "hidden"})["id"]
    seen = site.owner.post("/groups", {"name": "seen", "visible": True})["id"]
    assert site.user.refused("GET", f"/groups/{hidden}")[0] == 404
    assert "hidden" not in [one["name"] for one in site.user.get("/groups")["groups"]]
    assert site.user.post(f"/groups/{seen}/members/add", {"selection": {"ids": [mine]}}) == {"count": 1}
    assert site.user.refused("POST", f"/groups/{seen}/members/add", {"selection": {"ids": [other]}})[0] == 403
    assert site.user.post(f"/groups/{seen}/members/remove", chosen("mine-1")) == {"count": 1}
    assert site.user.refused("POST", f"/groups/{seen}/members/add", {"selection": {"group": hidden}})[0] == 404


def test_a_computer_is_changed_and_deleted(site: Site) -> None:
    number = site.computer("change-1")
    changed = site.owner.patch(f"/computers/{number}", {"tag": ELSEWHERE, "account": {"FLOOR": "3"}})
    assert changed["tag"] == ELSEWHERE
    assert site.owner.get(f"/computers/{number}")["account"] == {"TAG": ELSEWHERE, "FLOOR": "3"}
    site.owner.patch(f"/computers/{number}", {"account": {"FLOOR": ""}})
    assert site.owner.get(f"/computers/{number}")["account"] == {"TAG": ELSEWHERE}
    site.owner.delete(f"/computers/{number}")
    assert site.owner.refused("GET", f"/computers/{number}")[0] == 404


@pytest.mark.parametrize("way", ["ids", "computers", "search", "group"])
def test_many_are_deleted_however_they_were_chosen(site: Site, way: str) -> None:
    numbers = [site.computer(f"gone-{way}-{n}") for n in (1, 2)]
    group = site.owner.post("/groups", {"name": f"gone {way}"})["id"]
    site.owner.post(f"/groups/{group}/members/add", {"selection": {"ids": numbers}})
    selection: object = {
        "ids": numbers,
        "computers": [f"gone-{way}-1", f"gone-{way}-2"],
        "search": [[{"field": "NAME", "operator": "LIKE", "value": f"gone-{way}"}]],
        "group": group,
    }[way]
    before = site.owner.get("/computers")["total"]
    assert site.owner.post("/computers/delete", {"selection": {way: selection}})["result"] == {"count": 2}
    assert site.owner.get("/computers")["total"] == before - 2


@pytest.mark.parametrize("selection", [{"ids": []}, {"computers": []}, {"all": False}, {"group": ""}])
def test_nobody_is_never_everybody(site: Site, selection: object) -> None:
    site.computer("stays-1")
    before = site.owner.get("/computers")["total"]
    assert site.owner.ask("POST", "/computers/delete", {"selection": selection}).status in (400, 404)
    assert site.owner.get("/computers")["total"] == before


# Groups and searches


def test_a_dynamic_group_and_who_is_in(site: Site) -> None:
    owner, number = site.owner, site.computer("dynamic-1")
    search = [[{"field": "NAME", "operator": "LIKE", "value": "dynamic-"}]]
    group = owner.post("/groups", {"name": "Dynamic", "search": search, "description": "by name"})
    at = f"/groups/{group['id']}"
    assert (group["kind"], group["search"]) == ("dynamic", search)
    assert [one["computer"] for one in owner.get(f"{at}/members")["computers"]] == ["dynamic-1"]
    why = owner.get(f"{at}/why/{number}")
    assert (why["member"], why["search"][0][0]["here"]) == (True, ["dynamic-1"])
    assert owner.post(f"{at}/members/remove", chosen("dynamic-1")) == {"count": 1}
    assert [one["computer"] for one in owner.get(at)["left_out"]] == ["dynamic-1"]
    assert owner.post(f"{at}/members/free", chosen("dynamic-1")) == {"count": 1}
    assert owner.patch(at, {"name": "Dynamic, too", "visible": True})["name"] == "Dynamic, too"
    assert owner.refused("PATCH", at, {"name": "Dynamic, too" * 30})[:2] == (400, "name")
    owner.delete(at)
    assert owner.refused("GET", at)[0] == 404


def test_a_package_affected_to_a_group_reaches_its_members(site: Site) -> None:
    owner = site.owner
    site.computer("grouped-1")
    group = owner.post("/groups", {"name": "Grouped"})["id"]
    owner.post(f"/groups/{group}/members/add", chosen("grouped-1"))
    package = build(site.data, "Grouped")
    asked = {"selection": {"group": group}, "post_command": "REBOOT"}
    assert owner.post(f"/packages/{package}/affect", asked)["result"] == {"count": 1}
    assert owner.get(f"/groups/{group}")["packages"][0]["post_command"] == "REBOOT"
    assert owner.get(f"/packages/{package}/computers")["computers"][0]["group"] == "Grouped"
    assert owner.get(f"/packages/{package}/deletion")["groups"] == ["Grouped"]
    status, field, _ = owner.refused("POST", f"/packages/{package}/affect", {**asked, "force": True})
    assert (status, field) == (400, "force")


def test_searches_are_kept_and_what_can_be_asked_is_told(site: Site) -> None:
    owner = site.owner
    kept = owner.post("/searches", {"name": "Debian", "search": ALL_DEBIAN})
    assert owner.refused("POST", "/searches", {"name": "debian", "search": []})[0] == 409
    assert owner.post("/searches", {"name": "debian", "search": [], "replace": True})["id"] == kept["id"]
    assert site.user.get(f"/searches/{kept['id']}")["search"] == []
    assert kept["id"] in [one["id"] for one in site.user.get("/searches")["searches"]]
    owner.delete(f"/searches/{kept['id']}")
    assert owner.refused("GET", f"/searches/{kept['id']}")[0] == 404
    fields = {one["field"]: one["operators"] for one in site.user.get("/searches/fields")["fields"]}
    assert "LIKE" in fields["OSNAME"]
    assert fields["GROUP"] == ["BELONG", "DONTBELONG"]


# Settings


def test_settings_for_all_for_a_group_for_one_and_for_many(site: Site) -> None:
    owner, number = site.owner, site.computer("settings-1")
    group = owner.post("/groups", {"name": "Settings"})["id"]
    owner.post(f"/groups/{group}/members/add", chosen("settings-1"))

    def latency(address: str) -> tuple[str, str, str]:
        found = {one["name"]: one for one in owner.get(f"{address}/settings")["settings"]}["DOWNLOAD_CYCLE_LATENCY"]
        return found["value"], found["origin"], found["own"]

    owner.patch("/settings", {"DOWNLOAD_CYCLE_LATENCY": 50})
    assert latency("") == ("50", "everywhere", "50")
    owner.patch(f"/groups/{group}/settings", {"DOWNLOAD_CYCLE_LATENCY": "40"})
    assert latency(f"/groups/{group}") == ("40", "group Settings", "40")
    assert latency(f"/computers/{number}") == ("40", "group Settings", "")
    owner.patch(f"/computers/{number}/settings", {"DOWNLOAD_CYCLE_LATENCY": 30})
    assert latency(f"/computers/{number}") == ("30", "computer", "30")
    many = {**chosen("settings-1"), "settings": {"DOWNLOAD_CYCLE_LATENCY": None}}
    assert owner.post("/computers/settings", many) == {"count": 1}
    owner.patch(f"/groups/{group}/settings", {"DOWNLOAD_CYCLE_LATENCY": None})
    owner.patch("/settings", {"DOWNLOAD_CYCLE_LATENCY": None})
    assert latency(f"/computers/{number}") == ("60", "default", "")
    assert owner.refused("PATCH", f"/computers/{number}/settings", {"UPLOAD_LIMIT": "1G"})[0] == 400
    assert len(owner.get(f"/computers/{number}/settings")["settings"]) == len(KNOBS)
    wrong = {"DOWNLOAD_CYCLE_LATENCY": 70, "DOWNLOAD_TIMEOUT": 0}
    assert owner.refused("PATCH", "/settings", wrong)[:2] == (400, "DOWNLOAD_TIMEOUT")
    assert latency("") == ("60", "default", "")


# Users and one's own account


def test_a_user_is_made_changed_and_deleted(site: Site) -> None:
    owner = site.owner
    wanted = {"name": "fay", "password": PASSWORD, "full_name": "Fay Wu", "tags": [TAG, "x"], "language": "es"}
    made = owner.post("/users", wanted)
    at = f"/users/{made['id']}"
    assert (made["role"], made["tags"], made["language"]) == ("user", [TAG, "x"], "es")
    assert owner.refused("POST", "/users", wanted)[0] == 409
    assert owner.patch(at, {"disabled": True, "tags": []})["disabled"]
    assert owner.get(at)["tags"] == []
    assert owner.refused("DELETE", f"{at}/second-factor")[0] == 409
    assert owner.refused("POST", f"{at}/password", {"password": "short"})[:2] == (400, "password")
    owner.patch(at, {"disabled": False})
    assert owner.ask("POST", f"{at}/password", {"password": "a new one, quite long"}).status == 204
    Browser(site.server).sign_in("fay", "a new one, quite long")
    token = owner.post(f"{at}/tokens", {"name": " two  words ", "days": 3})
    assert (token["name"], [one["name"] for one in owner.get(f"{at}/tokens")["tokens"]]) == ("two words", ["two words"])
    assert Client(site.server, token["token"]).get("/account")["full_name"] == "Fay Wu"
    owner.delete(f"{at}/tokens/{token['id']}")
    assert Client(site.server, token["token"]).refused("GET", "/account")[0] == 401
    owner.delete(at)
    assert owner.refused("GET", at)[0] == 404


def test_the_last_administrator_stays(site: Site) -> None:
    number = site.owner.get("/account")["id"]
    assert site.owner.refused("DELETE", f"/users/{number}")[0] == 409


def test_ones_own_account(site: Site) -> None:
    made = site.owner.post("/users", {"name": "gil", "password": PASSWORD})
    gil = Client(site.server, site.owner.post(f"/users/{made['id']}/tokens", {"name": "x"})["token"])
    assert gil.patch("/account", {"language": "es"})["language"] == "es"
    second = gil.post("/account/tokens", {"name": "y"})
    assert [one["name"] for one in gil.get("/account/tokens")["tokens"]] == ["y", "x"]
    gil.delete(f"/account/tokens/{second['id']}")
    for _ in range(3):
        Browser(site.server).sign_in("gil")
    first, *_ = gil.get("/account/sessions")["sessions"]
    gil.delete(f"/account/sessions/{first['id']}")
    assert gil.refused("DELETE", f"/account/sessions/{first['id']}")[0] == 404
    assert gil.delete("/account/sessions") == {"count": 2}
    wrong = {"old": "not this one, surely", "new": "another one, quite long"}
    assert gil.refused("POST", "/account/password", wrong)[:2] == (400, "old")
    assert gil.ask("POST", "/account/password", {**wrong, "old": PASSWORD}).status == 204
    Browser(site.server).sign_in("gil", "another one, quite long")
    site.owner.delete(f"/users/{made['id']}")


def test_a_second_factor_is_switched_on_and_off(site: Site) -> None:
    made = site.owner.post("/users", {"name": "hal", "password": PASSWORD})
    hal = Client(site.server, site.owner.post(f"/users/{made['id']}/tokens", {"name": "x"})["token"])
    seed = hal.post("/account/second-factor/offer")
    assert seed["seed"] in seed["address"]
    at = rows(site.data, "SELECT unixepoch()")[0][0]
    code = onetime.code(seed["seed"], at // 30)
    on = {"seed": seed["seed"], "code": code, "password": PASSWORD}
    assert hal.refused("POST", "/account/second-factor", {**on, "code": "x"})[:2] == (400, "code")
    assert len(hal.post("/account/second-factor", on)["recovery_codes"]) == 10
    assert (hal.get("/account")["second_factor"], hal.get("/account")["recovery_codes"]) == (True, 10)
    assert hal.ask("POST", "/account/second-factor/off", {"password": PASSWORD}).status == 204
    assert not hal.get("/account")["second_factor"]
    site.owner.delete(f"/users/{made['id']}")


# Certificates, log, jobs, overview


def test_certificates(site: Site) -> None:
    owner = site.owner
    before = owner.get("/certificates")
    assert before["own"]
    bundle = owner.get("/certificates/cacert.pem")
    assert bundle.startswith(b"-----BEGIN CERTIFICATE-----")
    assert bundle == site.user.get("/certificates/cacert.pem")
    request = owner.post("/certificates/request", {"names": ["ocs.example.org"], "country": "CH"})["request"]
    assert owner.get("/certificates")["request"] == request
    assert owner.get("/certificates")["requested_names"] == ["ocs.example.org"]
    assert owner.refused("POST", "/certificates/request", {"country": "Helvetia"})[0] == 400
    assert owner.refused("POST", "/certificates/install", {"cert": "no PEM"})[:2] == (400, "cert")
    assert owner.refused("POST", "/certificates/rotate", {"sure": False})[:2] == (400, "sure")
    assert owner.refused("POST", "/certificates/finish", {"sure": False})[:2] == (400, "sure")
    assert owner.refused("POST", "/certificates/finish", {"sure": True})[0] == 409
    renewed = owner.post("/certificates/renew", {"names": ["more.example.org"]})
    assert renewed["server"]["fingerprint"] != before["server"]["fingerprint"]
    assert "more.example.org" in renewed["server"]["names"]


def test_the_log_is_paged_and_searched(site: Site) -> None:
    for name in ("log-1", "log-2", "log-3"):
        site.owner.post("/searches", {"name": name, "search": []})
    page = site.owner.get("/log", deed="search kept", words="log-", size=2)
    assert [one["subject"] for one in page["entries"]] == ["log-3", "log-2"]
    rest = site.owner.get("/log", deed="search kept", words="log-", size=2, before=page["before"])
    assert ([one["subject"] for one in rest["entries"]], rest["before"]) == (["log-1"], None)
    entry = rest["entries"][0]
    assert (entry["actor"], entry["through"], entry["detail"]) == (ADMINISTRATOR, "api", {"search": "[]"})
    assert site.owner.refused("GET", "/log", deed="nothing")[:2] == (400, "deed")


def test_the_overview_counts(site: Site) -> None:
    site.computer("counted-1")
    found = site.owner.get("/overview")
    assert found["computers"] == site.owner.get("/computers")["total"]
    assert found["agents"]["https_port"] == site.server.https


def test_work_that_is_refused_later_says_so_in_its_job(site: Site) -> None:
    owner = site.owner
    draft = owner.post("/drafts", {"name": "Later", "os": "linux", "action": "store", "path": "/opt"})
    at = f"/drafts/{draft['id']}"
    assert owner.refused("POST", f"{at}/build", {})[:2] == (400, "file")
    answer = owner.ask("POST", f"{at}/build", {}, wait=0)
    begun = told(answer)
    if answer.status == 202:
        begun = owner.get(f"/jobs/{begun['id']}", wait=30)
    assert begun["error"]["field"] == "file"
    assert site.user.refused("GET", f"/jobs/{begun['id']}")[0] == 404
    owner.delete(at)


def test_a_job_of_the_api_leads_somewhere_in_the_console_too(site: Site) -> None:
    owner = site.owner
    site.computer("seen-in-console")
    package = build(site.data, "Seen")
    job = owner.post(f"/packages/{package}/affect", chosen("seen-in-console"))
    browser = Browser(site.server).sign_in().get(f"/jobs/{job['id']}")
    assert (browser.status, browser.path) == (200, f"/packages/{package}/statistics")
    assert site.server.post(prolog(device("seen-in-console"))).status == 200


def test_a_password_for_agents_is_made_told_once_listed_and_revoked(site: Site) -> None:
    owner = site.owner
    owner.patch("/settings", {"IDENTITY_MODE": "closed", "IDENTITY_NETWORKS": "192.0.2.0/24 10.0.0.0/8"})
    made = owner.post("/identity/passwords", {"name": "agents"})
    assert (made["name"], made["realm"]) == ("agents", "OCS Inventory agent area")
    assert f"/PWD={made['password']}" in made["windows"]
    assert f"server={made['server']}\n" in made["unix"]
    found = owner.get("/identity")
    assert (found["mode"], found["networks"]) == ("closed", "192.0.2.0/24, 10.0.0.0/8")
    (listed,) = found["passwords"]
    assert listed == {**listed, "name": "agents", "created_by": ADMINISTRATOR, "used_at": None}
    assert without(found["passwords"], "id") == json.loads(must("computer", "passwords", "--json", data=site.data))
    headers = {"Authorization": basic.encode(Credentials("agents", made["password"]))}
    body = envelope.pack(prolog(device("closed")))

    def post() -> int:
        return site.server.ask("POST", "/ocsinventory", body, headers, secure=True).status

    assert post() == 200
    assert owner.get("/identity")["passwords"][0]["used_at"]
    assert owner.refused("POST", "/identity/passwords", {"name": "Agents"})[0] == 409
    assert owner.refused("POST", "/identity/passwords", {"name": "a b"})[:2] == (400, "name")
    assert owner.refused("PATCH", "/settings", {"IDENTITY_NETWORKS": "x"})[:2] == (400, "IDENTITY_NETWORKS")
    assert site.user.refused("POST", "/identity/passwords", {"name": "mine"})[0] == 403
    assert site.user.refused("DELETE", f"/identity/passwords/{listed['id']}")[0] == 403
    owner.delete(f"/identity/passwords/{listed['id']}")
    assert post() == 401
    assert owner.refused("DELETE", f"/identity/passwords/{listed['id']}")[0] == 404
    owner.patch("/settings", {"IDENTITY_MODE": None, "IDENTITY_NETWORKS": None})
