"""Steps of durable tools: each one's value is recorded before the tool goes on, and a rerun gets what was recorded."""

import asyncio
import concurrent.futures
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from flue_actors.definition.calling import RunBlocking, call, json_text
from flue_actors.errors import ConfigError, ToolError


class StepJournal(Protocol):
    """Where values are recorded, under ``<call id>/<step name>``."""

    @property
    def recorded(self) -> Mapping[str, bytes]:
        """What earlier attempts recorded."""
        ...

    @property
    def write(self) -> Callable[[str, bytes], Awaitable[None]]:
        """Record one value; it is durable when this returns. Raises StoreError."""
        ...


class ToolSteps:
    """The steps of one call, as ``context.step``.

    A step that was interrupted before its value was recorded runs again, so what it does to the world outside should be
    harmless to repeat: hand on ``context.tool_call_id`` and the step's name as idempotency key.
    """

    __slots__ = ("_begun", "_call_id", "_closed", "_journal", "_loop", "_run_blocking", "_writes")

    def __init__(self, call_id: str, journal: StepJournal, run_blocking: RunBlocking) -> None:
        self._call_id = call_id
        self._journal = journal
        self._run_blocking = run_blocking
        self._loop = asyncio.get_running_loop()
        self._begun: set[str] = set()
        self._writes: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def do(self, name: str, fn: Callable[[], Any]) -> Any:
        """Call ``fn`` (sync or async; a sync one runs in a thread) and record what it returns; on a rerun return that.

        The value comes back as its JSON says it, the first time too: a tuple is a list, a dataclass a dict. What raises
        is not recorded.

        Args:
            name: Unique in its call, and the same in every run.

        Raises:
            ConfigError: A name used twice in one run, or none.
            ToolError: The value is not JSON, or nobody waits for the call any more.
            StoreError: It could not be recorded.
            Exception: Whatever ``fn`` raises.
        """
        full = self._begin(name)
        try:
            body = self._journal.recorded.get(full)
            if body is None:
                body = _encode(name, await call(fn, fn, self._run_blocking))
                await self._write(full, body)
        except BaseException:
            self._begun.discard(full)
            raise
        return json.loads(body)

    def do_sync(self, name: str, fn: Callable[[], Any]) -> Any:
        """`do` for a tool that is a plain ``def``: calls ``fn`` in its thread, and waits there until it is recorded.

        Raises:
            ConfigError: Also on the event loop, which it would block.
        """
        if _on_a_loop():
            raise ConfigError("An async tool says `await context.step.do(...)`; do_sync is for tools in a thread.")
        full = self._begin(name)
        try:
            body = self._journal.recorded.get(full)
            if body is None:
                body = _encode(name, fn())
                self._write_from_thread(full, body)
        except BaseException:
            self._begun.discard(full)
            raise
        return json.loads(body)

    def close(self) -> None:
        """Nobody waits for the call any more: from here on nothing of it is recorded. On the loop."""
        self._closed = True
        for write in tuple(self._writes):
            write.cancel()

    def _begin(self, name: str) -> str:
        if not name:
            raise ConfigError("A step needs a name.")
        full = f"{self._call_id}/{name}"
        if full in self._begun:
            raise ConfigError(
                f'The step "{name}" is used twice in one call.', details="Give each step a name of its own."
            )
        self._check_open()
        self._begun.add(full)
        return full

    def _check_open(self) -> None:
        if self._closed:
            raise ToolError("Nobody waits for this call any more.")

    async def _write(self, full: str, body: bytes) -> None:
        self._check_open()
        await self._journal.write(full, body)

    async def _write_until_closed(self, full: str, body: bytes) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._writes.add(task)
        try:
            await self._write(full, body)
        finally:
            self._writes.discard(task)

    def _write_from_thread(self, full: str, body: bytes) -> None:
        self._check_open()
        try:
            asyncio.run_coroutine_threadsafe(self._write_until_closed(full, body), self._loop).result()
        except concurrent.futures.CancelledError:
            raise ToolError("Nobody waits for this call any more.") from None


def _encode(name: str, value: Any) -> bytes:
    try:
        return json_text(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolError(f'The value of step "{name}" cannot be written as JSON ({type(error).__name__}).') from error


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
