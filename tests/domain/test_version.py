"""Versions in the order that people mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.version import is_before, version_rank


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("9.1", "116"),
        ("9", "10"),
        ("1.9.9", "1.10"),
        ("1.0", "1.0.1"),
        ("1.0rc1", "1.0"),
        ("1.0-beta", "1.0"),
        ("1.0alpha2", "1.0beta1"),
        ("1.0.2", "1.0.2a"),
        ("1.0.2a", "1.0.2b"),
        ("", "0"),
        ("24.02.00.0", "24.08.01.0"),
        ("2.10.34+deb12u1", "2.10.34+deb12u2"),
    ],
)
def test_one_version_is_before_the_other(older: str, newer: str) -> None:
    assert is_before(older, newer)
    assert not is_before(newer, older)


def test_what_stands_between_the_numbers_does_not_matter() -> None:
    assert version_rank("1.2-3") == version_rank("1_2.3")
    assert version_rank("1.0RC1") == version_rank("1.0rc1")


@given(st.text(), st.text())
def test_any_two_texts_have_an_order(one: str, other: str) -> None:
    assert is_before(one, other) + is_before(other, one) + (version_rank(one) == version_rank(other)) == 1
