"""Models that answer by what they are shown, so that a test can stop and start their agent at any moment; and stores."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from flue_actors.messages import Message, ToolCall, ToolResultMessage, UserMessage, text_of
from flue_actors.models.protocol import ModelRequest
from flue_actors.refs import LocalAgentRef
from flue_actors.storage import Store
from flue_actors.testing import FunctionModel
from flue_actors.testing.replies import Written
from flue_actors.testing.virtual_time import VirtualTimeLoop


class InThreads:
    """A store that works in threads, for tests in virtual time: no jump while it does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._calls = 0
        self._known: asyncio.AbstractEventLoop | None = None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name in {"statistics", "description"}:
            return found

        def ask(*args: Any, **kwargs: Any) -> Any:
            return self._watched(asyncio.ensure_future(found(*args, **kwargs)))

        return ask

    def _watched(self, future: "asyncio.Future[Any]") -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        if isinstance(loop, VirtualTimeLoop) and loop is not self._known:
            self._known = loop
            loop.hold_while(lambda: self._calls > 0)
        self._calls += 1
        future.add_done_callback(self._done)
        return future

    def _done(self, _: "asyncio.Future[Any]") -> None:
        self._calls -= 1


Said = Callable[[ModelRequest], Written]


def results(messages: Sequence[Message]) -> list[str]:
    """The texts of the tool results behind the last message of a person."""
    found: list[str] = []
    for message in messages:
        if isinstance(message, UserMessage):
            found = []
        elif isinstance(message, ToolResultMessage):
            found.append(text_of(message))
    return found


def call(tool: str, id: str = "c1", /, **arguments: object) -> ToolCall:
    """A tool call."""
    return ToolCall(id=id, name=tool, arguments=arguments)


def once(*calls: ToolCall) -> FunctionModel:
    """Makes these calls in one reply, and then says what came of them."""
    return FunctionModel(lambda request: " | ".join(results(request.messages)) or calls)


def each_in_turn(*calls: ToolCall) -> FunctionModel:
    """Makes these calls one reply after another, and then says what came of them."""

    def said(request: ModelRequest) -> Written:
        found = results(request.messages)
        return calls[len(found)] if len(found) < len(calls) else " | ".join(found)

    return FunctionModel(said)


def by_message(**said: Written) -> Said:
    """Answers each message as told, or with the message; after tools, with what came of them."""

    def answer(request: ModelRequest) -> Written:
        last = next(each for each in reversed(request.messages) if isinstance(each, UserMessage))
        found = results(request.messages)
        return " | ".join(found) if found else said.get(text_of(last), text_of(last))

    return answer


async def until_asked(ref: LocalAgentRef, count: int = 1) -> list[str]:
    """Wait until so many calls wait for a decision, and nothing else is at work; their ids."""
    async with asyncio.timeout(100):
        while True:
            waiting = await ref.approvals()
            if len(waiting) == count and (await ref.status()).state == "waiting":
                return [each.id for each in waiting]
            await asyncio.sleep(0.1)
