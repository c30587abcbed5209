"""The shape of a DEVICEID, and the small helpers of an inventory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.messages import DeviceId, Inventory, is_device_id

TAIL = "-2026-01-31-09-30-00"


@pytest.mark.parametrize(
    "name", ["pc1", "pc-acct-017", "PC_1.example.org", "pc 1", "büro", "日本", "x" * 235, "a'b\"c&"]
)
def test_a_name_with_its_moment_is_a_device_id(name: str) -> None:
    assert is_device_id(name + TAIL)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not-a-device-id",
        TAIL,
        "pc1",
        "pc1-2026-01-31",
        "pc1-26-01-31-09-30-00",
        "pc1-2026-01-31-09-30-00-",
        "pc1-2026-01-31-09-30-0",
        "pc1" + TAIL + "\n",
        "pc\n1" + TAIL,
        "pc\x001" + TAIL,
        "../pc1" + TAIL,
        "pc\\1" + TAIL,
        "<b>" + TAIL,
        "pc1-٢٠٢٦-01-31-09-30-00",
        "x" * 236 + TAIL,
    ],
)
def test_what_is_not_of_that_shape_is_no_device_id(text: str) -> None:
    assert not is_device_id(text)


@given(st.text(), st.text(max_size=3))
def test_any_device_id_fits_one_line_and_no_path(before: str, after: str) -> None:
    text = before + TAIL + after
    assert not is_device_id(text) or not set(text) & set("\n\r\0/\\<>")


def test_an_inventory_gives_its_first_row_and_all_rows() -> None:
    sections = (("BIOS", {"SSN": "1"}), ("DRIVES", {"TYPE": "/"}), ("DRIVES", {"TYPE": "/home"}))
    inventory = Inventory(DeviceId("pc1" + TAIL), sections)
    assert inventory.first("DRIVES") == {"TYPE": "/"}
    assert inventory.first("CPUS") == {}
    assert inventory.rows("DRIVES") == [{"TYPE": "/"}, {"TYPE": "/home"}]
    assert inventory.rows("CPUS") == []
