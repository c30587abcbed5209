"""Identity in a browser: the mode, tokens to join with, what waits for a decision, and a computer's membership."""

from __future__ import annotations

import base64
import re

from appliance.domain.account import Role
from appliance.operations.configure import set_setting
from appliance.wire import basic, envelope
from appliance.wire.basic import Credentials
from appliance.wire.joining import Application, decode_membership, decode_token, encode
from tests.fakes.appliance import device, inventory, prolog, rows
from tests.web.console.conftest import Console
from tests.web.console.walk import HOSTILE, faults

ALPHA, BETA = device("alpha"), device("beta")
MACHINE = [("HARDWARE", {"NAME": f"twin {HOSTILE}"}), ("BIOS", {"SSN": "SN-1"})]


def test_the_mode_is_chosen_and_said_in_words(console: Console) -> None:
    browser = console.browser.get("/identity")
    assert "Take-overs wait for a decision" in browser.text
    browser.submit("Save", mode="protect")
    assert "Mode and networks are kept" in browser.text
    assert rows(console.data, "SELECT value FROM setting WHERE name = 'IDENTITY_MODE'") == [("protect",)]
    browser.submit("Save", mode="ajar")
    assert (browser.status, "is none of open, observe, protect, closed" in browser.text) == (400, True)
    console.desk(set_setting, "IDENTITY_MODE", None)
    assert ("anna", "setting changed", "IDENTITY_MODE") in console.log()


def test_a_token_is_made_shown_once_used_and_revoked(console: Console) -> None:
    browser = console.browser.get("/identity").submit("Make a token", uses="2", days="3", tag="SALES")
    found = re.search(r"ocs-join-[\w-]+", browser.html)
    assert found
    word = found.group()
    assert word not in browser.get("/identity").html
    assert "SALES" in browser.text
    given = console.server.ask("POST", "/join", encode(Application(decode_token(word).secret, ALPHA)), secure=True)
    assert given.status == 200
    assert decode_membership(given.body).device_id == ALPHA
    assert "1 computer joined" in browser.get("/identity").text
    browser.submit("Revoke")
    assert "There is none." in browser.text
    again = console.server.ask("POST", "/join", encode(Application(decode_token(word).secret, BETA)), secure=True)
    assert again.status == 403
    number = rows(console.data, "SELECT id FROM computer WHERE device_id = ?", ALPHA)[0][0]
    assert "joined" in browser.get(f"/computers/{number}").text
    assert console.server.post(prolog(ALPHA)).status == 403
    browser.get(f"/computers/{number}").submit("Make its certificate void")
    assert "proves nothing" in browser.text
    assert console.server.post(prolog(ALPHA)).status == 200


def test_a_token_that_cannot_be_made_says_why_at_its_field(console: Console) -> None:
    for field, value, why in (("uses", "0", "is not a number"), ("days", "400", "is not a number"), ("uses", "x", "")):
        browser = console.browser.get("/identity").submit("Make a token", **{field: value})
        assert (browser.status, why in browser.text) == (400, True)
        assert faults(browser.html) == []


def test_what_waits_is_shown_as_text_and_decided(console: Console) -> None:
    console.desk(set_setting, "IDENTITY_MODE", "protect")
    assert console.server.post(inventory(device("old"), *MACHINE)).status == 200
    console.desk(set_setting, "AUTO_DUPLICATE_LVL", "3")
    assert console.server.post(inventory(device("new"), *MACHINE)).status == 200
    browser = console.browser.get("/identity")
    assert "A computer is like another one." in browser.text
    assert HOSTILE in browser.text
    assert faults(browser.html) == []
    browser.submit("It is the same computer")
    assert "It is decided" in browser.text
    assert rows(console.data, "SELECT device_id FROM computer WHERE name LIKE 'twin%'") == [(device("new"),)]
    assert console.server.post(inventory(device("third"), ("HARDWARE", {"NAME": "third"}))).status == 200
    browser.get("/identity").submit("Let it in")
    assert "was accepted" in browser.text
    browser.post("/identity/doubts/1", {"csrf": browser.token, "decision": "perhaps"})
    assert browser.status == 400
    console.desk(set_setting, "IDENTITY_MODE", None)


def test_who_is_no_administrator_sees_whether_a_computer_joined_and_no_more(console: Console) -> None:
    assert (
        console.server.post(inventory(BETA, ("HARDWARE", {"NAME": "beta"}), account=[("TAG", "paris")])).status == 200
    )
    number = rows(console.data, "SELECT id FROM computer WHERE device_id = ?", BETA)[0][0]
    user = console.user("ben", ["paris"], role=Role.USER)
    assert "proves nothing" in user.get(f"/computers/{number}").text
    assert user.get("/identity").status == 403


def test_networks_that_mode_closed_answers_are_typed_checked_and_warned_of(console: Console) -> None:
    browser = console.browser.get("/identity").submit("Save", mode="closed", networks="192.0.2.7/24")
    assert (browser.status, "write 192.0.2.0/24" in browser.text) == (400, True)
    assert rows(console.data, "SELECT * FROM setting WHERE name LIKE 'IDENTITY%'") == [], "both or none"
    assert console.server.post(prolog(ALPHA)).status == 200
    browser.submit("Save", mode="closed", networks="192.0.2.0/24,2001:db8::/32")
    assert "Mode and networks are kept" in browser.text
    assert "192.0.2.0/24, 2001:db8::/32" in browser.html
    assert "these are all addresses" not in browser.text
    assert console.server.post(prolog(ALPHA)).status == 403
    browser.submit("Save", networks="0.0.0.0/0")
    assert "0.0.0.0/0: these are all addresses. Mode closed answers every agent" in browser.text
    assert console.server.post(prolog(ALPHA)).status == 200
    browser.submit("Save", networks="")
    assert console.server.post(prolog(ALPHA)).status == 403
    assert faults(browser.html) == []
    assert ("anna", "setting changed", "IDENTITY_NETWORKS") in console.log()
    console.desk(set_setting, "IDENTITY_MODE", None)


def test_a_password_for_agents_is_made_shown_once_used_and_revoked(console: Console) -> None:
    console.desk(set_setting, "IDENTITY_MODE", "closed")
    browser = console.browser.get("/identity").submit("Make a password", name="a b")
    assert (browser.status, "is no user name for agents" in browser.text) == (400, True)
    browser.submit("Make a password", name="agents")
    found = re.search(r"/PWD=([a-z2-7]{32})\b", browser.text)
    assert found
    word = found.group(1)
    unix = dict(re.findall(r"\b(server|realm|user|password)=(.+)", browser.html))
    assert base64.b64decode(unix["password"]).decode() == word
    assert (base64.b64decode(unix["user"]), unix["realm"]) == (b"agents", "OCS Inventory agent area")
    assert unix["server"] == f"https://127.0.0.1:{console.server.https}/ocsinventory"
    assert faults(browser.html) == []
    assert word not in browser.get("/identity").html
    assert base64.b64encode(word.encode()).decode() not in browser.html
    assert "agents" in browser.text
    headers = {"Authorization": basic.encode(Credentials("agents", word))}
    body = envelope.pack(prolog(ALPHA))
    assert console.server.ask("POST", "/ocsinventory", body, headers, secure=True).status == 200
    browser.get("/identity").submit("Make a password", name="AGENTS")
    assert (browser.status, "there is a password" in browser.text) == (409, True)
    browser.get("/identity").submit("Revoke")
    assert "agents that have it are not answered any more" in browser.text
    assert console.server.ask("POST", "/ocsinventory", body, headers, secure=True).status == 401
    deeds = [entry for entry in console.log() if "password for agents" in entry[1]]
    assert sorted(deeds) == [
        ("anna", "password for agents created", "agents"),
        ("anna", "password for agents revoked", "agents"),
    ]
    console.desk(set_setting, "IDENTITY_MODE", None)
