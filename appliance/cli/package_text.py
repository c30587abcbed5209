"""Packages and their statistics as text and as JSON with stable keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from appliance.cli.text import print_json, print_table, shown
from appliance.clock import iso, stamp
from appliance.domain.eligibility import sentence
from appliance.domain.fragments import show_size
from appliance.domain.package import Action
from appliance.operations.package_facts import PackageFacts, Stand


def print_list(packages: Sequence[PackageFacts], *, as_json: bool) -> None:
    """All packages."""
    if as_json:
        print_json([package_document(facts) for facts in packages])
        return
    print_table(
        (
            "ID",
            "NAME",
            "OS",
            "ACTION",
            "PRI",
            "FRAGMENTS",
            "SIZE",
            "ACTIVE",
            "NOT NOTIFIED",
            "NOTIFIED",
            "SUCCESS",
            "ERRORS",
        ),
        [
            (
                facts.package.id,
                facts.package.order.name,
                facts.package.order.system.value,
                facts.package.order.action.value,
                facts.package.order.priority,
                facts.package.payload.fragments if facts.package.payload else 0,
                show_size(facts.package.payload.size) if facts.package.payload else "-",
                "yes" if facts.activations else "no",
                facts.counts.waiting,
                facts.counts.notified,
                facts.counts.success,
                facts.counts.error,
            )
            for facts in packages
        ],
    )


def print_package(facts: PackageFacts, *, as_json: bool) -> None:
    """One package."""
    document = package_document(facts)
    if as_json:
        print_json(document)
        return
    for key, value in document.items():
        if key == "activations":
            for activation in facts.activations:
                print(
                    f"activation {activation.id}: info https://{activation.info_location}, "
                    f"fragments {facts.package.order.protocol.value.lower()}://{activation.fragment_location}, "
                    f"{stamp(activation.activated_at)}"
                )
        elif value is not None and value != "":
            print(f"{key}: {shown(value)}")


def print_stats(facts: PackageFacts, stands: Sequence[Stand], *, as_json: bool) -> None:
    """A package's statistics."""
    counts, package = facts.counts, facts.package
    if as_json:
        print_json(
            {
                "id": package.id,
                "name": package.order.name,
                "waiting": counts.waiting,
                "notified": counts.notified,
                "success": counts.success,
                "error": counts.error,
                "already": counts.already,
                "computers": [stand_document(stand) for stand in stands],
            }
        )
        return
    print(f"{package.id}  {shown(package.order.name)}")
    print(
        f"not notified {counts.waiting}, notified {counts.notified}, success {counts.success} "
        f"(of these there before: {counts.already}), errors {counts.error}"
    )
    if stands:
        print_table(
            ("COMPUTER", "STATUS", "RECEIVED", "AT", "WHY"),
            [(s.computer, s.status, s.received, stamp(s.at), why(s)) for s in stands],
        )


def package_document(facts: PackageFacts) -> dict[str, Any]:
    """A package with its stable keys."""
    package, order, payload = facts.package, facts.package.order, facts.package.payload
    return {
        "id": package.id,
        "name": order.name,
        "description": order.description,
        "os": order.system.value.lower(),
        "protocol": order.protocol.value.lower(),
        "priority": order.priority,
        "action": order.action.value.lower(),
        "command": order.argument if order.action is not Action.STORE else None,
        "path": order.argument if order.action is Action.STORE else None,
        "warn": asdict(order.notice) if order.notice else None,
        "done_text": order.done_text,
        "size": payload.size if payload else 0,
        "fragment_size": payload.fragment_size if payload else 0,
        "fragments": payload.fragments if payload else 0,
        "md5": payload.md5 if payload else None,
        "sha256": payload.sha256 if payload else None,
        "built": iso(package.built_at),
        "activations": [
            {
                "id": activation.id,
                "info_url": activation.info_location,
                "fragment_url": activation.fragment_location,
                "at": iso(activation.activated_at),
            }
            for activation in facts.activations
        ],
        **asdict(facts.counts),
    }


def stand_document(stand: Stand) -> dict[str, Any]:
    """One computer's line with its stable keys."""
    return {
        "computer": stand.computer,
        "deviceid": stand.device_id,
        "status": stand.status,
        "received": stand.received,
        "at": iso(stand.at),
        "why": why(stand),
    }


def why(stand: Stand) -> str:
    """The reason in one sentence."""
    return sentence(stand.why, stamp)
