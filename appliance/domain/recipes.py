"""Common packages as filled-in forms: what a choice of recipe writes into the fields, and what it asks for beside them.

Titles and hints are whole English sentences or names, said in the reader's language by the console. `{file}` in a
command stands for the name of the one file that the server packs (protocol.md 7: the console packs single files).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from appliance.domain.archive import RESERVED
from appliance.domain.package import Action, System
from appliance.domain.refusal import invalid

FILE = "{file}"
LONGEST_SCRIPT = 256 * 1024  # characters
LONGEST_MEMBER = 100
INSTALL_PATH = "INSTALL_PATH"  # agents put their own folder in its place (protocol.md 5)


class Takes(str, Enum):
    """What a recipe needs besides the form's own fields."""

    SINGLE = "single"  # the bare file, packed by the server; an archive is taken as well
    SCRIPT = "script"  # a text typed into the page
    AGENT = "agent"  # our agent's own file: the one that the server carries, or another one uploaded


@dataclass(frozen=True)
class Recipe:
    """One choice. `values` are the form's fields by name; `endings` of the files that are packed."""

    id: str
    title: str
    hint: str
    takes: Takes
    systems: tuple[System, ...]
    values: Mapping[str, str]
    endings: tuple[str, ...] = ()
    member: str = ""  # the script's or agent's name in the archive


def _values(system: System, action: Action, argument: str, priority: int = 5) -> dict[str, str]:
    return {
        "os": system.value,
        "action": action.value,
        "path" if action is Action.STORE else "command": argument,
        "priority": str(priority),
    }


RECIPES = (
    Recipe(
        "msi",
        "Windows Installer (.msi)",
        "Upload the .msi as it is. It is installed silently; a restart, where one is needed, is left to the user.",
        Takes.SINGLE,
        (System.WINDOWS,),
        _values(System.WINDOWS, Action.EXECUTE, "msiexec.exe /i {file} /qn /norestart"),
        (".msi",),
    ),
    Recipe(
        "exe",
        "Silent installer (.exe)",
        "Upload the .exe as it is. /S is what NSIS installers take; Inno Setup takes /VERYSILENT /NORESTART.",
        Takes.SINGLE,
        (System.WINDOWS,),
        _values(System.WINDOWS, Action.LAUNCH, "{file} /S"),
        (".exe",),
    ),
    Recipe(
        "shell",
        "Shell script",
        "Type the script into the page. Its exit status is the result: 0 is a success.",
        Takes.SCRIPT,
        (System.LINUX, System.MACOS),
        _values(System.LINUX, Action.LAUNCH, "script.sh"),
        member="script.sh",
    ),
    Recipe(
        "powershell",
        "PowerShell script",
        "Type the script into the page. Its exit code is the result: 0 is a success.",
        Takes.SCRIPT,
        (System.WINDOWS,),
        _values(
            System.WINDOWS,
            Action.EXECUTE,
            "powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -File script.ps1",
        ),
        member="script.ps1",
    ),
    Recipe(
        "deb",
        "Debian package (.deb)",
        "Upload the .deb as it is. What it depends on is installed from the computer's own sources.",
        Takes.SINGLE,
        (System.LINUX,),
        _values(System.LINUX, Action.EXECUTE, "DEBIAN_FRONTEND=noninteractive apt-get install --yes ./{file}"),
        (".deb",),
    ),
    Recipe(
        "rpm",
        "RPM package (.rpm)",
        "Upload the .rpm as it is. dnf installs it with what it depends on, or yum, or zypper, as the computer has.",
        Takes.SINGLE,
        (System.LINUX,),
        _values(
            System.LINUX,
            Action.EXECUTE,
            "$(command -v dnf || command -v yum || echo zypper --non-interactive --no-gpg-checks) install -y ./{file}",
        ),
        (".rpm",),
    ),
    Recipe(
        "agent",
        "New version of our agent",
        "Nothing to upload: the server packs the agent that it carries. Computers take it up after the deployment.",
        Takes.AGENT,
        (System.LINUX, System.WINDOWS, System.MACOS),
        _values(System.LINUX, Action.STORE, f"{INSTALL_PATH}/update"),
        (".pyz",),
        member="ocs-agent.pyz",
    ),
)
RECIPE: Mapping[str, Recipe] = {recipe.id: recipe for recipe in RECIPES}


def recipe_of(form: Mapping[str, str]) -> Recipe | None:
    """The recipe that a form names; None where it names none. Raises Refusal."""
    name = form.get("recipe", "")
    if name and name not in RECIPE:
        raise invalid("recipe", "{name!r} is no recipe.", name=name[:40])
    return RECIPE.get(name)


def script_bytes(recipe: Recipe, text: str) -> bytes:
    """A typed script as its interpreter reads it: line ends, first line, encoding mark. Raises Refusal."""
    if not text.strip():
        raise invalid("script", "type the script that the computers run.")
    if len(text) > LONGEST_SCRIPT:
        raise invalid(
            "script", "{length} characters are more than {longest}.", length=len(text), longest=LONGEST_SCRIPT
        )
    if "\0" in text or re.search("[\ud800-\udfff]", text):
        raise invalid("script", "it has a character that no script may have; take it out.")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n") + "\n"
    if recipe.member.endswith(".ps1"):
        return (
            b"\xef\xbb\xbf" + lines.replace("\n", "\r\n").encode()
        )  # without the mark it is read in a local code page
    return (lines if lines.startswith("#!") else f"#!/bin/sh\n{lines}").encode()


def member_name(file_name: str, system: System, action: Action) -> str:
    """The name of a single file in the archive that the server packs: one that every agent and shell takes as it is."""
    name = re.split(r"[/\\]", file_name)[-1].strip()
    if action is not Action.STORE:
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", plain).lstrip(".-")
        if action is Action.LAUNCH and system is not System.WINDOWS:
            name = name.replace("-", "_")  # OCS Unix agents cut the command there
        name = f"_{name}" if RESERVED.fullmatch(name) else name
    stem, dot, ending = name.rpartition(".")
    if dot and len(name) > LONGEST_MEMBER and len(ending) < 10:
        name = f"{stem[: LONGEST_MEMBER - len(ending) - 1]}.{ending}"
    return name[:LONGEST_MEMBER] or "file"
