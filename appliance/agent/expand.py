"""Variables in a Store's path. Pure: the environment is an argument.

Source: the manual, "Store files"; security.md A26.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from appliance.agent.failure import Failure

INSTALL_PATH = "INSTALL_PATH"  # the agent's base directory, as genuine agents have it, with or without $ or %

_UNIX = re.compile(r"\$(?:\{([^}]*)\}|([A-Za-z_][A-Za-z0-9_]*))|^(INSTALL_PATH)(?=/|$)")
_WINDOWS = re.compile(r"%([^%]+)%|()^(INSTALL_PATH)(?=[\\/]|$)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")


def target_folder(path: str, environment: Mapping[str, str], install_path: str, *, windows: bool) -> str:
    """The absolute folder that a Store's PATH means. Raises Failure(ERR_BAD_PARAM).

    An unknown variable is refused, not left out: `$DATA/x` must not become `/x`.
    """
    known = {name.upper() if windows else name: value for name, value in environment.items()}
    known[INSTALL_PATH] = install_path

    def value(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2) or match.group(3) or ""
        found = known.get(name.upper() if windows else name)
        if not found:
            raise Failure("ERR_BAD_PARAM", f"The path {path[:200]!r} speaks of {name[:80]!r}, which is not set here.")
        return found

    expanded = (_WINDOWS if windows else _UNIX).sub(value, path.strip())
    absolute = bool(_DRIVE.match(expanded)) if windows else expanded.startswith("/")
    parts = re.split(r"[\\/]" if windows else "/", expanded)
    if not absolute or ".." in parts or _CONTROL.search(expanded):
        raise Failure("ERR_BAD_PARAM", f"The path {expanded[:200]!r} is not an absolute one without `..`.")
    if windows and ":" in expanded[2:]:
        raise Failure("ERR_BAD_PARAM", f"The path {expanded[:200]!r} has a colon in it.")
    return expanded
