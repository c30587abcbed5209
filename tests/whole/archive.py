"""Archives made of the built one, for tests of what the file does about them."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path


def unpack_into_memory(pyz: Path) -> dict[str, bytes]:
    """All that an archive holds, by name."""
    with zipfile.ZipFile(pyz) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(contents: dict[str, bytes], target: Path) -> None:
    """An archive of them, as they are."""
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def pack_with_its_seal(contents: dict[str, bytes], target: Path) -> None:
    """An archive of them that says of itself what it holds, as the builder's does."""
    total = hashlib.sha256()
    for name in sorted(name for name in contents if name.startswith("site-packages/")):
        total.update(f"{name}\0{len(contents[name])}\0".encode())
        total.update(contents[name])
    described = json.loads(contents["environment.json"]) | {"build_id": total.hexdigest()}
    pack({**contents, "environment.json": json.dumps(described).encode()}, target)
