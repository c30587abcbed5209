"""Jobs: progress that others may look at, one owner, a bounded number, and an end that leaves nothing behind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.clock import Clock
from appliance.domain.account import Role, user_actor
from appliance.domain.package import Action
from appliance.domain.refusal import Kind, Refusal, invalid
from appliance.operations import jobs
from appliance.operations.build_package import build_package
from appliance.operations.jobs import Jobs, JobState, Progress, open_jobs
from appliance.store import shelf
from tests.fakes.archives import targz_of
from tests.operations.kit import ORDER, Scene, play

ANA = user_actor("ana", "console", Role.ADMINISTRATOR, 1, [])
BEN = user_actor("ben", "console", Role.ADMINISTRATOR, 2, [])


def run(script: Callable[[Jobs], Awaitable[Any]]) -> Any:
    async def work() -> Any:
        async with open_jobs(Clock()) as running:
            return await script(running)

    return asyncio.run(work())


async def ended(running: Jobs, job: str) -> JobState:
    while not (state := running.look(ANA, job)).finished:
        await asyncio.sleep(0)
    return state


def test_a_job_reports_and_ends_with_a_result_or_a_refusal() -> None:
    async def script(running: Jobs) -> None:
        go = asyncio.Event()

        async def good(progress: Progress) -> int:
            progress("cut", 3, 10)
            await go.wait()
            return 7

        async def bad(progress: Progress) -> None:
            raise invalid("name", "no.")

        job = running.start(ANA, "build", good)
        await asyncio.sleep(0)
        state = running.look(ANA, job)
        assert (state.name, state.step, state.done, state.total, state.finished) == ("build", "cut", 3, 10, False)
        go.set()
        state = await ended(running, job)
        assert (state.result, state.refusal) == (7, None)
        refused = (await ended(running, running.start(ANA, "build", bad))).refusal
        assert refused is not None
        assert refused.field == "name"
        assert [state.name for state in running.of(ANA)] == ["build", "build"]

    run(script)


def test_another_account_does_not_see_it() -> None:
    async def script(running: Jobs) -> None:
        async def work(progress: Progress) -> None:
            """Nothing."""

        job = running.start(ANA, "x", work)
        assert running.of(BEN) == []
        for owner, wanted in ((BEN, job), (ANA, "0" * 32)):
            with pytest.raises(Refusal) as refused:
                running.look(owner, wanted)
            assert refused.value.kind is Kind.MISSING

    run(script)


def test_a_bug_ends_in_one_sentence_and_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def script(running: Jobs) -> JobState:
        async def work(progress: Progress) -> None:
            raise ZeroDivisionError("secret")

        return await ended(running, running.start(ANA, "x", work))

    with caplog.at_level(logging.ERROR, "ocs.jobs"):
        refusal = run(script).refusal
    assert "internal error" in str(refusal)
    assert "secret" not in str(refusal)
    assert "ZeroDivisionError" in caplog.text


def test_only_so_many_run_at_once_and_only_so_many_that_ended_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "KEPT", 3)

    async def script(running: Jobs) -> None:
        go = asyncio.Event()

        async def work(progress: Progress) -> None:
            await go.wait()

        first = [running.start(ANA, f"{n}", work) for n in range(jobs.RUNNING)]
        with pytest.raises(Refusal) as refused:
            running.start(BEN, "one more", work)
        assert refused.value.kind is Kind.BUSY
        go.set()
        for job in first:
            await ended(running, job)
        last = running.start(ANA, "last", work)
        await ended(running, last)
        assert [state.name for state in running.of(ANA)] == ["last", "7", "6", "5"]

    run(script)


def test_a_server_that_stops_ends_a_build_and_nothing_of_it_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "READ", 10)
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(targz_of({"setup.sh": b"#!/bin/sh\n" * 500}))

    async def script(scene: Scene) -> None:
        order = ORDER.__class__("p", ORDER.system, Action.STORE, "/x")
        cutting = asyncio.Event()
        loop = asyncio.get_running_loop()
        async with open_jobs(scene.clock) as running:

            async def work(progress: Progress) -> object:
                def told(step: str, done: int, total: int) -> None:
                    progress(step, done, total)
                    if step == "cut":
                        loop.call_soon_threadsafe(cutting.set)

                return await build_package(scene.desk, order, archive, None, told)

            job = running.start(ANA, "build", work)
            await cutting.wait()
        state = running.look(ANA, job)
        assert state.finished
        if state.result is None:  # it may have come to its end first, on a quick machine
            assert "stopped" in str(state.refusal)
            assert list(scene.desk.shelf.folder.iterdir()) == []
        with pytest.raises(Refusal):
            running.start(ANA, "late", work)

    play(tmp_path, script)
