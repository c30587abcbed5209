"""250 computers on 13 pages: searches, the whole result of one, groups of both kinds, and what a user may do."""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from tests.whole.browser.kit import Console, flawless, sign_in
from tests.whole.browser.seed import Seeded, populate
from tests.whole.browser.steps import fill_in, press, stands
from tests.whole.site import Site

OpenPage = Callable[..., Page]
PASSWORD = "nine slow grey donkeys"


@pytest.fixture(scope="module")
def here(browser_site: Console) -> Iterator[Site]:
    """The site, without latencies."""
    browser_site.site.hurry()
    yield browser_site.site
    assert "Traceback" not in browser_site.site.log()


@pytest.fixture(scope="module", autouse=True)
def computers(here: Site) -> list[Seeded]:
    """Its 250 computers."""
    return populate(here)


def package(here: Site, name: str, system: str = "windows", command: str = "ver") -> str:
    """A package that is activated."""
    words = ("--os", system, "--priority", "1", "--action", "execute", "--command", command)
    made = here.ask("package", "build", "--name", name, *words)
    here.ask("package", "activate", made)
    return made


@contextmanager
def nothing_written(here: Site) -> Iterator[None]:
    """What wants to change anything waits meanwhile."""
    database = sqlite3.connect(here.folder / "data" / "ocs.sqlite", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        database.execute("ROLLBACK")
        database.close()


def test_the_whole_result_of_a_search_gets_a_package(here: Site, page: Page, computers: list[Seeded]) -> None:
    made = package(here, "Player for Windows")
    page.goto("/computers")
    expect(page.locator("main > [role=status]")).to_have_text("250 computers")
    expect(page.locator("main tbody tr")).to_have_count(20)
    for number in range(2, 14):
        press(page.get_by_role("navigation", name="Pages"), "Next")
        expect(page.get_by_role("navigation", name="Pages")).to_contain_text(f"Page {number} of 13")
    expect(page.locator("main tbody tr")).to_have_count(10)

    page.goto("/search")
    page.locator("[name=preset]").select_option("Windows (ALL)")  # searches at once
    found = sum("Windows" in one.system.name for one in computers)
    expect(page.locator("main > [role=status]")).to_have_text(f"{found} computers")
    expect(page.get_by_role("navigation", name="Pages")).to_contain_text(f"Page 1 of {-(-found // 20)}")
    page.get_by_label(f"the whole result ({found} computers)").check()
    press(page, "Deploy")
    expect(page.locator("main")).to_contain_text(f"For {found} computers.")
    page.locator("[name=package]").select_option(made)
    with nothing_written(here):  # so that the work takes long enough for a page of its own
        press(page, "Affect")
        page.wait_for_url("**/jobs/*")
        expect(page.get_by_role("progressbar", name="Affect a package")).to_be_visible()
        flawless(page)
    page.wait_for_url(f"**/packages/{made}/statistics")
    expect(page.get_by_role("status").first).to_contain_text(f"Computers that wait for it now: {found}.")
    stands(page, waiting=found, notified=0)
    page.locator("#stage-waiting").click()
    expect(page.locator("#computers h2")).to_contain_text(str(found))


def test_criteria_are_joined_and_a_result_is_a_file(page: Page, computers: list[Seeded]) -> None:
    page.goto("/search")
    page.locator("#preset").select_option("Windows (ALL)")
    press(page, "Add a criterion")
    page.locator("#f1").select_option("SOFTWARE")
    expect(page.locator("#o1 option:checked")).to_have_text("contains")
    page.locator("#v1").fill("7-Zip 24")
    press(page.locator("#criteria"), "Search")
    wanted = {one.name for one in computers if one.system.softwares[0][0].startswith("7-Zip 24")}
    expect(page.locator("main > [role=status]")).to_have_text(f"{len(wanted)} computers")
    with page.expect_download() as download:
        press(page, "CSV")
    lines = download.value.path().read_text().splitlines()
    assert {line.split(",")[0] for line in lines[1:]} == wanted


def test_a_dynamic_group_gives_its_package_to_a_computer_that_joins_later(
    here: Site, page: Page, computers: list[Seeded]
) -> None:
    made = package(here, "For all that run Linux", "linux", f"echo joined > {here.folder}/joined")
    page.goto("/search")
    page.locator("#preset").select_option("Linux (ALL)")
    page.locator("#keep-name").fill("All Linux")
    press(page, "Keep")
    expect(page.get_by_role("status").first).to_contain_text("The search is kept as “All Linux”.")
    press(page, "Make a dynamic group of it")
    fill_in(page, name="Linux computers", description="Asked anew at each contact")
    press(page, "Create")
    members = [one for one in computers if one.system.prefix in ("desk", "lab")]
    expect(page.locator("#members-title")).to_contain_text(f"({len(members)})")

    fill = page.locator("#why-computer")
    fill.fill(members[0].name)
    press(page, "Explain")
    expect(page.locator("main tbody")).to_contain_text(members[0].system.name)
    expect(page.locator("main tbody")).to_contain_text("yes")
    page.go_back()
    other = next(one for one in computers if one not in members)
    fill.fill(other.name)
    press(page, "Explain")
    expect(page.get_by_role("heading", level=1)).to_contain_text(other.name)
    expect(page.locator("main tbody")).to_contain_text("no")
    flawless(page)
    page.go_back()

    page.locator("select[name=package]").select_option(made)
    press(page.locator("#packages"), "Affect")
    expect(page.get_by_role("status").first).to_contain_text(f"Computers that wait for it now: {len(members)}.")
    here.contact(sys.executable)  # its first contact: it joins by what its inventory says
    here.contact(sys.executable)
    press(page.locator("#packages"), "For all that run Linux")
    stands(page, waiting=len(members), success=1)
    assert (here.folder / "joined").read_text() == "joined\n"


def test_a_user_puts_own_computers_into_a_visible_group_and_may_do_nothing_else(
    here: Site, browser_site: Console, open_page: OpenPage, computers: list[Seeded]
) -> None:
    mine = [one for one in computers if one.tag == "paris"]
    other = next(one for one in computers if one.tag == "lyon")
    administrator = open_page("/users/create")
    fill_in(administrator, name="ben", role="user", tags="paris", password=PASSWORD, again=PASSWORD)
    press(administrator, "Create")
    administrator.goto("/groups/new")
    fill_in(administrator, name="Pilots")
    administrator.get_by_label("Visible").check()
    press(administrator, "Create")
    group = administrator.url
    administrator.goto(f"/computers?q={other.name}")
    press(administrator.locator("table"), other.name)
    foreign = administrator.url

    page = open_page("/sign-in", signed_in=False)
    sign_in(page, "ben", PASSWORD)
    page.goto("/")
    expect(page.locator("main > [role=status]")).to_have_text(f"{len(mine)} computers")
    links = page.get_by_role("navigation", name="Main").get_by_role("link").all_inner_texts()
    assert {"Build", "Activate", "Users", "Configuration"}.isdisjoint(links), links
    expect(page.get_by_role("button", name="Deploy")).to_have_count(0)
    fill_in(page, q=mine[0].name)
    press(page, "Filter")
    press(page.locator("table"), mine[0].name)
    expect(page.get_by_role("button", name="Unaffect")).to_have_count(0)
    expect(page.locator("#customization")).to_have_count(0)
    press(page.locator("#groups"), "Put in")
    expect(page.get_by_role("status")).to_contain_text("The computer is in the group.")
    flawless(page)
    page.goto(group)
    expect(page.locator("#members-title")).to_contain_text("(1)")
    page.get_by_label(mine[0].name, exact=True).check()
    press(page, "Take ticked computers out")
    expect(page.get_by_role("status")).to_contain_text("Computers taken out of the group: 1.")
    page.locator("#computer").fill(other.name)
    press(page.locator("#members"), "Put in")
    expect(page.get_by_role("alert")).to_be_visible()
    for path in (foreign, "/packages", "/packages/build", "/users", "/configuration", "/log", "/groups/new"):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status in (403, 404), path
        expect(page.locator("main")).not_to_contain_text(other.device_id)
    administrator.goto(group)
    expect(administrator.locator("#members-title")).to_contain_text("(0)")
    browser_site.forgive("Failed to load resource")  # what was refused on purpose


def test_ticked_rows_are_put_into_a_group_and_taken_out(page: Page) -> None:
    page.goto("/groups/new")
    fill_in(page, name="Ticked")
    press(page, "Create")
    expect(page).to_have_url(re.compile(r"/groups/\d+$"))
    page.goto("/computers?q=lab-")
    page.get_by_label("Tick all rows of this page").check()
    press(page, "Add to a group")
    expect(page.locator("main")).to_contain_text("For 20 computers.")
    page.locator("[name=group]").select_option(label="Ticked")
    press(page, "Add to it")
    expect(page.locator("#members-title")).to_contain_text("(20)")
