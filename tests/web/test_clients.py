"""curl and libwww-perl, which genuine agents fetch with, against our downloads."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.trust.authority import make_authority
from tests.web.conftest import Site

MIRROR = """
use strict; use warnings; use LWP::UserAgent;
my ($ca, $url, $file) = @ARGV;
my $agent = LWP::UserAgent->new(agent => 'OCS-NG_unified_unix_agent_v2.10.0', ssl_opts => {
  verify_hostname => 1, SSL_ca_file => $ca });
my $answer = $agent->mirror($url, $file);
print $answer->code, "\\n";
print $answer->header('X-Died') // '', "\\n";
"""


def have(name: str) -> bool:
    if name == "lwp":
        probe = ["perl", "-MLWP::UserAgent", "-MLWP::Protocol::https", "-e", "1"]
        return shutil.which("perl") is not None and subprocess.run(probe, capture_output=True).returncode == 0
    return shutil.which(name) is not None


@pytest.fixture
def need() -> Callable[[str], None]:
    """`need("curl")`: go on with it; on CI its absence is a failure."""

    def look(name: str) -> None:
        if have(name):
            return
        reason = f"{name} is not here: `python3 build/make.py test` installs it as root on Debian"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    return look


@pytest.fixture
def bundle(site: Site, tmp_path: Path) -> Path:
    path = tmp_path / "cacert.pem"
    path.write_text(site.server.authority)
    return path


def curl(bundle: Path, *words: str) -> subprocess.CompletedProcess[str]:
    line = ["curl", "-sS", "--max-time", "20", "--cacert", str(bundle), *words]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def lwp(bundle: Path, url: str, file: Path) -> tuple[int, str]:
    line = ["perl", "-e", MIRROR, str(bundle), url, str(file)]
    code, died = subprocess.run(line, capture_output=True, text=True, check=True).stdout.split("\n")[:2]
    return int(code), died


def urls(site: Site) -> dict[str, bytes]:
    server, package = site.server, site.package
    return {
        f"http://127.0.0.1:{server.http}{site.url(1)}": site.fragments[0],
        f"https://127.0.0.1:{server.https}{site.url(4)}": site.fragments[3],
        f"https://127.0.0.1:{server.https}/download/{package}/info": site.file("info").read_bytes(),
    }


def test_lwp_mirrors_afresh_and_onto_a_file_that_is_there(
    site: Site, tmp_path: Path, bundle: Path, need: Callable[[str], None]
) -> None:
    need("lwp")
    for number, (url, body) in enumerate(urls(site).items()):
        file = tmp_path / str(number)
        for before in (None, body, b"half of what was ther")[: 3 - number]:
            if before is not None:
                file.write_bytes(before)
            assert lwp(bundle, url, file) == (200, "")
            assert file.read_bytes() == body


def test_lwp_leaves_a_file_alone_when_the_server_refuses(
    site: Site, tmp_path: Path, bundle: Path, need: Callable[[str], None]
) -> None:
    need("lwp")
    file = tmp_path / "f"
    file.write_bytes(b"before")
    server = site.server
    assert lwp(bundle, f"http://127.0.0.1:{server.http}/download/{site.package}/info", file) == (403, "")
    assert lwp(bundle, f"https://127.0.0.1:{server.https}/download/1000000000/info", file) == (404, "")
    damaged = site.file(f"{site.package}-2")
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1])
    try:
        assert lwp(bundle, f"http://127.0.0.1:{server.http}{site.url(2)}", file) == (503, "")
    finally:
        damaged.write_bytes(whole)
    assert file.read_bytes() == b"before"


def test_lwp_without_the_authority_gets_nothing(site: Site, tmp_path: Path, need: Callable[[str], None]) -> None:
    need("lwp")
    other = tmp_path / "other.pem"
    other.write_text(make_authority(int(time.time())).certificate)
    code, _ = lwp(other, f"https://127.0.0.1:{site.server.https}/download/{site.package}/info", tmp_path / "f")
    assert code == 500
    assert not (tmp_path / "f").exists()


def test_curl_fetches_resumes_and_looks(site: Site, tmp_path: Path, bundle: Path, need: Callable[[str], None]) -> None:
    need("curl")
    for number, (url, body) in enumerate(urls(site).items()):
        file = tmp_path / str(number)
        assert curl(bundle, "-f", "-o", str(file), url).returncode == 0
        assert file.read_bytes() == body
        head = curl(bundle, "-fI", url).stdout.lower()
        assert f"content-length: {len(body)}" in head
        assert "transfer-encoding" not in head
        if "/info" in url:
            continue
        file.write_bytes(body[:1000])
        done = curl(bundle, "-f", "-C", "-", "-o", str(file), url)
        assert done.returncode == 0, done.stderr
        assert hashlib.sha256(file.read_bytes()).digest() == hashlib.sha256(body).digest()
        assert curl(bundle, "-f", "--compressed", "-z", "2037-01-01", "-o", str(file), url).returncode == 0
        assert file.read_bytes() == body
        assert curl(bundle, "-f", "-r", "5-9", "-o", str(file), url).returncode == 0
        assert file.read_bytes() == body[5:10]


def test_curl_names_what_is_refused(site: Site, bundle: Path, need: Callable[[str], None]) -> None:
    need("curl")
    base = f"https://127.0.0.1:{site.server.https}"
    for path in ("/download/../../etc/passwd", "/download/%2e%2e/%2e%2e/etc/passwd", f"/download/{site.package}/../x"):
        done = curl(bundle, "--path-as-is", "-w", "%{http_code}", "-o", "/dev/null", base + path)
        assert done.stdout == "404"
