"""`backup`, `restore` and `check` as they are typed."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from tests.cli.test_words import one_sentence
from tests.fakes.appliance import build, must, say, serving

PASSPHRASE = "eight geese, nine ducks"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    build(folder, "first")
    return folder


def test_there_and_back(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.tar.zst"
    said = say("backup", target, data=data)
    assert said.code == 0
    assert said.out.startswith(f"{target}: ")
    assert said.out.endswith(", 1 package\n")
    assert "private keys lie in it in the clear" in said.err
    told = must("restore", target, data=tmp_path / "new")
    assert told.endswith(", 1 package; nobody is signed in.")
    assert json.loads(must("package", "list", "--json", data=tmp_path / "new"))[0]["name"] == "first"
    pages = (tmp_path / "new" / "ocs.sqlite").stat().st_size // 4096
    assert must("check", data=tmp_path / "new") == (
        f"1 package, 2 files, 0 B, {pages} pages of the database: nothing wrong."
    )


def test_a_restore_over_data_takes_replace_and_says_where_the_former_are(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.tar.zst"
    must("backup", target, data=data)
    sentence = one_sentence(say("restore", target, data=data))
    assert sentence.startswith(f"{data} holds data already; ")
    told = must("restore", target, "--replace", data=data)
    (former,) = data.glob("replaced-*")
    assert f"The former data are kept in {former};" in told
    assert "is there already" in one_sentence(say("backup", target, data=data))
    must("backup", target, "--replace", data=data)


def test_a_passphrase_comes_from_a_file_from_standard_input_or_is_asked_for(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, target = tmp_path / "passphrase", tmp_path / "b.tar.zst"
    file.write_text(PASSPHRASE + "\n")
    said = say("backup", target, "--passphrase-file", file, data=data)
    assert (said.code, said.err) == (0, "")
    monkeypatch.setattr(sys, "stdin", io.StringIO(PASSPHRASE + "\r\nmore\n"))
    must("restore", target, "--passphrase-file", "-", data=tmp_path / "a")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert one_sentence(say("restore", target, data=tmp_path / "b")).startswith("passphrase: this backup is sealed")
    file.write_text("another one altogether")
    said = say("restore", target, "--passphrase-file", file, data=tmp_path / "b")
    assert one_sentence(said).startswith("passphrase: it does not open this file")
    said = say("restore", target, "--passphrase-file", tmp_path / "no", data=tmp_path / "b")
    assert "cannot be read" in one_sentence(said)
    asked = iter([PASSPHRASE, PASSPHRASE, PASSPHRASE, "something else"])
    monkeypatch.setattr("getpass.getpass", lambda _: next(asked))
    must("backup", tmp_path / "c.tar.zst", "--encrypt", data=data)
    assert one_sentence(say("backup", tmp_path / "d.tar.zst", "--encrypt", data=data)) == "passphrase: the two differ."


def test_check_says_what_to_do_and_ends_with_1(data: Path) -> None:
    (info,) = data.glob("fragments/*/info")
    info.write_bytes(b"x")
    package = info.parent.name
    said = say("check", data=data)
    assert (said.code, said.err) == (1, "")
    assert said.out.splitlines()[0] == f"fragments/{package}/info: its bytes are not those that were built."
    assert f"ocs.pyz package edit {package}" in said.out.splitlines()[1]
    said = say("check", "--json", data=data)
    assert said.code == 1
    document = json.loads(said.out)
    assert sorted(document) == ["bytes", "files", "findings", "ok", "packages", "pages"]
    assert document["ok"] is False
    assert sorted(document["findings"][0]) == ["remedy", "trouble", "where"]
    info.unlink()
    assert "it is missing." in say("check", data=data).out


def test_without_data_each_says_so(tmp_path: Path) -> None:
    for line in (("backup", tmp_path / "b"), ("check",)):
        assert one_sentence(say(*line, data=tmp_path / "no")).startswith("there is no data in ")
    assert not (tmp_path / "no").exists()


def test_backup_and_check_go_on_while_a_server_runs_and_restore_does_not(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.tar.zst"
    with serving(data) as server:
        must("backup", target, data=data)
        assert must("check", data=data).endswith("nothing wrong.")
        assert "another server runs on" in one_sentence(say("restore", target, "--replace", data=data))
        assert server.get("/healthz").status == 200
    must("restore", target, "--replace", data=data)
    with serving(data) as server:
        assert server.get("/healthz").status == 200
    assert must("check", data=data).endswith("nothing wrong.")
