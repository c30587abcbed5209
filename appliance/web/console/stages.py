"""How stages are called in the console, in the manual's words."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.domain.status import Stage
from appliance.web.console.words import N_

STAGE_NAMES: Mapping[Stage, str] = {
    Stage.WAITING: N_("Not notified"),
    Stage.NOTIFIED: N_("Notified"),
    Stage.SUCCESS: N_("Success"),
    Stage.ERROR: N_("Errors"),
    Stage.ALREADY: N_("Already there"),
}

EVENT_NAMES: Mapping[str, str] = {
    "affected": N_("affected"),
    "announced": N_("notified"),
    "result": N_("result"),
    "unaffected": N_("taken away"),
}
