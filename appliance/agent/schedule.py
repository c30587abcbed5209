"""SCHEDULE, `YYYY/MM/DD HH:MM` in local time: the moment before which a package is not performed. Pure."""

from __future__ import annotations

import re
import time

from appliance.agent.failure import Failure

_FORM = re.compile(r"(\d{4})/(\d{1,2})/(\d{1,2}) (\d{1,2}):(\d{1,2})(?::\d{1,2})?", re.ASCII)


def moment(schedule: str) -> int:
    """Seconds since 1970; 0 where nothing is scheduled. Raises Failure(ERR_BAD_PARAM).

    An hour that the clocks leave out in spring is the one after it.
    """
    text = schedule.strip()
    if not text:
        return 0
    found = _FORM.fullmatch(text)
    if found:
        year, month, day, hour, minute = map(int, found.groups())
        if year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31 and hour <= 23 and minute <= 59:
            try:
                noon = time.localtime(time.mktime((year, month, day, 12, 0, 0, 0, 0, -1)))
                if (noon.tm_mon, noon.tm_mday) == (month, day):  # 2026/02/30 is none
                    return max(1, int(time.mktime((year, month, day, hour, minute, 0, 0, 0, -1))))
            except (OverflowError, ValueError, OSError):
                pass
    raise Failure("ERR_BAD_PARAM", f"The schedule {text[:40]!r} is no moment; it is written YYYY/MM/DD HH:MM.")
