"""Restarts under load, by SIGTERM and by SIGKILL in turn: nothing is lost, nothing is doubled, everybody is answered."""

import asyncio
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.book import token_of
from tests.faults.house import House, house
from tests.faults.load import Load
from tests.faults.picture import Picture, picture_of
from tests.faults.size import RESTARTS, SEED, Figures
from tests.faults.validity import history_problems
from tests.faults.verdict import unfinished

RATE = 200
"""Prompts a second."""


async def restart_under_load(home: House, load: Load, rng: random.Random) -> None:
    over = asyncio.Event()
    arriving = asyncio.create_task(load.arrive(over, patience=30))
    for number in range(RESTARTS):
        await asyncio.sleep(rng.uniform(0.5, 1))
        await asyncio.to_thread(home.stop if number % 2 else home.kill)
        home.start()
        await asyncio.to_thread(home.listen)
    await asyncio.sleep(0.5)
    over.set()
    await arriving


def problems(load: Load, seen: Picture) -> list[str]:
    rows = Counter(token_of(row.payload) for row in seen.submissions)
    found = [f"{each.token} is there {rows[each.token]} times" for each in load.callers if rows[each.token] != 1]
    found += unfinished(seen)
    for (key, name), entries in seen.sessions.items():
        found += [f"{key}/{name}: {problem}" for problem in history_problems(entries, set())]
    for each in load.callers:
        if len(each.answers) != 1 or each.token not in each.answers[0]:
            found.append(f"{each.token} was answered {each.answers}")
        if len(set(each.offsets)) != len(each.offsets):
            found.append(f"{each.token} saw an event twice: {each.offsets}")
    return found


@pytest.mark.timeout(60 + 10 * RESTARTS)
def test_restarts_under_load_lose_and_double_nothing(tmp_path: Path, record_property: Figures) -> None:
    rng = random.Random(SEED)
    with house(tmp_path / "house", {"FLUE_DRAIN_TIMEOUT": "2"}) as home:
        home.start()
        home.listen()
        load = Load(home.url, rng, rate=RATE, streamed=0.0)
        began = time.monotonic()
        asyncio.run(restart_under_load(home, load, rng))
        taken = time.monotonic() - began
        assert home.stop() == 0
        seen = asyncio.run(picture_of(home.folder / "data" / "flue.db", home.folder / "copy"))
        assert problems(load, seen) == []
    again = sum(each.tries > 1 for each in load.callers)
    rate = len(load.callers) / taken
    record_property("figures", f"{RESTARTS} restarts under {rate:.0f} prompts/s: {again} callers had to come again")
    assert again
