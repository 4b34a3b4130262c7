"""What a model call costs us: CPU and turns per second of the Anthropic client, against the SDK's own ``stream()`` helper.

The Messages-API server runs in its own process and answers at once; every way of calling keeps 32 requests in flight.
CPU is this process's own. ``paced``: answers of 30 deltas a second, so that every delta arrives alone.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from statistics import median

from anthropic import AsyncAnthropic

from flue_actors.messages import TextContent, UserMessage
from flue_actors.models.protocol import ModelRequest
from flue_actors.models.registry import ModelRegistry, ResolvedModel

IN_FLIGHT = 32
MODEL = "claude-haiku-4-5"

Turn = Callable[[], Awaitable[int]]


def run(quick: bool) -> dict[str, float]:
    """Medians of interleaved rounds: microseconds of CPU per turn or delta, turns per second, and the ratio."""
    return asyncio.run(_measure(quick))


async def _measure(quick: bool) -> dict[str, float]:
    rounds, turns = (1, 96) if quick else (5, 640)
    figures: dict[str, float] = {}
    for deltas in (4, 200):
        with _server("--deltas", str(deltas)) as url:
            figures |= await _compare(url, deltas, rounds, turns)
    answers, length = (40, 60) if quick else (200, 150)
    with _server("--deltas", str(length), "--rate", "30") as url:
        async with _Ours(url) as model:
            await _our_turn(model)
            cpu, _ = await _load(lambda: _our_turn(model), answers, in_flight=answers)
            figures["paced_us_per_delta"] = cpu / length
    return figures


async def _compare(url: str, deltas: int, rounds: int, turns: int) -> dict[str, float]:
    samples: dict[str, list[tuple[float, float]]] = {"ours": [], "sdk_stream": []}
    async with _Ours(url) as model, AsyncAnthropic(base_url=url, api_key="benchmark") as sdk:
        ways: dict[str, Turn] = {"ours": lambda: _our_turn(model), "sdk_stream": lambda: _sdk_turn(sdk)}
        for way in ways.values():
            await _load(way, IN_FLIGHT * 2)
        for _ in range(rounds):
            for name, way in ways.items():
                samples[name].append(await _load(way, turns))
    figures: dict[str, float] = {}
    for name, taken in samples.items():
        figures[f"{name}_{deltas}_cpu_us"] = median(cpu for cpu, _ in taken)
        figures[f"{name}_{deltas}_turns_per_s"] = median(rate for _, rate in taken)
    figures[f"sdk_over_ours_{deltas}"] = figures[f"sdk_stream_{deltas}_cpu_us"] / figures[f"ours_{deltas}_cpu_us"]
    return figures


async def _load(turn: Turn, turns: int, *, in_flight: int = IN_FLIGHT) -> tuple[float, float]:
    """Microseconds of CPU per turn, and turns per second."""
    left = iter(range(turns))

    async def worker() -> None:
        for _ in left:
            assert await turn() > 0

    wall, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(worker())
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return cpu / turns * 1e6, turns / wall


async def _our_turn(model: ResolvedModel) -> int:
    message = UserMessage(content=(TextContent(text="Tell me something."),), timestamp=0)
    request = ModelRequest(model=model.model, messages=(message,), instructions="You are brief.")
    async with model.limiter.slot():
        return sum([1 async for _ in model.client.stream(request)])


async def _sdk_turn(sdk: AsyncAnthropic) -> int:
    async with sdk.messages.stream(
        model=MODEL,
        max_tokens=64_000,
        system="You are brief.",
        messages=[{"role": "user", "content": "Tell me something."}],
    ) as stream:
        return sum([1 async for _ in stream])


class _Ours:
    """The model behind the registry, as a runtime uses it."""

    def __init__(self, url: str) -> None:
        self._registry = ModelRegistry()
        self._registry.configure_provider("anthropic", base_url=url, api_key="benchmark")

    async def __aenter__(self) -> ResolvedModel:
        await self._registry.prepare([f"anthropic/{MODEL}"])
        return self._registry.resolve(f"anthropic/{MODEL}")

    async def __aexit__(self, *_: object) -> None:
        await self._registry.aclose()


@contextmanager
def _server(*arguments: str) -> Generator[str]:
    command = [sys.executable, "-m", "tests.messages_api", "--bare", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


if __name__ == "__main__":
    for name, value in run("--quick" in sys.argv).items():
        print(f"{name:28} {value:12.1f}")
