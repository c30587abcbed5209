"""TLS contexts for the listeners, from PEM text that never lies in a file of ours."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class Front:
    """What listeners show. The certificate can be exchanged while they listen: new connections get the new one.

    A context keeps a certificate for each kind of key, so another one takes its place as a whole. `agents` is for
    whom agents talk to: it asks for a certificate of the authorities given to `trust`, and goes on without one.
    """

    def __init__(self, certificate: str, private_key: str) -> None:
        self.certificate, self._key, self.authorities = certificate, private_key, ""
        self.context = self._shown = server_context(certificate, private_key)
        self.agents = self._shown_to_agents = server_context(certificate, private_key)
        self.context.sni_callback = self._choose
        self.agents.sni_callback = self._choose_for_agents

    def show(self, certificate: str, private_key: str) -> None:
        """From now on this one. ssl.SSLError or ValueError where it cannot be served; then nothing has changed."""
        shown = server_context(certificate, private_key)
        self._shown_to_agents = server_context(certificate, private_key, self.authorities)
        self._shown, self.certificate, self._key = shown, certificate, private_key

    def trust(self, authorities: str) -> None:
        """From now on computers prove who they are with certificates of these authorities, PEM."""
        made = server_context(self.certificate, self._key, authorities)
        if not self.authorities:
            self.agents.verify_mode = ssl.CERT_OPTIONAL  # a connection has this from the context that it began with
        self._shown_to_agents, self.authorities = made, authorities

    def _choose(self, link: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        link.context = self._shown  # called for every connection, also where the client names nobody

    def _choose_for_agents(self, link: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        link.context = self._shown_to_agents


def server_context(certificate: str, private_key: str, clients: str = "") -> ssl.SSLContext:
    """TLS 1.2 and 1.3, ECDHE with AES-GCM or ChaCha20 (security.md 4.4). `clients`: who issues to them, PEM."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    _load_key(context, certificate, private_key)
    if clients:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=clients)
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
