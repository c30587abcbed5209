"""What people should know and nobody refused: a sentence with {named} places and its values, like a Refusal's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.domain.refusal import filled


@dataclass(frozen=True)
class Remark:
    """One sentence for people, in English as text; the console says it in another language."""

    sentence: str
    values: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return filled(self.sentence, dict(self.values))
