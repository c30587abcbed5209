"""The settings in a browser: each with its help and bounds, all or nothing, and only what was changed."""

from __future__ import annotations

import pytest

from appliance.domain.tempo import KNOB
from appliance.operations.configure import set_setting
from appliance.operations.groups import create_group
from appliance.settings import SETTINGS
from tests.fakes.appliance import device, dump, inventory, rows
from tests.web.console.conftest import Console


def chosen(console: Console) -> dict[str, str]:
    return dict(rows(console.data, "SELECT name, value FROM setting"))


def test_every_setting_stands_there_once_with_its_help_and_its_value(console: Console) -> None:
    browser = console.browser.get("/configuration")
    fields = [name for form in browser.page.forms if form.action == "/configuration" for name, _ in form.fields]
    for setting in SETTINGS:
        assert setting.help in browser.text
        assert fields.count(setting.name) == 1
    assert "From 1 KiB to 256 MiB. Default: 8M. This is the default." in browser.text
    assert "0 to 86400 s. Default: 60. This is the default. Nobody overrides it." in browser.text
    assert "Others" not in browser.text, "a setting has no section"


def test_only_what_was_changed_is_written_and_logged(console: Console) -> None:
    browser = console.browser.get("/configuration")
    entries = len(console.log())
    browser.submit("Save")
    assert "Nothing was different; nothing was changed." in browser.text
    assert len(console.log()) == entries
    browser.submit("Save", DOWNLOAD_CYCLE_LATENCY="90", DOWNLOAD="0", FRAGMENT_SIZE="4M")
    assert "Settings that were changed: 3." in browser.text
    assert "Default: 60. Changed." in browser.text
    assert chosen(console) == {"DOWNLOAD_CYCLE_LATENCY": "90", "DOWNLOAD": "0", "FRAGMENT_SIZE": "4M"}
    assert sorted(subject for _, deed, subject in console.log()[entries:]) == [
        "DOWNLOAD",
        "DOWNLOAD_CYCLE_LATENCY",
        "FRAGMENT_SIZE",
    ]
    browser.submit("Save", DOWNLOAD_CYCLE_LATENCY="", DOWNLOAD="1", FRAGMENT_SIZE="")
    assert chosen(console) == {"DOWNLOAD": "1"}


def test_what_somebody_else_changed_meanwhile_stays(console: Console) -> None:
    browser, other = console.browser.get("/configuration"), console.administrator().get("/configuration")
    other.submit("Save", PROLOG_FREQ="12")
    browser.submit("Save", DOWNLOAD_TIMEOUT="40")
    assert chosen(console)["PROLOG_FREQ"] == "12"
    assert chosen(console)["DOWNLOAD_TIMEOUT"] == "40"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DOWNLOAD_PERIOD_LENGTH", "0", "'0' is not a number from 1 to 999 (cycles)."),
        ("CONTACT_WIRE_LIMIT", "1", "'1' is not a size from 1024 to 268435456 bytes."),
        ("AUTO_DUPLICATE_LVL", "<b>", "'<b>' is not a number from 0 to 31."),
        ("REFUSED_AGENTS", "(", "is no regular expression"),
        ("ACCEPT_TAG_UPDATE_FROM_CLIENT", "2", "'2' is not a number from 0 to 1."),
    ],
)
def test_one_value_that_does_not_fit_keeps_all_of_them_out_and_is_named_at_its_field(
    console: Console, name: str, value: str, sentence: str
) -> None:
    before = dump(console.data)
    browser = console.browser.get("/configuration").submit("Save", **{"FREQUENCY": "7", name: value})
    assert browser.status == 400
    assert "Nothing was changed: some values do not fit, see below." in browser.text
    assert sentence in browser.text
    assert "<b>" not in browser.html
    assert 'value="7"' in browser.html, "what was typed stays"
    assert dump(console.data) == before
    browser.submit("Save", **{name: ""})
    assert "Settings that were changed: 1." in browser.text
    assert chosen(console)["FREQUENCY"] == "7"
    browser.submit("Save", FREQUENCY="")


def test_several_values_that_do_not_fit_are_all_named(console: Console) -> None:
    text = console.browser.get("/configuration").submit("Save", DOWNLOAD_TIMEOUT="x", PROLOG_FREQ="y").text
    assert "'x' is not a number from 1 to 999 (days)." in text
    assert "'y' is not a number from 1 to 8760 (h)." in text


def test_who_overrides_a_setting_is_told(console: Console) -> None:
    assert console.server.post(inventory(device("pc-9"))).status == 200
    console.desk(create_group, "Slow <line>")
    console.desk(set_setting, "DOWNLOAD_FRAG_LATENCY", "99", "pc-9")
    console.desk(set_setting, "DOWNLOAD_FRAG_LATENCY", "50", None, "Slow <line>")
    browser = console.browser.get("/configuration")
    assert "Overridden by groups: Slow <line>. Overridden by 1 computer." in browser.text
    assert ("Slow <line>", "/groups/1") in browser.page.links


def test_a_setting_that_each_computer_may_have_says_whether_any_does(console: Console) -> None:
    page = console.browser.get("/configuration").text
    free = [name for name in KNOB if name != "DOWNLOAD_FRAG_LATENCY"]
    assert page.count("Nobody overrides it.") >= len(free)
