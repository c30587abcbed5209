"""Census: every rule about archive members, header by header (security.md R3-R5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.archive import ArchiveLimits, Census, Member, Shape, inner_path


def file(name: str, size: int = 1, mode: int = 0o644, packed: int | None = None) -> Member:
    return Member(name, Shape.FILE, size, mode, packed)


def folder(name: str) -> Member:
    return Member(name, Shape.FOLDER, 0, 0o755)


def faults(*members: Member, limits: ArchiveLimits | None = None) -> list[str | None]:
    census = Census(limits)
    return [census.fault(member) for member in members]


@pytest.mark.parametrize(
    "name",
    [
        "setup.sh",
        "./setup.sh",
        "bin//tool",
        ".hidden",
        "..hidden",
        "a..b",
        "...x",
        "a b/c d",
        "grüße/日本/\U0001f600",
        "console",
        "com",
        "com10.txt",
        "auxiliary",
        "nul_.txt",
        "a/con_/b",
        "x" * 240,
        "/".join("d" * 64),
        "q?<>|*\"'",
    ],
)
def test_an_honest_name_may_be_unpacked(name: str) -> None:
    assert faults(file(name)) == [None]


@pytest.mark.parametrize("name", [".", "./", "", "./."])
def test_the_top_folder_itself_may_stand_in_an_archive_but_no_file_without_name(name: str) -> None:
    assert faults(folder(name)) == [None]
    assert faults(file(name)) == ["has no name"]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("../x", "outside"),
        ("a/../x", "outside"),
        ("a/..", "outside"),
        ("..", "outside"),
        ("/x", "absolute"),
        ("//host/share", "absolute"),
        ("C:x", "character"),
        ("a\\b", "character"),
        ("a:b", "character"),
        ("a\0b", "character"),
        ("a\nb", "character"),
        ("a\x7fb", "character"),
        ("a\x85b", "character"),
        ("a\u202eb", "character"),
        ("a\u2066b", "character"),
        ("a\udc80b", "character"),
        ("CON", "Windows"),
        ("prn.txt", "Windows"),
        ("a/Aux", "Windows"),
        ("nul.tar.gz", "Windows"),
        ("com1", "Windows"),
        ("LPT9.log", "Windows"),
        ("com²", "Windows"),
        ("nul .txt", "Windows"),
        ("CONOUT$", "Windows"),
        ("a.", "Windows"),
        ("a ", "Windows"),
        ("a./b", "Windows"),
        ("... ", "Windows"),
        ("...", "Windows"),
        ("x" * 241, "longer"),
        ("/".join("d" * 65), "deeper"),
    ],
)
def test_a_name_that_leads_astray_is_refused(name: str, fault: str) -> None:
    for member in (file(name), folder(name)):
        found = faults(member)[0]
        assert found is not None
        assert fault in found


@pytest.mark.parametrize(
    ("member", "fault"),
    [
        (Member("x", Shape.SYMLINK, 0), "is a symbolic link"),
        (Member("x", Shape.HARDLINK, 0), "is a hard link"),
        (Member("x", Shape.OTHER, 0), "is a device, pipe or socket"),
        (file("x", mode=0o4755), "setuid"),
        (file("x", mode=0o2755), "setgid"),
        (file("x", mode=0o6755), "setuid"),
        (file("x", size=-1), "negative"),
    ],
)
def test_a_member_that_is_no_plain_file_or_folder_is_refused(member: Member, fault: str) -> None:
    assert fault in str(faults(member)[0])


@pytest.mark.parametrize("mode", [0o000, 0o777, 0o1777, 0o600])
def test_other_permission_bits_are_fine(mode: int) -> None:
    assert faults(file("x", mode=mode)) == [None]


@pytest.mark.parametrize(
    ("first", "second", "fault"),
    [
        (file("a"), file("a"), "twice"),
        (file("a"), file("./a"), "twice"),
        (file("README"), file("readme"), "twice"),
        (file("stra\u00dfe"), file("STRASSE"), "twice"),
        (file("caf\u00e9"), file("cafe\u0301"), "twice"),
        (file("a"), folder("A"), "twice"),
        (folder("a"), file("a"), "twice"),
        (file("a/b"), file("A"), "twice"),
        (file("a"), file("a/b"), "below a file"),
        (file("a"), file("A/b/c"), "below a file"),
        (file("a/b"), folder("a/B/c"), "below a file"),
    ],
)
def test_a_second_member_in_the_same_place_is_refused(first: Member, second: Member, fault: str) -> None:
    before, after = faults(first, second)
    assert before is None
    assert fault in str(after)


@pytest.mark.parametrize(
    "members",
    [
        [folder("a"), folder("a")],
        [folder("a"), folder("A/")],
        [file("a/b"), folder("a")],
        [folder("a"), file("a/b"), file("a/c")],
        [file("a/x"), file("b/x"), file("x")],
        [file("ab"), file("a/b")],
    ],
)
def test_folders_may_repeat_and_equal_names_may_stand_in_different_folders(members: list[Member]) -> None:
    assert faults(*members) == [None] * len(members)


def test_the_total_counts_every_member() -> None:
    limits = ArchiveLimits(total=10)
    assert faults(file("a", 4), file("b", 6), limits=limits) == [None, None]
    assert "larger than 10 bytes" in str(faults(file("a", 4), file("b", 7), limits=limits)[1])


def test_the_number_of_members_is_limited() -> None:
    found = faults(*(file(str(n)) for n in range(4)), limits=ArchiveLimits(members=3))
    assert found[:3] == [None] * 3
    assert "more than 3 members" in str(found[3])


def test_folders_that_are_only_implied_count_against_the_limit_too() -> None:
    census = Census(ArchiveLimits(members=100))
    found = [census.fault(file(f"{n}/" + "d/" * 50 + "x")) for n in range(4)]
    assert found[:2] == [None, None]
    assert "more than 100 members" in str(found[3])


def test_only_zip_members_packed_beyond_deflate_are_refused() -> None:
    assert faults(file("a", 1032 * 1000, packed=1000)) == [None]
    assert faults(file("a", 0, packed=0)) == [None]
    assert faults(file("a", 2, packed=2)) == [None]
    assert "tightly" in str(faults(file("a", 1_100_001, packed=1000))[0])
    assert "tightly" in str(faults(file("a", 10_000, packed=0))[0])


def test_the_limits_can_be_drawn_tighter() -> None:
    assert "longer than 5" in str(faults(file("abcdef"), limits=ArchiveLimits(name_length=5))[0])
    assert "deeper than 2" in str(faults(file("a/b/c"), limits=ArchiveLimits(depth=2))[0])


@pytest.mark.parametrize(
    ("name", "path"),
    [("./bin//x", "bin/x"), ("bin/", "bin"), (".", ""), ("./", ""), ("a/./b", "a/b"), ("x", "x")],
)
def test_the_inner_path_has_no_empty_parts(name: str, path: str) -> None:
    assert inner_path(name) == path


names_drawn = st.text("aA./\\:\0 é\u0301\u202e", max_size=12) | st.text(max_size=30)


@given(st.lists(st.tuples(names_drawn, st.booleans()), max_size=8))
def test_what_passes_can_be_written_without_leaving_or_overwriting(names: list[tuple[str, bool]]) -> None:
    census, written = Census(), {}
    for name, is_file in names:
        if census.fault(file(name) if is_file else folder(name)) is not None:
            continue
        path = inner_path(name)
        parts = path.split("/")
        assert ".." not in parts
        assert not path.startswith("/")
        assert written.get(path.casefold(), False) is False
        assert not any(written.get("/".join(parts[:n]).casefold()) for n in range(1, len(parts)))
        written[path.casefold()] = is_file
