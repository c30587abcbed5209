"""`ocs.pyz user`: passwords come from standard input, and the log knows who ran the command."""

from __future__ import annotations

import io
import json
import os
import pwd
import re
from pathlib import Path

import pytest

from appliance.cli import user as user_words
from appliance.operations.accounts import list_users
from appliance.operations.logbook import read_log
from appliance.operations.sign_in import sign_in
from appliance.operations.tokens import actor_of_token
from tests.fakes.appliance import Said, must, on_desk, say

PASSWORD = "correct horse battery"
ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input has the password."""
    give(monkeypatch, f"{PASSWORD}\n")


def give(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def refused(said: Said) -> str:
    assert (said.code, said.out) == (1, "")
    assert said.err.count("\n") == 1
    return said.err


def test_a_user_is_created_listed_changed_and_deleted(tmp_path: Path, typed: None) -> None:
    data = tmp_path / "data"
    options = ("--role", "administrator", "--full-name", "Ana García", "--tag", "paris", "--language", "es")
    assert must("user", "create", "ana", *options, data=data) == "ana"
    (listed,) = json.loads(must("user", "list", "--json", data=data))
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", listed.pop("created_at"))
    assert listed == {
        "name": "ana", "full_name": "Ana García", "role": "administrator", "tags": ["paris"], "language": "es",
        "disabled": False, "second_factor": False, "last_login": None,
    }  # fmt: skip
    table = must("user", "list", data=data).splitlines()
    assert table[0].split()[:3] == ["NAME", "ROLE", "STATE"]
    assert "Ana García" in table[1]
    must("user", "edit", "ana", "--no-tags", "--language", "browser", data=data)
    (listed,) = json.loads(must("user", "list", "--json", data=data))
    assert (listed["tags"], listed["language"], listed["full_name"]) == ([], "", "Ana García")
    assert "last administrator" in refused(say("user", "delete", "ana", data=data))
    assert "last administrator" in refused(say("user", "edit", "ana", "--disable", data=data))
    assert "no second factor" in refused(say("user", "edit", "ana", "--no-second-factor", data=data))
    assert "say what to change" in refused(say("user", "edit", "ana", data=data))
    assert "there is no user 'bob'" in refused(say("user", "delete", "bob", data=data))
    entries = on_desk(data, read_log).entries
    assert {(entry.actor, entry.through) for entry in entries} == {(ME, "command line")}
    assert [entry.deed for entry in entries] == ["user changed", "user created"]


def test_the_role_is_user_where_none_is_named_and_users_can_be_deleted(tmp_path: Path, typed: None) -> None:
    data = tmp_path / "data"
    must("user", "create", "bob", data=data)
    assert on_desk(data, list_users)[0].profile.role.value == "user"
    assert must("user", "delete", "BOB", data=data) == "bob"
    assert on_desk(data, list_users) == []


@pytest.mark.parametrize("text", ["", "\n", "short\n", "password-2026!\n"])
def test_no_password_and_a_weak_one_are_one_sentence(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(monkeypatch, text)
    assert refused(say("user", "create", "ana", data=tmp_path / "data")).startswith("ocs.pyz: password: it ")


def test_no_word_takes_a_password_as_an_argument(tmp_path: Path) -> None:
    for words in (
        ("create", "ana", PASSWORD),
        ("create", "ana", "--password", PASSWORD),
        ("password", "ana", PASSWORD),
    ):
        assert say("user", *words, data=tmp_path / "data").code == 2


def test_a_new_password_lets_in_whoever_was_locked_out(
    tmp_path: Path, typed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    must("user", "create", "ana", data=data)
    give(monkeypatch, "mi perro come flores\r\n")
    must("user", "password", "ana", data=data)
    assert on_desk(data, sign_in, "ana", "mi perro come flores", "192.0.2.1", "test")
    assert "there is no user" in refused(say("user", "password", "nobody", data=data))


def test_at_a_terminal_the_password_is_asked_for_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [PASSWORD, PASSWORD, PASSWORD, "another horse battery"]
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    monkeypatch.setattr(user_words.getpass, "getpass", lambda prompt: answers.pop(0))
    must("user", "create", "ana", data=tmp_path / "data")
    assert "not the same" in refused(say("user", "create", "bob", data=tmp_path / "data"))


def test_tokens_are_made_listed_and_revoked_for_a_user(tmp_path: Path, typed: None) -> None:
    data = tmp_path / "data"
    must("user", "create", "ana", data=data)
    text = must("user", "tokens", "ana", "--new", "backup", "--days", "7", data=data)
    actor = on_desk(data, actor_of_token, text)
    assert actor.name == "ana"
    (listed,) = json.loads(must("user", "tokens", "ana", "--json", data=data))
    assert (listed["name"], str(listed["id"])) == ("backup", text.split("_")[1])
    assert set(listed) == {"id", "name", "created_at", "expires_at", "used_at"}
    table = must("user", "tokens", "ana", data=data)
    assert "backup" in table
    assert text.split("_", 2)[2] not in table
    assert "days: " in refused(say("user", "tokens", "ana", "--new", "b", "--days", "0", data=data))
    must("user", "tokens", "ana", "--revoke", str(listed["id"]), data=data)
    assert json.loads(must("user", "tokens", "ana", "--json", data=data)) == []
    assert on_desk(data, actor_of_token, text) is None
    assert "no token" in refused(say("user", "tokens", "ana", "--revoke", str(listed["id"]), data=data))


@pytest.mark.parametrize("words", [("list",), ("edit", "ana", "--disable"), ("delete", "ana"), ("password", "ana")])
def test_without_data_nothing_is_made(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert "there is no data" in refused(say("user", *words, data=tmp_path / "data"))
    assert not (tmp_path / "data").exists()
