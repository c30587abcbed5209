"""A package on its way to be built: the form as it was filled in, and how far its file has come."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NewType, TypeVar

from appliance.domain.package import Action, Notice, Order, PackageId, Protocol, System
from appliance.domain.recipes import FILE
from appliance.domain.refusal import invalid

DraftId = NewType("DraftId", str)
Choice = TypeVar("Choice", bound=Enum)

FIELDS = (
    *("recipe", "name", "description", "os", "protocol", "priority", "action", "command", "path"),
    *("warn-user", "warn-text", "warn-countdown", "may-cancel", "may-delay", "done-action", "done-text", "script"),
)
LONGEST_FORM = 2 * 1024 * 1024  # characters of all values together
_YES = frozenset({"1", "yes", "on", "true"})


@dataclass(frozen=True)
class Draft:
    """A draft. `member` is the name of the one file in an archive that the server packed itself."""

    id: DraftId
    form: Mapping[str, str]
    package: PackageId | None  # the one that is edited; None: a new one
    file_name: str
    size: int  # as announced; 0 while no file was, or where it is not known before its end
    piece: int  # bytes of the pieces that it is kept in
    member: str
    changed_at: int

    @property
    def packed_size(self) -> int:
        """Bytes of the archive that the server packed itself; 0 for a file as it came."""
        return self.size if self.member else 0


def is_draft_id(text: str) -> bool:
    """Whether text has the shape of a draft's id."""
    return re.fullmatch(r"[0-9a-f]{32}", text) is not None


def form_values(form: Mapping[str, str]) -> dict[str, str]:
    """The fields that a package's form has, in its order; others are left out. Raises Refusal."""
    values = {name: form[name] for name in FIELDS if name in form}
    if sum(len(value) for value in values.values()) > LONGEST_FORM:
        raise invalid("name", "the form holds more text than fits into a package; shorten it.")
    return values


def form_of(order: Order) -> dict[str, str]:
    """The form that describes an order, to be edited."""
    notice = order.notice
    return {
        "name": order.name,
        "description": order.description,
        "os": order.system.value,
        "protocol": order.protocol.value,
        "priority": str(order.priority),
        "action": order.action.value,
        "path" if order.action is Action.STORE else "command": order.argument,
        "warn-user": "yes" if notice else "no",
        "warn-text": notice.text if notice else "",
        "warn-countdown": str(notice.countdown) if notice else "",
        "may-cancel": "yes" if notice and notice.may_cancel else "no",
        "may-delay": "yes" if notice and notice.may_delay else "no",
        "done-action": "yes" if order.done_text else "no",
        "done-text": order.done_text,
    }


def order_of(form: Mapping[str, str], member: str = "") -> Order:
    """What a form orders. `member` takes the place of {file} in the command. Raises Refusal naming the field.

    Only what a form adds is looked at here; `package.checked` holds the rules of a package.
    """
    action = _choice(form, "action", Action, Action.EXECUTE.value)
    field = "path" if action is Action.STORE else "command"
    argument = form.get(field, "")
    if FILE in argument and form.get("recipe"):
        if not member:
            raise invalid(
                field, "{place} stands for a single file; write what is to be run from your archive.", place=FILE
            )
        argument = argument.replace(FILE, member)
    return Order(
        name=form.get("name", ""),
        system=_choice(form, "os", System, ""),
        action=action,
        argument=argument,
        description=form.get("description", "").replace("\r\n", "\n"),
        protocol=_choice(form, "protocol", Protocol, Protocol.HTTP.value),
        priority=_number(form, "priority", 5),
        notice=_notice(form),
        done_text=_done_text(form),
    )


def _notice(form: Mapping[str, str]) -> Notice | None:
    text = form.get("warn-text", "").replace("\r\n", "\n")
    if not _is_yes(form, "warn-user", bool(text.strip())):
        return None
    return Notice(
        text, _number(form, "warn-countdown", 0), _is_yes(form, "may-cancel", False), _is_yes(form, "may-delay", False)
    )


def _done_text(form: Mapping[str, str]) -> str:
    text = form.get("done-text", "").replace("\r\n", "\n")
    if not _is_yes(form, "done-action", bool(text.strip())):
        return ""
    if not text.strip():
        raise invalid("done-text", "write what the user is to do at the end.")
    return text


def _is_yes(form: Mapping[str, str], field: str, default: bool) -> bool:
    return form[field].strip().lower() in _YES if field in form else default


def _choice(form: Mapping[str, str], field: str, kind: type[Choice], default: str) -> Choice:
    text = form.get(field, "").strip().upper() or default
    for choice in kind:
        if choice.value == text:
            return choice
    choices = ", ".join(str(choice.value) for choice in kind)
    raise invalid(field, "{text!r} is none of {choices}.", text=text[:40], choices=choices)


def _number(form: Mapping[str, str], field: str, default: int) -> int:
    text = form.get(field, "").strip()
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise invalid(field, "{text!r} is not a whole number.", text=text[:40])
    return int(text)
