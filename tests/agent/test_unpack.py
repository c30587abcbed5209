"""Unpacking hostile archives: each is refused, and nothing outside its folder is touched."""

from __future__ import annotations

import io
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.agent.failure import Failure
from appliance.agent.folders import TEMPORARY, Below, reach
from appliance.agent.unpack import unpack
from appliance.domain.archive import ArchiveLimits
from tests.agent.kit import tar_of, zip_of
from tests.fakes.archives import hostile

unix = pytest.mark.skipif(os.name == "nt", reason="modes and links as on Unix")


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder with its content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


@pytest.mark.parametrize(("title", "data"), hostile(), ids=[title for title, _ in hostile()])
def test_a_hostile_archive_is_refused_and_writes_nothing_outside(tmp_path: Path, title: str, data: bytes) -> None:
    around = tmp_path / "around"
    around.mkdir()
    (around / "victim").write_bytes(b"untouched")
    with pytest.raises(Failure) as caught:
        unpack(io.BytesIO(data), around / "work", ArchiveLimits())
    assert caught.value.code == "ERR_UNZIP"
    assert "\n" not in caught.value.why
    outside = {name: content for name, content in tree(around).items() if name.split("/")[0] != "work"}
    assert outside == {"victim": b"untouched"}
    inside = list((around / "work").rglob("*"))
    assert not any(path.is_symlink() or not (path.is_file() or path.is_dir()) for path in inside)
    assert not any(path.lstat().st_mode & 0o6000 for path in inside)


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_an_honest_archive_comes_out_as_it_went_in(tmp_path: Path, pack: object) -> None:
    files = {
        "run.sh": b"#!/bin/sh\n",
        "a/b/.hidden": os.urandom(700_000),
        "a/empty/": b"",
        "leer": b"",
        "\u00e9.txt": b"x",
    }
    unpack(io.BytesIO(pack(files)), tmp_path / "work", ArchiveLimits())  # type: ignore[operator]
    found = tree(tmp_path / "work")
    assert {name: found[name.rstrip("/")] for name in files} == {**files, "a/empty/": None}


@unix
def test_modes_are_masked_and_the_folder_is_private(tmp_path: Path) -> None:
    archive = tar_of({"run": b"x"}, mode=0o777)
    unpack(io.BytesIO(archive), tmp_path / "work", ArchiveLimits())
    unpack(io.BytesIO(tar_of({"data": b"x"}, mode=0o600)), tmp_path / "other", ArchiveLimits())
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("work", "work/run", "other/data")]
    assert modes == [0o700, 0o755, 0o644]


def test_a_tar_stops_at_the_limits_while_it_is_written_and_a_zip_before(tmp_path: Path) -> None:
    files = {f"{n}": b"x" * 1000 for n in range(10)}
    for name, archive, written in (("tar", tar_of(files), 4), ("zip", zip_of(files), 0)):
        with pytest.raises(Failure, match="larger than 4500 bytes"):
            unpack(io.BytesIO(archive), tmp_path / name, ArchiveLimits(total=4500))
        assert len(list((tmp_path / name).glob("*"))) == written
        with pytest.raises(Failure, match="more than 5 members"):
            unpack(io.BytesIO(archive), tmp_path / f"{name}-more", ArchiveLimits(members=5))


@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_too_full_a_disk_is_err_out_of_space_with_the_numbers_before_anything_is_written(
    tmp_path: Path, make: Callable[[dict[str, bytes]], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make({"a": b"", "b": bytes(5_000_000)})
    free = 4_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": free}))
    with pytest.raises(Failure, match=r"4\.8 MiB are needed for what it unpacks to.*3\.8 MiB are") as caught:
        unpack(io.BytesIO(archive), tmp_path / "work", ArchiveLimits())
    assert caught.value.code == "ERR_OUT_OF_SPACE"
    assert not (tmp_path / "work").exists()
    free = 8_000_000
    unpack(io.BytesIO(archive), tmp_path / "work", ArchiveLimits())


def test_a_member_is_held_against_the_disk_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tar_of({"a": bytes(2_000_000), "b": bytes(5_000_000)})
    archive = archive[:-4] + b"\0\0\0\0"  # as of an archive larger than 4 GiB
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 4_000_000}))
    with pytest.raises(Failure, match=r"ERR_OUT_OF_SPACE: 4\.8 MiB are needed for its 'b'"):
        unpack(io.BytesIO(archive), tmp_path / "work", ArchiveLimits())


def test_a_folder_that_is_there_already_is_not_unpacked_into(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with pytest.raises(Failure, match="ERR_UNZIP"):
        unpack(io.BytesIO(zip_of({"x": b""})), tmp_path / "work", ArchiveLimits())


@unix
def test_a_link_that_appears_while_unpacking_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "work").mkdir()
    with Below(tmp_path / "work", folder_mode=0o755) as below:
        below.folder("a")
        (tmp_path / "work/a").rmdir()
        (tmp_path / "work/a").symlink_to(tmp_path / "etc")
        with pytest.raises(OSError):
            below.create("a/b/evil", 0o644)
        (tmp_path / "work/file").symlink_to(tmp_path / "etc/passwd")
        with pytest.raises(OSError):
            below.create("file", 0o644)
    assert list((tmp_path / "etc").iterdir()) == []


@unix
def test_a_link_in_a_path_is_followed_only_where_a_trusted_user_made_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with reach(str(tmp_path / "link/new"), folder_mode=0o755) as below:
        below.folder("inner")
    assert (tmp_path / "real/new/inner").is_dir()
    if os.geteuid() != 0:
        pytest.skip("needs root to make another user's link")
    os.lchown(tmp_path / "link", 65534, 65534)
    with pytest.raises(PermissionError, match="another user's link"):
        reach(str(tmp_path / "link/new"), folder_mode=0o755)


@unix
def test_a_path_that_links_lead_in_circles_ends(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError):
        reach(str(tmp_path / "a/x"), folder_mode=0o755)


def test_what_a_killed_run_left_beside_a_file_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"whole")
    target = tmp_path / "target"
    target.mkdir()
    (target / TEMPORARY).write_bytes(b"half")
    with Below(target, folder_mode=0o755) as below:
        below.replace("file", tmp_path / "new", 0o644)
    assert tree(target) == {"file": b"whole"}


def test_replacing_a_folder_by_a_file_fails_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"whole")
    (tmp_path / "target/file/inner").mkdir(parents=True)
    with Below(tmp_path / "target", folder_mode=0o755) as below, pytest.raises(OSError):
        below.replace("file", tmp_path / "new", 0o644)
    assert set(tree(tmp_path / "target")) == {"file", "file/inner"}
