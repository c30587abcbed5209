"""What the tests of the built file share: the file itself, and the real programs of others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.whole)


@pytest.fixture(scope="session")
def pyz() -> Path:
    """The built ocs.pyz."""
    said = os.environ.get("OCS_PYZ", "")
    if not said or not Path(said).is_file():
        pytest.fail("these tests need the built file: run `python3 build/make.py test`")
    return Path(said)


@pytest.fixture(scope="session")
def need_peer() -> Callable[[str], None]:
    """`need_peer("curl")`: go on only with that real peer. On CI its absence is a failure, not a skip."""
    at_hand = os.environ.get("OCS_PEERS", "").split(",")

    def need(name: str) -> None:
        if name not in at_hand:
            leave_out(f"{name} is not installed: `python3 build/make.py test` installs it as root on Debian")

    return need


def leave_out(reason: str) -> None:
    """Skip, saying what is missing; on CI, where nothing may be missing, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def can_leave_out() -> Callable[[str], None]:
    """`can_leave_out(reason)`, for other things than peers that a machine may lack."""
    return leave_out
