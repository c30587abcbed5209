"""Activation looks at both addresses as an agent would, on a running server, and says what it met."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.appliance import Running, build, must, rows, say, serving, shelved
from tests.fakes.archives import targz_of


@dataclass
class Site:
    """A server, a package of three fragments on it, one without a file, and one over HTTPS."""

    server: Running
    package: str
    bare: str
    secure: str

    @property
    def data(self) -> Path:
        return self.server.data

    @property
    def info(self) -> str:
        return f"127.0.0.1:{self.server.https}/download"

    @property
    def fragments(self) -> str:
        return f"127.0.0.1:{self.server.http}/download"

    def refusal(self, *words: str, data: Path | None = None, package: str = "") -> str:
        before = rows(data or self.data, "SELECT count(*) FROM activation")
        said = say("package", "activate", package or self.package, *words, data=data or self.data)
        assert (said.code, said.out) == (1, "")
        assert said.err.count("\n") == 1
        assert rows(data or self.data, "SELECT count(*) FROM activation") == before
        return said.err


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("activate")
    archive = folder / "a.tar.gz"
    archive.write_bytes(targz_of({"setup.sh": os.urandom(3000)}))
    data = folder / "data"
    store = ("--action", "store", "--path", "/x", "--file", archive, "--fragment-size", "1K")
    package, bare = build(data, "whole", *store), build(data, "bare")
    secure = build(data, "secure", *store, "--protocol", "https")
    with serving(data) as server:
        yield Site(server, package, bare, secure)


@pytest.fixture(scope="module")
def other(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A mirror of the site under the same authority, on which the package was edited."""
    data = tmp_path_factory.mktemp("mirror") / "data"
    shutil.copytree(site.data, data)
    must("package", "edit", site.package, "--path", "/elsewhere", data=data)
    archive = data.parent / "b.tar.gz"
    archive.write_bytes(targz_of({"setup.sh": os.urandom(3000)}))
    must("package", "edit", site.secure, "--file", archive, "--fragment-size", "1K", data=data)
    with serving(data) as server:
        yield server


def test_without_addresses_the_servers_own_are_proposed_looked_at_and_warned_about(site: Site) -> None:
    said = say("package", "activate", site.package, data=site.data)
    assert said.code == 0, said.err
    assert said.out.strip().isdigit()
    assert said.err.count("is the computer itself for every agent") == 2
    (shown,) = json.loads(must("package", "show", site.package, "--json", data=site.data))["activations"]
    assert (shown["info_url"], shown["fragment_url"]) == (site.info, site.fragments)
    log = site.server.log.read_text()
    for what in (f"https 127.0.0.1 GET /download/{site.package}/info 200",
                 f"http 127.0.0.1 GET /download/{site.package}/{site.package}-1 200",
                 f"http 127.0.0.1 GET /download/{site.package}/{site.package}-4 200"):  # fmt: skip
        assert what in log
    assert f"{site.package}-2" not in log, "the first and the last are enough"


def test_fragments_over_https_are_proposed_and_looked_at_there(site: Site) -> None:
    must("package", "activate", site.secure, data=site.data)
    (shown,) = json.loads(must("package", "show", site.secure, "--json", data=site.data))["activations"]
    assert shown["fragment_url"] == site.info
    assert f"https 127.0.0.1 GET /download/{site.secure}/{site.secure}-1 200" in site.server.log.read_text()


def test_a_package_without_a_file_needs_its_info_only(site: Site) -> None:
    said = must("package", "activate", site.bare, "--fragment-url", "127.0.0.1:1/nowhere", data=site.data)
    assert said.strip().isdigit()


def test_several_activations_and_the_same_one_again(site: Site) -> None:
    first = must(
        "package", "activate", site.bare, "--info-url", f"localhost:{site.server.https}/download", data=site.data
    )
    again = must(
        "package", "activate", site.bare, "--info-url", f"localhost:{site.server.https}/download", data=site.data
    )
    assert first == again
    info = f"https://127.0.0.1:{site.server.https}/download/"
    assert int(must("package", "activate", site.bare, "--info-url", info, data=site.data)) > int(first)


def test_a_wrong_port(site: Site) -> None:
    assert "info-url: https://127.0.0.1:1/download" in site.refusal("--info-url", "127.0.0.1:1/download")
    assert "Connection refused" in site.refusal("--fragment-url", "127.0.0.1:1/download")
    assert "does not speak TLS as agents do" in site.refusal("--info-url", site.fragments)
    assert "fragment-url" in site.refusal("--fragment-url", site.info)


def test_a_folder_that_is_not_there(site: Site) -> None:
    assert "answers 404 (not found)" in site.refusal("--info-url", f"127.0.0.1:{site.server.https}/elsewhere")
    said = site.refusal("--fragment-url", f"127.0.0.1:{site.server.http}/elsewhere")
    assert said.startswith("ocs.pyz: fragment-url: http://127.0.0.1:")
    assert "answers 404" in said


def test_a_server_of_another_authority(site: Site, tmp_path: Path) -> None:
    stranger = tmp_path / "data"
    package = build(stranger, "mine")
    assert "there are no certificates yet" in site.refusal(data=stranger, package=package)
    must("tls", "export-ca", data=stranger)
    said = site.refusal("--info-url", site.info, data=stranger, package=package)
    assert "shows a certificate that agents refuse: unable to get local issuer certificate" in said


def test_a_name_that_is_not_in_the_certificate(site: Site) -> None:
    said = site.refusal("--info-url", f"127.1:{site.server.https}/download")
    assert "shows a certificate that agents refuse: Hostname mismatch" in said


def test_a_name_that_does_not_resolve(site: Site) -> None:
    assert "does not resolve" in site.refusal("--info-url", "no-such-host.invalid:4343/download")


def test_other_content_than_was_built(site: Site, other: Running) -> None:
    said = site.refusal("--info-url", f"127.0.0.1:{other.https}/download")
    assert f"serves an info file that is not this package's; copy the folder {site.package} there again" in said
    said = site.refusal(
        "--info-url", site.info, "--fragment-url", f"127.0.0.1:{other.https}/download", package=site.secure
    )
    assert "serves a fragment 1 that is not this package's" in said


def test_a_fragment_that_is_damaged_on_the_disk(site: Site) -> None:
    last = site.data / "fragments" / site.package / f"{site.package}-4"
    whole = last.read_bytes()
    last.write_bytes(whole[:-1])
    try:
        assert "answers 503" in site.refusal()
    finally:
        last.write_bytes(whole)


def test_unchecked_looks_at_nothing(site: Site) -> None:
    before = site.server.log.read_text()
    must("package", "activate", site.package, "--info-url", "127.0.0.1:1/x", "--unchecked", data=site.data)
    assert site.server.log.read_text() == before


@pytest.mark.parametrize("text", ["a b", "host:0/x", "host:99999/x", "host/../x", "host/x?y", "h'o/x", "ftp://host/x"])
@pytest.mark.parametrize("option", ["--info-url", "--fragment-url"])
def test_what_is_no_location_is_refused(site: Site, option: str, text: str) -> None:
    assert f"{option[2:]}: " in site.refusal(option, text, "--unchecked")


def test_unactivate_one_or_all(site: Site) -> None:
    package = build(site.data, "for a while")
    numbers = [
        must("package", "activate", package, "--info-url", f"host{n}.example.org/d", "--unchecked", data=site.data)
        for n in range(3)
    ]
    assert must("package", "unactivate", package, "--activation", numbers[1], data=site.data) == "1"
    said = say("package", "unactivate", package, "--activation", numbers[1], data=site.data)
    assert (said.code, f"has no activation {numbers[1]}" in said.err) == (1, True)
    assert must("package", "unactivate", package, data=site.data) == "2"
    assert "is not activated" in say("package", "unactivate", package, data=site.data).err
    assert f"{package}/info" in shelved(site.data)
