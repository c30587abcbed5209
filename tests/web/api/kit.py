"""A program that uses the API: it sends a token, and holds every answer against the schema of its route."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from appliance.web.api.frame import ERROR, ApiRoute
from appliance.web.api.routes import routes
from appliance.web.api.schema import check
from tests.fakes.appliance import SECONDS, Answer, Running

ROUTES = routes()


def route_of(method: str, path: str) -> ApiRoute | None:
    """The route that answers an address."""
    for route in ROUTES:
        pattern = re.sub(r"\{\w+:((?:[^{}]|\{\d+(?:,\d+)?\})+)\}", r"(?:\1)", route.pattern)
        if route.method == method and re.fullmatch(pattern, urlsplit(path).path):
            return route
    return None


@dataclass
class Client:
    """Whoever has a token; one connection for many requests."""

    server: Running
    token: str = ""
    _connection: http.client.HTTPConnection | None = field(default=None, repr=False)

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        **query: object,
    ) -> Answer:
        """One request; `body` is sent as JSON, bytes as they are. Its answer is held against its schema."""
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        data = None
        if isinstance(body, bytes):
            data = body
        elif body is not None:
            data, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        path = f"/api/v1{path}" + (f"?{urlencode(query, doseq=True)}" if query else "")
        sent |= headers or {}
        try:
            answer = self._once(method, path, data, sent)
        except (http.client.HTTPException, ConnectionError):  # the server closed what was idle, or after an error
            self.close()
            answer = self._once(method, path, data, sent)
        fits(method, path, answer)
        return answer

    def must(self, method: str, path: str, body: object = None, **query: object) -> Any:
        """One request that must succeed: what came back."""
        answer = self.ask(method, path, body, **query)
        assert answer.status < 300, (method, path, answer)
        return told(answer)

    def get(self, path: str, **query: object) -> Any:
        """Read."""
        return self.must("GET", path, **query)

    def post(self, path: str, body: object = None, **query: object) -> Any:
        """Do."""
        return self.must("POST", path, body, **query)

    def patch(self, path: str, body: object) -> Any:
        """Change."""
        return self.must("PATCH", path, body)

    def delete(self, path: str) -> Any:
        """Delete."""
        return self.must("DELETE", path)

    def refused(self, method: str, path: str, body: object = None, **query: object) -> tuple[int, str, str]:
        """One request that must be refused: status, field and sentence."""
        answer = self.ask(method, path, body, **query)
        assert answer.status >= 400, answer
        error = told(answer)["error"]
        return answer.status, error["field"], error["sentence"]

    def close(self) -> None:
        """Hang up."""
        if self._connection:
            self._connection.close()
        self._connection = None

    def _once(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]) -> Answer:
        if self._connection is None or self._connection.sock is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", timeout=SECONDS)
            self._connection.sock = self.server.connect(console=True)
        self._connection.request(method, path, data, dict(headers))
        response = self._connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read(), tuple(response.headers.get_all("Set-Cookie") or ()))


def told(answer: Answer) -> Any:
    """What an answer says."""
    return json.loads(answer.body) if answer.body and "json" in answer.headers["content-type"] else answer.body


def fits(method: str, path: str, answer: Answer) -> None:
    """Hold an answer against what the document says of its address."""
    assert not answer.cookies
    assert answer.headers["cache-control"] == "no-store"
    if answer.status >= 400:
        assert answer.headers["content-type"].startswith("application/json"), answer
        check(ERROR, told(answer))
        return
    route = route_of(method, path)
    assert route is not None, f"nothing is told of {method} {path}"
    doc = route.doc
    if doc.answer is None:
        assert (answer.status, answer.body) == (204, b"")
        return
    assert answer.status in (doc.status, *doc.also)
    assert answer.headers["content-type"].startswith(doc.kind)
    check(doc.answer, told(answer) if doc.kind == "application/json" else answer.body.decode())
