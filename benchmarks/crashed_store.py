"""What a crash leaves behind: a store of many idle instances, some of which were in the middle of a turn.

The idle ones are copies of one that the runtime wrote, made by SQL: a million takes half a minute instead of an hour. The
interrupted ones come through the store port, cut off as a turn can be: after the message, in the middle of a reply, with
tool calls whose outcome nobody knows.
"""

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from zlib import crc32

from flue_actors import Runtime, create_agent, sqlite
from flue_actors.conversation.entries import message_entry
from flue_actors.ids import PARTITIONS, AgentKey
from flue_actors.inputs import PromptInput, encode_input
from flue_actors.messages import AssistantMessage, Message, TextContent, ToolCall, Usage, UserMessage
from flue_actors.storage import (
    FORMAT_VERSION,
    Admit,
    Append,
    Claim,
    Committed,
    Entry,
    Fence,
    Op,
    Store,
    Submission,
    WriteJournal,
)

AGENT: Final = "echo"
INSTRUCTIONS: Final = "Reply with a short text."
_TALK: Final = "Tell me more about that, with some words to make it a usual length. " * 3
_AT: Final = 1_790_000_000_000
_BUILDING: Final = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -262144;"
_AT_ONCE: Final = 500


def instance_id(number: int) -> str:
    """The id of the ``number``-th instance."""
    return f"user-{number:07d}"


def interrupted(instances: int, turns: int) -> Iterator[int]:
    """Which instances were in the middle of a turn, in the order in which their messages were accepted."""
    return iter(range(0, turns * (instances // turns), instances // turns))


def crashed_store(target: Path, *, instances: int, turns: int) -> None:
    """Put such a store at ``target``. It is built once per size and format and kept among the temporary files."""
    kept = Path(tempfile.gettempdir()) / "flue-actors-benchmarks" / f"crashed-{FORMAT_VERSION}-{instances}-{turns}.db"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        making = kept.with_suffix(".making")
        making.unlink(missing_ok=True)
        asyncio.run(_talk_once(making))
        _multiply(making, instances)
        asyncio.run(_interrupt(making, instances, turns))
        making.rename(kept)
    shutil.copyfile(kept, target)


async def _talk_once(file: Path) -> None:
    """Two turns of one instance, as the runtime writes them."""
    agent = create_agent(model="scripted/echo", instructions=INSTRUCTIONS)
    async with Runtime({AGENT: agent}, store=sqlite(file)) as runtime:
        ref = runtime.ref(AGENT, instance_id(0))
        await ref.prompt(_TALK)
        await ref.prompt(_TALK)


def _multiply(file: Path, instances: int) -> None:
    """Every row of that instance again for all the others."""
    with sqlite3.connect(file) as db:
        db.executescript(_BUILDING)
        db.create_function("part_of", 1, _part, deterministic=True)
        (instance,) = db.execute("SELECT pk FROM instances WHERE id = ?", (instance_id(0),)).fetchone()
        (session,) = db.execute("SELECT pk FROM sessions WHERE instance = ?", (instance,)).fetchone()
        (turns,) = db.execute("SELECT count(*) FROM submissions").fetchone()
        copied: dict[str, tuple[str, dict[str, str]]] = {  # instances of its own have lower keys: 100 are left free
            "instances": ("pk", {"pk": "pk + 100 + n", "id": "printf('user-%07d', n)", "part": "part_of(n)"}),
            "sessions": ("instance", {"pk": "pk + n", "instance": "instance + 100 + n"}),
            "entries": ("session", {"session": "session + n", "submission": "printf('%s-%07d', submission, n)"}),
            "submissions": (
                "session",
                {
                    "seq": f"seq + n * {turns}",
                    "id": "printf('%s-%07d', id, n)",
                    "instance": "instance + 100 + n",
                    "session": "session + n",
                },
            ),
            "kv": ("instance", {"instance": "instance + 100 + n"}),
        }
        for table, (owner, changed) in copied.items():
            columns = [str(name) for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]
            values = ", ".join([changed.get(column, column) for column in columns])
            db.execute(
                f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {instances - 1}) "
                f"INSERT INTO {table}({', '.join(columns)}) SELECT {values} FROM numbers, "
                f"(SELECT * FROM {table} WHERE {owner} = ?)",
                (session if owner == "session" else instance,),
            )
        db.commit()
        db.execute("PRAGMA journal_mode = WAL")
    db.close()


def _part(number: int) -> int:
    return crc32(f"{AGENT}\0{instance_id(number)}".encode()) % PARTITIONS


async def _interrupt(file: Path, instances: int, turns: int) -> None:
    store = sqlite(file, durability="process")
    fence = await store.open()
    last_seq = await store.last_seq(AgentKey(AGENT, instance_id(0)), "default")
    for number, instance in enumerate(interrupted(instances, turns)):
        write = _cut_off(store, fence, AgentKey(AGENT, instance_id(instance)), number, last_seq)
        if number % _AT_ONCE == _AT_ONCE - 1:
            await write
    await store.close()


def _cut_off(store: Store, fence: Fence, key: AgentKey, number: int, last_seq: int) -> "asyncio.Future[Committed]":
    """A turn that never ended, in one of three ways. Its writes are enqueued; the last one is returned."""
    text = f"Question {number}: {_TALK}"
    submission = Submission(
        id=f"sub_cut_{number:07d}",
        key=key,
        session="default",
        kind="direct",
        payload=encode_input(PromptInput(text)),
        accepted_at=_AT + number,
    )
    store.commit(fence, Admit(submission))
    asked = UserMessage(content=(TextContent(text=text),), timestamp=_AT + number)
    entries = [message_entry(last_seq + 1, asked, "prompt", submission_id=submission.id)]
    if number % 3 == 1:
        entries.append(_calls(submission.id, number, last_seq + 2))
    write: asyncio.Future[Committed] = store.commit(fence, *_claimed(submission, entries))
    if number % 3 == 2:
        journal = WriteJournal(
            submission_id=submission.id,
            attempt=1,
            kind="text",
            name=f"turn_{number:07d}",
            body=b"The first half of an answer, and then",
            after=last_seq + 1,
            spent_ms=1_000,
        )
        write = store.commit(fence, journal)
    return write


def _claimed(submission: Submission, entries: list[Entry]) -> tuple[Op, ...]:
    claim = Claim(submission_id=submission.id, attempt=1, at=submission.accepted_at)
    append = Append(
        key=submission.key,
        session=submission.session,
        entries=tuple(entries),
        submission_id=submission.id,
        attempt=1,
    )
    return claim, append


def _calls(submission_id: str, number: int, seq: int) -> Entry:
    calls = tuple(
        [ToolCall(id=f"call_{number}_{place}", name="look_up", arguments={"order": number}) for place in (1, 2)]
    )
    reply: Message = AssistantMessage(
        content=calls,
        api="anthropic-messages",
        provider="anthropic",
        model="claude-haiku-4-5",
        usage=Usage(),
        stop_reason="toolUse",
        timestamp=_AT + number,
    )
    return message_entry(seq, reply, "model", submission_id=submission_id, turn_id=f"turn_{number:07d}")
