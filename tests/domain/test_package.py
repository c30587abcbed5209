"""What makes a package valid, table by table; each refusal names the field that a person has to change."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain import package
from appliance.domain.package import (
    LAST_ID,
    Action,
    Notice,
    Order,
    Package,
    PackageId,
    Payload,
    System,
    checked,
    info_of,
    is_package_id,
    next_id,
    program_of,
)
from appliance.domain.refusal import Kind, Refusal

LAUNCH = Order("Player", System.LINUX, Action.LAUNCH, "setup.sh --quiet")
EXECUTE = Order("Update", System.LINUX, Action.EXECUTE, "apt-get -y upgrade > /tmp/log")
STORE = Order("Files", System.LINUX, Action.STORE, "/opt/my files")
WINDOWS = replace(LAUNCH, system=System.WINDOWS, argument="setup.exe /S")


@pytest.mark.parametrize(
    ("order", "file_format"),
    [
        (LAUNCH, "tar.gz"),
        (LAUNCH, "zip"),
        (replace(LAUNCH, system=System.MACOS), "tar.gz"),
        (WINDOWS, "zip"),
        (replace(WINDOWS, argument='"my setup.exe" /S'), "zip"),
        (replace(WINDOWS, argument="my-setup.exe /S"), "zip"),  # only Unix agents cut at a hyphen
        (EXECUTE, None),
        (EXECUTE, "tar.gz"),
        (STORE, "tar.gz"),
        (replace(STORE, system=System.WINDOWS, argument="%ProgramFiles%\\Files"), "zip"),
        (replace(LAUNCH, priority=0), "zip"),
        (replace(LAUNCH, priority=10), "zip"),
        (replace(LAUNCH, name="n" * 255, description="d" * 8192, done_text="t" * 8192), "zip"),
        (replace(EXECUTE, argument="e" * 4096), None),
        (replace(LAUNCH, notice=Notice("<b>now</b>", 9999, True, True)), "zip"),
        (replace(LAUNCH, notice=Notice("now", 0)), "zip"),
        (replace(EXECUTE, name="a\nb\tc", argument='echo "a&b<c>\r\n\té\U0001f600"'), None),
    ],
)
def test_a_valid_order_is_taken_as_it_is(order: Order, file_format: str | None) -> None:
    assert checked(order, file_format=file_format) == order


def test_blanks_at_the_ends_go_where_they_mean_nothing() -> None:
    assert checked(replace(LAUNCH, name="  Player\n"), file_format="zip").name == "Player"
    assert checked(replace(LAUNCH, argument="  setup.sh -q "), file_format="zip").argument == "setup.sh -q"
    assert checked(replace(EXECUTE, argument=" echo a\\ "), file_format=None).argument == " echo a\\ "
    assert checked(replace(STORE, argument="/opt/x "), file_format="zip").argument == "/opt/x "


@pytest.mark.parametrize(
    ("order", "file_format", "field"),
    [
        (replace(LAUNCH, priority=11), "zip", "priority"),
        (replace(LAUNCH, priority=-1), "zip", "priority"),
        (replace(LAUNCH, name=""), "zip", "name"),
        (replace(LAUNCH, name="  \n"), "zip", "name"),
        (replace(LAUNCH, name="n" * 256), "zip", "name"),
        (replace(LAUNCH, name="a\x00b"), "zip", "name"),
        (replace(LAUNCH, name="a\x1bb"), "zip", "name"),
        (replace(LAUNCH, name="a\x7fb"), "zip", "name"),
        (replace(LAUNCH, name="a\ud800b"), "zip", "name"),
        (replace(LAUNCH, name="a\uffffb"), "zip", "name"),
        (replace(LAUNCH, description="d" * 8193), "zip", "description"),
        (replace(LAUNCH, description="\x01"), "zip", "description"),
        (replace(LAUNCH, argument=""), "zip", "command"),
        (replace(LAUNCH, argument=" \t"), "zip", "command"),
        (replace(LAUNCH, argument="bin/setup.sh"), "zip", "command"),
        (replace(LAUNCH, argument="./setup.sh"), "zip", "command"),
        (replace(WINDOWS, argument="bin\\setup.exe"), "zip", "command"),
        (replace(WINDOWS, argument='"C:\\x\\setup.exe"'), "zip", "command"),
        (replace(WINDOWS, argument='"" /S'), "zip", "command"),
        (replace(LAUNCH, argument="my-setup.sh"), "zip", "command"),
        (replace(LAUNCH, argument='"setup.sh" -q'), "zip", "command"),
        (replace(LAUNCH, system=System.MACOS, argument="my-setup.sh"), "zip", "command"),
        (replace(LAUNCH, argument="setup.sh \x08"), "zip", "command"),
        (replace(EXECUTE, argument=""), None, "command"),
        (replace(EXECUTE, argument="e" * 4097), None, "command"),
        (replace(EXECUTE, system=System.WINDOWS, argument="e" * 255), None, "command"),
        (replace(STORE, argument="  "), "zip", "path"),
        (replace(STORE, argument="/opt/\x02"), "zip", "path"),
        (LAUNCH, None, "file"),
        (STORE, None, "file"),
        (LAUNCH, "rar", "file"),
        (LAUNCH, "", "file"),
        (WINDOWS, "tar.gz", "file"),
        (replace(EXECUTE, system=System.WINDOWS), "tar.gz", "file"),
        (replace(LAUNCH, notice=Notice("  ")), "zip", "warn-text"),
        (replace(LAUNCH, notice=Notice("w" * 8193)), "zip", "warn-text"),
        (replace(LAUNCH, notice=Notice("w\x03")), "zip", "warn-text"),
        (replace(LAUNCH, notice=Notice("w", -1)), "zip", "warn-countdown"),
        (replace(LAUNCH, notice=Notice("w", 10_000)), "zip", "warn-countdown"),
        (replace(LAUNCH, done_text="t" * 8193), "zip", "done-text"),
        (replace(LAUNCH, done_text="t\x0b"), "zip", "done-text"),
    ],
)
def test_an_invalid_order_is_refused_in_one_sentence_that_names_the_field(
    order: Order, file_format: str | None, field: str
) -> None:
    with pytest.raises(Refusal) as refused:
        checked(order, file_format=file_format)
    assert (refused.value.kind, refused.value.field) == (Kind.INVALID, field)
    sentence = str(refused.value)
    assert sentence.startswith(f"{field}: ")
    assert sentence.endswith(".")
    assert sentence.isprintable()
    assert len(sentence) < 250


@given(
    st.builds(
        Order,
        name=st.text(max_size=300),
        system=st.sampled_from(System),
        action=st.sampled_from(Action),
        argument=st.text(max_size=300),
        priority=st.integers(-5, 15),
        notice=st.none() | st.builds(Notice, st.text(), st.integers()),
        done_text=st.text(),
    ),
    st.sampled_from([None, "zip", "tar.gz", "7z"]),
)
def test_any_order_is_taken_or_refused_and_taken_twice_the_same(order: Order, file_format: str | None) -> None:
    try:
        taken = checked(order, file_format=file_format)
    except Refusal:
        return
    assert checked(taken, file_format=file_format) == taken
    assert 0 <= taken.priority <= 10
    assert taken.name == order.name.strip() != ""
    assert file_format != "tar.gz" or order.system is not System.WINDOWS


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("setup.sh", "setup.sh"),
        ("setup.sh --quiet -x", "setup.sh"),
        ("  setup.sh\t-q", "setup.sh"),
        ('"my setup.exe" /S', "my setup.exe"),
        ('"unclosed setup.exe', '"unclosed'),
        ("", ""),
    ],
)
def test_the_program_is_the_first_word_without_its_quotes(command: str, program: str) -> None:
    assert program_of(replace(LAUNCH, argument=command)) == program


# Ids


# all but the last moments before the last id, which leave none behind them
@given(st.lists(st.integers(-(2**40), LAST_ID - 100) | st.integers(LAST_ID + 1, 2**40), min_size=1, max_size=60))
def test_ids_increase_under_any_clock_and_none_is_part_of_another(clock: list[int]) -> None:
    ids: list[PackageId] = []
    for now in clock:
        ids.append(next_id(int(ids[-1]) if ids else 0, now))
    assert ids == sorted(set(ids))
    assert all(is_package_id(each) and int(each) <= LAST_ID for each in ids)
    assert not any(a in b for a in ids for b in ids if a != b)


@pytest.mark.parametrize(
    ("last", "now", "id"),
    [
        (0, 1_795_206_923, "1795206923"),
        (1_795_206_923, 1_795_206_923, "1795206924"),
        (1_795_206_923, 1_700_000_000, "1795206924"),
        (0, 5, "1000000000"),
        (1_795_206_923, LAST_ID + 1, "1795206924"),
        (1_795_206_923, LAST_ID, str(LAST_ID)),
    ],
)
def test_an_id_is_the_time_or_one_more_than_the_last(last: int, now: int, id: str) -> None:
    assert next_id(last, now) == id


def test_when_no_id_is_left_that_is_said() -> None:
    with pytest.raises(ValueError, match="no ten-digit package id"):
        next_id(LAST_ID, 1_795_206_923)


@pytest.mark.parametrize(
    "text",
    ["", "179520692", "17952069230", "179520692x", "-179520692", "1795206923\n", "１７９５２０６９２３", " 795206923"],
)
def test_what_is_not_ten_digits_is_no_package_id(text: str) -> None:
    assert not is_package_id(text)


# Info


def test_info_repeats_the_order_and_carries_md5() -> None:
    payload = Payload(size=100, fragment_size=40, fragments=3, md5="m" * 32, sha256="s" * 64, format="zip")
    order = replace(LAUNCH, priority=3, notice=Notice("now", 5), done_text="done?")
    info = info_of(Package(PackageId("1795206923"), order, payload, 1_795_206_923))
    assert info == package.Info(
        package=PackageId("1795206923"),
        priority=3,
        action=Action.LAUNCH,
        argument="setup.sh --quiet",
        fragments=3,
        digest="m" * 32,
        digest_algorithm="MD5",
        digest_encoding="Hexa",
        notice=Notice("now", 5),
        done_text="done?",
    )


def test_info_of_a_command_without_a_file_has_no_fragment_and_no_digest() -> None:
    info = info_of(Package(PackageId("1795206923"), EXECUTE, None, 0))
    assert (info.fragments, info.digest) == (0, "")
