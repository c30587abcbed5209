"""Certificates: what is installed and until when, cacert.pem, and the way to one of an own PKI."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aiohttp import web

from appliance.clock import iso
from appliance.domain.account import Right
from appliance.domain.package import System
from appliance.domain.refusal import invalid
from appliance.operations.certificates import (
    Installed,
    certificates,
    export_authority,
    install_certificate,
    renew_certificate,
    request_certificate,
)
from appliance.operations.rotation import build_bundle_package, finish_rotation, rotate_authority
from appliance.web.api.frame import ApiRoute, Call, Doc
from appliance.web.api.schema import asked, flag, moment, named, number, one_of, or_null, rows, text, told

PEM_TYPE = "application/x-pem-file"
LARGEST_PEM = 256 * 1024
SURE = "say true: every computer has to learn the new authority."
SUBJECT = {
    "organisation": "Organisation (O).",
    "unit": "Organisational unit (OU).",
    "place": "Town (L).",
    "region": "State or province (ST).",
    "country": "Country, two letters (C).",
}
CERTIFICATE = named(
    "Certificate",
    told(
        subject=text(),
        issuer=text(),
        names=rows(text()),
        valid_from=moment(),
        valid_until=moment(),
        days_left=number("Below 0: it has ended.", -(2**53)),
        fingerprint=text("SHA-256."),
        key=text(),
    ),
)
INSTALLED = named(
    "Certificates",
    told(
        server=CERTIFICATE,
        own=flag("Whether our own authority issued it, which renews it by itself."),
        server_name=text("As which agents know this server."),
        authority=CERTIFICATE,
        former_authority=or_null(CERTIFICATE),
        computers=or_null(told(seen=number("Lately."), knowing=number("The new authority."))),
        other_roots=rows(CERTIFICATE),
        request=text('A request whose certificate is not installed yet, PEM; "": none.'),
        requested_names=rows(text()),
        requested_at=or_null(moment()),
        remarks=rows(text(), "What is to be done about them."),
    ),
)
NAMES = rows(text(maxLength=255), "DNS names and addresses.", maxItems=100)
PEM = text("PEM.", maxLength=LARGEST_PEM)


async def show(call: Call) -> object:
    """What is installed, until when, and what is to be done about it."""
    return _document(await certificates(call.desk))


async def bundle(call: Call) -> web.StreamResponse:
    """cacert.pem: what agents verify this server with."""
    return web.Response(text=await export_authority(call.desk), content_type=PEM_TYPE)


async def request(call: Call) -> object:
    """A certificate request for an own PKI; its key stays here."""
    body = call.body
    subject = {part: body[part] for part in SUBJECT if part in body}
    return {"request": await request_certificate(call.desk, body.get("names", []), **subject)}


async def install(call: Call) -> object:
    """Install what an own PKI issued, all up to its root; the server takes it up at once."""
    body = call.body
    return _document(await install_certificate(call.desk, body["cert"], body.get("chain", ""), body.get("key")))


async def renew(call: Call) -> object:
    """A new server certificate of our own authority; the server takes it up at once."""
    return _document(await renew_certificate(call.desk, call.body.get("names", [])))


async def rotate(call: Call) -> object:
    """A new authority, signed by the present one; any_name: not bound to the site's domains."""
    _must_be_sure(call)
    await rotate_authority(call.desk, any_name=call.body["any_name"])
    return _document(await certificates(call.desk))


async def finish(call: Call) -> object:
    """Take the old authority out; force: although there are computers that know only that one."""
    _must_be_sure(call)
    await finish_rotation(call.desk, force=call.body["force"])
    return _document(await certificates(call.desk))


async def bundle_package(call: Call) -> object:
    """Build a Store package that brings cacert.pem to genuine agents of one operating system."""
    body = call.body
    return {"id": (await build_bundle_package(call.desk, System(body["os"].upper()), body["folder"])).id}


def _must_be_sure(call: Call) -> None:
    if not call.body["sure"]:
        raise invalid("sure", SURE)


def _document(installed: Installed) -> dict[str, Any]:
    def facts(one: Any) -> dict[str, Any]:
        told_of = {**asdict(one), "valid_from": iso(one.valid_from), "valid_until": iso(one.valid_until)}
        return {**told_of, "names": list(one.names)}

    rotation = installed.rotation
    return {
        "server": facts(installed.server),
        "own": installed.own,
        "server_name": installed.server_name,
        "authority": facts(installed.authority),
        "former_authority": facts(rotation.former) if rotation else None,
        "computers": {"seen": rotation.seen, "knowing": rotation.knowing} if rotation else None,
        "other_roots": [facts(root) for root in installed.foreign_roots],
        "request": installed.request,
        "requested_names": list(installed.request_names),
        "requested_at": iso(installed.request_at) if installed.request else None,
        "remarks": [str(remark) for remark in installed.remarks],
    }


ROUTES = (
    ApiRoute("GET", "/api/v1/certificates", show, doc=Doc(INSTALLED)),
    ApiRoute("GET", "/api/v1/certificates/cacert.pem", bundle, Right.SIGNED_IN, Doc(text(), kind=PEM_TYPE)),
    ApiRoute(
        "POST",
        "/api/v1/certificates/request",
        request,
        doc=Doc(
            told(request=text("PEM.")),
            asked("", names=NAMES, **{part: text(name, maxLength=128) for part, name in SUBJECT.items()}),
        ),
    ),
    ApiRoute(
        "POST",
        "/api/v1/certificates/install",
        install,
        doc=Doc(INSTALLED, asked("cert", cert=PEM, chain=PEM, key=or_null(PEM))),
    ),
    ApiRoute("POST", "/api/v1/certificates/renew", renew, doc=Doc(INSTALLED, asked("", names=NAMES))),
    ApiRoute(
        "POST",
        "/api/v1/certificates/rotate",
        rotate,
        doc=Doc(INSTALLED, asked("sure", sure=flag("You mean it."), any_name=flag(default=False))),
    ),
    ApiRoute(
        "POST",
        "/api/v1/certificates/finish",
        finish,
        doc=Doc(INSTALLED, asked("sure", sure=flag("You mean it."), force=flag(default=False))),
    ),
    ApiRoute(
        "POST",
        "/api/v1/certificates/package",
        bundle_package,
        doc=Doc(
            told(id=text("The package's.")),
            asked("os", os=one_of([system.value.lower() for system in System]), folder=text(maxLength=255, default="")),
        ),
    ),
)
