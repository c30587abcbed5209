"""TLS contexts for the listeners, from PEM text that never lies in a file of ours."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class Front:
    """What listeners show. The certificate can be exchanged while they listen: new connections get the new one.

    A context keeps a certificate for each kind of key, so another one takes its place as a whole.
    """

    def __init__(self, certificate: str, private_key: str) -> None:
        self.context = server_context(certificate, private_key)
        self.certificate = certificate
        self._shown = self.context
        self.context.sni_callback = self._choose

    def show(self, certificate: str, private_key: str) -> None:
        """From now on this one. ssl.SSLError or ValueError where it cannot be served; then nothing has changed."""
        self._shown = server_context(certificate, private_key)
        self.certificate = certificate

    def _choose(self, link: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        link.context = self._shown  # called for every connection, also where the client names nobody


def server_context(certificate: str, private_key: str) -> ssl.SSLContext:
    """TLS 1.2 and 1.3, ECDHE with AES-GCM or ChaCha20 (security.md 4.4)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    _load_key(context, certificate, private_key)
    return context


def _load_key(context: ssl.SSLContext, certificate: str, private_key: str) -> None:
    data = (certificate + "\n" + private_key).encode()
    # OpenSSL reads keys from files only: an anonymous one in memory where the system has that
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("credential", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        return
    with tempfile.TemporaryDirectory() as folder:  # 0700
        path = Path(folder) / "credential.pem"
        path.write_bytes(data)
        context.load_cert_chain(path)
