"""`tmp_path` in memory, where there is room: a test that kills no machine asks nothing of a disk but its time."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")
ROOM = 1024**3


@pytest.fixture(name="tmp_path")
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A folder of the test's own."""
    if not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < ROOM:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="ocs-test-", dir=MEMORY) as name:
        yield Path(name)
