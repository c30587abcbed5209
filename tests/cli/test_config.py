"""`config` and `tls`: settings with bounds, for all or for one computer; the authority's certificate."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from appliance.settings import BY_NAME, SETTINGS, Setting, Settings, known
from tests.cli.test_words import one_sentence, told
from tests.fakes.appliance import build, device, inventory, must, say


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("config") / "data"
    told(inventory(device("alpha")), data=folder)
    return folder


def test_defaults_are_those_of_the_contract(data: Path) -> None:
    for name, value in {
        "DOWNLOAD": "1",
        "DOWNLOAD_CYCLE_LATENCY": "60",
        "DOWNLOAD_FRAG_LATENCY": "10",
        "DOWNLOAD_PERIOD_LENGTH": "10",
        "DOWNLOAD_PERIOD_LATENCY": "0",
        "DOWNLOAD_TIMEOUT": "30",
        "DOWNLOAD_EXECUTION_TIMEOUT": "120",
        "PROLOG_FREQ": "24",
        "AUTO_DUPLICATE_LVL": "7",
        "CONTACT_WIRE_LIMIT": "8M",
        "CONTACT_INFLATED_LIMIT": "32M",
        "CONTACT_DEPTH_LIMIT": "64",
        "CONTACT_DEADLINE": "30",
    }.items():
        assert must("config", "get", name, data=data) == value
        assert must("config", "get", name.lower(), data=data) == value


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_has_a_default_that_it_accepts_and_a_help(setting: Setting, data: Path) -> None:
    assert setting.parse(setting.default) is not None
    assert setting.help.endswith(".")
    assert setting.name in must("config", "get", data=data)
    assert known(setting.name.lower()) is setting


WRONG = {
    "DOWNLOAD": ["2", "-1", "on", ""],
    "DOWNLOAD_CYCLE_LATENCY": ["-1", "86401", "1.5", "x"],
    "DOWNLOAD_PERIOD_LENGTH": ["0", "1000"],
    "DOWNLOAD_TIMEOUT": ["0", "1000"],
    "PROLOG_FREQ": ["0", "8761"],
    "FREQUENCY": ["-2", "366"],
    "FRAGMENT_SIZE": ["0", "1025M", "-1", "big", "99999999999999999"],
    "AUTO_DUPLICATE_LVL": ["32", "-1", "7x"],
    "ACCEPT_TAG_UPDATE_FROM_CLIENT": ["2", "yes"],
    "REFUSED_AGENTS": ["(", "x" * 256],
    "CONTACT_WIRE_LIMIT": ["1023", "1G"],
    "CONTACT_INFLATED_LIMIT": ["1", "2G"],
    "CONTACT_DEPTH_LIMIT": ["3", "1001"],
    "CONTACT_ELEMENT_LIMIT": ["99", "10000001"],
    "CONTACT_DEADLINE": ["0", "601"],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_value_out_of_bounds_is_refused_and_the_old_one_stays(data: Path, name: str) -> None:
    before = must("config", "get", name, data=data)
    for value in WRONG[name]:
        assert one_sentence(say("config", "set", name, value, data=data)).startswith(f"{name}: ")
    assert must("config", "get", name, data=data) == before


def test_set_get_and_back_to_the_default(data: Path) -> None:
    for value in ("0", "86400"):
        must("config", "set", "download_cycle_latency", value, data=data)
        assert must("config", "get", "DOWNLOAD_CYCLE_LATENCY", data=data) == value
    must("config", "set", "DOWNLOAD_CYCLE_LATENCY", data=data)
    assert must("config", "get", "DOWNLOAD_CYCLE_LATENCY", data=data) == "60"


def test_a_number_is_kept_as_a_number_however_it_was_typed(data: Path) -> None:
    must("config", "set", "PROLOG_FREQ", " 08 ", data=data)
    assert must("config", "get", "PROLOG_FREQ", data=data) == "8"
    must("config", "set", "PROLOG_FREQ", data=data)


def test_one_computer_may_differ(data: Path) -> None:
    must("config", "set", "PROLOG_FREQ", "5", data=data)
    must("config", "set", "PROLOG_FREQ", "2", "--computer", "alpha", data=data)
    try:
        assert must("config", "get", "PROLOG_FREQ", data=data) == "5"
        assert must("config", "get", "PROLOG_FREQ", "--computer", "alpha", data=data) == "2"
        assert "PROLOG_FREQ" in [
            line.split()[0]
            for line in must("config", "get", "--computer", "alpha", data=data).splitlines()
            if " computer " in line
        ]
        assert one_sentence(say("config", "set", "PROLOG_FREQ", "0", "--computer", "alpha", data=data)).startswith(
            "PROLOG_FREQ"
        )
        sentence = one_sentence(say("config", "set", "FRAGMENT_SIZE", "1M", "--computer", "alpha", data=data))
        assert sentence == "FRAGMENT_SIZE: this setting cannot differ from computer to computer."
    finally:
        must("config", "set", "PROLOG_FREQ", "--computer", "alpha", data=data)
        must("config", "set", "PROLOG_FREQ", data=data)
    assert must("config", "get", "PROLOG_FREQ", "--computer", "alpha", data=data) == "24"


def test_an_unknown_setting_names_those_that_there_are(data: Path) -> None:
    for line in (("config", "get", "NONSENSE"), ("config", "set", "NONSENSE", "1")):
        sentence = one_sentence(say(*line, data=data))
        assert sentence.startswith("'NONSENSE' is no setting; the settings are DOWNLOAD, ")


def test_a_fragment_size_set_for_all_is_used_by_builds_that_name_none(data: Path, tmp_path: Path) -> None:
    import json
    import os

    from tests.fakes.archives import targz_of

    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(targz_of({"x": os.urandom(5000)}))
    must("config", "set", "FRAGMENT_SIZE", "2K", data=data)
    package = build(data, "cut", "--action", "store", "--path", "/x", "--file", archive)
    must("config", "set", "FRAGMENT_SIZE", data=data)
    shown = json.loads(must("package", "show", package, "--json", data=data))
    assert (shown["fragment_size"], shown["fragments"]) == (2048, 3)


def test_settings_that_an_older_version_wrote_do_not_stop_the_server() -> None:
    settings = Settings({"NO_LONGER_THERE": "1", "DOWNLOAD": "0"})
    assert settings.knobs()["DOWNLOAD"] == 0
    assert set(settings.knobs()) <= set(BY_NAME)


# tls


def test_export_ca_prints_or_writes_the_same_certificate_and_never_a_key(tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "cacert.pem"
    printed = must("tls", "export-ca", data=data) + "\n"
    assert must("tls", "export-ca", file, data=data) == ""
    assert file.read_text() == printed
    assert file.stat().st_mode & 0o777 == 0o644
    assert "PRIVATE" not in printed
    assert ssl.create_default_context(cadata=printed).cert_store_stats()["x509_ca"] == 1
    file.write_text("something else")
    must("tls", "export-ca", file, data=data)
    assert file.read_text() == printed


def test_export_ca_to_where_nothing_can_be_written(tmp_path: Path) -> None:
    sentence = one_sentence(say("tls", "export-ca", tmp_path / "no" / "where.pem", data=tmp_path / "data"))
    assert sentence.startswith("file: ")
    assert "cannot be written: No such file or directory" in sentence
