"""A package's info file. Source: protocol.md, section 4."""

from __future__ import annotations

from appliance.domain.package import Action, Info, Notice, PackageId, Protocol
from appliance.wire import markup
from appliance.wire.malformed import Malformed

LARGEST = 256 * 1024  # bytes (security.md A4)


class BadParameter(Malformed):
    """It is an info file, with a value in it that no agent can use."""


_ARGUMENT = {Action.LAUNCH: "NAME", Action.EXECUTE: "COMMAND", Action.STORE: "PATH"}


def encode(info: Info) -> bytes:
    """The info file: one empty DOWNLOAD element with every attribute that genuine agents look for."""
    notice = info.notice
    return markup.write(
        markup.Element(
            "DOWNLOAD",
            {
                "ID": info.package,
                "PRI": str(info.priority),
                "ACT": info.action.value,
                "DIGEST": info.digest,
                "PROTO": info.protocol.value,
                "FRAGS": str(info.fragments),
                "DIGEST_ALGO": info.digest_algorithm,
                "DIGEST_ENCODE": info.digest_encoding,
                _ARGUMENT[info.action]: info.argument,
                "NOTIFY_USER": "1" if notice else "0",
                "NOTIFY_TEXT": notice.text if notice else "",
                "NOTIFY_COUNTDOWN": str(notice.countdown) if notice else "",
                "NOTIFY_CAN_ABORT": "1" if notice and notice.may_cancel else "0",
                "NOTIFY_CAN_DELAY": "1" if notice and notice.may_delay else "0",
                "NEED_DONE_ACTION": "1" if info.done_text else "0",
                "NEED_DONE_ACTION_TEXT": info.done_text,
                "GARDEFOU": "rien",
            },
        )
    )


def decode(data: bytes) -> Info:
    """The Info in an info file of ours or of a genuine server. Raises Malformed, of it BadParameter for a value."""
    root = markup.read(data, markup.MarkupLimits(depth=4, elements=16, attributes=64))
    if root.tag != "DOWNLOAD":
        raise Malformed("the info file's root element is not DOWNLOAD")
    values = root.attrib
    try:
        action = Action(values.get("ACT", "").upper())
        protocol = Protocol(values.get("PROTO", "HTTP").upper() or "HTTP")
    except ValueError:
        raise BadParameter("the info file names an action or protocol that nobody knows") from None
    notice = None
    if values.get("NOTIFY_USER") == "1":
        notice = Notice(
            text=values.get("NOTIFY_TEXT", ""),
            countdown=_number(values.get("NOTIFY_COUNTDOWN", "") or "120", "NOTIFY_COUNTDOWN"),
            may_cancel=values.get("NOTIFY_CAN_ABORT") == "1",
            may_delay=values.get("NOTIFY_CAN_DELAY") == "1",
        )
    return Info(
        package=PackageId(values.get("ID", "")),
        priority=_number(values.get("PRI", ""), "PRI"),
        action=action,
        argument=values.get(_ARGUMENT[action], ""),
        fragments=_number(values.get("FRAGS", ""), "FRAGS"),
        digest=values.get("DIGEST", ""),
        digest_algorithm=values.get("DIGEST_ALGO", "") or "MD5",
        digest_encoding=values.get("DIGEST_ENCODE", "") or "Hexa",
        protocol=protocol,
        notice=notice,
        done_text=values.get("NEED_DONE_ACTION_TEXT", "") if values.get("NEED_DONE_ACTION") == "1" else "",
    )


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BadParameter(f"the info file's {name} is not a number")
    return int(text)
