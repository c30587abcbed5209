"""The serial number of a certificate, as the library that makes certificates has it."""

from __future__ import annotations

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from appliance.trust.authority import make_authority
from appliance.trust.membership import issue_member
from appliance.wire.certificate import serial_of

NOW = 1_795_206_923


def test_the_serial_number_is_the_one_that_the_server_knows() -> None:
    made = issue_member(make_authority(NOW), "pc-1-2026-01-31-09-30-00", NOW)
    assert serial_of(f"deviceid: x\n{made.certificate}\n{made.private_key}") == made.serial
    assert serial_of(made.certificate) == f"{x509.load_pem_x509_certificate(made.certificate.encode()).serial_number:x}"


@pytest.mark.parametrize(
    "body", ["", "MA==", "MAA=", "MIA=", "MIL/", "MII=", "AAAA", "MAMwAQA=", "a", "====", "MAUwA6AB/w=="]
)
def test_what_is_no_certificate_has_none(body: str) -> None:
    assert serial_of(f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----") == ""
    assert serial_of(body) == ""


@given(st.binary(max_size=300))
def test_any_bytes_have_one_or_none(data: bytes) -> None:
    import base64

    pem = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(data).decode()}\n-----END CERTIFICATE-----"
    assert serial_of(pem) == "" or int(serial_of(pem), 16) >= 0
