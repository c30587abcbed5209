"""`make.py screens`: photographs of the console's pages, of a site that was made up for it, into docs/screens/.

A new picture is one line in SCREENS. `{player}` and the other short names in a path are the ids of the packages that
seed.furnish built.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.whole.browser.kit import Console, chromium, console
from tests.whole.browser.seed import furnish

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "screens"


@dataclass(frozen=True)
class Screen:
    """One picture. `presses`: a button whose answer is photographed; `shows`: what is scrolled into the window."""

    name: str
    path: str
    locale: str = "en-GB"
    width: int = 1280
    height: int = 800
    dark: bool = False
    signed_in: bool = True
    presses: str = ""
    shows: str = ""


SCREENS = (
    Screen("overview", "/", height=760),
    Screen("computers", "/computers", height=640),
    Screen(
        "search", "/search?f=OSNAME&o=EQUAL&v=Windows+(ALL)&j=and&f=SOFTWARE&o=LIKE&v=Firefox&j=and&q=paris", height=720
    ),
    Screen("computer", "/computers/2", height=720, shows="#packages"),
    Screen("build", "/packages/build", width=1040, height=1200),
    Screen("packages", "/packages", height=700),
    Screen("activate", "/packages/{draft}/activate?info-url=127.0.0.1/download", presses="Check", shows=".checks"),
    Screen("statistics", "/packages/{player}/statistics", height=960),
    Screen("group-why", "/groups/1/why/1", height=600),
    Screen("statistics-es", "/statistics", locale="es-ES", height=720),
    Screen("overview-dark", "/", dark=True, height=760),
    Screen("computers-400", "/computers", width=400),
)


def main(names: Sequence[str]) -> int:
    """Take the pictures with these names, all without; 1 where a page has a fault, which is said."""
    unknown = set(names) - {screen.name for screen in SCREENS}
    if unknown:
        print(f"make: no such picture: {', '.join(sorted(unknown))}; there are {', '.join(s.name for s in SCREENS)}")
        return 2
    FOLDER.mkdir(parents=True, exist_ok=True)
    faults: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="ocs-screens-") as scratch,
        chromium(Path(scratch)) as browser,
        console(Path(os.environ["OCS_PYZ"]), Path(scratch, "site"), browser) as place,
    ):
        ids = furnish(place.site)
        for screen in SCREENS:
            if not names or screen.name in names:
                faults += photograph(place, screen, ids)
    for fault in faults:
        print(f"make: {fault}", file=sys.stderr)
    return 1 if faults else 0


def photograph(place: Console, screen: Screen, ids: Mapping[str, str]) -> list[str]:
    """Take one picture; the faults of the page."""
    page = place.open(
        signed_in=screen.signed_in, locale=screen.locale, width=screen.width, height=screen.height, dark=screen.dark
    )
    answer = page.goto(screen.path.format(**ids))
    if answer is None or answer.status != 200:
        place.close()
        return [f"{screen.name}: {screen.path} answers {answer and answer.status}"]
    if screen.presses:
        page.locator("main").get_by_role("button", name=screen.presses, exact=True).click()
    page.wait_for_load_state("networkidle")
    if screen.shows:
        page.locator(screen.shows).first.evaluate("one => one.scrollIntoView({block: 'center'})")
    target = FOLDER / f"{screen.name}.png"
    page.screenshot(path=target, animations="disabled")
    print(f"make: docs/screens/{target.name}: {target.stat().st_size // 1024} KB", flush=True)
    return place.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
