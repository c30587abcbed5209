"""The built agent, straight from the archive, on every Python of this machine, beside the built server."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from tests.pythons import interpreters
from tests.whole.site import Site, noise, script, site, targz, until, zipped

PYTHONS = [pytest.param(path, id=".".join(map(str, version[:2]))) for version, path in interpreters((3, 9), (3, 13))]


@pytest.mark.parametrize("python", PYTHONS)
def test_our_agent_deploys_every_action_on_every_python(pyz: Path, tmp_path: Path, python: str) -> None:
    done = tmp_path / "done"
    done.mkdir()
    with site(pyz, tmp_path) as here:
        here.hurry()
        here.contact(python)
        (computer,) = json.loads(here.ask("computer", "list", "--json"))
        assert computer["agent"].startswith("ocs.pyz/")
        launch = targz(tmp_path / "launch.tar.gz", {"setup.sh": script(f'echo "$@" > "{done}/launched"')})
        failing = zipped(tmp_path / "failing.zip", {"fail.sh": script("exit 3")})
        two = targz(tmp_path / "two.tar.gz", {".hidden": b"h\n", "sub/blob": (blob := noise(50_000))}, mode=0o644)
        ids = {
            "launch": here.deploy(
                "launch", "--action", "launch", "--command", "setup.sh 'a b' c", "--file", str(launch)
            ),
            "failing": here.deploy("failing", "--action", "launch", "--command", "fail.sh", "--file", str(failing)),
            "execute": here.deploy("execute", "--action", "execute", "--command", f"echo é '<&>' > {done}/executed"),
            "exit 7": here.deploy("exit 7", "--action", "execute", "--command", "exit 7"),
            "two": here.deploy(
                *("two", "--action", "store", "--path", f"{done}/two", "--file", str(two)),
                *("--fragment-size", str(-(-two.stat().st_size // 2))),
            ),
        }
        here.contact(python)
        assert {name: here.outcome(package)[0] for name, package in ids.items()} == {
            "launch": "SUCCESS",
            "failing": "ERR_EXIT_CODE_3",
            "execute": "SUCCESS",
            "exit 7": "ERR_EXIT_CODE_7",
            "two": "SUCCESS",
        }
        assert (done / "launched").read_text() == "a b c\n"
        assert (done / "executed").read_text() == "é <&>\n"
        assert (done / "two" / ".hidden").read_text() == "h\n"
        assert (done / "two" / "sub" / "blob").read_bytes() == blob
        assert not list((tmp_path / "agent").rglob(f"{ids['two']}-*")), "no leftover fragments"
        assert "Traceback" not in here.log()


def test_after_a_kill_in_the_middle_of_a_download_only_the_missing_fragments_are_fetched(
    pyz: Path, tmp_path: Path
) -> None:
    python = interpreters((3, 9), (3, 13))[0][1]
    fragments, fragment_size = 12, 64 * 1024
    with site(pyz, tmp_path) as here:
        here.hurry()
        here.contact(python)
        archive = targz(tmp_path / "big.tar.gz", {"blob": (blob := noise(fragments * fragment_size - 5000))})
        target = tmp_path / "big"
        here.ask("config", "set", "DOWNLOAD_FRAG_LATENCY", "1")  # time to be killed in
        package = here.deploy(
            *("big", "--action", "store", "--path", str(target), "--file", str(archive)),
            *("--fragment-size", str(fragment_size)),
        )
        count = json.loads(here.ask("package", "show", package, "--json"))["fragments"]
        checked = len(fetched(here, package))  # activation looked at the first and the last
        agent = here.own_agent(python, "agent", "--once")
        until(lambda: len(fetched(here, package)) - checked >= 4 or None, "four fragments are fetched")
        agent.send_signal(signal.SIGKILL)
        agent.communicate(timeout=20)
        before = fetched(here, package)[checked:]
        assert 4 <= len(before) < count
        here.ask("config", "set", "DOWNLOAD_FRAG_LATENCY", "0")
        here.contact(python)
        assert here.outcome(package)[0] == "SUCCESS"
        assert (target / "blob").read_bytes() == blob
        after = fetched(here, package)[checked + len(before) :]
        # the one that was under way at the kill may be fetched again; no other
        assert set(range(1, count + 1)) == set(before) | set(after)
        assert len(set(before) & set(after)) <= 1
        assert len(after) <= count - len(before) + 1


def test_a_name_and_texts_with_every_kind_of_character_reach_the_command_unharmed(pyz: Path, tmp_path: Path) -> None:
    python = interpreters((3, 9), (3, 13))[-1][1]
    name = "Ñandú \"quoted\" 'single' <b>&amp; \N{ROCKET} 漢字\nsecond line\ttab"
    seen, said = tmp_path / "environment", tmp_path / "said"
    with site(pyz, tmp_path) as here:
        here.hurry()
        here.contact(python)
        command = f'printf %s "$OCS_PACKAGE_NAME" > {seen}\nprintf %s \'é<&>\N{ROCKET}"\' > {said}'
        package = here.deploy(name, "--action", "execute", "--command", command)
        here.contact(python)
        assert here.outcome(package) == ("SUCCESS", "SUCCESS")
        assert seen.read_text() == name
        assert said.read_text() == 'é<&>\N{ROCKET}"'
        assert json.loads(here.ask("package", "show", package, "--json"))["name"] == name


def fetched(here: Site, package: str) -> list[int]:
    """The fragments that were fetched whole or in part, in order, from the server's log."""
    numbers = [re.search(rf"/{package}-(\d+) 20[06] ", line) for line in here.requests(f"GET /download/{package}/")]
    return [int(match.group(1)) for match in numbers if match]


def test_without_the_bundle_nothing_is_deployed_and_the_server_is_told_why(pyz: Path, tmp_path: Path) -> None:
    python = interpreters((3, 9), (3, 13))[-1][1]
    with site(pyz, tmp_path) as here, site(pyz, tmp_path / "stranger") as stranger:
        here.hurry()
        here.contact(python)
        marker = tmp_path / "ran"
        package = here.deploy("never", "--action", "execute", "--command", f"touch {marker}")
        trusted, here.bundle = here.bundle, stranger.bundle
        here.contact(python)
        assert here.outcome(package) == ("ERR_DOWNLOAD_INFO", "ERR_DOWNLOAD_INFO")
        here.ask("package", "affect", package, "--all")
        here.bundle = tmp_path / "missing.pem"
        here.contact(python)
        assert here.outcome(package) == ("ERR_DOWNLOAD_INFO", "ERR_DOWNLOAD_INFO")
        assert not marker.exists()
        here.bundle = trusted
        here.ask("package", "affect", package, "--all")
        here.contact(python)
        assert here.outcome(package)[0] == "SUCCESS"
        assert marker.exists()


def test_a_package_installed_before_is_reported_so(pyz: Path, tmp_path: Path) -> None:
    python = interpreters((3, 9), (3, 13))[-1][1]
    counter = tmp_path / "counter"
    with site(pyz, tmp_path) as here:
        here.hurry()
        here.contact(python)
        package = here.deploy("once", "--action", "execute", "--command", f"echo run >> {counter}")
        here.contact(python)
        here.ask("package", "validate", package, "--success")
        here.ask("package", "affect", package, "--all")
        here.contact(python)
        assert here.outcome(package)[0] == "ERR_ALREADY_SETUP"
        here.ask("package", "affect", package, "--all", "--force")
        here.contact(python)
        assert here.outcome(package) == ("SUCCESS", "SUCCESS")
        assert counter.read_text() == "run\nrun\n"
