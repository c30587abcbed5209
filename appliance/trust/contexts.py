"""TLS contexts for the listeners, from PEM text that never lies in a file of ours."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


def server_context(certificate: str, private_key: str) -> ssl.SSLContext:
    """TLS 1.2 and 1.3, ECDHE with AES-GCM or ChaCha20 (security.md 4.4)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    load_key(context, certificate, private_key)
    return context


def load_key(context: ssl.SSLContext, certificate: str, private_key: str) -> None:
    """Load a certificate and key into a context; a running listener takes them up for new connections."""
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
