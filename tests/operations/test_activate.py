"""Activation looks at both addresses as an agent would, on a running server, and says what it met."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.domain.account import Role, user_actor
from appliance.domain.refusal import Kind, Refusal
from appliance.operations.activate import activate, check_steps, proposals, unactivate
from appliance.operations.desk import Desk
from appliance.trust.probe import Stage
from tests.fakes.appliance import Running, build, must, on_desk, rows, say, serving, shelved
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


@contextlib.contextmanager
def moved(data: Path, **ports: int) -> Iterator[None]:
    """The server's ports as another start of it would have written them down."""
    before = dict(rows(data, "SELECT name, value FROM runtime"))
    put(data, {name: str(port) for name, port in ports.items()})
    try:
        yield
    finally:
        put(data, before)


def put(data: Path, values: dict[str, str]) -> None:
    with contextlib.closing(sqlite3.connect(data / "ocs.sqlite", isolation_level=None)) as connection:
        connection.executemany("INSERT OR REPLACE INTO runtime (name, value) VALUES (?, ?)", values.items())


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def test_a_wrong_port(site: Site) -> None:
    port = closed_port()
    assert "is on this server itself" in site.refusal("--info-url", f"127.0.0.1:{port}/download")
    with moved(site.data, https_port=port):
        said = site.refusal("--info-url", f"127.0.0.1:{port}/download")
        assert f"info-url: nothing listens at https://127.0.0.1:{port}/download" in said
    assert "does not speak TLS as agents do" in site.refusal("--info-url", site.fragments)
    assert "fragment-url" in site.refusal("--fragment-url", site.info)


def test_a_folder_that_is_not_there(site: Site) -> None:
    assert "is not there (404)" in site.refusal("--info-url", f"127.0.0.1:{site.server.https}/elsewhere")
    said = site.refusal("--fragment-url", f"127.0.0.1:{site.server.http}/elsewhere")
    assert said.startswith("ocs.pyz: fragment-url: http://127.0.0.1:")
    assert "is not there (404)" in said


def test_a_server_of_another_authority(site: Site, tmp_path: Path) -> None:
    stranger = tmp_path / "data"
    package = build(stranger, "mine")
    assert "there are no certificates yet" in site.refusal(data=stranger, package=package)
    must("tls", "export-ca", data=stranger)
    put(stranger, {"https_port": str(site.server.https)})
    said = site.refusal("--info-url", site.info, data=stranger, package=package)
    assert "shows a certificate that agents refuse (self-signed certificate in certificate chain)" in said


def test_a_name_that_is_not_in_the_certificate(site: Site) -> None:
    said = site.refusal("--info-url", f"127.1:{site.server.https}/download")
    assert "shows a certificate that agents refuse (Hostname mismatch" in said


def test_a_name_that_does_not_resolve(site: Site) -> None:
    assert "does not resolve" in site.refusal("--info-url", "no-such-host.invalid:4343/download")


def test_other_content_than_was_built(site: Site, other: Running) -> None:
    with moved(site.data, https_port=other.https):
        said = site.refusal("--info-url", f"127.0.0.1:{other.https}/download")
        assert f"{site.package}/info is not the file that was built; copy the package's folder there again" in said
    with moved(site.data, http_port=other.https):
        there = f"127.0.0.1:{other.https}/download"
        said = site.refusal("--info-url", site.info, "--fragment-url", there, package=site.secure)
        assert f"{site.secure}/{site.secure}-1 is not the file that was built" in said


def test_every_step_is_told_and_what_failed_says_how_to_mend_it(site: Site) -> None:
    wrong = f"127.0.0.1:{site.server.http}/elsewhere"
    steps = on_desk(site.data, check_steps, site.package, None, wrong)
    assert [(step.what, step.stage.value, step.ok) for step in steps] == [
        *[("info", stage.value, True) for stage in Stage],
        *[("first fragment", stage, stage != "status") for stage in ("address", "connection", "status")],
        *[("last fragment", stage, stage != "status") for stage in ("address", "connection", "status")],
    ]
    assert steps[0].url == f"https://{site.info}/{site.package}/info"
    assert steps[-1].url == f"http://{wrong}/{site.package}/{site.package}-4"
    failed = steps[-1].refusal
    assert failed
    assert (failed.field, failed.values) == ("fragment-url", {"url": steps[-1].url})
    assert all(step.ok for step in on_desk(site.data, check_steps, site.package, None, None))


def test_the_console_port_is_no_depot(site: Site) -> None:
    (step,) = on_desk(site.data, check_steps, site.bare, f"127.0.0.1:{site.server.console}/download", None)
    assert (step.stage, step.ok) == (Stage.ADDRESS, False)


def test_other_sites_addresses_are_proposed_behind_our_own(site: Site) -> None:
    must("package", "activate", site.bare, "--unchecked", "--info-url", "a.example.org/d", data=site.data)
    found = on_desk(site.data, proposals, site.package)
    assert (found[0].info_location, found[0].fragment_location, found[0].own) == (site.info, site.fragments, True)
    assert ("a.example.org/d", False) in [(proposal.info_location, proposal.own) for proposal in found]
    assert len({(p.info_location, p.fragment_location) for p in found}) == len(found)
    (secure,) = [p for p in on_desk(site.data, proposals, site.secure) if p.own]
    assert secure.fragment_location == site.info


def test_who_activated_what_stands_in_the_log(site: Site) -> None:
    number = must("package", "activate", site.bare, "--unchecked", "--info-url", "b.example.org/d", data=site.data)
    must("package", "unactivate", site.bare, "--activation", number, data=site.data)
    deeds = rows(site.data, "SELECT deed, subject, detail FROM log ORDER BY id DESC LIMIT 2")
    assert [row[:2] for row in deeds] == [("package unactivated", site.bare), ("package activated", site.bare)]
    assert "b.example.org/d" in deeds[1][2]
    assert '"checked": "no"' in deeds[1][2]


def test_a_user_may_neither_look_nor_activate(site: Site) -> None:
    async def both(desk: Desk) -> None:
        user = desk.acting(user_actor("eve", "console", Role.USER, 2, []))
        for verb in (check_steps(user, site.bare, None, None), activate(user, site.bare, None, None),
                     unactivate(user, site.bare)):  # fmt: skip
            with pytest.raises(Refusal) as refused:
                await verb
            assert refused.value.kind is Kind.FORBIDDEN

    on_desk(site.data, both)


def test_a_fragment_that_is_damaged_on_the_disk(site: Site) -> None:
    last = site.data / "fragments" / site.package / f"{site.package}-4"
    whole = last.read_bytes()
    last.write_bytes(whole[:-1])
    try:
        assert "is answered with 503" in site.refusal()
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
