"""Certificates: what is installed and until when, cacert.pem, and the way to one of an own PKI."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aiohttp import web

from appliance.domain.package import System
from appliance.domain.refusal import Refusal, invalid, missing
from appliance.operations.certificates import (
    Installed,
    certificates,
    export_authority,
    install_certificate,
    renew_certificate,
    request_certificate,
)
from appliance.operations.rotation import build_bundle_package, finish_rotation, rotate_authority
from appliance.web.console.forms import Form, form_of
from appliance.web.console.frame import Route, Visit

SUBJECT = ("organisation", "unit", "place", "region", "country")


@dataclass(frozen=True)
class CertificatesPage:
    """What is installed, and the forms for a request, for what came back, and for another authority."""

    installed: Installed
    request: Form
    install: Form
    rotate: Form


async def certificates_page(visit: Visit) -> web.StreamResponse:
    """The page."""
    return visit.page("certificates.html", await _page(visit))


async def bundle(visit: Visit) -> web.StreamResponse:
    """What agents verify this server with."""
    return _file(await export_authority(visit.desk), "cacert.pem")


async def request_file(visit: Visit) -> web.StreamResponse:
    """The request whose certificate is not installed yet. Raises Refusal."""
    installed = await certificates(visit.desk)
    if not installed.request:
        raise missing("there is no request; make one first.")
    return _file(installed.request, "request.pem")


async def renew(visit: Visit) -> web.StreamResponse:
    """A new certificate of our own authority."""
    await renew_certificate(visit.desk)
    return visit.go("/certificates", "There is a new certificate; the server shows it within seconds.")


async def request(visit: Visit) -> web.StreamResponse:
    """A request for an own PKI."""
    form = visit.fields
    try:
        names = re.split(r"[\s,]+", form.text("name"))
        await request_certificate(visit.desk, names, **{part: form.text(part) for part in SUBJECT})
    except Refusal as refusal:
        page = await _page(visit, request=visit.with_error(form, refusal))
        return visit.refused("certificates.html", page, refusal)
    return visit.go("/certificates", "The request is ready; send it to your authority.")


async def install(visit: Visit) -> web.StreamResponse:
    """Install what came back."""
    form = visit.fields
    try:
        await install_certificate(visit.desk, form.text("cert"), form.text("chain"), form.text("key") or None)
    except Refusal as refusal:
        page = await _page(visit, install=visit.with_error(_without_key(form), refusal))
        return visit.refused("certificates.html", page, refusal)
    return visit.go(
        "/certificates",
        "The certificate is installed; the server shows it within seconds. Agents that do not know its authority yet "
        "need the new cacert.pem.",
    )


async def rotate(visit: Visit) -> web.StreamResponse:
    """Another authority beside the present one."""
    form = visit.fields
    try:
        if not form.ticked("sure"):
            raise invalid("sure", "tick this first.")
        await rotate_authority(visit.desk, any_name=form.ticked("any-name"))
    except Refusal as refusal:
        page = await _page(visit, rotate=visit.with_error(form, refusal))
        return visit.refused("certificates.html", page, refusal)
    return visit.go("/certificates", "There is a new authority; cacert.pem has both until you end the change.")


async def finish(visit: Visit) -> web.StreamResponse:
    """The end of the authority before the present one."""
    form = visit.fields
    try:
        await finish_rotation(visit.desk, force=form.ticked("sure"))
    except Refusal as refusal:
        page = await _page(visit, rotate=visit.with_error(form, refusal))
        return visit.refused("certificates.html", page, refusal)
    return visit.go("/certificates", "The old authority is taken out of cacert.pem.")


async def package(visit: Visit) -> web.StreamResponse:
    """A package that brings cacert.pem to agents that are not ours."""
    try:
        system = System(visit.fields.text("system"))
    except ValueError:
        raise invalid("system", "choose an operating system.") from None
    built = await build_bundle_package(visit.desk, system)
    return visit.go(f"/packages/{built.id}", "The package is built; activate it and affect it.")


def _without_key(form: Form) -> Form:
    """The form as it may be shown once more: a key goes into no page."""
    return Form({name: values for name, values in form.values.items() if name != "key"})


def _file(text: str, name: str) -> web.Response:
    return web.Response(
        text=text,
        content_type="application/x-pem-file",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _page(
    visit: Visit, *, request: Form | None = None, install: Form | None = None, rotate: Form | None = None
) -> CertificatesPage:
    installed = await certificates(visit.desk)
    names = installed.request_names or installed.server.names
    asked = request or form_of(name="\n".join(names))
    return CertificatesPage(installed, asked, install or Form(), rotate or Form())


ROUTES = (
    Route("GET", "/certificates", certificates_page),
    Route("GET", "/certificates/cacert.pem", bundle),
    Route("GET", "/certificates/request.pem", request_file),
    Route("POST", "/certificates/renew", renew),
    Route("POST", "/certificates/request", request),
    Route("POST", "/certificates/install", install),
    Route("POST", "/certificates/rotate", rotate),
    Route("POST", "/certificates/rotate/finish", finish),
    Route("POST", "/certificates/rotate/package", package),
)
