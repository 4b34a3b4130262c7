"""Restarts under load, by SIGTERM and by SIGKILL in turn: nothing is lost, nothing is doubled, everybody is answered."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from flue_actors.conversation.entries import is_message, is_private, read_message
from flue_actors.storage import Entry
from tests.faults.book import token_of
from tests.faults.house import House, house
from tests.faults.load import Caller, Load
from tests.faults.picture import Picture, picture_of
from tests.faults.size import RESTARTS, SEED, WHOLE, Figures
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
    return found + [problem for each in load.callers if each.streamed for problem in missed(each, seen)]


def missed(caller: Caller, seen: Picture) -> Iterator[str]:
    """What somebody who watched, and came again after each restart, saw twice or did not see."""
    if not caller.offsets:  # cut off before the first event; the next try was told the outcome
        return
    if caller.offsets != sorted(set(caller.offsets), key=place):
        yield f"{caller.token} saw events twice, or in another order: {caller.offsets}"
    (row,) = [each for each in seen.submissions if token_of(each.payload) == caller.token]
    entries = seen.sessions[row.key, row.session]
    stored = [f"{entry.seq}-0" for entry in entries if entry.submission_id == row.id and not hidden(entry)]
    lacking = [each for each in stored if place(each) > place(caller.offsets[0]) and each not in caller.offsets]
    if lacking:
        yield f"{caller.token} saw {caller.offsets}, and not {lacking}"


def hidden(entry: Entry) -> bool:
    """True for what only the model is told."""
    return is_message(entry) and is_private(read_message(entry))


def place(offset: str) -> tuple[int, ...]:
    return tuple(map(int, offset.split("-")))


@pytest.mark.timeout(60 + 10 * RESTARTS)
def test_restarts_under_load_lose_and_double_nothing(tmp_path: Path, record_property: Figures) -> None:
    rng = random.Random(SEED)
    with house(tmp_path / "house", {"FLUE_DRAIN_TIMEOUT": "2"}) as home:
        home.start()
        home.listen()
        load = Load(home.url, rng, rate=RATE, streamed=0.3)
        began = time.monotonic()
        asyncio.run(restart_under_load(home, load, rng))
        taken = time.monotonic() - began
        assert home.stop() == 0
        seen = asyncio.run(picture_of(home.folder / "data" / "flue.db", home.folder / "copy"))
        assert problems(load, seen) == []
    again = sum(each.tries > 1 for each in load.callers)
    rate = len(load.callers) / taken
    resumed = sum(each.resumed > 0 for each in load.callers)
    record_property(
        "figures",
        f"{RESTARTS} restarts under {rate:.0f} prompts/s: {again} callers had to come again, "
        f"{resumed} streams went on from an offset",
    )
    assert again
    assert resumed or not WHOLE
