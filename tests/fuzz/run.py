"""The long run: `build/make.py fuzz --seconds N`. What breaks a reader is put into the corpus, and named.

Each round is a process of its own under a limit of memory and time, so that an input that hangs or swells is found
as well. A round is known by its number: the same one tries the same inputs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence

from tests.fuzz import mutate
from tests.fuzz.readers import READERS, Reader, verdict

INPUTS = 2000  # of one round
SECONDS = 5  # for one input
MEBIBYTES = 1024  # of address space on top of what the process has
BROKEN = 9


def one_round(reader: Reader, number: int) -> None:
    """Try inputs; the first that breaks the reader is kept, and the process ends with BROKEN."""
    _limit_memory()
    signal.signal(signal.SIGALRM, _too_long)
    chance = random.Random(f"{reader.name} {number}")
    for _ in range(INPUTS):
        data = mutate.mutated(reader.corpus, chance)
        signal.alarm(SECONDS)
        try:
            verdict(reader, data)
        except BaseException:
            signal.alarm(0)
            kept = mutate.keep(reader.corpus, data)
            print(f"\nreader {reader.name}, round {number}: kept as {kept}", file=sys.stderr)
            traceback.print_exc()
            os._exit(BROKEN)
        signal.alarm(0)


def main(argv: Sequence[str]) -> int:
    """Rounds over all readers in turn until the time is over: 1 where one was broken."""
    parser = argparse.ArgumentParser(prog="build/make.py fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0, metavar="N", help="default: 600")
    parser.add_argument("--round", type=int, metavar="N", help="the first round; default: by chance")
    parser.add_argument("--reader", action="append", choices=list(READERS), help="only this one; repeatable")
    chosen = parser.parse_args(argv)
    first = chosen.round if chosen.round is not None else random.SystemRandom().randrange(10**9)
    end, number, broken = time.monotonic() + chosen.seconds, first, set[str]()
    context = multiprocessing.get_context("fork")
    names = chosen.reader or list(READERS)
    tried = 0
    while time.monotonic() < end and len(broken) < len(names):
        for name in names:
            if name in broken or (time.monotonic() >= end and number > first):
                continue
            process = context.Process(target=one_round, args=(READERS[name], number))
            process.start()
            process.join()
            tried += INPUTS
            if process.exitcode:
                broken.add(name)
        number += 1
    print(f"{tried} inputs, rounds {first} to {number - 1}: {', '.join(sorted(broken)) or 'nothing'} broken")
    return 1 if broken else 0


def _limit_memory() -> None:
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    most = now + MEBIBYTES * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _too_long(*_: object) -> None:
    raise TimeoutError(f"an input took longer than {SECONDS} s")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
