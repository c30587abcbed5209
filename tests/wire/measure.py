"""What reading hostile bytes costs: time and memory, measured in a process of its own, on Linux only."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PROGRAM = """
import io, sys, time
from appliance.domain.archive import Census
from appliance.wire import archive, contact, envelope
from appliance.wire.malformed import Malformed

def read_archive(data):
    census = Census()
    for member, opener in archive.members(io.BytesIO(data)):
        fault = census.fault(member)
        if fault:
            raise Malformed(fault)
        archive.drain(opener)

def read_body(data):
    contact.decode_request(envelope.unpack(data, 32 * 1024**2)[0])

data = sys.stdin.buffer.read()
work = {"archive": read_archive, "body": read_body}[sys.argv[1]]
def peak():  # KiB; not ru_maxrss, where a child starts with its parent's
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))

before, begun = peak(), time.process_time()
try:
    work(data)
    verdict = "value"
except Malformed as malformed:
    verdict = type(malformed).__name__
print(verdict, time.process_time() - begun, (peak() - before) / 1024)
"""


@dataclass(frozen=True)
class Cost:
    """`value`, `Malformed` or `TooLarge`; CPU seconds; growth of the process in MiB."""

    verdict: str
    seconds: float
    mebibytes: float


def cost_of(kind: str, data: bytes) -> Cost:
    """Read data as an `archive` or as a request `body`."""
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is measured through /proc")
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, kind], input=data, cwd=ROOT, check=True, capture_output=True, timeout=60
    )
    verdict, seconds, mebibytes = run.stdout.decode().split()
    return Cost(verdict, float(seconds), float(mebibytes))
