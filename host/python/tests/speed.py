"""Throughput of runs, and what a callable costs: python tests/speed.py [rounds] [program]

Each round evolves the shipped LeNet (40 200 scores in batches of 200) with the engine inside the library, with the engine's
scores asked for through Python, and with the program if its path is given, one after the other. Other processes on the machine
affect all of them alike; the ratio of the CPU times hardly depends on them.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import fooling

OPTIONS = dict(generations=200, batch=200, seed=1)


def by_library(out: str) -> None:
    fooling.evolve(model=LENET, out=out, **OPTIONS)


def by_callable(out: str) -> None:
    fooling.evolve(LENET, classes=10, picture=(28, 28, 1), out=out, **OPTIONS)


def by_program(out: str) -> None:
    subprocess.run([sys.argv[2], "evolve", "--generations", "200", "--batch", "200", "--out", out], check=True, capture_output=True)


def cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    ways = [by_library, by_callable] + ([by_program] if len(sys.argv) > 2 else [])
    wall: dict[str, list[float]] = {way.__name__: [] for way in ways}
    cpu: dict[str, list[float]] = {way.__name__: [] for way in ways}
    digests = set()
    for round in range(rounds):
        # Each of them starts a round in turn.
        for way in ways[round % len(ways) :] + ways[: round % len(ways)]:
            out = tempfile.mkdtemp()
            start, before = time.perf_counter(), cpu_seconds()
            way(out)
            wall[way.__name__].append(time.perf_counter() - start)
            cpu[way.__name__].append(cpu_seconds() - before)
            run = fooling.open(out)
            digests.add(run.summary["decisions_digest"])
            sure = int((run.confidences >= 0.99).sum())
            shutil.rmtree(out)
    assert len(digests) == 1, "the runs differ"
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {sure} of 10 digits at 99 % after 40200 scores; {rounds} rounds")
    for name in wall:
        seconds, used = statistics.median(wall[name]), statistics.median(cpu[name])
        ratio = statistics.median(a / b for a, b in zip(cpu[name], cpu["by_library"]))
        clock = statistics.median(a / b for a, b in zip(wall[name], wall["by_library"]))
        print(
            f"{name:12} {40200 / seconds:8.0f} scores/s (best {40200 / min(wall[name]):.0f}), {used:5.2f} s of CPU time, "
            f"{40200 / used:6.0f} scores per CPU second; to by_library: CPU x {ratio:.3f}, time x {clock:.3f}"
        )


LENET = fooling.Model("lenet")

if __name__ == "__main__":
    main()
