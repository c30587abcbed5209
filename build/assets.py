"""The console's third-party files: out of locked wheels, checked, into appliance/web/static/vendor/ (ignored by git).

The wheels are carriers only: Flask and Django are not installed, and nothing of the wheels' Python is used.
"""

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import workshop
from workshop import ROOT, WORK, Stop, step

VENDOR = ROOT / "appliance" / "web" / "static" / "vendor"
ICONS = ROOT / "appliance" / "web" / "console" / "icons.txt"
LICENCES = ROOT / "build" / "licences.txt"


@dataclass(frozen=True)
class Taken:
    """A file in an installed wheel, and its SHA-256."""

    path: str
    digest: str

    def read(self, folder: Path) -> bytes:
        """Its content, which is what it was when somebody looked at it."""
        path = folder / self.path
        if not path.is_file():
            raise Stop(
                f"{self.path} is in no wheel of build/requirements/assets.txt; say in build/assets.py where it is"
            )
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != self.digest:
            raise Stop(f"{self.path} has the SHA-256 {found}; look at it, then put that into build/assets.py")
        return content


BOOTSTRAP = "flask_bootstrap/static/bootstrap5"
STYLE = Taken(
    f"{BOOTSTRAP}/css/bootstrap.min.css",
    "d85327d99c7a3ee1f9b5d0500d1370acea3ad2db39c163c2f51f232baedbdede",
)
POPPER = Taken(
    f"{BOOTSTRAP}/umd/popper.min.js",
    "ef9d782294421522458e434c973a266b8be6544e0919a51810933db18aba3987",
)
SCRIPT = Taken(
    f"{BOOTSTRAP}/js/bootstrap.min.js",
    "7b0f14895d69247fd88e93840489cfd47c55bd3fd27eb0a6c12a14cc5f492207",
)
PICTURES = Taken(
    f"{BOOTSTRAP}/icons/bootstrap-icons.svg",
    "fe7b61303ee8b160aa2d596dabbb70f4ffeaf8ea24891004e9b1d0d2877638b1",
)
HTMX = Taken(
    "django_htmx/static/django_htmx/htmx-2.min.js",
    "71ea67185bfa8c98c39d31717c6fce5d852370fcdfd129db4543774d3145c0de",
)

_MAP = re.compile(rb"\n?(/\*# sourceMappingURL=[^*]*\*/|//# sourceMappingURL=[^\n]*)\s*$")
_SYMBOL = re.compile(r'<symbol [^>]*?viewBox="([^"]*)" id="([^"]*)">(.*?)</symbol>', re.DOTALL)


def fetch() -> None:
    """Have the files where the server reads them; what has not changed is left alone."""
    folder = WORK / "assets"
    made_from = [workshop.lock_text("assets"), *(p.read_text() for p in (Path(__file__), ICONS, LICENCES))]
    workshop.tools()  # its lines come first

    def make() -> None:
        with step("assets: Bootstrap, its icons, htmx"), tempfile.TemporaryDirectory(prefix="wheels-", dir=WORK) as raw:
            command = ["pip", "install", "--quiet", "--target", raw, "--only-binary", ":all:", "--no-deps"]
            workshop.uv(*command, "--python-version", "3.11", "--require-hashes", "-r", workshop.LOCKS / "assets.txt")
            folder.mkdir()
            for name, content in files(Path(raw)).items():
                (folder / name).write_bytes(content)

    put(workshop.prepared(folder, *made_from, make=make))


def files(raw: Path) -> dict[str, bytes]:
    """The content of each file, of unpacked wheels."""
    return {
        "bootstrap.min.css": without_map(STYLE.read(raw)),
        # The wheel has no bundle; it is these two, in this order.
        "bootstrap.bundle.min.js": without_map(POPPER.read(raw)) + without_map(SCRIPT.read(raw)),
        "htmx.min.js": without_map(HTMX.read(raw)),
        "icons.svg": sprite(PICTURES.read(raw).decode(), icons()).encode(),
        "licences.txt": LICENCES.read_bytes(),
    }


def without_map(content: bytes) -> bytes:
    """Without the line that sends a browser's developer tools to a map that is not there."""
    return _MAP.sub(b"", content).rstrip() + b"\n"


def icons() -> list[str]:
    """The icons that the console's table names."""
    return ICONS.read_text().split()


def sprite(whole: str, names: list[str]) -> str:
    """Of all icons only some, in one file that pages point into."""
    known = {name: (box, drawing) for box, name, drawing in _SYMBOL.findall(whole)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise Stop(f"{ICONS.relative_to(ROOT).as_posix()}: there is no icon {', '.join(unknown)}")
    lines = [f'<symbol id="{name}" viewBox="{known[name][0]}">{known[name][1]}</symbol>' for name in sorted(set(names))]
    return "\n".join(['<svg xmlns="http://www.w3.org/2000/svg">', *lines, "</svg>", ""])


def put(folder: Path) -> None:
    """Copy what differs, one whole file after the other, and remove what is no longer among them."""
    names = {path.name for path in folder.iterdir()} - {workshop.STAMP}
    VENDOR.mkdir(parents=True, exist_ok=True)
    for old in VENDOR.iterdir():
        if old.name not in names and not old.name.startswith("."):
            old.unlink()
    for name in sorted(names):
        content, target = (folder / name).read_bytes(), VENDOR / name
        if not target.is_file() or target.read_bytes() != content:
            number, temporary = tempfile.mkstemp(prefix=".new-", dir=VENDOR)
            with open(number, "wb") as file:
                file.write(content)
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)
