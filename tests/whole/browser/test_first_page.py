"""The console opens: in a browser, over TLS, without a fault; in a small window, in the dark, without scripts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.whole.browser.kit import NAME, PASSWORD, Console, flawless, sign_in

OpenPage = Callable[..., Page]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("path", ["/", "/sign-in"])
def test_the_first_pages_have_no_fault_that_axe_knows(open_page: OpenPage, path: str, width: int, dark: bool) -> None:
    page = open_page(path, signed_in=path == "/", width=width, dark=dark)
    expect(page.locator("h1")).to_be_visible()
    flawless(page)


@pytest.mark.parametrize("javascript", [True, False], ids=["scripts", "no scripts"])
@pytest.mark.parametrize("locale", ["en-GB", "es-ES"])
def test_somebody_signs_in_with_and_without_scripts_in_both_languages(
    open_page: OpenPage, locale: str, javascript: bool
) -> None:
    page = open_page("/", signed_in=False, locale=locale, javascript=javascript)
    assert "/sign-in" in page.url
    assert page.locator("html").get_attribute("lang") == locale[:2]
    sign_in(page, NAME, PASSWORD)
    expect(page.locator("header nav")).to_be_visible()
    page.locator("form[action='/sign-out'] button").click()
    page.goto("/")
    assert "/sign-in" in page.url


def test_a_wrong_password_opens_nothing(browser_site: Console, nobody: Page) -> None:
    nobody.goto("/sign-in")
    nobody.fill("[name=name]", NAME)
    nobody.fill("[name=password]", "not that one, surely")
    nobody.press("[name=password]", "Enter")
    expect(nobody.locator("[role=alert], .invalid-feedback").first).to_be_visible()
    nobody.goto("/")
    assert "/sign-in" in nobody.url
    browser_site.forgive("Failed to load resource")  # the answer with the form's fault is no 200


def test_the_one_time_address_is_gone_once_there_is_an_administrator(browser_site: Console, nobody: Page) -> None:
    answer = nobody.goto(browser_site.first)
    assert answer is not None
    assert answer.status in (403, 404, 410)
    expect(nobody.locator("[name=password]")).to_have_count(0)
    browser_site.forgive("Failed to load resource")


def test_what_a_page_is_made_of_comes_from_here_small_and_is_kept(page: Page) -> None:
    sizes: dict[str, int] = {}
    kept: dict[str, str] = {}
    page.on("response", lambda answer: kept.update({answer.url: answer.headers.get("cache-control", "")}))
    page.on("requestfinished", lambda one: sizes.update({one.url: one.sizes()["responseBodySize"]}))
    page.goto("/", wait_until="networkidle")
    assert sum(sizes.values()) < 300 * 1024, sizes
    files = [url for url in kept if "/static/" in url]
    assert {url.rpartition("/")[2] for url in files} >= {"bootstrap.min.css", "console.css", "htmx.min.js", "icons.svg"}
    assert {kept[url] for url in files} == {"public, max-age=31536000, immutable"}
    assert {kept[url] for url in kept if url not in files} == {"no-store"}
