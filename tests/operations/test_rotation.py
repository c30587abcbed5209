"""The change of authority: begun, who knows it, ended by hand, by time, by itself; nothing half done."""

from __future__ import annotations

import datetime
import logging
import ssl
import tarfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.domain.account import Role, user_actor
from appliance.domain.package import Action, System
from appliance.domain.refusal import Kind, Refusal
from appliance.operations.activate import activate
from appliance.operations.affect import Selection, Terms, affect
from appliance.operations.answer_contact import answer_contact
from appliance.operations.certificates import (
    certificates,
    ends,
    ensure_certificates,
    export_authority,
    install_certificate,
    renew_certificate,
)
from appliance.operations.desk import Desk, open_desk
from appliance.operations.identity import Caller
from appliance.operations.rotation import (
    build_bundle_package,
    finish_in_time,
    finish_rotation,
    issuers_of_clients,
    rotate_authority,
    rotation_of,
)
from appliance.store import configuration
from appliance.trust import chains
from appliance.wire import contact
from tests.fakes.appliance import UNIX, SetClock, device, inventory, prolog, report, tell
from tests.fakes.pki import DAY, Pki
from tests.operations.test_certificates import NAME, deeds, play, refused

NOW = int(datetime.datetime.now(datetime.UTC).timestamp())


async def served(desk: Desk) -> tuple[str, str]:
    """What the server shows: certificate and key."""
    async with desk.store.reading() as tx:
        kept = await configuration.credential(tx, "server")
    assert kept
    return kept.certificate, kept.private_key


async def verifies(desk: Desk, bundle: str) -> bool:
    """Whether a client with that bundle verifies what is shown."""
    try:
        chains.shake_hands(*await served(desk), bundle, NAME)
    except Refusal:
        return False
    return True


async def digest(desk: Desk) -> str:
    return (await certificates(desk)).authority.fingerprint.replace(":", "").lower()


def test_a_change_begins_and_ends_and_clients_of_either_bundle_verify_all_the_while(tmp_path: Path) -> None:
    async def script(desk: Desk, _: SetClock) -> None:
        old = await export_authority(desk)
        before = await certificates(desk)
        await rotate_authority(desk)
        during = await certificates(desk)
        both = await export_authority(desk)
        assert (before.rotation, during.own) == (None, True)
        assert during.rotation
        assert during.rotation.former == before.authority != during.authority
        assert both.endswith(old)
        new = both.removesuffix(old)
        for bundle in (old, new, both):
            assert await verifies(desk, bundle)
        await renew_certificate(desk)
        for bundle in (old, new, both):
            assert await verifies(desk, bundle), "renewed in between"
        await ensure_certificates(desk, [NAME, "further.example.org"])
        assert await verifies(desk, old), "and by itself"
        await finish_rotation(desk)
        assert await export_authority(desk) == new
        assert await verifies(desk, new)
        assert not await verifies(desk, old)
        async with desk.store.reading() as tx:
            assert await issuers_of_clients(tx) == new + old
            rows = await tx.rows("SELECT certificate, private_key FROM credential")
        assert len({row[1] for row in rows}) == 2, "the key of the old one is gone"
        assert await deeds(desk) == [
            "authority changed", "certificate renewed", "certificate renewed", "authority retired",
        ]  # fmt: skip
        await rotate_authority(desk)
        assert await verifies(desk, new), "and once more"

    play(tmp_path, script)


def test_what_cannot_be_done_changes_nothing(tmp_path: Path) -> None:
    async def script(desk: Desk, clock: SetClock) -> None:
        assert (await refused(finish_rotation(desk))).kind is Kind.CONFLICT
        user = desk.acting(user_actor("eve", "console", Role.USER, 2, []))
        for verb in (rotate_authority(user), finish_rotation(user), build_bundle_package(user, System.LINUX)):
            assert (await refused(verb)).kind is Kind.FORBIDDEN
        await rotate_authority(desk)
        during = await certificates(desk)
        assert (await refused(rotate_authority(desk))).kind is Kind.CONFLICT
        assert await certificates(desk) == during
        await finish_rotation(desk)
        clock.moment += 4000 * DAY
        assert "has ended" in str(await refused(rotate_authority(desk)))
        assert await deeds(desk) == ["authority changed", "authority retired"]

    play(tmp_path, script)


def test_a_server_with_a_certificate_of_an_own_pki_keeps_it(tmp_path: Path) -> None:
    async def script(desk: Desk, _: SetClock) -> None:
        pki = Pki(NOW).server([NAME])
        await install_certificate(desk, pki.certificate, pki.chain + pki.root, pki.private_key)
        shown = await served(desk)
        await rotate_authority(desk)
        assert await served(desk) == shown
        assert (await export_authority(desk)).count("BEGIN CERTIFICATE") == 3
        await finish_rotation(desk)
        assert await served(desk) == shown
        assert (await export_authority(desk)).count("BEGIN CERTIFICATE") == 2

    play(tmp_path, script)


async def said(desk: Desk, name: str, *authorities: str) -> None:
    """A contact of our agent that knows these."""
    message = contact.decode_request(prolog(device(name)))
    await answer_contact(desk, message, Caller("ocs.pyz/1", "192.0.2.7", "", authorities))  # type: ignore[arg-type]


def test_who_knows_the_new_authority_is_counted_and_the_others_are_waited_for(tmp_path: Path) -> None:
    async def script(desk: Desk, clock: SetClock) -> None:
        for name in ("away", "ours", "genuine"):
            await tell(desk, inventory(device(name)))
        clock.moment += 100 * DAY
        for name in ("ours", "genuine"):
            await said(desk, name)
        old = await digest(desk)
        await rotate_authority(desk)
        await said(desk, "ours", old)
        rotation = await rotation_of(desk)
        assert rotation
        assert (rotation.seen, rotation.knowing) == (2, 0), "who was away for long is not waited for"
        await said(desk, "ours", old, await digest(desk))
        package = await build_bundle_package(desk, System.LINUX)
        assert (package.order.action, package.order.argument) == (Action.STORE, "INSTALL_PATH")
        await activate(desk, package.id, "127.0.0.1:4343/download", "127.0.0.1:8080/download", unchecked=True)
        await affect(desk, package.id, Selection(computers=("genuine",)), Terms())
        await tell(desk, prolog(device("genuine")), UNIX)
        rotation = await rotation_of(desk)
        assert rotation
        assert (rotation.seen, rotation.knowing, rotation.packages) == (2, 1, (package.id,))
        refusal = await refused(finish_rotation(desk))
        assert "1 of 2 computers" in str(refusal)
        clock.moment += 40 * DAY
        await finish_in_time(desk)
        assert await rotation_of(desk), "somebody would be lost"
        await tell(desk, report(device("genuine"), package.id, "SUCCESS"))
        await finish_in_time(desk)
        assert await rotation_of(desk) is None

    play(tmp_path, script)


def test_it_does_not_end_by_itself_in_the_first_weeks_and_ends_when_the_old_authority_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(desk: Desk, clock: SetClock) -> None:
        await tell(desk, inventory(device("genuine")))
        clock.moment += 3500 * DAY
        assert any("change the authority now" in str(remark) for remark in await ends(desk))
        await ensure_certificates(desk, [NAME])
        await tell(desk, inventory(device("genuine")))
        await rotate_authority(desk)
        await finish_in_time(desk)
        assert await rotation_of(desk)
        assert await ends(desk) == []
        clock.moment += 151 * DAY
        with caplog.at_level(logging.WARNING, "ocs.certificates"):
            await finish_in_time(desk)
        assert await rotation_of(desk) is None
        assert "is taken out of cacert.pem" in caplog.text

    play(tmp_path, script)


def test_the_package_holds_the_bundle_where_agents_of_that_system_look_for_it(tmp_path: Path) -> None:
    async def script(desk: Desk, _: SetClock) -> None:
        await rotate_authority(desk)
        package = await build_bundle_package(desk, System.LINUX, "/etc/ocsinventory")
        assert package.order.argument == "/etc/ocsinventory"
        fragment = tmp_path / "data" / "fragments" / package.id / f"{package.id}-1"
        with tarfile.open(fragment) as archive:
            found = archive.extractfile("cacert.pem")
            assert found
            assert found.read().decode() == await export_authority(desk)
        windows = await build_bundle_package(desk, System.WINDOWS)
        assert windows.order.argument == r"%ProgramData%\OCS Inventory NG\Agent"
        assert windows.payload
        assert windows.payload.format == "zip"
        assert "choose another" in str(await refused(build_bundle_package(desk, System.WINDOWS)))

    play(tmp_path, script)


# An authority that is bound to the site's domains


def test_an_authority_is_bound_where_the_server_was_given_a_name_and_issues_only_for_what_it_may(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def start(script: Callable[[Desk], Awaitable[Any]]) -> None:
        async with open_desk(tmp_path / "data", SetClock(NOW)) as desk:
            await script(desk)

    async def script(desk: Desk) -> None:
        names = [NAME, "localhost", "127.0.0.1"]
        await ensure_certificates(desk, names, site=[NAME])
        bundle = await export_authority(desk)
        assert await verifies(desk, bundle)
        with caplog.at_level(logging.WARNING, "ocs.certificates"):
            await ensure_certificates(desk, [*names, "ocs.example.net"])
        assert caplog.text == "", "a name that was left out is no reason to renew each day"
        assert (await certificates(desk)).server.names == tuple(names)
        refusal = await refused(renew_certificate(desk, ["ocs.example.net"]))
        assert "ocs.example.net" in str(refusal)
        await rotate_authority(desk, any_name=True)
        assert "ocs.example.net" in str(await refused(renew_certificate(desk, ["ocs.example.net"])))
        assert await verifies(desk, bundle)
        await finish_rotation(desk)
        assert "ocs.example.net" in (await renew_certificate(desk, ["ocs.example.net"])).server.names
        context = ssl.create_default_context(cadata=await export_authority(desk))
        assert context.cert_store_stats()["x509_ca"] == 1

    import asyncio

    asyncio.run(start(script))
