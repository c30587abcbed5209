"""The whole agent, with real sockets, TLS, disk and commands, against a server that fails by a script.

Source: security.md A1-A12, F15-F18, F24; R1, R2, R7. What each fault does to one request is in test_remote.py.
"""

from __future__ import annotations

import os
import random
import shlex
import ssl
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.agent.contact import make_contact, next_after, retry_after
from appliance.agent.dial import Patience
from appliance.agent.driver import run_once
from appliance.agent.perform import LocalHost
from appliance.agent.periods import run_period
from appliance.agent.remote import HttpRemote
from appliance.agent.world import World
from appliance.domain.package import Action
from tests.agent.evil import FAULTS, Authority, Depot, serving
from tests.agent.kit import FAST, Built, Lab, package, zip_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the commands here are a Unix shell's")

HASTY = Patience(connect=0.4, grace=0.4, rate=1_000_000)
SIZE = 256  # bytes of a fragment


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture
def depot(authority: Authority) -> Iterator[Depot]:
    with serving() as plain, serving(authority.context()) as secure:
        yield Depot(plain, secure)


class Computer:
    """One computer with its agent, and how often a command ran on it."""

    def __init__(self, folder: Path, depot: Depot, authority: Authority) -> None:
        self.folder = folder
        self.lab = Lab(folder / "agent")
        self.lab.host = LocalHost(install_path=folder, server="", outer=os.environ, files=self.lab.files)
        remote = HttpRemote(f"http://{depot.plain.address}/ocsinventory", bundle=authority.bundle, patience=HASTY)
        self.lab.server = remote  # type: ignore[assignment]

    def start(self) -> World:
        """Its agent starts."""
        return self.lab.start()

    def launch(self, number: int = 1, *, with_manifest: bool = True, seed: int = 1) -> Built:
        """A package of some fragments whose program leaves a line behind."""
        script = f"#!/bin/sh\necho {number} >> {shlex.quote(str(self.folder / 'ran'))}\n".encode()
        files = {"run.sh": script, "noise": random.Random(seed).randbytes(SIZE * 4)}
        return package(
            number, action=Action.LAUNCH, argument="run.sh", data=zip_of(files), fragment_size=SIZE,
            with_manifest=with_manifest,
        )  # fmt: skip

    def ran(self) -> list[str]:
        """The numbers of the packages whose command ran."""
        path = self.folder / "ran"
        return path.read_text().split() if path.exists() else []

    def log(self) -> str:
        """What the agent said."""
        return "\n".join(self.lab.log.lines)

    def size(self) -> int:
        """Bytes in its spool."""
        return sum(path.stat().st_size for path in self.lab.folder.rglob("*") if path.is_file())


@pytest.fixture
def computer(tmp_path: Path, depot: Depot, authority: Authority) -> Computer:
    return Computer(tmp_path, depot, authority)


# Fragments


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fragment_that_comes_wrong_once_is_fetched_again_and_only_that_one(
    computer: Computer, depot: Depot, fault: str
) -> None:
    one = computer.launch()
    depot.add(one)
    depot.script["fragment 3"] = [FAULTS[fault]]
    assert run_once(computer.start())
    assert (depot.finished, computer.ran()) == ({one.id: ["SUCCESS"]}, ["1"])
    counts = [depot.count(f"fragment {number}") for number in range(1, len(one.fragments) + 1)]
    assert counts == [1, 1, 2, *[1] * (len(one.fragments) - 3)]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fragment_that_always_comes_wrong_runs_nothing_fills_no_disk_and_stops_no_other_package(
    computer: Computer, depot: Depot, fault: str
) -> None:
    bad, good = computer.launch(1), package(2, argument=f"echo 2 >> {shlex.quote(str(computer.folder / 'ran'))}")
    depot.add(bad, good)
    depot.always["fragment 3"] = FAULTS[fault]
    world = computer.start()
    assert make_contact(world)
    for _ in range(4):
        run_period(world, replace(FAST, period_length=2))
        assert computer.size() < sum(map(len, bad.fragments)) + 256 * 1024
    assert computer.ran() == ["2"]
    assert depot.finished.pop(good.id) == ["SUCCESS"]
    assert depot.finished in ({}, {bad.id: ["ERR_BAD_DIGEST"]}, {bad.id: ["ERR_DOWNLOAD_PACK"]})
    assert bad.id in computer.log()


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"a byte now and then", "without an end"}))
def test_without_a_manifest_a_wrong_fragment_is_fetched_again_or_the_whole_is_refused(
    computer: Computer, depot: Depot, fault: str
) -> None:
    one = computer.launch(with_manifest=False)
    depot.add(one)
    depot.script["fragment 3"] = [FAULTS[fault]]
    assert run_once(computer.start())
    assert (depot.finished, computer.ran()) in (
        ({one.id: ["SUCCESS"]}, ["1"]),
        ({one.id: ["ERR_BAD_DIGEST"]}, []),
    )


def test_one_bit_in_each_fragment_in_turn_never_runs_and_costs_that_fragment_only(
    computer: Computer, depot: Depot
) -> None:
    one = computer.launch()
    depot.add(one)
    for number in range(1, len(one.fragments) + 1):
        depot.script[f"fragment {number}"] = [FAULTS["one bit"]]
    assert run_once(computer.start())
    assert depot.finished == {one.id: ["SUCCESS"]}
    assert [depot.count(f"fragment {number}") for number in range(1, len(one.fragments) + 1)] == [2] * len(
        one.fragments
    )


@pytest.mark.parametrize("with_manifest", [True, False], ids=["manifest", "md5 alone"])
@pytest.mark.parametrize("mix", ["two swapped", "half of another build", "one twice"])
def test_fragments_of_equal_size_in_other_places_or_of_another_build_never_run(
    computer: Computer, depot: Depot, mix: str, with_manifest: bool
) -> None:
    one = computer.launch(with_manifest=with_manifest)
    other = computer.launch(with_manifest=with_manifest, seed=2)
    honest = list(one.fragments)
    if mix == "two swapped":
        one.fragments[0], one.fragments[1] = honest[1], honest[0]
    elif mix == "one twice":
        one.fragments[1] = honest[0]
    else:
        one.fragments[2:4] = other.fragments[2:4]
    wrong = [n for n, part in enumerate(one.fragments) if part != honest[n]]
    assert wrong
    assert all(len(one.fragments[n]) == len(honest[n]) for n in wrong)
    depot.add(one)
    world = computer.start()
    assert make_contact(world)
    run_period(world, FAST)
    assert computer.ran() == []
    if not with_manifest:  # only the whole could be refused
        assert depot.finished == {one.id: ["ERR_BAD_DIGEST"]}
        return
    assert f"Fragment {wrong[0] + 1} is not what was built" in computer.log()
    one.fragments[:] = honest
    run_period(world, FAST)
    assert (depot.finished, computer.ran()) == ({one.id: ["SUCCESS"]}, ["1"])
    assert [depot.count(f"fragment {n + 1}") for n in range(len(honest)) if n != wrong[0]] == [1] * (len(honest) - 1)


def test_what_a_first_try_left_is_never_used_unverified_whatever_the_next_ones_bring(
    computer: Computer, depot: Depot
) -> None:
    one = computer.launch()
    depot.add(one)

    def evil_half(request: object, honest: bytes) -> None:
        FAULTS["cut off"](request, bytes(len(honest)))  # type: ignore[arg-type]

    names = ("another part", "not modified", "a redirect", "one bit")
    depot.script["fragment 2"] = [evil_half, *(FAULTS[name] for name in names)]
    for _ in range(3):
        run_once(computer.start())
    assert (depot.finished, computer.ran()) == ({one.id: ["SUCCESS"]}, ["1"])


# Info and manifest


# In chunks is HTTP and no fault here. A manifest's last byte ends its line, and another bit in one of its digests is
# told by the fragments, which then never fit.
DESCRIPTIONS = [
    (what, fault)
    for what in ("info", "manifest")
    for fault in FAULTS
    if fault != "in chunks" and not (what == "manifest" and fault in ("one bit", "a byte less"))
]


@pytest.mark.parametrize(("what", "fault"), DESCRIPTIONS)
def test_an_info_file_or_manifest_that_comes_wrong_fetches_nothing_and_is_asked_for_again(
    computer: Computer, depot: Depot, what: str, fault: str
) -> None:
    one = computer.launch()
    depot.add(one)
    depot.always[what] = FAULTS[fault]
    run_once(computer.start())
    del depot.always[what]
    if what == "manifest" and fault == "gone":  # as a genuine server answers it: then the MD5 alone decides
        assert depot.finished == {one.id: ["SUCCESS"]}
        return
    assert set(depot.finished.pop(one.id)) <= {"ERR_DOWNLOAD_INFO", "ERR_BAD_PARAM"}
    assert not any(asked.startswith("fragment") for asked in depot.asked)
    assert (computer.ran(), computer.lab.leftovers()) == ([], [])
    assert run_once(computer.start())
    assert (depot.finished, computer.ran()) == ({one.id: ["SUCCESS"]}, ["1"])


def test_the_info_file_of_another_package_fetches_nothing(computer: Computer, depot: Depot) -> None:
    one, other = computer.launch(1), computer.launch(2)
    depot.add(one)
    depot.script["info"] = [lambda request, _: request.reply(200, other.raw_info)]
    run_once(computer.start())
    assert depot.finished == {one.id: ["ERR_BAD_ID"]}
    assert (computer.ran(), depot.count("fragment 1")) == ([], 0)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("wrong authority", "certificate"),
        ("self-signed", "certificate"),
        ("wrong name", "certificate"),
        ("expired", "expired"),
        ("not yet valid", "not yet valid"),
        ("old TLS", "TLS"),
        ("no TLS", "TLS"),
    ],
)
def test_under_a_certificate_that_is_not_right_nothing_is_fetched_or_run_and_the_server_hears_of_it(
    tmp_path: Path, authority: Authority, fault: str, told: str
) -> None:
    context: ssl.SSLContext | None = {
        "wrong authority": lambda: Authority(tmp_path, "strangers").context(),
        "self-signed": authority.self_signed,
        "wrong name": lambda: authority.context("other.example.org"),
        "expired": lambda: authority.context(days=(-10, -1)),
        "not yet valid": lambda: authority.context(days=(1, 9)),
        "old TLS": authority.context,
        "no TLS": lambda: None,
    }[fault]()
    if fault == "old TLS" and context is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # to offer what nobody should is the point
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
    with ExitStack() as stack:
        plain = stack.enter_context(serving())
        depot = Depot(plain, stack.enter_context(serving(context)))
        computer = Computer(tmp_path, depot, authority)
        one = computer.launch()
        depot.add(one)
        assert run_once(computer.start())
        assert depot.asked == ["prolog", "result"]
        assert depot.secure.requests == []
        assert depot.finished.pop(one.id) == ["ERR_DOWNLOAD_INFO"]
        assert (computer.ran(), computer.lab.leftovers()) == ([], [])
        assert told in computer.log()
        # the administrator mends it: the next announcement is a new one
        mended = Depot(plain, stack.enter_context(serving(authority.context())))
        mended.add(one)
        assert run_once(computer.start())
        assert (mended.finished, computer.ran()) == ({one.id: ["SUCCESS"]}, ["1"])


# Contacts and results


# An answer in chunks is HTTP, a range of a POST is not; a packed stream without its last byte has all its content
PROLOG_FAULTS = sorted(set(FAULTS) - {"in chunks", "another part", "a byte less"})


@pytest.mark.parametrize("fault", PROLOG_FAULTS)
def test_an_answer_that_is_none_takes_nothing_away_and_what_was_under_way_goes_on_afterwards(
    computer: Computer, depot: Depot, fault: str
) -> None:
    one = computer.launch()
    depot.add(one)
    depot.script["fragment 4"] = [FAULTS["hung up"]]
    world = computer.start()
    assert make_contact(world)
    run_period(world, replace(FAST, period_length=3))
    assert depot.count("fragment 3") == 1
    depot.always["prolog"] = FAULTS[fault]
    for _ in range(2):
        world = computer.start()
        assert not make_contact(world)
        assert world.memory.trouble
        assert world.memory.next_contact > computer.lab.clock.now() + 60
    del depot.always["prolog"]
    assert one.id in computer.lab.leftovers()
    assert run_once(computer.start())
    assert (depot.finished, computer.ran()) == ({one.id: ["SUCCESS"]}, ["1"])
    assert [depot.count(f"fragment {number}") for number in (1, 2, 3, 4, 5)] == [1, 1, 1, 2, 1]


# The receipt of a result is empty, whatever the 2xx: these leave it so
UNCHANGED = {"one bit", "nothing", "a byte more", "other bytes of the same length", "cut off", "a byte now and then",
             "a status that nobody knows"}  # fmt: skip
RESULT_FAULTS = sorted(set(PROLOG_FAULTS) - UNCHANGED)


@pytest.mark.parametrize("fault", RESULT_FAULTS)
def test_a_result_that_was_not_taken_is_told_until_it_is_and_nothing_runs_again(
    computer: Computer, depot: Depot, fault: str
) -> None:
    one = computer.launch()
    depot.add(one)
    depot.always["result"] = FAULTS[fault]
    run_once(computer.start())
    for _ in range(3):  # three more times, each time a new process
        assert depot.finished == {}
        assert computer.lab.leftovers() == [one.id]
        run_once(computer.start())
    del depot.always["result"]
    run_once(computer.start())
    assert (depot.finished, computer.ran()) == ({one.id: ["SUCCESS"]}, ["1"])
    assert computer.lab.leftovers() == []
    told = depot.count("result")
    run_once(computer.start())
    assert depot.count("result") == told


def test_when_a_server_comes_back_after_five_minutes_the_agents_do_not_all_come_at_once() -> None:
    chance = random.Random(1)
    agents, hours, down, minutes = 20_000, 1, 300, 15
    arrivals = [0] * minutes
    for _ in range(agents):
        at, failures = chance.uniform(0, hours * 3600), 0  # when its contact falls due; the server is down until `down`
        while at < down:
            failures += 1
            at += retry_after(failures, chance.random())
        while at < minutes * 60:
            arrivals[int(at // 60)] += 1
            at += next_after(hours, first=False, chance=chance.random())
    normal = agents / (hours * 60)
    assert arrivals[: down // 60] == [0] * 5
    assert max(arrivals) < 2.2 * normal
