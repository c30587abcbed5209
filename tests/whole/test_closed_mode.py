"""Mode closed with real agents: Debian's ocsinventory-agent by password and by network, curl, and our own."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.wire import contact, envelope
from tests.fakes.appliance import device
from tests.whole.site import CLEAN, WAIT, Site, noise, script, site, targz

pytestmark = pytest.mark.peer

CFG = "/etc/ocsinventory/ocsinventory-agent.cfg"
REFUSED = "401 Unauthorized"


@pytest.fixture
def place(tmp_path: Path, need_peer: Callable[[str], None]) -> Path:
    need_peer("ocsinventory-agent")
    need_peer("curl")
    return tmp_path


def genuine(here: Site, *words: str, host: str = "pc-genuine", cfg: str = "", refused: str = "") -> None:
    """One run of the genuine agent, with these options and, where there is one, this configuration file."""
    home = here.folder / host
    home.mkdir(exist_ok=True)
    (home / "agent.log").unlink(missing_ok=True)
    (home / "agent.cfg").write_text(cfg)
    (home / "agent.cfg").chmod(0o600)
    bind = f'mount --bind "$1" {CFG} && ' if cfg else ""
    words = ("--nolocal", f"--basevardir={home / 'var'}", "--debug", f"--logfile={home / 'agent.log'}", *words)
    run = f'hostname "$0"; {bind}shift; exec ocsinventory-agent "$@"'
    done = subprocess.run(
        ["unshare", "--uts", "--mount", "sh", "-c", run, host, home / "agent.cfg", *words],
        env={**CLEAN, "HOME": str(home)},
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=WAIT,
    )
    said = (home / "agent.log").read_text(errors="replace")
    assert done.returncode == (1 if refused else 0), said
    assert re.findall(r"Cannot establish communication : (.*)", said) == ([refused] if refused else [])


def options(here: Site, user: str, password: str, realm: str) -> tuple[str, ...]:
    """As its manual has them; what it does with them is in Network.pm: it decodes user and password from base64."""
    packed = [base64.b64encode(text.encode()).decode() for text in (user, password)]
    return (
        *(f"--server={here.https}", "--ssl=1", f"--ca={here.bundle}"),
        *(f"--user={packed[0]}", f"--password={packed[1]}", f"--realm={realm}"),
    )


def kept(here: Site) -> list[str]:
    """Every row but how often somebody failed, and what the server notes beside all requests."""
    with contextlib.closing(sqlite3.connect(here.folder / "data" / "ocs.sqlite")) as connection:
        skipped = tuple(f'INSERT INTO "{table}"' for table in ("runtime", "login_failure"))
        return [line for line in connection.iterdump() if not line.startswith(skipped)]


def test_the_genuine_agent_is_inventoried_and_deploys_in_mode_closed_with_its_password_only(
    pyz: Path, place: Path
) -> None:
    done = place / "done"
    done.mkdir()
    with site(pyz, place) as here:
        here.hurry()
        here.ask("config", "set", "IDENTITY_MODE", "closed")
        made = json.loads(here.ask("computer", "passwords", "--new", "agents", "--json"))
        assert made["server"] == here.https

        # wrong in each way, and nothing changes
        before = kept(here)
        for user, password, realm in (
            ("agents", made["password"][::-1], made["realm"]),
            ("others", made["password"], made["realm"]),
            ("agents", made["password"], "Another area"),
        ):
            genuine(here, *options(here, user, password, realm), refused=REFUSED)
        genuine(here, *options(here, "", "", "")[:3], refused=REFUSED)
        plain = options(here, "agents", made["password"], made["realm"])[3:]
        genuine(here, f"--server={here.http}", *plain, refused="403 Forbidden")
        assert kept(here) == before
        assert json.loads(here.ask("computer", "list", "--json")) == []

        # right, by its options
        right = options(here, "agents", made["password"], made["realm"])
        genuine(here, *right)
        known = json.loads(here.ask("computer", "show", "pc-genuine", "--json"))
        assert known["agent"].startswith("OCS-NG_unified_unix_agent_v2.1")
        assert len(known["inventory"]["SOFTWARES"]) > 50

        launch = targz(place / "launch.tar.gz", {"setup.sh": script(f'echo "$@" > {done}/launched')})
        two = targz(place / "two.tar.gz", {"blob": (blob := noise(50_000))}, mode=0o644)
        ids = {
            "launch": here.deploy(
                "launch", "--action", "launch", "--command", "setup.sh -q one", "--file", str(launch)
            ),
            "execute": here.deploy("execute", "--action", "execute", "--command", f"echo é > {done}/executed"),
            "two": here.deploy(
                *("two", "--action", "store", "--path", f"{done}/two", "--file", str(two)),
                *("--fragment-size", str(-(-two.stat().st_size // 2))),
            ),
        }

        # and by the lines that are printed for its file
        genuine(here, cfg=f"{made['unix']}ca={here.bundle}\n")
        assert {name: here.outcome(package) for name, package in ids.items()} == {
            "launch": ("SUCCESS", "SUCCESS_0"),
            "execute": ("SUCCESS", "SUCCESS"),
            "two": ("SUCCESS", "SUCCESS"),
        }
        assert (done / "launched").read_text() == "-q one\n"
        assert (done / "two" / "blob").read_bytes() == blob

        # revoked: refused again, and nothing of what is there changes
        here.ask("computer", "passwords", "--revoke", "agents")
        before = kept(here)
        genuine(here, *right, refused=REFUSED)
        assert kept(here) == before

        # or without any, from its network, over plain HTTP
        here.ask("config", "set", "IDENTITY_NETWORKS", "127.0.0.0/8")
        genuine(here, f"--server={here.http}", f"--ca={here.bundle}")
        assert kept(here) != before
        assert made["password"] not in here.log()
        assert "Traceback" not in here.log()


def test_curl_is_asked_and_answered_and_our_own_agent_that_joined_goes_on(pyz: Path, place: Path) -> None:
    with site(pyz, place) as here:
        here.hurry()
        message, name = place / "message", device("pc-curl")
        message.write_bytes(envelope.pack(contact.encode_prolog(name)))
        base = place / "pc-own"
        joined(here, base)
        here.ask("config", "set", "IDENTITY_MODE", "closed")
        made = json.loads(here.ask("computer", "passwords", "--new", "agents", "--json"))

        def curl(*words: str, url: str = here.https) -> tuple[int, str]:
            line = ["curl", "--silent", "--show-error", "--cacert", str(here.bundle), "--data-binary", f"@{message}"]
            line += ["--header", "Content-Type: application/x-compress", "--output", "/dev/null", "--dump-header", "-"]
            done = subprocess.run([*line, *words, url], capture_output=True, text=True, timeout=WAIT, env=CLEAN)
            assert done.returncode == 0, done.stderr
            return int(re.findall(r"^HTTP/1\.1 (\d+)", done.stdout, re.M)[-1]), done.stdout

        status, headers = curl()
        assert (status, 'WWW-Authenticate: Basic realm="OCS Inventory agent area"' in headers) == (401, True)
        assert curl("--user", f"agents:{made['password']}")[0] == 200
        status, headers = curl("--anyauth", "--user", f"agents:{made['password']}")
        assert (status, headers.count("HTTP/1.1 401")) == (200, 1)
        assert curl("--user", "agents:wrong")[0] == 401
        status, headers = curl("--user", f"agents:{made['password']}", url=here.http)
        assert (status, "WWW-Authenticate" in headers) == (403, False)

        package = here.deploy("own", "--action", "execute", "--command", f"touch {place}/touched")
        agent(here, base, "--once")
        assert (place / "touched").exists()
        assert here.outcome(package) == ("SUCCESS", "SUCCESS")
        state = json.loads(agent(here, base, "status", "--json"))
        assert state["membership"]["state"] == "good"


def joined(here: Site, base: Path) -> None:
    """Have our agent join."""
    assert "This computer joined" in agent(here, base, "join", here.ask("computer", "token"))


def agent(here: Site, base: Path, *words: str) -> str:
    """Our agent from the archive: what it said."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", here.pyz, "agent", *words, "--basedir", base],
        env={**CLEAN, "HOME": "/nonexistent"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
