"""Hostile archives are refused, honest ones read whole; both as bytes and as files, where errors differ."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.archive import ArchiveLimits, Census, Member, Shape, inner_path
from appliance.wire import archive
from appliance.wire.malformed import Malformed
from tests.fakes import archives
from tests.wire.measure import cost_of

HOSTILE = archives.hostile()

FILES = {
    "setup.sh": b"#!/bin/sh\necho ok\n",
    "bin/": b"",
    "bin/tool": bytes(range(256)) * 40,
    "doc/caf\u00e9 \u65e5\u672c \U0001f600.txt": "grüße".encode(),
    "empty": b"",
    "a file (1) [x] 'q'.txt": b"x",
    "d/" * 60 + "deep": b"deep",
    "l" * 100 + "/" + "m" * 120: b"long",
    ".hidden": b"h",
    "con_tool": b"not reserved",
    "README": b"r",
    "doc/README": b"r",
}


def judge(file: BinaryIO, limits: ArchiveLimits | None = None) -> str:
    """What is wrong with an archive, as the builder and the agent find out; empty when nothing is."""
    census = Census(limits)
    try:
        for member, opener in archive.members(file):
            if fault := census.fault(member):
                return fault
            if member.shape is Shape.FILE and archive.drain(opener) != member.size:
                return "has another size than it says"
    except Malformed as malformed:
        return str(malformed)
    return ""


def contents(data: bytes) -> dict[str, tuple[Member, bytes]]:
    found = {}
    for member, opener in archive.members(io.BytesIO(data)):
        read = b""
        if member.shape is Shape.FILE:
            with opener() as stream:
                read = stream.read()
        found[inner_path(member.name)] = (member, read)
    return found


def test_there_is_a_hostile_archive_for_every_attack_in_both_formats() -> None:
    names = [name for name, _ in HOSTILE]
    assert len(names) == len(set(names)) >= 60
    assert min(sum(n.endswith(".zip") for n in names), sum(n.endswith(".tar.gz") for n in names)) >= 30


@pytest.mark.parametrize(("name", "data"), HOSTILE, ids=[name for name, _ in HOSTILE])
def test_a_hostile_archive_is_refused(name: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(data)
    with path.open("rb") as file:
        on_disk = judge(file)
    assert on_disk
    assert on_disk.isprintable()
    assert len(on_disk) < 200
    assert judge(io.BytesIO(data))


EXPECTED = {
    "parent folder.zip": "outside",
    "parent folder as pax path.tar.gz": "outside",
    "absolute as GNU long name.tar.gz": "absolute",
    "GNU name over pax name.tar.gz": "two names",
    "symlink.tar.gz": "symbolic link",
    "symlink from system 30.zip": "symbolic link",
    "symlink that looks like a folder.zip": "symbolic link",
    "hardlink.tar.gz": "hard link",
    "chardev.tar.gz": "device",
    "fifo.zip": "pipe",
    "setuid.zip": "setuid",
    "setgid folder.tar.gz": "setgid",
    "sparse.tar.gz": "sparse",
    "sparse by pax.tar.gz": "sparse",
    "case clash.tar.gz": "twice",
    "Unicode clash.zip": "twice",
    "file below a file.zip": "below a file",
    "reserved CON.zip": "Windows reserves",
    "NUL.zip": "character",
    "NUL.tar.gz": "character",
    "100 folders deep.tar.gz": "deeper",
    "300 characters.zip": "longer",
    "encrypted.zip": "encrypted",
    "bomb.zip": "tightly",
    "same bytes under two names.zip": "overlap",
    "offset before the file.zip": "overlap",
    "directory larger than the file.zip": "damaged",
    "unknown compression.zip": "compression",
    "lzma.zip": "compression",
    "a directory of 4 GiB.zip": "too large",
    "entries without end.zip": "more than 100000",
    "member in a second stream.tar.gz": "outside",
    "member behind a damaged header.tar.gz": "header",
    "member behind the end.tar.gz": "behind its end",
    "member behind one empty block.tar.gz": "behind its end",
    "zeros without end.tar.gz": "behind its end",
    "header cut off.tar.gz": "header",
    "truncated trailer.tar.gz": "too early",
    "huge long name.tar.gz": "too long",
    "huge pax header.tar.gz": "too long",
    "streams without end.tar.gz": "empty gzip streams",
    "empty": "neither",
    "program in front.zip": "neither",
}


@pytest.mark.parametrize(("name", "word"), EXPECTED.items(), ids=EXPECTED.keys())
def test_the_refusal_says_what_is_wrong(name: str, word: str) -> None:
    assert word in judge(io.BytesIO(dict(HOSTILE)[name]))


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
def test_an_honest_tar_is_read_whole(format: int) -> None:
    data = archives.targz_of(FILES, format=format)
    assert judge(io.BytesIO(data)) == ""
    assert {name: read for name, (_, read) in contents(data).items()} == {inner_path(n): d for n, d in FILES.items()}


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_an_honest_zip_is_read_whole(compression: int) -> None:
    data = archives.zip_of(FILES, compression=compression)
    assert judge(io.BytesIO(data)) == ""
    assert {name: read for name, (_, read) in contents(data).items()} == {inner_path(n): d for n, d in FILES.items()}


@pytest.mark.parametrize("build", [archives.zip_of, archives.targz_of])
def test_a_member_tells_its_shape_and_mode(build: Callable[[dict[str, bytes]], bytes]) -> None:
    found = contents(build(FILES))
    assert (found["setup.sh"][0].shape, found["setup.sh"][0].mode) == (Shape.FILE, 0o755)
    assert (found["empty"][0].shape, found["empty"][0].mode, found["empty"][0].size) == (Shape.FILE, 0o644, 0)
    assert found["bin"][0].shape is Shape.FOLDER


def test_a_tar_of_several_gzip_streams_is_one_archive() -> None:
    tar = archives.tar_of([archives.tar_entry(f"file{n}", b"x" * 3000) for n in range(20)])
    pieces = [gzip.compress(tar[at : at + 5000], mtime=0) for at in range(0, len(tar), 5000)]
    assert sorted(contents(b"".join(pieces))) == sorted(f"file{n}" for n in range(20))


def test_zeros_behind_a_gzip_stream_are_padding() -> None:
    assert judge(io.BytesIO(archives.targz_of(FILES) + b"\0" * 4096)) == ""


def test_a_tar_without_end_blocks_is_whole_as_for_gnu_tar() -> None:
    data = gzip.compress(archives.tar_of([archives.tar_entry("ok", b"ok")])[:1024], mtime=0)
    assert list(contents(data)) == ["ok"]


class Pipe(io.BytesIO):
    """Takes bytes in order only, so that a zip's sizes have to follow its data."""

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation

    def tell(self) -> int:
        raise io.UnsupportedOperation


def test_a_zip_streamed_with_sizes_behind_the_data_and_zip64_is_honest() -> None:
    out = Pipe()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as written:
        for name in ("big", "bigger"):
            with written.open(name, "w", force_zip64=True) as file:
                file.write(name.encode() * 1000)
    assert b"PK\x07\x08" in out.getvalue()
    assert judge(io.BytesIO(out.getvalue())) == ""
    assert contents(out.getvalue())["bigger"][1] == b"bigger" * 1000


def test_names_do_not_depend_on_the_locale() -> None:
    entry, data = archives.tar_entry("caf\udce9", b"latin-1 bytes")
    tar = archives.tar_of([(entry, data)], tarfile.GNU_FORMAT)
    assert "character" in judge(io.BytesIO(gzip.compress(tar, mtime=0)))


@pytest.mark.skipif(not shutil.which("tar"), reason="tar is not installed")
def test_what_gnu_tar_packs_is_honest(tmp_path: Path) -> None:
    for name, data in FILES.items():
        path = tmp_path / "tree" / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(data)
    subprocess.run(["tar", "-czf", tmp_path / "a.tar.gz", "-C", tmp_path / "tree", "."], check=True)
    data = (tmp_path / "a.tar.gz").read_bytes()
    assert judge(io.BytesIO(data)) == ""
    assert contents(data)["bin/tool"][1] == FILES["bin/tool"]


def test_a_bomb_is_stopped_by_its_header_before_it_is_unpacked() -> None:
    data = archives.bomb_zip(200)
    assert len(data) < 300_000
    assert "larger" in judge(io.BytesIO(data), ArchiveLimits(total=64 * 1024**2))


def test_a_tar_bomb_is_stopped_by_its_header() -> None:
    entry, _ = archives.tar_entry("zeros")
    entry.size = 200 * 1024**2
    header = entry.tobuf(tarfile.GNU_FORMAT)
    assert "larger" in judge(io.BytesIO(gzip.compress(header)), ArchiveLimits(total=64 * 1024**2))


def test_draining_a_bomb_takes_little_memory() -> None:
    assert cost_of("archive", archives.bomb_zip(200)).mebibytes < 16


@pytest.mark.parametrize(
    "name", ["sparse by pax.tar.gz", "huge long name.tar.gz", "entries without end.zip", "streams without end.tar.gz"]
)
def test_a_structure_made_to_fill_memory_does_not(name: str) -> None:
    cost = cost_of("archive", dict(HOSTILE)[name])
    assert (cost.mebibytes < 32, cost.seconds < 2, cost.verdict) == (True, True, "Malformed")


@pytest.mark.parametrize(
    ("head", "format"),
    [(b"PK\x03\x04x", "zip"), (b"PK\x05\x06", "zip"), (b"\x1f\x8b\x08", "tar.gz"), (b"PK\x01\x02", None), (b"", None)],
)
def test_the_format_is_told_by_the_first_bytes(head: bytes, format: str | None) -> None:
    file = io.BytesIO(head)
    file.seek(1)
    assert archive.format_of(file) == format
    assert file.tell() == 0


@given(st.binary(max_size=300), st.sampled_from([b"", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08\0"]))
def test_any_bytes_are_an_archive_or_malformed(data: bytes, magic: bytes) -> None:
    assert isinstance(judge(io.BytesIO(magic + data)), str)


@given(st.data(), st.sampled_from([archives.zip_of(FILES), archives.targz_of(FILES)]))
def test_a_damaged_archive_is_malformed_or_still_an_archive(data: st.DataObject, whole: bytes) -> None:
    raw = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(4, len(raw) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(judge(io.BytesIO(bytes(raw))), str)


@given(st.binary(min_size=512, max_size=2048), st.integers(0, 3))
def test_any_tar_is_an_archive_or_malformed(data: bytes, blocks: int) -> None:
    good = archives.tar_of([archives.tar_entry("ok", b"ok")])[: blocks * 512]
    assert isinstance(judge(io.BytesIO(gzip.compress(good + data, mtime=0))), str)
