"""Results that the server has acknowledged, kept for `agent status`: one small JSON document each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from appliance.agent.files import Files
from appliance.agent.record import Record
from appliance.domain.package import PackageId

FOLDER = "results"
MOST = 200  # older ones are forgotten, the history of what is installed is not


def path_of(spool: Path, package: PackageId) -> Path:
    """Where the result of a package is kept."""
    return spool / FOLDER / f"{package}.json"


def keep(spool: Path, at: Record, files: Files, *, output: bytes, post_output: bytes) -> None:
    """Keep one; of the others the oldest go."""
    path = path_of(spool, at.package)
    files.keep(path, json.dumps(describe(at, output, post_output), indent=1).encode() + b"\n")
    others = [other for other in path.parent.glob("*.json") if other != path]
    others.sort(key=lambda other: other.stat().st_mtime, reverse=True)
    for old in others[MOST - 1 :]:
        files.remove(old)


def read(spool: Path) -> list[dict[str, Any]]:
    """All of them, the latest first."""
    found = []
    for path in (spool / FOLDER).glob("*.json"):
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(document, dict) and isinstance(document.get("at"), int):
            found.append(document)
    return sorted(found, key=lambda document: -document["at"])


def describe(at: Record, output: bytes, post_output: bytes = b"") -> dict[str, Any]:
    """A result for machines; output bytes that are no UTF-8 are shown as \\xNN."""
    return {
        "package": at.package,
        "name": at.name,
        "status": at.code,
        "why": at.why,
        "exit_code": at.exit_code,
        "at": at.at,
        "output": output.decode("utf-8", errors="backslashreplace"),
        "post_command": at.pack.post_command if at.acted else "",
        "post_exit_code": at.post_exit,
        "post_output": post_output.decode("utf-8", errors="backslashreplace"),
    }
