"""Why a package ends other than well: a Failure carries the outcome it is reported as. Codes are domain/status's."""

from __future__ import annotations


class Failure(Exception):
    """`code` is reported to the server, `why` is one sentence for the log and for `agent status`."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code
        self.why = why


class Unreachable(Exception):
    """Another party did not answer as it must; one sentence. Tried again later, never a result by itself."""


class Rejected(Unreachable):
    """An answer came, with a status that is no success."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Spoiled(Unreachable):
    """A fragment came whole, and is not what was built."""


class Unusable(Exception):
    """The agent cannot run like this (base directory, settings, second start); one sentence that says what to do."""


class Restart(BaseException):
    """Leave everything and become the file that is in place now. Not caught on the way, as SystemExit is not."""
