"""Long work that goes on while a page is looked at: build, affect, delete. In this process only, none survives its end.

A job belongs to the account that began it. It is an operation like any other, with a function to report how far it is.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from appliance.clock import Clock
from appliance.domain.account import Actor
from appliance.domain.refusal import Kind, Refusal, missing

LOG = logging.getLogger("ocs.jobs")

RUNNING = 8  # at once
KEPT = 100  # that have ended and are still known

Progress = Callable[[str, int, int], None]  # what is done, how much of it, of how much; may come from any thread
Work = Callable[[Progress], Awaitable[object]]


@dataclass(frozen=True)
class JobState:
    """How far a job is. `step` is a word for the one at hand; `total` 0: nobody can tell."""

    id: str
    name: str
    begun_at: int  # seconds since 1970
    step: str = ""
    done: int = 0
    total: int = 0
    finished: bool = False
    result: object = None  # what the work returned
    refusal: Refusal | None = None


class _Job:
    def __init__(self, job_id: str, name: str, owner: Actor, now: int) -> None:
        self.id = job_id
        self.name = name
        self.owner = owner
        self.begun_at = now
        self.at: tuple[str, int, int] = ("", 0, 0)
        self.finished = False
        self.result: object = None
        self.refusal: Refusal | None = None
        self.task: asyncio.Task[None]

    def report(self, step: str, done: int, total: int) -> None:
        self.at = (step, done, total)  # one assignment: threads report while pages look

    def state(self) -> JobState:
        return JobState(self.id, self.name, self.begun_at, *self.at, self.finished, self.result, self.refusal)


class Jobs:
    """The jobs of one server."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jobs: dict[str, _Job] = {}
        self._closed = False

    def start(self, owner: Actor, name: str, work: Work) -> str:
        """Begin a job: its id. Raises Refusal(BUSY) where too many run."""
        running = sum(not job.finished for job in self._jobs.values())
        if running >= RUNNING or self._closed:
            raise Refusal(Kind.BUSY, "the server is busy with other long work; try again when that is done.")
        job = _Job(secrets.token_hex(16), name, owner, self._clock.now())
        self._jobs[job.id] = job
        job.task = asyncio.get_running_loop().create_task(self._run(job, work))
        self._let_go()
        return job.id

    def look(self, owner: Actor, job_id: str) -> JobState:
        """How far a job of that account is. Raises Refusal(MISSING)."""
        job = self._jobs.get(job_id)
        if job is None or not _same(job.owner, owner):
            raise missing("this work is not known any more; look at its result.")
        return job.state()

    def of(self, owner: Actor) -> list[JobState]:
        """The jobs of that account, newest first."""
        return [job.state() for job in reversed(self._jobs.values()) if _same(job.owner, owner)]

    async def close(self) -> None:
        """End what runs, each at its next step, and wait until nothing is left behind."""
        self._closed = True
        tasks = [job.task for job in self._jobs.values() if not job.finished]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self, job: _Job, work: Work) -> None:
        try:
            job.result = await work(job.report)
        except Refusal as refusal:
            job.refusal = refusal
        except asyncio.CancelledError:
            job.refusal = Refusal(Kind.BUSY, "the server was stopped before this was done; begin again.")
        except Exception:
            LOG.exception("the job %r ended in a bug", job.name)
            job.refusal = Refusal(Kind.CONFLICT, "an internal error ended this; the server's log says which.")
        finally:
            job.finished = True

    def _let_go(self) -> None:
        ended = [job.id for job in self._jobs.values() if job.finished]
        for job_id in ended[: max(0, len(ended) - KEPT)]:
            del self._jobs[job_id]


@asynccontextmanager
async def open_jobs(clock: Clock) -> AsyncIterator[Jobs]:
    """Jobs until the end of the block."""
    jobs = Jobs(clock)
    try:
        yield jobs
    finally:
        await jobs.close()


def _same(one: Actor, other: Actor) -> bool:
    return (one.user, one.name) == (other.user, other.name)
