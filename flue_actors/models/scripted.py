"""The ``scripted/`` provider: real model clients in this process, without network, for demos, tests and benchmarks.

| name | answers |
|---|---|
| ``scripted/echo`` | ``echo: <text> (<n> messages)``: the text it was sent and how many messages it was shown |
| ``scripted/jokes`` | a short friendly joke, always the same one for the same text |
| ``scripted/paced`` | ``deltas`` x ``size`` letters: ``scripted/paced?deltas=200&rate=30&size=20`` |

``<text>`` is the text of the newest user message (or signal), or, after tools ran, the results' texts joined by newlines.
Options follow a ``?`` on any of them: ``rate`` (deltas per second; 0 = as fast as possible), ``size`` (characters per
delta), ``deltas`` (only ``paced``), ``window=2000`` (a context of more tokens is too long, and the catalog knows that),
``native=1`` (promises results of a schema: a script's ``answer`` keeps the promise). Defaults: rate 0, size 20, no
window, and for ``paced`` 200 deltas at 30 per second.

A user's text can make any of them call tools, think, wait and fail: `flue_actors.models.script` is the table.
Usage is a quarter of the characters, without prices: ``usage.cost`` is None.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from flue_actors.errors import ContextOverflowError, ModelRefusedError
from flue_actors.models.failures import broken_stream, status_error
from flue_actors.models.protocol import (
    ModelEvent,
    ModelRequest,
    TextDelta,
    ThinkingDelta,
)
from flue_actors.models.script import Fault, Step, parse_script, step_at
from flue_actors.models.scripted_replies import (
    answer_text,
    context_tokens,
    counted_anew,
    newest_text,
    reply_events,
    rounds_so_far,
    scripted_name,
    step_reply,
)

API: Final = "scripted"
_MAX_FAILING: Final = 10_000


class ScriptedProvider:
    """The client behind ``scripted/...``. Its only state: how often a failing request was tried."""

    def __init__(self) -> None:
        self._attempts: dict[tuple[str, int, str], int] = {}

    @property
    def api(self) -> str:
        """``scripted``."""
        return API

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """Do what the newest user text asks for; see the module's table."""
        name = scripted_name(request.model)
        if name.window and (tokens := context_tokens(request)) > name.window:
            raise ContextOverflowError(dev=f"{tokens} tokens are more than window={name.window}.")
        script, shown = newest_text(request.messages)
        rounds = rounds_so_far(request.messages)
        step = step_at(parse_script(script), rounds)
        if not request.use_tools:
            step = step.without_calls()
        fault = self._fault(step, (request.affinity, len(request.messages), script))
        if step.wait:
            await asyncio.sleep(step.wait)
        if fault is not None and fault.kind != "half":
            await _fail(fault)
        reply = step_reply(step, answer_text(name, shown, len(request.messages)), request)
        if name.window:
            reply = counted_anew(reply, request)
        events = list(reply_events(reply, size=name.size))
        if fault is not None:
            events = events[: len(events) // 2]
        elif step.ending == "refuse":
            events.pop()  # a refused reply is never whole
        pace = _Pace(name.rate)
        for event in events:
            if name.rate and isinstance(event, TextDelta | ThinkingDelta):
                await pace.tick()
            yield event
        if fault is not None:
            raise broken_stream("The script asked for half an answer.")
        if step.ending == "refuse":
            raise ModelRefusedError(dev="The script asked for a refusal.")

    async def aclose(self) -> None:
        """Nothing to close."""

    def _fault(self, step: Step, key: tuple[str, int, str]) -> Fault | None:
        if not step.faults:
            return None
        attempt = self._attempts.pop(key, 0)
        fault = step.fault(attempt)
        if fault is not None and fault.attempts is not None:
            self._attempts[key] = attempt + 1
            while len(self._attempts) > _MAX_FAILING:
                del self._attempts[next(iter(self._attempts))]
        return fault


async def _fail(fault: Fault) -> None:
    if fault.kind == "hang":
        await asyncio.Event().wait()
    raise status_error(fault.status, retry_after=fault.retry_after, dev="The script asked for it.")


class _Pace:
    """A fixed timetable of ticks, so a slow reader is not slowed down twice."""

    def __init__(self, rate: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self._due = self._clock()
        self._gap = 1 / rate if rate else 0

    async def tick(self) -> None:
        self._due += self._gap
        if (pause := self._due - self._clock()) > 0:
            await asyncio.sleep(pause)
