"""A form becomes an order, an order its form again; every field that is wrong is named."""

from __future__ import annotations

import pytest

from appliance.domain.draft import FIELDS, LONGEST_FORM, form_of, form_values, is_draft_id, order_of
from appliance.domain.package import Action, Notice, Order, Protocol, System
from appliance.domain.refusal import Refusal

FULL = Order(
    "Player",
    System.MACOS,
    Action.STORE,
    "/opt/p",
    "two\nlines",
    Protocol.HTTPS,
    3,
    Notice("Beware", 60, True, False),
    "Click on Finish",
)


@pytest.mark.parametrize("order", [FULL, Order("p", System.LINUX, Action.EXECUTE, "true")])
def test_an_orders_form_makes_the_order_again(order: Order) -> None:
    form = form_of(order)
    assert set(form) <= set(FIELDS)
    assert order_of(form) == order


def test_what_browsers_send_is_understood() -> None:
    form = {"name": "x", "os": "linux", "command": "a", "description": "1\r\n2", "may-cancel": "on", "priority": " "}
    order = order_of({**form, "warn-user": "yes", "warn-text": "t\r\nu", "warn-countdown": "5"})
    assert order.description == "1\n2"
    assert order.priority == 5
    assert order.notice == Notice("t\nu", 5, True, False)
    assert order_of({**form, "warn-text": "t"}).notice == Notice("t", 0, True, False)
    assert order_of({**form, "warn-user": "no", "warn-text": "t"}).notice is None
    assert order_of({**form, "done-action": "no", "done-text": "t"}).done_text == ""


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("os", {}),
        ("os", {"os": "BEOS"}),
        ("action", {"action": "JUMP"}),
        ("protocol", {"protocol": "FTP"}),
        ("priority", {"priority": "high"}),
        ("warn-countdown", {"warn-text": "x", "warn-countdown": "-1"}),
        ("done-text", {"done-action": "yes"}),
    ],
)
def test_a_field_that_is_wrong_is_named(field: str, values: dict[str, str]) -> None:
    form = {"os": "LINUX"} if values and "os" not in values else {}
    with pytest.raises(Refusal) as refused:
        order_of({**form, **values})
    assert refused.value.field == field


def test_only_known_fields_are_kept_and_not_without_end() -> None:
    assert form_values({"csrf": "1", "name": "x", "recipe": "msi"}) == {"recipe": "msi", "name": "x"}
    with pytest.raises(Refusal):
        form_values({"description": "x" * (LONGEST_FORM + 1)})


def test_draft_ids() -> None:
    assert is_draft_id("0" * 32)
    assert not any(is_draft_id(text) for text in ("", "../x", "0" * 31, "G" * 32, "0" * 32 + "\n"))
