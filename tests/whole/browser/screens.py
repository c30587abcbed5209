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
    """One picture. `whole`: the page to its end, not only what fits into the window."""

    name: str
    path: str
    locale: str = "en-GB"
    width: int = 1280
    height: int = 800
    dark: bool = False
    signed_in: bool = True
    whole: bool = False


SCREENS = (
    Screen("sign-in", "/sign-in", signed_in=False),
    Screen("overview", "/"),
    Screen("computers", "/computers"),
    Screen("search", "/search"),
    Screen("groups", "/groups"),
    Screen("build", "/packages/build", whole=True),
    Screen("packages", "/packages"),
    Screen("statistics", "/statistics"),
    Screen("configuration", "/configuration"),
    Screen("users", "/users"),
    Screen("certificates", "/certificates"),
    Screen("log", "/log"),
    Screen("overview-dark", "/", dark=True),
    Screen("packages-es", "/packages", locale="es-ES"),
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
    page.wait_for_load_state("networkidle")
    target = FOLDER / f"{screen.name}.png"
    page.screenshot(path=target, full_page=screen.whole, animations="disabled")
    print(f"make: docs/screens/{target.name}: {target.stat().st_size // 1024} KB", flush=True)
    return place.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
