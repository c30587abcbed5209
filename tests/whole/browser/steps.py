"""What people do again and again in the stories: fill in a form, build a package, look at its statistics."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

PACKAGE_PAGE = re.compile(r"/packages/\d{10}$")
# Files go in slices of this size, so that a small file makes several.
SMALL_SLICES = """
document.addEventListener("readystatechange", () => {
  const form = document.querySelector("form[data-upload]");
  if (form) form.dataset.upload = "262144";
});
"""


def press(part: Page | Locator, name: str) -> None:
    """Click the button, or the link, of exactly that name; of a page, in its main part."""
    where = part.locator("main") if isinstance(part, Page) else part
    where.get_by_role("button", name=name, exact=True).or_(where.get_by_role("link", name=name, exact=True)).click()


def fill_in(page: Page, **values: str) -> None:
    """Fields of the page's main part by their names (__ for -), in this order: a choice shows others."""
    for name, value in values.items():
        one = page.locator(f"main [name='{name.replace('__', '-')}']:not([type=hidden])")
        if one.evaluate("one => one.localName") == "select":
            one.select_option(value)
        else:
            one.fill(value)


def order(page: Page, file: Path | None = None, **values: str) -> None:
    """The form of a new package, up to its button."""
    if not page.url.endswith("/packages/build"):
        page.goto("/packages/build")
    fill_in(page, **values)
    if file is not None:
        page.set_input_files("[name=file]", file)


def build(page: Page, file: Path | None = None, **values: str) -> str:
    """Order a package and build it with the fragments that are proposed: its id."""
    order(page, file, **values)
    press(page, "Send")
    press(page, "Build")
    return built(page)


def built(page: Page) -> str:
    """The id of the package whose page has just come."""
    page.wait_for_url(PACKAGE_PAGE)
    return page.url.rpartition("/")[2]


def activate(page: Page, package: str) -> None:
    """Activate it where this server proposes."""
    page.goto(f"/packages/{package}/activate")
    press(page.locator("main form"), "Activate")
    expect(page.get_by_role("status")).to_contain_text("The package is activated.")


def affect_from_its_page(page: Page, package: str, computer: str) -> None:
    """Affect a package to one computer: the list, its page, the form there."""
    page.goto("/computers")
    press(page.locator("table"), computer)
    page.locator("select[name=package]").select_option(package)
    press(page.locator("#packages"), "Affect")
    expect(page.locator("#packages table").first).to_contain_text("WAITING NOTIFICATION")


def stands(page: Page, **counts: int) -> None:
    """The numbers of the statistics page, once it shows them, which it does by itself."""
    for stage, count in counts.items():
        expect(page.locator(f"#stage-{stage}")).to_have_text(str(count))
