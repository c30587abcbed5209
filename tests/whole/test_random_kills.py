"""200 times kill -9 at random moments while packages of 30 fragments are deployed: what must be true after all of them.

Each round deploys one package to one computer; its agent is started and killed until the package has ended, then comes
the next round. Several computers at once. The seed is printed: with the same one the same moments are tried again.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from tests.pythons import interpreters
from tests.whole.computers import Computer, running
from tests.whole.foreign import written
from tests.whole.site import WAIT, noise, script, site, targz, until

SEED = int(os.environ.get("OCS_KILL_SEED", "20260131"))
KILLS = 200
COMPUTERS = 4  # at once
FRAGMENTS = 30
FRAGMENT_SIZE = 128 * 1024
ACTIONS = ("launch", "execute", "store")


@dataclass
class Subject:
    """One package of one computer, deployed again and again; how often its agent was killed meanwhile."""

    package: str
    action: str
    rounds: int = 0
    kills: int = 0
    doubtful: int = 0  # rounds that ended with ERR_DONE_FAILED


@dataclass
class Player:
    """One computer, its part of the kills, and its own chance."""

    computer: Computer
    archive: Path
    blob: bytes  # what is in it
    kills: int
    chance: random.Random
    subjects: list[Subject] = field(default_factory=list)

    @property
    def ran(self) -> Path:
        """One line for each run of a command of this computer."""
        return self.computer.site.folder / f"{self.computer.name}.ran"

    @property
    def target(self) -> Path:
        """Where the Store stores."""
        return self.computer.site.folder / "stored" / self.computer.name

    def play(self) -> None:
        """All kills; the last package comes to its end in peace."""
        self.subjects = [self.build(action) for action in ACTIONS]
        turns = cycle(self.subjects)
        while self.kills > 0:
            self.play_round(next(turns))

    def build(self, action: str) -> Subject:
        """A package of 30 fragments, activated."""
        words = ["--action", action, "--file", str(self.archive), "--fragment-size", str(FRAGMENT_SIZE)]
        program = "./setup.sh" if action == "execute" else "setup.sh"
        words += ["--path", str(self.target)] if action == "store" else ["--command", f"{program} {self.ran}"]
        package = self.computer.build(action, *words)
        self.computer.site.ask("package", "activate", package, "--unchecked")
        return Subject(package, action)

    def begin(self, subject: Subject) -> None:
        """Affect it, again where it was before, and forget how that ended."""
        self.result(subject).unlink(missing_ok=True)
        self.computer.affect(subject.package, *(["--force"] if subject.rounds else []))
        subject.rounds += 1

    def play_round(self, subject: Subject) -> None:
        """One deployment under fire."""
        runs, kills = self.runs(subject), subject.kills
        self.begin(subject)
        while not self.result(subject).exists() and self.kills > 0:
            agent = self.computer.start()
            self.kill(agent, subject)
            said, _ = agent.communicate(timeout=WAIT)
            if agent.returncode == -9:
                subject.kills += 1
                self.kills -= 1
            else:
                assert agent.returncode == 0, said
        if not self.result(subject).exists() or (self.computer.spool / subject.package).exists():
            self.computer.contact()
        until(lambda: None if running(str(self.ran)) else True, "commands that outlived their agent have ended")
        self.judge(subject, runs=runs, kills=kills)

    def kill(self, agent: subprocess.Popen[str], subject: Subject) -> None:
        """Kill it at a random moment: some files further than it started from, and a little later.

        Unless it is faster. A moment of the clock alone would fall into the start of Python, mostly.
        """
        folder = self.computer.spool / subject.package
        wanted = entries(folder) + self.chance.randrange(12)
        while agent.poll() is None and entries(folder) < wanted:
            time.sleep(0.002)
        with suppress(subprocess.TimeoutExpired):
            agent.wait(self.chance.uniform(0, self.chance.choice((0.005, 0.03, 0.3))))
        agent.kill()

    def result(self, subject: Subject) -> Path:
        """What the agent keeps of a result when the server has acknowledged it."""
        return self.computer.spool / "results" / f"{subject.package}.json"

    def runs(self, subject: Subject) -> int:
        """How often its command ran so far."""
        return written(self.ran).count(subject.package)

    def judge(self, subject: Subject, *, runs: int, kills: int) -> None:
        """What must be true at the end of a round, whatever happened to the agent in it; before it there were these."""
        runs, kills = self.runs(subject) - runs, subject.kills - kills
        what = f"{subject.action} {subject.package} in round {subject.rounds}, killed {kills} times, ran {runs} times"
        status, received = self.computer.outcome(subject.package)
        assert status == received == json.loads(self.result(subject).read_bytes())["status"], what
        assert not (self.computer.spool / subject.package).exists(), what
        if subject.action == "store":
            assert (status, runs) == ("SUCCESS", 0), what  # to store again does no harm: nothing is ever in doubt
            assert (self.target / "blob").read_bytes() == self.blob, what
            assert sorted(path.name for path in self.target.iterdir()) == ["blob", "setup.sh"], what
        elif status == "SUCCESS":
            assert runs == 1, what
        else:
            assert status == "ERR_DONE_FAILED", what
            assert runs <= 1, what
            assert kills > 0, what
            subject.doubtful += 1


def test_200_kills_at_random_moments_lose_nothing_and_run_nothing_twice(pyz: Path, tmp_path: Path) -> None:
    print(f"OCS_KILL_SEED={SEED}")
    python = interpreters((3, 9), (3, 13))[-1][1]
    blob = noise(FRAGMENTS * FRAGMENT_SIZE - 20_000)
    setup = script('echo "$OCS_PACKAGE_ID" >> "$1"; sleep 0.05')
    archive = targz(tmp_path / "package.tar.gz", {"setup.sh": setup, "blob": blob})
    with site(pyz, tmp_path) as here:
        here.hurry()
        here.ask("config", "set", "AUTO_DUPLICATE_LVL", "0")  # all these computers are this one
        here.ask("config", "set", "FREQUENCY", "365")
        players = [
            Player(Computer(here, python, f"pc-{n}"), archive, blob, KILLS // COMPUTERS, random.Random(f"{SEED} {n}"))
            for n in range(COMPUTERS)
        ]
        with ThreadPoolExecutor(COMPUTERS) as pool:
            for playing in [pool.submit(player.play) for player in players]:
                playing.result()
        fetches = fetched(here.log())
        subjects = [subject for player in players for subject in player.subjects]
        print(summary(subjects, fetches))
        assert sum(subject.kills for subject in subjects) == KILLS
        for subject in subjects:
            judge_fetches(subject, fetches[subject.package])
        for player in players:
            assert player.computer.left() == []
        assert "Traceback" not in here.log()


def entries(folder: Path) -> int:
    """How much is in a folder."""
    try:
        return len(os.listdir(folder))
    except FileNotFoundError:
        return 0


def judge_fetches(subject: Subject, fetches: Counter[int]) -> None:
    """Each fragment once in each round, and at most one more for each kill: the one that was under way."""
    assert set(fetches) == set(range(1, FRAGMENTS + 1)), subject
    assert min(fetches.values()) >= subject.rounds, subject
    assert sum(fetches.values()) <= FRAGMENTS * subject.rounds + subject.kills, subject


def fetched(log: str) -> dict[str, Counter[int]]:
    """How often each fragment of each package was fetched, whole or in part, from the server's access log."""
    found: dict[str, Counter[int]] = {}
    for package, number in re.findall(r" GET /download/(\d{10})/\1-(\d+) 20[06] ", log):
        found.setdefault(package, Counter())[int(number)] += 1
    return found


def summary(subjects: Sequence[Subject], fetches: dict[str, Counter[int]]) -> str:
    """What happened, in one line."""
    rounds, kills = (sum(getattr(subject, name) for subject in subjects) for name in ("rounds", "kills"))
    again = sum(map(Counter.total, fetches.values())) - FRAGMENTS * rounds
    doubtful = sum(subject.doubtful for subject in subjects)
    return f"{rounds} deployments, {kills} kills, {again} fragments fetched again, {doubtful} times ERR_DONE_FAILED"
