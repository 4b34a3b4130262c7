"""The wall clock jumps by a day, back and forth: nothing ends early, nothing waits, and the order stays."""

import asyncio
import random
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

from flue_actors import Runtime, create_agent, sqlite
from flue_actors.messages import UserMessage, text_of
from flue_actors.models.protocol import ModelEvent, ModelRequest, TextDelta
from flue_actors.testing import ScriptedModel
from tests.faults.picture import picture_of
from tests.faults.validity import history_problems

DAY = 86_400_000
NOON = 1_790_000_000_000


class JumpingClock:
    """Another day at every look, or the one it is told."""

    def __init__(self, day: int | None = None) -> None:
        self._rng = random.Random(1)
        self._day = day

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return NOON + DAY * (self._rng.choice((-1, 0, 1)) if self._day is None else self._day)


async def problems(file: Path) -> list[str]:
    seen = await picture_of(file, file.parent / "copy")
    found = [f"{each.id} is {each.outcome}: {each.error!r}" for each in seen.submissions if each.outcome != "completed"]
    for entries in seen.sessions.values():
        found += history_problems(entries, seen.unsettled())
    return found


async def test_a_clock_that_jumps_at_every_look_changes_nothing_but_times(tmp_path: Path) -> None:
    agent = create_agent(model="scripted/echo")
    async with Runtime({"agent": agent}, store=sqlite(tmp_path / "x.db"), clock=JumpingClock()) as runtime:
        ref = runtime.ref("agent", "u1")
        accepted = [await ref.submit(str(number)) for number in range(20)]
        for each in accepted:
            await each.result()
        said = [text_of(entry.message) for entry in await ref.history() if isinstance(entry.message, UserMessage)]
    assert said == [str(number) for number in range(20)]
    assert await problems(tmp_path / "x.db") == []


async def test_a_turn_that_a_crash_cut_off_goes_on_whatever_day_it_is_afterwards(tmp_path: Path) -> None:
    for day in (-1, 1):
        file = await cut_off(tmp_path / str(day))
        agent = create_agent(model=ScriptedModel(["the rest", "and this"]))
        async with Runtime({"agent": agent}, store=sqlite(file), clock=JumpingClock(day)) as runtime:
            async with asyncio.timeout(10):
                while runtime.snapshot().pending:
                    await asyncio.sleep(0.01)
        assert await problems(file) == []


async def cut_off(folder: Path) -> Path:
    """The store of a process that died in the middle of an answer, with another input waiting behind it."""
    begun = asyncio.Event()

    async def half(_request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        yield TextDelta("the beg")
        begun.set()
        await asyncio.Event().wait()

    model = ScriptedModel([half])
    folder.mkdir()
    runtime = Runtime({"agent": create_agent(model=model)}, store=sqlite(folder / "first.db"), clock=JumpingClock(0))
    async with runtime:
        ref = runtime.ref("agent", "u1")
        await ref.submit("one")
        await ref.submit("two")
        await begun.wait()
        for suffix in ("", "-wal"):
            shutil.copyfile(folder / f"first.db{suffix}", folder / f"x.db{suffix}")
        await runtime.stop(timeout=0)
    return folder / "x.db"
