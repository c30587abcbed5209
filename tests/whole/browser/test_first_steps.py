"""A newcomer's first hour, in both languages: from the one-time address to a package that is installed.

On a server that was started a moment ago, by following what its pages say and nothing else.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.whole.browser.kit import Console, fits, flawless
from tests.whole.browser.steps import built, fill_in, order, press
from tests.whole.site import CLEAN, WAIT, script, site, targz


@dataclass(frozen=True)
class Tongue:
    """What the pages say in one language; the Spanish words are the Spanish manual's."""

    locale: str
    create_account: str
    first_steps: str
    put_agents: str
    no_computer: str
    one_computer: str
    build_a_package: str
    launch: str
    send: str
    build: str
    need: str
    activate_it: str
    activate: str
    affect_it: str
    affect: str
    menus: tuple[str, ...]


TONGUES = (
    Tongue(
        "en-GB", "Create the account", "First steps", "Put agents on machines", "No computer yet",
        "1 computer made a contact.", "Build a package", "Launch", "Send", "Build", "What one computer will need",
        "Activate it", "Activate", "Affect it", "Affect", ("Build", "Activate", "Statistics"),
    ),
    Tongue(
        "es-ES", "Crear la cuenta", "Primeros pasos", "Instalar agentes en los computadores",
        "Todavía no hay computadores", "1 computador se ha puesto en contacto.", "Generar un paquete", "Lanzar",
        "Enviar", "Generar", "Qué necesitará un computador", "Activarlo", "Activar", "Afectarlo", "Afectar",
        ("Generar", "Activar", "Estadísticas"),
    ),
)  # fmt: skip


def follow(lines: str, folder: Path) -> None:
    """Do on "another machine" what the page says to paste, but run the agent once instead of installing it."""
    told = lines.replace("sudo python3", f"{sys.executable} -I -S")
    pasted = told.replace("agent install", f"agent --once --basedir {folder / 'spool'}")
    assert pasted.count(str(folder)) == 1, lines
    folder.mkdir(exist_ok=True)
    env: Mapping[str, str] = {**CLEAN, "HOME": str(folder)}
    done = subprocess.run(
        ["sh", "-c", pasted], cwd=folder, env=env, capture_output=True, text=True, timeout=WAIT, check=False
    )
    assert done.returncode == 0, f"{pasted}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("tongue", TONGUES, ids=[tongue.locale for tongue in TONGUES])
def test_a_newcomer_follows_the_pages_to_a_first_package(
    pyz: Path, browser: Browser, tmp_path: Path, need_peer: Callable[[str], None], tongue: Tongue
) -> None:
    need_peer("curl")
    done = tmp_path / "done"
    with site(pyz, tmp_path) as here:
        here.hurry()
        console = Console(here, browser, here.first_address())
        page = console.open(console.first, signed_in=False, locale=tongue.locale)
        assert page.locator("html").get_attribute("lang") == tongue.locale[:2]
        flawless(page)
        fill_in(page, name="eva", password="a lake between two hills", again="a lake between two hills")
        press(page, tongue.create_account)

        expect(page.get_by_role("heading", name=tongue.first_steps)).to_be_visible()
        expect(page.get_by_role("navigation").first).to_contain_text(tongue.menus[0])
        for name in tongue.menus:
            expect(page.get_by_role("navigation").get_by_role("link", name=name, exact=True)).to_be_visible()
        page.goto("/computers")
        expect(page.get_by_role("heading", name=tongue.no_computer)).to_be_visible()
        page.goto("/")
        expect(page.get_by_role("heading", name=tongue.put_agents)).to_be_visible()
        follow(lines := page.locator("#paste-linux").inner_text(), tmp_path / "machine")
        page.reload()
        expect(page.locator(".steps")).to_contain_text(tongue.one_computer)
        page.goto("/computers")
        expect(page.get_by_role("link", name=socket.gethostname(), exact=True)).to_be_visible()

        page.goto("/")
        page.locator(".steps").get_by_role("link", name=tongue.build_a_package).click()
        file = targz(tmp_path / "hello.tar.gz", {"hello.sh": script(f'echo "$@" > {done}')})
        order(page, file, name="¡Hola! & <b>", os="LINUX", action="LAUNCH", command="hello.sh uno dos")
        chosen = page.locator("[name=action]").evaluate("one => one.selectedOptions[0].text")
        assert chosen.startswith(tongue.launch)
        press(page, tongue.send)
        expect(page.locator("#count")).to_have_text("1")
        expect(page.get_by_role("heading", name=tongue.need)).to_be_visible()
        press(page.locator("main"), tongue.build)
        package = built(page)
        page.locator(".next").get_by_role("link", name=tongue.activate_it).click()
        press(page.locator("main form"), tongue.activate)
        page.locator(".next").get_by_role("link", name=tongue.affect_it).click()
        press(page.locator("main form"), tongue.affect)

        page.wait_for_url(f"**/packages/{package}/statistics")
        expect(page.locator("#stage-waiting")).to_have_text("1")
        fits(page)
        follow(lines, tmp_path / "machine")
        expect(page.locator("#stage-success")).to_have_text("1")  # by itself
        assert done.read_text() == "uno dos\n"
        page.goto("/")
        expect(page.get_by_role("heading", name=tongue.first_steps)).to_have_count(0)
        assert console.close() == []
