"""Joining fragments: the joined file reads as the one that was cut, and only what was verified is used."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.agent.assemble import fault, join, same_digest, wrong_pieces
from appliance.agent.failure import Failure
from appliance.domain.fragments import cut
from appliance.wire import manifest as manifest_wire
from tests.agent.kit import package


def write(folder: Path, parts: list[bytes]) -> list[Path]:
    paths = [folder / f"f-{number}" for number in range(1, len(parts) + 1)]
    for number, path in enumerate(paths):
        path.write_bytes(parts[number])
    return paths


@given(
    st.binary(min_size=1, max_size=60), st.integers(1, 61), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 70)))
)
def test_the_joined_file_reads_as_the_one_that_was_cut(data: bytes, size: int, reads: list[tuple[int, int]]) -> None:
    with tempfile.TemporaryDirectory() as name, join(write(Path(name), cut(data, size))) as file:
        assert file.read() == data
        for position, length in reads:
            file.seek(position)
            assert file.read(length) == data[position : position + length]
        file.seek(-1, os.SEEK_END)
        assert file.read() == data[-1:]


def test_empty_fragments_of_a_genuine_server_are_harmless(tmp_path: Path) -> None:
    with join(write(tmp_path, [b"", b"ab", b"", b"", b"c", b""])) as file:
        assert file.read() == b"abc"
        file.seek(2)
        assert file.read() == b"c"


@pytest.mark.parametrize("change", ["gone before", "gone after", "other bytes", "shorter", "swapped"])
def test_a_fragment_that_changes_after_it_was_verified_is_noticed(tmp_path: Path, change: str) -> None:
    paths = write(tmp_path, [b"aaaa", b"bbbb", b"cccc"])
    if change == "gone before":
        paths[1].unlink()
        with pytest.raises(Failure, match="ERR_BUILD"):
            join(paths)
        return
    with join(paths) as file:
        assert len(file.read()) == 12
        if change == "gone after":
            paths[1].unlink()
        elif change == "other bytes":
            paths[1].write_bytes(b"evil")
            os.utime(paths[1], ns=(1, 1))
        elif change == "shorter":
            paths[1].write_bytes(b"b")
        else:
            (tmp_path / "new").write_bytes(b"evil")
            os.replace(tmp_path / "new", paths[1])
        file.seek(0)
        with pytest.raises(Failure, match="ERR_BUILD"):
            file.read()


def test_the_md5_and_the_manifest_must_both_fit(tmp_path: Path) -> None:
    built = package(data=b"abcdef", fragment_size=2)
    assert built.raw_manifest is not None
    described = manifest_wire.decode(built.raw_manifest)
    paths = write(tmp_path, built.fragments)
    with join(paths) as file:
        assert fault(file, built.info, described) == ""
        assert file.tell() == 0
        assert "digest" in fault(file, package(data=b"other").info, described)
    paths[1].write_bytes(b"XX")
    with join(paths) as file:
        assert "manifest" in fault(file, built.info, described)
    assert wrong_pieces(paths, described) == [2]
    paths[2].unlink()
    assert wrong_pieces(paths, described) == [2, 3]


@pytest.mark.parametrize(
    ("text", "encoding", "fits"),
    [
        ("900150983cd24fb0d6963f7d28e17f72", "Hexa", True),
        ("900150983CD24FB0D6963F7D28E17F72", "Hexa", True),
        ("kAFQmDzST7DWlj99KOF/cg", "Base64", True),
        ("kAFQmDzST7DWlj99KOF/cg==", "base64", True),
        ("", "Hexa", False),
        ("", "Base64", False),
        ("\u00e9", "Base64", False),
        ("900150983cd24fb0d6963f7d28e17f73", "Hexa", False),
    ],
)
def test_digests_come_in_the_spellings_of_genuine_servers(text: str, encoding: str, fits: bool) -> None:
    assert same_digest(hashlib.md5(b"abc").digest(), text, encoding) is fits


@pytest.mark.parametrize(("algorithm", "good"), [("SHA1", True), ("sha-256", True), ("CRC32", False), ("", False)])
def test_other_digests_of_genuine_consoles_are_known(tmp_path: Path, algorithm: str, good: bool) -> None:
    digest = hashlib.new(algorithm.replace("-", "") if good else "md5", b"abc").hexdigest()
    built = package(data=b"abc", digest=digest, digest_algorithm=algorithm)
    with join(write(tmp_path, built.fragments)) as file:
        assert (fault(file, built.info, None) == "") is good
