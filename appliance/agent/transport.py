"""HTTP as the agent speaks it: bounded reads, no redirects, connections kept alive.

What is asked is remote's business.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator, Mapping
from urllib.parse import SplitResult, urlsplit

from appliance.agent import dial
from appliance.agent.dial import Connection, Patience
from appliance.agent.failure import Rejected, Unreachable

PIECE = 256 * 1024
_LOST = (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


class Answer:
    """A status and headers that came; the body is still to be read."""

    def __init__(self, connection: Connection, response: http.client.HTTPResponse) -> None:
        self.connection = connection
        self.response = response
        self.status = response.status

    @property
    def host(self) -> str:
        """Whom the answer is from, for messages."""
        return self.connection.url.netloc

    def header(self, name: str) -> str:
        """A header's value, empty when it did not come."""
        return self.response.headers.get(name, "")

    @property
    def size(self) -> int | None:
        """The declared length of the body in bytes; None when it was not declared."""
        text = "" if self.header("Transfer-Encoding") else self.header("Content-Length")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None

    def pieces(self, limit: int) -> Iterator[bytes]:
        """The body, piece by piece, whole and no longer than `limit` bytes. Raises Unreachable."""
        declared, received = self.size, 0
        try:
            if declared is not None and declared > limit:
                raise Unreachable(f"{self.host} wants to send {declared} bytes where {limit} are the most.")
            if self.header("Content-Encoding").lower() not in ("", "identity"):
                raise Unreachable(f"{self.host} answers with a Content-Encoding, which nobody asked for.")
            guard = self.connection.guard
            while piece := self.response.read(min(PIECE, limit + 1 - received)):
                received += len(piece)
                if received > limit:
                    raise Unreachable(f"{self.host} sends more than {limit} bytes.")
                if guard is not None:
                    guard.deadline += len(piece) / guard.patience.rate  # slow is a rate, not a size
                yield piece
            if declared is not None and received < declared:
                raise Unreachable(f"{self.host} stopped after {received} of {declared} bytes.")
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise Unreachable(dial.reason(error, self.host)) from None
        except BaseException:
            self.connection.close()  # what is left in it would be taken for the next answer
            raise

    def body(self, limit: int) -> bytes:
        """The whole body, at most `limit` bytes. Raises Unreachable."""
        return b"".join(self.pieces(limit))

    def abandon(self) -> None:
        """Leave the body unread."""
        self.connection.close()


class Transport:
    """The agent's connections, one for each server."""

    def __init__(self, *, proxy: str = "", patience: Patience | None = None) -> None:
        self.proxy = proxy
        self.patience = patience or Patience()
        self.context: ssl.SSLContext | None = None  # without it there is no https
        self._connections: dict[tuple[str, str], Connection] = {}

    def ask(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """One request, its answer's status and headers. Raises Unreachable for everything but an HTTP answer.

        A kept connection that turns out to be closed is opened anew, once.
        """
        parts = urlsplit(url)
        connection = self._connection(parts)
        kept = connection.sock is not None
        try:
            try:
                return self._ask(connection, method, url, headers, body)
            except _LOST:
                connection.close()
                if not kept:
                    raise
                return self._ask(connection, method, url, headers, body)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Unreachable(dial.reason(error, parts.netloc)) from None
        except BaseException:
            connection.close()
            raise

    def get(self, url: str, *, headers: Mapping[str, str]) -> Answer:
        """A GET that was answered with 200 or 206. Raises Rejected with any other status, Unreachable."""
        answer = self.ask("GET", url, headers=headers)
        if answer.status in (200, 206):
            return answer
        answer.abandon()
        where = " to go elsewhere, which agents never do" if 300 <= answer.status < 400 else ""
        raise Rejected(answer.status, f"{answer.host} answers {answer.status}{where} for {urlsplit(url).path}.")

    def close(self) -> None:
        """Close what is kept."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def use(self, context: ssl.SSLContext | None) -> None:
        """Verify with this from now on; connections that were verified otherwise are closed."""
        self.close()
        self.context = context

    def _connection(self, parts: SplitResult) -> Connection:
        key = (parts.scheme, parts.netloc)
        if key not in self._connections:
            self._connections[key] = Connection(parts, self.proxy, self.context, self.patience)
        return self._connections[key]

    def _ask(
        self, connection: Connection, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        parts = urlsplit(url)
        sent = dict(headers)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if self.proxy and parts.scheme == "http":
            target = url  # a proxy wants to know where to
            sent.update(dial.proxy_authorization(self.proxy))
        if connection.sock is None:
            connection.connect()
        if connection.guard is not None:
            connection.guard.extend(len(body or b""))
        connection.request(method, target, body=body, headers=sent)
        return Answer(connection, connection.getresponse())
