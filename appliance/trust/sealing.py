"""A stream sealed with a passphrase: Argon2id to a key, AES-256-GCM in chunks that can be neither moved nor cut off.

The form: a header (magic, salt, the three numbers of Argon2id), then chunks of CHUNK bytes with 16 more for the tag;
the last one is shorter or equal and says that it is the last. Each nonce is the chunk's number and that mark, and
each chunk is bound to the header. The salt is new for every file, so is the key, so no nonce is used twice.
"""

from __future__ import annotations

import os
import struct
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from appliance.domain.refusal import Kind, Refusal, invalid

MAGIC = b"OCSSEAL1"
CHUNK = 256 * 1024
TAG = 16
SHORTEST = 8  # characters of a passphrase
PASSES, LANES, MEMORY_KIB = 4, 4, 128 * 1024  # for a file that may be guessed at for years; 0.4 s
MOST_PASSES, MOST_LANES, MOST_MEMORY_KIB = 64, 64, 1024 * 1024  # a foreign file takes no more of our time and memory

_HEAD = struct.Struct(">8s16sIII")


class Writer(Protocol):
    """Where sealed bytes go."""

    def write(self, data: bytes, /) -> object:
        """Take all of it."""


class Reader(Protocol):
    """Where they come from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; fewer only at the end."""


class Sealer:
    """Write plain bytes, sealed ones come out; `finish` writes the last chunk. Raises Refusal for a poor passphrase."""

    def __init__(self, out: Writer, passphrase: str) -> None:
        if len(passphrase) < SHORTEST:
            raise invalid("passphrase", "it has less than {shortest} characters.", shortest=SHORTEST)
        self._out = out
        self._head = _HEAD.pack(MAGIC, os.urandom(16), PASSES, LANES, MEMORY_KIB)
        self._cipher = _cipher(self._head, passphrase)
        self._waiting = bytearray()
        self._number = 0
        out.write(self._head)

    def write(self, data: bytes | memoryview, /) -> int:
        """Some more plain bytes."""
        self._waiting += data
        while len(self._waiting) > CHUNK:  # a full one waits: it may be the last
            self._seal(bytes(self._waiting[:CHUNK]), last=False)
            del self._waiting[:CHUNK]
        return len(data)

    def finish(self) -> None:
        """The last chunk."""
        self._seal(bytes(self._waiting), last=True)

    def _seal(self, chunk: bytes, *, last: bool) -> None:
        self._out.write(self._cipher.encrypt(_nonce(self._number, last=last), chunk, self._head))
        self._number += 1


class Unsealer:
    """Read plain bytes from sealed ones, none before its chunk was verified. Raises Refusal."""

    def __init__(self, file: Reader, passphrase: str) -> None:
        self._file = file
        self._head = file.read(_HEAD.size)
        self._cipher = _cipher(self._head, passphrase)
        self._number = 0
        self._ahead: bytes | None = file.read(CHUNK + TAG)
        self._plain = memoryview(b"")

    def read(self, size: int = CHUNK, /) -> bytes:
        """At most so many bytes; none at the end."""
        if not self._plain and self._ahead is not None:
            self._plain = memoryview(self._open(self._ahead))
        data, self._plain = bytes(self._plain[:size]), self._plain[size:]
        return data

    def _open(self, sealed: bytes) -> bytes:
        following = self._file.read(CHUNK + TAG)
        try:
            plain = self._cipher.decrypt(_nonce(self._number, last=not following), sealed, self._head)
        except (InvalidTag, ValueError):
            if self._number == 0:
                raise Refusal(
                    Kind.INVALID, "it does not open this file; try again, or take another file.", "passphrase"
                ) from None
            raise Refusal(
                Kind.CONFLICT,
                "the file is damaged or cut off at byte {at}; take another one.",
                at=_HEAD.size + self._number * (CHUNK + TAG),
            ) from None
        self._number += 1
        self._ahead = following or None
        return plain


def is_sealed(start: bytes) -> bool:
    """Whether a file that begins like this was sealed."""
    return start.startswith(MAGIC)


def _cipher(head: bytes, passphrase: str) -> AESGCM:
    if len(head) < _HEAD.size:
        raise Refusal(Kind.CONFLICT, "the file is cut off in its header; take another one.")
    _, salt, passes, lanes, memory = _HEAD.unpack(head)
    if not (1 <= passes <= MOST_PASSES and 1 <= lanes <= MOST_LANES and 8 * lanes <= memory <= MOST_MEMORY_KIB):
        raise Refusal(Kind.CONFLICT, "the file's header is damaged; take another one.")
    kdf = Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory)
    return AESGCM(kdf.derive(passphrase.encode("utf-8", "surrogateescape")))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
