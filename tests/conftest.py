"""Hypothesis for all folders: no deadline (machines are busy), and the same examples on every CI run."""

from __future__ import annotations

import contextlib
import os

with contextlib.suppress(ImportError):  # the portable tests also run where only pytest is
    from hypothesis import settings

    settings.register_profile("appliance", deadline=None, derandomize=bool(os.environ.get("CI")))
    settings.load_profile("appliance")
