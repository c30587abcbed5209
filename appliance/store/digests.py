"""The digests of a package's file: of the whole and of its pieces."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass


@dataclass(frozen=True)
class Digests:
    """What is known of a whole file and of its pieces, lower-case hex."""

    md5: str
    sha256: str
    pieces: tuple[str, ...] = ()  # SHA-256 each


class Whole:
    """The digests of a whole file beside those of its fragments; the slower one on a thread of its own."""

    def __init__(self, known: Digests | None, *, one: bool) -> None:
        self._known = known
        self._md5 = hashlib.md5(usedforsecurity=False)  # what genuine agents verify (protocol.md 4)
        self._sha256 = None if one else hashlib.sha256()
        self._beside = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None

    def __enter__(self) -> Whole:
        return self

    def __exit__(self, *_: object) -> None:
        self._beside.shutdown()

    def update(self, data: bytes) -> None:
        """The next bytes."""
        if self._known is not None:
            return
        if self._last is not None:
            self._last.result()
        self._last = self._beside.submit(self._md5.update, data)
        if self._sha256 is not None:
            self._sha256.update(data)

    def digests(self, first_sha256: str) -> Digests:
        """What came out at the end."""
        if self._known is not None:
            return self._known
        if self._last is not None:
            self._last.result()
        sha256 = self._sha256.hexdigest() if self._sha256 is not None else first_sha256
        return Digests(self._md5.hexdigest(), sha256)
