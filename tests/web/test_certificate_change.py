"""Certificate and authority change under load: no request fails, whichever authority the client knows. F25, R36."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path

from appliance.agent.failure import Rejected, Unreachable
from appliance.agent.remote import HttpRemote
from appliance.domain.package import PackageId
from appliance.operations.certificates import bundle_digests, install_certificate
from appliance.operations.rotation import rotation_of
from appliance.wire import envelope
from tests.fakes.appliance import (
    command,
    device,
    environment,
    inventory,
    must,
    on_desk,
    prolog,
    serving,
    until,
)
from tests.fakes.pki import Pki

RATE = 200  # requests a second, half of them on connections of their own
SECONDS = 5.0
KEPT = 8  # connections that live through all of it
QUICK = "from appliance.operations import certificates; certificates.LOOK_SECONDS = 0.1"
ASK = b"GET /cacert.pem HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@dataclass
class Load:
    """What came of the requests."""

    port: int
    clients: list[ssl.SSLContext]  # what new connections are verified with, in turn
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    shown: list[bytes] = field(default_factory=list)  # certificates, as they followed each other

    async def one(self, number: int) -> None:
        """A request on a connection of its own."""
        await self._count(self._fresh(self.clients[number % len(self.clients)]))

    async def kept(self, link: tuple[asyncio.StreamReader, asyncio.StreamWriter], turn: asyncio.Lock) -> None:
        """A request on a connection that is there."""
        async with turn:
            await self._count(self._ask(*link))

    async def connect(self, client: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A verified connection."""
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=client, server_hostname="127.0.0.1")

    async def _fresh(self, client: ssl.SSLContext) -> None:
        reader, writer = await self.connect(client)
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if certificate not in self.shown:
            self.shown.append(certificate)
        await self._ask(reader, writer)
        writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ASK)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        body = await reader.readexactly(int(length.split(b":")[1]))
        assert body.count(b"END CERTIFICATE") >= 1

    async def _count(self, request: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(30):
                await request
            self.answered += 1
        except Exception as error:  # every kind of failure counts, and is named
            self.failed.append(repr(error))


async def under_load(load: Load, deeds: Awaitable[None]) -> int:
    """Requests at that rate for some seconds, and until the deeds are done; how many there were."""
    links = [(await load.connect(load.clients[0]), asyncio.Lock()) for _ in range(KEPT)]
    loop, tasks = asyncio.get_running_loop(), []
    work = asyncio.ensure_future(deeds)
    begin, done = loop.time(), 0
    while (passed := loop.time() - begin) < SECONDS or not work.done():
        while done < passed * RATE:
            request = load.one(done // 2) if done % 2 else load.kept(*links[done // 2 % KEPT])
            tasks.append(asyncio.create_task(request))
            done += 1
        await asyncio.sleep(0.002)
    await asyncio.gather(work, *tasks)
    for (_, writer), _ in links:
        writer.close()
    return done


def test_while_certificate_and_authority_change_under_200_requests_a_second_none_fails(tmp_path: Path) -> None:
    with serving(tmp_path / "data", first=QUICK) as server:
        load = Load(server.https, [server.context])

        async def tls(*words: str) -> None:
            made = await asyncio.create_subprocess_exec(
                *command("tls", *words, "--data", server.data), env=environment(), stdout=asyncio.subprocess.DEVNULL
            )
            assert await made.wait() == 0

        async def shown(count: int) -> None:
            async with asyncio.timeout(60):
                while len(load.shown) < count:
                    await asyncio.sleep(0.02)

        async def deeds() -> None:
            await shown(1)
            await tls("renew")
            await shown(2)
            await tls("rotate")
            await shown(3)
            both = await asyncio.to_thread(lambda: must("tls", "export-ca", data=server.data) + "\n")
            new = both.removesuffix(server.authority)
            assert new != both
            load.clients += [ssl.create_default_context(cadata=pem) for pem in (both, new)]
            await tls("renew")
            await shown(4)

        wanted = asyncio.run(under_load(load, deeds()))
        assert load.failed == []
        assert load.answered == wanted > RATE * SECONDS * 0.9
        assert len(load.shown) == 4, "the first, a renewed one, one of the new authority, one more of it"
        assert len(load.clients) == 3, "with the old authority, with both, with the new one"


def test_our_agent_is_told_of_what_is_in_the_bundle_and_others_are_not(tmp_path: Path) -> None:
    with serving(tmp_path / "data", first=QUICK) as server:

        def heard(*, ours: str = "ocs.pyz/1", known: str = "", secure: bool = False) -> str:
            headers = {"Content-Type": "application/x-compress", "User-Agent": "OCS-NG_unified_unix_agent_v2.0.0"}
            headers |= {"OCS-Agent": ours} if ours else {}
            headers |= {"OCS-Bundle": known} if known else {}
            body = envelope.pack(prolog(device()))
            answer = server.ask("POST", "/ocsinventory", body, headers, secure=secure)
            assert answer.status == 200
            return answer.headers.get("ocs-bundle", "")

        server.post(inventory(device()))
        first = on_desk(server.data, bundle_digests)
        assert heard() == heard(secure=True) == f"{server.https} {first}"
        assert heard(ours="") == "", "a genuine agent hears what it knows"
        must("tls", "rotate", data=server.data)
        both = on_desk(server.data, bundle_digests)
        assert first in both != first
        until(lambda: heard() == f"{server.https} {both}", "the digests of both")
        known = on_desk(server.data, rotation_of)
        assert known
        assert (known.seen, known.knowing) == (1, 0)
        heard(known=f"{both},nonsense")
        known = on_desk(server.data, rotation_of)
        assert known
        assert (known.seen, known.knowing) == (1, 1)
        must("tls", "rotate", "--finish", data=server.data)


def test_our_agent_follows_the_change_by_itself_and_one_that_was_away_for_it_does_not_believe(tmp_path: Path) -> None:
    with serving(tmp_path / "data", first=QUICK) as server:
        here, away = tmp_path / "cacert.pem", tmp_path / "away.pem"
        for bundle in (here, away):
            bundle.write_text(server.authority)
        remotes = [
            HttpRemote(f"http://127.0.0.1:{server.http}/ocsinventory", bundle=bundle, owns_bundle=True)
            for bundle in (here, away)
        ]

        def looks(remote: HttpRemote) -> bytes:
            remote.refresh()
            with contextlib.suppress(Rejected):
                remote.info(f"127.0.0.1:{server.https}/download", PackageId("1700000001"))  # 404, over verified TLS
            return remote.bundle.read_bytes() if remote.bundle else b""

        def follows() -> bool:
            remotes[0].refresh()
            remotes[0].contact(prolog(device()))
            return here.read_text() == must("tls", "export-ca", data=server.data) + "\n"

        must("tls", "rotate", data=server.data)
        until(follows, "both authorities")
        assert here.read_text().count("BEGIN CERTIFICATE") == 2
        for remote in remotes:
            assert looks(remote)
        must("tls", "rotate", "--finish", "--force", data=server.data)
        until(follows, "the new authority alone")
        assert here.read_text().count("BEGIN CERTIFICATE") == 1
        assert looks(remotes[0])

        def is_refused() -> bool:
            remotes[1].close()
            try:
                looks(remotes[1])
            except Unreachable as error:
                return "certificate" in str(error)
            return False

        until(is_refused, "the one that was away refuses the server")


def test_an_end_that_comes_near_stands_on_healthz_after_the_ok(tmp_path: Path) -> None:
    with serving(tmp_path / "data", first=QUICK) as server:

        def healthz() -> list[str]:
            answer = server.get("/healthz")
            assert answer.status == 200
            return answer.body.decode().splitlines()

        assert healthz() == ["ok"]
        for days, said in ((20, "ends in 19 days."), (6, "ends in 5 days: renew it now.")):
            made = Pki(int(time.time())).server(["127.0.0.1"], begins=-43_200, days=days)
            on_desk(server.data, install_certificate, made.certificate, made.chain + made.root, made.private_key)
            assert healthz() == ["ok", f"CN=127.0.0.1 {said}"]
