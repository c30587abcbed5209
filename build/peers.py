"""The real programs of others that the tests talk to: which are at hand, and getting them on Debian."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from workshop import Stop, run, step, tell


@dataclass(frozen=True)
class Peer:
    """A program, Debian's packages for it, and a command that works only where all of it is there."""

    packages: tuple[str, ...]
    probe: tuple[str, ...]
    tests: str  # which tests are left out without it


PEERS = {
    "ocsinventory-agent": Peer(
        # The Perl modules are what the agent's download module needs for info over verified TLS.
        ("ocsinventory-agent", "libio-socket-ssl-perl", "liblwp-protocol-https-perl", "dmidecode", "unzip"),
        ("perl", "-MIO::Socket::SSL", "-MLWP::Protocol::https", "-MNet::SSLeay", "-MXML::Simple", "-e", "1"),
        "deployments with the genuine agent",
    ),
    "curl": Peer(("curl",), ("curl", "--version"), "transfers with curl"),
}


def at_hand() -> list[str]:
    """The peers that can be used now."""
    return [name for name, peer in PEERS.items() if works(name, peer)]


def works(name: str, peer: Peer) -> bool:
    """Is the program there, with all that it needs?"""
    if shutil.which(name) is None:
        return False
    return subprocess.run(peer.probe, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def prepare() -> list[str]:
    """Install what is missing where that is ours to do; say what stays out. The peers at hand."""
    found = at_hand()
    missing = [name for name in PEERS if name not in found]
    if not missing:
        return found
    reason = why_not()
    if reason is None:
        with step(f"peers: {', '.join(missing)}, by apt-get"):
            try:
                install([package for name in missing for package in PEERS[name].packages])
            except Stop as stop:
                reason = str(stop)
        found = at_hand()
    for name in PEERS:
        if name not in found:
            why = reason or "installed, and does not work"
            tell(f"left out: {PEERS[name].tests}, for want of {name} ({why})")
    return found


def why_not() -> str | None:
    """Why nothing can be installed here, or None."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-query") is None:
        return "this is not a Debian"
    if os.geteuid() != 0:
        return "only root can install it"
    return None


def install(packages: list[str]) -> None:
    """Debian's packages, without anything that would start or call anybody by itself."""
    new = shutil.which("ocsinventory-agent") is None
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    try:
        run(command, env)
    except Stop:  # most often: no package lists yet, or old ones
        run(["apt-get", "update", "--quiet"], env)
        run(command, env)
    if new:  # the tests start the agent themselves; by itself it shall not run at all
        daily = Path("/etc/cron.daily/ocsinventory-agent")
        if daily.exists():
            daily.chmod(0o644)
        if Path("/run/systemd/system").is_dir():
            units = ["ocsinventory-agent.timer", "ocsinventory-agent.service"]
            run(["systemctl", "disable", "--now", *units], env)
