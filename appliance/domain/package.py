"""What a package is and what makes one valid. Source: the manual, "Creating/Build the package"; protocol.md 4 and 8."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import NewType

from appliance.domain.refusal import Term, invalid

PackageId = NewType("PackageId", str)  # ten digits, below 2**31, never used again

LONGEST_NAME = 255
LONGEST_TEXT = 8 * 1024
LONGEST_COMMAND = 4096
LONGEST_WINDOWS_COMMAND = 254  # the genuine Windows agent's buffer (protocol.md, quirk 17)
LAST_ID = 2**31 - 1  # the genuine server keeps history as a signed 32 bit number

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff\ud800-\udfff]")


class Action(str, Enum):
    """What a computer does with a package, in the info file's spelling."""

    LAUNCH = "LAUNCH"
    EXECUTE = "EXECUTE"
    STORE = "STORE"


class System(str, Enum):
    """The operating system that a package is for."""

    WINDOWS = "WINDOWS"
    LINUX = "LINUX"
    MACOS = "MACOS"


class Protocol(str, Enum):
    """How fragments travel; info always travels over TLS."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"


@dataclass(frozen=True)
class Notice:
    """Warn user: shown before the action. `countdown` in seconds, 0 waits for an answer."""

    text: str
    countdown: int = 0
    may_cancel: bool = False
    may_delay: bool = False


@dataclass(frozen=True)
class Order:
    """What the person who builds a package asks for. `argument` is the command, or the path for Store."""

    name: str
    system: System
    action: Action
    argument: str
    description: str = ""
    protocol: Protocol = Protocol.HTTP
    priority: int = 5
    notice: Notice | None = None
    done_text: str = ""  # not empty: the user confirms at the end, before the result is sent


@dataclass(frozen=True)
class Payload:
    """A package's file as it was cut: sizes in bytes, digests in lower-case hex over the joined fragments."""

    size: int
    fragment_size: int
    fragments: int
    md5: str
    sha256: str
    format: str  # "zip" or "tar.gz"


@dataclass(frozen=True)
class Package:
    """A built package."""

    id: PackageId
    order: Order
    payload: Payload | None  # None: a command without a file
    built_at: int  # seconds since 1970


@dataclass(frozen=True)
class Info:
    """The info file's content, as agents read it (protocol.md, section 4)."""

    package: PackageId
    priority: int
    action: Action
    argument: str
    fragments: int = 0
    digest: str = ""
    digest_algorithm: str = "MD5"
    digest_encoding: str = "Hexa"
    protocol: Protocol = Protocol.HTTP
    notice: Notice | None = None
    done_text: str = ""


@dataclass(frozen=True)
class Piece:
    """One fragment in the manifest: size in bytes, SHA-256 in lower-case hex."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What our own agent verifies beyond MD5 (product.md, section 2)."""

    package: PackageId
    name: str
    size: int
    sha256: str
    pieces: tuple[Piece, ...]
    info_sha256: str = ""  # binds this manifest to the info file it was built with


def info_of(package: Package) -> Info:
    """The info file that describes a built package: MD5 in hex, all that genuine Unix agents verify."""
    order, payload = package.order, package.payload
    return Info(
        package=package.id,
        priority=order.priority,
        action=order.action,
        argument=order.argument,
        fragments=payload.fragments if payload else 0,
        digest=payload.md5 if payload else "",
        protocol=order.protocol,
        notice=order.notice,
        done_text=order.done_text,
    )


def next_id(last: int, now: int) -> PackageId:
    """The id of a package built now: the time, or one more than the last where the clock stands or goes back.

    A clock beyond the last id, by mistake or in 2038, does not end the building: it counts on from the last.
    """
    number = max(now if now <= LAST_ID else 0, last + 1, 1_000_000_000)
    if number > LAST_ID:
        raise ValueError("no ten-digit package id below 2**31 is left")
    return PackageId(str(number))


def is_package_id(text: str) -> bool:
    """Whether text has the shape of a package id of ours."""
    return len(text) == 10 and text.isascii() and text.isdigit()


def program_of(order: Order) -> str:
    """The archive member that Launch starts: the command's first word, quotes removed.

    The genuine Unix agent cuts at the first space or hyphen (protocol.md 5.1).
    """
    command = order.argument.strip()
    if command.startswith('"') and '"' in command[1:]:
        return command[1:].split('"', 1)[0]
    return re.split(r"\s", command, maxsplit=1)[0]


def checked(order: Order, *, file_format: str | None) -> Order:
    """The order, stripped at its ends where that changes nothing, or a Refusal that names the field.

    file_format: "zip", "tar.gz", or None when there is no file. Existing names are the store's business.
    """
    order = replace(order, name=order.name.strip())
    if order.action is Action.LAUNCH:
        order = replace(order, argument=order.argument.strip())  # OCS Unix agents cut at the first space
    _text("name", order.name, LONGEST_NAME)
    if not order.name:
        raise invalid("name", "a package needs a name.")
    _text("description", order.description, LONGEST_TEXT)
    if not 0 <= order.priority <= 10:
        raise invalid(
            "priority", "{priority} is not a priority; choose 0 (first, alone) to 10 (last).", priority=order.priority
        )
    _argument(order)
    _file(order, file_format)
    if order.notice:
        _notice(order.notice)
    _text("done-text", order.done_text, LONGEST_TEXT)
    return order


def _argument(order: Order) -> None:
    field = "path" if order.action is Action.STORE else "command"
    if not order.argument.strip():
        what = Term("a folder on the computers") if order.action is Action.STORE else Term("the command to run")
        raise invalid(field, "the action {value} needs {what}.", value=Term(order.action.value.title()), what=what)
    longest = LONGEST_WINDOWS_COMMAND if order.system is System.WINDOWS else LONGEST_COMMAND
    _text(field, order.argument, longest)
    if order.action is not Action.LAUNCH:
        return
    program = program_of(order)
    if not program:
        raise invalid(field, "Launch needs the name of a program in the archive.")
    if "/" in program or "\\" in program:
        raise invalid(
            field, "{program!r} has a path; Launch takes the program's name at the archive's top.", program=program[:80]
        )
    if order.system is not System.WINDOWS and order.argument.startswith('"'):
        raise invalid(field, "OCS Unix agents take the quotes as part of the program's name; write it without.")
    if order.system is not System.WINDOWS and "-" in program:
        raise invalid(
            field,
            "{program!r} has a hyphen, where OCS Unix agents cut the name; rename the program in the archive.",
            program=program[:80],
        )


def _file(order: Order, file_format: str | None) -> None:
    if file_format is None:
        if order.action is not Action.EXECUTE:
            raise invalid(
                "file", "the action {value} needs a .zip or .tar.gz file.", value=Term(order.action.value.title())
            )
        return
    if file_format not in ("zip", "tar.gz"):
        raise invalid("file", "only .zip and .tar.gz files can be deployed.")
    if order.system is System.WINDOWS and file_format != "zip":
        raise invalid("file", "Windows agents unpack only .zip; pack the files as .zip.")


def _notice(notice: Notice) -> None:
    if not notice.text.strip():
        raise invalid("warn-text", "to warn the user takes a text.")
    _text("warn-text", notice.text, LONGEST_TEXT)
    if not 0 <= notice.countdown <= 9999:
        raise invalid(
            "warn-countdown", "{countdown} is not a countdown; choose 0 to 9999 seconds.", countdown=notice.countdown
        )


def _text(field: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise invalid(field, "{text} characters are more than {longest}.", text=len(text), longest=longest)
    if _CONTROL.search(text):
        raise invalid(field, "it has a control character, which no info file can carry; take it out.")
