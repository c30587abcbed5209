"""One running server for the tests of this folder that leave it as they found it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.appliance import Running, build, device, inventory, serving
from tests.fakes.archives import targz_of
from tests.fakes.quick import quick_path

__all__ = ["quick_path"]


@dataclass
class Site:
    """A server with one package of four fragments, one without a file, and one known computer."""

    server: Running
    package: str
    bare: str
    fragments: list[bytes]

    def url(self, number: int) -> str:
        """The path of a fragment."""
        return f"/download/{self.package}/{self.package}-{number}"

    def file(self, name: str) -> Path:
        """A file of the package on the disk."""
        return self.server.data / "fragments" / self.package / name


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The server."""
    folder = tmp_path_factory.mktemp("web")
    noise = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(40_000))  # 1.3 MB that do not compress
    archive = folder / "a.tar.gz"
    archive.write_bytes(targz_of({"data.bin": noise}))
    size = archive.stat().st_size // 4 + 1
    data = folder / "data"
    words = ("--action", "store", "--path", "/x", "--file", archive, "--fragment-size", str(size))
    package, bare = build(data, "whole", *words), build(data, "bare")
    whole = archive.read_bytes()
    with serving(data) as server:
        assert server.post(inventory(device("known"))).status == 200
        yield Site(server, package, bare, [whole[n * size : (n + 1) * size] for n in range(4)])
