"""Models that answer what the test says: a list of replies, or a function of the request."""

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Final

from flue_actors.errors import FlueError, ModelError
from flue_actors.models.protocol import ModelEvent, ModelRequest
from flue_actors.models.scripted_replies import reply_events
from flue_actors.testing.complaints import complaint
from flue_actors.testing.replies import Written, is_reply, whole

API: Final = "scripted"
SIZE: Final = 20
"""Characters of one delta."""

Answer = Written | Exception
"""A reply, or the error in its place: `ModelError(retryable=True)`, `ModelOverloadedError()`, ..."""

Answering = Callable[[ModelRequest], Answer | Awaitable[Answer] | AsyncGenerator[ModelEvent]]
"""Answers a request: a function, an async function, or an async generator that streams its own events."""


class FunctionModel:
    """A `ModelClient` that answers what ``answer(request)`` returns, and records what it was asked.

    An exception that ``answer`` raises (rather than returns) is a mistake in the test: the turn fails with `ModelError`,
    and the test with the exception, when its runtime comes from `Machine` or the ``flue_runtime`` fixture.

    Attributes:
        requests: Every request, in order.
        closed: Streams that were left before their end (aborted, timed out).

    Args:
        size: Characters per text delta.
    """

    def __init__(self, answer: Answering, *, size: int = SIZE) -> None:
        self.requests: list[ModelRequest] = []
        self.closed = 0
        self._answer = answer
        self._size = size

    @property
    def api(self) -> str:
        """``scripted``."""
        return API

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """Play the answer.

        Raises:
            ModelError: The answer is an error, or there is none.
        """
        self.requests.append(request)
        ended = False
        try:
            async with aclosing(self._played(request)) as events:
                async for event in events:
                    yield event
            ended = True
        except Exception:
            ended = True
            raise
        finally:
            self.closed += not ended

    async def aclose(self) -> None:
        """Nothing to close."""

    async def _played(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        answer = await self._answered(request)
        if isinstance(answer, AsyncIterator):
            async with aclosing(answer):
                async for event in answer:
                    yield event
            return
        if isinstance(answer, Exception):
            raise answer
        if not is_reply(answer):
            raise complaint(
                ModelError(f"{answer!r} is no reply: write text, calls(...), or several of them in a tuple.")
            )
        for event in reply_events(whole(answer, request), size=self._size):
            yield event

    async def _answered(self, request: ModelRequest) -> Answer | AsyncGenerator[ModelEvent]:
        try:
            answer = self._answer(request)
            return await answer if inspect.isawaitable(answer) else answer
        except FlueError:
            raise
        except Exception as error:
            raise ModelError(f"The test's model function raised {complaint(error)!r}.") from error


class ScriptedModel(FunctionModel):
    """A `ModelClient` that plays the given replies in order and records what it was asked.

    Running out of them is a mistake in the test: the turn fails with `ModelError`, and so does the test when its runtime
    comes from `Machine` or the ``flue_runtime`` fixture.

    Args:
        replies: Each as `flue_actors.testing.replies` says, an exception, or a function as `FunctionModel` takes.
        size: Characters per text delta.
    """

    def __init__(self, replies: Sequence[Answer | Answering] = (), *, size: int = SIZE) -> None:
        super().__init__(self._next, size=size)
        self._replies = list(replies)

    def add(self, *replies: Answer | Answering) -> None:
        """Put more replies behind those still to come."""
        self._replies += replies

    @property
    def left(self) -> int:
        """How many replies are still to come."""
        return len(self._replies)

    def _next(self, request: ModelRequest) -> Answer | Awaitable[Answer] | AsyncGenerator[ModelEvent]:
        if not self._replies:
            number = len(self.requests)
            raise complaint(ModelError(f"ScriptedModel has no reply left for request {number}: give it {number}."))
        reply = self._replies.pop(0)
        return reply(request) if callable(reply) else reply
