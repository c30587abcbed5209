"""Options, agent.cfg, the base directory and its lock: what the agent runs with, and when it does not run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.agent import basedir
from appliance.agent.failure import Unusable
from appliance.agent.settings import complete, gather

unix = pytest.mark.skipif(os.name == "nt", reason="modes as on Unix")


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("ocs.example.org", "http://ocs.example.org/ocsinventory"),
        ("ocs.example.org:8080", "http://ocs.example.org:8080/ocsinventory"),
        ("[::1]:8080", "http://[::1]:8080/ocsinventory"),
        ("host/other", "http://host/other"),
        ("http://host", "http://host/ocsinventory"),
        ("https://host:4343/", "https://host:4343/ocsinventory"),
        (" https://host/ocsinventory ", "https://host/ocsinventory"),
    ],
)
def test_a_bare_host_is_completed(typed: str, url: str) -> None:
    assert complete(typed) == url


@pytest.mark.parametrize(
    "typed", ["", "ftp://host", "http://", "http://u:p@host", "a b", "host:99999", "http://[x", "h\u00f6st"]
)
def test_what_is_no_server_is_refused_in_one_sentence(typed: str) -> None:
    with pytest.raises(Unusable) as caught:
        complete(typed)
    assert "\n" not in str(caught.value)


def config(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "agent.cfg"
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    config(
        tmp_path,
        "# ours\nserver = one.example.org\ntag=PARIS \n\n; old\nssl = 1\nuser = me\npassword = p = q\ndebug = 1",
    )
    settings, warnings = gather(["--basedir", str(tmp_path), "--server", "two.example.org", "--once"])
    assert settings.server == "http://two.example.org/ocsinventory"
    assert (settings.tag, settings.user, settings.password) == ("PARIS", "me", "p = q")
    assert (settings.debug, settings.once, settings.bundle) == (True, True, tmp_path / "cacert.pem")
    assert [warning for warning in warnings if "'ssl'" in warning]


@unix
@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        ("password = x", 0o640, "chmod 600"),
        ("password = x", 0o604, "chmod 600"),
        ("server = x", 0o622, "written by others"),
        ("server", 0o600, "line 1"),
    ],
)
def test_a_config_that_is_not_safe_or_not_clear_is_refused(tmp_path: Path, text: str, mode: int, told: str) -> None:
    config(tmp_path, text, mode)
    with pytest.raises(Unusable, match=told):
        gather(["--basedir", str(tmp_path), "--server", "x"])


def test_a_password_among_the_arguments_is_warned_of_without_telling_it(tmp_path: Path) -> None:
    _, warnings = gather(["--basedir", str(tmp_path), "--server", "x", "--password", "hunter2"])
    assert len(warnings) == 1
    assert "hunter2" not in warnings[0]


@pytest.mark.parametrize("arguments", [["--bogus"], ["dance"], ["--ca"], ["--serv", "x"]])
def test_wrong_usage_leaves_with_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        gather(arguments)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


# The base directory


@unix
def test_the_base_directory_is_made_private(tmp_path: Path) -> None:
    folder = basedir.prepare(tmp_path / "deep" / "agent")
    assert folder.stat().st_mode & 0o777 == 0o700


@unix
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_base_directory_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent").chmod(mode)
    with pytest.raises(Unusable, match="written by others"):
        basedir.prepare(tmp_path / "agent")


@unix
def test_a_base_directory_below_one_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    above = tmp_path / "above"
    above.mkdir()
    above.chmod(0o777)
    with pytest.raises(Unusable, match="choose another place"):
        basedir.prepare(above / "agent")


@unix
def test_a_base_directory_that_is_a_link_or_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(Unusable, match="is a link"):
        basedir.prepare(tmp_path / "link")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unusable):
        basedir.prepare(tmp_path / "file")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs root to give a folder away")
def test_a_base_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    with pytest.raises(Unusable, match="another user"):
        basedir.prepare(folder)


def test_a_second_engine_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    with basedir.lock(tmp_path):
        with pytest.raises(Unusable, match=rf"at work in .* \(process {os.getpid()}\)"):
            basedir.lock(tmp_path)
        assert basedir.is_held(tmp_path)
    assert not basedir.is_held(tmp_path)
    basedir.lock(tmp_path).close()
