"""HTTP Basic: both directions, and what is none."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.wire import basic
from appliance.wire.basic import Credentials

NAMES = st.text(st.characters(exclude_characters=":", exclude_categories=["Cs"]), max_size=40)


@given(NAMES, st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_what_is_written_is_read_as_it_was(user: str, password: str) -> None:
    assert basic.decode(basic.encode(Credentials(user, password))) == Credentials(user, password)


@pytest.mark.parametrize("header", ["basic YTpi", "BASIC  YTpi", "Basic YTpi "])
def test_the_scheme_is_read_in_any_case(header: str) -> None:
    assert basic.decode(header) == Credentials("a", "b")


@pytest.mark.parametrize(
    "header",
    [
        *(
            "",
            "Basic",
            "Basic ",
            "Bearer YTpi",
            "Digest username=x",
            "YTpi",
            "Basic YTpi,YTpi",
            "Basic YTp",
            "Basic YT",
        ),
        *("Basic ä", "Basic YTp\x00", "Basic " + base64.b64encode(b"\xff:\xff").decode()),
        *("Basic " + base64.b64encode(b"no colon").decode(), "Basic " + "A" * 4000),
    ],
)
def test_what_is_none_is_none(header: str) -> None:
    assert basic.decode(header) is None


@given(st.text())
def test_any_header_is_credentials_or_none(header: str) -> None:
    assert isinstance(basic.decode(header), (Credentials, type(None)))
    assert isinstance(basic.decode(f"Basic {header}"), (Credentials, type(None)))


def test_a_password_is_not_in_what_is_shown_of_it() -> None:
    assert "canary" not in repr(Credentials("agents", "canary"))


def test_the_lines_for_the_unix_agent_have_user_and_password_as_base64() -> None:
    made = basic.unix_config("https://ocs.example.org:4343/ocsinventory", "Some area", Credentials("agents", "x" * 32))
    assert made.splitlines() == [
        "server=https://ocs.example.org:4343/ocsinventory",
        "ssl=1",
        "realm=Some area",
        "user=YWdlbnRz",
        "password=eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg=",
    ]
