"""A running console for the tests of this folder: one server for each file of tests, over its own data."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from appliance.domain.account import Actor, Profile, Role, user_actor
from appliance.operations.accounts import create_user
from appliance.operations.certificates import ensure_certificates, server_names
from appliance.operations.desk import Desk
from appliance.store import accounts
from appliance.store.accounts import KeptSession
from appliance.trust import secrets
from tests.fakes.appliance import Running, on_desk, rows, serving
from tests.fakes.quick import MEMORY, quick_path
from tests.web.console.kit import ADMINISTRATOR, PASSWORD, Browser

__all__ = ["quick_path"]

Result = TypeVar("Result")


@dataclass
class Console:
    """A running console, and the browser of its administrator, who is signed in."""

    server: Running
    browser: Browser

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.server.data

    def desk(self, verb: Callable[..., Awaitable[Result]], *values: Any) -> Result:
        """Run one operation over the server's data, as the command line does."""
        return on_desk(self.data, verb, *values)

    def visitor(self, language: str = "en") -> Browser:
        """A browser in which nobody is signed in."""
        return Browser(self.server, language)

    def administrator(self, language: str = "en") -> Browser:
        """Another browser of the administrator, with the same session."""
        browser = Browser(self.server, language)
        browser.cookies.update(self.browser.cookies)
        return browser

    def user(
        self, name: str, tags: Collection[str] = (), *, role: Role = Role.USER, language: str = "en", asked: bool = True
    ) -> Browser:
        """A user with that password, made without the work of hashing it, and signed in where `asked`."""
        browser = Browser(self.server, language)
        secret = self.desk(_user, Profile(name, role, tags=frozenset(tags)))
        if asked:
            browser.cookies["__Host-session"] = secret
        return browser

    def sign_in(self, name: str, password: str = PASSWORD) -> Browser:
        """Another browser, in which somebody signs in by the form; it is then at the own account."""
        browser = Browser(self.server).get("/sign-in?next=/account")
        browser.submit("Sign in", name=name, password=password)
        assert browser.path == "/account", browser.text
        return browser

    def actor(self, name: str) -> Actor:
        """Whoever has that account, for an operation."""
        return self.desk(_actor, name)

    def log(self) -> list[tuple[str, str, str]]:
        """Who, deed and subject of every entry of the log, the oldest first."""
        return [
            (str(a), str(b), str(c)) for a, b, c in rows(self.data, "SELECT actor, deed, subject FROM log ORDER BY id")
        ]


async def _user(desk: Desk, profile: Profile) -> str:
    secret = secrets.new_secret()
    async with desk.store.writing() as tx:
        administrator = await accounts.named(tx, ADMINISTRATOR)
        assert administrator
        proof = await accounts.proof(tx, administrator.id)
        user = await accounts.add(tx, profile.checked(), proof.password)
        key = secrets.digest(secret)
        await accounts.add_session(tx, KeptSession(key, user, tx.now, tx.now, tx.now, True, "127.0.0.1", "a test"))
    return secret


async def _actor(desk: Desk, name: str) -> Actor:
    async with desk.store.reading() as tx:
        account = await accounts.named(tx, name)
    assert account
    return user_actor(name, "console", account.profile.role, account.id, account.profile.tags)


async def _first_steps(desk: Desk) -> None:
    await create_user(desk, Profile(ADMINISTRATOR, Role.ADMINISTRATOR, "Anna Ek"), PASSWORD)
    await ensure_certificates(desk, server_names(["127.0.0.1"]))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with an administrator and certificates, to be copied: keys and hashes cost time."""
    folder = tmp_path_factory.mktemp("console") / "data"
    on_desk(folder, _first_steps)
    return folder


@pytest.fixture(scope="module")
def running(prepared: Path) -> Iterator[tuple[Running, dict[str, str]]]:
    """The server of one file of tests, with the cookies of its administrator."""
    with tempfile.TemporaryDirectory(prefix="ocs-test-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        data = Path(name) / "data"
        shutil.copytree(prepared, data)
        with serving(data) as server:
            yield server, Browser(server).sign_in().cookies


@pytest.fixture
def console(running: tuple[Running, dict[str, str]]) -> Console:
    """The file's server; what one test leaves there, the next one finds. Browsers are new for each test."""
    server, cookies = running
    browser = Browser(server)
    browser.cookies.update(cookies)
    return Console(server, browser)
