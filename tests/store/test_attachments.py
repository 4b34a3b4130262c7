"""Attachments in a file: a large one holds up nobody, a known one is not written again."""

import asyncio
from pathlib import Path
from typing import TypeVar

from flue_actors.storage import Append, Attachment, Entry, PutAttachment
from flue_actors.store import sqlite
from tests.store.inputs import KEY, append

T = TypeVar("T")

BODY = bytes(range(256)) * 40_960  # 10 MiB
PUT = PutAttachment(key=KEY, id="a" * 64, mime_type="image/png", body=BODY)


async def test_the_loop_goes_on_while_a_large_attachment_is_written_and_read(tmp_path: Path) -> None:
    store = sqlite(tmp_path / "flue.db")
    fence = await store.open()
    assert await rounds_during(store.commit(fence, PUT)) >= 3
    assert await rounds_during(asyncio.ensure_future(store.attachment(KEY, PUT.id))) >= 1
    assert await store.attachment(KEY, PUT.id) == Attachment(id=PUT.id, mime_type="image/png", body=BODY)
    await store.close()


async def test_an_attachment_that_is_known_is_not_written_again(tmp_path: Path) -> None:
    store = sqlite(tmp_path / "flue.db")
    fence = await store.open()
    await store.commit(fence, PUT)
    before = written(tmp_path)
    await store.commit(fence, PUT)
    assert written(tmp_path) == before
    await store.close()
    assert (tmp_path / "flue.db").stat().st_size < 1.1 * len(BODY)


async def test_an_attachment_and_the_message_that_brings_it_are_one_commit(tmp_path: Path) -> None:
    store = sqlite(tmp_path / "flue.db")
    fence = await store.open()
    wrong = Append(key=KEY, session="default", entries=(Entry(seq=7, kind="message", at=1, body=b"{}"),))
    together = [store.commit(fence, append(1), PUT), store.commit(fence, PUT, wrong), store.commit(fence, append(2))]
    outcomes = await asyncio.gather(*together, return_exceptions=True)
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, True, False]
    await store.close()


async def rounds_during(work: asyncio.Future[T]) -> int:
    """How often the loop comes round before the work is done."""
    rounds = 0
    while not work.done():
        await asyncio.sleep(0.001)
        rounds += 1
    await work
    return rounds


def written(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in ("flue.db", "flue.db-wal")]
