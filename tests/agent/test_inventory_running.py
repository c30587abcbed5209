"""Programs that are asked for their output: bounded in time and size, all of it or nothing."""

from __future__ import annotations

import os
import sys
import time

import pytest

from appliance.agent.inventory import running

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="runs a shell")


@pytest.mark.parametrize("script", ["sleep 60 & sleep 60", "sleep 60 & exit 0"])
def test_a_program_that_does_not_end_is_ended_with_its_children(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []
    killpg = os.killpg

    def noted(group: int, signal: int) -> None:
        groups.append(group)
        killpg(group, signal)

    monkeypatch.setattr(os, "killpg", noted)
    started = time.monotonic()
    assert running.output(["sh", "-c", script], timeout_seconds=0.2) is None
    assert time.monotonic() - started < 10
    (group,) = groups
    while exists(group) and time.monotonic() - started < 10:  # until init has collected the last of them
        pass
    assert not exists(group)


def test_what_a_program_says_is_taken_whole_or_not_at_all() -> None:
    assert running.output(["printf", "%s", "all of it"]) == b"all of it"
    assert running.output(["sh", "-c", "printf part; exit 3"]) is None
    assert running.output(["sh", "-c", "printf part; exit 3"], any_exit_code=True) == b"part"
    assert running.output(["head", "-c", "5000", "/dev/zero"], limit=4999) is None
    assert running.output(["no-such-program-anywhere"]) is None
    assert running.output(["sh", "-c", 'echo "$PATH $LC_ALL"']) == f"{running._PATH} C\n".encode()


def exists(group: int) -> bool:
    try:
        os.kill(-group, 0)
    except ProcessLookupError:
        return False
    return True
