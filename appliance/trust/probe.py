"""Look at a file at an activation's address as an agent would: verified TLS, no redirect, bounded."""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl

from appliance.domain.refusal import Kind, Refusal

SECONDS = 5.0
READ = 256 * 1024
_WORDS = {403: "forbidden", 404: "not found", 401: "needs a password"}


def digest(scheme: str, host: str, port: int | None, path: str, *, authority: str, largest: int, field: str) -> str:
    """SHA-256 of the body of one GET, at most `largest` bytes, verified against `authority` (PEM) alone.

    Raises Refusal(UNREACHABLE) that names the field and what was met: name, connection, certificate, status, size.
    """
    where = f"{scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}{path}"
    if scheme == "https":
        context = ssl.create_default_context(cadata=authority)
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=SECONDS, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.request("GET", path, headers={"User-Agent": "ocs.pyz activation check"})
        response = connection.getresponse()
        if response.status != 200:
            met = f"answers {response.status} ({_WORDS.get(response.status, response.reason)[:60]})"
            raise _unreachable(field, where, met)
        found, done = hashlib.sha256(), 0
        while piece := response.read(min(READ, largest + 1 - done)):
            found.update(piece)
            done += len(piece)
            if done > largest:
                raise _unreachable(field, where, f"sends more than the {largest} bytes that belong there")
        return found.hexdigest()
    except ssl.SSLCertVerificationError as error:
        raise _unreachable(field, where, f"shows a certificate that agents refuse: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise _unreachable(field, where, f"does not speak TLS as agents do ({error.reason})") from None
    except socket.gaierror:
        raise _unreachable(field, where, "has a host name that does not resolve") from None
    except TimeoutError:
        raise _unreachable(field, where, f"does not answer within {SECONDS:.0f} s") from None
    except (OSError, http.client.HTTPException) as error:
        met = " ".join(str(error).split())[:120]  # it may quote what came over the wire
        raise _unreachable(field, where, f"cannot be reached: {met}") from None
    finally:
        connection.close()


def _unreachable(field: str, where: str, met: str) -> Refusal:
    return Refusal(
        Kind.UNREACHABLE,
        "{where} {met}; mend it, or activate with --unchecked if agents will reach it later.",
        field,
        where=where,
        met=met,
    )
