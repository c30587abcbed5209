"""What the server packs, agents unpack: read back by our own reader and by tar and unzip themselves."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.domain.archive import Census
from appliance.wire import archive, pack


def packed(file_format: str, data: bytes) -> bytes:
    out, seen = io.BytesIO(), list[tuple[int, int]]()
    pack.pack(out, file_format, "setup.sh", io.BytesIO(data), len(data), lambda *at: seen.append(at))
    assert seen[-1] == (len(data), len(data))
    return out.getvalue()


@pytest.mark.parametrize("file_format", ["zip", "tar.gz"])
@pytest.mark.parametrize("large", [False, True])
def test_the_one_member_is_what_went_in(file_format: str, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "SMALL", 0 if large else 10**9)
    data = b"#!/bin/sh\n" * 300_000
    made = packed(file_format, data)
    assert (len(made) > len(data)) == large
    file = io.BytesIO(made)
    assert archive.format_of(file) == file_format
    found = []
    for member, opener in archive.members(file):
        assert Census().fault(member) is None
        assert member.mode == 0o755
        found.append((member.name, b"".join(archive.pieces(opener))))
    assert found == [("setup.sh", data)]
    assert packed(file_format, data) == made, "the same file gives the same archive"


@pytest.mark.parametrize(("file_format", "line"), [("zip", ["unzip", "-q"]), ("tar.gz", ["tar", "xzf"])])
def test_the_tools_of_genuine_agents_unpack_it(file_format: str, line: list[str], tmp_path: Path) -> None:
    if not shutil.which(line[0]):
        assert os.environ.get("CI") != "true", f"{line[0]} is not installed"
        pytest.skip(f"{line[0]} is not here")
    data = os.urandom(70_000)
    (tmp_path / "a").write_bytes(packed(file_format, data))
    subprocess.run([*line, "a"], cwd=tmp_path, check=True)
    assert (tmp_path / "setup.sh").read_bytes() == data
    assert (tmp_path / "setup.sh").stat().st_mode & 0o777 == 0o755
