"""Every benchmark: what it measures, where it runs, and which of its figures have a goal."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from benchmarks.results import Goal

MIB: Final = 1024 * 1024


class Benchmark(msgspec.Struct, frozen=True, kw_only=True):
    """A module ``benchmarks.<name>`` with ``run(quick: bool) -> dict[str, float]``.

    Attributes:
        says: What it measures, in one line.
        core: Which core its process is pinned to: ``server`` when what is measured runs inside it, ``client`` when it
            only drives a server; None when it pins itself or needs both.
        goals: By figure.
        default_unit: Of figures whose name does not tell.
        once: It repeats and interleaves its contenders itself, or takes minutes: one sample a run.
    """

    name: str
    says: str
    core: Literal["server", "client"] | None = "server"
    goals: Mapping[str, Goal] = {}
    default_unit: str = ""
    once: bool = False


_ALL: Final = (
    Benchmark(
        name="actors",
        says="ask, tell, spawn and idle bytes of the actor core, against raw asyncio and pykka's threads",
        core=None,
        goals={
            "ask_round_trip.ours_to_deque": Goal(at_least=0.60),
            "ask_round_trip.ours_to_pykka": Goal(at_least=2.5),
            "ask_round_trip.ours_to_pykka_awaited": Goal(at_least=2.5),
            "idle_bytes.ours": Goal(at_most=800),
            "passivated.entries": Goal(at_most=0),
            "passivated.tasks": Goal(at_most=0),
            "passivated.bytes": Goal(at_most=MIB),
        },
        default_unit="1/cpu s",
        once=True,
    ),
    Benchmark(
        name="store",
        says="durable appends and turns of the SQLite store, against raw SQLite",
        core=None,
        once=True,
    ),
    Benchmark(
        name="models",
        says="CPU and calls/s of the Anthropic client, against the SDK's own stream() helper",
        core=None,
        once=True,
    ),
    Benchmark(
        name="turns",
        says="turns/s and CPU per turn in process, scripted model, memory and SQLite store",
    ),
    Benchmark(
        name="http",
        says="POST turns/s, latency, fairness and CPU per turn of a whole server, scripted model, SQLite store",
        core="client",
        goals={
            "asyncio_fresh_32_per_s": Goal(at_least=2_000),
            "asyncio_fresh_32_per_cpu_s": Goal(at_least=2_000),
            "asyncio_continuing_32_per_s": Goal(at_least=2_000),
            "asyncio_continuing_32_per_cpu_s": Goal(at_least=2_000),
            "asyncio_distinct_256_p99_over_p50": Goal(at_most=3),
            "uvloop_distinct_256_p99_over_p50": Goal(at_most=3),
        },
    ),
    Benchmark(
        name="http_anthropic",
        says="the same through the Anthropic SDK, against a local Messages-API server",
        core="client",
        goals={
            "asyncio_fresh_32_per_s": Goal(at_least=800),
            "asyncio_fresh_32_per_cpu_s": Goal(at_least=800),
            "asyncio_continuing_32_per_s": Goal(at_least=800),
            "asyncio_continuing_32_per_cpu_s": Goal(at_least=800),
        },
    ),
    Benchmark(
        name="websocket",
        says="prompts/s and handshakes/s over sockets, memory of an idle one",
        core="client",
    ),
    Benchmark(
        name="paced",
        says="200 answers at once, streamed at 30 deltas/s through the whole server: CPU and delay of a delta",
        core="client",
        goals={
            "asyncio_anthropic_us_per_delta": Goal(at_most=100),
            "asyncio_anthropic_delay_p99_ms": Goal(at_most=100),
        },
    ),
    Benchmark(
        name="delta_turn",
        says="CPU of a 200-delta turn through the whole runtime, against the SDK's stream() helper alone",
        goals={"runtime_over_sdk_stream": Goal(at_most=1)},
    ),
    Benchmark(
        name="first_command",
        says="the first shell command on a virtual sandbox, its creation included",
        core=None,
        goals={"first_ms": Goal(at_most=2)},
    ),
    Benchmark(
        name="sandbox_free",
        says="a turn of an agent without a sandbox, beside one that has one and alone; what plain agents load of it",
        goals={"cpu_ratio": Goal(at_most=1.02), "modules": Goal(at_most=0), "processes": Goal(at_most=0)},
    ),
    Benchmark(
        name="passivation",
        says="what 100,000 instances touched once and passivated leave in the runtime",
        goals={
            "left_actors": Goal(at_most=0),
            "left_instances": Goal(at_most=0),
            "left_tasks": Goal(at_most=0),
            "left_bytes": Goal(at_most=MIB),
        },
        once=True,
    ),
    Benchmark(
        name="recovery",
        says="a start after a crash: 1,000,000 stored instances, 5,000 of them in the middle of a turn",
        core="client",
        goals={
            "until_listening_ms": Goal(at_most=1_000),
            "first_answer_ms": Goal(at_most=1_000),
            "refused_share": Goal(at_most=0.01),
            "completed_share": Goal(at_least=1),
        },
        once=True,
    ),
    Benchmark(
        name="stalled_subscriber",
        says="a turn and its other subscribers while one stalls, in interleaved pairs; the server's longest loop stall",
        goals={
            "turn_ratio": Goal(at_most=1.25),
            "delay_p99_ratio": Goal(at_most=1.25),
            "longest_stall_ms": Goal(at_most=20),
        },
        once=True,
    ),
    Benchmark(
        name="prompt_cache",
        says="share of a 50-turn session's input read from the prompt cache, with a restart in the middle",
        goals={
            "read_from_cache_share": Goal(at_least=0.95),
            "equipped_read_from_cache_share": Goal(at_least=0.95),
            "shared_by_100_instances_share": Goal(at_least=0.95),
        },
        once=True,
    ),
    Benchmark(
        name="tasks",
        says="100 tasks of subagents side by side, against 100 instances that are sent one message each",
        goals={"memory_ratio": Goal(at_least=0.8), "sqlite_ratio": Goal(at_least=0.8)},
        once=True,
    ),
    Benchmark(
        name="compaction",
        says="what summarising a conversation of 5,000 entries costs everybody else, in interleaved pairs",
        goals={"longest_stall_ms": Goal(at_most=20), "p99_ratio": Goal(at_most=1.25)},
        once=True,
    ),
)

BENCHMARKS: Final[Mapping[str, Benchmark]] = {benchmark.name: benchmark for benchmark in _ALL}
