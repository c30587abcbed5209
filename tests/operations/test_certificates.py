"""Certificates as they live: made, renewed in time, an own PKI's taken in, shown by a server that runs on."""

from __future__ import annotations

import asyncio
import datetime
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.domain.account import Role, user_actor
from appliance.domain.refusal import Kind, Refusal
from appliance.operations import certificates as under_test
from appliance.operations.certificates import (
    Installed,
    certificates,
    ensure_certificates,
    export_authority,
    install_certificate,
    renew_certificate,
    request_certificate,
    shown_certificate,
)
from appliance.operations.desk import Desk, open_desk
from appliance.operations.start import write_down
from tests.fakes.appliance import SetClock
from tests.fakes.pki import DAY, EC, Pki

NOW = int(datetime.datetime.now(datetime.UTC).timestamp())
NAME = "ocs.example.org"


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki(NOW)


def play(folder: Path, script: Callable[[Desk, SetClock], Awaitable[Any]]) -> Any:
    """A desk of a server that was started once."""
    clock = SetClock(NOW)

    async def work() -> Any:
        async with open_desk(folder / "data", clock) as desk:
            await ensure_certificates(desk, [NAME, "127.0.0.1"])
            await write_down(desk, {"server_name": NAME})
            return await script(desk, clock)

    return asyncio.run(work())


async def deeds(desk: Desk) -> list[str]:
    async with desk.store.reading() as tx:
        return [row[0] for row in await tx.rows("SELECT deed FROM log ORDER BY id")]


async def everything(desk: Desk) -> str:
    """All that the log says, and all rows of the certificates' tables but for the keys."""
    async with desk.store.reading() as tx:
        said = await tx.rows("SELECT * FROM log")
        kept = await tx.rows(
            "SELECT name, certificate FROM credential UNION SELECT sha256, certificate FROM foreign_root"
        )
    return repr([tuple(row) for row in [*said, *kept]])


async def refused(verb: Awaitable[Any]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await verb
    return caught.value


def remarks(installed: Installed) -> str:
    return " ".join(str(remark) for remark in installed.remarks)


def test_what_is_installed_after_a_first_start(tmp_path: Path) -> None:
    async def script(desk: Desk, _: SetClock) -> None:
        found = await certificates(desk)
        assert (found.own, found.server_name, found.request, found.foreign_roots) == (True, NAME, "", ())
        assert (found.server.names, found.server.issuer) == ((NAME, "127.0.0.1"), found.authority.subject)
        assert (found.server.days_left, found.authority.days_left) == (397, 3650)
        assert found.remarks == ()
        assert await deeds(desk) == []

    play(tmp_path, script)


def test_a_request_its_certificate_and_cacert_pem_with_both_authorities(tmp_path: Path, pki: Pki) -> None:
    async def script(desk: Desk, _: SetClock) -> None:
        own = await export_authority(desk)
        request = await request_certificate(desk, [], organisation="Site", country="ES")
        asked = await certificates(desk)
        assert (asked.request, asked.request_names, asked.request_at) == (request, (NAME,), NOW)
        other = await request_certificate(desk, [NAME, "ocs"])
        assert (await certificates(desk)).request == other
        served = pki.answer(request)  # the first one came back: its key is the same
        found = await install_certificate(desk, served.certificate, served.chain + served.root)
        assert (found.own, found.request, found.server.issuer) == (False, "", "CN=Site issuing")
        assert [root.subject for root in found.foreign_roots] == ["CN=Site root"]
        assert "Agents need the new cacert.pem" in remarks(found)
        assert await export_authority(desk) == own + served.root
        again = pki.answer(request)
        found = await install_certificate(desk, again.certificate, again.chain)
        assert found.remarks == (), "agents know that root by now, and so do we"
        assert await deeds(desk) == ["certificate requested"] * 2 + ["certificate installed"] * 2
        assert "PRIVATE" not in await everything(desk)

    play(tmp_path, script)


def test_a_certificate_with_a_key_of_its_own_and_back_to_ours(tmp_path: Path, pki: Pki) -> None:
    async def script(desk: Desk, _: SetClock) -> None:
        served = pki.server([NAME, "mirror.example.org"], key=EC)
        whole = served.certificate + served.chain + served.root
        assert (await refused(install_certificate(desk, whole))).field == "key"
        assert (await install_certificate(desk, whole, key=served.private_key)).server.key == "EC secp256r1"
        await ensure_certificates(desk, [NAME, "new.example.org"])
        assert not (await certificates(desk)).own, "who installed it renews it"
        found = await renew_certificate(desk, ["extra.example.org"])
        assert (found.own, found.server.names) == (True, ("extra.example.org", NAME, "mirror.example.org"))
        assert (await refused(renew_certificate(desk, ["a b"]))).field == "name"
        assert [*await deeds(desk)] == ["certificate installed", "certificate renewed"]

    play(tmp_path, script)


def test_what_does_not_fit_changes_nothing(tmp_path: Path, pki: Pki) -> None:
    async def script(desk: Desk, _: SetClock) -> None:
        before = await certificates(desk)
        for served in (pki.server(["other.example.org"]), pki.server([NAME], begins=DAY)):
            refusal = await refused(
                install_certificate(desk, served.certificate, served.chain + served.root, served.private_key)
            )
            assert (refusal.kind, refusal.field) == (Kind.INVALID, "cert")
        assert await certificates(desk) == before
        assert await deeds(desk) == []

    play(tmp_path, script)


@pytest.mark.parametrize(
    ("day", "said"), [(0, ""), (58, ""), (60, "ends in 29 days."), (83, "renew it now"), (90, "has ended")]
)
def test_the_end_of_a_foreign_certificate_is_told_in_time(
    tmp_path: Path, pki: Pki, day: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(desk: Desk, clock: SetClock) -> None:
        served = pki.server([NAME])
        await install_certificate(desk, served.certificate, served.chain + served.root, served.private_key)
        clock.moment += day * DAY
        found = remarks(await certificates(desk))
        assert said in found
        assert bool(said) == bool(found)
        with caplog.at_level(logging.WARNING, "ocs.certificates"):
            await ensure_certificates(desk, [NAME])
        assert bool(caplog.records) == bool(said)

    play(tmp_path, script)


def test_a_name_that_is_not_in_it_is_told(tmp_path: Path) -> None:
    async def script(desk: Desk, _: SetClock) -> None:
        await write_down(desk, {"server_name": "moved.example.org"})
        assert "is not for moved.example.org" in remarks(await certificates(desk))

    play(tmp_path, script)


def test_before_the_first_start_there_is_nothing_and_users_see_nothing(tmp_path: Path) -> None:
    async def script() -> None:
        async with open_desk(tmp_path / "fresh") as desk:
            for verb in (certificates(desk), renew_certificate(desk), install_certificate(desk, "")):
                assert (await refused(verb)).kind is Kind.CONFLICT
            user = desk.acting(user_actor("eve", "console", Role.USER, 2, []))
            for verb in (certificates(user), renew_certificate(user), install_certificate(user, "")):
                assert (await refused(verb)).kind is Kind.FORBIDDEN
            assert (await refused(request_certificate(user))).kind is Kind.FORBIDDEN

    asyncio.run(script())


# What a running server shows


async def shown(port: int, bundle: str) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context(cadata=bundle)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=NAME)
    return writer.get_extra_info("ssl_object").getpeercert(binary_form=True), reader, writer


async def eventually(met: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await met():
            await asyncio.sleep(0.01)


def test_a_new_certificate_is_taken_up_by_itself_and_no_connection_ends(
    tmp_path: Path, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "LOOK_SECONDS", 0.01)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    async def script(desk: Desk, clock: SetClock) -> None:
        async with shown_certificate(desk, [NAME]) as front:
            server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=front.context)
            port = server.sockets[0].getsockname()[1]
            first, reader, writer = await shown(port, await export_authority(desk))
            served = pki.server([NAME], key=EC)
            async with open_desk(tmp_path / "data", clock) as another_process:
                await install_certificate(
                    another_process, served.certificate, served.chain + served.root, served.private_key
                )
            bundle = await export_authority(desk)

            async def changed() -> bool:
                now, _, other = await shown(port, bundle)
                other.close()
                return now == ssl.PEM_cert_to_DER_cert(served.certificate)

            await eventually(changed)
            writer.write(b"still here\n")
            assert await reader.readline() == b"still here\n"
            assert first != ssl.PEM_cert_to_DER_cert(served.certificate)
            writer.close()
            server.close()
            await server.wait_closed()

    play(tmp_path, script)


def test_our_own_is_renewed_by_a_server_that_runs_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(under_test, "DAY", 0)

    async def script(desk: Desk, clock: SetClock) -> None:
        async with shown_certificate(desk, [NAME]) as front:
            before = front.certificate
            clock.moment += 300 * DAY

            async def is_shown() -> bool:
                return front.certificate != before

            await eventually(is_shown)
        assert (await certificates(desk)).server.days_left == 397
        assert "certificate renewed" in await deeds(desk)

    play(tmp_path, script)


def test_what_cannot_be_shown_leaves_the_one_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(under_test, "LOOK_SECONDS", 0.01)

    async def script(desk: Desk, _: SetClock) -> None:
        async with shown_certificate(desk, [NAME]) as front:
            before = front.certificate
            async with desk.store.writing() as tx:
                await tx.run("UPDATE credential SET certificate = 'damaged' WHERE name = 'server'")

            async def told() -> bool:
                return "cannot be shown" in caplog.text

            await eventually(told)
            assert front.certificate == before

    with caplog.at_level(logging.ERROR, "ocs.certificates"):
        play(tmp_path, script)
    assert len(caplog.records) == 1
