"""What the checks are made of: records to store, a store from open to close, and what must hold."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from msgspec.structs import replace

from flue_actors.errors import FencedError
from flue_actors.ids import AgentKey
from flue_actors.storage import (
    Admit,
    Append,
    Claim,
    Decide,
    Entry,
    Fence,
    Op,
    Requeue,
    Settle,
    Store,
    Submission,
    Suspend,
    WriteJournal,
)

Make = Callable[[], Store]
Check = Callable[[Make], Awaitable[None]]

KEY: Final = AgentKey("joke-teller", "user/1 ü")
OTHER: Final = AgentKey("joke-teller", "user/2")
NOBODY: Final[tuple[list[AgentKey], AgentKey | None]] = ([], None)
"""`Store.idle` at the end."""


def submission(name: str = "sub_1", key: AgentKey = KEY, session: str = "default") -> Submission:
    """A new input."""
    return Submission(id=name, key=key, session=session, kind="direct", payload=b'{"message":"hi"}', accepted_at=1_000)


def entry(seq: int, body: bytes = b"{}", submission_id: str | None = None) -> Entry:
    """An entry."""
    return Entry(seq=seq, kind="message", at=2_000 + seq, body=body, submission_id=submission_id)


def append(*seqs: int, of: str | None = None, attempt: int = 0, key: AgentKey = KEY) -> Append:
    """Entries ``seqs`` of the default session."""
    return Append(
        key=key,
        session="default",
        entries=tuple(entry(seq, submission_id=of) for seq in seqs),
        submission_id=of,
        attempt=attempt,
    )


def claim(name: str = "sub_1", attempt: int = 1) -> Claim:
    """An attempt's start."""
    return Claim(submission_id=name, attempt=attempt, at=3_000, deadline=9_000, version="v1", fingerprint="f1")


def journal(name: str = "sub_1", attempt: int = 1, body: bytes = b"Once upon", spent_ms: int = 20) -> WriteJournal:
    """A piece of a reply."""
    return WriteJournal(
        submission_id=name, attempt=attempt, kind="text", name="turn_1", body=body, after=1, spent_ms=spent_ms
    )


def requeue(name: str = "sub_1", attempt: int = 1, spent_ms: int = 50) -> Requeue:
    """A graceful stop."""
    return Requeue(submission_id=name, attempt=attempt, spent_ms=spent_ms)


def suspend(name: str = "sub_1", attempt: int = 1, spent_ms: int = 50) -> Suspend:
    """Somebody has to decide."""
    return Suspend(submission_id=name, attempt=attempt, spent_ms=spent_ms)


def decide(call: str, body: bytes = b"decided", resume: bool = False) -> Decide:
    """Somebody decided on a call of the first submission."""
    return Decide(submission_id="sub_1", name=call, body=body, resume=resume)


def keyed(name: str, idempotency_key: str, key: AgentKey = KEY, session: str = "default") -> Admit:
    """An admission whose sender gave it a name."""
    return Admit(replace(submission(name, key, session), idempotency_key=idempotency_key))


def settle(name: str = "sub_1", attempt: int = 1) -> Settle:
    """A good end."""
    return Settle(submission_id=name, attempt=attempt, outcome="completed", at=4_000, result=b'"done"')


async def held(store: Store, name: str = "sub_1") -> Submission:
    """The submission, which is there."""
    found = await store.submission(name)
    assert found is not None, name
    return found


@asynccontextmanager
async def opened(make: Make) -> AsyncGenerator[tuple[Store, Fence]]:
    """A store from open to close."""
    store = make()
    fence = await store.open()
    try:
        yield store, fence
    finally:
        await store.close()


async def refused(store: Store, fence: Fence, *ops: Op) -> None:
    """``ops`` together are refused."""
    try:
        await store.commit(fence, *ops)
    except FencedError:
        return
    raise AssertionError(f"not refused: {ops}")


def same(actual: object, expected: object) -> None:
    """Equal, or an AssertionError that shows both."""
    if actual != expected:
        raise AssertionError(f"\n  got      {actual!r}\n  expected {expected!r}")
