"""Closed-loop load: so many clients, each with its next request as soon as the last is answered; and what came of it."""

from collections.abc import Sequence
from typing import Final

import msgspec

CLOCK_TICK: Final = 0.01
"""Another process's CPU time is known in steps of this many seconds."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What one load measured.

    Attributes:
        latencies: Seconds of every request, by client.
        seconds: From the first request to the last answer.
        cpu_seconds: CPU of the process under load meanwhile.
    """

    latencies: Sequence[Sequence[float]]
    seconds: float
    cpu_seconds: float

    def figures(self, name: str) -> dict[str, float]:
        """Rate, rate per second of CPU (what a core of its own would give), CPU, median and 99th percentile of latency."""
        merged = sorted(seconds for client in self.latencies for seconds in client)
        assert merged, f"{name}: nothing was answered"
        return {
            f"{name}_per_s": len(merged) / self.seconds,
            f"{name}_per_cpu_s": len(merged) / max(self.cpu_seconds, CLOCK_TICK),
            f"{name}_cpu_us": self.cpu_seconds / len(merged) * 1e6,
            f"{name}_p50_ms": percentile(merged, 50) * 1e3,
            f"{name}_p99_ms": percentile(merged, 99) * 1e3,
        }

    def fairness(self, name: str) -> dict[str, float]:
        """How evenly the clients were served. Of the clients, the worst 99th percentile counts, and turns least to most."""
        merged = sorted(seconds for client in self.latencies for seconds in client)
        middle = percentile(merged, 50)
        turns = [len(client) for client in self.latencies]
        return {
            f"{name}_p99_over_p50": percentile(merged, 99) / middle,
            f"{name}_slowest_client_p99_over_p50": max(percentile(sorted(c), 99) for c in self.latencies if c) / middle,
            f"{name}_least_over_most_turns": min(turns) / max(turns),
        }


def percentile(ordered: Sequence[float], percent: int) -> float:
    """Of values in ascending order."""
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
