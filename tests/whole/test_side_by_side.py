"""Our agent and the genuine Unix agent beside each other: the order of their requests, from the server's access log.

Both must do what `domain/cycle.turn` says, which is what the manual says. Within one cycle the genuine agent takes the
packages in random order, so cycles are compared as sets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count, islice
from pathlib import Path

import pytest

from appliance.domain.cycle import Fetch, Parcel, turn
from appliance.domain.package import PackageId
from tests.pythons import interpreters
from tests.whole.site import Site, noise, site, targz, until

pytestmark = pytest.mark.peer

PERIOD_LENGTH = 10
GENUINE, OURS = "unified_unix_agent_v2.1", "unified_unix_agent_v2.0"  # how each calls itself

Step = tuple[str, int]  # a package and the number of a fragment
RESULT = ("result", 0)  # of some package: which one, the access log does not tell
Cycles = list[list[Step]]  # in order; the steps of one cycle sorted


@pytest.mark.parametrize(
    "packages",
    [
        pytest.param({"five": (5, 4), "two": (2, 7)}, id="5-and-2"),
        pytest.param({"ten": (10, 2), "three": (3, 5), "one": (1, 12)}, id="10-3-and-1"),
        pytest.param({"two": (2, 3), "urgent": (0, 4)}, id="2-and-0"),
    ],
)
def test_both_agents_take_the_steps_that_the_manual_prescribes(
    pyz: Path, tmp_path: Path, need_peer: Callable[[str], None], packages: dict[str, tuple[int, int]]
) -> None:
    """`packages`: priority and number of fragments."""
    need_peer("ocsinventory-agent")
    python = interpreters((3, 9), (3, 13))[-1][1]
    with site(pyz, tmp_path) as here:
        here.hurry()
        here.ask("config", "set", "DOWNLOAD_PERIOD_LENGTH", str(PERIOD_LENGTH))
        here.ask("config", "set", "AUTO_DUPLICATE_LVL", "0")  # both computers are this one
        here.ask("config", "set", "FREQUENCY", "365")  # after the first fragment there is no inventory
        here.genuine_agent()
        here.contact(python)
        assert len(json.loads(here.ask("computer", "list", "--json"))) == 2
        ids = {name: deploy(here, tmp_path, name, *numbers) for name, numbers in packages.items()}
        here.genuine_agent()
        until(lambda: ended(here, ids.values(), 1), "the genuine agent is done")
        here.contact(python)
        until(lambda: ended(here, ids.values(), 2), "our agent is done")
        wanted = model({ids[name]: numbers for name, numbers in packages.items()})
        assert sum(map(len, wanted)) == sum(fragments + 1 for _, fragments in packages.values())
        log = here.log()
        told_of = {ids[name]: fragments for name, (_, fragments) in packages.items()}
        assert by_cycle(steps(log, OURS, told_of), wanted) == wanted
        assert by_cycle(steps(log, GENUINE, {}), wanted) == wanted


def deploy(here: Site, folder: Path, name: str, priority: int, fragments: int) -> str:
    """A package of that many fragments for both computers."""
    file = targz(folder / f"{name}.tar.gz", {"blob": noise(20_000)})
    size = -(-file.stat().st_size // fragments)
    words = ("--action", "execute", "--command", "true", "--file", str(file), "--fragment-size", str(size))
    package = here.ask("package", "build", "--name", name, "--os", "linux", "--priority", str(priority), *words)
    assert json.loads(here.ask("package", "show", package, "--json"))["fragments"] == fragments
    here.ask("package", "activate", package, "--unchecked")
    assert here.ask("package", "affect", package, "--all") == "2"
    return package


def ended(here: Site, packages: Iterable[str], computers: int) -> bool | None:
    """Whether each package has succeeded on that many computers; None: not yet."""
    counts = [here.stats(package) for package in packages]
    assert not [count for count in counts if count["error"]]
    return all(count["success"] == computers for count in counts) or None


def model(packages: Mapping[str, tuple[int, int]]) -> Cycles:
    """What `turn` says of packages with this priority and number of fragments, as long as something is left."""
    missing = {package: list(range(1, fragments + 1)) for package, (_, fragments) in packages.items()}
    found: Cycles = []
    for number in count():
        parcels = [Parcel(PackageId(id), packages[id][0], tuple(left)) for id, left in missing.items()]
        if not parcels:
            return found
        cycle: list[Step] = []
        for step in turn(number % PERIOD_LENGTH + 1, parcels):
            if isinstance(step, Fetch):
                missing[step.package].remove(step.fragment)
                cycle.append((step.package, step.fragment))
            else:
                del missing[step.package]
                cycle.append(RESULT)
        if cycle:
            found.append(sorted(cycle))
    raise AssertionError("unreachable")


def steps(log: str, agent: str, told_of: Mapping[str, int]) -> list[Step]:
    """What one agent did from its first fragment on, by the server's access log.

    `told_of`: packages, and the number of their fragments, of which the agent says how far they have come. It does so
    right after the first and the last fragment; in between a minute would have to pass.
    """
    found: list[Step] = []
    tells = False
    for line in log.splitlines():
        if "ocs.access" not in line or agent not in line:
            continue
        fragment = re.search(r" GET /download/(\d+)/\1-(\d+) 200 ", line)
        if fragment:
            package, number = fragment.group(1), int(fragment.group(2))
            found.append((package, number))
            tells = package in told_of and number in (1, told_of[package])
        elif tells and " POST /ocsinventory 200 " in line:
            tells = False
        elif found and " POST /ocsinventory 200 " in line:
            found.append(RESULT)
    return found


def by_cycle(done: Sequence[Step], wanted: Cycles) -> Cycles:
    """The steps cut into cycles as long as those of the model; what is too much makes one more."""
    rest = iter(done)
    found = [sorted(islice(rest, len(cycle))) for cycle in wanted]
    beyond = sorted(rest)
    return [*found, beyond] if beyond else found
