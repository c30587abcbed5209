"""The manual's chapters about packages, one after the other in a browser, with our agent on the other side."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.whole.browser.kit import Console, fits, flawless
from tests.whole.browser.seed import Seeded, calling, populate
from tests.whole.browser.steps import (
    SMALL_SLICES,
    activate,
    affect_from_its_page,
    build,
    built,
    fill_in,
    order,
    press,
    stands,
)
from tests.whole.site import Site, noise, script, targz, zipped

OpenPage = Callable[..., Page]
MIB = 1024**2


@pytest.fixture(scope="module", autouse=True)
def here(browser_site: Console) -> Iterator[Site]:
    """The site, without latencies, with one computer: this one."""
    site = browser_site.site
    site.hurry()
    site.contact(sys.executable)
    yield site
    assert "Traceback" not in site.log()


@pytest.fixture(scope="module")
def computers(here: Site) -> list[Seeded]:
    """Ten computers that are told of, not real."""
    return populate(here, 10)


def slowly(page: Page, bytes_per_second: int) -> None:
    """What the page sends from now on goes over a line of that speed."""
    devtools = page.context.new_cdp_session(page)
    line = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_second}
    devtools.send("Network.enable")
    devtools.send("Network.emulateNetworkConditions", line)


def half_way(page: Page) -> None:
    """Wait until a good part of the file has arrived, and not all of it."""
    page.wait_for_function("() => { const bar = document.getElementById('upload-bar'); return bar.value > 400; }")
    assert page.locator("#upload-bar").evaluate("bar => bar.value") < 1000


def test_launch_from_the_form_to_the_success(here: Site, browser_site: Console, page: Page, tmp_path: Path) -> None:
    file = targz(
        tmp_path / "player.tar.gz", {"setup.sh": script(f'echo "$@" > {tmp_path}/ran'), "data": noise(6 * MIB)}
    )
    page.add_init_script(SMALL_SLICES)
    page.goto("/")
    page.get_by_role("navigation").get_by_role("link", name="Build", exact=True).click()
    order(page, file, name="Player", os="LINUX", priority="1", action="LAUNCH", command="setup.sh /S")
    slowly(page, 4 * MIB)
    press(page, "Send")
    half_way(page)
    press(page, "Pause")
    expect(page.locator("#upload-said")).to_have_text("Paused. What has arrived stays.")
    expect(page.locator("#upload-share")).to_contain_text("of 6 MiB")
    flawless(page)
    press(page, "Go on")

    expect(page.locator("#count")).to_have_text("1")
    fill_in(page, fragment__size="1M")
    page.keyboard.press("Tab")
    expect(page.locator("#count")).to_have_text("7")
    fill_in(page, fragments="3")
    page.keyboard.press("Tab")
    expect(page.locator("#count")).to_have_text("3")
    expect(page.locator("#live")).to_contain_text("10 Mbit/s")
    press(page, "Build")
    package = built(page)
    assert len(here.requests(r"POST /packages/drafts/\w+/file ")) >= 25  # slices

    press(page.locator("main .next"), "Activate it")
    right = page.locator("[name=fragment-url]").input_value()
    fill_in(page, fragment__url=right.replace("download", "dowload"))
    press(page.locator("main form"), "Activate")
    expect(page.locator("#fragment-url-fault")).to_be_visible()
    checks = page.locator(".checks .bad")
    expect(checks.first).to_contain_text("404")
    expect(page.get_by_role("heading", name="The first fragment")).to_be_visible()
    expect(page.locator(".checks .good").first).to_contain_text("name")
    fill_in(page, fragment__url=right)
    press(page.locator("main form"), "Check")
    expect(page.get_by_text("All is as agents need it.")).to_be_visible()
    press(page.locator("main form"), "Activate")
    expect(page.get_by_role("status")).to_contain_text("The package is activated.")

    affect_from_its_page(page, package, socket.gethostname())
    press(page.locator("#packages table").first, "Player")
    stands(page, waiting=1, success=0)
    assert "/statistics" in page.url
    here.contact(sys.executable)
    stands(page, waiting=0, success=1)  # without a reload
    expect(page.locator("main")).to_contain_text("SUCCESS")
    assert (tmp_path / "ran").read_text() == "/S\n"
    browser_site.forgive("502")  # the answer to the wrong address


def test_debians_agent_deploys_what_the_pages_built(
    here: Site, page: Page, tmp_path: Path, need_peer: Callable[[str], None]
) -> None:
    need_peer("ocsinventory-agent")
    here.genuine_agent("pc-genuine")  # makes the computer known
    file = targz(tmp_path / "tool.tar.gz", {"setup.sh": script(f'echo "$@" > {tmp_path}/ran')})
    package = build(page, file, name="Tool", os="LINUX", priority="1", action="LAUNCH", command="setup.sh -q")
    activate(page, package)
    affect_from_its_page(page, package, "pc-genuine")
    page.goto(f"/packages/{package}/statistics")
    stands(page, waiting=1)
    here.genuine_agent("pc-genuine")
    stands(page, waiting=0, success=1)
    expect(page.locator("main")).to_contain_text("SUCCESS_0")  # as that agent words it
    assert (tmp_path / "ran").read_text() == "-q\n"
    here.ask("computer", "delete", "pc-genuine")


def test_execute_without_a_file_and_store(here: Site, page: Page, tmp_path: Path) -> None:
    order(page, name="Proxy", os="LINUX", priority="1", action="EXECUTE", command=f"echo $((6*7)) > {tmp_path}/proxy")
    press(page, "Send")
    expect(page.locator("main")).to_contain_text("there is nothing to download and nothing to cut")
    press(page, "Build")
    ids = [built(page)]
    file = targz(tmp_path / "forms.tar.gz", {"leave.odt": b"leave\n", "sub/sick.odt": b"sick\n"}, mode=0o644)
    ids.append(build(page, file, name="Forms", os="LINUX", priority="1", action="STORE", path=f"{tmp_path}/My Folder"))
    for package in ids:
        activate(page, package)
        page.goto(f"/packages/{package}/affect")
        press(page.locator("main form"), "What would that do?")
        expect(page.locator("main")).to_contain_text("1 computer gets it.")
        press(page.locator("main form"), "Affect")
        stands(page, waiting=1)
    here.contact(sys.executable)
    for package in ids:
        page.goto(f"/packages/{package}/statistics")
        stands(page, success=1, error=0)
    assert (tmp_path / "proxy").read_text() == "42\n"
    assert (tmp_path / "My Folder" / "sub" / "sick.odt").read_text() == "sick\n"


def test_an_edit_keeps_the_fragments_and_a_new_file_makes_them_anew(here: Site, page: Page, tmp_path: Path) -> None:
    old = targz(tmp_path / "old.tar.gz", {"run.sh": script("exit 0"), "data": noise(300_000)})
    words = ("--action", "launch", "--command", "run.sh", "--file", str(old), "--fragment-size", "100K")
    package = here.deploy("To be edited", *words)
    here.contact(sys.executable)
    page.goto(f"/packages/{package}")
    press(page.locator(".deeds"), "Edit")
    expect(page.get_by_role("note")).to_contain_text("1 computer was told of this package before")
    expect(page.get_by_role("note")).to_contain_text("Installed: 1")
    fill_in(page, command="run.sh --again", description="With another parameter")
    press(page, "Update")
    expect(page.get_by_role("status")).to_contain_text("“To be edited” is changed.")
    expect(page.locator("main")).to_contain_text("run.sh --again")
    expect(page.locator("main")).to_contain_text("3 of 100 KiB")

    press(page.locator(".deeds"), "Edit")
    new = targz(tmp_path / "new.tar.gz", {"run.sh": script("exit 0"), "data": noise(900_000)})
    page.set_input_files("[name=file]", new)
    press(page, "Update")
    fill_in(page, fragments="2")
    page.keyboard.press("Tab")
    expect(page.locator("#count")).to_have_text("2")
    press(page, "Update")
    assert built(page) == package
    expect(page.get_by_role("status")).to_contain_text("“To be edited” is changed.")
    expect(page.locator("main")).to_contain_text("2 of ")
    press(page.locator(".deeds"), "Statistics")
    stands(page, success=1)  # what it has stays as it is


def deployed(here: Site, computers: list[Seeded], name: str) -> str:
    """A package on ten computers: three have it, two failed, one is busy, four were not told."""
    package = here.ask("package", "build", "--name", name, "--os", "linux", "--action", "execute", "--command", "id")
    here.ask("package", "activate", package)
    here.ask("package", "affect", package, *(word for one in computers for word in ("--computer", one.device_id)))
    with calling(here) as caller:
        caller.call(computers[:6])
        caller.report(computers[:3], package, "SUCCESS")
        caller.report(computers[3:5], package, "ERR_EXIT_CODE_1603")
    return package


def test_statistics_and_the_three_validations_say_their_numbers(
    here: Site, page: Page, computers: list[Seeded]
) -> None:
    package = deployed(here, computers, "Office")
    page.goto("/statistics")
    press(page.locator("table"), "Office")
    stands(page, waiting=4, notified=1, success=3, error=2)
    expect(page.get_by_role("img", name="How the computers stand")).to_be_visible()
    page.locator("#stage-error").click()
    expect(page.locator("#computers tbody tr")).to_have_count(2)
    expect(page.locator("#computers")).to_contain_text("ERR_EXIT_CODE_1603")
    for name in (computers[3].name, computers[4].name):
        expect(page.locator("#computers").get_by_role("link", name=name)).to_be_visible()

    page.goto(f"/packages/{package}/statistics")
    expect(page.get_by_role("link", name="Validate all (7)")).to_be_visible()
    press(page, "Validate success (3)")
    expect(page.locator("main")).to_contain_text("3 lines are cleared.")
    press(page.locator("main form"), "Validate success")
    stands(page, waiting=4, notified=1, error=2)
    press(page, "Unaffect not notified (4)")
    expect(page.locator("main")).to_contain_text("4 lines are cleared.")
    press(page.locator("main form"), "Unaffect not notified")
    stands(page, notified=1, error=2)
    expect(page.get_by_role("link", name="Validate all (0)")).to_be_visible()

    again = deployed(here, computers, "Office once more")
    page.goto(f"/packages/{again}/statistics")
    press(page, "Validate all (7)")
    expect(page.locator("main")).to_contain_text("7 lines are cleared.")
    press(page.locator("main form"), "Validate all")
    stands(page, waiting=0, notified=1, success=0, error=2)


def test_unactivate_and_delete_say_what_they_take_along(here: Site, page: Page, computers: list[Seeded]) -> None:
    package = deployed(here, computers, "To be deleted")
    page.goto("/packages")
    page.locator(".under").filter(has=page.locator(f"[href*='{package}']")).get_by_role("link").click()
    expect(page.locator("main form")).to_contain_text("4 computers that wait are not told of it")
    press(page.locator("main form"), "Unactivate")
    expect(page.get_by_role("status")).to_contain_text("The activation is taken away")
    press(page.locator(".deeds"), "Delete")
    form = page.locator("main form")
    expect(form).to_contain_text("0 activations")
    expect(form).to_contain_text("the affectation to 4 computers that were not notified")
    expect(form).to_contain_text("(3 successes, 2 errors)")
    press(form, "Delete")
    page.wait_for_url("**/packages")
    expect(page.locator("main")).to_contain_text("“To be deleted” is deleted.")
    expect(page.get_by_role("link", name="To be deleted")).to_have_count(0)
    code, _, said = here.try_to("package", "show", package)
    assert code != 0, said


def test_an_upload_goes_on_by_itself_after_a_lost_connection(browser_site: Console, page: Page, tmp_path: Path) -> None:
    file = targz(tmp_path / "big.tar.gz", {"data": noise(4 * MIB)})
    page.add_init_script(SMALL_SLICES)
    order(page, file, name="Lost on the way", os="LINUX", action="STORE", path="/opt/big")
    slowly(page, 2 * MIB)
    press(page, "Send")
    half_way(page)
    page.route("**/file*", lambda route: route.abort("connectionreset"))
    expect(page.locator("#upload-said")).to_contain_text("The connection is lost.")
    page.unroute("**/file*")
    expect(page.locator("#count")).to_have_text("1")
    press(page, "Build")
    package = built(page)
    expect(page.locator("main")).to_contain_text(f"{file.stat().st_size:,} bytes")
    whole = next(browser_site.site.folder.rglob(f"{package}-1"))
    assert whole.read_bytes() == file.read_bytes()
    browser_site.forgive("ERR_CONNECTION_RESET")


def test_an_upload_goes_on_after_a_reload_with_the_same_file(here: Site, page: Page, tmp_path: Path) -> None:
    file = targz(tmp_path / "slow.tar.gz", {"data": noise(4 * MIB)})
    page.add_init_script(SMALL_SLICES)
    order(page, file, name="Begun twice", os="LINUX", action="STORE", path="/opt/slow")
    slowly(page, 2 * MIB)
    press(page, "Send")
    half_way(page)
    page.on("dialog", lambda dialog: dialog.accept())
    sent: list[str] = []
    page.on("request", lambda request: "/file?" in request.url and sent.append(request.url.rpartition("=")[2]))
    page.reload()
    expect(page.locator(".alert[role=status]")).to_contain_text("“slow.tar.gz” have arrived")
    assert page.locator("[name=name]").input_value() == "Begun twice"
    page.set_input_files("[name=file]", file)
    press(page, "Send")
    press(page, "Build")
    package = built(page)
    assert min(map(int, sent)) >= MIB, "from its beginning"
    assert next(here.folder.rglob(f"{package}-1")).read_bytes() == file.read_bytes()


def test_without_scripts_a_package_is_built_and_its_charts_stand(
    here: Site, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page(javascript=False)
    file = targz(tmp_path / "plain.tar.gz", {"run.sh": script(f"echo ran > {tmp_path}/ran")})
    package = build(page, file, name="Plain", os="LINUX", priority="1", action="LAUNCH", command="run.sh")
    activate(page, package)
    affect_from_its_page(page, package, socket.gethostname())
    here.contact(sys.executable)
    page.goto(f"/packages/{package}/statistics")
    stands(page, success=1)
    assert (tmp_path / "ran").read_text() == "ran\n"
    for name in ("How the computers stand", "Computers that were notified, succeeded and failed over time"):
        chart = page.get_by_role("img", name=name)
        expect(chart).to_be_visible()
        assert (chart.bounding_box() or {"width": 0})["width"] > 100
    page.locator("summary", has_text="The progress as a table").click()
    expect(page.get_by_role("region", name="The progress as a table")).to_be_visible()


def test_in_a_window_of_400_pixels_a_package_is_built_activated_and_affected(
    here: Site, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page("/", width=400, height=800)
    expect(page.get_by_role("link", name="Build", exact=True)).to_be_hidden()
    page.locator("summary", has_text="Menu").click()
    page.get_by_role("link", name="Build", exact=True).click()
    order(page, name="Small", os="LINUX", priority="1", action="EXECUTE", command=f"echo small > {tmp_path}/small")
    fits(page)
    press(page, "Send")
    fits(page)
    press(page, "Build")
    package = built(page)
    fits(page)
    press(page.locator(".next"), "Activate it")
    fits(page)
    press(page.locator("main form"), "Activate")
    affect_from_its_page(page, package, socket.gethostname())
    fits(page)
    press(page.locator("#packages table").first, "Small")
    stands(page, waiting=1)
    fits(page)
    here.contact(sys.executable)
    stands(page, success=1)
    assert (tmp_path / "small").read_text() == "small\n"


def test_a_recipe_fills_the_form_and_a_zip_waits_for_windows(page: Page, tmp_path: Path) -> None:
    page.goto("/packages/build")
    press(page.locator(".recipes"), "Silent installer (.exe)")
    assert page.locator("[name=command]").input_value() == "{file} /S"
    file = zipped(tmp_path / "setup.zip", {"setup.exe": b"MZ"})
    fill_in(page, name="Setup", command="setup.exe /S")
    page.set_input_files("[name=file]", file)
    press(page, "Send")
    press(page, "Build")
    built(page)
    expect(page.locator("main")).to_contain_text("Windows")
