"""Run simulated schedules: ``python -m tests.faults.simulation --seeds 0:1000 --jobs 2``, or one with ``--seed 7 --trace``."""

import argparse
import logging
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from tests.faults.simulation.actions import make_plan
from tests.faults.simulation.world import run

PROGRESS: Final = 10_000
"""Seeds between two signs of life."""


def main() -> int:
    """Parse, run, report; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one")
    parser.add_argument("--trace", action="store_true", help="print everything that happens in it")
    parser.add_argument("--seeds", default="0:1000", help="FROM:TO")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--operations", type=int, default=20)
    parser.add_argument("--most", type=int, default=20, help="stop printing after this many failures")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if given.seed is not None:
        return _one(given.seed, given.operations, trace=given.trace)
    first, last = map(int, given.seeds.split(":"))
    return _many(range(first, last), given.operations, given.jobs, given.most)


def _one(seed: int, operations: int, *, trace: bool) -> int:
    lines: list[str] | None = [] if trace else None
    plan = make_plan(seed, operations=operations)
    try:
        problems = run(plan, trace=lines)
    finally:
        print(plan)
        print("\n".join(lines or []))
    print("\n".join(problems) or "no promise is broken")
    return bool(problems)


def failures(seeds: range, operations: int = 20) -> list[tuple[int, list[str]]]:
    """Run these seeds; those that break a promise, and how."""
    logging.disable(logging.CRITICAL)
    found: list[tuple[int, list[str]]] = []
    for seed in seeds:
        problems = run(make_plan(seed, operations=operations))
        if problems:
            found.append((seed, problems))
    return found


def _many(seeds: range, operations: int, jobs: int, most: int) -> int:
    began = time.monotonic()
    shares = [range(at, min(at + 100, seeds.stop)) for at in range(seeds.start, seeds.stop, 100)]
    broken: list[tuple[int, list[str]]] = []
    with ProcessPoolExecutor(jobs) as pool:
        for share, found in zip(shares, pool.map(failures, shares, [operations] * len(shares)), strict=True):
            for seed, problems in found:
                broken.append((seed, problems))
                if len(broken) <= most:
                    print(f"seed {seed}: {problems[0]} ({len(problems)} in all)", flush=True)
            if share.stop % PROGRESS == 0:
                print(f"up to seed {share.stop}: {len(broken)} broken", flush=True)
    seconds = time.monotonic() - began
    print(f"{len(seeds)} seeds in {seconds:.1f} s ({seconds * 1000 / len(seeds):.1f} ms each), {len(broken)} broken")
    if broken:
        print(f"again: python -m tests.faults.simulation --seed {broken[0][0]} --trace", file=sys.stderr)
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
