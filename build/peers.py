"""The real programs of others that the tests talk to: which are at hand, and getting them on Debian."""

import os
import shutil
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from workshop import STAMP, WORK, Stop, prepared, run, step, tell

UNPACKED = WORK / "peers"
MARIADB = ("mariadb-server-core", "mariadb-client-core")
SITE = "/usr/lib/apache2/modules/mod_perl.so /etc/apache2/conf-available/ocsinventory-server.conf"


@dataclass(frozen=True)
class Peer:
    """Programs, Debian's packages for them, and a command that works only where all of it is there."""

    packages: tuple[str, ...]
    programs: tuple[str, ...]
    probe: tuple[str, ...]
    tests: str  # which tests are left out without it
    unpacked: tuple[str, ...] = ()  # packages whose files are wanted, and nothing that installing them would bring


PEERS = {
    "ocsinventory-agent": Peer(
        # The Perl modules are what the agent's download module needs for info over verified TLS.
        ("ocsinventory-agent", "libio-socket-ssl-perl", "liblwp-protocol-https-perl", "dmidecode", "unzip"),
        ("ocsinventory-agent", "perl"),
        ("perl", "-MIO::Socket::SSL", "-MLWP::Protocol::https", "-MNet::SSLeay", "-MXML::Simple", "-e", "1"),
        "deployments with the genuine agent",
    ),
    "ocsinventory-server": Peer(
        # apache2-bin and the -core packages: programs without services, users or configuration of the system.
        ("ocsinventory-server", "apache2-bin", "libapache2-mod-perl2", "libxml-parser-perl", *MARIADB),
        ("apache2", "mariadbd", "mariadb-install-db", "mariadb", "perl"),
        ("perl", "-MDBD::mysql", "-MApache::DBI", "-MXML::Parser", "-MXML::Simple", "-e", f"exit grep !-e, qw({SITE})"),
        "our agent with the genuine server",
        ("ocsinventory-reports",),  # the console, for its database schema; it would bring PHP, a timer and a site
    ),
    # The fonts are what pages are photographed with.
    "chromium": Peer(
        ("chromium", "fonts-liberation"), ("chromium",), ("chromium", "--version"), "the console in a browser"
    ),
    "curl": Peer(("curl",), ("curl",), ("curl", "--version"), "transfers with curl"),
    "strace": Peer(
        ("strace",),
        ("strace",),
        ("strace", "-f", "-e", "inject=fsync:error=EIO", "true"),
        "a database whose fsync fails, and power cuts",
    ),
}


def at_hand() -> list[str]:
    """The peers that can be used now."""
    return [name for name, peer in PEERS.items() if works(peer)]


def works(peer: Peer) -> bool:
    """Are the programs there, with all that they need?"""
    if None in map(shutil.which, peer.programs):
        return False
    if not all((UNPACKED / package / STAMP).is_file() for package in peer.unpacked):
        return False
    return subprocess.run(peer.probe, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def prepare(wanted: Collection[str] = tuple(PEERS)) -> list[str]:
    """Install what is missing where that is ours to do; say what stays out. The peers at hand."""
    found = at_hand()
    missing = [name for name in wanted if name not in found]
    if not missing:
        return found
    reasons = dict.fromkeys(missing, why_not())
    for name, reason in reasons.items():
        if reason is None:
            with step(f"peer: {name}, by apt-get"):
                try:
                    install(PEERS[name])
                except Stop as stop:
                    reasons[name] = str(stop)
    found = at_hand()
    for name in missing:
        if name not in found:
            why = reasons[name] or "installed, and does not work"
            tell(f"left out: {PEERS[name].tests}, for want of {name} ({why})")
    return found


def why_not() -> str | None:
    """Why nothing can be installed here, or None."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-query") is None:
        return "this is not a Debian"
    if os.geteuid() != 0:
        return "only root can install it"
    return None


def install(peer: Peer) -> None:
    """Debian's packages, without anything that would start or call anybody by itself."""
    new = shutil.which("ocsinventory-agent") is None
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    try:
        fetch(peer, env)
    except Stop:  # most often: no package lists yet, or old ones
        run(["apt-get", "update", "--quiet"], env)
        fetch(peer, env)
    if new and shutil.which("ocsinventory-agent"):  # the tests start it themselves; by itself it shall not run at all
        daily = Path("/etc/cron.daily/ocsinventory-agent")
        if daily.exists():
            daily.chmod(0o644)
        units = ("ocsinventory-agent.timer", "ocsinventory-agent.service")
        if Path("/run/systemd/system").is_dir():
            run(["systemctl", "disable", "--now", *units], env)
        else:  # a container, or an image that is started later
            for link in [link for unit in units for link in Path("/etc/systemd/system").glob(f"*.wants/{unit}")]:
                link.unlink()


def fetch(peer: Peer, env: Mapping[str, str]) -> None:
    """Install what is to be installed, unpack what is only to be unpacked."""
    run(["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *peer.packages], env)
    for package in peer.unpacked:
        unpack(package, env)


def unpack(package: str, env: Mapping[str, str]) -> None:
    """A package's files in a folder of ours."""
    folder = UNPACKED / package

    def make() -> None:
        folder.mkdir()
        script = 'cd "$0"; apt-get download --quiet "$1"; dpkg-deb --extract "$1"_*.deb .; rm "$1"_*.deb'
        run(["sh", "-ec", script, folder, package], env)

    prepared(folder, package, make=make)
