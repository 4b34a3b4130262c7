"""Runs benchmarks in interleaved rounds, every sample in a process of its own, and puts the figures together."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module

import msgspec

from benchmarks.catalog import BENCHMARKS, Benchmark
from benchmarks.cores import pin
from benchmarks.machine import machine
from benchmarks.results import Report, summarise

Sample = Mapping[str, float]
Say = Callable[[str], None]

_SLOWEST = 1_800.0
"""Seconds one sample may take: 100,000 traced turns take minutes."""


class SampleFailedError(Exception):
    """A benchmark's process ended badly; its own words are on stderr."""


def run_all(names: Sequence[str], *, rounds: int, quick: bool, say: Say) -> Report:
    """Run these benchmarks; ``say`` is told what happens. Rounds are interleaved: all benchmarks, then all again.

    Raises:
        SampleFailedError: One of them failed.
    """
    at = datetime.now(UTC).isoformat(timespec="seconds")
    where = machine()
    samples: dict[str, list[Sample]] = {name: [] for name in names}
    for number in range(1, rounds + 1):
        for name in names:
            if number == 1 or not BENCHMARKS[name].once:
                say(f"round {number} of {rounds}: {name}")
                samples[name].append(_sample_in_child(BENCHMARKS[name], quick=quick))
    found = {
        name: summarise(samples[name], BENCHMARKS[name].goals, default_unit=BENCHMARKS[name].default_unit)
        for name in names
    }
    return Report(at=at, quick=quick, rounds=rounds, machine=where, benchmarks=found)


def sample(name: str, *, quick: bool) -> Sample:
    """One sample of a benchmark, in this process."""
    benchmark = BENCHMARKS[name]
    if benchmark.core is not None:
        pin(0, benchmark.core)
    return import_module(f"benchmarks.{name}").run(quick)


def _sample_in_child(benchmark: Benchmark, *, quick: bool) -> Sample:
    command = [sys.executable, "-m", "benchmarks", "sample", benchmark.name, *(["--quick"] if quick else [])]
    ended = subprocess.run(command, stdout=subprocess.PIPE, timeout=_SLOWEST, check=False)
    if ended.returncode:
        raise SampleFailedError(f"{benchmark.name} failed")
    return msgspec.json.decode(ended.stdout.splitlines()[-1], type=dict[str, float])
