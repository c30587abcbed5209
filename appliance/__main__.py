"""The first word picks the program, before any dependency is imported. Nothing else lives here.

PORTABLE: the agent comes through here on Python 3.9, straight from the archive.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent or the appliance; give the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["agent"]:
        from appliance.agent.main import main as agent

        return agent(words[1:])
    from appliance.cli import main as appliance

    return appliance(words)


if __name__ == "__main__":
    sys.exit(main())
