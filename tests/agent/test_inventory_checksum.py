"""CHECKSUM: which sections are news since the last accepted inventory."""

from __future__ import annotations

from appliance.agent.inventory.checksum import ALL_BITS, BITS, changed

BEFORE = [
    ("HARDWARE", {"NAME": "pc1", "MEMORY": "8192", "DESCRIPTION": "x86_64/00-00-00 00:01:00"}),
    ("DRIVES", {"TYPE": "/", "TOTAL": "1000", "FREE": "512"}),
    ("SOFTWARES", {"NAME": "adduser", "VERSION": "3.134"}),
    ("SOFTWARES", {"NAME": "zstd", "VERSION": "1.5.4"}),
    ("LOCAL_USERS", {"LOGIN": "root"}),
]
_, KNOWN = changed({}, BEFORE)


def test_the_first_inventory_sets_every_bit() -> None:
    checksum, fingerprints = changed({}, BEFORE)
    assert checksum == ALL_BITS
    assert checksum & 1572863 == 1572863  # what the genuine agent sets
    assert set(fingerprints) == {"HARDWARE", "DRIVES", "SOFTWARES", "LOCAL_USERS"}
    assert all(len(value) == 64 for value in fingerprints.values())


def test_an_unchanged_computer_sets_none_whatever_the_order_of_its_rows() -> None:
    assert changed(KNOWN, BEFORE) == (0, KNOWN)
    assert changed(KNOWN, list(reversed(BEFORE))) == (0, KNOWN)


def test_each_section_that_changed_sets_its_own_bit() -> None:
    for index, (name, fields) in enumerate(BEFORE):
        after = [*BEFORE]
        after[index] = (name, {**fields, "NEW": "1"})
        assert changed(KNOWN, after)[0] == BITS.get(name, 0)


def test_uptime_speed_and_the_time_it_took_are_no_news() -> None:
    after = [*BEFORE]
    moment = {
        "DESCRIPTION": "x86_64/00-00-01 00:00:00",
        "ETIME": "3",
        "PROCESSORS": "1200",
        "LASTDATE": "now",
    }
    after[0] = ("HARDWARE", {**BEFORE[0][1], **moment})
    assert changed(KNOWN, after)[0] == 0


def test_a_little_less_free_space_is_no_news_but_a_twentieth_is() -> None:
    after = [*BEFORE]
    after[1] = ("DRIVES", {**BEFORE[1][1], "FREE": "501"})
    assert changed(KNOWN, after)[0] == 0
    after[1] = ("DRIVES", {**BEFORE[1][1], "FREE": "440"})
    assert changed(KNOWN, after)[0] == BITS["DRIVES"]


def test_a_section_that_came_or_went_counts_as_changed() -> None:
    assert changed(KNOWN, BEFORE[:2] + BEFORE[4:])[0] == BITS["SOFTWARES"]
    assert changed(KNOWN, [*BEFORE, ("USBDEVICES", {"CAPTION": "stick"})])[0] == BITS["USBDEVICES"]


def test_a_value_that_moves_to_another_field_or_row_is_seen() -> None:
    one = [("SOUNDS", {"NAME": "ab", "MANUFACTURER": "c"})]
    two = [("SOUNDS", {"NAME": "a", "MANUFACTURER": "bc"})]
    assert changed(changed({}, one)[1], two)[0] == BITS["SOUNDS"]
