"""The genuine OCS Inventory NG Unix agent of Debian, unchanged, deploys from the built ocs.pyz."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.whole.site import Site, noise, script, site, targz

pytestmark = pytest.mark.peer


@pytest.fixture
def place(pyz: Path, tmp_path: Path, need_peer: Callable[[str], None]) -> Path:
    need_peer("ocsinventory-agent")
    return tmp_path


def test_the_genuine_agent_deploys_every_action_and_its_results_arrive(pyz: Path, place: Path) -> None:
    done = place / "done"
    done.mkdir()
    with site(pyz, place) as here:
        here.hurry()
        here.genuine_agent()  # makes the computer known
        known = json.loads(here.ask("computer", "show", "pc-genuine", "--json"))
        assert known["agent"].startswith("OCS-NG_unified_unix_agent_v2.1")
        assert len(known["inventory"]["SOFTWARES"]) > 50
        assert known["inventory"]["HARDWARE"][0]["NAME"] == known["computer"] == "pc-genuine"

        launch = targz(place / "launch.tar.gz", {"setup.sh": script(f'echo "$@" > {done}/launched')})
        failing = targz(place / "failing.tar.gz", {"fail.sh": script("exit 3")})
        files = targz(place / "files.tar.gz", {"a.conf": b"x=1\n", "deep/er/blob": noise(9000)}, mode=0o644)
        two = targz(place / "two.tar.gz", {"blob": (blob := noise(50_000))}, mode=0o644)
        ids = {
            "launch": here.deploy(
                "launch", "--action", "launch", "--command", "setup.sh -q one", "--file", str(launch)
            ),
            "failing": here.deploy("failing", "--action", "launch", "--command", "fail.sh", "--file", str(failing)),
            "execute": here.deploy("execute", "--action", "execute", "--command", f"echo é '<&>' > {done}/executed"),
            "store": here.deploy("store", "--action", "store", "--path", f"{done}/stored", "--file", str(files)),
            "two": here.deploy(
                *("two", "--action", "store", "--path", f"{done}/two", "--file", str(two)),
                *("--fragment-size", str(-(-two.stat().st_size // 2))),
            ),
        }
        assert json.loads(here.ask("package", "show", ids["two"], "--json"))["fragments"] == 2
        here.genuine_agent()
        assert {name: here.outcome(package) for name, package in ids.items()} == {
            "launch": ("SUCCESS", "SUCCESS_0"),
            "failing": ("ERR_EXIT_CODE_3", "SUCCESS_3"),
            "execute": ("SUCCESS", "SUCCESS"),
            "store": ("SUCCESS", "SUCCESS"),
            "two": ("SUCCESS", "SUCCESS"),
        }
        assert (done / "launched").read_text() == "-q one\n"
        assert (done / "executed").read_text() == "é <&>\n"
        assert (done / "stored" / "a.conf").read_text() == "x=1\n"
        assert (done / "two" / "blob").read_bytes() == blob
        for package in ids.values():
            counts = here.stats(package)
            assert counts["waiting"] + counts["notified"] + counts["success"] + counts["error"] == 1
        told_nothing_wrong(here)


def test_a_package_in_the_genuine_agents_history_is_not_announced_again_but_runs_by_force(
    pyz: Path, place: Path
) -> None:
    counter = place / "counter"
    with site(pyz, place) as here:
        here.hurry()
        here.genuine_agent()
        package = here.deploy("count", "--action", "execute", "--command", f"echo run >> {counter}")
        here.genuine_agent()
        assert here.outcome(package) == ("SUCCESS", "SUCCESS")
        assert here.ask("package", "validate", package, "--success") == "1"
        here.genuine_agent()  # its inventory brings the history
        assert here.ask("package", "affect", package, "--all") == "1"
        here.genuine_agent()
        assert here.outcome(package)[0] == "ERR_ALREADY_SETUP"
        assert counter.read_text() == "run\n"
        assert here.ask("package", "affect", package, "--all", "--force") == "1"
        here.genuine_agent()
        assert here.outcome(package) == ("SUCCESS", "SUCCESS")
        assert counter.read_text() == "run\nrun\n"


def test_the_genuine_agent_takes_another_authority_as_a_package_and_goes_on_when_the_old_one_is_gone(
    pyz: Path, place: Path
) -> None:
    with site(pyz, place) as here:
        here.hurry()
        here.genuine_agent()
        (folder,) = (path for path in (place / "pc-genuine" / "var").iterdir() if path.is_dir())
        own, old = folder / "cacert.pem", here.bundle.read_bytes()
        own.write_bytes(old)
        counter = place / "counter"
        package = here.deploy("before", "--action", "execute", "--command", f"echo before >> {counter}")
        here.genuine_agent(own_bundle=True)
        assert here.outcome(package) == ("SUCCESS", "SUCCESS")

        bundle = here.ask("tls", "rotate", "--build", "linux")
        code, _, said = here.try_to("tls", "rotate", "--finish")
        assert (code, "are not known to have the new cacert.pem" in said) == (1, True)
        here.ask("package", "activate", bundle)
        here.ask("package", "affect", bundle, "--all")
        here.genuine_agent(own_bundle=True)
        assert here.outcome(bundle) == ("SUCCESS", "SUCCESS")
        assert own.read_text() == here.ask("tls", "export-ca") + "\n"
        assert own.read_bytes() != old

        here.ask("tls", "rotate", "--finish")
        after = here.deploy("after", "--action", "execute", "--command", f"echo after >> {counter}")
        here.genuine_agent(own_bundle=True)
        assert here.outcome(after) == ("SUCCESS", "SUCCESS")
        assert counter.read_text() == "before\nafter\n"
        told_nothing_wrong(here)

        here.genuine_agent("pc-away")  # with the old cacert.pem
        here.ask("package", "affect", after, "--computer", "pc-away")
        here.genuine_agent("pc-away")
        assert {line["computer"]: line["status"] for line in here.stats(after)["computers"]}["pc-away"] != "SUCCESS"


def told_nothing_wrong(here: Site) -> None:
    """No request of an agent was answered with anything but 200."""
    assert here.requests("POST /ocsinventory")
    assert not [line for line in here.requests("unified_unix_agent") if " 200 " not in line]
    assert "Traceback" not in here.log()
