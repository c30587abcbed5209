"""Build and edit a package in a browser without JavaScript, and the slices that upload.js sends."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping

import pytest

from tests.fakes.appliance import Answer, build, device, inventory, must, prolog, rows, shelved, until
from tests.fakes.archives import targz_of, zip_of
from tests.web.console.conftest import Console
from tests.web.console.kit import Browser

HOSTILE = "<img src=x onerror=alert(1)>\"'`{{7*7}}%s"
ARCHIVE = targz_of({"setup.sh": os.urandom(9000)})
BOUNDARY = "a-line-that-is-in-no-file"
JSON = {"Accept": "application/json"}
MIB = 1024**2
FORM = {"name": "Player", "os": "LINUX", "action": "STORE", "path": "/opt/player", "priority": "3"}


def multipart(fields: Mapping[str, str], file: tuple[str, Iterable[bytes]] | None = None) -> Iterator[bytes]:
    """A form with a file as a browser sends it, the file at its place: before the action."""
    late = ("action", "command", "path")
    for name in sorted(fields, key=lambda name: (name in late, name != "csrf")):
        if name in late and file:
            yield from attached(*file)
            file = None
        yield f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{fields[name]}\r\n'.encode()
    if file:
        yield from attached(*file)
    yield f"--{BOUNDARY}--\r\n".encode()


def attached(name: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
    yield f"{head}Content-Type: application/octet-stream\r\n\r\n".encode()
    yield from pieces
    yield b"\r\n"


def send(browser: Browser, path: str, body: Iterable[bytes], **headers: str) -> Answer:
    """A POST of a stream, as whoever the browser is."""
    sent = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", **cookies(browser)}
    return browser.server.ask("POST", path, body, {**sent, **headers}, console=True)


def cookies(browser: Browser) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}


def upload(browser: Browser, form: Mapping[str, str], name: str, data: bytes, path: str = "/packages/build") -> Browser:
    """The form with a file, sent as a browser without JavaScript does; on to where that leads."""
    token = browser.get("/packages/build").token
    answer = send(browser, path, [b"".join(multipart({"csrf": token, **form}, (name, [data])))])
    assert answer.status == 303, answer.body.decode()
    return browser.get(answer.headers["location"])


def slices(browser: Browser, path: str, body: bytes, token: str, **headers: str) -> tuple[int, dict[str, object]]:
    sent = {"Content-Type": "application/octet-stream", "X-CSRF-Token": token, **cookies(browser), **headers}
    answer = browser.server.ask("POST", path, body, sent, console=True)
    is_json = answer.headers["content-type"].startswith("application/json")
    return answer.status, json.loads(answer.body) if is_json else {}


def begun(browser: Browser, size: int, **form: str) -> tuple[str, str]:
    """A draft as upload.js begins it: its address, and the token."""
    token = browser.get("/packages/build").token
    fields = {**FORM, "name": "Begun", "csrf": token, "file-name": "p.tar.gz", "file-size": str(size), **form}
    answer = browser.post("/packages/build", fields, Accept="application/json").answer
    assert answer.status == 200, answer.body.decode()
    told = json.loads(answer.body)
    assert (told["offset"], told["size"]) == (0, size)
    return told["address"], token


def drafts(console: Console, name: str) -> int:
    """How many drafts have that name in their form."""
    return sum(f'"{name}"' in str(row) for row in rows(console.data, "SELECT * FROM draft"))


def test_the_form_the_file_the_fragments_and_the_package_with_its_next_step(console: Console) -> None:
    browser = upload(console.browser, FORM, "player.tar.gz", ARCHIVE)
    assert browser.path.startswith("/packages/drafts/")
    assert "player.tar.gz" in browser.text
    assert "Number of fragments 1" in browser.text
    assert "What one computer will need" in browser.text
    assert re.search(r"10 Mbit/s \d+ s \d+ min", browser.text)
    browser.submit("Compute the number", fragment__size="1K")
    assert f"Number of fragments {-(-len(ARCHIVE) // 1024)}" in browser.text
    browser.submit("Compute the size", fragments="4")
    assert "Number of fragments 4" in browser.text
    browser.submit("Build")
    assert re.fullmatch(r"/packages/\d{10}", browser.path), browser.text
    assert "“Player” is built. Now activate it." in browser.text
    assert "Next step" in browser.text
    assert "4 of " in browser.text
    assert browser.follow("Activate it").path.endswith("/activate")
    assert rows(console.data, "SELECT fragments FROM package WHERE name = 'Player'") == [(4,)]
    assert drafts(console, "Player") == 0
    assert ("anna", "package built") in [(who, deed) for who, deed, _ in console.log()]


def test_a_recipe_fills_the_form_and_packs_the_bare_file(console: Console) -> None:
    browser = console.browser.get("/packages/build").follow("Windows Installer (.msi)")
    assert browser.path == "/packages/build?recipe=msi"
    assert 'value="msiexec.exe /i {file} /qn /norestart"' in browser.html
    form = {"recipe": "msi", "name": "Tool", "os": "WINDOWS", "action": "EXECUTE"}
    form["command"] = "msiexec.exe /i {file} /qn /norestart"
    upload(browser, form, "tool 1.0.msi", b"\xd0\xcf\x11\xe0" * 500)
    assert "msiexec.exe /i tool_1.0.msi /qn /norestart" in browser.text
    browser.submit("Build")
    assert rows(console.data, "SELECT format, argument FROM package WHERE name = 'Tool'") == [
        ("zip", "msiexec.exe /i tool_1.0.msi /qn /norestart")
    ]


def test_a_script_is_typed_into_the_page(console: Console) -> None:
    browser = console.browser.get("/packages/build?recipe=shell")
    browser.submit("Send", name="Hello", script="echo hello")
    assert browser.path.startswith("/packages/drafts/"), browser.text
    browser.submit("Build")
    assert "“Hello” is built" in browser.text
    assert rows(console.data, "SELECT format, argument FROM package WHERE name = 'Hello'") == [("tar.gz", "script.sh")]


def test_a_command_without_a_file_has_nothing_to_cut(console: Console) -> None:
    browser = console.browser.get("/packages/build")
    browser.submit("Send", name="Restart it", os="LINUX", action="EXECUTE", command="systemctl restart it")
    assert "there is nothing to download and nothing to cut" in browser.text
    assert "Fragment size" not in browser.text
    browser.submit("Build")
    assert "“Restart it” is built" in browser.text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": ""}, "a package needs a name"),
        ({"command": ""}, "needs the command to run"),
        ({"priority": "11"}, "11 is not a priority"),
        ({"os": "BEOS"}, "'BEOS' is none of"),
        ({"action": "LAUNCH", "command": "x.sh"}, "needs a .zip or .tar.gz file"),
        ({"warn-user": "yes", "warn-text": ""}, "to warn the user takes a text"),
        ({"done-action": "yes", "done-text": " "}, "write what the user is to do at the end"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_what_was_typed_stays(
    console: Console, changes: dict[str, str], sentence: str
) -> None:
    before = rows(console.data, "SELECT id FROM package")
    browser = console.browser.get("/packages/build")
    typed = {"name": "Some", "description": HOSTILE, "os": "LINUX", "action": "EXECUTE", "command": "true", **changes}
    browser.submit("Send", **{name.replace("-", "__"): value for name, value in typed.items()})
    assert sentence in browser.text
    assert "&lt;img src=x" in browser.html
    assert HOSTILE not in browser.html
    assert rows(console.data, "SELECT id FROM package") == before
    browser.submit("Drop what was begun")
    assert "What was begun is dropped." in browser.text


def test_a_wrong_fragment_size_is_refused_and_an_endless_priority_is_told(console: Console) -> None:
    must("config", "set", "DOWNLOAD_PERIOD_LENGTH", "5", data=console.data)
    browser = upload(console.browser, {**FORM, "name": "Slow", "priority": "9"}, "p.tar.gz", ARCHIVE)
    assert "It never moves" in browser.text
    assert "'soon' is not a size" in browser.submit("Compute the number", fragment__size="soon").text
    must("config", "set", "DOWNLOAD_PERIOD_LENGTH", "10", data=console.data)


def test_what_was_begun_is_listed_and_can_be_gone_on_with(console: Console) -> None:
    upload(console.browser, {**FORM, "name": HOSTILE}, "p.tar.gz", ARCHIVE)
    browser = console.browser.get("/packages")
    assert "Begun and not built" in browser.text
    browser.follow(HOSTILE)
    assert "Number of fragments 1" in browser.text
    browser.follow("Change the form").submit("Send", name="Renamed")
    assert "Renamed" in browser.text
    browser.submit("Build")
    assert "“Renamed” is built" in browser.text


def test_a_large_file_comes_without_scripts_and_the_memory_stays_flat(console: Console) -> None:
    browser = console.browser
    token, block = browser.get("/packages/build").token, os.urandom(MIB)
    before = console.server.rss()
    pieces = (block for _ in range(80))
    form = {"csrf": token, "name": "Large", "os": "LINUX", "action": "STORE", "path": "/opt/large"}
    head = targz_of({"a": b""})  # only its beginning says what it is; the build would look further
    answer = send(browser, "/packages/build", multipart(form, ("large.tar.gz", [head, *pieces])))
    assert answer.status == 303, answer.body.decode()
    assert console.server.rss() - before < 40 * MIB
    browser.get(answer.headers["location"])
    assert "Size 80 MiB" in browser.text.replace("80.0", "80"), browser.text
    browser.submit("Build", fragment__size="64M")
    browser.get("/packages").submit("Drop")


@pytest.mark.parametrize("path", ["/packages/build", "/packages/drafts/{draft}", "/packages/{package}/edit"])
def test_a_streamed_form_without_its_token_is_refused_and_nothing_is_kept(console: Console, path: str) -> None:
    package = str(rows(console.data, "SELECT max(id) FROM package")[0][0])
    address, token = begun(console.browser, 10)
    path = path.format(draft=address.rsplit("/", 1)[-1], package=package)
    before, kept = rows(console.data, "SELECT * FROM draft"), shelved(console.data)
    for fields in (FORM, {**FORM, "csrf": "0" * 64}, {**FORM, "csrf": ""}):
        answer = send(console.browser, path, multipart(fields, ("p.tar.gz", [ARCHIVE])))
        assert answer.status == 403
        assert "the form is too old or came from elsewhere" in answer.body.decode()
    late = b"".join([*multipart({}, ("p.tar.gz", [ARCHIVE]))][:-1]) + b"".join(multipart({"csrf": token}))
    assert send(console.browser, path, [late]).status == 403
    assert send(console.browser, path, [b"x"], **{"Content-Type": "text/plain"}).status == 403
    assert send(console.browser, path, multipart({"csrf": token}), Origin="https://elsewhere.example").status == 403
    assert (rows(console.data, "SELECT * FROM draft"), shelved(console.data)) == (before, kept)
    console.browser.get(address).submit("Drop what was begun")


def test_a_slice_without_its_token_is_refused_and_nothing_is_kept(console: Console) -> None:
    address, token = begun(console.browser, 10)
    for given in ("", "0" * 64):
        assert slices(console.browser, f"{address}/file?offset=0", b"0123456789", given)[0] == 403
    assert json.loads(console.browser.get(f"{address}/file").answer.body)["offset"] == 0
    nobody = console.visitor()
    assert slices(nobody, f"{address}/file?offset=0", b"0123456789", token)[0] == 401
    console.browser.get(address).submit("Drop what was begun")


def test_slices_go_on_where_the_server_is_and_a_wrong_offset_tells_the_right_one(console: Console) -> None:
    browser = console.browser
    address, token = begun(browser, len(ARCHIVE), name="In slices")
    half = len(ARCHIVE) // 2
    assert slices(browser, f"{address}/file?offset=0", ARCHIVE[:half], token) == (
        200,
        {"offset": half, "size": len(ARCHIVE)},
    )
    for wrong in (0, half - 1, half + 1):
        status, told = slices(browser, f"{address}/file?offset={wrong}", ARCHIVE[wrong:], token)
        assert (status, told["offset"]) == (409, half)
    assert "have arrived. Choose the same file again" in browser.get(address).text
    there = json.loads(browser.get(f"{address}/file").answer.body)
    assert (there["offset"], there["token"]) == (half, token)
    again = {**FORM, "name": "In slices", "csrf": token, "file-name": "p.tar.gz", "file-size": str(len(ARCHIVE))}
    told = json.loads(browser.post(address, again, Accept="application/json").answer.body)
    assert (told["offset"], told["address"]) == (half, address)
    assert slices(browser, f"{address}/file?offset={half}", ARCHIVE[half:], token)[0] == 200
    browser.post(f"{address}/ready", {"csrf": token})
    assert "Number of fragments 1" in browser.text
    browser.submit("Build")
    assert "“In slices” is built" in browser.text


def test_what_arrived_before_the_connection_was_lost_stays(console: Console) -> None:
    address, token = begun(console.browser, 3 * MIB)
    sent = {"X-CSRF-Token": token, "Content-Length": str(3 * MIB), **cookies(console.browser)}
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())

    def there() -> int:
        return int(json.loads(console.browser.get(f"{address}/file").answer.body)["offset"])

    def gone_on() -> bool:
        at = there()
        return slices(console.browser, f"{address}/file?offset={at}", b"x" * (3 * MIB - at), token)[0] == 200

    with console.server.connect(console=True) as link:
        link.sendall(f"POST {address}/file?offset=0 HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode() + b"x" * 2 * MIB)
        until(lambda: there() > 0, "its beginning")
        assert not gone_on()  # one writer at a time
    until(gone_on, "the rest of the file, behind what had arrived")
    assert there() == 3 * MIB
    console.browser.get(address).submit("Drop what was begun")


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"name": ""}, "name", "a package needs a name."),
        ({"file-size": "0"}, "file", "is empty"),
        ({"file-size": str(10**16)}, "file", "larger than"),
        ({"path": ""}, "path", "needs a folder"),
        ({"os": "WINDOWS"}, "file", "Windows agents unpack only .zip"),
    ],
)
def test_before_the_file_is_sent_the_form_is_checked(
    console: Console, changes: dict[str, str], field: str, sentence: str
) -> None:
    token = console.browser.get("/packages/build").token
    fields = {**FORM, "name": "Early", "csrf": token, "file-name": "p.tar.gz", "file-size": "10", **changes}
    answer = console.browser.post("/packages/build", fields, Accept="application/json").answer
    told = json.loads(answer.body)
    assert answer.status in (400, 413)
    assert told["field"] == field
    assert sentence in told["sentence"]


def test_a_file_that_is_larger_than_announced_is_refused(console: Console) -> None:
    address, token = begun(console.browser, 4)
    status, told = slices(console.browser, f"{address}/file?offset=0", b"12345", token)
    assert (status, told["field"]) == (400, "file")
    console.browser.get(address).submit("Drop what was begun")


def test_an_edit_without_a_new_file_is_done_at_once_and_keeps_the_fragments(console: Console) -> None:
    browser = upload(console.browser, {**FORM, "name": "To edit"}, "p.tar.gz", ARCHIVE)
    browser.submit("Build", fragment__size="1K").follow("Edit")
    assert "No computer was told of this package yet" in browser.text
    fragments = rows(console.data, "SELECT fragments FROM package WHERE name = 'To edit'")
    browser.submit("Update", name="Edited", priority="7")
    assert re.fullmatch(r"/packages/\d{10}", browser.path), browser.text
    assert "“Edited” is changed." in browser.text
    assert rows(console.data, "SELECT fragments, priority FROM package WHERE name = 'Edited'") == [(*fragments[0], 7)]
    assert drafts(console, "Edited") == 0


def test_an_edit_with_a_new_file_cuts_it_anew_and_tells_who_was_told_before(console: Console) -> None:
    data, server = console.data, console.server
    browser = upload(console.browser, {**FORM, "name": "New file"}, "p.tar.gz", ARCHIVE)
    package = browser.submit("Build").path.rsplit("/", 1)[-1]
    must("package", "activate", package, "--unchecked", data=data)
    assert server.post(inventory(device("pc-9"))).status == 200
    must("package", "affect", package, "--all", data=data)
    assert "1 computer waits and gets it as it will be." in browser.get(f"/packages/{package}/edit").text
    assert server.post(prolog(device("pc-9"))).status == 200
    browser.get(f"/packages/{package}/edit")
    assert "1 computer was told of this package before" in browser.text
    assert "Under way: 1. Installed: 0. Failed: 0." in browser.text
    other = targz_of({"setup.sh": os.urandom(5000)})
    upload(browser, {"name": "New file"}, "q.tar.gz", other, f"/packages/{package}/edit")
    browser.submit("Update")
    assert browser.status == 409
    assert "would mix old fragments with new" in browser.text
    must("package", "unaffect", package, "--all", data=data)
    browser.submit("Update")
    assert "“New file” is changed." in browser.text
    assert rows(data, "SELECT size FROM package WHERE id = ?", int(package)) == [(len(other),)]


def test_a_taken_name_is_refused_and_another_package_is_not_touched(console: Console) -> None:
    build(console.data, "Taken")
    browser = console.browser.get("/packages/build")
    browser.submit("Send", name="Taken", os="LINUX", action="EXECUTE", command="true")
    assert "has this name already" in browser.text
    browser.submit("Send", name="Free")
    browser.submit("Build")
    assert "“Free” is built" in browser.text


def test_a_file_that_is_no_archive_inside_is_refused_by_the_build_and_the_draft_stays(console: Console) -> None:
    bad = zip_of({"a": b"1" * 5000})[:-30]
    form = {"name": "Broken", "os": "WINDOWS", "action": "STORE", "path": "C:\\x"}
    browser = upload(console.browser, form, "b.zip", bad)
    browser.submit("Build")
    assert browser.status == 400
    assert "pack it again" in browser.text
    assert drafts(console, "Broken") == 1
    assert rows(console.data, "SELECT 1 FROM package WHERE name = 'Broken'") == []
