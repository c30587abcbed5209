"""What the browser tests share. One browser and one site a module: Playwright's loop must end with it.

While it runs, nothing else in this thread can run an event loop, and most other tests do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.whole.browser.kit import SECONDS, Console, chromium, console

HERE = Path(__file__).parent

expect.set_options(timeout=SECONDS * 1000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.peer)


@pytest.fixture(scope="module")
def browser(need_peer: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium."""
    need_peer("chromium")
    with chromium(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="module")
def browser_site(pyz: Path, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """The built file serving on loopback, with its first administrator."""
    with console(pyz, tmp_path_factory.mktemp("site"), browser) as running:
        yield running


@pytest.fixture
def open_page(browser_site: Console) -> Iterator[Callable[..., Page]]:
    """`open_page("/computers", locale="es", javascript=False, width=400, signed_in=False)`: a page of its own.

    The test fails where a page had an error, a warning, an exception, or a request that failed or left the site.
    """
    yield browser_site.open
    assert browser_site.close() == []


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """A page of the administrator, not yet anywhere."""
    return open_page()


@pytest.fixture
def nobody(open_page: Callable[..., Page]) -> Page:
    """A page of somebody who is not signed in."""
    return open_page(signed_in=False)
