"""A running server for the tests of this folder, and programs with an administrator's and a user's token."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.domain.account import Profile, Role
from appliance.operations.desk import Desk
from appliance.operations.tokens import make_token
from appliance.store import accounts
from tests.fakes.appliance import Running, device, inventory, on_desk, serving
from tests.fakes.quick import MEMORY, quick_path
from tests.web.api.kit import Client
from tests.web.console.conftest import prepared
from tests.web.console.kit import ADMINISTRATOR

__all__ = ["prepared", "quick_path"]

USER, TAG, ELSEWHERE = "ben", "paris", "lyon"


@dataclass
class Site:
    """A running server, its administrator's program, and that of a user who sees the TAG paris."""

    server: Running
    owner: Client
    user: Client

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.server.data

    def computer(self, name: str, tag: str = TAG, **hardware: str) -> int:
        """A computer that has sent its inventory: its number."""
        account = [("TAG", tag)]
        said = inventory(device(name), ("HARDWARE", {"NAME": name, "OSNAME": "Debian", **hardware}), account=account)
        assert self.server.post(said).status == 200
        found = self.owner.post("/computers/search", {"search": named(name)})
        assert found["total"] == 1
        number: int = found["computers"][0]["id"]
        return number


def named(name: str) -> list[list[dict[str, str]]]:
    """The search for the computer of that name."""
    return [[{"field": "NAME", "operator": "EQUAL", "value": name}]]


async def _token(desk: Desk, user: str) -> str:
    return await make_token(desk, "tests", 2, user=user)


async def _user(desk: Desk) -> None:
    async with desk.store.writing() as tx:
        administrator = await accounts.named(tx, ADMINISTRATOR)
        assert administrator
        proof = await accounts.proof(tx, administrator.id)
        await accounts.add(tx, Profile(USER, Role.USER, tags=frozenset({TAG})).checked(), proof.password)


@pytest.fixture(scope="session")
def site(prepared: Path) -> Iterator[Site]:
    """The server; what one test leaves there, the next one finds."""
    with tempfile.TemporaryDirectory(prefix="ocs-test-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        data = Path(name) / "data"
        shutil.copytree(prepared, data)
        on_desk(data, _user)
        tokens = [on_desk(data, _token, user) for user in (ADMINISTRATOR, USER)]
        with serving(data) as server:
            clients = [Client(server, token) for token in tokens]
            yield Site(server, *clients)
            for client in clients:
                client.close()


@pytest.fixture
def owner(site: Site) -> Client:
    """The administrator's program."""
    return site.owner


@pytest.fixture
def user(site: Site) -> Client:
    """The user's program."""
    return site.user
