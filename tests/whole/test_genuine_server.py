"""Our agent, straight from the archive, with the genuine OCS Inventory NG server of Debian 12."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from appliance.trust.authority import make_authority
from tests.pythons import interpreters
from tests.whole.genuine_server import GenuineServer, genuine_server
from tests.whole.site import noise, script, targz

pytestmark = pytest.mark.peer

PYTHON = interpreters((3, 9), (3, 13))[0][1]  # the oldest: it has the least to offer
MOVING = {"DESCRIPTION", "FREE", "SPEED", "CURRENT_SPEED", "PROCESSORS", "CHECKSUM"}  # uptime, disk space, clock rates
NUMBERS = {"int", "bigint", "smallint", "tinyint"}


@pytest.fixture
def server(need_peer: Callable[[str], None]) -> Iterator[GenuineServer]:
    need_peer("ocsinventory-server")
    with genuine_server() as running:
        yield running


@pytest.fixture
def contact(server: GenuineServer, pyz: Path, tmp_path: Path) -> Callable[..., str]:
    """One contact of this computer, which must succeed."""
    return lambda *words, **how: server.contact(PYTHON, pyz, tmp_path / "agent", *words, **how)


def test_every_row_of_the_inventory_is_stored_as_it_was_taken(
    server: GenuineServer, contact: Callable[..., str], pyz: Path, tmp_path: Path
) -> None:
    contact("--tag", "Taller ñ")
    printed = server.agent(PYTHON, pyz, tmp_path / "agent", "--local")
    content = ElementTree.fromstring(printed).find("CONTENT")
    assert content is not None
    sections: dict[str, list[dict[str, str]]] = {}
    for row in content:
        sections.setdefault(row.tag, []).append({field.tag: field.text or "" for field in row})

    (computer,) = server.ask("select * from hardware")
    assert computer["DEVICEID"] == ElementTree.fromstring(printed).findtext("DEVICEID")
    assert str(computer["USERAGENT"]).startswith("OCS-NG_unified_unix_agent_v")
    assert computer["CHECKSUM"] not in (None, "0")
    assert server.ask("select TAG from accountinfo") == [{"TAG": "Taller ñ"}]

    compared = []
    for section, taken in sections.items():
        types = server.columns(section.lower())
        if not types:  # what this server has no table for; SOFTWARES has four
            continue
        fields = sorted(({field for row in taken for field in row} & set(types)) - MOVING)
        kept = server.ask(f"select * from {section.lower()}")
        assert tally(kept, fields, types) == tally(taken, fields, types), section
        compared.append(section)
    assert {"HARDWARE", "CPUS"} <= set(compared)  # a container may have no drives, a chroot not even networks

    softwares = server.ask(
        "select n.NAME, v.VERSION, p.PUBLISHER, s.COMMENTS, s.FILESIZE,"
        " date_format(s.INSTALLDATE, '%Y/%m/%d') as INSTALLDATE from software s"
        " join software_name n on n.ID = s.NAME_ID join software_version v on v.ID = s.VERSION_ID"
        " join software_publisher p on p.ID = s.PUBLISHER_ID"
    )
    taken = [{**row, "INSTALLDATE": row.get("INSTALLDATE", "")[:10]} for row in sections["SOFTWARES"]]
    unknown = {"PUBLISHER": "Unavailable", "VERSION": "Unavailable"}  # this server's words
    taken = [{**unknown, **{field: text for field, text in row.items() if text}} for row in taken]
    assert len(softwares) == len(taken) > 50
    fields = ["NAME", "VERSION", "PUBLISHER", "COMMENTS", "FILESIZE", "INSTALLDATE"]
    assert tally(softwares, fields, {"FILESIZE": "int"}) == tally(taken, fields, {"FILESIZE": "int"})

    server.ask("update hardware set NAME = 'before'")
    contact("--server", server.https)
    (again,) = server.ask("select * from hardware")
    assert again["ID"] == computer["ID"], "the same computer"
    assert (again["FIDELITY"], again["NAME"]) == ("2", computer["NAME"])
    assert len(server.ask("select ID from software")) == len(softwares)
    nothing_went_wrong(server)


def test_a_computer_that_was_deleted_in_the_console_comes_back_whole(
    server: GenuineServer, contact: Callable[..., str]
) -> None:
    tables = ("hardware", "cpus", "drives", "networks", "software", "accountinfo")
    contact()
    before = {table: server.value(f"select count(*) from {table}") for table in tables}
    assert int(before["software"] or 0) > 50
    for table in reversed(tables):  # others refer to hardware
        server.ask(f"delete from {table}")
    contact()
    assert {table: server.value(f"select count(*) from {table}") for table in tables} == before
    nothing_went_wrong(server)


def test_every_action_succeeds_once_and_what_fails_counts_as_an_error(
    server: GenuineServer, contact: Callable[..., str], tmp_path: Path
) -> None:
    done = tmp_path / "done"
    done.mkdir()
    contact()
    ids = packages(server, tmp_path, done)
    broken = server.package("broken", "LAUNCH", "run.sh", archive=archive(tmp_path, {"run.sh": ran(done, "broken")}))
    swapped = archive(tmp_path, {"run.sh": ran(done, "swapped")})  # whole and good, and not what was built
    (server.folder / "download" / broken / f"{broken}-1").write_bytes(swapped)
    server.affect(*ids.values(), broken)
    before = len(server.requests())
    contact()

    assert {name: server.result(ids[name]) for name in ("store", "launch", "execute")} == {
        "store": "SUCCESS",
        "launch": "SUCCESS",
        "execute": "SUCCESS",
    }
    assert server.result(ids["exit 3"]) == "EXIT_CODE_3", "in the genuine server's spelling"
    assert server.result(ids["exit 7"]) == "EXIT_CODE_7"
    assert server.result(broken) == "ERR_BAD_DIGEST"
    assert server.counts() == (0, 3, 3)
    assert (done / "stored" / "deep" / "blob").stat().st_size == 50_000
    assert (done / "stored" / ".hidden").read_bytes() == b"h\n"
    assert (done / "launched").read_text() == "a b|c\n"
    assert (done / "executed").read_text() == "é <&>\n"
    assert not (done / "broken").exists()
    assert not (done / "swapped").exists()

    asked = Counter(server.requests()[before:])
    for name, fragments in (("store", 3), ("launch", 1), ("execute", 0)):
        place = f"GET /download/{ids[name]}"
        assert asked[f"{place}/info 200"] == 1
        assert {line: asked[line] for line in asked if line.startswith(f"{place}/{ids[name]}-")} == {
            f"{place}/{ids[name]}-{number} 200": 1 for number in range(1, fragments + 1)
        }
    missing = {line.rpartition("/")[2] for line in asked if line.endswith(" 404")}
    assert missing == {"manifest 404"}, "which this server does not have, and need not have"
    assert asked["POST /ocsinventory 200"] == 2 + len(ids) + 1  # prolog, inventory, results
    assert server.history() == [], "the inventory went first"

    before = len(server.requests())
    for _ in range(2):
        contact()
        assert server.history() == sorted(ids[name] for name in ("store", "launch", "execute"))
        assert server.counts() == (0, 3, 3)
    assert server.requests()[before:] == ["POST /ocsinventory 200"] * 4, "nothing is fetched or reported again"
    assert (done / "counted").read_text() == "run\n" * 5
    nothing_went_wrong(server)


def test_what_is_installed_runs_again_by_force_only(
    server: GenuineServer, contact: Callable[..., str], tmp_path: Path
) -> None:
    counter = tmp_path / "counter"
    contact()
    package = server.package("once", "EXECUTE", f"echo run >> {counter}")
    server.affect(package)
    contact()
    assert server.result(package) == "SUCCESS"
    contact()
    assert server.history() == [package]

    server.affect(package)
    contact()
    assert server.result(package) == "SUCCESS_ALREADY_IN_HISTORY", "by the server itself"

    server.ask("delete from download_history")
    server.affect(package)
    contact()
    assert server.result(package) == "SUCCESS_ALREADY_SETUP", "by the agent"
    assert server.history() == [package], "told again"
    assert counter.read_text() == "run\n"

    server.affect(package, force=True)
    contact()
    assert server.result(package) == "SUCCESS"
    assert counter.read_text() == "run\nrun\n"
    nothing_went_wrong(server)


def test_a_server_that_cannot_prove_itself_deploys_nothing(
    server: GenuineServer, contact: Callable[..., str], tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    stranger = tmp_path / "stranger.pem"
    stranger.write_text(make_authority(int(time.time())).certificate)
    contact()
    package = server.package("never", "EXECUTE", f"touch {marker}")
    for bundle in (stranger, tmp_path / "missing.pem"):
        server.affect(package)
        before = len(server.requests())
        contact(bundle=bundle)
        assert server.result(package) == "ERR_DOWNLOAD_INFO"
        assert server.requests()[before:] == ["POST /ocsinventory 200"] * 3
    assert server.counts() == (0, 0, 1)
    assert not marker.exists()

    server.affect(package)
    contact()
    assert server.result(package) == "SUCCESS"
    assert marker.exists()


def packages(server: GenuineServer, folder: Path, done: Path) -> dict[str, str]:
    """One package for each action, and two that fail. Every one but the Store counts its runs."""
    count = f"echo run >> {done}/counted"
    files = {".hidden": b"h\n", "deep/blob": noise(50_000)}
    launch = script(f"{count}\nprintf '%s|%s\\n' \"$@\" > {done}/launched")
    return {
        "store": server.package(
            "store", "STORE", f"{done}/stored", archive=archive(folder, files), fragments=3, priority=2
        ),
        "launch": server.package("launch", "LAUNCH", "go.sh 'a b' c", archive=archive(folder, {"go.sh": launch})),
        "execute": server.package("execute", "EXECUTE", f"{count}; echo é '<&>' > {done}/executed"),
        "exit 3": server.package(
            "exit 3", "LAUNCH", "fail.sh", archive=archive(folder, {"fail.sh": script(f"{count}; {count}\nexit 3")})
        ),
        "exit 7": server.package("exit 7", "EXECUTE", f"{count}; exit 7"),
    }


def archive(folder: Path, files: dict[str, bytes]) -> bytes:
    """A tar.gz."""
    return targz(folder / "packed.tar.gz", files).read_bytes()


def ran(done: Path, name: str) -> bytes:
    """A script that shows that it ran."""
    return script(f"touch {done}/{name}")


def tally(
    rows: Sequence[Mapping[str, str | None]], fields: list[str], types: dict[str, str]
) -> Counter[tuple[str, ...]]:
    """Rows without order; where nothing is known, numbers are 0 in this database."""

    def plain(field: str, text: str | None) -> str:
        return "" if text == "0" and types.get(field) in NUMBERS else (text or "")[:255]

    return Counter(tuple(plain(field, row.get(field)) for field in fields) for row in rows)


def nothing_went_wrong(server: GenuineServer) -> None:
    """Every message was answered with 200, and the server had no trouble with it, nor with its database."""
    posts = [line for line in server.requests() if line.startswith("POST")]
    assert posts
    assert set(posts) == {"POST /ocsinventory 200"}, server.logs()
    troubles = (":error]", ":alert]", ":crit]", "DBD::mysql", "DBI connect")
    assert not [line for line in server.errors() if any(trouble in line for trouble in troubles)], server.logs()
