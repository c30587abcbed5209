"""The command line's contract: help with examples, exit codes, one sentence for each error, keys that stay."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance import __version__, cli
from appliance.settings import SETTINGS
from tests.fakes.appliance import (
    Said,
    build,
    command,
    device,
    environment,
    inventory,
    must,
    on_desk,
    prolog,
    report,
    rows,
    say,
    shelved,
    tell,
)
from tests.fakes.archives import hostile, targz_of, zip_of

NASTY = "Quotes ' \" `$(x)` \\ <b>&amp; äöü ñ 日本 \N{PILE OF POO} \u202e"


def told(*messages: bytes, data: Path) -> None:
    """Messages of agents, without a server."""
    for message in messages:
        on_desk(data, tell, message)


def one_sentence(said: Said, code: int = 1) -> str:
    """An error is one line on standard error and nothing on standard output."""
    assert (said.code, said.out) == (code, ""), said
    assert said.err.startswith("ocs.pyz: ")
    assert said.err.count("\n") == 1
    assert said.err.endswith("\n")
    return said.err.removeprefix("ocs.pyz: ").strip()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "setup.tar.gz"
    path.write_bytes(targz_of({"setup.sh": b"#!/bin/sh\n", "data/x": os.urandom(2000)}))
    return path


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that only readers use: two packages, two computers, results."""
    data = tmp_path_factory.mktemp("shared") / "data"
    first = build(data, "first")
    build(data, "second", "--warn-text", "now", "--warn-countdown", "60", "--may-cancel", "--done-text", "ok?")
    must("package", "activate", first, "--info-url", "a.example.org/d", "--unchecked", data=data)
    told(inventory(device("alpha"), ("HARDWARE", {"NAME": "alpha", "MEMORY": "4096"})), data=data)
    told(inventory(device("beta")), data=data)
    must("package", "affect", first, "--all", data=data)
    told(prolog(device("alpha")), report(device("alpha"), first, "SUCCESS_3"), data=data)
    return data


# Help


def parsers(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every word that runs, with its help."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield words, parser.format_help()
    for action in below:
        for name, child in action.choices.items():
            yield from parsers(child, (*words, name))


FAMILIES = [family for family in cli.FAMILIES if family != "agent"]
WORDS = [(words, text) for family in FAMILIES for words, text in parsers(cli.parser(family)) if words[:1] == (family,)]


def test_the_words_of_this_issue_are_there() -> None:
    package = {words[1] for words, _ in WORDS if words[0] == "package"}
    assert package == {
        "build", "list", "show", "activate", "affect", "unaffect", "stats", "validate", "unactivate", "delete", "edit",
    }  # fmt: skip
    rest = {" ".join(words) for words, _ in WORDS if words[0] != "package"}
    wanted = {"serve", "demo", "computer list", "computer show", "config get", "config set", "tls export-ca"}
    assert wanted <= rest


@pytest.mark.parametrize(("words", "text"), WORDS, ids=[" ".join(words) for words, _ in WORDS])
def test_help_of_every_word_has_an_example_of_that_word_and_names_its_options(
    words: tuple[str, ...], text: str
) -> None:
    said = say(*words, "--help")
    assert said.code == 0
    assert said.out == text
    assert "example:\n  ocs.pyz " + " ".join(words) in text
    assert "--data DIR" in text


@pytest.mark.parametrize(("words", "text"), WORDS, ids=[" ".join(words) for words, _ in WORDS])
def test_every_example_is_understood(words: tuple[str, ...], text: str) -> None:
    import shlex

    example = text.split("example:\n", 1)[1].strip().replace("ocs.pyz ", "", 1)
    parsed = cli.parser(words[0]).parse_args(shlex.split(example))
    assert callable(parsed.run)


def test_help_without_a_word_names_the_families_and_how_to_start() -> None:
    for line in ((), ("help",), ("--help",), ("-h",)):
        said = say(*line)
        assert said.code == (0 if line else 2)
        assert all(f"\n    {family} " in said.out for family in cli.FAMILIES)
        assert "Start with: ocs.pyz demo" in said.out
    assert say("--version").out == f"ocs.pyz {__version__}\n"


@pytest.mark.parametrize(
    "line",
    [
        ("nonsense",),
        ("package",),
        ("package", "nonsense"),
        ("package", "build"),
        ("package", "build", "--name", "x", "--os", "beos", "--action", "execute"),
        ("package", "build", "--name", "x", "--os", "linux", "--action", "install"),
        ("package", "build", "--name", "x", "--os", "linux", "--action", "execute", "--priority", "high"),
        ("package", "list", "--nonsense"),
        ("package", "show"),
        ("package", "validate", "1700000000"),
        ("package", "validate", "1700000000", "--success", "--all"),
        ("package", "affect", "1700000000", "--activation", "x"),
        ("config", "set"),
        ("serve", "--http-port", "99999"),
        ("computer",),
    ],
)
def test_wrong_usage_is_2_with_a_hint_and_changes_nothing(tmp_path: Path, line: tuple[str, ...]) -> None:
    said = say(*line, data=tmp_path / "data")
    assert (said.code, said.out) == (2, "")
    assert "usage: ocs.pyz" in said.err
    assert not (tmp_path / "data").exists()


# The data directory


def test_without_data_a_word_says_where_it_looked(tmp_path: Path) -> None:
    for line in (
        ("package", "list"),
        ("package", "stats", "1700000000"),
        ("package", "activate", "1700000000"),
        ("computer", "list"),
        ("config", "get"),
    ):
        folder = tmp_path / "data"
        sentence = one_sentence(say(*line, data=folder))
        assert sentence.startswith(f"there is no data in {folder}; ")
        assert not folder.exists()


def test_data_is_named_by_option_by_environment_or_lies_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"option": tmp_path / "option", "variable": tmp_path / "variable", "here": tmp_path / "ocs-data"}
    for name, folder in names.items():
        build(folder, name)

    def listed(*words: str) -> list[str]:
        said = say("package", "list", "--json", *words)
        assert said.code == 0, said.err
        return [package["name"] for package in json.loads(said.out)]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCS_DATA", "variable")
    assert listed("--data", "option") == ["option"]
    assert listed() == ["variable"]
    monkeypatch.setenv("OCS_DATA", "")
    assert listed() == ["here"]


# Errors name their field


REFUSED: list[tuple[tuple[str, ...], str]] = [
    (("--action", "execute", "--command", "true", "--priority", "11"), "priority: 11 is not a priority"),
    (("--action", "execute", "--command", "true", "--priority", "-1"), "priority: -1 is not a priority"),
    (("--action", "launch", "--file", "{good}"), "command: the action Launch needs the command to run"),
    (("--action", "launch", "--command", "", "--file", "{good}"), "command: the action Launch needs"),
    (
        ("--action", "launch", "--command", "missing.sh", "--file", "{good}"),
        "command: the archive has no file 'missing.sh'",
    ),
    (("--action", "launch", "--command", "my-setup.sh", "--file", "{good}"), "command: 'my-setup.sh' has a hyphen"),
    (("--action", "launch", "--command", "data/x", "--file", "{good}"), "command: 'data/x' has a path"),
    (("--action", "launch", "--command", "setup.sh"), "file: the action Launch needs a .zip or .tar.gz file"),
    (("--action", "launch", "--path", "/x", "--file", "{good}"), "command: the action Launch takes --command"),
    (
        (
            "--action",
            "execute",
        ),
        "command: the action Execute needs the command to run",
    ),
    (("--action", "execute", "--command", "true", "--path", "/x"), "command: the action Execute takes --command"),
    (("--action", "store", "--file", "{good}"), "path: the action Store needs a folder"),
    (("--action", "store", "--path", "/x"), "file: the action Store needs"),
    (("--action", "store", "--command", "x", "--file", "{good}"), "path: the action Store takes --path"),
    (
        ("--action", "store", "--path", "/x", "--file", "{folder}/nowhere.zip"),
        "nowhere.zip cannot be read: No such file",
    ),
    (("--action", "store", "--path", "/x", "--file", "{folder}"), "cannot be read: Is a directory"),
    (("--action", "store", "--path", "/x", "--file", "{empty}"), "is empty; a package's file has at least one byte"),
    (("--action", "store", "--path", "/x", "--file", "{text}"), "file: text.zip is neither a zip nor a tar.gz archive"),
    (
        ("--action", "store", "--path", "/x", "--file", "{misnamed}"),
        "file: misnamed.zip holds a tar.gz archive; name it",
    ),
    (("--action", "store", "--path", "/x", "--file", "{damaged}"), "file: the archive"),
    (("--action", "store", "--path", "/x", "--file", "{good}", "--fragment-size", "0"), "fragment-size: "),
    (("--action", "store", "--path", "/x", "--file", "{good}", "--fragment-size", "-1"), "fragment-size: "),
    (("--action", "store", "--path", "/x", "--file", "{good}", "--fragment-size", "lots"), "fragment-size: 'lots'"),
    (("--action", "execute", "--command", "true", "--fragment-size", "1M"), "fragment-size: a package without a file"),
    (("--action", "execute", "--command", "true", "--warn-countdown", "5"), "warn-text: to warn the user takes"),
    (("--action", "execute", "--command", "true", "--warn-text", "x", "--warn-countdown", "10000"), "warn-countdown: "),
    (("--action", "execute", "--command", "true", "--warn-text", " "), "warn-text: "),
    (("--action", "execute", "--command", "x" * 5000), "command: 5000 characters are more than"),
    (("--action", "execute", "--command", "a\x1bb"), "command: it has a control character"),
    (("--action", "execute", "--command", "true", "--description", "\x00"), "description: it has a control character"),
    (("--action", "execute", "--command", "true", "--done-text", "\x07"), "done-text: "),
    (("--action", "execute", "--command", "true", "--name", " "), "name: a package needs a name"),
    (("--action", "execute", "--command", "true", "--name", "n" * 256), "name: 256 characters"),
    (("--action", "execute", "--command", "true", "--name", "taken"), "name: package "),
    (
        ("--action", "execute", "--command", "true", "--os", "windows", "--file", "{good}"),
        "file: Windows agents unpack only",
    ),
]


@pytest.fixture(scope="module")
def files(archive: Path) -> dict[str, str]:
    folder = archive.parent
    content = {
        "empty.zip": b"",
        "text.zip": b"this is no archive",
        "misnamed.zip": archive.read_bytes(),
        "damaged.tar.gz": archive.read_bytes()[:-30],
    }
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return {
        "good": str(archive), "folder": str(folder), "empty": str(folder / "empty.zip"),
        "text": str(folder / "text.zip"), "misnamed": str(folder / "misnamed.zip"),
        "damaged": str(folder / "damaged.tar.gz"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("taken") / "data"
    build(data, "taken")
    return data


@pytest.mark.parametrize(("words", "sentence"), REFUSED, ids=[sentence[:50] for _, sentence in REFUSED])
def test_a_build_that_is_refused_names_the_field_and_leaves_nothing(
    taken: Path, files: dict[str, str], words: tuple[str, ...], sentence: str
) -> None:
    before = shelved(taken)
    line = ["package", "build", "--name", "x", "--os", "linux", *(word.format(**files) for word in words)]
    assert sentence in one_sentence(say(*line, data=taken))
    assert shelved(taken) == before
    assert rows(taken, "SELECT name FROM package") == [("taken",)]


def test_hostile_archives_are_refused_and_nothing_is_left(taken: Path, tmp_path: Path) -> None:
    before = shelved(taken)
    known = hostile()[::3]  # tests/wire reads all of them
    assert len(known) >= 40
    for number, (name, data) in enumerate(known):
        suffix = ".zip" if name.endswith(".zip") or not name.endswith(".tar.gz") else ".tar.gz"
        file = tmp_path / f"{number}{suffix}"
        file.write_bytes(data)
        said = say(
            "package",
            "build",
            "--name",
            "x",
            "--os",
            "linux",
            "--action",
            "store",
            "--path",
            "/x",
            "--file",
            file,
            data=taken,
        )
        assert one_sentence(said).startswith("file: "), name
        assert said.err.strip().isprintable(), name
        assert len(said.err) < 400, name
        file.unlink()
    assert shelved(taken) == before
    assert rows(taken, "SELECT name FROM package") == [("taken",)]


def test_a_file_name_that_steers_a_terminal_stays_on_one_line(taken: Path, tmp_path: Path) -> None:
    file = tmp_path / "a\nb\x1b[2J.zip"
    file.write_bytes(b"nothing")
    said = say(
        "package",
        "build",
        "--name",
        "x",
        "--os",
        "linux",
        "--action",
        "store",
        "--path",
        "/x",
        "--file",
        file,
        data=taken,
    )
    assert "\x1b" not in one_sentence(said)


def test_words_about_what_is_not_there(shared: Path) -> None:
    for word in ("show", "stats", "activate", "unactivate", "delete"):
        assert one_sentence(say("package", word, "1000000000", data=shared)).startswith(
            "there is no package '1000000000'"
        )
    for line in (
        ("package", "affect", "1000000000", "--all"),
        ("package", "unaffect", "1000000000", "--all"),
        ("package", "validate", "1000000000", "--all"),
        ("package", "edit", "1000000000", "--priority", "1"),
        ("package", "show", "' OR 1=1--"),
        ("package", "show", "x" * 10_000),
    ):
        assert one_sentence(say(*line, data=shared)).startswith("there is no package ")
    for line in (
        ("computer", "show", "nobody"),
        ("computer", "delete", "nobody"),
        ("config", "get", "--computer", "nobody"),
    ):
        assert one_sentence(say(*line, data=shared)).startswith("there is no computer 'nobody'")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("NONSENSE = 1", "is no field"),
        ("NAME", "is not FIELD OP VALUE"),
        ("NAME NEAR x", "is no operator"),
        ("MEMORY > lots", "is a number"),
        ("LASTCONTACT = yesterday", "compared with a day"),
        ("NAME =", "needs a value"),
    ],
)
def test_a_search_that_is_not_understood(shared: Path, text: str, sentence: str) -> None:
    said = one_sentence(say("computer", "list", "--search", text, data=shared))
    assert said.startswith("search: ")
    assert sentence in said


def test_two_ways_of_choosing_computers_at_once_are_refused(shared: Path) -> None:
    package = rows(shared, "SELECT min(id) FROM package")[0][0]
    said = say("package", "affect", package, "--all", "--computer", "alpha", data=shared)
    assert one_sentence(said) == "computer: give one of --computer, --search, --group and --all."
    assert one_sentence(say("package", "affect", package, data=shared)).startswith("computer: say which computers")


# What is printed


def test_a_build_prints_the_id_alone(tmp_path: Path, archive: Path) -> None:
    said = say(
        "package", "build", "--name", "Media player", "--os", "linux", "--action", "launch",
        "--command", "setup.sh --quiet", "--file", archive, "--fragment-size", "1K", data=tmp_path,
    )  # fmt: skip
    assert (said.code, said.err) == (0, "")
    assert said.out.strip().isdigit()
    assert said.out == said.out.strip() + "\n"
    assert len(said.out) == 11


PACKAGE_KEYS = {
    "id", "name", "description", "os", "protocol", "priority", "action", "command", "path", "warn", "done_text", "size",
    "fragment_size", "fragments", "md5", "sha256", "built", "activations", "waiting", "notified", "success", "error",
    "already",
}  # fmt: skip
COMPUTER_KEYS = {
    "computer", "deviceid", "tag", "agent", "address", "identity", "first_seen", "last_contact", "last_inventory",
    "workgroup",
    "userdomain", "osname", "osversion", "oscomments", "userid", "description", "ipaddr", "uuid", "arch", "processort",
    "smanufacturer", "smodel", "ssn", "bversion", "processorn", "processors", "memory", "swap",
}  # fmt: skip


def document(*words: str, data: Path) -> Any:
    said = say(*words, "--json", data=data)
    assert (said.code, said.err) == (0, "")
    return json.loads(said.out)


def test_json_keys_are_those_that_scripts_rely_on(shared: Path) -> None:
    listed = document("package", "list", data=shared)
    assert [set(package) for package in listed] == [PACKAGE_KEYS] * 2
    assert [package["name"] for package in listed] == ["second", "first"]
    first, second = listed[1]["id"], listed[0]["id"]
    shown = document("package", "show", first, data=shared)
    assert shown == listed[1]
    assert [set(activation) for activation in shown["activations"]] == [{"id", "info_url", "fragment_url", "at"}]
    assert set(document("package", "show", second, data=shared)["warn"]) == {
        "text",
        "countdown",
        "may_cancel",
        "may_delay",
    }
    stats = document("package", "stats", first, data=shared)
    assert set(stats) == {"id", "name", "waiting", "notified", "success", "error", "already", "computers"}
    lines = {line["computer"]: line for line in stats["computers"]}
    assert set(lines["alpha"]) == {"computer", "deviceid", "status", "received", "at", "why"}
    assert (lines["alpha"]["status"], lines["alpha"]["received"]) == ("ERR_EXIT_CODE_3", "SUCCESS_3")
    assert lines["alpha"]["at"].endswith("Z")
    assert (stats["waiting"], stats["notified"], stats["success"], stats["error"]) == (1, 0, 0, 1)
    computers = document("computer", "list", data=shared)
    assert [set(computer) for computer in computers] == [COMPUTER_KEYS] * 2
    details = document("computer", "show", "alpha", data=shared)
    assert set(details) == COMPUTER_KEYS | {"account", "overrides", "packages", "events", "inventory"}
    assert set(details["packages"][0]) == {"id", "name", "status", "received", "at", "why"}
    assert set(details["events"][0]) == {"at", "package", "kind", "detail"}
    assert details["inventory"] == {"HARDWARE": [{"NAME": "alpha", "MEMORY": "4096"}]}
    settings = document("config", "get", data=shared)
    assert [set(setting) for setting in settings] == [{"name", "value", "origin", "default"}] * len(SETTINGS)


def test_tables_for_people_have_a_head_and_a_line_for_each(shared: Path) -> None:
    table = must("package", "list", data=shared).splitlines()
    assert table[0].split()[:4] == ["ID", "NAME", "OS", "ACTION"]
    assert len(table) == 3
    package = table[2].split()[0]
    assert "The command ended with code 3." in must("package", "stats", package, data=shared)
    assert "activation 1: info https://a.example.org/d" in must("package", "show", package, data=shared)
    assert "alpha" in must("computer", "list", "--search", "MEMORY > 4000", data=shared)
    assert "inventory: HARDWARE 1" in must("computer", "show", "alpha", data=shared)


@pytest.mark.parametrize("name", [NASTY, "two\nlines", "tab\there", "=cmd|'/c calc'!A1", "-dashes", "x" * 255])
def test_names_and_texts_come_back_as_they_were_given(tmp_path: Path, name: str) -> None:
    words = [
        "--name=" + name,
        "--os",
        "linux",
        "--action",
        "execute",
        f"--command=echo {name[:200]}",
        "--description=" + name,
    ]
    words += ["--warn-text=" + name, "--done-text=" + name]
    package = must("package", "build", *words, data=tmp_path)
    shown = document("package", "show", package, data=tmp_path)
    assert (shown["name"], shown["command"]) == (name, f"echo {name[:200]}")
    assert (shown["description"], shown["warn"]["text"], shown["done_text"]) == (name, name, name)
    for word in (("package", "list"), ("package", "show", package), ("package", "stats", package)):
        for line in must(*word, data=tmp_path).splitlines():
            assert line.isprintable(), line


def test_what_agents_say_cannot_steer_a_terminal(tmp_path: Path) -> None:
    evil = "pc\N{RIGHT-TO-LEFT OVERRIDE}\x9b2J"
    told(inventory(device("pc-9"), ("HARDWARE", {"NAME": evil, "OSNAME": "a\nb"})), data=tmp_path)
    for line in (("computer", "list"), ("computer", "show", "pc-9-2026-01-31-09-30-00")):
        for text in must(*line, data=tmp_path).splitlines():
            assert text.isprintable(), ascii(text)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_output_works_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    name = NASTY.replace("\u202e", "").strip()
    build(tmp_path, name)

    def run(*words: str) -> bytes:
        raw = io.BytesIO()
        with contextlib.redirect_stdout(io.TextIOWrapper(raw, encoding=encoding, write_through=True)):
            assert cli.main(["package", "list", *words, "--data", str(tmp_path)]) == 0
            return raw.getvalue()

    assert len(run().splitlines()) == 2
    assert json.loads(run("--json").decode(encoding))[0]["name"] == name


def test_a_reader_that_goes_away_is_no_bug(shared: Path) -> None:
    with subprocess.Popen(
        command("config", "get", "--json", "--data", shared),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


# Editing by option


def test_edit_changes_what_is_named_and_nothing_else(tmp_path: Path, archive: Path) -> None:
    package = build(
        tmp_path, "one", "--action", "launch", "--command", "setup.sh a", "--file", archive, "--warn-text", "soon",
        "--warn-countdown", "30", "--may-delay", "--description", "d",
    )  # fmt: skip
    before = document("package", "show", package, data=tmp_path)
    assert must("package", "edit", package, "--priority", "0", "--command", "setup.sh b", data=tmp_path) == ""
    after = document("package", "show", package, data=tmp_path)
    assert {key for key in before if before[key] != after[key]} == {"priority", "command"}
    must("package", "edit", package, "--no-may-delay", "--may-cancel", "--description", "", data=tmp_path)
    warn = document("package", "show", package, data=tmp_path)["warn"]
    assert warn == {"text": "soon", "countdown": 30, "may_cancel": True, "may_delay": False}
    must("package", "edit", package, "--warn-text", "", data=tmp_path)
    last = document("package", "show", package, data=tmp_path)
    assert (last["warn"], last["description"]) == (None, "")


def test_edit_says_when_computers_were_told_of_it_before(tmp_path: Path) -> None:
    package = build(tmp_path, "one")
    must("package", "activate", package, "--unchecked", data=tmp_path)
    told(inventory(device("alpha")), data=tmp_path)
    must("package", "affect", package, "--all", data=tmp_path)
    assert say("package", "edit", package, "--command", "false", data=tmp_path).err == ""
    told(prolog(device("alpha")), data=tmp_path)
    said = say("package", "edit", package, "--command", "true", data=tmp_path)
    assert (said.code, said.err) == (0, "ocs.pyz: 1 computers were told of it before and keep what they have.\n")


def test_changing_the_action_takes_its_argument(tmp_path: Path, archive: Path) -> None:
    package = build(tmp_path, "one", "--action", "store", "--path", "/opt/x", "--file", archive)
    must("package", "edit", package, "--action", "launch", "--command", "setup.sh", data=tmp_path)
    shown = document("package", "show", package, data=tmp_path)
    assert (shown["action"], shown["command"], shown["path"]) == ("launch", "setup.sh", None)
    said = say("package", "edit", package, "--action", "store", data=tmp_path)
    assert one_sentence(said).startswith("path: ")


# Deleting


def test_delete_prints_what_went(tmp_path: Path) -> None:
    package = build(tmp_path, "one")
    told(inventory(device("alpha")), data=tmp_path)
    assert must("package", "delete", package, data=tmp_path) == package
    assert must("computer", "delete", "alpha", data=tmp_path) == device("alpha")
    assert shelved(tmp_path) == []


def test_zip_and_tgz_endings(tmp_path: Path) -> None:
    for name, data in {
        "A.ZIP": zip_of({"a": b"a"}),
        "b.tgz": targz_of({"a": b"a"}),
        "C.Tar.Gz": targz_of({"a": b"a"}),
    }.items():
        (tmp_path / name).write_bytes(data)
        assert build(tmp_path / "data", name, "--action", "store", "--path", "/x", "--file", tmp_path / name)
